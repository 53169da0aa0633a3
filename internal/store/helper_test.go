package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("STORE_TEST_HOLD"); path != "" {
		hold(path)
	}
	goleak.VerifyTestMain(m)
}

// hold is a process that stores a row and is then killed.
func hold(path string) {
	st, err := store.Open(context.Background(), store.Options{Path: path, Synchronous: "normal", Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = count(st, "held", 1)
	}
	fmt.Println("done", err)
	select {}
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "trace.db") }

func options(t *testing.T, path string) store.Options {
	return store.Options{Path: path, Synchronous: "normal", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), options(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func closeStore(t *testing.T, st *store.Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// count is a small transaction: it adds n to a line of the ledger.
func count(st *store.Store, reason string, n int64) error { return st.Tx(add(reason, n)) }

func add(reason string, n int64) func(*db.Queries) error {
	return func(q *db.Queries) error {
		return q.AddLedger(context.Background(), db.AddLedgerParams{Kind: "log", Outcome: "ignored", Reason: reason, N: n})
	}
}

// counted reads that line back.
func counted(t *testing.T, st *store.Store, reason string) (n int64) {
	t.Helper()
	err := st.Read(t.Context(), func(q *db.Queries) error {
		lines, err := q.ListLedger(t.Context())
		for _, l := range lines {
			if l.Reason == reason {
				n = l.N
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// alter changes the closed database at path behind the store's back.
func alter(t *testing.T, path string, statements ...string) {
	t.Helper()
	c := look(t, path)
	defer c.Close()
	for _, s := range statements {
		if _, err := c.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func look(t *testing.T, path string) *sql.DB {
	t.Helper()
	c, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, OmitHost: true}).String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetMaxOpenConns(1)
	return c
}

// schema is everything that was created in the database at path.
func schema(t *testing.T, path string) (list []string) {
	t.Helper()
	c := look(t, path)
	defer c.Close()
	rows, err := c.Query(`SELECT COALESCE(sql, name) FROM sqlite_schema ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// files returns the content of what lies beside path, but for locks and the shared
// memory, which belong to nobody's data.
func files(t *testing.T, path string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	list := make(map[string]string)
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name(), ".lock"):
			continue
		case e.IsDir(), strings.HasSuffix(e.Name(), "-shm"):
			list[e.Name()] = e.Type().String()
			continue
		}
		data, err := os.ReadFile(filepath.Join(filepath.Dir(path), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		list[e.Name()] = string(data)
	}
	return list
}

// unchanged fails unless files are as before.
func unchanged(t *testing.T, path string, before map[string]string) {
	t.Helper()
	after := files(t, path)
	for name, data := range before {
		if got, ok := after[name]; !ok || got != data {
			t.Errorf("%s was touched (there: %t)", name, ok)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("%s appeared", name)
		}
	}
}

// killed returns the path of a copy of what a process that dies now leaves of the
// database at path.
func killed(t *testing.T, path string, suffixes ...string) string {
	t.Helper()
	to := newPath(t)
	for _, suffix := range append(suffixes, "") {
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
