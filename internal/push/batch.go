package push

import (
	"context"
	"crypto/sha256"
	"math"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// maxBatch is how many events a batch has at most, and how many must wait for a round
// to begin before its time.
const maxBatch = 500

// pageRows is how many rows are read at once at most. What is read is in memory, whether
// the batch has room for it or not, and texts may be long.
const pageRows = 50

// reach is how far on rows are looked for before it is asked where the next one is: what
// lies between may be delivered, and would be read for nothing.
const reach = 10_000

// kind is a table whose rows are delivered. A batch has rows of one.
type kind struct {
	name string // in the ledger
	read func(ctx context.Context, q *db.Queries, b *batch) (rows int, err error)
	// first returns the id of the first row that waits after another, 0 if none does.
	first func(ctx context.Context, q *db.Queries, after int64) (int64, error)
	// The next three change one row and return how many that were.
	mark   func(ctx context.Context, tx *writer.Tx, id, at int64) (int64, error)
	giveUp func(ctx context.Context, tx *writer.Tx, id int64) (int64, error)
	retry  func(ctx context.Context, tx *writer.Tx, traceID string) (int64, error)
	drop   func(ctx context.Context, tx *writer.Tx, traceID string) (int64, error)
	oldest func(*db.OldestPendingRow) int64
}

// kinds are all of them. Errors do not wait behind a backlog of the others.
var kinds = [...]kind{
	{
		name: writer.KindError,
		read: func(ctx context.Context, q *db.Queries, b *batch) (int, error) {
			rows, err := q.ListPendingErrors(ctx, db.ListPendingErrorsParams{After: b.last, Upto: b.upto(), Lim: b.page()})
			return each(b, rows, err, func(r *db.ErrorEvent) (int64, string) { return r.ID, r.TraceID }, encoder.errorEvent)
		},
		first: func(ctx context.Context, q *db.Queries, after int64) (int64, error) {
			return q.FirstPendingError(ctx, after)
		},
		mark: func(ctx context.Context, tx *writer.Tx, id, at int64) (int64, error) {
			return tx.MarkError(ctx, db.MarkErrorParams{At: &at, ID: id})
		},
		giveUp: func(ctx context.Context, tx *writer.Tx, id int64) (int64, error) { return tx.GiveUpError(ctx, id) },
		retry:  func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.RetryError(ctx, id) },
		drop:   func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.DropError(ctx, id) },
		oldest: func(o *db.OldestPendingRow) int64 { return o.ErrorEvent },
	},
	{
		name: writer.KindCall,
		read: func(ctx context.Context, q *db.Queries, b *batch) (int, error) {
			rows, err := q.ListPendingCalls(ctx, db.ListPendingCallsParams{After: b.last, Upto: b.upto(), Lim: b.page()})
			return each(b, rows, err, func(r *db.LLMTrace) (int64, string) { return r.ID, r.TraceID }, encoder.call)
		},
		first: func(ctx context.Context, q *db.Queries, after int64) (int64, error) {
			return q.FirstPendingCall(ctx, after)
		},
		mark: func(ctx context.Context, tx *writer.Tx, id, at int64) (int64, error) {
			return tx.MarkCall(ctx, db.MarkCallParams{At: &at, ID: id})
		},
		giveUp: func(ctx context.Context, tx *writer.Tx, id int64) (int64, error) { return tx.GiveUpCall(ctx, id) },
		retry:  func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.RetryCall(ctx, id) },
		drop:   func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.DropCall(ctx, id) },
		oldest: func(o *db.OldestPendingRow) int64 { return o.LLMTrace },
	},
	{
		name: writer.KindSpan,
		read: func(ctx context.Context, q *db.Queries, b *batch) (int, error) {
			rows, err := q.ListPendingSpans(ctx, db.ListPendingSpansParams{After: b.last, Upto: b.upto(), Lim: b.page()})
			return each(b, rows, err, func(r *db.Span) (int64, string) { return r.ID, r.TraceID }, encoder.span)
		},
		first: func(ctx context.Context, q *db.Queries, after int64) (int64, error) {
			return q.FirstPendingSpan(ctx, after)
		},
		mark: func(ctx context.Context, tx *writer.Tx, id, at int64) (int64, error) {
			return tx.MarkSpan(ctx, db.MarkSpanParams{At: &at, ID: id})
		},
		giveUp: func(ctx context.Context, tx *writer.Tx, id int64) (int64, error) { return tx.GiveUpSpan(ctx, id) },
		retry:  func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.RetrySpan(ctx, id) },
		drop:   func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.DropSpan(ctx, id) },
		oldest: func(o *db.OldestPendingRow) int64 { return o.Span },
	},
	{
		name: writer.KindEvent,
		read: func(ctx context.Context, q *db.Queries, b *batch) (int, error) {
			rows, err := q.ListPendingEvents(ctx, db.ListPendingEventsParams{After: b.last, Upto: b.upto(), Lim: b.page()})
			return each(b, rows, err, func(r *db.CustomEvent) (int64, string) { return r.ID, r.TraceID }, encoder.event)
		},
		first: func(ctx context.Context, q *db.Queries, after int64) (int64, error) {
			return q.FirstPendingEvent(ctx, after)
		},
		mark: func(ctx context.Context, tx *writer.Tx, id, at int64) (int64, error) {
			return tx.MarkEvent(ctx, db.MarkEventParams{At: &at, ID: id})
		},
		giveUp: func(ctx context.Context, tx *writer.Tx, id int64) (int64, error) { return tx.GiveUpEvent(ctx, id) },
		retry:  func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.RetryEvent(ctx, id) },
		drop:   func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.DropEvent(ctx, id) },
		oldest: func(o *db.OldestPendingRow) int64 { return o.CustomEvent },
	},
	{
		name: writer.KindReading,
		read: func(ctx context.Context, q *db.Queries, b *batch) (int, error) {
			rows, err := q.ListPendingReadings(ctx, db.ListPendingReadingsParams{After: b.last, Upto: b.upto(), Lim: b.page()})
			return each(b, rows, err, func(r *db.SystemMetric) (int64, string) { return r.ID, r.TraceID }, encoder.reading)
		},
		first: func(ctx context.Context, q *db.Queries, after int64) (int64, error) {
			return q.FirstPendingReading(ctx, after)
		},
		mark: func(ctx context.Context, tx *writer.Tx, id, at int64) (int64, error) {
			return tx.MarkReading(ctx, db.MarkReadingParams{At: &at, ID: id})
		},
		giveUp: func(ctx context.Context, tx *writer.Tx, id int64) (int64, error) { return tx.GiveUpReading(ctx, id) },
		retry:  func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.RetryReading(ctx, id) },
		drop:   func(ctx context.Context, tx *writer.Tx, id string) (int64, error) { return tx.DropReading(ctx, id) },
		oldest: func(o *db.OldestPendingRow) int64 { return o.SystemMetric },
	},
}

