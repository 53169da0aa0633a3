// Package janitor keeps the database from filling the disk that it shares with the agent.
//
// It deletes by age and by size, in small jobs between the batches that are stored, and
// gives free pages back to the file system when the file is too large or the volume too
// full. It never makes the file anew, and it deletes nothing that it does not count: a
// row that no remote had is counted in the transaction that deletes it, by kind and
// reason, so that the ledger balances whenever we die.
//
// Age is when something happened (created_at), whenever it arrived. Without a remote
// everything older than the retention goes (outcome expired); with one, what is delivered
// or in quarantine goes, and the rest waits. Nothing goes by age while the clock is in
// doubt (see clock.go).
//
// Size is that of the database and of a whole log (logBytes) together. A database that
// gets too large loses, until it fits again:
//
//  1. what is delivered, the oldest first;
//  2. readings of the host;
//  3. texts of calls, the oldest first, but for the newest thousand calls;
//  4. calls, spans and events, the oldest first, but for the newest thousand calls;
//  5. what is left of both, in the same order;
//  6. errors.
//
// A row that loses its texts keeps its numbers and says so in its metadata, as
// openclaw_trace.content_dropped. Less is left free on the volume than MinFreeBytes
// because of others too, so on that account the database is not made smaller than an
// eighth of MaxDBBytes (the floor). Then, and when something else is in the way, Status
// says why the disk is not kept free.
package janitor

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Options are the settings of a Janitor.
type Options struct {
	Remote       bool          // whether there is one: what it does not have yet stays
	Retention    time.Duration // how long rows stay
	MaxDBBytes   int64         // of the database and its log
	MinFreeBytes int64         // to be left on the volume
	Interval     time.Duration // between two passes
	Log          *slog.Logger

	Free func(path string) (int64, error) // bytes that may still be written; nil asks the volume
	Wall func() time.Time                 // nil is time.Now
}

const (
	firstAfter = time.Second // the start has more urgent things to do

	// How often it is looked whether the volume is short of space, which costs a system
	// call. What is stored here is looked at as it comes (writer.Growth).
	checkEvery = 5 * time.Second
)

// Reasons in the ledger.
const (
	ByAge    = "age"
	ByBudget = "disk budget" // the database was larger than it may be
	BySpace  = "disk space"  // the volume was fuller than it may be
	ByHand   = "pruned by hand"
)

// Janitor deletes. Its methods are safe for concurrent use.
type Janitor struct {
	st     *store.Store
	w      *writer.Writer
	opts   Options
	now    chan chan answer
	grown  <-chan struct{} // holds a token when much was stored; nil without the loop
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended

	mu     sync.Mutex
	status Status

	// What follows belongs to the goroutine.
	clock   clock
	smallAt time.Time // when the tables beside the events were looked at
	pace    pace
	texts   [2]cursor // how far texts were cut away: but for the newest calls, and of all
	told    string    // the reason that was logged last
}

// Status says how it goes. Counts are since the start of the process.
type Status struct {
	LastRun   int64            // Unix ms; 0 for never
	Deleted   map[string]int64 // rows, by reason
	Texts     int64            // calls that lost their texts
	OverBytes int64            // by how much the database is too large, or the volume too full
	Reason    string           // why that is so, in plain words, or ""
	Doubt     string           // why nothing is deleted by age, or ""
}

// Result is what came of a pass.
type Result struct {
	Deleted     map[string]int64 `json:"deleted"`          // rows, by kind
	Undelivered int64            `json:"undelivered"`      // of them, those that no remote had
	Texts       int64            `json:"texts"`            // calls that lost their texts
	Reason      string           `json:"reason,omitempty"` // why there is still too much, or too old
}

type answer struct {
	result Result
	err    error
}

// New starts a Janitor on st and w, which have to outlive it.
func New(ctx context.Context, st *store.Store, w *writer.Writer, opts Options) *Janitor {
	j := newJanitor(st, w, opts)
	j.ctx, j.cancel = context.WithCancel(context.WithoutCancel(ctx))
	j.grown = w.Growth(opts.limit()/32, j.most)
	go j.run()
	return j
}

func newJanitor(st *store.Store, w *writer.Writer, opts Options) *Janitor {
	if opts.Free == nil {
		opts.Free = free
	}
	if opts.Wall == nil {
		opts.Wall = time.Now
	}
	return &Janitor{
		st: st, w: w, opts: opts, now: make(chan chan answer), done: make(chan struct{}),
		status: Status{Deleted: make(map[string]int64)}, pace: pace{rows: 1},
	}
}

