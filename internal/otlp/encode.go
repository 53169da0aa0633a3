package otlp

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"
)

// StringValue returns a String.
func StringValue(s string) Value { return Value{Kind: String, Str: s} }

// IntValue returns an Int.
func IntValue(n int64) Value { return Value{Kind: Int, num: uint64(n)} }

// DoubleValue returns a Double.
func DoubleValue(f float64) Value { return Value{Kind: Double, num: math.Float64bits(f)} }

// BoolValue returns a Bool.
func BoolValue(b bool) Value {
	v := Value{Kind: Bool}
	if b {
		v.num = 1
	}
	return v
}

// Metric is what an Encoder takes of opentelemetry.proto.metrics.v1.Metric: a gauge, or
// a sum, which is cumulative. Received metrics are counted only and have no view.
type Metric struct {
	*Origin
	Name        string
	Description string
	Unit        string // UCUM
	Sum         bool   // else a gauge
	Monotonic   bool   // of a sum: it never falls
	Points      []Point
}

// Point is a NumberDataPoint. Its value is an Int or a Double.
type Point struct {
	Attrs     []KeyValue
	StartNano uint64 // of a sum; 0 is unknown
	TimeNano  uint64
	Value     Value
}

// Encoder builds an export request in protobuf, item by item. The zero value is an
// empty request of whichever signal its items are of; a request has one signal.
//
// An item goes to the resource and the scope of the one before it if its Origin says the
// same, otherwise a new group begins; so items of one origin belong together. A nil
// Origin is an empty one. Nothing of an item is kept but its bytes, and invalid UTF-8
// becomes U+FFFD, since receivers refuse the whole request for it.
//
// The buffer is kept from one request to the next: it holds the largest so far. A
// request must stay below 256 MiB, which the lengths of groups have room for.
type Encoder struct {
	buf     []byte
	scratch []byte // a group that may begin
	group   group  // that is open

	// Before the last item.
	lastLen   int
	lastGroup group
}

// group is a ResourceSpans with its only ScopeSpans, or their siblings, in the buffer. At
// resource and at scope four bytes are reserved for their lengths, to be known later.
type group struct{ resource, scope, items int }

// Len returns the size of the request in bytes, exactly.
func (e *Encoder) Len() int { return len(e.buf) }

// Reset begins an empty request.
func (e *Encoder) Reset() {
	e.buf, e.group = e.buf[:0], group{}
	e.lastLen, e.lastGroup = 0, group{}
}

// Undo takes back the last item, once.
func (e *Encoder) Undo() {
	e.buf, e.group = e.buf[:e.lastLen], e.lastGroup
}

// Bytes returns the request, to which more items may be added. It is valid until then.
func (e *Encoder) Bytes() []byte {
	e.closeGroup()
	return e.buf
}

// begin opens the group that an item of origin o belongs to.
func (e *Encoder) begin(o *Origin) {
	e.lastLen, e.lastGroup = len(e.buf), e.group
	if o == nil {
		o = new(Origin)
	}
	// The group as it would begin, to be compared with the one that is open.
	request := e.buf
	e.buf = e.scratch[:0]
	next := e.openGroup(o)
	e.buf, e.scratch = request, e.buf
	if g := e.group; g.items > 0 &&
		bytes.Equal(request[g.resource+lengthSize:g.scope], e.scratch[next.resource+lengthSize:next.scope]) &&
		bytes.Equal(request[g.scope+lengthSize:g.items], e.scratch[next.scope+lengthSize:next.items]) {
		return
	}
	e.closeGroup()
	at := len(e.buf)
	e.buf = append(e.buf, e.scratch...)
	e.group = group{at + next.resource, at + next.scope, at + next.items}
}

func (e *Encoder) openGroup(o *Origin) (g group) {
	g.resource = e.reserve(1) // resource_spans, resource_logs, resource_metrics
	if len(o.Resource) > 0 {
		at := e.open(1) // resource
		e.attrs(1, o.Resource)
		e.close(at)
	}
	g.scope = e.reserve(2) // scope_spans, scope_logs, scope_metrics
	if o.ScopeName != "" || o.ScopeVersion != "" {
		at := e.open(1) // scope
		e.text(1, o.ScopeName)
		e.text(2, o.ScopeVersion)
		e.close(at)
	}
	g.items = len(e.buf)
	return g
}

