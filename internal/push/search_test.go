package push_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// rejects answers code to batches with an event of bad, and takes the others.
func rejects(code int, bad map[string]bool) func(http.ResponseWriter, *sent) {
	return func(w http.ResponseWriter, s *sent) {
		for _, e := range s.batch.Events {
			if bad[e.TraceID] {
				w.WriteHeader(code)
				return
			}
		}
	}
}

func oneError(n int) *writer.Batch {
	return &writer.Batch{Errors: []db.InsertErrorEventParams{{TraceID: id(n), ErrorType: "crash", Message: "x", Severity: "error"}}}
}

// Errors that arrive while a rejected event is looked for are sent first, and do not
// make the search begin anew.
func TestPoisonWhileErrorsArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		reject := rejects(400, map[string]bool{id(77): true})
		attempts := 0
		x.answers(func(w http.ResponseWriter, s *sent) {
			if attempts++; attempts <= 300 && s.batch.Events[0].Type == "llm_trace" {
				x.submit(oneError(10_000 + attempts))
			}
			reject(w, s)
		})
		x.calls(0, 500)
		r, err := x.p.Now(t.Context())
		if err != nil || r.Quarantined != 1 || r.Pending != 0 || r.Error != "" {
			t.Errorf("%+v, %v", r, err)
		}
		if attempts > 60 {
			t.Errorf("%d attempts", attempts)
		}
	})
}

// Several rejected events of one batch are all found.
func TestPoisonMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		bad := make(map[string]bool)
		for n := 0; n < 5000; n += 311 {
			bad[id(n)] = true
		}
		x.answers(rejects(422, bad))
		x.calls(0, 5000)
		r, err := x.p.Now(t.Context())
		if err != nil || r.Quarantined != int64(len(bad)) || r.Delivered != int64(5000-len(bad)) || r.Pending != 0 {
			t.Errorf("%+v, %v; want %d in quarantine", r, err, len(bad))
		}
		if n := len(x.batches()); n > 10+25*len(bad) {
			t.Errorf("%d attempts for %d events", n, len(bad))
		}
	})
}

// A remote that takes smaller batches only gets smaller ones.
func TestTooLargeForRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.answers(func(w http.ResponseWriter, s *sent) {
			if len(s.raw) > 30_000 {
				w.WriteHeader(413)
			}
		})
		x.calls(0, 2000)
		r, err := x.p.Now(t.Context())
		if err != nil || r.Delivered != 2000 || r.Quarantined != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		t.Logf("%d attempts for 2000 events", len(x.batches()))
	})
}

// A remote that rejects everything for long fills the list, which stays bounded. What is
// in it can be released, also what has gone meanwhile.
func TestQuarantineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		const most, events = 10_000, 20
		err := x.w.Do(t.Context(), func(tx *writer.Tx) error {
			for n := range most { // of events that were deleted since
				if err := tx.AddQuarantine(t.Context(), db.AddQuarantineParams{Kind: writer.KindCall, EventID: id(1_000_000 + n)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		x.answers(status(400))
		x.calls(0, events)
		if _, err := x.p.Now(t.Context()); err != nil {
			t.Fatal(err)
		}
		listed := func() (list []push.Quarantined) {
			err := x.st.Read(t.Context(), func(q *db.Queries) (err error) {
				list, err = push.InQuarantine(t.Context(), q)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		if list := listed(); len(list) != most || list[most-events].TraceID != id(0) {
			t.Errorf("%d are listed", len(list))
		}
		if b := x.w.Books(); b.Quarantined != events || b.Pending() != 0 {
			t.Errorf("books %+v", b)
		}
		if n, err := push.Release(t.Context(), x.w, false); n != events || err != nil {
			t.Errorf("released %d, %v", n, err)
		}
		if b := x.w.Books(); b.Quarantined != 0 || b.Pending() != events {
			t.Errorf("books %+v", b)
		}
		if list := listed(); len(list) != 0 {
			t.Errorf("%d are listed after they were released", len(list))
		}
		x.check()
	})
}

// What happened at the beginning of time, or before, is delivered like the rest.
func TestStrangeTimes(t *testing.T) {
	for _, at := range []int64{1, 0, -1} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			c := db.InsertLLMTraceParams{TraceID: id(1), Provider: "p", Model: "m", Status: "ok", CreatedAt: at}
			if at == 0 {
				c.LatencyMS = new(int64(1) << 50) // it began before there were times
			}
			x.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{c}})
			done := make(chan struct{})
			go func() {
				defer close(done)
				r, err := x.p.Now(t.Context())
				if err != nil || r.Delivered != 1 || r.Pending != 0 {
					t.Errorf("%d: %+v, %v", at, r, err)
				}
			}()
			<-done
		})
	}
}

