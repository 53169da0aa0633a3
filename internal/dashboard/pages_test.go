package dashboard_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/dashboard"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// sections are the pages of the navigation.
var sections = []string{"/", "/calls", "/sessions", "/errors", "/logs", "/system", "/push"}

// check tells what no page may have: two elements of one id, no or several headings,
// what the policy would block, or anything from elsewhere.
func check(t *testing.T, target string, doc *html.Node) {
	t.Helper()
	ids := make(map[string]bool)
	headings := 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(elements, n.Data) {
			t.Errorf("%s: there is an element <%s>", target, n.Data)
		}
		switch n.Data {
		case "h1":
			headings++
		case "script":
			if n.FirstChild != nil || !strings.HasPrefix(attr(n, "src"), "/static/") {
				t.Errorf("%s: a script that is not a file of ours: %s", target, attr(n, "src"))
			}
		}
		for _, a := range n.Attr {
			name := a.Key
			if !slices.Contains(attributes, name) && !strings.HasPrefix(name, "aria-") && !slices.Contains(dataAttributes, name) {
				t.Errorf("%s: <%s> has an attribute %q", target, n.Data, name)
			}
			switch name {
			case "id":
				if ids[a.Val] {
					t.Errorf("%s: two elements have the id %q", target, a.Val)
				}
				ids[a.Val] = true
			case "href", "src", "action", "formaction", "xlink:href":
				if !ours(a.Val) {
					t.Errorf("%s: <%s %s=%q> leads away", target, n.Data, name, a.Val)
				}
			}
		}
	}
	if headings != 1 {
		t.Errorf("%s: there are %d first headings, want 1", target, headings)
	}
}

// ours tells whether a URL stays here, however a browser reads it.
func ours(s string) bool {
	if strings.HasPrefix(s, "#") {
		return true
	}
	if strings.ContainsAny(s, "\t\r\n\\") || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "" && u.Host == ""
}

// elements are those that pages are made of.
var elements = strings.Fields(`html head body meta title link script header nav main section article aside div span p a ul li dl dt dd
	h1 h2 h3 form input label button datalist option details summary table thead tbody tr th td pre code kbd strong time dialog figure figcaption
	svg rect line path text`)

// attributes are those that they have. None of them is a handler or a style.
var attributes = strings.Fields(`lang charset name content rel type href src class id title role tabindex action method value placeholder
	autocomplete spellcheck list for required autofocus hidden open datetime scope width height viewbox viewBox d x x1 x2 y y1 y2 rx text-anchor
	preserveaspectratio preserveAspectRatio vector-effect`)

var dataAttributes = []string{"data-live", "data-stream", "data-key", "data-find", "data-buckets"}

// crawl follows every link to a page from those given, up to a number of pages, and
// checks each.
func (f *fixture) crawl(t *testing.T, limit int, targets ...string) map[string]*html.Node {
	t.Helper()
	seen := make(map[string]*html.Node)
	from := make(map[string]string)
	for len(targets) > 0 && len(seen) < limit {
		target := targets[0]
		targets = targets[1:]
		if _, ok := seen[target]; ok {
			continue
		}
		w := f.get(target)
		if w.Code != 200 {
			t.Errorf("GET %s, linked from %s: %d %.200s", target, from[target], w.Code, text(parse(t, w.Body.String())))
			continue
		}
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			continue
		}
		doc := parse(t, w.Body.String())
		seen[target] = doc
		check(t, target, doc)
		// Pages of a kind are alike: a few links of each page are enough.
		perKind := make(map[string]int)
		for _, a := range all(doc, func(n *html.Node) bool { return n.Data == "a" }) {
			href, _, _ := strings.Cut(attr(a, "href"), "#")
			if href == "" || strings.HasPrefix(href, "/api/") {
				continue
			}
			kind, _, _ := strings.Cut(strings.TrimPrefix(href, "/"), "/")
			kind, _, _ = strings.Cut(kind, "?")
			if perKind[kind]++; perKind[kind] > 12 {
				continue
			}
			if _, ok := from[href]; !ok {
				from[href] = target
				targets = append(targets, href)
			}
		}
	}
	return seen
}

