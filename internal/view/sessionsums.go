package view

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// SessionSums remembers what each session used in the days and slots that were asked
// about, so that their calls are read once and not for each answer. No table holds it,
// since where sessions are short that would be a row for each call. The zero value
// remembers nothing yet; it is safe for concurrent use.
//
// Calls that come late are found by their ids, which only grow, and added.
// Calls that went by age or size stay in, as in the other sums. Whatever else changes
// calls (see writer.Revision) makes SessionSums untrue, and they are to be replaced.
type SessionSums struct {
	mu       sync.Mutex
	upto     int64            // the newest call that the slots may include
	slots    map[int64][]used // by when they begin; in the order of sessions
	days     map[int64][]used // whole ones (UTC), the same
	size     int              // how many of both there are, and sessions in them
	sessions map[string]uint32
	names    []string // of sessions, by their numbers
}

// used is what a session used in a slot or a day.
type used struct {
	session                            uint32
	calls, failed, unmetered, unpriced uint32
	last                               uint32 // when its last call began, in ms of it
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
	// slot is short, since the calls of the one that a range begins in are read each time.
	slot = int64(10 * time.Minute / time.Millisecond)

	maxAge     = 32 * 24 * time.Hour
	keepSlots  = 2 * day // for so long, though the day is known
	maxHeld    = 100_000 // of SessionSums.size, which is 5 MB; with calls that came late, twice that
	maxArrived = 10_000  // calls, from where on it is no more work to begin anew

	// sumBudget is how long calls are summed for an answer.
	sumBudget = 100 * time.Millisecond

	firstSums, maxSums = 2000, 5000 // calls of a statement
)

// holds tells whether a range is remembered, but for its ends and a slot or two.
func (m *SessionSums) holds(ctx context.Context, q *db.Queries, now time.Time, low, high int64) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.catchUp(ctx, q); err != nil { // which may forget all
		return false, err
	}
	missing := 0
	end := min(high, endOf(now))
	for start := roundUp(low, slot); start+slot <= end; {
		if _, ok := m.days[start]; ok && start+day <= end {
			start += day
			continue
		}
		if _, ok := m.slots[start]; !ok {
			if missing++; missing > 2 {
				return false, nil
			}
		}
		start += slot
	}
	return true, nil
}

// endOf returns the end of the slot that it is.
func endOf(now time.Time) int64 { return roundUp(now.UnixMilli()+1, slot) }

// sum returns what each session used in a range, in no order. It goes back in time, and
// returns how far it came if the time was up before it had all.
func (m *SessionSums) sum(ctx context.Context, q *db.Queries, now time.Time, low, high int64) ([]total, *int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.catchUp(ctx, q); err != nil {
		return nil, nil, err
	}
	s := summing{
		SessionSums: m, q: q, low: low, high: high, begun: time.Now(), n: firstSums, totals: make([]total, len(m.names)),
		oldest: now.Add(-maxAge).UnixMilli(), end: endOf(now),
	}
	var searchedTo *int64
	for at := high; at > low && searchedTo == nil; {
		if length := s.remembered(at); length > 0 {
			at -= length
			continue
		}
		// Those that are not remembered are read at a stretch.
		from := low
		for length, held := range map[int64]map[int64][]used{day: m.days, slot: m.slots} {
			for start := range held {
				if start >= low && start+length <= at {
					from = max(from, start+length)
				}
			}
		}
		var err error
		if searchedTo, err = s.read(ctx, from, at); err != nil {
			return nil, nil, err
		}
		at = from
	}
	list := s.totals[:0]
	for i := range s.totals {
		if s.totals[i].sums.Calls > 0 {
			list = append(list, s.totals[i])
		}
	}
	return list, searchedTo, nil
}

// catchUp adds the calls that came since.
func (m *SessionSums) catchUp(ctx context.Context, q *db.Queries) error {
	newest, err := q.LastCallID(ctx)
	if err != nil {
		return err
	}
	if len(m.slots)+len(m.days) == 0 || newest-m.upto > maxArrived || len(m.names) > maxHeld || m.size > 2*maxHeld {
		m.slots, m.days, m.size = make(map[int64][]used), make(map[int64][]used), 0
		m.sessions, m.names = make(map[string]uint32), nil
		m.upto = max(m.upto, newest)
		return nil
	}
	if newest <= m.upto { // or the newest are gone
		return nil
	}
	calls, err := q.ReadArrivedSessionCalls(ctx, db.ReadArrivedSessionCallsParams{After: m.upto, Upto: newest})
	if err != nil {
		return err
	}
	m.upto = newest
	return m.each(calls, func(start int64, u used) {
		m.late(m.slots, start, u)
		u.last += uint32(start % day)
		m.late(m.days, start-start%day, u)
	})
}

// late adds a call to what begins at start, if that is remembered.
func (m *SessionSums) late(held map[int64][]used, start int64, u used) {
	list, ok := held[start]
	if !ok {
		return
	}
	n := sort.Search(len(list), func(i int) bool { return list[i].session >= u.session })
	if n < len(list) && list[n].session == u.session {
		list[n].add(&u)
		return
	}
	held[start] = slices.Insert(list, n, u)
	m.size++
}

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

