package push_test

import (
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Whatever happens while rows are delivered (they are deleted, rejected, released, sent in
// vain, joined by others, and we start again), those that are left are delivered in the
// end, none twice, and in order.
func TestChurn(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) { churn(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func churn(t *testing.T, r *rand.Rand) {
	x := newWorld(t)
	defer x.close()
	bad := make(map[string]bool)
	taken := make(map[string]int)
	var order []string
	poison := true
	n, failures := 0, 0
	happen := func() {
		switch r.IntN(6) {
		case 0:
			more := r.IntN(80)
			for i := range more {
				if r.IntN(40) == 0 {
					bad[id(n+i)] = true
				}
			}
			x.calls(n, n+more)
			n += more
		case 1:
			failures++
			x.submit(&writer.Batch{Errors: []db.InsertErrorEventParams{{TraceID: id(1e6 + failures), ErrorType: "crash", Message: "m", Severity: "error", CreatedAt: time.Now().UnixMilli()}}})
		case 2: // as the janitor does
			err := x.w.Do(t.Context(), func(tx *writer.Tx) error {
				gone, err := tx.DeleteCalls(t.Context(), db.DeleteCallsParams{Synced: 0, Before: math.MaxInt64, Upto: math.MaxInt64, Lim: r.Int64N(30)})
				tx.Count(writer.Entry{Kind: writer.KindCall, Outcome: writer.Dropped, Reason: "x"}, gone)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		case 3:
			if _, err := push.Release(t.Context(), x.w, false); err != nil {
				t.Error(err)
			}
		}
	}
	x.answers(func(w http.ResponseWriter, s *sent) {
		happen()
		for _, e := range s.batch.Events {
			if poison && bad[e.TraceID] {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		if r.IntN(8) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for _, e := range s.batch.Events {
			if taken[e.TraceID]++; taken[e.TraceID] > 1 {
				t.Errorf("%s is delivered twice", e.TraceID)
			}
			if !bad[e.TraceID] && e.TraceID < id(1e6) {
				order = append(order, e.TraceID)
			}
		}
	})
	for range 40 {
		happen()
		if _, err := x.p.Now(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.IntN(10) == 0 {
			x.stop(t.Context())
			x.open(func(o *push.Options) { o.MaxBytes = 2000 + r.IntN(20_000) })
		}
	}
	if _, err := push.Release(t.Context(), x.w, false); err != nil {
		t.Error(err)
	}
	poison = false
	for range 200 {
		if _, err := x.p.Now(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b := x.w.Books(); b.Pending()+b.Quarantined == 0 {
			break
		}
		if _, err := push.Release(t.Context(), x.w, false); err != nil {
			t.Error(err)
		}
	}
	if b := x.w.Books(); b.Pending() != 0 || b.Quarantined != 0 || b.Delivered > int64(len(taken)) { // what was deleted on its way is dropped
		t.Errorf("%+v, and the remote has %d", b, len(taken))
	}
	if !slices.IsSorted(order) {
		t.Error("not in order")
	}
}
