package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"modernc.org/sqlite"
)

// applicationID marks a database file as ours: "OcTr" in the header's field for it
// (https://sqlite.org/fileformat2.html#application_id).
const applicationID = 0x4f635472

// CheckpointPages is the size of the write-ahead log, in pages of 4 KiB, from which
// Tx copies it back into the database. The file is then written over from its
// start and keeps its size: on a full disk that is the room in which rows can still
// be deleted.
const CheckpointPages = 4000

// MaxLogBytes is how long the log may become while another program's reader keeps it from
// being copied back. Rows are stored up to three quarters of it; the rest is for what is
// under way then, such as marking what a remote has just taken.
const MaxLogBytes = 4 * CheckpointPages * PageSize

// PageSize is that of every database that is made here.
const PageSize = 4096

// setting is a PRAGMA and its value, spelled as SQLite reports it.
type setting struct{ name, value string }

// Settings of the writer's and of the readers' connections, in the order in which they
// are made. auto_vacuum is not among them: it counts only before the first page exists,
// so create sets it with application_id. There is no mmap: pages mapped count as our
// memory and fail by signal on a bad disk. The log is copied back by Tx: when SQLite
// does it by itself, nobody hears of a failed sync.
func writerSettings(synchronous string) []setting {
	return []setting{
		{"busy_timeout", busyTimeout},
		{"journal_mode", "wal"},
		{"synchronous", map[string]string{"normal": "1", "full": "2"}[synchronous]},
		{"foreign_keys", "1"},
		{"temp_store", "2"},
		{"cache_size", "-4000"}, // KiB
		{"wal_autocheckpoint", "0"},
		{"journal_size_limit", strconv.Itoa(CheckpointPages * PageSize)},
	}
}

var readerSettings = []setting{
	{"busy_timeout", "5000"},
	{"foreign_keys", "1"},
	{"temp_store", "2"},
	{"cache_size", "-1000"},
	{"query_only", "1"},
}

const busyTimeout = "10000" // ms, of the writer

const createPragmas = `PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = %d;`

// setup returns the statements that make the settings.
func setup(settings []setting) string {
	var b strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&b, "PRAGMA %s = %s;", s.name, s.value)
	}
	return b.String()
}

// connector opens connections that have run setup. Settings made on a pooled
// connection in any other way are lost when database/sql replaces it.
type connector struct {
	driver.Connector
	setup string
	keep  bool // the statements of queries
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, c.setup, nil); err != nil {
		_ = conn.Close() // the first error says why
		return nil, err
	}
	if c.keep {
		return &kept{conn.(sqliteConn), make(map[string]*keptStmt)}, nil
	}
	return conn, nil
}

// open returns a pool of connections to path. The path travels as a URI, in which
// SQLite reads no character as its own syntax.
func open(path, query, setup string, keep bool) (*sql.DB, error) {
	uri := url.URL{Scheme: "file", Path: path, OmitHost: true, RawQuery: query}
	c, err := sqlite.NewConnector(uri.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{c, setup, keep}), nil
}

// queryer is what *sql.DB and *sql.Conn share.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// verify reads the settings back, with facts of the file, and fails unless they are
// what was asked for: SQLite ignores a misspelled or refused one in silence.
func verify(ctx context.Context, q queryer, settings []setting) (map[string]string, error) {
	got := make(map[string]string)
	for _, s := range append(settings, setting{"application_id", strconv.Itoa(applicationID)},
		setting{"auto_vacuum", ""}, setting{"page_size", ""}) {
		var value string
		if err := q.QueryRowContext(ctx, "PRAGMA "+s.name).Scan(&value); err != nil {
			return nil, fmt.Errorf("read pragma %s: %w", s.name, err)
		}
		if s.value != "" && value != s.value {
			return nil, fmt.Errorf("SQLite reports %s = %s instead of %s", s.name, value, s.value)
		}
		got[s.name] = value
	}
	return got, nil
}

func setSynchronous(ctx context.Context, c *sql.Conn, mode string) error {
	_, err := c.ExecContext(ctx, "PRAGMA synchronous = "+mode)
	return err
}

func setSecureDelete(ctx context.Context, c *sql.Conn, mode string) error {
	_, err := c.ExecContext(ctx, "PRAGMA secure_delete = "+mode)
	return err
}

