package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	soakBudget = 64 << 20 // OCT_MAX_DB_BYTES
	soakPoints = 60       // measurements
)

// A sidecar under a mixed load, among faults, needs no more after hours than it did
// after minutes: memory, files, threads and disk are judged by their slope. How long is
// asked by -soak.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("it takes as long as -soak says; make soak runs it")
	}
	r := newRand(t)
	dir := t.TempDir()
	remote := newFlakyRemote(t)
	logFile := filepath.Join(dir, "agent.log")
	check(t, os.WriteFile(logFile, nil, 0o600))
	in := newInstance(t, dbPath(t),
		fmt.Sprint("OCT_MAX_DB_BYTES=", soakBudget), "OCT_RETENTION_DAYS=36500", "OCT_JANITOR_INTERVAL=1s", "OCT_METRICS_INTERVAL=1s",
		"OCT_LOG_PATH="+logFile, "OCT_PUSH_ENDPOINT="+remote.URL, "OCT_PUSH_INTERVAL=1s", "OCT_PUSH_TIMEOUT=2s")
	p := in.start()

	ctx, cancel := context.WithTimeout(t.Context(), *soak)
	defer cancel()
	var acked, refused atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		own := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		wg.Go(func() { produce(ctx, in, own, &acked, &refused) })
	}
	wg.Go(func() { writeLog(ctx, t, logFile, rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))) })

	var points []point
	ticker := time.NewTicker(*soak / soakPoints)
	defer ticker.Stop()
	restarts := 0
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		p.mustLive()
		one := measure(t, in, p)
		if n >= soakPoints/2 {
			points = append(points, one)
		}
		t.Logf("%3d: %s", n, one)
		if one.disk > soakBudget*11/10 {
			t.Errorf("the database has %d bytes, the budget is %d", one.disk, soakBudget)
		}
		remote.mode.Store(r.Int64N(remoteModes))
		if n < soakPoints/4 && r.IntN(4) == 0 { // later one process is measured, once it is warm
			restarts++
			if r.IntN(2) == 0 {
				p.kill()
			} else {
				p.stop()
			}
			p = in.start()
		}
		hostile(in, r)
	}
	remote.mode.Store(0)
	wg.Wait()
	h := in.health()
	if h.EventsReceived < acked.Load() {
		t.Errorf("%d events were acknowledged, %d are in the books", acked.Load(), h.EventsReceived)
	}
	t.Logf("%d events acknowledged, %d requests refused for a while, %d restarts, %d batches at the remote; %+v",
		acked.Load(), refused.Load(), restarts, remote.taken.Load(), h.Ledger)
	judge(t, points, "resident bytes", 0.10, 2e6, func(p point) int64 { return p.rss })
	judge(t, points, "open files", 0.10, 4, func(p point) int64 { return p.files })
	judge(t, points, "threads", 0.10, 4, func(p point) int64 { return p.threads })
	judge(t, points, "goroutines", 0.10, 4, func(p point) int64 { return p.goroutines })
	judge(t, points, "bytes on disk", 0.10, 4<<20, func(p point) int64 { return p.disk })
	p.stop()
}

// point is what the process has at one moment.
type point struct{ rss, files, threads, goroutines, disk, pending int64 }

func (p point) String() string {
	return fmt.Sprintf("%.1f MB resident, %d files, %d threads, %d goroutines, %.1f MB on disk, %d pending",
		float64(p.rss)/1e6, p.files, p.threads, p.goroutines, float64(p.disk)/1e6, p.pending)
}

var goroutines = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)

func measure(t *testing.T, in *instance, p *process) (one point) {
	t.Helper()
	h := in.health()
	l := h.Ledger
	if l.Received != l.Pending+l.Delivered+l.Quarantined+l.Dropped+l.Expired {
		t.Errorf("the books do not balance: %+v", l)
	}
	one.pending = l.Pending
	one.rss = memory(t, p, "VmRSS")
	files, err := os.ReadDir("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/fd")
	check(t, err)
	one.files = int64(len(files))
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/task")
	check(t, err)
	one.threads = int64(len(tasks))
	if m := goroutines.FindSubmatch(in.get("/metrics").body); m != nil {
		one.goroutines, err = strconv.ParseInt(string(m[1]), 10, 64)
		check(t, err)
	}
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(in.db + suffix); err == nil {
			one.disk += info.Size()
		}
	}
	return one
}

