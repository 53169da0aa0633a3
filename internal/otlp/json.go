package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonDecoder reads the three export requests, which have the same shape from the
// top down to the item; only names differ.
//
// A value of another type than its field demands counts as absent, and so does a
// null, but where an object or an array is needed anything else is malformed. Of a
// field given twice the last one counts, except for the three lists that lead to the
// items: they add up, as the items of the first one have been visited by then.
type jsonDecoder struct {
	views
	dec   *jsontext.Decoder
	body  []byte
	base  int // where in body dec begins
	depth int // how many objects and arrays are around that
	err   *Error
}

func newJSONDecoder() *jsonDecoder { return &jsonDecoder{dec: new(jsontext.Decoder)} }

// Names of the levels of the requests, by Signal.
var jsonLevels = [...]struct{ resources, scopes, items string }{
	Traces:  {"resourceSpans", "scopeSpans", "spans"},
	Logs:    {"resourceLogs", "scopeLogs", "logRecords"},
	Metrics: {"resourceMetrics", "scopeMetrics", "metrics"},
}

func (d *jsonDecoder) decode(body []byte, r request) (int, error) {
	d.request = r
	d.body = body
	d.open(0)
	if d.dec.PeekKind() == 'n' {
		d.fail(d.next(), "want an object")
	}
	for name := range d.fields() {
		if name == jsonLevels[d.signal].resources {
			for range d.elements() {
				d.resourceItems()
			}
		} else {
			d.skip()
		}
	}
	if d.err == nil {
		at := d.next()
		if _, err := d.dec.ReadToken(); err != io.EOF {
			d.fail(at, "data after the request")
		}
	}
	points, err := d.points, d.err
	d.dec.Reset(new(bytes.Buffer)) // lets go of the body
	d.body, d.base, d.err = nil, 0, nil
	d.views.release()
	if err != nil {
		return 0, err
	}
	return points, nil
}

