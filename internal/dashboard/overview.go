package dashboard

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/dashboard/chart"
	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

var nan = math.NaN()

// overview is the page to open first: what happened, what it cost, what failed, how the
// host was, and whether the record leaves.
func (r *request) overview() (*answer, error) {
	var (
		s      *view.Stats
		before *view.Sums // nil if there is nothing to compare with
		top    *view.TopSessions
		calls  view.List[view.CallRow]
		failed view.List[view.Entry]
		host   *view.Memory
		extent view.Extent
	)
	failures := r.times()
	failures.Severity = "error" // a warning is none
	err := r.ask(func(ctx context.Context, v *view.View) (err error) {
		if extent, err = v.Extent(ctx); err != nil {
			return err
		}
		if s, err = v.Stats(ctx, r.filter); err != nil {
			return err
		}
		// A time that was recorded in part only is nothing to compare with.
		if length := s.Until - s.From; extent.FirstCall != nil && *extent.FirstCall <= s.From-length {
			total, err := v.Total(ctx, between(r.filter, s.From-length, s.From))
			if err != nil {
				return err
			}
			before = &total
		}
		if top, err = v.TopSessions(ctx, r.times(), 5); err != nil {
			return err
		}
		if calls, err = v.Calls(ctx, r.times(), view.Page{Limit: 12}); err != nil {
			return err
		}
		if failed, err = v.Entries(ctx, view.ErrorKinds, failures, view.Page{Limit: 5}); err != nil {
			return err
		}
		host, err = v.Memory(ctx, r.filter, 48)
		return err
	})
	if err != nil {
		return nil, err
	}
	if never(extent) {
		return &answer{title: "Overview", body: h.Group{r.heading("Overview"), r.neverReceived()}}, nil
	}
	recent := r.callTable(calls.Rows, r.times(), true)
	if len(calls.Rows) == 0 {
		recent = r.noCalls(extent)
	}
	body := h.Group{
		r.heading("Overview"),
		h.Div(h.Class("tiles"), h.ID("tiles"), h.Data("live", ""), h.Group(r.tiles(s, before, host))),
		h.Div(h.Class("columns"),
			section("cost", "", r.costChart(s)),
			section("latency", "", r.latencyChart(s)),
		),
		h.Div(h.Class("columns"),
			section("top", "What cost most", r.topSessions(top, s.Total)),
			section("models", "Models", r.models(s)),
		),
		h.If(len(failed.Rows) > 0, section("failures", "Latest failures", r.entryTable(failed.Rows, "/errors", false),
			h.P(h.Class("more"), h.A(h.Href(link("/errors", r.times())), h.Text("All errors, grouped"))))),
		section("recent", "Recent calls", recent,
			h.If(calls.Next != nil, h.P(h.Class("more"), h.A(h.Href(link("/calls", r.times())), h.Text("All calls"))))),
	}
	return &answer{title: "Overview", body: body}, nil
}

// tile is a number that leads to what it counts.
func tile(href, label string, value h.Node, class string, below ...h.Node) h.Node {
	return h.A(h.Class("tile "+class), h.Href(href), h.Span(h.Class("label"), h.Text(label)), h.Span(h.Class("value"), value), h.Group(below))
}

func sub(nodes ...h.Node) h.Node { return h.Span(h.Class("sub"), h.Group(nodes)) }

