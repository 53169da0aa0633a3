package main_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kon-rad/openclaw-trace/migrations"
)

// TestScripts runs testdata/script. $NEWEST is the schema's version, $BEFORE the one before it. Beside the commands of testscript there are:
//
//	exits CODE ARGS…         runs the binary, which must end with CODE
//	serve                    starts the binary and waits until it listens
//	tail FILE ARGS…          starts openclaw-trace tail, whose output goes to FILE
//	until FILE TEXT          waits until FILE has TEXT
//	interrupt                ends the tail by SIGINT, which must exit with 0
//	end                      ends it by SIGTERM; the file log is its log then (stop is testscript's, and ends the script)
//	post STATUS PATH BODY    sends BODY to it as JSON; <N> in it stands for a text of N bytes
//	health STATUS            asks it how it is
//	sql DB STATEMENT         runs a statement and prints the rows it gives
//	expand FILE…             replaces $NAMES in files by the values of the variables
//	mode PERMISSIONS FILE…   compares permissions
//	logged MESSAGE…          the log's messages begin with these, in this order
//	busy PORT                listens on a port of 127.0.0.1, if nobody does already
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			port, err := freePort()
			if err != nil {
				return err
			}
			env.Setenv("OCT_PORT", port)
			if port, err = freePort(); err != nil {
				return err
			}
			env.Setenv("FREE_PORT", port)
			env.Setenv("OCT_OTLP_PORT", "0")
			steps, err := fs.Glob(migrations.FS, "*.sql")
			if err != nil {
				return err
			}
			env.Setenv("NEWEST", strconv.Itoa(len(steps)))
			env.Setenv("BEFORE", strconv.Itoa(len(steps)-1))
			env.Setenv("OCT_DB_PATH", filepath.Join(env.WorkDir, "data", "trace.db"))
			env.Values["sidecar"] = &sidecar{instance: &instance{
				t: env.T().(testing.TB), url: "http://127.0.0.1:" + env.Getenv("OCT_PORT"), client: &http.Client{Timeout: patience},
			}}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "serve": serve, "end": end, "post": post, "health": askHealth, "received": received,
			"sql": runSQL, "expand": expand, "mode": mode, "logged": logged, "busy": busy,
			"tail": follow, "until": until, "interrupt": interrupt,
		},
	})
}

// sidecar is what a script runs in the background.
type sidecar struct {
	*instance
	*process
	tail *exec.Cmd
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	got := 0
	err := ts.Exec(binary, args[1:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("sidecar").(*sidecar)
	s.settings = nil
	for _, name := range []string{
		"OCT_HOST", "OCT_PORT", "OCT_OTLP_PORT", "OCT_DB_PATH", "OCT_LOG_LEVEL", "OCT_AUTH_TOKEN", "OCT_PUSH_ENDPOINT",
		"OCT_REDACT", "OCT_CAPTURE_CONTENT", "OCT_PRICES_FILE", "OCT_LOG_PATH", "OCT_RETENTION_DAYS",
	} {
		s.settings = append(s.settings, name+"="+ts.Getenv(name))
	}
	s.process = s.start()
}

func follow(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("sidecar").(*sidecar)
	out, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer out.Close()
	tail := exec.Command(binary, append([]string{"tail"}, args[1:]...)...)
	for _, name := range []string{"OCT_PORT", "OCT_DB_PATH", "OCT_AUTH_TOKEN"} {
		tail.Env = append(tail.Env, name+"="+ts.Getenv(name))
	}
	tail.Stdout, tail.Stderr = out, out
	ts.Check(tail.Start())
	ts.Defer(func() {
		_ = tail.Process.Kill() // it may have ended
	})
	s.tail = tail
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	const pause = 20 * time.Millisecond
	for range patience / pause {
		if strings.Contains(ts.ReadFile(args[0]), args[1]) {
			return
		}
		time.Sleep(pause)
	}
	ts.Fatalf("%s does not get %q:\n%s", args[0], args[1], ts.ReadFile(args[0]))
}

func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("sidecar").(*sidecar)
	ts.Check(s.tail.Process.Signal(os.Interrupt))
	ts.Check(s.tail.Wait())
}

func end(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("sidecar").(*sidecar)
	s.process.stop()
	ts.Check(os.WriteFile(ts.MkAbs("log"), []byte(s.process.text()+s.process.stderr.String()), 0o600))
}

var lengths = regexp.MustCompile("<[0-9]+>")

func post(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("sidecar").(*sidecar)
	body := lengths.ReplaceAllStringFunc(args[2], func(n string) string {
		length, err := strconv.Atoi(n[1 : len(n)-1])
		ts.Check(err)
		return strings.Repeat("All quiet. ", length/11+1)[:length]
	})
	req, err := http.NewRequest("POST", s.url+args[1], strings.NewReader(body))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	if token := ts.Getenv("OCT_AUTH_TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := s.do(req)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s", a.body)
	if strconv.Itoa(a.status) != args[0] {
		ts.Fatalf("%d %s, want %s", a.status, a.body, args[0])
	}
}

func askHealth(ts *testscript.TestScript, neg bool, args []string) {
	waitFor(ts, "health "+args[0], func(h health) bool { return h.Status == args[0] })
}

// received waits until as many events were stored.
func received(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	waitFor(ts, args[0]+" events", func(h health) bool { return h.EventsReceived >= want })
}

// waitFor asks the sidecar how it is until it is so.
func waitFor(ts *testscript.TestScript, what string, so func(health) bool) {
	s := ts.Value("sidecar").(*sidecar)
	for end := time.Now().Add(patience); ; {
		h := s.health()
		if so(h) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("health says %+v, want %s", h, what)
		}
	}
}

func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	db := openDB(ts.Value("sidecar").(*sidecar).instance.t, ts.MkAbs(args[0]), "mode=rwc")
	defer db.Close()
	rows, err := db.Query(args[1])
	ts.Check(err)
	defer rows.Close()
	for rows.Next() {
		var v string
		ts.Check(rows.Scan(&v))
		fmt.Fprintln(ts.Stdout(), v)
	}
	ts.Check(rows.Err())
}

// expand makes secrets of pieces, so that scanners of source trees stay quiet.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
	}
}

func logged(ts *testscript.TestScript, neg bool, args []string) {
	p := ts.Value("sidecar").(*sidecar).process
	next := 0
	for _, l := range p.log {
		if next < len(args) && strings.HasPrefix(l.msg, args[next]) {
			next++
		}
	}
	if next < len(args) {
		ts.Fatalf("the log does not say %q after what comes before it:\n%s", args[next], p.text())
	}
}

// listeners are held for as long as the tests run: who asks for a busy port wants it
// to stay so.
var listeners sync.Map

func busy(ts *testscript.TestScript, neg bool, args []string) {
	if l, err := net.Listen("tcp", "127.0.0.1:"+args[0]); err == nil {
		listeners.Store(args[0], l)
	}
}
