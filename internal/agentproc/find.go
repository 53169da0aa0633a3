package agentproc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// matcher tells the agent's process from others.
type matcher struct {
	what string // for people
	args func(args []string) bool
	comm string // what /proc/<pid>/stat would call it; "" if that says nothing
}

// newMatcher returns the matcher for OCT_AGENT_PROCESS.
func newMatcher(process string) (matcher, error) {
	switch {
	case process == "":
		return matcher{what: "OpenClaw's gateway", args: isGateway}, nil
	case regexp.MustCompile(`^[\w.@-]+$`).MatchString(process):
		comm := process
		if len(comm) > 15 {
			comm = comm[:15] // the kernel keeps no more
		}
		return matcher{what: strconv.Quote(process), comm: comm, args: func(args []string) bool { return isNamed(args, process) }}, nil
	}
	re, err := regexp.Compile(process)
	if err != nil {
		return matcher{}, fmt.Errorf("OCT_AGENT_PROCESS: it is neither a name nor a regular expression for a command line: %w", err)
	}
	return matcher{
		what: "the command line " + strconv.Quote(process),
		args: func(args []string) bool { return re.MatchString(strings.Join(args, " ")) },
	}, nil
}

// program returns what a process is called: the first word of its command line without
// the folder. Some programs replace theirs by a title.
func program(args []string) string {
	if len(args) == 0 {
		return ""
	}
	name, _, _ := strings.Cut(args[0], " ")
	return strings.TrimSuffix(path.Base(name), ":")
}

var interpreters = regexp.MustCompile(`^(node|nodejs|bun|deno|python[\d.]*|ruby|perl|php|java)$`)

// isNamed tells whether the program is called name, or the script it runs.
func isNamed(args []string, name string) bool {
	p := program(args)
	if p == name {
		return true
	}
	if !interpreters.MatchString(p) {
		return false
	}
	for _, arg := range args[1:] {
		if strings.HasPrefix(arg, "-") {
			continue
		}
		script := path.Base(arg)
		return script == name || strings.TrimSuffix(script, path.Ext(script)) == name
	}
	return false
}

var openclawScript = regexp.MustCompile(`^[^-].*\bopenclaw/(dist|scripts)/|^([^-].*/)?openclaw(\.[cm]?js)?$`)

// isGateway tells whether this is OpenClaw's gateway. It calls itself openclaw-gateway
// once it runs; before that, and in a version that does not, it is node with a script of
// openclaw and the command gateway. "openclaw gateway status" is a visitor.
func isGateway(args []string) bool {
	if program(args) == "openclaw-gateway" {
		return true
	}
	i := slices.IndexFunc(args, openclawScript.MatchString)
	if i < 0 {
		return false
	}
	for i++; i < len(args) && strings.HasPrefix(args[i], "-"); i++ {
		switch args[i] {
		case "--profile", "--log-level", "--container":
			i++ // its value
		}
	}
	if i >= len(args) || args[i] != "gateway" {
		return false
	}
	return i+1 == len(args) || args[i+1] == "run" || strings.HasPrefix(args[i+1], "-")
}

// bystanders have the agent's name in their command line because they start it, look for
// it or show it.
var bystanders = func() map[string]bool {
	m := make(map[string]bool)
	for name := range strings.FieldsSeq(`
		sh bash dash ash zsh ksh fish busybox su sudo doas env nohup setsid timeout nice ionice chrt stdbuf time xargs
		tini dumb-init catatonit docker-init s6-supervise runsv supervise gosu su-exec setpriv runuser start-stop-daemon
		grep egrep fgrep rg ag pgrep pkill pidof ps top htop watch tail less more cat head tee awk gawk mawk sed jq journalctl
		vi vim nvim nano emacs strace ltrace gdb perf ssh scp rsync docker podman kubectl crictl systemctl tmux screen make git`) {
		m[name] = true
	}
	return m
}()

// process is one that could be the agent's.
type process struct {
	stat
	args []string
}

func (p *process) command() string { return strings.Join(p.args, " ") }

