package janitor_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

var long = flag.Bool("long", false, "run the tests that take long in full")

// A month beside an agent that never rests, with a remote that is away for a third of it,
// restarts, a clock that is set and a program that reads: the files stay inside the budget
// whenever they are looked at, and nothing goes uncounted.
func TestMonth(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it stores and deletes for minutes under the race detector, in no other way than its neighbours")
	}
	calls, every := 7, 3*hour
	if *long {
		calls, every = 16, 10*time.Minute
	}
	synctest.Test(t, func(t *testing.T) {
		const most = 64 * mib
		r := rand.New(rand.NewPCG(1, 2))
		x := newWorld(t, withRemote, budget(most), func(o *janitor.Options) { o.Interval = hour })
		defer func() { x.close() }()
		var peak, blocks int64
		measure := func() {
			t.Helper()
			bytes, wal := x.st.Sizes()
			if peak = max(peak, bytes+wal); bytes+wal > most {
				t.Fatalf("a file of %d bytes and a log of %d", bytes, wal)
			}
			blocks = max(blocks, taken(t, x.path)+taken(t, x.path+"-wal"))
		}
		begun := time.Now()
		for day := 0; day < 30; day++ {
			for range int(24 * hour / every) {
				at := time.Now()
				b := x.each(at)
				for range calls {
					b.Calls = append(b.Calls, x.call(at, r.IntN(40_000)))
				}
				for range 4 {
					b.Spans = append(b.Spans, x.span(at))
				}
				for range 2 * calls {
					x.submit(b)
					measure()
					b = x.each(at)
					b.Calls = append(b.Calls, x.call(at, r.IntN(40_000)))
				}
				time.Sleep(every)
				measure()
				if day < 10 || day >= 20 { // the remote is there
					for kind := range tables {
						x.deliver(kind, "1")
					}
				}
			}
			switch day % 6 {
			case 2:
				x.close()
				time.Sleep(hour)
				x.open()
			case 3:
				x.skew.Add(int64(time.Duration(r.Int64N(int64(20*hour))) - 10*hour))
			case 4: // somebody reads for a while
				c := look(t, x.path, "mode=ro")
				tx, err := c.Begin()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec("SELECT COUNT(*) FROM llm_traces"); err != nil {
					t.Fatal(err)
				}
				x.submit(x.each(time.Now()))
				time.Sleep(time.Minute)
				if err := tx.Rollback(); err != nil {
					t.Error(err)
				}
				c.Close()
			}
			x.balance()
		}
		x.pass()
		s, b := x.j.Status(), x.w.Books()
		if s.Reason != "" || b.Dropped == 0 || b.Delivered == 0 || b.Pending() < 0 || x.counted(writer.KindError, writer.Dropped, janitor.ByBudget) != 0 {
			t.Errorf("%+v, %+v", s, b)
		}
		if blocks > most+janitor.LogBytes {
			t.Errorf("%d bytes are taken from the volume", blocks)
		}
		t.Logf("%s: %d rows, %d MiB of files at most, %d MiB with what is set aside", time.Since(begun), b.Received, peak/mib, blocks/mib)
	})
}

// taken is what a file takes from the volume.
func taken(t testing.TB, path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// A program that reads and does not end keeps rows from being deleted, as soon as the log
// has got long, and says so. When it has gone the rest is done.
func TestReaderThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, withRemote, budget(40*mib))
		defer x.close()
		c := look(t, x.path, "mode=ro")
		defer c.Close()
		tx, err := c.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("SELECT COUNT(*) FROM llm_traces"); err != nil {
			t.Fatal(err)
		}
		full := false
		for range 10_000 {
			b := x.each(time.Now())
			for range 8 {
				b.Calls = append(b.Calls, x.call(time.Now(), 8000))
			}
			if _, err := x.w.Submit(b); err != nil {
				full = true
				break
			}
		}
		time.Sleep(time.Minute)
		rows := x.rows(writer.KindCall, "input_text IS NOT NULL")
		_, wal := x.st.Sizes()
		if s := x.j.Status(); !full || x.w.Notice() == "" || s.Reason == "" || wal > store.MaxLogBytes+8*mib {
			t.Errorf("%+v, with a log of %d bytes", s, wal)
		}
		time.Sleep(hour)
		if n := x.rows(writer.KindCall, "input_text IS NOT NULL"); n != rows {
			t.Errorf("%d of %d texts are left", n, rows)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			x.submit(x.each(time.Now()))
			time.Sleep(time.Minute)
		}
		x.pass()
		bytes, wal := x.st.Sizes()
		if s := x.j.Status(); s.Reason != "" || x.w.Notice() != "" || x.live() > 24*mib || bytes+wal > 48*mib {
			t.Errorf("%+v, %d and %d bytes", s, bytes, wal)
		}
		x.balance()
	})
}
