// Package push delivers what is stored to a remote, however long that takes.
//
// A round sends everything that waits, batch by batch; it begins every interval, when a
// full batch waits, and when somebody asks. A batch is marked only after the remote has
// said 2xx, in one transaction with its line of the ledger. If we die in between, that
// batch is sent again with the same ids. What is not delivered stays: there is no limit
// to the number of attempts, only to their frequency.
//
// Memory does not depend on the backlog: one batch is read, encoded and sent at a time,
// and read anew for each attempt.
package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/redact"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Options are the settings of a Pusher.
type Options struct {
	Endpoint    string // URL
	Format      string // json or otlp
	Interval    time.Duration
	Timeout     time.Duration // of an attempt
	MaxBytes    int           // of a batch before compression
	Compression string        // gzip or none
	Headers     map[string]string
	Token       string
	CA          []byte // PEM, besides the system's
	Instance    Instance
	Mask        *redact.Masker // for what the remote says
	Log         *slog.Logger

	Proxy func(*http.Request) (*url.URL, error)                                // nil is none
	Dial  func(ctx context.Context, network, address string) (net.Conn, error) // nil is the network's
}

// Instance says to a remote who sends.
type Instance struct {
	ID      string // of the database; set by New
	Host    string
	AgentID string // "" if not set
	Version string
}

const (
	firstBackoff = time.Second
	maxBackoff   = 5 * time.Minute

	// maxGivenUp is how many events in a row are given up before somebody should look
	// whether the remote rejects anything at all.
	maxGivenUp = 20

	keepPushLog    = 1000   // attempts
	keepQuarantine = 10_000 // events

	checkEvery = time.Second // whether a full batch waits

	lastWords = 500 * time.Millisecond // to write down the last attempt, at the end
)

// Pusher delivers. Its methods are safe for concurrent use.
type Pusher struct {
	st     *store.Store
	w      *writer.Writer
	opts   Options
	client *client
	now    chan chan Result
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when run has ended
	cancel context.CancelFunc

	mu     sync.Mutex
	status Status

	// What follows belongs to the goroutine.
	batch    batch
	pace     int               // rows that a batch may have, for a slow connection
	searches map[string]search // by kind, for errors come in between
	settled  map[string]int64  // by kind: the last row that was delivered or given up; 0 if not known
	given    int64             // in quarantine at the last look
	failures int               // attempts in a row
	givenUp  int               // events in a row
	failedAt time.Time
	told     string // the kind of reason that was logged last
}

// search is how far it is known which events of a batch the remote rejects. The zero
// value is that nothing was rejected.
type search struct {
	limit    int // of the next batch's rows; 0 for maxBatch
	suspects int // rows of the rejected batch that are not delivered yet
}

// Status says how delivery goes. Times are Unix ms, 0 for never.
type Status struct {
	LastAttempt int64
	LastSuccess int64
	NextAttempt int64  // not before; 0 while an attempt is under way
	LastError   string // in plain words; "" after a success
	Refused     bool   // nothing will be taken until somebody changes a setting
	Failures    int    // attempts in a row
	Oldest      int64  // when the oldest event that waits happened; 0 if none waits
	Attempts    int64  // since New
	Failed      int64  // of those
}

// Result is what came of a round.
type Result struct {
	Delivered   int64  `json:"delivered"`
	Quarantined int64  `json:"quarantined"`
	Pending     int64  `json:"pending"`
	Error       string `json:"error,omitempty"` // why it ended before all was delivered
}

// Validate returns an error that names the setting at fault.
func (o *Options) Validate() error {
	if _, err := newClient(*o); err != nil {
		return fmt.Errorf("OCT_PUSH_CA_FILE: %w", err)
	}
	return nil
}

