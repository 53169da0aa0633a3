package janitor_test

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// old returns a database with n calls that are to go, stored twenty at a time, and no
// janitor yet.
func old(b *testing.B, n int) *world {
	x := newWorld(b, budget(64<<30), func(o *janitor.Options) { o.Interval = time.Hour })
	x.j.Close(context.Background())
	x.submit(&writer.Batch{Spans: []db.InsertSpanParams{x.span(time.Now())}}) // the clock is right
	for at := time.Now().Add(-4 * day); n > 0; n -= 20 {
		batch := new(writer.Batch)
		for range min(n, 20) {
			batch.Calls = append(batch.Calls, x.call(at, 1000))
		}
		x.submit(batch)
	}
	return x
}

// What it costs to store a call with texts of 2 KB, and to delete it again.
func BenchmarkDelete(b *testing.B) {
	begun := cpu(b)
	x := old(b, b.N)
	inserted := cpu(b)
	x.restart(func(*janitor.Options) {})
	if n := x.pass().Deleted[writer.KindCall]; n < int64(b.N)/2 { // the rest went in the pass before
		b.Logf("%d of %d were deleted in the last pass", n, b.N)
	}
	deleted := cpu(b)
	if n := x.rows(writer.KindCall, "1"); n != 0 {
		b.Errorf("%d rows are left", n)
	}
	x.close()
	insert, remove := inserted-begun, deleted-inserted
	b.ReportMetric(float64(insert.Nanoseconds())/float64(b.N), "insert-cpu-ns/row")
	b.ReportMetric(float64(remove.Nanoseconds())/float64(b.N), "delete-cpu-ns/row")
	b.ReportMetric(float64(remove)/float64(insert), "delete/insert")
}

// How long a sender of ten calls waits while rows are deleted, and when none are.
func BenchmarkIngestWhileDeleting(b *testing.B) {
	x := old(b, b.N)
	var took []time.Duration
	one := func() {
		batch := new(writer.Batch)
		for range 10 {
			batch.Calls = append(batch.Calls, x.call(time.Now(), 1000))
		}
		begun := time.Now()
		x.submit(batch)
		took = append(took, time.Since(begun))
		time.Sleep(2 * time.Millisecond)
	}
	report := func(name string) time.Duration {
		slices.Sort(took)
		p99 := took[len(took)*99/100]
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(p99.Microseconds()), name+"-p99-µs")
		b.ReportMetric(float64(len(took)), name+"-batches")
		took = nil
		return p99
	}
	for range 1000 {
		one()
	}
	alone := report("alone")
	x.restart(func(*janitor.Options) {})
	done := make(chan error, 1)
	go func() {
		_, err := x.j.Now(context.Background())
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				b.Error(err)
			}
			b.ReportMetric(float64(report("deleting"))/float64(alone), "p99-deleting/alone")
			if n := x.rows(writer.KindCall, "created_at < (SELECT MAX(created_at) FROM llm_traces) - 259200000"); n != 0 {
				b.Errorf("%d rows are left", n)
			}
			x.close()
			return
		default:
			one()
		}
	}
}

// What a minute costs in which nothing is to be deleted.
func BenchmarkIdlePass(b *testing.B) {
	x := newWorld(b)
	x.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(time.Now(), 1000)}})
	x.pass()
	for b.Loop() {
		if _, err := x.j.Now(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	x.close()
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
