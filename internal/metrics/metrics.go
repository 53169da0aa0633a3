// Package metrics is what GET /metrics answers: the state of the record and the figures
// of the agent, in the formats that Prometheus scrapes.
//
// It writes the two text formats itself, since the usual library would take the binary
// over its budget. A scrape reads what the parts hold in memory anyway and asks neither
// the database nor the writer's goroutine, so that it costs little and answers when the
// disk hangs. That is also why the agent's figures are counted by the writer while it
// stores (writer.Tally) and are not summed from the database: sums fall when events are
// deleted or priced anew, and a counter must not.
//
// Labels are few by design: kinds, outcomes, routes, and the names of the first models
// that were called. Nothing that was said, no session and no id is among them.
package metrics

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Content types of the two formats.
const (
	TextType        = "text/plain; version=0.0.4; charset=utf-8"
	OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// Figures are what a scrape shows.
type Figures struct {
	Now      time.Time
	Version  string
	Status   string         // "ok", "degraded" or "error", as in /health
	Reasons  int            // why it is not ok
	Ready    bool           // events can be stored
	Requests []*Requests    // answered
	Writer   *writer.Writer // nil while no database was open
	Parts    Parts
}

// Requests are those of one route that were answered with one status.
type Requests struct {
	Method, Path string
	Status       int
	N            int64
}

// Parts tell how what runs beside the writer goes, for /health too; nil is a part that is not there.
// Times are Unix ms, 0 for never.
type Parts struct {
	Push    func() []Remote
	Host    func() Host
	Agent   func() Agent
	Log     func() Log
	Janitor func() Janitor
}

// Remote is one that events are forwarded to.
type Remote struct {
	Name                                          string // host and port
	LastAttempt, LastSuccess, NextAttempt, Oldest int64
	Failures                                      int // attempts in a row
	Refused                                       bool
	Attempts, Failed                              int64
}

// Host is the last reading of the host. What is not known is nil.
type Host struct {
	At       int64
	Interval time.Duration // until the next
	Lost     int64         // readings that were not stored
	Reason   string        // why something is not measured, in plain words, or ""

	CPUPct                                                        *float64
	MemUsed, MemAvailable, MemTotal, DiskUsed, DiskFree, DiskSize *int64
}

// Agent is what is known of the agent's process. -1 is not known.
type Agent struct {
	Running              bool
	PID                  int    // 0 if it is not running
	Note                 string // why it is not seen, in plain words, or ""
	SeenAt, StartedAt    int64
	Restarts             int
	CrashLoop, Silent    bool
	Waiting              int // events about it that could not be stored yet
	CPU                  time.Duration
	RSS, Threads, FDs    int64
	Children, ChildBytes int64
}

// Log says how the following of the agent's log goes. Counts are since the process began.
type Log struct {
	Path       string // of the file that was written last
	Files      int    // open
	Behind     int64  // bytes of them that were not read yet
	Lines      int64
	Events     int64 // made of them
	Twins      int64 // lines that had come by OTLP
	Refused    int64 // events of floods
	LastLineAt int64
	Reason     string // why nothing is read, in plain words, or ""
}

// Janitor says what was deleted since the process began.
type Janitor struct {
	LastRun   int64
	Deleted   map[string]int64 // rows, by reason
	Texts     int64            // calls that lost their texts
	OverBytes int64            // by how much the database is too large, or the volume too full
	Reason    string           // why that is so, in plain words, or ""
	Doubt     string           // why nothing is deleted by age, or ""
}

// Write returns the page, in OpenMetrics or else in Prometheus' text format.
func Write(f *Figures, openMetrics bool) []byte {
	p := page{open: openMetrics, b: make([]byte, 0, 16<<10)}
	for _, s := range sections {
		s.write(&p, f)
	}
	if openMetrics {
		p.b = append(p.b, "# EOF\n"...)
	}
	return p.b
}

// sections are the parts of the page, and of docs/metrics.md.
var sections = []struct {
	title string
	write func(*page, *Figures)
}{
	{"State", state},
	{"Requests", requests},
	{"Events", events},
	{"Database", database},
	{"Calls of the agent", calls},
	{"Forwarding", forwarding},
	{"Host", host},
	{"The agent's process", agent},
	{"The agent's log", log},
	{"Deletion", janitor},
	{"This process", process},
}

const ns = "openclaw_trace_"

func state(p *page, f *Figures) {
	p.begin(gauge, ns+"build_info", "What runs: always 1.", "version", "goversion")
	p.count(1, f.Version, runtime.Version())
	p.begin(gauge, ns+"ready", "Whether events can be stored, as in /ready.")
	p.flag(f.Ready)
	p.begin(gauge, ns+"health_status", "The status of /health: 1 for the one that it is.", "status")
	for _, s := range []string{"ok", "degraded", "error"} {
		p.flag(f.Status == s, s)
	}
	p.gauge(ns+"health_reasons", "How many reasons /health gives for not being ok.", int64(f.Reasons))
}

func requests(p *page, f *Figures) {
	p.begin(counter, ns+"http_requests_total", "Requests answered, by route and status; those that a door stopped included.", "method", "route", "code")
	for _, r := range f.Requests {
		p.count(r.N, r.Method, r.Path, strconv.Itoa(r.Status))
	}
}

func events(p *page, f *Figures) {
	if f.Writer == nil {
		return
	}
	b := f.Writer.Books()
	p.begin(counter, ns+"events_received_total", "Events newly stored, by kind, as long as the database exists. All kinds together are what is pending, delivered, quarantined, dropped and expired.", "kind")
	for i, kind := range writer.Kinds {
		p.count(b.ReceivedByKind[i], kind)
	}
	p.gauge(ns+"events_pending", "Events stored that no remote has taken.", b.Pending())
	p.counter(ns+"events_delivered_total", "Events that a remote has taken.", b.Delivered)
	p.gauge(ns+"events_quarantined", "Events that the remote rejects and that wait for somebody to look.", b.Quarantined)
	p.begin(counter, ns+"events_dropped_total", "Events deleted undelivered although there is a remote, by reason.", "reason")
	for _, reason := range slices.Sorted(maps.Keys(b.DroppedByReason)) {
		p.count(b.DroppedByReason[reason], reason)
	}
	p.counter(ns+"events_expired_total", "Events deleted by age or size while there was no remote.", b.Expired)
	p.counter(ns+"events_refused_total", "Events never stored: malformed ones, and a request that could not be read counts as one.", b.Refused)
	p.counter(ns+"events_duplicate_total", "Events that were stored already.", b.Duplicates)
	p.counter(ns+"events_ignored_total", "OTLP log records and data points that are not kept by design.", b.Ignored)
	p.counter(ns+"events_repaired_total", "Events stored with a value replaced.", b.Repaired)
	p.counter(ns+"secrets_masked_total", "Secrets masked before events were stored.", b.Masked)
	p.gauge(ns+"queue_batches", "Requests that wait for their commit.", int64(f.Writer.Depth()))
	waiting, limit := f.Writer.QueueBytes()
	p.gauge(ns+"queue_bytes", "Size of the requests that wait for their commit.", waiting)
	p.gauge(ns+"queue_limit_bytes", "Size from which requests are refused with 503.", limit)
}

func database(p *page, f *Figures) {
	if f.Writer == nil {
		return
	}
	took, failed := f.Writer.Tally().Commits()
	p.begin(histogram, ns+"commit_duration_seconds", "Time that the transactions took that stored events.")
	p.distribution(&took)
	p.counter(ns+"commit_failures_total", "Transactions of events that the database did not take.", failed)
	size, wal := f.Writer.Sizes()
	p.gauge(ns+"database_size_bytes", "Size of the database file.", size)
	p.gauge(ns+"database_wal_size_bytes", "Size of the database's write-ahead log.", wal)
	p.counter(ns+"databases_moved_aside_total", "Damaged databases before this one that were put out of the way.", f.Writer.Books().MovedAside)
}

func calls(p *page, f *Figures) {
	if f.Writer == nil {
		return
	}
	list := f.Writer.Tally().Calls()
	p.begin(counter, ns+"llm_calls_total", "LLM calls stored since the process began, by how they ended: ok, error or timeout.", "provider", "model", "status")
	for _, c := range list {
		for _, status := range slices.Sorted(maps.Keys(c.ByStatus)) {
			p.count(c.ByStatus[status], c.Provider, c.Model, status)
		}
	}
	p.begin(counter, ns+"llm_tokens_total", "Tokens of these calls, each under one type: input (not from a cache), cache_read, cache_write, output (no reasoning), reasoning.", "provider", "model", "type")
	for _, c := range list {
		p.count(c.Input, c.Provider, c.Model, "input")
		p.count(c.CacheRead, c.Provider, c.Model, "cache_read")
		p.count(c.CacheWrite, c.Provider, c.Model, "cache_write")
		p.count(c.Output, c.Provider, c.Model, "output")
		p.count(c.Reasoning, c.Provider, c.Model, "reasoning")
	}
	p.begin(counter, ns+"llm_cost_usd_total", "Cost of these calls as far as it was known when they were stored, in US dollars.", "provider", "model")
	for _, c := range list {
		p.sample(float64(c.CostNanoUSD)/1e9, c.Provider, c.Model)
	}
	p.begin(counter, ns+"llm_calls_unpriced_total", "Of these calls, those of unknown cost.", "provider", "model")
	for _, c := range list {
		p.count(c.Unpriced, c.Provider, c.Model)
	}
	p.begin(counter, ns+"llm_calls_unmetered_total", "Of these calls, those that report no tokens.", "provider", "model")
	for _, c := range list {
		p.count(c.Unmetered, c.Provider, c.Model)
	}
	p.begin(histogram, ns+"llm_call_duration_seconds", "Time that these calls took, of those that report it.", "provider", "model")
	for _, c := range list {
		p.distribution(&c.Latency, c.Provider, c.Model)
	}
}

func forwarding(p *page, f *Figures) {
	if f.Parts.Push == nil {
		return
	}
	remotes := f.Parts.Push()
	each := func(write func(r *Remote)) {
		for i := range remotes {
			write(&remotes[i])
		}
	}
	p.begin(counter, ns+"push_attempts_total", "Batches sent, by what the remote said: ok or error.", "remote", "status")
	each(func(r *Remote) {
		p.count(r.Attempts-r.Failed, r.Name, "ok")
		p.count(r.Failed, r.Name, "error")
	})
	p.begin(gauge, ns+"push_last_attempt_timestamp_seconds", "When a batch was sent last.", "remote")
	each(func(r *Remote) { p.moment(r.LastAttempt, r.Name) })
	p.begin(gauge, ns+"push_last_success_timestamp_seconds", "When the remote took a batch last.", "remote")
	each(func(r *Remote) { p.moment(r.LastSuccess, r.Name) })
	p.begin(gauge, ns+"push_next_attempt_timestamp_seconds", "When the next round begins: now, while one is under way.", "remote")
	each(func(r *Remote) { p.moment(cmp.Or(r.NextAttempt, f.Now.UnixMilli()), r.Name) })
	p.begin(gauge, ns+"push_oldest_pending_timestamp_seconds", "When the oldest event happened that was waiting at the last round.", "remote")
	each(func(r *Remote) { p.moment(r.Oldest, r.Name) })
	p.begin(gauge, ns+"push_consecutive_failures", "Attempts that failed since the last that did not.", "remote")
	each(func(r *Remote) { p.count(int64(r.Failures), r.Name) })
	p.begin(gauge, ns+"push_refused", "Whether the remote takes nothing until a setting is changed, there or here.", "remote")
	each(func(r *Remote) { p.flag(r.Refused, r.Name) })
}

// staleAfter is how many intervals a reading is good for.
const staleAfter = 3

func host(p *page, f *Figures) {
	if f.Parts.Host == nil {
		return
	}
	h := f.Parts.Host()
	p.begin(gauge, ns+"host_reading_timestamp_seconds", "When the host was measured last. The other figures of the host are left out when that is long ago.")
	p.moment(h.At)
	p.counter(ns+"host_readings_lost_total", "Readings of the host that could not be stored.", h.Lost)
	if f.Now.Sub(time.UnixMilli(h.At)) > staleAfter*h.Interval {
		return
	}
	p.begin(gauge, ns+"host_cpu_utilization_ratio", "CPU time used between the last two readings, as a share of what the container or the machine has.")
	if h.CPUPct != nil {
		p.sample(*h.CPUPct / 100)
	}
	p.begin(gauge, ns+"host_memory_used_bytes", "Memory in use: the working set of the container, or of the machine.")
	known(p, h.MemUsed)
	p.begin(gauge, ns+"host_memory_available_bytes", "Memory that can still be had.")
	known(p, h.MemAvailable)
	p.begin(gauge, ns+"host_memory_size_bytes", "Memory that there is: the limit of the container, or the machine's.")
	known(p, h.MemTotal)
	p.begin(gauge, ns+"host_disk_used_bytes", "Used space on the database's volume.")
	known(p, h.DiskUsed)
	p.begin(gauge, ns+"host_disk_free_bytes", "Space on the database's volume that may still be written.")
	known(p, h.DiskFree)
	p.begin(gauge, ns+"host_disk_size_bytes", "Size of the database's volume.")
	known(p, h.DiskSize)
}

func agent(p *page, f *Figures) {
	if f.Parts.Agent == nil {
		return
	}
	a := f.Parts.Agent()
	p.begin(gauge, ns+"agent_up", "Whether the agent's process is seen running.")
	p.flag(a.Running)
	p.begin(gauge, ns+"agent_last_seen_timestamp_seconds", "When the agent's process was seen last; left out if it never was, as in another container.")
	p.moment(a.SeenAt)
	p.counter(ns+"agent_restarts_total", "Restarts of the agent's process that were seen since this one began.", int64(a.Restarts))
	p.begin(gauge, ns+"agent_crash_loop", "Whether the agent's process restarts again and again.")
	p.flag(a.CrashLoop)
	p.begin(gauge, ns+"agent_silent", "Whether the agent is busy and its calls do not arrive any more.")
	p.flag(a.Silent)
	p.gauge(ns+"agent_events_waiting", "Events about the agent that could not be stored yet.", int64(a.Waiting))
	if !a.Running {
		return
	}
	positive := func(n int64) {
		if n >= 0 {
			p.count(n)
		}
	}
	p.begin(gauge, ns+"agent_start_time_seconds", "When the agent's process was started.")
	p.moment(a.StartedAt)
	p.begin(counter, ns+"agent_cpu_seconds_total", "CPU time that the agent's process used.")
	p.sample(a.CPU.Seconds())
	p.begin(gauge, ns+"agent_resident_memory_bytes", "Resident memory of the agent's process.")
	positive(a.RSS)
	p.begin(gauge, ns+"agent_threads", "Threads of the agent's process.")
	positive(a.Threads)
	p.begin(gauge, ns+"agent_open_fds", "File descriptors that the agent's process has open.")
	positive(a.FDs)
	p.begin(gauge, ns+"agent_children", "Processes below the agent's.")
	positive(a.Children)
	p.begin(gauge, ns+"agent_children_resident_memory_bytes", "Resident memory of those; what they share counts for each.")
	if a.Children >= 0 {
		p.count(a.ChildBytes)
	}
}

func log(p *page, f *Figures) {
	if f.Parts.Log == nil {
		return
	}
	l := f.Parts.Log()
	p.gauge(ns+"log_files", "Files of the agent's log that are followed.", int64(l.Files))
	p.gauge(ns+"log_behind_bytes", "What of them was not read yet.", l.Behind)
	p.counter(ns+"log_lines_total", "Lines read.", l.Lines)
	p.counter(ns+"log_events_total", "Events made of lines.", l.Events)
	p.counter(ns+"log_twins_total", "Lines that had come by OTLP already.", l.Twins)
	p.counter(ns+"log_refused_total", "Events not stored because there were too many at once.", l.Refused)
	p.begin(gauge, ns+"log_last_line_timestamp_seconds", "When the last line was written.")
	p.moment(l.LastLineAt)
}

func janitor(p *page, f *Figures) {
	if f.Parts.Janitor == nil {
		return
	}
	j := f.Parts.Janitor()
	p.begin(gauge, ns+"janitor_last_run_timestamp_seconds", "When old events were looked for last.")
	p.moment(j.LastRun)
	p.begin(counter, ns+"janitor_deleted_total", "Events deleted since the process began, by reason.", "reason")
	for _, reason := range slices.Sorted(maps.Keys(j.Deleted)) {
		p.count(j.Deleted[reason], reason)
	}
	p.counter(ns+"janitor_stripped_total", "Calls whose texts were deleted since the process began.", j.Texts)
	p.gauge(ns+"janitor_over_bytes", "By how much the database is too large, or its volume too full, after what could be deleted.", max(j.OverBytes, 0))
}
