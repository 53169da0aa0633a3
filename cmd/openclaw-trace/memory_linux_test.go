package main_test

import (
	"net/http"
	"os"
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
			for range 30 {
				req, err := http.NewRequest("POST", in.url+"/v1/traces", strings.NewReader(body))
				if err != nil {
					t.Error(err)
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
	peak := memory(t, p, "VmHWM")
	t.Logf("%.1f MB resident at most; answers %v", float64(peak)/1e6, answers)
	if peak > 48e6 {
		t.Errorf("%d bytes resident at most, want at most 48 MB", peak)
	}
	if answers[http.StatusAccepted] == 0 || len(answers) > 2 {
		t.Errorf("answers %v, want 202 and 503 only", answers)
	}
	p.stop()
}
