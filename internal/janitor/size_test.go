package janitor_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// fill stores rows of each kind at times from from on, until the rows take so many bytes.
func (x *world) fill(from time.Time, bytes int64, make func(i int, at time.Time) *writer.Batch) {
	x.t.Helper()
	for i := 0; x.live() < bytes; i++ {
		x.submit(make(i, from.Add(time.Duration(i)*time.Second)))
	}
}

// live is what the rows take, size what the file does once the log is copied into it.
func (x *world) live() int64 {
	x.t.Helper()
	p := x.pages()
	return (p.All - p.Free) * store.PageSize
}

func (x *world) size() int64 {
	x.t.Helper()
	return x.pages().All * store.PageSize
}

func (x *world) pages() store.Pages {
	x.t.Helper()
	p, err := x.st.ReadPages(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	return p
}

// What goes first, and what last.
func TestOrder(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it stores and deletes for minutes under the race detector, in no other way than its neighbours")
	}
	for _, remote := range []bool{true, false} {
		outcome := map[bool]string{true: writer.Dropped, false: writer.Expired}[remote]
		synctest.Test(t, func(t *testing.T) {
			// The janitor sleeps until it is asked: it sees another budget each time.
			x := newWorld(t, func(o *janitor.Options) { o.Remote, o.Interval = remote, 1000*day })
			defer func() { x.close() }()
			from := time.Now().Add(-day)
			pad := new(`{"pad":"` + strings.Repeat("p", 1000) + `"}`)
			for i := range 3000 {
				at := from.Add(time.Duration(i) * time.Second)
				b := x.each(at)
				b.Calls[0] = x.call(at, 400)
				b.Calls[0].Metadata, b.Spans[0].Metadata, b.Events[0].Metadata, b.Errors[0].Metadata, b.Readings[0].Metadata = pad, pad, pad, pad, pad
				x.submit(b)
			}
			delivered := "id <= 500"
			for kind := range tables {
				x.deliver(kind, delivered)
			}
			x.giveUp(writer.KindCall, "id = 501")
			count := func(kind, where string) int { return x.rows(kind, where) }
			const text = "input_text IS NOT NULL"
			type left struct{ delivered, readings, oldTexts, newTexts, oldCalls, newCalls, spans, events, errors int }
			look := func() left {
				return left{
					count(writer.KindCall, "synced = 1") + count(writer.KindSpan, "synced = 1") + count(writer.KindEvent, "synced = 1") + count(writer.KindError, "synced = 1") + count(writer.KindReading, "synced = 1"),
					count(writer.KindReading, "synced = 0"),
					count(writer.KindCall, "synced = 0 AND id <= 2000 AND "+text), count(writer.KindCall, "synced = 0 AND id > 2000 AND "+text),
					count(writer.KindCall, "synced = 0 AND id <= 2000"), count(writer.KindCall, "synced = 0 AND id > 2000"),
					count(writer.KindSpan, "synced = 0"), count(writer.KindEvent, "synced = 0"), count(writer.KindError, "synced = 0"),
				}
			}
			whole := left{2501, 2500, 1499, 1000, 1499, 1000, 2500, 2500, 2500}
			if got := look(); got != whole {
				t.Fatalf("%+v", got)
			}
			// Smaller and smaller, to the end.
			seen := make(map[string]bool)
			for bytes := x.live(); bytes > 600<<10; bytes -= 512 << 10 {
				x.restart(budget(bytes + min(bytes, janitor.LogBytes))) // for the log
				r := x.pass()
				if live, limit := x.live(), bytes-bytes/16; live > limit {
					t.Errorf("%d bytes of %d", live, limit)
				}
				if r.Reason != "" {
					t.Error(r.Reason)
				}
				got := look()
				f := func(stage string, begun, before bool) {
					t.Helper()
					if !begun {
						return
					}
					seen[stage] = true
					if !before {
						t.Errorf("%s have begun to go before their turn: %+v", stage, got)
					}
				}
				f("readings", got.readings < whole.readings, got.delivered == 0)
				f("old texts", got.oldTexts < whole.oldTexts, got.readings == 0)
				f("rows", got.oldCalls < whole.oldCalls || got.spans < whole.spans || got.events < whole.events, got.oldTexts == 0)
				f("new texts", got.newTexts < whole.newTexts, got.oldCalls == 0 && got.spans == 0 && got.events == 0)
				f("new calls", got.newCalls < whole.newCalls, got.newTexts == 0)
				f("errors", got.errors < whole.errors, got.newCalls == 0)
			}
			if len(seen) != 6 {
				t.Errorf("only these were seen to go: %v", seen)
			}
			b := x.w.Books()
			gone := map[bool]int64{true: b.Dropped, false: b.Expired}[remote]
			if kept := b.Pending(); gone+kept != 12499 || gone < 11000 || !remote && b.Dropped != 0 || remote && b.Expired != 0 {
				t.Errorf("%+v", b)
			}
			if n := x.counted(writer.KindError, outcome, "disk budget"); n == 0 || n != int64(2500-look().errors) {
				t.Errorf("%d errors counted", n)
			}
			if n := x.counted(writer.KindCall, writer.Stripped, "disk budget"); n != 2499 || n != x.j.Status().Texts && x.j.Status().Texts > 2499 {
				t.Errorf("%d calls lost their texts", n)
			}
		})
	}
}

