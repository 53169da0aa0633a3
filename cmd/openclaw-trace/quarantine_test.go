package main_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// The commands work on the quarantine beside a running sidecar and alone.
func TestQuarantineCommands(t *testing.T) {
	t.Parallel()
	const bad, worse = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"
	var strict atomic.Bool
	strict.Store(true)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		zip, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(zip)
		if err != nil {
			t.Error(err)
		}
		if strict.Load() && bytes.Contains(body, []byte("11111111-")) {
			http.Error(w, "no such tenant", http.StatusUnprocessableEntity)
		}
	}))
	t.Cleanup(srv.Close)
	in := newInstance(t, dbPath(t), "OCT_PUSH_ENDPOINT="+srv.URL, "OCT_PUSH_INTERVAL=1h")
	f := func(code int, want string, args ...string) {
		t.Helper()
		out, err := in.command(binary, args...).CombinedOutput()
		if got := exitCode(err); got != code || !strings.Contains(string(out), want) {
			t.Errorf("%v: exit code %d, %s; want %d, %q", args, got, out, code, want)
		}
	}
	p := in.start()
	for _, body := range []string{`{"provider":"p","model":"m"}`, `{"provider":"p","model":"m","trace_id":"` + bad + `"}`, `{"provider":"p","model":"m","trace_id":"` + worse + `"}`} {
		r, err := http.NewRequest("POST", in.url+"/v1/traces", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if a, err := in.do(r); err != nil || a.status != 202 {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	// The round at the start may have been first.
	f(0, "0 wait", "push")
	if h := in.health(); h.Ledger.Quarantined != 2 || h.Ledger.Delivered != 1 || h.UnsyncedCount != 0 || h.Status != "ok" {
		t.Errorf("health %+v", h)
	}
	f(0, "2 events are in quarantine", "quarantine", "list")
	f(0, "llm_trace      "+bad+"  422 Unprocessable Entity: no such tenant", "quarantine", "list")
	f(0, `"trace_id": "`+worse+`"`, "quarantine", "list", "--json")
	f(0, "0 events will be forwarded again", "quarantine", "retry", "99999999-0000-4000-8000-000000000001")
	f(0, "1 events will be forwarded again", "quarantine", "retry", bad)
	if h := in.health(); h.Ledger.Quarantined != 1 || h.UnsyncedCount != 1 {
		t.Errorf("health %+v", h)
	}
	strict.Store(false)
	f(0, "1 events delivered, 0 put into quarantine, 0 wait", "push")
	p.stop()

	f(0, "1 events are in quarantine", "quarantine", "list")
	f(0, "1 events were deleted", "quarantine", "drop", "--all")
	f(0, "0 events are in quarantine", "quarantine", "list")
	p = in.start()
	l := in.health().Ledger
	if l.Received != 3 || l.Delivered != 2 || l.Dropped != 1 || l.Quarantined != 0 || l.Pending != 0 {
		t.Errorf("ledger %+v", l)
	}
	p.stop()
}

// exitCode is that of a command that has run.
func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}
