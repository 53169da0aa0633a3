package otlp_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	collogs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// random makes views of all that can be sent.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 1))} }

func (r random) text() string {
	return [...]string{
		"", "a", "plain words", "naïve – 日本語 🦞", "\x00\n\t\"\\", "key.of.something", strings.Repeat("x", 127), strings.Repeat("é", 64),
		strings.Repeat("long ", 400), strings.Repeat("longer ", 3000*r.IntN(2)*r.IntN(2)*r.IntN(2)),
	}[r.IntN(10)]
}

func (r random) value(depth int) otlp.Value {
	kinds := 9
	if depth == 0 {
		kinds = 7
	}
	switch r.IntN(kinds) {
	case 0:
		return otlp.Value{}
	case 1, 2:
		return otlp.StringValue(r.text())
	case 3:
		return otlp.BoolValue(r.IntN(2) == 0)
	case 4:
		return otlp.IntValue([...]int64{0, 1, -1, 127, 128, math.MaxInt64, math.MinInt64}[r.IntN(7)])
	case 5:
		return otlp.DoubleValue([...]float64{0, math.Copysign(0, -1), 1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}[r.IntN(8)])
	case 6:
		return otlp.Value{Kind: otlp.Bytes, Str: [...]string{"", "\xff\x00\xfe", "plain"}[r.IntN(3)]}
	case 7:
		v := otlp.Value{Kind: otlp.Array, Items: r.attrs(depth - 1)}
		for i := range v.Items {
			v.Items[i].Key = ""
		}
		return v
	}
	return otlp.Value{Kind: otlp.Map, Items: r.attrs(depth - 1)}
}

func (r random) attrs(depth int) []otlp.KeyValue {
	list := make([]otlp.KeyValue, r.IntN(5))
	for i := range list {
		list[i] = otlp.KeyValue{Key: r.text(), Value: r.value(depth)}
	}
	return list
}

func (r random) time() uint64 {
	return [...]uint64{0, 1, 1_795_420_746_812_345_678, math.MaxUint64}[r.IntN(4)]
}

func (r random) number() int32 {
	return [...]int32{0, 1, 3, 24, math.MaxInt32, math.MinInt32, -1}[r.IntN(7)]
}

func (r random) traceID() (id otlp.TraceID) {
	if r.IntN(4) > 0 {
		id = otlp.TraceID{1: 1, 15: byte(r.IntN(256))}
	}
	return id
}

func (r random) spanID() (id otlp.SpanID) {
	if r.IntN(4) > 0 {
		id = otlp.SpanID{0: 1, 7: byte(r.IntN(256))}
	}
	return id
}

func (r random) span(o *otlp.Origin) *otlp.Span {
	s := &otlp.Span{
		Origin: o, TraceID: r.traceID(), SpanID: r.spanID(), ParentSpanID: r.spanID(), Name: r.text(), Kind: r.number(),
		StartNano: r.time(), EndNano: r.time(), Attrs: r.attrs(5), StatusCode: r.number(), StatusMessage: r.text(), DroppedAttrs: r.IntN(300),
	}
	for range r.IntN(3) {
		s.Events = append(s.Events, otlp.Event{TimeNano: r.time(), Name: r.text(), Attrs: r.attrs(2)})
	}
	return s
}

func (r random) log(o *otlp.Origin) *otlp.LogRecord {
	return &otlp.LogRecord{
		Origin: o, TimeNano: r.time(), ObservedTimeNano: r.time(), SeverityNumber: r.number(), SeverityText: r.text(), EventName: r.text(),
		Body: r.value(5), Attrs: r.attrs(3), TraceID: r.traceID(), SpanID: r.spanID(), DroppedAttrs: r.IntN(300),
	}
}

// origins are few, so that neighbours often share one.
func (r random) origins() []*otlp.Origin {
	list := []*otlp.Origin{{}}
	for range 2 {
		list = append(list, &otlp.Origin{Resource: r.attrs(2), ScopeName: r.text(), ScopeVersion: r.text()})
	}
	return list
}