// lengthSize is how many bytes the length of a group takes, whatever it is: a varint may
// be longer than it has to, which spares moving all items when the length is known.
const lengthSize = 4

func (e *Encoder) reserve(num byte) (at int) {
	e.buf = append(e.buf, num<<3|wireBytes)
	at = len(e.buf)
	e.buf = append(e.buf, make([]byte, lengthSize)...)
	return at
}

func (e *Encoder) closeGroup() {
	if e.group.items == 0 {
		return
	}
	for _, at := range [...]int{e.group.resource, e.group.scope} {
		n := len(e.buf) - at - lengthSize
		for i := range lengthSize - 1 {
			e.buf[at+i] = byte(n) | 0x80
			n >>= 7
		}
		e.buf[at+lengthSize-1] = byte(n)
	}
}

// Span adds a span. DroppedAttrs becomes its dropped_attributes_count.
func (e *Encoder) Span(s *Span) {
	e.begin(s.Origin)
	item := e.open(2) // spans
	e.id(1, s.TraceID[:])
	e.id(2, s.SpanID[:])
	e.id(4, s.ParentSpanID[:])
	e.text(5, s.Name)
	e.uint(6, uint64(s.Kind))
	e.fixed64(7, s.StartNano)
	e.fixed64(8, s.EndNano)
	e.attrs(9, s.Attrs)
	e.uint(10, uint64(s.DroppedAttrs))
	for i := range s.Events {
		at := e.open(11)
		e.fixed64(1, s.Events[i].TimeNano)
		e.text(2, s.Events[i].Name)
		e.attrs(3, s.Events[i].Attrs)
		e.close(at)
	}
	if s.StatusCode != 0 || s.StatusMessage != "" {
		at := e.open(15)
		e.text(2, s.StatusMessage)
		e.uint(3, uint64(s.StatusCode))
		e.close(at)
	}
	e.close(item)
}

// LogRecord adds a log record, as Span does a span.
func (e *Encoder) LogRecord(l *LogRecord) {
	e.begin(l.Origin)
	item := e.open(2) // log_records
	e.fixed64(1, l.TimeNano)
	e.uint(2, uint64(l.SeverityNumber))
	e.text(3, l.SeverityText)
	if l.Body.Kind != Empty {
		at := e.open(5)
		e.value(&l.Body)
		e.close(at)
	}
	e.attrs(6, l.Attrs)
	e.uint(7, uint64(l.DroppedAttrs))
	e.id(9, l.TraceID[:])
	e.id(10, l.SpanID[:])
	e.fixed64(11, l.ObservedTimeNano)
	e.text(12, l.EventName)
	e.close(item)
}

// Metrics adds metrics of one origin, that of the first. For Undo they are one item.
func (e *Encoder) Metrics(list []Metric) {
	if len(list) == 0 {
		e.lastLen, e.lastGroup = len(e.buf), e.group
		return
	}
	const gauge, sum, cumulative = 5, 7, 2
	e.begin(list[0].Origin)
	for i := range list {
		m := &list[i]
		item := e.open(2) // metrics
		e.text(1, m.Name)
		e.text(2, m.Description)
		e.text(3, m.Unit)
		if m.Sum {
			data := e.open(sum)
			e.points(m.Points)
			e.uint(2, cumulative)
			if m.Monotonic {
				e.uint(3, 1)
			}
			e.close(data)
		} else {
			data := e.open(gauge)
			e.points(m.Points)
			e.close(data)
		}
		e.close(item)
	}
}

func (e *Encoder) points(list []Point) {
	for i := range list {
		p := &list[i]
		at := e.open(1)
		e.fixed64(2, p.StartNano)
		e.fixed64(3, p.TimeNano)
		switch p.Value.Kind {
		case Double:
			e.alternative64(4, p.Value.num)
		case Int:
			e.alternative64(6, p.Value.num)
		}
		e.attrs(7, p.Attrs)
		e.close(at)
	}
}

