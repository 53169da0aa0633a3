package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/agentproc"
	"github.com/kon-rad/openclaw-trace/internal/cgroup"
	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/hoststat"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/tail"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// Results of a check.
const (
	resultOK      = "ok"
	resultWarning = "warning" // it works, but somebody should look
	resultFault   = "fault"   // something does not work
)

// diagnosis is what a check came to.
type diagnosis struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Says   string `json:"says"`
	Advice string `json:"advice,omitempty"` // what to do about it
}

// doctor looks at everything that a sidecar needs, and says what to do about what is not
// as it should be. It changes nothing, and works with and without a sidecar that runs.
func doctor(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("doctor")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	d := &examination{environ: environ, terminal: newTerminal(stdout, environ, time.Local), progress: newProgress(stderr), quiet: *asJSON, found: []diagnosis{}}
	d.all(ctx)
	if d.err != nil {
		return d.err
	}
	faults, warnings := d.count(resultFault), d.count(resultWarning)
	if *asJSON {
		err := writeJSON(stdout, map[string]any{"faults": faults, "warnings": warnings, "checks": d.found})
		if err != nil {
			return err
		}
	}
	if faults > 0 {
		return fmt.Errorf("doctor: %s, %s", readable.Plural(faults, "fault", "faults"), readable.Plural(warnings, "warning", "warnings"))
	}
	return nil
}

// examination is one look at everything.
type examination struct {
	*terminal
	progress *progress
	environ  []string
	quiet    bool // say nothing until the end
	found    []diagnosis
	err      error // of the output

	runs   bool          // a sidecar answers
	skew   time.Duration // of our clock before the remote's, or 0
	newest int64         // Unix ms of the newest event, or 0
}

func (d *examination) count(result string) (n int64) {
	for _, f := range d.found {
		if f.Result == result {
			n++
		}
	}
	return n
}

// say notes what a check came to, and shows it at once.
func (d *examination) say(check, result, says, advice string) {
	f := diagnosis{check, result, says, advice}
	d.found = append(d.found, f)
	if d.quiet || d.err != nil {
		return
	}
	as := map[string]style{resultOK: green, resultWarning: amber, resultFault: red}[result]
	d.printf("%s  %-9s %s\n", d.paint(fmt.Sprintf("%-7s", result), as), check, text(strings.ReplaceAll(says, "\n", " "), ""))
	if advice != "" {
		d.printf("%19s %s\n", "→", advice)
	}
	d.err = d.flush()
}

func (d *examination) ok(check, says string, args ...any) {
	d.say(check, resultOK, fmt.Sprintf(says, args...), "")
}

// all goes from what others depend on to what they do.
func (d *examination) all(ctx context.Context) {
	cfg, opts := d.settings()
	if cfg == nil {
		return
	}
	d.ports(ctx, cfg)
	d.database(ctx, cfg)
	d.disk(cfg)
	d.log(cfg)
	d.group()
	d.agent(opts.agent)
	d.push(ctx, opts.push)
	d.clockIsRight()
}

func (d *examination) settings() (*config.Config, sessionOptions) {
	const check = "settings"
	cfg, warnings, err := config.Load(d.environ)
	var opts sessionOptions
	if err == nil {
		version, _ := buildVersion()
		if opts, err = sessionOptionsOf(cfg, version, slog.New(slog.DiscardHandler)); err == nil {
			err = opts.agent.Validate()
		}
	}
	for _, w := range warnings {
		d.say(check, resultWarning, w, "correct its name, or unset it")
	}
	if err != nil {
		for _, says := range strings.Split(strings.TrimPrefix(err.Error(), "wrong settings:\n"), "\n") {
			d.say(check, resultFault, says, "set it to what is accepted; openclaw-trace --help explains each; nothing else is looked at before")
		}
		return nil, opts
	}
	if len(warnings) == 0 {
		set := 0
		for _, s := range cfg.Settings() {
			if getenv(d.environ, s.Name) != "" {
				set++
			}
		}
		d.ok(check, "all are valid; %d are set, the others have their defaults", set)
	}
	return cfg, opts
}