// each calls f with what each call of a ReadSessionCalls used, and with its slot.
func (m *SessionSums) each(calls string, f func(start int64, u used)) error {
	for calls != "" {
		var n [6]int64 // when, what is so, tokens in, tokens out, cost, length of the session
		for i := range n {
			var number string
			var err error
			number, calls, _ = strings.Cut(calls, " ")
			if n[i], err = strconv.ParseInt(number, 10, 64); err != nil {
				return err
			}
		}
		if n[5] < 0 || n[5] > int64(len(calls)) {
			return errors.New("a session is longer than what was read")
		}
		session := calls[:n[5]]
		calls = calls[n[5]:]
		number, ok := m.sessions[session]
		if !ok {
			number = uint32(len(m.names))
			session = strings.Clone(session)
			m.sessions[session] = number
			m.names = append(m.names, session)
		}
		start := n[0] - n[0]%slot
		f(start, used{
			session: number, calls: 1, failed: uint32(n[1] & 1), unmetered: uint32(n[1] >> 1 & 1), unpriced: uint32(n[1] >> 2 & 1),
			last: uint32(n[0] - start), promptTokens: n[2], completionTokens: n[3], costNanoUSD: n[4],
		})
	}
	return nil
}

// remembered adds what ends at a time, and returns how long it is.
func (s *summing) remembered(at int64) int64 {
	start, length := at-day, day
	list, ok := s.days[start]
	if !ok || start < s.low {
		start, length = at-slot, slot
		if list, ok = s.slots[start]; !ok || start < s.low {
			return 0
		}
	}
	for i := range list {
		s.add(start, &list[i])
	}
	return length
}

// summing is a sum in the making.
type summing struct {
	*SessionSums
	q         *db.Queries
	low, high int64
	begun     time.Time
	n         int     // calls of the next statement
	totals    []total // by the numbers of sessions

	oldest, end int64 // between them slots are remembered
}

func (s *summing) add(start int64, u *used) {
	if n := len(s.names) - len(s.totals); n > 0 {
		s.totals = append(s.totals, make([]total, n)...)
	}
	t := &s.totals[u.session]
	t.session = s.names[u.session]
	t.add(start, u)
}

// read adds the calls of a stretch, and remembers the whole slots in it. It returns how
// far it came if the time is up.
func (s *summing) read(ctx context.Context, from, until int64) (searchedTo *int64, err error) {
	parts := make(map[int64][]used) // those that are not read whole yet
	next := min(until, s.end)       // where those that are begin
	next -= next % slot
	for at := until; at > from; {
		left := sumBudget - time.Since(s.begun)
		if left <= 0 {
			return &at, nil
		}
		low, err := s.q.CallWindow(ctx, db.CallWindowParams{At: at, Low: from, N: int64(s.n)})
		if errors.Is(err, sql.ErrNoRows) {
			low, err = from, nil
		}
		if err != nil {
			return nil, err
		}
		started := time.Now()
		calls, err := s.q.ReadSessionCalls(ctx, db.ReadSessionCallsParams{Low: low, High: at, Upto: s.upto})
		if err != nil {
			return nil, err
		}
		err = s.each(calls, func(start int64, u used) {
			s.add(start, &u)
			parts[start] = append(parts[start], u)
		})
		if err != nil {
			return nil, err
		}
		for ; next-slot >= max(low, s.oldest); next -= slot {
			s.keep(next-slot, parts[next-slot])
			delete(parts, next-slot)
		}
		s.n = min(nextWindow(s.n, time.Since(started), left), maxSums)
		at = low
	}
	return nil, nil
}

// keep remembers a slot, and the day if that is whole now.
func (s *summing) keep(start int64, list []used) {
	first := start - start%day
	if !s.hold(s.slots, start, list) || start != first && start+slot != first+day {
		return
	}
	var whole []used
	for at := first; at < first+day; at += slot {
		list, ok := s.slots[at]
		if !ok {
			return
		}
		for _, u := range list {
			u.last += uint32(at - first)
			whole = append(whole, u)
		}
	}
	if first+day < s.end-keepSlots {
		for at := first; at < first+day; at += slot {
			s.size -= len(s.slots[at]) + 1
			delete(s.slots, at)
		}
	}
	if _, ok := s.days[first]; !ok { // or it may know calls that are gone by now
		s.hold(s.days, first, whole)
	}
}

// hold remembers what began at start if there is room. Of a session there may be several
// in list, which is not needed any more.
func (s *summing) hold(held map[int64][]used, start int64, list []used) bool {
	sortRows(list, func(a, b *used) int { return cmp.Compare(a.session, b.session) })
	n := 0
	for i := range list {
		if n > 0 && list[n-1].session == list[i].session {
			list[n-1].add(&list[i])
			continue
		}
		list[n] = list[i]
		n++
	}
	list = list[:n]
	if s.size+len(list)+1 > maxHeld {
		for _, held := range []map[int64][]used{s.slots, s.days} {
			for other, list := range held {
				if other < s.low || other >= s.high {
					s.size -= len(list) + 1
					delete(held, other)
				}
			}
		}
	}
	if s.size+len(list)+1 > maxHeld {
		return false
	}
	held[start] = slices.Clone(list)
	s.size += len(list) + 1
	return true
}
