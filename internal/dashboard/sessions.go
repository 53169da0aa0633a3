package dashboard

import (
	"context"
	"errors"
	"math"

	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// sessions is the list of sessions.
func (r *request) sessions() (*answer, error) {
	if a, err := r.typed("/sessions", view.SessionParams); a != nil || err != nil {
		return a, err
	}
	var list view.List[view.Session]
	var extent view.Extent
	err := r.ask(func(ctx context.Context, v *view.View) (err error) {
		if list, err = v.Sessions(ctx, r.filter, view.Page{Before: r.before, Limit: 50}); err == nil && len(list.Rows) == 0 {
			extent, err = v.Extent(ctx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	content := r.sessionTable(list.Rows)
	if len(list.Rows) == 0 && list.Next == nil && r.before == (view.Cursor{}) {
		content = r.noRows("sessions", extent.LastCall, extent)
	}
	return &answer{title: "Sessions", body: h.Group{
		r.heading("Sessions"),
		r.filterLine(view.SessionParams, nil),
		section(r.liveList("list"), "", content, r.pager(list.Next, list.SearchedTo, len(list.Rows)), r.downloads("/sessions")),
	}}, nil
}

func (r *request) sessionTable(rows []view.Session) h.Node {
	if len(rows) == 0 {
		return nil
	}
	var trs []h.Node
	for _, s := range rows {
		f := r.times()
		f.Session, f.Since, f.Until = s.ID, all, view.Instant{}
		agent := none()
		if s.Agent != nil {
			of := r.times()
			of.Agent = *s.Agent
			agent = h.A(h.Class("quietly"), h.Href(link("/sessions", of)), named(*s.Agent, 24))
		}
		trs = append(trs, h.Tr(
			h.Td(h.A(h.Class("row"), h.Href(link(sessionPath(s.ID), r.times())), named(s.ID, 48))),
			h.Td(h.Class("wide"), agent),
			h.Td(h.Class("wide"), r.clock(s.FirstAt)), h.Td(h.Class("wide"), r.ago(s.LastAt)),
			h.Td(h.Class("n"), h.A(h.Href(link("/calls", f)), h.Text(count(s.Sums.Calls)))),
			h.Td(h.Class("n wide"), failedCount(s.Sums, f)),
			h.Td(h.Class("n wide"), sumTokens(s.Sums)),
			h.Td(h.Class("n"), sumCost(s.Sums))))
	}
	return h.Group{table("Sessions, those with the newest calls first", []string{"Session", "~Agent", "~First call", "~Last call", "#Calls", "~#Failed", "~#Tokens", "#Cost"}, trs),
		h.P(h.Class("note"), h.Text("Sums are of the whole session, not only of this time. "), h.A(h.Href(link("/", r.times())), h.Text("The overview")), h.Text(" has what cost most in a time."))}
}

// session is one session: what it amounts to, and its calls.
func (r *request) session() (*answer, error) {
	id := r.PathValue("id")
	var s *view.Session
	var list view.List[view.CallRow]
	f := r.times()
	f.Session = id
	whole := r.values.Get("since") == "" && r.values.Get("until") == ""
	err := r.ask(func(ctx context.Context, v *view.View) (err error) {
		if whole { // a session is read as a whole, unless somebody asks for a part
			r.filter.Since = all
			f.Since = all
		}
		s, err = v.Session(ctx, id)
		if err != nil && !errors.Is(err, view.ErrNotFound) {
			return err
		}
		missing := err
		if list, err = v.Calls(ctx, f, view.Page{Before: r.before, Limit: 100}); err != nil {
			return err
		}
		if missing != nil {
			if len(list.Rows) == 0 {
				return missing
			}
			s = sumUp(id, list.Rows)
		}
		return nil
	})
	if err != nil {
		if errors.Is(err, view.ErrNotFound) && len(id) > 256 {
			return nil, &view.ParamError{Name: "id", Message: "ids have at most 256 bytes"}
		}
		return nil, err
	}
	agent := none()
	if s.Agent != nil {
		agent = named(*s.Agent, 40)
	}
	calls := r.callTable(list.Rows, f, false)
	if len(list.Rows) == 0 {
		calls = h.P(h.Class("quiet"), h.Text("No call of it is in this time, or they are deleted by now."))
	}
	tokens := sumTokens(s.Sums)
	of := f // what the sums are of
	of.Since, of.Until = all, view.Instant{}
	body := h.Group{
		h.Nav(h.Class("crumbs"), h.Aria("label", "Way back"), h.A(h.Href(link("/sessions", r.times())), h.Text("Sessions"))),
		h.Div(h.Class("heading"), h.H1(named(id, 80)), r.range_()),
		h.Div(h.Class("tiles"), h.ID("tiles"), h.Data("live", ""),
			tile(link("/calls", of), "Calls", h.Text(count(s.Sums.Calls)), "", sub(h.Text("agent "), agent)),
			tile(link("/calls", of), "Cost", sumCost(s.Sums), "", sub(h.Text("of the whole session"))),
			tile(link("/calls", of), "Tokens", tokens, "", sub(h.Text("in "+short(s.Sums.PromptTokens)+", out "+short(s.Sums.CompletionTokens)))),
			tile(link("/calls", withStatus(of)), "Failed calls", h.Text(count(s.Sums.Failed)), badIf(s.Sums.Failed > 0), sub(h.Text(orNone(share(s.Sums.Failed, s.Sums.Calls), " of calls")))),
			tile(link("/calls", of), "Lasted", h.Text(duration(s.LastAt-s.FirstAt)), "", sub(r.clock(s.FirstAt), h.Text(" – "), r.clock(s.LastAt))),
		),
		section(r.liveList("list"), "Its calls, newest first", calls, r.pager(list.Next, list.SearchedTo, len(list.Rows))),
	}
	return &answer{title: shorten(readable.Visible(id), 40), body: body}, nil
}

// sumUp makes a session of its calls: one that has just begun is not summed up yet.
func sumUp(id string, calls []view.CallRow) *view.Session {
	s := &view.Session{ID: id, Agent: calls[0].Agent, FirstAt: calls[len(calls)-1].CreatedAt, LastAt: calls[0].CreatedAt}
	for _, c := range calls {
		s.Sums.Calls++
		s.Sums.Failed += int64(btoi(c.Status != "ok"))
		s.Sums.PromptTokens += value(c.PromptTokens)
		s.Sums.CompletionTokens += value(c.CompletionTokens)
		s.Sums.Unmetered += int64(btoi(c.PromptTokens == nil && c.CompletionTokens == nil))
		if c.CostUSD == nil {
			s.Sums.Unpriced++
		} else {
			s.Sums.CostNanoUSD += int64(math.Round(*c.CostUSD * 1e9))
		}
	}
	return s
}

func withStatus(f view.Filter) view.Filter {
	f.Status = "failed"
	return f
}

func badIf(bad bool) string {
	if bad {
		return "bad"
	}
	return ""
}
