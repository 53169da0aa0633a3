package janitor

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// pass is one round of deleting.
type pass struct {
	*Janitor
	ctx    context.Context
	urgent bool // the database is too large already: jobs are longer and do not wait
	result Result

	sizing    bool   // the size is being seen to
	again     bool   // and much was stored meanwhile
	exhausted bool   // there is nothing left to delete
	over      int64  // bytes
	problem   string // why not all is as it should be
}

func (j *Janitor) newPass(ctx context.Context) pass {
	return pass{Janitor: j, ctx: ctx, result: Result{Deleted: make(map[string]int64)}}
}

// kind is a data table as the janitor sees it.
type kind struct {
	name   string
	of     func(*perKind) *int64
	remove func(context.Context, *writer.Tx, rows) (int64, error)
	forget func(context.Context, *writer.Tx, rows) error // the quarantine's lines of rows
}

// perKind is a number for each kind.
type perKind struct{ ErrorEvent, LLMTrace, Span, CustomEvent, SystemMetric int64 }

// rows are the oldest rows of a table that are delivered or not, and happened before a
// time; calls have ids up to upto.
type rows struct{ synced, before, upto, lim int64 }

const all = math.MaxInt64 // times and ids

var (
	calls = &kind{
		writer.KindCall, func(n *perKind) *int64 { return &n.LLMTrace },
		func(ctx context.Context, tx *writer.Tx, r rows) (int64, error) {
			return tx.DeleteCalls(ctx, db.DeleteCallsParams{Synced: r.synced, Before: r.before, Upto: r.upto, Lim: r.lim})
		},
		func(ctx context.Context, tx *writer.Tx, r rows) error {
			return tx.ForgetCalls(ctx, db.ForgetCallsParams{Before: r.before, Upto: r.upto, Lim: r.lim})
		},
	}
	failures = &kind{
		writer.KindError, func(n *perKind) *int64 { return &n.ErrorEvent },
		func(ctx context.Context, tx *writer.Tx, r rows) (int64, error) {
			return tx.DeleteErrors(ctx, db.DeleteErrorsParams{Synced: r.synced, Before: r.before, Lim: r.lim})
		},
		func(ctx context.Context, tx *writer.Tx, r rows) error {
			return tx.ForgetErrors(ctx, db.ForgetErrorsParams{Before: r.before, Lim: r.lim})
		},
	}
	spans = &kind{
		writer.KindSpan, func(n *perKind) *int64 { return &n.Span },
		func(ctx context.Context, tx *writer.Tx, r rows) (int64, error) {
			return tx.DeleteSpans(ctx, db.DeleteSpansParams{Synced: r.synced, Before: r.before, Lim: r.lim})
		},
		func(ctx context.Context, tx *writer.Tx, r rows) error {
			return tx.ForgetSpans(ctx, db.ForgetSpansParams{Before: r.before, Lim: r.lim})
		},
	}
	events = &kind{
		writer.KindEvent, func(n *perKind) *int64 { return &n.CustomEvent },
		func(ctx context.Context, tx *writer.Tx, r rows) (int64, error) {
			return tx.DeleteEvents(ctx, db.DeleteEventsParams{Synced: r.synced, Before: r.before, Lim: r.lim})
		},
		func(ctx context.Context, tx *writer.Tx, r rows) error {
			return tx.ForgetEvents(ctx, db.ForgetEventsParams{Before: r.before, Lim: r.lim})
		},
	}
	readings = &kind{
		writer.KindReading, func(n *perKind) *int64 { return &n.SystemMetric },
		func(ctx context.Context, tx *writer.Tx, r rows) (int64, error) {
			return tx.DeleteReadings(ctx, db.DeleteReadingsParams{Synced: r.synced, Before: r.before, Lim: r.lim})
		},
		func(ctx context.Context, tx *writer.Tx, r rows) error {
			return tx.ForgetReadings(ctx, db.ForgetReadingsParams{Before: r.before, Lim: r.lim})
		},
	}
	everything = []*kind{failures, calls, spans, events, readings}
)

// tally is what a job did. It counts once the job is committed.
type tally struct {
	deleted     map[*kind]int64
	undelivered int64
	texts       int64
	quarantined map[*kind]bool // whether there is any, once somebody looked
	committed   func()         // called then, if not nil
}

