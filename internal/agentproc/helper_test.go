package agentproc_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/agentproc"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

const tick = 15 * time.Second

// TestMain is also the agent of the tests: the binary under the name test-agent-….
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), "test-agent-") {
		agent(os.Args[1])
	}
	goleak.VerifyTestMain(m)
}

func agent(what string) {
	os.Stdout.WriteString("ready")
	switch what {
	case "sleep":
		time.Sleep(time.Minute)
	case "eat": // memory, once it is told to
		io.Copy(io.Discard, os.Stdin)
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 1<<10 {
				os.Exit(9)
			}
		}
	}
	code, _ := strconv.Atoi(what)
	os.Exit(code)
}

// world is a database, its watcher and, unless real, a tree of /proc.
type world struct {
	t    testing.TB
	path string
	st   *store.Store
	w    *writer.Writer
	a    *agentproc.Watcher
	opts agentproc.Options
	tree tree

	mu     sync.Mutex // of what follows, which the watcher asks for
	lines  []agentproc.Line
	volume agentproc.Volume
	hold   time.Duration // how long the next question for the volume takes
}

func newWorld(t testing.TB, change ...func(*agentproc.Options)) *world {
	t.Helper()
	return newWorldAt(t, t.TempDir(), change...)
}

func newWorldAt(t testing.TB, dir string, change ...func(*agentproc.Options)) *world {
	t.Helper()
	x := &world{t: t, path: filepath.Join(dir, "trace.db")}
	x.tree = newTree(t)
	x.volume = agentproc.Volume{TotalBytes: 10 << 30, FreeBytes: 5 << 30, Inodes: 1 << 20, FreeInodes: 1 << 19}
	x.opts = agentproc.Options{
		Interval: tick, MinFreeBytes: 64 << 20, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Root: x.tree.fs(),
		Lines: func() []agentproc.Line {
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.lines
		},
		Volume: func() (agentproc.Volume, error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			if x.hold > 0 {
				time.Sleep(x.hold)
				x.hold = 0
			}
			return x.volume, nil
		},
	}
	for _, f := range change {
		f(&x.opts)
	}
	var err error
	if x.st, err = store.Open(context.Background(), store.Options{Path: x.path, Synchronous: "normal", Log: x.opts.Log}); err != nil {
		t.Fatal(err)
	}
	if x.w, err = writer.New(x.st, writer.Options{MaxTextBytes: 16384, MaxQueueBytes: 64 << 20, Log: x.opts.Log}); err != nil {
		t.Fatal(err)
	}
	return x
}

// watch starts the watcher, which has looked once when it returns.
func (x *world) watch() {
	x.t.Helper()
	var err error
	if x.a, err = agentproc.New(context.Background(), x.st, x.w, x.opts); err != nil {
		x.t.Fatal(err)
	}
	synctest.Wait()
}

// log has the agent's log end with these lines.
func (x *world) log(lines ...agentproc.Line) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lines = lines
}

// disk changes the volume, and lets n looks pass.
func (x *world) disk(n int, change func(v *agentproc.Volume)) {
	x.mu.Lock()
	change(&x.volume)
	x.mu.Unlock()
	x.ticks(n)
}

// ticks lets n looks pass.
func (x *world) ticks(n int) {
	time.Sleep(time.Duration(n) * tick)
	synctest.Wait()
}

func (x *world) close() {
	x.t.Helper()
	if x.a != nil {
		if err := x.a.Close(context.Background()); err != nil {
			x.t.Error(err)
		}
	}
	if b := x.w.Books(); b.Received != b.Pending()+b.Delivered+b.Quarantined+b.Dropped+b.Expired {
		x.t.Errorf("the books do not balance: %+v", b)
	}
	if err := x.w.Close(context.Background()); err != nil {
		x.t.Error(err)
	}
	if err := x.st.Close(); err != nil {
		x.t.Error(err)
	}
}

// call stores a call as of now.
func (x *world) call() {
	x.t.Helper()
	_, err := x.w.Submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{{Provider: "openai", Model: "gpt-5", Status: "ok"}}})
	if err != nil {
		x.t.Fatal(err)
	}
}

// told is a stored event.
type told struct {
	id, kind, errorType, severity, message string
	at                                     int64
	m                                      map[string]any
}

