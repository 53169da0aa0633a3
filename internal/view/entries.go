package view

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"

	"github.com/kon-rad/openclaw-trace/db"
)

// Kinds of an Entry.
const (
	KindCall  = "call"  // one that failed
	KindError = "error" // an error reported, or a line of the log
	KindEvent = "event" // of the agent's own
	KindSpan  = "span"  // that is no call
)

// Kinds of two lists.
var (
	ErrorKinds = []string{KindCall, KindError}
	LogKinds   = []string{KindError, KindEvent, KindSpan}
)

// Entry is something that happened, in a list of several kinds.
type Entry struct {
	Kind        string  `json:"kind"`
	ID          int64   `json:"-"`
	TraceID     string  `json:"trace_id"`
	CreatedAt   int64   `json:"created_at"`
	Name        string  `json:"name"`     // error type, or the name of an event or span
	Severity    string  `json:"severity"` // "" for events, and for spans that went well
	Message     *string `json:"message"`  // its first 300 characters
	Provider    *string `json:"provider"`
	Model       *string `json:"model"`
	Session     *string `json:"session_id"`
	Agent       *string `json:"agent"`
	DurationMS  *int64  `json:"duration_ms"`
	Fingerprint string  `json:"fingerprint,omitempty"` // of a failed call or an error
}

// Cursor returns the place of the entry in a list.
func (e *Entry) Cursor() Cursor { return Cursor{At: e.CreatedAt, ID: e.ID, Key: e.Kind} }

// EntryDetail is all that is stored of an entry that is no call.
type EntryDetail struct {
	Entry
	Message      *string `json:"message"` // whole
	StackTrace   *string `json:"stack_trace"`
	Metadata     *string `json:"-"` // JSON object
	OTELTraceID  *string `json:"otel_trace_id"`
	OTELSpanID   *string `json:"otel_span_id"`
	OTELParentID *string `json:"otel_parent_span_id"`
}

// order is the place of kinds that happened in the same millisecond.
var order = []string{KindCall, KindError, KindEvent, KindSpan}

// Entries lists what happened of these kinds, or of f.Kind alone. Kinds that do not have
// what f asks for, such as a session, are left out.
func (v *View) Entries(ctx context.Context, kinds []string, f Filter, p Page) (List[Entry], error) {
	type table struct {
		kind string
		source[Entry]
	}
	var tables []table
	for _, kind := range order {
		if !slices.Contains(kinds, kind) || f.Kind != "" && f.Kind != kind {
			continue
		}
		if src, ok := v.entries(kind, f); ok {
			tables = append(tables, table{kind, src})
		}
	}
	all := source[Entry]{
		// The window of all ends where the first of theirs does.
		window: func(ctx context.Context, c Cursor, low int64, n int) (int64, error) {
			end, some := low, false
			for _, t := range tables {
				switch at, err := t.window(ctx, c.of(t.kind), low, n); {
				case err == nil:
					end, some = max(end, at), true
				case !errors.Is(err, sql.ErrNoRows):
					return 0, err
				}
			}
			if !some {
				return 0, sql.ErrNoRows
			}
			return end, nil
		},
		rows: func(ctx context.Context, c Cursor, low int64, n int) ([]Entry, error) {
			var merged []Entry
			for _, t := range tables {
				rows, err := t.rows(ctx, c.of(t.kind), low, n)
				if err != nil {
					return nil, err
				}
				merged = append(merged, rows...)
			}
			sortRows(merged, func(a, b *Entry) int {
				return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt),
					cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(b.ID, a.ID))
			})
			return merged[:min(len(merged), n)], nil
		},
		cursor: (*Entry).Cursor,
	}
	low, until := f.open(v.now)
	return search(ctx, all, p, p.start(until), low, f.Narrow())
}

// of returns where a list of several kinds that came to c goes on in the table of one.
func (c Cursor) of(kind string) Cursor {
	if c.Key == "" || c.Key == kind {
		return Cursor{At: c.At, ID: c.ID}
	}
	if slices.Index(order, kind) < slices.Index(order, c.Key) {
		return Cursor{At: c.At}
	}
	return Cursor{At: c.At, ID: math.MaxInt64}
}

