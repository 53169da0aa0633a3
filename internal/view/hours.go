package view

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// Hours remembers what each session used in the whole hours that were asked about, so
// that their calls are read once and not for each answer. No table holds it, since where
// sessions are short that would be a row for each call. The zero value remembers nothing
// yet; it is safe for concurrent use.
//
// Calls that come late are found by their ids, which only grow, and added to their hours.
// Calls that went by age or size stay in, as in the other sums. Whatever else changes
// calls (see writer.Revision) makes an Hours untrue, and it is to be replaced.
type Hours struct {
	mu       sync.Mutex
	upto     int64            // the newest call that the hours may include
	hours    map[int64][]used // by when they begin; in the order of sessions
	size     int              // how many hours there are, and sessions in them
	sessions map[string]uint32
	names    []string // of sessions, by their numbers
}

// used is what a session used in an hour.
type used struct {
	session                            uint32
	calls, failed, unmetered, unpriced uint32
	last                               uint32 // when its last call began, in ms of the hour
	promptTokens, completionTokens     int64
	costNanoUSD                        int64
}

// total is what a session used in a range.
type total struct {
	session string
	sums    Sums
	last    int64
}

func (t *total) add(start int64, u *used) {
	t.sums.Add(Sums{
		Calls: int64(u.calls), Failed: int64(u.failed), PromptTokens: u.promptTokens, CompletionTokens: u.completionTokens,
		CostNanoUSD: u.costNanoUSD, Unmetered: int64(u.unmetered), Unpriced: int64(u.unpriced),
	})
	t.last = max(t.last, start+int64(u.last))
}

const (
	maxHeld    = 64_000 // of Hours.size, which is 3 MB
	maxArrived = 10_000 // calls, from where on it is no more work to begin anew

	// sumBudget is how long calls are summed for an answer.
	sumBudget = 100 * time.Millisecond

	firstSums = 2000 // calls of a statement
)

// holds tells whether the whole hours of a range are remembered, but for one or two.
func (h *Hours) holds(now time.Time, low, high int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	missing := 0
	for start := roundUp(low, hour); start+hour <= min(high, endOf(now)); start += hour {
		if _, ok := h.hours[start]; !ok {
			if missing++; missing > 2 {
				return false
			}
		}
	}
	return true
}

// endOf returns the end of the hour that it is.
func endOf(now time.Time) int64 { return roundUp(now.UnixMilli()+1, hour) }

// sum returns what each session used in a range, in no order. It goes back in time, and
// returns how far it came if the time was up before it had all.
func (h *Hours) sum(ctx context.Context, q *db.Queries, now time.Time, low, high int64) ([]total, *int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.catchUp(ctx, q); err != nil {
		return nil, nil, err
	}
	s := summing{Hours: h, q: q, low: low, high: high, begun: time.Now(), n: firstSums, totals: make([]total, len(h.names))}
	var searchedTo *int64
	for at := high; at > low && searchedTo == nil; {
		start := at - hour
		if list, ok := h.hours[start]; ok && start >= low {
			for i := range list {
				s.add(start, &list[i])
			}
			at = start
			continue
		}
		// Those that are not remembered are read at a stretch.
		from := low
		for start := range h.hours {
			if start >= low && start+hour <= at {
				from = max(from, start+hour)
			}
		}
		var err error
		if searchedTo, err = s.read(ctx, from, at, endOf(now)); err != nil {
			return nil, nil, err
		}
		at = from
	}
	list := slices.DeleteFunc(s.totals, func(t total) bool { return t.sums.Calls == 0 })
	return list, searchedTo, nil
}

// catchUp adds the calls that came since.
func (h *Hours) catchUp(ctx context.Context, q *db.Queries) error {
	newest, err := q.LastCall(ctx)
	if err != nil {
		return err
	}
	if len(h.hours) == 0 || newest-h.upto > maxArrived || len(h.names) > maxHeld {
		h.hours, h.size = make(map[int64][]used), 0
		h.sessions, h.names = make(map[string]uint32), nil
		h.upto = max(h.upto, newest)
		return nil
	}
	if newest <= h.upto { // or the newest are gone
		return nil
	}
	rows, err := q.SumArrivedSessions(ctx, db.SumArrivedSessionsParams{After: h.upto, Upto: newest})
	if err != nil {
		return err
	}
	h.upto = newest
	for i := range rows {
		r := db.SumSessionsRow(rows[i])
		list, ok := h.hours[r.Hour*hour]
		if !ok {
			continue
		}
		u := h.used(&r)
		n, found := slices.BinarySearchFunc(list, u, bySession)
		if !found {
			h.hours[r.Hour*hour] = slices.Insert(list, n, u)
			h.size++
			continue
		}
		list[n].add(&u)
	}
	return nil
}