func (x *world) events() (list []told) {
	x.t.Helper()
	conn, err := sql.Open("sqlite", "file:"+x.path+"?mode=ro")
	if err != nil {
		x.t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.Query("SELECT trace_id, created_at, error_type, severity, message, metadata FROM error_events ORDER BY id")
	if err != nil {
		x.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e told
		var metadata string
		if err := rows.Scan(&e.id, &e.at, &e.errorType, &e.severity, &e.message, &metadata); err != nil {
			x.t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(metadata), &e.m); err != nil {
			x.t.Fatalf("%s: %v", metadata, err)
		}
		if len(metadata) > 8<<10 {
			x.t.Errorf("%d bytes of metadata", len(metadata))
		}
		e.kind, _ = e.m["openclaw_trace.event"].(string)
		list = append(list, e)
	}
	return list
}

// expect fails unless the events are these: "kind errortype severity".
func (x *world) expect(want ...string) []told {
	x.t.Helper()
	list := x.events()
	var got []string
	for _, e := range list {
		got = append(got, e.kind+" "+e.errorType+" "+e.severity)
	}
	if !slices.Equal(got, want) {
		x.t.Errorf("events\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		for _, e := range list {
			x.t.Log(e.message)
		}
		if len(got) != len(want) {
			x.t.FailNow()
		}
	}
	return list
}

// tree is a made-up /proc and /sys in a folder.
type tree struct {
	t   testing.TB
	dir string
}

// bootUnix is when the made-up machine started.
const bootUnix = 946_000_000

func newTree(t testing.TB) tree {
	x := tree{t, t.TempDir()}
	x.write("proc/stat", fmt.Sprintf("cpu  1 2 3\ncpu0 1 2 3\nintr 5\nctxt 1\nbtime %d\nprocesses 7\n", bootUnix))
	x.write("proc/uptime", "1000.00 1.00\n")
	x.write("proc/sys/kernel/random/boot_id", "11111111-2222-4333-8444-555555555555\n")
	x.add(proc{pid: 77, args: []string{"/usr/bin/openclaw-trace", "serve"}})
	x.link("proc/self", "77")
	x.mount("/", "/sys/fs/cgroup", "cgroup2", "rw")
	x.link("proc/77/ns/pid", "pid:[4026531836]")
	return x
}

func (x tree) fs() fs.FS { return os.DirFS(x.dir) }

func (x tree) write(name, text string) {
	x.t.Helper()
	path := filepath.Join(x.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		x.t.Fatal(err)
	}
}

func (x tree) link(name, to string) {
	x.t.Helper()
	path := filepath.Join(x.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		x.t.Fatal(err)
	}
	os.Remove(path)
	if err := os.Symlink(to, path); err != nil {
		x.t.Fatal(err)
	}
}

// mount has a file system of control groups mounted. root is the group that is there.
func (x tree) mount(root, point, kind, options string) {
	x.t.Helper()
	x.write("proc/77/mountinfo", fmt.Sprintf("25 1 0:23 / / rw - ext4 /dev/vda rw\n31 25 0:28 %s %s ro,nosuid - %s %s %s\n", root, point, kind, kind, options))
}

// group makes a control group with a counter.
func (x tree) group(dir string, kills int) {
	x.t.Helper()
	x.write(dir+"/cgroup.procs", "")
	x.write(dir+"/memory.events", fmt.Sprintf("low 0\nhigh 0\nmax 0\noom %d\noom_kill %d\noom_group_kill 0\n", kills, kills))
}

type proc struct {
	pid, ppid  int
	comm       string
	args       []string
	state      string
	ticks, cpu int
	rssPages   int
	threads    int
	exit       int
	children   []int
	cgroup     string
}

func (x tree) add(p proc) {
	x.t.Helper()
	if p.comm == "" && len(p.args) > 0 {
		p.comm = filepath.Base(p.args[0])
		p.comm = p.comm[:min(len(p.comm), 15)]
	}
	if p.state == "" {
		p.state = "S"
	}
	p.threads = max(p.threads, 1)
	dir := fmt.Sprintf("proc/%d/", p.pid)
	x.write(dir+"stat", fmt.Sprintf("%d (%s) %s %d 1 1 0 -1 4194560 1 0 0 0 %d %d 0 0 20 0 %d 0 %d 12345 %d 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 %d\n",
		p.pid, p.comm, p.state, p.ppid, p.cpu/3, p.cpu-p.cpu/3, p.threads, p.ticks, p.rssPages, p.exit))
	x.write(dir+"cmdline", strings.Join(p.args, "\x00")+"\x00")
	var kids strings.Builder
	for _, k := range p.children {
		fmt.Fprintf(&kids, "%d ", k)
	}
	x.write(fmt.Sprintf("%stask/%d/children", dir, p.pid), kids.String())
	x.write(dir+"cgroup", "0::/"+strings.TrimPrefix(p.cgroup, "/")+"\n")
}

func (x tree) remove(pid int) {
	x.t.Helper()
	if err := os.RemoveAll(filepath.Join(x.dir, "proc", strconv.Itoa(pid))); err != nil {
		x.t.Fatal(err)
	}
}

var agents int

// agentName returns a name that no other process has.
func agentName() string {
	agents++
	return fmt.Sprintf("test-agent-%d-%d", os.Getpid(), agents)
}

// start runs the test's agent.
func start(t testing.TB, name, what string) *exec.Cmd { return startWith(t, name, what, nil) }

func startWith(t testing.TB, name, what string, stdin *os.File) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ready, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	cmd := &exec.Cmd{Path: exe, Args: []string{name, what}, Stdout: out}
	if stdin != nil {
		cmd.Stdin = stdin
	}
	err = cmd.Start()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ready, make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

func kill(t testing.TB, cmd *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
}

// waitZombie returns once the process has ended.
func waitZombie(t testing.TB, pid int) {
	t.Helper()
	for {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if f[0] == "Z" && f[17] == "1" { // the last of its threads
			return
		}
		runtime.Gosched()
	}
}

func (x tree) removeAll(name string) {
	x.t.Helper()
	if err := os.RemoveAll(filepath.Join(x.dir, name)); err != nil {
		x.t.Fatal(err)
	}
}

// meta returns what the watcher has written down, and replaces it unless text is "".
func (x *world) meta(text string) (old string) {
	x.t.Helper()
	err := x.w.Do(context.Background(), func(tx *writer.Tx) error {
		m, err := tx.AgentMeta(context.Background())
		if old = m.Agent; err == nil && text != "" {
			err = tx.SetAgentMeta(context.Background(), text)
		}
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return old
}

// sinceBoot returns how many seconds the made-up machine has been running.
func (x *world) sinceBoot() float64 { return float64(time.Now().Unix() - bootUnix) }
