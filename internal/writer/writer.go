// Package writer owns the connection that writes. Everything that is stored goes
// through Submit, which puts a batch in order, queues it, and returns once the
// transaction that holds it has committed: its nil error is the product's promise
// that an event will be there after a crash. Other work on the database is done in
// small jobs between the batches (Do).
//
// One goroutine takes whatever is queued and commits it together. There is no timer
// in this: a lone batch is committed at once, and the batches that arrive meanwhile
// form the next group. A group and its lines of the ledger are one transaction, so
// after a crash they agree; the summaries follow within a second.
//
// The queue is bounded in bytes; when it is full, or nothing has happened for
// MaxWait, Submit says so and the caller is told to send again. Sending again is
// always safe: a row that is there already is counted, not stored.
package writer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
	"github.com/kon-rad/openclaw-trace/internal/redact"
	"github.com/kon-rad/openclaw-trace/internal/store"
)

// MaxWait is how long Submit waits for its commit unless told otherwise.
const MaxWait = 2 * time.Second

// StallAfter is how long one commit may take before Fault says that the disk hangs.
const StallAfter = 5 * time.Second

const (
	// A group is one transaction: large enough for a burst, small enough to answer
	// its first batch soon. A batch is never split, so one may exceed either.
	maxGroupRows  = 2000
	maxGroupBytes = 8 << 20

	// How long commits may stay only in the kernel's memory with synchronous=normal.
	syncEvery = time.Second
)

// Errors of Submit. Any other is what the database said, for the log.
var (
	ErrFull     = errors.New("the queue is full")
	ErrClosed   = errors.New("the writer is closed")
	ErrTimeout  = errors.New("the database did not answer in time; nothing was stored")
	ErrPending  = errors.New("the database did not answer in time; the batch may yet be stored")
	ErrRejected = errors.New("the database does not accept these rows")
)

// Options are the settings of a Writer.
type Options struct {
	MaxTextBytes  int  // of input_text and the like; see Batch
	NoContent     bool // keep no prompts and answers, and only numbers and names of the metadata
	Mask          *redact.Masker
	Prices        *pricing.Table
	MaxQueueBytes int64  // of batches that wait
	Tally         *Tally // nil is one of the Writer's own
	Log           *slog.Logger
}

// A Writer stores batches. Its methods are safe for concurrent use.
type Writer struct {
	st   *store.Store
	opts Options
	wake chan struct{} // holds one token: something changed under mu
	done chan struct{} // closed when the goroutine has ended, after err is set
	err  error

	mu     sync.Mutex // guards the fields up to the next blank line
	queue  []*pending
	bytes  int64  // of queue
	jobs   []*job // that wait for their turn
	counts Counts // of what has no batch: refusals
	booked Counts // those of them that the transaction under way writes down
	growth growth
	books  Books // as of the last commit
	closed bool

	prices   atomic.Pointer[prices]
	fault    atomic.Pointer[string] // of the last group; nil when it was committed
	working  atomic.Int64           // Unix ms since when a transaction is under way, or 0
	revision atomic.Int64
	fileSize atomic.Int64
	walSize  atomic.Int64
	held     atomic.Bool
	crowded  atomic.Bool

	// What follows belongs to the goroutine. Slices are kept for the next group.
	group    []*pending
	calls    []db.InsertLLMTraceParams
	spans    []db.InsertSpanParams
	errors   []db.InsertErrorEventParams
	events   []db.InsertCustomEventParams
	readings []db.InsertSystemMetricParams
	last     db.LastIDsRow // highest ids before the group
	fresh    []int         // indexes of calls that are new
	delta    Counts        // the group's additions to the ledger
	summary  summary       // of calls since the last sync
	unsynced time.Time     // the first commit since the last sync, or zero
	crowd    crowd
}

// growth tells somebody how much was stored.
type growth struct {
	told  chan struct{} // holds one token; nil while nobody wants to know
	every int64
	bytes int64                   // since the last token
	most  func(bytes int64) int64 // that the database may have, given what it has
	since int64                   // bytes since its pages were counted
}

// pending is a batch on its way through the queue.
type pending struct {
	batch *Batch
	size  int64
	taken bool // guarded by Writer.mu; from then on the batch cannot be withdrawn

	// Written by the goroutine before it sends on done.
	receipt Receipt
	err     error
	done    chan struct{} // holds one token
}