func (r *request) tiles(s *view.Stats, before *view.Sums, host *view.Memory) []h.Node {
	t := s.Total
	var calls, costs, tokens, failures, latency []float64
	for _, b := range s.Series {
		calls = append(calls, float64(b.Sums.Calls))
		failures = append(failures, float64(b.Sums.Failed))
		tokens = append(tokens, float64(b.Sums.PromptTokens+b.Sums.CompletionTokens))
		usd := nan
		if c := b.Sums.CostUSD(); c != nil {
			usd = *c
		}
		costs = append(costs, usd)
		p95 := nan
		if b.Latency != nil {
			p95 = float64(b.Latency.P95)
		}
		latency = append(latency, p95)
	}
	f := r.times()
	failedClass := ""
	if t.Failed > 0 {
		failedClass = "bad"
	}
	cost := h.Span(h.Class("unknown"), h.Text("unknown"))
	if usd := t.CostUSD(); usd != nil {
		cost = h.Text(dollars(*usd))
	}
	costSub := h.Node(h.Text("of every call"))
	switch {
	case t.Calls == 0:
		costSub = h.Text("no calls")
	case t.Unpriced == t.Calls:
		costSub = h.Text("none is known")
	case t.Unpriced > 0:
		costSub = h.Span(h.Class("warn"), h.Text(count(t.Unpriced)+" unpriced, not in it"))
	}
	if before != nil && before.Unpriced == 0 && t.Unpriced == 0 {
		if change := compare(float64(t.CostNanoUSD), float64(before.CostNanoUSD)); change != "" {
			costSub = h.Text(change)
		}
	}
	callsSub := ""
	if before != nil {
		callsSub = compare(float64(t.Calls), float64(before.Calls))
	}
	if callsSub == "" && t.Calls > 0 {
		callsSub = plural(int64(len(s.ByModel)), "model", "models")
	}
	tokensSub := "in " + short(t.PromptTokens) + ", out " + short(t.CompletionTokens)
	if t.CacheReadTokens > 0 {
		tokensSub += ", " + share(t.CacheReadTokens, t.PromptTokens) + " from cache"
	}
	failed := f
	failed.Kind = view.KindCall
	list := []h.Node{
		tile(link("/calls", f), "Calls", h.Text(count(t.Calls)), "", sub(h.Text(callsSub)), chart.Spark(calls)),
		tile(link("/sessions", f), "Cost", cost, "", sub(costSub), chart.Spark(costs)),
		tile(link("/calls", f), "Tokens", sumTokens(t), "", sub(h.Text(tokensSub)), chart.Spark(tokens)),
		tile(link("/errors", failed), "Failed calls", h.Text(count(t.Failed)), failedClass, sub(h.Text(orNone(share(t.Failed, t.Calls), " of calls"))), chart.Spark(failures)),
	}
	slow := f
	if p := s.Latency; p != nil {
		slow.MinLatencyMS = p.P95
		list = append(list, tile(link("/calls", slow), "Latency p95", h.Text(duration(p.P95)), "",
			sub(h.Text("p50 "+duration(p.P50)+", p99 "+duration(p.P99))),
			chart.Strip(chart.Milliseconds(axisDuration), []chart.Percentile{{Name: "p50", Value: float64(p.P50)}, {Name: "p95", Value: float64(p.P95)}, {Name: "p99", Value: float64(p.P99)}}),
			chart.Spark(latency)))
	} else {
		list = append(list, tile(link("/calls", f), "Latency p95", none(), "", sub(h.Text(orNone(s.LatencyNote, "")))))
	}
	list = append(list, r.memoryTile(host), r.pushTile())
	return list
}

func orNone(s, suffix string) string {
	if s == "" {
		return ""
	}
	return s + suffix
}

// compare says how a number is to the one of the time before.
func compare(now, before float64) string {
	switch {
	case before <= 0:
		return ""
	case now == before:
		return "as before"
	case now >= 10*before:
		return digits(now/before) + " × before"
	}
	change := (now - before) / before * 100
	if math.Abs(change) < 0.5 {
		return "as before"
	}
	sign := "+"
	if change < 0 {
		sign, change = "−", -change
	}
	return sign + digits(math.Round(change)) + "% on before"
}

func (r *request) memoryTile(host *view.Memory) h.Node {
	href := link("/system", r.times())
	last := host.Last
	if last == nil || last.MemTotal == nil || last.MemAvail == nil {
		return tile(href, "Memory", none(), "", sub(h.Text("no readings of the host")))
	}
	used := make([]float64, len(host.Used))
	for i, bytes := range host.Used {
		used[i] = nan
		if bytes != nil {
			used[i] = float64(*bytes)
		}
	}
	now := *last.MemTotal - *last.MemAvail
	class := ""
	if float64(now) > 0.9*float64(*last.MemTotal) {
		class = "bad"
	}
	text := share(now, *last.MemTotal) + " of " + size(float64(*last.MemTotal))
	if age := r.now.UnixMilli() - last.CreatedAt; age > 5*60_000 {
		text += ", " + since(age)
	}
	return tile(href, "Memory", h.Text(size(float64(now))), class, sub(h.Text(text)), chart.Spark(used))
}

