package agentproc_test

import (
	"log/slog"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/agentproc"
)

// A look at a known process, as it is done every 15 s: cpu-us/op is what it costs,
// SQLite's and the kernel's part included.
func BenchmarkTick(b *testing.B) {
	x, _ := benchWorld(b)
	measure(b, func() { x.a.Tick() })
	if x.a.Status().PID == 0 {
		b.Error("the process was not found")
	}
}

// A search through all processes of the machine.
func BenchmarkSearch(b *testing.B) {
	x, _ := benchWorld(b)
	measure(b, func() { x.a.Search() })
}

func benchWorld(b *testing.B) (*world, int) {
	name := agentName()
	x := newWorld(b, func(o *agentproc.Options) {
		o.Root, o.Volume, o.Process, o.SilentAfter, o.Interval = nil, nil, name, 30*time.Minute, time.Hour
		o.Log = slog.New(slog.DiscardHandler)
	})
	cmd := start(b, name, "sleep")
	x.call()
	a, err := agentproc.New(b.Context(), x.st, x.w, x.opts)
	if err != nil {
		b.Fatal(err)
	}
	x.a = a
	b.Cleanup(x.close)
	for !a.Status().Found {
		runtime.Gosched() // the watcher's own first look
	}
	return x, cmd.Process.Pid
}

func measure(b *testing.B, f func()) {
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(cpu(b)-before)/1e3/float64(b.N), "cpu-us/op")
}

func cpu(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return syscall.TimevalToNsec(r.Utime) + syscall.TimevalToNsec(r.Stime)
}