// The log of attempts stays short.
func TestPushLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.answers(status(500))
		x.calls(0, 1)
		for range 1100 {
			if _, err := x.p.Now(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(t, x.path, "SELECT COUNT(*) FROM push_log"); n != 1000 {
			t.Errorf("%d rows", n)
		}
	})
}

// A database that closes between the answer and the mark costs one batch that comes
// twice, with the same identity.
func TestDatabaseFailsBeforeTheMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		closed := false
		x.answers(func(http.ResponseWriter, *sent) {
			if !closed {
				closed = true
				if err := x.w.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		x.calls(0, 700)
		r, err := x.p.Now(t.Context())
		if err != nil || r.Delivered != 0 || r.Pending != 700 || !strings.Contains(r.Error, "write down what was delivered") {
			t.Errorf("%+v, %v", r, err)
		}
		x.stop(t.Context())
		x.open()
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 700 {
			t.Errorf("%+v, %v", r, err)
		}
		keys := make(map[string]int)
		for _, s := range x.batches() {
			keys[s.key]++
		}
		if len(keys) != 2 || x.w.Books().Delivered != 700 {
			t.Errorf("batches %v, books %+v", keys, x.w.Books())
		}
		x.close()
	})
}

// Whatever the remote does, the sequence of what it took has no gap and no repeat, the
// ledgers it gets balance, and in the end it has every event.
func TestBooksUnderFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		sequence, n := int64(0), 0
		x.answers(func(w http.ResponseWriter, s *sent) {
			if s.batch.Sequence != sequence+1 {
				t.Errorf("number %d after %d", s.batch.Sequence, sequence)
			}
			l := s.batch.Ledger
			b := x.w.Books()
			if l.Pending < int64(len(s.batch.Events)) || l.Received > b.Received || l.Delivered > b.Delivered {
				t.Errorf("ledger %+v with %d events, books %+v", l, len(s.batch.Events), b)
			}
			n++
			switch n % 7 {
			case 1:
				w.WriteHeader(503)
			case 3:
				w.WriteHeader(401)
			case 5:
				panic(http.ErrAbortHandler)
			default:
				sequence++
			}
		})
		for i := range 40 {
			x.calls(i*100, i*100+100)
			if i%5 == 0 {
				x.submit(oneError(100_000 + i))
			}
			time.Sleep(time.Minute)
			x.check()
		}
		for range 60 {
			time.Sleep(5 * time.Minute)
		}
		if b := x.w.Books(); b.Delivered != 4008 || b.Pending() != 0 || len(x.arrived()) != 4008 {
			t.Errorf("%d arrived, books %+v", len(x.arrived()), b)
		}
	})
}

// Memory does not depend on how many events wait. Not parallel: it measures the heap.
func TestMemoryIsFlat(t *testing.T) {
	const size = 2000
	heap := func(events int) (during uint64) {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t, func(o *push.Options) { o.Compression = "none" })
			defer x.close()
			text := strings.Repeat("x", size)
			for n := 0; n < events; {
				b := new(writer.Batch)
				for ; n < events && len(b.Calls) < 500; n++ {
					b.Calls = append(b.Calls, db.InsertLLMTraceParams{TraceID: id(n), Provider: "p", Model: "m", Status: "ok", InputText: &text})
				}
				x.submit(b)
			}
			attempts := 0
			x.answers(func(http.ResponseWriter, *sent) {
				x.mu.Lock()
				x.got = nil // what the remote keeps is not ours
				x.mu.Unlock()
				if attempts++; attempts == 2 {
					var m runtime.MemStats
					runtime.GC()
					runtime.GC()
					runtime.ReadMemStats(&m)
					during = m.HeapAlloc
				}
			})
			if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != int64(events) {
				t.Errorf("%+v, %v", r, err)
			}
		})
		return during
	}
	few, many := heap(1000), heap(20_000)
	t.Logf("heap with 1,000 pending %d KiB, with 20,000 %d KiB", few>>10, many>>10)
	if batch := uint64(500 * size); many > few+batch {
		t.Errorf("%d bytes with 1,000 pending, %d with 20,000", few, many)
	}
}