func kindNamed(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

// nextKind returns the kind whose turn it is, or nil if nothing waits: errors, and else
// the one that has waited longest.
func nextKind(o *db.OldestPendingRow) (k *kind) {
	since := int64(math.MaxInt64) // what OldestPending says if none waits
	for i := range kinds {
		at := kinds[i].oldest(o)
		if at < since && (k == nil || k.name != writer.KindError) {
			k, since = &kinds[i], at
		}
	}
	return k
}

// encoder makes the body of a request from rows. The two formats are its
// implementations.
type encoder interface {
	// begin starts a batch of rows of one kind.
	begin(kind string)
	errorEvent(*db.ErrorEvent)
	call(*db.LLMTrace)
	span(*db.Span)
	event(*db.CustomEvent)
	reading(*db.SystemMetric)
	// size is that of the events so far, in bytes before compression.
	size() int
	// undo takes back the last event.
	undo()
	// finish returns the request of the batch, which is valid until begin.
	finish(e envelope) request
	// accepted reads what an answer of 2xx says about single events.
	accepted(kind string, body []byte) (rejected int64, reason string)
}

// envelope is what a batch says beside its events.
type envelope struct {
	batchID  string
	sequence int64
	books    writer.Books
}

// request is what is sent.
type request struct {
	url         string
	contentType string
	body        [][]byte // one after the other
}

// batch is a number of rows on their way.
type batch struct {
	kind    *kind
	enc     encoder
	limit   int // of rows
	maxSize int // of their encoding

	last     int64 // id from which on rows are read
	ids      []int64
	traceIDs []string
	full     bool
}

// page returns how many rows are to be read next: few until it is known how large they
// are, and then as many as there should be room for.
func (b *batch) page() int64 {
	n, size := int64(len(b.ids)), int64(b.enc.size())
	page := min(pageRows, int64(b.limit)-n, max(2*n, 1))
	if size > 0 {
		page = min(page, max(int64(b.maxSize)-size, 0)*n/size+1)
	}
	return page
}

// upto returns the id up to which rows are to be read next.
func (b *batch) upto() int64 { return b.last + min(reach, math.MaxInt64-b.last) }

// fill reads rows until the batch is full or none is left. after is the last row of the
// batch before, or 0 if that is not known.
func (b *batch) fill(ctx context.Context, q *db.Queries, after int64) error {
	b.ids, b.traceIDs = b.ids[:0], b.traceIDs[:0]
	b.last, b.full = after, false
	b.enc.begin(b.kind.name)
	known := after > 0 // that there is something near
	for !b.full && len(b.ids) < b.limit {
		if !known {
			first, err := b.kind.first(ctx, q, b.last)
			if err != nil || first == 0 {
				return err
			}
			b.last = first - 1
		}
		upto, want := b.upto(), int(b.page())
		rows, err := b.kind.read(ctx, q, b)
		if err != nil {
			return err
		}
		if known = rows == want; !known && !b.full {
			b.last = upto
		}
	}
	return nil
}

// each adds rows to the batch until it is full.
func each[T any](b *batch, rows []T, err error, key func(*T) (id int64, traceID string), encode func(encoder, *T)) (int, error) {
	if err != nil {
		return 0, err
	}
	for i := range rows {
		encode(b.enc, &rows[i])
		if b.enc.size() > b.maxSize && len(b.ids) > 0 {
			b.enc.undo()
			b.full = true
			break
		}
		var traceID string
		b.last, traceID = key(&rows[i])
		b.ids = append(b.ids, b.last)
		b.traceIDs = append(b.traceIDs, traceID)
	}
	return len(rows), nil
}

// batchID returns an identity of what is in the batch, so that the same events sent
// again are the same batch, and others are not.
func (b *batch) batchID(instance string) string {
	h := sha256.New()
	h.Write([]byte(instance + "\x00" + b.kind.name))
	for _, id := range b.traceIDs {
		h.Write([]byte{0})
		h.Write([]byte(id))
	}
	var u uuid.UUID
	copy(u[:], h.Sum(nil))
	u[6] = u[6]&0x0f | 0x80 // version 8 (RFC 9562, section 5.8)
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}
