package otlp

import "sync"

// DecodeTraces calls visit for every span of an ExportTraceServiceRequest, in the
// order sent. An empty protobuf body is an empty request, an empty JSON body is
// malformed. A non-nil error is an *Error.
func DecodeTraces(body []byte, enc Encoding, visit func(*Span)) error {
	_, err := decode(body, enc, request{signal: Traces, visitSpan: visit})
	return err
}

// DecodeLogs is DecodeTraces for the log records of an ExportLogsServiceRequest.
func DecodeLogs(body []byte, enc Encoding, visit func(*LogRecord)) error {
	_, err := decode(body, enc, request{signal: Logs, visitLog: visit})
	return err
}

// CountMetrics returns the number of data points, of whatever type, in an
// ExportMetricsServiceRequest. A non-nil error is an *Error.
func CountMetrics(body []byte, enc Encoding) (points int, err error) {
	return decode(body, enc, request{signal: Metrics})
}

var (
	protoDecoders = sync.Pool{New: func() any { return new(protoDecoder) }}
	jsonDecoders  = sync.Pool{New: func() any { return newJSONDecoder() }}
)

// A decoder whose visit panics is not put back: it still refers to the body.
func decode(body []byte, enc Encoding, r request) (points int, err error) {
	if enc == JSON {
		d := jsonDecoders.Get().(*jsonDecoder)
		points, err = d.decode(body, r)
		jsonDecoders.Put(d)
		return points, err
	}
	d := protoDecoders.Get().(*protoDecoder)
	points, err = d.decode(body, r)
	protoDecoders.Put(d)
	return points, err
}

// request says what is decoded and who gets to see it.
type request struct {
	signal    Signal
	visitSpan func(*Span)
	visitLog  func(*LogRecord)
}

// views is what both decoders fill, item after item.
type views struct {
	request
	origin   Origin
	resource lists // of origin
	span     Span
	log      LogRecord
	events   []Event // of span
	values   lists   // of span or log
	points   int
}

func (v *views) beginOrigin() {
	v.origin = Origin{}
	v.resource.reset()
}

func (v *views) beginSpan() {
	v.values.reset()
	v.events = v.events[:0]
	v.span = Span{Origin: &v.origin}
}

func (v *views) emitSpan() {
	v.span.Events = v.events[:len(v.events):len(v.events)]
	v.span.DroppedAttrs = v.resource.dropped + v.values.dropped
	v.visitSpan(&v.span)
}

func (v *views) beginLog() {
	v.values.reset()
	v.log = LogRecord{Origin: &v.origin}
}

func (v *views) emitLog() {
	v.log.DroppedAttrs = v.resource.dropped + v.values.dropped
	v.visitLog(&v.log)
}

// addEvent returns a new event of the span, or nil if it has too many.
func (v *views) addEvent() *Event {
	if len(v.events) == MaxEvents {
		v.values.dropped++
		return nil
	}
	v.events = append(v.events, Event{})
	return &v.events[len(v.events)-1]
}

// release forgets the body, which every string keeps alive, and buffers that an
// unusual item has made large.
func (v *views) release() {
	v.request = request{}
	v.origin, v.span, v.log = Origin{}, Span{}, LogRecord{}
	v.resource.release()
	v.values.release()
	v.points = 0
	if cap(v.events) > maxPooled {
		v.events = nil
	}
	clear(v.events[:cap(v.events)])
}

// maxPooled bounds the elements, of 72 bytes, that a pooled decoder holds on to.
const maxPooled = 512

// lists holds the KeyValue lists of one item. Of the lists at one depth only the
// last is still growing: attributes are depth 0, and the elements of a value at
// depth d are a list at depth d+1 which is complete before the next value at
// depth d begins. So each depth is one slice, reused from item to item, and every
// list is a stretch of it.
type lists struct {
	depth   [][]KeyValue
	n       int // elements in all
	dropped int
}

func (l *lists) reset() {
	for i := range l.depth {
		l.depth[i] = l.depth[i][:0]
	}
	l.n, l.dropped = 0, 0
}

// begin returns the start of a new list.
func (l *lists) begin(depth int) (start int) {
	for len(l.depth) <= depth {
		l.depth = append(l.depth, nil)
	}
	return len(l.depth[depth])
}

// add returns a new last element of the list, or nil at a limit. It is valid until
// the next one is added.
func (l *lists) add(depth, start int) *KeyValue {
	s := l.depth[depth]
	if len(s)-start >= MaxAttrs || l.n >= MaxValues {
		l.dropped++
		return nil
	}
	l.n++
	s = append(s, KeyValue{})
	l.depth[depth] = s
	return &s[len(s)-1]
}

// list returns the list, of which a later add changes nothing.
func (l *lists) list(depth, start int) []KeyValue {
	s := l.depth[depth]
	return s[start:len(s):len(s)]
}

func (l *lists) release() {
	n := 0
	for _, s := range l.depth {
		n += cap(s)
	}
	if n > maxPooled {
		l.depth = nil
	}
	for _, s := range l.depth {
		clear(s[:cap(s)])
	}
	l.n, l.dropped = 0, 0
}

// set makes v an empty value of kind k.
func (v *Value) set(k Kind) {
	if v.Kind != Empty {
		*v = Value{}
	}
	v.Kind = k
}
