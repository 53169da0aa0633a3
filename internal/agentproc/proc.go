package agentproc

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"syscall"
	"time"
)

// clockTick is the unit of times in /proc: 1/100 s in the kernel's interface, whatever
// the machine's own is.
const clockTick = 10 * time.Millisecond

// maxProcFile is more than any file is that is read here, command lines excepted, which
// are cut.
const maxProcFile = 4096

// readSmall returns the file, up to maxProcFile, without white space at its end.
func readSmall(root fs.FS, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, maxProcFile)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return bytes.TrimRight(b[:n], " \n"), nil
}

// stat is /proc/<pid>/stat as far as it is needed.
type stat struct {
	pid      int
	comm     string
	state    byte
	ppid     int
	cpu      uint64 // user and system, ticks
	threads  int64
	ticks    uint64 // when it started, after the machine did
	rssPages int64
	exitCode int // as waitpid has it; 0 also where we may not see it
}

// dead tells whether the process has ended and only its entry is left.
func (s *stat) dead() bool {
	return (s.state == 'Z' || s.state == 'X' || s.state == 'x') && s.threads <= 1
}

func procPath(pid int, name string) string {
	return "proc/" + strconv.Itoa(pid) + "/" + name
}

func readStat(root fs.FS, pid int) (s stat, err error) {
	b, err := readSmall(root, procPath(pid, "stat"))
	if err != nil {
		return s, err
	}
	// The name stands in parentheses and may hold any character, these too.
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return s, errNotStat
	}
	fields := bytes.Fields(b[end+1:])
	if len(fields) < 22 {
		return s, errNotStat
	}
	number := func(i int) uint64 { // as proc(5) counts them
		n, _ := strconv.ParseUint(string(fields[i-3]), 10, 64)
		return n
	}
	s = stat{
		pid: pid, comm: string(b[open+1 : end]), state: fields[0][0], ppid: int(number(4)), cpu: number(14) + number(15),
		threads: int64(number(20)), ticks: number(22), rssPages: int64(number(24)),
	}
	if len(fields) >= 50 {
		s.exitCode = int(number(52))
	}
	return s, nil
}

var errNotStat = errors.New("this is not what /proc/<pid>/stat looks like")

// isGone tells whether err of a file in /proc/<pid> means that there is no such process.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// commandLine returns the arguments of a process, of very long ones the beginning.
func commandLine(root fs.FS, pid int) []string {
	b, err := readSmall(root, procPath(pid, "cmdline"))
	if err != nil {
		return nil
	}
	b = bytes.Trim(b, "\x00 ") // a title that a program gave itself is padded
	if len(b) == 0 {
		return nil // of the kernel, or a zombie
	}
	var args []string
	for arg := range bytes.SplitSeq(b, []byte{0}) {
		args = append(args, string(arg))
	}
	return args
}

// children returns the pids that a process has started and not yet collected; known is
// false where the kernel does not list them.
func children(root fs.FS, pid int) (pids []int, known bool) {
	b, err := readSmall(root, procPath(pid, "task/"+strconv.Itoa(pid)+"/children"))
	if err != nil {
		return nil, false
	}
	for f := range bytes.FieldsSeq(b) {
		if n, err := strconv.Atoi(string(f)); err == nil {
			pids = append(pids, n)
		}
	}
	return pids, true
}

// Reading is what was measured of the agent's process.
type Reading struct {
	At        time.Time
	PID       int
	StartedAt time.Time
	CPUPct    float64 // of one core, since the reading before; -1 for the first
	CPUTime   time.Duration
	RSSBytes  int64
	Threads   int64
	FDs       int64 // -1 if we may not see them

	Children         int64 // and theirs; -1 if the kernel does not list them
	ChildrenRSSBytes int64 // what they share with each other counts for each
}

// Members returns r under OpenTelemetry's names, for the metadata of a reading of the
// host. What is unknown is left out.
func (r *Reading) Members() map[string]float64 {
	m := map[string]float64{
		"process.pid":          float64(r.PID),
		"process.uptime":       max(r.At.Sub(r.StartedAt).Truncate(time.Second).Seconds(), 0),
		"process.cpu.time":     r.CPUTime.Seconds(),
		"process.memory.usage": float64(r.RSSBytes),
		"process.thread.count": float64(r.Threads),
	}
	if r.CPUPct >= 0 {
		m["process.cpu.utilization"] = math.Round(r.CPUPct*100) / 1e4 // 1 is a core
	}
	if r.FDs >= 0 {
		m["process.unix.file_descriptor.count"] = float64(r.FDs)
	}
	if r.Children >= 0 {
		m["openclaw_trace.agent.children.count"] = float64(r.Children)
		m["openclaw_trace.agent.children.memory.usage"] = float64(r.ChildrenRSSBytes)
	}
	return m
}

// maxChildren bounds what is read of them, and maxFDs what is counted.
const (
	maxChildren = 64
	maxFDs      = 1 << 16
)

var pageSize = int64(os.Getpagesize())

// readingOf measures the process that s was read from. real says that root is the
// system's.
func readingOf(root fs.FS, real bool, s *stat, started, now time.Time) Reading {
	r := Reading{
		At: now, PID: s.pid, StartedAt: started, CPUPct: -1, CPUTime: time.Duration(s.cpu) * clockTick,
		RSSBytes: s.rssPages * pageSize, Threads: s.threads, FDs: countFDs(root, s.pid, real),
	}
	family, known := children(root, s.pid)
	if !known {
		r.Children = -1
		return r
	}
	for i := 0; i < len(family) && i < maxChildren; i++ {
		child, err := readStat(root, family[i])
		if err != nil || child.dead() {
			continue
		}
		r.Children++
		r.ChildrenRSSBytes += child.rssPages * pageSize
		theirs, _ := children(root, family[i])
		family = append(family, theirs...)
	}
	return r
}

// countFDs returns how many files a process has open, or -1. Since Linux 6.2 that is the
// size of their folder, which anybody may ask for.
func countFDs(root fs.FS, pid int, real bool) int64 {
	name := procPath(pid, "fd")
	info, err := fs.Stat(root, name)
	if err != nil {
		return -1
	}
	if n := info.Size(); n > 0 && real {
		return n
	}
	f, err := root.Open(name)
	if err != nil {
		return -1
	}
	defer f.Close()
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return -1
	}
	n := 0
	for n < maxFDs {
		list, err := dir.ReadDir(256)
		n += len(list)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return -1
		}
	}
	return int64(n)
}

// bootTime returns when the machine started, Unix seconds, by its clock of today; 0 if
// that is unknown.
func bootTime(root fs.FS) int64 {
	f, err := root.Open("proc/stat")
	if err != nil {
		return 0
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 1<<20)) // a line for each CPU comes first
	_, b, _ = bytes.Cut(b, []byte("\nbtime "))
	b, _, _ = bytes.Cut(b, []byte("\n"))
	n, _ := strconv.ParseInt(string(b), 10, 64)
	return n
}

func startOf(s *stat, bootTime int64) time.Time {
	return time.Unix(bootTime, 0).Add(time.Duration(s.ticks) * clockTick)
}
