package writer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// hold makes the disk hang, inside a bubble, in the middle of a commit that stores
// nothing, and returns what lets it go on. Batches submitted in between are one group.
func (f *fixture) hold(d *disk) (release func()) {
	f.t.Helper()
	gate := make(chan struct{})
	d.fail(func(s step) int32 {
		<-gate
		return sqlite3.SQLITE_OK
	})
	f.Count(writer.CountOf(writer.Entry{Kind: writer.KindLog, Outcome: writer.Ignored}, 1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = f.Submit(new(writer.Batch)) // it may be told to come again
	}()
	synctest.Wait()
	return func() {
		d.fail(nil)
		close(gate)
		<-done
	}
}

// result is what Submit returned.
type result struct {
	writer.Receipt
	err error
}

// enqueue submits batches, in their order, and returns what will be their results.
func (f *fixture) enqueue(batches ...*writer.Batch) (results func() []result) {
	list := make([]result, len(batches))
	var wg sync.WaitGroup
	for i, b := range batches {
		wg.Go(func() { list[i].Receipt, list[i].err = f.Submit(b) })
		synctest.Wait()
	}
	return func() []result {
		wg.Wait()
		return list
	}
}

func openOnDisk(t *testing.T, synchronous string) (*fixture, *disk) {
	path := newPath(t)
	d := newDisk(t, filepath.Dir(path))
	return open(t, path, synchronous), d
}

func TestSubmitStores(t *testing.T) {
	f := open(t, newPath(t), "normal")
	c := look(t, f.path, "mode=ro")
	defer c.Close()
	const producers, each = 16, 20
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				n := p*each + i
				r, err := f.Submit(calls(n, n+1))
				if err != nil || r != (writer.Receipt{Stored: 1}) {
					t.Errorf("call %d: %+v, %v", n, r, err)
				}
				var there bool
				err = c.QueryRowContext(context.Background(), `SELECT COUNT(*) FROM llm_traces WHERE trace_id = ?`, id(n)).Scan(&there)
				if err != nil || !there {
					t.Errorf("call %d is not there when Submit returns: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	CheckBooks(t, f.path, f.Books())
	if got := f.Books().Received; got != producers*each {
		t.Errorf("received %d", got)
	}
	f.close()
}

// What queues while a commit is under way becomes one transaction.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "full")
		f.submit(calls(64, 65)) // the log exists
		release := f.hold(d)
		var batches []*writer.Batch
		for n := range 64 {
			batches = append(batches, calls(n, n+1))
		}
		results := f.enqueue(batches...)
		if f.Depth() != 64 {
			t.Errorf("%d batches wait", f.Depth())
		}
		d.record = true
		release()
		for i, r := range results() {
			if r.err != nil || r.Stored != 1 {
				t.Errorf("batch %d: %+v", i, r)
			}
		}
		syncs := 0
		for _, s := range d.log {
			if s.kind == "sync" {
				syncs++
			}
		}
		if syncs != 2 { // the commit that was held up, and the group
			t.Errorf("%d syncs for 64 batches", syncs)
		}
		d.record = false
		f.close()
		checkStored(t, f.path, append([]int{64}, upTo(64)...)...)
	})
}

// seen is what the writer should do with identities: the first one wins.
type seen map[string]string // content by identity

func (m seen) take(id, content string) (stored, duplicate, conflict int) {
	was, ok := m[id]
	switch {
	case !ok:
		m[id] = content
		return 1, 0, 0
	case was == content:
		return 0, 1, 0
	}
	return 0, 1, 1
}

