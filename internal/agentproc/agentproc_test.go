package agentproc_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/agentproc"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		process string
		args    string // separated by |
		want    bool
	}{
		{"", "openclaw-gateway", true},
		{"", "openclaw-gateway   ", true},
		{"", "/usr/local/bin/node|/usr/lib/node_modules/openclaw/dist/index.js|gateway|--port|18789", true},
		{"", "node|--max-old-space-size=2048|/home/u/.npm-global/lib/node_modules/openclaw/dist/index.js|gateway", true},
		{"", "node|openclaw.mjs|gateway|--allow-unconfigured", true},
		{"", "openclaw|--profile|dev|gateway|run|--port|1", true},
		{"", "/opt/homebrew/bin/openclaw|gateway", true},
		{"", "openclaw|gateway|status", false},
		{"", "openclaw|gateway|call|sessions.usage", false},
		{"", "openclaw|agent|--message|gateway", false},
		{"", "openclaw-agent", false},
		{"", "node|/home/openclaw/other/index.js|gateway", false},
		{"", "tail|-f|/tmp/openclaw/openclaw-2026-11-25.log", false},
		{"", "openclaw-trace|serve", false},
		{"", "gateway", false},
		{"my-agent", "/opt/my-agent|--flag", true},
		{"my-agent", "my-agent: worker", true},
		{"my-agent", "python3|-u|/srv/my-agent.py", true},
		{"my-agent", "node|/srv/my-agent", true},
		{"my-agent", "node|/srv/other|my-agent", false},
		{"my-agent", "my-agent-helper", false},
		{`bot\.py .*--live`, "python3|/srv/bot.py|--x|--live", true},
		{`bot\.py .*--live`, "python3|/srv/bot.py|--dry", false},
	} {
		got, err := agentproc.Matches(c.process, strings.Split(c.args, "|")...)
		if err != nil || got != c.want {
			t.Errorf("%q, %s: %v, %v", c.process, c.args, got, err)
		}
	}
	if err := (&agentproc.Options{Process: "(bot"}).Validate(); err == nil || !strings.Contains(err.Error(), "OCT_AGENT_PROCESS") {
		t.Errorf("an expression that is none: %v", err)
	}
}

// Of all that has the agent's name in its command line, only the agent is it.
func TestFinds(t *testing.T) {
	gateway := []string{"node", "/usr/lib/node_modules/openclaw/dist/index.js", "gateway"}
	for name, c := range map[string]struct {
		procs []proc
		want  int
	}{
		"bystanders": {[]proc{
			{pid: 10, args: []string{"/bin/sh", "-c", "openclaw gateway"}},
			{pid: 11, args: []string{"grep", "openclaw-gateway"}},
			{pid: 12, args: []string{"sudo", "openclaw", "gateway"}},
			{pid: 13, args: []string{"tini", "--", "openclaw", "gateway"}},
			{pid: 14, args: []string{"-bash"}},
			{pid: 15, comm: "kworker/0:1"},
			{pid: 16, args: []string{"openclaw-trace", "tail", "openclaw", "gateway"}},
		}, 0},
		"title":    {[]proc{{pid: 20, args: []string{"openclaw-gateway"}}}, 20},
		"launcher": {[]proc{{pid: 20, args: gateway, ticks: 100}, {pid: 21, ppid: 20, args: []string{"openclaw-gateway"}, ticks: 150}}, 21},
		"worker":   {[]proc{{pid: 21, ppid: 20, args: gateway, ticks: 150}, {pid: 20, args: gateway, ticks: 100}}, 20},
		"oldest":   {[]proc{{pid: 30, args: gateway, ticks: 900}, {pid: 31, args: gateway, ticks: 800}}, 31},
		"later":    {[]proc{{pid: 20, args: gateway, ticks: 100}, {pid: 21, ppid: 20, args: []string{"openclaw-gateway"}, ticks: 90_000}}, 20},
		"two":      {[]proc{{pid: 30, args: gateway, ticks: 100}, {pid: 31, ppid: 1, args: []string{"openclaw-gateway"}, ticks: 150}}, 30},
		"zombie":   {[]proc{{pid: 20, args: gateway, state: "Z"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				for _, p := range c.procs {
					x.tree.add(p)
				}
				x.watch()
				s := x.a.Status()
				if s.PID != c.want || s.Found != (c.want != 0) || s.Found != (s.Note == "") {
					t.Errorf("found %+v, want %d", s, c.want)
				}
				x.ticks(2)
				if s := x.a.Status(); s.PID != c.want {
					t.Errorf("later: %+v", s)
				}
				x.expect()
			})
		})
	}
}

