package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
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

// Settings of the writer's and of the readers' connections. The order matters:
// auto_vacuum counts only before the first page exists, so create sets it with
// application_id; here it is only read back. Caches are in KiB, and there is no
// mmap: pages mapped count as our memory and fail by signal on a bad disk. The log is
// copied back by Tx: when SQLite does it by itself, nobody hears of a failed sync.
func writerPragmas(synchronous string) string {
	return fmt.Sprintf(`PRAGMA busy_timeout = 10000;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = %s;
PRAGMA foreign_keys = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -4000;
PRAGMA wal_autocheckpoint = 0;
PRAGMA journal_size_limit = %d;`, synchronous, CheckpointPages*4096)
}

const (
	createPragmas = `PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = %d;`

	readerPragmas = `PRAGMA busy_timeout = 5000;
PRAGMA foreign_keys = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -1000;
PRAGMA query_only = ON;`
)

// connector opens connections that have run setup. Settings made on a pooled
// connection in any other way are lost when database/sql replaces it.
type connector struct {
	driver.Connector
	setup string
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
	return conn, nil
}

// open returns a pool of connections to path. The path travels as a URI, in which
// SQLite reads no character as its own syntax.
func open(path, query, setup string) (*sql.DB, error) {
	uri := url.URL{Scheme: "file", Path: path, OmitHost: true, RawQuery: query}
	c, err := sqlite.NewConnector(uri.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{c, setup}), nil
}

// queryer is what *sql.DB and *sql.Conn share.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Pragmas are settings as SQLite reports them. It ignores a misspelled or refused
// one in silence, so what was asked for proves nothing.
type Pragmas struct {
	JournalMode   string
	Synchronous   int // 1 is normal, 2 is full
	AutoVacuum    int // 2 is incremental
	ForeignKeys   int
	CacheSize     int // negative: KiB
	ApplicationID int
	PageSize      int
}

func readPragmas(ctx context.Context, q queryer) (p Pragmas, err error) {
	for name, dst := range map[string]any{
		"journal_mode": &p.JournalMode, "synchronous": &p.Synchronous, "auto_vacuum": &p.AutoVacuum,
		"foreign_keys": &p.ForeignKeys, "cache_size": &p.CacheSize, "application_id": &p.ApplicationID,
		"page_size": &p.PageSize,
	} {
		if err := q.QueryRowContext(ctx, "PRAGMA "+name).Scan(dst); err != nil {
			return p, fmt.Errorf("read pragma %s: %w", name, err)
		}
	}
	return p, nil
}

// verify fails unless p is what the writer needs. auto_vacuum is left out: a file
// that was made without it works, its space is only not given back.
func (p Pragmas) verify(synchronous string) error {
	want := map[string]int{"normal": 1, "full": 2}[synchronous]
	if p.JournalMode != "wal" || p.Synchronous != want || p.ForeignKeys != 1 || p.ApplicationID != applicationID {
		return fmt.Errorf("SQLite did not take the settings asked for: %+v", p)
	}
	return nil
}

func setSynchronous(ctx context.Context, c *sql.Conn, mode string) error {
	_, err := c.ExecContext(ctx, "PRAGMA synchronous = "+mode)
	return err
}

// copyBack copies the log into the database once CheckpointPages were written to it,
// as far as readers let it; what it could not copy is due at the next call.
func copyBack(ctx context.Context, c *sql.Conn) error {
	pages, err := pagesWritten(c, false)
	if err != nil || pages < CheckpointPages {
		return err
	}
	var busy, frames, copied int
	if err := c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &frames, &copied); err != nil {
		return err
	}
	if copied == frames {
		_, err = pagesWritten(c, true)
	}
	return err
}

// pagesWritten returns how many pages c wrote since it was last reset.
func pagesWritten(c *sql.Conn, reset bool) (n int, err error) {
	err = c.Raw(func(conn any) error {
		n, _, err = conn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, reset)
		return err
	})
	return n, err
}

// truncateWAL copies the whole log into the database and empties it. SQLite reports
// a log that a reader holds back as a row, not as an error.
func truncateWAL(ctx context.Context, c *sql.Conn) error {
	if _, err := c.ExecContext(ctx, "PRAGMA busy_timeout = 1000"); err != nil {
		return err
	}
	var busy, frames, copied int
	if err := c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &copied); err != nil {
		return err
	}
	if busy != 0 {
		return fmt.Errorf("a reader holds the log: %d of %d frames copied", copied, frames)
	}
	return nil
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
