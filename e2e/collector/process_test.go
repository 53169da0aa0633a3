package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen before it says that it did
// not. It is no measure of speed.
const patience = 60 * time.Second

// root is the repository's, seen from where go test runs the tests.
const root = "../.."

var sidecarBinary, collectorBinary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "openclaw-trace-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		sidecarBinary, collectorBinary = filepath.Join(dir, "openclaw-trace"), filepath.Join(dir, "collector")
		for _, b := range [...]struct{ module, pkg, binary string }{
			{root, "./cmd/openclaw-trace", sidecarBinary},
			{".", ".", collectorBinary},
		} {
			build := exec.Command("go", "build", "-o", b.binary, b.pkg)
			build.Dir = b.module
			build.Env = append(build.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build %s in %s: %v\n%s", b.pkg, b.module, err, out)
				return 1
			}
		}
		return m.Run()
	}())
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

var nextPort atomic.Uint32

func init() { nextPort.Store(20000 + rand.Uint32N(8000)) }

// freePort returns a port that nobody listens on. It lies below those that the kernel
// gives to clients: a collector that tries to reach a stopped sidecar could be given
// the very port that it asks for, and so talk to itself.
func freePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(int(nextPort.Add(1)))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			l.Close()
			return port
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// process is one run of a binary.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	log  output
}

// output is what a process has written so far, to both of its outputs.
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

// run starts a binary with nothing in its environment but env. It is killed with the
// test, and its log is shown if the test failed.
func run(t testing.TB, env []string, binary string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: filepath.Base(binary), cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Env = append([]string{}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState says it
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // may have ended
		<-p.done
		if t.Failed() {
			t.Logf("%s, process %d, %v:\n%s", p.name, p.cmd.Process.Pid, p.cmd.ProcessState, p.log.String())
		}
	})
	return p
}

// says tells how often text is in the log so far.
func (p *process) says(text string) int { return strings.Count(p.log.String(), text) }

// await waits until the log has text in it.
func (p *process) await(text string) {
	p.t.Helper()
	eventually(p.t, p.name+" says "+text, func() bool {
		select {
		case <-p.done:
			if p.says(text) == 0 {
				p.t.Fatalf("%s ended (%v) without saying %q", p.name, p.cmd.ProcessState, text)
			}
		default:
		}
		return p.says(text) > 0
	})
}

// end sends a signal and waits for the end.
func (p *process) end(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %v to %s: %v", s, p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end after %v", p.name, s)
	}
	if code := p.cmd.ProcessState.ExitCode(); s == syscall.SIGTERM && code != 0 {
		p.t.Errorf("%s: exit code %d after SIGTERM, want 0", p.name, code)
	}
}

// stop ends it as an operator would. A collector delivers first what it has queued.
func (p *process) stop() {
	p.t.Helper()
	p.end(syscall.SIGTERM)
}

// sidecar is what stays the same when its process is started again.
type sidecar struct {
	*process
	t   testing.TB
	db  string
	url string
	env []string
}

func startSidecar(t testing.TB, settings ...string) *sidecar {
	t.Helper()
	port := freePort(t)
	s := &sidecar{t: t, db: filepath.Join(t.TempDir(), "trace.db"), url: "http://127.0.0.1:" + port}
	s.env = append([]string{"OCT_DB_PATH=" + s.db, "OCT_PORT=" + port, "OCT_OTLP_PORT=0"}, settings...)
	s.start()
	return s
}

// start runs it until it is ready.
func (s *sidecar) start() {
	s.t.Helper()
	s.process = run(s.t, s.env, sidecarBinary)
	s.await(`"msg":"listening"`)
	eventually(s.t, "the sidecar is ready", func() bool {
		status, _ := get(s.t, s.url+"/ready")
		return status == http.StatusOK
	})
}

func get(t testing.TB, url string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

func do(t testing.TB, req *http.Request) (status int, body []byte) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}

// export says how a collector is to send.
type export struct {
	encoding    string // proto or json
	compression string // none or gzip
	batch       string // of sending_queue, in YAML; empty: each request goes on as it came
}

// collector stands between a test and a sidecar.
type collector struct {
	*process
	t   testing.TB
	url string
}

func startCollector(t testing.TB, to *sidecar, how export) *collector {
	t.Helper()
	port := freePort(t)
	queue := "{}"
	if how.batch != "" {
		queue = "{batch: " + how.batch + "}"
	}
	// It retries for as long as it lives, and soon.
	config := fmt.Sprintf(`
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:%s"}}}
exporters:
  otlp_http:
    endpoint: %s
    encoding: %s
    compression: %s
    sending_queue: %s
    retry_on_failure: {initial_interval: 50ms, max_interval: 500ms, max_elapsed_time: 0s}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http]}
    logs: {receivers: [otlp], exporters: [otlp_http]}
    metrics: {receivers: [otlp], exporters: [otlp_http]}
`, port, to.url, how.encoding, how.compression, queue)
	path := filepath.Join(t.TempDir(), "collector.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &collector{t: t, url: "http://127.0.0.1:" + port, process: run(t, nil, collectorBinary, "--config="+path)}
	c.await("Everything is ready")
	return c
}

// request is one of ptraceotlp, plogotlp or pmetricotlp.
type request interface{ MarshalProto() ([]byte, error) }

// send gives the collector a request, as an application does.
func (c *collector) send(path string, m request) {
	c.t.Helper()
	body, err := m.MarshalProto()
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), "POST", c.url+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if status, answer := do(c.t, req); status != http.StatusOK {
		c.t.Fatalf("the collector answers %d %q to %s", status, answer, path)
	}
}

// mustKeep fails the test if a collector, now stopped, has given anything up. What it
// was still about to send again does not count: it may be stored already, and whether
// it is shows in the file.
func (c *collector) mustKeep() {
	c.t.Helper()
	for line := range strings.Lines(c.log.String()) {
		for _, text := range []string{"Dropping data", "Rejecting data", "Partial success"} {
			if strings.Contains(line, text) && !strings.Contains(line, "interrupted due to shutdown") {
				c.t.Errorf("the collector says: %s", line)
			}
		}
	}
}
