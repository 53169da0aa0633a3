package dashboard

import (
	"context"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/dashboard/chart"
	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// errors shows what failed, in groups of what is the same failure.
func (r *request) errors() (*answer, error) {
	if a, err := r.typed("/errors", view.EntryParams); a != nil || err != nil {
		return a, err
	}
	var (
		groups *view.ErrorGroups
		list   view.List[view.Entry]
		shown  *view.EntryDetail
		extent view.Extent
	)
	one := r.filter.Fingerprint != "" || r.before != (view.Cursor{})
	err := r.ask(func(ctx context.Context, v *view.View) (err error) {
		if shown, err = r.shown(ctx, v); err != nil {
			return err
		}
		if groups, err = v.ErrorGroups(ctx, r.filter); err != nil {
			return err
		}
		if one {
			if list, err = v.Entries(ctx, view.ErrorKinds, r.filter, view.Page{Before: r.before, Limit: 50}); err != nil {
				return err
			}
		}
		if len(groups.Groups) == 0 {
			extent, err = v.Extent(ctx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	body := h.Group{
		r.heading("Errors"),
		r.filterLine(view.EntryParams, []example{{"calls only", "kind:call"}, {"critical", "severity:critical"}, {"errors and worse", "severity:error"}}),
		r.detail(shown),
	}
	content := r.groupTable(groups)
	if len(groups.Groups) == 0 {
		content = r.noErrors(extent)
	}
	var searched h.Node
	if groups.SearchedTo != nil {
		searched = h.P(h.Class("note"), h.Text("Counted back to "), r.moment(*groups.SearchedTo), h.Text(" in the time there was; older ones are not in it. "))
	}
	if groups.Others > 0 {
		searched = h.Group{searched, h.P(h.Class("note"), h.Text(plural(groups.Others, "error is", "errors are")+" in groups that are not listed."))}
	}
	body = append(body, section("groups", "", content, searched, r.downloads("/errors")))
	if one {
		body = append(body, section(r.liveList("list"), "One by one, newest first", r.entryTable(list.Rows, "/errors", true), r.pager(list.Next, list.SearchedTo, len(list.Rows))))
	}
	return &answer{title: "Errors", body: body}, nil
}

func (r *request) noErrors(e view.Extent) h.Node {
	if never(e) || r.filter.Narrow() {
		return r.noRows("errors", e.LastError, e)
	}
	wide := r.times()
	wide.Since, wide.Until = all, view.Instant{}
	return h.Div(h.Class("empty"), h.H2(h.Text("Nothing failed")), h.P(h.Text("No call failed and no error was reported in this time.")),
		h.P(h.A(h.Href(link("/errors", wide)), h.Text("Look at everything that is stored"))))
}

func (r *request) groupTable(groups *view.ErrorGroups) h.Node {
	var rows []h.Node
	for i := range groups.Groups {
		e := &groups.Groups[i]
		f := r.filter
		f.Fingerprint = e.Fingerprint
		models := []h.Node{}
		for i, m := range e.Models {
			if i > 0 {
				models = append(models, h.Text(", "))
			}
			models = append(models, named(m, 40))
		}
		last := h.A(h.Href(link("/errors", f, "show", e.Kind+"."+e.LastID)), r.ago(e.LastAt))
		if e.Kind == view.KindCall {
			last = h.A(h.Href(link(callPath(e.LastID), withStatus(r.times()))), r.ago(e.LastAt))
		}
		rows = append(rows, h.Tr(h.Class("group"),
			h.Td(h.Class("n big"), h.A(h.Class("row"), h.Href(link("/errors", f)), h.Text(count(e.Count)))),
			h.Td(h.Class("text"), severity(e.Severity), h.Text(" "), h.Strong(named(e.Name, 48)), h.Text(" "), h.Span(h.Class("dim"), h.Text(kindNames[e.Kind])),
				h.Span(h.Class("reply"), sayOr(e.Message))),
			h.Td(h.Class("course wide"), chart.SparkBars(e.Series)),
			h.Td(h.Class("models wide"), h.Group(models)),
			h.Td(h.Class("wide"), r.ago(e.FirstAt)),
			h.Td(last)))
	}
	if len(rows) == 0 {
		return nil
	}
	return table("Errors by what they are", []string{"#Count", "What", "~When", "~Models", "~First", "Last"}, rows)
}

var kindNames = map[string]string{view.KindCall: "call", view.KindError: "error", view.KindEvent: "event", view.KindSpan: "span"}

func severity(s string) h.Node {
	class := "badge"
	switch s {
	case "error", "critical":
		class = "badge bad"
	case "warning":
		class = "badge warn"
	case "":
		return nil
	}
	return h.Span(h.Class(class), say(s))
}

// logs is what happened beside the calls, in the order of time.
func (r *request) logs() (*answer, error) {
	if a, err := r.typed("/logs", view.EntryParams); a != nil || err != nil {
		return a, err
	}
	var list view.List[view.Entry]
	var shown *view.EntryDetail
	var extent view.Extent
	err := r.ask(func(ctx context.Context, v *view.View) (err error) {
		if shown, err = r.shown(ctx, v); err != nil {
			return err
		}
		if list, err = v.Entries(ctx, view.LogKinds, r.filter, view.Page{Before: r.before, Limit: 100}); err == nil && len(list.Rows) == 0 {
			extent, err = v.Extent(ctx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	content := r.entryTable(list.Rows, "/logs", true)
	if len(list.Rows) == 0 && list.Next == nil && r.before == (view.Cursor{}) {
		content = r.noRows("entries", latest(extent.LastError, extent.LastEvent, extent.LastSpan), extent)
	}
	return &answer{title: "Logs", body: h.Group{
		r.heading("Logs and events"),
		r.filterLine(view.EntryParams, []example{{"errors", "kind:error"}, {"events", "kind:event"}, {"spans", "kind:span"}, {"warnings and worse", "severity:warning"}}),
		r.detail(shown),
		section(r.liveList("list"), "", content, r.pager(list.Next, list.SearchedTo, len(list.Rows)), r.downloads("/events")),
	}}, nil
}

func latest(list ...*int64) (newest *int64) {
	for _, at := range list {
		if at != nil && (newest == nil || *at > *newest) {
			newest = at
		}
	}
	return newest
}

// entryTable lists what happened. Rows of calls lead to the call, others to themselves
// on the page at path.
func (r *request) entryTable(rows []view.Entry, path string, models bool) h.Node {
	if len(rows) == 0 {
		return nil
	}
	var trs []h.Node
	for i := range rows {
		e := &rows[i]
		href := link(path, r.filter, "show", e.Kind+"."+e.TraceID)
		if e.Kind == view.KindCall {
			href = link(callPath(e.TraceID), withStatus(r.times()))
		}
		session := none()
		if e.Session != nil {
			session = h.A(h.Href(link(sessionPath(*e.Session), r.times())), named(*e.Session, 24))
		}
		about := h.Node(session)
		if e.Model != nil && models {
			about = h.Group{named(*e.Model, 28), h.Text(" "), h.Span(h.Class("dim"), session)}
		}
		took := h.Node(nil)
		if e.DurationMS != nil {
			took = h.Text(duration(*e.DurationMS))
		}
		trs = append(trs, h.Tr(h.Class("entry "+severityClass(e.Severity)),
			h.Td(h.Class("when"), h.A(h.Class("row"), h.Href(href), r.clock(e.CreatedAt))),
			h.Td(h.Class("state"), orKind(e)),
			h.Td(h.Class("text"), h.Strong(named(e.Name, 48)), h.Span(h.Class("reply"), said(e.Message))),
			h.Td(h.Class("in"), about),
			h.Td(h.Class("n took"), took),
			h.Td(h.Class("near"), h.A(h.Class("quietly"), h.Href(link("/calls", around(r.times(), e.CreatedAt, 2*time.Minute))), h.Text("calls near")))))
	}
	return table("Entries, newest first", []string{"Time", "Kind", "What", "Where", "#Took", "Beside"}, trs)
}

func said(s *string) h.Node {
	if s == nil {
		return nil
	}
	return say(*s)
}

func severityClass(s string) string {
	switch s {
	case "error", "critical":
		return "failed"
	case "warning":
		return "warned"
	}
	return ""
}

func orKind(e *view.Entry) h.Node {
	if e.Severity != "" && e.Kind != view.KindSpan {
		return severity(e.Severity)
	}
	class := "badge"
	if e.Severity != "" {
		class = "badge bad"
	}
	return h.Span(h.Class(class), h.Text(kindNames[e.Kind]))
}

// shown returns the entry that the page is to show whole, or nil.
func (r *request) shown(ctx context.Context, v *view.View) (*view.EntryDetail, error) {
	kind, id, ok := strings.Cut(r.own("show"), ".")
	if !ok {
		return nil, nil
	}
	switch kind {
	case view.KindError, view.KindEvent, view.KindSpan:
		return v.Entry(ctx, kind, id)
	}
	return nil, &view.ParamError{Name: "show", Message: "want the kind and the id of an entry, with a point between them"}
}

// detail is an entry, whole.
func (r *request) detail(e *view.EntryDetail) h.Node {
	if e == nil {
		return nil
	}
	t := &texts{left: inlineText}
	session := none()
	if e.Session != nil {
		session = h.A(h.Href(link(sessionPath(*e.Session), r.times())), named(*e.Session, 60))
	}
	pairs := []h.Node{fact("Time", r.moment(e.CreatedAt)), fact("Kind", h.Text(kindNames[e.Kind])), fact("Session", session), fact("Agent", sayOr(e.Agent))}
	if e.DurationMS != nil {
		pairs = append(pairs, fact("Took", h.Text(duration(*e.DurationMS))))
	}
	pairs = append(pairs, fact("Id", h.Code(say(e.TraceID))))
	if e.OTELTraceID != nil {
		pairs = append(pairs, fact("OpenTelemetry trace", h.Code(say(*e.OTELTraceID))), fact("span", h.Code(sayOr(e.OTELSpanID))))
	}
	var texts []h.Node
	if e.Message != nil && *e.Message != "" {
		texts = append(texts, t.body(*e.Message))
	}
	if e.StackTrace != nil && *e.StackTrace != "" {
		texts = append(texts, h.H3(h.Text("Stack trace")), t.body(*e.StackTrace))
	}
	if e.Fingerprint != "" {
		f := r.times()
		f.Fingerprint = e.Fingerprint
		texts = append(texts, h.P(h.Class("more"), h.A(h.Href(link("/errors", f)), h.Text("All of this kind"))))
	}
	return h.Section(h.Class("card shown"), h.ID("shown"),
		h.H2(severity(e.Severity), h.Text(" "), named(e.Name, 100), h.Text(" "), h.A(h.Class("clear"), h.Href(link(r.URL.EscapedPath(), r.filter)), h.Text("Close"))),
		h.Div(h.Class("call-page"), h.Div(h.Class("talk"), h.Group(texts)), h.Aside(h.Aria("label", "Facts"), list(pairs...), metadata(members(e.Metadata), "Metadata", true),
			h.P(h.A(h.Href(link("/calls", around(r.times(), e.CreatedAt, 2*time.Minute))), h.Text("Calls near it")), h.Text(", "),
				h.A(h.Href(link("/system", around(r.times(), e.CreatedAt, 30*time.Minute))), h.Text("the host"))))))
}
