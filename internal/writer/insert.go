package writer

import (
	"context"
	"database/sql"

	"github.com/kon-rad/openclaw-trace/db"
)

// insert writes the group's rows and what they add to the books.
func (w *Writer) insert(q *db.Queries, group []*pending) error {
	for _, p := range group {
		p.receipt = Receipt{}
		w.delta.AddAll(&p.batch.Counts)
		w.calls = append(w.calls, p.batch.Calls...)
		w.errors = append(w.errors, p.batch.Errors...)
		w.spans = append(w.spans, p.batch.Spans...)
		w.events = append(w.events, p.batch.Events...)
		w.readings = append(w.readings, p.batch.Readings...)
	}
	ctx := context.Background()

	calls := inserter[db.InsertLLMTraceParams]{
		kind: KindCall, rows: w.calls, last: &w.last.LLMTrace, width: db.InsertLLMTraceWidth,
		many: func(rows []db.InsertLLMTraceParams) (sql.Result, error) {
			return q.InsertLLMTraceRows(ctx, (*[db.InsertLLMTraceWidth]db.InsertLLMTraceParams)(rows))
		},
		one: func(c db.InsertLLMTraceParams) (sql.Result, error) { return q.InsertLLMTrace(ctx, c) },
		find: func(c *db.InsertLLMTraceParams) (int64, bool, error) {
			was, err := q.FindLLMTrace(ctx, c.TraceID)
			same := was.Provider == c.Provider && was.Model == c.Model && was.Status == c.Status &&
				equal(was.InputText, c.InputText) && equal(was.OutputText, c.OutputText) &&
				equal(was.PromptTokens, c.PromptTokens) && equal(was.CompletionTokens, c.CompletionTokens)
			return was.ID, same, err
		},
		stored: func(i int) { w.fresh = append(w.fresh, i) },
	}
	if err := calls.run(w, group, func(b *Batch) int { return len(b.Calls) }); err != nil {
		return err
	}

	errors := inserter[db.InsertErrorEventParams]{
		kind: KindError, rows: w.errors, last: &w.last.ErrorEvent,
		one: func(e db.InsertErrorEventParams) (sql.Result, error) { return q.InsertErrorEvent(ctx, e) },
		find: func(e *db.InsertErrorEventParams) (int64, bool, error) {
			was, err := q.FindErrorEvent(ctx, e.TraceID)
			same := was.ErrorType == e.ErrorType && was.Message == e.Message && was.Severity == e.Severity
			return was.ID, same, err
		},
	}
	if err := errors.run(w, group, func(b *Batch) int { return len(b.Errors) }); err != nil {
		return err
	}

	spans := inserter[db.InsertSpanParams]{
		kind: KindSpan, rows: w.spans, last: &w.last.Span, width: db.InsertSpanWidth,
		many: func(rows []db.InsertSpanParams) (sql.Result, error) {
			return q.InsertSpanRows(ctx, (*[db.InsertSpanWidth]db.InsertSpanParams)(rows))
		},
		one: func(s db.InsertSpanParams) (sql.Result, error) { return q.InsertSpan(ctx, s) },
		find: func(s *db.InsertSpanParams) (int64, bool, error) {
			was, err := q.FindSpan(ctx, s.TraceID)
			same := was.Name == s.Name && was.Status == s.Status && equal(was.DurationMS, s.DurationMS)
			return was.ID, same, err
		},
	}
	if err := spans.run(w, group, func(b *Batch) int { return len(b.Spans) }); err != nil {
		return err
	}

	events := inserter[db.InsertCustomEventParams]{
		kind: KindEvent, rows: w.events, last: &w.last.CustomEvent,
		one: func(e db.InsertCustomEventParams) (sql.Result, error) { return q.InsertCustomEvent(ctx, e) },
		find: func(e *db.InsertCustomEventParams) (int64, bool, error) {
			was, err := q.FindCustomEvent(ctx, e.TraceID)
			same := was.Name == e.Name && equal(was.SessionID, e.SessionID) && equal(was.Metadata, e.Metadata)
			return was.ID, same, err
		},
	}
	if err := events.run(w, group, func(b *Batch) int { return len(b.Events) }); err != nil {
		return err
	}

	readings := inserter[db.InsertSystemMetricParams]{
		kind: KindReading, rows: w.readings, last: &w.last.SystemMetric,
		one: func(m db.InsertSystemMetricParams) (sql.Result, error) { return q.InsertSystemMetric(ctx, m) },
		find: func(m *db.InsertSystemMetricParams) (int64, bool, error) {
			was, err := q.FindSystemMetric(ctx, m.TraceID)
			return was.ID, was.CreatedAt == m.CreatedAt, err
		},
	}
	if err := readings.run(w, group, func(b *Batch) int { return len(b.Readings) }); err != nil {
		return err
	}

	for _, p := range group {
		for _, position := range p.batch.Positions {
			if err := q.SetLogPosition(ctx, position); err != nil {
				return err
			}
		}
	}
	return w.writeDelta(ctx, q)
}

func (w *Writer) writeDelta(ctx context.Context, q *db.Queries) error {
	for _, l := range w.delta.list {
		if err := q.AddLedger(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// inserter puts one kind of row into its table and finds out which were new.
type inserter[T any] struct {
	kind   string
	rows   []T
	last   *int64 // the table's highest id
	width  int    // rows that many takes, 0 without many
	many   func([]T) (sql.Result, error)
	one    func(T) (sql.Result, error)
	find   func(*T) (id int64, same bool, err error) // the row with this one's identity
	stored func(i int)                               // is told which rows are new; may be nil
}

// run inserts the rows, which stand in the order of the group's batches, and counts
// them: in the batches' receipts and in the ledger.
func (in *inserter[T]) run(w *Writer, group []*pending, rowsOf func(*Batch) int) error {
	row, batch, left := -1, -1, 0
	count := func(fresh, same bool) {
		for left == 0 {
			batch++
			left = rowsOf(group[batch].batch)
		}
		left--
		row++
		switch {
		case fresh:
			group[batch].receipt.Stored++
			w.delta.Add(Entry{in.kind, Received, ""}, 1)
			if in.stored != nil {
				in.stored(row)
			}
		case same:
			group[batch].receipt.Duplicates++
			w.delta.Add(Entry{in.kind, Duplicate, ""}, 1)
		default:
			group[batch].receipt.Duplicates++
			w.delta.Add(Entry{in.kind, Duplicate, "conflict"}, 1)
		}
	}
	for rows := in.rows; len(rows) > 0; {
		n, insert := 1, func([]T) (sql.Result, error) { return in.one(rows[0]) }
		if in.width > 0 && len(rows) >= in.width {
			n, insert = in.width, in.many
		}
		result, err := insert(rows[:n])
		if err != nil {
			return err
		}
		affected, err := result.RowsAffected()
		if err != nil {
			return err
		}
		for i := range n {
			if affected == int64(n) {
				count(true, true)
				continue
			}
			// Ids grow, so a row with an id above all before it is new; one that
			// occurs twice here is new the first time.
			id, same, err := in.find(&rows[i])
			if err != nil {
				return err
			}
			count(id > *in.last, same)
			*in.last = max(*in.last, id)
		}
		if affected > 0 {
			if *in.last, err = result.LastInsertId(); err != nil {
				return err
			}
		}
		rows = rows[n:]
	}
	return nil
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
