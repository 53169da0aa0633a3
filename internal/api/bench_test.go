package api_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// BenchmarkPost is the way of a request with one call through everything but the
// network. Its allocations are what requests leave to the garbage collector.
func BenchmarkPost(b *testing.B) {
	// f posts body, in which the trace id marked is another one each time; without a
	// mark the server gives each call an id of its own.
	f := func(name, kind string, body, mark []byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			at := bytes.Index(body, mark)
			if at < 0 {
				b.Fatal("the body has no such trace id")
			}
			s := newServer(b)
			b.SetParallelism(16)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
				own := bytes.Clone(body)
				src := bytes.NewReader(own)
				r := httptest.NewRequest("POST", "http://localhost:9090/v1/traces", src)
				r.Header.Set("Content-Type", kind)
				r.Body = io.NopCloser(src)
				w := &discarded{header: make(http.Header)}
				for pb.Next() {
					for i := range mark {
						own[at+i] = "123456789abcdef"[random.IntN(15)] // digits in JSON, bytes in protobuf
					}
					src.Reset(own)
					clear(w.header)
					s.ServeHTTP(w, r)
					if w.status/100 != 2 {
						b.Errorf("status %d", w.status)
						return
					}
				}
			})
			b.StopTimer()
			if got := s.writer.Books().Received; got != int64(b.N) {
				b.Errorf("%d requests were acknowledged, %d calls are stored", b.N, got)
			}
		})
	}

	text := strings.Repeat("the agent read it again; ", 8)
	traceID := []byte("\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff")
	attribute := func(key, value string) *common.KeyValue {
		return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
	}
	protobuf, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{{
			TraceId: traceID, SpanId: []byte("12345678"), Name: "chat claude-sonnet-4-5",
			StartTimeUnixNano: 1_700_000_000_000_000_000, EndTimeUnixNano: 1_700_000_000_500_000_000,
			Attributes: []*common.KeyValue{
				attribute("gen_ai.operation.name", "chat"), attribute("gen_ai.provider.name", "anthropic"),
				attribute("gen_ai.request.model", "claude-sonnet-4-5"), attribute("gen_ai.conversation.id", "conv_1"),
				attribute("gen_ai.input.messages", text), attribute("gen_ai.output.messages", text),
			},
		}}}},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	f("protobuf", protobufType, protobuf, traceID)

	type object = map[string]any
	encode := func(v any) []byte {
		body, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		return body
	}
	var attributes []object
	for _, kv := range [][2]string{
		{"gen_ai.operation.name", "chat"}, {"gen_ai.provider.name", "anthropic"},
		{"gen_ai.request.model", "claude-sonnet-4-5"}, {"gen_ai.conversation.id", "conv_1"},
		{"gen_ai.input.messages", text}, {"gen_ai.output.messages", text},
	} {
		attributes = append(attributes, object{"key": kv[0], "value": object{"stringValue": kv[1]}})
	}
	mark := []byte(hex.EncodeToString(traceID))
	f("json", jsonType, encode(object{"resourceSpans": []object{{"scopeSpans": []object{{"spans": []object{{
		"traceId": string(mark), "spanId": "3132333435363738", "name": "chat claude-sonnet-4-5",
		"startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000500000000", "attributes": attributes,
	}}}}}}}), mark)

	f("native", jsonType, encode(object{
		"provider": "anthropic", "model": "claude-sonnet-4-5", "session_id": "conv_1", "operation": "chat",
		"input_text": text, "output_text": text, "prompt_tokens": 120, "completion_tokens": 56, "latency_ms": 500,
	}), nil)
}

// discarded takes an answer and keeps its status.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
