package janitor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Request says what somebody wants deleted by hand: exactly one of OlderThan, Call and
// Session.
type Request struct {
	OlderThan time.Duration // as retention does, with another time
	Call      string        // trace_id of a call
	Session   string        // session_id of its calls, spans and events
	DryRun    bool          // only count
}

// ErrNothing means that there is no such call or session.
var ErrNothing = errors.New("there is none")

// Prune deletes what somebody asks for, beside a Janitor or without one. By age it
// deletes what retention would: with a remote, what is not delivered stays. A call or a
// session goes for good: what is not delivered is dropped, and nothing is left of it on
// the disk. Sums of hours and days stay, since they say nothing of what was said; error
// events stay too, since nothing ties them to a call.
func Prune(ctx context.Context, st *store.Store, w *writer.Writer, opts Options, r Request) (Result, error) {
	j := newJanitor(st, w, opts)
	p := j.newPass(ctx)
	var err error
	switch {
	case r.Call != "":
		err = p.pruneCall(strings.ToLower(r.Call), r.DryRun)
	case r.Session != "":
		err = p.pruneSession(r.Session, r.DryRun)
	case r.DryRun:
		err = p.countOlder(j.opts.Wall().Add(-r.OlderThan))
	default:
		err = p.olderThan(j.opts.Wall().Add(-r.OlderThan))
	}
	return p.result, err
}

func (p *pass) countOlder(before time.Time) error {
	return p.st.Read(p.ctx, func(q *db.Queries) error {
		for _, synced := range p.expiring() {
			row, err := q.CountOld(p.ctx, db.CountOldParams{Synced: synced, Before: before.UnixMilli()})
			if err != nil {
				return err
			}
			n := perKind(row)
			for _, k := range everything {
				p.add(k, *k.of(&n), synced)
			}
		}
		return nil
	})
}

func (p *pass) add(k *kind, n, synced int64) {
	if n == 0 {
		return
	}
	p.result.Deleted[k.name] += n
	if synced == 0 {
		p.result.Undelivered += n
	}
}

// part is a table of which single rows can be deleted.
type part struct {
	kind   *kind
	list   func(ctx context.Context, q *db.Queries, session string, after, upto int64) ([]found, error)
	delete func(ctx context.Context, tx *writer.Tx, id int64) ([]gone, error)
}

// found is a row that is to be deleted.
type found struct{ ID, Synced int64 }

func foundOf[T ~struct{ ID, Synced int64 }](list []T, err error) ([]found, error) {
	var all []found
	for _, r := range list {
		all = append(all, found(r))
	}
	return all, err
}

// gone is a row that was deleted.
type gone struct {
	TraceID string
	Synced  int64
}

func goneOf[T ~struct {
	TraceID string
	Synced  int64
}](list []T, err error) ([]gone, error) {
	var all []gone
	for _, r := range list {
		all = append(all, gone(r))
	}
	return all, err
}

var parts = []part{
	{
		calls,
		func(ctx context.Context, q *db.Queries, session string, after, upto int64) ([]found, error) {
			return foundOf(q.ListSessionCalls(ctx, db.ListSessionCallsParams{After: after, Upto: upto, SessionID: session}))
		},
		func(ctx context.Context, tx *writer.Tx, id int64) ([]gone, error) {
			return goneOf(tx.DeleteCall(ctx, id))
		},
	},
	{
		spans,
		func(ctx context.Context, q *db.Queries, session string, after, upto int64) ([]found, error) {
			return foundOf(q.ListSessionSpans(ctx, db.ListSessionSpansParams{After: after, Upto: upto, SessionID: session}))
		},
		func(ctx context.Context, tx *writer.Tx, id int64) ([]gone, error) {
			return goneOf(tx.DeleteSpan(ctx, id))
		},
	},
	{
		events,
		func(ctx context.Context, q *db.Queries, session string, after, upto int64) ([]found, error) {
			return foundOf(q.ListSessionEvents(ctx, db.ListSessionEventsParams{After: after, Upto: upto, SessionID: session}))
		},
		func(ctx context.Context, tx *writer.Tx, id int64) ([]gone, error) {
			return goneOf(tx.DeleteEvent(ctx, id))
		},
	},
}

