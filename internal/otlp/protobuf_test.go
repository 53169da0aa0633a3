package otlp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	collogs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// Fields on the wire.

func length(num protowire.Number, parts ...[]byte) []byte {
	b := protowire.AppendTag(nil, num, protowire.BytesType)
	return protowire.AppendBytes(b, bytes.Join(parts, nil))
}

func text(num protowire.Number, s string) []byte { return length(num, []byte(s)) }

func varint(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func fixed64(num protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, num, protowire.Fixed64Type), v)
}

func fixed32(num protowire.Number, v uint32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, num, protowire.Fixed32Type), v)
}

func group(num protowire.Number, parts ...[]byte) []byte {
	b := protowire.AppendTag(nil, num, protowire.StartGroupType)
	b = append(b, bytes.Join(parts, nil)...)
	return protowire.AppendTag(b, num, protowire.EndGroupType)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// spanBody is a request of one span with the fields given.
func spanBody(fields ...[]byte) []byte { return length(1, length(2, length(2, fields...))) }

func attr(value ...[]byte) []byte { return length(9, text(1, "k"), length(2, value...)) }

// oneSpan decodes a body and hands its only span to check.
func oneSpan(t *testing.T, body []byte, enc otlp.Encoding, check func(s *otlp.Span)) {
	t.Helper()
	n := 0
	err := otlp.DecodeTraces(body, enc, func(s *otlp.Span) {
		n++
		check(s)
	})
	if err != nil || n != 1 {
		t.Errorf("%d spans, error %v", n, err)
	}
}

func TestCapturedTraces(t *testing.T) {
	type truth struct {
		Spans   map[string]int
		Records *int
		Warn    *int `json:"warn_or_worse"`
	}
	var truths map[string]truth
	if err := json.Unmarshal(captured(t, "truth.json")["truth.json"], &truths); err != nil {
		t.Fatal(err)
	}
	for name, body := range captured(t, "*.pb") {
		want, ok := truths[name]
		switch {
		case strings.HasSuffix(name, "-traces.pb"):
			spans := make(map[string]int)
			err := otlp.DecodeTraces(body, otlp.Protobuf, func(s *otlp.Span) {
				spans[s.Name]++
				if s.TraceID == (otlp.TraceID{}) || s.SpanID == (otlp.SpanID{}) || s.StartNano == 0 || s.ScopeName != "openclaw" || s.DroppedAttrs != 0 {
					t.Errorf("%s: incomplete span %s", name, printSpan(s))
				}
			})
			if err != nil || !ok || !maps.Equal(spans, want.Spans) {
				t.Errorf("%s: %v, %v, want %v", name, spans, err, want.Spans)
			}
			checkProtobuf(t, body, otlp.Traces)
		case strings.HasSuffix(name, "-logs.pb"):
			records, warn := 0, 0
			err := otlp.DecodeLogs(body, otlp.Protobuf, func(l *otlp.LogRecord) {
				records++
				if l.SeverityNumber >= 13 {
					warn++
				}
			})
			if err != nil || want.Records == nil || records != *want.Records || want.Warn == nil || warn != *want.Warn {
				t.Errorf("%s: %d records, %d warnings, %v; want %+v", name, records, warn, err, want)
			}
			checkProtobuf(t, body, otlp.Logs)
		}
	}
}

func TestProtobufMalformed(t *testing.T) {
	overlong := bytes.Repeat([]byte{0x80}, 9)
	f := func(name string, body []byte, offset int, reason string) {
		t.Helper()
		for _, sig := range []otlp.Signal{otlp.Traces, otlp.Logs} {
			_, _, err := views(body, otlp.Protobuf, sig)
			e, _ := err.(*otlp.Error)
			if e == nil || e.Offset != offset || e.Reason != reason {
				t.Errorf("%s: %v, want %q at %d", name, err, reason, offset)
			}
			checkProtobuf(t, body, sig)
		}
		if n, err := otlp.CountMetrics(body, otlp.Protobuf); n != 0 || err == nil {
			t.Errorf("%s: metrics: %d, %v", name, n, err)
		}
	}
	f("field number 0", []byte{0x02, 0x00}, 0, "invalid field number")
	f("field number of 30 bits", join(varint(3, 1), protowire.AppendVarint(nil, 1<<32)), 2, "invalid field number")
	f("truncated tag", join(varint(3, 1), []byte{0x80}), 3, "varint is cut off")
	f("truncated varint", []byte{0x18, 0xff}, 2, "varint is cut off")
	f("overlong varint", join([]byte{0x18}, overlong, []byte{0x02}), 1, "varint has more than 64 bits")
	f("endless varint", join([]byte{0x18}, overlong, []byte{0x80, 0x01}), 1, "varint has more than 64 bits")
	f("missing length", []byte{0x0a}, 1, "varint is cut off")
	f("length beyond the body", []byte{0x0a, 0x05, 0x00}, 1, "length exceeds the message")
	f("length of 64 bits", join([]byte{0x0a}, protowire.AppendVarint(nil, 1<<64-1)), 1, "length exceeds the message")
	f("length beyond the parent", length(1, []byte{0x12, 0x03, 0x00}), 3, "length exceeds the message")
	f("truncated 64-bit value", []byte{0x19, 1, 2, 3, 4, 5, 6, 7}, 8, "64-bit value is cut off")
	f("truncated 32-bit value", []byte{0x1d, 1, 2, 3}, 4, "32-bit value is cut off")
	f("wire type 6", []byte{0x1e}, 1, "invalid wire type")
	f("wire type 7", []byte{0x0f, 0x00}, 1, "invalid wire type")
	f("end without a group", []byte{0x1c}, 1, "end of a group that was not begun")
	f("group without an end", []byte{0x1b, 0x20, 0x01}, 3, "group has no end")
	f("group with the end of another", []byte{0x1b, 0x24}, 2, "end of a group that was not begun")
	f("group with field number 0", []byte{0x1b, 0x02, 0x00, 0x1c}, 1, "invalid field number")
	f("fault deep in an item", spanBody(text(5, "n"), []byte{0x52, 0x02, 0x00}), 10, "length exceeds the message")
}

func TestProtobufEmpty(t *testing.T) {
	for _, body := range [][]byte{nil, {}, length(1), length(1, length(2)), varint(9, 1)} {
		for _, sig := range []otlp.Signal{otlp.Traces, otlp.Logs} {
			if items, _, err := views(body, otlp.Protobuf, sig); len(items) != 0 || err != nil {
				t.Errorf("%x: %v, %v", body, items, err)
			}
		}
		if n, err := otlp.CountMetrics(body, otlp.Protobuf); n != 0 || err != nil {
			t.Errorf("%x: %d points, %v", body, n, err)
		}
	}
	oneSpan(t, spanBody(), otlp.Protobuf, func(s *otlp.Span) {
		if got := printSpan(s); strings.ContainsAny(got, "123456789") {
			t.Error(got)
		}
	})
}

// TestProtobufMerge is about fields that the sender gives more than once, in pieces
// or with another wire type.
func TestProtobufMerge(t *testing.T) {
	str := func(s string) []byte { return text(1, s) }
	array := func(elements ...[]byte) []byte {
		var parts [][]byte
		for _, e := range elements {
			parts = append(parts, length(1, e))
		}
		return length(5, parts...)
	}
	object := func(key string, value []byte) []byte { return length(6, length(1, text(1, key), length(2, value))) }
	f := func(name string, attribute []byte, want string) {
		t.Helper()
		body := spanBody(attribute, attr(varint(3, 7)))
		want = "{" + want + `, "k": int 7, }`
		oneSpan(t, body, otlp.Protobuf, func(s *otlp.Span) {
			if got := printList(s.Attrs); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		})
		checkProtobuf(t, body, otlp.Traces)
	}
	f("absent value", length(9, text(1, "a")), `"a": empty`)
	f("empty attribute", length(9), `"": empty`)
	f("last key", length(9, text(1, "a"), text(1, "b")), `"b": empty`)
	f("last alternative", attr(str("a"), varint(2, 5)), `"k": true`)
	f("bool after true", attr(varint(2, 1), varint(2, 0)), `"k": false`)
	f("string after array", attr(array(str("a")), str("b")), `"k": "b"`)
	f("array after string", attr(str("b"), array(str("a"))), `"k": ["a", ]`)
	f("two arrays", attr(array(str("a")), array(str("b"), str("c"))), `"k": ["a", "b", "c", ]`)
	f("two arrays around a map", attr(array(str("a")), object("x", str("y")), array(str("b"))), `"k": ["b", ]`)
	f("two maps", attr(object("x", array(str("a"))), object("x", array(str("b")))), `"k": {"x": ["a", ], "x": ["b", ], }`)
	f("two values", length(9, length(2, array(array(str("a")))), text(1, "k"), length(2, array(array(str("b")), str("c")))),
		`"k": [["a", ], ["b", ], "c", ]`)
	f("value, then an empty one", length(9, text(1, "k"), length(2, str("a")), length(2)), `"k": "a"`)
	f("reference to a string table", attr(str("a"), varint(8, 1)), `"k": empty`)
	f("field number of 31 bits in a group", attr(str("a"), group(95, protowire.AppendVarint(nil, math.MaxInt32<<3), []byte{0})), `"k": "a"`)
	f("empty array", attr(array()), `"k": []`)
	f("empty map", attr(length(6)), `"k": {}`)
	f("bytes", attr(text(7, "\x00\xff")), `"k": bytes "\x00\xff"`)
	f("negative int", attr(varint(3, 1<<64-1)), `"k": int -1`)
	f("double", attr(fixed64(4, 0x3ff8000000000000)), `"k": double 3ff8000000000000`)
	f("invalid UTF-8 and NUL", attr(str("a\x00\xff")), `"k": "a\x00\xff"`)
	f("wrong wire types", attr(varint(1, 1), text(2, "x"), fixed32(3, 1), varint(4, 1), varint(5, 1), fixed64(6, 1), group(7)), `"k": empty`)
	f("unknown fields", attr(str("a"), varint(99, 1), fixed64(98, 1), text(97, "x"), fixed32(96, 1), group(95, group(95, varint(1, 1)))), `"k": "a"`)

	body := join(
		length(1,
			length(1, length(1, text(1, "r1"))),
			length(2,
				length(2, text(5, "a"), text(1, "0123456789abcdef"), text(1, "short"), text(2, "12345678"),
					length(15, varint(3, 2), text(2, "m")), length(15, text(2, "n")),
					length(11, text(2, "e"), length(3, text(1, "x"))), attr(str("v")), length(11, fixed64(1, 5), length(3, text(1, "y")), length(3, text(1, "z"))),
					text(5, "b")),
				length(1, text(1, "s"), text(2, "v1")),
				length(1, text(2, "v2"))),
			length(1, length(1, text(1, "r2")), varint(2, 3))),
		length(1, length(2, length(2, text(5, "no origin")))))
	checkProtobuf(t, body, otlp.Traces)
	items, _, err := views(body, otlp.Protobuf, otlp.Traces)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, items, []string{
		`resource {"r1": empty, "r2": empty, } scope "s" "v2"
ids 00000000000000000000000000000000 3132333435363738 0000000000000000 name "b" kind 0 time 0 0 status 2 "n"
{"k": "v", }
event 0 "e" {"x": empty, }
event 5 "" {"y": empty, "z": empty, }
`, `resource {} scope "" ""
ids 00000000000000000000000000000000 0000000000000000 0000000000000000 name "no origin" kind 0 time 0 0 status 0 ""
{}
`})

	body = length(1, length(2, length(2,
		length(5, array(str("a"))), length(6, text(1, "k"), length(2, array(str("b")))), length(5, array(str("c"))))))
	checkProtobuf(t, body, otlp.Logs)
	items, _, err = views(body, otlp.Protobuf, otlp.Logs)
	if err != nil || len(items) != 1 || !strings.Contains(items[0], "body [\"a\", \"c\", ]\n{\"k\": [\"b\", ], }") {
		t.Errorf("log body in pieces: %v, %v", items, err)
	}
}

