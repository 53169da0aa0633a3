package agentproc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// busyPct is the share of a core from which the agent counts as busy.
const busyPct = 5

// silence watches whether calls still arrive while the agent is busy. Exporters fail
// without a word; from the calls alone a dead exporter looks like an idle agent.
type silence struct {
	heard  time.Time // when the last call arrived, or we started; later by what we missed
	seen   time.Time // when we last looked
	call   int64     // id of its row; 0 if there never was one
	trace  string    // its trace_id
	looked bool
	told   bool

	busy   []bool // of the last looks, as many as fit in SilentAfter
	at     int
	logged time.Time // of the newest line of its log
}

func (s *silence) begin(now time.Time) { s.heard, s.seen = now, now }

// checkSilence tells once when the agent has been busy for SilentAfter, but sent nothing.
func (a *Watcher) checkSilence(ctx context.Context, now time.Time) {
	s := &a.silence
	if a.opts.SilentAfter <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writer.MaxWait)
	defer cancel()
	var newest db.NewestCallRow
	err := a.st.Read(ctx, func(q *db.Queries) (err error) {
		newest, err = q.NewestCall(ctx)
		return err
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return // nothing is known; the writer says what is wrong
	}
	// No call can arrive while we are stopped, and none is seen while none can be stored.
	if gap := now.Sub(s.seen) - a.opts.Interval; gap > a.opts.Interval {
		s.heard = s.heard.Add(gap)
	}
	s.seen = now
	if a.w.Fault() != "" {
		s.heard = now
	}
	// The newest row may be deleted, and then an older one is it.
	if newest.ID > s.call {
		if s.looked {
			s.heard = now
			if s.told {
				a.opts.Log.Info("the agent's calls arrive again", "trace_id", newest.TraceID)
			}
			s.told = false
		}
		s.call, s.trace = newest.ID, newest.TraceID
	}
	s.looked = true
	s.note(a.isBusy(now), int(a.opts.SilentAfter/a.opts.Interval))
	quiet := now.Sub(s.heard)
	if s.call != 0 && !s.told && quiet >= a.opts.SilentAfter && s.mostlyBusy() {
		s.told = true
		a.tellSilence(now, quiet)
	}
	a.update(func(st *Status) { st.Silent = s.told })
}

// isBusy tells whether the agent did something since the last look.
func (a *Watcher) isBusy(now time.Time) bool {
	s := &a.silence
	busy := false
	if a.opts.Lines != nil {
		if lines := a.opts.Lines(); len(lines) > 0 {
			newest := lines[len(lines)-1].At
			busy = newest.After(s.logged) && !s.logged.IsZero()
			s.logged = newest
		}
	}
	if g := a.life.now; g != nil {
		busy = busy || g.reading.CPUPct >= busyPct
	}
	return busy
}

func (s *silence) note(busy bool, most int) {
	if most = max(most, 1); len(s.busy) < most {
		s.busy = append(s.busy, busy)
		return
	}
	s.busy[s.at] = busy
	s.at = (s.at + 1) % most
}

func (s *silence) mostlyBusy() bool {
	n := 0
	for _, b := range s.busy {
		if b {
			n++
		}
	}
	return n > 0 && 2*n >= len(s.busy)
}

func (a *Watcher) tellSilence(now time.Time, quiet time.Duration) {
	s := &a.silence
	members := map[string]any{"openclaw_trace.silent_seconds": int64(quiet / time.Second), "openclaw_trace.last_call": s.trace}
	who := "The agent's log moves"
	if g := a.life.now; g != nil {
		members = merge(g.members(), members)
		who = fmt.Sprintf("The agent (pid %d) is busy", g.pid)
	}
	a.add(event{
		id: a.id.of("silent", s.trace), at: now, kind: kindSilent, errorType: "system_error", severity: "warning",
		message: fmt.Sprintf("%s, but no call of it has arrived for %s. Its exporter may have stopped or may send elsewhere.", who, quiet.Round(time.Second)),
		members: members,
	})
}
