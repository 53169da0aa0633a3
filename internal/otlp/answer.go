package otlp

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// ContentType returns the media type of a body in e.
func (e Encoding) ContentType() string {
	if e == JSON {
		return "application/json"
	}
	return "application/x-protobuf"
}

// ExportResponse returns the body of a 200: an ExportTraceServiceResponse or its
// sibling for the signal. It says partial_success if items were rejected or there
// is a message, which alone is a warning. A sender does not send rejected items
// again.
func ExportResponse(enc Encoding, sig Signal, rejected int64, message string) []byte {
	rejected = max(rejected, 0)
	partial := rejected > 0 || message != ""
	if enc == JSON {
		if !partial {
			return []byte("{}")
		}
		name := [...]string{Traces: "rejectedSpans", Logs: "rejectedLogRecords", Metrics: "rejectedDataPoints"}[sig]
		b := []byte(`{"partialSuccess":{"` + name + `":"`)
		b = strconv.AppendInt(b, rejected, 10)
		b = append(b, `","errorMessage":`...)
		b = AppendJSONString(b, message)
		return append(b, "}}"...)
	}
	if !partial {
		return []byte{}
	}
	p := appendStatus(nil, rejected, message) // partial_success has the fields of a Status
	b := binary.AppendUvarint([]byte{1<<3 | wireBytes}, uint64(len(p)))
	return append(b, p...)
}

// StatusBody returns the body of an error answer: a google.rpc.Status with a code
// of google.rpc.Code.
func StatusBody(enc Encoding, code int32, message string) []byte {
	if enc == JSON {
		b := strconv.AppendInt([]byte(`{"code":`), int64(code), 10)
		b = append(b, `,"message":`...)
		b = AppendJSONString(b, message)
		return append(b, '}')
	}
	return appendStatus(nil, int64(code), message)
}

// appendStatus appends an integer as field 1 and a string as field 2, each unless
// it is empty.
func appendStatus(b []byte, n int64, s string) []byte {
	if n != 0 {
		b = append(b, 1<<3|wireVarint)
		b = binary.AppendUvarint(b, uint64(n))
	}
	if s != "" {
		s = strings.ToValidUTF8(s, "\uFFFD") // receivers refuse anything else
		b = append(b, 2<<3|wireBytes)
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}
