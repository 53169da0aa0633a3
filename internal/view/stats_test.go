package view_test

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/view"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

func add(s *view.Sums, c *db.InsertLLMTraceParams) {
	s.Calls++
	if c.Status != "ok" {
		s.Failed++
	}
	s.PromptTokens += deref(c.PromptTokens)
	s.CompletionTokens += deref(c.CompletionTokens)
	s.CacheReadTokens += deref(c.CacheReadTokens)
	s.CacheWriteTokens += deref(c.CacheWriteTokens)
	s.ReasoningTokens += deref(c.ReasoningTokens)
	if c.CostUSD == nil {
		s.Unpriced++
	}
	s.CostNanoUSD += int64(math.Round(deref(c.CostUSD) * 1e9))
	if c.PromptTokens == nil && c.CompletionTokens == nil && c.TotalTokens == nil {
		s.Unmetered++
	}
}

// Whatever the range, the filter and the zone, statistics are what the calls amount to:
// before the summaries are written, after, and when they are only partly.
func TestStats(t *testing.T) {
	t.Parallel()
	skipSlow(t)
	d := open(t)
	r := rand.New(rand.NewPCG(9, 10))
	now := time.Now().UnixMilli()
	all := randomCalls(r, 900, now-40*24*3600_000, now)
	for i := range all[:300] { // some of the last hours
		all[i].CreatedAt = now - r.Int64N(4*3600_000)
	}
	calls := slices.Clone(all[:600])
	d.submit(&writer.Batch{Calls: slices.Clone(calls)})
	// As the writer completes them.
	d.view(func(v *view.View) error {
		for i := range calls {
			c, err := v.Call(context.Background(), calls[i].TraceID)
			if err != nil {
				return err
			}
			calls[i].PromptTokens, calls[i].CompletionTokens, calls[i].TotalTokens = c.PromptTokens, c.CompletionTokens, c.TotalTokens
			calls[i].CacheReadTokens, calls[i].CacheWriteTokens, calls[i].ReasoningTokens = c.CacheReadTokens, c.CacheWriteTokens, c.ReasoningTokens
		}
		return nil
	})
	check := func(what string) {
		t.Helper()
		d.view(func(v *view.View) error {
			for range 60 {
				f := view.Filter{
					Provider: pick(r, "", "", "openai"), Model: pick(r, "", "", "opus"), Agent: pick(r, "", "", "", "main"), Status: pick(r, "", "", "", "ok", "failed"),
					Since: pick(r, view.Instant{}, view.Instant{Ago: time.Hour}, view.Instant{Ago: 150 * time.Minute}, view.Instant{Ago: 6 * 24 * time.Hour}, view.Instant{At: now - r.Int64N(40*24*3600_000)}),
					Zone:  pick(r, "", "Europe/Berlin", "+05:30", "-08:00"),
				}
				if r.IntN(3) == 0 {
					f.Until = view.Instant{At: now - r.Int64N(20*24*3600_000)}
				}
				statsAre(t, what, v, f, calls)
			}
			budgetIs(t, v, r, calls, now)
			return nil
		})
	}
	check("not summed")
	d.close()
	check("summed")
	d.reopen()
	more := slices.Clone(all[600:])
	d.submit(&writer.Batch{Calls: slices.Clone(more)})
	d.view(func(v *view.View) error {
		for i := range more {
			c, err := v.Call(context.Background(), more[i].TraceID)
			if err != nil {
				return err
			}
			more[i].PromptTokens, more[i].CompletionTokens, more[i].TotalTokens = c.PromptTokens, c.CompletionTokens, c.TotalTokens
			more[i].CacheReadTokens, more[i].CacheWriteTokens, more[i].ReasoningTokens = c.CacheReadTokens, c.CacheWriteTokens, c.ReasoningTokens
		}
		return nil
	})
	calls = append(calls, more...)
	check("summed in part")
}

