package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

var sections = []struct{ path, name, key string }{
	{"/", "Overview", "o"}, {"/calls", "Calls", "c"}, {"/sessions", "Sessions", "s"}, {"/errors", "Errors", "e"},
	{"/logs", "Logs", "l"}, {"/system", "System", "y"}, {"/push", "Push", "p"},
}

// layout is the frame of every page.
func (r *request) layout(a *answer) h.Node {
	title := "openclaw-trace"
	if a.title != "" {
		title = a.title + " · openclaw-trace"
	}
	head := h.Head(
		h.Meta(h.Charset("utf-8")),
		h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
		h.Meta(h.Name("color-scheme"), h.Content("light dark")),
		h.TitleEl(h.Text(title)),
		h.Link(h.Rel("icon"), h.Type("image/svg+xml"), h.Href(r.d.static.path("icon.svg"))),
		h.Link(h.Rel("stylesheet"), h.Href(r.d.static.path("style.css"))),
		h.Script(h.Src(r.d.static.path("theme.js"))), // before the first paint
		h.Script(h.Src(r.d.static.path("app.js")), h.Type("module")),
	)
	var body []h.Node
	if !a.bare {
		body = append(body, h.A(h.Class("skip"), h.Href("#main"), h.Text("To the content")), r.header())
	}
	body = append(body, h.Main(h.ID("main"), h.TabIndex("-1"), h.If(!a.bare, r.condition()), a.body))
	if !a.bare {
		body = append(body, help())
	}
	return h.Document(h.HTML(h.Lang("en"), head, h.Body(body...)))
}

func (r *request) header() h.Node {
	var nav []h.Node
	for _, s := range sections {
		attrs := []h.Node{h.Href(link(s.path, r.times())), h.Data("key", s.key)}
		if s.path == r.page.section {
			attrs = append(attrs, h.Aria("current", "page"))
		}
		nav = append(nav, h.Li(h.A(append(attrs, h.Text(s.name))...)))
	}
	return h.Header(h.Class("top"),
		h.A(h.Class("brand"), h.Href(link("/", r.times())), h.Aria("label", "openclaw-trace, overview"), mark(), h.Span(h.Text("openclaw-trace"))),
		h.Nav(h.Aria("label", "Pages"), h.Ul(nav...)),
		h.Form(h.Class("find"), h.Action("/calls"), h.Method("get"), h.Role("search"), h.Aria("label", "All calls"),
			r.hiddenTimes(),
			h.Input(h.Type("search"), h.Name("line"), h.Aria("label", "Search all calls"), h.Placeholder("Search calls"), h.Data("find", ""), h.AutoComplete("off"))),
		h.Div(h.Class("tools"),
			h.Button(h.Type("button"), h.Class("live"), h.ID("live"), h.Hidden(), h.Aria("pressed", "true"), h.Data("stream", r.stream()), h.Span(h.Class("dot")), h.Span(h.Class("word"), h.Text("Live"))),
			h.Button(h.Type("button"), h.ID("theme"), h.Hidden(), h.Title("Light or dark (t)"), h.Aria("label", "Light or dark"), h.Text("◐")),
			h.Button(h.Type("button"), h.ID("keys"), h.Hidden(), h.Title("Keys (?)"), h.Aria("label", "Keys"), h.Text("?")),
			h.If(r.d.opts.LogOut != nil, h.Form(h.Method("post"), h.Action("/logout"), h.Button(h.Type("submit"), h.Text("Log out")))),
		),
	)
}

// stream is the URL of what makes this page another one, or "" if nothing does.
func (r *request) stream() string {
	kinds := r.page.watches
	if len(kinds) == 0 {
		return ""
	}
	q := url.Values{"kinds": {strings.Join(kinds, ",")}}
	switch r.page.section {
	case "/calls", "/logs":
		f := r.filter
		f.Since, f.Until, f.Zone, f.Fingerprint, f.Kind = view.Instant{}, view.Instant{}, "", "", ""
		for name, value := range f.Query() {
			q[name] = value
		}
		if f.Kind = r.filter.Kind; f.Kind != "" && slices.Contains(kinds, f.Kind) {
			q.Set("kinds", f.Kind)
		}
	case "/sessions":
		if id := r.PathValue("id"); id != "" {
			q.Set("session", id)
		}
	}
	return "/api/v1/stream?" + q.Encode()
}

// mark is the sign of the program: an eye made of brackets around a pulse.
func mark() h.Node {
	return h.El("svg", h.Class("logo"), h.Width("20"), h.Height("20"), h.Attr("viewBox", "0 0 20 20"), h.Aria("hidden", "true"),
		h.El("rect", h.Width("20"), h.Height("20"), h.Attr("rx", "5")),
		h.El("path", h.Attr("d", "M3.5 10.5h3l2-5 3 9 2-4h3")))
}

