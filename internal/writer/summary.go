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

	names map[usageName]usageName // of one day's calls, each to itself
	today int64                   // when that day began, Unix ms
}

// usageName is what usage tells apart calls by, besides time and status.
type usageName struct{ provider, model, agent string }

// maxNames is how many of them a day may have. Emitters make up names without end, from
// a mistake or from malice; what comes after so many is summed under otherName.
const maxNames = 1000

var otherName = usageName{provider: "other", model: "other"}

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
	return summary{
		usage: make(map[usageKey]*db.AddUsageParams), latency: make(map[latencyKey]int64),
		names: make(map[usageName]usageName),
	}
}

func (s *summary) reset() {
	clear(s.usage)
	clear(s.latency)
}

// name returns what c is counted under. Its strings do not alias a request body.
func (s *summary) name(c *db.InsertLLMTraceParams, now int64) usageName {
	if today := now - now%day; today != s.today {
		clear(s.names)
		s.today = today
	}
	n := usageName{c.Provider, c.Model, deref(c.Agent)}
	if known, ok := s.names[n]; ok {
		return known
	}
	if len(s.names) >= maxNames {
		return otherName
	}
	n = usageName{strings.Clone(n.provider), strings.Clone(n.model), strings.Clone(n.agent)}
	s.names[n] = n
	return n
}

func (s *summary) add(c *db.InsertLLMTraceParams, now int64) {
	name := s.name(c, now)
	for _, g := range [...]int64{hour, day} {
		start := c.CreatedAt - c.CreatedAt%g
		k := usageKey{g, start, name.provider, name.model, name.agent, c.Status}
		u := s.usage[k]
		if u == nil {
			k.status = strings.Clone(k.status)
			u = &db.AddUsageParams{
				Granularity: granularity(g), StartAt: start,
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
			u.CostNanoUSD += nano(c.CostUSD)
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
			Granularity: granularity(k.granularity), StartAt: k.start,
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
	now := time.Now().UnixMilli()
	s.today = now - now%day
	names, err := q.ListUsageNames(ctx, db.ListUsageNamesParams{Since: s.today, Lim: maxNames})
	if err != nil {
		return err
	}
	for _, n := range names {
		name := usageName{n.Provider, n.Model, n.Agent}
		s.names[name] = name
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
			}, now)
		}
		if err := s.write(ctx, q, after); err != nil {
			return err
		}
		s.reset()
	}
	return nil
}

func granularity(ms int64) string {
	if ms == day {
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