// No bucket reaches over a midnight, also on the days when clocks change.
func TestBucketsWhereClocksChange(t *testing.T) {
	t.Parallel()
	d := open(t)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	year := time.Now().Year() - 1
	var calls []db.InsertLLMTraceParams
	for at := time.Date(year, 1, 1, 0, 30, 0, 0, zone); at.Year() == year; at = at.Add(time.Hour) {
		calls = append(calls, db.InsertLLMTraceParams{TraceID: id('c', len(calls)), CreatedAt: at.UnixMilli(), Provider: "p", Model: "m", Status: "ok"})
	}
	d.submit(&writer.Batch{Calls: slices.Clone(calls)})
	d.close()
	d.view(func(v *view.View) error {
		for _, month := range []time.Month{3, 10} {
			for _, days := range []int{30, 7, 3} {
				until := time.Date(year, month+1, 2, 0, 0, 0, 0, zone)
				f := view.Filter{
					Since: view.Instant{At: until.AddDate(0, 0, -days).UnixMilli()}, Until: view.Instant{At: until.UnixMilli()},
					Zone: "Europe/Berlin",
				}
				statsAre(t, "clocks change", v, f, calls)
				s, err := v.Stats(context.Background(), f)
				if err != nil {
					return err
				}
				for _, b := range s.Series {
					from, last := time.UnixMilli(b.From).In(zone), time.UnixMilli(b.Until-1).In(zone)
					if from.YearDay() != last.YearDay() {
						t.Errorf("a bucket is from %v to %v", from, last)
					}
				}
			}
		}
		return nil
	})
}

