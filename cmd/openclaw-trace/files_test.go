package main_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The agent can reach our files. Whatever it does to them, no event may be
// acknowledged that is not in the file at the path, and the recorder goes on.
func TestFileTakenAway(t *testing.T) {
	f := func(name string, harm func(t *testing.T, path string)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRand(t)
			in := newInstance(t, dbPath(t))
			rec := newRecord(in)
			// Restarted, so that what was stored before is not in the log any more.
			p := in.start()
			rec.mustStore(calls(r, 50))
			p.stop()
			p = in.start()
			rec.mustStore(calls(r, 3))

			harm(t, in.db)
			next := calls(r, 3)
			if !rec.sendUntil(next, stored) {
				t.Error("the first request was acknowledged; want it refused, since SQLite had written to the lost file")
			}
			if !has(t, in.db, next) {
				t.Error("acknowledged events are not in the database at the path")
			}
			p.await("the database is closed and will be opened anew", 1)
			p.await("database opened", 2)
			p.mustLive()
			if h := in.health(); h.DBStatus != "ok" {
				t.Errorf("health says %+v, want db_status ok again", h)
			}
			later := calls(r, 20)
			rec.mustStore(later)
			p.kill()
			p = in.start()
			if !has(t, in.db, next) || !has(t, in.db, later) {
				t.Error("acknowledged events are gone after a crash")
			}
			p.stop()
		})
	}
	f("removed", func(t *testing.T, path string) { check(t, os.Remove(path)) })
	f("removed with its log", func(t *testing.T, path string) {
		check(t, os.Remove(path))
		check(t, os.Remove(path+"-wal"))
		check(t, os.Remove(path+"-shm"))
	})
	f("moved", func(t *testing.T, path string) { check(t, os.Rename(path, path+".away")) })
	f("truncated", func(t *testing.T, path string) { check(t, os.Truncate(path, 0)) })
	f("replaced by an older one", func(t *testing.T, path string) {
		other := newInstance(t, path+".older")
		p := other.start()
		newRecord(other).mustStore(calls(newRand(t), 3))
		p.stop()
		check(t, os.Rename(path+".older", path))
	})
}

func TestHealthWhileThereIsNoDatabase(t *testing.T) {
	t.Parallel()
	in := newInstance(t, dbPath(t))
	rec := newRecord(in)
	r := newRand(t)
	p := in.start()
	rec.mustStore(calls(r, 3))
	// Without the directory nothing can be opened until it is back.
	dir := filepath.Dir(in.db)
	check(t, os.Rename(dir, dir+".away"))
	check(t, os.WriteFile(dir, nil, 0o600))
	next := calls(r, 1)
	rec.sendUntil(next, func(answer) bool {
		p.mustLive()
		return strings.Contains(p.text(), "cannot be opened")
	})
	if h := in.health(); h.Status != "error" || h.DBStatus != "error" || len(h.Reasons) == 0 {
		t.Errorf("health says %+v, want an error and its reason", h)
	}
	if a := in.get("/ready"); a.status != 503 {
		t.Errorf("GET /ready: %d, want 503", a.status)
	}
	check(t, os.Remove(dir))
	check(t, os.Rename(dir+".away", dir))
	p.await("database opened", 2)
	rec.sendUntil(next, stored)
	rec.check()
	rec.checkHealth()
	p.stop()
}

// A database with damaged pages is put aside whole, not deleted and not in the way.
func TestDamagedPages(t *testing.T) {
	f := func(name string, from, to int64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRand(t)
			in := newInstance(t, dbPath(t))
			rec := newRecord(in)
			p := in.start()
			for range 20 {
				rec.mustStore(calls(r, 50))
			}
			p.stop()
			p = in.start()
			rec.mustStore(failures(r, 1))
			p.kill()
			damage(t, in.db, from, to)

			p = in.start()
			p.await("the database is damaged and is moved aside", 1)
			next := calls(r, 3)
			rec.sendUntil(next, func(a answer) bool { return stored(a) && has(t, in.db, next) })
			h := in.health()
			if h.Status != "degraded" || len(h.Reasons) != 1 || !strings.Contains(h.Reasons[0], "damaged") {
				t.Errorf("health says %+v, want degraded and why", h)
			}
			aside, err := filepath.Glob(in.db + ".corrupt-*Z")
			if err != nil || len(aside) != 1 {
				t.Errorf("put aside: %q %v, want one file", aside, err)
			}
			p.stop()
			db := openDB(t, in.db, "mode=ro")
			defer db.Close()
			var n int
			if err := db.QueryRow("SELECT n FROM ledger WHERE kind = 'database' AND outcome = 'moved_aside'").Scan(&n); err != nil || n != 1 {
				t.Errorf("the ledger counts %d databases put aside, want 1: %v", n, err)
			}
			// The new one is sound, so the next start is as any other.
			p = in.start()
			if h := in.health(); h.Status != "ok" || !has(t, in.db, next) {
				t.Errorf("health says %+v after a restart, want ok", h)
			}
			p.stop()
		})
	}
	f("of data", 40, 80)
	f("of the schema", 1, 8)
}

// The books are read before anything is served. Damage there is damage, too.
func TestDamagedLedger(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	in := newInstance(t, dbPath(t))
	rec := newRecord(in)
	p := in.start()
	rec.mustStore(calls(r, 50))
	p.stop()
	db := openDB(t, in.db, "mode=ro")
	var page int64 // counted from 1
	err := db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'").Scan(&page)
	check(t, errors.Join(err, db.Close()))
	damage(t, in.db, page-1, page)

	p = in.start()
	p.await("the database is damaged and is moved aside", 1)
	next := calls(r, 3)
	rec.sendUntil(next, func(a answer) bool { return stored(a) && has(t, in.db, next) })
	if h := in.health(); h.Status != "degraded" || len(h.Reasons) != 1 || !strings.Contains(h.Reasons[0], "damaged") {
		t.Errorf("health says %+v, want degraded and why", h)
	}
	p.stop()
}

// damage overwrites the pages from first up to last, counted from 0.
func damage(t *testing.T, path string, first, last int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	check(t, err)
	defer file.Close()
	info, err := file.Stat()
	check(t, err)
	if info.Size() < last*4096 {
		t.Fatalf("the database has only %d bytes", info.Size())
	}
	noise := make([]byte, (last-first)*4096)
	for i := range noise {
		noise[i] = byte(i*7 + 1)
	}
	_, err = file.WriteAt(noise, first*4096)
	check(t, err)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
