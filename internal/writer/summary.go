package writer

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// Granularities of the tables usage and latency.
const (
	hour = int64(time.Hour / time.Millisecond)
	day  = 24 * hour
)

// summary gathers what new calls add to the tables usage and latency. It is written
// once a second, not once a group, since a busy second has far fewer rows of theirs
// than commits. The id of the last call it includes goes with it (metaSummarized), so
// that a process that ends before that leaves nothing out: the next one catches up.
type summary struct {
	usage   map[usageKey]*db.AddUsageParams
	latency map[latencyKey]int64
}

// metaSummarized is the key in meta of the highest id that usage and latency include.
const metaSummarized = "summarized"

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
			// The call's strings may alias a request body, which does not live as long.
			k.provider, k.model = strings.Clone(k.provider), strings.Clone(k.model)
			k.agent, k.status = strings.Clone(k.agent), strings.Clone(k.status)
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
			s.latency[latencyKey{g, start, u.Provider, u.Model, Bucket(*c.LatencyMS)}]++
		}
	}
}

// write adds the sums to their tables and notes that they include all calls up to
// the id last.
func (s *summary) write(ctx context.Context, q *db.Queries, last int64) error {
	if len(s.usage) == 0 {
		return nil
	}
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
	return q.SetMeta(ctx, db.SetMetaParams{Key: metaSummarized, Value: strconv.FormatInt(last, 10)})
}

// catchUp writes what calls stored after the last write add.
func (s *summary) catchUp(ctx context.Context, q *db.Queries, last int64) error {
	after := int64(0)
	switch text, err := q.GetMeta(ctx, metaSummarized); {
	case err == nil:
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return err
		}
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	defer s.reset()
	for after < last {
		calls, err := q.ListCallsAfter(ctx, db.ListCallsAfterParams{After: after, Lim: 1000})
		if err != nil {
			return err
		}
		if len(calls) == 0 {
			return nil
		}
		for _, c := range calls {
			after = c.ID
			s.add(&db.InsertLLMTraceParams{
				CreatedAt: c.CreatedAt, Provider: c.Provider, Model: c.Model, Agent: c.Agent, Status: c.Status,
				LatencyMS: c.LatencyMS, CostUSD: c.CostUSD,
				PromptTokens: c.PromptTokens, CompletionTokens: c.CompletionTokens, TotalTokens: c.TotalTokens,
				CacheReadTokens: c.CacheReadTokens, CacheWriteTokens: c.CacheWriteTokens, ReasoningTokens: c.ReasoningTokens,
			})
		}
		if err := s.write(ctx, q, after); err != nil {
			return err
		}
		s.reset()
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
