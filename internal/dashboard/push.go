package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// push shows whether the record leaves this machine, and what stays behind.
func (r *request) push() (*answer, error) {
	s := r.d.opts.Session()
	if s == nil {
		return nil, errNoDatabase
	}
	var attempts view.List[view.Push]
	var quarantine view.List[view.Quarantined]
	err := r.ask(func(ctx context.Context, v *view.View) (err error) {
		if attempts, err = v.Pushes(ctx, view.Page{Before: r.before, Limit: 30}); err != nil {
			return err
		}
		quarantine, err = v.Quarantine(ctx, view.Page{Limit: 100})
		return err
	})
	if err != nil {
		return nil, err
	}
	b := s.Writer.Books()
	path := link("/push", r.times())
	waiting := "Waiting"
	if s.Delivery == nil {
		waiting = "Kept here"
	}
	body := h.Group{
		r.heading("Push"),
		h.Div(h.Class("tiles"), h.ID("tiles"), h.Data("live", ""),
			tile(path, waiting, h.Text(count(b.Pending())), "", sub(h.Text("of "+count(b.Received)+" received"))),
			tile(path, "Delivered", h.Text(count(b.Delivered)), ""),
			tile(path+"#quarantine", "In quarantine", h.Text(count(b.Quarantined)), badIf(b.Quarantined > 0), sub(h.Text("the remote will not have them"))),
			tile(path, "Expired", h.Text(count(b.Expired)), "", sub(h.Text("deleted by age or size, no remote set"))),
			tile(path, "Dropped", h.Text(count(b.Dropped)), badIf(b.Dropped > 0), sub(h.Text("deleted although undelivered"))),
		),
		section("remote", "The remote", r.remote(s.Delivery, b.Pending())),
		h.Div(h.ID("quarantine"), h.Data("live", ""), r.quarantine(s.Delivery, quarantine)),
		section(r.liveList("attempts"), "Attempts, newest first", r.attempts(attempts.Rows), r.pager(attempts.Next, nil, len(attempts.Rows))),
	}
	return &answer{title: "Push", body: body}, nil
}

func (r *request) remote(d *Delivery, pending int64) h.Node {
	if d == nil {
		return h.Div(h.Class("empty small"), h.H3(h.Text("Nothing is forwarded")),
			h.P(h.Text("Events are kept on this machine only. Set OCT_PUSH_ENDPOINT to a URL, and start again, to have them delivered; those that wait go then too.")))
	}
	st := d.Status()
	at := func(ms int64, otherwise string) h.Node {
		if ms == 0 {
			return h.Text(otherwise)
		}
		return h.Group{r.clock(ms), h.Span(h.Class("dim"), h.Text(", "), r.ago(ms))}
	}
	oldest := "nothing waits"
	if pending > 0 {
		oldest = "known after the first attempt"
	}
	pairs := []h.Node{
		fact("Endpoint", h.Code(say(d.Endpoint))),
		fact("Last success", at(st.LastSuccess, "never")),
		fact("Last attempt", at(st.LastAttempt, "never")),
		fact("Next attempt", at(st.NextAttempt, "now")),
		fact("Oldest that waits", at(st.Oldest, oldest)),
		fact("Failed attempts in a row", h.Text(count(int64(st.Failures)))),
	}
	var wrong h.Node
	if st.LastError != "" {
		text := "The last attempt failed: "
		if st.Refused {
			text = "The remote takes nothing until a setting is changed, there or here; all is kept. It says: "
		}
		wrong = h.Div(h.Class("why"), h.P(h.Text(text)), pre(pieces(st.LastError)))
	}
	return h.Group{list(pairs...), wrong, r.act("push", "Push now")}
}

// act is a button that changes something. It is a form: no script is needed.
func (r *request) act(action, label string) h.Node {
	return h.Form(h.Class("act"), h.Method("post"), h.Action("/push"),
		h.Input(h.Type("hidden"), h.Name("action"), h.Value(action)),
		h.Button(h.Type("submit"), h.Class("primary"), h.Text(label)))
}

func (r *request) quarantine(d *Delivery, q view.List[view.Quarantined]) h.Node {
	if len(q.Rows) == 0 {
		return nil
	}
	var rows []h.Node
	for _, e := range q.Rows {
		href := link("/logs", r.times(), "show", e.Kind+"."+e.TraceID)
		if e.Kind == view.KindCall {
			href = link(callPath(e.TraceID), r.times())
		}
		event := h.Node(h.Code(say(e.TraceID)))
		switch e.Kind {
		case view.KindCall, view.KindError, view.KindEvent, view.KindSpan:
			event = h.A(h.Class("row"), h.Href(href), event)
		}
		rows = append(rows, h.Tr(h.Td(r.clock(e.CreatedAt)), h.Td(say(e.Kind)), h.Td(event), h.Td(h.Class("text"), say(e.Reason))))
	}
	return section("", "Quarantine: what the remote will not have", table("Events in quarantine", []string{"Since", "Kind", "Event", "Reason"}, rows),
		h.If(q.Next != nil, h.P(h.Class("note"), h.Text("And more."))),
		h.If(d != nil, r.act("retry", "Try them again")),
		h.P(h.Class("note"), h.Text("To delete them instead: "), h.Code(h.Text("openclaw-trace quarantine drop"))))
}

