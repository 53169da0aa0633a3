package genai_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// BenchmarkTraces maps request bodies to rows and compares it with decoding alone.
func BenchmarkTraces(b *testing.B) {
	// What the binary has too: in the heap of a test alone, which is a few kilobytes,
	// the collector would run all the time and be most of what is measured.
	floor := make([]byte, 8<<20)
	defer runtime.KeepAlive(floor)
	f := func(name string, body []byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			spans := 0
			for b.Loop() {
				m, err := genai.Traces(body, otlp.Protobuf, 16384)
				if err != nil {
					b.Fatal(err)
				}
				spans += len(m.Batch.Calls) + len(m.Batch.Spans)
			}
			mapped := b.Elapsed()
			b.ReportMetric(float64(mapped.Nanoseconds())/float64(spans), "ns/span")

			began, decoded := time.Now(), 0
			for range b.N {
				if err := otlp.DecodeTraces(body, otlp.Protobuf, func(*otlp.Span) { decoded++ }); err != nil {
					b.Fatal(err)
				}
			}
			alone := time.Since(began)
			b.ReportMetric(float64(mapped)/float64(alone), "x-decode")
			b.ReportMetric(float64(mapped-alone)/float64(spans), "ns/span-over-decode")
			if decoded != spans || spans == 0 {
				b.Errorf("%d spans were decoded, %d mapped", decoded, spans)
			}
		})
	}
	f("one", chats(b, 1, 200))
	f("short", chats(b, 50, 200))
	f("long", chats(b, 50, 4096))
	openclaw, err := os.ReadFile(filepath.Join("testdata/openclaw", "926-tool-1-traces.pb"))
	if err != nil {
		b.Fatal(err)
	}
	f("openclaw", openclaw)
}

// chats is a request of n calls to a model as an instrumented client sends it, with
// texts of that many bytes.
func chats(b *testing.B, n, text int) []byte {
	b.Helper()
	value := func(v any) *common.AnyValue {
		switch v := v.(type) {
		case string:
			return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}
		case int:
			return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(v)}}
		case float64:
			return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: v}}
		case []*common.AnyValue:
			return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: v}}}
		}
		b.Fatalf("no attribute can be a %T", v)
		return nil
	}
	attributes := func(keysAndValues ...any) (list []*common.KeyValue) {
		for i := 0; i < len(keysAndValues); i += 2 {
			list = append(list, &common.KeyValue{Key: keysAndValues[i].(string), Value: value(keysAndValues[i+1])})
		}
		return list
	}
	message := func(role string, i int) string {
		words := strings.Repeat(fmt.Sprintf(`it is call %04d, \"so\" `, i), text/24+1)[:text]
		return `[{"role":"` + role + `","parts":[{"type":"text","content":"` + strings.TrimRight(words, `\`) + `"}]}]`
	}
	var spans []*trace.Span
	for i := range n {
		spans = append(spans, &trace.Span{
			TraceId: fmt.Appendf(nil, "trace-%010d", i/5), SpanId: fmt.Appendf(nil, "sp%06d", i), ParentSpanId: []byte("parent-1"),
			Flags: 0x101, Name: "chat claude-sonnet-4-5", Kind: trace.Span_SPAN_KIND_CLIENT,
			StartTimeUnixNano: 1_795_420_746_812_000_000 + uint64(i)*1e9, EndTimeUnixNano: 1_795_420_747_812_000_000 + uint64(i)*1e9,
			Attributes: attributes(
				"gen_ai.operation.name", "chat", "gen_ai.provider.name", "anthropic",
				"gen_ai.request.model", "claude-sonnet-4-5", "gen_ai.response.model", "claude-sonnet-4-5",
				"gen_ai.response.id", fmt.Sprintf("msg_%024d", i),
				"gen_ai.response.finish_reasons", []*common.AnyValue{value("stop")},
				"gen_ai.request.max_tokens", 4096, "gen_ai.request.temperature", 0.7,
				"gen_ai.usage.input_tokens", 120+i, "gen_ai.usage.output_tokens", 56,
				"gen_ai.conversation.id", fmt.Sprintf("conv_%016d", i/5),
				"server.address", "api.example.com", "server.port", 443,
				"gen_ai.input.messages", message("user", i), "gen_ai.output.messages", message("assistant", i),
				"openclaw.cost_usd", 0.0123,
			),
			Status: &trace.Status{},
		})
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(&coltrace.ExportTraceServiceRequest{
		ResourceSpans: []*trace.ResourceSpans{{
			Resource: &resourcepb.Resource{Attributes: attributes(
				"service.name", "openclaw", "service.version", "2026.11.1", "host.name", "gateway-1",
				"telemetry.sdk.language", "nodejs", "telemetry.sdk.name", "opentelemetry",
			)},
			ScopeSpans: []*trace.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "openclaw.llm", Version: "1.0.0"}, Spans: spans}},
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return body
}
