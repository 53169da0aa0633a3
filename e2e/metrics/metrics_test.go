// These tests scrape the built sidecar as Prometheus does, with Prometheus' own code:
// its parsers, the linter behind promtool check metrics, and the engine that evaluates
// the rules. They use no code of the sidecar.
package metrics_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

const (
	text        = "text/plain;version=0.0.4"
	openMetrics = "application/openmetrics-text;version=1.0.0"
)

// What a name may hold that would break a line.
const odd = "a\\b\"c\nd é"

// busy starts a sidecar that has everything to show, and sends it some calls.
func busy(t *testing.T) *sidecar {
	t.Helper()
	remote := startRemote(t)
	dir := t.TempDir()
	log, pid := filepath.Join(dir, "agent.log"), filepath.Join(dir, "agent.pid")
	write(t, log, "2026-11-25T10:00:00Z ERROR it failed\n")
	write(t, pid, fmt.Sprintln(os.Getpid())) // the test stands for the agent
	s := startSidecar(t, "OCT_METRICS_INTERVAL=1s", "OCT_PUSH_ENDPOINT="+remote, "OCT_PUSH_INTERVAL=100ms", "OCT_LOG_PATH="+log, "OCT_AGENT_PID_FILE="+pid)
	for _, call := range []map[string]any{
		{"model": "m", "prompt_tokens": 1000, "completion_tokens": 50, "cache_read_tokens": 600, "cost_usd": 0.25, "latency_ms": 1500},
		{"model": "m", "status": "error", "error_type": "overloaded", "latency_ms": 300},
		{"model": odd, "session_id": "a-session", "input_text": "a-prompt", "output_text": "an-answer"},
	} {
		call["provider"] = "p"
		s.post("/v1/traces", call, http.StatusAccepted)
	}
	s.post("/v1/traces", map[string]any{"model": "m"}, http.StatusBadRequest)
	eventually(t, "the host is measured, events are delivered and the agent is seen", func() bool {
		page := s.scrape(text)
		return bytes.Contains(page, []byte("openclaw_trace_host_cpu_utilization_ratio ")) &&
			bytes.Contains(page, []byte("openclaw_trace_push_last_success_timestamp_seconds{")) &&
			bytes.Contains(page, []byte("openclaw_trace_agent_up 1"))
	})
	return s
}

