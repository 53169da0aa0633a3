package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"

	"github.com/kon-rad/openclaw-trace/migrations"
)

// Migration is one step of the schema and whether a database has it.
type Migration struct {
	Version int64  `json:"version"`
	File    string `json:"file"`
	Applied bool   `json:"applied"`
}

func provider(db *sql.DB) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectSQLite3, db, migrations.FS,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

// versions returns the version of db and the newest one this binary knows. A newer
// database, about which goose says nothing, is ErrNewer.
func versions(ctx context.Context, p *goose.Provider, db *sql.DB) (current, target int64, err error) {
	if current, target, err = p.GetVersions(ctx); err != nil {
		// goose takes a table that it cannot read for one that is missing.
		return 0, 0, errors.Join(quickCheck(ctx, db), err)
	}
	if current > target {
		return 0, 0, newerError(current, target)
	}
	return current, target, nil
}

// migrateUp brings db to the newest version this binary knows and returns it.
func migrateUp(ctx context.Context, db *sql.DB) (int64, error) {
	p, err := provider(db)
	if err != nil {
		return 0, err
	}
	current, target, err := versions(ctx, p, db)
	if err != nil || current == target {
		return target, err
	}
	if _, err := p.Up(ctx); err != nil {
		return 0, migrationError(err)
	}
	return target, nil
}

// migrationError names the file of a failed migration. Damage, a full disk or the end
// of ctx met on the way are no fault of the migration and stay what they are.
func migrationError(err error) error {
	var partial *goose.PartialError
	if errors.As(err, &partial) && !IsDamage(err) && !MayPass(err) && !errors.Is(err, context.Canceled) {
		return &MigrationError{File: filepath.Base(partial.Failed.Source.Path), Err: partial.Err}
	}
	return err
}

// MigrateUp brings the database at path to the newest version, creating it when it
// does not exist, and returns that version.
func MigrateUp(ctx context.Context, path string) (version int64, err error) {
	err = withMigrator(ctx, path, func(db *sql.DB) error {
		version, err = migrateUp(ctx, db)
		return err
	})
	return version, err
}

// MigrateDown takes back the newest migration, with the data that only it has room
// for, and returns the version that is left. A database that does not exist has none.
func MigrateDown(ctx context.Context, path string) (version int64, err error) {
	if st, err := inspect(path); err != nil || st == absent {
		return 0, err
	}
	err = withMigrator(ctx, path, func(db *sql.DB) error {
		p, err := provider(db)
		if err != nil {
			return err
		}
		current, _, err := versions(ctx, p, db)
		if err != nil || current == 0 {
			return err
		}
		if _, err := p.Down(ctx); err != nil {
			return migrationError(err)
		}
		version, err = p.GetDBVersion(ctx)
		return err
	})
	return version, err
}

// withMigrator calls f with the locked database at path.
func withMigrator(ctx context.Context, path string, f func(*sql.DB) error) (err error) {
	held, err := lock(path)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := prepare(path, slog.Default()); err != nil {
		return err
	}
	db, err := open(path, "_txlock=immediate", setup(writerSettings("full")), false)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	return f(db)
}

// MigrationStatus lists all migrations and whether the database at path has them.
// It takes no lock and writes nothing, so that it may run beside a sidecar; a
// database that does not exist has none. The version is the database's own, which
// may be newer than any migration listed.
func MigrationStatus(ctx context.Context, path string) (list []Migration, version int64, err error) {
	switch st, err := inspect(path); {
	case err != nil:
		return nil, 0, err
	case st == absent:
		list, err := known()
		return list, 0, err
	}
	db, err := openReader(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if empty, err := hasNoTables(ctx, db); err != nil {
		return nil, 0, err
	} else if empty {
		list, err := known()
		return list, 0, err
	}
	p, err := provider(db)
	if err != nil {
		return nil, 0, err
	}
	states, err := p.Status(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, s := range states {
		list = append(list, Migration{s.Source.Version, filepath.Base(s.Source.Path), s.State == goose.StateApplied})
	}
	version, err = p.GetDBVersion(ctx)
	return list, version, err
}

// openReader returns connections to the database at path that write nothing. Without a
// log nothing is to be read but the file: a plain read-only connection would create
// the log's index and leave it behind.
func openReader(path string) (*sql.DB, error) {
	query := "mode=ro"
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		query += "&immutable=1"
	}
	return open(path, query, setup(readerSettings), false)
}

func newerError(version, known int64) error {
	return fmt.Errorf("%w: it has schema version %d, this binary knows %d", ErrNewer, version, known)
}

// refuseNewer returns ErrNewer without opening the database at path for writing.
func refuseNewer(ctx context.Context, path string) error {
	list, version, err := MigrationStatus(ctx, path)
	if err != nil || len(list) == 0 {
		return nil // whoever opens it for writing will say so
	}
	if target := list[len(list)-1].Version; version > target {
		return newerError(version, target)
	}
	return nil
}

// known lists the migrations of this binary as a new database has them: not at all.
func known() ([]Migration, error) {
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return nil, err
	}
	var list []Migration
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, err
		}
		list = append(list, Migration{Version: version, File: name})
	}
	return list, nil
}