// Receipt says what became of a batch's rows.
type Receipt struct {
	Stored     int // new rows
	Duplicates int // rows that were there already, or twice in the batch
}

// New starts a Writer on st, which belongs to it until Close has returned.
func New(st *store.Store, opts Options) (*Writer, error) {
	w := &Writer{
		st: st, opts: opts,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		summary: newSummary(),
	}
	w.prices.Store(newPrices(opts.Prices))
	if w.opts.Tally == nil {
		w.opts.Tally = NewTally()
	}
	err := st.Tx(func(q *db.Queries) error {
		ctx := context.Background()
		if st.MovedAside() != "" {
			moved := db.AddLedgerParams{Kind: KindDatabase, Outcome: MovedAside, Reason: "damaged", N: 1}
			if err := q.AddLedger(ctx, moved); err != nil {
				return err
			}
		}
		lines, err := q.ListLedger(ctx)
		if err != nil {
			return err
		}
		for _, l := range lines {
			w.books.add(Entry{l.Kind, l.Outcome, l.Reason}, l.N)
		}
		if w.last, err = q.LastIDs(ctx); err != nil {
			return err
		}
		if err := w.summary.catchUp(ctx, q, w.last.LLMTrace); err != nil {
			return err
		}
		if err := w.opts.Tally.begin(ctx, q, time.Now().UnixMilli()); err != nil {
			return err
		}
		// A remote knows this database by it.
		return q.SetMetaOnce(ctx, db.SetMetaOnceParams{Key: "instance", Value: uuid.NewString()})
	})
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	w.measure()
	go w.run()
	return w, nil
}

// Books returns the totals as of the last commit, and the refusals since.
func (w *Writer) Books() Books {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.books
	b.addAll(&w.counts)
	b.addAll(&w.booked)
	return b
}

// Revision is another one after what stored calls cost, or which session they are of, was
// changed, or rows were erased: whoever remembers sums of them has to begin anew. That
// calls came, were forwarded, or went by age or size does not change it.
func (w *Writer) Revision() int64 { return w.revision.Load() }

// Tally returns what was counted since the process began.
func (w *Writer) Tally() *Tally { return w.opts.Tally }

// QueueBytes returns the bytes of the batches that wait, and how many there may be.
func (w *Writer) QueueBytes() (waiting, limit int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes, w.opts.MaxQueueBytes
}

// Growth returns a channel that holds a token once about so many bytes were stored since
// the last one, so that who keeps the database small need not ask all the time. A database
// of as many bytes as most says, given what it has, grows no further: what would make it
// waits until rows were deleted, and there is a token for that, too. LeastRoom less is no
// reason to wait. There is one such channel: the last call's, until Unwatched.
func (w *Writer) Growth(every int64, most func(int64) int64) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.growth = growth{told: make(chan struct{}, 1), every: every, most: most, since: lookEvery}
	return w.growth.told
}

// Unwatched says that nobody wants to know any more, so that groups wait for nobody.
func (w *Writer) Unwatched() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.growth = growth{}
}

// grow adds what a group has stored.
func (w *Writer) grow(group []*pending) {
	var bytes int64
	for _, p := range group {
		bytes += p.size
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	g := &w.growth
	g.since += bytes
	if g.bytes += bytes; g.told == nil || g.bytes < g.every {
		return
	}
	select {
	case g.told <- struct{}{}:
		g.bytes = 0
	default: // there is one already
	}
}

// maxBrake is how long a group waits for who keeps the database small.
const maxBrake = 20 * time.Millisecond

// brake waits for a job if rows come in faster than who is told of it can look. One that
// is busy elsewhere delays a group, and stops none.
func (w *Writer) brake() {
	behind := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		g := &w.growth
		return len(g.told) > 0 && g.bytes >= g.every && len(w.jobs) == 0
	}
	if !behind() {
		return
	}
	timeout := time.NewTimer(maxBrake)
	defer timeout.Stop()
	for behind() {
		select {
		case <-w.wake: // what it is for is looked at next in any case
		case <-timeout.C:
			return
		}
	}
}