// hiddenTimes are the times of this page, for a form that leads to another.
func (r *request) hiddenTimes() h.Node {
	var fields []h.Node
	for _, name := range view.TimeParams {
		if v := r.values.Get(name); v != "" {
			fields = append(fields, h.Input(h.Type("hidden"), h.Name(name), h.Value(v)))
		}
	}
	return h.Group(fields)
}

// condition says what is wrong with the program itself.
func (r *request) condition() h.Node {
	reasons := r.d.opts.Reasons()
	if len(reasons) == 0 {
		return nil
	}
	var items []h.Node
	for _, reason := range reasons {
		items = append(items, h.Li(h.Text(reason)))
	}
	return h.Div(h.Class("banner"), h.Role("status"), h.Strong(h.Text("Something needs your attention")), h.Ul(items...))
}

// heading is the first line of a page: what it is, the time it shows, and in which zone.
func (r *request) heading(title string, more ...h.Node) h.Node {
	return h.Div(h.Class("heading"), h.H1(h.Text(title)), h.Group(more), r.range_())
}

// range_ shows the time range and the zone, and changes them.
func (r *request) range_() h.Node {
	f := r.here()
	var presets []h.Node
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
		attrs := []h.Node{h.Href(r.self(to)), h.Title(p.title)}
		if to.Since == f.Since && f.Until == to.Until {
			attrs = append(attrs, h.Aria("current", "true"))
		}
		presets = append(presets, h.Li(h.A(append(attrs, h.Text(p.name))...)))
	}
	return h.Div(h.Class("range"),
		h.Ul(h.Class("presets"), h.Aria("label", "Time range"), h.Group(presets)),
		h.Details(h.Class("exact"),
			h.Summary(h.Span(h.Class("times"), h.Text(r.rangeText())), h.Text(" "), h.Span(h.Class("zone"), h.Text(r.zoneName()))),
			h.Form(h.Method("get"), h.Action(r.URL.EscapedPath()),
				r.hiddenFilter(f),
				h.Label(h.Text("From"), h.Input(h.Name("since"), h.Value(r.values.Get("since")), h.Placeholder("24h, 7d or 2026-11-25T06:00"))),
				h.Label(h.Text("Until"), h.Input(h.Name("until"), h.Value(r.values.Get("until")), h.Placeholder("now"))),
				h.Label(h.Text("Time zone"), h.Input(h.Name("zone"), h.Value(r.values.Get("zone")), h.Placeholder("utc, local, +02:00, Europe/Berlin"), h.Attr("list", "zones"))),
				h.DataList(h.ID("zones"), h.Option(h.Value("utc"), h.Text("UTC")), h.Option(h.Value("local"), h.Text("as on this machine"))),
				h.Button(h.Type("submit"), h.Text("Show")))),
	)
}

// here is the filter of this page as its own links keep it.
func (r *request) here() view.Filter { return r.filter }

// hiddenFilter are the parameters of f but for its times.
func (r *request) hiddenFilter(f view.Filter) h.Node {
	var fields []h.Node
	f.Since, f.Until, f.Zone = view.Instant{}, view.Instant{}, ""
	q := f.Query()
	for _, name := range r.page.takes {
		if v := q.Get(name); v != "" {
			fields = append(fields, h.Input(h.Type("hidden"), h.Name(name), h.Value(v)))
		}
	}
	return h.Group(fields)
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
func section(live, title string, body ...h.Node) h.Node {
	attrs := []h.Node{h.Class("card")}
	if live != "" {
		attrs = append(attrs, h.ID(live), h.Data("live", ""))
	}
	if title != "" {
		attrs = append(attrs, h.H2(h.Text(title)))
	}
	return h.Section(append(attrs, body...)...)
}

// help lists the keys. A script opens it.
func help() h.Node {
	keys := [][2]string{
		{"/", "search or filter"}, {"j k", "next and previous row"}, {"Enter", "open it"}, {"[ ]", "newer and older call"},
		{"g then o c s e l y p", "go to a page"}, {"p", "pause or go on"}, {"t", "light or dark"}, {"← →", "read a chart that has the focus"}, {"?", "this list"}, {"Esc", "close"},
	}
	var rows []h.Node
	for _, k := range keys {
		rows = append(rows, h.Dt(h.Kbd(h.Text(k[0]))), h.Dd(h.Text(k[1])))
	}
	return h.Dialog(h.ID("help"), h.Aria("label", "Keys"), h.H2(h.Text("Keys")), h.Dl(rows...),
		h.Form(h.Method("dialog"), h.Button(h.Text("Close"))))
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
	a.body = h.Div(h.Class("empty"), h.H1(h.Text(a.title)), h.P(h.Text(text)),
		h.P(h.A(h.Href("/"), h.Text("To the overview"))))
	return a
}
