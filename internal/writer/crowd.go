package writer

import (
	"errors"
	"math"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/store"
)

// errCrowded is what a group is told that waited for room in vain.
var errCrowded = errors.New("the database is as large as it may be, and nothing can be deleted at the moment")

const (
	lookEvery  = 1 << 20     // bytes stored between two looks at the size
	maxCrowded = time.Second // that a group waits for rows to be deleted

	// LeastRoom is how many bytes have to be left where who deletes sees no reason to.
	LeastRoom = 4 << 20
)

// crowd is how it stands while the database is as large as it may be (Growth). Groups
// wait, and jobs go on, among them those that delete. The brake makes this rare: it needs
// many senders that never rest. When nothing is deleted either, groups are refused until
// there is room. The zero value is that there is room.
type crowd struct {
	full     bool
	pages    store.Pages
	since    time.Time // when a group began to wait, or there was less to wait for; zero while none waits
	refusing bool
}

func (c *crowd) inVain() bool { return !c.since.IsZero() && time.Since(c.since) >= maxCrowded }

// due returns when the group that waits will be refused, or zero.
func (c *crowd) due() time.Time {
	if c.since.IsZero() || c.inVain() {
		return time.Time{}
	}
	return c.since.Add(maxCrowded)
}

// room returns how many of the batches that wait may be taken: none as long as the first
// of them would make the database larger than it may be.
func (w *Writer) room() int {
	c := &w.crowd
	w.mu.Lock()
	g, waiting := &w.growth, len(w.queue)
	most, told := g.most, g.told
	if w.closed { // what was let in is stored
		most = nil
	}
	look := most != nil && (c.refusing || waiting > 0 && (c.full || g.since+w.bytes >= lookEvery))
	w.mu.Unlock()
	n := waiting
	if most == nil {
		c.full, n = false, math.MaxInt
	}
	if look {
		p, err := w.st.Pages()
		bytes := p.All * store.PageSize
		left := most(bytes) - bytes + p.Free*store.PageSize
		if c.full = false; err == nil {
			n = w.fitting(left)
			c.full = left < lookEvery || n == 0 && waiting > 0
		}
		if less := p.All < c.pages.All || p.All-p.Free < c.pages.All-c.pages.Free; less && !c.refusing {
			c.since = time.Time{}
		}
		c.pages = p
	}
	switch {
	case !c.full:
		if c.refusing {
			w.report(nil)
		}
		*c = crowd{}
	case waiting == 0 && !c.refusing:
		c.since = time.Time{}
	case c.since.IsZero():
		c.since = time.Now()
	}
	if w.crowded.Swap(c.full) != c.full && c.full {
		select {
		case told <- struct{}{}:
		default: // there is one already
		}
	}
	switch {
	case !c.full:
		return n
	case c.inVain():
		return waiting // to be refused
	}
	return 0
}

// fitting returns how many of the batches that wait take no more than so many bytes. The
// first may take more if that many are left as who deletes leaves at least: it would fit
// at no other time either.
func (w *Writer) fitting(left int64) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.growth.since = 0
	for _, p := range w.queue {
		if p.size > left && (n > 0 || left < LeastRoom) {
			break
		}
		left -= p.size
		n++
	}
	return n
}

// refuse answers the group that there is no room.
func (w *Writer) refuse() {
	w.crowd.refusing = true
	w.report(errCrowded)
	w.answer(w.group, errCrowded)
	if w.unsynced.IsZero() {
		w.unsynced = time.Now() // the sync sees to the log meanwhile
	}
}
