package agentproc

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/cgroup"
)

// oomKills watches the counters of the kernel's OOM killer in the control groups of the
// agent and of ourselves.
type oomKills struct {
	self   string   // our group; "" if it is not visible
	parent string   // of the agent's, which outlives that: systemd removes a service's
	groups []string // all that are watched; folders below the root
	looked bool
	last   *killed // in the agent's group, at the last look, while it was running; or nil
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
	var group string
	group, o.parent = groupsOf(a.opts.Root, pid)
	o.groups = nil
	o.watch(a, o.self, group, o.parent)
	return group
}

// watch adds groups, whose kills count from now on unless they were known before.
func (o *oomKills) watch(a *Watcher, groups ...string) {
	for _, g := range groups {
		if g == "" || slices.Contains(o.groups, g) {
			continue
		}
		o.groups = append(o.groups, g)
		n, ok := oomCount(a.opts.Root, g)
		if _, known := a.memory.OOMKills[g]; !known && ok {
			if a.memory.OOMKills == nil {
				a.memory.OOMKills = make(map[string]int64)
			}
			a.memory.OOMKills[g] = n
			a.life.changed = true
		}
	}
}

// check returns the counters that have risen since the last look.
func (o *oomKills) check(a *Watcher) (rises []killed) {
	if !o.looked {
		o.self, _ = groupsOf(a.opts.Root, 0)
		o.watch(a, o.self)
		if e := a.life.ended; e != nil { // while we were not running
			o.watch(a, e.agent.group)
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

// groupsOf returns the folders with the memory counters of a process's group and of the
// one above it; "" for what cannot be seen.
func groupsOf(root fs.FS, pid int) (group, parent string) {
	g, err := cgroup.Find(root, pid)
	if err != nil {
		return "", ""
	}
	dirs := append(g.Dirs(), "", "")
	return dirs[0], dirs[1]
}

// oomCount returns how many processes of the group at a folder were killed. A group is
// asked by its folder and not by its process, which is gone then.
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
