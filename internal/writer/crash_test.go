package writer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// ack is a call that Submit said is stored.
type ack struct {
	n    int
	step int // how many steps of the disk were done by then
	when time.Time
}

// checkSurvived opens the database at path as the next start does and fails unless it
// is sound, holds the calls in must, and works. It returns the calls that are there.
func checkSurvived(t *testing.T, path string, must []int) map[int]bool {
	t.Helper()
	f := open(t, path, "full")
	if aside := f.store.MovedAside(); aside != "" {
		t.Errorf("the database was taken for a damaged one")
	}
	there := make(map[int]bool)
	c := look(t, path, "mode=ro")
	if s := one[string](t, c, "PRAGMA integrity_check"); s != "ok" {
		t.Errorf("integrity_check: %s", s)
	}
	numbers := make(map[string]int)
	for n := range 1000 {
		numbers[id(n)] = n
	}
	for _, s := range table(t, c, "SELECT trace_id FROM llm_traces") {
		n, ok := numbers[s]
		if !ok {
			t.Errorf("nobody sent %s", s)
		}
		there[n] = true
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for _, n := range must {
		if !there[n] {
			t.Errorf("call %d was acknowledged and is gone", n)
		}
	}
	CheckBooks(t, path, f.Books())
	if r := f.submit(calls(999, 1000)); r.Stored != 1 {
		t.Errorf("the first batch after it: %+v", r)
	}
	f.close()
	return there
}

// world is one recorded life of a database, from its creation to its clean end.
type world struct {
	disk *disk
	acks []ack
	end  time.Time
}

func live(t *testing.T, synchronous string, seed uint64) (w world) {
	synctest.Test(t, func(t *testing.T) {
		path := emptyPath(t)
		d := newDisk(t, filepath.Dir(path))
		d.record = true
		f := open(t, path, synchronous)
		other := look(t, path, "")
		defer other.Close()
		r := rand.New(rand.NewPCG(seed, 1))
		n := 0
		for range 12 {
			b := calls(n, n+1+r.IntN(9))
			for i := range b.Calls {
				b.Calls[i].InputText = new(strings.Repeat("x", r.IntN(3000)))
			}
			f.submit(b)
			for range b.Calls {
				w.acks = append(w.acks, ack{n, d.steps(), time.Now()})
				n++
			}
			switch r.IntN(4) {
			case 0: // as the sidecar itself does after 16 MB
				mode := []string{"PASSIVE", "RESTART"}[r.IntN(2)]
				if _, err := other.ExecContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")"); err != nil {
					t.Fatal(err)
				}
			default:
				time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
			}
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		if err := f.stop(); err != nil {
			t.Error(err)
		}
		d.record = false
		w.disk, w.end = d, time.Now()
	})
	return w
}

func TestPowerCut(t *testing.T) {
	worlds, cuts := 2, 12
	if *long {
		worlds, cuts = 12, 50
	}
	for _, synchronous := range []string{"full", "normal"} {
		for seed := range uint64(worlds) {
			w := live(t, synchronous, seed)
			for i := range cuts {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				// Every third in the first steps: creation and migrations.
				n := r.IntN(len(w.disk.log) + 1)
				if i%3 == 0 {
					n = r.IntN(w.acks[0].step)
				}
				t.Run(fmt.Sprintf("%s/world %d/cut %d", synchronous, seed, i), func(t *testing.T) {
					w.cut(t, synchronous, n, r)
				})
			}
		}
	}
}

func (w *world) cut(t *testing.T, synchronous string, n int, r *rand.Rand) {
	when := w.end
	if n < len(w.disk.log) {
		when = w.disk.log[n].when
	}
	var must []int
	for _, a := range w.acks {
		if a.step <= n && (synchronous == "full" || when.Sub(a.when) > writer.SyncEvery) {
			must = append(must, a.n)
		}
	}
	t.Logf("before step %d of %d, after %v", n, len(w.disk.log), w.disk.log[max(0, n-4):n])
	dir := t.TempDir()
	left := w.disk.afterCut(t, n, r)
	restore(t, dir, left)
	if r.IntN(4) == 0 {
		// The power fails again, while the next start recovers or soon after.
		d := newDisk(t, dir)
		d.record = true
		for name, data := range left {
			d.known[name] = true
			d.note(step{kind: "found", file: name, data: data})
		}
		f := open(t, filepath.Join(dir, "trace.db"), synchronous)
		if err := f.stop(); err != nil {
			t.Error(err)
		}
		d.record = false
		n := len(left) + r.IntN(len(d.log)-len(left)+1)
		t.Logf("again before step %d of %d, after %v", n, len(d.log), d.log[max(0, n-4):n])
		again := d.afterCut(t, n, r)
		dir = t.TempDir()
		restore(t, dir, again)
	}
	there := checkSurvived(t, filepath.Join(dir, "trace.db"), must)
	for i := range len(there) {
		if !there[i] {
			t.Errorf("call %d is missing although later ones are there", i)
		}
	}
}

// faults are the errors that SQLite can meet at a step.
func faults(s step) []int32 {
	switch s.kind {
	case "write":
		return []int32{sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_FULL}
	case "truncate":
		return []int32{sqlite3.SQLITE_IOERR_TRUNCATE}
	case "sync":
		return []int32{sqlite3.SQLITE_IOERR_FSYNC}
	}
	return nil
}

// failFrom makes the n-th step fail with code, and with always all like it after.
func (d *disk) failFrom(n int, code int32, always bool) (failed func() bool) {
	var mu sync.Mutex // the writer works while the test looks
	hit := false
	i := -1
	d.fail(func(s step) int32 {
		mu.Lock()
		defer mu.Unlock()
		i++
		if i == n || always && hit && slices.Contains(faults(s), code) {
			hit = true
			return code
		}
		return sqlite3.SQLITE_OK
	})
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return hit
	}
}

