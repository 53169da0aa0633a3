package agentproc

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// A crash loop is loopRestarts within loopWindow. It is over when there was none for as
// long.
const (
	loopRestarts = 4
	loopWindow   = 10 * time.Minute
)

// life is what is known of the agent's process.
type life struct {
	now      *agent  // that is running
	ended    *ending // the one before, as long as none is running
	handle   *os.Process
	booted   int64     // when the machine started, Unix seconds
	lastLook time.Time // of the last look that the agent was seen in
	looks    int       // in a row that did not find it
	restarts int       // since New
	changed  bool      // memory has to be written down
	noted    string    // why it is not seen, as it was logged
}

// agent is the agent's process.
type agent struct {
	pid     int
	ticks   uint64
	name    string
	command string // cut
	started time.Time
	group   string // its control group; "" if that is not visible
	stat    stat   // of the last look
	reading Reading

	inherited bool // from memory, and not looked at yet
}

// ending is how the agent's process ended, as far as it is known.
type ending struct {
	agent    agent
	seen     time.Time // when it was last running
	at       time.Time // when it was missed
	unseen   bool      // while we were not running
	hidden   bool      // perhaps it runs, in a pid namespace that we are no longer in
	zombie   bool
	known    bool // how it ended
	code     int
	signal   syscall.Signal
	stopLine string  // of its log, which says that it stops
	oom      *killed // in its control group, at the same time
	told     bool
}

// orderly tells whether the agent was stopped: it says so itself, or by its exit status.
func (e *ending) orderly() bool {
	if e.oom != nil {
		return false
	}
	if e.known {
		switch {
		case e.signal == syscall.SIGTERM || e.signal == syscall.SIGINT:
			return true // somebody asked it to
		case e.signal != 0:
			return false
		}
		return e.code == 0 || e.code == 128+int(syscall.SIGTERM) || e.code == 128+int(syscall.SIGINT)
	}
	return e.stopLine != ""
}

// how says in words how it ended.
func (e *ending) how() string {
	if e.oom != nil {
		what := "the kernel's OOM killer has killed a process of the control group /" + e.oom.group
		if e.known && e.signal == syscall.SIGKILL {
			return "it was ended by SIGKILL, and " + what
		}
		if e.known {
			return fmt.Sprintf("it exited with code %d, and %s", e.code, what)
		}
		return what
	}
	switch {
	case e.known && e.signal != 0:
		return fmt.Sprintf("it was ended by %s", signalName(e.signal))
	case e.known:
		return fmt.Sprintf("it exited with code %d", e.code)
	case e.stopLine != "":
		return "its log says that it stopped"
	case e.zombie:
		return "with which status is not visible to us"
	}
	return "whether it was stopped or crashed cannot be seen from outside"
}

func (e *ending) severity() string {
	switch {
	case e.oom != nil:
		return "critical"
	case e.orderly() || e.unseen && !e.known:
		return "warning"
	}
	return "error"
}

func (e *ending) errorType() string {
	if e.orderly() || e.unseen && !e.known && e.oom == nil {
		return "system_error" // nothing says that it crashed
	}
	return "crash"
}

func (e *ending) members() map[string]any {
	m := map[string]any{
		"openclaw_trace.agent.last_seen": e.seen.UTC().Format(time.RFC3339),
		"openclaw_trace.agent.ending":    e.how(),
	}
	if e.known && e.signal == 0 {
		m["process.exit.code"] = e.code
	}
	if e.known && e.signal != 0 {
		m["openclaw_trace.agent.exit_signal"] = signalName(e.signal)
	}
	if e.stopLine != "" {
		m["log.stop_line"] = shorten(e.stopLine, maxLine)
	}
	if e.zombie {
		m["openclaw_trace.agent.zombie"] = true
	}
	if e.unseen {
		m["openclaw_trace.agent.unseen"] = true
	}
	if e.oom != nil {
		m = merge(m, e.oom.members())
	}
	return m
}

// setStatus takes up a status as waitpid has it.
func (e *ending) setStatus(status int) {
	e.known = true
	w := syscall.WaitStatus(status)
	if w.Signaled() {
		e.signal = w.Signal()
	} else {
		e.code = w.ExitStatus()
	}
}

func signalName(s syscall.Signal) string {
	for name, n := range map[string]syscall.Signal{
		"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGILL": syscall.SIGILL,
		"SIGTRAP": syscall.SIGTRAP, "SIGABRT": syscall.SIGABRT, "SIGBUS": syscall.SIGBUS, "SIGFPE": syscall.SIGFPE,
		"SIGKILL": syscall.SIGKILL, "SIGSEGV": syscall.SIGSEGV, "SIGPIPE": syscall.SIGPIPE, "SIGALRM": syscall.SIGALRM,
		"SIGTERM": syscall.SIGTERM, "SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2, "SIGSYS": syscall.SIGSYS,
		"SIGXCPU": syscall.SIGXCPU, "SIGXFSZ": syscall.SIGXFSZ,
	} {
		if n == s {
			return name
		}
	}
	return fmt.Sprintf("signal %d", int(s))
}

