package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// state is what lies at the path of a database before SQLite looks at it.
type state int

const (
	absent state = iota // nothing, or an empty file
	ours                // our application_id, perhaps damaged
)

// inspect reads the header of the file at path. It must run before SQLite opens
// the file: closing a descriptor of it later would drop SQLite's locks.
func inspect(path string) (state, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would wait for its writer
	if errors.Is(err, fs.ErrNotExist) {
		return absent, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%w: %s is not a regular file", ErrForeign, path)
	}
	if info.Size() == 0 {
		return absent, nil
	}
	var header [100]byte
	if _, err := io.ReadFull(f, header[:]); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, err
	}
	if !bytes.HasPrefix(header[:], []byte("SQLite format 3\x00")) {
		return 0, fmt.Errorf("%w: %s is not a SQLite database", ErrForeign, path)
	}
	if id := binary.BigEndian.Uint32(header[68:]); id != applicationID {
		return 0, fmt.Errorf("%w: %s is a SQLite database of another program (application_id %#x)", ErrForeign, path, id)
	}
	return ours, nil
}

// create puts a database without tables at path. It is made beside it and renamed,
// so that a crash leaves nothing or a whole file that says it is ours.
func create(path string) error {
	tmp := path + ".new"
	if err := errors.Join(remove(tmp), remove(tmp+"-journal")); err != nil {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := open(tmp, "", fmt.Sprintf(createPragmas, applicationID), false)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Ping(), db.Close()); err != nil {
		return errors.Join(err, remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(path)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes the directory entries beside path durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// moveAside renames the files of the database at path to path.<why>-<time>…, and
// removes what an earlier call with the same why had put there, so that they cannot
// fill the disk: the newest is kept. It returns the new name of the database.
func moveAside(path, why string, log *slog.Logger) (string, error) {
	old, err := filepath.Glob(escapeGlob(path) + "." + why + "-*")
	if err != nil {
		return "", err
	}
	to := path + "." + why + "-" + time.Now().UTC().Format("20060102T150405.000Z")
	moved := false
	// The database comes last, so that a second attempt still finds it.
	for _, suffix := range []string{"-wal", "-shm", "-journal", ""} {
		switch err := os.Rename(path+suffix, to+suffix); {
		case err == nil:
			moved = true
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
	if !moved {
		return "", nil // somebody was faster
	}
	for _, name := range old {
		if err := remove(name); err != nil {
			log.Warn("cannot remove what was moved aside before", "path", name, "err", err)
			continue
		}
		log.Warn("removed what was moved aside before", "path", name)
	}
	if err := syncDir(path); err != nil {
		log.Warn("a power cut may undo that a database was moved aside", "path", to, "err", err)
	}
	return to, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// orphans tells whether a log lies at path without its database. SQLite would read
// it into the next database of that name.
func orphans(path string) bool {
	for _, suffix := range []string{"-wal", "-journal"} {
		if info, err := os.Lstat(path + suffix); err == nil && info.Size() > 0 {
			return true
		}
	}
	return false
}

// identity is what makes a file the same file: a path alone may lead elsewhere
// while the old file, unlinked, goes on taking writes.
type identity struct{ dev, ino uint64 }

func identify(path string) (identity, int64, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return identity{}, 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return identity{uint64(st.Dev), st.Ino}, st.Size, nil
}

// lock takes the lock file of path for this process, in a folder that it makes if it
// is missing. The kernel frees it when the
// process ends in whatever way; its content names the holder for people.
func lock(path string) (*os.File, error) {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		if err := syncDir(folder); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		pid, _ := io.ReadAll(io.LimitReader(f, 20)) // only to say who it is
		return nil, fmt.Errorf("%w: process %s has %s open", ErrInUse, strings.TrimSpace(string(pid)), path)
	}
	// On a full disk the pid is missing from a message; that must not stop a start.
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	return f, nil
}