func TestDuplicates(t *testing.T) {
	const w = db.InsertLLMTraceWidth
	series := func(from, to int, more ...int) []int {
		return append(upTo(to)[from:], more...)
	}
	again := func(n, times int) []int { return slices.Repeat([]int{n}, times) }
	type group = [][]int // batches of identities; a negative one says something else
	f := func(name string, groups ...group) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, d := openOnDisk(t, "normal")
				checkDuplicates(t, f, d, groups)
				f.close()
			})
		})
	}
	f("none", group{series(0, 3)})
	f("twice in a batch", group{{1, 2, 1}})
	f("twice in a full width", group{series(1, w, 1)})
	f("only duplicates in a full width", group{again(1, w)}, group{again(1, w)})
	f("first and last of a full width", group{series(1, w+1), series(1, w+1)})
	f("in the remainder", group{series(1, w+2, 1, w+1)})
	f("across batches of a group", group{{1, 2}, {2, 3}, {3, 1}})
	f("a width across batches", group{series(1, w-1), series(1, w+3)})
	f("across groups", group{{1, 2, 3}}, group{{3, 4}}, group{{1, 4, 5}})
	f("wide across groups", group{series(1, 3*w)}, group{series(w, 4*w)})
	f("conflict in a batch", group{{1, -1}})
	f("conflict across groups", group{{1, 2}}, group{{-1, 2}}, group{series(3, 3+w, -2)})
	f("old, new, old, new", group{{1, 3}}, group{{1, 2, 3, 4, 2, 4, 5}})
	f("empty batches", group{{}, {1}, {}, {}, {1, 2}, {}})
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 8 {
		var groups []group
		for range 4 {
			var g group
			for range 1 + r.IntN(4) {
				batch := make([]int, r.IntN(3*w))
				for j := range batch {
					if batch[j] = 1 + r.IntN(60); r.IntN(10) == 0 {
						batch[j] = -batch[j]
					}
				}
				g = append(g, batch)
			}
			groups = append(groups, g)
		}
		f(fmt.Sprint("random ", i), groups...)
	}
}

func checkDuplicates(t *testing.T, f *fixture, d *disk, groups [][][]int) {
	known := make(map[string]seen)
	for _, kind := range []string{writer.KindCall, writer.KindError, writer.KindSpan, writer.KindEvent} {
		known[kind] = make(seen)
	}
	var stored, duplicates, conflicts int
	for _, g := range groups {
		var batches []*writer.Batch
		var want []result
		for _, ids := range g {
			b := new(writer.Batch)
			var r result
			for _, n := range ids {
				content := "same"
				if n < 0 {
					n, content = -n, "other"
				}
				c, e, s, v := call(n), failure(n), span(n), event(n)
				c.OutputText, e.Message, s.Name, v.Name = &content, content, content, content
				b.Calls, b.Errors = append(b.Calls, c), append(b.Errors, e)
				b.Spans, b.Events = append(b.Spans, s), append(b.Events, v)
			}
			for _, kind := range []string{writer.KindCall, writer.KindError, writer.KindSpan, writer.KindEvent} {
				for i := range ids {
					s, d, c := known[kind].take(b.Calls[i].TraceID, *b.Calls[i].OutputText)
					r.Stored += s
					r.Duplicates += d
					conflicts += c
				}
			}
			stored += r.Stored
			duplicates += r.Duplicates
			batches, want = append(batches, b), append(want, r)
		}
		release := f.hold(d)
		results := f.enqueue(batches...)
		release()
		if diff := cmp.Diff(want, results(), cmp.AllowUnexported(result{})); diff != "" {
			t.Errorf("receipts (-want +got):\n%s", diff)
		}
		books := f.Books()
		CheckBooks(t, f.path, books)
		if books.Received != int64(stored) || books.Duplicates != int64(duplicates) {
			t.Errorf("books %+v, want %d received, %d duplicates", books, stored, duplicates)
		}
	}
	c := look(t, f.path, "mode=ro")
	defer c.Close()
	if got := one[int](t, c, `SELECT COALESCE(SUM(n), 0) FROM ledger WHERE outcome = 'duplicate' AND reason = 'conflict'`); got != conflicts {
		t.Errorf("%d conflicts counted, want %d", got, conflicts)
	}
	for identity, content := range known[writer.KindCall] {
		if got := one[string](t, c, `SELECT output_text FROM llm_traces WHERE trace_id = ?`, identity); got != content {
			t.Errorf("%s holds %q, the first said %q", identity, got, content)
		}
	}
}