// Depth returns how many batches wait.
func (w *Writer) Depth() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// Fault returns what is wrong, in words for people, or "": the last transaction
// failed, or one has been under way for StallAfter.
func (w *Writer) Fault() string {
	if since := w.working.Load(); since != 0 {
		if d := time.Since(time.UnixMilli(since)); d >= StallAfter {
			return fmt.Sprintf("writer stalled: the disk has not finished a commit for %d s", int(d.Seconds()))
		}
	}
	if f := w.fault.Load(); f != nil {
		return *f
	}
	return ""
}

// longLog is the size of the log from which Notice tells that it cannot be emptied: with
// half as much again, nothing is stored any more.
const longLog = store.MaxLogBytes / 2

// Notice returns what people should look at although rows are stored, or "".
func (w *Writer) Notice() string {
	if wal := w.walSize.Load(); wal > longLog {
		return fmt.Sprintf("the log of the database cannot be emptied, because another program reads it or the disk is full: %d MiB", wal>>20)
	}
	return ""
}

// Held tells whether nothing is stored because another program's reader keeps so long a log
// from being emptied.
func (w *Writer) Held() bool { return w.held.Load() }

// Crowded tells whether what waits to be stored waits for rows to be deleted.
func (w *Writer) Crowded() bool { return w.crowded.Load() }

// Sizes returns the bytes of the database file and of its log, at most a second old.
func (w *Writer) Sizes() (database, wal int64) { return w.fileSize.Load(), w.walSize.Load() }

func (w *Writer) measure() {
	database, wal := w.st.Sizes()
	w.fileSize.Store(database)
	w.walSize.Store(wal)
	w.held.Store(w.st.Held())
}

// Done is closed when the writer has ended, by Close or by itself; Err then tells why.
func (w *Writer) Done() <-chan struct{} { return w.done }

// Err returns the Fatal error (see store.Classify) that ended the writer, or nil
// after Close. Call it after Done.
func (w *Writer) Err() error { return w.err }

// Count adds c to the ledger without a batch, at the next commit.
func (w *Writer) Count(c *Counts) {
	w.mu.Lock()
	w.counts.AddAll(c)
	w.mu.Unlock()
	w.signal()
}

// Uncounted returns what Count was told and no commit has written down, for the writer
// that follows this one once it has ended.
func (w *Writer) Uncounted() *Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := new(Counts)
	c.AddAll(&w.counts)
	return c
}

// Submit prepares b's rows (see Batch) and stores them, all or none. On nil they
// are committed. After ErrPending the batch is still in use by the writer: neither
// it nor what its strings alias may be changed.
func (w *Writer) Submit(b *Batch) (Receipt, error) {
	b.prepare(time.Now(), &w.opts, w.prices.Load())
	p := &pending{batch: b, size: b.size(), done: make(chan struct{}, 1)}

	w.mu.Lock()
	switch {
	case w.closed:
		w.mu.Unlock()
		return Receipt{}, ErrClosed
	case w.bytes > 0 && w.bytes+p.size > w.opts.MaxQueueBytes:
		w.mu.Unlock()
		return Receipt{}, ErrFull
	}
	w.queue = append(w.queue, p)
	w.bytes += p.size
	w.mu.Unlock()
	w.signal()

	select {
	case <-p.done:
	default:
		wait := MaxWait
		if !b.Deadline.IsZero() {
			wait = time.Until(b.Deadline)
		}
		timeout := time.NewTimer(wait)
		defer timeout.Stop()
		select {
		case <-p.done:
		case <-timeout.C:
			if w.withdraw(p) {
				return Receipt{}, ErrTimeout
			}
			select {
			case <-p.done: // between the two
			default:
				return Receipt{}, ErrPending
			}
		}
	}
	return p.receipt, p.err
}

// withdraw takes p out of the queue unless the writer has taken it.
func (w *Writer) withdraw(p *pending) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.taken {
		return false
	}
	for i, q := range w.queue {
		if q == p {
			w.queue = append(w.queue[:i], w.queue[i+1:]...)
			w.bytes -= p.size
			break
		}
	}
	return true
}

// Close refuses further batches, commits those that wait, and returns when the
// writer has ended or ctx is done. It may be called again.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the disk did not finish the last commit: %w", ctx.Err())
	}
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // there is one already, and what it is for has not been looked at yet
	}
}

