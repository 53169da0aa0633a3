package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// What people ask of the record, as JSON; docs/openapi.json describes it. Lists are also
// given as CSV or lines of JSON, whole and row by row. No reader is held while a client
// is written to.

const (
	csvType   = "text/csv; charset=utf-8"
	jsonlType = "application/jsonl"
)

// question is a request for something that is stored.
type question struct {
	filter view.Filter
	page   view.Page
	format string // json, csv or jsonl
	all    bool   // no limit was given
	values url.Values
}

// Parameters of lists besides the filter.
var listParams = []string{"before", "limit", "format"}

// ask reads the parameters of a request, of which there may be those that takes lists.
func ask(r *http.Request, takes ...[]string) (q question, err error) {
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return q, errBadRequest("the query of the URL cannot be read: " + err.Error())
	}
	names := slices.Concat(takes...)
	slices.Sort(names)
	if q.filter, err = view.Parse(q.values, names...); err != nil {
		return q, err
	}
	if from, until := q.filter.Range(time.Now()); q.filter.Until != (view.Instant{}) && from >= until {
		return q, &view.ParamError{Name: "until", Message: "it is not after since"}
	}
	if q.page.Before, err = view.ParseCursor(q.values.Get("before")); err != nil {
		return q, err
	}
	q.page.Limit, err = number(q.values, "limit", 50, 1000)
	q.all = q.values.Get("limit") == ""
	if err != nil {
		return q, err
	}
	q.format, err = word(q.values, "format", "json", "csv", "jsonl")
	return q, err
}

// number returns a whole number from 1 to most, or what it is if it is not given.
func number(v url.Values, name string, otherwise, most int) (int, error) {
	text := v.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, &view.ParamError{Name: name, Message: "want a number from 1 to " + strconv.Itoa(most) + "; got " + strconv.Quote(cut(text))}
	}
	return n, nil
}

// word returns one of some words, the first if none is given.
func word(v url.Values, name string, words ...string) (string, error) {
	text := v.Get(name)
	if text == "" {
		return words[0], nil
	}
	if !slices.Contains(words, text) {
		return "", &view.ParamError{Name: name, Message: "want one of " + strings.Join(words, ", ") + "; got " + strconv.Quote(cut(text))}
	}
	return text, nil
}

func cut(s string) string { return s[:min(len(s), 40)] }

// read answers from the database of the session.
func (s *Server) read(ctx context.Context, now time.Time, f func(*view.View) error) error {
	session := s.session.Load()
	if session == nil {
		return errUnavailable("the database is not open: "+*s.problem.Load(), nil)
	}
	err := session.Store.Read(ctx, func(q *db.Queries) error { return f(view.At(q, now)) })
	if _, ok := errors.AsType[*view.ParamError](err); ok {
		return err
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, view.ErrNotFound):
		return &httpError{status: http.StatusNotFound, message: "nothing is stored under this id"}
	case errors.Is(err, view.ErrAmbiguous):
		return errBadRequest("several ids begin like this one; give more of it")
	case errors.Is(err, store.ErrClosed):
		return errUnavailable("the database is being closed or opened anew; try again", nil)
	case errors.Is(err, context.DeadlineExceeded):
		return errUnavailable("the database did not answer in time; ask for a shorter time range", err)
	}
	return errUnavailable("the database cannot be read now; try again", err)
}

func answerJSON(v any) (response, error) {
	body, err := json.Marshal(v)
	return response{status: http.StatusOK, contentType: jsonType, body: append(body, '\n')}, err
}

// list answers with a part of a list as an object of JSON, under a name, or with all of
// it as rows.
func list[T any](s *Server, r *http.Request, q question, name string, get func(context.Context, *view.View) (view.List[T], error), rows view.Rows) (response, error) {
	now := time.Now()
	if q.format != "json" {
		return s.export(r, q, now, rows)
	}
	var l view.List[T]
	err := s.read(r.Context(), now, func(v *view.View) (err error) {
		l, err = get(r.Context(), v)
		return err
	})
	if err != nil {
		return response{}, err
	}
	return answerJSON(page(name, l))
}

