package otlp

import (
	"math"
	"unsafe"
)

// Wire types. A tag is a field number shifted left by three, or'ed with one.
const (
	wireVarint  = 0
	wire64      = 1
	wireBytes   = 2
	wireGroup   = 3
	wireEndGrp  = 4
	wire32      = 5
	maxFieldNum = 1<<29 - 1
)

// protoReader walks the fields of the message in buf[pos:end]. The first fault is
// kept in err and moves pos to the end of buf, so that the loops over fields end
// by themselves.
type protoReader struct {
	buf string
	pos int
	end int
	err *Error
}

func (r *protoReader) more() bool { return r.pos < r.end }

func (r *protoReader) fail(at int, reason string) {
	if r.err == nil {
		r.err = &Error{at, reason}
	}
	r.pos = len(r.buf)
	r.end = r.pos
}

// seek goes back to pos unless there was a fault.
func (r *protoReader) seek(pos int) {
	if r.err == nil {
		r.pos = pos
	}
}

func (r *protoReader) uvarint() uint64 {
	if p := r.pos; p < r.end && r.buf[p] < 0x80 {
		r.pos++
		return uint64(r.buf[p])
	}
	return r.longUvarint()
}

func (r *protoReader) longUvarint() uint64 {
	var v uint64
	for i := range 10 {
		if r.pos+i >= r.end {
			r.fail(r.end, "varint is cut off")
			return 0
		}
		c := r.buf[r.pos+i]
		if i == 9 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.pos += i + 1
			return v
		}
	}
	r.fail(r.pos, "varint has more than 64 bits")
	return 0
}

// tag reads a tag; after a fault it is 0, which is no field's.
func (r *protoReader) tag() uint64 {
	at := r.pos
	tag := r.uvarint()
	if n := tag >> 3; n == 0 || n > maxFieldNum {
		r.fail(at, "invalid field number")
		return 0
	}
	return tag
}

// enter restricts the reader to the length-delimited message at pos and returns
// what end has to be set to when that is read.
func (r *protoReader) enter() (outer int) {
	at := r.pos
	n := r.uvarint()
	outer = r.end
	if n > uint64(r.end-r.pos) {
		r.fail(at, "length exceeds the message")
		return outer
	}
	r.end = r.pos + int(n)
	return outer
}

func (r *protoReader) str() string {
	at := r.pos
	n := r.uvarint()
	if n > uint64(r.end-r.pos) {
		r.fail(at, "length exceeds the message")
		return ""
	}
	s := r.buf[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return s
}

func (r *protoReader) fixed64() uint64 {
	if r.end-r.pos < 8 {
		r.fail(r.end, "64-bit value is cut off")
		return 0
	}
	s := r.buf[r.pos : r.pos+8]
	r.pos += 8
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// skip reads past the value of an unknown field. A known field of another wire
// type than expected is unknown too.
func (r *protoReader) skip(tag uint64) { r.skipNested(tag, MaxDepth) }

func (r *protoReader) skipNested(tag uint64, depth int) {
	switch tag & 7 {
	case wireVarint:
		r.uvarint()
	case wire64:
		r.fixed64()
	case wireBytes:
		r.str()
	case wire32:
		if r.end-r.pos < 4 {
			r.fail(r.end, "32-bit value is cut off")
			return
		}
		r.pos += 4
	case wireGroup:
		if depth == 0 {
			r.fail(r.pos, "groups are nested too deeply")
			return
		}
		r.skipGroup(tag>>3, depth-1)
	case wireEndGrp:
		r.fail(r.pos, "end of a group that was not begun")
	default:
		r.fail(r.pos, "invalid wire type")
	}
}

func (r *protoReader) skipGroup(num uint64, depth int) {
	for r.more() {
		at := r.pos
		tag := r.uvarint()
		// The protobuf library allows field numbers of 31 bits here.
		if n := tag >> 3; n == 0 || n > math.MaxInt32 {
			r.fail(at, "invalid field number")
			return
		}
		if tag == num<<3|wireEndGrp {
			return
		}
		r.skipNested(tag, depth)
	}
	r.fail(r.end, "group has no end")
}

// protoDecoder reads the three export requests, which have the same field numbers
// from the top down to the item.
type protoDecoder struct {
	protoReader
	views
}

func (d *protoDecoder) decode(body []byte, r request) (int, error) {
	buf := unsafe.String(unsafe.SliceData(body), len(body))
	d.protoReader = protoReader{buf: buf, end: len(buf)}
	d.request = r
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wireBytes: // resource_spans, resource_logs, resource_metrics
			outer := d.enter()
			d.resourceItems()
			d.end = outer
		default:
			d.skip(tag)
		}
	}
	points, err := d.points, d.err
	d.protoReader = protoReader{}
	d.views.release()
	if err != nil {
		return 0, err
	}
	return points, nil
}

