package hoststat_test

import (
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/hoststat"
)

// BenchmarkSample measures a reading without storing it: of the machine that it runs
// on, and of the files of a container with limits. The CPU time is by getrusage, as
// part of it is the kernel's; 0.1 % of a CPU at 15 s are 15 ms.
func BenchmarkSample(b *testing.B) {
	dir := b.TempDir()
	if err := os.CopyFS(dir, system(b, "cgroup2-limited").files); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		root fs.FS
	}{{"machine", os.DirFS("/")}, {"container", os.DirFS(dir)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			m := hoststat.NewMeter(c.root, dir+"/trace.db")
			m.Read()
			before := cpuTime(b)
			for b.Loop() {
				m.Read()
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1e3, "cpu-µs/op")
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
