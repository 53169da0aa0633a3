package migrations_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"

	"github.com/kon-rad/openclaw-trace/migrations"
)

var update = flag.Bool("update", false, "rewrite testdata/schema.sql")

// The effective schema is in the tree, so that a change shows its result.
func TestSchema(t *testing.T) {
	const path = "testdata/schema.sql"
	db, p := open(t)
	up(t, p)
	got := "-- What all migrations make together. Written by go test ./migrations -update.\n\n" + schema(t, db)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s is stale; run go test ./migrations -update and look at the difference (-file +migrations):\n%s", path, diff)
	}
}

// Databases in the field begin with this; other programs read these names.
func TestFirstMigration(t *testing.T) {
	const (
		identity = "id INTEGER primary key autoincrement"
		traceID  = "trace_id TEXT not null unique"
		created  = "created_at INTEGER not null"
		synced   = "synced INTEGER not null default 0"
	)
	want := map[string][]string{
		"llm_traces": {
			identity, traceID, created,
			"provider TEXT not null", "model TEXT not null", "input_text TEXT", "output_text TEXT",
			"prompt_tokens INTEGER", "completion_tokens INTEGER", "total_tokens INTEGER",
			"cost_usd REAL", "latency_ms INTEGER", "status TEXT not null default 'ok'",
			"error_type TEXT", "metadata TEXT", synced, "pushed_at INTEGER",
		},
		"error_events": {
			identity, traceID, created,
			"error_type TEXT not null", "message TEXT not null", "stack_trace TEXT",
			"severity TEXT not null default 'error'", "metadata TEXT", synced, "pushed_at INTEGER",
		},
		"system_metrics": {
			identity, traceID, created,
			"cpu_pct REAL", "mem_rss_bytes INTEGER", "mem_available INTEGER", "mem_total INTEGER",
			"disk_used_bytes INTEGER", "disk_total_bytes INTEGER", "disk_free_bytes INTEGER",
			"metadata TEXT", synced, "pushed_at INTEGER",
		},
		"push_log": {
			identity, created, "status TEXT not null", "events_pushed INTEGER not null default 0",
			"error_message TEXT", "duration_ms INTEGER",
		},
		"indexes": {
			"idx_errors_synced on error_events (synced, created_at)",
			"idx_llm_synced on llm_traces (synced, created_at)",
			"idx_metrics_synced on system_metrics (synced, created_at)",
		},
	}
	db, p := open(t)
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{"indexes": rows(t, db, `
		SELECT i.name || ' on ' || i.tbl_name || ' (' || group_concat(c.name, ', ' ORDER BY c.seqno) || ')'
		FROM sqlite_master AS i, pragma_index_info(i.name) AS c
		WHERE i.type = 'index' AND i.sql IS NOT NULL GROUP BY i.name ORDER BY i.name`)}
	for _, table := range rows(t, db, tables) {
		got[table] = rows(t, db, `
			SELECT c.name || ' ' || c.type
				|| iif(c.pk, ' primary key' || iif(m.sql LIKE '%AUTOINCREMENT%', ' autoincrement', ''), '')
				|| iif(c."notnull", ' not null', '')
				|| iif(EXISTS (SELECT 1 FROM pragma_index_list(m.name) AS l, pragma_index_info(l.name) AS i
					WHERE l.origin = 'u' AND i.name = c.name), ' unique', '')
				|| ifnull(' default ' || c.dflt_value, '')
			FROM sqlite_master AS m, pragma_table_info(m.name) AS c
			WHERE m.name = ? ORDER BY c.cid`, table)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the schema of 00001 (-want +got):\n%s", diff)
	}
}

// What SQLite itself refuses is not checked anywhere else.
func TestFirstMigrationRefuses(t *testing.T) {
	db, p := open(t)
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	f := func(ok bool, statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); (err == nil) != ok {
			t.Errorf("%s: %v", statement, err)
		}
	}
	for i, status := range []string{"ok", "error", "timeout"} {
		f(true, fmt.Sprintf("INSERT INTO llm_traces (trace_id, created_at, provider, model, status) VALUES ('%d', 1, 'p', 'm', '%s')", i, status))
	}
	f(false, "INSERT INTO llm_traces (trace_id, created_at, provider, model, status) VALUES ('x', 1, 'p', 'm', 'fine')")
	f(false, "INSERT INTO llm_traces (trace_id, created_at, provider, model) VALUES ('0', 1, 'p', 'm')")
	f(false, "INSERT INTO llm_traces (trace_id, created_at, provider, model, prompt_tokens) VALUES ('y', 1, 'p', 'm', 'many')")
	for i, severity := range []string{"warning", "error", "critical"} {
		f(true, fmt.Sprintf("INSERT INTO error_events (trace_id, created_at, error_type, message, severity) VALUES ('%d', 1, 't', 'm', '%s')", i, severity))
	}
	f(false, "INSERT INTO error_events (trace_id, created_at, error_type, message, severity) VALUES ('x', 1, 't', 'm', 'info')")
	f(true, "INSERT INTO push_log (created_at, status) VALUES (1, 'ok'), (1, 'error')")
	f(false, "INSERT INTO push_log (created_at, status) VALUES (1, 'never')")
}

