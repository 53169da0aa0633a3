// Package cgroup reads what the kernel accounts to a control group: CPU time and its
// quota, memory and its limit, what was killed for want of it, disk I/O, pids, and
// pressure.
//
// It reads files below an fs.FS that stands for the machine's /, and nothing else, so
// a tree of fixtures is as good as a machine. Where the files are is found out from
// proc/<pid>/cgroup and proc/self/mountinfo; no path is assumed. Both versions are
// read, and the hybrid where some controllers are still of version 1.
//
// What limits a process may be set on its own group or on any above it, as Kubernetes
// does for a pod. So each limit is the lowest of those that can be seen. A container
// sees its own group and nothing above; there, version 1 still tells the lowest memory
// limit of all, and version 2 does not.
//
// Nothing is guessed: what the kernel does not tell is Unknown or an error, never 0.
package cgroup

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Unknown is the value of a count that the kernel does not tell.
const Unknown = -1

var (
	// ErrNone is returned where there are no control groups: no Linux, no /proc, or
	// no cgroup file system mounted.
	ErrNone = errors.New("there are no control groups here")

	// ErrHidden is returned for a process whose group exists but is not among those
	// that can be seen from here, such as one of another container.
	ErrHidden = errors.New("the control group of the process cannot be seen from here")
)

// A Group is the control group of a process when Find was called. With version 1 it
// is one group for each controller.
//
// It keeps no file open. Once the group is gone its methods return fs.ErrNotExist;
// the same is returned for what a controller would tell that is not there. A Group is
// not safe for concurrent use.
type Group struct {
	// Version is 2 or 1: that of the memory controller, or else of the CPU's.
	Version int

	root fs.FS
	buf  []byte

	cpu, cpuacct, cpuset, memory, io, pids, unified controller
}

// controller is where a controller's files for the group are.
type controller struct {
	version int
	path    string   // of the group as the kernel calls it; "" if there is none
	dirs    []string // of the group and those above it that can be seen, without the real root
	root    string   // the directory of the real root, if it can be seen
}

// dir returns the group's own directory, or "".
func (c *controller) dir() string {
	switch {
	case len(c.dirs) > 0:
		return c.dirs[0]
	default:
		return c.root
	}
}

const (
	maxFile  = 1 << 20 // a file that is larger is none of the kernel's
	maxDepth = 64      // of groups
)

// Find returns the control group of the process pid, or of the calling process if pid
// is 0. root stands for the machine's /. The errors are ErrNone, ErrHidden,
// fs.ErrNotExist for a process that is not there, or say which file is wrong.
func Find(root fs.FS, pid int) (*Group, error) {
	g := &Group{root: root}
	proc := "proc/self"
	if pid != 0 {
		proc = "proc/" + strconv.Itoa(pid)
	}
	memberships, err := g.memberships(proc + "/cgroup")
	if errors.Is(err, fs.ErrNotExist) && (pid == 0 || !g.exists("proc/self/cgroup")) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	// The paths of another process are told as seen from our own namespace, so it is
	// our own mounts that they have to be looked up in.
	mounts, err := g.mounts("proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	if len(mounts) == 0 {
		return nil, ErrNone
	}
	var hidden string
	for _, c := range []struct {
		name string
		to   *controller
	}{
		{"cpu", &g.cpu}, {"cpuacct", &g.cpuacct}, {"cpuset", &g.cpuset},
		{"memory", &g.memory}, {"blkio", &g.io}, {"pids", &g.pids}, {"", &g.unified},
	} {
		m, ok := membershipOf(memberships, c.name)
		if !ok {
			continue
		}
		*c.to = g.locate(m, mounts, proc)
		if c.to.dir() == "" {
			hidden = m.path
		}
	}
	switch {
	case g.memory.dir() != "":
		g.Version = g.memory.version
	case g.cpu.dir() != "":
		g.Version = g.cpu.version
	case g.unified.dir() != "":
		g.Version = 2
	case hidden != "":
		return nil, fmt.Errorf("%w: the kernel calls it %s, and no cgroup file system that is mounted shows it", ErrHidden, hidden)
	default:
		return nil, ErrNone
	}
	return g, nil
}

// Path returns the name that the kernel has for the group, as seen from the calling
// process; in a container that is often "/".
func (g *Group) Path() string {
	return cmp.Or(g.memory.path, g.cpu.path, g.unified.path)
}

// Dirs returns where the files of the memory controller are, below the root that was
// given to Find: the group's own directory, then those above it.
func (g *Group) Dirs() []string { return slices.Clone(g.memory.dirs) }

// Real tells whether the process is in a group at all: false in the root of every
// hierarchy, where nothing is limited and what is accounted is the whole machine's.
func (g *Group) Real() bool {
	for _, c := range [...]*controller{&g.cpu, &g.cpuacct, &g.memory, &g.io, &g.pids} {
		if len(c.dirs) > 0 {
			return true
		}
	}
	return false
}

// Top returns the topmost group that can be seen from g: where Namespaced, that of the
// container, however it divides itself.
func (g *Group) Top() *Group {
	top := *g
	top.buf = nil
	for _, c := range [...]*controller{&top.cpu, &top.cpuacct, &top.cpuset, &top.memory, &top.io, &top.pids, &top.unified} {
		if n := len(c.dirs); n > 0 {
			c.dirs = c.dirs[n-1:]
		}
	}
	return &top
}

// Namespaced tells whether the group is seen from inside a container: what is above
// its topmost directory is hidden.
func (g *Group) Namespaced() bool {
	c := &g.memory
	if c.dir() == "" {
		c = &g.cpu
	}
	return len(c.dirs) > 0 && c.root == ""
}