// begin takes up the agent that was running when we stopped.
func (l *life) begin(m *memory) {
	l.lastLook = time.UnixMilli(m.SeenAt)
	if m.PID != 0 {
		l.now = &agent{pid: m.PID, ticks: m.Ticks, name: m.Name, group: m.Group, reading: Reading{CPUPct: -1}, inherited: true}
	}
}

func (l *life) release() {
	if l.handle != nil {
		_ = l.handle.Release() // it does not fail
		l.handle = nil
	}
}

// checkProcess looks at the agent's process, and for it if it is not known.
func (a *Watcher) checkProcess(now time.Time) {
	l := &a.life
	if l.now != nil {
		a.look(now)
	}
	// The counter rises before the process is gone, so it is read after that was seen;
	// and before another process is followed, which may be in another group.
	var others []killed
	last := a.oom.last
	a.oom.last = nil
	e := l.ended
	for _, k := range a.oom.check(a) {
		open := e != nil && !e.told && e.oom == nil
		switch {
		case open && k.group == e.agent.group:
			e.oom = &k
		case k.group != a.oom.parent || k.group == a.oom.self:
			others = append(others, k)
			if l.now != nil && k.group == l.now.group {
				a.oom.last = &k
			}
		case open && (!e.known || e.signal == syscall.SIGKILL):
			e.oom = &k
		}
	}
	// What is killed takes its time to go: at the last look it may have been there still.
	if last != nil && e != nil && e.oom == nil && !e.told && last.group == e.agent.group &&
		!e.orderly() && (!e.known || e.signal == syscall.SIGKILL) {
		e.oom = last
	}
	var fresh *agent
	if l.now == nil && a.due() {
		fresh = a.find(now)
	}
	a.tell(now, fresh)
	for _, k := range others {
		a.tellOOMKill(now, k)
	}
	a.checkLoop(now)
	a.publish(now)
}

// look reads the known process.
func (a *Watcher) look(now time.Time) {
	l := &a.life
	root := a.opts.Root
	s, err := readStat(root, l.now.pid)
	if err == nil && s.ticks == l.now.ticks && !s.dead() {
		if l.now.inherited {
			a.meet(&process{s, commandLine(root, s.pid)}, now)
			return
		}
		a.measure(&s, now)
		a.followLauncher(now)
		return
	}
	e := &ending{agent: *l.now, seen: l.lastLook, at: now, unseen: l.now.inherited}
	switch {
	case err == nil && s.ticks == l.now.ticks: // dead
		e.zombie = true
		if s.exitCode != 0 {
			e.setStatus(s.exitCode)
		}
	case err == nil: // another process has its number
	case !isGone(err):
		return // we cannot know
	default:
		if !a.hasProc() {
			return
		}
	}
	if status, known := exitStatus(l.handle); known {
		e.setStatus(status)
	}
	e.stopLine = a.stopLine(l.now, now)
	l.release()
	l.now, l.ended, l.looks, l.changed = nil, e, 0, true
	a.update(func(s *Status) { s.GoneAt = now.UnixMilli() })
}

// hasProc tells whether /proc is there: our own process has to be in it.
func (a *Watcher) hasProc() bool {
	self, _ := selfOf(a.opts.Root)
	_, err := readStat(a.opts.Root, self)
	return err == nil
}

// due tells whether it is time to look through all processes.
func (a *Watcher) due() bool {
	l := &a.life
	l.looks++
	return l.looks <= searchOften || l.looks%searchEvery == 0
}

// find looks for the agent.
func (a *Watcher) find(now time.Time) *agent {
	l := &a.life
	p, note := a.locate()
	if p == nil {
		a.update(func(s *Status) { s.Note = note })
		if note != l.noted && l.looks == noteAfter {
			l.noted = note
			a.opts.Log.Warn("the agent's process is not seen", "reason", note)
		}
		return nil
	}
	a.meet(p, now)
	return l.now
}