func statsAre(t *testing.T, what string, v *view.View, f view.Filter, calls []db.InsertLLMTraceParams) {
	t.Helper()
	s, err := v.Stats(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Series) == 0 && s.Until > s.From || len(s.Series) > 130 {
		t.Errorf("%s %s: %d buckets", what, f.Query().Encode(), len(s.Series))
	}
	if from, until := f.Range(v.Now()); s.Until != until || f.Since != (view.Instant{}) && s.From < from {
		t.Errorf("%s %s: of %d to %d", what, f.Query().Encode(), s.From, s.Until)
	}
	buckets := make([]view.Sums, len(s.Series))
	var total view.Sums
	models := make(map[string]*view.Sums)
	var latencies int64
	for i := range calls {
		c := &calls[i]
		if !wants(f, c, s.From, s.Until) {
			continue
		}
		add(&total, c)
		if c.LatencyMS != nil {
			latencies++
		}
		if models[c.Provider+"/"+c.Model] == nil {
			models[c.Provider+"/"+c.Model] = new(view.Sums)
		}
		add(models[c.Provider+"/"+c.Model], c)
		n, ok := slices.BinarySearchFunc(s.Series, c.CreatedAt, func(b view.Bucket, at int64) int {
			if at >= b.From && at < b.Until {
				return 0
			}
			return cmp.Compare(b.From, at)
		})
		if !ok {
			t.Fatalf("%s %s: no bucket for %d", what, f.Query().Encode(), c.CreatedAt)
		}
		add(&buckets[n], c)
	}
	if diff := gocmp.Diff(total, s.Total); diff != "" {
		t.Fatalf("%s %s (-want +got):\n%s", what, f.Query().Encode(), diff)
	}
	at := s.From
	for i, b := range s.Series {
		if b.From != at || b.Until <= b.From {
			t.Fatalf("%s %s: bucket %d is %d to %d, after %d", what, f.Query().Encode(), i, b.From, b.Until, at)
		}
		at = b.Until
		if diff := gocmp.Diff(buckets[i], b.Sums); diff != "" {
			t.Fatalf("%s %s: bucket %d of %d (-want +got):\n%s", what, f.Query().Encode(), i, len(s.Series), diff)
		}
		var sum view.Sums
		for _, m := range b.Models {
			sum.Add(m)
		}
		if sum != b.Sums {
			t.Errorf("%s: the models of bucket %d are not the bucket", what, i)
		}
	}
	if at != s.Until && len(s.Series) > 0 {
		t.Errorf("%s: the buckets end at %d, the range at %d", what, at, s.Until)
	}
	for _, m := range s.ByModel {
		if diff := gocmp.Diff(*models[m.Provider+"/"+m.Name], m.Sums); diff != "" {
			t.Fatalf("%s %s: %s (-want +got):\n%s", what, f.Query().Encode(), m.Name, diff)
		}
	}
	if len(s.ByModel) != len(models) {
		t.Errorf("%s: %d models, want %d", what, len(s.ByModel), len(models))
	}
	sums, err := v.Sums(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range s.Series {
		s.Series[i] = view.Bucket{From: b.From, Until: b.Until, Sums: b.Sums, Models: []view.Sums{}}
	}
	if diff := gocmp.Diff(s.Series, sums.Series); diff != "" || sums.Total != total {
		t.Fatalf("%s %s, without names (-with +without):\n%s", what, f.Query().Encode(), diff)
	}
	if got, err := v.Total(context.Background(), f); got != total || err != nil {
		t.Fatalf("%s %s, in total (-want +got), error %v:\n%s", what, f.Query().Encode(), err, gocmp.Diff(total, got))
	}
	if s.BucketMS < 3600_000 {
		if got := s.Latency; got == nil && latencies > 0 || got != nil && got.N != latencies {
			t.Errorf("%s %s: latency %+v of %d", what, f.Query().Encode(), got, latencies)
		}
	} else if s.Latency == nil && s.LatencyNote == "" && what == "summed" && latencies > 0 {
		t.Errorf("%s %s: neither latency nor a reason", what, f.Query().Encode())
	}
}

func budgetIs(t *testing.T, v *view.View, r *rand.Rand, calls []db.InsertLLMTraceParams, now int64) {
	t.Helper()
	for range 40 {
		f := view.Filter{
			Since: pick(r, view.Instant{}, view.Instant{Ago: 37 * time.Minute}, view.Instant{At: now - r.Int64N(50*24*3600_000)}),
			Agent: pick(r, "", "", "main"), Session: pick(r, "", "", "s1", "none"),
		}
		b, err := v.Budget(context.Background(), f.Since, f.Agent, f.Session)
		if err != nil {
			t.Fatal(err)
		}
		if f.Since == (view.Instant{}) && b.Since != v.Now().Add(-24*time.Hour).UnixMilli() {
			t.Errorf("since %d without one", b.Since)
		}
		var want view.Sums
		for i := range calls {
			if wants(f, &calls[i], b.Since, math.MaxInt64) {
				add(&want, &calls[i])
			}
		}
		got := &view.Budget{
			Since: b.Since, Calls: want.Calls, CostUSD: want.CostUSD(), UnpricedCalls: want.Unpriced, Tokens: want.Tokens(), UnmeteredCalls: want.Unmetered,
		}
		if diff := gocmp.Diff(got, b); diff != "" {
			t.Fatalf("budget %s (-want +got):\n%s", f.Query().Encode(), diff)
		}
	}
}

// Sums that nobody knows are no zeros.
func TestUnknownSums(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.view(func(v *view.View) error {
		b, err := v.Budget(context.Background(), view.Instant{}, "", "")
		if err != nil || b.CostUSD == nil || *b.CostUSD != 0 || b.Tokens == nil || b.Calls != 0 {
			t.Errorf("nothing was used: %+v %v", b, err)
		}
		s, err := v.Stats(context.Background(), view.Filter{})
		if err != nil || s.Latency != nil || s.Total != (view.Sums{}) || len(s.Series) < 24 {
			t.Errorf("nothing happened: %+v %v", s, err)
		}
		return nil
	})
	d.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{{Provider: "p", Model: "m", Status: "ok"}}})
	d.view(func(v *view.View) error {
		b, err := v.Budget(context.Background(), view.Instant{}, "", "")
		if err != nil || b.CostUSD != nil || b.Tokens != nil || b.Calls != 1 || b.UnpricedCalls != 1 || b.UnmeteredCalls != 1 {
			t.Errorf("nobody knows what was used: %+v %v", b, err)
		}
		return nil
	})
}

