package api_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// hostile is a text that each program that shows it would like to interpret.
const hostile = "=HYPERLINK(\"http://evil\")</script><img src=x>,\"\r\n\u202e\u2028"

func number(kind byte, n int) string { return fmt.Sprintf("%c0000000-0000-4000-8000-%012x", kind, n) }

// withRecord starts a server whose database has something of each kind.
func withRecord(t testing.TB) *server {
	t.Helper()
	s := newServer(t)
	now := time.Now().UnixMilli()
	b := &writer.Batch{
		Errors: []db.InsertErrorEventParams{
			{TraceID: number('e', 1), CreatedAt: now - 3000, ErrorType: "log", Message: hostile, Severity: "critical", StackTrace: new("at x")},
		},
		Events: []db.InsertCustomEventParams{{TraceID: number('f', 1), CreatedAt: now - 4000, Name: "deploy", SessionID: new("a/b c"), Metadata: new(`{"__proto__":"x"}`)}},
		Spans: []db.InsertSpanParams{
			{TraceID: number('d', 1), CreatedAt: now - 9000, Name: "run", OTELTraceID: "t1", OTELSpanID: "s1", Status: "timeout", DurationMS: new(int64(8000)), ErrorMessage: new("late")},
		},
		Readings: []db.InsertSystemMetricParams{{TraceID: number('b', 1), CreatedAt: now - 2000, CpuPct: new(12.5), MemTotal: new(int64(100)), MemAvailable: new(int64(40)), Metadata: new(`{"source":"host"}`)}},
	}
	for i := range 130 {
		c := db.InsertLLMTraceParams{
			TraceID: number('c', i), CreatedAt: now - int64(i)*100_000 - 1000, Provider: "anthropic", Model: "opus", Status: "ok",
			InputText: new(hostile), OutputText: new("-1+1"), Metadata: new(`{"a":[1]}`), SessionID: new("a/b c"),
		}
		switch i % 3 {
		case 0:
			c.PromptTokens, c.CompletionTokens, c.CostUSD, c.CostSource, c.LatencyMS = new(int64(10)), new(int64(5)), new(0.25), new("reported"), new(int64(1500))
		case 1:
			c.Status, c.ErrorType, c.ErrorMessage = "error", new("rate_limit"), new(fmt.Sprint("request ", 1000+i, " failed"))
		}
		if i == 0 {
			c.OTELTraceID, c.OTELSpanID, c.OTELParentSpanID = new("t1"), new("s2"), new("s1")
		}
		b.Calls = append(b.Calls, c)
	}
	if _, err := s.writer.Submit(b); err != nil {
		t.Fatal(err)
	}
	// Another writer brings the sums up to date.
	if err := s.writer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func readJSON(t *testing.T, path string) any {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// at returns what is at a path of keys.
func at(doc any, keys ...string) any {
	for _, k := range keys {
		m, _ := doc.(map[string]any)
		doc = m[k]
	}
	return doc
}

// What the description says of paths, parameters and answers is so.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	s := withRecord(t)
	doc := readJSON(t, "../../docs/openapi.json")
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	schema := func(keys ...string) *jsonschema.Schema {
		t.Helper()
		for i := range keys {
			keys[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(keys[i])
		}
		sch, err := compiler.Compile("openapi.json#/" + strings.Join(keys, "/"))
		if err != nil {
			t.Fatal(err)
		}
		return sch
	}
	check := func(target string, status int, sch *jsonschema.Schema) {
		t.Helper()
		w := s.do("GET", target, "")
		if w.Code != status {
			t.Errorf("%s: %d, want %d: %.300s", target, w.Code, status, w.Body)
			return
		}
		v, err := jsonschema.UnmarshalJSON(w.Body)
		if err == nil {
			err = sch.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	paths, _ := at(doc, "paths").(map[string]any)
	routes := s.QueryRoutes()
	for path := range paths {
		if !slices.Contains(routes, path) {
			t.Errorf("%s is described and does not exist", path)
		}
	}
	// A value for each parameter, with which there is an answer.
	values := map[string]string{
		"since": "24h", "until": "1m", "zone": "+02:00", "provider": "anthropic", "model": "opus", "agent": "a", "session": "a/b c", "operation": "chat",
		"status": "failed", "min_latency": "2s", "min_cost": "0.1", "q": "x", "kind": "error", "severity": "error", "name": "log", "fingerprint": "0",
		"before": "1.1", "limit": "7", "format": "json", "points": "10", "order": "cost", "by": "fingerprint",
	}
	fixed := map[string]string{"{trace_id}": number('c', 0), "{id}": url.PathEscape("a/b c")}
	wrong := schema("components", "responses", "Wrong", "content", "application/json", "schema")
	for _, path := range routes {
		if paths[path] == nil {
			t.Errorf("%s is not described", path)
			continue
		}
		target := path
		for name, value := range fixed {
			target = strings.ReplaceAll(target, name, value)
		}
		var described []string
		params, _ := at(paths[path], "get", "parameters").([]any)
		for _, p := range params {
			if ref, ok := at(p, "$ref").(string); ok {
				name := ref[strings.LastIndexByte(ref, '/')+1:]
				if got := at(doc, "components", "parameters", name, "name"); got != name {
					t.Errorf("%s leads to the parameter %v", ref, got)
				}
				described = append(described, name)
			}
		}
		slices.Sort(described)
		refusal := s.do("GET", target+"?nonsense=1", "")
		_, list, _ := strings.Cut(refusal.Body.String(), "there are ")
		list, _, _ = strings.Cut(list, `"`)
		if diff := cmp.Diff(described, strings.Split(list, ", ")); diff != "" || refusal.Code != 400 {
			t.Errorf("%s: parameters (-described +taken), %d:\n%s", path, refusal.Code, diff)
		}
		check(target+"?nonsense=1", 400, wrong)
		if path == "/api/v1/stream" {
			continue
		}
		sch := schema("paths", path, "get", "responses", "200", "content", "application/json", "schema")
		check(target, 200, sch)
		for _, name := range described {
			if strings.HasPrefix(path, "/api/v1/sessions") && name == "before" {
				continue // of another form
			}
			check(target+"?"+url.Values{name: {values[name]}}.Encode(), 200, sch)
		}
		if slices.Contains(described, "since") {
			check(target+"?since=90d", 200, sch)
			check(target+"?since=x", 400, wrong)
		}
	}
	missing := schema("components", "responses", "Missing", "content", "application/json", "schema")
	check("/api/v1/calls/"+number('9', 1), 404, missing)
	check("/api/v1/sessions/nobody", 404, missing)
}

// A wrong parameter is named, and so is what would be right.
func TestWrongParameters(t *testing.T) {
	t.Parallel()
	s := withRecord(t)
	for target, want := range map[string]string{
		"/api/v1/calls?limit=0":                          "the parameter limit: want a number from 1 to 1000",
		"/api/v1/calls?limit=1001":                       "the parameter limit: ",
		"/api/v1/calls?before=x":                         "the parameter before: ",
		"/api/v1/calls?format=xml":                       "the parameter format: want one of json, csv, jsonl",
		"/api/v1/calls?sesion=x":                         "the parameter sesion: there is no such parameter here; there are ",
		"/api/v1/calls?since=1h&until=2h":                "the parameter until: it is not after since",
		"/api/v1/calls?q=%zz":                            "the query of the URL cannot be read",
		"/api/v1/errors?kind=span":                       "the parameter kind: want one of call, error here",
		"/api/v1/errors?by=fingerprint&limit=3":          "the parameter limit: groups are one page",
		"/api/v1/sessions?order=cost&before=1.1":         "the parameter before: ",
		"/api/v1/system?points=9999":                     "the parameter points: ",
		"/api/v1/stats?session=x":                        "the parameter session: ",
		"/api/v1/stream?kinds=call,x":                    "the parameter kinds: ",
		"/api/v1/stream?after=x":                         "the parameter after: ",
		"/v1/budget?since=soon":                          "the parameter since: want a duration such as 90m",
		"/api/v1/calls/c0000000-0000-4000-8000-00000000": "several ids begin like this one",
	} {
		w := s.do("GET", target, "")
		if msg, _ := object(t, w)["message"].(string); w.Code != 400 || !strings.HasPrefix(msg, want) {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	s := withRecord(t)
	for query, want := range map[string]map[string]any{
		"":               {"calls": 130.0, "cost_usd": 11.0, "unpriced_calls": 86.0, "tokens": 660.0, "unmetered_calls": 86.0},
		"?since=2s":      {"calls": 1.0, "cost_usd": 0.25, "unpriced_calls": 0.0, "tokens": 15.0, "unmetered_calls": 0.0},
		"?session=a/b+c": {"calls": 130.0, "cost_usd": 11.0, "unpriced_calls": 86.0, "tokens": 660.0, "unmetered_calls": 86.0},
		"?agent=nobody":  {"calls": 0.0, "cost_usd": 0.0, "unpriced_calls": 0.0, "tokens": 0.0, "unmetered_calls": 0.0},
	} {
		if query == "?since=2s" {
			query = "?since=60s"
		}
		got := object(t, s.do("GET", "/v1/budget"+query, ""))
		delete(got, "since")
		diff(t, "budget"+query, want, got)
	}
}

// A list as CSV and as lines of JSON has each row of the list once, whole.
func TestExports(t *testing.T) {
	t.Parallel()
	s := withRecord(t)
	for path, rows := range map[string]int{
		"/api/v1/calls?since=30d": 130, "/api/v1/calls?status=ok": 87, "/api/v1/calls?limit=101": 101, "/api/v1/sessions?": 1, "/api/v1/sessions?order=cost": 1,
		"/api/v1/errors?": 44, "/api/v1/events?": 3, "/api/v1/system?": 1, "/api/v1/calls?q=no+such+text": 0,
	} {
		w := s.do("GET", path+"&format=jsonl", "")
		if got := w.Header().Get("Content-Type"); w.Code != 200 || got != "application/jsonl" || !strings.Contains(w.Header().Get("Content-Disposition"), "openclaw-trace.jsonl") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		ids := make(map[string]bool)
		for line := range strings.Lines(w.Body.String()) {
			o := object(t, line)
			id, _ := o["trace_id"].(string)
			if id == "" {
				id, _ = o["session_id"].(string)
			}
			ids[id] = true
		}
		w = s.do("GET", path+"&format=csv", "")
		records, err := csv.NewReader(w.Body).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) != rows || len(records) != rows+1 {
			t.Errorf("%s: %d lines of JSON, %d of CSV; want %d", path, len(ids), len(records)-1, rows)
		}
		for _, r := range records[1:] {
			for i, cell := range r {
				if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
					t.Errorf("%s: %s may be taken for a formula: %q", path, records[0][i], cell)
				}
			}
		}
	}
	// The texts are whole.
	// Of a session that began before the range the part in it is told apart, as in JSON.
	top, err := csv.NewReader(s.do("GET", "/api/v1/sessions?order=cost&since=60s&format=csv", "").Body).ReadAll()
	if err != nil || len(top) != 2 {
		t.Fatal(top, err)
	}
	for name, want := range map[string]string{
		"calls": "130", "cost_usd": "11", "unpriced_calls": "86", "calls_in_range": "1", "cost_usd_in_range": "0.25", "unpriced_calls_in_range": "0",
	} {
		if i := slices.Index(top[0], name); i < 0 || top[1][i] != want {
			t.Errorf("%s is not %s in %v", name, want, top)
		}
	}
	records, err := csv.NewReader(s.do("GET", "/api/v1/calls?limit=1&format=csv", "").Body).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	input := slices.Index(records[0], "input_text")
	if got := records[1][input]; strings.ReplaceAll(got, "\n", "") != "'"+strings.NewReplacer("\r", "", "\n", "").Replace(hostile) {
		t.Errorf("%q", got)
	}
	var line map[string]any
	if err := json.Unmarshal(s.do("GET", "/api/v1/calls?limit=1&format=jsonl", "").Body.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	diff(t, "texts", []any{hostile, "-1+1", map[string]any{"a": []any{1.0}}}, []any{line["input_text"], line["output_text"], line["metadata"]})
}

// Pages of a list lead to the next.
func TestPages(t *testing.T) {
	t.Parallel()
	s := withRecord(t)
	seen, before := make(map[string]bool), ""
	for range 20 {
		o := object(t, s.do("GET", "/api/v1/calls?limit=40&before="+before, ""))
		rows, _ := o["calls"].([]any)
		for _, r := range rows {
			seen[fmt.Sprint(at(r, "trace_id"))] = true
		}
		if o["next"] == nil {
			break
		}
		before = fmt.Sprint(o["next"])
	}
	if len(seen) != 130 {
		t.Errorf("%d calls on the pages", len(seen))
	}
	call := object(t, s.do("GET", "/api/v1/calls/"+number('c', 1)+"?status=error", ""))
	diff(t, "neighbours", []any{number('c', 4), nil}, []any{call["older"], call["newer"]})
	if nodes, _ := at(object(t, s.do("GET", "/api/v1/calls/"+number('c', 0), "")), "trace", "nodes").([]any); len(nodes) != 2 {
		t.Errorf("the trace has %v", nodes)
	}
	if !regexp.MustCompile(`"session_id":"a/b c"`).Match(s.do("GET", "/api/v1/sessions/a%2Fb%20c", "").Body.Bytes()) {
		t.Error("a session with a slash is not found")
	}
}

// Without a database the record says so.
func TestRecordWithoutDatabase(t *testing.T) {
	t.Parallel()
	s := withRecord(t)
	s.Lost("it is gone")
	for _, path := range s.QueryRoutes() {
		w := s.do("GET", strings.NewReplacer("{trace_id}", number('c', 1), "{id}", "x").Replace(path), "")
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "it is gone") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := s.do("GET", "/api/v1/calls?format=csv", ""); w.Code != 503 {
		t.Errorf("an export: %d", w.Code)
	}
}