// resourceItems reads twice, because the resource may come behind its items.
func (d *protoDecoder) resourceItems() {
	start := d.pos
	d.beginOrigin()
	d.resource.begin(0)
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wireBytes: // resource
			outer := d.enter()
			d.resourceAttrs()
			d.end = outer
		default:
			d.skip(tag)
		}
	}
	d.origin.Resource = d.resource.list(0, 0)
	d.seek(start)
	for d.more() {
		switch tag := d.tag(); tag {
		case 2<<3 | wireBytes: // scope_spans, scope_logs, scope_metrics
			outer := d.enter()
			d.scopeItems()
			d.end = outer
		default:
			d.skip(tag)
		}
	}
}

func (d *protoDecoder) resourceAttrs() {
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wireBytes: // attributes
			d.element(&d.resource, 0, 0)
		default:
			d.skip(tag)
		}
	}
}

func (d *protoDecoder) scopeItems() {
	start := d.pos
	d.origin.ScopeName, d.origin.ScopeVersion = "", ""
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wireBytes: // scope
			outer := d.enter()
			d.scope()
			d.end = outer
		default:
			d.skip(tag)
		}
	}
	d.seek(start)
	for d.more() {
		switch tag := d.tag(); tag {
		case 2<<3 | wireBytes: // spans, log_records, metrics
			outer := d.enter()
			switch d.signal {
			case Traces:
				d.readSpan()
			case Logs:
				d.readLog()
			case Metrics:
				d.readMetric()
			}
			d.end = outer
		default:
			d.skip(tag)
		}
	}
}

func (d *protoDecoder) scope() {
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wireBytes: // name
			d.origin.ScopeName = d.str()
		case 2<<3 | wireBytes: // version
			d.origin.ScopeVersion = d.str()
		default:
			d.skip(tag)
		}
	}
}

func (d *protoDecoder) readSpan() {
	start := d.pos
	d.beginSpan()
	d.values.begin(0)
	s, events := &d.span, false
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wireBytes: // trace_id
			d.id(s.TraceID[:])
		case 2<<3 | wireBytes: // span_id
			d.id(s.SpanID[:])
		case 4<<3 | wireBytes: // parent_span_id
			d.id(s.ParentSpanID[:])
		case 5<<3 | wireBytes: // name
			s.Name = d.str()
		case 6<<3 | wireVarint: // kind
			s.Kind = int32(d.uvarint())
		case 7<<3 | wire64: // start_time_unix_nano
			s.StartNano = d.fixed64()
		case 8<<3 | wire64: // end_time_unix_nano
			s.EndNano = d.fixed64()
		case 9<<3 | wireBytes: // attributes
			d.element(&d.values, 0, 0)
		case 11<<3 | wireBytes: // events
			events = true
			d.skip(tag)
		case 15<<3 | wireBytes: // status
			outer := d.enter()
			d.status()
			d.end = outer
		default:
			d.skip(tag)
		}
	}
	s.Attrs = d.values.list(0, 0)
	if events {
		// On their own, as their attributes are lists of depth 0 too.
		d.seek(start)
		d.readEvents()
	}
	if d.err == nil {
		d.emitSpan()
	}
}

func (d *protoDecoder) status() {
	for d.more() {
		switch tag := d.tag(); tag {
		case 2<<3 | wireBytes: // message
			d.span.StatusMessage = d.str()
		case 3<<3 | wireVarint: // code
			d.span.StatusCode = int32(d.uvarint())
		default:
			d.skip(tag)
		}
	}
}

func (d *protoDecoder) readEvents() {
	for d.more() {
		tag := d.tag()
		if tag != 11<<3|wireBytes {
			d.skip(tag)
			continue
		}
		e := d.addEvent()
		if e == nil {
			d.skip(tag)
			continue
		}
		outer := d.enter()
		d.event(e)
		d.end = outer
	}
}

func (d *protoDecoder) event(e *Event) {
	start := d.values.begin(0)
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wire64: // time_unix_nano
			e.TimeNano = d.fixed64()
		case 2<<3 | wireBytes: // name
			e.Name = d.str()
		case 3<<3 | wireBytes: // attributes
			d.element(&d.values, 0, start)
		default:
			d.skip(tag)
		}
	}
	e.Attrs = d.values.list(0, start)
}