func (e *Encoder) attrs(num byte, list []KeyValue) {
	for i := range list {
		at := e.open(num)
		e.text(1, list[i].Key)
		value := e.open(2)
		e.value(&list[i].Value)
		e.close(value)
		e.close(at)
	}
}

// value appends the alternative that v is, also if it is zero.
func (e *Encoder) value(v *Value) {
	switch v.Kind {
	case String:
		e.alternative(1, valid(v.Str))
	case Bool:
		e.buf = append(e.buf, 2<<3|wireVarint, byte(v.num))
	case Int:
		e.buf = append(e.buf, 3<<3|wireVarint)
		e.buf = binary.AppendUvarint(e.buf, v.num)
	case Double:
		e.alternative64(4, v.num)
	case Array:
		list := e.open(5)
		for i := range v.Items {
			at := e.open(1)
			e.value(&v.Items[i].Value)
			e.close(at)
		}
		e.close(list)
	case Map:
		list := e.open(6)
		e.attrs(1, v.Items)
		e.close(list)
	case Bytes:
		e.alternative(7, v.Str)
	}
}

// open begins a message, as a field below 16, and returns what close needs to know. The
// byte before it is for its length.
func (e *Encoder) open(num byte) (at int) {
	e.buf = append(e.buf, num<<3|wireBytes, 0)
	return len(e.buf)
}

// close writes the length of the message, and moves it if that takes more than a byte.
func (e *Encoder) close(at int) {
	n := len(e.buf) - at
	if n < 0x80 {
		e.buf[at-1] = byte(n)
		return
	}
	var size [binary.MaxVarintLen64]byte
	more := binary.PutUvarint(size[:], uint64(n)) - 1
	e.buf = append(e.buf, size[:more]...)
	copy(e.buf[at+more:], e.buf[at:at+n])
	copy(e.buf[at-1:], size[:more+1])
}

// The following append a field unless it is empty, which means the same to a receiver.

func (e *Encoder) id(num byte, id []byte) {
	for _, b := range id {
		if b != 0 {
			e.buf = append(e.buf, num<<3|wireBytes, byte(len(id)))
			e.buf = append(e.buf, id...)
			return
		}
	}
}

func (e *Encoder) text(num byte, s string) {
	if s != "" {
		e.alternative(num, valid(s))
	}
}

// uint takes an int32 as well, whose sign protobuf extends to 64 bits.
func (e *Encoder) uint(num byte, n uint64) {
	if n != 0 {
		e.buf = append(e.buf, num<<3|wireVarint)
		e.buf = binary.AppendUvarint(e.buf, n)
	}
}

func (e *Encoder) fixed64(num byte, n uint64) {
	if n != 0 {
		e.alternative64(num, n)
	}
}

// Alternatives of a oneof are told by being there, empty or not.

func (e *Encoder) alternative(num byte, s string) {
	e.buf = append(e.buf, num<<3|wireBytes)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *Encoder) alternative64(num byte, n uint64) {
	e.buf = append(e.buf, num<<3|wire64)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, n)
}

func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// ParseExportResponse reads the body of a 200 in protobuf, which is the same for all
// signals: how many items the receiver rejected, and what it says of that. None and a
// message is a warning. A sender does not send rejected items again. An error is an
// *Error.
func ParseExportResponse(body []byte) (rejected int64, message string, err error) {
	r := protoReader{buf: string(body), end: len(body)}
	for r.more() {
		tag := r.tag()
		if tag != 1<<3|wireBytes { // partial_success
			r.skip(tag)
			continue
		}
		outer := r.enter()
		for r.more() {
			switch tag := r.tag(); tag {
			case 1<<3 | wireVarint: // rejected_spans, rejected_log_records, rejected_data_points
				rejected = int64(r.uvarint())
			case 2<<3 | wireBytes: // error_message
				message = r.str()
			default:
				r.skip(tag)
			}
		}
		r.end = outer
	}
	if r.err != nil {
		return 0, "", r.err
	}
	return max(rejected, 0), valid(message), nil
}
