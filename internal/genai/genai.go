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
// events, those that hold content of a call custom events, the rest is counted.
func Logs(body []byte, enc otlp.Encoding, maxText int) (*Mapped, error) {
	m := &Mapped{Batch: new(writer.Batch)}
	r := takeReader(maxText)
	defer r.release()
	err := otlp.DecodeLogs(body, enc, func(l *otlp.LogRecord) {
		severity, event := severityOf(l), contentEvent(l)
		switch {
		case len(m.Batch.Errors)+len(m.Batch.Events) == MaxItems && (severity != "" || event != ""):
			m.reject(writer.KindLog, tooMany)
		case severity == "" && event != "":
			r.event(m.Batch, l, event)
		case severity == "":
			m.Batch.Counts.Add(writer.Entry{Kind: writer.KindLog, Outcome: writer.Ignored, Reason: "below WARN"}, 1)
		default:
			r.log(m.Batch, l, severity)
		}
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// AddLog adds a record to b that came in no request, such as a line of a file, as Logs
// does: as an error event if it is of WARN and above, otherwise as the custom event
// called event. The row's identity is derived from everything that the record says.
func AddLog(b *writer.Batch, l *otlp.LogRecord, event string, maxText int) {
	r := takeReader(maxText)
	defer r.release()
	if severity := severityOf(l); severity != "" {
		r.log(b, l, severity)
	} else {
		r.event(b, l, event)
	}
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
	maxText  int
	slab     slab
	meta     metadata
	attrs    []otlp.KeyValue // of the item, and those of its events that stand in for others
	at       [fields]uint16  // where in attrs each field is, from 1; 0 if it is not there
	rank     [fields]uint8
	means    []meaning // of the item's attributes, in their order
	invalid  []string  // keys whose number makes no sense
	hasRoles bool      // of messages spread over attributes
	op       *string   // what a span does
	uncached *int64    // input tokens without cached ones
	hourly   *int64    // of the tokens written to a cache, those that stay for an hour
	mended   bool      // the item's times were in the wrong unit
	scratch  []byte
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func takeReader(maxText int) *reader {
	r := readers.Get().(*reader)
	r.maxText = maxText
	r.meta.limit = max(maxMetadata, maxText)
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
	r.attrs = attrs
	r.at = [fields]uint16{}
	r.means = r.means[:0]
	r.invalid = r.invalid[:0]
	r.mended, r.hasRoles = false, false
	for i := range attrs {
		key := attrs[i].Key
		mean, ok := meaningOf(key)
		if v := &attrs[i].Value; v.Kind == otlp.Empty || v.Kind == otlp.String && v.Str == "" {
			ok = false // it says nothing, and must not hide what another says
		}
		r.means = append(r.means, mean)
		isCall = isCall || strings.HasPrefix(key, callPrefix)
		r.hasRoles = r.hasRoles || key == "gen_ai.prompt.0.role"
		if ok && (r.at[mean.field] == 0 || mean.rank <= r.rank[mean.field]) {
			r.at[mean.field], r.rank[mean.field] = uint16(i+1), mean.rank
		}
	}
	return isCall
}

// got returns the value of the attribute that says a field best, or nil.
func (r *reader) got(f field) *otlp.Value {
	if i := r.at[f]; i > 0 {
		return &r.attrs[i-1].Value
	}
	return nil
}

// text returns a field as plain text: a string as it is, anything else as JSON.
func (r *reader) text(f field) (string, bool) {
	v := r.got(f)
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
	v := r.got(f)
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
		if r.nextBest(f) {
			return r.count(f)
		}
		return nil
	}
	return r.slab.int(n)
}

// nextBest takes the attribute that says a field best after the one taken so far, if
// there is one.
func (r *reader) nextBest(f field) bool {
	at, best := uint16(0), uint8(math.MaxUint8)
	for i, m := range r.means {
		if m.field == f && m.rank > r.rank[f] && m.rank < best {
			at, best = uint16(i+1), m.rank
		}
	}
	if at == 0 {
		return false
	}
	r.at[f], r.rank[f] = at, best
	return true
}

// cut shortens a text as far as the writer will, and a little less.
func (r *reader) cut(s string) string { return writer.CutWord(s, r.maxText+writer.MaskMargin) }

// millis returns a field that measures time, in units of which a millisecond has
// perMS, as whole milliseconds, rounded.
func (r *reader) millis(f field, perMS float64) *int64 {
	v := r.amount(f, writer.MaxCount*perMS)
	if v == nil {
		return nil
	}
	return r.slab.int(int64(math.Round(*v / perMS))) // 1.001 s is a little less than 1001 ms
}

// amount returns a field that measures something: a number from 0 to limit.
func (r *reader) amount(f field, limit float64) *float64 {
	v := r.got(f)
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

// key returns the attribute that a field was taken from, or "" if there is none.
func (r *reader) key(f field) string {
	if r.got(f) == nil {
		return ""
	}
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
	var buf [36 + 32 + 16 + 16]byte
	putSpanUUID(buf[:36], s.TraceID, s.SpanID, millis(s.StartNano))
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

// SpanUUID returns the identity of a span that starts at startMS, in Unix ms.
func SpanUUID(trace otlp.TraceID, span otlp.SpanID, startMS int64) string {
	var id [36]byte
	putSpanUUID(id[:], trace, span, startMS)
	return string(id[:])
}

func putSpanUUID(dst []byte, trace otlp.TraceID, span otlp.SpanID, startMS int64) {
	var both [24]byte
	copy(both[:], trace[:])
	copy(both[16:], span[:])
	hash := sha256.Sum256(both[:])
	putUUID(dst, startMS, hash[:])
}

// putUUID writes to dst, of 36 bytes, a UUID version 8 (RFC 9562, section 5.8) of 48
// bits of Unix ms and 74 bits of hash. A span sent again is found by it, and spans
// close in time are close in the index.
func putUUID(dst []byte, ms int64, hash []byte) {
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:], uint64(ms)<<16)
	copy(u[6:], hash)
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	text, _ := u.MarshalText() // has no error to return
	copy(dst, text)
}

// millis turns Unix nanoseconds into milliseconds; 0, unknown, stays 0.
func millis(nano uint64) int64 { return int64(nano / 1e6) }

// TimeUnit returns how many nanoseconds the unit has in which t is a Unix time between
// 2001 and 2286, or 0 if there is none. Seconds, milliseconds, microseconds and
// nanoseconds of those years are apart by their size, so that an emitter's confusion of
// them can be told and mended.
func TimeUnit(t uint64) uint64 {
	for unit := uint64(1e9); unit > 0; unit /= 1000 {
		if since := 1e18 / unit; since <= t && t/10 < since {
			return unit
		}
	}
	return 0
}

const timeUnitMended = "openclaw_trace.time_unit_mended"

// countRepairs counts what was put right, or left out, of the item just mapped.
func (r *reader) countRepairs(b *writer.Batch, kind string) {
	add := func(reason string, n int64) {
		b.Counts.Add(writer.Entry{Kind: kind, Outcome: writer.Repaired, Reason: reason}, n)
	}
	add("number", int64(len(r.invalid)))
	add("attributes over a limit", r.meta.dropped)
	if r.mended {
		add("time unit", 1)
	}
}

// mendTimes brings times that are not in nanoseconds, as OTLP has them, into those.
func (r *reader) mendTimes(times ...*uint64) {
	for _, t := range times {
		if unit := TimeUnit(*t); unit > 1 {
			*t *= unit
			r.mended = true
		}
	}
}

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