func (d *protoDecoder) readLog() {
	start, bodies := d.pos, false
	d.beginLog()
	d.values.begin(0)
	l := &d.log
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wire64: // time_unix_nano
			l.TimeNano = d.fixed64()
		case 2<<3 | wireVarint: // severity_number
			l.SeverityNumber = int32(d.uvarint())
		case 3<<3 | wireBytes: // severity_text
			l.SeverityText = d.str()
		case 5<<3 | wireBytes: // body
			bodies = true
			d.skip(tag)
		case 6<<3 | wireBytes: // attributes
			d.element(&d.values, 0, 0)
		case 9<<3 | wireBytes: // trace_id
			d.id(l.TraceID[:])
		case 10<<3 | wireBytes: // span_id
			d.id(l.SpanID[:])
		case 11<<3 | wire64: // observed_time_unix_nano
			l.ObservedTimeNano = d.fixed64()
		case 12<<3 | wireBytes: // event_name
			l.EventName = d.str()
		default:
			d.skip(tag)
		}
	}
	l.Attrs = d.values.list(0, 0)
	if bodies {
		// On its own, as a body in pieces must not have lists of attributes between.
		d.seek(start)
		for d.more() {
			switch tag := d.tag(); tag {
			case 5<<3 | wireBytes:
				outer := d.enter()
				d.value(&d.values, &l.Body, 1)
				d.end = outer
			default:
				d.skip(tag)
			}
		}
	}
	if d.err == nil {
		d.emitLog()
	}
}

// readMetric counts the points of the last type given: the types are a oneof.
func (d *protoDecoder) readMetric() {
	var last uint64
	n := 0
	for d.more() {
		switch tag := d.tag(); tag {
		case 5<<3 | wireBytes, // gauge
			7<<3 | wireBytes,  // sum
			9<<3 | wireBytes,  // histogram
			10<<3 | wireBytes, // exponential_histogram
			11<<3 | wireBytes: // summary
			if tag != last {
				last, n = tag, 0
			}
			outer := d.enter()
			for d.more() {
				tag := d.tag()
				if tag == 1<<3|wireBytes { // data_points
					n++
				}
				d.skip(tag)
			}
			d.end = outer
		default:
			d.skip(tag)
		}
	}
	d.points += n
}

// id reads an identifier, which is zero when of the wrong length.
func (d *protoDecoder) id(dst []byte) {
	s := d.str()
	clear(dst)
	if len(s) == len(dst) {
		copy(dst, s)
	}
}

// element reads a KeyValue into the list.
func (d *protoDecoder) element(l *lists, depth, start int) {
	kv := l.add(depth, start)
	if kv == nil {
		d.str()
		return
	}
	outer := d.enter()
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wireBytes: // key
			kv.Key = d.str()
		case 2<<3 | wireBytes: // value
			outer := d.enter()
			d.value(l, &kv.Value, depth+1)
			d.end = outer
		default:
			d.skip(tag)
		}
	}
	d.end = outer
}

// value reads an AnyValue into v; its elements, if any, are a list of the depth
// given.
func (d *protoDecoder) value(l *lists, v *Value, depth int) {
	for d.more() {
		switch tag := d.tag(); tag {
		case 1<<3 | wireBytes: // string_value
			v.set(String)
			v.Str = d.str()
		case 2<<3 | wireVarint: // bool_value
			v.set(Bool)
			if d.uvarint() != 0 {
				v.num = 1
			}
		case 3<<3 | wireVarint: // int_value
			v.set(Int)
			v.num = d.uvarint()
		case 4<<3 | wire64: // double_value
			v.set(Double)
			v.num = d.fixed64()
		case 5<<3 | wireBytes: // array_value
			d.elements(l, v, Array, depth)
		case 6<<3 | wireBytes: // kvlist_value
			d.elements(l, v, Map, depth)
		case 7<<3 | wireBytes: // bytes_value
			v.set(Bytes)
			v.Str = d.str()
		case 8<<3 | wireVarint: // string_value_strindex, meaningless outside of profiles
			v.set(Empty)
			d.uvarint()
		default:
			d.skip(tag)
		}
	}
}

// elements reads an ArrayValue or KeyValueList. If v is one already, they are
// parts of one message and add up.
func (d *protoDecoder) elements(l *lists, v *Value, k Kind, depth int) {
	if depth > MaxDepth {
		d.fail(d.pos, "value is nested too deeply")
		return
	}
	start := l.begin(depth)
	if v.Kind == k {
		start -= len(v.Items)
	} else {
		v.set(k)
	}
	outer := d.enter()
	for d.more() {
		tag := d.tag()
		switch {
		case tag != 1<<3|wireBytes: // values
			d.skip(tag)
		case k == Map:
			d.element(l, depth, start)
		default:
			kv := l.add(depth, start)
			if kv == nil {
				d.str()
				continue
			}
			outer := d.enter()
			d.value(l, &kv.Value, depth+1)
			d.end = outer
		}
	}
	d.end = outer
	v.Items = l.list(depth, start)
}