// An event sent again says the same only if all that it says is the same.
func TestEventConflict(t *testing.T) {
	f := open(t, newPath(t), "normal")
	with := func(change func(*db.InsertCustomEventParams)) *writer.Batch {
		e := event(1)
		e.SessionID, e.Metadata = new("evening"), new(`{"version":1}`)
		change(&e)
		return &writer.Batch{Events: []db.InsertCustomEventParams{e}}
	}
	submit := func(what string, want writer.Receipt, change func(*db.InsertCustomEventParams)) {
		t.Helper()
		if got := f.submit(with(change)); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	again := writer.Receipt{Duplicates: 1}
	submit("first", writer.Receipt{Stored: 1}, func(*db.InsertCustomEventParams) {})
	submit("again", again, func(*db.InsertCustomEventParams) {})
	submit("at another time", again, func(e *db.InsertCustomEventParams) { e.CreatedAt++ })
	submit("another name", again, func(e *db.InsertCustomEventParams) { e.Name = "x" })
	submit("no session", again, func(e *db.InsertCustomEventParams) { e.SessionID = nil })
	submit("other metadata", again, func(e *db.InsertCustomEventParams) { e.Metadata = new(`{"version":2}`) })
	f.close()
	c := look(t, f.path, "mode=ro")
	defer c.Close()
	got := table(t, c, `SELECT outcome || ' ' || reason || ' ' || n FROM ledger WHERE kind = 'custom_event' ORDER BY outcome, reason`)
	if d := cmp.Diff([]string{"duplicate  2", "duplicate conflict 3", "received  1"}, got); d != "" {
		t.Errorf("ledger (-want +got):\n%s", d)
	}
}

func TestRefusalCountsEachKind(t *testing.T) {
	b := &writer.Batch{
		Calls:  []db.InsertLLMTraceParams{call(1)},
		Errors: []db.InsertErrorEventParams{failure(1), failure(2)},
		Spans:  []db.InsertSpanParams{span(1), span(2), span(3)},
		Events: []db.InsertCustomEventParams{event(1), event(2), event(3), event(4)},
	}
	var want writer.Counts
	for i, kind := range []string{writer.KindCall, writer.KindError, writer.KindSpan, writer.KindEvent} {
		want.Add(writer.Entry{Kind: kind, Outcome: writer.Refused, Reason: "503"}, int64(i+1))
	}
	if d := cmp.Diff(&want, b.Refusal("503"), cmp.AllowUnexported(writer.Counts{})); d != "" {
		t.Errorf("counts (-want +got):\n%s", d)
	}
}

func TestRejectedBatchAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "normal")
		bad := calls(10, 40)
		bad.Calls[25].Status = "no such status"
		release := f.hold(d)
		results := f.enqueue(calls(0, 5), bad, calls(5, 10))
		release()
		got := results()
		if got[0].err != nil || !errors.Is(got[1].err, writer.ErrRejected) || got[2].err != nil {
			t.Errorf("results %+v", got)
		}
		if f.Fault() != "" {
			t.Errorf("a bad batch is no fault of the database: %s", f.Fault())
		}
		bad.Calls[25].Status = "ok"
		if r := f.submit(bad); r.Stored != 30 {
			t.Errorf("put right: %+v", r)
		}
		if b := f.Books(); b.Refused != 30 || b.Received != 40 {
			t.Errorf("books %+v", b)
		}
		f.close()
		checkStored(t, f.path, upTo(40)...)
	})
}

