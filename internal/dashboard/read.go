package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// memory is what answers took long to find out.
type memory struct {
	mu       sync.Mutex
	store    *store.Store
	revision int64
	sums     *view.SessionSums
}

// of returns what is remembered of a database that is as it was.
func (m *memory) of(s *Session) *view.SessionSums {
	m.mu.Lock()
	defer m.mu.Unlock()
	if revision := s.Writer.Revision(); m.sums == nil || m.store != s.Store || m.revision != revision {
		m.store, m.revision, m.sums = s.Store, revision, new(view.SessionSums)
	}
	return m.sums
}

// read runs f on a View of the database.
func (d *Dashboard) read(ctx context.Context, s *Session, f func(*view.View) error) error {
	known := d.memory.of(s) // before anything is read
	return s.Store.Read(ctx, func(q *db.Queries) error { return f(view.Remembering(q, time.Now(), known)) })
}
