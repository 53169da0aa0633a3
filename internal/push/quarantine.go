package push

import (
	"context"
	"fmt"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// quarantine lists an event that was given up, n of which were.
func quarantine(ctx context.Context, tx *writer.Tx, kind, traceID, reason string, at time.Time, n int64) error {
	if n == 0 {
		return nil
	}
	tx.Count(writer.Entry{Kind: kind, Outcome: writer.Quarantined}, n)
	err := tx.AddQuarantine(ctx, db.AddQuarantineParams{Kind: kind, EventID: traceID, CreatedAt: at.UnixMilli(), Reason: reason})
	if err != nil {
		return err
	}
	return tx.TrimQuarantine(ctx, keepQuarantine)
}

// Quarantined is an event that the remote will never take.
type Quarantined struct {
	Kind    string `json:"kind"`
	TraceID string `json:"trace_id"`
	At      int64  `json:"at"` // when it was given up, Unix ms
	Reason  string `json:"reason"`
}

// InQuarantine returns the events in quarantine, the oldest first.
func InQuarantine(ctx context.Context, q *db.Queries) (list []Quarantined, err error) {
	rows, err := q.ListQuarantine(ctx, db.ListQuarantineParams{Lim: keepQuarantine})
	for _, r := range rows {
		list = append(list, Quarantined{r.Kind, r.EventID, r.CreatedAt, r.Reason})
	}
	return list, err
}

// releaseStep is how many events are released at once.
const releaseStep = 100

// Release takes events out of quarantine: to be delivered after all, or with drop to be
// deleted. Without ids it means all. It returns how many were released, also with an
// error.
func Release(ctx context.Context, w *writer.Writer, drop bool, ids ...string) (n int64, err error) {
	wanted := make(map[string]bool)
	for _, id := range ids {
		wanted[id] = true
	}
	for after, left := int64(0), true; left; {
		var step, last int64
		err := w.Do(ctx, func(tx *writer.Tx) error {
			step, last = 0, after
			rows, err := tx.ListQuarantine(ctx, db.ListQuarantineParams{After: after, Lim: releaseStep})
			if err != nil {
				return err
			}
			left = len(rows) == releaseStep
			for _, r := range rows {
				last = r.ID
				if len(ids) > 0 && !wanted[r.EventID] {
					continue
				}
				changed, err := release(ctx, tx, r, drop)
				if err != nil {
					return err
				}
				step += changed
			}
			return nil
		})
		if err != nil {
			return n, fmt.Errorf("release from quarantine: %w", err)
		}
		n, after = n+step, last
	}
	return n, nil
}

func release(ctx context.Context, tx *writer.Tx, r db.Quarantine, drop bool) (int64, error) {
	k := kindNamed(r.Kind)
	if k == nil {
		return 0, nil // a kind of a later version
	}
	do := k.retry
	if drop {
		do = k.drop
	}
	n, err := do(ctx, tx, r.EventID)
	if err != nil {
		return 0, err
	}
	tx.Count(writer.Entry{Kind: r.Kind, Outcome: writer.Quarantined}, -n)
	if drop {
		tx.Count(writer.Entry{Kind: r.Kind, Outcome: writer.Dropped, Reason: "quarantine"}, n)
	}
	return n, tx.DeleteQuarantine(ctx, r.ID)
}