// open makes dec read the body from offset base on.
func (d *jsonDecoder) open(base int) {
	d.base = base
	d.dec.Reset(bytes.NewBuffer(d.body[base:]), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (d *jsonDecoder) resourceItems() {
	d.beginOrigin()
	known := false
	var held []stretch
	for name := range d.fields() {
		switch name {
		case "resource":
			known = true
			d.beginOrigin()
			for name := range d.fields() {
				if name == "attributes" {
					d.origin.Resource = d.attributes(&d.resource)
				} else {
					d.skip()
				}
			}
		case jsonLevels[d.signal].scopes:
			if !known {
				held = append(held, d.hold())
				continue
			}
			for range d.elements() {
				d.scopeItems()
			}
		default:
			d.skip()
		}
	}
	d.replay(held, d.scopeItems)
}

func (d *jsonDecoder) scopeItems() {
	d.origin.ScopeName, d.origin.ScopeVersion = "", ""
	known := false
	var held []stretch
	for name := range d.fields() {
		switch name {
		case "scope":
			known = true
			d.origin.ScopeName, d.origin.ScopeVersion = "", ""
			for name := range d.fields() {
				switch name {
				case "name":
					d.readString(&d.origin.ScopeName)
				case "version":
					d.readString(&d.origin.ScopeVersion)
				default:
					d.skip()
				}
			}
		case jsonLevels[d.signal].items:
			if !known {
				held = append(held, d.hold())
				continue
			}
			for range d.elements() {
				d.item()
			}
		default:
			d.skip()
		}
	}
	d.replay(held, d.item)
}

func (d *jsonDecoder) item() {
	switch d.signal {
	case Traces:
		d.readSpan()
	case Logs:
		d.readLog()
	case Metrics:
		d.readMetric()
	}
}

func (d *jsonDecoder) readSpan() {
	d.beginSpan()
	s := &d.span
	for name := range d.fields() {
		switch name {
		case "traceId":
			d.readID(s.TraceID[:])
		case "spanId":
			d.readID(s.SpanID[:])
		case "parentSpanId":
			d.readID(s.ParentSpanID[:])
		case "name":
			d.readString(&s.Name)
		case "kind":
			d.readInt32(&s.Kind)
		case "startTimeUnixNano":
			d.readUint64(&s.StartNano)
		case "endTimeUnixNano":
			d.readUint64(&s.EndNano)
		case "attributes":
			s.Attrs = d.attributes(&d.values)
		case "events":
			d.events = d.events[:0]
			for range d.elements() {
				d.event()
			}
		case "status":
			s.StatusCode, s.StatusMessage = 0, ""
			for name := range d.fields() {
				switch name {
				case "message":
					d.readString(&s.StatusMessage)
				case "code":
					d.readInt32(&s.StatusCode)
				default:
					d.skip()
				}
			}
		default:
			d.skip()
		}
	}
	if d.err == nil {
		d.emitSpan()
	}
}

func (d *jsonDecoder) event() {
	e := d.addEvent()
	if e == nil {
		d.skip()
		return
	}
	for name := range d.fields() {
		switch name {
		case "timeUnixNano":
			d.readUint64(&e.TimeNano)
		case "name":
			d.readString(&e.Name)
		case "attributes":
			e.Attrs = d.attributes(&d.values)
		default:
			d.skip()
		}
	}
}

func (d *jsonDecoder) readLog() {
	d.beginLog()
	l := &d.log
	for name := range d.fields() {
		switch name {
		case "timeUnixNano":
			d.readUint64(&l.TimeNano)
		case "observedTimeUnixNano":
			d.readUint64(&l.ObservedTimeNano)
		case "severityNumber":
			d.readInt32(&l.SeverityNumber)
		case "severityText":
			d.readString(&l.SeverityText)
		case "eventName":
			d.readString(&l.EventName)
		case "body":
			l.Body = Value{}
			d.value(&d.values, &l.Body, 1)
		case "attributes":
			l.Attrs = d.attributes(&d.values)
		case "traceId":
			d.readID(l.TraceID[:])
		case "spanId":
			d.readID(l.SpanID[:])
		default:
			d.skip()
		}
	}
	if d.err == nil {
		d.emitLog()
	}
}

func (d *jsonDecoder) readMetric() {
	n := 0
	for name := range d.fields() {
		switch name {
		case "gauge", "sum", "histogram", "exponentialHistogram", "summary":
			if d.null() {
				continue
			}
			n = 0
			for name := range d.fields() {
				if name != "dataPoints" {
					d.skip()
					continue
				}
				n = 0
				for range d.elements() {
					n++
					d.skip()
				}
			}
		default:
			d.skip()
		}
	}
	d.points += n
}

func (d *jsonDecoder) attributes(l *lists) []KeyValue {
	return d.list(l, 0, Map)
}

// list reads an array of KeyValue, or of AnyValue for an Array, as a list.
func (d *jsonDecoder) list(l *lists, depth int, k Kind) []KeyValue {
	start := l.begin(depth)
	for range d.elements() {
		kv := l.add(depth, start)
		if kv == nil {
			d.skip()
			continue
		}
		if k == Array {
			d.value(l, &kv.Value, depth+1)
			continue
		}
		for name := range d.fields() {
			switch name {
			case "key":
				d.readString(&kv.Key)
			case "value":
				kv.Value = Value{}
				d.value(l, &kv.Value, depth+1)
			default:
				d.skip()
			}
		}
	}
	return l.list(depth, start)
}

// value reads an AnyValue into v; its elements, if any, are a list of the depth
// given. MaxDepth needs no check: the body itself cannot be that deep.
func (d *jsonDecoder) value(l *lists, v *Value, depth int) {
	for name := range d.fields() {
		switch name {
		case "stringValue":
			if s, ok := d.text(); ok {
				v.set(String)
				v.Str = s
			}
		case "boolValue":
			switch d.dec.PeekKind() {
			case 't':
				v.set(Bool)
				v.num = 1
			case 'f':
				v.set(Bool)
			}
			d.skip()
		case "intValue":
			if n, ok := d.integer(); ok {
				v.set(Int)
				v.num = uint64(n)
			}
		case "doubleValue":
			if f, ok := d.float(); ok {
				v.set(Double)
				v.num = math.Float64bits(f)
			}
		case "bytesValue":
			if b, ok := d.binary(); ok {
				v.set(Bytes)
				v.Str = b
			}
		case "arrayValue":
			d.elementsOf(l, v, Array, depth)
		case "kvlistValue":
			d.elementsOf(l, v, Map, depth)
		default:
			d.skip()
		}
	}
}

func (d *jsonDecoder) elementsOf(l *lists, v *Value, k Kind, depth int) {
	if d.null() {
		return
	}
	v.set(k)
	for name := range d.fields() {
		if name == "values" {
			v.Items = d.list(l, depth, k)
		} else {
			d.skip()
		}
	}
}

// stretch is a part of the body.
type stretch struct {
	start, end int
	depth      int // of the arrays and objects around it
}

// hold reads past a value that cannot be understood yet.
func (d *jsonDecoder) hold() stretch {
	v, err := d.dec.ReadValue()
	if err != nil {
		d.failWith(err)
		return stretch{}
	}
	end := d.offset()
	return stretch{end - len(v), end, d.depth + d.dec.StackDepth()}
}

// replay reads the elements of arrays that were held.
func (d *jsonDecoder) replay(held []stretch, element func()) {
	if d.err != nil || len(held) == 0 {
		return
	}
	dec, body, base, depth := d.dec, d.body, d.base, d.depth
	d.dec = new(jsontext.Decoder)
	for _, h := range held {
		d.body, d.depth = body[:h.end], h.depth
		d.open(h.start)
		for range d.elements() {
			element()
		}
	}
	d.dec, d.body, d.base, d.depth = dec, body, base, depth
}

// fields yields the names of the object that comes next. For each the value has to
// be read.
func (d *jsonDecoder) fields() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !d.enter('{', "want an object") {
			return
		}
		for d.err == nil && d.dec.PeekKind() != '}' {
			name, _ := d.text()
			if d.err != nil || !yield(name) {
				return
			}
		}
		d.token()
	}
}

