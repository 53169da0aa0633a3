package push_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// A database that cannot mark what was delivered does not have the same batch sent to
// the remote again and again: attempts come further and further apart, and the status
// says why.
func TestCannotMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		exec := func(statement string) {
			t.Helper()
			c := look(t, x.path)
			defer c.Close()
			if _, err := c.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		exec("CREATE TRIGGER broken BEFORE UPDATE ON llm_traces BEGIN SELECT RAISE(ABORT, 'it does not work'); END")
		x.calls(0, 10)
		time.Sleep(time.Hour)
		if n := len(x.batches()); n < 10 || n > 120 {
			t.Errorf("the batch was sent %d times in an hour", n)
		}
		if s := x.p.Status(); s.Failures == 0 || !strings.Contains(s.LastError, "it does not work") || s.LastSuccess != 0 {
			t.Errorf("status %+v", s)
		}
		exec("DROP TRIGGER broken")
		time.Sleep(6 * time.Minute)
		if s := x.p.Status(); s.Failures != 0 || s.LastError != "" || x.w.Books().Delivered != 10 {
			t.Errorf("afterwards %+v, books %+v", s, x.w.Books())
		}
	})
}

// A disk that does not answer while a delivered batch is to be marked does not hold up
// the end.
func TestCloseWhileDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.server.Close()
		x.calls(0, 10)
		release, hangs := make(chan struct{}), make(chan struct{})
		go x.w.Do(context.Background(), func(*writer.Tx) error {
			close(hangs)
			<-release
			return nil
		})
		<-hangs
		time.Sleep(2 * time.Second)
		if n := len(x.batches()); n != 1 {
			t.Fatalf("%d batches were sent", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			if r := x.p.Close(ctx); r.Error == "" {
				t.Errorf("%+v", r)
			}
		}()
		select {
		case <-closed:
			if d := time.Since(began); d < 3*time.Second || d > 4*time.Second {
				t.Errorf("it took %v", d)
			}
		case <-time.After(time.Minute):
			t.Error("it hangs")
		}
		close(release)
		<-closed
		synctest.Wait()
		if err := x.w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := x.st.Close(); err != nil {
			t.Error(err)
		}
	})
}
