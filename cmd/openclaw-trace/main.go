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
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

const usage = `openclaw-trace records what an AI agent does.

Usage:
  openclaw-trace [serve]                        run the sidecar
  openclaw-trace migrate up|down [--json]       change the database's schema by all or by one step
  openclaw-trace migrate status|version [--json]
  openclaw-trace push [--json]                  forward what waits, now
  openclaw-trace quarantine list [--json]       list the events that the remote will never take
  openclaw-trace quarantine retry|drop ID…|--all  forward them after all, or delete them
  openclaw-trace reprice [--json]               compute the costs of stored calls anew
  openclaw-trace prune [--json]                 delete what is too old or too much, now
  openclaw-trace prune --older-than 168h        the same by another age; --dry-run only counts
  openclaw-trace prune --call ID | --session ID  delete a call or a session for good
  openclaw-trace redact [--json] < FILE         show what would be masked in a text, and why
  openclaw-trace redact --rules [--json]        list the rules
  openclaw-trace redact --stored [--json]       mask what was stored before a rule existed
  openclaw-trace --help | --version

Exit codes: 0 done, 1 failed, 2 wrong usage, 65 foreign or newer database,
70 migration failed, 75 database in use, 78 wrong settings.

Settings are environment variables. An empty one counts as unset.

`

func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	var err error
	if slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
		command = "help"
	}
	switch command {
	case "serve":
		if len(args) > 0 {
			return wrongUsage(stderr, "serve takes no arguments")
		}
		err = serve(ctx, environ, stdout, stderr)
	case "migrate":
		err = migrate(ctx, args, environ, stdout, stderr)
	case "push":
		err = pushNow(ctx, args, environ, stdout, stderr)
	case "quarantine":
		err = quarantine(ctx, args, environ, stdout, stderr)
	case "reprice":
		err = reprice(ctx, args, environ, stdout, stderr)
	case "prune":
		err = prune(ctx, args, environ, stdout, stderr)
	case "redact":
		err = redactText(ctx, args, environ, stdin, stdout, stderr)
	case "-h", "-help", "--help", "help":
		io.WriteString(stdout, usage)
		config.WriteHelp(stdout)
	case "-version", "--version", "version":
		v, c := buildVersion()
		fmt.Fprintf(stdout, "openclaw-trace %s (commit %s)\n", v, c)
	default:
		return wrongUsage(stderr, fmt.Sprintf("there is no command %q", command))
	}
	if err != nil {
		fmt.Fprintf(stderr, "openclaw-trace: %v\n", err)
	}
	return exitCode(err)
}

func wrongUsage(stderr io.Writer, what string) int {
	fmt.Fprintf(stderr, "openclaw-trace: %s; see openclaw-trace --help\n", what)
	return exitUsage
}

// usageError is a command line that cannot be understood.
type usageError string

func (e usageError) Error() string { return string(e) + "; see openclaw-trace --help" }

// configError holds all faults of the settings.
type configError struct{ error }

func (e configError) Error() string { return "wrong settings:\n" + e.error.Error() }

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
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