func (r *request) attempts(rows []view.Push) h.Node {
	if len(rows) == 0 {
		return h.P(h.Class("quiet"), h.Text("There was no attempt yet."))
	}
	var trs []h.Node
	for _, p := range rows {
		state := h.Span(h.Class("badge ok"), h.Text("ok"))
		class := ""
		if p.Status != "ok" {
			state, class = h.Span(h.Class("badge bad"), say(p.Status)), "failed"
		}
		trs = append(trs, h.Tr(h.Class(class), h.Td(r.clock(p.CreatedAt)), h.Td(state), h.Td(h.Class("n"), h.Text(count(p.Events))),
			h.Td(h.Class("n"), orUnknown(p.DurationMS, duration)), h.Td(h.Class("text"), said(p.Error))))
	}
	return table("Attempts to deliver", []string{"Time", "Result", "#Events", "#Took", "Error"}, trs)
}

// pushWait is how long a click waits for a round, which goes on without it.
const pushWait = 8 * time.Second

// pushNow has a round begin, or takes events out of quarantine first.
func (r *request) pushNow() (*answer, error) {
	s := r.d.opts.Session()
	switch {
	case s == nil:
		return nil, errNoDatabase
	case s.Delivery == nil:
		return nil, &view.ParamError{Name: "OCT_PUSH_ENDPOINT", Message: "it is not set, so there is nowhere to push to"}
	}
	if err := r.ParseForm(); err != nil {
		return nil, &view.ParamError{Name: "form", Message: "it could not be read"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), pushWait)
	defer cancel()
	switch r.PostForm.Get("action") {
	case "push":
	case "retry":
		if _, err := s.Delivery.Release(ctx, false); err != nil {
			return nil, err
		}
	default:
		return nil, &view.ParamError{Name: "action", Message: "want push or retry"}
	}
	if _, err := s.Delivery.Now(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	return &answer{redirect: "/push"}, nil // which shows what came of it
}

// login asks for the token.
func (r *request) login() (*answer, error) {
	if r.d.opts.LogIn == nil {
		return &answer{redirect: "/"}, nil
	}
	return r.loginPage(http.StatusOK, "", local(r.own("next"))), nil
}

func (r *request) loginPage(status int, wrong, next string) *answer {
	var message h.Node
	if wrong != "" {
		message = h.P(h.Class("why"), h.Role("alert"), h.Text(wrong))
	}
	return &answer{status: status, title: "Log in", bare: true, body: h.Form(h.Class("login card"), h.Method("post"), h.Action("/login"),
		h.H1(mark(), h.Text(" openclaw-trace")),
		message,
		h.Input(h.Type("hidden"), h.Name("next"), h.Value(next)),
		h.Label(h.For("token"), h.Text("Token")),
		h.Input(h.Type("password"), h.ID("token"), h.Name("token"), h.Required(), h.AutoFocus(), h.AutoComplete("current-password")),
		h.P(h.Class("note"), h.Text("The value of OCT_AUTH_TOKEN on the machine that this runs on. The browser keeps a cookie that is worth nothing elsewhere.")),
		h.Button(h.Type("submit"), h.Class("primary"), h.Text("Log in")))}
}

// logIn gives the cookie to who knows the token.
func (r *request) logIn() (*answer, error) {
	if r.d.opts.LogIn == nil {
		return &answer{redirect: "/"}, nil
	}
	if err := r.ParseForm(); err != nil {
		return nil, &view.ParamError{Name: "form", Message: "it could not be read"}
	}
	next := local(r.PostForm.Get("next"))
	cookie, status, err := r.d.opts.LogIn(r.Request, r.PostForm.Get("token"))
	if err != nil {
		return r.loginPage(status, err.Error(), next), nil
	}
	return &answer{redirect: next, cookie: cookie}, nil
}

// logOut takes the cookie away. That of another browser stays: it follows from the token.
func (r *request) logOut() (*answer, error) {
	a := &answer{redirect: "/login"}
	if r.d.opts.LogOut != nil {
		a.cookie = r.d.opts.LogOut()
	}
	return a, nil
}

// local returns where to go after the log-in: a page of ours, whatever the URL said.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		len(next) < 1 || next[0] != '/' || len(next) > 1 && (next[1] == '/' || next[1] == '\\') {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
}
