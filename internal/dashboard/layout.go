package dashboard

import (
	"errors"
	"net/http"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/kon-rad/openclaw-trace/internal/view"
)

var sections = []struct{ path, name, key string }{
	{"/", "Overview", "o"}, {"/calls", "Calls", "c"}, {"/sessions", "Sessions", "s"}, {"/errors", "Errors", "e"},
	{"/logs", "Logs", "l"}, {"/system", "System", "y"}, {"/push", "Push", "p"},
}

// layout is the frame of every page.
func (r *request) layout(a *answer) g.Node {
	title := "openclaw-trace"
	if a.title != "" {
		title = a.title + " · openclaw-trace"
	}
	head := h.Head(
		h.Meta(h.Charset("utf-8")),
		h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
		h.Meta(h.Name("color-scheme"), h.Content("light dark")),
		h.TitleEl(g.Text(title)),
		h.Link(h.Rel("icon"), h.Type("image/svg+xml"), h.Href(r.d.static.path("icon.svg"))),
		h.Link(h.Rel("stylesheet"), h.Href(r.d.static.path("style.css"))),
		h.Script(h.Src(r.d.static.path("theme.js"))), // before the first paint
		h.Script(h.Src(r.d.static.path("app.js")), h.Type("module")),
	)
	var body []g.Node
	if !a.bare {
		body = append(body, h.A(h.Class("skip"), h.Href("#main"), g.Text("To the content")), r.header())
	}
	body = append(body, h.Main(h.ID("main"), h.TabIndex("-1"), g.If(!a.bare, r.condition()), a.body))
	if !a.bare {
		body = append(body, help())
	}
	return h.Doctype(h.HTML(h.Lang("en"), head, h.Body(body...)))
}

func (r *request) header() g.Node {
	var nav []g.Node
	for _, s := range sections {
		attrs := []g.Node{h.Href(link(s.path, r.times())), h.Data("key", s.key)}
		if s.path == r.page.section {
			attrs = append(attrs, h.Aria("current", "page"))
		}
		nav = append(nav, h.Li(h.A(append(attrs, g.Text(s.name))...)))
	}
	return h.Header(h.Class("top"),
		h.A(h.Class("brand"), h.Href(link("/", r.times())), h.Aria("label", "openclaw-trace, overview"), mark(), h.Span(g.Text("openclaw-trace"))),
		h.Nav(h.Aria("label", "Pages"), h.Ul(nav...)),
		h.Form(h.Class("find"), h.Action("/calls"), h.Method("get"), h.Role("search"), h.Aria("label", "All calls"),
			r.hiddenTimes(),
			h.Input(h.Type("search"), h.Name("line"), h.Aria("label", "Search all calls"), h.Placeholder("Search calls"), h.Data("find", ""), h.AutoComplete("off"))),
		h.Div(h.Class("tools"),
			h.Button(h.Type("button"), h.Class("live"), h.ID("live"), g.Attr("hidden"), h.Aria("pressed", "true"), h.Span(h.Class("dot")), h.Span(h.Class("word"), g.Text("Live"))),
			h.Button(h.Type("button"), h.ID("theme"), g.Attr("hidden"), h.Title("Light or dark (t)"), h.Aria("label", "Light or dark"), g.Text("◐")),
			h.Button(h.Type("button"), h.ID("keys"), g.Attr("hidden"), h.Title("Keys (?)"), h.Aria("label", "Keys"), g.Text("?")),
		),
	)
}

// mark is the sign of the program: an eye made of brackets around a pulse.
func mark() g.Node {
	return g.El("svg", h.Class("logo"), h.Width("20"), h.Height("20"), g.Attr("viewBox", "0 0 20 20"), h.Aria("hidden", "true"),
		g.El("rect", h.Width("20"), h.Height("20"), g.Attr("rx", "5")),
		g.El("path", g.Attr("d", "M3.5 10.5h3l2-5 3 9 2-4h3")))
}

// hiddenTimes are the times of this page, for a form that leads to another.
func (r *request) hiddenTimes() g.Node {
	var fields []g.Node
	for _, name := range view.TimeParams {
		if v := r.values.Get(name); v != "" {
			fields = append(fields, h.Input(h.Type("hidden"), h.Name(name), h.Value(v)))
		}
	}
	return g.Group(fields)
}

// condition says what is wrong with the program itself.
func (r *request) condition() g.Node {
	reasons := r.d.opts.Reasons()
	if len(reasons) == 0 {
		return nil
	}
	var items []g.Node
	for _, reason := range reasons {
		items = append(items, h.Li(g.Text(reason)))
	}
	return h.Div(h.Class("banner"), h.Role("status"), h.Strong(g.Text("Something needs your attention")), h.Ul(items...))
}

// heading is the first line of a page: what it is, the time it shows, and in which zone.
func (r *request) heading(title string, more ...g.Node) g.Node {
	return h.Div(h.Class("heading"), h.H1(g.Text(title)), g.Group(more), r.range_())
}