// ports finds out who has them.
func (d *examination) ports(ctx context.Context, cfg *config.Config) {
	d.port(ctx, cfg, "port", "OCT_PORT", cfg.Port, resultFault)
	if cfg.OTLPPort == 0 {
		return
	}
	bad := resultWarning // a start goes on without it
	if cfg.OTLPPortSet {
		bad = resultFault
	}
	d.port(ctx, cfg, "OTLP port", "OCT_OTLP_PORT", cfg.OTLPPort, bad)
}

func (d *examination) port(ctx context.Context, cfg *config.Config, check, name string, port int, bad string) {
	other := *cfg
	other.Port = port
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var health struct {
		Status        string
		Reasons       []string
		Version       string
		UptimeSeconds int64  `json:"uptime_seconds"`
		DBStatus      string `json:"db_status"`
	}
	answer, err := askServer(ctx, &other, http.MethodGet, "/health", nil)
	if err == nil {
		err = json.NewDecoder(io.LimitReader(answer, 1<<20)).Decode(&health)
		_ = answer.Close() // it was read
	}
	ours := err == nil && health.DBStatus != "" && health.Version != ""
	if !ours && errors.Is(err, syscall.ECONNREFUSED) {
		if err := canListen(cfg, port); err != nil {
			d.say(check, bad, fmt.Sprintf("%s %d cannot be listened on: %v", name, port, err), "choose another with "+name)
			return
		}
		if check == "port" || !d.runs {
			d.ok(check, "%d is free; no sidecar runs", port)
		} else {
			d.say(check, bad, fmt.Sprintf("the sidecar that runs does not listen on %s %d", name, port), "start it again with the settings that are given here; exporters send to "+strconv.Itoa(cfg.Port)+" meanwhile")
		}
		return
	}
	if !ours {
		d.say(check, bad, fmt.Sprintf("another program has %s %d", name, port), "stop that program, or choose another port with "+name)
		return
	}
	if check != "port" {
		d.ok(check, "%d is the sidecar's too", port)
		return
	}
	d.runs = true
	says := fmt.Sprintf("the sidecar answers on %d: version %s, running for %s, %s", port, health.Version, readable.Span(1000*health.UptimeSeconds), health.Status)
	if len(health.Reasons) > 0 {
		says += ": " + strings.Join(health.Reasons, "; ")
	}
	var refused *serverError
	if answer, err := askServer(ctx, cfg, http.MethodGet, "/v1/budget?since=1m", nil); err == nil {
		_ = answer.Close() // that it answers is enough
	} else {
		errors.As(err, &refused)
	}
	switch version, _ := buildVersion(); {
	case refused != nil && refused.status == http.StatusUnauthorized:
		d.say(check, resultFault, says+", but it has another OCT_AUTH_TOKEN than this command", "give both the same; commands and agents that send the wrong one are refused")
	case health.Status == "error":
		d.say(check, resultFault, says, "events cannot be stored; what is wrong is below, or in its log")
	case health.Status != "ok":
		d.say(check, resultWarning, says, "see what it says")
	case health.Version != version:
		d.say(check, resultWarning, says, "this command is version "+version+"; start the sidecar again to have the same")
	default:
		d.ok(check, "%s", says)
	}
}

// canListen tries the addresses of a port.
func canListen(cfg *config.Config, port int) error {
	list, err := bind(cfg, port)
	closeAll(list) // nobody has come
	return err
}