// entries returns the source of a kind, unless f asks for what it does not have.
func (v *View) entries(kind string, f Filter) (src source[Entry], ok bool) {
	lower, quoted := f.lowered()
	src.cursor = (*Entry).Cursor
	switch kind {
	case KindCall:
		if f.Severity == "critical" {
			return src, false
		}
		src.window = func(ctx context.Context, c Cursor, low int64, n int) (int64, error) {
			return v.q.FailedWindow(ctx, db.FailedWindowParams{At: c.At, ID: c.ID, Low: low, N: int64(n)})
		}
		src.rows = func(ctx context.Context, c Cursor, low int64, n int) ([]Entry, error) {
			rows, err := v.q.ListFailures(ctx, db.ListFailuresParams{
				At: c.At, ID: c.ID, Low: low, Lim: int64(n), Name: f.Name,
				Provider: f.Provider, Model: f.Model, Agent: f.Agent, Session: f.Session, Text: lower, Quoted: quoted,
			})
			list := make([]Entry, len(rows))
			for i := range rows {
				r := &rows[i]
				list[i] = Entry{
					Kind: KindCall, ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, Name: r.Name, Severity: "error",
					Message: known(r.Head), Provider: &r.Provider, Model: &r.Model, Session: r.SessionID, Agent: r.Agent,
					DurationMS: r.LatencyMS, Fingerprint: fingerprint(KindCall, r.Name, r.Head),
				}
			}
			return list, err
		}
	case KindError:
		if f.Provider != "" || f.Model != "" || f.Agent != "" || f.Session != "" {
			return src, false
		}
		src.window = func(ctx context.Context, c Cursor, low int64, n int) (int64, error) {
			return v.q.ErrorWindow(ctx, db.ErrorWindowParams{At: c.At, ID: c.ID, Low: low, N: int64(n)})
		}
		src.rows = func(ctx context.Context, c Cursor, low int64, n int) ([]Entry, error) {
			rows, err := v.q.ListErrorEntries(ctx, db.ListErrorEntriesParams{
				At: c.At, ID: c.ID, Low: low, Lim: int64(n), Severity: f.Severity, Name: f.Name, Text: lower, Quoted: quoted,
			})
			list := make([]Entry, len(rows))
			for i := range rows {
				list[i] = errorEntry(rows[i])
			}
			return list, err
		}
	case KindEvent:
		if f.Provider != "" || f.Model != "" || f.Agent != "" || f.Severity != "" || f.Fingerprint != "" {
			return src, false
		}
		src.window = func(ctx context.Context, c Cursor, low int64, n int) (int64, error) {
			return v.q.EventWindow(ctx, db.EventWindowParams{At: c.At, ID: c.ID, Low: low, N: int64(n)})
		}
		src.rows = func(ctx context.Context, c Cursor, low int64, n int) ([]Entry, error) {
			rows, err := v.q.ListEventEntries(ctx, db.ListEventEntriesParams{
				At: c.At, ID: c.ID, Low: low, Lim: int64(n), Name: f.Name, Session: f.Session, Text: lower, Quoted: quoted,
			})
			list := make([]Entry, len(rows))
			for i := range rows {
				list[i] = eventEntry(rows[i])
			}
			return list, err
		}
	case KindSpan:
		if f.Provider != "" || f.Model != "" || f.Fingerprint != "" {
			return src, false
		}
		src.window = func(ctx context.Context, c Cursor, low int64, n int) (int64, error) {
			return v.q.SpanWindow(ctx, db.SpanWindowParams{At: c.At, ID: c.ID, Low: low, N: int64(n)})
		}
		src.rows = func(ctx context.Context, c Cursor, low int64, n int) ([]Entry, error) {
			rows, err := v.q.ListSpanEntries(ctx, db.ListSpanEntriesParams{
				At: c.At, ID: c.ID, Low: low, Lim: int64(n),
				Severity: f.Severity, Name: f.Name, Session: f.Session, Agent: f.Agent, Text: lower, Quoted: quoted,
			})
			list := make([]Entry, len(rows))
			for i := range rows {
				list[i] = spanEntry(rows[i])
			}
			return list, err
		}
	}
	if f.Fingerprint != "" {
		src = src.only(func(e *Entry) bool { return e.Fingerprint == f.Fingerprint })
	}
	return src, true
}

