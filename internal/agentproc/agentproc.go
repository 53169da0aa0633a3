// Package agentproc watches the agent from outside: its process, and whether the calls
// that it makes still arrive. It also watches what the record itself stands on, the
// volume and the clock. What goes wrong becomes an error event with its evidence: the
// last calls, the last lines of the agent's log, the last readings of the host.
//
// It is not the agent's parent, and this decides what it can say. It sees that a process
// is gone. How the process ended it knows where the kernel tells others than the parent
// (Linux 6.15), from a zombie, from the counter of the OOM killer, or from the agent's
// log; otherwise the event says that it is not known. An agent in a container of its own
// cannot be seen at all: then there are no events, and Status says so.
//
// An event's id is made from what it tells. Told again after a restart of ours it is a
// duplicate, which the database does not take. An event that cannot be stored waits, as
// the event "the volume is read-only" has to.
package agentproc

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Options are the settings of a Watcher.
type Options struct {
	Process      string        // a name, or a regular expression for the command line; "" is OpenClaw's gateway
	PIDFile      string        // instead of looking for the process; with Process both have to fit
	Interval     time.Duration // between two looks
	SilentAfter  time.Duration // how long a busy agent may send no calls; 0 is for ever
	MinFreeBytes int64         // below this the volume is nearly full

	Lines func() []Line // of the agent's log, the last ones, the oldest first; nil if it is not followed
	Log   *slog.Logger

	Root   fs.FS                  // with proc and sys; nil is the system's
	Volume func() (Volume, error) // where the database is; nil asks the kernel
}

// Line is a line of the agent's log.
type Line struct {
	At   time.Time
	Text string
}

const (
	saveEvery = 5 * time.Minute // when nothing changed

	// Looking for the agent reads every process: often while it may just be starting.
	searchOften = 80 // looks
	searchEvery = 4  // looks, after that
	noteAfter   = 8  // looks without the agent, until it is logged

	// An agent that was running when we stopped may start together with us.
	startGrace = time.Minute
)

// Watcher watches. Its methods are safe for concurrent use.
type Watcher struct {
	st     *store.Store
	w      *writer.Writer
	opts   Options
	match  matcher
	real   bool // root is the system's, so that the kernel can be asked about its processes
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended

	mu     sync.Mutex
	status Status

	// What follows belongs to the goroutine.
	id      identity // of the database and of the running system
	memory  memory
	saved   time.Time
	life    life
	oom     oomKills
	silence silence
	clock   clock
	waiting []event // to be stored
}

// identity makes the ids of events.
type identity struct {
	instance string // of the database
	boot     string // of the kernel, and the namespace that pids are from
}

// memory is what outlives us, in the table meta.
type memory struct {
	Boot   string `json:"boot"`
	PID    int    `json:"pid,omitempty"` // of the agent; 0 if it was not running
	Ticks  uint64 `json:"ticks,omitempty"`
	Name   string `json:"name,omitempty"`
	Group  string `json:"group,omitempty"`   // its control group
	SeenAt int64  `json:"seen_at,omitempty"` // Unix ms

	Restarts  []int64 `json:"restarts,omitempty"`   // lately, Unix ms
	LoopSince int64   `json:"loop_since,omitempty"` // Unix ms; 0 without a crash loop
	LoopCount int     `json:"loop_count,omitempty"`

	OOMKills map[string]int64 `json:"oom_kills,omitempty"` // by cgroup
	Episodes map[string]int64 `json:"episodes,omitempty"`  // since when, Unix ms
}

// Status says what is known of the agent's process. Times are Unix ms, 0 for never.
type Status struct {
	Found     bool
	PID       int
	Name      string
	StartedAt int64
	SeenAt    int64
	GoneAt    int64  // when the one before was missed
	Restarts  int    // seen since New
	CrashLoop bool   // it restarts again and again
	Silent    bool   // it is busy, but sends no calls
	Waiting   int    // events that could not be stored yet
	Note      string // why it is not seen, in plain words; "" if it is

	Reading Reading // the last one
}

// Validate returns an error that names the setting at fault.
func (o *Options) Validate() error {
	_, err := newMatcher(o.Process)
	return err
}

