package view

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Formats of rows.
const (
	CSV       = "csv"   // with a line of names; what is not known is empty
	JSONLines = "jsonl" // one JSON object a line, as the API has it
)

// Rows are a list as a table, which is written whole and row by row, however long it is.
type Rows struct {
	columns []string
	each    func(ctx context.Context, read Reader, p Page, row func(line any, cells []any) error) error
}

// Reader runs f on a View. No reader of the database is held between its calls, so that
// who takes the rows may be as slow as they like.
type Reader func(ctx context.Context, f func(*View) error) error

// rowsPage is how many rows are read before they are written.
const rowsPage = 100

// Write writes the rows behind p.Before, newest first, at most p.Limit of them unless
// that is 0. wrote, if it is not nil, is called with their number after each. After an
// error what was written is not whole.
func (r Rows) Write(ctx context.Context, w io.Writer, format string, p Page, read Reader, wrote func(n int64)) error {
	buffered := bufio.NewWriterSize(w, 32<<10)
	lines, cells := json.NewEncoder(buffered), csv.NewWriter(buffered)
	record := make([]string, len(r.columns))
	err := error(nil)
	if format == CSV {
		err = cells.Write(r.columns)
	}
	if err == nil {
		n := int64(0)
		err = r.each(ctx, read, p, func(line any, values []any) error {
			if n++; wrote != nil {
				defer wrote(n)
			}
			if format != CSV {
				return lines.Encode(line)
			}
			for i, v := range values {
				record[i] = cell(v)
			}
			return cells.Write(record)
		})
	}
	cells.Flush()
	return errors.Join(err, cells.Error(), buffered.Flush())
}

// rowsOf makes Rows of a list of L, each of which is a row R.
func rowsOf[L, R any](get func(context.Context, *View, Page) (List[L], error), row func(context.Context, Reader, *L) (*R, error), columns []string, cells func(*R) []any) Rows {
	return Rows{columns, func(ctx context.Context, read Reader, p Page, write func(any, []any) error) error {
		left := p.Limit
		for {
			page := p
			page.Limit = rowsPage
			if p.Limit > 0 {
				page.Limit = min(rowsPage, left)
			}
			var l List[L]
			err := read(ctx, func(v *View) (err error) {
				l, err = get(ctx, v, page)
				return err
			})
			if err != nil {
				return err
			}
			for i := range l.Rows {
				r, err := row(ctx, read, &l.Rows[i])
				if err != nil {
					return err
				}
				if r == nil {
					continue
				}
				if err := write(r, cells(r)); err != nil {
					return err
				}
			}
			left -= len(l.Rows)
			if l.Next == nil || p.Limit > 0 && left <= 0 {
				return nil
			}
			p.Before = *l.Next
		}
	}}
}

// same is for lists whose elements are the rows.
func same[T any](_ context.Context, _ Reader, v *T) (*T, error) { return v, nil }

// CallRows are the calls that f wants, with their texts, which are read one call at a time.
func CallRows(f Filter) Rows {
	get := func(ctx context.Context, v *View, p Page) (List[CallRow], error) { return v.Calls(ctx, f, p) }
	row := func(ctx context.Context, read Reader, c *CallRow) (whole *Call, err error) {
		err = read(ctx, func(v *View) error {
			whole, err = v.Call(ctx, c.TraceID)
			return err
		})
		if errors.Is(err, ErrNotFound) {
			return nil, nil // deleted since it was listed
		}
		return whole, err
	}
	return rowsOf(get, row, []string{
		"trace_id", "created_at", "provider", "model", "status", "error_type", "error_message", "session_id", "agent", "operation",
		"prompt_tokens", "completion_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
		"cost_usd", "cost_source", "latency_ms", "ttft_ms", "input_text", "output_text", "metadata",
		"otel_trace_id", "otel_span_id", "otel_parent_span_id", "synced", "pushed_at",
	}, func(c *Call) []any {
		return []any{
			c.TraceID, c.CreatedAt, c.Provider, c.Model, c.Status, c.ErrorType, c.ErrorMessage, c.Session, c.Agent, c.Operation,
			c.PromptTokens, c.CompletionTokens, c.TotalTokens, c.CacheReadTokens, c.CacheWriteTokens, c.ReasoningTokens,
			c.CostUSD, c.CostSource, c.LatencyMS, c.TTFTMS, c.InputText, c.OutputText, c.Metadata,
			c.OTELTraceID, c.OTELSpanID, c.OTELParentID, c.Synced, c.PushedAt,
		}
	})
}

