package agentproc

import (
	"context"
	"time"
)

// Matches tells whether a process with these arguments would be taken for the agent.
func Matches(process string, args ...string) (bool, error) {
	m, err := newMatcher(process)
	if err != nil {
		return false, err
	}
	return m.args(args), nil
}

// ClockMoved has a judge that the time of day moved by wall while passed went by.
func (a *Watcher) ClockMoved(now time.Time, wall, passed, uptime time.Duration, known bool) {
	a.clockMoved(now, wall, passed, uptime, known)
	a.store()
}

// Tick looks at everything once.
func (a *Watcher) Tick() { a.tick(context.Background(), time.Now()) }

// Search looks through all processes.
func (a *Watcher) Search() bool { return a.search() != nil }

// StatVolume asks the kernel.
func StatVolume(path string) (Volume, error) { return statVolume(path) }
