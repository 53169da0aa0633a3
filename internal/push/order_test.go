package push_test

import (
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Events come in the order in which they arrived here, whatever the clock said and
// wherever it was set in between.
func TestOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.net.setDown(true)
		now := time.Now().UnixMilli()
		var want []string
		arrive := func(n int, at func(i int) int64) {
			b := new(writer.Batch)
			for i := range n {
				want = append(want, id(len(want)))
				b.Calls = append(b.Calls, db.InsertLLMTraceParams{
					TraceID: want[len(want)-1], Provider: "p", Model: "m", Status: "ok", CreatedAt: at(i),
				})
			}
			x.submit(b)
		}
		arrive(700, func(i int) int64 { return now - int64(i) })
		arrive(10, func(i int) int64 { return int64(i + 1) })            // it is 1970
		arrive(700, func(i int) int64 { return now - 3_600_000 })        // all at once, an hour ago
		arrive(10, func(i int) int64 { return now + 86_400_000*365*10 }) // in ten years
		x.net.setDown(false)
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 1420 || r.Pending != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		// Earlier than all that was delivered.
		arrive(10, func(i int) int64 { return now - 86_400_000 - int64(i) })
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 10 || r.Pending != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		var got []string
		for _, s := range x.batches() {
			for _, e := range s.batch.Events {
				got = append(got, e.TraceID)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d events arrived, %d were stored, or in another order", len(got), len(want))
		}
	})
}

// What is released from quarantine is delivered before what came later, however much was
// delivered since, by the process that is running and by one that is started then.
func TestReleasedLongAfter(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			x.answers(func(w http.ResponseWriter, s *sent) {
				for _, e := range s.batch.Events {
					if e.TraceID == id(3) || e.TraceID == id(4) {
						w.WriteHeader(http.StatusBadRequest)
						return
					}
				}
			})
			const all = 10_600 // more than are looked through at once
			for n := 0; n < all; n += 530 {
				x.calls(n, n+530)
			}
			if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != all-2 || r.Quarantined != 2 {
				t.Fatalf("%+v, %v", r, err)
			}
			x.answers(nil)
			before := len(x.batches())
			x.net.setDown(true)
			x.calls(all, all+1)
			for _, released := range []string{id(3), id(4)} {
				if n, err := push.Release(t.Context(), x.w, false, released); n != 1 || err != nil {
					t.Fatalf("released %d, %v", n, err)
				}
			}
			if restart {
				x.stop(t.Context())
				x.open()
			}
			x.net.setDown(false)
			if r, err := x.p.Now(t.Context()); err != nil || r.Error != "" {
				t.Errorf("restart %t: %+v, %v", restart, r, err)
			}
			if b := x.w.Books(); b.Delivered != all+1 || b.Quarantined != 0 || b.Pending() != 0 {
				t.Errorf("restart %t: books %+v", restart, b)
			}
			var got []string
			for _, s := range x.batches()[before:] {
				for _, e := range s.batch.Events {
					got = append(got, e.TraceID)
				}
			}
			if !slices.Equal(got, []string{id(3), id(4), id(all)}) {
				t.Errorf("restart %t: then came %v", restart, got)
			}
			x.check()
		})
	}
}

// Ids may be as large as they can be.
func TestLargestIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.net.setDown(true)
		x.calls(0, 2)
		c, err := sql.Open("sqlite", "file:"+x.path+"?_pragma=busy_timeout(10000)")
		if err == nil {
			_, err = c.Exec("UPDATE llm_traces SET id = 9223372036854775800 WHERE id = 2")
			err = errors.Join(err, c.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		x.calls(2, 4)
		x.net.setDown(false)
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 4 || r.Pending != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		x.calls(4, 6)
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 2 || r.Pending != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
