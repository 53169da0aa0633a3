package metrics

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

// started is about when this process was.
var started = time.Now()

// process writes the metrics that every program has, under their usual names. None of
// them is about the record; what the system does not tell is left out.
func process(p *page, _ *Figures) {
	p.begin(gauge, "process_start_time_seconds", "When the process began.")
	p.moment(started.UnixMilli())
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		p.begin(counter, "process_cpu_seconds_total", "CPU time used, by the program and for it.")
		p.sample(float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9)
	}
	if virtual, resident, ok := memory(); ok {
		p.gauge("process_virtual_memory_bytes", "Virtual memory.", virtual)
		p.gauge("process_resident_memory_bytes", "Resident memory.", resident)
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		p.begin(gauge, "process_open_fds", "File descriptors that are open.")
		p.count(int64(len(fds) - 1)) // but the one that reads them
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		p.begin(gauge, "process_max_fds", "File descriptors that may be open.")
		p.sample(float64(limit.Cur))
	}
	p.begin(gauge, "go_info", "The Go that built it: always 1.", "version")
	p.count(1, runtime.Version())
	var m runtime.MemStats
	runtime.ReadMemStats(&m) // which stops the program for some microseconds
	p.gauge("go_goroutines", "Goroutines that exist.", int64(runtime.NumGoroutine()))
	p.gauge("go_sched_gomaxprocs_threads", "Threads that may run Go code at once.", int64(runtime.GOMAXPROCS(0)))
	p.gauge("go_memstats_heap_alloc_bytes", "Heap in use by objects, dead ones that were not collected yet included.", int64(m.HeapAlloc))
	p.gauge("go_memstats_heap_objects", "Objects on the heap.", int64(m.HeapObjects))
	p.gauge("go_memstats_sys_bytes", "Memory that the Go runtime has from the system.", int64(m.Sys))
	p.gauge("go_gc_gomemlimit_bytes", "Limit on memory that the collector keeps to.", debug.SetMemoryLimit(-1))
	p.counter("go_gc_cycles_total", "Collections that were completed.", int64(m.NumGC))
}

// memory returns the sizes of the process, where there is /proc.
func memory() (virtual, resident int64, ok bool) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, false
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, 0, false
	}
	v, err1 := strconv.ParseInt(string(fields[0]), 10, 64)
	r, err2 := strconv.ParseInt(string(fields[1]), 10, 64)
	page := int64(os.Getpagesize())
	return v * page, r * page, err1 == nil && err2 == nil
}
