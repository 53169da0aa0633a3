package store_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
)

func TestOpenSettings(t *testing.T) {
	f := func(synchronous string, code int) {
		t.Helper()
		opts := options(t, newPath(t))
		opts.Synchronous = synchronous
		for range 2 { // created, opened again
			st, err := store.Open(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{
				"journal_mode": "wal", "synchronous": strconv.Itoa(code), "auto_vacuum": "2", "foreign_keys": "1",
				"cache_size": "-4000", "application_id": strconv.Itoa(0x4f635472), "page_size": "4096",
				"busy_timeout": "10000", "temp_store": "2", "wal_autocheckpoint": "0", "journal_size_limit": "16384000",
			}
			diff(t, "pragmas", want, st.Pragmas())
			for name, want := range map[string]int{"busy_timeout": 10000, "temp_store": 2, "wal_autocheckpoint": 0, "query_only": 0} {
				if got, err := st.Pragma(name); got != want || err != nil {
					t.Errorf("%s of the writer is %d (%v), want %d", name, got, err, want)
				}
			}
			for name, want := range map[string]int{"query_only": 1, "foreign_keys": 1, "busy_timeout": 5000, "auto_vacuum": 2} {
				if got, err := st.ReaderPragma(name); got != want || err != nil {
					t.Errorf("%s of a reader is %d (%v), want %d", name, got, err, want)
				}
			}
			closeStore(t, st)
		}
	}
	f("normal", 1)
	f("full", 2)
}

func TestReadersCannotWrite(t *testing.T) {
	st := open(t, newPath(t))
	defer closeStore(t, st)
	if err := st.Read(t.Context(), add("x", 1)); err == nil {
		t.Error("a reader wrote")
	}
}

// What tells our file from another's, and that its space can be given back, must be in
// the file itself and not only in the log.
func TestHeader(t *testing.T) {
	path := newPath(t)
	st := open(t, path)
	defer closeStore(t, st)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	field := func(at int) uint32 { return binary.BigEndian.Uint32(data[at:]) }
	if id := field(68); id != 0x4f635472 {
		t.Errorf("application_id %#x", id)
	}
	if field(52) == 0 || field(64) != 1 {
		t.Errorf("auto_vacuum: largest root page %d, incremental %d", field(52), field(64))
	}
	if data[18] != 2 || data[19] != 2 {
		t.Errorf("versions %d, %d: not WAL", data[18], data[19])
	}
}

func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		func() {
			defer syscall.Umask(syscall.Umask(umask))
			path := newPath(t)
			st := open(t, path)
			defer closeStore(t, st)
			if err := count(st, "x", 1); err != nil {
				t.Fatal(err)
			}
			for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
				info, err := os.Stat(path + suffix)
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode() != 0o600 {
					t.Errorf("umask %03o: %s has mode %v", umask, suffix, info.Mode())
				}
			}
		}()
	}
}

// Every character of a path is part of the name.
func TestOddPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "a?mode=ro.db", "a#b.db", "a%20b.db", "[a]*.db", "ä'\".db"} {
		path := filepath.Join(t.TempDir(), "not there yet", name)
		st := open(t, path)
		if !exists(path) {
			t.Errorf("%s was not made", name)
		}
		closeStore(t, st)
	}
}

func TestReopen(t *testing.T) {
	path := newPath(t)
	st := open(t, path)
	if st.Unclean() || st.MovedAside() != "" || st.Version() < 2 || st.Path() != path {
		t.Errorf("new: unclean %t, moved %q, version %d, path %q", st.Unclean(), st.MovedAside(), st.Version(), st.Path())
	}
	if err := count(st, "a", 3); err != nil {
		t.Fatal(err)
	}
	if size, wal := st.Sizes(); size == 0 || wal == 0 {
		t.Errorf("sizes %d, %d", size, wal)
	}
	left := killed(t, path, "-wal")
	closeStore(t, st)
	for _, suffix := range []string{"-wal", "-shm", "-journal", ".new"} {
		if exists(path + suffix) {
			t.Errorf("a clean stop leaves %s", suffix)
		}
	}
	st = open(t, path)
	if st.Unclean() || counted(t, st, "a") != 3 {
		t.Errorf("after a clean stop: unclean %t, counted %d", st.Unclean(), counted(t, st, "a"))
	}
	closeStore(t, st)
	st = open(t, left)
	if !st.Unclean() || counted(t, st, "a") != 3 {
		t.Errorf("after a kill: unclean %t, counted %d", st.Unclean(), counted(t, st, "a"))
	}
	if err := st.QuickCheck(t.Context()); err != nil {
		t.Error(err)
	}
	closeStore(t, st)
}