// sweep calls f for faults at the steps of a run, which f records when code is 0.
func sweep(t *testing.T, name string, f func(t *testing.T, n int, code int32, always bool) []step) {
	steps := f(t, -1, 0, false)
	if len(steps) < 20 {
		t.Fatalf("only %d steps", len(steps))
	}
	r := rand.New(rand.NewPCG(7, uint64(len(steps))))
	for n, s := range steps {
		for _, code := range faults(s) {
			for _, always := range []bool{false, true} {
				if !*long && (s.kind == "write" && r.IntN(30) != 0 || s.kind == "sync" && r.IntN(3) != 0) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s-%d/%d/%t", name, s.kind, n, code, always), func(t *testing.T) {
					f(t, n, code, always)
				})
			}
		}
	}
}

func TestFaultSweep(t *testing.T) {
	for _, synchronous := range []string{"full", "normal"} {
		sweep(t, synchronous, func(t *testing.T, n int, code int32, always bool) (steps []step) {
			synctest.Test(t, func(t *testing.T) { steps = sweepSubmits(t, synchronous, n, code, always) })
			return steps
		})
	}
}

func sweepSubmits(t *testing.T, synchronous string, n int, code int32, always bool) []step {
	path := newPath(t)
	d := newDisk(t, filepath.Dir(path))
	f := open(t, path, synchronous)
	f.submit(calls(0, 5))
	acked := upTo(5)
	d.record = n < 0
	failed := d.failFrom(n, code, always)
	ended := func() bool {
		select {
		case <-f.Done():
			return true
		default:
			return false
		}
	}
	next := 5
	try := func() {
		size := 1 + next%5
		was := failed()
		_, err := f.Submit(calls(next, next+size))
		switch {
		case err == nil:
			for i := range size {
				acked = append(acked, next+i)
			}
		case !failed():
			t.Errorf("an error without a fault: %v", err)
		case was && !always && !ended() && !errors.Is(err, writer.ErrClosed):
			t.Errorf("the fault was over, and still: %v", err)
		}
		next += size
	}
	for range 4 {
		try()
		if r := next % 3; r != 0 {
			time.Sleep(time.Duration(r) * 600 * time.Millisecond)
		}
	}
	if failed() {
		// A commit that the disk did not take, or did not say that it did.
		if code == sqlite3.SQLITE_IOERR_FSYNC {
			select {
			case <-f.Done():
				if store.Classify(f.Err()) != store.Fatal {
					t.Errorf("the writer ended with %v", f.Err())
				}
			case <-time.After(2 * writer.SyncEvery):
				t.Error("the writer goes on after a failed sync")
			}
		} else if ended() {
			t.Errorf("the writer ended: %v", f.Err())
		} else if always && f.Fault() == "" {
			t.Error("no fault is reported")
		}
		d.fail(nil)
		if !ended() {
			r := f.submit(calls(500, 501))
			acked = append(acked, 500)
			if r.Stored != 1 || f.Fault() != "" {
				t.Errorf("after the fault: %+v, %s", r, f.Fault())
			}
			CheckBooks(t, path, f.Books())
		}
	}
	err := f.stop() // the fault may come here: the rows stay in the log
	if err != nil && !failed() {
		t.Errorf("close: %v", err)
	}
	if n >= 0 && !failed() {
		t.Errorf("step %d was never reached", n)
	}
	d.record = false
	d.fail(nil)
	checkSurvived(t, path, acked)
	return d.log
}

