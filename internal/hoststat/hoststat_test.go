package hoststat_test

import (
	"context"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/hoststat"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// world is a database, and a sampler of a system of files.
type world struct {
	t    *testing.T
	st   *store.Store
	w    *writer.Writer
	tree *tree
	s    *hoststat.Sampler
	log  logged
}

const interval = 15 * time.Second

func newWorld(t *testing.T, name string, change ...func(*writer.Options)) *world {
	t.Helper()
	x := &world{t: t, tree: system(t, name)}
	quiet := slog.New(slog.NewTextHandler(t.Output(), nil))
	path := filepath.Join(t.TempDir(), "trace.db")
	var err error
	if x.st, err = store.Open(t.Context(), store.Options{Path: path, Synchronous: "normal", Log: quiet}); err != nil {
		t.Fatal(err)
	}
	o := writer.Options{MaxTextBytes: 16384, MaxQueueBytes: 1 << 20, Log: quiet}
	for _, f := range change {
		f(&o)
	}
	if x.w, err = writer.New(x.st, o); err != nil {
		t.Fatal(err)
	}
	x.s = hoststat.New(x.w, hoststat.Options{Root: x.tree, DBPath: path, Interval: interval, Log: x.log.logger()})
	return x
}

func (x *world) close() {
	x.t.Helper()
	x.s.Close(context.Background())
	if err := x.w.Close(context.Background()); err != nil {
		x.t.Error(err)
	}
	if err := x.st.Close(); err != nil {
		x.t.Error(err)
	}
}

// wait lets time pass until just after a reading is due.
func (x *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (x *world) rows() (rows []db.SystemMetric) {
	x.t.Helper()
	err := x.st.Read(context.Background(), func(q *db.Queries) (err error) {
		rows, err = q.ListPendingReadings(context.Background(), db.ListPendingReadingsParams{Upto: math.MaxInt64, Lim: 1_000_000})
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return rows
}

// A row comes every interval, the first an interval after the start, with a percentage.
func TestSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, "cgroup2-limited")
		defer x.close()
		began := time.Now()
		x.wait(interval - time.Millisecond)
		if s := x.s.Status(); s != (hoststat.Status{}) || len(x.rows()) > 0 {
			t.Errorf("before the first reading: %+v, %d rows", s, len(x.rows()))
		}
		if _, ok := x.s.Last(); ok {
			t.Error("there was a reading before the first")
		}
		x.tree.edit(t, "sys/fs/cgroup/cpu.stat", "usage_usec 12000000", "usage_usec 23250000") // half of 15 s at 1.5 CPUs
		x.wait(time.Millisecond)
		last, ok := x.s.Last()
		if v := values(last); v != "50 167772160 369098752 536870912" || !ok {
			t.Errorf("the first reading is %s", v)
		}
		if s := x.s.Status(); s != (hoststat.Status{Source: "cgroup v2", At: began.Add(interval).UnixMilli()}) {
			t.Errorf("status %+v", s)
		}
		x.wait(9 * interval)
		rows := x.rows()
		if len(rows) != 10 {
			t.Fatalf("%d rows", len(rows))
		}
		for i, r := range rows {
			if want := began.Add(time.Duration(i+1) * interval).UnixMilli(); r.CreatedAt != want {
				t.Errorf("row %d at %d, want %d", i, r.CreatedAt, want)
			}
		}
		first := rows[0]
		got := db.InsertSystemMetricParams{
			TraceID: first.TraceID, CreatedAt: first.CreatedAt, CpuPct: first.CpuPct, MemRssBytes: first.MemRssBytes, MemAvailable: first.MemAvailable, MemTotal: first.MemTotal,
			DiskUsedBytes: first.DiskUsedBytes, DiskTotalBytes: first.DiskTotalBytes, DiskFreeBytes: first.DiskFreeBytes, Metadata: first.Metadata,
		}
		if d := cmp.Diff(last, got); d != "" {
			t.Errorf("the row is not what Last said (-last +row):\n%s", d)
		}
		if b := x.w.Books(); b.Received != 10 || b.Pending() != 10 {
			t.Errorf("books %+v", b)
		}
		if lines := x.log.take(); len(lines) > 0 {
			t.Errorf("logged %q", lines)
		}
	})
}

// A process that was stopped takes one reading when it goes on, and no burst.
func TestStoppedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, "cgroup2-limited")
		defer x.close()
		// The disk holds a reading up, as a stop would.
		block, held := make(chan struct{}), make(chan struct{})
		go x.w.Do(context.Background(), func(*writer.Tx) error { close(held); <-block; return nil })
		<-held
		x.wait(interval)
		time.Sleep(time.Second)
		close(block)
		x.wait(0)
		x.wait(interval - time.Millisecond)
		if n := len(x.rows()); n != 1 {
			t.Errorf("%d rows", n)
		}
		x.wait(time.Millisecond)
		if n := len(x.rows()); n != 2 {
			t.Errorf("%d rows", n)
		}
	})
}