// elements yields once for each element of the array that comes next. Each has to
// be read.
func (d *jsonDecoder) elements() func(yield func() bool) {
	return func(yield func() bool) {
		if !d.enter('[', "want an array") {
			return
		}
		for d.err == nil && d.dec.PeekKind() != ']' {
			if !yield() {
				return
			}
		}
		d.token()
	}
}

// enter reads the delimiter that begins an object or array. A null stands for an
// empty one, and is read instead.
func (d *jsonDecoder) enter(delim jsontext.Kind, otherwise string) bool {
	if d.err != nil || d.null() {
		return false
	}
	switch d.dec.PeekKind() {
	case delim:
		d.token()
		d.checkDepth()
	case 0:
		d.token() // fails
	default:
		d.fail(d.next(), otherwise)
	}
	return d.err == nil
}

func (d *jsonDecoder) token() {
	if d.err != nil {
		return
	}
	if _, err := d.dec.ReadToken(); err != nil {
		d.failWith(err)
	}
}

func (d *jsonDecoder) checkDepth() {
	if d.depth+d.dec.StackDepth() > MaxDepth {
		d.fail(d.offset()-1, "nested too deeply")
	}
}

// null reads a null if one comes next.
func (d *jsonDecoder) null() bool {
	if d.err != nil || d.dec.PeekKind() != 'n' {
		return false
	}
	d.token()
	return d.err == nil
}

// skip reads past a value of any type.
func (d *jsonDecoder) skip() {
	outer := d.dec.StackDepth()
	for d.err == nil {
		d.token()
		d.checkDepth()
		if d.dec.StackDepth() == outer {
			return
		}
	}
}