func TestEmptyFile(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	st := open(t, path)
	defer closeStore(t, st)
	if st.MovedAside() != "" || st.Pragmas()["auto_vacuum"] != "2" {
		t.Errorf("moved %q, auto_vacuum %s", st.MovedAside(), st.Pragmas()["auto_vacuum"])
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestForeignFile(t *testing.T) {
	f := func(name string, make func(t *testing.T, path string)) {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			make(t, path)
			before := files(t, path)
			refused := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, store.ErrForeign) {
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
			_, _, err = store.MigrationStatus(t.Context(), path)
			refused("status", err)
		})
	}
	write := func(data string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	f("text", write("Dear diary"))
	f("one byte", write("S"))
	f("long text", write(strings.Repeat("Dear diary\n", 1000)))
	f("a header cut short", write("SQLite format 3\x00"))
	f("a directory", func(t *testing.T, path string) {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	})
	f("another's database", func(t *testing.T, path string) {
		alter(t, path, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
	})
	f("another's database with an id", func(t *testing.T, path string) {
		alter(t, path, "PRAGMA application_id = 7", "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)")
	})
}

// damage overwrites part of the file at path, from a page on.
func damage(t *testing.T, path string, page int64, with string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := (page - 1) * 4096
	if page == 1 {
		at = 100 // the header still says that it is ours
	}
	if _, err := f.WriteAt([]byte(with), at); err != nil {
		t.Fatal(err)
	}
}

func TestDamaged(t *testing.T) {
	path := newPath(t)
	zeros := strings.Repeat("\x00", 4096-100)
	var last string
	for round := range 3 {
		st := open(t, path)
		if err := count(st, "a", 1); err != nil {
			t.Fatal(err)
		}
		if n := counted(t, st, "a"); n != 1 {
			t.Errorf("round %d: a fresh start has counted %d", round, n)
		}
		closeStore(t, st)
		damage(t, path, 1, zeros)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		st = open(t, path)
		aside := st.MovedAside()
		if aside == "" {
			t.Fatal("the damage was not found")
		}
		kept, err := os.ReadFile(aside)
		if err != nil || string(kept) != string(data) {
			t.Errorf("what was moved aside is not what was there: %v", err)
		}
		if n := counted(t, st, "a"); n != 0 {
			t.Errorf("the new database has counted %d", n)
		}
		if last != "" && exists(last) {
			t.Errorf("%s is kept beside the newest", last)
		}
		last = aside
		closeStore(t, st)
	}
	if found, err := filepath.Glob(path + ".corrupt-*"); err != nil || len(found) != 1 {
		t.Errorf("kept %q, %v", found, err)
	}
}

// A start reads little, so damage further inside is found by the check that follows,
// and put aside by the start after that.
func TestQuickCheckFindsDamage(t *testing.T) {
	f := func(name, with string) {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			st := open(t, path)
			err := st.Tx(func(q *db.Queries) error {
				for n := range 500 {
					if err := q.SetMeta(t.Context(), db.SetMetaParams{Key: fmt.Sprint("key ", n), Value: strings.Repeat("v", 100)}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := st.QuickCheck(t.Context()); err != nil {
				t.Errorf("a sound file: %v", err)
			}
			closeStore(t, st)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			damage(t, path, info.Size()/4096-1, with)
			st = open(t, path)
			if st.MovedAside() != "" {
				t.Fatal("found at once")
			}
			err = st.QuickCheck(t.Context())
			if !errors.Is(err, store.ErrDamaged) || store.Classify(err) != store.Fatal || !store.IsDamage(err) {
				t.Errorf("quick check: %v", err)
			}
			_ = st.Close()
			opts := options(t, path)
			if opts.MovedAside, err = store.MoveAside(path, opts.Log); err != nil {
				t.Fatal(err)
			}
			if st, err = store.Open(t.Context(), opts); err != nil {
				t.Fatal(err)
			}
			if !exists(st.MovedAside()) {
				t.Errorf("moved aside to %q", st.MovedAside())
			}
			closeStore(t, st)
		})
	}
	f("zeros", strings.Repeat("\x00", 4096))
	f("noise", strings.Repeat("\xa5", 4096))
}

// What was moved aside may be all there is of somebody's record. A new file that is
// damaged, too, does not take its place.
func TestMovedAsideOnce(t *testing.T) {
	path := newPath(t)
	closeStore(t, open(t, path))
	opts := options(t, path)
	var err error
	if opts.MovedAside, err = store.MoveAside(path, opts.Log); err != nil {
		t.Fatal(err)
	}
	closeStore(t, open(t, path))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for page := range info.Size() / 4096 {
		damage(t, path, page+1, strings.Repeat("\xa5", 4096))
	}
	_, err = store.Open(t.Context(), opts)
	var moved *store.MovedError
	if !store.IsDamage(err) || !errors.As(err, &moved) || moved.To != opts.MovedAside {
		t.Errorf("open: %v", err)
	}
	if !exists(opts.MovedAside) || !exists(path) {
		t.Error("one of the two files is gone")
	}
}

// A log that lost its database must not be read into the next one.
func TestOrphanLog(t *testing.T) {
	path := newPath(t)
	st := open(t, path)
	if err := count(st, "a", 1); err != nil {
		t.Fatal(err)
	}
	left := killed(t, path, "-wal")
	closeStore(t, st)
	log, err := os.ReadFile(left + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(left); err != nil {
		t.Fatal(err)
	}
	st = open(t, left)
	defer closeStore(t, st)
	if n := counted(t, st, "a"); n != 0 {
		t.Errorf("counted %d", n)
	}
	aside, err := filepath.Glob(left + ".orphan-*-wal")
	if err != nil || len(aside) != 1 {
		t.Fatalf("moved aside: %q, %v", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != string(log) {
		t.Errorf("not what was there: %v", err)
	}
}

func TestLeftoversOfCreation(t *testing.T) {
	path := newPath(t)
	for _, suffix := range []string{".new", ".new-journal"} {
		if err := os.WriteFile(path+suffix, []byte("half of something"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	st := open(t, path)
	closeStore(t, st)
	for name := range files(t, path) {
		if name != filepath.Base(path) {
			t.Errorf("%s is left", name)
		}
	}
}

func TestInUse(t *testing.T) {
	path := newPath(t)
	st := open(t, path)
	if err := count(st, "a", 1); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := store.Open(t.Context(), options(t, path))
	refused("open", err)
	_, err = store.MigrateUp(t.Context(), path)
	refused("up", err)
	_, err = store.MigrateDown(t.Context(), path)
	refused("down", err)
	if err := count(st, "a", 1); err != nil {
		t.Errorf("the first one afterwards: %v", err)
	}
	closeStore(t, st)
	st = open(t, path)
	closeStore(t, st)
}

// The lock of a process ends with it.
func TestKilledHolder(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := newPath(t)
	cmd := startHolder(t, exe, path)
	defer func() {
		_ = cmd.Process.Kill() // it is dead already unless the test failed
		_ = cmd.Wait()
	}()
	_, err = store.Open(t.Context(), options(t, path))
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Errorf("while it lives: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it says that it was killed
	st := open(t, path)
	defer closeStore(t, st)
	if !st.Unclean() || counted(t, st, "held") != 1 {
		t.Errorf("unclean %t, counted %d", st.Unclean(), counted(t, st, "held"))
	}
}

func startHolder(t *testing.T, exe, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "STORE_TEST_HOLD="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "done <nil>\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	return cmd
}

func TestCheck(t *testing.T) {
	f := func(name string, do func(path string) error) {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			st := open(t, path)
			if err := st.Check(); err != nil {
				t.Errorf("before: %v", err)
			}
			if err := do(path); err != nil {
				t.Fatal(err)
			}
			if err := st.Check(); !errors.Is(err, store.ErrReplaced) || store.Classify(err) != store.Fatal {
				t.Errorf("check: %v", err)
			}
			_ = st.Close()
		})
	}
	f("removed", os.Remove)
	f("moved away", func(path string) error { return os.Rename(path, path+".old") })
	f("a copy in its place", func(path string) error {
		data, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(path+".copy", data, 0o600), os.Rename(path+".copy", path))
	})
	f("truncated", func(path string) error { return os.Truncate(path, 0) })
}

func TestTxRollsBack(t *testing.T) {
	st := open(t, newPath(t))
	defer closeStore(t, st)
	stop := errors.New("stop")
	for name, tx := range map[string]func(func(*db.Queries) error) error{"Tx": st.Tx, "SyncTx": st.SyncTx} {
		err := tx(func(q *db.Queries) error {
			if err := add("a", 1)(q); err != nil {
				return err
			}
			return stop
		})
		if !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
		func() {
			defer func() {
				if r := recover(); r != stop {
					t.Errorf("%s: recovered %v", name, r)
				}
			}()
			_ = tx(func(q *db.Queries) error {
				if err := add("a", 1)(q); err != nil {
					return err
				}
				panic(stop)
			})
		}()
		if n := counted(t, st, "a"); n != 0 {
			t.Errorf("%s: counted %d after rolling back", name, n)
		}
		if err := tx(add(name, 1)); err != nil {
			t.Errorf("%s: the next one: %v", name, err)
		}
		if n := counted(t, st, name); n != 1 {
			t.Errorf("%s: counted %d", name, n)
		}
	}
}

func TestTxFull(t *testing.T) {
	st := open(t, newPath(t))
	defer closeStore(t, st)
	if err := st.Exec("PRAGMA max_page_count = 1"); err != nil { // as many as there are
		t.Fatal(err)
	}
	err := st.Tx(func(q *db.Queries) error {
		return q.SetMeta(t.Context(), db.SetMetaParams{Key: "k", Value: strings.Repeat("x", 100_000)})
	})
	if err == nil || !strings.Contains(err.Error(), "full") || store.Classify(err) != store.Unavailable {
		t.Errorf("on a full disk: %v", err)
	}
	if err := st.Exec("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if err := count(st, "a", 1); err != nil || counted(t, st, "a") != 1 {
		t.Errorf("with room again: %v", err)
	}
}

// A constraint that is looked at only at the end makes the commit itself fail.
func TestTxCommitFails(t *testing.T) {
	st := open(t, newPath(t))
	defer closeStore(t, st)
	err := st.Exec(`CREATE TABLE parent (id INTEGER PRIMARY KEY);
		CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`)
	if err != nil {
		t.Fatal(err)
	}
	err = st.Tx(func(q *db.Queries) error {
		return errors.Join(add("a", 1)(q), st.Exec("INSERT INTO child VALUES (1)"))
	})
	if err == nil || store.Classify(err) != store.Rejected {
		t.Errorf("a commit that fails: %v", err)
	}
	if err := count(st, "b", 1); err != nil || counted(t, st, "a") != 0 || counted(t, st, "b") != 1 {
		t.Errorf("the next one: %v; counted %d, %d", err, counted(t, st, "a"), counted(t, st, "b"))
	}
}

func TestSyncTx(t *testing.T) {
	f := func(synchronous string, outside int) {
		opts := options(t, newPath(t))
		opts.Synchronous = synchronous
		st, err := store.Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		defer closeStore(t, st)
		stop := errors.New("stop")
		for _, result := range []error{nil, stop} {
			err := st.SyncTx(func(*db.Queries) error {
				if n, err := st.Pragma("synchronous"); n != 2 || err != nil {
					t.Errorf("%s: synchronous is %d inside, %v", synchronous, n, err)
				}
				return result
			})
			if !errors.Is(err, result) {
				t.Errorf("%s: %v", synchronous, err)
			}
			if n, err := st.Pragma("synchronous"); n != outside || err != nil {
				t.Errorf("%s: synchronous is %d afterwards, %v", synchronous, n, err)
			}
		}
	}
	f("normal", 1)
	f("full", 2)
}

// The log is copied back at CheckpointPages, and written over from its start.
func TestLogIsBounded(t *testing.T) {
	st := open(t, newPath(t))
	defer closeStore(t, st)
	for n := range 24 {
		err := st.Tx(func(q *db.Queries) error {
			value := strings.Repeat(string(rune('a'+n)), 1<<20)
			return q.SetMeta(t.Context(), db.SetMetaParams{Key: "k", Value: value})
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, wal := st.Sizes(); wal > store.CheckpointPages*4200+3<<20 {
			t.Fatalf("the log has %d bytes", wal)
		}
	}
	if _, wal := st.Sizes(); wal < store.CheckpointPages*4096 {
		t.Errorf("the log was cut to %d bytes", wal)
	}
}

// locks returns the locks on path that this machine's kernel knows.
func locks(t *testing.T, path string) (list []string) {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, fmt.Sprintf(":%d ", st.Ino)) {
			list = append(list, strings.TrimSpace(line)[strings.Index(line, ": "):])
		}
	}
	return list
}

// Whoever reads the file in this process, be it for a backup, takes no lock away.
func TestOwnReadsKeepLocks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have no such locks")
	}
	path := newPath(t)
	st := open(t, path)
	defer closeStore(t, st)
	err := st.Tx(func(q *db.Queries) error {
		if err := add("a", 1)(q); err != nil {
			return err
		}
		before := locks(t, path)
		if len(before) == 0 {
			t.Error("no lock on the database while it is open")
		}
		if _, err := os.ReadFile(path); err != nil {
			return err
		}
		diff(t, "locks", before, locks(t, path))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestClassify(t *testing.T) {
	f := func(err error, want store.Class) {
		t.Helper()
		if got := store.Classify(err); got != want {
			t.Errorf("%v: class %d, want %d", err, got, want)
		}
	}
	f(errors.New("anything"), store.Unavailable)
	f(context.Canceled, store.Unavailable)
	f(fs.ErrNotExist, store.Unavailable)
	f(fmt.Errorf("commit: %w", store.ErrDamaged), store.Fatal)
	f(errors.Join(store.ErrReplaced, fs.ErrNotExist), store.Fatal)
	if store.Classify(nil) == store.Fatal || store.Classify(nil) == store.Rejected {
		t.Error("no error is none of these")
	}
}

// A reader neither outlives its store nor keeps it from being closed.
func TestCloseEndsReaders(t *testing.T) {
	t.Parallel()
	st, err := store.Open(t.Context(), store.Options{
		Path: filepath.Join(t.TempDir(), "trace.db"), Synchronous: "normal", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	reading, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- st.Read(context.Background(), func(q *db.Queries) error {
			close(reading)
			for {
				if _, err := q.ListLedger(context.Background()); err != nil {
					return err
				}
			}
		})
	}()
	<-reading
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, store.ErrClosed) {
		t.Errorf("the reader was told %v", err)
	}
	if err := st.Read(context.Background(), func(*db.Queries) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("the next one was told %v", err)
	}
}

// A program that reads for ever stops what is stored before the log fills the disk, and
// nothing else; once it has gone, all goes on.
func TestReaderThatStays(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	st := open(t, path)
	defer closeStore(t, st)
	text, n := strings.Repeat("x", 1<<20), 0
	insert := func(q *db.Queries) error {
		n++
		return q.SetMeta(context.Background(), db.SetMetaParams{Key: strconv.Itoa(n), Value: text})
	}
	if err := st.Tx(insert); err != nil {
		t.Fatal(err)
	}
	reader := look(t, path)
	tx, err := reader.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := tx.QueryRow("SELECT COUNT(*) FROM meta").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	stored := 0
	for err = st.Tx(insert); err == nil; err = st.Tx(insert) {
		if stored++; stored > 200 {
			t.Fatal("the log is not bounded")
		}
	}
	if _, wal := st.Sizes(); !errors.Is(err, store.ErrHeld) || store.Classify(err) != store.Unavailable || wal > store.MaxLogBytes || stored < 40 {
		t.Errorf("%v after %d rows and a log of %d bytes", err, stored, wal)
	}
	if err := st.LastTx(func(q *db.Queries) error { return q.DeleteSession(context.Background(), "s") }); err != nil {
		t.Errorf("other work: %v", err)
	}
	if err := st.Tx(insert); !errors.Is(err, store.ErrHeld) {
		t.Errorf("after other work: %v", err)
	}
	for err = nil; err == nil && stored < 200; stored++ {
		err = st.LastTx(insert)
	}
	if _, wal := st.Sizes(); !errors.Is(err, store.ErrHeld) || wal > store.MaxLogBytes+2<<20 || wal < store.MaxLogBytes {
		t.Errorf("other work ended with %v and a log of %d bytes", err, wal)
	}
	if err := errors.Join(tx.Rollback(), reader.Close()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := st.Tx(insert); err != nil {
			t.Fatalf("without the reader: %v", err)
		}
	}
	if _, wal := st.Sizes(); wal > 2*store.CheckpointPages*store.PageSize {
		t.Errorf("the log has %d bytes afterwards", wal)
	}
}