// The oldest rows go first, and a call without its texts says so.
func TestOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, withRemote)
		defer x.close()
		from := time.Now().Add(-day)
		x.fill(from, 3*mib, func(i int, at time.Time) *writer.Batch {
			c := x.call(at, 2000)
			c.Metadata = map[int]*string{0: nil, 1: new(`{"a":1}`)}[i%2]
			return &writer.Batch{Calls: []db.InsertLLMTraceParams{c}, Spans: []db.InsertSpanParams{x.span(at)}}
		})
		all := x.rows(writer.KindSpan, "1")
		if all < 500 || all > 1000 {
			t.Fatal(all)
		}
		x.restart(budget(6 * mib))
		x.pass() // fewer than a thousand: spans go, and then texts
		if n := x.rows(writer.KindSpan, "1"); n != 0 {
			t.Errorf("%d spans", n)
		}
		cut := x.rows(writer.KindCall, "input_text IS NULL AND output_text IS NULL")
		if cut < 20 || cut > 400 || x.rows(writer.KindCall, "1") != all {
			t.Errorf("%d of %d calls lost their texts", cut, x.rows(writer.KindCall, "1"))
		}
		if n := x.rows(writer.KindCall, fmt.Sprintf("input_text IS NULL AND id <= %d", cut)); n != cut {
			t.Errorf("%d of the first %d", n, cut)
		}
		for _, want := range []string{`{"openclaw_trace.content_dropped":"disk budget"}`, `{"a":1,"openclaw_trace.content_dropped":"disk budget"}`} {
			if n := x.rows(writer.KindCall, "metadata = '"+want+"'"); n < cut/2 || n > cut/2+1 {
				t.Errorf("%d calls with %s", n, want)
			}
		}
		if n := x.rows(writer.KindCall, "input_text IS NOT NULL AND metadata LIKE '%dropped%'"); n != 0 {
			t.Errorf("%d calls say that they lost texts that they have", n)
		}
	})
}

