package agentproc

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oomKills watches the counters of the kernel's OOM killer in the control groups of the
// agent and of ourselves.
type oomKills struct {
	self   string   // our group; "" if it is not visible
	parent string   // of the agent's, which outlives that: systemd removes a service's
	groups []string // all that are watched; folders below the root
	looked bool
}

// killed is a rise of a counter.
type killed struct {
	group  string
	n      int64 // kills since the last look
	total  int64
	unseen bool // while we were not running
}

func (k *killed) members() map[string]any {
	return map[string]any{"openclaw_trace.cgroup": "/" + k.group, "openclaw_trace.oom_kills": k.total}
}

// follow makes the agent's group one of those that are watched, and returns it.
func (o *oomKills) follow(a *Watcher, pid int) string {
	group := groupOf(a.opts.Root, pid)
	o.groups, o.parent = nil, path.Dir(group)
	o.watch(a.opts.Root, o.self, group, o.parent)
	return group
}

func (o *oomKills) watch(root fs.FS, groups ...string) {
	for _, g := range groups {
		if g != "" && hasOOMCount(root, g) && !slices.Contains(o.groups, g) {
			o.groups = append(o.groups, g)
		}
	}
}

// check returns the counters that have risen since the last look.
func (o *oomKills) check(a *Watcher) (rises []killed) {
	if !o.looked {
		self, _ := selfOf(a.opts.Root)
		o.self = groupOf(a.opts.Root, self)
		o.watch(a.opts.Root, o.self)
		if e := a.life.ended; e != nil { // while we were not running
			o.watch(a.opts.Root, e.agent.group)
		}
	}
	before := a.memory.OOMKills
	counts := make(map[string]int64, len(o.groups))
	for _, g := range o.groups {
		old, known := before[g]
		n, ok := oomCount(a.opts.Root, g)
		if !ok && known {
			n = old // the group is gone and may come back
		}
		if ok || known {
			counts[g] = n
		}
		if known && n > old {
			rises = append(rises, killed{group: g, n: n - old, total: n, unseen: !o.looked})
		}
	}
	o.looked = true
	if !maps.Equal(counts, before) {
		a.memory.OOMKills, a.life.changed = counts, true
	}
	return rises
}

// tellOOMKill tells of a kill that has not ended the agent.
func (a *Watcher) tellOOMKill(now time.Time, k killed) {
	what, when, agent := "a process", "", "the agent's process is not known"
	if k.n > 1 {
		what = fmt.Sprintf("%d processes", k.n)
	}
	if k.unseen {
		when = " while openclaw-trace was not running"
	}
	members := k.members()
	if g := a.life.now; g != nil {
		agent = fmt.Sprintf("the agent's process (pid %d) is running", g.pid)
		members = merge(g.members(), members)
	}
	a.add(event{
		id: a.id.of("oom", a.id.boot, k.group, k.total), at: now, kind: kindOOMKill, errorType: "system_error", severity: "critical",
		message: fmt.Sprintf("Out of memory: the kernel's OOM killer has killed %s of the control group /%s%s; %s.", what, k.group, when, agent),
		members: members,
	})
}

// groupOf returns the folder with the memory counters of a process's group, or "".
func groupOf(root fs.FS, pid int) string {
	b, err := readSmall(root, procPath(pid, "cgroup"))
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(b) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) < 3 || parts[1] != "" && parts[1] != "memory" {
			continue
		}
		base := "sys/fs/cgroup"
		if parts[1] != "" {
			base += "/memory"
		}
		if strings.HasPrefix(parts[2], "/..") {
			continue // of another container
		}
		if p := path.Join(base, parts[2]); hasOOMCount(root, p) {
			return p
		}
		// In some containers the path is the host's, and what is mounted is our group.
		self, _ := selfOf(root)
		ours, _ := readSmall(root, procPath(self, "cgroup"))
		if bytes.Equal(ours, b) && hasOOMCount(root, base) {
			return base
		}
	}
	return ""
}

func hasOOMCount(root fs.FS, group string) bool {
	_, ok := oomCount(root, group)
	return ok
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
