package writer

import (
	"context"
	"math"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// Granularities of the tables usage and latency.
const (
	hour = int64(time.Hour / time.Millisecond)
	day  = 24 * hour
)

// summary gathers what a group of new calls adds to the tables usage and latency,
// so that a row of theirs is written once per group and not once per call.
type summary struct {
	usage   map[usageKey]*db.AddUsageParams
	latency map[latencyKey]int64
}

type usageKey struct {
	granularity, start             int64
	provider, model, agent, status string
}

type latencyKey struct {
	granularity, start int64
	provider, model    string
	bucket             int64
}

func newSummary() summary {
	return summary{make(map[usageKey]*db.AddUsageParams), make(map[latencyKey]int64)}
}

func (s *summary) reset() {
	clear(s.usage)
	clear(s.latency)
}

func (s *summary) add(c *db.InsertLLMTraceParams) {
	for _, g := range [...]int64{hour, day} {
		start := c.CreatedAt - c.CreatedAt%g
		k := usageKey{g, start, c.Provider, c.Model, deref(c.Agent), c.Status}
		u := s.usage[k]
		if u == nil {
			u = &db.AddUsageParams{
				Granularity: name(g), StartAt: start,
				Provider: k.provider, Model: k.model, Agent: k.agent, Status: k.status,
			}
			s.usage[k] = u
		}
		u.Calls++
		u.PromptTokens += deref(c.PromptTokens)
		u.CompletionTokens += deref(c.CompletionTokens)
		u.CacheReadTokens += deref(c.CacheReadTokens)
		u.CacheWriteTokens += deref(c.CacheWriteTokens)
		u.ReasoningTokens += deref(c.ReasoningTokens)
		if c.PromptTokens == nil && c.CompletionTokens == nil && c.TotalTokens == nil {
			u.Unmetered++
		}
		if c.CostUSD == nil {
			u.Unpriced++
		} else {
			u.CostNanoUSD += int64(math.Round(*c.CostUSD * 1e9))
		}
		if c.LatencyMS != nil {
			s.latency[latencyKey{g, start, c.Provider, c.Model, Bucket(*c.LatencyMS)}]++
		}
	}
}

func (s *summary) write(ctx context.Context, q *db.Queries) error {
	for _, u := range s.usage {
		if err := q.AddUsage(ctx, *u); err != nil {
			return err
		}
	}
	for k, n := range s.latency {
		if err := q.AddLatency(ctx, db.AddLatencyParams{
			Granularity: name(k.granularity), StartAt: k.start,
			Provider: k.provider, Model: k.model, Bucket: k.bucket, N: n,
		}); err != nil {
			return err
		}
	}
	return nil
}

func name(granularity int64) string {
	if granularity == day {
		return "day"
	}
	return "hour"
}

// Bucket returns the histogram bucket of a latency, four to an octave: bucket b
// holds those from 2^(b/4) up to 2^((b+1)/4) ms, and bucket 0 also holds 0.
func Bucket(ms int64) int64 {
	if ms < 1 {
		return 0
	}
	return int64(4 * math.Log2(float64(ms)))
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
