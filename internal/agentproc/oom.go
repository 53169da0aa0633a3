package agentproc

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strconv"
	"strings"
	"time"
)

// oomKills watches the counters of the kernel's OOM killer in the control groups of the
// agent and of ourselves.
type oomKills struct {
	groups []string // folders of the counters' files, below the root
	own    bool     // ours is among them
	looked bool
}

// killed is a rise of a counter.
type killed struct {
	group     string
	n         int64 // kills since the last look
	total     int64
	unseen    bool // while we were not running
	withAgent bool // the agent has gone too, and its event tells it
}

// follow makes the agent's group one of those that are watched.
func (o *oomKills) follow(a *Watcher, pid int) {
	if !o.own {
		self, _ := selfOf(a.opts.Root)
		o.add(groupOf(a.opts.Root, self))
		o.own = true
	}
	o.add(groupOf(a.opts.Root, pid))
}

func (o *oomKills) add(group string) {
	const most = 4 // the agent's groups of earlier are removed with it
	if group == "" {
		return
	}
	for _, g := range o.groups {
		if g == group {
			return
		}
	}
	o.groups = append(o.groups, group)
	if len(o.groups) > most {
		o.groups = append(o.groups[:1], o.groups[2:]...)
	}
}

// check returns the counter that has risen since the last look, or nil.
func (o *oomKills) check(a *Watcher, now time.Time) *killed {
	if !o.own {
		o.follow(a, 0)
	}
	var found *killed
	before := a.memory.OOMKills
	counts := make(map[string]int64, len(o.groups))
	for _, g := range o.groups {
		n, ok := oomCount(a.opts.Root, g)
		if !ok {
			if old, known := before[g]; known {
				counts[g] = old // the group may come back
			}
			continue
		}
		counts[g] = n
		if old, known := before[g]; known && n > old && (found == nil || n-old >= found.n) {
			found = &killed{group: g, n: n - old, total: n, unseen: !o.looked}
		}
	}
	o.looked = true
	if !maps.Equal(counts, before) {
		a.memory.OOMKills, a.life.changed = counts, true
	}
	return found
}

// tellOOMKill tells of a kill that has not ended the agent.
func (a *Watcher) tellOOMKill(now time.Time, k *killed) {
	what, agent := "a process", "the agent's process is not known"
	if k.n > 1 {
		what = fmt.Sprintf("%d processes", k.n)
	}
	members := map[string]any{"openclaw_trace.cgroup": "/" + k.group, "openclaw_trace.oom_kills": k.total}
	if g := a.life.now; g != nil {
		agent = fmt.Sprintf("the agent's process (pid %d) is running", g.pid)
		members = merge(g.members(), members)
	}
	when := ""
	if k.unseen {
		when = " while openclaw-trace was not running"
	}
	a.add(event{
		id: a.id.of("oom", a.id.boot, k.group, k.total), at: now, kind: kindOOMKill, errorType: "system_error", severity: "critical",
		message: fmt.Sprintf("Out of memory: the kernel's OOM killer has killed %s of the control group /%s%s; %s.", what, k.group, when, agent),
		members: members,
	})
}

// groupOf returns the folder with the memory counters of a process's group, or "".
func groupOf(root fs.FS, pid int) string {
	if pid == 0 {
		return ""
	}
	b, err := readSmall(root, procPath(pid, "cgroup"))
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(b) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) < 3 {
			continue
		}
		for _, base := range []string{"sys/fs/cgroup/memory", "sys/fs/cgroup"} {
			if parts[1] != "" && parts[1] != "memory" {
				continue
			}
			// In a container the path may be that of the host: then the mount is the group.
			for _, p := range []string{path.Join(base, parts[2]), base} {
				if _, ok := oomCount(root, p); ok {
					return p
				}
			}
		}
	}
	return ""
}

// oomCount returns how many processes of the group were killed.
func oomCount(root fs.FS, group string) (int64, bool) {
	b, err := readSmall(root, group+"/memory.events") // version 2
	if err != nil {
		b, err = readSmall(root, group+"/memory.oom_control") // version 1
	}
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if text, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
