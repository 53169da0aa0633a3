package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Every part of a sidecar shows itself in /metrics, and no setting that may be a secret
// does.
func TestMetricsOfParts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pid, log := filepath.Join(dir, "agent.pid"), filepath.Join(dir, "agent.log")
	for path, text := range map[string]string{pid: strconv.Itoa(os.Getpid()), log: "a line\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := newInstance(t, filepath.Join(dir, "trace.db"), "OCT_METRICS_INTERVAL=1s", "OCT_AGENT_PID_FILE="+pid, "OCT_LOG_PATH="+log,
		"OCT_PUSH_ENDPOINT=http://frotz:plover@127.0.0.1:1/xyzzy?key=abracadabra", "OCT_PUSH_TOKEN=open-sesame", "OCT_PUSH_INTERVAL=100ms")
	in.start()
	want := []string{
		`openclaw_trace_build_info\{version="` + testVersion + `",`, `openclaw_trace_ready 1`,
		`openclaw_trace_push_attempts_total\{remote="127.0.0.1:1",status="error"\} [1-9]`, `openclaw_trace_push_consecutive_failures\{remote="127.0.0.1:1"\} [1-9]`,
		`openclaw_trace_host_memory_size_bytes [1-9]`, `openclaw_trace_host_disk_free_bytes [1-9]`,
		`openclaw_trace_agent_up 1`, `openclaw_trace_agent_resident_memory_bytes [1-9]`, `openclaw_trace_log_files 1`,
		`process_start_time_seconds [1-9]`,
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("without /proc neither the host nor the agent is measured")
	}
	var page string
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for give := time.After(patience); ; {
		a := in.get("/metrics")
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		page = string(a.body)
		i := slices.IndexFunc(want, func(line string) bool { return !regexp.MustCompile(`(?m)^` + line).MatchString(page) })
		if i < 0 {
			break
		}
		select {
		case <-tick.C:
		case <-give:
			t.Fatalf("waited in vain for %s in\n%s", want[i], page)
		}
	}
	for _, secret := range []string{"frotz", "plover", "xyzzy", "abracadabra", "sesame"} {
		if strings.Contains(page, secret) {
			t.Errorf("%q is in the page", secret)
		}
	}
}