func nested(depth int, k protowire.Number) []byte {
	v := text(1, "x")
	for range depth {
		if k == 6 {
			v = length(2, v)
		}
		v = length(k, length(1, v))
	}
	return v
}

func TestProtobufDepth(t *testing.T) {
	f := func(name string, body func(depth int) []byte, sig otlp.Signal) {
		t.Helper()
		if _, _, err := views(body(otlp.MaxDepth), otlp.Protobuf, sig); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := views(body(otlp.MaxDepth+1), otlp.Protobuf, sig); err == nil || !strings.Contains(err.Error(), tooDeep) {
			t.Errorf("%s: error %v for one level more", name, err)
		}
		checkProtobuf(t, body(otlp.MaxDepth), sig)
	}
	f("arrays", func(n int) []byte { return spanBody(attr(nested(n, 5))) }, otlp.Traces)
	f("maps", func(n int) []byte { return spanBody(attr(nested(n, 6))) }, otlp.Traces)
	f("event", func(n int) []byte { return spanBody(length(11, length(3, length(2, nested(n, 5))))) }, otlp.Traces)
	f("resource", func(n int) []byte {
		return length(1, length(1, length(1, length(2, nested(n, 5)))), length(2, length(2)))
	}, otlp.Traces)
	f("log body", func(n int) []byte { return length(1, length(2, length(2, length(5, nested(n, 5))))) }, otlp.Logs)
	f("groups", func(n int) []byte {
		g := group(99)
		for range n - 1 {
			g = group(99, g)
		}
		return spanBody(g)
	}, otlp.Traces)
}