func page[T any](name string, l view.List[T]) map[string]any {
	var next *string
	if l.Next != nil {
		text := l.Next.String()
		next = &text
	}
	return map[string]any{name: l.Rows, "next": next, "searched_to": l.SearchedTo}
}

// export answers with rows. An answer that cannot be finished is cut off, so that nobody
// takes it for whole.
func (s *Server) export(r *http.Request, q question, now time.Time, rows view.Rows) (response, error) {
	// What can be known beforehand is an answer of its own.
	if err := s.read(r.Context(), now, func(*view.View) error { return nil }); err != nil {
		return response{}, err
	}
	res := response{status: http.StatusOK, contentType: jsonlType, attachment: "openclaw-trace.jsonl"}
	if q.format == view.CSV {
		res.contentType, res.attachment = csvType, "openclaw-trace.csv"
	}
	p := q.page
	if q.all {
		p.Limit = 0
	}
	read := func(ctx context.Context, f func(*view.View) error) error { return s.read(ctx, now, f) }
	res.stream = func(w io.Writer) {
		if err := rows.Write(r.Context(), w, q.format, p, read, nil); err != nil {
			s.opts.Log.Debug("an export was cut off", "path", r.URL.Path, "err", err)
			panic(http.ErrAbortHandler)
		}
	}
	return res, nil
}

// getCalls lists calls. As rows they come with their texts.
func (s *Server) getCalls(r *http.Request) (response, error) {
	q, err := ask(r, view.CallParams, listParams)
	if err != nil {
		return response{}, err
	}
	return list(s, r, q, "calls", func(ctx context.Context, v *view.View) (view.List[view.CallRow], error) {
		return v.Calls(ctx, q.filter, q.page)
	}, view.CallRows(q.filter))
}

// getCall answers with a call, its trace and its neighbours.
func (s *Server) getCall(r *http.Request) (response, error) {
	q, err := ask(r, view.CallParams)
	if err != nil {
		return response{}, err
	}
	var a struct {
		Call  *view.Call  `json:"call"`
		Older *string     `json:"older"`
		Newer *string     `json:"newer"`
		Trace *view.Trace `json:"trace"`
	}
	ctx := r.Context()
	err = s.read(ctx, time.Now(), func(v *view.View) (err error) {
		if a.Call, err = v.Call(ctx, r.PathValue("trace_id")); err != nil {
			return err
		}
		older, newer, err := v.Neighbours(ctx, q.filter, a.Call.Cursor())
		if err != nil {
			return err
		}
		if older != "" {
			a.Older = &older
		}
		if newer != "" {
			a.Newer = &newer
		}
		a.Trace, err = v.Trace(ctx, a.Call)
		return err
	})
	if err != nil {
		return response{}, err
	}
	return answerJSON(a)
}

// getSessions lists sessions by their last call, or those that cost most.
func (s *Server) getSessions(r *http.Request) (response, error) {
	q, err := ask(r, view.SessionParams, listParams, []string{"order"})
	if err != nil {
		return response{}, err
	}
	order, err := word(q.values, "order", "time", "cost")
	if err != nil {
		return response{}, err
	}
	rows := view.SessionRows(q.filter)
	if order == "cost" {
		if q.page.Before != (view.Cursor{}) {
			return response{}, &view.ParamError{Name: "before", Message: "the sessions that cost most are one page; limit may be more"}
		}
		rows = view.TopSessionRows(q.filter, q.page.Limit)
	}
	return list(s, r, q, "sessions", func(ctx context.Context, v *view.View) (view.List[view.Session], error) {
		if order == "time" {
			return v.Sessions(ctx, q.filter, q.page)
		}
		top, err := v.TopSessions(ctx, q.filter, q.page.Limit)
		if err != nil {
			return view.List[view.Session]{}, err
		}
		return view.List[view.Session]{Rows: top.Rows, SearchedTo: top.SearchedTo}, nil
	}, rows)
}

