// Package genai gives OTLP its meaning: which span is an LLM call, which attribute
// is which column, which log record is an error.
//
// A call is decided by its span alone: one that OpenClaw names so or marks with
// openclaw.model_call attributes, otherwise an inference operation that is not known
// to wrap others. Every other valid span becomes a row of spans; the tokens of
// turns, runs and the like, which repeat those of their calls, stay in its metadata
// and are never added to anything.
//
// Nothing is guessed. What an emitter does not say is NULL, and attributes that
// have no column are kept in metadata under their own names.
package genai

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// MaxItems is how many spans or log records of one request are taken. More are
// rejected, since a row needs far more memory than the smallest span.
const MaxItems = 10_000

// tooMany is made once: it may be needed for millions of tiny items.
var tooMany = fmt.Sprintf("more than %d items in one request", MaxItems)

// Mapped is an export request as rows.
type Mapped struct {
	Batch    *writer.Batch
	Rejected int64  // items that cannot be stored
	Reason   string // why the first of them cannot, for the answer
}

func (m *Mapped) reject(kind, reason string) {
	if m.Rejected == 0 {
		m.Reason = reason
	}
	m.Rejected++
	m.Batch.Counts.Add(writer.Entry{Kind: kind, Outcome: writer.Refused, Reason: reason}, 1)
}

