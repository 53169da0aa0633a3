package dashboard

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/kon-rad/openclaw-trace/internal/dashboard/chart"
	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// calls is the list of calls.
func (r *request) calls() (*answer, error) {
	if a, err := r.typed("/calls", view.CallParams); a != nil || err != nil {
		return a, err
	}
	var list view.List[view.CallRow]
	var s *view.Stats
	var extent view.Extent
	err := r.ask(func(ctx context.Context, v *view.View) (err error) {
		if list, err = v.Calls(ctx, r.filter, view.Page{Before: r.before, Limit: 50}); err != nil {
			return err
		}
		if r.before == (view.Cursor{}) && summable(r.filter) {
			if s, err = v.Sums(ctx, r.filter); err != nil {
				return err
			}
		}
		if len(list.Rows) == 0 {
			extent, err = v.Extent(ctx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	body := h.Group{
		r.heading("Calls"),
		r.filterLine(view.CallParams, []example{
			{"failed", "status:failed"}, {"slower than 10 s", "min_latency:10s"}, {"more than 5 cents", "min_cost:0.05"},
		}),
	}
	if s != nil && s.Total.Calls > 0 {
		body = append(body, section("when", "", r.callChart(s)))
	}
	rows := r.callTable(list.Rows, r.filter, false)
	if len(list.Rows) == 0 && list.Next == nil && r.before == (view.Cursor{}) {
		rows = r.noCalls(extent)
	}
	body = append(body, section(r.liveList("list"), "", rows, r.pager(list.Next, list.SearchedTo, len(list.Rows)), r.downloads("/calls")))
	return &answer{title: "Calls", body: body}, nil
}

// liveList is the id of a list that is renewed: only that of the newest rows is.
func (r *request) liveList(id string) string {
	if r.before != (view.Cursor{}) || r.filter.Until != (view.Instant{}) {
		return ""
	}
	return id
}

// summable tells whether there are sums of what f wants.
func summable(f view.Filter) bool {
	for name := range f.Query() {
		if !slices.Contains(view.SumParams, name) {
			return false
		}
	}
	return true
}

// callChart shows when calls were made.
func (r *request) callChart(s *view.Stats) h.Node {
	ok, failed := make([]float64, len(s.Series)), make([]float64, len(s.Series))
	for i, b := range s.Series {
		ok[i], failed[i] = float64(b.Sums.Calls-b.Sums.Failed), float64(b.Sums.Failed)
	}
	return chart.Bars(chart.Time{
		ID: "calls-chart", Height: 90, Title: plural(s.Total.Calls, "call", "calls") + ", " + perBucket(s.BucketMS), Starts: starts(s), Until: s.Until, Zone: r.zone,
		Unit:   chart.Counts(func(v float64) string { return short(int64(v)) }),
		Series: []chart.Series{{Name: "answered", Values: ok, Class: 1}, {Name: "failed", Values: failed, Class: 9}},
		Link: func(b int) string {
			return link("/calls", between(r.filter, s.Series[b].From, s.Series[b].Until))
		},
	})
}

// example is a filter to click on.
type example struct{ name, line string }

// filterLine is what people type to choose rows. It works as a form without a script.
func (r *request) filterLine(takes []string, examples []example) h.Node {
	line := r.filter.Line()
	var quick []h.Node
	for _, e := range examples {
		f, err := view.ParseLine(r.times(), e.line, takes...)
		if err != nil {
			continue // an example of ours is right
		}
		quick = append(quick, h.Li(h.A(h.Href(link(r.URL.EscapedPath(), f)), h.Text(e.name))))
	}
	var names []string
	for _, name := range takes {
		if !slices.Contains(view.TimeParams, name) && name != "q" {
			names = append(names, name+":")
		}
	}
	return h.Form(h.Class("filter"), h.Method("get"), h.Action(r.URL.EscapedPath()), h.Role("search"), h.Aria("label", "This list"),
		r.hiddenTimes(),
		h.Div(h.Class("line"),
			h.Input(h.Type("search"), h.Name("line"), h.Value(readable.Visible(line)), h.Aria("label", "Filter"), h.Data("find", "first"), h.AutoComplete("off"), h.Attr("spellcheck", "false"),
				h.Placeholder("words, or "+strings.Join(names[:min(4, len(names))], "… ")+"…")),
			h.Button(h.Type("submit"), h.Text("Filter")),
			h.If(line != "", h.A(h.Class("clear"), h.Href(link(r.URL.EscapedPath(), r.times())), h.Text("Clear")))),
		h.Ul(h.Class("quick"), h.Group(quick), h.Li(h.Class("dim"), h.Text("by "+strings.Join(names, " ")))))
}

// pager leads on in a list, and says how far it was searched.
func (r *request) pager(next *view.Cursor, searched *int64, rows int) h.Node {
	var nodes []h.Node
	if searched != nil {
		text := "Searched back to "
		if rows == 0 {
			text = "Nothing found so far, searched back to "
		}
		nodes = append(nodes, h.Span(h.Class("searched"), h.Text(text), r.moment(*searched), h.Text(". ")))
	}
	if r.before != (view.Cursor{}) {
		nodes = append(nodes, h.A(h.Href(r.self(r.filter)), h.Text("Newest")))
	}
	if next != nil {
		text := "Older"
		if searched != nil {
			text = "Search on"
		}
		nodes = append(nodes, h.A(h.Rel("next"), h.Href(r.self(r.filter, "before", next.String())), h.Text(text)))
	}
	if len(nodes) == 0 {
		return nil
	}
	return h.Nav(h.Class("pager"), h.Aria("label", "Parts of the list"), h.Group(nodes))
}

// downloads are the same rows for programs.
func (r *request) downloads(path string) h.Node {
	return h.P(h.Class("downloads"), h.Text("The same as "),
		h.A(h.Href(api(path, r.filter, "csv")), h.Text("CSV")), h.Text(", "),
		h.A(h.Href(api(path, r.filter, "jsonl")), h.Text("JSONL")), h.Text(", "),
		h.A(h.Href(api(path, r.filter, "")), h.Text("JSON")))
}

// callTable lists calls. from is the list that their pages go back to.
func (r *request) callTable(rows []view.CallRow, from view.Filter, brief bool) h.Node {
	if len(rows) == 0 {
		return nil
	}
	who := "Model, session"
	if r.PathValue("id") != "" {
		who = "Model, provider"
	}
	var trs []h.Node
	for i := range rows {
		c := &rows[i]
		class := "call"
		if c.Status != "ok" {
			class = "call failed"
		}
		under := h.Node(named(c.Provider, 30))
		if c.Session != nil && r.PathValue("id") == "" { // on its own page all are of one
			under = h.A(h.Class("quietly"), h.Href(link(sessionPath(*c.Session), r.times())), middle(*c.Session, 26))
		}
		f := r.times()
		f.Model, f.Provider = c.Model, c.Provider
		trs = append(trs, h.Tr(h.Class(class),
			h.Td(h.Class("when"), h.A(h.Class("row"), h.Href(link(callPath(c.TraceID), from)), r.clock(c.CreatedAt))),
			h.Td(h.Class("model"), h.A(h.Class("quietly"), h.Href(link("/calls", f)), h.Title(readable.Visible(c.Provider)), named(c.Model, 28)), h.Span(h.Class("reply"), under)),
			h.Td(h.Class("text"), callText(c)),
			h.Td(h.Class("n tokens"), orUnknown(c.PromptTokens, count)),
			h.Td(h.Class("n tokens"), orUnknown(c.CompletionTokens, count)),
			h.If(!brief, h.Td(h.Class("n tokens"), cached(c))),
			h.Td(h.Class("n took"), orUnknown(c.LatencyMS, duration)),
			h.Td(h.Class("n cost"), cost(c.CostUSD)),
			h.Td(h.Class("state"), state(c))))
	}
	columns := []string{"Time", who, "Said", "#Input", "#Output", "#Cache read", "#Latency", "#Cost", "Status"}
	if brief {
		columns = slices.Delete(columns, 5, 6)
	}
	return table("Calls, newest first", columns, trs)
}

func cached(c *view.CallRow) h.Node {
	if c.CacheReadTokens == nil {
		return orUnknown(nil, count)
	}
	var of string
	if c.PromptTokens != nil && *c.CacheReadTokens > 0 {
		of = share(*c.CacheReadTokens, *c.PromptTokens)
	}
	return h.Span(h.Title(count(*c.CacheReadTokens)+" tokens"), h.Text(orElse(of, count(*c.CacheReadTokens))))
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// callText is what was said in a call, in a line.
func callText(c *view.CallRow) h.Node {
	var nodes []h.Node
	if c.InputPreview != nil {
		nodes = append(nodes, h.Span(say(*c.InputPreview)))
	}
	switch {
	case c.Status != "ok" && c.ErrorMessage != nil && *c.ErrorMessage != "":
		nodes = append(nodes, h.Span(h.Class("reply bad"), say(shorten(*c.ErrorMessage, 160))))
	case c.OutputPreview != nil:
		nodes = append(nodes, h.Span(h.Class("reply"), saidOrCalled(*c.OutputPreview)))
	}
	if len(nodes) == 0 {
		return h.Span(h.Class("unknown"), h.Title("the emitter sent no content, or it was not kept"), h.Text("no content"))
	}
	return h.Group(nodes)
}

// aCall finds the name of a tool in a preview that is the beginning of JSON, because
// there is no text in it.
var aCall = regexp.MustCompile(`"name":\s*"([^"\\]{1,80})"`)

func saidOrCalled(preview string) h.Node {
	if strings.HasPrefix(preview, "[{") && strings.Contains(preview, `"tool_call"`) {
		if m := aCall.FindStringSubmatch(preview); m != nil {
			return h.Group{h.Text("calls "), say(m[1])}
		}
		return h.Text("calls a tool")
	}
	return say(preview)
}

// state is whether a call went well, and if not, why.
func state(c *view.CallRow) h.Node {
	if c.Status == "ok" {
		return h.Span(h.Class("badge ok"), h.Text("ok"))
	}
	text := c.Status
	if c.ErrorType != nil && *c.ErrorType != "" {
		text = *c.ErrorType
	}
	return h.Span(h.Class("badge bad"), named(text, 26))
}
