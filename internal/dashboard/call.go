package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/dashboard/chart"
	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// call is one call: what was sent and said, within what, at what price.
func (r *request) call() (*answer, error) {
	var (
		c            *view.Call
		trace        *view.Trace
		host         *view.Reading
		older, newer string
	)
	err := r.ask(func(ctx context.Context, v *view.View) (err error) {
		if c, err = v.Call(ctx, r.PathValue("trace_id")); err != nil || r.own("part") != "" {
			return err
		}
		if older, newer, err = v.Neighbours(ctx, r.filter, c.Cursor()); err != nil {
			return err
		}
		if host, err = v.ReadingAt(ctx, c.CreatedAt+value(c.LatencyMS)); err != nil {
			return err
		}
		trace, err = v.Trace(ctx, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	if part := r.own("part"); part != "" {
		return rawPartOf(c, part)
	}
	meta := members(c.Metadata)
	t := &texts{left: inlineText, whole: link(callPath(c.TraceID), r.filter, "whole", "1")}
	if r.own("whole") != "" {
		t.whole = ""
	}
	body := h.Group{
		h.Nav(h.Class("crumbs"), h.Aria("label", "Calls beside this one"),
			h.Span(h.A(h.Href(link("/calls", r.filter)), h.Text("Calls")), h.Span(h.Class("dim"), h.Text(" of "+r.rangeText()+" "+r.zoneName()), of(r.filter))),
			h.Span(h.Class("step"),
				step(newer, "← Newer", "prev", r.filter), step(older, "Older →", "next", r.filter))),
		h.Div(h.Class("heading"), h.H1(named(c.Model, 60), h.Text(" "), state(&c.CallRow)),
			h.Span(h.Class("dim"), r.moment(c.CreatedAt), h.Text(" "+r.zoneName()+", "), r.ago(c.CreatedAt))),
		h.Div(h.Class("call-page"),
			h.Div(h.Class("talk"),
				r.callError(c, t),
				r.waterfall(trace, c),
				r.said("Input", c.InputText, "user", "input", "openclaw_trace.input_bytes", meta, t, true, false),
				r.said("Output", c.OutputText, "assistant", "output", "openclaw_trace.output_bytes", meta, t, false, c.Status != "ok"),
			),
			h.Aside(h.Aria("label", "Facts"), r.facts(c), r.hostThen(c, host), metadata(meta, "Metadata", false), r.raw(c))),
	}
	return &answer{title: shorten(readable.Visible(c.Model), 40) + " " + r.time(c.CreatedAt).Format("15:04:05"), body: body}, nil
}

// of says which calls a filter leaves.
func of(f view.Filter) h.Node {
	if !f.Narrow() {
		return nil
	}
	return h.Group{h.Text(", "), h.Code(say(f.Line()))}
}

func value[T any](p *T) (zero T) {
	if p == nil {
		return zero
	}
	return *p
}

func step(id, name, rel string, f view.Filter) h.Node {
	if id == "" {
		return h.Span(h.Class("dim"), h.Text(name))
	}
	return h.A(h.Rel(rel), h.Href(link(callPath(id), f)), h.Text(name))
}

// rawPartOf is a text as it is stored, and nothing else.
func rawPartOf(c *view.Call, part string) (*answer, error) {
	text := map[string]*string{"input": c.InputText, "output": c.OutputText, "metadata": c.Metadata}[part]
	if text == nil {
		return nil, view.ErrNotFound
	}
	return &answer{text: text}, nil
}

func (r *request) callError(c *view.Call, t *texts) h.Node {
	if c.Status == "ok" {
		return nil
	}
	var nodes []h.Node
	if c.ErrorMessage != nil && *c.ErrorMessage != "" {
		nodes = append(nodes, t.body(*c.ErrorMessage))
	} else {
		nodes = append(nodes, h.P(h.Text("The emitter gave no message.")))
	}
	f := r.times()
	f.Name = value(c.ErrorType)
	var more h.Node
	if f.Name != "" {
		more = h.P(h.Class("more"), h.A(h.Href(link("/errors", f)), h.Text("Others of this type")))
	}
	title := "Why it failed"
	if c.Status == "timeout" {
		title = "It timed out"
	}
	return h.Section(h.Class("card why"), h.H2(h.Text(title), h.If(c.ErrorType != nil, h.Text(": ")), say(value(c.ErrorType))), h.Group(nodes), more)
}

// said is the input or the output, or why there is none.
func (r *request) said(title string, text *string, role, part, sizeKey string, meta map[string]json.RawMessage, t *texts, fold, failed bool) h.Node {
	var sent int64
	if json.Unmarshal(meta[sizeKey], &sent) != nil {
		sent = 0
	}
	if text == nil {
		why := []h.Node{h.P(h.Text("The emitter sent none. In OpenClaw, content is on with diagnostics.otel.captureContent; other emitters have a setting of that kind."))}
		var dropped string // by the janitor
		switch _ = json.Unmarshal(meta["openclaw_trace.content_dropped"], &dropped); {
		case dropped != "":
			why = []h.Node{h.P(h.Text("The texts of this call were deleted to make room ("), say(dropped), h.Text("). OCT_MAX_DB_BYTES and OCT_MIN_FREE_BYTES say how much there is."))}
		case failed && sent == 0:
			why = []h.Node{h.P(h.Text("The call failed, and nothing was answered."))}
		case sent > 0:
			why = []h.Node{h.P(h.Text(bytesOf(int(sent)) + " were received and not kept, as OCT_CAPTURE_CONTENT=off says."))}
		}
		return section("", title, h.Div(h.Class("empty small"), h.H3(h.Text("No content")), h.Group(why)))
	}
	list := readable.Messages(*text, role)
	about := plural(int64(len(list)), "message", "messages") + ", " + bytesOf(len(*text))
	if sent > int64(len(*text)) {
		about += " of the " + bytesOf(int(sent)) + " that were sent; the rest was left out when it was stored (OCT_MAX_TEXT_BYTES)"
	}
	return h.Section(h.Class("said"), h.H2(h.Text(title), h.Text(" "), h.Span(h.Class("dim"), h.Text(about+" ")), h.A(h.Class("rawlink"), h.Href(link(r.URL.EscapedPath(), view.Filter{Since: day}, "part", part)), h.Text("raw"))),
		t.conversation(list, fold))
}

// waterfall shows the trace that a call is part of.
func (r *request) waterfall(trace *view.Trace, c *view.Call) h.Node {
	if trace == nil || len(trace.Nodes) < 2 {
		return nil
	}
	whole := max(float64(trace.Until-trace.From), 1)
	var rows []h.Node
	for _, n := range trace.Nodes {
		from := float64(n.CreatedAt-trace.From) / whole
		to := from + float64(value(n.DurationMS))/whole
		class := "other"
		switch {
		case n.Status != "ok":
			class = "bad"
		case n.Kind == "call":
			class = "model"
		case strings.Contains(strings.ToLower(n.Name+value(n.Operation)), "tool"):
			class = "tool"
		}
		href := link("/logs", r.times(), "show", view.KindSpan+"."+n.TraceID)
		if n.Kind == "call" {
			href = link(callPath(n.TraceID), r.filter)
		}
		attrs := []h.Node{}
		if n.TraceID == c.TraceID {
			attrs = append(attrs, h.Class("this"), h.Aria("current", "true"))
		}
		rows = append(rows, h.Tr(append(attrs,
			h.Th(h.Attr("scope", "row"), h.Class("depth"+string(rune('0'+min(n.Depth, 8)))), h.A(h.Class("row"), h.Href(href), named(n.Name, 40))),
			h.Td(h.Class("bar"), chart.Span(class, from, to)),
			h.Td(h.Class("n wide"), h.Text("+"+duration(n.CreatedAt-trace.From))),
			h.Td(h.Class("n"), orUnknown(n.DurationMS, duration)),
			h.Td(h.Class("n"), h.If(n.Kind == "call", cost(n.CostUSD))))...))
	}
	var note h.Node
	if trace.Omitted > 0 {
		note = h.P(h.Class("note"), h.Text("And "+plural(int64(trace.Omitted), "other part", "other parts")+"."))
	}
	return section("", "Its turn: "+plural(int64(len(trace.Nodes)+trace.Omitted), "part", "parts")+" in "+duration(trace.Until-trace.From),
		h.Div(h.Class("scroll"), h.Table(h.Class("waterfall"), h.Aria("label", "The parts of this turn, in time"),
			h.THead(h.Class("sr"), h.Tr(h.Th(h.Attr("scope", "col"), h.Text("Part")), h.Th(h.Attr("scope", "col"), h.Text("Time")), h.Th(h.Class("wide"), h.Attr("scope", "col"), h.Text("Began after")), h.Th(h.Attr("scope", "col"), h.Text("Took")), h.Th(h.Attr("scope", "col"), h.Text("Cost")))),
			h.TBody(rows...))), note)
}

// list is a list of names and values.
func list(pairs ...h.Node) h.Node { return h.Dl(h.Class("facts"), h.Group(pairs)) }

func fact(name string, value h.Node) h.Node {
	return h.Div(h.Dt(h.Text(name)), h.Dd(value))
}

func (r *request) facts(c *view.Call) h.Node {
	linked := func(s *string, set func(*view.Filter, string)) h.Node {
		if s == nil || *s == "" {
			return none()
		}
		f := r.times()
		set(&f, *s)
		return h.A(h.Href(link("/calls", f)), named(*s, 60))
	}
	session := none()
	if c.Session != nil {
		session = h.A(h.Href(link(sessionPath(*c.Session), r.times())), named(*c.Session, 60))
	}
	tokens := func(n *int64) h.Node { return orUnknown(n, count) }
	pairs := []h.Node{
		fact("Model", linked(&c.Model, func(f *view.Filter, s string) { f.Model = s })),
		fact("Provider", linked(&c.Provider, func(f *view.Filter, s string) { f.Provider = s })),
		fact("Operation", sayOr(c.Operation)),
		fact("Session", session),
		fact("Agent", linked(c.Agent, func(f *view.Filter, s string) { f.Agent = s })),
		fact("Started", r.moment(c.CreatedAt)),
		fact("Latency", orUnknown(c.LatencyMS, duration)),
		fact("First token after", orUnknown(c.TTFTMS, duration)),
		fact("Input tokens", tokens(c.PromptTokens)),
		fact("of it, cache read", h.Group{tokens(c.CacheReadTokens), ofTokens(c.CacheReadTokens, c.PromptTokens)}),
		fact("of it, cache write", tokens(c.CacheWriteTokens)),
		fact("Output tokens", tokens(c.CompletionTokens)),
		fact("of it, reasoning", tokens(c.ReasoningTokens)),
		fact("Cost", cost(c.CostUSD)),
		fact("Cost from", costSource(c)),
	}
	pairs = append(pairs, fact("Delivered", r.delivered(c)), fact("Id", h.Code(say(c.TraceID))))
	if c.OTELTraceID != nil {
		pairs = append(pairs, fact("OpenTelemetry trace", h.Code(say(*c.OTELTraceID))), fact("span", h.Code(sayOr(c.OTELSpanID))))
	}
	return h.Section(h.Class("card"), h.H2(h.Text("Facts")), list(pairs...))
}

func ofTokens(n, of *int64) h.Node {
	if n == nil || of == nil || *n == 0 {
		return nil
	}
	return h.Span(h.Class("dim"), h.Text(" ("+share(*n, *of)+")"))
}

// costSource says where a cost comes from.
func costSource(c *view.Call) h.Node {
	switch {
	case c.CostUSD == nil && c.PromptTokens == nil && c.CompletionTokens == nil:
		return h.Text("nowhere: neither a cost nor tokens were reported")
	case c.CostUSD == nil:
		return h.Text("nowhere: none was reported, and no price is known for this model")
	case c.CostSource == nil:
		return none()
	case *c.CostSource == "reported":
		return h.Text("the emitter")
	}
	if version, ok := strings.CutPrefix(*c.CostSource, "computed:"); ok {
		return h.Group{h.Text("our price table, "), say(version)}
	}
	return say(*c.CostSource)
}

func (r *request) delivered(c *view.Call) h.Node {
	switch {
	case c.PushedAt != nil:
		return r.clock(*c.PushedAt)
	case c.Synced:
		return h.A(h.Href(link("/push", r.times())), h.Text("in quarantine"))
	}
	if s := r.d.opts.Session(); s != nil && s.Delivery == nil {
		return h.Text("kept here only")
	}
	return h.Text("waits")
}

// hostThen is how the host was at the end of the call.
func (r *request) hostThen(c *view.Call, reading *view.Reading) h.Node {
	at := c.CreatedAt + value(c.LatencyMS)
	around := between(r.times(), at-30*60_000, at+30*60_000)
	if reading == nil {
		return h.Section(h.Class("card"), h.H2(h.Text("The host at that time")), h.P(h.Class("quiet"), h.Text("No reading within five minutes of it.")))
	}
	memory := none()
	if reading.MemTotal != nil && reading.MemAvail != nil {
		used := *reading.MemTotal - *reading.MemAvail
		class := ""
		if float64(used) > 0.9*float64(*reading.MemTotal) {
			class = "bad"
		}
		memory = h.Group{h.Span(h.Class(class), h.Text(size(float64(used))+" of "+size(float64(*reading.MemTotal)))), chart.Share(float64(used), float64(*reading.MemTotal))}
	}
	cpu := none()
	if reading.CPUPct != nil {
		cpu = h.Text(percentage(*reading.CPUPct))
	}
	rss := orUnknown(reading.MemRSS, func(n int64) string { return size(float64(n)) })
	return h.Section(h.Class("card"), h.H2(h.Text("The host at that time")), list(
		fact("CPU", cpu), fact("Memory", memory), fact("Memory of the agent", rss),
		fact("Disk free", orUnknown(reading.DiskFree, func(n int64) string { return size(float64(n)) })),
		fact("Read", h.Group{r.clock(reading.CreatedAt)})),
		h.P(h.Class("more"), h.A(h.Href(link("/system", around)), h.Text("The hour around it")), h.Text(", "),
			h.A(h.Href(link("/logs", between(r.times(), c.CreatedAt-60_000, at+60_000))), h.Text("the logs"))))
}

// members returns the members of a JSON object.
func members(object *string) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage)
	if object == nil || json.Unmarshal([]byte(*object), &m) != nil {
		return nil
	}
	return m
}

// metadata lists what was sent besides. Keys are text like the rest.
func metadata(m map[string]json.RawMessage, title string, open bool) h.Node {
	if len(m) == 0 {
		return nil
	}
	const most = 200
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	t := &texts{left: inlineText}
	var rows []h.Node
	for _, k := range keys[:min(len(keys), most)] {
		v := m[k]
		var shown h.Node
		if text := readable.Pretty(v); len(text) > 80 || strings.Contains(text, "\n") {
			shown = t.body(text)
		} else if text == "" {
			shown = h.Code(say(string(bytes.TrimSpace(v))))
		} else {
			shown = say(text)
		}
		rows = append(rows, h.Div(h.Dt(named(k, 80)), h.Dd(shown)))
	}
	if left := len(keys) - most; left > 0 {
		rows = append(rows, h.Div(h.Dt(h.Text("…")), h.Dd(h.Text(plural(int64(left), "more", "more")))))
	}
	return h.Details(h.Class("card meta"), h.If(open, h.Open()), h.Summary(h.H2(h.Text(title)), h.Span(h.Class("dim"), h.Text(" "+plural(int64(len(keys)), "value", "values")))),
		h.Dl(h.Class("facts long"), h.Group(rows)))
}

// raw leads to what is stored, as it is.
func (r *request) raw(c *view.Call) h.Node {
	var links []h.Node
	add := func(name, href string) {
		if len(links) > 0 {
			links = append(links, h.Text(", "))
		}
		links = append(links, h.A(h.Href(href), h.Text(name)))
	}
	for _, p := range []struct {
		name string
		text *string
	}{{"input", c.InputText}, {"output", c.OutputText}, {"metadata", c.Metadata}} {
		if p.text != nil {
			add(p.name, link(callPath(c.TraceID), view.Filter{Since: day}, "part", p.name))
		}
	}
	add("everything as JSON", "/api/v1"+callPath(c.TraceID))
	return h.Section(h.Class("card"), h.H2(h.Text("As it is stored")), h.P(links...))
}

// around is a time and some minutes before and after.
func around(f view.Filter, at int64, by time.Duration) view.Filter {
	return between(f, at-by.Milliseconds(), at+by.Milliseconds())
}
