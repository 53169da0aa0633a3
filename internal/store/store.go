// Package store opens the database and keeps it trustworthy: the lock, the file's
// identity, the settings of its connections, the schema's version. It alone imports
// the SQLite driver and goose.
//
// A Store is one connection that writes and a few that only read. The writing
// connection belongs to one goroutine (internal/writer), so that nothing ever waits
// for SQLite's write lock inside this process, and statements stay prepared.
//
// What a commit means (https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous):
// the rows are in the write-ahead log and survive the end of the process in any
// form. With synchronous=normal the log is synced to the disk by SyncTx, which the
// writer calls once a second while there is something to sync, and before it is
// copied into the database; with synchronous=full by every commit. A power cut loses
// at most what was not synced, and never tears the database.
//
// When a sync fails, the kernel forgets which pages were not written (Rebello et
// al., "Can Applications Recover from fsync Failures?", ATC '20). Such a Store is
// closed and the file opened anew, which reads back what the disk really has; see
// Classify.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/kon-rad/openclaw-trace/db"
)

// Options say which database to open and how.
type Options struct {
	Path        string
	Synchronous string // "normal" or "full"
	MovedAside  string // where MoveAside has put a damaged database just now, or ""
	Log         *slog.Logger
}

// Store is an open database. Tx, SyncTx and Check belong to the goroutine that
// writes; Read and QuickCheck may be called by any.
type Store struct {
	path     string
	opts     Options
	lock     *os.File
	file     identity
	writers  *sql.DB // of one connection
	conn     *conn   // that connection
	queries  *db.Queries
	readers  *sql.DB
	reading  sync.RWMutex // held by Read; Close waits for it
	closing  context.Context
	close    context.CancelFunc // ends closing
	copyAt   int                // pages written that make the next checkpoint due
	held     bool               // the log is as long as it may be, and cannot be copied
	reserve  reserve
	pragmas  map[string]string
	tables   []string
	version  int64
	unclean  bool
	movedOff string
}

func init() {
	// Both only exist on Linux, where they are wanted. OFD locks survive any other
	// close of the file in this process; fdatasync(2) leaves out only timestamps.
	if runtime.GOOS == "linux" {
		_, _ = sqlite.OFDLocking(true)
		_, _ = sqlite.Fdatasync(true)
	}
}

// Open locks, creates or recovers, and migrates the database. A file of ours that is
// damaged is moved aside, whole, and a new one started; any other file is refused
// and left untouched. Errors are or wrap ErrInUse, ErrForeign, ErrNewer, a
// *MigrationError, or what the file system said.
func Open(ctx context.Context, opts Options) (*Store, error) {
	s, err := openLocked(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", opts.Path, err)
	}
	return s, nil
}

func openLocked(ctx context.Context, opts Options) (*Store, error) {
	held, err := lock(opts.Path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: opts.Path, opts: opts, lock: held, movedOff: opts.MovedAside, copyAt: CheckpointPages}
	s.closing, s.close = context.WithCancel(context.Background())
	err = s.open(ctx)
	// Once only: a new file that is damaged at once must not take the old one's place.
	if IsDamage(err) && opts.MovedAside == "" {
		opts.Log.Warn("the database cannot be opened", "path", opts.Path, "err", err)
		s.closeConns()
		if s.movedOff, err = moveDamaged(opts.Path, opts.Log); err == nil {
			err = s.open(ctx)
		}
	}
	if err != nil {
		s.closeConns()
		err = errors.Join(err, held.Close())
		if s.movedOff != "" {
			err = &MovedError{To: s.movedOff, Err: err}
		}
		return nil, err
	}
	return s, nil
}

// MoveAside puts a database that turned out to be damaged while it was open out of the
// way, and returns where. Call it once for each time that this happens: it removes what
// it had put there before.
func MoveAside(path string, log *slog.Logger) (string, error) {
	held, err := lock(path)
	if err != nil {
		return "", err
	}
	defer held.Close()
	return moveDamaged(path, log)
}

