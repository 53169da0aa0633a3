package writer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/kon-rad/openclaw-trace/db"
)

// backlog is the calls that were stored before there was a table sessions to sum them
// in. Those behind after and up to upto are still to be added, which is done in small
// steps while the writer has nothing else to do, so that the start does not wait for
// them. How far it came is written with the sums of each step: if we die in between, no
// call is left out and none is added twice.
type backlog struct {
	after, upto int64
	failed      bool // until the next start
}

// metaSessions is the key in meta of a backlog, "after/upto". When there is none, no call
// is in sessions.
const metaSessions = "sessions_backlog"

// backlogStep is how many calls a step adds, in a few milliseconds.
const backlogStep = 500

func (b *backlog) read(ctx context.Context, q *db.Queries, last int64) error {
	text, err := q.GetMeta(ctx, metaSessions)
	if errors.Is(err, sql.ErrNoRows) {
		b.upto = last
		return b.write(ctx, q)
	}
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(text, "%d/%d", &b.after, &b.upto); err != nil {
		return fmt.Errorf("meta %s: %w", metaSessions, err)
	}
	return nil
}

func (b *backlog) write(ctx context.Context, q *db.Queries) error {
	return q.SetMeta(ctx, db.SetMetaParams{Key: metaSessions, Value: fmt.Sprintf("%d/%d", b.after, b.upto)})
}

// idle tells whether there is nothing to do.
func (b *backlog) idle() bool { return b.failed || b.after >= b.upto }

// has tells whether a call is still to be added.
func (b *backlog) has(id int64) bool { return id > b.after && id <= b.upto }

// step adds some calls. It changes b only when the caller's transaction is committed,
// by what it returns.
func (b backlog) step(ctx context.Context, q *db.Queries) (backlog, error) {
	calls, err := q.ListCallsAfter(ctx, db.ListCallsAfterParams{After: b.after, Lim: backlogStep})
	if err != nil {
		return b, err
	}
	s := newSummary()
	done := len(calls) < backlogStep
	for i := range calls {
		if calls[i].ID > b.upto {
			done = true
			break
		}
		b.after = calls[i].ID
		s.addSession(params(&calls[i]))
	}
	if done {
		b.after = b.upto
	}
	if err := s.writeSessions(ctx, q); err != nil {
		return b, err
	}
	return b, b.write(ctx, q)
}

// sumBacklog is a step as a job of the writer's own.
func (w *Writer) sumBacklog() *job {
	left := w.summary.backlog
	return &job{
		do: func(tx *Tx) (err error) {
			left, err = left.step(context.Background(), tx.Queries)
			return err
		},
		then: func(err error) {
			if err == nil {
				w.summary.backlog = left
				return
			}
			// Better without sums of old sessions than at it for ever.
			w.opts.Log.Warn("sums of the sessions before this version are left out until the next start", "err", err)
			w.summary.backlog.failed = true
		},
		done: make(chan struct{}, 1),
	}
}