func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "normal")
		f.submit(calls(0, 1))
		d.fail(func(s step) int32 {
			if s.kind == "write" {
				return sqlite3.SQLITE_FULL
			}
			return sqlite3.SQLITE_OK
		})
		for n := range 3 {
			f.Count(writer.CountOf(writer.Entry{Kind: writer.KindLog, Outcome: writer.Ignored}, 1))
			if got := f.Books().Ignored; got != int64(n+1) {
				t.Errorf("%d ignored, want %d", got, n+1)
			}
			_, err := f.Submit(calls(1, 2*db.InsertLLMTraceWidth))
			if err == nil || store.Classify(err) != store.Unavailable {
				t.Errorf("on a full disk: %v", err)
			}
			if !strings.Contains(f.Fault(), "full") {
				t.Errorf("fault %q", f.Fault())
			}
			time.Sleep(3 * time.Second)
		}
		if n := f.log.count("takes no rows"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		CheckBooks(t, f.path, f.Books())
		d.fail(nil)
		// What was rolled back must not count when new rows are told from old ones.
		if r := f.submit(calls(0, db.InsertLLMTraceWidth)); r != (writer.Receipt{Stored: db.InsertLLMTraceWidth - 1, Duplicates: 1}) || f.Fault() != "" {
			t.Errorf("with room again: %+v, %s", r, f.Fault())
		}
		if n := f.Books().Ignored; n != 3 {
			t.Errorf("%d ignored, want 3", n)
		}
		if n := f.log.count("takes rows again"); n != 1 {
			t.Errorf("recovery logged %d times", n)
		}
		f.close()
		checkStored(t, f.path, upTo(db.InsertLLMTraceWidth)...)
	})
}

func TestForeignWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newPath(t), "normal")
		f.submit(calls(0, 1))
		other := look(t, f.path, "_txlock=immediate")
		defer other.Close()

		// Let go in time: the batch is stored after its sender has gone.
		tx, err := other.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Submit(calls(1, 2)); !errors.Is(err, writer.ErrPending) {
			t.Errorf("%v", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if r := f.submit(calls(1, 2)); r.Duplicates != 1 {
			t.Errorf("sent again: %+v", r)
		}

		// Not let go: it is given up, and those that waited behind it withdrawn.
		if tx, err = other.Begin(); err != nil {
			t.Fatal(err)
		}
		results := f.enqueue(calls(2, 3), calls(3, 4))
		time.Sleep(writer.StallAfter)
		synctest.Wait()
		if !strings.Contains(f.Fault(), "stalled") {
			t.Errorf("fault %q", f.Fault())
		}
		got := results()
		if !errors.Is(got[0].err, writer.ErrPending) || !errors.Is(got[1].err, writer.ErrTimeout) {
			t.Errorf("results %+v", got)
		}
		time.Sleep(6 * time.Second)
		if !strings.Contains(f.Fault(), "locked") {
			t.Errorf("fault %q", f.Fault())
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		f.submit(calls(4, 5))
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		f.close()
		checkStored(t, f.path, 0, 1, 4)
	})
}

func TestReplacedFile(t *testing.T) {
	f := func(name string, do func(path string) error) {
		t.Run(name, func(t *testing.T) {
			f := open(t, newPath(t), "normal")
			f.submit(calls(0, 1))
			if err := do(f.path); err != nil {
				t.Fatal(err)
			}
			_, err := f.Submit(calls(1, 2))
			if err == nil || store.Classify(err) != store.Fatal {
				t.Fatalf("submit: %v; close: %v", err, f.stop())
			}
			<-f.Done()
			if store.Classify(f.Err()) != store.Fatal {
				t.Errorf("the writer ended with %v", f.Err())
			}
			if f.Fault() == "" {
				t.Error("no fault")
			}
			if _, err := f.Submit(calls(2, 3)); !errors.Is(err, writer.ErrClosed) {
				t.Errorf("afterwards: %v", err)
			}
			_ = f.stop() // it may report the same once more
			// Whatever lies there now, the next start works.
			f = open(t, f.path, "normal")
			f.submit(calls(3, 4))
			f.close()
		})
	}
	f("removed", os.Remove)
	f("moved away", func(path string) error { return os.Rename(path, path+".elsewhere") })
	f("another in its place", func(path string) error {
		return errors.Join(os.WriteFile(path+".2", nil, 0o600), os.Rename(path+".2", path))
	})
	f("truncated", func(path string) error { return os.Truncate(path, 0) })
}

func TestMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "normal")
		gate := make(chan struct{})
		d.fail(func(step) int32 { <-gate; return sqlite3.SQLITE_OK })
		start := time.Now()
		got := f.enqueue(calls(0, 1), calls(1, 2))()
		if waited := time.Since(start); waited != writer.MaxWait {
			t.Errorf("answered after %v", waited)
		}
		if !errors.Is(got[0].err, writer.ErrPending) || !errors.Is(got[1].err, writer.ErrTimeout) {
			t.Errorf("results %+v", got)
		}
		if f.Depth() != 0 {
			t.Errorf("%d batches wait after they were withdrawn", f.Depth())
		}
		d.fail(nil)
		close(gate)
		f.submit(calls(2, 3))
		f.close()
		checkStored(t, f.path, 0, 2)
	})
}

func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newPath(t)
		d := newDisk(t, filepath.Dir(path))
		f := open(t, path, "normal")
		if err := f.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.opts.MaxQueueBytes = 4096
		var err error
		if f.Writer, err = writer.New(f.store, f.opts); err != nil {
			t.Fatal(err)
		}
		release := f.hold(d)
		// One that is larger than the queue is taken into an empty one.
		results := f.enqueue(calls(0, 10))
		if _, err := f.Submit(calls(10, 11)); !errors.Is(err, writer.ErrFull) {
			t.Errorf("into a full queue: %v", err)
		}
		release()
		if r := results()[0]; r.err != nil || r.Stored != 10 {
			t.Errorf("%+v", r)
		}
		f.submit(calls(10, 11))
		f.close()
		checkStored(t, f.path, upTo(11)...)
	})
}

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := openOnDisk(t, "normal")
		release := f.hold(d)
		results := f.enqueue(calls(0, 1), calls(1, 2), calls(2, 3))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := f.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close while the disk hangs: %v", err)
		}
		if _, err := f.Submit(calls(3, 4)); !errors.Is(err, writer.ErrClosed) {
			t.Errorf("after close: %v", err)
		}
		release()
		for i, r := range results() {
			if r.err != nil || r.Stored != 1 {
				t.Errorf("batch %d: %+v", i, r)
			}
		}
		f.close()
		if err := f.Err(); err != nil {
			t.Error(err)
		}
		checkStored(t, f.path, upTo(3)...)
	})
}

func TestCloseUnderLoad(t *testing.T) {
	cycles := 12
	if *long {
		cycles = 1000
	}
	path := newPath(t)
	var acked []int
	for cycle := range cycles {
		f := open(t, path, "normal")
		var mu sync.Mutex
		var producers sync.WaitGroup
		started := make(chan struct{}, 8)
		for p := range 8 {
			producers.Go(func() {
				for i := 0; ; i++ {
					n := (cycle*8+p)<<20 + i
					_, err := f.Submit(calls(n, n+1))
					if i == 0 {
						started <- struct{}{}
					}
					if errors.Is(err, writer.ErrClosed) {
						return
					}
					if err != nil {
						t.Errorf("submit: %v", err)
						return
					}
					mu.Lock()
					acked = append(acked, n)
					mu.Unlock()
				}
			})
		}
		for range cycle % 9 {
			<-started
		}
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
		producers.Wait()
		if err := f.store.Close(); err != nil {
			t.Error(err)
		}
		if cycle == cycles-1 {
			CheckBooks(t, path, f.Books())
		}
	}
	c := look(t, path, "mode=ro")
	defer c.Close()
	there := table(t, c, `SELECT trace_id FROM llm_traces`)
	var want []string
	for _, n := range acked {
		want = append(want, id(n))
	}
	slices.Sort(want)
	slices.Sort(there)
	if !slices.Equal(want, there) {
		t.Errorf("%d calls acknowledged, %d there", len(want), len(there))
	}
}