func moveDamaged(path string, log *slog.Logger) (string, error) {
	to, err := moveAside(path, "corrupt", log)
	if err == nil {
		log.Error("the database is damaged and is moved aside", "path", path, "to", to)
	}
	return to, err
}

// prepare makes sure that SQLite finds a database of ours at path, if an empty one.
func prepare(path string, log *slog.Logger) error {
	st, err := inspect(path)
	if err != nil || st == ours {
		return err
	}
	if orphans(path) {
		to, err := moveAside(path, "orphan", log)
		if err != nil {
			return err
		}
		log.Warn("a log without its database was moved aside", "path", to)
	}
	return create(path)
}

func (s *Store) open(ctx context.Context) (err error) {
	if err := prepare(s.path, s.opts.Log); err != nil {
		return err
	}
	// A clean stop leaves no log.
	info, err := os.Stat(s.path + "-wal")
	s.unclean = err == nil && info.Size() > 0
	if s.unclean {
		// Closing a database after a look at it would copy its log back.
		if err := refuseNewer(ctx, s.path); err != nil {
			return err
		}
	}
	if s.file, _, err = identify(s.path); err != nil {
		return err
	}
	settings := writerSettings(s.opts.Synchronous)
	if s.writers, err = open(s.path, "_txlock=immediate", setup(settings), false); err != nil {
		return err
	}
	s.writers.SetMaxOpenConns(1)
	if s.version, err = migrateUp(ctx, s.writers); err != nil {
		return err
	}
	c, err := s.writers.Conn(ctx)
	if err != nil {
		return err
	}
	s.conn = &conn{Conn: c, stmts: make(map[string]*sql.Stmt)}
	s.queries = db.New(s.conn)
	if s.pragmas, err = verify(ctx, c, settings); err != nil {
		return err
	}
	if s.tables, err = tables(ctx, c); err != nil {
		return err
	}
	if s.readers, err = open(s.path, "", setup(readerSettings), true); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(3)
	s.readers.SetMaxIdleConns(1)
	if _, err = verify(ctx, s.readers, readerSettings); err != nil {
		return err
	}
	if err := s.reserve.open(s.path); err != nil {
		return err
	}
	s.setAside()
	return nil
}

// Path returns the path of the database as it was given.
func (s *Store) Path() string { return s.path }

// Version returns the schema's version.
func (s *Store) Version() int64 { return s.version }

// Pragmas returns the writer's settings as SQLite reports them.
func (s *Store) Pragmas() map[string]string { return s.pragmas }

// Tables returns the names of the tables, SQLite's own left out.
func (s *Store) Tables() []string { return s.tables }

// Unclean tells whether the last user of the file did not close it.
func (s *Store) Unclean() bool { return s.unclean }

// MovedAside returns where Open put a damaged database, or "".
func (s *Store) MovedAside() string { return s.movedOff }

// Sizes returns the bytes of the database file and of its log, from the file system.
func (s *Store) Sizes() (database, wal int64) {
	if _, size, err := identify(s.path); err == nil {
		database = size
	}
	if _, size, err := identify(s.path + "-wal"); err == nil {
		wal = size
	}
	return database, wal
}

// Tx runs f in a transaction that takes the write lock at once, and commits it
// unless f fails. Nobody can cancel it: the rows of one caller share it with those
// of others. What it returns is for Classify; a Fatal error may come after the commit.
func (s *Store) Tx(f func(*db.Queries) error) error {
	if s.Full() {
		if s.setAside(); s.Full() {
			return ErrNoRoom
		}
	}
	if s.held {
		if err := s.copyLog(nil, s.copyAt); err != nil {
			return err
		}
		if s.held {
			return ErrHeld
		}
	}
	err := s.tx(func(q *db.Queries) error {
		if err := f(q); err != nil {
			return err
		}
		return s.fits()
	})
	return s.copyLog(err, s.copyAt)
}

// Held tells whether a reader keeps so long a log from being copied that no rows are
// stored. It belongs to the goroutine that writes.
func (s *Store) Held() bool { return s.held }