// range_ shows the time range and the zone, and changes them.
func (r *request) range_() g.Node {
	f := r.here()
	var presets []g.Node
	for _, p := range []struct{ name, title string }{
		{"1h", "the last hour"}, {"24h", "the last 24 hours"}, {"7d", "the last 7 days"}, {"30d", "the last 30 days"}, {"all", "everything that is stored"},
	} {
		to := f
		to.Until = view.Instant{}
		switch p.name {
		case "all":
			to.Since = all
		case "24h":
			to.Since = day
		case "1h":
			to.Since.Ago, to.Since.At = time.Hour, 0
		case "7d":
			to.Since.Ago, to.Since.At = 7*24*time.Hour, 0
		case "30d":
			to.Since.Ago, to.Since.At = 30*24*time.Hour, 0
		}
		attrs := []g.Node{h.Href(link(r.URL.EscapedPath(), to)), h.Title(p.title)}
		if to.Since == f.Since && f.Until == to.Until {
			attrs = append(attrs, h.Aria("current", "true"))
		}
		presets = append(presets, h.Li(h.A(append(attrs, g.Text(p.name))...)))
	}
	return h.Div(h.Class("range"),
		h.Ul(h.Class("presets"), h.Aria("label", "Time range"), g.Group(presets)),
		h.Details(h.Class("exact"),
			h.Summary(h.Span(h.Class("times"), g.Text(r.rangeText())), g.Text(" "), h.Span(h.Class("zone"), g.Text(r.zoneName()))),
			h.Form(h.Method("get"), h.Action(r.URL.EscapedPath()),
				r.hiddenFilter(f),
				h.Label(g.Text("From"), h.Input(h.Name("since"), h.Value(r.values.Get("since")), h.Placeholder("24h, 7d or 2026-11-25T06:00"))),
				h.Label(g.Text("Until"), h.Input(h.Name("until"), h.Value(r.values.Get("until")), h.Placeholder("now"))),
				h.Label(g.Text("Time zone"), h.Input(h.Name("zone"), h.Value(r.values.Get("zone")), h.Placeholder("utc, local, +02:00, Europe/Berlin"), g.Attr("list", "zones"))),
				h.DataList(h.ID("zones"), h.Option(h.Value("utc"), g.Text("UTC")), h.Option(h.Value("local"), g.Text("as on this machine"))),
				h.Button(h.Type("submit"), g.Text("Show")))),
	)
}

// here is the filter of this page as its own links keep it.
func (r *request) here() view.Filter { return r.filter }

// hiddenFilter are the parameters of f but for its times.
func (r *request) hiddenFilter(f view.Filter) g.Node {
	var fields []g.Node
	f.Since, f.Until, f.Zone = view.Instant{}, view.Instant{}, ""
	q := f.Query()
	for _, name := range r.page.takes {
		if v := q.Get(name); v != "" {
			fields = append(fields, h.Input(h.Type("hidden"), h.Name(name), h.Value(v)))
		}
	}
	return g.Group(fields)
}

func (r *request) rangeText() string {
	if r.filter.Since == all && r.filter.Until == (view.Instant{}) {
		return "everything until now"
	}
	from, until := r.filter.Range(r.now)
	a, b := r.time(from), r.time(until)
	layout := "2 Jan 15:04"
	if a.Year() != r.now.Year() || b.Year() != r.now.Year() {
		layout = "2 Jan 2006 15:04"
	}
	if b.Sub(a) < 10*time.Minute {
		layout += ":05"
	}
	text := a.Format(layout)
	if r.filter.Since == all {
		text = "the beginning"
	}
	return text + " – " + b.Format(layout)
}

func (r *request) zoneName() string {
	switch name := r.filter.Zone; strings.ToLower(name) {
	case "", "utc":
		return "UTC"
	case "local":
		return r.now.Format("MST")
	default:
		return name
	}
}

// section is a box with a heading. With a live id it is renewed while the page is open.
func section(live, title string, body ...g.Node) g.Node {
	attrs := []g.Node{h.Class("card")}
	if live != "" {
		attrs = append(attrs, h.ID(live), h.Data("live", ""))
	}
	if title != "" {
		attrs = append(attrs, h.H2(g.Text(title)))
	}
	return h.Section(append(attrs, body...)...)
}

// help lists the keys. A script opens it.
func help() g.Node {
	keys := [][2]string{
		{"/", "search or filter"}, {"j k", "next and previous row"}, {"Enter", "open it"}, {"[ ]", "newer and older call"},
		{"g then o c s e l y p", "go to a page"}, {"p", "pause or go on"}, {"t", "light or dark"}, {"← →", "read a chart that has the focus"}, {"?", "this list"}, {"Esc", "close"},
	}
	var rows []g.Node
	for _, k := range keys {
		rows = append(rows, h.Dt(h.Kbd(g.Text(k[0]))), h.Dd(g.Text(k[1])))
	}
	return h.Dialog(h.ID("help"), h.Aria("label", "Keys"), h.H2(g.Text("Keys")), h.Dl(rows...),
		h.Form(h.Method("dialog"), h.Button(g.Text("Close"))))
}

// failure is the page for what could not be answered.
func (r *request) failure(err error) *answer {
	a := &answer{status: http.StatusInternalServerError, title: "Not possible"}
	text := "The database could not be read; try again. The program's log has the cause."
	param, isParam := errors.AsType[*view.ParamError](err)
	switch {
	case isParam:
		a.status, a.title = http.StatusBadRequest, "Not understood"
		text = param.Name + ": " + param.Message
	case errors.Is(err, view.ErrNotFound):
		a.status, a.title = http.StatusNotFound, "Not here"
		text = "There is nothing at this address. What was stored is deleted after a while (OCT_RETENTION_DAYS, OCT_MAX_DB_BYTES); an address that was shortened has to be long enough to be the only one."
	case errors.Is(err, view.ErrAmbiguous):
		a.status, a.title = http.StatusNotFound, "Not the only one"
		text = "Several ids begin like this; give more of it."
	case errors.Is(err, errNoDatabase):
		a.status, a.title = http.StatusServiceUnavailable, "No database"
		text = errNoDatabase.Error() + "."
	default:
		a.status = http.StatusServiceUnavailable
		r.d.opts.Log.Warn("a page could not be answered", "path", r.URL.Path, "err", err)
	}
	a.body = h.Div(h.Class("empty"), h.H1(g.Text(a.title)), h.P(g.Text(text)),
		h.P(h.A(h.Href("/"), g.Text("To the overview"))))
	return a
}