// Some programs have their name only where the kernel keeps 15 characters of it.
func TestFindsByKernelsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.opts.Process = "my-very-long-agent"
		x.tree.add(proc{pid: 20, args: []string{"node", "x.js"}, comm: "my-very-long-ag"})
		x.tree.add(proc{pid: 19, args: []string{"node", "y.js"}, comm: "my-very-long-aa"})
		x.watch()
		if s := x.a.Status(); s.PID != 20 {
			t.Errorf("%+v", s)
		}
	})
}

func TestReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		p := proc{pid: 20, args: []string{"openclaw-gateway"}, comm: "a) b (c", ticks: 200, cpu: 1000, rssPages: 10, threads: 11, children: []int{21}}
		x.tree.add(p)
		x.tree.add(proc{pid: 21, ppid: 20, args: []string{"node", "tool"}, rssPages: 3, children: []int{22, 23}})
		x.tree.add(proc{pid: 22, ppid: 21, args: []string{"sh"}, rssPages: 4})
		x.tree.add(proc{pid: 23, ppid: 21, comm: "sh", state: "Z"})
		for _, fd := range []string{"0", "1", "2"} {
			x.tree.link("proc/20/fd/"+fd, "/dev/null")
		}
		x.watch()
		p.cpu += 300 // 3 s in 15
		x.tree.add(p)
		x.ticks(1)
		r := x.a.Status().Reading
		if r.CPUPct != 20 || r.CPUTime.Seconds() != 13 || r.Threads != 11 || r.RSSBytes != 10*int64(syscall.Getpagesize()) ||
			r.Children != 2 || r.ChildrenRSSBytes != 7*int64(syscall.Getpagesize()) || r.StartedAt.Unix() != bootUnix+2 {
			t.Errorf("%+v", r)
		}
		want := map[string]float64{
			"process.pid": 20, "process.uptime": x.sinceBoot() - 2, "process.cpu.time": 13, "process.cpu.utilization": 0.2,
			"process.memory.usage": float64(r.RSSBytes), "process.thread.count": 11, "process.unix.file_descriptor.count": 3,
			"openclaw_trace.agent.children.count": 2, "openclaw_trace.agent.children.memory.usage": float64(r.ChildrenRSSBytes),
		}
		if diff := cmp.Diff(want, x.a.Members()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		x.tree.remove(20)
		x.ticks(1)
		if m := x.a.Members(); m != nil {
			t.Errorf("of a process that is gone: %v", m)
		}
	})
}

// What became of a real process is known as far as the kernel tells.
func TestRealProcess(t *testing.T) {
	for name, c := range map[string]struct {
		end       func(t *testing.T, cmd *exec.Cmd)
		byStat    bool // which tells it of zombies
		want, how string
	}{
		"killed":  {func(t *testing.T, cmd *exec.Cmd) { kill(t, cmd, syscall.SIGKILL) }, false, "agent_gone crash error", "ended by SIGKILL"},
		"stopped": {func(t *testing.T, cmd *exec.Cmd) { kill(t, cmd, syscall.SIGTERM) }, false, "agent_gone system_error warning", "ended by SIGTERM"},
		"zombie": {func(t *testing.T, cmd *exec.Cmd) {
			cmd.Process.Signal(syscall.SIGSEGV)
			waitZombie(t, cmd.Process.Pid)
		}, true, "agent_gone crash error", "zombie): it exited with code 2"}, // as Go programs do
	} {
		t.Run(name, func(t *testing.T) {
			if !c.byStat && !tellsOthers(t) {
				t.Skip("this kernel tells only the parent how a process ended; it needs Linux 6.15")
			}
			synctest.Test(t, func(t *testing.T) {
				name := agentName()
				x := newWorld(t, func(o *agentproc.Options) { o.Root, o.Process = nil, name })
				defer x.close()
				cmd := start(t, name, "sleep")
				x.watch()
				if s := x.a.Status(); s.PID != cmd.Process.Pid || s.Reading.RSSBytes == 0 || s.Reading.FDs < 3 || s.Reading.Threads == 0 {
					t.Fatalf("%+v, want %d", s, cmd.Process.Pid)
				}
				x.call()
				x.ticks(1)
				x.expect()
				c.end(t, cmd)
				x.ticks(2)
				e := x.expect(c.want)
				if !strings.Contains(e[0].message, c.how) {
					t.Error(e[0].message)
				}
				if calls, _ := e[0].m["openclaw_trace.last_calls"].([]any); len(calls) != 1 {
					t.Errorf("evidence %v", e[0].m)
				}
				next := start(t, name, "sleep")
				x.ticks(1)
				x.expect(c.want, "agent_restarted system_error warning")
				if s := x.a.Status(); s.PID != next.Process.Pid || s.Restarts != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// tellsOthers tells whether the kernel tells others than the parent how a process ended.
func tellsOthers(t *testing.T) bool {
	t.Helper()
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Skip("there is no /proc here")
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(release), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 15
}