// Readings that cannot be stored are counted, and said once.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, "fly")
		defer x.close()
		x.wait(interval)
		block, held := make(chan struct{}), make(chan struct{})
		go x.w.Do(context.Background(), func(*writer.Tx) error { close(held); <-block; return nil })
		<-held
		x.wait(3 * (interval + writer.MaxWait))
		if s := x.s.Status(); s.Lost != 3 {
			t.Errorf("status %+v", s)
		}
		want := []string{`level=WARN msg="a reading of the host could not be stored" err="the database did not answer in time; nothing was stored" lost=1`}
		if d := cmp.Diff(want, x.log.take()); d != "" {
			t.Errorf("log:\n%s", d)
		}
		if last, ok := x.s.Last(); !ok || last.CreatedAt != x.s.Status().At {
			t.Errorf("the last reading is not there: %+v", last)
		}
		close(block)
		x.wait(interval)
		want = []string{`level=INFO msg="readings of the host are stored again" lost=3`}
		if d := cmp.Diff(want, x.log.take()); d != "" {
			t.Errorf("log:\n%s", d)
		}
		if n := len(x.rows()); n != 2 || x.w.Books().Received != 2 {
			t.Errorf("%d rows", n)
		}
	})
}

// What is not measured is said when it changes, and not with each reading.
func TestToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, "cgroup2-limited")
		defer x.close()
		expect := func(lines ...string) {
			t.Helper()
			x.wait(3 * interval)
			if d := cmp.Diff(lines, x.log.take()); d != "" {
				t.Errorf("log (-want +got):\n%s", d)
			}
		}
		expect()
		x.tree.set("sys/fs/cgroup/memory.max", "x")
		expect(`level=WARN msg="not all of the host is measured" source="cgroup v2" reason="memory: sys/fs/cgroup/memory.max is no number: \"x\""`)
		if s := x.s.Status(); s.Reason != `memory: sys/fs/cgroup/memory.max is no number: "x"` || s.Lost != 0 {
			t.Errorf("status %+v", s)
		}
		x.tree.set("sys/fs/cgroup/memory.max", "max")
		expect(`level=INFO msg="all of the host is measured again" source="cgroup v2"`)
		if s := x.s.Status(); s.Reason != "" {
			t.Errorf("status %+v", s)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, "macos")
		defer x.close()
		x.wait(10 * interval)
		lines := x.log.take()
		if len(lines) != 1 || !strings.Contains(lines[0], "there is no /proc here") || !strings.HasPrefix(lines[0], "level=WARN") {
			t.Errorf("log %q", lines)
		}
		rows := x.rows()
		if len(rows) != 10 || rows[0].CpuPct != nil || rows[0].MemTotal != nil || rows[0].DiskTotalBytes == nil || *rows[0].Metadata != `{"source":"host"}` {
			t.Errorf("%d rows, the first %+v", len(rows), rows[0])
		}
	})
}

// OCT_CAPTURE_CONTENT=off takes nothing from a reading: nobody said anything in it.
func TestNoContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, "cgroup1", func(o *writer.Options) { o.NoContent = true })
		defer x.close()
		x.wait(interval)
		if rows := x.rows(); len(rows) != 1 || !strings.HasPrefix(*rows[0].Metadata, `{"source":"cgroup v1","system.cpu`) {
			t.Errorf("%+v", rows)
		}
	})
}

// A sampler ends when it is told to, and may be told twice; with its writer closed it
// only loses readings.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, "bare-metal")
		if err := x.w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		x.wait(2 * interval)
		if s := x.s.Status(); s.Lost != 2 || s.Source != "host" {
			t.Errorf("status %+v", s)
		}
		if lines := x.log.take(); len(lines) > 0 {
			t.Errorf("logged %q", lines)
		}
		x.s.Close(context.Background())
		x.close()
	})
}

// The real machine, whatever it is, can be measured.
func TestThisMachine(t *testing.T) {
	if _, err := os.Stat("/proc/self/cgroup"); err != nil {
		t.Skipf("not Linux: %v", err)
	}
	m := hoststat.NewMeter(os.DirFS("/"), filepath.Join(t.TempDir(), "trace.db"))
	row, source, reason := m.Read()
	t.Log(values(row), source, *row.Metadata)
	if reason != "" || row.MemRssBytes == nil || row.MemAvailable == nil || row.MemTotal == nil || row.DiskFreeBytes == nil {
		t.Errorf("measured %s: %s, %s", source, values(row), reason)
	}
}