// meet begins to watch p.
func (a *Watcher) meet(p *process, now time.Time) {
	l := &a.life
	if l.booted == 0 {
		l.booted = bootTime(a.opts.Root)
	}
	l.now = &agent{
		pid: p.pid, ticks: p.ticks, name: program(p.args), command: shorten(p.command(), maxLine),
		started: startOf(&p.stat, l.booted), reading: Reading{CPUPct: -1},
	}
	if l.now.name == "" {
		l.now.name = p.comm
	}
	l.looks, l.noted = 0, ""
	l.release()
	if a.real {
		if h, err := os.FindProcess(p.pid); err == nil {
			l.handle = h
			// It must be of the same process, which may have ended just now.
			if s, err := readStat(a.opts.Root, p.pid); err != nil || s.ticks != p.ticks {
				l.release()
			}
		}
	}
	l.now.group = a.oom.follow(a, p.pid)
	m := &a.memory
	m.PID, m.Ticks, m.Name, m.Group = p.pid, p.ticks, l.now.name, l.now.group
	l.changed = true
	a.measure(&p.stat, now)
	a.opts.Log.Info("the agent's process is watched", "pid", p.pid, "name", l.now.name, "started", l.now.started.UTC().Format(time.RFC3339))
}

// measure takes a reading.
func (a *Watcher) measure(s *stat, now time.Time) {
	l := &a.life
	before := l.now.reading
	r := readingOf(a.opts.Root, a.real, s, l.now.started, now)
	if d := now.Sub(before.At); !before.At.IsZero() && d > 0 {
		r.CPUPct = max(100*float64(r.CPUTime-before.CPUTime)/float64(d), 0)
	}
	l.now.stat, l.now.reading, l.lastLook = *s, r, now
	a.memory.SeenAt = now.UnixMilli()
}

// reckon takes up a clock that was set: all that the kernel tells is how long after its
// start a process was started.
func (l *life) reckon(root fs.FS) {
	l.booted = bootTime(root)
	if l.now != nil && !l.now.inherited {
		l.now.started = startOf(&l.now.stat, l.booted)
	}
}

// followLauncher watches the process that the known one has started at once, if that is
// the agent too.
func (a *Watcher) followLauncher(now time.Time) {
	l := &a.life
	if a.opts.PIDFile != "" || now.Sub(l.now.started) > 2*launchTime+a.opts.Interval {
		return
	}
	p := &process{l.now.stat, commandLine(a.opts.Root, l.now.pid)}
	if len(p.args) > 0 { // it may have given itself a title by now
		l.now.name, l.now.command = program(p.args), shorten(p.command(), maxLine)
		a.memory.Name = l.now.name
	}
	pids, _ := children(a.opts.Root, p.pid)
	for _, pid := range pids {
		if child := a.candidate(pid, ""); child != nil && launched(p, child) {
			a.meet(child, now)
			return
		}
	}
}

// tell makes events of what became of the agent's process. fresh is the one that was
// found just now, or nil.
func (a *Watcher) tell(now time.Time, fresh *agent) {
	l := &a.life
	e, m := l.ended, &a.memory
	if fresh == nil {
		switch {
		case e == nil || e.told || e.hidden || m.LoopSince != 0: // a loop tells it at its end
		case e.unseen && now.Sub(e.at) < startGrace: // it may be starting
		default:
			a.tellGone(e, now)
		}
		return
	}
	if e == nil {
		return // the first that we see
	}
	l.ended = nil
	if e.hidden && e.agent.ticks == fresh.ticks {
		return // the same, under another number
	}
	l.restarts++
	m.Restarts = append(m.Restarts, now.UnixMilli())
	m.Restarts = m.Restarts[max(0, len(m.Restarts)-loopRestarts):]
	a.update(func(s *Status) { s.Restarts = l.restarts })
	if m.LoopSince != 0 {
		m.LoopCount++
		return
	}
	if n := len(m.Restarts); n == loopRestarts && within(loopWindow, m.Restarts[0], now) {
		a.tellLoop(e, fresh, now)
		return
	}
	a.tellRestart(e, fresh, now)
}

func (a *Watcher) tellGone(e *ending, now time.Time) {
	e.told = true
	a.memory.PID, a.life.changed = 0, true // until now the next of us would tell it
	what := "is gone"
	if e.zombie {
		what = "has ended, and its parent has not collected it (it is a zombie)"
	}
	if e.unseen {
		what = "has ended while openclaw-trace was not running"
	}
	a.add(event{
		id: a.id.of("gone", a.id.boot, e.agent.pid, e.agent.ticks), at: e.at, kind: kindGone, errorType: e.errorType(), severity: e.severity(),
		message: fmt.Sprintf("The agent's process %s (pid %d) %s: %s.", e.agent.name, e.agent.pid, what, e.how()),
		members: merge(e.agent.members(), e.members()),
	})
}

