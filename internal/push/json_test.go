package push_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// What is sent is what docs/push.schema.json promises, with all columns and without.
func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/push.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		n, text := new(int64(7)), new("a \"text\" \x01 with\n<all> é 密")
		x.submit(all())
		x.submit(&writer.Batch{
			Calls: []db.InsertLLMTraceParams{{TraceID: id(5), Provider: "p", Model: "m", Status: "timeout", InputText: text, OutputText: text,
				PromptTokens: n, CompletionTokens: n, CacheReadTokens: n, ReasoningTokens: n, CostUSD: new(1e-9), CostSource: new("reported"),
				LatencyMS: n, TtftMS: n, ErrorType: text, ErrorMessage: text, SessionID: text, Agent: text, Operation: text,
				OTELTraceID: text, OTELSpanID: text, OTELParentSpanID: text, Metadata: new(`{"a": {"b": [1, null]}}`)}},
			Errors: []db.InsertErrorEventParams{{TraceID: id(6), ErrorType: "e", Message: *text, StackTrace: text, Severity: "critical", Metadata: new(`{}`)}},
			Spans: []db.InsertSpanParams{{TraceID: id(7), Name: *text, Operation: text, SessionID: text, Agent: text, OTELTraceID: "a", OTELSpanID: "b",
				OTELParentSpanID: text, DurationMS: n, Status: "error", ErrorMessage: text, Metadata: new(`{"x": 1}`)}},
			Events: []db.InsertCustomEventParams{{TraceID: id(8), Name: *text, SessionID: text, Metadata: new(`[not an object`)}},
		})
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 8 {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, s := range x.batches() {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(s.raw))
			if err == nil {
				err = schema.Validate(v)
			}
			if err != nil {
				t.Errorf("%v\n%s", err, s.raw)
			}
		}
	})
}