// Traces maps an ExportTraceServiceRequest. Texts of the rows may alias body. Values
// in metadata are cut to maxText bytes. An error is an *otlp.Error.
func Traces(body []byte, enc otlp.Encoding, maxText int) (*Mapped, error) {
	m := &Mapped{Batch: new(writer.Batch)}
	r := takeReader(maxText)
	defer r.release()
	err := otlp.DecodeTraces(body, enc, func(s *otlp.Span) {
		switch {
		case s.TraceID == otlp.TraceID{}:
			m.reject(writer.KindSpan, "invalid trace_id: want 16 bytes, not all zero")
		case s.SpanID == otlp.SpanID{}:
			m.reject(writer.KindSpan, "invalid span_id: want 8 bytes, not all zero")
		case len(m.Batch.Calls)+len(m.Batch.Spans) == MaxItems:
			m.reject(writer.KindSpan, tooMany)
		default:
			r.span(m.Batch, s)
		}
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Logs maps an ExportLogsServiceRequest: records of WARN and above become error
// events, the rest is counted.
func Logs(body []byte, enc otlp.Encoding, maxText int) (*Mapped, error) {
	m := &Mapped{Batch: new(writer.Batch)}
	r := takeReader(maxText)
	defer r.release()
	err := otlp.DecodeLogs(body, enc, func(l *otlp.LogRecord) {
		severity := severityOf(l)
		switch {
		case severity == "":
			m.Batch.Counts.Add(writer.Entry{Kind: writer.KindLog, Outcome: writer.Ignored, Reason: "below WARN"}, 1)
		case len(m.Batch.Errors) == MaxItems:
			m.reject(writer.KindLog, tooMany)
		default:
			r.log(m.Batch, l, severity)
		}
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Metrics counts the data points of an ExportMetricsServiceRequest. They are not
// kept: OpenClaw sends its whole set again at every flush.
func Metrics(body []byte, enc otlp.Encoding) (*Mapped, error) {
	points, err := otlp.CountMetrics(body, enc)
	if err != nil {
		return nil, err
	}
	m := &Mapped{Batch: new(writer.Batch)}
	m.Batch.Counts.Add(writer.Entry{Kind: writer.KindMetric, Outcome: writer.Ignored, Reason: "not kept"}, int64(points))
	return m, nil
}

// reader turns views into rows. It keeps its buffers from one item to the next, and
// from one request to the next.
type reader struct {
	maxText int
	slab    slab
	meta    metadata
	got     [fields]*otlp.Value
	rank    [fields]uint8
	means   []meaning // of the item's attributes, in their order
	invalid []string  // keys whose number makes no sense
	scratch []byte
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func takeReader(maxText int) *reader {
	r := readers.Get().(*reader)
	r.maxText = maxText
	return r
}

// release lets go of all that belongs to the request.
func (r *reader) release() {
	*r = reader{meta: metadata{buf: r.meta.buf}, means: r.means, scratch: r.scratch, invalid: r.invalid}
	if cap(r.meta.buf) <= maxMetadata && cap(r.scratch) <= maxMetadata {
		readers.Put(r)
	}
}

// collect notes for each field the attribute that says it best.
func (r *reader) collect(attrs []otlp.KeyValue) (isCall bool) {
	r.got = [fields]*otlp.Value{}
	r.means = r.means[:0]
	r.invalid = r.invalid[:0]
	for i := range attrs {
		key := attrs[i].Key
		mean, ok := meanings[key]
		r.means = append(r.means, mean)
		isCall = isCall || strings.HasPrefix(key, callPrefix)
		if ok && (r.got[mean.field] == nil || mean.rank <= r.rank[mean.field]) {
			r.got[mean.field] = &attrs[i].Value
			r.rank[mean.field] = mean.rank
		}
	}
	return isCall
}

// text returns a field as plain text: a string as it is, anything else as JSON.
func (r *reader) text(f field) (string, bool) {
	v := r.got[f]
	if v == nil || v.Kind == otlp.Empty {
		return "", false
	}
	if v.Kind == otlp.String {
		return v.Str, true
	}
	r.scratch = otlp.AppendJSON(r.scratch[:0], v)
	return string(r.scratch), true
}

func (r *reader) textPtr(f field) *string {
	s, ok := r.text(f)
	if !ok || s == "" {
		return nil
	}
	return r.slab.string(s)
}

// count returns a field that counts something: a whole number up to MaxCount, also if
// sent as double or as decimal text. Anything else is no number and is noted.
func (r *reader) count(f field) *int64 {
	v := r.got[f]
	if v == nil {
		return nil
	}
	n := int64(-1)
	switch v.Kind {
	case otlp.Empty:
		return nil
	case otlp.Int:
		n = v.Int()
	case otlp.Double:
		if d := v.Double(); d >= 0 && d <= writer.MaxCount && d == math.Trunc(d) {
			n = int64(d)
		}
	case otlp.String:
		if i, err := strconv.ParseInt(v.Str, 10, 64); err == nil {
			n = i
		}
	}
	if n < 0 || n > writer.MaxCount {
		r.invalid = append(r.invalid, r.key(f))
		return nil
	}
	return r.slab.int(n)
}

// amount returns a field that measures something: a number from 0 to limit.
func (r *reader) amount(f field, limit float64) *float64 {
	v := r.got[f]
	if v == nil {
		return nil
	}
	a := -1.0
	switch v.Kind {
	case otlp.Empty:
		return nil
	case otlp.Int:
		a = float64(v.Int())
	case otlp.Double:
		a = v.Double()
	case otlp.String:
		if d, err := strconv.ParseFloat(v.Str, 64); err == nil {
			a = d
		}
	}
	if !(a >= 0 && a <= limit) {
		r.invalid = append(r.invalid, r.key(f))
		return nil
	}
	return &a
}

// key returns the attribute that a field was taken from.
func (r *reader) key(f field) string {
	for _, d := range dialect {
		if d.field == f {
			return d.keys[r.rank[f]]
		}
	}
	return ""
}

// ids writes an item's identities: the derived UUID and OpenTelemetry's own in hex.
type ids struct {
	uuid, trace, span string
	parent            *string
}

func (r *reader) spanIDs(s *otlp.Span) ids {
	h := sha256.New()
	h.Write(s.TraceID[:])
	h.Write(s.SpanID[:])
	var buf [36 + 32 + 16 + 16]byte
	putUUID(buf[:36], s.StartNano, h.Sum(r.scratch[:0]))
	hex.Encode(buf[36:], s.TraceID[:])
	hex.Encode(buf[68:], s.SpanID[:])
	hex.Encode(buf[84:], s.ParentSpanID[:])
	all := string(buf[:])
	id := ids{uuid: all[:36], trace: all[36:68], span: all[68:84]}
	if s.ParentSpanID != (otlp.SpanID{}) {
		id.parent = r.slab.string(all[84:])
	}
	return id
}

// putUUID writes to dst, of 36 bytes, a UUID version 8 (RFC 9562, section 5.8) of 48
// bits of Unix ms and 74 bits of hash. A span sent again is found by it, and spans
// close in time are close in the index.
func putUUID(dst []byte, nano uint64, hash []byte) {
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:], nano/1e6<<16)
	copy(u[6:], hash)
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	text, _ := u.MarshalText() // has no error to return
	copy(dst, text)
}

// millis turns Unix nanoseconds into milliseconds; 0, unknown, stays 0.
func millis(nano uint64) int64 { return int64(nano / 1e6) }

// duration returns the whole milliseconds between two times, or nil if unknown.
func (r *reader) duration(start, end uint64) *int64 {
	if start == 0 || end < start {
		return nil
	}
	return r.slab.int(int64((end - start) / 1e6))
}

// slab hands out pointers to values of one request without an allocation for each.
type slab struct {
	strings []string
	ints    []int64
}

func (s *slab) string(v string) *string { return push(&s.strings, v) }
func (s *slab) int(v int64) *int64      { return push(&s.ints, v) }

func push[T any](chunk *[]T, v T) *T {
	if len(*chunk) == cap(*chunk) {
		// The full one lives on in its pointers.
		*chunk = make([]T, 0, min(max(16, 2*cap(*chunk)), 256))
	}
	*chunk = append(*chunk, v)
	return &(*chunk)[len(*chunk)-1]
}

// IsTimeout tells whether an error type or kind means that time ran out.
func IsTimeout(kind string) bool {
	kind = strings.ToLower(kind)
	return slices.ContainsFunc([]string{"timeout", "timed_out", "timed out", "timedout", "deadline"}, func(s string) bool {
		return strings.Contains(kind, s)
	})
}
