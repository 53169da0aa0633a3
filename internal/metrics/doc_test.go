package metrics

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

// What people read about the metrics is made from the page of a sidecar that has
// everything.
func TestDocs(t *testing.T) {
	if !hasProc() {
		t.Skip("without /proc some metrics are missing")
	}
	const path = "../../docs/metrics.md"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := everything(t)
	var text strings.Builder
	seen := make(map[string]bool)
	for _, s := range sections {
		p := page{}
		s.write(&p, f)
		fmt.Fprintf(&text, "### %s\n\n| Metric | Type | Meaning |\n|---|---|---|\n", s.title)
		for _, m := range p.told {
			if seen[m.name] {
				t.Errorf("%s is there twice", m.name)
			}
			seen[m.name] = true
			labels := ""
			if len(m.labels) > 0 {
				labels = "<br>by `" + strings.Join(m.labels, "`, `") + "`"
			}
			fmt.Fprintf(&text, "| `%s`%s | %s | %s |\n", m.name, labels, m.kind, m.help)
		}
		text.WriteByte('\n')
	}
	begin, end := "<!-- metrics -->\n", "<!-- /metrics -->"
	before, rest, _ := strings.Cut(string(old), begin)
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("%s has no part %q", path, "metrics")
	}
	page := before + begin + text.String() + end + after
	if page == string(old) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale; run go test ./internal/metrics -run TestDocs -update", path)
	}
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A metric that TestDocs does not see would stand in no docs.
func TestDocsKnowAll(t *testing.T) {
	p := page{}
	f := everything(t)
	for _, s := range sections {
		s.write(&p, f)
	}
	told := make(map[string]bool)
	for _, m := range p.told {
		told[m.name] = true
	}
	for _, file := range []string{"metrics.go", "process.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`p\.(?:begin\(\w+, |gauge\(|counter\()(ns\+)?"(\w+)"`).FindAllStringSubmatch(string(source), -1) {
			name := m[2]
			if m[1] != "" {
				name = ns + name
			}
			if !told[name] && hasProc() {
				t.Errorf("%s has no sample: give everything a value for it", name)
			}
		}
	}
}

// The alert rules and the dashboard ask for what there is.
func TestFilesKnowTheNames(t *testing.T) {
	p := page{}
	f := everything(t)
	for _, s := range sections {
		s.write(&p, f)
	}
	known := make(map[string]bool)
	for _, m := range p.told {
		known[m.name] = true
		if m.kind == histogram {
			known[m.name+"_bucket"] = true
		}
	}
	for _, name := range []string{"alerts.yml", "dashboard.json"} {
		text, err := os.ReadFile(filepath.Join("../../docs/prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(ns+`\w+`).FindAllString(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s asks for nothing", name)
		}
		for _, metric := range found {
			if !known[metric] {
				t.Errorf("%s asks for %s, which there is not", name, metric)
			}
		}
	}
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/statm")
	return err == nil
}

// everything returns figures in which nothing is missing.
func everything(t testing.TB) *Figures {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "trace.db"), Synchronous: "normal", Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(st, writer.Options{MaxTextBytes: 1 << 10, MaxQueueBytes: 1 << 20, Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		<-w.Done()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := w.Submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{{
		Provider: "anthropic", Model: "claude-sonnet-4", Status: "ok", PromptTokens: new(int64(1000)), CompletionTokens: new(int64(50)),
		CacheReadTokens: new(int64(600)), CacheWriteTokens: new(int64(100)), ReasoningTokens: new(int64(20)),
		CostUSD: new(0.25), LatencyMS: new(int64(1500)),
	}}}); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	dropped := writer.CountOf(writer.Entry{Kind: writer.KindCall, Outcome: writer.Dropped, Reason: "size"}, 1)
	w.Count(dropped)
	return &Figures{
		Now: time.UnixMilli(now), Version: "v1.2.3", Status: "degraded", Reasons: 2, Ready: true, Writer: w,
		Requests: []*Requests{{"POST", "/v1/traces", 202, 1}},
		Parts: Parts{
			Push: func() []Remote {
				return []Remote{{"example.com", now - 2000, now - 3000, now + 4000, now - 5000, 1, true, 9, 2}}
			},
			Host: func() Host {
				n := new(int64(1 << 30))
				return Host{At: now, Interval: time.Second, Lost: 1, CPUPct: new(12.5), MemUsed: n, MemAvailable: n, MemTotal: n, DiskUsed: n, DiskFree: n, DiskSize: n}
			},
			Agent: func() Agent {
				return Agent{true, 9, "", now, now - 60_000, 3, true, true, 1, 1500 * time.Millisecond, 1 << 20, 7, 20, 2, 1 << 19}
			},
			Log:     func() Log { return Log{"a.log", 1, 100, 1000, 10, 2, 3, now, ""} },
			Janitor: func() Janitor { return Janitor{now, map[string]int64{"age": 5}, 4, 0, "", ""} },
		},
	}
}

// fill has w count more models than it counts apart.
func fill(t testing.TB, w *writer.Writer) {
	t.Helper()
	b := new(writer.Batch)
	for n := range 60 {
		b.Calls = append(b.Calls, db.InsertLLMTraceParams{
			Provider: "anthropic", Model: fmt.Sprintf("claude-sonnet-4-%d", n), Status: "ok", LatencyMS: new(int64(1500)), CostUSD: new(0.1),
		})
	}
	if _, err := w.Submit(b); err != nil {
		t.Fatal(err)
	}
}