// Each Down takes back what its Up did and nothing else.
func TestDownUndoesUp(t *testing.T) {
	db, p := open(t)
	for _, s := range p.ListSources() {
		before := schema(t, db)
		for range 2 {
			if _, err := p.UpTo(t.Context(), s.Version); err != nil {
				t.Fatal(err)
			}
			if schema(t, db) == before {
				t.Errorf("%s changes nothing", s.Path)
			}
			if _, err := p.DownTo(t.Context(), s.Version-1); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, schema(t, db)); diff != "" {
				t.Errorf("after Down of %s (-before Up +after Down):\n%s", s.Path, diff)
			}
		}
		if _, err := p.UpTo(t.Context(), s.Version); err != nil {
			t.Fatal(err)
		}
	}
	whole := schema(t, db)
	if _, err := p.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left := schema(t, db); left != "" {
		t.Errorf("Down to 0 leaves\n%s", left)
	}
	up(t, p)
	if diff := cmp.Diff(whole, schema(t, db)); diff != "" {
		t.Errorf("Up after Down (-first +second):\n%s", diff)
	}
}

// Rows that an older schema has room for survive the way down and up again.
func TestDownKeepsRows(t *testing.T) {
	db, p := open(t)
	up(t, p)
	for _, statement := range []string{
		"INSERT INTO llm_traces (trace_id, created_at, provider, model, input_text, cost_usd, session_id) VALUES ('a', 1, 'p', 'm', 'in', 0.5, 's')",
		"INSERT INTO error_events (trace_id, created_at, error_type, message) VALUES ('b', 2, 'crash', 'gone')",
		"INSERT INTO system_metrics (trace_id, created_at, cpu_pct) VALUES ('c', 3, 12.5)",
		"INSERT INTO push_log (created_at, status) VALUES (4, 'ok')",
		"INSERT INTO spans (trace_id, created_at, name, otel_trace_id, otel_span_id) VALUES ('d', 5, 'run', 't', 's')",
		"INSERT INTO custom_events (trace_id, created_at, name) VALUES ('e', 6, 'deployed')",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	kept := func() []string {
		return append(rows(t, db, "SELECT format('%s %s %s %s %s %s', trace_id, created_at, provider, model, input_text, cost_usd) FROM llm_traces"),
			rows(t, db, `SELECT trace_id || message FROM error_events
				UNION ALL SELECT trace_id || cpu_pct FROM system_metrics
				UNION ALL SELECT status FROM push_log`)...)
	}
	want := []string{"a 1 p m in 0.5", "bgone", "c12.5", "ok"}
	if _, err := p.DownTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, kept()); diff != "" {
		t.Errorf("after Down (-want +got):\n%s", diff)
	}
	up(t, p)
	if diff := cmp.Diff(want, kept()); diff != "" {
		t.Errorf("after Up again (-want +got):\n%s", diff)
	}
}