// New starts a Pusher on st and w, which have to outlive it.
func New(ctx context.Context, st *store.Store, w *writer.Writer, opts Options) (*Pusher, error) {
	c, err := newClient(opts)
	if err != nil {
		return nil, err
	}
	var meta db.PushMetaRow
	err = st.Read(ctx, func(q *db.Queries) error {
		meta, err = q.PushMeta(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the instance's id: %w", err)
	}
	opts.Instance.ID = meta.Instance
	p := &Pusher{
		st: st, w: w, opts: opts, client: c, pace: maxBatch, searches: make(map[string]search), settled: make(map[string]int64),
		now: make(chan chan Result), stop: make(chan struct{}), done: make(chan struct{}),
	}
	p.batch = batch{enc: newEncoder(opts), maxSize: opts.MaxBytes}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	go p.run(run)
	return p, nil
}

func newEncoder(opts Options) encoder {
	if opts.Format == "otlp" {
		return newOTLPEncoder(opts.Endpoint, opts.Instance)
	}
	return &jsonEncoder{url: opts.Endpoint, instance: opts.Instance}
}

// Status returns how delivery goes.
func (p *Pusher) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Now has a round begin, waiting for neither interval nor backoff, and returns what came
// of it; ctx ends the wait, not the round.
func (p *Pusher) Now(ctx context.Context) (Result, error) {
	answer := make(chan Result, 1)
	select {
	case p.now <- answer:
	case <-p.done:
		return Result{}, writer.ErrClosed
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	select {
	case r := <-answer:
		return r, nil
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// Close ends the loop and delivers what it can until ctx is done. It does not wait for a
// disk that does not answer.
func (p *Pusher) Close(ctx context.Context) Result {
	close(p.stop)
	last := make(chan Result, 1)
	go func() {
		stop := context.AfterFunc(ctx, p.cancel)
		defer stop()
		<-p.done
		defer p.cancel()
		r, _ := p.round(ctx, nil)
		p.client.http.CloseIdleConnections()
		last <- r
	}()
	select {
	case r := <-last:
		return r
	case <-ctx.Done():
	}
	// What is under way ends with ctx, and only writes down what came of it.
	select {
	case r := <-last:
		return r
	case <-time.After(lastWords):
		return Result{Pending: p.w.Books().Pending(), Error: errStopped.Error()}
	}
}

// run is the goroutine.
func (p *Pusher) run(ctx context.Context) {
	defer close(p.done)
	timer := time.NewTimer(min(checkEvery, p.opts.Interval))
	defer timer.Stop()
	due := time.Now() // what an earlier process left has waited long enough
	for {
		var answer chan Result
		select {
		case <-p.stop:
			return
		case answer = <-p.now:
		case <-timer.C:
			left := time.Until(due)
			if full := p.failures == 0 && p.w.Books().Pending() >= maxBatch; left > 0 && !full {
				timer.Reset(min(left, checkEvery))
				continue
			}
		}
		p.update(func(s *Status) { s.NextAttempt = 0 })
		result, wait := p.round(ctx, p.stop)
		if wait == 0 {
			wait = jitter(p.opts.Interval)
		}
		due = time.Now().Add(wait)
		if p.failures == 0 {
			wait = min(wait, checkEvery)
		}
		timer.Reset(wait)
		p.update(func(s *Status) { s.NextAttempt = due.UnixMilli() })
		if answer != nil {
			answer <- result
		}
	}
}

// jitter spreads instances that were started together: within a tenth.
func jitter(d time.Duration) time.Duration {
	return d - d/20 + time.Duration(rand.Int64N(int64(d/10)+1))
}

// round sends all that waits. It ends early when the remote does not take it, and then
// says how long to leave it alone, or once stop is closed.
func (p *Pusher) round(ctx context.Context, stop <-chan struct{}) (r Result, wait time.Duration) {
	defer func() { r.Pending = p.w.Books().Pending() }()
	for {
		select {
		case <-stop:
			return r, 0
		default:
		}
		if err := ctx.Err(); err != nil {
			r.Error = errStopped.Error()
			return r, 0
		}
		more, wait, err := p.step(ctx, &r)
		if err != nil {
			r.Error = err.Error()
			return r, wait
		}
		if !more {
			return r, 0
		}
	}
}

// step reads a batch, sends it, and writes down what came of it.
func (p *Pusher) step(ctx context.Context, r *Result) (more bool, wait time.Duration, err error) {
	k, err := p.next(ctx)
	if err == nil && k != nil {
		err = p.mayMark(ctx)
	}
	if err != nil {
		return false, p.unable(ctx, err), err
	}
	if k == nil {
		// There is nothing to leave the remote alone with: what comes next is tried at once.
		p.failures, p.told = 0, ""
		p.update(func(s *Status) { s.Failures = 0 })
		return false, 0, nil
	}
	b := &p.batch
	quarantined := p.w.Books().Quarantined
	if quarantined < p.given {
		clear(p.settled) // they wait again, before what was settled since
	}
	p.given = quarantined
	b.kind, b.limit = k, min(p.pace, cmp.Or(p.searches[k.name].limit, maxBatch))
	var meta db.PushMetaRow
	err = p.st.Read(ctx, func(q *db.Queries) error {
		if err := b.fill(ctx, q, p.settled[k.name]); err != nil {
			return err
		}
		meta, err = q.PushMeta(ctx)
		return err
	})
	if err != nil {
		err = fmt.Errorf("read what is to be delivered: %w", err)
		return false, p.unable(ctx, err), err
	}
	if len(b.ids) == 0 {
		p.settled[k.name] = 0 // what waits was released from quarantine, or is deleted by now
		return true, 0, nil
	}
	id := b.batchID(p.opts.Instance.ID)
	began := time.Now()
	v, _ := p.client.send(ctx, b.enc.finish(envelope{id, meta.Sequence + 1, p.w.Books()}), id, func(body []byte) (int64, string) {
		return b.enc.accepted(k.name, body)
	})
	v.reason = p.opts.Mask.Mask(v.reason, nil)
	if ctx.Err() != nil && v.outcome != delivered {
		return false, 0, errStopped
	}
	return p.settle(v, r, meta.Sequence+1, began)
}

var errStopped = errors.New("there was no time left")

// mayMark returns an error when what is sent could not be written down, because somebody
// reads the database and the log gets too long.
func (p *Pusher) mayMark(ctx context.Context) error {
	if !p.w.Held() {
		return nil
	}
	// A job copies the log if it can be by now.
	if err := p.w.Do(ctx, func(*writer.Tx) error { return nil }); err != nil {
		return err
	}
	if p.w.Held() {
		return store.ErrHeld
	}
	return nil
}

// next returns the kind whose turn it is, or nil.
func (p *Pusher) next(ctx context.Context) (k *kind, err error) {
	var since int64
	err = p.st.Read(ctx, func(q *db.Queries) error {
		oldest, err := q.OldestPending(ctx)
		if err != nil {
			return err
		}
		k = nextKind(&oldest)
		if k == nil {
			return nil
		}
		since = k.oldest(&oldest)
		for i := range kinds {
			since = min(since, kinds[i].oldest(&oldest))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for what is to be delivered: %w", err)
	}
	p.update(func(s *Status) { s.Oldest = since })
	return k, nil
}

// settle writes down what came of an attempt and decides what is next. It is not to be
// interrupted: the remote may have the batch.
func (p *Pusher) settle(v verdict, r *Result, sequence int64, began time.Time) (more bool, wait time.Duration, err error) {
	ctx := context.Background()
	b, now := &p.batch, time.Now()
	entry := db.AddPushLogParams{CreatedAt: began.UnixMilli(), Status: "error", DurationMS: new(now.Sub(began).Milliseconds())}
	if v.reason != "" {
		entry.ErrorMessage = &v.reason
	}
	giveUp := v.outcome == rejected && len(b.ids) == 1
	var n int64
	err = p.w.Do(ctx, func(tx *writer.Tx) error {
		n = 0
		switch {
		case v.outcome == delivered:
			for _, id := range b.ids {
				marked, err := b.kind.mark(ctx, tx, id, now.UnixMilli())
				if err != nil {
					return err
				}
				n += marked
			}
			tx.Count(writer.Entry{Kind: b.kind.name, Outcome: writer.Delivered}, n)
			if p.opts.Format != "otlp" { // which has no such number
				if err := tx.SetSequence(ctx, strconv.FormatInt(sequence, 10)); err != nil {
					return err
				}
			}
			entry.Status, entry.EventsPushed = "ok", n
		case giveUp:
			if n, err = b.kind.giveUp(ctx, tx, b.ids[0]); err != nil {
				return err
			}
			if err := quarantine(ctx, tx, b.kind.name, b.traceIDs[0], v.reason, now, n); err != nil {
				return err
			}
		}
		if err := tx.AddPushLog(ctx, entry); err != nil {
			return err
		}
		return tx.TrimPushLog(ctx, keepPushLog)
	})
	if err != nil {
		err = fmt.Errorf("write down what was delivered: %w", err)
		return false, p.unable(ctx, err), err
	}
	p.update(func(s *Status) {
		s.LastAttempt, s.LastError = began.UnixMilli(), v.reason
		s.Refused = v.outcome == refused
		s.Attempts++
		if v.outcome == delivered {
			s.LastSuccess = now.UnixMilli()
		} else {
			s.Failed++
		}
	})

	s := p.searches[b.kind.name]
	switch v.outcome {
	case delivered:
		p.pace = min(p.pace+p.pace/4+1, maxBatch)
		r.Delivered += n
		p.recovered()
		p.givenUp = 0
		p.settled[b.kind.name] = b.ids[len(b.ids)-1]
		left := max(s.suspects-len(b.ids), 0) // what was rejected is among them
		p.searches[b.kind.name] = search{left, left}
		return true, 0, nil
	case rejected:
		if !giveUp {
			p.searches[b.kind.name] = search{(len(b.ids) + 1) / 2, len(b.ids)}
			return true, 0, nil
		}
		r.Quarantined += n
		p.settled[b.kind.name] = b.ids[0]
		left := max(s.suspects-1, 0)
		p.searches[b.kind.name] = search{left, left}
		p.opts.Log.Warn("the remote rejects an event; it is put into quarantine", "kind", b.kind.name, "trace_id", b.traceIDs[0], "reason", v.reason)
		if p.givenUp++; p.givenUp < maxGivenUp {
			return true, 0, nil
		}
		p.givenUp = 0
		v.reason = "the remote rejects every event: " + v.reason
		fallthrough
	case refused:
		p.failed(v.reason)
		p.update(func(s *Status) { s.Refused, s.LastError = true, v.reason })
		return false, maxBackoff, errors.New(v.reason)
	}
	if v.slow {
		p.pace = max(len(b.ids)/2, 1) // fewer may get through in time
	}
	p.failed(v.reason)
	return false, p.backoff(v.after), errors.New(v.reason)
}

// backoff returns how long to wait after a failure: as long as the remote asks for, or
// exponentially longer each time with full jitter, so that many instances do not come
// back together.
func (p *Pusher) backoff(asked time.Duration) time.Duration {
	if asked > 0 {
		return asked + rand.N(asked/10+1)
	}
	limit := maxBackoff
	if p.failures < 10 {
		limit = min(limit, firstBackoff<<p.failures)
	}
	return max(rand.N(limit), 100*time.Millisecond)
}

// unable is for when our own database is at fault, and returns how long to wait: what
// cannot be marked must not be sent again and again. At the end nothing is at fault.
func (p *Pusher) unable(ctx context.Context, err error) time.Duration {
	if ctx.Err() == nil && !errors.Is(err, writer.ErrClosed) && !errors.Is(err, store.ErrClosed) {
		p.failed(err.Error())
		p.update(func(s *Status) { s.LastError = err.Error() })
	}
	return p.backoff(0)
}

// failed and recovered log changes, not attempts.
func (p *Pusher) failed(reason string) {
	if p.failures == 0 {
		p.failedAt = time.Now()
	}
	p.failures++
	p.update(func(s *Status) { s.Failures = p.failures })
	if kind := kindOf(reason); kind != p.told {
		p.told = kind
		p.opts.Log.Warn("events are not delivered; they are kept", "reason", reason, "attempts", p.failures)
	}
}

// kindOf returns what is the same of a reason each time: without the text of the remote,
// which may name each request, and without numbers, such as of ports.
func kindOf(reason string) string {
	kind, _, _ := strings.Cut(reason, ": ")
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, kind)
}

func (p *Pusher) recovered() {
	if p.failures == 0 {
		return
	}
	p.opts.Log.Info("events are delivered again", "attempts", p.failures, "after", time.Since(p.failedAt).Round(time.Millisecond).String())
	p.failures, p.told = 0, ""
	p.update(func(s *Status) { s.Failures = 0 })
}

func (p *Pusher) update(f func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.status)
}