// getSession answers with a session and its newest calls.
func (s *Server) getSession(r *http.Request) (response, error) {
	q, err := ask(r, []string{"before", "limit"})
	if err != nil {
		return response{}, err
	}
	ctx := r.Context()
	var session *view.Session
	var calls view.List[view.CallRow]
	err = s.read(ctx, time.Now(), func(v *view.View) (err error) {
		if session, err = v.Session(ctx, r.PathValue("id")); err != nil {
			return err
		}
		calls, err = v.Calls(ctx, view.Filter{Session: session.ID}, q.page)
		return err
	})
	if err != nil {
		return response{}, err
	}
	a := page("calls", calls)
	a["session"] = session
	return answerJSON(a)
}

// getErrors lists what failed, or groups it.
func (s *Server) getErrors(r *http.Request) (response, error) {
	q, err := ask(r, view.EntryParams, listParams, []string{"by"})
	if err != nil {
		return response{}, err
	}
	by, err := word(q.values, "by", "time", "fingerprint")
	if err != nil {
		return response{}, err
	}
	if by == "time" {
		return s.entries(r, q, "errors", view.ErrorKinds)
	}
	for _, name := range listParams {
		if q.values.Get(name) != "" {
			return response{}, &view.ParamError{Name: name, Message: "groups are one page, as JSON"}
		}
	}
	var groups *view.ErrorGroups
	err = s.read(r.Context(), time.Now(), func(v *view.View) (err error) {
		groups, err = v.ErrorGroups(r.Context(), q.filter)
		return err
	})
	if err != nil {
		return response{}, err
	}
	return answerJSON(groups)
}

// getEvents lists errors, events and spans as they happened.
func (s *Server) getEvents(r *http.Request) (response, error) {
	q, err := ask(r, view.EntryParams, listParams)
	if err != nil {
		return response{}, err
	}
	return s.entries(r, q, "events", view.LogKinds)
}

func (s *Server) entries(r *http.Request, q question, name string, kinds []string) (response, error) {
	if k := q.filter.Kind; k != "" && !slices.Contains(kinds, k) {
		return response{}, &view.ParamError{Name: "kind", Message: "want one of " + strings.Join(kinds, ", ") + " here; got " + strconv.Quote(k)}
	}
	return list(s, r, q, name, func(ctx context.Context, v *view.View) (view.List[view.Entry], error) {
		return v.Entries(ctx, kinds, q.filter, q.page)
	}, view.EntryRows(kinds, q.filter))
}

// getStats sums calls.
func (s *Server) getStats(r *http.Request) (response, error) {
	q, err := ask(r, view.SumParams)
	if err != nil {
		return response{}, err
	}
	var stats *view.Stats
	err = s.read(r.Context(), time.Now(), func(v *view.View) (err error) {
		stats, err = v.Stats(r.Context(), q.filter)
		return err
	})
	if err != nil {
		return response{}, err
	}
	return answerJSON(stats)
}

// getSystem answers with how the host was; as rows, with the readings themselves.
func (s *Server) getSystem(r *http.Request) (response, error) {
	q, err := ask(r, view.TimeParams, []string{"points", "format"})
	if err != nil {
		return response{}, err
	}
	points, err := number(q.values, "points", 240, 1000)
	if err != nil {
		return response{}, err
	}
	if q.format != "json" {
		return s.export(r, q, time.Now(), view.ReadingRows(q.filter))
	}
	var system *view.System
	err = s.read(r.Context(), time.Now(), func(v *view.View) (err error) {
		system, err = v.System(r.Context(), q.filter, points)
		return err
	})
	if err != nil {
		return response{}, err
	}
	return answerJSON(system)
}

// getBudget says what was used, for agents that ask before they call.
func (s *Server) getBudget(r *http.Request) (response, error) {
	q, err := ask(r, []string{"since", "agent", "session"})
	if err != nil {
		return response{}, err
	}
	var budget *view.Budget
	err = s.read(r.Context(), time.Now(), func(v *view.View) (err error) {
		budget, err = v.Budget(r.Context(), q.filter.Since, q.filter.Agent, q.filter.Session)
		return err
	})
	if err != nil {
		return response{}, err
	}
	return answerJSON(budget)
}