// New starts a Watcher on st and w, which have to outlive it.
func New(ctx context.Context, st *store.Store, w *writer.Writer, opts Options) (*Watcher, error) {
	match, err := newMatcher(opts.Process)
	if err != nil {
		return nil, err
	}
	var meta db.AgentMetaRow
	err = st.Read(ctx, func(q *db.Queries) error {
		meta, err = q.AgentMeta(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what was known of the agent: %w", err)
	}
	a := &Watcher{
		st: st, w: w, opts: opts, match: match, real: opts.Root == nil,
		done: make(chan struct{}),
	}
	if a.real {
		a.opts.Root = os.DirFS("/")
	}
	if opts.Volume == nil {
		dir := filepath.Dir(st.Path())
		a.opts.Volume = func() (Volume, error) { return statVolume(dir) }
	}
	a.id = identity{meta.Instance, bootOf(a.opts.Root)}
	a.remember(meta.Agent)
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.cancel = cancel
	go a.run(run)
	return a, nil
}

// remember takes up what an earlier process of ours knew.
func (a *Watcher) remember(text string) {
	m := &a.memory
	now := time.Now()
	known := json.Unmarshal([]byte(text), m) == nil
	switch {
	case known && m.Boot == a.id.boot:
	case known && sameMachine(m.Boot, a.id.boot):
		// Our container was started anew, most likely together with the agent.
		if m.PID != 0 {
			a.life.ended = &ending{
				agent: agent{pid: m.PID, ticks: m.Ticks, name: m.Name}, seen: time.UnixMilli(m.SeenAt), at: now, unseen: true, hidden: true,
			}
		}
		*m = memory{
			Boot: a.id.boot, SeenAt: m.SeenAt, Restarts: m.Restarts, LoopSince: m.LoopSince, LoopCount: m.LoopCount, Episodes: m.Episodes,
		}
	default:
		// A new database, or the machine has started anew: its processes are others.
		*m = memory{Boot: a.id.boot, Episodes: m.Episodes}
	}
	a.status.SeenAt = m.SeenAt
	a.silence.begin(now)
	a.life.begin(m)
}

// Status returns what is known of the agent's process.
func (a *Watcher) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// Members returns the last reading of the agent's process for the metadata of a reading
// of the host, or nil if it is not running.
func (a *Watcher) Members() map[string]float64 {
	s := a.Status()
	if !s.Found {
		return nil
	}
	return s.Reading.Members()
}

// Close ends the goroutine, which writes down what the next Watcher should know: the
// writer has to be open until then. It fails only when ctx ends. The disk, or a process
// that is stuck in the kernel, then has the goroutine wait; it ends when they answer.
func (a *Watcher) Close(ctx context.Context) error {
	a.cancel()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("looking at the agent's process did not end: %w", ctx.Err())
	}
}

// run is the goroutine.
func (a *Watcher) run(ctx context.Context) {
	defer close(a.done)
	defer a.life.release()
	ticker := time.NewTicker(a.opts.Interval)
	defer ticker.Stop()
	for {
		a.tick(ctx, time.Now())
		select {
		case <-ctx.Done():
			a.store()
			a.lose(len(a.waiting))
			a.save(context.Background(), time.Now(), true)
			return
		case <-ticker.C:
		}
	}
}

// tick looks at everything once.
func (a *Watcher) tick(ctx context.Context, now time.Time) {
	a.checkClock(now)
	a.checkVolume(now)
	a.checkProcess(now)
	a.checkSilence(ctx, now)
	a.store()
	a.save(ctx, now, false)
}

// save writes down what the next Watcher should know, if that has changed or is old.
func (a *Watcher) save(ctx context.Context, now time.Time, last bool) {
	if !last && !a.life.changed && now.Sub(a.saved) < saveEvery {
		return
	}
	m := &a.memory
	text, err := json.Marshal(m)
	if err != nil {
		return // it has no values that JSON has not
	}
	ctx, cancel := context.WithTimeout(ctx, writer.MaxWait)
	defer cancel()
	err = a.w.Do(ctx, func(tx *writer.Tx) error { return tx.SetAgentMeta(ctx, string(text)) })
	if err != nil {
		a.opts.Log.Debug("writing down what is known of the agent", "err", err) // the writer says what is wrong
		return
	}
	a.saved, a.life.changed = now, false
}

func (a *Watcher) update(f func(*Status)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.status)
}

// bootOf names the running kernel and the namespace of its pids. Both together say
// whether a pid means what it meant before.
func bootOf(root fs.FS) string {
	id, _ := readSmall(root, "proc/sys/kernel/random/boot_id")
	ns, _ := fs.ReadLink(root, "proc/self/ns/pid")
	return cmp.Or(string(id), "?") + " " + ns
}

// sameMachine tells whether two of bootOf are of the same running kernel.
func sameMachine(a, b string) bool {
	a, _, _ = strings.Cut(a, " ")
	b, _, _ = strings.Cut(b, " ")
	return a == b && a != "?"
}