// database looks at the file, its schema and all its pages.
func (d *examination) database(ctx context.Context, cfg *config.Config) {
	const check = "database"
	path := cfg.DBPath
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		folder := existing(filepath.Dir(path))
		if err := syscall.Access(folder, 2|1); err != nil {
			d.say(check, resultFault, fmt.Sprintf("%s is not there, and cannot be made in %s: %v", path, folder, err), "give the sidecar's user a folder it may write to, and name a file in it with OCT_DB_PATH")
			return
		}
		d.ok(check, "%s is not there yet; the first start makes it", path)
		return
	}
	if err != nil {
		d.say(check, resultFault, err.Error(), "OCT_DB_PATH has to be a file that this user may read and write")
		return
	}
	damaged := func(err error) bool {
		if !store.IsDamage(err) {
			return false
		}
		d.say(check, resultFault, fmt.Sprintf("%s is damaged: %v", path, err),
			"start the sidecar again: it moves the file aside and begins a new one; sqlite3 FILE .recover may get rows out of the old one")
		return true
	}
	list, version, err := store.MigrationStatus(ctx, path)
	if damaged(err) {
		return
	}
	if err != nil {
		d.say(check, resultFault, err.Error(), "OCT_DB_PATH has to name a database of openclaw-trace, or a file that is not there yet, readable and writable for this user")
		return
	}
	switch newest := list[len(list)-1].Version; {
	case version > newest:
		d.say("schema", resultFault, fmt.Sprintf("it has version %d, this binary knows %d", version, newest), "use the newer binary")
		return
	case version < newest:
		d.say("schema", resultWarning, fmt.Sprintf("it has version %d, this binary makes it %d", version, newest), "the next start of this version does so; openclaw-trace backup FILE first, if there is to be a way back")
		return // its rows cannot be read
	default:
		d.ok("schema", "version %d, the newest", version)
	}
	r, err := store.OpenReader(ctx, path)
	if damaged(err) {
		return
	}
	if err != nil {
		d.say(check, resultFault, err.Error(), "the file and its -wal have to be readable for this user, and the folder writable while a sidecar runs")
		return
	}
	defer r.Close()
	err = d.progress.during("checking "+path+", "+readable.Size(float64(info.Size())), func() error { return r.QuickCheck(ctx) })
	if damaged(err) {
		return
	}
	if err != nil {
		d.say(check, resultFault, fmt.Sprintf("%s cannot be read through: %v", path, err), "look at the disk and at the kernel's log")
		return
	}
	var e view.Extent
	err = r.Read(ctx, func(q *db.Queries) (err error) {
		e, err = view.New(q).Extent(ctx)
		return err
	})
	if err != nil {
		d.say(check, resultFault, err.Error(), "")
		return
	}
	for _, at := range []*int64{e.LastCall, e.LastError, e.LastEvent, e.LastSpan, e.LastReading} {
		d.newest = max(d.newest, value(at))
	}
	last := "no call yet"
	if e.LastCall != nil {
		last = "the last call " + readable.Since(time.Now().UnixMilli()-*e.LastCall)
	}
	switch {
	case syscall.Access(path, 2) != nil:
		d.say(check, resultFault, path+" is not writable for this user", "run the sidecar as the file's owner")
	case info.Mode().Perm()&0o077 != 0:
		d.say(check, resultWarning, fmt.Sprintf("%s may be read by others (mode %04o), and it holds prompts", path, info.Mode().Perm()), "chmod 600 "+path)
	case e.LastCall == nil && d.runs:
		d.say(check, resultWarning, fmt.Sprintf("%s is sound, but no call was ever stored", path), "connect the agent; the README says how")
	default:
		d.ok(check, "%s is sound, %s, %s", path, readable.Size(float64(info.Size())), last)
	}
}

// existing returns the nearest folder above that there is.
func existing(folder string) string {
	for {
		if _, err := os.Stat(folder); err == nil || folder == filepath.Dir(folder) {
			return folder
		}
		folder = filepath.Dir(folder)
	}
}

func (d *examination) disk(cfg *config.Config) {
	const check = "disk"
	free, total, err := hoststat.Space(existing(filepath.Dir(cfg.DBPath)))
	if err != nil {
		d.say(check, resultWarning, err.Error(), "")
		return
	}
	var has int64
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(cfg.DBPath + suffix); err == nil {
			has += info.Size()
		}
	}
	says := fmt.Sprintf("%s of %s are free on the database's volume", readable.Size(float64(free)), readable.Size(float64(total)))
	reserve, may := int64(cfg.MinFreeBytes), max(int64(cfg.MaxDBBytes)-has, 0)
	switch {
	case free < reserve:
		d.say(check, resultFault, says+fmt.Sprintf(", less than OCT_MIN_FREE_BYTES, %s", readable.Size(float64(reserve))), "make room; meanwhile old events are deleted")
	case free-reserve < may:
		d.say(check, resultWarning, says+fmt.Sprintf("; the database may still grow by %s", readable.Size(float64(may))), "make room, or set a lower OCT_MAX_DB_BYTES")
	default:
		d.ok(check, "%s", says)
	}
}

