package writer

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// Tally counts what was stored since the process began, for those who watch rates. It
// is no sum of what the database holds: nothing that is deleted or priced anew makes a
// count smaller. It outlives a Writer, so that a database opened anew does not either.
// Its methods are safe for concurrent use; none waits for the disk.
type Tally struct {
	commits histogram
	failed  atomic.Int64

	mu    sync.Mutex // guards what follows; held for no more than the counting
	calls map[[2]string]*Calls
	last  *Calls // the one found last
}

// Calls are those of one model.
type Calls struct {
	Provider, Model string
	ByStatus        map[string]int64 // "ok", "error" and "timeout"

	// Each token counts once: of the input those that no cache was used for, those read
	// from one and those written to one; of the output what is no reasoning, and that.
	Input, CacheRead, CacheWrite, Output, Reasoning int64

	CostNanoUSD         int64
	Unmetered, Unpriced int64 // calls without tokens, and without a cost
	Latency             Distribution
}

// Distribution is a histogram of durations in seconds.
type Distribution struct {
	Bounds []float64 // upper ones, the last of which is not infinity
	Counts []int64   // of each, and of those above; not cumulative
	Sum    float64
}

// Count returns how many there are.
func (d *Distribution) Count() (n int64) {
	for _, c := range d.Counts {
		n += c
	}
	return n
}

var (
	commitBounds  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	latencyBounds = []float64{.25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
)

const (
	// maxTallied is how many models are counted apart. A count that stands alone has to
	// go on so: which ones are many by what came first, not by what is most.
	maxTallied = 50

	// Models called so lately are counted from 0 when the process begins, for the first
	// call of a series that begins with it is no rise.
	tallySince = 7 * day
)

// Other is the provider and the model of calls that are not counted apart.
const Other = "other"

// NewTally returns an empty Tally.
func NewTally() *Tally {
	return &Tally{
		commits: histogram{bounds: commitBounds, counts: make([]atomic.Int64, len(commitBounds)+1)},
		calls:   make(map[[2]string]*Calls),
	}
}

// Calls returns copies of the counts of each model, in the order of their names.
func (t *Tally) Calls() []*Calls {
	t.mu.Lock()
	list := make([]*Calls, 0, len(t.calls))
	for _, c := range t.calls {
		copied := *c
		copied.ByStatus = maps.Clone(c.ByStatus)
		copied.Latency.Counts = slices.Clone(c.Latency.Counts)
		list = append(list, &copied)
	}
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b *Calls) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Model, b.Model))
	})
	return list
}

// Commits returns how long the transactions took that stored events, and how many
// failed.
func (t *Tally) Commits() (took Distribution, failed int64) {
	return t.commits.read(), t.failed.Load()
}

// begin makes the series of models that were called lately.
func (t *Tally) begin(ctx context.Context, q *db.Queries, now int64) error {
	names, err := q.ListUsageNames(ctx, db.ListUsageNamesParams{Since: now - now%day - tallySince, Lim: maxNames})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range names {
		t.of(n.Provider, n.Model)
	}
	return nil
}

// of returns the counts that a call belongs to. t.mu is held.
func (t *Tally) of(provider, model string) *Calls {
	if t.last != nil && t.last.Provider == provider && t.last.Model == model {
		return t.last
	}
	c := t.calls[[2]string{provider, model}]
	if c == nil && len(t.calls) >= maxTallied {
		provider, model = Other, Other
		c = t.calls[[2]string{provider, model}]
	}
	if c == nil {
		provider, model = strings.Clone(provider), strings.Clone(model) // of a request's body
		c = &Calls{
			Provider: provider, Model: model, ByStatus: map[string]int64{"ok": 0, "error": 0, "timeout": 0},
			Latency: Distribution{Bounds: latencyBounds, Counts: make([]int64, len(latencyBounds)+1)},
		}
		t.calls[[2]string{provider, model}] = c
	}
	t.last = c
	return c
}

// add counts the calls that a group stored.
func (t *Tally) add(calls []db.InsertLLMTraceParams, fresh []int) {
	if len(fresh) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, i := range fresh {
		p := &calls[i]
		t.of(p.Provider, p.Model).add(p)
	}
}

func (c *Calls) add(p *db.InsertLLMTraceParams) {
	if n, ok := c.ByStatus[p.Status]; ok {
		c.ByStatus[p.Status] = n + 1
	}
	read, written, reasoning := deref(p.CacheReadTokens), deref(p.CacheWriteTokens), deref(p.ReasoningTokens)
	grow(&c.Input, deref(p.PromptTokens)-read-written)
	grow(&c.CacheRead, read)
	grow(&c.CacheWrite, written)
	grow(&c.Output, deref(p.CompletionTokens)-reasoning)
	grow(&c.Reasoning, reasoning)
	grow(&c.CostNanoUSD, nano(p.CostUSD))
	if unmetered(p) {
		c.Unmetered++
	}
	if p.CostUSD == nil {
		c.Unpriced++
	}
	if p.LatencyMS != nil {
		s := float64(*p.LatencyMS) / 1000
		c.Latency.Counts[bucketOf(latencyBounds, s)]++
		c.Latency.Sum += s
	}
}

// grow adds to a count, which never gets smaller, whatever an emitter says.
func grow(n *int64, by int64) {
	if by > 0 {
		*n += min(by, math.MaxInt64-*n)
	}
}

func bucketOf(bounds []float64, v float64) int {
	i, _ := slices.BinarySearch(bounds, v) // a bound belongs to its bucket
	return i
}

// histogram counts durations without a lock.
type histogram struct {
	bounds []float64
	counts []atomic.Int64
	sum    atomic.Int64 // ns
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(h.bounds, d.Seconds())].Add(1)
	h.sum.Add(int64(d))
}

func (h *histogram) read() Distribution {
	d := Distribution{Bounds: h.bounds, Counts: make([]int64, len(h.counts))}
	for i := range h.counts {
		d.Counts[i] = h.counts[i].Load()
	}
	d.Sum = time.Duration(h.sum.Load()).Seconds()
	return d
}
