package api

import (
	"bufio"
	"context"
	"encoding/csv"
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

// table is how a list of T is given in another format than JSON.
type table[T any] struct {
	columns []string
	cells   func(*T) []any // nil for what is not known
	lines   func(*T) any   // as a line of JSON; nil: the row itself
}

// lister returns a part of a list.
type lister[T any] func(context.Context, *view.View, view.Page) (view.List[T], error)

// list answers with a part of a list as an object of JSON, under a name, or with all of
// it row by row.
func list[T any](s *Server, r *http.Request, q question, name string, get lister[T], t table[T]) (response, error) {
	now := time.Now()
	if q.format != "json" {
		return s.export(r, q, now, func(ctx context.Context, row func(any, []any) error) error {
			return each(ctx, s, q, now, get, func(v *T) error {
				if q.format == "csv" {
					return row(nil, t.cells(v))
				}
				if t.lines != nil {
					return row(t.lines(v), nil)
				}
				return row(v, nil)
			})
		}, t.columns)
	}
	var l view.List[T]
	err := s.read(r.Context(), now, func(v *view.View) (err error) {
		l, err = get(r.Context(), v, q.page)
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

// exportPage is how many rows are read before they are written.
const exportPage = 100

// each calls f for each row of a list, up to its limit.
func each[T any](ctx context.Context, s *Server, q question, now time.Time, get lister[T], f func(*T) error) error {
	left := q.page.Limit
	for p := q.page; ; {
		p.Limit = exportPage
		if !q.all {
			p.Limit = min(p.Limit, left)
		}
		var l view.List[T]
		err := s.read(ctx, now, func(v *view.View) (err error) {
			l, err = get(ctx, v, p)
			return err
		})
		if err != nil {
			return err
		}
		for i := range l.Rows {
			if err := f(&l.Rows[i]); err != nil {
				return err
			}
		}
		left -= len(l.Rows)
		if l.Next == nil || !q.all && left == 0 {
			return nil
		}
		p.Before = *l.Next
	}
}

// export answers with what rows writes. An answer that cannot be finished is cut off, so
// that nobody takes it for whole.
func (s *Server) export(r *http.Request, q question, now time.Time, rows func(context.Context, func(any, []any) error) error, columns []string) (response, error) {
	// What can be known beforehand is an answer of its own.
	if err := s.read(r.Context(), now, func(*view.View) error { return nil }); err != nil {
		return response{}, err
	}
	res := response{status: http.StatusOK, contentType: jsonlType, attachment: "openclaw-trace.jsonl"}
	if q.format == "csv" {
		res.contentType, res.attachment = csvType, "openclaw-trace.csv"
	}
	res.stream = func(w io.Writer) {
		buffered := bufio.NewWriterSize(w, 32<<10)
		lines, cells := json.NewEncoder(buffered), csv.NewWriter(buffered)
		record := make([]string, len(columns))
		err := error(nil)
		if q.format == "csv" {
			err = cells.Write(columns)
		}
		if err == nil {
			err = rows(r.Context(), func(line any, values []any) error {
				if line != nil {
					return lines.Encode(line)
				}
				for i, v := range values {
					record[i] = cell(v)
				}
				return cells.Write(record)
			})
		}
		cells.Flush()
		if err = errors.Join(err, cells.Error(), buffered.Flush()); err != nil {
			s.opts.Log.Debug("an export was cut off", "path", r.URL.Path, "err", err)
			panic(http.ErrAbortHandler)
		}
	}
	return res, nil
}

// cell writes a value for CSV; what is not known is empty. A text that a spreadsheet
// would take for a formula gets a ' before it, which spreadsheets do not show.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
			return "'" + v
		}
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case *string:
		return pointed(v)
	case *int64:
		return pointed(v)
	case *float64:
		return pointed(v)
	}
	panic("a cell of an unknown type")
}

func pointed[T any](p *T) string {
	if p == nil {
		return ""
	}
	return cell(*p)
}

// getCalls lists calls. As rows they come with their texts, one call read at a time.
func (s *Server) getCalls(r *http.Request) (response, error) {
	q, err := ask(r, view.CallParams, listParams)
	if err != nil {
		return response{}, err
	}
	get := func(ctx context.Context, v *view.View, p view.Page) (view.List[view.CallRow], error) {
		return v.Calls(ctx, q.filter, p)
	}
	if q.format == "json" {
		return list(s, r, q, "calls", get, table[view.CallRow]{})
	}
	now := time.Now()
	return s.export(r, q, now, func(ctx context.Context, row func(any, []any) error) error {
		return each(ctx, s, q, now, get, func(c *view.CallRow) error {
			var whole *view.Call
			err := s.read(ctx, now, func(v *view.View) (err error) {
				whole, err = v.Call(ctx, c.TraceID)
				if errors.Is(err, view.ErrNotFound) {
					whole, err = nil, nil // deleted since it was listed
				}
				return err
			})
			if err != nil || whole == nil {
				return err
			}
			if q.format == "jsonl" {
				return row(whole, nil)
			}
			return row(nil, callCells(whole))
		})
	}, callColumns)
}

var callColumns = []string{
	"trace_id", "created_at", "provider", "model", "status", "error_type", "error_message", "session_id", "agent", "operation",
	"prompt_tokens", "completion_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
	"cost_usd", "cost_source", "latency_ms", "ttft_ms", "input_text", "output_text", "metadata",
	"otel_trace_id", "otel_span_id", "otel_parent_span_id", "synced", "pushed_at",
}

func callCells(c *view.Call) []any {
	return []any{
		c.TraceID, c.CreatedAt, c.Provider, c.Model, c.Status, c.ErrorType, c.ErrorMessage, c.Session, c.Agent, c.Operation,
		c.PromptTokens, c.CompletionTokens, c.TotalTokens, c.CacheReadTokens, c.CacheWriteTokens, c.ReasoningTokens,
		c.CostUSD, c.CostSource, c.LatencyMS, c.TTFTMS, c.InputText, c.OutputText, c.Metadata,
		c.OTELTraceID, c.OTELSpanID, c.OTELParentID, c.Synced, c.PushedAt,
	}
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
	get := func(ctx context.Context, v *view.View, p view.Page) (view.List[view.Session], error) {
		return v.Sessions(ctx, q.filter, p)
	}
	if order == "cost" {
		if q.page.Before != (view.Cursor{}) {
			return response{}, &view.ParamError{Name: "before", Message: "the sessions that cost most are one page; limit may be more"}
		}
		limit := q.page.Limit
		get = func(ctx context.Context, v *view.View, p view.Page) (view.List[view.Session], error) {
			top, err := v.TopSessions(ctx, q.filter, limit)
			if err != nil {
				return view.List[view.Session]{}, err
			}
			return view.List[view.Session]{Rows: top.Rows, SearchedTo: top.SearchedTo}, nil
		}
	}
	return list(s, r, q, "sessions", get, table[view.Session]{
		columns: []string{"session_id", "agent", "first_at", "last_at", "calls", "failed", "tokens", "prompt_tokens", "completion_tokens", "unmetered_calls", "cost_usd", "unpriced_calls"},
		cells: func(n *view.Session) []any {
			s := n.Sums
			return []any{n.ID, n.Agent, n.FirstAt, n.LastAt, s.Calls, s.Failed, s.Tokens(), s.PromptTokens, s.CompletionTokens, s.Unmetered, s.CostUSD(), s.Unpriced}
		},
	})
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

var entryTable = table[view.Entry]{
	columns: []string{"kind", "trace_id", "created_at", "name", "severity", "message", "provider", "model", "session_id", "agent", "duration_ms", "fingerprint"},
	cells: func(e *view.Entry) []any {
		return []any{e.Kind, e.TraceID, e.CreatedAt, e.Name, e.Severity, e.Message, e.Provider, e.Model, e.Session, e.Agent, e.DurationMS, e.Fingerprint}
	},
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
	return list(s, r, q, name, func(ctx context.Context, v *view.View, p view.Page) (view.List[view.Entry], error) {
		return v.Entries(ctx, kinds, q.filter, p)
	}, entryTable)
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
		return list(s, r, q, "readings", func(ctx context.Context, v *view.View, p view.Page) (view.List[view.Reading], error) {
			return v.Readings(ctx, q.filter, p)
		}, table[view.Reading]{
			columns: []string{"trace_id", "created_at", "cpu_pct", "mem_rss_bytes", "mem_available", "mem_total", "disk_used_bytes", "disk_total_bytes", "disk_free_bytes", "metadata"},
			cells: func(m *view.Reading) []any {
				return []any{m.TraceID, m.CreatedAt, m.CPUPct, m.MemRSS, m.MemAvail, m.MemTotal, m.DiskUsed, m.DiskTotal, m.DiskFree, m.Metadata}
			},
		})
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
