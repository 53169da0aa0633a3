package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// A call that names its span is the same row by both ways, whichever comes first.
func TestNativeAndOTLPAreOneRow(t *testing.T) {
	const (
		trace, span = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
		otlpBody    = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"` + trace + `","spanId":"` + span + `","name":"chat",
			"startTimeUnixNano":"1700000000123456789","endTimeUnixNano":"1700000001000000000",
			"attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}]}]}]}]}`
	)
	native := func(trace, span, at string) string {
		return fmt.Sprintf(`{"provider":"p","model":"m","otel_trace_id":"%s","otel_span_id":"%s","created_at":%s}`, trace, span, at)
	}
	f := func(name, body string, rows int) {
		for _, first := range []string{"native", "OTLP"} {
			t.Run(name+", "+first+" first", func(t *testing.T) {
				s := newServer(t)
				if first == "OTLP" {
					s.post(200, "/v1/traces", jsonType, otlpBody)
				}
				s.post(202, "/v1/traces", jsonType, body)
				s.post(200, "/v1/traces", jsonType, otlpBody)
				if got := s.rows("llm_traces"); len(got) != rows {
					t.Errorf("%d rows, want %d", len(got), rows)
				}
			})
		}
	}
	f("same", native(trace, span, "1700000000123"), 1)
	f("capitals", native(strings.ToUpper(trace), strings.ToUpper(span), "1700000000123"), 1)
	f("text", native(trace, span, `"2023-11-14T22:13:20.123Z"`), 1)
	f("another start", native(trace, span, "1700000000124"), 2)
	f("no start", native(trace, span, "null"), 2)
	f("a start beyond OTLP", native(trace, span, "9e18"), 2)
	f("another span", native(trace, "eee19b7ec3c1b175", "1700000000123"), 2)
	f("short ids", native(trace[2:], span, "1700000000123"), 2)
	f("no hex", native(trace, "eee19b7ec3c1b17x", "1700000000123"), 2)
	f("zero span", native(trace, strings.Repeat("0", 16), "1700000000123"), 2)
	f("zero trace", native(strings.Repeat("0", 32), span, "1700000000123"), 2)
	f("an id of its own", `{"trace_id":"`+anID+`",`+native(trace, span, "1700000000123")[1:], 2)
}