// Ledger and summaries are what a count of the tables gives, whatever was sent, and
// after each start, be it after a clean end or not.
func TestBooksAcrossRestarts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	path := newPath(t)
	for life := range 6 {
		f := open(t, path, "normal")
		before := f.Books()
		CheckBooks(t, path, before)
		for range 5 {
			b := randomBatch(r)
			var wg sync.WaitGroup
			wg.Go(func() {
				f.Count(writer.CountOf(writer.Entry{Kind: writer.KindMetric, Outcome: writer.Ignored}, 2))
				f.submit(randomBatchFrom(r.Uint64()))
			})
			f.submit(b)
			wg.Wait()
			CheckBooks(t, path, f.Books())
		}
		if got := f.Books(); got.Ignored != before.Ignored+10 {
			t.Errorf("life %d: %d ignored, before it %d", life, got.Ignored, before.Ignored)
		}
		if life%2 == 0 {
			f.close()
			continue
		}
		// As a killed process leaves it: the files as they are now.
		left := newPath(t)
		for _, suffix := range []string{"", "-wal"} {
			data, err := os.ReadFile(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(left+suffix, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f.close()
		path = left
	}
	open(t, path, "normal").close()
}

func randomBatchFrom(seed uint64) *writer.Batch {
	return randomBatch(rand.New(rand.NewPCG(seed, seed)))
}

func randomBatch(r *rand.Rand) *writer.Batch {
	maybe := func(n int64) *int64 {
		if r.IntN(3) == 0 {
			return nil
		}
		return new(r.Int64N(n))
	}
	b := new(writer.Batch)
	for range r.IntN(40) {
		n := r.IntN(1500)
		c := call(n)
		c.CreatedAt += r.Int64N(3 * 86400_000)
		c.Provider = []string{"anthropic", "openai"}[r.IntN(2)]
		c.Status = []string{"ok", "error", "timeout"}[r.IntN(3)]
		c.Agent = []*string{nil, new("main"), new("helper")}[r.IntN(3)]
		c.PromptTokens, c.CompletionTokens, c.LatencyMS = maybe(1000), maybe(1000), maybe(100_000)
		c.CacheReadTokens, c.CacheWriteTokens, c.ReasoningTokens = maybe(100), maybe(100), maybe(100)
		if r.IntN(2) == 0 {
			c.CostUSD = new(float64(r.IntN(1_000_000)) / 1e7)
		}
		b.Calls = append(b.Calls, c)
	}
	for range r.IntN(5) {
		b.Errors = append(b.Errors, failure(r.IntN(100)))
	}
	for range r.IntN(20) {
		b.Spans = append(b.Spans, span(r.IntN(300)))
	}
	for range r.IntN(10) {
		b.Events = append(b.Events, event(r.IntN(200)))
	}
	return b
}

func TestMovedAsideIsCounted(t *testing.T) {
	path := newPath(t)
	f := open(t, path, "normal")
	f.submit(calls(0, 1))
	f.close()
	aside, err := store.MoveAside(path, f.opts.Log)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(context.Background(), store.Options{Path: path, Synchronous: "normal", MovedAside: aside, Log: f.opts.Log})
	if err != nil {
		t.Fatal(err)
	}
	f.store = st
	if f.Writer, err = writer.New(st, f.opts); err != nil {
		t.Fatal(err)
	}
	if b := f.Books(); b.MovedAside != 1 || b.Received != 0 {
		t.Errorf("books %+v", b)
	}
	f.close()
	f = open(t, path, "normal")
	if b := f.Books(); b.MovedAside != 1 {
		t.Errorf("after a restart: %+v", b)
	}
	f.close()
}
