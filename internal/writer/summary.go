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

// summary gathers what new calls add to the tables usage, latency and sessions. It is
// written once a second, not once a group, since a busy second has far fewer rows of
// theirs than commits. The id of the last call it includes goes with it (metaSummarized),
// so that a process that ends before that leaves nothing out: the next one catches up.
type summary struct {
	usage    map[usageKey]*db.AddUsageParams
	latency  map[latencyKey]int64
	sessions map[string]*db.AddSessionParams
	backlog  backlog

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
		sessions: make(map[string]*db.AddSessionParams),
		names:    make(map[usageName]usageName),
	}
}

func (s *summary) reset() {
	clear(s.usage)
	clear(s.latency)
	clear(s.sessions)
}

// maxSessions is how many sessions a summary may have gathered before it has to be
// written; emitters make them up without end too.
const maxSessions = 2000

// full tells whether s should be written without waiting for the second to end.
func (s *summary) full() bool { return len(s.sessions) >= maxSessions }

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
	s.addSession(c)
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
		if unmetered(c) {
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

func unmetered(c *db.InsertLLMTraceParams) bool {
	return c.PromptTokens == nil && c.CompletionTokens == nil && c.TotalTokens == nil
}

// addSession adds c to its session, if the emitter named one.
func (s *summary) addSession(c *db.InsertLLMTraceParams) {
	id := deref(c.SessionID)
	if id == "" {
		return
	}
	n := s.sessions[id]
	if n == nil {
		id = strings.Clone(id) // of a request's body
		n = &db.AddSessionParams{SessionID: id, FirstAt: c.CreatedAt, LastAt: c.CreatedAt}
		s.sessions[id] = n
	}
	if c.Agent != nil && deref(n.Agent) != *c.Agent {
		agent := strings.Clone(*c.Agent)
		n.Agent = &agent
	}
	n.FirstAt, n.LastAt = min(n.FirstAt, c.CreatedAt), max(n.LastAt, c.CreatedAt)
	n.Calls++
	if c.Status != "ok" {
		n.Failed++
	}
	n.PromptTokens += deref(c.PromptTokens)
	n.CompletionTokens += deref(c.CompletionTokens)
	n.CostNanoUSD += nano(c.CostUSD)
	if unmetered(c) {
		n.Unmetered++
	}
	if c.CostUSD == nil {
		n.Unpriced++
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
	if err := s.writeSessions(ctx, q); err != nil {
		return err
	}
	return q.SetMeta(ctx, db.SetMetaParams{Key: metaSummarized, Value: strconv.FormatInt(last, 10)})
}

func (s *summary) writeSessions(ctx context.Context, q *db.Queries) error {
	for _, n := range s.sessions {
		if err := q.AddSession(ctx, *n); err != nil {
			return err
		}
	}
	return nil
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
	// One more, for otherName is among them and is none.
	names, err := q.ListUsageNames(ctx, db.ListUsageNamesParams{Since: s.today, Lim: maxNames + 1})
	if err != nil {
		return err
	}
	for _, n := range names {
		if name := (usageName{n.Provider, n.Model, n.Agent}); name != otherName {
			s.names[name] = name
		}
	}
	if err := s.backlog.read(ctx, q, last); err != nil {
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
			if c.ID <= s.backlog.upto {
				c.SessionID = nil // which the backlog adds
			}
			s.add(params(&c), now)
		}
		if err := s.write(ctx, q, after); err != nil {
			return err
		}
		s.reset()
	}
	return nil
}

// params returns what a call that is stored adds to the sums.
func params(c *db.ListCallsAfterRow) *db.InsertLLMTraceParams {
	return &db.InsertLLMTraceParams{
		CreatedAt: c.CreatedAt, Provider: c.Provider, Model: c.Model, Agent: c.Agent, SessionID: c.SessionID, Status: c.Status,
		LatencyMS: c.LatencyMS, CostUSD: c.CostUSD,
		PromptTokens: c.PromptTokens, CompletionTokens: c.CompletionTokens, TotalTokens: c.TotalTokens,
		CacheReadTokens: c.CacheReadTokens, CacheWriteTokens: c.CacheWriteTokens, ReasoningTokens: c.ReasoningTokens,
	}
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
