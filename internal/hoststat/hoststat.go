// Package hoststat stores a reading of the machine every interval: CPU, memory, disk,
// and what explains them.
//
// What is measured is what the agent can use up. In a container that is the container:
// percent of its CPU quota, memory of its limit, from the kernel's accounting of its
// control group (see package cgroup). Elsewhere it is the machine. A systemd service is
// no container: it holds us and not the agent. Each reading says which it was.
//
// What cannot be measured is left out, never 0, and Status says in plain words what is
// missing and why; a log line says it when it changes. Figures that grow are stored as
// the kernel counts them and not as differences, so that a reading that is lost takes
// no other with it. docs/system.md has the names.
//
// CPU time is compared with the monotonic clock, and the pause is counted from the end
// of a reading: neither a clock that is set nor a process that was stopped for a while
// makes a wrong percentage or a burst of readings.
package hoststat

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Options are the settings of a Sampler.
type Options struct {
	Root     fs.FS         // the machine's /; nil is the real one
	DBPath   string        // whose volume's space is measured
	Interval time.Duration // from one reading to the next
	Log      *slog.Logger

	// Extra returns more members of the metadata; nil is none.
	Extra func() map[string]float64
}

// Sampler stores readings. Its methods are safe for concurrent use.
type Sampler struct {
	w    *writer.Writer
	opts Options
	stop chan struct{} // closed by Close
	once sync.Once     // closes it
	done chan struct{} // closed when run has ended

	mu     sync.Mutex
	status Status
	last   db.InsertSystemMetricParams

	// What follows belongs to the goroutine.
	meter meter
	told  string // the reason that was logged last
	lost  string // why the last reading was not stored; "" if it was
}

// Status says how measuring goes.
type Status struct {
	Source string // "cgroup v2", "cgroup v1" or "host"; "" before the first reading
	Reason string // what is not measured and why, in plain words; "" if all is
	At     int64  // of the last reading, Unix ms; 0 before the first
	Lost   int64  // readings that were not stored
}

// New starts a Sampler on w, which has to outlive it. The first reading is an interval
// away, as CPU use is a difference.
func New(w *writer.Writer, opts Options) *Sampler {
	if opts.Root == nil {
		opts.Root = os.DirFS("/")
	}
	s := &Sampler{
		w: w, opts: opts, stop: make(chan struct{}), done: make(chan struct{}),
		meter: newMeter(opts.Root, opts.DBPath, opts.Extra),
	}
	go s.run()
	return s
}

// Close ends the sampling and returns when it has ended or ctx is done: a disk that
// hangs holds up even who asks for its free space. It may be called again.
func (s *Sampler) Close(ctx context.Context) {
	s.once.Do(func() { close(s.stop) })
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

// Status returns how measuring goes.
func (s *Sampler) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Last returns the last reading, whether or not it could be stored, and whether there
// was one. What its pointers point to does not change.
func (s *Sampler) Last() (db.InsertSystemMetricParams, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.status.At != 0
}

// run is the goroutine.
func (s *Sampler) run() {
	defer close(s.done)
	s.meter.begin()
	timer := time.NewTimer(s.opts.Interval)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-timer.C:
			s.step()
			timer.Reset(s.opts.Interval)
		}
	}
}

// step takes a reading and stores it.
func (s *Sampler) step() {
	r := s.meter.read()
	b := &writer.Batch{Readings: []db.InsertSystemMetricParams{r.row}}
	_, err := s.w.Submit(b) // which gives it an id
	s.mu.Lock()
	s.last = b.Readings[0]
	s.status.Source, s.status.Reason, s.status.At = r.source, r.reason, r.row.CreatedAt
	if err != nil && !errors.Is(err, writer.ErrPending) {
		s.status.Lost++
	}
	lost := s.status.Lost
	s.mu.Unlock()
	s.tell(r, err, lost)
}

// tell logs what has changed since the last reading.
func (s *Sampler) tell(r reading, err error, lost int64) {
	switch {
	case r.reason == s.told:
	case r.reason == "":
		s.opts.Log.Info("all of the host is measured again", "source", r.source)
	default:
		s.opts.Log.Warn("not all of the host is measured", "source", r.source, "reason", r.reason)
	}
	s.told = r.reason
	why := ""
	if err != nil {
		why = err.Error()
	}
	switch {
	case why == s.lost:
	case why == "":
		s.opts.Log.Info("readings of the host are stored again", "lost", lost)
	case errors.Is(err, writer.ErrClosed): // who closed it says why
	default:
		s.opts.Log.Warn("a reading of the host could not be stored", "err", err, "lost", lost)
	}
	s.lost = why
}
