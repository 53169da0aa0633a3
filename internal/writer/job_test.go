package writer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

var background = context.Background()

// ignored counts n log records, as a job may.
func ignored(tx *writer.Tx, n int64) {
	tx.Count(writer.Entry{Kind: writer.KindLog, Outcome: writer.Ignored, Reason: "job"}, n)
}

func setMeta(tx *writer.Tx, key string) error {
	return tx.SetMeta(background, db.SetMetaParams{Key: key, Value: "set"})
}

// checkMeta fails unless the jobs that set these keys, and no others, are in the database.
func checkMeta(t *testing.T, path string, want ...string) {
	t.Helper()
	c := look(t, path, "mode=ro")
	defer c.Close()
	if d := cmp.Diff(want, table(t, c, `SELECT key FROM meta WHERE value = 'set' ORDER BY key`)); d != "" {
		t.Errorf("jobs done (-want +got):\n%s", d)
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	f.submit(calls(0, 3))
	err := f.Do(background, func(tx *writer.Tx) error {
		ignored(tx, 5)
		if ids, err := tx.LastIDs(background); err != nil || ids.LLMTrace != 3 {
			t.Errorf("a job sees %+v, %v", ids, err)
		}
		return setMeta(tx, "job")
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := f.Books().Ignored; n != 5 {
		t.Errorf("%d counted when Do returns", n)
	}
	CheckBooks(t, f.path, f.Books())
	c := look(t, f.path, "mode=ro")
	if n := one[int64](t, c, `SELECT n FROM ledger WHERE kind = 'log' AND reason = 'job'`); n != 5 {
		t.Errorf("%d in the ledger when Do returns", n)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	f.submit(calls(3, 5))
	f.close()
	checkMeta(t, f.path, "job")
	checkStored(t, f.path, upTo(5)...)
}

// Of a job that fails nothing is left, neither in the database nor in the books, and the
// writer goes on.
func TestDoFails(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	ours := errors.New("ours")
	err := f.Do(background, func(tx *writer.Tx) error {
		ignored(tx, 5)
		return errors.Join(setMeta(tx, "job"), ours)
	})
	if !errors.Is(err, ours) {
		t.Errorf("Do returned %v", err)
	}
	if n := f.Books().Ignored; n != 0 {
		t.Errorf("%d counted", n)
	}
	if err := f.Do(background, func(tx *writer.Tx) error { return setMeta(tx, "next") }); err != nil {
		t.Errorf("the next one: %v", err)
	}
	f.submit(calls(0, 1))
	if n := f.Books().Ignored; n != 0 {
		t.Errorf("%d counted by those after it", n)
	}
	f.close()
	checkMeta(t, f.path, "next")
}

// Batches do not wait for the jobs that queue: while there are any, each is stored
// before the next job begins.
func TestGroupsGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "normal")
		release := f.hold(d)
		const jobs = 6
		var wg sync.WaitGroup
		submit := func(n int) {
			wg.Go(func() {
				if _, err := f.Submit(calls(n, n+1)); err != nil {
					t.Error(err)
				}
			})
		}
		for n := range jobs {
			wg.Go(func() {
				err := f.Do(background, func(tx *writer.Tx) error {
					ids, err := tx.LastIDs(background)
					if ids.LLMTrace != int64(n) {
						t.Errorf("job %d follows %d batches", n, ids.LLMTrace)
					}
					for submit(n); f.Depth() == 0; { // the queue is never empty when a job ends
						runtime.Gosched()
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		release()
		wg.Wait()
		f.close()
		checkStored(t, f.path, upTo(jobs)...)
	})
}

func TestDoGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "normal")
		release := f.hold(d)
		ctx, cancel := context.WithCancel(background)
		errs := make([]error, 5)
		var wg sync.WaitGroup
		for i, ctx := range []context.Context{background, ctx, background, background, background} {
			wg.Go(func() {
				errs[i] = f.Do(ctx, func(tx *writer.Tx) error { return setMeta(tx, fmt.Sprint("job ", i)) })
			})
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		if !errors.Is(errs[1], context.Canceled) {
			t.Errorf("Do returned %v before its turn", errs[1])
		}
		start := time.Now()
		release()
		wg.Wait()
		errs[1] = nil
		if err := errors.Join(errs...); err != nil {
			t.Errorf("the others: %v", err)
		}
		if waited := time.Since(start); waited != 0 { // for the next sync, say
			t.Errorf("they waited %v", waited)
		}
		f.close()
		checkMeta(t, f.path, "job 0", "job 2", "job 3", "job 4")
	})
}

// A job that has begun is done, whatever its context says meanwhile, and so is what Do says.
func TestDoGivenUpTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newPath(t), "normal")
		ctx, cancel := context.WithCancel(background)
		err := f.Do(ctx, func(tx *writer.Tx) error {
			cancel()
			return setMeta(tx, "job")
		})
		if err != nil {
			t.Errorf("Do returned %v", err)
		}
		f.close()
		checkMeta(t, f.path, "job")
	})
}