func (r *request) pushTile() h.Node {
	href := link("/push", r.times())
	s := r.d.opts.Session()
	if s == nil {
		return tile(href, "Push", none(), "")
	}
	books := s.Writer.Books()
	if s.Delivery == nil {
		return tile(href, "Push", h.Span(h.Class("unknown"), h.Text("off")), "", sub(h.Text("kept on this machine only")))
	}
	st := s.Delivery.Status()
	text := count(books.Pending()) + " waiting"
	if books.Quarantined > 0 {
		text += ", " + count(books.Quarantined) + " in quarantine"
	}
	switch {
	case st.Refused || st.Failures > 0:
		return tile(href, "Push", h.Text("failing"), "bad", sub(h.Text(text)))
	case st.LastSuccess > 0:
		return tile(href, "Push", r.ago(st.LastSuccess), "", sub(h.Text(text)))
	}
	return tile(href, "Push", h.Text("not yet"), "", sub(h.Text(text)))
}

// starts returns the buckets of statistics.
func starts(s *view.Stats) []int64 {
	list := make([]int64, len(s.Series))
	for i, b := range s.Series {
		list[i] = b.From
	}
	return list
}

func (r *request) costChart(s *view.Stats) h.Node {
	t := chart.Time{
		ID: "cost-chart", Title: "Cost by model, " + perBucket(s.BucketMS), Starts: starts(s), Until: s.Until, Zone: r.zone, Unit: chart.Values(axisDollars),
		Link: func(b int) string {
			return link("/calls", between(r.times(), s.Series[b].From, s.Series[b].Until))
		},
	}
	for m, name := range s.Models {
		values := make([]float64, len(s.Series))
		priced := false
		for i, b := range s.Series {
			values[i] = 0
			if m < len(b.Models) {
				if usd := b.Models[m].CostUSD(); usd != nil {
					values[i] = *usd
					priced = priced || *usd > 0
				} else {
					values[i] = nan
				}
			}
		}
		if !priced {
			continue // it is in the note
		}
		class := m%7 + 1
		label := shorten(readable.Visible(name.Name), 28)
		if name.Name == view.Others {
			class, label = 8, "others"
		}
		t.Series = append(t.Series, chart.Series{Name: label, Values: values, Class: class})
	}
	if n := s.Total.Unpriced; n > 0 {
		t.Note = plural(n, "call has", "calls have") + " no known cost and are not in these bars."
	}
	return chart.Bars(t)
}

// perBucket says how long a bucket is.
func perBucket(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d == time.Hour:
		return "by hour"
	case d == 24*time.Hour:
		return "by day"
	case d == 7*24*time.Hour:
		return "by week"
	case d == time.Minute:
		return "by minute"
	case d < time.Hour:
		return "by " + count(int64(d/time.Minute)) + " minutes"
	}
	return "by " + count(int64(d/time.Hour)) + " hours"
}

func (r *request) latencyChart(s *view.Stats) h.Node {
	p50, p95, p99 := make([]float64, len(s.Series)), make([]float64, len(s.Series)), make([]float64, len(s.Series))
	for i, b := range s.Series {
		p50[i], p95[i], p99[i] = nan, nan, nan
		if b.Latency != nil {
			p50[i], p95[i], p99[i] = float64(b.Latency.P50), float64(b.Latency.P95), float64(b.Latency.P99)
		}
	}
	return chart.Lines(chart.Time{
		ID: "latency-chart", Title: "Latency, " + perBucket(s.BucketMS), Starts: starts(s), Until: s.Until, Zone: r.zone, Unit: chart.Milliseconds(axisDuration),
		Series: []chart.Series{{Name: "p50", Values: p50}, {Name: "p95", Values: p95}, {Name: "p99", Values: p99}},
		Note:   sentence(s.LatencyNote),
		Link: func(b int) string {
			return link("/calls", between(r.times(), s.Series[b].From, s.Series[b].Until))
		},
	})
}

