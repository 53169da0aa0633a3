package janitor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Whatever comes in, goes out, is rejected and is deleted, in whatever order: the books
// balance at every commit, and nothing is counted twice.
func TestBooksBalance(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { random(t, seed) })
	}
}

func random(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	x := newWorld(t, func(o *janitor.Options) {
		o.Remote = seed%3 != 0
		o.Interval = 20 * time.Millisecond
		o.MaxDBBytes = 2*mib + r.Int64N(2*mib)
	})
	defer func() { x.close() }()

	// Somebody looks at every commit he can get.
	watching, stop := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for watching.Err() == nil {
			x.balance()
		}
	})
	defer watcher.Wait()
	defer stop()

	type inFlight struct {
		kind, outcome string
		ids           []int64
		names         []string
	}
	var flying []inFlight
	var marked, submitted int64
	kinds := []string{writer.KindCall, writer.KindError, writer.KindSpan, writer.KindEvent, writer.KindReading}
	for range 80 {
		switch r.IntN(10) {
		default:
			b := new(writer.Batch)
			for range r.IntN(40) {
				at := x.opts.Wall().Add(-time.Duration(r.Int64N(int64(5 * day))))
				switch r.IntN(6) {
				case 0:
					b.Errors = append(b.Errors, x.failure(at))
				case 1:
					b.Spans = append(b.Spans, x.span(at))
				case 2:
					b.Events = append(b.Events, x.event(at))
				case 3:
					b.Readings = append(b.Readings, x.reading(at))
				default:
					b.Calls = append(b.Calls, x.call(at, r.IntN(2)*r.IntN(20_000)))
				}
			}
			submitted += int64(len(b.Calls) + len(b.Errors) + len(b.Spans) + len(b.Events) + len(b.Readings))
			x.submit(b)
		case 0, 1: // the pusher reads a batch
			f := inFlight{kind: kinds[r.IntN(len(kinds))], outcome: writer.Delivered}
			if r.IntN(4) == 0 {
				f.outcome = writer.Quarantined
			}
			c := look(t, x.path, "mode=ro")
			const next = " WHERE synced = 0 ORDER BY created_at, id LIMIT 50"
			f.ids = list[int64](t, c, "SELECT id FROM "+tables[f.kind]+next)
			for _, id := range f.ids {
				name := list[string](t, c, "SELECT trace_id FROM "+tables[f.kind]+" WHERE id = ?", id)
				f.names = append(f.names, append(name, "gone")[0])
			}
			c.Close()
			flying = append(flying, f)
		case 2, 3: // and later writes down what came of it
			if len(flying) > 0 {
				f := flying[0]
				flying = flying[1:]
				marked += x.markIDs(f.kind, f.ids, f.names, f.outcome, 1)
			}
		case 4:
			x.skew.Add(int64(time.Duration(r.Int64N(int64(20 * hour)))))
		case 5:
			if _, err := janitor.Prune(t.Context(), x.st, x.w, x.opts, janitor.Request{OlderThan: time.Duration(r.Int64N(int64(6 * day)))}); err != nil {
				t.Error(err)
			}
		case 6:
			x.pass()
		}
	}
	x.pass()
	b := x.w.Books()
	if b.Received != submitted || b.Delivered+b.Quarantined != marked || b.Pending() < 0 {
		t.Errorf("%d came in, %d were marked, and the books say %+v", submitted, marked, b)
	}
	var pending int64
	for _, kind := range kinds {
		pending += int64(x.rows(kind, "synced = 0"))
	}
	if pending != b.Pending() || x.opts.Remote && b.Expired != 0 || !x.opts.Remote && b.Dropped != 0 {
		t.Errorf("%d wait, and the books say %+v", pending, b)
	}
}

// What is on its way to the remote while it is deleted counts once: as dropped.
func TestDeletedInFlight(t *testing.T) {
	x := newWorld(t, withRemote)
	defer x.close()
	x.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(time.Now(), 10), x.call(time.Now(), 10)}})
	if _, err := janitor.Prune(t.Context(), x.st, x.w, x.opts, janitor.Request{Call: "9E3779B1-0000-4000-8000-000000000001"}); err != nil {
		t.Fatal(err)
	}
	if n := x.markIDs(writer.KindCall, []int64{1, 2}, []string{"", ""}, writer.Delivered, 1); n != 1 {
		t.Errorf("%d rows marked", n)
	}
	if b := x.w.Books(); b.Delivered != 1 || b.Dropped != 1 || b.Pending() != 0 || b.DroppedByReason[janitor.ByHand] != 1 {
		t.Errorf("%+v", b)
	}
	// Its id is not given to another.
	x.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(time.Now(), 10)}})
	if x.rows(writer.KindCall, "id = 3") != 1 {
		t.Error("an id was used again")
	}
}
