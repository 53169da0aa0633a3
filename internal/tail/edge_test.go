package tail_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// openclaw is a line of OpenClaw's log.
func openclaw(at time.Time, text string) string {
	return fmt.Sprintf(`{"0":"{\"subsystem\":\"x\"}","1":%q,"_meta":{"logLevelName":"ERROR"},"time":%q}`+"\n", text, at.Format(time.RFC3339Nano))
}

// A hole behind an event, of whatever size, ends the event and is passed over.
func TestHole(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		x.write("a.log", "ERROR one\n"+strings.Repeat("\x00", 600<<10)+"ERROR two\n")
		x.wait(5 * time.Second)
		x.expect("ERROR one", "ERROR two")
	})
}

// A log that is gone is read to its end, however much of it had to wait.
func TestGoneWhileWaiting(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		text, _ := failures(1, 1050)
		x.write("a.log", openclaw(time.Now(), "first")+text)
		x.wait(2 * time.Second)
		x.must(os.Remove(x.path("a.log")))
		x.wait(time.Minute)
		if b := x.w.Books(); b.Received+b.Refused != 1051 {
			t.Errorf("%+v", b)
		}
	})
}

// Lines of a time to come, as after the clock was set back, do not wait one by one.
func TestClockSetBack(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		for n := range 50 {
			x.write("a.log", openclaw(time.Now().Add(time.Hour+time.Duration(n)*time.Second), fmt.Sprint("failure ", n)))
		}
		x.wait(30 * time.Second)
		if n := len(x.rows()); n != 50 {
			t.Errorf("%d events", n)
		}
	})
}

// A row that the database does not take is counted once, and takes no other with it.
func TestRejectedRow(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		conn, err := sql.Open("sqlite", x.db)
		x.must(err)
		defer conn.Close()
		_, err = conn.ExecContext(context.Background(), `CREATE TRIGGER bad BEFORE INSERT ON error_events
			WHEN NEW.message LIKE '%failure 7' BEGIN SELECT RAISE(ABORT, 'no'); END`)
		x.must(err)
		lines, want := failures(1, 20)
		x.write("a.log", "fine\n"+lines)
		x.wait(5 * time.Second)
		x.expect(join(want[:6], want[7:])...)
		if b := x.w.Books(); b.Received != 19 || b.Refused != 1 || b.Ignored != 1 {
			t.Errorf("%+v", b)
		}
		if s := x.tail.Status(); s.Events != 19 || s.Behind != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Who ends does not wait for a database that takes nothing.
func TestCloseWithoutDatabase(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		release := make(chan struct{})
		go func() {
			_ = x.w.Do(context.Background(), func(*writer.Tx) error { <-release; return nil })
		}()
		x.write("a.log", "fine\n")
		x.wait(3 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := x.tail.Close(ctx); err != nil {
			t.Error(err)
		}
		close(release)
	})
}
