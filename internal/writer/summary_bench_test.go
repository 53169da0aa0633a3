package writer

import (
	"fmt"
	"testing"

	"github.com/kon-rad/openclaw-trace/db"
)

// BenchmarkSummary adds calls to the sums of hours and days. Writing them down is one
// row for each name and hour a second, whatever the number of calls.
func BenchmarkSummary(b *testing.B) {
	b.ReportAllocs()
	s := newSummary()
	var calls []db.InsertLLMTraceParams
	for i := range 64 {
		n := int64(100 + i)
		calls = append(calls, db.InsertLLMTraceParams{
			CreatedAt: 1_795_420_746_812 + int64(i), Provider: "anthropic", Model: fmt.Sprintf("claude-%d", i%4), Status: "ok",
			SessionID: new(fmt.Sprintf("session-%d", i%16)), PromptTokens: &n, CompletionTokens: &n, LatencyMS: &n, CostUSD: new(0.001),
		})
	}
	i := 0
	for b.Loop() {
		s.add(&calls[i%len(calls)], 1_795_420_746_812)
		i++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/event")
}

// BenchmarkTally counts calls of a group.
func BenchmarkTally(b *testing.B) {
	b.ReportAllocs()
	t := NewTally()
	var calls []db.InsertLLMTraceParams
	var fresh []int
	for i := range 64 {
		n := int64(100 + i)
		calls = append(calls, db.InsertLLMTraceParams{
			Provider: "anthropic", Model: fmt.Sprintf("claude-%d", i%4), Status: "ok", PromptTokens: &n, CompletionTokens: &n, LatencyMS: &n, CostUSD: new(0.001),
		})
		fresh = append(fresh, i)
	}
	for b.Loop() {
		t.add(calls, fresh)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(calls)), "ns/event")
}