// judge fails if a figure grows along the points by more than a part of its mean, and
// by more than some.
func judge(t *testing.T, points []point, name string, part, some float64, figure func(point) int64) {
	t.Helper()
	n := float64(len(points))
	var x, y, xx, xy float64
	for i, p := range points {
		a, b := float64(i), float64(figure(p))
		x, y, xx, xy = x+a, y+b, xx+a*a, xy+a*b
	}
	growth := (n*xy - x*y) / (n*xx - x*x) * (n - 1)
	t.Logf("%s: mean %.0f, growth %+.0f", name, y/n, growth)
	if growth > part*y/n && growth > some {
		t.Errorf("%s grow by %.0f, from a mean of %.0f", name, growth, y/n)
	}
}

// produce sends requests as a client does: what was refused or not answered is sent again.
func produce(ctx context.Context, in *instance, r *rand.Rand, acked, refused *atomic.Int64) {
	for ctx.Err() == nil {
		req := anyRequest(r)
		if r.IntN(8) == 0 {
			body := []byte(`[{"provider":"anthropic","model":"claude-sonnet-4-5","input_text":"` + strings.Repeat("word ", 100+r.IntN(10_000)) +
				`","prompt_tokens":9,"completion_tokens":1,"session_id":"s` + strconv.Itoa(r.IntN(1000)) + `"}]`)
			req = request{path: "/v1/traces", contentType: "application/json", body: body, ids: []string{""}}
		}
		for ctx.Err() == nil {
			h, err := http.NewRequestWithContext(ctx, "POST", in.url+req.path, bytes.NewReader(req.body))
			if err != nil {
				panic(err) // the URL is ours
			}
			h.Header.Set("Content-Type", req.contentType)
			if a, err := in.do(h); err == nil && a.status/100 == 2 {
				acked.Add(int64(len(req.ids)))
				break
			}
			refused.Add(1)
			pause(ctx, 50*time.Millisecond)
		}
		pause(ctx, time.Duration(r.IntN(10))*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// writeLog is an agent that logs, now and then rotates its log and sometimes floods it.
func writeLog(ctx context.Context, t *testing.T, name string, r *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Error(err)
			return
		}
		lines := 1 + r.IntN(20)
		if r.IntN(200) == 0 {
			lines = 20_000
		}
		for range lines {
			level := []string{"INFO", "INFO", "INFO", "WARN", "ERROR"}[r.IntN(5)]
			fmt.Fprintf(f, "%s %s line %d of the agent\n", time.Now().Format(time.RFC3339), level, i)
		}
		f.Close()
		if r.IntN(100) == 0 {
			_ = os.Rename(name, name+".1") // an error is the next one's
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// hostile does what clients should not.
func hostile(in *instance, r *rand.Rand) {
	addr := strings.TrimPrefix(in.url, "http://")
	for range r.IntN(20) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		switch r.IntN(3) {
		case 0: // half a request
			fmt.Fprintf(c, "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[{")
		case 1: // none
			_, _ = c.Write(randomBytes(r, 1+r.IntN(5000))) // it may be refused before its end
		case 2: // an answer that nobody reads
			fmt.Fprintf(c, "GET /api/v1/calls?limit=500 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		c.Close()
	}
}

const remoteModes = 5

// flakyRemote takes batches, or does one of the things that remotes do instead.
type flakyRemote struct {
	*httptest.Server
	mode, taken atomic.Int64
}

func newFlakyRemote(t *testing.T) *flakyRemote {
	r := new(flakyRemote)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch r.mode.Load() {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		case 3:
			panic(http.ErrAbortHandler)
		}
		_, _ = io.Copy(io.Discard, req.Body) // a batch that breaks off is not counted by anybody
		if r.mode.Load() == 4 {
			<-req.Context().Done() // it hangs
			return
		}
		r.taken.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	return r
}
