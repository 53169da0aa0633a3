// Package otlp reads and answers the OTLP/HTTP wire format: protobuf and JSON
// export requests become views of spans and log records, one at a time, and
// nothing here knows what an LLM call is.
//
// A decoder walks the request body once and calls visit for each item. The view
// handed to visit, and every slice reachable from it, belongs to the decoder and
// is overwritten by the next item. Strings stay valid as long as the body is left
// unchanged: they alias it, except for the JSON strings that had to be unescaped.
// Strings are as sent, so they may hold invalid UTF-8 and NUL.
//
// A malformed body is an error with its position, even when items before the
// fault were already visited; the caller drops those. Fields that no view keeps
// (links, trace state, flags, the inside of a metric's data point …) are skipped
// unread, so a fault inside one of them goes unnoticed.
//
// Memory does not grow with the body but with its largest item, and that is
// bounded by MaxAttrs, MaxEvents and MaxValues: without them two bytes of
// protobuf could demand a KeyValue of 72. What exceeds a limit is skipped unread
// and counted.
//
// Facts come from opentelemetry-proto's docs/specification.md (v1.11) and its
// .proto files.
package otlp

import (
	"fmt"
	"math"
)

// Encoding is one of the two encodings of OTLP/HTTP.
type Encoding uint8

// The encodings, chosen by Content-Type.
const (
	Protobuf Encoding = iota // application/x-protobuf
	JSON                     // application/json
)

// MaxDepth is how deep an attribute value may nest arrays and maps, and how deep
// an OTLP/JSON body may nest in all. Deeper is malformed.
const MaxDepth = 64

// The limits of one item, and of one resource. The first elements are kept.
const (
	MaxAttrs  = 1024  // elements of one list: attributes, or an array or map value
	MaxEvents = 1024  // events of a span
	MaxValues = 16384 // elements of all lists together
)

// Error says where and why a body is malformed.
type Error struct {
	Offset int // byte in the decompressed body
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// TraceID identifies a trace. The zero value stands for absent, all zero or of
// the wrong length, which the specification holds to be equally invalid.
type TraceID [16]byte

// SpanID identifies a span. Its zero value means the same as TraceID's.
type SpanID [8]byte

// Kind tells which of an AnyValue's alternatives is set.
type Kind uint8

// The alternatives of opentelemetry.proto.common.v1.AnyValue.
const (
	Empty Kind = iota
	String
	Bool
	Int
	Double
	Bytes
	Array
	Map
)

// Value is an AnyValue.
type Value struct {
	Kind  Kind
	num   uint64     // Bool: 0 or 1; Int: two's complement; Double: IEEE 754 bits
	Str   string     // String, or the raw bytes of Bytes
	Items []KeyValue // Array (keys are empty) or Map, in the order sent
}

// Bool returns the value of a Bool.
func (v *Value) Bool() bool { return v.num != 0 }

// Int returns the value of an Int.
func (v *Value) Int() int64 { return int64(v.num) }

// Double returns the value of a Double.
func (v *Value) Double() float64 { return math.Float64frombits(v.num) }

// KeyValue is an attribute, or an element of an Array or Map.
type KeyValue struct {
	Key   string
	Value Value
}

// Origin is what the items of one scope share.
type Origin struct {
	Resource     []KeyValue
	ScopeName    string
	ScopeVersion string
}

// StatusError is STATUS_CODE_ERROR.
const StatusError = 2

// Span is a view of opentelemetry.proto.trace.v1.Span. Links and the dropped
// counts of the sender are not kept.
type Span struct {
	*Origin
	TraceID       TraceID
	SpanID        SpanID
	ParentSpanID  SpanID
	Name          string
	Kind          int32
	StartNano     uint64 // Unix nanoseconds; 0 is unknown
	EndNano       uint64
	Attrs         []KeyValue
	Events        []Event
	StatusCode    int32
	StatusMessage string
	DroppedAttrs  int // attributes, elements and events over a limit, the resource's included
}

// Event is a view of Span.Event.
type Event struct {
	TimeNano uint64
	Name     string
	Attrs    []KeyValue
}

// LogRecord is a view of opentelemetry.proto.logs.v1.LogRecord.
type LogRecord struct {
	*Origin
	TimeNano         uint64 // 0 is unknown
	ObservedTimeNano uint64
	SeverityNumber   int32 // 1–24, 0 is unset; WARN starts at 13, ERROR at 17, FATAL at 21
	SeverityText     string
	EventName        string
	Body             Value
	Attrs            []KeyValue
	TraceID          TraceID
	SpanID           SpanID
	DroppedAttrs     int // as in Span
}

// Signal is one of the three kinds of export request.
type Signal uint8

// The signals, each with an endpoint of its own.
const (
	Traces Signal = iota
	Logs
	Metrics
)
