package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes what the database at path holds at one moment into the new file to, which
// only its owner may read. Another process may have the database open and write to it;
// the file itself is not read beside SQLite, since closing it again would take that
// process's locks away. What is free in the database takes no room in the copy.
func Backup(ctx context.Context, path, to string) (err error) {
	if _, version, err := MigrationStatus(ctx, path); err != nil {
		return err
	} else if version == 0 {
		return fmt.Errorf("%s is not there or holds nothing yet", path)
	}
	file, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(to)) // half a copy is none
		}
	}()
	// Without a log the file is read as one that nobody changes, so nobody may begin to.
	if held, err := lock(path); err == nil {
		defer held.Close()
	} else if !errors.Is(err, ErrInUse) {
		return err
	}
	pool, err := openReader(path)
	if err != nil {
		return err
	}
	err = errors.Join(vacuumInto(ctx, pool, to), pool.Close())
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", path, to, err)
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}
