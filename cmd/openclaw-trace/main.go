// Command openclaw-trace is the flight recorder of an AI agent. It runs beside the
// agent, takes its LLM calls, errors and spans over HTTP, and keeps them in a SQLite
// database of its own.
//
// This package is the wiring: it alone reads the environment, prints usage, and
// decides exit codes. serve.go is the whole program, read from top to bottom.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/store"
)

// Exit codes; those from 64 on as in sysexits(3).
const (
	exitOK        = 0
	exitFailed    = 1
	exitUsage     = 2
	exitForeign   = 65 // the database belongs to another program, or to a newer version
	exitMigration = 70
	exitInUse     = 75
	exitConfig    = 78
)

// Set by the linker for a release; otherwise the build information says it.
var version, commit string

func main() {
	// What we write holds prompts.
	syscall.Umask(0o077)
	// A reader of our log that goes away must not take us with it.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// command is what can be done. Dispatch, --help and the table in the README come from
// commands, and from nowhere else.
type command struct {
	name  string
	run   func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error
	forms []form
}

// form is a way to give a command.
type form struct{ line, what string }

// commands are all there are, in the order of their importance.
var commands = []command{
	{"serve", serveAlone, []form{
		{"serve", "run the sidecar, which is also done without a command"},
	}},
	{"demo", runDemo, []form{
		{"demo", "run the sidecar on sample data, in a database of its own"},
	}},
	{"stats", stats, []form{
		{"stats [--since 24h] [--by model|provider|agent|status|session] [FILTER…] [--json]", "sum up calls, tokens and cost"},
	}},
	{"calls", calls, []form{
		{"calls [--since 24h] [--status failed] [--q TEXT] [FILTER…] [--limit 50] [--json]", "list calls, newest first"},
	}},
	{"show", show, []form{
		{"show ID [--json]", "show a call with its messages, tools, tokens, cost and trace, or an error, event or span; the first characters of an id do"},
	}},
	{"tail", follow, []form{
		{"tail [--kinds call,error,event,span,reading] [FILTER…] [--json]", "show what arrives at the running sidecar, until Ctrl-C"},
	}},
	{"export", export, []form{
		{"export calls|errors|metrics|events [--format jsonl|csv] [FILTER…]", "write all of them, newest first"},
	}},
	{"doctor", doctor, []form{
		{"doctor [--json]", "look at settings, database, disk, log, ports, agent, remote and clock, and say what to do; fails if there is a fault"},
	}},
	{"healthcheck", healthcheck, []form{
		{"healthcheck [--json]", "ask the running sidecar how it is; fails when events cannot be stored"},
	}},
	{"config", configuration, []form{
		{"config check|print [--json]", "say whether the settings are valid, or what they come to"},
	}},
	{"backup", backup, []form{
		{"backup FILE [--json]", "copy the database into a new file, also while the sidecar runs"},
	}},
	{"push", pushNow, []form{
		{"push [--json]", "forward what waits, now"},
	}},
	{"quarantine", quarantine, []form{
		{"quarantine list [--json]", "list the events that the remote will never take"},
		{"quarantine retry|drop ID…|--all [--json]", "forward them after all, or delete them"},
	}},
	{"reprice", reprice, []form{
		{"reprice [--json]", "compute the costs of stored calls anew"},
	}},
	{"prune", prune, []form{
		{"prune [--json]", "delete what is too old or too much, now"},
		{"prune --older-than 168h [--dry-run] [--json]", "the same by another age; or only count it"},
		{"prune --call ID|--session ID [--json]", "delete a call or a session for good"},
	}},
	{"redact", redactInput, []form{
		{"redact [--json] < FILE", "show what would be masked in a text, and why"},
		{"redact --rules [--json]", "list the rules"},
		{"redact --stored [--json]", "mask what was stored before a rule existed"},
	}},
	{"migrate", migrate, []form{
		{"migrate up|down [--json]", "change the database's schema by all steps, or back by one"},
		{"migrate status|version [--json]", "say which steps it has"},
	}},
}

// writeUsage lists commands, and what holds for all of them.
func writeUsage(w io.Writer, list []command) {
	fmt.Fprint(w, "openclaw-trace records what an AI agent does.\n\nUsage: openclaw-trace [COMMAND]\n\n")
	for _, c := range list {
		for _, f := range c.forms {
			fmt.Fprintf(w, "  openclaw-trace %s\n        %s\n", f.line, f.what)
		}
	}
	fmt.Fprint(w, `
A FILTER is a parameter of the HTTP API: --since 7d, --until 2026-11-25T06:00, --zone,
--provider, --model, --agent, --status, --session, --operation, --min-latency 2s,
--min-cost 0.05, --q TEXT; for errors and events --kind, --severity, --name, --fingerprint.
Times are local unless --zone is given.

Results go to standard output, everything else to standard error. NO_COLOR is respected.

Exit codes: 0 done, 1 failed, 2 wrong usage, 65 foreign or newer database,
70 migration failed, 75 database in use, 78 wrong settings.

`)
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	name := "serve"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "-h", "-help", "--help", "help":
		writeUsage(stdout, commands)
		fmt.Fprint(stdout, "Settings are environment variables. An empty one counts as unset.\n\n")
		config.WriteHelp(stdout)
		return exitOK
	case "-version", "--version", "version":
		v, c := buildVersion()
		fmt.Fprintf(stdout, "openclaw-trace %s (commit %s)\n", v, c)
		return exitOK
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == name })
	if i < 0 {
		return fail(stderr, usageError(fmt.Sprintf("there is no command %q", name)))
	}
	if slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
		writeUsage(stdout, commands[i:i+1])
		fmt.Fprintln(stdout, "openclaw-trace --help lists all commands and settings.")
		return exitOK
	}
	if err := commands[i].run(ctx, args, environ, stdout, stderr); err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

// fail says why the program ends, and returns its exit code.
func fail(stderr io.Writer, err error) int {
	if errors.Is(err, syscall.EPIPE) {
		return exitFailed // who read our output has seen enough, and needs no telling
	}
	fmt.Fprintf(stderr, "openclaw-trace: %v\n", err)
	return exitCode(err)
}

// usageError is a command line that cannot be understood.
type usageError string

func (e usageError) Error() string { return string(e) + "; see openclaw-trace --help" }

// configError holds all faults of the settings.
type configError struct{ error }

func (e configError) Error() string { return "wrong settings:\n" + e.error.Error() }

// exitCode returns the code for an error.
func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[configError](err); ok {
		return exitConfig
	}
	if _, ok := errors.AsType[*store.MigrationError](err); ok {
		return exitMigration
	}
	switch {
	case errors.Is(err, store.ErrForeign), errors.Is(err, store.ErrNewer):
		return exitForeign
	case errors.Is(err, store.ErrInUse):
		return exitInUse
	}
	return exitFailed
}

// loadConfig reads the settings and prints what is only worth a warning.
func loadConfig(environ []string, stderr io.Writer) (*config.Config, error) {
	cfg, warnings, err := config.Load(environ)
	for _, w := range warnings {
		fmt.Fprintf(stderr, "openclaw-trace: warning: %s\n", w)
	}
	if err != nil {
		return nil, configError{err}
	}
	return cfg, nil
}

func buildVersion() (v, c string) {
	v, c = version, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if c == "" && s.Key == "vcs.revision" {
				c = s.Value
			}
		}
	}
	if v == "" {
		v = "(devel)"
	}
	if c == "" {
		c = "unknown"
	}
	return v, c
}