// run is the goroutine.
func (w *Writer) run() {
	defer close(w.done)
	timer := time.NewTimer(syncEvery)
	defer timer.Stop()
	for {
		closed := w.take(w.room())
		var err error
		if len(w.group) > 0 && w.crowd.full {
			w.refuse()
		} else if len(w.group) > 0 {
			if err = w.commit(); err == nil {
				w.brake()
			}
		}
		var j *job
		if err == nil {
			if j = w.nextJob(); j == nil && len(w.group) == 0 && !closed && !w.summary.backlog.idle() {
				j = w.sumBacklog()
			}
		}
		if j != nil {
			err = j.run(w)
		} else if closed && len(w.group) == 0 {
			if err := w.sync(); err != nil {
				w.opts.Log.Error("the last sync of the database failed", "err", err)
			}
			return
		}
		due := w.syncDue()
		if err == nil && !due.IsZero() && !time.Now().Before(due) {
			err = w.sync()
			due = w.syncDue()
		}
		if store.Classify(err) == store.Fatal {
			w.end(err)
			return
		}
		if len(w.group) > 0 || j != nil {
			continue
		}
		var tick <-chan time.Time
		if patience := w.crowd.due(); due.IsZero() || !patience.IsZero() && patience.Before(due) {
			due = patience
		}
		if !due.IsZero() {
			timer.Reset(time.Until(due))
			tick = timer.C
		}
		select {
		case <-w.wake:
		case <-tick:
		}
	}
}

// end refuses everything from now on; the store is to be opened anew.
func (w *Writer) end(err error) {
	w.err = err
	// They hold request bodies, and this writer may be kept for its books.
	clear(w.group)
	w.group, w.calls, w.spans, w.errors, w.events, w.readings = nil, nil, nil, nil, nil, nil
	w.mu.Lock()
	w.closed = true
	left := w.queue
	w.queue, w.bytes = nil, 0
	jobs := w.jobs
	w.jobs = nil
	w.mu.Unlock()
	for _, p := range left {
		p.err = ErrClosed
		p.done <- struct{}{}
	}
	for _, j := range jobs {
		j.err = ErrClosed
		j.done <- struct{}{}
	}
}

// take moves the next group, of n batches at most, out of the queue and tells whether it is
// among the last.
func (w *Writer) take(n int) (closed bool) {
	clear(w.group)
	w.group = w.group[:0]
	w.mu.Lock()
	defer w.mu.Unlock()
	var rows int
	var bytes int64
	for _, p := range w.queue[:min(n, len(w.queue))] {
		if len(w.group) > 0 && (rows+p.batch.rows() > maxGroupRows || bytes+p.size > maxGroupBytes) {
			break
		}
		p.taken = true
		rows += p.batch.rows()
		bytes += p.size
		w.group = append(w.group, p)
	}
	rest := copy(w.queue, w.queue[len(w.group):])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	w.bytes -= bytes
	return w.closed && (len(w.group) > 0 || rest == 0)
}

// commit stores the group and answers it. It returns only a Fatal error.
func (w *Writer) commit() error {
	err := w.store(w.group)
	if store.Classify(err) == store.Rejected && len(w.group) > 1 {
		// One of them is at fault and must not take the others with it.
		for i := range w.group {
			err = w.store(w.group[i : i+1])
			if store.Classify(err) == store.Fatal {
				w.answer(w.group[i:], err)
				return err
			}
			w.answer(w.group[i:i+1], err)
		}
		return nil
	}
	w.answer(w.group, err)
	if store.Classify(err) == store.Fatal {
		return err
	}
	return nil
}

func (w *Writer) answer(group []*pending, err error) {
	rejected := store.Classify(err) == store.Rejected
	if rejected {
		w.opts.Log.Error("the database does not accept a batch", "err", err)
		err = ErrRejected
	}
	for _, p := range group {
		if rejected {
			w.Count(p.batch.Refusal("rejected by the database"))
		}
		p.err = err
		p.done <- struct{}{}
	}
}

