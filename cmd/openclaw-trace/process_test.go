package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
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

// patience is how long a test waits for what must happen before it says that it
// did not. It is no measure of speed.
const patience = 60 * time.Second

var nextPort atomic.Uint32

func init() { nextPort.Store(10000 + rand.Uint32N(8000)) }

// freePort returns a port that nobody listens on. It lies below those that kernels
// give to clients: one of these could hold it when a killed process wants it back,
// or connect to itself meanwhile.
func freePort() (string, error) {
	for range 1000 {
		port := strconv.Itoa(int(nextPort.Add(1)))
		free := true
		for _, host := range []string{"127.0.0.1", "::1"} {
			l, err := net.Listen("tcp", net.JoinHostPort(host, port))
			if errors.Is(err, syscall.EADDRINUSE) {
				free = false
			}
			if err == nil {
				l.Close()
			}
		}
		if free {
			return port, nil
		}
	}
	return "", errors.New("there is no free port")
}

// instance is what stays the same when the process is started again.
type instance struct {
	t        testing.TB
	db       string
	url      string
	settings []string
	client   *http.Client
}

func newInstance(t testing.TB, db string, settings ...string) *instance {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &instance{
		t: t, db: db, url: "http://127.0.0.1:" + port,
		// Tests have volumes of a few MiB, on which every event would be that they are full.
		settings: append([]string{"OCT_DB_PATH=" + db, "OCT_PORT=" + port, "OCT_OTLP_PORT=0", "OCT_MIN_FREE_BYTES=0", "OCT_RETENTION_DAYS=36500"}, settings...),
		client:   &http.Client{Transport: transport, Timeout: patience},
	}
}

// process is one run of the binary.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stderr bytes.Buffer  // complete once done is closed
	done   chan struct{} // closed when the process has ended

	mu   sync.Mutex
	log  []line
	more chan struct{} // closed, and replaced, with each addition to log
}

// line is one of the log's.
type line struct {
	msg  string
	json string
}

// start runs the binary until it listens.
func (in *instance) start() *process {
	in.t.Helper()
	p := in.launch(binary)
	p.await("listening", 1)
	return p
}

// launch runs a command with the instance's settings and follows its log.
func (in *instance) launch(name string, args ...string) *process {
	in.t.Helper()
	in.client.CloseIdleConnections()
	p := &process{t: in.t, cmd: in.command(name, args...), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		in.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var l struct{ Msg string }
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.Msg == "" {
				in.t.Errorf("a line of the log is not what it should be: %s", lines.Bytes())
			}
			p.mu.Lock()
			p.log = append(p.log, line{l.Msg, lines.Text()})
			close(p.more)
			p.more = make(chan struct{})
			p.mu.Unlock()
		}
		_ = p.cmd.Wait() // ProcessState says it
	}()
	in.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // may have ended
		<-p.done
		if in.t.Failed() {
			in.t.Logf("process %d:\n%s%s", p.cmd.Process.Pid, p.text(), p.stderr.String())
		}
	})
	return p
}

func (in *instance) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, in.settings...)
	return cmd
}

// text is the log so far.
func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, l := range p.log {
		b.WriteString(l.json + "\n")
	}
	return b.String()
}

// await waits until the log has n lines whose message begins with msg, and returns
// the last of them.
func (p *process) await(msg string, n int) line {
	p.t.Helper()
	timeout := time.After(patience)
	ended := false
	for {
		p.mu.Lock()
		found, more := 0, p.more
		for _, l := range p.log {
			if strings.HasPrefix(l.msg, msg) {
				if found++; found == n {
					p.mu.Unlock()
					return l
				}
			}
		}
		p.mu.Unlock()
		if ended {
			p.t.Fatalf("the process ended (%v) without saying %q %d times\n%s", p.cmd.ProcessState, msg, n, p.stderr.String())
		}
		select {
		case <-more:
		case <-p.done:
			ended = true
		case <-timeout:
			p.t.Fatalf("the process did not say %q %d times", msg, n)
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %v: %v", s, err)
	}
}

// wait returns how the process ended.
func (p *process) wait() *os.ProcessState {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("the process did not end")
	}
	return p.cmd.ProcessState
}

// stop ends the process as an operator would.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.wait().ExitCode(); code != 0 {
		p.t.Fatalf("exit code %d after SIGTERM, want 0\n%s", code, p.stderr.String())
	}
	p.await("shutdown complete", 1)
}

// kill ends it as nobody should.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

func (p *process) mustLive() {
	p.t.Helper()
	select {
	case <-p.done:
		p.t.Fatalf("the process ended: %v\n%s", p.cmd.ProcessState, p.stderr.String())
	default:
	}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (in *instance) do(req *http.Request) (answer, error) {
	res, err := in.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, body}, err
}

func (in *instance) get(path string) answer {
	in.t.Helper()
	req, err := http.NewRequest("GET", in.url+path, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	a, err := in.do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	return a
}

type health struct {
	Status         string   `json:"status"`
	Reasons        []string `json:"reasons"`
	DBStatus       string   `json:"db_status"`
	WALSizeBytes   int64    `json:"wal_size_bytes"`
	EventsReceived int64    `json:"events_received"`
	UnsyncedCount  int64    `json:"unsynced_count"`
	Ledger         struct {
		Received, Pending, Delivered, Quarantined, Dropped, Expired int64
	} `json:"ledger"`
}

// health asks how the process is, which must always be answered.
func (in *instance) health() health {
	in.t.Helper()
	a := in.get("/health")
	var h health
	if err := json.Unmarshal(a.body, &h); err != nil || a.status != http.StatusOK {
		in.t.Fatalf("GET /health: %d %s", a.status, a.body)
	}
	return h
}

func dbPath(t testing.TB) string { return filepath.Join(t.TempDir(), "data", "trace.db") }
