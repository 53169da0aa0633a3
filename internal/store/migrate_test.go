package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/store"
)

// newest is the schema's version that this code makes.
func newest(t *testing.T) int64 {
	t.Helper()
	list, _, err := store.MigrationStatus(t.Context(), newPath(t))
	if err != nil || len(list) == 0 {
		t.Fatalf("%v, %v", list, err)
	}
	return list[len(list)-1].Version
}

func TestMigrateDownAndUp(t *testing.T) {
	path := newPath(t)
	top := newest(t)
	version, err := store.MigrateUp(t.Context(), path)
	if err != nil || version != top {
		t.Fatalf("up: %d, %v", version, err)
	}
	schemas := map[int64][]string{top: schema(t, path)}
	for want := top - 1; want >= 0; want-- {
		if version, err = store.MigrateDown(t.Context(), path); err != nil || version != want {
			t.Fatalf("down: %d, %v; want %d", version, err, want)
		}
		schemas[want] = schema(t, path)
	}
	if version, err = store.MigrateDown(t.Context(), path); err != nil || version != 0 {
		t.Errorf("down from nothing: %d, %v", version, err)
	}
	if version, err = store.MigrateUp(t.Context(), path); err != nil || version != top {
		t.Fatalf("up again: %d, %v", version, err)
	}
	diff(t, "the schema after down and up", schemas[top], schema(t, path))
	for want := top - 1; want > 0; want-- {
		if _, err = store.MigrateDown(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		diff(t, fmt.Sprint("the schema of version ", want), schemas[want], schema(t, path))
	}
	closeStore(t, open(t, path)) // which completes it
	diff(t, "the schema after an open", schemas[top], schema(t, path))
}

// A migration that fails half way leaves the version before it, whole.
func TestMigrationFails(t *testing.T) {
	path := newPath(t)
	if _, err := store.MigrateUp(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	for range newest(t) - 1 {
		if _, err := store.MigrateDown(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	alter(t, path, "CREATE TABLE spans (in_the_way)")
	before := schema(t, path)
	failed := func(what string, err error) {
		t.Helper()
		var m *store.MigrationError
		if !errors.As(err, &m) || m.File != "00002_understand.sql" || !strings.Contains(err.Error(), "spans already exists") {
			t.Errorf("%s: %v", what, err)
		}
		diff(t, "schema", before, schema(t, path))
		if _, version, err := store.MigrationStatus(t.Context(), path); err != nil || version != 1 {
			t.Errorf("%s: version %d, %v", what, version, err)
		}
	}
	_, err := store.Open(t.Context(), options(t, path))
	failed("open", err)
	_, err = store.MigrateUp(t.Context(), path)
	failed("up", err)
	alter(t, path, "DROP TABLE spans")
	closeStore(t, open(t, path))
}

func TestNewerDatabase(t *testing.T) {
	path := newPath(t)
	closeStore(t, open(t, path))
	alter(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	before := files(t, path)
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "99") {
			t.Errorf("%s: %v", what, err)
		}
		unchanged(t, path, before)
	}
	_, err := store.Open(t.Context(), options(t, path))
	refused("open", err)
	_, err = store.MigrateUp(t.Context(), path)
	refused("up", err)
	_, err = store.MigrateDown(t.Context(), path)
	refused("down", err)
	list, version, err := store.MigrationStatus(t.Context(), path)
	if err != nil || version != 99 || int64(len(list)) != newest(t) {
		t.Errorf("status: %v, %d, %v", list, version, err)
	}
	unchanged(t, path, before)
}

func TestMigrationStatus(t *testing.T) {
	top := newest(t)
	f := func(name, path string, want int64) {
		t.Helper()
		before := files(t, path)
		list, version, err := store.MigrationStatus(t.Context(), path)
		if err != nil || version != want || int64(len(list)) != top {
			t.Errorf("%s: %v, %d, %v", name, list, version, err)
		}
		for i, m := range list {
			if m.Version != int64(i+1) || !strings.HasPrefix(m.File, fmt.Sprintf("%05d_", i+1)) || m.Applied != (m.Version <= want) {
				t.Errorf("%s: %+v", name, m)
			}
		}
		unchanged(t, path, before)
		if exists(path+".lock") && name == "absent" {
			t.Errorf("%s: it took a lock", name)
		}
	}
	f("absent", newPath(t), 0)

	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f("empty", path, 0)

	path = newPath(t)
	st := open(t, path)
	f("running", path, top)
	if err := count(st, "a", 1); err != nil {
		t.Fatal(err)
	}
	f("killed", killed(t, path, "-wal", "-shm"), top)
	closeStore(t, st)
	f("closed", path, top)

	if _, err := store.MigrateDown(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	f("one down", path, top-1)
	for range top - 1 {
		if _, err := store.MigrateDown(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	f("all down", path, 0)
}

// The driver brings SQLite's bugs and its own copy of a C library: known-bad releases
// of one, and other versions of the other than it was made with, are not for us.
func TestDriverVersions(t *testing.T) {
	c := look(t, newPath(t))
	defer c.Close()
	var version string
	if err := c.QueryRow("SELECT sqlite_version()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		t.Fatal(err)
	}
	if n := major*1_000_000 + minor*1000 + patch; n < 3_051_003 {
		t.Errorf("SQLite %s", version)
	}

	list := func(format, module string) string {
		t.Helper()
		out, err := exec.Command("go", "list", "-m", "-f", format, module).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	out, err := exec.Command("go", "mod", "edit", "-json", list("{{.GoMod}}", "modernc.org/sqlite")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if ours := list("{{.Version}}", "modernc.org/libc"); r.Path == "modernc.org/libc" && r.Version != ours {
			t.Errorf("modernc.org/libc is %s, the driver was made with %s", ours, r.Version)
		}
	}
}
