// Package view answers what people ask of the record: which calls, what failed, what
// it cost, how the host was. Dashboard, API and commands ask the same questions here,
// so that a number is the same wherever it is shown.
//
// A question is a Filter, which is also what stands in a URL. An answer is made of
// statements that are each short and read whole, on a connection that cannot write, so
// that no reader holds the database's log. Lists are searched backwards in time, in
// windows that grow while the search is fast; when its time is up, the list says how
// far it came and from where to go on.
//
// What is not known is nil, never 0, and a sum comes with the number of calls that it
// knows nothing of. Texts are handed on as they were stored: nothing in them is
// interpreted.
package view

import (
	"errors"
	"sort"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// Errors of questions about one thing.
var (
	ErrNotFound  = errors.New("there is no such row")
	ErrAmbiguous = errors.New("several rows begin like this; give more of the id")
)

// View answers questions about one database, as of one moment. It is as safe for
// concurrent use as its connection.
type View struct {
	q     *db.Queries
	now   time.Time
	known *SessionSums
}

// New returns a View that reads through q, which must not be able to write.
func New(q *db.Queries) *View { return At(q, time.Now()) }

// At is New as of another moment, for an answer that takes several views.
func At(q *db.Queries, now time.Time) *View { return Remembering(q, now, new(SessionSums)) }

// Remembering is At with what earlier answers took long to find out.
func Remembering(q *db.Queries, now time.Time, known *SessionSums) *View { return &View{q, now, known} }

// Now returns the moment that relative times are counted from.
func (v *View) Now() time.Time { return v.now }

// Page says which part of a list is wanted.
type Page struct {
	Before Cursor        // rows older than this one; the zero Cursor is for the newest
	Limit  int           // 0 is 50, at most 1000
	Budget time.Duration // how long to search; 0 is 200 ms
}

// List is a part of a list, newest first.
type List[T any] struct {
	Rows []T
	// Next is where to go on; nil when the time range was searched to its end.
	Next *Cursor
	// SearchedTo, in Unix ms, is set when the time was up before the page was full:
	// nothing newer is left out.
	SearchedTo *int64
}

// Sums are what some calls amount to. Tokens and cost are those of the calls that say
// so; Unmetered and Unpriced count the others.
type Sums struct {
	Calls, Failed int64

	PromptTokens, CompletionTokens                     int64
	CacheReadTokens, CacheWriteTokens, ReasoningTokens int64 // parts of those

	CostNanoUSD         int64
	Unmetered, Unpriced int64
}

// CostUSD returns the known cost, or nil if there are calls and none has one.
func (s Sums) CostUSD() *float64 {
	if s.Calls > 0 && s.Unpriced >= s.Calls {
		return nil
	}
	usd := float64(s.CostNanoUSD) / 1e9
	return &usd
}

// Tokens returns the known tokens, or nil if there are calls and none counts any.
func (s Sums) Tokens() *int64 {
	if s.Calls > 0 && s.Unmetered >= s.Calls {
		return nil
	}
	n := s.PromptTokens + s.CompletionTokens
	return &n
}

// Add adds o.
func (s *Sums) Add(o Sums) {
	s.Calls += o.Calls
	s.Failed += o.Failed
	s.PromptTokens += o.PromptTokens
	s.CompletionTokens += o.CompletionTokens
	s.CacheReadTokens += o.CacheReadTokens
	s.CacheWriteTokens += o.CacheWriteTokens
	s.ReasoningTokens += o.ReasoningTokens
	s.CostNanoUSD += o.CostNanoUSD
	s.Unmetered += o.Unmetered
	s.Unpriced += o.Unpriced
}

// sortRows sorts as slices.SortFunc does, but by one function for all types: one for each
// of the wide ones would be 20 KB of program.
func sortRows[T any](rows []T, compare func(a, b *T) int) {
	sort.Slice(rows, func(i, j int) bool { return compare(&rows[i], &rows[j]) < 0 })
}
