package dashboard_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/html"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/dashboard"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

var demo = flag.String("demo", "", "write a database with some days of an agent's life to this path")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// fixture is a dashboard over a database of its own.
type fixture struct {
	t       testing.TB
	session *dashboard.Session
	reasons []string
	http.Handler
}

func newFixture(t testing.TB) *fixture { return openFixture(t, filepath.Join(t.TempDir(), "trace.db")) }

func openFixture(t testing.TB, path string) *fixture {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	st, err := store.Open(t.Context(), store.Options{Path: path, Synchronous: "normal", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(st, writer.Options{MaxTextBytes: 1 << 20, MaxQueueBytes: 64 << 20, Prices: pricing.Embedded(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{t: t, session: &dashboard.Session{Store: st, Writer: w}}
	f.restart()
	return f
}

// restart has another dashboard over the same database.
func (f *fixture) restart() {
	f.Handler = dashboard.New(dashboard.Options{
		Version: "test", Session: func() *dashboard.Session { return f.session }, Reasons: func() []string { return f.reasons },
		Log: slog.New(slog.NewTextHandler(f.t.Output(), nil)),
	})
}

func (f *fixture) submit(b *writer.Batch) {
	f.t.Helper()
	if _, err := f.session.Writer.Submit(b); err != nil {
		f.t.Fatal(err)
	}
}

// settle has the summaries written, as otherwise happens within a second.
func (f *fixture) settle() {
	f.t.Helper()
	if _, err := f.session.Writer.Reprice(f.t.Context(), pricing.Embedded(), func(int64, int64) {}); err != nil {
		f.t.Fatal(err)
	}
}

// get returns what is answered.
func (f *fixture) get(target string) *httptest.ResponseRecorder {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequestWithContext(f.t.Context(), "GET", target, nil))
	return w
}

// page returns a page, parsed, which has to be answered with 200.
func (f *fixture) page(target string) *html.Node {
	f.t.Helper()
	w := f.get(target)
	if w.Code != 200 {
		f.t.Fatalf("GET %s: %d %s", target, w.Code, text(parse(f.t, w.Body.String())))
	}
	return parse(f.t, w.Body.String())
}

func parse(t testing.TB, text string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// all returns the elements for which is holds.
func all(n *html.Node, is func(*html.Node) bool) (list []*html.Node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && is(d) {
			list = append(list, d)
		}
	}
	return list
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasClass(n *html.Node, class string) bool {
	for _, c := range strings.Fields(attr(n, "class")) {
		if c == class {
			return true
		}
	}
	return false
}

func byClass(n *html.Node, class string) []*html.Node {
	return all(n, func(n *html.Node) bool { return hasClass(n, class) })
}

// text returns what a reader sees of n, its white space as one space.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func ptr[T any](v T) *T { return &v }

func TestWriteDemo(t *testing.T) {
	if *demo == "" {
		t.Skip("-demo is not set")
	}
	f := openFixture(t, *demo)
	for _, b := range life(time.Now(), 4, 420) {
		f.submit(b)
	}
}

// life makes some days of an agent's life up to now, the same for each seed of time.
func life(now time.Time, days, callsADay int) []*writer.Batch {
	rnd := rand.New(rand.NewPCG(1, 2))
	uuid := func() string {
		a, b := rnd.Uint64(), rnd.Uint64()
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", uint32(a), uint16(a>>32), uint16(a>>48)&0xfff, uint16(b)&0xfff, b>>16)
	}
	hexes := func(n int) string { return strings.ReplaceAll(uuid()+uuid(), "-", "")[:n] }
	sessions := []struct {
		id, agent string
		weight    int
	}{
		{"agent:main:telegram:direct:4711", "main", 9}, {"agent:main:slack:channel:ops-alerts", "main", 6}, {"agent:main:cron:daily-digest", "main", 3},
		{"agent:research:subagent:paper-survey", "research", 4}, {"agent:main:whatsapp:group:family", "main", 2}, {"agent:main:heartbeat", "main", 5},
	}
	models := []struct {
		provider, name string
		weight         int
		speed          float64
	}{{"anthropic", "claude-opus-4-8", 5, 1.6}, {"anthropic", "claude-haiku-4-5", 6, 0.5}, {"openai", "gpt-5.2", 4, 1.1}, {"ollama", "qwen3-coder:30b-local", 1, 2.2}}
	prompts := []string{
		"Summarise the overnight alerts and tell me what needs a person.", "Refund request for order 19384: draft a reply in the house style.",
		"Heartbeat: is anything due in the next hour?", "Read CHANGELOG.md and list the breaking changes since 2.4.", "Wie wird das Wetter in Hamburg am Samstag? Sollen wir grillen?",
		"Plan the move of the photo archive to the new disk; mind that /data is at 82%.", "Compare the three papers on prompt caching and give me a table.", "What did we spend on cloud last week, and on what?",
	}
	replies := []string{
		"Two of the nine alerts need a person:\n\n1. disk on /data is at 82% and grows 3% a day;\n2. the backup job has not finished since Sunday.\n\nI could not read the journal (permission denied).",
		"Nothing is due. The digest runs at 07:00.", "Here is the draft:\n\nDear Ms Okafor,\nthank you for your patience. The refund of 48.20 € is on its way and should arrive within three working days.\n\nKind regards",
		"Samstag: 14 °C, windig, Schauer am Nachmittag. Mittags ginge es.", "| Paper | Hit rate | Remark |\n|---|---|---|\n| A | 71% | prefix only |\n| B | 64% | with eviction |",
	}
	tools := []struct{ name, arguments, result string }{
		{"exec", `{"command":"journalctl -p err --since yesterday"}`, "journalctl: permission denied"}, {"read_file", `{"path":"CHANGELOG.md"}`, "## 2.6.0\n\n- `timeout` is in milliseconds now\n- the old config format is no longer read\n"},
		{"web_search", `{"query":"weather Hamburg Saturday","max":3}`, `[{"title":"Wetter Hamburg","temp":14}]`}, {"exec", `{"command":"df -h /data"}`, "Filesystem  Size  Used Avail Use% Mounted on\n/dev/sdb1   932G  764G  168G  82% /data"},
	}
	failures := []struct{ kind, message, status string }{
		{"rate_limit_error", "429: This request would exceed your organization's rate limit of 400,000 input tokens per minute. Request id req_011C%s", "error"},
		{"overloaded_error", "529: Overloaded. Request id req_011C%s", "error"}, {"timeout", "the model did not answer within 120 s (attempt %s)", "timeout"},
		{"context_length_exceeded", "400: input length and max_tokens exceed context limit: 20%s > 200000", "error"},
	}
	pick := func(n int, weight func(int) int) int {
		sum := 0
		for i := range n {
			sum += weight(i)
		}
		x := rnd.IntN(sum)
		for i := range n {
			if x -= weight(i); x < 0 {
				return i
			}
		}
		return 0
	}
	jsonOf := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	type obj = map[string]any
	var list []*writer.Batch
	start := now.Add(-time.Duration(days) * 24 * time.Hour)
	turns := days * callsADay / 3
	for turn := range turns {
		at := start.Add(time.Duration(float64(now.Sub(start)) * (float64(turn) + rnd.Float64()) / float64(turns)))
		if hour := at.UTC().Hour(); hour < 6 && rnd.IntN(3) > 0 || at.After(now.Add(-20*time.Second)) {
			continue
		}
		s := sessions[pick(len(sessions), func(i int) int { return sessions[i].weight })]
		b := new(writer.Batch)
		trace, root := hexes(32), hexes(16)
		prompt := prompts[rnd.IntN(len(prompts))]
		system := "You are Molty, the agent of this house. You have tools for files, a shell and the web. Be brief, say what you did not check, and never send anything without asking. " + strings.Repeat("Mind the rules of the house: quiet after ten, no purchases above 20 €, ask before you delete. ", 12)
		messages := []obj{{"role": "system", "parts": []obj{{"type": "text", "content": system}}}}
		for i := range rnd.IntN(8) {
			messages = append(messages, obj{"role": "user", "parts": []obj{{"type": "text", "content": prompts[(i+turn)%len(prompts)]}}}, obj{"role": "assistant", "parts": []obj{{"type": "text", "content": replies[(i+turn)%len(replies)]}}})
		}
		messages = append(messages, obj{"role": "user", "parts": []obj{{"type": "text", "content": prompt}}})
		steps := 1 + rnd.IntN(4)
		t := at.UnixMilli()
		began := t
		turnStatus := "ok"
		for step := range steps {
			m := models[pick(len(models), func(i int) int { return models[i].weight })]
			in := int64(6000 + rnd.IntN(32000))
			out := int64(80 + rnd.IntN(1500))
			took := int64((600 + float64(out)*9*rnd.Float64() + 500*rnd.ExpFloat64()) * m.speed)
			c := db.InsertLLMTraceParams{
				TraceID: uuid(), CreatedAt: t, Provider: m.provider, Model: m.name, PromptTokens: &in, CompletionTokens: &out, LatencyMS: &took, Status: "ok",
				SessionID: ptr(s.id), Agent: ptr(s.agent), Operation: ptr("chat"), OTELTraceID: &trace, OTELSpanID: ptr(hexes(16)), OTELParentSpanID: &root,
				CacheReadTokens: ptr(in * int64(40+rnd.IntN(55)) / 100), CacheWriteTokens: ptr(in / 50), TtftMS: ptr(took / 3), InputText: ptr(jsonOf(messages)),
				Metadata: ptr(jsonOf(obj{"openclaw.channel": strings.Split(s.id, ":")[2], "gen_ai.response.id": "msg_" + hexes(12), "gen_ai.request.max_tokens": 8192, "server.address": "api." + m.provider + ".com"})),
			}
			if m.provider == "openai" {
				c.ReasoningTokens = ptr(out / 3)
			}
			tool := tools[rnd.IntN(len(tools))]
			last := step == steps-1
			parts := []obj{}
			if rnd.IntN(3) == 0 {
				parts = append(parts, obj{"type": "reasoning", "content": "The user wants a short answer. I should look at the journal first, then at the disk, and say what I could not check."})
			}
			if last {
				parts = append(parts, obj{"type": "text", "content": replies[rnd.IntN(len(replies))]})
			} else {
				parts = append(parts, obj{"type": "tool_call", "id": "toolu_" + fmt.Sprint(step), "name": tool.name, "arguments": json.RawMessage(tool.arguments)})
			}
			answer := obj{"role": "assistant", "parts": parts, "finish_reason": map[bool]string{true: "stop", false: "tool_call"}[last]}
			c.OutputText = ptr(jsonOf([]obj{answer}))
			if rnd.IntN(28) == 0 || at.After(now.Add(-40*time.Minute)) && rnd.IntN(4) == 0 {
				x := failures[pick(len(failures), func(i int) int { return []int{8, 5, 2, 1}[i] })]
				c.Status, c.ErrorType, c.ErrorMessage, c.OutputText = x.status, ptr(x.kind), ptr(fmt.Sprintf(x.message, map[string]string{"timeout": "2", "context_length_exceeded": "4831"}[x.kind]+map[bool]string{true: hexes(20)}[strings.HasSuffix(x.kind, "_error")])), nil
				c.PromptTokens, c.CompletionTokens, c.CacheReadTokens, c.CacheWriteTokens, c.ReasoningTokens, c.TtftMS = nil, nil, nil, nil, nil, nil
				turnStatus, last = "error", true
			}
			b.Calls = append(b.Calls, c)
			t += took + 15
			if last {
				break
			}
			toolTook := int64(20 + rnd.IntN(900))
			status, message := "ok", (*string)(nil)
			if strings.Contains(tool.result, "denied") {
				status, message = "error", ptr(tool.result)
			}
			b.Spans = append(b.Spans, db.InsertSpanParams{TraceID: uuid(), CreatedAt: t, Name: "openclaw.tool " + tool.name, Operation: ptr("execute_tool"), SessionID: ptr(s.id), Agent: ptr(s.agent),
				OTELTraceID: trace, OTELSpanID: hexes(16), OTELParentSpanID: &root, DurationMS: &toolTook, Status: status, ErrorMessage: message})
			t += toolTook + 8
			messages = append(messages, answer, obj{"role": "tool", "parts": []obj{{"type": "tool_call_response", "id": "toolu_" + fmt.Sprint(step), "response": tool.result}}})
		}
		b.Spans = append(b.Spans, db.InsertSpanParams{TraceID: uuid(), CreatedAt: began - 12, Name: "openclaw.harness.run", Operation: ptr("invoke_agent"), SessionID: ptr(s.id), Agent: ptr(s.agent),
			OTELTraceID: trace, OTELSpanID: root, DurationMS: ptr(t - began + 30), Status: turnStatus, Metadata: ptr(`{"openclaw.trigger":"message"}`)})
		if rnd.IntN(14) == 0 {
			b.Errors = append(b.Errors, db.InsertErrorEventParams{TraceID: uuid(), CreatedAt: t, ErrorType: "log", Severity: "warning", Message: fmt.Sprintf("gateway: slow tool exec took %d ms (session %s)", 4000+rnd.IntN(9000), s.id),
				Metadata: ptr(`{"openclaw.subsystem":"agents","log.file.path":"/tmp/openclaw/openclaw.log"}`)})
		}
		if rnd.IntN(60) == 0 {
			b.Errors = append(b.Errors, db.InsertErrorEventParams{TraceID: uuid(), CreatedAt: t, ErrorType: "crash", Severity: "critical", Message: "TypeError: Cannot read properties of undefined (reading 'usage')",
				StackTrace: ptr("TypeError: Cannot read properties of undefined (reading 'usage')\n    at collect (dist/usage.js:41:18)\n    at async run (dist/agent.js:1204:9)\n    at async Gateway.handle (dist/gateway.js:388:5)")})
		}
		if rnd.IntN(20) == 0 {
			b.Events = append(b.Events, db.InsertCustomEventParams{TraceID: uuid(), CreatedAt: t, Name: "session.compacted", SessionID: ptr(s.id), Metadata: ptr(`{"before_tokens":148220,"after_tokens":31200,"reason":"context"}`)})
		}
		list = append(list, b)
	}
	readings := new(writer.Batch)
	used, disk := 420.0, 764.0
	for t := start; t.Before(now); t = t.Add(time.Minute) {
		if ago := now.Sub(t); ago < 9*time.Hour && ago > 8*time.Hour+10*time.Minute {
			continue // it was off
		}
		used += rnd.Float64()*18 - 8.9 + (430-used)/60
		if ago := now.Sub(t); ago < 45*time.Minute {
			used += 11
		}
		disk += 0.001
		const mib, gib = 1 << 20, 1 << 30
		total := int64(1 * gib)
		readings.Readings = append(readings.Readings, db.InsertSystemMetricParams{
			TraceID: uuid(), CreatedAt: t.UnixMilli(), CpuPct: ptr(max(2, 18+14*rnd.NormFloat64())), MemRssBytes: ptr(int64(used*0.72) * mib), MemAvailable: ptr(total - int64(min(used, 1000))*mib), MemTotal: &total,
			DiskUsedBytes: ptr(int64(disk * gib)), DiskTotalBytes: ptr(int64(932 * gib)), DiskFreeBytes: ptr(int64((932 - disk) * gib)),
			Metadata: ptr(`{"source":"cgroup v2","cpu.limit":2,"load1":0.42,"pids":41}`)})
		if len(readings.Readings) == 500 {
			list = append(list, readings)
			readings = new(writer.Batch)
		}
	}
	return append(list, readings)
}