func TestDoAfterClose(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	f.close()
	err := f.Do(background, func(*writer.Tx) error { t.Error("it was run"); return nil })
	if !errors.Is(err, writer.ErrClosed) {
		t.Errorf("Do returned %v", err)
	}
}

// Jobs that wait when Close is called are done, as batches are.
func TestCloseDrainsJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "normal")
		release := f.hold(d)
		errs := make([]error, 3)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				errs[i] = f.Do(background, func(tx *writer.Tx) error { return setMeta(tx, fmt.Sprint("job ", i)) })
			})
			synctest.Wait()
		}
		results := f.enqueue(calls(0, 1))
		closed := make(chan error, 1)
		go func() { closed <- f.Close(background) }()
		synctest.Wait()
		release()
		wg.Wait()
		if err := errors.Join(append(errs, results()[0].err, <-closed)...); err != nil {
			t.Error(err)
		}
		f.close()
		checkMeta(t, f.path, "job 0", "job 1", "job 2")
		checkStored(t, f.path, 0)
	})
}

// When the file goes away, the jobs that wait are told so, and none is run.
func TestDoAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "normal")
		release := f.hold(d)
		errs := make([]error, 3)
		var ran atomic.Int64
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				errs[i] = f.Do(background, func(*writer.Tx) error { ran.Add(1); return nil })
			})
			synctest.Wait()
		}
		if err := os.Rename(f.path, f.path+".elsewhere"); err != nil {
			t.Fatal(err)
		}
		release()
		wg.Wait()
		<-f.Done()
		if store.Classify(f.Err()) != store.Fatal {
			t.Errorf("the writer ended with %v", f.Err())
		}
		for i, err := range errs {
			if !errors.Is(err, writer.ErrClosed) {
				t.Errorf("job %d: %v", i, err)
			}
		}
		if n := ran.Load(); n != 0 {
			t.Errorf("%d jobs ran", n)
		}
		_ = f.stop() // it may report the same once more
	})
}

// The job that finds the file gone is told, and its successors too.
func TestDoFindsTheEnd(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	f.submit(calls(0, 1))
	if err := os.Rename(f.path, f.path+".elsewhere"); err != nil {
		t.Fatal(err)
	}
	err := f.Do(background, func(tx *writer.Tx) error { return setMeta(tx, "job") })
	if store.Classify(err) != store.Fatal {
		t.Errorf("Do returned %v", err)
	}
	<-f.Done()
	if err := f.Do(background, func(*writer.Tx) error { return nil }); !errors.Is(err, writer.ErrClosed) {
		t.Errorf("the next: %v", err)
	}
	_ = f.stop() // it may report the same once more
}

