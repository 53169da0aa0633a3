package store

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
)

// ErrNoRoom means that others have filled the volume. Rows can still be deleted.
var ErrNoRoom = errors.New("the disk is full; what room the database has set aside is kept for deleting")

// reserve is what lets rows be deleted when others have filled the volume to its last
// byte. A transaction writes to the log, and the log has to be copied into the database
// before it can be written over; the file may have to grow for that. So blocks are set
// aside for both: a whole log, and as many pages at the end of the database as rows may
// add before the log is copied. They are asked for anew whenever it was. When the volume
// has less, the log is copied sooner, and what would add more pages is not stored; when
// it has next to nothing, nothing is stored until it has. Otherwise a copy could fail one
// day, and nothing could be written any more, not even deletions.
//
// It holds where blocks can be set aside (Linux, and not on every file system), and was
// room for them when the database was opened. Elsewhere the log keeps the size it has
// grown to, which helps as long as rows have not made the database grow since the last copy.
type reserve struct {
	db, wal *os.File // descriptors of our own, as long-lived as the connections
	had     bool     // the volume has given it before
	pages   int64    // that the database may have, or 0 for any number
	full    atomic.Bool
}

// Pages that are set aside at the end of the database: the most and the least.
const (
	mostPages  = CheckpointPages
	leastPages = CheckpointPages / 32
)

func (r *reserve) open(path string) (err error) {
	if r.db, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return err
	}
	r.wal, err = os.OpenFile(path+"-wal", os.O_RDWR, 0)
	return err
}

// close comes after the connections: closing a descriptor may cost them their locks.
func (r *reserve) close() {
	for _, f := range []*os.File{r.db, r.wal} {
		if f != nil {
			_ = f.Close() // nothing was written through it
		}
	}
	r.db, r.wal = nil, nil
}

// setAside asks for the reserve, outside of a transaction.
func (s *Store) setAside() {
	r := &s.reserve
	p, err := pages(context.Background(), s.conn.Conn)
	if err != nil {
		return // whoever stores something will be told
	}
	err = allocate(r.wal, CheckpointPages*PageSize)
	r.pages = 0
	for n := int64(mostPages); err == nil && n >= leastPages; n /= 2 {
		grow := max(n-p.Free, 0) // free pages are used first
		if grow > 0 {
			err = allocate(r.db, (p.All+grow)*PageSize)
		}
		if err == nil {
			r.had = true
			s.copyAt = int(n)
			if n < mostPages {
				r.pages = p.All + grow
			}
			break
		}
		if n > leastPages && noSpace(err) {
			err = nil // less may be there
		}
	}
	r.full.Store(r.had && noSpace(err))
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// fits returns ErrNoRoom if the transaction under way adds more pages than were set aside.
func (s *Store) fits() error {
	if s.reserve.pages == 0 {
		return nil
	}
	p, err := pages(context.Background(), s.conn.Conn)
	if err == nil && p.All > s.reserve.pages {
		err = ErrNoRoom
	}
	return err
}

// Full tells whether rows can be deleted but none stored. Any goroutine may ask.
func (s *Store) Full() bool { return s.reserve.full.Load() }
