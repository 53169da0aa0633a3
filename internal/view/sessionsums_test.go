package view_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/view"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// sessionCalls makes calls of sessions of all lengths: within a minute, over days, and
// such that reach out of any range. Some cost next to nothing, of some the cost is unknown.
func sessionCalls(r *rand.Rand, n, first int, now int64) []db.InsertLLMTraceParams {
	calls := randomCalls(r, n, now-9*24*3600_000, now)
	for i := range calls {
		c := &calls[i]
		c.TraceID = id('c', first+i)
		// Else the writer would complete them.
		c.PromptTokens, c.CompletionTokens, c.CacheReadTokens, c.ReasoningTokens = maybe(r, 1+r.Int64N(1000)), nil, nil, nil
		if c.PromptTokens != nil {
			c.CompletionTokens = new(1 + r.Int64N(1000))
		}
		switch number := r.IntN(40); {
		case number < 4:
			c.SessionID = nil
		case number < 20:
			c.SessionID = new(fmt.Sprintf("long %d", number))
		case number < 24: // of nothing but digits and spaces, and of more bytes than letters
			c.SessionID = new(strings.Repeat(fmt.Sprintf("%d é ", number), number-19))
		default:
			c.SessionID = new(fmt.Sprintf("short %d", number))
			c.CreatedAt = now - int64(number-23)*12*3600_000 + r.Int64N(60_000)
		}
		if c.SessionID != nil {
			c.Agent = new([]string{"main", "cron"}[len(*c.SessionID)%2])
			if c.CostUSD != nil && strings.HasSuffix(*c.SessionID, "7") {
				*c.CostUSD = 1e-9
			}
		}
	}
	return calls
}

// The sessions that cost most, and what they used in a range, are what the calls amount
// to: whatever was asked before, however the range moved since, and when calls came late.
func TestTopSessions(t *testing.T) {
	t.Parallel()
	skipSlow(t)
	d := open(t)
	r := rand.New(rand.NewPCG(21, 22))
	began := time.Now()
	var calls []db.InsertLLMTraceParams
	known := new(view.SessionSums)
	for round := range 6 {
		more := sessionCalls(r, 150+r.IntN(150), len(calls), began.UnixMilli())
		d.submit(&writer.Batch{Calls: slices.Clone(more)})
		calls = append(calls, more...)
		d.close() // so that sessions have their rows
		d.reopen()
		for range 25 {
			now := began.Add(time.Duration(r.IntN(30*3600)) * time.Second)
			f := view.Filter{
				Since: pick(r, view.Instant{}, view.Instant{Ago: 24 * time.Hour}, view.Instant{Ago: 7 * 24 * time.Hour},
					view.Instant{Ago: time.Duration(r.IntN(230*3600_000)) * time.Millisecond}),
				Agent: pick(r, "", "", "", "main"), Text: pick(r, "", "", "", "Short"),
			}
			if r.IntN(3) == 0 {
				f.Until = view.Instant{Ago: time.Duration(r.IntN(100*3600_000)) * time.Millisecond}
			}
			n := 1 + r.IntN(12)
			err := d.st.Read(context.Background(), func(q *db.Queries) error {
				for what, v := range map[string]*view.View{"fresh": view.At(q, now), "remembering": view.Remembering(q, now, known)} {
					top, err := v.TopSessions(context.Background(), f, n)
					for err == nil && top.SearchedTo != nil { // a busy machine; it goes on from there
						top, err = v.TopSessions(context.Background(), f, n)
					}
					if err != nil {
						return err
					}
					topIs(t, fmt.Sprintf("round %d, %s, %s at %v, %d", round, what, f.Query().Encode(), now.Sub(began), n), top, n, plainSums(calls, f, now))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// plainSums adds up the calls of each session that f wants.
func plainSums(calls []db.InsertLLMTraceParams, f view.Filter, now time.Time) map[string]view.Sums {
	from, until := f.Range(now)
	if f.Until == (view.Instant{}) {
		until = 1 << 60
	}
	sums := make(map[string]view.Sums)
	for i := range calls {
		c := &calls[i]
		if c.SessionID == nil || c.CreatedAt < from || c.CreatedAt >= until || f.Agent != "" && *c.Agent != f.Agent ||
			!strings.Contains(strings.ToLower(*c.SessionID), strings.ToLower(f.Text)) {
			continue
		}
		s := sums[*c.SessionID]
		add(&s, c)
		sums[*c.SessionID] = s
	}
	return sums
}

func topIs(t *testing.T, what string, top *view.TopSessions, n int, want map[string]view.Sums) {
	t.Helper()
	var costs, got []int64
	for _, s := range want {
		costs = append(costs, s.CostNanoUSD)
	}
	slices.SortFunc(costs, func(a, b int64) int { return cmp.Compare(b, a) })
	seen := make(map[string]bool)
	for _, s := range top.Rows {
		got = append(got, s.InRange.CostNanoUSD)
		if seen[s.ID] {
			t.Errorf("%s: %s comes twice", what, s.ID)
		}
		seen[s.ID] = true
		if diff := gocmp.Diff(want[s.ID], *s.InRange); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", what, s.ID, diff)
		}
	}
	if diff := gocmp.Diff(costs[:min(n, len(costs))], got); diff != "" {
		t.Errorf("%s: the dearest (-want +got):\n%s", what, diff)
	}
}

// What is remembered is bounded, and it is known how much that is, whatever ranges are
// asked about and however many calls come late.
func TestSessionSumsAreBounded(t *testing.T) {
	t.Parallel()
	skipSlow(t)
	d := open(t)
	known := new(view.SessionSums)
	now := time.UnixMilli(1_790_000_000_000).Truncate(24 * time.Hour).Add(13 * time.Hour)
	most := 0
	const day = 24 * time.Hour
	ask := func(since, until time.Duration) {
		t.Helper()
		err := d.st.Read(context.Background(), func(q *db.Queries) error {
			_, err := view.Remembering(q, now, known).TopSessions(context.Background(), view.Filter{Since: view.Instant{Ago: since}, Until: view.Instant{Ago: until}}, 5)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		believed, held := known.Size()
		if believed != held {
			t.Fatalf("it holds %d and believes %d", held, believed)
		}
		most = max(most, held)
	}
	n := 0
	late := func(calls int, within time.Duration) {
		b := new(writer.Batch)
		for range calls {
			n++
			at := now.Add(-time.Duration(n%3000) * within / 3000)
			c := db.InsertLLMTraceParams{TraceID: id('c', n), CreatedAt: at.UnixMilli(), Provider: "p", Model: "m", Status: "ok", SessionID: new(fmt.Sprint(n % 9973)), CostUSD: new(1e4 / float64(n))}
			b.Calls = append(b.Calls, c)
		}
		d.submit(b)
	}
	late(1, 20*day*3000)
	for range 6 {
		late(4000, 6*day)
	}
	d.close() // so that sessions have their rows
	d.reopen()
	for i := range time.Duration(20) {
		ask(10*day, 0)
		ask(10*day, 3*day+i*200*time.Minute)
		ask(6*day+13*time.Hour-i%3*time.Hour, 0)
		ask(5*day-i*10*time.Minute, 2*day)
	}
	for range 30 {
		late(6000, 47*time.Hour)
		ask(10*day, 0)
	}
	if most > 2*view.MaxHeld+2*6000 {
		t.Errorf("it held %d", most)
	}
}