// TestProtobufRandom lets the library judge messages that are well-formed for the
// most part, but in an order and with repetitions that no encoder produces.
func TestProtobufRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var anyValue func(depth int) []byte
	fields := func(choices ...func() []byte) []byte {
		var out []byte
		for range r.IntN(2 * len(choices)) {
			switch n := r.IntN(60); n {
			case 0:
				out = append(out, group(protowire.Number(1+r.IntN(20)), varint(1, 1))...)
			case 1:
				out = append(out, varint(protowire.Number(1+r.IntN(20)), r.Uint64())...)
			case 2:
				out = append(out, fixed64(protowire.Number(1+r.IntN(20)), r.Uint64())...)
			case 3:
				out = append(out, fixed32(protowire.Number(1+r.IntN(20)), r.Uint32())...)
			default:
				out = append(out, choices[n%len(choices)]()...)
			}
		}
		return out
	}
	word := func(num protowire.Number) func() []byte {
		return func() []byte { return text(num, "abcdefghijklmnopqrst"[:r.IntN(20)]) }
	}
	number := func(num protowire.Number) func() []byte {
		return func() []byte { return varint(num, r.Uint64()>>r.IntN(64)) }
	}
	clock := func(num protowire.Number) func() []byte {
		return func() []byte { return fixed64(num, r.Uint64()) }
	}
	msg := func(num protowire.Number, content func() []byte) func() []byte {
		return func() []byte { return length(num, content()) }
	}
	keyValue := func(depth int) func() []byte {
		return func() []byte {
			return fields(word(1), msg(2, func() []byte { return anyValue(depth) }))
		}
	}
	anyValue = func(depth int) []byte {
		scalars := []func() []byte{word(1), number(2), number(3), clock(4), word(7)}
		if depth > 3 {
			return fields(scalars...)
		}
		list := msg(5, func() []byte { return fields(msg(1, func() []byte { return anyValue(depth + 1) })) })
		return fields(append(scalars, list, list, msg(6, func() []byte { return fields(msg(1, keyValue(depth+1))) }))...)
	}
	id := func(num protowire.Number) func() []byte {
		return func() []byte { return text(num, "0123456789abcdef"[:8+8*r.IntN(2)]) }
	}
	attrs := func(num protowire.Number) func() []byte { return msg(num, keyValue(0)) }
	value := func() []byte { return anyValue(0) }
	scope := func() []byte { return fields(word(1), word(2)) }
	res := func() []byte { return fields(attrs(1), number(2)) }
	event := func() []byte { return fields(clock(1), word(2), attrs(3)) }
	status := func() []byte { return fields(word(2), number(3)) }
	items := map[otlp.Signal]func() []byte{
		otlp.Traces: func() []byte {
			return fields(id(1), id(2), word(3), id(4), word(5), number(6), clock(7), clock(8), attrs(9), msg(11, event), msg(15, status))
		},
		otlp.Logs: func() []byte {
			return fields(clock(1), number(2), word(3), msg(5, value), attrs(6), id(9), id(10), clock(11), word(12))
		},
	}
	for range 1000 {
		for sig, item := range items {
			body := fields(msg(1, func() []byte {
				return fields(msg(1, res), msg(2, func() []byte { return fields(msg(1, scope), msg(2, item), msg(2, item)) }))
			}))
			checkProtobuf(t, body, sig)
			if len(body) > 0 {
				body[r.IntN(len(body))] ^= 1 << r.IntN(8)
				checkProtobuf(t, body, sig)
				checkProtobuf(t, body[:r.IntN(len(body))], sig)
			}
		}
	}
}