// A start that fails at any step leaves what the next one completes.
func TestFaultSweepCreate(t *testing.T) {
	sweep(t, "create", func(t *testing.T, n int, code int32, always bool) (steps []step) {
		synctest.Test(t, func(t *testing.T) { steps = sweepCreate(t, n, code, always) }) // goose waits before it tries again
		return steps
	})
}

func sweepCreate(t *testing.T, n int, code int32, always bool) []step {
	path := emptyPath(t)
	d := newDisk(t, filepath.Dir(path))
	d.record = n < 0
	failed := d.failFrom(n, code, always)
	f, err := tryOpen(t, path, "full")
	if err != nil && !failed() {
		t.Fatal(err)
	}
	d.record = false
	d.fail(nil)
	if err == nil {
		f.close()
	}
	checkSurvived(t, path, nil)
	left, err := filepath.Glob(path + ".*-*")
	if err != nil || len(left) > 0 {
		t.Errorf("a fault of the disk was taken for damage: %q, %v", left, err)
	}
	return d.log
}

// A commit that finds the log full copies it into the database. A sync that fails
// then is as bad as any.
func TestFailedSyncOfCheckpoint(t *testing.T) {
	for _, file := range []string{"trace.db-wal", "trace.db"} {
		t.Run(file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, d := openOnDisk(t, "normal")
				var failed atomic.Bool
				d.fail(func(s step) int32 {
					if s.kind == "sync" && s.file == file && failed.CompareAndSwap(false, true) {
						return sqlite3.SQLITE_IOERR_FSYNC
					}
					return sqlite3.SQLITE_OK
				})
				for n := 0; n < 16 && !failed.Load(); n++ {
					b := calls(n*100, n*100+100)
					for i := range b.Calls {
						b.Calls[i].InputText = new(strings.Repeat("x", 16000))
					}
					if _, err := f.Submit(b); err != nil && !failed.Load() {
						t.Fatal(err)
					}
				}
				if !failed.Load() {
					t.Fatal("no checkpoint")
				}
				time.Sleep(2 * writer.SyncEvery)
				select {
				case <-f.Done():
					if store.Classify(f.Err()) != store.Fatal {
						t.Errorf("the writer ended with %v", f.Err())
					}
				default:
					t.Error("the writer goes on after a failed sync")
				}
				_ = f.stop() // it reports the same
			})
		})
	}
}