// vacuum is no PRAGMA, but cannot be in queries/ either: it runs in no transaction. Its
// temporary database is as large as ours, so for this statement it is a file.
func vacuum(ctx context.Context, c *sql.Conn) error {
	if _, err := c.ExecContext(ctx, "PRAGMA temp_store = FILE"); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, "VACUUM")
	_, back := c.ExecContext(ctx, "PRAGMA temp_store = MEMORY")
	return errors.Join(err, back)
}

// pages returns how many pages the database has, those of the transaction under way
// included, and how many of them hold nothing.
func pages(ctx context.Context, c *sql.Conn) (p Pages, err error) {
	if err = c.QueryRowContext(ctx, "PRAGMA page_count").Scan(&p.All); err == nil {
		err = c.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&p.Free)
	}
	return p, err
}

// giveBack takes up to n free pages out of the database. It has to be run by Exec:
// through QueryRow it stops after the first page.
func giveBack(ctx context.Context, c *sql.Conn, n int64) error {
	_, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", n))
	return err
}

// vacuumInto copies a database into the file to, which is empty or not there. For
// SQLite that is writing, which a reader's connection must be told to allow; it still
// cannot write to the database.
func vacuumInto(ctx context.Context, reader *sql.DB, to string) error {
	c, err := reader.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close() // it is the pool's
	if _, err := c.ExecContext(ctx, "PRAGMA query_only = OFF"); err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, "VACUUM INTO ?", to)
	return err
}

func setBusyTimeout(ctx context.Context, c *sql.Conn) error {
	_, err := c.ExecContext(ctx, "PRAGMA busy_timeout = "+busyTimeout)
	return err
}

// copyBack copies the log into the database once due pages were written to it, as far
// as readers let it. It returns how many make the next one due, and whether all of the
// log was copied.
func copyBack(ctx context.Context, c *sql.Conn, due int) (next int, all bool, err error) {
	pages, err := pagesWritten(c, false)
	if err != nil || pages < due {
		return due, false, err
	}
	var busy, frames, copied int
	if err := c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &frames, &copied); err != nil {
		return pages + CheckpointPages/4, false, err
	}
	if busy != 0 || copied != frames {
		return pages + CheckpointPages/16, false, nil // the reader may have gone by then
	}
	_, err = pagesWritten(c, true)
	return CheckpointPages, true, err
}

// pagesWritten returns how many pages c wrote since it was last reset.
func pagesWritten(c *sql.Conn, reset bool) (n int, err error) {
	err = c.Raw(func(conn any) error {
		n, _, err = conn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, reset)
		return err
	})
	return n, err
}

// truncateWAL copies the whole log into the database and empties it, unless a reader
// holds it back, which SQLite reports as a row and not as an error.
func truncateWAL(ctx context.Context, c *sql.Conn) (held bool, err error) {
	if _, err := c.ExecContext(ctx, "PRAGMA busy_timeout = 1000"); err != nil {
		return false, err
	}
	var busy, frames, copied int
	err = c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &copied)
	return busy != 0, err
}

// tables lists the tables that are not SQLite's own, in alphabetical order.
func tables(ctx context.Context, c *sql.Conn) (names []string, err error) {
	rows, err := c.QueryContext(ctx, "PRAGMA table_list")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var schema, name, kind string
		var columns, withoutRowID, strict int
		if err := rows.Scan(&schema, &name, &kind, &columns, &withoutRowID, &strict); err != nil {
			return nil, err
		}
		if kind == "table" && !strings.HasPrefix(name, "sqlite_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, rows.Err()
}

// hasNoTables tells whether nothing was ever created in the database.
func hasNoTables(ctx context.Context, q queryer) (bool, error) {
	var version int
	err := q.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version)
	return version == 0, err
}

// quickCheck returns what SQLite finds wrong with the file's structure, or nil.
func quickCheck(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "PRAGMA quick_check(3)")
	if err != nil {
		return err
	}
	defer rows.Close()
	var faults []string
	for rows.Next() {
		var fault string
		if err := rows.Scan(&fault); err != nil {
			return err
		}
		faults = append(faults, fault)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(faults) == 1 && faults[0] == "ok" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrDamaged, strings.Join(faults, "; "))
}
