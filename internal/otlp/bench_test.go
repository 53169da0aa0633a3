package otlp_test

import (
	"fmt"
	"strings"
	"testing"

	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

func strAttr(k, v string) *common.KeyValue {
	return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}}
}

func intAttr(k string, v int64) *common.KeyValue {
	return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: v}}}
}

func doubleAttr(k string, v float64) *common.KeyValue {
	return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: v}}}
}

// llmCalls is a request of n spans such as an instrumented LLM client sends, with
// 16 attributes each and one and a half kilobytes of text.
func llmCalls(n int) *coltrace.ExportTraceServiceRequest {
	spans := make([]*trace.Span, n)
	for i := range spans {
		text := func(role string, size int) string {
			words := strings.Repeat(fmt.Sprintf("call %d says \\\"so\\\" again, ", i), size/24)
			return `[{"role":"` + role + `","parts":[{"type":"text","content":"` + words + `"}]}]`
		}
		spans[i] = &trace.Span{
			TraceId: fmt.Appendf(nil, "trace-%010d", i), SpanId: fmt.Appendf(nil, "sp%06d", i), ParentSpanId: []byte("parent-1"),
			Flags: 0x101, Name: "chat claude-sonnet-4-5", Kind: trace.Span_SPAN_KIND_CLIENT,
			StartTimeUnixNano: 1795420746812000000, EndTimeUnixNano: 1795420747812000000,
			Attributes: []*common.KeyValue{
				strAttr("gen_ai.operation.name", "chat"),
				strAttr("gen_ai.provider.name", "anthropic"),
				strAttr("gen_ai.request.model", "claude-sonnet-4-5"),
				strAttr("gen_ai.response.model", "claude-sonnet-4-5"),
				strAttr("gen_ai.response.id", fmt.Sprintf("msg_%024d", i)),
				{Key: "gen_ai.response.finish_reasons", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{
					ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{strAttr("", "stop").Value}}}}},
				intAttr("gen_ai.request.max_tokens", 4096),
				doubleAttr("gen_ai.request.temperature", 0.7),
				intAttr("gen_ai.usage.input_tokens", 1234),
				intAttr("gen_ai.usage.output_tokens", 56),
				strAttr("gen_ai.conversation.id", "conv_0123456789abcdef"),
				strAttr("server.address", "api.anthropic.com"),
				intAttr("server.port", 443),
				strAttr("gen_ai.input.messages", text("user", 1200)),
				strAttr("gen_ai.output.messages", text("assistant", 300)),
				doubleAttr("openclaw.cost_usd", 0.0123),
			},
			Status: &trace.Status{},
		}
	}
	return &coltrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{
			strAttr("service.name", "openclaw"), strAttr("service.version", "2026.11.1"), strAttr("host.name", "gateway-1"),
			strAttr("telemetry.sdk.language", "nodejs"), strAttr("telemetry.sdk.name", "opentelemetry"),
		}},
		ScopeSpans: []*trace.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "openclaw.llm", Version: "1.0.0"}, Spans: spans}},
	}}}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// BenchmarkDecodeTraces compares the decoder, for both encodings, with unmarshalling
// into the generated types.
func BenchmarkDecodeTraces(b *testing.B) {
	bodies := []struct {
		name string
		body []byte
	}{
		{"calls", marshal(b, llmCalls(50))},
		{"openclaw", captured(b, "926-tool-1-traces.pb")["926-tool-1-traces.pb"]},
	}
	for _, bb := range bodies {
		m := new(coltrace.ExportTraceServiceRequest)
		if err := proto.Unmarshal(bb.body, m); err != nil {
			b.Fatal(err)
		}
		decode := func(body []byte, enc otlp.Encoding) func(b *testing.B) int {
			return func(b *testing.B) (spans int) {
				if err := otlp.DecodeTraces(body, enc, func(*otlp.Span) { spans++ }); err != nil {
					b.Fatal(err)
				}
				return spans
			}
		}
		run := func(name string, body []byte, decode func(b *testing.B) int) {
			b.Run(bb.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				spans := 0
				for b.Loop() {
					spans += decode(b)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(spans), "ns/span")
			})
		}
		run("protobuf", bb.body, decode(bb.body, otlp.Protobuf))
		json := jsonBody(b, m)
		run("json", json, decode(json, otlp.JSON))
		run("generated", bb.body, func(b *testing.B) (spans int) {
			m := new(coltrace.ExportTraceServiceRequest)
			if err := proto.Unmarshal(bb.body, m); err != nil {
				b.Fatal(err)
			}
			for _, rs := range m.ResourceSpans {
				for _, ss := range rs.ScopeSpans {
					spans += len(ss.Spans)
				}
			}
			return spans
		})
	}
}
