package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// memory reads a line of /proc/<pid>/status, in bytes.
func memory(t *testing.T, p *process, name string) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	check(t, err)
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no %s in %s", name, status)
	}
	kib, err := strconv.ParseInt(string(m[1]), 10, 64)
	check(t, err)
	return kib << 10
}

func TestIdleMemory(t *testing.T) {
	in := newInstance(t, dbPath(t))
	p := in.start()
	for range 50 {
		in.health()
	}
	rss := memory(t, p, "VmRSS")
	t.Logf("%.1f MB resident while idle", float64(rss)/1e6)
	if rss > 20e6 {
		t.Errorf("%d bytes resident while idle, want at most 20 MB", rss)
	}
	p.stop()
}

func TestMemoryUnderLoad(t *testing.T) {
	if !*long {
		t.Skip("takes long")
	}
	in := newInstance(t, dbPath(t))
	p := in.start()
	answers := in.flood(30)
	peak := memory(t, p, "VmHWM")
	t.Logf("%.1f MB resident at most; answers %v", float64(peak)/1e6, answers)
	if peak > 48e6 {
		t.Errorf("%d bytes resident at most, want at most 48 MB", peak)
	}
	p.stop()
}

// In a container of 64 MiB it refuses what is too much, and the kernel has no reason to
// end it.
func TestMemoryLimit(t *testing.T) {
	const limit = 64 << 20
	dir, limitFile, eventsFile := "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		dir, limitFile, eventsFile = "/sys/fs/cgroup", "memory.max", "memory.events"
	}
	dir = filepath.Join(dir, "openclaw-trace-limit-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("no control group can be made: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) }) // after the process in it, whose end is a clean-up too
	if err := os.WriteFile(filepath.Join(dir, limitFile), []byte(strconv.Itoa(limit)), 0); err != nil {
		t.Skipf("no limit can be set: %v", err)
	}
	in := newInstance(t, dbPath(t))
	p := in.launch("sh", "-c", `echo $$ > "$1/cgroup.procs" && exec "$0"`, binary, dir)
	p.await("listening", 1)
	rounds := 4
	if *long {
		rounds = 30
	}
	answers := in.flood(rounds)
	p.mustLive()
	events, err := os.ReadFile(filepath.Join(dir, eventsFile))
	check(t, err)
	t.Logf("answers %v; the kernel says %q", answers, events)
	if !regexp.MustCompile(`(?m)^oom_kill 0$`).Match(events) {
		t.Errorf("the kernel says %q of the group", events)
	}
	p.stop()
}

// flood sends large bodies and bodies of many events, all at once, and counts the
// answers.
func (in *instance) flood(rounds int) map[int]int {
	in.t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := make(map[int]int)
	for i := range 32 {
		wg.Go(func() {
			// From one event of 1 MiB less its frame to a hundred small ones.
			texts, size := 1, 1<<20-200
			if i%2 == 1 {
				texts, size = 100, 10_000
			}
			event := `{"provider":"p","model":"m","input_text":"` + strings.Repeat("x", size) + `"}`
			body := "[" + strings.Repeat(event+",", texts-1) + event + "]"
			for range rounds {
				req, err := http.NewRequest("POST", in.url+"/v1/traces", strings.NewReader(body))
				if err != nil {
					in.t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/json")
				a, err := in.do(req)
				if err != nil {
					// A body that is refused unread may be cut off before its 503 is seen.
					a.status = http.StatusServiceUnavailable
				}
				mu.Lock()
				answers[a.status]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if answers[http.StatusAccepted] == 0 || answers[http.StatusAccepted]+answers[http.StatusServiceUnavailable] != 32*rounds {
		in.t.Errorf("answers %v, want 202 and 503 only", answers)
	}
	return answers
}
