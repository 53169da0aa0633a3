package metrics_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen before it says that it did
// not. It is no measure of speed.
const patience = 60 * time.Second

// root is the repository's, seen from where go test runs the tests.
const root = "../.."

var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "openclaw-trace-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "openclaw-trace")
		build := exec.Command("go", "build", "-o", binary, "./cmd/openclaw-trace")
		build.Dir = root
		build.Env = append(build.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the sidecar: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// sidecar is a process of the binary.
type sidecar struct {
	t     *testing.T
	url   string
	token string
}

// startSidecar runs the binary, with nothing in its environment but settings, until the
// test ends.
func startSidecar(t *testing.T, settings ...string) *sidecar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil { // for the sidecar to take
		t.Fatal(err)
	}
	log := new(output)
	cmd := exec.Command(binary)
	cmd.Env = append([]string{"OCT_DB_PATH=" + filepath.Join(t.TempDir(), "trace.db"), "OCT_PORT=" + port, "OCT_OTLP_PORT=0"}, settings...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // may have ended
		_ = cmd.Wait()         // it was killed
		if t.Failed() {
			t.Log(log)
		}
	})
	s := &sidecar{t: t, url: "http://127.0.0.1:" + port}
	eventually(t, "the sidecar is ready", func() bool {
		res, err := http.Get(s.url + "/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return s
}

// output is what a process has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// scrape returns what Prometheus would get.
func (s *sidecar) scrape(accept string) []byte {
	s.t.Helper()
	status, page := s.get("/metrics", accept)
	if status != http.StatusOK {
		s.t.Fatalf("/metrics: %d: %s", status, page)
	}
	return page
}

func (s *sidecar) get(path, accept string) (status int, body []byte) {
	s.t.Helper()
	return s.do("GET", path, nil, "Accept", accept)
}

func (s *sidecar) post(path string, v any, want int) {
	s.t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	if status, answer := s.do("POST", path, body, "Content-Type", "application/json"); status != want {
		s.t.Fatalf("POST %s: %d: %s", path, status, answer)
	}
}

func (s *sidecar) do(method, path string, body []byte, header ...string) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set(header[0], header[1])
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if accept := req.Header.Get("Accept"); accept != "" && res.StatusCode == http.StatusOK {
		kind, _, _ := strings.Cut(accept, ";")
		if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
			s.t.Errorf("asked for %s, got %s", accept, got)
		}
	}
	return res.StatusCode, answer
}

// startRemote returns the URL of a remote that takes everything.
func startRemote(t *testing.T) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // whoever sends it looks after it
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
