package hoststat_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/cgroup"
	"github.com/kon-rad/openclaw-trace/internal/hoststat"
)

// groups makes a control group with limits: half a CPU, 256 MiB, 50 tasks. It returns
// its directories, one with cgroup v2.
func groups(t *testing.T) (dirs []string) {
	t.Helper()
	const base = "/sys/fs/cgroup"
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("making a control group takes root on Linux")
	}
	name := fmt.Sprint("openclaw-trace-test-", os.Getpid())
	limits := map[string][]string{
		base + "/cpu/" + name:     {"cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000"},
		base + "/cpuacct/" + name: nil,
		base + "/memory/" + name:  {"memory.limit_in_bytes=268435456"},
		base + "/pids/" + name:    {"pids.max=50"},
		base + "/blkio/" + name:   nil,
	}
	if enabled, err := os.ReadFile(base + "/cgroup.subtree_control"); err == nil {
		for _, c := range []string{"cpu", "memory", "pids"} {
			if !strings.Contains(" "+strings.TrimSpace(string(enabled))+" ", " "+c+" ") {
				t.Skipf("the controller %s is not enabled in %s", c, base)
			}
		}
		limits = map[string][]string{base + "/" + name: {"cpu.max=50000 100000", "memory.max=268435456", "pids.max=50"}}
	}
	for dir, files := range limits {
		if _, err := os.Stat(filepath.Dir(dir)); err != nil {
			t.Skipf("no control groups of either version as they usually are: %v", err)
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("no control group can be made: %v", err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		dirs = append(dirs, dir)
		for _, f := range files {
			file, content, _ := strings.Cut(f, "=")
			if err := os.WriteFile(dir+"/"+file, []byte(content), 0); err != nil {
				t.Skipf("no limit can be set: %v", err)
			}
		}
	}
	return dirs
}

// What we read inside a group with limits is what the kernel's own files say there.
func TestKernel(t *testing.T) {
	dirs := groups(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOSTSTAT_TEST_CHILD=measure", "HOSTSTAT_TEST_GROUPS="+strings.Join(dirs, " "))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	for line := range strings.Lines(string(out)) {
		if text, ok := strings.CutPrefix(line, "FAIL "); ok {
			t.Error(text)
		} else {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// child runs in the group and ends the process.
func child(run string) {
	defer os.Exit(0)
	if run == "eat" {
		if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0); err != nil {
			fmt.Println("FAIL", err)
		}
		eaten = eat(512 << 20)
		return
	}
	if err := measure(strings.Fields(os.Getenv("HOSTSTAT_TEST_GROUPS"))); err != nil {
		fmt.Println("FAIL", err)
	}
}

var eaten []byte

func eat(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	return b
}

// kernel is what the kernel's files say, read here without package cgroup.
type kernel struct {
	at                            time.Time
	cpu                           time.Duration
	workingSet, throttled, killed int64
	io                            bool // there is something of it, with version 1
}

func readKernel(dirs []string) (k kernel, err error) {
	find := func(names ...string) ([]byte, error) {
		for _, dir := range dirs {
			for _, name := range names {
				b, err := os.ReadFile(dir + "/" + name)
				if !errors.Is(err, os.ErrNotExist) {
					return b, err
				}
			}
		}
		return nil, fmt.Errorf("there is no %s", names)
	}
	line := func(b []byte, key string) (n int64) {
		n = -1
		for l := range strings.Lines(string(b)) {
			if f := strings.Fields(l); len(f) == 2 && f[0] == key {
				n, _ = strconv.ParseInt(f[1], 10, 64)
			}
		}
		return n
	}
	var failed error
	get := func(names ...string) []byte {
		b, err := find(names...)
		failed = errors.Join(failed, err)
		return b
	}
	k.at = time.Now()
	if len(dirs) == 1 {
		stat := get("cpu.stat")
		k.cpu = time.Duration(line(stat, "usage_usec")) * time.Microsecond
		k.throttled = line(stat, "nr_throttled")
		k.killed = line(get("memory.events"), "oom_kill")
		usage, _ := strconv.ParseInt(strings.TrimSpace(string(get("memory.current"))), 10, 64)
		k.workingSet = usage - line(get("memory.stat"), "inactive_file")
	} else {
		n, _ := strconv.ParseInt(strings.TrimSpace(string(get("cpuacct.usage"))), 10, 64)
		k.cpu = time.Duration(n)
		k.throttled = line(get("cpu.stat"), "nr_throttled")
		k.killed = line(get("memory.oom_control"), "oom_kill")
		k.io = bytes.Contains(get("blkio.throttle.io_service_bytes"), []byte("Write"))
		usage, _ := strconv.ParseInt(strings.TrimSpace(string(get("memory.usage_in_bytes"))), 10, 64)
		k.workingSet = usage - line(get("memory.stat"), "total_inactive_file")
	}
	return k, failed
}

func measure(dirs []string) error {
	for _, dir := range dirs {
		if err := os.WriteFile(dir+"/cgroup.procs", []byte("0"), 0); err != nil {
			return err
		}
	}
	debug.SetGCPercent(-1)
	read := func() kernel {
		k, err := readKernel(dirs)
		if err != nil {
			fmt.Println("FAIL", err)
		}
		return k
	}
	before0 := read()
	m := hoststat.NewMeter(os.DirFS("/"), "trace.db")
	after0 := read()

	// CPU beyond the quota, memory, and page cache that is not used again.
	eaten = eat(40 << 20)
	for used := time.Duration(0); used < 400*time.Millisecond; {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return err
		}
		used = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	victim := exec.Command(self)
	victim.Env = append(os.Environ(), "HOSTSTAT_TEST_CHILD=eat")
	if err := victim.Run(); err == nil || !strings.Contains(err.Error(), "killed") {
		fmt.Println("FAIL the process that ate memory was not killed:", err)
	}

	if err := os.WriteFile("file", make([]byte, 16<<20), 0o644); err != nil {
		return err
	}
	written, err := writeDirect("direct", 1<<20)
	if err != nil {
		fmt.Println("no direct I/O here, so disk I/O is not compared:", err)
	}

	before1 := read()
	row, source, reason := m.Read()
	after1 := read()

	version := map[bool]string{true: "cgroup v2", false: "cgroup v1"}[len(dirs) == 1]
	if source != version || reason != "" {
		fmt.Printf("FAIL measured %s: %s\n", source, reason)
	}
	const quota = 0.5
	if row.CpuPct == nil {
		fmt.Println("FAIL no CPU percentage")
	} else {
		low := 100 * float64(before1.cpu-after0.cpu) / (float64(after1.at.Sub(before0.at)) * quota)
		high := 100 * float64(after1.cpu-before0.cpu) / (float64(before1.at.Sub(after0.at)) * quota)
		fmt.Printf("CPU %.2f %% of the quota; the kernel's files say %.2f to %.2f\n", *row.CpuPct, low, high)
		if *row.CpuPct < low || *row.CpuPct > high {
			fmt.Println("FAIL the CPU percentage is not the kernel's")
		}
	}
	near := func(what string, got *int64, a, b int64) {
		const slack = 1 << 20 // we allocate and the kernel batches
		switch {
		case got == nil:
			fmt.Println("FAIL no", what)
		case *got < min(a, b)-slack || *got > max(a, b)+slack:
			fmt.Printf("FAIL %s is %d, and %d to %d by the kernel's files\n", what, *got, a, b)
		default:
			fmt.Printf("%s %d; the kernel's files say %d and %d\n", what, *got, a, b)
		}
	}
	const limit = 256 << 20
	near("working set", row.MemRssBytes, before1.workingSet, after1.workingSet)
	near("available", row.MemAvailable, limit-before1.workingSet, limit-after1.workingSet)
	if row.MemTotal == nil || *row.MemTotal != limit {
		fmt.Println("FAIL the limit is not 256 MiB")
	}
	var metadata struct {
		Quota float64 `json:"container.cpu.limit"`
		Stat  struct {
			Throttled int64 `json:"nr_throttled"`
		} `json:"cgroup.cpu.stat"`
		Events struct {
			Killed int64 `json:"oom_kill"`
		} `json:"cgroup.memory.events"`
		Usage int64 `json:"container.memory.usage"`
		IO    *struct {
			Write int64 `json:"write"`
		} `json:"container.disk.io"`
		Operations struct {
			Write int64 `json:"write"`
		} `json:"container.disk.operations"`
	}
	if err := json.Unmarshal([]byte(*row.Metadata), &metadata); err != nil {
		return err
	}
	fmt.Println(*row.Metadata)
	if metadata.Quota != quota || metadata.Events.Killed < 1 || metadata.Events.Killed != before1.killed ||
		metadata.Stat.Throttled < before1.throttled || metadata.Stat.Throttled > after1.throttled {
		fmt.Printf("FAIL %+v; the kernel's files say %+v to %+v\n", metadata, before1, after1)
	}
	if cache := metadata.Usage - *row.MemRssBytes; cache < 15<<20 {
		fmt.Printf("FAIL of 16 MiB of page cache only %d bytes are not in the working set\n", cache)
	}
	switch {
	case metadata.IO == nil && len(dirs) > 1 && !before1.io:
		fmt.Println("this kernel accounts no disk I/O to groups of version 1, and none is said to be")
	case metadata.IO == nil && written > 0, metadata.IO != nil && (metadata.IO.Write < written || written > 0 && metadata.Operations.Write < 1):
		fmt.Printf("FAIL %d bytes were written, said is %+v\n", written, metadata)
	}
	if limit, err := cgroup.Limit(os.DirFS("/")); limit != 256<<20 || err != nil {
		fmt.Println("FAIL Limit says", limit, err)
	}
	g, err := cgroup.Find(os.DirFS("/"), 0)
	if err != nil {
		return err
	}
	p, err := g.PIDs()
	if err != nil || p.Limit != 50 || p.Current < 1 || p.Current > 50 {
		fmt.Printf("FAIL tasks %+v, %v\n", p, err)
	}
	return nil
}