func (r *request) topSessions(top *view.TopSessions, total view.Sums) h.Node {
	if len(top.Rows) == 0 {
		return h.P(h.Class("quiet"), h.Text("No session had a call in this time. Calls without a session id are not listed here."))
	}
	var rows []h.Node
	for _, s := range top.Rows {
		sums := s.Sums
		if s.InRange != nil {
			sums = *s.InRange
		}
		usd := nan
		if c := sums.CostUSD(); c != nil {
			usd = *c
		}
		f := r.times()
		f.Session = s.ID
		rows = append(rows, h.Tr(
			h.Td(h.A(h.Class("row"), h.Href(link(sessionPath(s.ID), r.times())), named(s.ID, 40)), chart.Share(usd, float64(total.CostNanoUSD)/1e9)),
			h.Td(h.Class("n"), h.A(h.Href(link("/calls", f)), h.Text(count(sums.Calls)))),
			h.Td(h.Class("n wide"), sumTokens(sums)),
			h.Td(h.Class("n wide"), failedCount(sums, f)),
			h.Td(h.Class("n"), sumCost(sums))))
	}
	var note h.Node
	if top.SearchedTo != nil {
		note = h.P(h.Class("note"), h.Text("There was time to look back to "), r.clock(*top.SearchedTo), h.Text(" only."))
	}
	return h.Group{table("Sessions by cost", []string{"Session", "#Calls", "~#Tokens", "~#Failed", "#Cost"}, rows), note,
		h.P(h.Class("more"), h.A(h.Href(link("/sessions", r.times())), h.Text("All sessions")))}
}

// failedCount is how many calls failed, which leads to them.
func failedCount(s view.Sums, f view.Filter) h.Node {
	if s.Failed == 0 {
		return h.Text("0")
	}
	f.Status = "failed"
	return h.A(h.Class("bad"), h.Href(link("/calls", f)), h.Text(count(s.Failed)))
}

func (r *request) models(s *view.Stats) h.Node {
	if len(s.ByModel) == 0 {
		return h.P(h.Class("quiet"), h.Text("No model was called in this time."))
	}
	const most = 8
	var rows []h.Node
	for i, m := range s.ByModel {
		if i == most {
			break
		}
		usd := nan
		if c := m.Sums.CostUSD(); c != nil {
			usd = *c
		}
		f := r.times()
		f.Provider, f.Model = m.Provider, m.Name
		name := h.A(h.Class("row"), h.Href(link("/calls", f)), named(m.Name, 34))
		calls, failed := h.A(h.Href(link("/calls", f)), h.Text(count(m.Sums.Calls))), failedCount(m.Sums, f)
		if m.Name == view.Others { // no filter names them
			name, calls, failed = h.Span(h.Text("others")), h.Text(count(m.Sums.Calls)), h.Text(count(m.Sums.Failed))
		}
		rows = append(rows, h.Tr(
			h.Td(name, h.Text(" "), h.Span(h.Class("dim"), say(shorten(m.Provider, 20))), chart.Share(usd, float64(s.Total.CostNanoUSD)/1e9)),
			h.Td(h.Class("n"), calls),
			h.Td(h.Class("n wide"), sumTokens(m.Sums)),
			h.Td(h.Class("n wide"), failed),
			h.Td(h.Class("n"), sumCost(m.Sums))))
	}
	var note h.Node
	if n := len(s.ByModel) - most; n > 0 {
		note = h.P(h.Class("note"), h.Text("And "+plural(int64(n), "model", "models")+" that cost less."))
	}
	return h.Group{table("Models by cost", []string{"Model", "#Calls", "~#Tokens", "~#Failed", "#Cost"}, rows), note}
}

// table is a table whose columns with a # are numbers, and with a ~ are left out where
// there is little room.
func table(label string, columns []string, rows []h.Node) h.Node {
	var head []h.Node
	for _, c := range columns {
		class := ""
		if c[0] == '~' {
			c, class = c[1:], "wide"
		}
		if c[0] == '#' {
			c, class = c[1:], class+" n"
		}
		attrs := []h.Node{h.Attr("scope", "col"), h.If(class != "", h.Class(strings.TrimSpace(class)))}
		head = append(head, h.Th(append(attrs, h.Text(c))...))
	}
	return h.Div(h.Class("scroll"), h.Table(h.Class("list"), h.Aria("label", label), h.THead(h.Tr(head...)), h.TBody(rows...)))
}

// sentence makes one of a note.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
