package push

import (
	"strings"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// otlpEncoder makes OTLP export requests in protobuf: calls and spans are spans, errors and
// custom events log records, readings metrics.
type otlpEncoder struct {
	base  string // URL before its query
	query string // with its question mark, or ""
	kind  string
	exp   *genai.Exporter
	enc   otlp.Encoder
}

func newOTLPEncoder(endpoint string, i Instance) *otlpEncoder {
	resource := []otlp.KeyValue{
		{Key: "service.name", Value: otlp.StringValue("openclaw-trace")},
		{Key: "service.version", Value: otlp.StringValue(i.Version)},
		{Key: "service.instance.id", Value: otlp.StringValue(i.ID)},
		{Key: "openclaw_trace.instance_id", Value: otlp.StringValue(i.ID)}, // also on what others emitted
	}
	if i.Host != "" {
		resource = append(resource, otlp.KeyValue{Key: "host.name", Value: otlp.StringValue(i.Host)})
	}
	if i.AgentID != "" {
		resource = append(resource, otlp.KeyValue{Key: "openclaw_trace.agent_id", Value: otlp.StringValue(i.AgentID)})
	}
	endpoint, _, _ = strings.Cut(endpoint, "#")
	base, query, has := strings.Cut(endpoint, "?")
	if has {
		query = "?" + query
	}
	return &otlpEncoder{
		base: strings.TrimRight(base, "/"), query: query,
		exp: genai.NewExporter(otlp.Origin{Resource: resource, ScopeName: "openclaw-trace", ScopeVersion: i.Version}),
	}
}

func (e *otlpEncoder) begin(kind string) {
	e.kind = kind
	e.enc.Reset()
}

func (e *otlpEncoder) errorEvent(r *db.ErrorEvent) { e.enc.LogRecord(e.exp.Error(r)) }
func (e *otlpEncoder) call(r *db.LLMTrace)         { e.enc.Span(e.exp.Call(r)) }
func (e *otlpEncoder) span(r *db.Span)             { e.enc.Span(e.exp.Span(r)) }
func (e *otlpEncoder) event(r *db.CustomEvent)     { e.enc.LogRecord(e.exp.Event(r)) }
func (e *otlpEncoder) reading(r *db.SystemMetric)  { e.enc.Metrics(e.exp.Reading(r)) }
func (e *otlpEncoder) size() int                   { return e.enc.Len() }
func (e *otlpEncoder) undo()                       { e.enc.Undo() }

func (e *otlpEncoder) finish(envelope) request {
	signal := map[string]string{writer.KindError: "logs", writer.KindEvent: "logs", writer.KindReading: "metrics"}[e.kind]
	if signal == "" {
		signal = "traces"
	}
	return request{e.base + "/v1/" + signal + e.query, otlp.Protobuf.ContentType(), [][]byte{e.enc.Bytes()}}
}

// accepted reads partial_success. Which items it means it does not say.
func (e *otlpEncoder) accepted(_ string, body []byte) (int64, string) {
	rejected, message, err := otlp.ParseExportResponse(body)
	if err != nil {
		return 0, "" // it took the batch, whatever it says of that
	}
	return rejected, message
}