func (p *pass) pruneCall(traceID string, dry bool) error {
	var call found
	err := p.st.Read(p.ctx, func(q *db.Queries) error {
		row, err := none(q.FindCall(p.ctx, traceID))
		call = found(row)
		return err
	})
	if err != nil {
		return err
	}
	if call.ID == 0 {
		// It may be that only the second half is left to do.
		if err := p.scrub(dry); err != nil {
			return err
		}
		return fmt.Errorf("call %s: %w", traceID, ErrNothing)
	}
	if dry {
		p.add(calls, 1, call.Synced)
		return nil
	}
	if err := p.erase(&parts[0], []found{call}); err != nil {
		return err
	}
	return p.scrub(dry)
}

// stepIDs is how many ids of a table are looked at for a session at a time.
const stepIDs = 2000

func (p *pass) pruneSession(session string, dry bool) error {
	var last perKind
	err := p.st.Read(p.ctx, func(q *db.Queries) error {
		row, err := q.LastRowIDs(p.ctx)
		last = perKind(row)
		return err
	})
	if err != nil {
		return err
	}
	var any bool
	for i := range parts {
		part := &parts[i]
		upto := *part.kind.of(&last)
		for after := int64(0); after < upto; after += stepIDs {
			var list []found
			err := p.st.Read(p.ctx, func(q *db.Queries) (err error) {
				list, err = part.list(p.ctx, q, session, after, min(after+stepIDs, upto))
				return err
			})
			if err != nil {
				return err
			}
			any = any || len(list) > 0
			if !dry {
				if err := p.erase(part, list); err != nil {
					return err
				}
				continue
			}
			for _, row := range list {
				p.add(part.kind, 1, row.Synced)
			}
		}
	}
	var summed bool
	err = p.st.Read(p.ctx, func(q *db.Queries) (err error) {
		summed, err = q.AnySession(p.ctx, session)
		return err
	})
	if err == nil && summed && !dry {
		err = p.w.Erase(p.ctx, func(tx *writer.Tx) error { return tx.EraseSession(context.Background(), session) })
	}
	if err == nil {
		err = p.scrub(dry)
	}
	if err == nil && !any && !summed {
		err = fmt.Errorf("session %s: %w", session, ErrNothing)
	}
	return err
}

// erase deletes single rows for good.
func (p *pass) erase(part *part, list []found) error {
	ctx := context.Background() // a job is not ended half-way
	for len(list) > 0 {
		n := 0
		deleted, undelivered := int64(0), int64(0)
		err := p.w.Erase(p.ctx, func(tx *writer.Tx) error {
			for began := time.Now(); n < len(list) && n < jobRows && (n == 0 || time.Since(began) < jobTime); n++ {
				rows, err := part.delete(ctx, tx, list[n].ID)
				if err != nil {
					return err
				}
				for _, r := range rows {
					deleted++
					if r.Synced == 0 {
						undelivered++
						tx.Count(writer.Entry{Kind: part.kind.name, Outcome: writer.Dropped, Reason: ByHand}, 1)
					}
					err := tx.ForgetQuarantined(ctx, db.ForgetQuarantinedParams{Kind: part.kind.name, EventID: r.TraceID})
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		p.add(part.kind, deleted, 1)
		p.result.Undelivered += undelivered
		list = list[n:]
	}
	return nil
}

// scrub has the remains of earlier versions of what was erased taken off the disk.
func (p *pass) scrub(dry bool) error {
	if dry {
		return nil
	}
	if err := p.w.Scrub(p.ctx); err != nil {
		return fmt.Errorf("the rows are deleted, but the file still has remains of them; run this again: %w", err)
	}
	return nil
}