// A disk that takes nothing fails the job, and what it counted is not counted.
func TestDoOnFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "normal")
		f.submit(calls(0, 1))
		d.fail(func(s step) int32 {
			if s.kind == "write" {
				return sqlite3.SQLITE_FULL
			}
			return sqlite3.SQLITE_OK
		})
		job := func(tx *writer.Tx) error {
			ignored(tx, 2)
			return setMeta(tx, "job")
		}
		if err := f.Do(background, job); store.Classify(err) != store.Unavailable {
			t.Errorf("Do returned %v", err)
		}
		if f.Fault() == "" || f.Books().Ignored != 0 {
			t.Errorf("fault %q, %d counted", f.Fault(), f.Books().Ignored)
		}
		d.fail(nil)
		if err := f.Do(background, job); err != nil || f.Fault() != "" || f.Books().Ignored != 2 {
			t.Errorf("with room again: %v, fault %q, %d counted", err, f.Fault(), f.Books().Ignored)
		}
		f.close()
		checkMeta(t, f.path, "job")
	})
}

// Batches, jobs that succeed, that fail, and that are given up, all at once.
func TestDoBesideSubmit(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	ours := errors.New("ours")
	const each = 40
	var counted atomic.Int64
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range each {
				n := p*each + i
				if r, err := f.Submit(calls(n, n+1)); err != nil || r.Stored != 1 {
					t.Errorf("call %d: %+v, %v", n, r, err)
				}
			}
		})
		wg.Go(func() {
			for i := range each {
				err := f.Do(background, func(tx *writer.Tx) error {
					ignored(tx, 1)
					if i%3 == 0 {
						return ours
					}
					return tx.AddUsage(background, db.AddUsageParams{Granularity: "day", Provider: "job", Status: "ok", Calls: 1})
				})
				switch {
				case i%3 == 0 && !errors.Is(err, ours), i%3 != 0 && err != nil:
					t.Errorf("job %d: %v", i, err)
				case err == nil:
					counted.Add(1)
				}
			}
		})
		wg.Go(func() {
			for range each {
				ctx, cancel := context.WithCancel(background)
				go cancel()
				switch err := f.Do(ctx, func(tx *writer.Tx) error { ignored(tx, 1); return nil }); {
				case err == nil:
					counted.Add(1)
				case !errors.Is(err, context.Canceled):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := f.Books().Ignored; got != counted.Load() {
		t.Errorf("books: %d counted, want %d", got, counted.Load())
	}
	CheckBooks(t, f.path, f.Books())
	c := look(t, f.path, "mode=rw")
	if n := one[int64](t, c, `SELECT SUM(calls) FROM usage WHERE provider = 'job'`); n != 4*(each-(each+2)/3) {
		t.Errorf("%d jobs are in the database", n)
	}
	if _, err := c.ExecContext(background, `DELETE FROM usage WHERE provider = 'job'`); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	f.close()
	ids := func() (list []int) {
		c := look(t, f.path, "mode=ro")
		defer c.Close()
		for n := range 4 * each {
			if one[int](t, c, `SELECT COUNT(*) FROM llm_traces WHERE trace_id = ?`, id(n)) == 1 {
				list = append(list, n)
			}
		}
		return list
	}()
	if !slices.Equal(ids, upTo(4*each)) {
		t.Errorf("%d calls of %d are there", len(ids), 4*each)
	}
}

// Who keeps the database small is told of what was stored. Batches wait a moment for him
// when he falls behind, and not once he has gone.
func TestGrowth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newPath(t), "normal")
		defer f.close()
		n := 0
		submit := func(times int) time.Duration {
			began := time.Now()
			for range times {
				b := calls(n, n+1)
				b.Calls[0].InputText = new(strings.Repeat("x", 10_000))
				f.submit(b)
				n++
			}
			return time.Since(began)
		}
		told := f.Growth(100_000, func(int64) int64 { return 1 << 40 })
		if submit(9); len(told) != 0 {
			t.Error("told too early")
		}
		if took := submit(2); len(told) != 1 || took != 0 {
			t.Errorf("%d tokens after %s", len(told), took)
		}
		if took := submit(9); took != 0 {
			t.Errorf("batches waited %s before as much again was stored", took)
		}
		if took := submit(5); took < 60*time.Millisecond || took > 100*time.Millisecond {
			t.Errorf("5 batches waited %s", took)
		}
		<-told
		if took := submit(5); took > 20*time.Millisecond {
			t.Errorf("5 batches waited %s although he came", took)
		}
		submit(20)
		f.Unwatched()
		if took := submit(20); took > 20*time.Millisecond {
			t.Errorf("20 batches waited %s for nobody", took)
		}
	})
}