// LastTx is Tx for what is to be possible when the volume is full: deleting, and what
// leads to it. It returns ErrHeld only when the log is as long as it can be.
//
// After it, the log is copied when it has a quarter of its pages: those that are changed
// lie apart, unlike those of new rows, so that a whole log of them takes several times as
// long, and rows would wait for that.
func (s *Store) LastTx(f func(*db.Queries) error) error {
	if s.held {
		if err := s.copyLog(nil, s.copyAt); err != nil {
			return err
		}
		if _, wal := s.Sizes(); s.held && wal > MaxLogBytes {
			return ErrHeld
		}
	}
	err := s.tx(f)
	due := s.copyAt
	if due <= CheckpointPages { // else a reader has held a whole log, and each try is in vain
		due = min(due, CheckpointPages/4)
	}
	return s.copyLog(err, due)
}

// copyLog has the log copied if it has so many pages, after a transaction whose error it
// returns.
func (s *Store) copyLog(err error, due int) error {
	if isFull(err) || errors.Is(err, ErrNoRoom) {
		// The log may be all that has no room, and it can be written over once it is copied.
		due = 0
	} else if err != nil {
		return err
	}
	if s.held {
		due = 0 // its reader may have gone
	}
	next, copied, fault := copyBack(context.Background(), s.conn.Conn, due)
	if Classify(fault) == Fatal {
		return errors.Join(err, fmt.Errorf("checkpoint: %w", fault))
	}
	switch {
	case copied:
		s.copyAt, s.held = next, false
		s.setAside()
	case next != due: // it was due
		s.copyAt = next
		_, wal := s.Sizes()
		s.held = wal > MaxLogBytes*3/4
	}
	// A disk that is full, say, may leave the log as it is, and rows go on into it.
	if fault != nil {
		s.opts.Log.Warn("the log cannot be copied into the database; it grows until it can", "err", fault)
	}
	return err
}