// SessionRows are the sessions that f wants.
func SessionRows(f Filter) Rows {
	return sessionRows(func(ctx context.Context, v *View, p Page) (List[Session], error) { return v.Sessions(ctx, f, p) })
}

// TopSessionRows are the n sessions that cost most in f's range.
func TopSessionRows(f Filter, n int) Rows {
	return sessionRows(func(ctx context.Context, v *View, _ Page) (List[Session], error) {
		top, err := v.TopSessions(ctx, f, n)
		if err != nil {
			return List[Session]{}, err
		}
		return List[Session]{Rows: top.Rows, SearchedTo: top.SearchedTo}, nil
	})
}

func sessionRows(get func(context.Context, *View, Page) (List[Session], error)) Rows {
	return rowsOf(get, same, []string{
		"session_id", "agent", "first_at", "last_at", "calls", "failed", "tokens", "prompt_tokens", "completion_tokens", "unmetered_calls", "cost_usd", "unpriced_calls",
		"calls_in_range", "failed_in_range", "tokens_in_range", "cost_usd_in_range", "unpriced_calls_in_range",
	}, func(n *Session) []any {
		s := n.Sums
		cells := []any{n.ID, n.Agent, n.FirstAt, n.LastAt, s.Calls, s.Failed, s.Tokens(), s.PromptTokens, s.CompletionTokens, s.Unmetered, s.CostUSD(), s.Unpriced}
		if p := n.InRange; p != nil {
			return append(cells, p.Calls, p.Failed, p.Tokens(), p.CostUSD(), p.Unpriced)
		}
		return append(cells, nil, nil, nil, nil, nil)
	})
}

// EntryRows are what happened of these kinds, as f wants it, whole. A failed call comes
// without its texts, which CallRows have.
func EntryRows(kinds []string, f Filter) Rows {
	get := func(ctx context.Context, v *View, p Page) (List[Entry], error) { return v.Entries(ctx, kinds, f, p) }
	row := func(ctx context.Context, read Reader, e *Entry) (whole *EntryDetail, err error) {
		err = read(ctx, func(v *View) error {
			if e.Kind != KindCall {
				whole, err = v.Entry(ctx, e.Kind, e.TraceID)
				return err
			}
			c, err := v.Call(ctx, e.TraceID)
			if err == nil {
				whole = &EntryDetail{
					Entry: *e, Message: c.ErrorMessage, Metadata: c.Metadata,
					OTELTraceID: c.OTELTraceID, OTELSpanID: c.OTELSpanID, OTELParentID: c.OTELParentID,
				}
			}
			return err
		})
		if errors.Is(err, ErrNotFound) {
			return nil, nil // deleted since it was listed
		}
		return whole, err
	}
	return rowsOf(get, row, []string{
		"kind", "trace_id", "created_at", "name", "severity", "message", "stack_trace", "provider", "model", "session_id", "agent", "duration_ms",
		"fingerprint", "metadata", "otel_trace_id", "otel_span_id", "otel_parent_span_id",
	}, func(e *EntryDetail) []any {
		return []any{
			e.Kind, e.TraceID, e.CreatedAt, e.Name, e.Severity, e.Message, e.StackTrace, e.Provider, e.Model, e.Session, e.Agent, e.DurationMS,
			e.Fingerprint, e.Metadata, e.OTELTraceID, e.OTELSpanID, e.OTELParentID,
		}
	})
}

// ReadingRows are the readings of f's range.
func ReadingRows(f Filter) Rows {
	return rowsOf(func(ctx context.Context, v *View, p Page) (List[Reading], error) { return v.Readings(ctx, f, p) }, same, []string{
		"trace_id", "created_at", "cpu_pct", "mem_rss_bytes", "mem_available", "mem_total", "disk_used_bytes", "disk_total_bytes", "disk_free_bytes", "metadata",
	}, func(m *Reading) []any {
		return []any{m.TraceID, m.CreatedAt, m.CPUPct, m.MemRSS, m.MemAvail, m.MemTotal, m.DiskUsed, m.DiskTotal, m.DiskFree, m.Metadata}
	})
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