// membership is a line of proc/<pid>/cgroup.
type membership struct {
	controllers []string // none for version 2
	path        string
}

func membershipOf(list []membership, name string) (membership, bool) {
	unified := -1
	for i, m := range list {
		if len(m.controllers) == 0 {
			unified = i
		} else if name != "" && slices.Contains(m.controllers, name) {
			return m, true
		}
	}
	if unified < 0 {
		return membership{}, false
	}
	return list[unified], true
}

// memberships reads "5:cpu,cpuacct:/docker/6a1f" and "0::/".
func (g *Group) memberships(name string) ([]membership, error) {
	data, err := g.read(name)
	if err != nil {
		return nil, err
	}
	var list []membership
	for n, line := range lines(data) {
		_, rest, ok := strings.Cut(string(line), ":")
		controllers, p, ok2 := strings.Cut(rest, ":")
		if !ok || !ok2 || !strings.HasPrefix(p, "/") {
			return nil, malformed(name, n, "is no \"id:controllers:path\"", line)
		}
		m := membership{path: p}
		if controllers != "" {
			m.controllers = strings.Split(controllers, ",")
		}
		list = append(list, m)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s is empty", name)
	}
	return list, nil
}

// mount is a mounted cgroup file system.
type mount struct {
	version int
	root    string   // which group is at point
	point   string   // without the leading slash
	options []string // of version 1, its controllers among them
}

// mounts reads the lines of cgroup file systems, such as
// "31 23 0:28 /docker/6a1f /sys/fs/cgroup/memory ro,nosuid shared:9 - cgroup cgroup rw,memory".
func (g *Group) mounts(name string) ([]mount, error) {
	data, err := g.readUpTo(name, 16<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []mount
	for n, line := range lines(data) {
		at := bytes.Index(line, []byte(" - "))
		if at < 0 {
			return nil, malformed(name, n, "has no \" - \"", line)
		}
		kind := bytes.Fields(line[at+3:])
		if len(kind) == 0 {
			return nil, malformed(name, n, "names no file system", line)
		}
		m := mount{version: 2}
		switch string(kind[0]) {
		case "cgroup2":
		case "cgroup":
			m.version = 1
			m.options = strings.Split(string(kind[len(kind)-1]), ",")
		default:
			continue
		}
		fields := bytes.Fields(line[:at])
		if len(fields) < 5 {
			return nil, malformed(name, n, "has too few fields", line)
		}
		m.root = unescape(fields[3])
		m.point = strings.TrimPrefix(unescape(fields[4]), "/")
		if !strings.HasPrefix(m.root, "/") || !fs.ValidPath(m.point) {
			return nil, malformed(name, n, "has a path that is none", line)
		}
		list = append(list, m)
	}
	return list, nil
}

// unescape resolves the octal escapes in which the kernel writes blanks and the like.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+4]), 8, 8); err == nil {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		out = append(out, b[i])
	}
	return string(out)
}

// locate finds the directories of m. Of several mounts that show the group it takes
// the one that shows the most of what is above it, since limits may be set there.
func (g *Group) locate(m membership, mounts []mount, proc string) controller {
	best := controller{path: m.path}
	for _, mt := range mounts {
		c := controller{version: mt.version, path: m.path}
		if len(m.controllers) == 0 != (mt.version == 2) {
			continue
		}
		if mt.version == 1 && !slices.ContainsFunc(mt.options, func(o string) bool { return slices.Contains(m.controllers, o) }) {
			continue
		}
		below, ok := below(m.path, mt.root)
		if ok {
			ok = g.exists(path.Join(mt.point, below, "cgroup.procs"))
		}
		if !ok {
			// The names do not fit, as when a namespace was entered after the mount.
			// The group is the one that is mounted if its list of processes says so.
			if below = "."; !g.holds(mt.point, proc) {
				continue
			}
		}
		for dir := below; ; dir = path.Dir(dir) {
			if dir == "." && g.isRoot(mt) {
				c.root = mt.point
				break
			}
			c.dirs = append(c.dirs, path.Join(mt.point, dir))
			if dir == "." || len(c.dirs) > maxDepth {
				break
			}
		}
		if len(c.dirs) <= maxDepth && (best.dir() == "" || len(c.dirs) >= len(best.dirs)) {
			best = c
		}
	}
	return best
}

// below returns what follows root in p, "." if it is all of it. Names are compared as
// they are: "/.." is a group outside of the namespace here, and not "/".
func below(p, root string) (rest string, ok bool) {
	if root == "/" {
		rest = p[1:]
	} else if rest, ok = strings.CutPrefix(p, root); !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	rest = strings.Trim(rest, "/")
	if rest == "" {
		return ".", true
	}
	return rest, fs.ValidPath(rest)
}

// holds tells whether the group at dir lists the process of proc.
func (g *Group) holds(dir, proc string) bool {
	stat, err := g.read(proc + "/stat")
	if err != nil {
		return false
	}
	pid, _, _ := bytes.Cut(stat, []byte(" "))
	pid = bytes.Clone(pid)
	procs, err := g.read(dir + "/cgroup.procs")
	if err != nil || len(pid) == 0 {
		return false
	}
	for _, line := range lines(procs) {
		if bytes.Equal(line, pid) {
			return true
		}
	}
	return false
}

// isRoot tells whether the real root of a hierarchy is at m's mount point, and not a
// container's. There the kernel has files that no other group has, or lacks one that
// all others have.
func (g *Group) isRoot(m mount) bool {
	if m.version == 1 {
		return g.exists(m.point + "/cgroup.sane_behavior")
	}
	return !g.exists(m.point + "/cgroup.events")
}

func (g *Group) exists(name string) bool {
	_, err := fs.Stat(g.root, name)
	return err == nil
}