func (d *examination) log(cfg *config.Config) {
	const check = "log"
	if cfg.LogPath == "" {
		d.ok(check, "OCT_LOG_PATH is not set, so the agent's log is not followed")
		return
	}
	switch name, err := tail.Find(cfg.LogPath); {
	case errors.Is(err, tail.ErrNoFile):
		d.say(check, resultWarning, "OCT_LOG_PATH: "+err.Error(), "it is followed once it is there; in a container, mount the folder of the agent's log")
	case err != nil:
		d.say(check, resultFault, "OCT_LOG_PATH: "+err.Error(), "let the sidecar's user read the file, for instance by the agent's group")
	default:
		d.ok(check, "%s can be read", name)
	}
}

// leastMemory is what the README says is needed under load.
const leastMemory = 32 << 20

func (d *examination) group() {
	const check = "cgroup"
	root := os.DirFS("/")
	g, err := cgroup.Find(root, 0)
	switch {
	case errors.Is(err, cgroup.ErrNone):
		d.ok(check, "there are no control groups here; readings are the machine's")
		return
	case err != nil:
		d.say(check, resultWarning, err.Error(), "mount the cgroup file system into the container; until then readings are the machine's")
		return
	}
	limit, err := cgroup.Limit(root)
	switch {
	case err != nil:
		d.say(check, resultWarning, fmt.Sprintf("the memory limit of %s is not known: %v", g.Path(), err), "set GOMEMLIMIT by hand if there is one")
	case limit == 0:
		d.ok(check, "%s, version %d, without a memory limit", g.Path(), g.Version)
	case limit < leastMemory:
		d.say(check, resultWarning, fmt.Sprintf("the memory limit of %s is %s", g.Path(), readable.Size(float64(limit))), "32 MiB is the least that works under load")
	default:
		d.ok(check, "%s, version %d, memory limit %s", g.Path(), g.Version, readable.Size(float64(limit)))
	}
}

func (d *examination) agent(opts agentproc.Options) {
	const check = "agent"
	switch pid, name, note, err := agentproc.Find(opts); {
	case err != nil:
		d.say(check, resultFault, err.Error(), "")
	case pid == 0:
		d.say(check, resultWarning, note, "calls are recorded all the same; start the agent, or name its process with OCT_AGENT_PROCESS or OCT_AGENT_PID_FILE")
	default:
		d.ok(check, "process %d (%s) is watched", pid, name)
	}
}

func (d *examination) push(ctx context.Context, opts *push.Options) {
	const check = "remote"
	if opts == nil {
		d.ok(check, "OCT_PUSH_ENDPOINT is not set, so nothing is forwarded")
		return
	}
	var status int
	var date time.Time
	err := d.progress.during("asking the remote", func() (err error) {
		status, date, err = push.Reach(ctx, *opts)
		return err
	})
	if !date.IsZero() {
		d.skew = time.Since(date)
	}
	switch {
	case err != nil:
		d.say(check, resultFault, "it cannot be reached: "+err.Error(), "check OCT_PUSH_ENDPOINT, the network and the remote; events are kept until then")
	case status >= 300 && status <= 399:
		d.say(check, resultFault, fmt.Sprintf("it answers with a redirect (%d), which is not followed", status), "OCT_PUSH_ENDPOINT has to be the final address")
	case status >= 500:
		d.say(check, resultWarning, fmt.Sprintf("it answers, with status %d", status), "look at the remote; events are kept until it takes them")
	default:
		d.ok(check, "it answers; openclaw-trace push forwards what waits, and says what it thinks of that")
	}
}

// Limits of what clocks may differ by.
const (
	maxAhead = time.Minute // of the newest event before ours
	maxSkew  = time.Minute // between the remote's and ours
)

// clockIsRight compares it with all others that were met.
func (d *examination) clockIsRight() {
	const check, advice = "clock", "set it, best by NTP; times of what was stored meanwhile stay wrong"
	now := time.Now()
	switch ahead := time.Duration(d.newest-now.UnixMilli()) * time.Millisecond; {
	case now.Year() < 2025:
		d.say(check, resultFault, "it says "+now.Format(time.DateTime)+", which is long ago", advice)
	case ahead > maxAhead:
		d.say(check, resultWarning, "an event is stored that happens in "+readable.Span(ahead.Milliseconds())+": the clock was set back, or is behind", advice)
	case d.skew.Abs() > maxSkew:
		d.say(check, resultWarning, fmt.Sprintf("it differs from the remote's by %s", readable.Duration(d.skew.Abs().Milliseconds())), advice)
	default:
		d.ok(check, "%s", now.Format("2006-01-02 15:04:05 MST"))
	}
}
