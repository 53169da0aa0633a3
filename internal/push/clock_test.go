package push_test

import (
	"database/sql"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// at stores one event of each kind, numbered from n on, as a wall clock that is off by
// skew has it. The writer takes no time from the future by its own clock, so the rows are
// given theirs beside it.
func (x *world) at(n int, skew time.Duration) {
	x.t.Helper()
	x.submit(&writer.Batch{
		Calls:    []db.InsertLLMTraceParams{{TraceID: id(n), Provider: "openai", Model: "gpt-5", Status: "ok"}},
		Errors:   []db.InsertErrorEventParams{{TraceID: id(n + 1), ErrorType: "crash", Message: "it broke", Severity: "error"}},
		Spans:    []db.InsertSpanParams{{TraceID: id(n + 2), Name: "run", Status: "ok", OTELTraceID: strings.Repeat("a", 32), OTELSpanID: id(n)[20:]}},
		Events:   []db.InsertCustomEventParams{{TraceID: id(n + 3), Name: "door"}},
		Readings: []db.InsertSystemMetricParams{{TraceID: id(n + 4)}},
	})
	c, err := sql.Open("sqlite", "file:"+x.path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	for i, table := range []string{"llm_traces", "error_events", "spans", "custom_events", "system_metrics"} {
		r, err := c.Exec("UPDATE "+table+" SET created_at = ? WHERE trace_id = ?", time.Now().Add(skew).UnixMilli(), id(n+i))
		if err != nil {
			x.t.Fatal(err)
		}
		if changed, err := r.RowsAffected(); changed != 1 || err != nil {
			x.t.Fatalf("%s: %d rows, %v", table, changed, err)
		}
	}
}

// Order is by time, and time jumps: an hour back, to 1970, ten years on and back again,
// while events wait and while they are on their way. Nothing comes twice, nothing is left,
// nothing is given up that the remote would take.
func TestClockJumps(t *testing.T) {
	var epoch = -time.Duration(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	jumps := []time.Duration{0, -time.Hour, epoch, epoch - 24*time.Hour, time.Hour, 10 * 365 * 24 * time.Hour, 0}
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			x := newWorld(t)
			defer x.close()
			n := 0
			more := func() {
				for _, skew := range jumps {
					x.at(n, skew)
					n += 5
				}
			}
			bad := make(map[string]bool)
			taken := make(map[string]int)
			arrivals := 20
			x.answers(func(w http.ResponseWriter, s *sent) {
				if arrivals > 0 { // while a batch is on its way
					arrivals--
					x.at(n, jumps[r.IntN(len(jumps))])
					if n += 5; r.IntN(5) == 0 {
						bad[id(n-1-r.IntN(5))] = true
					}
				}
				if r.IntN(4) == 0 {
					w.WriteHeader(503)
					return
				}
				for _, e := range s.batch.Events {
					if bad[e.TraceID] {
						w.WriteHeader(400)
						return
					}
				}
				for _, e := range s.batch.Events {
					taken[e.TraceID]++
				}
			})
			x.net.setDown(true)
			more()
			time.Sleep(10 * time.Minute)
			more()
			x.net.setDown(false)
			time.Sleep(3 * time.Hour)
			more() // after the newest was delivered
			time.Sleep(3 * time.Hour)

			if arrivals > 0 {
				t.Errorf("seed %d: only %d batches came", seed, 20-arrivals)
			}
			for i := range n {
				switch times := taken[id(i)]; {
				case bad[id(i)] && times != 0, !bad[id(i)] && times != 1:
					t.Errorf("seed %d: event %d of %d was taken %d times; to be rejected: %v", seed, i, n, times, bad[id(i)])
				}
			}
			b := x.w.Books()
			if b.Pending() != 0 || b.Received != int64(n) || b.Quarantined != int64(len(bad)) || b.Delivered != int64(n-len(bad)) || b.Dropped+b.Expired != 0 {
				t.Errorf("seed %d: %d events, %d to be rejected: %+v", seed, n, len(bad), b)
			}
			if s := x.p.Status(); s.LastError != "" || s.Failures != 0 {
				t.Errorf("seed %d: %+v", seed, s)
			}
		})
	}
}