// raw returns the text of the value that comes next if it is of one of the kinds
// given, else it reads past it and returns "".
func (d *jsonDecoder) raw(a, b jsontext.Kind) string {
	if d.err != nil {
		return ""
	}
	if k := d.dec.PeekKind(); k != a && k != b {
		d.skip()
		return ""
	}
	v, err := d.dec.ReadValue()
	if err != nil {
		d.failWith(err)
		return ""
	}
	text := d.body[d.offset()-len(v) : d.offset()]
	return unsafe.String(unsafe.SliceData(text), len(text))
}

func (d *jsonDecoder) text() (s string, ok bool) {
	s = d.raw('"', '"')
	if s == "" {
		return "", false
	}
	return unquote(s), true
}

func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1]
	}
	// jsontext has found no fault in it but, perhaps, invalid UTF-8, which is allowed.
	b, _ := jsontext.AppendUnquote(make([]byte, 0, len(s)), s)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (d *jsonDecoder) readString(dst *string) {
	if s, ok := d.text(); ok {
		*dst = s
	}
}

// number returns the text of a number, which may be in a string.
func (d *jsonDecoder) number() string {
	s := d.raw('0', '"')
	if s != "" && s[0] == '"' {
		return unquote(s)
	}
	return s
}

func (d *jsonDecoder) integer() (n int64, ok bool) {
	s := d.number()
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		f, ok := parseFloat(s)
		return int64(f), ok && f == math.Trunc(f) && math.Abs(f) < 1<<63
	}
	return n, err == nil
}

func (d *jsonDecoder) readInt32(dst *int32) {
	if n, ok := d.integer(); ok && n == int64(int32(n)) {
		*dst = int32(n)
	}
}

func (d *jsonDecoder) readUint64(dst *uint64) {
	s := d.number()
	n, err := strconv.ParseUint(s, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		f, ok := parseFloat(s)
		if ok && f == math.Trunc(f) && f >= 0 && f < 1<<64 {
			n, err = uint64(f), nil
		}
	}
	if err == nil {
		*dst = n
	}
}

func (d *jsonDecoder) float() (f float64, ok bool) {
	switch s := d.number(); s {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	default:
		return parseFloat(s)
	}
}

// parseFloat knows decimal notation only.
func parseFloat(s string) (f float64, ok bool) {
	if strings.Trim(s, "+-.0123456789eE") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// binary reads base64 of any variant, as protobuf's JSON mapping demands.
func (d *jsonDecoder) binary() (b string, ok bool) {
	s, ok := d.text()
	if !ok {
		return "", false
	}
	enc := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.RawURLEncoding
	}
	p, err := enc.DecodeString(strings.TrimRight(s, "="))
	return unsafe.String(unsafe.SliceData(p), len(p)), err == nil
}

// readID reads a hexadecimal identifier, which is zero when it is none or of the
// wrong length.
func (d *jsonDecoder) readID(dst []byte) {
	s, ok := d.text()
	if !ok {
		return
	}
	clear(dst)
	if len(s) != 2*len(dst) {
		return
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		clear(dst)
	}
}

// offset is where in the body the value read last ends.
func (d *jsonDecoder) offset() int { return d.base + int(d.dec.InputOffset()) }

// next is where the value to be read next begins.
func (d *jsonDecoder) next() int {
	rest := d.body[d.offset():]
	return d.offset() + len(rest) - len(bytes.TrimLeft(rest, " \t\r\n,:"))
}

func (d *jsonDecoder) fail(at int, reason string) {
	if d.err == nil {
		d.err = &Error{at, reason}
	}
}

func (d *jsonDecoder) failWith(err error) {
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		d.fail(d.base+int(se.ByteOffset), se.Err.Error())
		return
	}
	// The input is in memory, so nothing is left but its end.
	d.fail(len(d.body), io.ErrUnexpectedEOF.Error())
}
