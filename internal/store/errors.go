package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Why a database cannot be opened, or can no longer be used.
var (
	ErrInUse    = errors.New("the database is in use")
	ErrForeign  = errors.New("this is not a database of openclaw-trace; it was left untouched")
	ErrNewer    = errors.New("the database was made by a newer version of openclaw-trace; it was left untouched")
	ErrDamaged  = errors.New("the database is damaged")
	ErrHeld     = errors.New("another program reads the database, and so keeps its log from being emptied")
	ErrClosed   = errors.New("the database was closed")
	ErrReplaced = errors.New("the database file was removed, replaced or truncated while it was open")
)

// A MigrationError is a migration that was rolled back; the version stays as it was.
type MigrationError struct {
	File string
	Err  error
}

func (e *MigrationError) Error() string {
	return fmt.Sprintf("migration %s was rolled back: %v", e.File, e.Err)
}

func (e *MigrationError) Unwrap() error { return e.Err }

// A MovedError is an error after a damaged database was put out of the way. The next
// Open is to be told where.
type MovedError struct {
	To  string
	Err error
}

func (e *MovedError) Error() string { return e.Err.Error() }

func (e *MovedError) Unwrap() error { return e.Err }

// Class says what an error of a transaction means for what comes next.
type Class int

// The classes.
const (
	// Unavailable may pass by itself: full disk, I/O error, busy. Nothing was stored.
	Unavailable Class = iota
	// Rejected comes from the rows themselves, which will never be stored.
	Rejected
	// Fatal means that this Store can no longer be trusted and is to be opened anew:
	// damage, a replaced file, a failed sync (whose pages the kernel counts as clean
	// from then on), a lost connection.
	Fatal
)

// Classify returns the class of an error of Tx or Check.
func Classify(err error) Class {
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrReplaced) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return Fatal
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return Unavailable
	}
	switch code := e.Code(); {
	case code == sqlite3.SQLITE_IOERR_FSYNC || code == sqlite3.SQLITE_IOERR_DIR_FSYNC:
		return Fatal
	case damaged(code):
		return Fatal
	default:
		switch code & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
			return Rejected
		}
	}
	return Unavailable
}

// MayPass tells whether an error of Open may pass by itself: a full disk, an I/O error,
// a lock of another program.
func MayPass(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO) {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() {
	case sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_SHMLOCK, sqlite3.SQLITE_IOERR_LOCK:
		return false // a file system that cannot do what a log needs
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY:
		return true
	}
	return false
}

func damaged(code int) bool {
	return code&0xff == sqlite3.SQLITE_CORRUPT || code&0xff == sqlite3.SQLITE_NOTADB
}

// IsDamage tells whether err says that the file is not a sound database.
func IsDamage(err error) bool {
	var e *sqlite.Error
	return errors.Is(err, ErrDamaged) || errors.As(err, &e) && damaged(e.Code())
}

// noTempDir tells whether SQLite found no folder for temporary files.
func noTempDir(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_IOERR_GETTEMPPATH
}

// isFull tells whether the volume, or the file by its limit, has no room for a write.
func isFull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL
}