// Every number and every bar leads to a page that answers.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	f := newFixture(t)
	for _, b := range life(time.Now(), 2, 150) {
		f.submit(b)
	}
	f.settle()
	seen := f.crawl(t, 250, append(sections, "/?since=1h", "/?since=all&zone=Europe/Berlin", "/system?since=7d", "/calls?status=failed&q=req_&zone=%2B05:30")...)
	if len(seen) < 200 {
		t.Errorf("only %d pages are linked", len(seen))
	}
}

func TestHeaders(t *testing.T) {
	f := newFixture(t)
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
	}
	for _, target := range append(sections, "/nowhere", "/calls/nothing", "/calls?nonsense=1", "/static/nothing.js") {
		h := f.get(target).Header()
		for name, value := range want {
			if h.Get(name) != value {
				t.Errorf("%s: %s is %q, want %q", target, name, h.Get(name), value)
			}
		}
	}
}

// staticFiles returns the files that a page asks for.
func staticFiles(doc *html.Node) (list []string) {
	for _, n := range all(doc, func(n *html.Node) bool { return n.Data == "script" || n.Data == "link" }) {
		list = append(list, attr(n, "src")+attr(n, "href"))
	}
	return list
}

// The files of a page may be kept for ever, since their names change with them.
func TestStaticFiles(t *testing.T) {
	f := newFixture(t)
	files := staticFiles(f.page("/"))
	if len(files) != 4 {
		t.Errorf("the page has the files %v, want four", files)
	}
	for _, path := range files {
		w := f.get(path)
		if w.Code != 200 || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d, Cache-Control %q", path, w.Code, w.Header().Get("Cache-Control"))
		}
		for _, away := range []string{"http:", "https:", "@import", "url(", "eval(", "document.write", "insertAdjacentHTML", "outerHTML"} {
			text := strings.ReplaceAll(w.Body.String(), "http://www.w3.org/2000/svg", "")
			if strings.Contains(text, away) {
				t.Errorf("%s contains %q", path, away)
			}
		}
		if w := f.get(strings.Replace(path, ".", ".0", 1)); w.Code != 404 {
			t.Errorf("a file of another version: %d, want 404", w.Code)
		}
	}
}

// The first view is the overview of a busy day with all that it needs.
func TestFirstViewIsSmall(t *testing.T) {
	f := newFixture(t)
	for _, b := range life(time.Now(), 2, 420) {
		f.submit(b)
	}
	size := func(target string) int {
		r := httptest.NewRequestWithContext(t.Context(), "GET", target, nil)
		r.Header.Set("Accept-Encoding", "gzip, br")
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Header().Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s is not compressed", target)
		}
		if z, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes())); err != nil || z.Close() != nil {
			t.Fatalf("%s: %v", target, err)
		}
		return w.Body.Len()
	}
	sum := 0
	for _, target := range append(staticFiles(f.page("/")), "/") {
		n := size(target)
		t.Logf("%6d bytes  %s", n, target)
		sum += n
	}
	if sum > 25<<10 {
		t.Errorf("the first view takes %d bytes, want at most 25 KiB", sum)
	}
	for _, target := range []string{"/calls", "/system", "/logs", "/errors"} {
		if n := size(target); n > 25<<10 {
			t.Errorf("%s takes %d bytes, want at most 25 KiB", target, n)
		}
	}
}

func TestWithoutCompression(t *testing.T) {
	f := newFixture(t)
	for _, accept := range []string{"", "identity", "gzip;q=0", "br", "gzip;q=0.0"} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Header().Get("Content-Encoding") != "" || !strings.HasPrefix(w.Body.String(), "<!doctype html>") {
			t.Errorf("Accept-Encoding %q: the answer is compressed", accept)
		}
	}
}