func (a *Watcher) tellRestart(e *ending, fresh *agent, now time.Time) {
	members := merge(fresh.members(), e.members())
	members["openclaw_trace.agent.previous_pid"] = e.agent.pid
	ev := event{
		id: a.id.of("restart", a.id.boot, fresh.pid, fresh.ticks), at: now, kind: kindRestart, errorType: e.errorType(), severity: e.severity(),
		members: members,
	}
	switch {
	case e.told:
		// What it was is told; this is the good news.
		ev.errorType, ev.severity = "system_error", "warning"
		ev.message = fmt.Sprintf("The agent's process runs again: %s (pid %d), %s after pid %d was missed.",
			fresh.name, fresh.pid, now.Sub(e.at).Round(time.Second), e.agent.pid)
	default:
		if ev.severity == "error" && !e.known {
			ev.severity = "warning" // it runs, and nothing says that it crashed
		}
		when := ""
		if e.unseen {
			when = " while openclaw-trace was not running"
		}
		ev.message = fmt.Sprintf("The agent's process was restarted%s: pid %d is gone (%s), pid %d runs.", when, e.agent.pid, e.how(), fresh.pid)
	}
	a.add(ev)
}

func (a *Watcher) tellLoop(e *ending, fresh *agent, now time.Time) {
	m := &a.memory
	m.LoopSince, m.LoopCount = m.Restarts[0], len(m.Restarts)
	members := merge(fresh.members(), e.members())
	members["openclaw_trace.agent.restarts"] = m.LoopCount
	members["openclaw_trace.agent.restarts_since"] = time.UnixMilli(m.LoopSince).UTC().Format(time.RFC3339)
	a.add(event{
		id: a.id.of("loop", a.id.boot, m.LoopSince), at: now, kind: kindLoop, errorType: "crash", severity: "critical",
		message: fmt.Sprintf("The agent's process restarts again and again: at least %d times in %s. Of the last one: %s.",
			m.LoopCount, now.Sub(time.UnixMilli(m.LoopSince)).Round(time.Second), e.how()),
		members: members,
	})
}

// checkLoop ends a crash loop.
func (a *Watcher) checkLoop(now time.Time) {
	m := &a.memory
	if m.LoopSince == 0 || len(m.Restarts) > 0 && within(loopWindow, m.Restarts[len(m.Restarts)-1], now) {
		return
	}
	a.opts.Log.Info("the agent's process has stopped to restart again and again", "restarts", m.LoopCount,
		"since", time.UnixMilli(m.LoopSince).UTC().Format(time.RFC3339))
	m.LoopSince, m.LoopCount, m.Restarts = 0, 0, nil
	a.life.changed = true
}

// within tells whether now is at most d after since. A clock that was set back may say
// that it is before.
func within(d time.Duration, since int64, now time.Time) bool {
	passed := now.Sub(time.UnixMilli(since))
	return passed >= 0 && passed <= d
}

// stopsBy is what a program says when it stops because it was asked to.
var stopsBy = regexp.MustCompile(`(?i)received SIG(TERM|INT|USR[12])|signal SIG(TERM|INT) received|shutting down|shutdown\]? (started|complete)|gateway stopping|graceful(ly)? (stop|shut)`)

// stopLine returns the line of the agent's log that says that it stops, or "".
func (a *Watcher) stopLine(of *agent, now time.Time) string {
	if a.opts.Lines == nil {
		return ""
	}
	lines := a.opts.Lines()
	for _, line := range slices.Backward(lines[max(0, len(lines)-maxStopLines):]) {
		if line.At.Before(of.started) || now.Sub(line.At) > maxStopTime {
			continue
		}
		if stopsBy.MatchString(line.Text) {
			return line.Text
		}
	}
	return ""
}

const (
	maxStopLines = 50
	maxStopTime  = 6 * time.Minute // OpenClaw gives its work 330 s to finish
)

// members describes the process in the metadata of an event.
func (g *agent) members() map[string]any {
	m := map[string]any{"process.pid": g.pid, "process.executable.name": g.name}
	if g.command != "" {
		m["process.command_line"] = g.command
		m["process.creation.time"] = g.started.UTC().Format(time.RFC3339)
	}
	if !g.reading.At.IsZero() {
		for name, n := range g.reading.Members() {
			m[name] = n
		}
	}
	return m
}

// publish shows what is known.
func (a *Watcher) publish(now time.Time) {
	l := &a.life
	a.update(func(s *Status) {
		s.Found = l.now != nil
		s.CrashLoop = a.memory.LoopSince != 0
		if l.now == nil {
			return
		}
		s.PID, s.Name, s.StartedAt, s.SeenAt, s.Note = l.now.pid, l.now.name, l.now.started.UnixMilli(), l.lastLook.UnixMilli(), ""
		s.Reading = l.now.reading
	})
}
