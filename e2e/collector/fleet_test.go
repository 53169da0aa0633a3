package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// gateway runs a collector with the configuration that docs/fleet.md shows, but for the
// two addresses.
func gateway(t testing.TB, listen, store string) *collector {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "fleet.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	config, _, ok := strings.Cut(rest, "```")
	for from, to := range map[string]string{"0.0.0.0:4318": "127.0.0.1:" + listen, "https://store.example": store} {
		if !strings.Contains(config, from) {
			t.Fatalf("docs/fleet.md has no configuration with %s", from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil || !ok {
		t.Fatal(err, ok)
	}
	c := &collector{t: t, url: "http://127.0.0.1:" + listen, process: run(t, nil, collectorBinary, "--config="+path)}
	c.await("Everything is ready")
	return c
}

// What a sidecar stored goes through a Collector to another one, and is the same there:
// the ids, the tokens, the texts, what nobody has a column for. While the store is away
// the Collector keeps nothing, and the sidecar all.
func TestFleet(t *testing.T) {
	t.Parallel()
	store := startSidecar(t)
	port := freePort(t)
	near := startSidecar(t, "OCT_PUSH_ENDPOINT=http://127.0.0.1:"+port, "OCT_PUSH_FORMAT=otlp", "OCT_PUSH_INTERVAL=200ms", "OCT_AGENT_ID=kitchen")

	var k known
	direct := &collector{t: t, url: near.url}
	k.send(direct, 1)
	store.stop()
	through := gateway(t, port, store.url)
	eventually(t, "the sidecar hears that the store is away", func() bool {
		_, body := get(t, near.url+"/health")
		return strings.Contains(string(body), `"last_push_error":"503`)
	})
	k.send(direct, 2)
	store.start()
	eventually(t, "all is delivered", func() bool {
		_, body := get(t, near.url+"/health")
		return strings.Contains(string(body), `"unsynced_count":0`)
	})
	near.stop()
	through.stop()
	store.stop()

	was, is := read(t, near.db), read(t, store.db)
	if len(was.calls) != len(k.calls) || len(was.spans) != len(k.spans) || len(was.errors) != len(k.logs) {
		t.Errorf("%d calls, %d spans, %d errors were stored", len(was.calls), len(was.spans), len(was.errors))
	}
	columns := func(list rows, names ...string) (all []map[string]any) {
		for _, row := range list {
			m := make(map[string]any)
			for _, name := range names {
				m[name] = row[name]
			}
			all = append(all, m)
		}
		return all
	}
	calls := []string{"trace_id", "created_at", "provider", "model", "operation", "input_text", "output_text", "prompt_tokens", "completion_tokens",
		"total_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd", "latency_ms", "ttft_ms", "status", "error_type",
		"error_message", "session_id", "agent", "otel_trace_id", "otel_span_id", "otel_parent_span_id"}
	if d := cmp.Diff(columns(was.calls, calls...), columns(is.calls, calls...)); d != "" {
		t.Errorf("calls (-stored +forwarded):\n%s", d)
	}
	spans := []string{"trace_id", "created_at", "name", "operation", "session_id", "agent", "duration_ms", "status", "error_message", "otel_span_id"}
	if d := cmp.Diff(columns(was.spans, spans...), columns(is.spans, spans...)); d != "" {
		t.Errorf("spans (-stored +forwarded):\n%s", d)
	}
	// A log record has no identity of its own, so another is derived from it there.
	errors := func(s stored) []string {
		var list []string
		for _, row := range s.errors {
			list = append(list, row["severity"].(string)+" "+row["message"].(string))
		}
		return sorted(list)
	}
	if d := cmp.Diff(errors(was), errors(is)); d != "" {
		t.Errorf("errors (-stored +forwarded):\n%s", d)
	}
	for _, row := range is.calls {
		if m, _ := row["metadata"].(string); !strings.Contains(m, `"openclaw_trace.trace_id":"`+row["trace_id"].(string)+`"`) {
			t.Errorf("the identity is not in %s", m)
		}
	}
	for _, outcome := range []string{"quarantined", "dropped"} {
		if n := was.counted("llm_trace", outcome) + was.counted("span", outcome) + was.counted("error_event", outcome); n > 0 {
			t.Errorf("%d events were %s", n, outcome)
		}
	}
}