// TestLimits checks, in both encodings, that the first elements are kept and the
// others counted.
func TestLimits(t *testing.T) {
	attrs := func(n int) (out []*common.KeyValue) {
		for i := range n {
			out = append(out, intAttr(fmt.Sprint(i), int64(i)))
		}
		return out
	}
	array := func(n int) *common.KeyValue {
		list := make([]*common.AnyValue, n)
		for i := range list {
			list[i] = intAttr("", int64(i)).Value
		}
		return &common.KeyValue{Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: list}}}}
	}
	object := func(n int) *common.KeyValue {
		return &common.KeyValue{Value: &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: attrs(n)}}}}
	}
	count := func(kvs []otlp.KeyValue) (n int) {
		var walk func(kvs []otlp.KeyValue)
		walk = func(kvs []otlp.KeyValue) {
			n += len(kvs)
			for i := range kvs {
				walk(kvs[i].Value.Items)
			}
		}
		walk(kvs)
		return n
	}
	f := func(name string, res []*common.KeyValue, span *trace.Span, kept, events, dropped int) {
		t.Helper()
		m := &coltrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
			Resource:   &resource.Resource{Attributes: res},
			ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{span}}},
		}}}
		for enc, body := range map[otlp.Encoding][]byte{otlp.Protobuf: marshal(t, m), otlp.JSON: jsonBody(t, m)} {
			oneSpan(t, body, enc, func(s *otlp.Span) {
				n := count(s.Resource) + count(s.Attrs)
				for i := range s.Events {
					n += count(s.Events[i].Attrs)
				}
				if n != kept || len(s.Events) != events || s.DroppedAttrs != dropped {
					t.Errorf("%s: %d elements and %d events, %d dropped, want %d, %d, %d", name, n, len(s.Events), s.DroppedAttrs, kept, events, dropped)
				}
				for i := range s.Attrs {
					if kv := &s.Attrs[i]; kv.Key != "" && (kv.Key != fmt.Sprint(i) || kv.Value.Int() != int64(i)) {
						t.Fatalf("%s: attribute %d is %q: %s", name, i, kv.Key, printValue(&kv.Value))
					}
				}
			})
		}
	}
	f("attributes", nil, &trace.Span{Attributes: attrs(otlp.MaxAttrs)}, otlp.MaxAttrs, 0, 0)
	f("too many attributes", nil, &trace.Span{Attributes: attrs(otlp.MaxAttrs + 3)}, otlp.MaxAttrs, 0, 3)
	f("array", nil, &trace.Span{Attributes: []*common.KeyValue{array(otlp.MaxAttrs + 2), array(5)}}, 2+otlp.MaxAttrs+5, 0, 2)
	f("map", nil, &trace.Span{Attributes: []*common.KeyValue{object(otlp.MaxAttrs + 2)}}, 1+otlp.MaxAttrs, 0, 2)
	f("events", nil, &trace.Span{Events: slices.Repeat([]*trace.Span_Event{{Attributes: attrs(2)}}, otlp.MaxEvents+4)}, 2*otlp.MaxEvents, otlp.MaxEvents, 4)
	f("everything together", nil, &trace.Span{Attributes: slices.Repeat([]*common.KeyValue{array(1000)}, 20)}, otlp.MaxValues, 0, 17017-otlp.MaxValues+3)
	f("resource", attrs(otlp.MaxAttrs+5), &trace.Span{Attributes: attrs(otlp.MaxAttrs + 1)}, 2*otlp.MaxAttrs, 0, 6)

	many := spanBody(attr(length(5, bytes.Repeat([]byte{0x0a, 0}, 1000))))
	if _, dropped, err := views(bytes.Repeat(many, 20), otlp.Protobuf, otlp.Traces); dropped != 0 || err != nil {
		t.Errorf("%d dropped of many spans, error %v", dropped, err)
	}

	m := &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{
		{Body: array(otlp.MaxAttrs + 1).Value, Attributes: attrs(otlp.MaxAttrs + 1)},
		{Body: array(1).Value},
	}}}}}}
	for enc, body := range map[otlp.Encoding][]byte{otlp.Protobuf: marshal(t, m), otlp.JSON: jsonBody(t, m)} {
		var dropped []int
		err := otlp.DecodeLogs(body, enc, func(l *otlp.LogRecord) { dropped = append(dropped, l.DroppedAttrs) })
		if err != nil || !slices.Equal(dropped, []int{2, 0}) {
			t.Errorf("log records: dropped %v, error %v", dropped, err)
		}
	}
}