// What is encoded is decoded to the same views, by us and by the protobuf library.
func TestEncode(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := newRandom(seed)
			origins := r.origins()
			for _, sig := range []otlp.Signal{otlp.Traces, otlp.Logs} {
				var e otlp.Encoder
				var want []string
				for range r.IntN(10) {
					o := origins[r.IntN(len(origins))]
					if sig == otlp.Traces {
						s := r.span(o)
						e.Span(s)
						want = append(want, printSpan(s))
					} else {
						l := r.log(o)
						e.LogRecord(l)
						want = append(want, printLog(l))
					}
				}
				got, dropped, err := views(e.Bytes(), otlp.Protobuf, sig)
				if err != nil || dropped > 0 {
					t.Fatalf("%v, %d dropped\n%x", err, dropped, e.Bytes())
				}
				compare(t, got, want)
				m := newRequest(sig)
				if err := proto.Unmarshal(e.Bytes(), m); err != nil {
					t.Fatal(err)
				}
				got, _ = expected(m.ProtoReflect(), sig)
				compare(t, got, want)
				noUnknownFields(t, e.Bytes(), m)
			}
		})
	}
}

// noUnknownFields unmarshals body once more, without what the library does not know.
func noUnknownFields(t *testing.T, body []byte, m proto.Message) {
	t.Helper()
	known := m.ProtoReflect().New().Interface()
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, known); err != nil || proto.Size(known) != proto.Size(m) {
		t.Errorf("%d bytes are not known to the library, %v", proto.Size(m)-proto.Size(known), err)
	}
}

// The dropped counts, which no view of ours reads.
func TestEncodeDropped(t *testing.T) {
	var spans, logs otlp.Encoder
	spans.Span(&otlp.Span{DroppedAttrs: 300})
	logs.LogRecord(&otlp.LogRecord{DroppedAttrs: 301})
	var traces coltrace.ExportTraceServiceRequest
	if err := proto.Unmarshal(spans.Bytes(), &traces); err != nil {
		t.Fatal(err)
	}
	if n := traces.ResourceSpans[0].ScopeSpans[0].Spans[0].DroppedAttributesCount; n != 300 {
		t.Errorf("span: %d", n)
	}
	var records collogs.ExportLogsServiceRequest
	if err := proto.Unmarshal(logs.Bytes(), &records); err != nil {
		t.Fatal(err)
	}
	if n := records.ResourceLogs[0].ScopeLogs[0].LogRecords[0].DroppedAttributesCount; n != 301 {
		t.Errorf("log record: %d", n)
	}
}

