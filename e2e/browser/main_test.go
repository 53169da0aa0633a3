// Package browser_test opens the dashboard in a real browser: the built binary, with an
// evening of an agent's life sent to it as agents send it, in headless Chromium.
//
// A tab that meets an error on its console, a violation of the page's policy or a dialog
// fails its test, whatever the test is about: that is how text that became a script
// would show itself.
package browser_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what must happen before it says that it did
// not. It is no measure of speed.
const patience = 30 * time.Second

// root is the repository's, seen from where go test runs the tests.
const root = "../.."

var screenshots = flag.Bool("screenshots", false, "write the pictures of the README anew")

var (
	binary   string
	chromium context.Context // a browser that runs; its tabs are contexts below it
	missing  string          // why there is none
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "openclaw-trace-browser")
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
			fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
			return 1
		}
		path := find()
		if path == "" {
			missing = "there is no Chromium: install one, or name it in CHROME_PATH"
			fmt.Fprintln(os.Stderr, missing)
			return m.Run()
		}
		opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.Flag("hide-scrollbars", true))
		if os.Geteuid() == 0 {
			opts = append(opts, chromedp.NoSandbox) // Chromium has none for root
		}
		allocator, stop := chromedp.NewExecAllocator(context.Background(), opts...)
		defer stop()
		ctx, cancel := chromedp.NewContext(allocator)
		defer cancel()
		if err := chromedp.Do(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "start %s: %v\n", path, err)
			return 1
		}
		chromium = ctx
		code := m.Run()
		_ = chromedp.Cancel(ctx) // waits, so that its files can be removed
		return code
	}())
}

func find() string {
	if path := os.Getenv("CHROME_PATH"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// server is the binary, running.
type server struct {
	t     testing.TB
	url   string
	token string
}

// start runs the binary with a database at path, or a new one, and further settings.
func start(t testing.TB, path string, env ...string) *server {
	t.Helper()
	if missing != "" {
		t.Skip(missing)
	}
	if path == "" {
		path = filepath.Join(t.TempDir(), "trace.db")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	var log buffer
	cmd := exec.Command(binary)
	cmd.Env = append([]string{"OCT_PORT=" + port, "OCT_OTLP_PORT=0", "OCT_DB_PATH=" + path, "OCT_METRICS_INTERVAL=1s"}, env...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the binary's log:\n%s", log.String())
		}
	})
	s := &server{t: t, url: "http://localhost:" + port}
	eventually(t, "the binary is ready", func() bool {
		resp, err := http.Get(s.url + "/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return s
}

// buffer is what a process has written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// post sends a body, which has to be taken.
func (s *server) post(path, contentType, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(resp.Body); err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode/100 != 2 || strings.Contains(answer.String(), `"rejected": [{`) || strings.Contains(answer.String(), `"rejected":[{`) {
		s.t.Fatalf("POST %s: %d %s", path, resp.StatusCode, answer.String())
	}
}

// eventually asks ok until it says yes.
func eventually(t testing.TB, what string, ok func() bool) {
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
