package writer_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// tallied returns the counts of a model, which has to have some.
func tallied(t *testing.T, tally *writer.Tally, model string) writer.Calls {
	t.Helper()
	for _, c := range tally.Calls() {
		if c.Model == model {
			return *c
		}
	}
	t.Fatalf("%s is not counted", model)
	return writer.Calls{}
}

// Each stored call counts once, each of its tokens under one type, and what it does not
// say as not said.
func TestTally(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	defer f.close()
	all := call(1)
	all.CacheReadTokens, all.CacheWriteTokens, all.ReasoningTokens = new(int64(60)), new(int64(11)), new(int64(3))
	all.PromptTokens, all.CompletionTokens, all.CostUSD, all.LatencyMS = new(int64(100)), new(int64(7)), new(0.25), new(int64(1500))
	none := call(2)
	none.PromptTokens, none.CompletionTokens, none.LatencyMS, none.Status = nil, nil, nil, "timeout"
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{all, none}})
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{all}}) // again
	edge := call(3)
	edge.LatencyMS, edge.Status = new(int64(2500)), "error" // a bound
	over := call(4)
	over.LatencyMS = new(int64(301_000))
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{edge, over}})

	want := writer.Calls{
		Provider: "anthropic", Model: "claude", ByStatus: map[string]int64{"ok": 2, "error": 1, "timeout": 1},
		Input: 29 + 103 + 104, CacheRead: 60, CacheWrite: 11, Output: 4 + 7 + 7, Reasoning: 3,
		CostNanoUSD: 250_000_000, Unmetered: 1, Unpriced: 3,
		Latency: writer.Distribution{
			Bounds: []float64{.25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}, Counts: []int64{0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1}, Sum: 1.5 + 2.5 + 301,
		},
	}
	if diff := cmp.Diff([]*writer.Calls{&want}, f.Tally().Calls()); diff != "" {
		t.Error(diff)
	}
	took, failed := f.Tally().Commits()
	if n := took.Count(); n < 1 || n > 3 || took.Sum <= 0 || failed != 0 {
		t.Errorf("%d commits in %v s, %d failed; three batches were sent", n, took.Sum, failed)
	}
	// Who has it may keep it.
	f.Tally().Calls()[0].ByStatus["ok"] = 99
	f.Tally().Calls()[0].Latency.Counts[3] = 99
	if diff := cmp.Diff([]*writer.Calls{&want}, f.Tally().Calls()); diff != "" {
		t.Errorf("after a change outside: %s", diff)
	}
}

// A counter never falls: not with another database, not with other prices, and not with
// numbers that are too large.
func TestTallyNeverFalls(t *testing.T) {
	t.Parallel()
	tally := writer.NewTally()
	set := func(o *writer.Options) { o.Tally = tally }
	f := open(t, newPath(t), "normal", set)
	huge := call(1)
	huge.PromptTokens, huge.CostUSD, huge.Model = new(int64(math.MaxInt64)), new(9e9), "huge"
	again := huge
	again.TraceID = id(2)
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{huge}})
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{again}})
	if c := tallied(t, tally, "huge"); c.Input != math.MaxInt64 || c.CostNanoUSD < 9e18 {
		t.Errorf("input %d, cost %d", c.Input, c.CostNanoUSD)
	}
	if err := f.stop(); err != nil {
		t.Error(err)
	}

	g := open(t, newPath(t), "normal", set)
	defer g.close()
	if c := tallied(t, g.Tally(), "huge"); c.ByStatus["ok"] != 2 {
		t.Errorf("with another database %v", c.ByStatus)
	}
	g.submit(calls(3, 13))
	before := tallied(t, tally, "claude")
	if _, err := g.Reprice(background, nil, nil); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, tallied(t, tally, "claude")); diff != "" {
		t.Errorf("after Reprice: %s", diff)
	}
}

// Names are made up without end; what comes after the first ones is counted as others.
func TestTallyIsBounded(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	defer f.close()
	var b writer.Batch
	for n := range 200 {
		c := call(n)
		c.Model = fmt.Sprintf("model-%03d", n)
		b.Calls = append(b.Calls, c)
	}
	f.submit(&b)
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{call(200)}})
	list := f.Tally().Calls()
	if len(list) != writer.MaxTallied+1 {
		t.Errorf("%d models", len(list))
	}
	other := tallied(t, f.Tally(), writer.Other)
	if other.Provider != writer.Other || other.ByStatus["ok"] != 201-writer.MaxTallied {
		t.Errorf("others: %+v", other)
	}
	for _, c := range list[:writer.MaxTallied] {
		if c.ByStatus["ok"] != 1 && c.Model != writer.Other {
			t.Errorf("%s: %v", c.Model, c.ByStatus)
		}
	}
}

// Models of the last days have their series when the process begins, at 0.
func TestTallyBegins(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := open(t, path, "normal")
	old, recent := call(1), call(2)
	old.Model, recent.Model = "old", "recent"
	recent.CreatedAt = time.Now().Add(-6 * 24 * time.Hour).UnixMilli()
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{old, recent}})
	f.close()
	f = open(t, path, "normal")
	defer f.close()
	list := f.Tally().Calls()
	if len(list) != 1 || list[0].Model != "recent" || list[0].ByStatus["ok"] != 0 || list[0].Input != 0 {
		t.Errorf("%+v", list)
	}
}

// What the disk did not take is a failure and no call.
func TestTallyOfFailures(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	defer f.close()
	bad := call(1)
	bad.Status = "no such status"
	if _, err := f.Submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{bad}}); err == nil {
		t.Fatal("it was stored")
	}
	took, failed := f.Tally().Commits()
	if failed != 1 || took.Count() != 0 || len(f.Tally().Calls()) != 0 {
		t.Errorf("%d failed, %d committed, %v", failed, took.Count(), f.Tally().Calls())
	}
}