func TestEncodeInvalidUTF8(t *testing.T) {
	bad := otlp.KeyValue{Key: "k\xff", Value: otlp.StringValue("v\xc3")}
	good := otlp.KeyValue{Key: "k\uFFFD", Value: otlp.StringValue("v\uFFFD")}
	origin := func(kv otlp.KeyValue, s string) *otlp.Origin {
		return &otlp.Origin{Resource: []otlp.KeyValue{kv}, ScopeName: s, ScopeVersion: s}
	}
	span := func(kv otlp.KeyValue, s string) *otlp.Span {
		list := []otlp.KeyValue{kv, {Value: otlp.Value{Kind: otlp.Map, Items: []otlp.KeyValue{kv}}}}
		return &otlp.Span{Origin: origin(kv, s), Name: s, StatusMessage: s, Attrs: list, Events: []otlp.Event{{Name: s, Attrs: list}}}
	}
	var e otlp.Encoder
	e.Span(span(bad, "\xfe"))
	var m coltrace.ExportTraceServiceRequest
	if err := proto.Unmarshal(e.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	got, _ := expected(m.ProtoReflect(), otlp.Traces)
	compare(t, got, []string{printSpan(span(good, "\uFFFD"))})
}

// Neighbours of one origin share a group, whoever holds the origin.
func TestEncodeGroups(t *testing.T) {
	origin := func(service, scope string) *otlp.Origin {
		return &otlp.Origin{Resource: []otlp.KeyValue{{Key: "service.name", Value: otlp.StringValue(service)}}, ScopeName: scope}
	}
	var e otlp.Encoder
	for i, o := range []*otlp.Origin{
		origin("a", "x"), origin("a", "x"), origin("a", "y"), origin("b", "x"), origin("b", "x"), nil, {}, origin("a", "x"),
	} {
		e.Span(&otlp.Span{Origin: o, Kind: int32(i)})
	}
	var m coltrace.ExportTraceServiceRequest
	if err := proto.Unmarshal(e.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, rs := range m.ResourceSpans {
		if len(rs.ScopeSpans) != 1 {
			t.Errorf("%d scopes", len(rs.ScopeSpans))
		}
		sizes = append(sizes, len(rs.ScopeSpans[0].Spans))
	}
	if fmt.Sprint(sizes) != "[2 1 2 2 1]" {
		t.Errorf("groups of %v", sizes)
	}
	// A resource and a scope that together have the same bytes are others.
	e.Reset()
	e.Span(&otlp.Span{Origin: &otlp.Origin{Resource: []otlp.KeyValue{{}}}})
	e.Span(&otlp.Span{Origin: &otlp.Origin{ScopeName: "\x12\x00"}})
	if err := proto.Unmarshal(e.Bytes(), &m); err != nil || len(m.ResourceSpans) != 2 {
		t.Errorf("%d groups, %v", len(m.ResourceSpans), err)
	}
}

// With items taken back the request is as if they had never been added, also after its
// bytes were asked for.
func TestEncodeUndo(t *testing.T) {
	for seed := range uint64(200) {
		r := newRandom(seed)
		origins := r.origins()
		var e, never otlp.Encoder
		if e.Undo(); e.Len() != 0 || len(e.Bytes()) != 0 {
			t.Fatal("an empty request is not empty")
		}
		for range 12 {
			s := r.span(origins[r.IntN(len(origins))])
			before := bytes.Clone(e.Bytes())
			e.Span(s)
			if r.IntN(2) == 0 && e.Len() != len(e.Bytes()) {
				t.Fatalf("seed %d: Len is %d of %d", seed, e.Len(), len(e.Bytes()))
			}
			if r.IntN(2) == 0 {
				never.Span(s)
				continue
			}
			e.Undo()
			if !bytes.Equal(e.Bytes(), before) {
				t.Fatalf("seed %d: Undo leaves\n%x, was\n%x", seed, e.Bytes(), before)
			}
		}
		if !bytes.Equal(e.Bytes(), never.Bytes()) {
			t.Fatalf("seed %d:\n%x, want\n%x", seed, e.Bytes(), never.Bytes())
		}
		e.Reset()
		if e.Len() != 0 || len(e.Bytes()) != 0 {
			t.Fatal("Reset leaves something")
		}
	}
}

func TestEncodeMetrics(t *testing.T) {
	state := func(s string) []otlp.KeyValue {
		return []otlp.KeyValue{{Key: "state", Value: otlp.StringValue(s)}}
	}
	var e otlp.Encoder
	o := &otlp.Origin{ScopeName: "scope", ScopeVersion: "1"}
	e.Metrics([]otlp.Metric{
		{Origin: o, Name: "load", Unit: "1", Description: "how busy", Points: []otlp.Point{{TimeNano: 7, Value: otlp.DoubleValue(0)}}},
		{Origin: o, Name: "used", Unit: "By", Sum: true, Points: []otlp.Point{
			{TimeNano: 8, Attrs: state("used"), Value: otlp.IntValue(-1)},
			{TimeNano: 8, Attrs: state("none"), Value: otlp.IntValue(0)},
			{TimeNano: 8, Attrs: state("free"), Value: otlp.IntValue(math.MaxInt64)},
		}},
		{Origin: o, Name: "seen", Sum: true, Monotonic: true, Points: []otlp.Point{{StartNano: 5, TimeNano: 9, Value: otlp.DoubleValue(math.Inf(1))}}},
	})
	size := e.Len()
	e.Metrics([]otlp.Metric{{Origin: o, Name: "taken back"}, {Origin: o, Name: "too"}})
	e.Undo()
	e.Metrics(nil)
	e.Undo()
	if e.Len() != size {
		t.Errorf("%d bytes after Undo, want %d", e.Len(), size)
	}
	var got colmetrics.ExportMetricsServiceRequest
	if err := proto.Unmarshal(e.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	point := func(start, at uint64, attr string) *metrics.NumberDataPoint {
		p := &metrics.NumberDataPoint{StartTimeUnixNano: start, TimeUnixNano: at}
		if attr != "" {
			p.Attributes = append(p.Attributes, strAttr("state", attr))
		}
		return p
	}
	load, used, none, free, seen := point(0, 7, ""), point(0, 8, "used"), point(0, 8, "none"), point(0, 8, "free"), point(5, 9, "")
	load.Value = &metrics.NumberDataPoint_AsDouble{}
	used.Value = &metrics.NumberDataPoint_AsInt{AsInt: -1}
	none.Value = &metrics.NumberDataPoint_AsInt{}
	free.Value = &metrics.NumberDataPoint_AsInt{AsInt: math.MaxInt64}
	seen.Value = &metrics.NumberDataPoint_AsDouble{AsDouble: math.Inf(1)}
	const cumulative = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	want := []*metrics.Metric{
		{Name: "load", Unit: "1", Description: "how busy", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{load}}}},
		{Name: "used", Unit: "By", Data: &metrics.Metric_Sum{Sum: &metrics.Sum{
			AggregationTemporality: cumulative, DataPoints: []*metrics.NumberDataPoint{used, none, free}}}},
		{Name: "seen", Data: &metrics.Metric_Sum{Sum: &metrics.Sum{
			AggregationTemporality: cumulative, IsMonotonic: true, DataPoints: []*metrics.NumberDataPoint{seen}}}},
	}
	if len(got.ResourceMetrics) != 1 || got.ResourceMetrics[0].ScopeMetrics[0].Scope.GetName() != "scope" {
		t.Fatalf("groups: %v", &got)
	}
	list := got.ResourceMetrics[0].ScopeMetrics[0].Metrics
	if len(list) != len(want) {
		t.Fatalf("%d metrics", len(list))
	}
	for i := range want {
		if !proto.Equal(list[i], want[i]) {
			t.Errorf("%v, want %v", list[i], want[i])
		}
	}
	if n, err := otlp.CountMetrics(e.Bytes(), otlp.Protobuf); n != 5 || err != nil {
		t.Errorf("%d points, %v", n, err)
	}
}

func TestParseExportResponse(t *testing.T) {
	f := func(name string, body []byte, rejected int64, message string) {
		t.Helper()
		n, m, err := otlp.ParseExportResponse(body)
		if n != rejected || m != message || err != nil {
			t.Errorf("%s: %d %q %v, want %d %q", name, n, m, err, rejected, message)
		}
	}
	f("empty", nil, 0, "")
	f("empty partial_success", []byte{0x0a, 0}, 0, "")
	for _, sig := range []otlp.Signal{otlp.Traces, otlp.Logs, otlp.Metrics} {
		f("ours", otlp.ExportResponse(otlp.Protobuf, sig, 300, "too old – really"), 300, "too old – really")
		f("a warning", otlp.ExportResponse(otlp.Protobuf, sig, 0, "slow down"), 0, "slow down")
	}
	theirs := marshal(t, &coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: 7, ErrorMessage: "no"}})
	f("the library's", theirs, 7, "no")
	f("unknown fields", append([]byte{0x12, 1, 'x', 0x18, 5}, append(theirs, 0x0a, 2, 0x18, 1)...), 7, "no")
	f("in two parts", append(theirs, 0x0a, 2, 0x08, 9), 9, "no")
	f("a negative number", marshal(t, &coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: -7}}), 0, "")
	f("invalid UTF-8", []byte{0x0a, 3, 0x12, 1, 0xff}, 0, "\uFFFD")
	for _, body := range []string{"{}", `{"partialSuccess":{}}`, "<html>", "\x0a\x05\x08", "\x0a", "\x0a\x01\x08"} {
		if n, m, err := otlp.ParseExportResponse([]byte(body)); err == nil {
			t.Errorf("%q: %d %q", body, n, m)
		} else {
			checkError(t, []byte(body), err)
		}
	}
}