// Space on the volume is given back as far as we are to blame.
func TestVolumeIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, withRemote, budget(40*mib), func(o *janitor.Options) { o.MinFreeBytes = 8 * mib })
		defer x.close()
		x.fill(time.Now().Add(-day), 12*mib, func(i int, at time.Time) *writer.Batch {
			return &writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(at, 3000)}}
		})
		x.pass()
		x.alter("PRAGMA wal_checkpoint")
		all := x.rows(writer.KindCall, "1")
		size := func() int64 { bytes, _ := x.st.Sizes(); return bytes }
		// The volume has what is left after our file and that of another.
		const volume = 100 * mib
		var others atomic.Int64
		x.restart(func(o *janitor.Options) {
			o.Free = func(string) (int64, error) { return volume - others.Load() - size(), nil }
		})

		others.Store(volume - 8*mib - size() - 1*mib) // just enough
		time.Sleep(6 * time.Second)
		if s := x.j.Status(); x.rows(writer.KindCall, "input_text IS NULL") != 0 || s.Reason != "" {
			t.Errorf("%+v", s)
		}
		others.Add(3 * mib)
		time.Sleep(time.Minute)
		if s := x.j.Status(); s.Reason != "" || s.OverBytes != 0 {
			t.Errorf("%+v", s)
		}
		if free, _ := x.opts.Free(""); free < 8*mib || free > 10*mib {
			t.Errorf("%d bytes are free", free)
		}
		if n := x.counted(writer.KindCall, writer.Stripped, "disk space"); n == 0 || x.rows(writer.KindCall, "1") != all {
			t.Errorf("%d texts, %d of %d rows", n, x.rows(writer.KindCall, "1"), all)
		}
		// Others take all: it is not made smaller than the floor.
		others.Store(volume)
		time.Sleep(time.Minute)
		if live := x.live(); live > 3*mib || live < 2*mib || size() < 5*mib-64<<10 || size() > 5*mib {
			t.Errorf("%d bytes of rows in a file of %d, the floor is 5 MiB", live, size())
		}
		s := x.j.Status()
		if !strings.Contains(s.Reason, "because others fill it") || s.OverBytes < 8*mib {
			t.Errorf("%+v", s)
		}
		rows := x.rows(writer.KindCall, "1")
		time.Sleep(hour)
		if x.rows(writer.KindCall, "1") != rows {
			t.Error("it goes on below the floor")
		}
		others.Store(0)
		time.Sleep(10*time.Minute + 5*time.Second)
		if s := x.j.Status(); s.Reason != "" || s.OverBytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A file that was created by somebody else's hands cannot shrink, which is said; it is
// kept from growing all the same.
func TestWithoutAutoVacuum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, withRemote)
		defer func() { x.close() }()
		x.j.Close(context.Background())
		if err := x.w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := x.st.Close(); err != nil {
			t.Fatal(err)
		}
		x.alter("PRAGMA journal_mode = DELETE", "PRAGMA auto_vacuum = NONE", "VACUUM")
		x.open()
		if x.st.Shrinks() {
			t.Fatal("it says that it shrinks")
		}
		x.fill(time.Now().Add(-day), 4*mib, func(i int, at time.Time) *writer.Batch {
			return &writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(at, 3000)}}
		})
		x.restart(budget(6 * mib))
		x.pass()
		if live := x.live(); live > 3*mib {
			t.Errorf("%d bytes of rows", live)
		}
		if s := x.j.Status(); !strings.Contains(s.Reason, "created without auto_vacuum") || s.OverBytes < mib/2 {
			t.Errorf("%+v", s)
		}
		rows := x.rows(writer.KindCall, "input_text IS NOT NULL")
		x.pass()
		if n := x.rows(writer.KindCall, "input_text IS NOT NULL"); n != rows {
			t.Error("it deletes what does not help")
		}
		before := x.size()
		for i := range 300 {
			x.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(time.Now(), 3000)}})
			if i%20 == 0 {
				x.pass()
			}
		}
		x.pass()
		if after := x.size(); after > before+mib {
			t.Errorf("%d bytes, and before %d", after, before)
		}
	})
}

// Under a flood the files stay inside the budget, whenever they are looked at.
func TestSoak(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it stores and deletes for minutes under the race detector, in no other way than its neighbours")
	}
	x := newWorld(t, withRemote, budget(8*mib))
	defer x.close()
	const most = 8*mib + janitor.LogBytes
	var peak int64
	for i := range 400 {
		at := time.Now()
		b := x.each(at)
		for range 8 {
			b.Calls = append(b.Calls, x.call(at, 8000))
		}
		x.submit(b)
		bytes, wal := x.st.Sizes()
		if peak = max(peak, bytes+wal); bytes+wal > most {
			t.Fatalf("after %d batches: %d bytes and a log of %d", i, bytes, wal)
		}
	}
	x.pass()
	if s := x.j.Status(); s.Reason != "" || s.Deleted[janitor.ByBudget] == 0 {
		t.Errorf("%+v", s)
	}
	if live := x.live(); live > 4*mib || live < 2*mib {
		t.Errorf("%d bytes of rows", live)
	}
	if x.rows(writer.KindError, "1") != 400 {
		t.Errorf("%d errors", x.rows(writer.KindError, "1"))
	}
	t.Logf("%d MiB at most, of %d", peak/mib, most/mib)
}