// Status returns how it goes.
func (j *Janitor) Status() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.status
	s.Deleted = maps.Clone(s.Deleted)
	return s
}

// Now has a pass begin and returns what came of it; ctx ends the wait, not the pass.
func (j *Janitor) Now(ctx context.Context) (Result, error) {
	a := make(chan answer, 1)
	select {
	case j.now <- a:
	case <-j.done:
		return Result{}, writer.ErrClosed
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	select {
	case a := <-a:
		return a.result, a.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// Close ends what is under way, after the job that has begun, and returns when it has or
// ctx is done.
func (j *Janitor) Close(ctx context.Context) {
	j.cancel()
	select {
	case <-j.done:
	case <-ctx.Done():
	}
}

// run is the goroutine.
func (j *Janitor) run() {
	defer close(j.done)
	defer j.w.Unwatched()
	timer := time.NewTimer(min(firstAfter, j.opts.Interval))
	defer timer.Stop()
	due := time.Now() // of the next whole pass
	for {
		var a chan answer
		whole := false
		select {
		case <-j.ctx.Done():
			return
		case a = <-j.now:
			whole = true
		case <-j.grown:
		case <-timer.C:
			timer.Reset(min(checkEvery, j.opts.Interval))
			if whole = !time.Now().Before(due); !whole && !j.short() {
				continue
			}
		}
		r, err := j.pass(j.ctx, whole)
		if whole {
			due = time.Now().Add(j.opts.Interval)
		}
		if a != nil {
			a <- answer{r, err}
		}
	}
}

// short tells whether it cannot wait for the next pass: the volume is too full, or was
// when rows were to be stored.
func (j *Janitor) short() bool {
	bytes, err := j.opts.Free(j.st.Path())
	return err == nil && bytes < j.opts.MinFreeBytes || j.w.Fault() != ""
}

// pass deletes what is to go. Unless it is a whole one, it only sees to the size.
func (j *Janitor) pass(ctx context.Context, whole bool) (Result, error) {
	p := j.newPass(ctx)
	err := p.mayDelete()
	if err == nil && whole {
		err = p.byAge()
	}
	if err == nil {
		err = p.bySize()
	}
	switch {
	case ctx.Err() != nil:
		return p.result, ctx.Err()
	case errors.Is(err, errLongLog):
		p.problem, err = err.Error(), nil
	case errors.Is(err, writer.ErrClosed), errors.Is(err, store.ErrClosed):
		return p.result, err // so is the janitor, soon
	case err != nil:
		p.problem = "rows cannot be deleted: " + err.Error()
		// What needs the least room in the log comes first next time.
		j.pace.failed()
	}
	p.result.Reason = cmp.Or(p.problem, j.clock.doubt)
	j.finish(&p)
	return p.result, err
}

var errLongLog = errors.New("nothing is deleted as long as the log of the database cannot be emptied, which would only make it longer")

// mayDelete returns errLongLog if rows had better stay.
func (p *pass) mayDelete() error {
	if p.w.Notice() != "" {
		return errLongLog
	}
	return nil
}

// finish publishes what came of a pass, and logs changes.
func (j *Janitor) finish(p *pass) {
	j.mu.Lock()
	j.status.LastRun = j.opts.Wall().UnixMilli()
	j.status.OverBytes = max(p.over, 0)
	j.status.Reason, j.status.Doubt = p.problem, j.clock.doubt
	j.mu.Unlock()
	if len(p.result.Deleted) > 0 || p.result.Texts > 0 {
		j.opts.Log.Debug("rows were deleted", "deleted", p.result.Deleted, "undelivered", p.result.Undelivered, "texts", p.result.Texts)
	}
	// Another number is no other reason.
	reason := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, p.result.Reason)
	if reason == j.told {
		return
	}
	if j.told = reason; reason == "" {
		j.opts.Log.Info("the janitor keeps to its budget again")
	} else {
		j.opts.Log.Warn("the janitor cannot do all that it should", "reason", p.result.Reason)
	}
}

// free returns how much an ordinary user may still write to the volume of path, any amount
// if that does not tell its size, as a tmpfs without a limit does not.
func free(path string) (int64, error) {
	v, err := store.StatVolume(path)
	if err != nil {
		return 0, err
	}
	if v.Blocks == 0 {
		return math.MaxInt64, nil
	}
	return v.AvailableBytes(), nil
}