// take deletes rows of k in the job and counts them.
func (p *pass) take(tx *writer.Tx, t *tally, k *kind, r rows, reason string) (int64, error) {
	ctx := context.Background() // a job is not ended half-way
	if r.synced == 1 {
		// The same rows as below: nothing comes between two statements of a transaction.
		any, known := t.quarantined[k]
		if !known {
			var err error
			if any, err = tx.AnyQuarantined(ctx, k.name); err != nil {
				return 0, err
			}
			t.quarantined[k] = any
		}
		if any {
			if err := k.forget(ctx, tx, r); err != nil {
				return 0, err
			}
		}
	}
	n, err := k.remove(ctx, tx, r)
	if err != nil {
		return 0, err
	}
	t.deleted[k] += n
	if r.synced == 0 {
		t.undelivered += n
		tx.Count(writer.Entry{Kind: k.name, Outcome: p.outcome(), Reason: reason}, n)
	}
	return n, nil
}

// outcome is what becomes of a row that is deleted before a remote has it.
func (p *pass) outcome() string {
	if p.opts.Remote {
		return writer.Dropped
	}
	return writer.Expired
}

// commit adds what a job did to the result.
func (p *pass) commit(t *tally, reason string) {
	if t.committed != nil {
		t.committed()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, n := range t.deleted {
		if n > 0 {
			p.result.Deleted[k.name] += n
			p.status.Deleted[reason] += n
		}
	}
	p.result.Undelivered += t.undelivered
	p.result.Texts += t.texts
	p.status.Texts += t.texts
}

const (
	jobTime = 10 * time.Millisecond // after which a job ends; its commit comes on top
	jobRows = 1000                  // a job ends after so many in any case

	// While the database is too large, rows come in faster than they go. Senders have to
	// wait then, though not as long as it takes them to give up. A row, or a page that is
	// given back, may add a page to the log, which is not to get longer than it should.
	urgentTime = 200 * time.Millisecond
	urgentRows = store.CheckpointPages

	chunkTime = 2 * time.Millisecond
	maxChunk  = 32

	restFor = 9 // times as long as a job took

	yieldFor  = 5 * time.Millisecond
	maxYields = 4
)

// pace is how many rows a statement deletes: as many as take about chunkTime, so that a
// job can end in time whatever the size of the rows.
type pace struct {
	rows    int64
	careful bool // the last job failed: the next one is as small as can be
}

func (c *pace) measured(took time.Duration) {
	switch {
	case c.careful:
	case took > chunkTime:
		c.rows = max(c.rows/2, 1)
	case took < chunkTime/2:
		c.rows = min(2*c.rows, maxChunk)
	}
}

func (c *pace) failed() { *c = pace{rows: 1, careful: true} }

// jobs runs step in jobs until it says that there is no more to do, and gives way to
// batches. step is told how many rows it may touch.
func (p *pass) jobs(reason string, step func(tx *writer.Tx, t *tally, lim int64) (n int64, more bool, err error)) error {
	for more := true; more; {
		if err := p.yield(); err != nil {
			return err
		}
		if err := p.mayDelete(); err != nil {
			return err
		}
		select {
		case <-p.grown:
			// What is deleted by age may take minutes, the size cannot wait for that.
			if p.again = p.sizing; !p.sizing {
				if err := p.bySize(); err != nil {
					return err
				}
			}
		default:
		}
		var t tally
		var took time.Duration
		err := p.w.Do(p.ctx, func(tx *writer.Tx) error {
			t = tally{deleted: make(map[*kind]int64), quarantined: make(map[*kind]bool)}
			began := time.Now()
			for touched := int64(0); ; {
				at := time.Now()
				n, again, err := step(tx, &t, p.pace.rows)
				if err != nil {
					return err
				}
				p.pace.measured(time.Since(at))
				touched += n
				more, took = again, time.Since(began)
				switch {
				case !more, p.pace.careful:
					return nil
				case p.urgent && touched < urgentRows && took < urgentTime:
				case p.urgent, touched >= jobRows, took >= jobTime, tx.Waiting():
					return nil
				}
			}
		})
		if err != nil {
			return err
		}
		p.pace.careful = false
		p.commit(&t, reason)
		if !p.urgent && more {
			// The agent may want the processor and the disk as well, and senders wait for
			// the log to be copied, which deleting makes due.
			if err := p.sleep(restFor * min(took, jobTime)); err != nil {
				return err
			}
		}
	}
	return nil
}

// yield waits while batches do, but not for ever.
func (p *pass) yield() error {
	for i := 0; i < maxYields && !p.urgent && p.w.Depth() > 0; i++ {
		if err := p.sleep(yieldFor); err != nil {
			return err
		}
	}
	return p.ctx.Err()
}

func (p *pass) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// byAge deletes what is too old, unless the clock is in doubt.
func (p *pass) byAge() error {
	now := p.opts.Wall()
	if err := p.lookAtClock(now); err != nil {
		return err
	}
	if p.clock.doubt != "" {
		return nil
	}
	if err := p.olderThan(now.Add(-p.opts.Retention)); err != nil {
		return err
	}
	if !p.smallAt.IsZero() && time.Since(p.smallAt) < time.Hour {
		return nil
	}
	p.smallAt = time.Now()
	return p.small(now)
}

// olderThan deletes what happened before a time.
func (p *pass) olderThan(before time.Time) error {
	for _, synced := range p.expiring() {
		var oldest perKind
		err := p.st.Read(p.ctx, func(q *db.Queries) error {
			row, err := q.OldestOf(p.ctx, synced)
			oldest = perKind(row)
			return err
		})
		if err != nil {
			return fmt.Errorf("look for old rows: %w", err)
		}
		for _, k := range everything {
			r := rows{synced: synced, before: before.UnixMilli(), upto: all}
			if *k.of(&oldest) >= r.before {
				continue // most passes find nothing to do, and then write nothing
			}
			err := p.jobs(ByAge, func(tx *writer.Tx, t *tally, lim int64) (int64, bool, error) {
				r.lim = lim
				n, err := p.take(tx, t, k, r, ByAge)
				return n, n == lim, err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// expiring says which rows go by age: those that are delivered, and without a remote the
// others too.
func (p *pass) expiring() []int64 {
	if p.opts.Remote {
		return []int64{1}
	}
	return []int64{1, 0}
}

const (
	keepHours     = 35 * 24 * time.Hour  // of usage and latency
	keepDays      = 400 * 24 * time.Hour // the same, by day
	keepAttempts  = 35 * 24 * time.Hour  // push_log, of which push keeps the newest thousand
	keepPositions = 400 * 24 * time.Hour // of logs that nobody wrote to
	keepSessions  = 10_000
)

// small deletes what is beside the events and would grow for ever.
func (p *pass) small(now time.Time) error {
	ctx := context.Background()
	for granularity, keep := range map[string]time.Duration{
		"hour": max(keepHours, min(p.opts.Retention, keepDays)),
		"day":  max(keepDays, p.opts.Retention), // no sum is gone before its calls
	} {
		before := now.Add(-keep).UnixMilli()
		err := p.jobs(ByAge, func(tx *writer.Tx, _ *tally, _ int64) (int64, bool, error) {
			n, err := tx.DeleteUsage(ctx, db.DeleteUsageParams{Granularity: granularity, Before: before})
			if err != nil {
				return 0, false, err
			}
			m, err := tx.DeleteLatency(ctx, db.DeleteLatencyParams{Granularity: granularity, Before: before})
			return n + m, n+m > 0, err
		})
		if err != nil {
			return err
		}
	}
	before := now.Add(-p.opts.Retention).UnixMilli()
	return p.jobs(ByAge, func(tx *writer.Tx, _ *tally, lim int64) (int64, bool, error) {
		if _, err := tx.DeleteOldAttempts(ctx, now.Add(-keepAttempts).UnixMilli()); err != nil {
			return 0, false, err
		}
		if _, err := tx.DeleteOldPositions(ctx, now.Add(-keepPositions).UnixMilli()); err != nil {
			return 0, false, err
		}
		// The last of those that are too many, and all before it.
		last, err := none(tx.SessionFromEnd(ctx, keepSessions))
		if err != nil {
			return 0, false, err
		}
		n, err := tx.DeleteOldSessions(ctx, db.DeleteOldSessionsParams{Before: max(before, last+1), Lim: lim})
		return n, n == lim, err
	})
}