// promtool check metrics has nothing to say.
func TestLint(t *testing.T) {
	page := busy(t).scrape(text)
	problems, err := promlint.New(bytes.NewReader(page)).Lint()
	if err != nil {
		t.Fatalf("%v\n%s", err, page)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Both formats say the same, and it is what happened.
func TestFormats(t *testing.T) {
	s := busy(t)
	var plain, open map[string]float64
	eventually(t, "both formats have the same names, with nothing being delivered between the two scrapes", func() bool {
		var names, openNames map[string]bool
		plain, names = parse(t, s.scrape(text), text)
		open, openNames = parse(t, s.scrape(openMetrics), openMetrics)
		return maps.Equal(names, openNames)
	})
	// The scrape before is a request that was answered.
	for series := range open {
		if _, ok := plain[series]; !ok && !strings.Contains(series, `route="/metrics"`) {
			t.Errorf("%s is in OpenMetrics only", series)
		}
	}
	for series, want := range map[string]float64{
		`openclaw_trace_llm_calls_total{model="m", provider="p", status="ok"}`:                                  1,
		`openclaw_trace_llm_calls_total{model="m", provider="p", status="error"}`:                               1,
		`openclaw_trace_llm_calls_total{model="m", provider="p", status="timeout"}`:                             0,
		`openclaw_trace_llm_tokens_total{model="m", provider="p", type="input"}`:                                400,
		`openclaw_trace_llm_tokens_total{model="m", provider="p", type="cache_read"}`:                           600,
		`openclaw_trace_llm_tokens_total{model="m", provider="p", type="output"}`:                               50,
		`openclaw_trace_llm_cost_usd_total{model="m", provider="p"}`:                                            0.25,
		`openclaw_trace_llm_calls_unpriced_total{model="m", provider="p"}`:                                      1,
		`openclaw_trace_llm_call_duration_seconds_bucket{le="0.5", model="m", provider="p"}`:                    1,
		`openclaw_trace_llm_call_duration_seconds_bucket{le="+Inf", model="m", provider="p"}`:                   2,
		`openclaw_trace_llm_call_duration_seconds_sum{model="m", provider="p"}`:                                 1.8,
		`openclaw_trace_http_requests_total{code="202", method="POST", route="/v1/traces"}`:                     3,
		`openclaw_trace_http_requests_total{code="400", method="POST", route="/v1/traces"}`:                     1,
		`openclaw_trace_events_received_total{kind="llm_trace"}`:                                                3,
		`openclaw_trace_events_refused_total`:                                                                   1,
		`openclaw_trace_ready`:                                                                                  1,
		"openclaw_trace_llm_calls_unmetered_total" + labels.FromStrings("model", odd, "provider", "p").String(): 1,
	} {
		if got, ok := plain[series]; !ok || got != want {
			t.Errorf("%s is %v (there: %t), want %v", series, got, ok, want)
		}
	}
}

// Nothing that was said is in a scrape.
func TestNoContent(t *testing.T) {
	page := string(busy(t).scrape(text))
	for _, secret := range []string{"a-prompt", "an-answer", "a-session", "overloaded", "it failed"} {
		if strings.Contains(page, secret) {
			t.Errorf("%q is in the page", secret)
		}
	}
}

func TestToken(t *testing.T) {
	s := startSidecar(t, "OCT_AUTH_TOKEN=a-long-token")
	if status, _ := s.get("/metrics", text); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d", status)
	}
	s.token = "a-long-token"
	s.scrape(text)
}

// docs/metrics.md has every metric, and hardly one that is not in a scrape.
func TestDocumented(t *testing.T) {
	_, names := parse(t, busy(t).scrape(text), text)
	documented := documented(t)
	for name := range names {
		if !documented[name] {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
	rare := regexp.MustCompile(`^openclaw_trace_(events_dropped_total|push_oldest_pending_timestamp_seconds|log_last_line_timestamp_seconds|janitor_(deleted_total|last_run_timestamp_seconds))$`)
	for name := range documented {
		if !names[name] && !rare.MatchString(name) {
			t.Errorf("%s is in docs/metrics.md and not in a scrape", name)
		}
	}
}

// The alert rules are right by Prometheus, and are of metrics that there are.
func TestRules(t *testing.T) {
	known := documented(t)
	for _, r := range rules(t) {
		for name := range namesIn(t, r.Expr) {
			if !known[name] {
				t.Errorf("%s asks for %s, which there is not", r.Alert, name)
			}
		}
		if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: the severity, the summary or the description is missing", r.Alert)
		}
	}
}

// A sidecar that is well has no alert, and each alert has a state in which it fires.
func TestAlerts(t *testing.T) {
	page, _ := parse(t, busy(t).scrape(text), text)
	// As it is, for two hours. What is a moment moves on with the time of the test.
	var well strings.Builder
	well.WriteString("load 1m\n")
	for _, series := range slices.Sorted(maps.Keys(page)) {
		switch {
		case strings.Contains(series, "_timestamp_seconds"):
			fmt.Fprintf(&well, "  %s 0+60x120\n", series)
		case strings.ContainsAny(series, "\\"): // its escapes are not those of the language of tests
		default:
			fmt.Fprintf(&well, "  %s %v+0x120\n", series, page[series])
		}
	}
	ill := map[string]string{
		"OpenclawTraceAbsent":          `other 1+0x120`,
		"OpenclawTraceNotStoring":      `openclaw_trace_ready 0+0x120`,
		"OpenclawTraceRefusing":        `openclaw_trace_http_requests_total{method="POST", route="/v1/traces", code="503"} 0+2x120`,
		"OpenclawTraceMalformed":       `openclaw_trace_events_refused_total 0+1x120`,
		"OpenclawTraceDropping":        `openclaw_trace_events_dropped_total{reason="size"} 0+1x120`,
		"OpenclawTraceDatabaseDamaged": "openclaw_trace_databases_moved_aside_total 0+0x60 1+0x60",
		"OpenclawTraceCommitsSlow": `openclaw_trace_commit_duration_seconds_bucket{le="0.5"} 0+0x120
			openclaw_trace_commit_duration_seconds_bucket{le="1"} 0+5x120
			openclaw_trace_commit_duration_seconds_bucket{le="+Inf"} 0+5x120`,
		"OpenclawTraceDegraded":    `openclaw_trace_health_status{status="degraded"} 1+0x120`,
		"OpenclawTracePushRefused": `openclaw_trace_push_refused{remote="r"} 1+0x120`,
		"OpenclawTracePushStalled": `openclaw_trace_push_consecutive_failures{remote="r"} 0+1x120
			openclaw_trace_push_oldest_pending_timestamp_seconds{remote="r"} 600+0x120`,
		"OpenclawTraceQuarantined": `openclaw_trace_events_quarantined 3+0x120`,
		"OpenclawTraceOverBudget":  `openclaw_trace_janitor_over_bytes 1+0x120`,
		"OpenclawTraceDiskNearlyFull": `openclaw_trace_host_disk_free_bytes 4+0x120
			openclaw_trace_host_disk_size_bytes 100+0x120`,
		"OpenclawTraceHostMemoryLow": `openclaw_trace_host_memory_available_bytes 4+0x120
			openclaw_trace_host_memory_size_bytes 100+0x120`,
		"OpenclawTraceHostUnmeasured": `openclaw_trace_host_reading_timestamp_seconds 60+0x120`,
		"AgentDown": `openclaw_trace_agent_up 0+0x120
			openclaw_trace_agent_last_seen_timestamp_seconds 60+0x120`,
		"AgentCrashLoop": `openclaw_trace_agent_crash_loop 1+0x120`,
		"AgentSilent":    `openclaw_trace_agent_silent 1+0x120`,
		"AgentCostHigh":  `openclaw_trace_llm_cost_usd_total{provider="p", model="m"} 0+0.2x120`,
		"AgentErrorsMany": `openclaw_trace_llm_calls_total{provider="p", model="m", status="ok"} 0+2x120
			openclaw_trace_llm_calls_total{provider="p", model="m", status="error"} 0+1x120`,
	}
	for _, r := range rules(t) {
		if found := eval(t, well.String(), r.Expr); len(found) > 0 {
			t.Errorf("%s fires although all is well: %v", r.Alert, found)
		}
		state := ill[r.Alert]
		if state == "" {
			t.Errorf("%s: the test has no state in which it fires", r.Alert)
			continue
		}
		if found := eval(t, "load 1m\n"+state, r.Expr); len(found) == 0 {
			t.Errorf("%s does not fire", r.Alert)
		}
		delete(ill, r.Alert)
	}
	for alert := range ill {
		t.Errorf("there is no alert %s", alert)
	}
	// An agent that was never seen is not down, and one that fails once in a while is no alarm.
	for alert, state := range map[string]string{
		"AgentDown": `openclaw_trace_agent_up 0+0x120`,
		"AgentErrorsMany": `openclaw_trace_llm_calls_total{provider="p", model="m", status="ok"} 0+0x120
			openclaw_trace_llm_calls_total{provider="p", model="m", status="error"} 0+0x118 1 2`,
		"AgentCostHigh": `openclaw_trace_llm_cost_usd_total{provider="p", model="m"} 100+0.05x120`,
	} {
		i := slices.IndexFunc(rules(t), func(r rulefmt.Rule) bool { return r.Alert == alert })
		if found := eval(t, "load 1m\n"+state, rules(t)[i].Expr); len(found) > 0 {
			t.Errorf("%s fires: %v", alert, found)
		}
	}
}

// The dashboard asks for what there is, and its panels do not lie on each other.
func TestDashboard(t *testing.T) {
	var board struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, RefID string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(read(t, "docs/prometheus/dashboard.json"), &board); err != nil {
		t.Fatal(err)
	}
	known := documented(t)
	ids, taken := make(map[int]bool), make(map[[2]int]string)
	exprs := 0
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q: the id %d is there twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, ok := taken[at]; ok || at[0] >= 24 {
					t.Errorf("panel %q lies on %q, or beside the page", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			exprs++
			for name := range namesIn(t, variables.Replace(target.Expr)) {
				if !known[name] {
					t.Errorf("panel %q asks for %s, which there is not", p.Title, name)
				}
			}
		}
	}
	if exprs == 0 {
		t.Error("it asks for nothing")
	}
	for _, v := range board.Templating.List {
		if m := regexp.MustCompile(`^label_values\((\w+), \w+\)$`).FindStringSubmatch(v.Definition); m != nil && !known[m[1]] {
			t.Errorf("variable %s asks for %s, which there is not", v.Name, m[1])
		}
	}
}

// variables are Grafana's, as they may be in a question.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$instance", ".*")

// parse returns the series of a page, as Prometheus stores them, and the names of its
// metrics.
func parse(t *testing.T, page []byte, contentType string) (series map[string]float64, names map[string]bool) {
	t.Helper()
	p, err := textparse.New(page, contentType, nil, textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	series, names = make(map[string]float64), make(map[string]bool)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return series, names
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, page)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		_, _, value := p.Series()
		if _, ok := series[l.String()]; ok {
			t.Errorf("%s is there twice", l)
		}
		series[pretty(l)] = value
		names[base(l.Get(labels.MetricName))] = true
	}
}

// pretty writes a series as in a question.
func pretty(l labels.Labels) string {
	rest := l.DropMetricName().String()
	if rest == "{}" {
		rest = ""
	}
	return l.Get(labels.MetricName) + rest
}

// base returns the name of the metric that a sample is of.
func base(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if short, ok := strings.CutSuffix(name, suffix); ok && strings.HasSuffix(short, "_duration_seconds") {
			return short
		}
	}
	return name
}

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// namesIn returns the metrics that an expression asks for.
func namesIn(t *testing.T, expr string) map[string]bool {
	t.Helper()
	e, err := newParser().ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return nil
	}
	names := make(map[string]bool)
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			names[base(v.Name)] = true
		}
		return nil
	})
	return names
}

func rules(t *testing.T) (list []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.Parse(read(t, "docs/prometheus/alerts.yml"), false, model.UTF8Validation, newParser(), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errors.Join(errs...))
	}
	for _, g := range groups.Groups {
		list = append(list, g.Rules...)
	}
	if len(list) == 0 {
		t.Fatal("there are no rules")
	}
	return list
}

// eval loads series and returns what an expression finds two hours later.
func eval(t *testing.T, load, expr string) []string {
	t.Helper()
	stored := promqltest.LoadedStorage(t, load)
	engine := promqltest.NewTestEngine(t, false, 0, 1_000_000)
	q, err := engine.NewInstantQuery(t.Context(), stored, nil, expr, time.Unix(2*60*60, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	found, err := q.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	var list []string
	for _, sample := range found {
		list = append(list, sample.String())
	}
	return list
}

// documented returns the metrics that docs/metrics.md lists.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllSubmatch(read(t, "docs/metrics.md"), -1) {
		names[string(m[1])] = true
	}
	if len(names) == 0 {
		t.Fatal("docs/metrics.md lists nothing")
	}
	return names
}
