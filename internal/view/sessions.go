package view

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

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

// topBudget is how long calls are summed for sessions that began before the range.
const topBudget = 100 * time.Millisecond

// TopSessions returns the n sessions that cost most in f's range. Of f it takes
// SessionParams.
//
// A session that lies in the range whole is known from its row. For others the calls of
// the range are summed, unless even all their calls cost too little to matter.
func (v *View) TopSessions(ctx context.Context, f Filter, n int) (*TopSessions, error) {
	low, high := f.open(v.now)
	lower, _ := f.lowered()
	params := db.ListDearSessionsParams{Low: low, High: high, Inside: 1, Agent: f.Agent, Text: lower, Lim: int64(n)}
	inside, err := v.q.ListDearSessions(ctx, params)
	if err != nil {
		return nil, err
	}
	params.Inside = 0
	params.Lim = maxLimit
	reaching, err := v.q.ListDearSessions(ctx, params)
	if err != nil {
		return nil, err
	}
	top := &TopSessions{Rows: make([]Session, 0, n)}
	for i := range inside {
		s := session(&inside[i])
		s.InRange = &s.Sums
		top.Rows = append(top.Rows, s)
	}
	// Those that may be among the n.
	sums := make(map[string]*Session)
	last := int64(0)
	for i := range reaching {
		if len(inside) == n && reaching[i].CostNanoUSD <= inside[n-1].CostNanoUSD {
			break
		}
		s := session(&reaching[i])
		s.InRange = new(Sums)
		sums[s.ID] = &s
		last = max(last, s.LastAt)
	}
	if len(sums) > 0 {
		if top.SearchedTo, err = v.sumSessions(ctx, sums, low, min(high, last+1)); err != nil {
			return nil, err
		}
	}
	for _, s := range sums {
		if s.InRange.Calls > 0 {
			top.Rows = append(top.Rows, *s)
		}
	}
	sortRows(top.Rows, func(a, b *Session) int {
		return cmp.Or(cmp.Compare(b.InRange.CostNanoUSD, a.InRange.CostNanoUSD), cmp.Compare(b.LastAt, a.LastAt), cmp.Compare(a.ID, b.ID))
	})
	top.Rows = top.Rows[:min(len(top.Rows), n)]
	return top, nil
}

// sumSessions adds up the calls of some sessions, the newest calls first. It returns how
// far it came if the time was up before it had all.
func (v *View) sumSessions(ctx context.Context, sums map[string]*Session, low, high int64) (*int64, error) {
	begun, n := time.Now(), firstWindow
	for high > low {
		end, err := v.q.CallWindow(ctx, db.CallWindowParams{At: high, Low: low, N: int64(n)})
		if errors.Is(err, sql.ErrNoRows) {
			end, err = low, nil
		}
		if err != nil {
			return nil, err
		}
		started := time.Now()
		rows, err := v.q.SumSessions(ctx, db.SumSessionsParams{Low: end, High: high})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if s := sums[deref(r.SessionID)]; s != nil {
				s.InRange.Add(Sums{
					Calls: r.Calls, Failed: r.Failed, PromptTokens: r.PromptTokens, CompletionTokens: r.CompletionTokens,
					CostNanoUSD: r.CostNanoUSD, Unmetered: r.Unmetered, Unpriced: r.Unpriced,
				})
			}
		}
		left := topBudget - time.Since(begun)
		if left <= 0 && end > low {
			return &end, nil
		}
		high = end
		n = nextWindow(n, time.Since(started), left)
	}
	return nil, nil
}
