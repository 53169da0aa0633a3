package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/kon-rad/openclaw-trace/db"
)

// Reader reads the database at a path without a lock, so that it may be open in a
// sidecar, and writes nothing. It is not safe for concurrent use.
type Reader struct {
	path string
	pool *sql.DB
	// Nobody had the database open: what is read is the file, as one that nobody changes.
	still bool
}

// OpenReader refuses a database with another schema than this binary's, since its rows
// cannot be read.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	list, version, err := MigrationStatus(ctx, path)
	if err != nil {
		return nil, err
	}
	switch target := list[len(list)-1].Version; {
	case version > target:
		return nil, newerError(version, target)
	case version == 0:
		return nil, fmt.Errorf("%s is not there or holds nothing yet: OCT_DB_PATH says where the database is", path)
	case version < target:
		return nil, fmt.Errorf("%s has schema version %d, this binary reads %d: start the sidecar, or run openclaw-trace migrate up", path, version, target)
	}
	r := &Reader{path: path}
	return r, r.open()
}

func (r *Reader) open() (err error) {
	_, err = os.Stat(r.path + "-wal")
	r.still = err != nil
	r.pool, err = openReader(r.path)
	return err
}

// Read runs f. A sidecar that has opened the database since is noticed, and its rows seen.
func (r *Reader) Read(ctx context.Context, f func(*db.Queries) error) error {
	if err := r.look(); err != nil {
		return err
	}
	return f(db.New(r.pool))
}

// QuickCheck reads the whole file and returns ErrDamaged with what is wrong.
func (r *Reader) QuickCheck(ctx context.Context) error {
	if err := r.look(); err != nil {
		return err
	}
	err := quickCheck(ctx, r.pool)
	if err != nil && !errors.Is(err, ErrDamaged) && IsDamage(err) {
		return errors.Join(ErrDamaged, err)
	}
	return err
}

// look opens the database anew once there is a log. Before that nothing was changed:
// what is written goes to the log first.
func (r *Reader) look() error {
	if !r.still {
		return nil
	}
	if _, err := os.Stat(r.path + "-wal"); err != nil {
		return nil
	}
	return errors.Join(r.pool.Close(), r.open())
}

// Close ends the reading.
func (r *Reader) Close() error { return r.pool.Close() }

// ReadOnly runs f on the database at path, as a Reader does.
func ReadOnly(ctx context.Context, path string, f func(*db.Queries) error) error {
	r, err := OpenReader(ctx, path)
	if err != nil {
		return err
	}
	return errors.Join(r.Read(ctx, f), r.Close())
}