// store commits group and its books in one transaction, and publishes the books
// before anyone is answered. If the process dies before the commit, nothing of the
// group is there and nobody was told otherwise; after it, all of it is.
func (w *Writer) store(group []*pending) error {
	defer w.reset()
	w.takeCounts()
	begun := time.Now()
	last, now := w.last, begun.UnixMilli()
	w.working.Store(now)
	err := w.st.Tx(func(q *db.Queries) error { return w.insert(q, group) })
	w.held.Store(w.st.Held())
	if err == nil {
		err = w.st.Check()
	}
	w.working.Store(0)
	w.report(err)
	if w.unsynced.IsZero() {
		// After a failure the sync finds out when the disk takes rows again, even if
		// nobody sends any.
		w.unsynced = time.Now()
	}
	if err != nil {
		w.opts.Tally.failed.Add(1)
		w.last = last
		w.putBack()
		return err
	}
	w.opts.Tally.commits.add(time.Since(begun))
	w.opts.Tally.add(w.calls, w.fresh)
	for _, i := range w.fresh {
		w.summary.add(&w.calls[i], now)
	}
	w.publish()
	w.grow(group)
	return nil
}

// takeCounts has the transaction to come write down what Count gathered. putBack
// undoes it, publish completes it.
func (w *Writer) takeCounts() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.booked, w.counts = w.counts, Counts{}
	w.delta.AddAll(&w.booked)
}

func (w *Writer) putBack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts.AddAll(&w.booked)
	w.booked = Counts{}
}

func (w *Writer) publish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.books.addAll(&w.delta)
	w.booked = Counts{}
}

// report remembers the outcome of a transaction for Fault, and logs when it changes.
func (w *Writer) report(err error) {
	was := w.fault.Load()
	switch {
	case err == nil && was != nil:
		w.fault.Store(nil)
		w.opts.Log.Info("the database takes rows again")
	case err != nil && store.Classify(err) != store.Rejected:
		text := err.Error()
		w.fault.Store(&text)
		if was == nil {
			w.opts.Log.Warn("the database takes no rows; senders are told to try again", "err", err)
		}
	}
}

// syncDue returns when sync has to be called, or zero when there is nothing to do.
func (w *Writer) syncDue() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unsynced.IsZero() && len(w.counts.list) > 0 {
		w.unsynced = time.Now()
	}
	if w.unsynced.IsZero() {
		return time.Time{}
	}
	if w.summary.full() {
		return w.unsynced
	}
	return w.unsynced.Add(syncEvery)
}

// sync makes all commits so far durable, and writes down what gathered beside them:
// the summaries, and what Count was told.
func (w *Writer) sync() error {
	if w.syncDue().IsZero() {
		return nil
	}
	defer w.reset()
	w.takeCounts()
	w.working.Store(time.Now().UnixMilli())
	if w.crowd.refusing {
		w.st.CopyBack() // nothing is stored that would have it done
	}
	err := w.st.SyncTx(func(q *db.Queries) error {
		ctx := context.Background()
		if err := w.writeDelta(ctx, q); err != nil {
			return err
		}
		if err := w.summary.write(ctx, q, w.last.LLMTrace); err != nil {
			return fmt.Errorf("add to the summaries: %w", err)
		}
		now := strconv.FormatInt(time.Now().UnixMilli(), 10)
		return q.SetMeta(ctx, db.SetMetaParams{Key: "synced_at", Value: now})
	})
	if err == nil {
		err = w.st.Check()
	}
	w.working.Store(0)
	if err != nil || !w.crowd.refusing {
		w.report(err)
	}
	w.measure()
	if err != nil {
		if store.Classify(err) == store.Rejected {
			// Sums that do not fit would stand in the way of every sync to come.
			w.opts.Log.Error("the summaries lose a second of calls", "err", err)
			w.summary.reset()
		}
		w.putBack()
		w.unsynced = time.Now()
		return err
	}
	w.unsynced = time.Time{}
	if w.crowd.refusing {
		w.unsynced = time.Now() // so that room is noticed that nobody tells of
	}
	w.summary.reset()
	w.publish()
	return nil
}

// reset forgets the group's rows, whose strings may alias request bodies.
func (w *Writer) reset() {
	clear(w.calls)
	clear(w.spans)
	clear(w.errors)
	clear(w.events)
	clear(w.readings)
	w.calls, w.spans, w.fresh = w.calls[:0], w.spans[:0], w.fresh[:0]
	w.errors, w.events, w.readings = w.errors[:0], w.events[:0], w.readings[:0]
	w.delta.reset()
}