// A database that is as large as it may be grows no further: batches wait for rows to be
// deleted, and are refused when none are. Then health says so, until there is room.
func TestCrowded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newPath(t), "normal")
		defer func() {
			if err := errors.Join(f.Close(background), f.store.Close()); err != nil {
				t.Error(err)
			}
		}()
		const most = 4 << 20
		f.Growth(1<<40, func(int64) int64 { return most })
		n := 0
		submit := func() error {
			b := calls(n, n+1)
			b.Calls[0].InputText, b.Calls[0].OutputText = new(strings.Repeat("x", 10_000)), new(strings.Repeat("y", 10_000))
			n++
			_, err := f.Submit(b)
			return err
		}
		began := time.Now()
		var err error
		for err == nil && n < 1000 {
			err = submit()
		}
		if n < 50 || err == nil || !strings.Contains(err.Error(), "as large as it may be") || f.Fault() != err.Error() {
			t.Errorf("after %d calls: %v; the writer says %q", n, err, f.Fault())
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it waited %s, want a second", took)
		}
		if err := submit(); err == nil || time.Since(began) != time.Second {
			t.Errorf("%v after %s, want the refusal at once", err, time.Since(began))
		}
		if p, err := f.store.ReadPages(t.Context()); err != nil || p.All*store.PageSize > most {
			t.Errorf("%+v, %v", p, err)
		}
		time.Sleep(10 * time.Second)
		if f.Fault() == "" {
			t.Error("it says that there is room")
		}

		remove := func() {
			time.Sleep(500 * time.Millisecond)
			err := f.Do(t.Context(), func(tx *writer.Tx) error {
				_, err := tx.DeleteCalls(t.Context(), db.DeleteCallsParams{Before: math.MaxInt64, Upto: math.MaxInt64, Lim: 120})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
		remove()
		synctest.Wait()
		if f.Fault() != "" {
			t.Errorf("there is room, and it says %q", f.Fault())
		}
		for range 100 {
			if err := submit(); err != nil {
				t.Fatal(err)
			}
		}
		// Who deletes comes while a batch waits.
		began = time.Now()
		go remove()
		for range 100 {
			if err := submit(); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("it waited %s for rows to be deleted", took)
		}
		// What was let in is stored at the end, room or not.
		go func() {
			time.Sleep(time.Millisecond)
			if err := f.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		for err = nil; err == nil; {
			err = submit()
		}
		if !errors.Is(err, writer.ErrClosed) {
			t.Error(err)
		}
	})
}

// That there is room is noticed although nobody sends, and whoever made it did not tell.
func TestRoomWithoutBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newPath(t), "normal")
		var most atomic.Int64
		f.Growth(1<<40, func(int64) int64 { return most.Load() })
		if _, err := f.Submit(calls(0, 1)); err == nil || f.Fault() != err.Error() {
			t.Errorf("%v; the writer says %q", err, f.Fault())
		}
		time.Sleep(time.Minute)
		if f.Fault() == "" {
			t.Error("it says that there is room")
		}
		most.Store(1 << 40)
		time.Sleep(2 * time.Second)
		if f.Fault() != "" || f.Crowded() {
			t.Errorf("there is room, and it says %q", f.Fault())
		}
		if err := errors.Join(f.Close(background), f.store.Close()); err != nil {
			t.Error(err)
		}
	})
}