func (s *Store) tx(f func(*db.Queries) error) error {
	tx, err := s.conn.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // fails, as it should, once Commit has been called
	if err := f(s.queries); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// SyncTx is Tx with a sync of the log to the disk at its commit, which takes all
// earlier commits with it. A checkpoint would not: a reader can hold it back.
func (s *Store) SyncTx(f func(*db.Queries) error) error {
	if s.opts.Synchronous == "full" {
		return s.Tx(f)
	}
	ctx := context.Background()
	if err := setSynchronous(ctx, s.conn.Conn, "full"); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	err := s.Tx(f)
	return errors.Join(err, setSynchronous(ctx, s.conn.Conn, "normal"))
}

// SecureTx is LastTx, and what it deletes or replaces is overwritten in the database, once
// the log has been copied there.
func (s *Store) SecureTx(f func(*db.Queries) error) error {
	ctx := context.Background()
	if err := setSecureDelete(ctx, s.conn.Conn, "ON"); err != nil {
		return fmt.Errorf("secure delete: %w", err)
	}
	err := s.LastTx(f)
	return errors.Join(err, setSecureDelete(ctx, s.conn.Conn, "OFF"))
}

// Pages counts pages of the database.
type Pages struct {
	All  int64
	Free int64 // of those, how many hold nothing and are used again before the file grows
}

// Pages belongs to the goroutine that writes. In a transaction it counts what that has
// done so far.
func (s *Store) Pages() (Pages, error) { return pages(context.Background(), s.conn.Conn) }

// ReadPages is Pages as of the last commit, for any goroutine. It ends as Read does.
func (s *Store) ReadPages(ctx context.Context) (p Pages, err error) {
	err = s.read(ctx, func(ctx context.Context, c *sql.Conn) error {
		p, err = pages(ctx, c)
		return err
	})
	return p, err
}

// Shrinks tells whether free pages can be given back to the file system. A file that
// was not made here may lack auto_vacuum, which cannot be had later.
func (s *Store) Shrinks() bool { return s.pragmas["auto_vacuum"] == "2" }

// GiveBack takes up to n free pages out of the database, in the transaction under way.
// The file gets shorter when the log is copied back.
func (s *Store) GiveBack(n int64) error { return giveBack(context.Background(), s.conn.Conn, n) }

// CopyBack has the transaction under way copy the log into the database once it is
// committed, however short the log is.
func (s *Store) CopyBack() { s.copyAt = 0 }

// Rewrite makes the file anew from its rows and empties the log, so that nothing is left of
// what was deleted or replaced. It takes as much room again while it runs, beside the
// database and among the temporary files, and seconds for hundreds of megabytes. ErrHeld means that another program reads the database, so
// that the log still has what was there.
func (s *Store) Rewrite() error {
	ctx := context.Background()
	if err := vacuum(ctx, s.conn.Conn); err != nil {
		if noTempDir(err) {
			err = fmt.Errorf("there is no folder for a temporary file of the database's size; set SQLITE_TMPDIR to one that can be written to: %w", err)
		}
		return fmt.Errorf("make the file anew: %w", err)
	}
	held, err := truncateWAL(ctx, s.conn.Conn)
	if err == nil && held {
		err = ErrHeld
	}
	s.setAside() // the log was cut short
	return errors.Join(err, setBusyTimeout(ctx, s.conn.Conn))
}

// Check returns ErrReplaced when the path no longer leads to the open file, or to
// one that was cut short. SQLite notices neither: it goes on writing to a file that
// has no name any more. Call it between a commit and its answer.
func (s *Store) Check() error {
	now, size, err := identify(s.path)
	if err != nil || now != s.file || size == 0 {
		return errors.Join(ErrReplaced, err)
	}
	return nil
}

// ReadTimeout is how long a reader may take. While it reads, the log cannot be emptied.
const ReadTimeout = 5 * time.Second

// Read runs f on a connection that cannot write. Its statements end with ctx, after
// ReadTimeout, and when the store is closed, which waits for f to return; after that
// Read returns ErrClosed.
func (s *Store) Read(ctx context.Context, f func(*db.Queries) error) error {
	return s.read(ctx, func(ctx context.Context, c *sql.Conn) error { return f(db.New(&reader{c, ctx})) })
}

func (s *Store) read(ctx context.Context, f func(context.Context, *sql.Conn) error) error {
	s.reading.RLock()
	defer s.reading.RUnlock()
	if s.readers == nil {
		return ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, ReadTimeout)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	c, err := s.readers.Conn(ctx)
	if err == nil {
		defer c.Close() // gives it back
		err = f(ctx, c)
	}
	if err != nil && s.closing.Err() != nil {
		return errors.Join(ErrClosed, err)
	}
	return err
}

// QuickCheck reads the whole file and returns ErrDamaged with what is wrong.
func (s *Store) QuickCheck(ctx context.Context) error {
	err := quickCheck(ctx, s.readers)
	if err != nil && !errors.Is(err, ErrDamaged) && IsDamage(err) {
		return errors.Join(ErrDamaged, err)
	}
	return err
}

// Close ends the readers, copies the log into the database, removes it, and frees the
// lock. QuickCheck must have ended. After a Fatal error it may report one more.
func (s *Store) Close() error {
	s.close()
	s.reading.Lock()
	defer s.reading.Unlock()
	var errs []error
	if s.readers != nil {
		// Before the writer: the last connection to close removes the log, and only
		// one that may write can.
		errs = append(errs, s.readers.Close())
		s.readers = nil
	}
	if s.conn != nil {
		held, err := truncateWAL(context.Background(), s.conn.Conn)
		if err != nil {
			errs = append(errs, fmt.Errorf("checkpoint: %w", err))
		}
		if held {
			s.opts.Log.Warn("another program is reading the database; its log stays beside it", "path", s.path)
		}
	}
	s.closeConns()
	return errors.Join(append(errs, s.lock.Close())...)
}

// closeConns closes what is open. Its errors say nothing that an earlier one did not.
func (s *Store) closeConns() {
	if s.readers != nil {
		_ = s.readers.Close()
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	if s.writers != nil {
		_ = s.writers.Close()
	}
	s.readers, s.conn, s.writers = nil, nil, nil
	s.reserve.close()
}