func TestFourEmptyPages(t *testing.T) {
	f := newFixture(t)
	ask := func(target, want string) {
		t.Helper()
		doc := f.page(target)
		if got := text(doc); !strings.Contains(got, want) {
			t.Errorf("GET %s says %.900q, want %q in it", target, got, want)
		}
	}
	f.submit(&writer.Batch{Readings: []db.InsertSystemMetricParams{{TraceID: "31111111-1111-4111-8111-111111111111", CreatedAt: time.Now().Add(-48 * time.Hour).UnixMilli(), CpuPct: ptr(1.0)}}}) // which is our own
	for _, target := range []string{"/", "/calls", "/calls?model=x", "/sessions"} {
		ask(target, "Nothing was received yet")
	}
	ask("/system", "There are no readings of the host in this time.")
	ask("/", `curl http://example.com/v1/traces`)
	ask("/", "OTEL_EXPORTER_OTLP_ENDPOINT=http://example.com")

	old := time.Now().Add(-72 * time.Hour).UnixMilli()
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{{TraceID: "11111111-1111-4111-8111-111111111111", CreatedAt: old, Provider: "p", Model: "m", Status: "ok"}}})
	ask("/calls", "Quiet There are no calls in this time. The last before now was 3 days ago")
	ask("/calls?since=all&model=other", "The filter leaves nothing")
	ask("/errors", "Nothing failed")
	ask("/logs", "No entries yet")
	ask("/calls/11111111-1111-4111-8111-111111111111", "No content The emitter sent none.")

	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{{TraceID: "21111111-1111-4111-8111-111111111111", CreatedAt: old, Provider: "p", Model: "m", Status: "ok",
		Metadata: ptr(`{"openclaw_trace.input_bytes":6300}`)}}})
	ask("/calls/21111111", "6.15 KiB were received and not kept, as OCT_CAPTURE_CONTENT=off says.")

	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{
		{TraceID: "41111111-1111-4111-8111-111111111111", CreatedAt: old, Provider: "p", Model: "m", Status: "ok",
			Metadata: ptr(`{"openclaw_trace.input_bytes":6300,"openclaw_trace.content_dropped":"disk budget"}`)},
		{TraceID: "51111111-1111-4111-8111-111111111111", CreatedAt: old, Provider: "p", Model: "m", Status: "error", InputText: ptr("hello")},
	}})
	ask("/calls/41111111", "No content The texts of this call were deleted to make room (disk budget).")
	ask("/calls/51111111", "No content The call failed, and nothing was answered.")
}

// A cost that nobody knows is never shown as none.
func TestUnknownCost(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(-time.Minute).UnixMilli()
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{
		{TraceID: "31111111-1111-4111-8111-111111111111", CreatedAt: at, Provider: "home", Model: "made-here", Status: "ok", PromptTokens: ptr(int64(10)), CompletionTokens: ptr(int64(5)), SessionID: ptr("s1")},
		{TraceID: "41111111-1111-4111-8111-111111111111", CreatedAt: at, Provider: "home", Model: "made-here", Status: "ok", SessionID: ptr("s1")},
	}})
	if got := text(f.page("/sessions/s1")); !strings.Contains(got, "Cost unknown of the whole session") {
		t.Errorf("a session that is not summed up yet: %.600s", got)
	}
	f.settle()
	for _, target := range []string{"/", "/calls", "/calls/31111111", "/sessions", "/sessions/s1"} {
		doc := f.page(target)
		for _, n := range all(doc, func(n *html.Node) bool { return n.Data == "td" || n.Data == "dd" || hasClass(n, "value") }) {
			if strings.Contains(text(n), "$0") {
				t.Errorf("%s shows %q for a cost that is not known", target, text(n))
			}
		}
		if !strings.Contains(text(doc), "unknown") {
			t.Errorf("%s does not say that the cost is unknown", target)
		}
	}
	if got := text(f.page("/calls/31111111")); !strings.Contains(got, "nowhere: none was reported, and no price is known for this model") {
		t.Errorf("the call does not say why: %.600s", got)
	}
	if got := text(f.page("/calls/41111111")); !strings.Contains(got, "nowhere: neither a cost nor tokens were reported") {
		t.Errorf("the call does not say why: %.600s", got)
	}
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{{TraceID: "51111111-1111-4111-8111-111111111111", CreatedAt: at, Provider: "home", Model: "priced", Status: "ok", CostUSD: ptr(0.25), CostSource: ptr("reported"), SessionID: ptr("s1")}}})
	f.settle()
	if got := text(f.page("/")); !strings.Contains(got, "$0.2500 2 unpriced, not in it") {
		t.Errorf("the overview does not count the unpriced calls: %.600s", got)
	}
	if got := text(f.page("/sessions")); !strings.Contains(got, "$0.2500 + 2 unpriced") {
		t.Errorf("the session does not count the unpriced calls: %.600s", got)
	}
}

