package janitor

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Age is what the clock says, and clocks are wrong: a machine without a battery starts in
// 1970, another one is set to a wrong year by hand. The clock is believed as long as it
// goes on from where it was believed last, give or take maxStep: by the process's own
// count of time, and from the last process's word over a stop. After a larger step, which
// a long stop is too, nothing is deleted by age, until the clock is back where it should
// be, or has gone on from its new time for doubtFor: by then whoever sets clocks has done
// so. Size is kept all the while.
const (
	maxStep  = 24 * time.Hour
	doubtFor = 24 * time.Hour
)

// clock is what is known of time.
type clock struct {
	state  state
	loaded bool
	saved  state
	at     time.Time // of the last look; its monotonic reading counts
	seen   time.Time // what the wall clock said then
	doubt  string    // why nothing is deleted by age, or ""
}

// state is what is remembered from one process to the next, in meta. Times are Unix ms.
type state struct {
	Believed int64 `json:"believed"`          // the last time that was beyond doubt
	Doubted  int64 `json:"doubted,omitempty"` // since when, by the new time, or 0
}

// lookAtClock decides whether the clock is to be believed.
func (p *pass) lookAtClock(now time.Time) error {
	c := &p.clock
	if !c.loaded {
		if err := p.st.Read(p.ctx, func(q *db.Queries) error { return c.load(p.ctx, q, now) }); err != nil {
			return fmt.Errorf("look at the clock: %w", err)
		}
	}
	c.look(now.Round(0), time.Now())
	return p.save()
}

// load reads what the last process knew. A database that never had a janitor takes its
// newest row for the time.
func (c *clock) load(ctx context.Context, q *db.Queries, now time.Time) error {
	text, err := none(q.GetJanitor(ctx))
	if err != nil {
		return err
	}
	var s state
	if json.Unmarshal([]byte(text), &s) == nil && s.Believed != 0 {
		c.state, c.saved, c.loaded = s, s, true
		return nil
	}
	newest, err := q.NewestRow(ctx)
	if err != nil {
		return err
	}
	if newest == 0 {
		newest = now.UnixMilli()
	}
	c.state, c.loaded = state{Believed: newest}, true
	return nil
}

// look compares the wall clock with what it should be. mono counts time on its own.
func (c *clock) look(now, mono time.Time) {
	s := &c.state
	jumped := false // while in doubt
	if !c.at.IsZero() {
		passed := mono.Sub(c.at)
		s.Believed += passed.Milliseconds()
		step := now.Sub(c.seen) - passed
		jumped = step.Abs() > maxStep
	}
	c.at, c.seen = mono, now
	ms := now.UnixMilli()
	off := ms - s.Believed
	if s.Doubted != 0 && !jumped && ms-s.Doubted >= doubtFor.Milliseconds() {
		off = 0 // it has gone on for long enough
	}
	switch {
	case -maxStep.Milliseconds() <= off && off <= maxStep.Milliseconds():
		s.Believed, s.Doubted, c.doubt = ms, 0, ""
		return
	case s.Doubted == 0, jumped, ms < s.Doubted:
		s.Doubted = ms
	}
	const day = float64(24 * time.Hour / time.Millisecond)
	c.doubt = fmt.Sprintf("the clock is %+.1f days from where it was when it was last seen; nothing is deleted by age before %s, in case it is wrong",
		float64(off)/day, time.UnixMilli(s.Doubted).Add(doubtFor).UTC().Format(time.DateTime))
}

// save writes the state down, an hour's progress of the clock alone being no reason.
func (p *pass) save() error {
	c := &p.clock
	was := c.saved
	if was.Believed != 0 && time.Duration(c.state.Believed-was.Believed)*time.Millisecond < time.Hour {
		was.Believed = c.state.Believed
	}
	if was == c.state {
		return nil
	}
	state := c.state
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	err = p.w.Do(p.ctx, func(tx *writer.Tx) error { return tx.SetJanitor(context.Background(), string(text)) })
	if err == nil {
		c.saved = state
	}
	return err
}

// none makes a row that is not there a zero value.
func none[T any](v T, err error) (T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return v, nil
	}
	return v, err
}