func bySession(a, b used) int { return cmp.Compare(a.session, b.session) }

func (u *used) add(o *used) {
	u.calls += o.calls
	u.failed += o.failed
	u.unmetered += o.unmetered
	u.unpriced += o.unpriced
	u.last = max(u.last, o.last)
	u.promptTokens += o.promptTokens
	u.completionTokens += o.completionTokens
	u.costNanoUSD += o.costNanoUSD
}

// used returns what a row says, and gives its session a number.
func (h *Hours) used(r *db.SumSessionsRow) used {
	n, ok := h.sessions[deref(r.SessionID)]
	if !ok {
		n = uint32(len(h.names))
		h.sessions[*r.SessionID] = n
		h.names = append(h.names, *r.SessionID)
	}
	return used{
		session: n, calls: uint32(r.Calls), failed: uint32(r.Failed), unmetered: uint32(r.Unmetered), unpriced: uint32(r.Unpriced),
		last: uint32(r.LastAt - r.Hour*hour), promptTokens: r.PromptTokens, completionTokens: r.CompletionTokens, costNanoUSD: r.CostNanoUSD,
	}
}

// summing is a sum in the making.
type summing struct {
	*Hours
	q         *db.Queries
	low, high int64
	begun     time.Time
	n         int     // calls of the next statement
	totals    []total // by the numbers of sessions
}

func (s *summing) add(start int64, u *used) {
	if n := len(s.names) - len(s.totals); n > 0 {
		s.totals = append(s.totals, make([]total, n)...)
	}
	t := &s.totals[u.session]
	t.session = s.names[u.session]
	t.add(start, u)
}

// read adds the calls of a stretch, and remembers the whole hours in it that begin before
// end.
func (s *summing) read(ctx context.Context, from, until, end int64) (searchedTo *int64, err error) {
	hours := make(map[int64][]used) // those that are not read whole yet
	next := min(until, end)         // where those that are begin
	next -= next % hour
	for at := until; at > from; {
		low, err := s.q.CallWindow(ctx, db.CallWindowParams{At: at, Low: from, N: int64(s.n)})
		if errors.Is(err, sql.ErrNoRows) {
			low, err = from, nil
		}
		if err != nil {
			return nil, err
		}
		started := time.Now()
		rows, err := s.q.SumSessions(ctx, db.SumSessionsParams{Low: low, High: at, Upto: s.upto})
		if err != nil {
			return nil, err
		}
		for i := range rows {
			u := s.used(&rows[i])
			start := rows[i].Hour * hour
			s.add(start, &u)
			hours[start] = append(hours[start], u)
		}
		for ; next-hour >= low; next -= hour {
			s.keep(next-hour, hours[next-hour])
			delete(hours, next-hour)
		}
		left := sumBudget - time.Since(s.begun)
		if left <= 0 && low > s.low {
			return &low, nil
		}
		at = low
		s.n = nextWindow(s.n, time.Since(started), left)
	}
	return nil, nil
}

// keep remembers an hour if there is room.
func (s *summing) keep(start int64, list []used) {
	if s.size+len(list)+1 > maxHeld {
		for other, list := range s.hours {
			if other < s.low || other >= s.high {
				s.size -= len(list) + 1
				delete(s.hours, other)
			}
		}
	}
	if s.size+len(list)+1 > maxHeld {
		return
	}
	// A session may have been in several statements.
	slices.SortFunc(list, bySession)
	n := 0
	for i := range list {
		if n > 0 && list[n-1].session == list[i].session {
			list[n-1].add(&list[i])
			continue
		}
		list[n] = list[i]
		n++
	}
	s.hours[start] = slices.Clone(list[:n])
	s.size += n + 1
}