// The URL is the whole state: what people type becomes the parameters that the API has.
func TestTypedFilter(t *testing.T) {
	f := newFixture(t)
	for _, c := range [][2]string{
		{"/calls?line=model:opus+status:failed+min_cost:0.05+refund", "/calls?min_cost=0.05&model=opus&q=refund&status=failed"},
		{"/calls?line=", "/calls"},
		{"/calls?line=a&since=all&zone=local", "/calls?q=a&since=all&zone=local"},
		{"/errors?line=kind:call+x&since=7d", "/errors?kind=call&q=x&since=7d"},
		{"/sessions?line=agent:main", "/sessions?agent=main"},
		{"/logs?line=%22a+b%22", "/logs?q=a+b"},
	} {
		w := f.get(c[0])
		if w.Code != 303 || w.Header().Get("Location") != c[1] {
			t.Errorf("GET %s: %d to %s, want %s", c[0], w.Code, w.Header().Get("Location"), c[1])
		}
	}
	for _, target := range []string{"/calls?line=status:nonsense", "/calls?since=yesterdayish", "/calls?zone=Nowhere/Land", "/calls?before=x", "/calls?nonsense=1", "/logs?show=call.x", "/logs?show=nonsense.x", "/?q=x", "/calls?since=1d&until=30d", "/?since=2026-11-25&until=2026-11-25"} {
		if w := f.get(target); w.Code != 400 || !strings.Contains(w.Body.String(), "Not understood") {
			t.Errorf("GET %s: %d, want 400 and why", target, w.Code)
		}
	}
}

// Time range and zone are on every page with rows, and its links keep them.
func TestTimesAreVisibleAndKept(t *testing.T) {
	f := newFixture(t)
	for _, b := range life(time.Now(), 1, 60) {
		f.submit(b)
	}
	for _, target := range sections {
		doc := f.page(target + "?since=7d&zone=%2B05:30")
		if got := text(doc); !strings.Contains(got, "+05:30") || !strings.Contains(got, " – ") {
			t.Errorf("%s does not show its times and zone", target)
		}
		for _, a := range all(doc, func(n *html.Node) bool { return n.Data == "a" && attr(n.Parent.Parent.Parent, "aria-label") == "Pages" }) {
			if q, _ := url.ParseQuery(strings.SplitN(attr(a, "href"), "?", 2)[1]); q.Get("since") != "7d" || q.Get("zone") != "+05:30" {
				t.Errorf("%s: the link %s loses the times", target, attr(a, "href"))
			}
		}
	}
}

func TestRefreshWithoutAScript(t *testing.T) {
	f := newFixture(t)
	for _, page := range sections {
		if w := f.get(page + "?refresh=10"); w.Code != 200 || w.Header().Get("Refresh") != "10" {
			t.Errorf("%s: %d, Refresh is %q, want 10", page, w.Code, w.Header().Get("Refresh"))
		}
	}
	for _, odd := range []string{"0", "1", "-5", "x", "5;url=http://example.org"} {
		if got := f.get("/calls?refresh=" + url.QueryEscape(odd)).Header().Get("Refresh"); got != "" {
			t.Errorf("refresh=%s: Refresh is %q, want none", odd, got)
		}
	}
}