func errorEntry(r db.ListErrorEntriesRow) Entry {
	return Entry{
		Kind: KindError, ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, Name: r.ErrorType,
		Severity: r.Severity, Message: known(r.Head), Fingerprint: fingerprint(KindError, r.ErrorType, r.Head),
	}
}

func eventEntry(r db.ListEventEntriesRow) Entry {
	return Entry{
		Kind: KindEvent, ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, Name: r.Name,
		Message: known(r.Head), Session: r.SessionID,
	}
}

func spanEntry(r db.ListSpanEntriesRow) Entry {
	e := Entry{
		Kind: KindSpan, ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, Name: r.Name,
		Message: known(r.Head), Session: r.SessionID, Agent: r.Agent, DurationMS: r.DurationMS,
	}
	if r.Status != "ok" {
		e.Severity = "error"
	}
	return e
}

// only returns the rows of src that are wanted, for what SQL cannot tell.
func (src source[T]) only(wanted func(*T) bool) source[T] {
	rows := src.rows
	src.rows = func(ctx context.Context, c Cursor, low int64, n int) ([]T, error) {
		var list []T
		for {
			some, err := rows(ctx, c, low, maxLimit)
			if err != nil {
				return nil, err
			}
			for i := range some {
				if wanted(&some[i]) {
					if list = append(list, some[i]); len(list) == n {
						return list, nil
					}
				}
			}
			if len(some) < maxLimit {
				return list, nil
			}
			c = src.cursor(&some[len(some)-1])
		}
	}
	return src
}

// Entry returns the entry with this trace_id, of KindError, KindEvent or KindSpan. It
// returns ErrNotFound or ErrAmbiguous.
func (v *View) Entry(ctx context.Context, kind, id string) (*EntryDetail, error) {
	low, high, err := prefix(id)
	if err != nil {
		return nil, err
	}
	switch kind {
	case KindError:
		rows, err := v.q.ListErrorsByPrefix(ctx, db.ListErrorsByPrefixParams{Prefix: low, After: high})
		r, err := only(rows, err)
		if err != nil {
			return nil, err
		}
		return &EntryDetail{Entry: Entry{
			Kind: kind, ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, Name: r.ErrorType, Severity: r.Severity,
			Message: cutPtr(&r.Message, 300), Fingerprint: fingerprint(kind, r.ErrorType, cut(r.Message, 300)),
		}, Message: &r.Message, StackTrace: r.StackTrace, Metadata: r.Metadata}, nil
	case KindEvent:
		rows, err := v.q.ListEventsByPrefix(ctx, db.ListEventsByPrefixParams{Prefix: low, After: high})
		r, err := only(rows, err)
		if err != nil {
			return nil, err
		}
		return &EntryDetail{Entry: Entry{
			Kind: kind, ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, Name: r.Name, Session: r.SessionID,
			Message: cutPtr(r.Metadata, 300),
		}, Metadata: r.Metadata}, nil
	case KindSpan:
		rows, err := v.q.ListSpansByPrefix(ctx, db.ListSpansByPrefixParams{Prefix: low, After: high})
		r, err := only(rows, err)
		if err != nil {
			return nil, err
		}
		e := &EntryDetail{Entry: Entry{
			Kind: kind, ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, Name: r.Name, Session: r.SessionID,
			Agent: r.Agent, DurationMS: r.DurationMS, Message: cutPtr(r.ErrorMessage, 300),
		}, Message: r.ErrorMessage, Metadata: r.Metadata, OTELTraceID: &r.OTELTraceID, OTELSpanID: &r.OTELSpanID, OTELParentID: r.OTELParentSpanID}
		if r.Status != "ok" {
			e.Severity = "error"
		}
		return e, nil
	}
	return nil, ErrNotFound
}