// TestMemory feeds bodies whose elements are as small as can be.
func TestMemory(t *testing.T) {
	const size = 1 << 20
	fill := func(b []byte) []byte { return bytes.Repeat(b, size/len(b)) }
	list := func(open, element, end string) []byte {
		return []byte(open + strings.Repeat(element+",", size/(len(element)+1)) + element + end)
	}
	inSpan := func(s string) string {
		return `{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[` + s
	}
	f := func(name string, enc otlp.Encoding, sig otlp.Signal, body []byte) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		visited := 0
		var err error
		if sig == otlp.Logs {
			err = otlp.DecodeLogs(body, enc, func(*otlp.LogRecord) { visited++ })
		} else {
			err = otlp.DecodeTraces(body, enc, func(*otlp.Span) { visited++ })
		}
		runtime.ReadMemStats(&after)
		if err != nil || visited == 0 {
			t.Errorf("%s: %d items, error %v", name, visited, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 16*size {
			t.Errorf("%s: %d bytes allocated for a body of %d", name, n, len(body))
		}
	}
	arrays := func() []byte { return length(5, bytes.Repeat([]byte{0x0a, 0}, 1000)) }
	f("spans", otlp.Protobuf, otlp.Traces, length(1, length(2, fill([]byte{0x12, 0}))))
	f("attributes", otlp.Protobuf, otlp.Traces, spanBody(fill([]byte{0x4a, 0})))
	f("events", otlp.Protobuf, otlp.Traces, spanBody(fill([]byte{0x5a, 0})))
	f("array", otlp.Protobuf, otlp.Traces, spanBody(attr(length(5, fill([]byte{0x0a, 0})))))
	f("arrays", otlp.Protobuf, otlp.Traces, spanBody(fill(attr(arrays()))))
	f("array in pieces", otlp.Protobuf, otlp.Traces, spanBody(attr(fill(length(5, []byte{0x0a, 0})))))
	f("resources", otlp.Protobuf, otlp.Traces, join(fill(length(1, length(1, []byte{0x0a, 0}))), spanBody()))
	f("resource in pieces", otlp.Protobuf, otlp.Traces, length(1, fill(length(1, []byte{0x0a, 0})), length(2, length(2))))
	f("log body in pieces", otlp.Protobuf, otlp.Logs, length(1, length(2, length(2, fill(join(length(5, arrays()), length(6, length(2, arrays()))))))))
	f("spans", otlp.JSON, otlp.Traces, list(inSpan(""), "{}", "]}]}]}"))
	f("null spans", otlp.JSON, otlp.Traces, list(inSpan(""), "null", "]}]}]}"))
	f("attributes", otlp.JSON, otlp.Traces, list(inSpan(`{"attributes":[`), "{}", "]}]}]}]}"))
	f("events", otlp.JSON, otlp.Traces, list(inSpan(`{"events":[`), "{}", "]}]}]}]}"))
	f("array", otlp.JSON, otlp.Traces, list(inSpan(`{"attributes":[{"value":{"arrayValue":{"values":[`), "{}", "]}}}]}]}]}]}"))
	f("held arrays", otlp.JSON, otlp.Traces, list(`{"resourceSpans":[{`, `"scopeSpans":[]`, `,"scopeSpans":[{"spans":[{}]}]}]}`))
	f("escapes", otlp.JSON, otlp.Traces, list(inSpan(`{"name":"`), `\u0041`, `"}]}]}]}`))
}

// TestPool checks that what an unusual body has made large is let go, and that no
// body is kept alive.
func TestPool(t *testing.T) {
	for _, body := range [][]byte{
		marshal(t, llmCalls(3)),
		spanBody(bytes.Repeat(attr(text(1, "x")), 2000)),
		spanBody(bytes.Repeat(length(11, text(2, "x")), 2000)),
		spanBody(length(11, text(2, "x"), length(3, text(1, "k")))),
		spanBody(attr(nested(otlp.MaxDepth, 5))),
	} {
		if err := otlp.DecodeTraces(body, otlp.Protobuf, func(*otlp.Span) {}); err != nil {
			t.Fatal(err)
		}
		if elements, dirty := otlp.Pooled(); elements > otlp.MaxPooled || dirty {
			t.Errorf("%d pooled elements, still referring to a body: %t", elements, dirty)
		}
	}
}

func TestProtobufAllocs(t *testing.T) {
	body := marshal(t, llmCalls(50))
	visit := func(*otlp.Span) {}
	// The race detector makes sync.Pool drop decoders at random.
	if n := testing.AllocsPerRun(100, func() { otlp.DecodeTraces(body, otlp.Protobuf, visit) }); n > 10 {
		t.Errorf("%v allocations for 50 spans", n)
	}
}

func TestConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	for name, body := range captured(t, "926-*-traces.pb") {
		m := newRequest(otlp.Traces)
		if err := proto.Unmarshal(body, m); err != nil {
			t.Fatal(err)
		}
		want, _ := expected(m.ProtoReflect(), otlp.Traces)
		inJSON := jsonBody(t, m)
		wg.Go(func() {
			for range 20 {
				for enc, b := range map[otlp.Encoding][]byte{otlp.Protobuf: body, otlp.JSON: inJSON} {
					got, _, err := views(b, enc, otlp.Traces)
					if err != nil || !slices.Equal(got, want) {
						t.Errorf("%s: wrong views, error %v", name, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestCountMetrics(t *testing.T) {
	generated := func(m *colmetrics.ExportMetricsServiceRequest) (n int) {
		for _, rm := range m.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					n += len(m.GetGauge().GetDataPoints()) + len(m.GetSum().GetDataPoints()) + len(m.GetHistogram().GetDataPoints()) +
						len(m.GetExponentialHistogram().GetDataPoints()) + len(m.GetSummary().GetDataPoints())
				}
			}
		}
		return n
	}
	f := func(name string, body []byte) {
		t.Helper()
		m := new(colmetrics.ExportMetricsServiceRequest)
		if err := proto.Unmarshal(body, m); err != nil {
			t.Fatal(name, err)
		}
		want := generated(m)
		if n, err := otlp.CountMetrics(body, otlp.Protobuf); n != want || err != nil {
			t.Errorf("%s: %d points, %v, want %d", name, n, err, want)
		}
		if n, err := otlp.CountMetrics(jsonBody(t, m), otlp.JSON); n != want || err != nil {
			t.Errorf("%s as JSON: %d points, %v, want %d", name, n, err, want)
		}
	}
	for name, body := range captured(t, "*-metrics.pb") {
		f(name, body)
	}
	f("all types", marshal(t, &colmetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{
		{Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: make([]*metrics.NumberDataPoint, 1)}}},
		{Data: &metrics.Metric_Sum{Sum: &metrics.Sum{DataPoints: make([]*metrics.NumberDataPoint, 2)}}},
		{Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{DataPoints: make([]*metrics.HistogramDataPoint, 4)}}},
		{Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{DataPoints: make([]*metrics.ExponentialHistogramDataPoint, 8)}}},
		{Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: make([]*metrics.SummaryDataPoint, 16)}}},
		{},
	}}}}}}))
	point := length(1)
	metric := func(fields ...[]byte) []byte { return length(1, length(2, length(2, fields...))) }
	f("sum in pieces", metric(length(7, point, varint(2, 1)), text(1, "n"), length(7, point, point)))
	f("last type", metric(length(7, point, point), length(5, point)))
}