// The books say where the rows went that a step down deletes.
func TestDownCountsEvents(t *testing.T) {
	f := func(name string, undelivered, delivered int, want ...string) {
		t.Run(name, func(t *testing.T) {
			db, p := open(t)
			if _, err := p.UpTo(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			var dropped []string
			for round := range 2 { // the second adds to what the first wrote
				for i := range undelivered + delivered {
					_, err := db.ExecContext(t.Context(), "INSERT INTO custom_events (trace_id, created_at, name, synced) VALUES (?, 1, 'e', ?)",
						fmt.Sprint(i), i >= undelivered)
					if err != nil {
						t.Fatal(err)
					}
				}
				if _, err := p.DownTo(t.Context(), 2); err != nil {
					t.Fatal(err)
				}
				dropped = append(dropped, rows(t, db, "SELECT format('%s %s: %s %d', kind, outcome, reason, n) FROM ledger")...)
				if _, err := p.UpTo(t.Context(), 3); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			}
			if diff := cmp.Diff(want, dropped); diff != "" {
				t.Errorf("ledger (-want +got):\n%s", diff)
			}
		})
	}
	f("no events", 0, 0)
	f("all delivered", 0, 2)
	f("some delivered", 3, 2, "custom_event dropped: migrated down 3", "custom_event dropped: migrated down 6")
}

func TestFiles(t *testing.T) {
	files, err := fs.Glob(migrations.FS, "*")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range files {
		if !regexp.MustCompile(fmt.Sprintf(`^%05d_[a-z0-9_]+\.sql$`, i+1)).MatchString(name) {
			t.Errorf("%s: want the next number in five digits and what it is for, %05d_….sql", name, i+1)
		}
		text, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "NO TRANSACTION") {
			t.Errorf("%s: without a transaction a crash leaves half of a migration", name)
		}
		for _, part := range []string{"-- +goose Up\n", "-- +goose Down\n"} {
			if strings.Count(string(text), part) != 1 {
				t.Errorf("%s: want the line %q once", name, strings.TrimSpace(part))
			}
		}
	}
}

// Every table of events can be pushed, expired and looked through in the same way.
func TestDataTablesAreAlike(t *testing.T) {
	db, p := open(t)
	up(t, p)
	found := 0
	for _, table := range rows(t, db, tables) {
		columns := strings.Join(rows(t, db, "SELECT name FROM pragma_table_info(?)", table), " ") + " "
		if !strings.Contains(columns, "trace_id ") {
			continue
		}
		found++
		for _, c := range []string{"id ", "created_at ", "metadata ", "synced ", "pushed_at "} {
			if !strings.Contains(columns, c) {
				t.Errorf("%s has no column %s", table, c)
			}
		}
		indexes := rows(t, db, `SELECT (SELECT group_concat(c.name, ' ' ORDER BY c.seqno) FROM pragma_index_info(l.name) AS c)
			FROM pragma_index_list(?) AS l WHERE l.partial = 0`, table)
		for _, want := range []string{"synced created_at", "created_at", "trace_id"} {
			if !strings.Contains("|"+strings.Join(indexes, "|")+"|", "|"+want+"|") {
				t.Errorf("%s has no index on (%s)", table, want)
			}
		}
	}
	if found < 5 {
		t.Errorf("found %d tables of events", found)
	}
}

func open(t *testing.T) (*sql.DB, *goose.Provider) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "trace.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	p, err := goose.NewProvider(goose.DialectSQLite3, db, migrations.FS, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	return db, p
}

func up(t *testing.T, p *goose.Provider) {
	t.Helper()
	if _, err := p.Up(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

const tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version' ORDER BY name"

// rows returns the single text column of a query.
func rows(t *testing.T, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	r, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var list []string
	for r.Next() {
		var s string
		if err := r.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// schema returns what has been created, tables and their indexes by name, each
// statement written in one way: SQLite keeps the text of each as it was given, and
// changes it at ALTER TABLE.
func schema(t *testing.T, db *sql.DB) string {
	t.Helper()
	var b strings.Builder
	for _, statement := range rows(t, db, `SELECT sql FROM sqlite_master
		WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND tbl_name <> 'goose_db_version'
		ORDER BY tbl_name, type = 'index', name`) {
		b.WriteString(format(statement))
	}
	return b.String()
}

var lexeme = regexp.MustCompile(`'[^']*'|--[^\n]*|\s+|[(),]|[^\s(),'-]+|.`)

// format writes a table with one column a line, without comments, and any other
// statement on one line.
func format(statement string) string {
	var b strings.Builder
	isTable, depth, space := strings.HasPrefix(statement, "CREATE TABLE"), 0, false
	for _, s := range lexeme.FindAllString(statement, -1) {
		if strings.HasPrefix(s, "--") || strings.TrimSpace(s) == "" {
			space = true
			continue
		}
		outer := isTable && (s == "(" && depth == 0 || s == ")" && depth == 1)
		switch s {
		case "(":
			depth++
		case ")":
			depth--
		}
		switch {
		case outer && s == ")":
			b.WriteString("\n")
		case space && s != ")" && s != "," && !strings.HasSuffix(b.String(), "(") && !strings.HasSuffix(b.String(), "\n    "):
			b.WriteString(" ")
		}
		b.WriteString(s)
		space = false
		if outer && s == "(" || isTable && s == "," && depth == 1 {
			b.WriteString("\n    ")
		}
	}
	return strings.TrimSpace(b.String()) + ";\n"
}