// twelve is a span with 12 attributes, two of them texts of 200 bytes.
func twelve() *otlp.Span {
	text := strings.Repeat("0123456789", 20)
	kv := func(key string, v otlp.Value) otlp.KeyValue { return otlp.KeyValue{Key: key, Value: v} }
	return &otlp.Span{
		Origin:  &otlp.Origin{Resource: []otlp.KeyValue{kv("service.name", otlp.StringValue("openclaw")), kv("host.name", otlp.StringValue("gateway-1"))}, ScopeName: "openclaw.llm"},
		TraceID: otlp.TraceID{1}, SpanID: otlp.SpanID{2}, ParentSpanID: otlp.SpanID{3}, Name: "chat claude-sonnet-4-5", Kind: 3,
		StartNano: 1_795_420_746_812_000_000, EndNano: 1_795_420_747_812_000_000,
		Attrs: []otlp.KeyValue{
			kv("gen_ai.operation.name", otlp.StringValue("chat")), kv("gen_ai.provider.name", otlp.StringValue("anthropic")),
			kv("gen_ai.request.model", otlp.StringValue("claude-sonnet-4-5")), kv("gen_ai.conversation.id", otlp.StringValue("conv_0123456789")),
			kv("gen_ai.usage.input_tokens", otlp.IntValue(1234)), kv("gen_ai.usage.output_tokens", otlp.IntValue(56)),
			kv("gen_ai.usage.cache_read.input_tokens", otlp.IntValue(1000)), kv("gen_ai.usage.cost", otlp.DoubleValue(0.0123)),
			kv("gen_ai.input.messages", otlp.StringValue(text)), kv("gen_ai.output.messages", otlp.StringValue(text)),
			kv("server.port", otlp.IntValue(443)), kv("openclaw_trace.trace_id", otlp.StringValue("019a0000-0000-8000-8000-000000000000")),
		},
	}
}

func TestEncodeWithoutGarbage(t *testing.T) {
	var e otlp.Encoder
	s := twelve()
	s.Attrs = append(s.Attrs, otlp.KeyValue{Key: "list", Value: otlp.Value{Kind: otlp.Array, Items: []otlp.KeyValue{{Value: otlp.IntValue(1)}}}})
	l := &otlp.LogRecord{Origin: s.Origin, Body: otlp.StringValue("said"), Attrs: s.Attrs}
	other := *s
	other.Origin = nil
	allocs := testing.AllocsPerRun(100, func() {
		e.Reset()
		for range 20 {
			e.Span(s)
			e.Span(&other)
			e.LogRecord(l)
			e.Undo()
			e.Bytes()
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for 60 items", allocs)
	}
}

func BenchmarkEncodeSpan(b *testing.B) {
	var e otlp.Encoder
	s := twelve()
	b.ReportAllocs()
	for b.Loop() {
		if e.Len() > 5<<20 {
			e.Bytes()
			e.Reset()
		}
		e.Span(s)
	}
}