// search looks through all processes for the agent. Of several it takes the oldest, but
// for launchers: a process that has started another matching one at once, with another
// command, waits for that to end.
func (a *Watcher) search() *process {
	root := a.opts.Root
	self, own := selfOf(root)
	var found []*process
	for _, pid := range pids(root) {
		if pid == self {
			continue
		}
		if p := a.candidate(pid, own); p != nil {
			found = append(found, p)
		}
	}
	var best *process
	for _, p := range found {
		launcher := slices.ContainsFunc(found, func(child *process) bool { return launched(p, child) })
		if !launcher && (best == nil || p.ticks < best.ticks) {
			best = p
		}
	}
	return best
}

// candidate returns the process if it could be the agent's, or nil. own is what our own
// program is called.
func (a *Watcher) candidate(pid int, own string) *process {
	args := commandLine(a.opts.Root, pid)
	if len(args) == 0 {
		return nil
	}
	if name := program(args); name == own || bystanders[strings.TrimPrefix(name, "-")] {
		return nil
	}
	fits := a.match.args(args)
	if !fits && a.match.comm == "" {
		return nil
	}
	s, err := readStat(a.opts.Root, pid)
	if err != nil || s.dead() || !fits && s.comm != a.match.comm {
		return nil
	}
	return &process{s, args}
}

const launchTime = 10 * time.Second

// launched tells whether p is the launcher of child.
func launched(p, child *process) bool {
	return child.ppid == p.pid && child.ticks-p.ticks < uint64(launchTime/clockTick) && child.command() != p.command()
}

// locate returns the agent's process, or nil and why.
func (a *Watcher) locate() (*process, string) {
	root := a.opts.Root
	if _, err := fs.Stat(root, "proc/self"); err != nil {
		return nil, "there is no /proc here, so that the agent's process cannot be watched"
	}
	if a.opts.PIDFile == "" {
		if p := a.search(); p != nil {
			return p, ""
		}
		return nil, fmt.Sprintf("no process is %s; one in another container can be seen only if the containers share their pid namespace", a.match.what)
	}
	pid, err := readPIDFile(a.opts.PIDFile)
	if err != nil {
		return nil, err.Error()
	}
	s, err := readStat(root, pid)
	p := &process{s, commandLine(root, pid)}
	self, _ := selfOf(root)
	switch {
	case isGone(err) || err == nil && s.dead():
		return nil, fmt.Sprintf("there is no process %d, which %s names; one in another container can be seen only if the containers share their pid namespace", pid, a.opts.PIDFile)
	case err != nil:
		return nil, fmt.Sprintf("the process %d, which %s names, cannot be read: %v", pid, a.opts.PIDFile, err)
	case pid == self:
		return nil, fmt.Sprintf("%s names our own process", a.opts.PIDFile)
	case a.opts.Process != "" && !a.match.args(p.args) && s.comm != a.match.comm:
		return nil, fmt.Sprintf("the process %d, which %s names, is not %s", pid, a.opts.PIDFile, a.match.what)
	}
	return p, ""
}

func readPIDFile(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would have us wait for a writer
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid < 1 {
		return 0, fmt.Errorf("%s does not begin with the number of a process", path)
	}
	return pid, nil
}

// selfOf returns our own pid as root has it, and what our program is called.
func selfOf(root fs.FS) (int, string) {
	pid := os.Getpid()
	if link, err := fs.ReadLink(root, "proc/self"); err == nil {
		if n, err := strconv.Atoi(link); err == nil {
			pid = n // of another namespace than os.Getpid's, if /proc is another's
		}
	}
	return pid, program(commandLine(root, pid))
}

// maxProcesses bounds a search.
const maxProcesses = 1 << 15

// pids lists the processes.
func pids(root fs.FS) (list []int) {
	f, err := root.Open("proc")
	if err != nil {
		return nil
	}
	defer f.Close()
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil
	}
	for len(list) < maxProcesses {
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 {
				list = append(list, n)
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return nil
			}
			break
		}
	}
	return list
}