func TestStatsTakesWhatIsSummed(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.view(func(v *view.View) error {
		if _, err := v.Stats(context.Background(), view.Filter{Session: "s"}); err == nil {
			t.Error("statistics by session")
		}
		return nil
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	skipSlow(t)
	d := open(t)
	r := rand.New(rand.NewPCG(11, 12))
	now := time.Now().UnixMilli()
	calls := randomCalls(r, 500, now-10*24*3600_000, now)
	names := []string{"a", "b", "é", "long one", "x:y"}
	for i := range 26 {
		names = append(names, string(rune('A'+i)))
	}
	for i := range calls {
		calls[i].SessionID = &names[r.IntN(len(names))]
		calls[i].PromptTokens, calls[i].CompletionTokens, calls[i].CacheReadTokens, calls[i].ReasoningTokens = nil, new(int64(1)), nil, nil
		if i%7 > 0 { // sessions that lie in a range whole
			calls[i].CreatedAt = now - int64(len(*calls[i].SessionID))*3600_000 - int64((*calls[i].SessionID)[0])*600_000
		}
	}
	d.submit(&writer.Batch{Calls: slices.Clone(calls)})
	d.close()
	sum := func(id string, from, until int64) (s view.Sums, first, last int64) {
		first = math.MaxInt64
		for i := range calls {
			if c := &calls[i]; *c.SessionID == id && c.CreatedAt >= from && c.CreatedAt < until {
				add(&s, c)
				first, last = min(first, c.CreatedAt), max(last, c.CreatedAt)
			}
		}
		return s, first, last
	}
	d.view(func(v *view.View) error {
		ctx := context.Background()
		for _, ago := range []time.Duration{0, time.Hour, 20 * time.Hour, 50 * time.Hour} {
			f := view.Filter{Since: view.Instant{Ago: ago}}
			from, until := f.Range(v.Now())
			list := pages(t, 1+r.IntN(9), 0, func(p view.Page) (view.List[view.Session], error) { return v.Sessions(ctx, f, p) })
			n := 0
			for _, id := range names {
				if _, _, last := sum(id, 0, math.MaxInt64); last >= from && last > 0 {
					n++
				}
			}
			if len(list) != n {
				t.Errorf("%v: %d sessions, want %d", ago, len(list), n)
			}
			for i, s := range list {
				whole, first, last := sum(s.ID, 0, math.MaxInt64)
				if s.Sums != whole || s.FirstAt != first || s.LastAt != last {
					t.Errorf("%s: %+v, want %+v", s.ID, s, whole)
				}
				if part, _, _ := sum(s.ID, from, until); s.InRange != nil && *s.InRange != part {
					t.Errorf("%s: %+v of the range, want %+v", s.ID, *s.InRange, part)
				}
				if i > 0 && list[i-1].LastAt < s.LastAt {
					t.Error("the newest do not come first")
				}
			}
			top, err := v.TopSessions(ctx, f, 5)
			if err != nil {
				return err
			}
			var costs, got []int64
			for _, id := range names {
				if part, _, _ := sum(id, from, until); part.Calls > 0 {
					costs = append(costs, part.CostNanoUSD)
				}
			}
			slices.SortFunc(costs, func(a, b int64) int { return cmp.Compare(b, a) })
			for _, s := range top.Rows {
				got = append(got, s.InRange.CostNanoUSD)
				if part, _, _ := sum(s.ID, from, until); *s.InRange != part {
					t.Errorf("%v: %s: %+v, want %+v", ago, s.ID, *s.InRange, part)
				}
			}
			if diff := gocmp.Diff(costs[:min(5, len(costs))], got); diff != "" || top.SearchedTo != nil {
				t.Errorf("%v: the dearest (-want +got), searched to %v:\n%s", ago, top.SearchedTo, diff)
			}
		}
		if _, err := v.Session(ctx, "nobody"); err != view.ErrNotFound {
			t.Error(err)
		}
		s, err := v.Session(ctx, "a")
		if whole, _, _ := sum("a", 0, math.MaxInt64); err != nil || s.Sums != whole {
			t.Errorf("%+v %v", s, err)
		}
		return nil
	})
}
