package view

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"

	"github.com/kon-rad/openclaw-trace/db"
)

// Session is a session as a whole, and the part of it in a time range.
type Session struct {
	ID      string  `json:"session_id"`
	Agent   *string `json:"agent"`    // of its last call that has one
	FirstAt int64   `json:"first_at"` // of the whole session
	LastAt  int64   `json:"last_at"`
	Sums    Sums    `json:"sums"`     // of the whole session; calls that were deleted since are in it
	InRange *Sums   `json:"in_range"` // nil if the range was not looked at
}

func session(r *db.Session) Session {
	return Session{
		ID: r.SessionID, Agent: r.Agent, FirstAt: r.FirstAt, LastAt: r.LastAt,
		Sums: Sums{
			Calls: r.Calls, Failed: r.Failed, PromptTokens: r.PromptTokens, CompletionTokens: r.CompletionTokens,
			CostNanoUSD: r.CostNanoUSD, Unmetered: r.Unmetered, Unpriced: r.Unpriced,
		},
	}
}

// Sessions lists the sessions whose last call is in f's range, newest first. Of f it
// takes SessionParams.
func (v *View) Sessions(ctx context.Context, f Filter, p Page) (List[Session], error) {
	list := List[Session]{Rows: []Session{}}
	low, until := f.open(v.now)
	at := p.start(until)
	lower, _ := f.lowered()
	limit := p.limit()
	params := db.ListSessionsParams{At: at.At, ID: at.Key, Low: low, Agent: f.Agent, Text: lower, Lim: int64(limit) + 1}
	if at.At == math.MaxInt64 {
		params.At-- // no session is there
	}
	rows, err := v.q.ListSessions(ctx, params)
	if err != nil {
		return list, err
	}
	for i := range rows {
		if i == limit {
			last := list.Rows[limit-1]
			list.Next = &Cursor{At: last.LastAt, Key: last.ID}
			break
		}
		s := session(&rows[i])
		if s.FirstAt >= low {
			s.InRange = &s.Sums
		}
		list.Rows = append(list.Rows, s)
	}
	return list, nil
}

// Session returns one session, or ErrNotFound. Its calls are listed by Calls.
func (v *View) Session(ctx context.Context, id string) (*Session, error) {
	r, err := v.q.GetSession(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	s := session(&r)
	return &s, nil
}

// TopSessions are the sessions that cost most in a time range.
type TopSessions struct {
	Rows []Session // InRange is set
	// SearchedTo is set when the time was up: what InRange says of sessions that reach
	// out of the range lacks their older calls.
	SearchedTo *int64
}

// TopSessions returns the n sessions that cost most in f's range. Of f it takes
// SessionParams.
//
// A session that lies in the range whole is known from its row. For others the calls of
// the range are summed, unless even all their calls cost too little to matter.
func (v *View) TopSessions(ctx context.Context, f Filter, n int) (*TopSessions, error) {
	low, high := f.open(v.now)
	lower, _ := f.lowered()
	params := db.ListDearSessionsParams{Low: low, High: high, Agent: f.Agent, Text: lower}
	narrow := f.Agent != "" || f.Text != ""
	top := &TopSessions{Rows: make([]Session, 0, n)}
	known := make(map[string]bool)        // those in top
	matching := make(map[string]*Session) // those that reach out, if the filter is narrow
	held, err := v.known.holds(ctx, v.q, v.now, low, high)
	if err != nil {
		return nil, err
	}
	if narrow || !held {
		params.Inside, params.Lim = 1, int64(n)
		inside, err := v.q.ListDearSessions(ctx, params)
		if err != nil {
			return nil, err
		}
		for i := range inside {
			s := session(&inside[i])
			s.InRange = &s.Sums
			known[s.ID] = true
			top.Rows = append(top.Rows, s)
		}
		params.Inside, params.Lim = 0, 1
		if narrow {
			params.Lim = maxLimit
		}
		reaching, err := v.q.ListDearSessions(ctx, params)
		if err != nil {
			return nil, err
		}
		if len(reaching) == 0 || len(inside) == n && reaching[0].CostNanoUSD <= inside[n-1].CostNanoUSD {
			return top, nil
		}
		for i := range reaching {
			s := session(&reaching[i])
			matching[s.ID] = &s
		}
	}
	totals, searchedTo, err := v.known.sum(ctx, v.q, v.now, low, high)
	if err != nil {
		return nil, err
	}
	top.SearchedTo = searchedTo
	sortRows(totals, func(a, b *total) int {
		return cmp.Or(cmp.Compare(b.sums.CostNanoUSD, a.sums.CostNanoUSD), cmp.Compare(b.last, a.last), cmp.Compare(a.session, b.session))
	})
	for i, left := 0, n; i < len(totals) && left > 0; i++ {
		t := &totals[i]
		if known[t.session] {
			continue
		}
		s := matching[t.session]
		switch {
		case s != nil:
		case narrow:
			continue
		default:
			if s, err = v.Session(ctx, t.session); errors.Is(err, ErrNotFound) {
				continue // within a second it is there
			} else if err != nil {
				return nil, err
			}
		}
		s.InRange = &t.sums
		top.Rows = append(top.Rows, *s)
		left--
	}
	sortRows(top.Rows, func(a, b *Session) int {
		return cmp.Or(cmp.Compare(b.InRange.CostNanoUSD, a.InRange.CostNanoUSD), cmp.Compare(b.LastAt, a.LastAt), cmp.Compare(a.ID, b.ID))
	})
	top.Rows = top.Rows[:min(len(top.Rows), n)]
	return top, nil
}