func TestConditionIsShown(t *testing.T) {
	f := newFixture(t)
	f.reasons = []string{"the disk is <full>"}
	for _, target := range sections {
		if got := text(f.page(target)); !strings.Contains(got, "Something needs your attention the disk is <full>") {
			t.Errorf("%s does not say what is wrong", target)
		}
	}
}

func TestWithoutADatabase(t *testing.T) {
	f := newFixture(t)
	session := f.session
	f.session = nil
	for _, target := range append(sections, "/calls/x", "/sessions/x") {
		if w := f.get(target); w.Code != 503 || !strings.Contains(w.Body.String(), "the database is not open") {
			t.Errorf("GET %s: %d %.100s, want 503", target, w.Code, w.Body)
		}
	}
	f.session = session
}

func TestNotHere(t *testing.T) {
	f := newFixture(t)
	for _, target := range []string{"/nowhere", "/calls/ffffffff", "/sessions/nobody", "/logs?show=error.x", "/calls/"} {
		if w := f.get(target); w.Code != 404 {
			t.Errorf("GET %s: %d, want 404", target, w.Code)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/calls", nil))
		if w.Code != 404 && w.Code != 405 {
			t.Errorf("%s /calls: %d", method, w.Code)
		}
	}
}

// Pages of a list follow each other without a gap or a repetition.
func TestPagesOfAList(t *testing.T) {
	f := newFixture(t)
	var b writer.Batch
	at := time.Now().Add(-time.Hour).UnixMilli()
	for i := range 120 {
		b.Calls = append(b.Calls, db.InsertLLMTraceParams{CreatedAt: at + int64(i/3), Provider: "p", Model: "m", Status: "ok"})
	}
	f.submit(&b)
	seen := make(map[string]bool)
	target := "/calls"
	pages := 0
	for ; target != ""; pages++ {
		doc := f.page(target)
		for _, a := range byClass(doc, "row") {
			if id := attr(a, "href"); seen[id] {
				t.Errorf("%s is on two pages", id)
			} else {
				seen[id] = true
			}
		}
		target = ""
		for _, a := range all(doc, func(n *html.Node) bool { return n.Data == "a" && attr(n, "rel") == "next" }) {
			target = attr(a, "href")
		}
	}
	if len(seen) != 120 || pages != 3 {
		t.Errorf("%d calls on %d pages, want 120 on 3", len(seen), pages)
	}
}

func TestNeighboursKeepTheFilter(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(-time.Hour).UnixMilli()
	var b writer.Batch
	for i, model := range []string{"a", "b", "a", "b", "a"} {
		b.Calls = append(b.Calls, db.InsertLLMTraceParams{TraceID: strings.Repeat("0", 7) + string(rune('0'+i)) + "-0000-4000-8000-000000000000", CreatedAt: at + int64(i)*1000, Provider: "p", Model: model, Status: "ok"})
	}
	f.submit(&b)
	doc := f.page("/calls/00000002-0000-4000-8000-000000000000?model=a")
	for rel, want := range map[string]string{"prev": "/calls/00000004-0000-4000-8000-000000000000?model=a", "next": "/calls/00000000-0000-4000-8000-000000000000?model=a"} {
		links := all(doc, func(n *html.Node) bool { return n.Data == "a" && attr(n, "rel") == rel })
		if len(links) != 1 || attr(links[0], "href") != want {
			t.Errorf("%s: %d links, want one to %s", rel, len(links), want)
		}
	}
}

// A number leads to what it counts, and to nothing else.
func TestTilesLeadToWhatTheyCount(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	call := func(id string, ago time.Duration, status string) db.InsertLLMTraceParams {
		return db.InsertLLMTraceParams{TraceID: id, CreatedAt: now.Add(-ago).UnixMilli(), Provider: "p", Model: "m", Status: status, SessionID: ptr("s1")}
	}
	f.submit(&writer.Batch{
		Calls: []db.InsertLLMTraceParams{
			call("31111111-1111-4111-8111-111111111111", time.Minute, "error"),
			call("41111111-1111-4111-8111-111111111111", 3*time.Hour, "ok"),
		},
		Errors: []db.InsertErrorEventParams{{TraceID: "51111111-1111-4111-8111-111111111111", CreatedAt: now.UnixMilli(), ErrorType: "crash", Severity: "critical", Message: "it broke"}},
	})
	f.settle()
	leadsTo := func(target, label string) string {
		t.Helper()
		for _, n := range byClass(f.page(target), "tile") {
			if strings.HasPrefix(text(n), label) {
				return attr(n, "href")
			}
		}
		t.Fatalf("%s has no tile %s", target, label)
		return ""
	}
	if got := text(f.page(leadsTo("/", "Failed calls 1"))); strings.Contains(got, "it broke") {
		t.Errorf("failed calls lead to errors that are no calls: %.900s", got)
	}
	// The sums are of the whole session, whatever time its page shows.
	for _, label := range []string{"Calls 2", "Failed calls 1"} {
		if got := leadsTo("/sessions/s1?since=1h", label); !strings.Contains(got, "since=all") {
			t.Errorf("%s leads to %s", label, got)
		}
	}
	// The overview has no place for other filters than the time.
	if w := f.get("/?model=m"); w.Code != 400 {
		t.Errorf("GET /?model=m: %d", w.Code)
	}
}

// A session's page shows all of it unless somebody asks for a part, which may be a day.
func TestADayOfASession(t *testing.T) {
	f := newFixture(t)
	var calls []db.InsertLLMTraceParams
	for i := range 130 {
		calls = append(calls, db.InsertLLMTraceParams{
			TraceID: fmt.Sprintf("31111111-1111-4111-8111-%012d", i), CreatedAt: time.Now().Add(-time.Duration(i) * time.Second).UnixMilli(),
			Provider: "p", Model: "m", Status: "ok", SessionID: ptr("s1"),
		})
	}
	calls[129].CreatedAt = time.Now().Add(-48 * time.Hour).UnixMilli()
	f.submit(&writer.Batch{Calls: calls})
	f.settle()
	follow := func(target, label string) string {
		t.Helper()
		for _, n := range all(f.page(target), func(n *html.Node) bool { return n.Data == "a" && text(n) == label }) {
			return attr(n, "href")
		}
		t.Fatalf("%s has no link %s", target, label)
		return ""
	}
	if got := len(byClass(f.page(follow("/sessions/s1", "Older")), "call")); got != 30 {
		t.Errorf("the second page of all of it has %d calls, want 30", got)
	}
	if got := len(byClass(f.page(follow(follow("/sessions/s1", "24h"), "Older")), "call")); got != 29 {
		t.Errorf("the second page of a day has %d calls, want 29", got)
	}
}

// Who guesses too often is told so by the status, as at the API.
func TestTooManyGuesses(t *testing.T) {
	for _, status := range []int{401, 429} {
		d := dashboard.New(dashboard.Options{
			Session: func() *dashboard.Session { return nil }, Reasons: func() []string { return nil }, Log: slog.New(slog.DiscardHandler),
			LogIn: func(*http.Request, string) (*http.Cookie, int, error) { return nil, status, errors.New("no") },
		})
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest("POST", "/login", nil))
		if w.Code != status || (w.Header().Get("Retry-After") != "") != (status == 429) || len(w.Result().Cookies()) > 0 {
			t.Errorf("%d %v, want %d", w.Code, w.Header(), status)
		}
	}
}

// A time of which only the end is given is the day before that, as at the API.
func TestADayBefore(t *testing.T) {
	f := newFixture(t)
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{
		{TraceID: "31111111-1111-4111-8111-111111111111", CreatedAt: time.Now().Add(-60 * time.Hour).UnixMilli(), Provider: "p", Model: "m", Status: "ok"},
		{TraceID: "41111111-1111-4111-8111-111111111111", CreatedAt: time.Now().Add(-80 * time.Hour).UnixMilli(), Provider: "p", Model: "m", Status: "ok"},
	}})
	if got := len(byClass(f.page("/calls?until=2d"), "call")); got != 1 {
		t.Errorf("there are %d calls, want 1", got)
	}
}
