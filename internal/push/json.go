package push

import (
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// SchemaVersion is that of the JSON envelope, which docs/push.schema.json describes. It
// is raised when a receiver that follows the older one would misunderstand.
const SchemaVersion = 1

// jsonEncoder makes the envelope of docs/push.schema.json: columns by their names, those
// that are NULL left out, metadata as an object. Nothing of our own database, such as
// row ids, goes out.
type jsonEncoder struct {
	url      string
	instance Instance

	head   []byte
	events []byte
	last   int // where the last event begins
}

func (e *jsonEncoder) begin(string) { e.events, e.last = e.events[:0], 0 }
func (e *jsonEncoder) size() int    { return len(e.events) }
func (e *jsonEncoder) undo()        { e.events = e.events[:e.last] }
func (e *jsonEncoder) open(t string) {
	e.last = len(e.events)
	if e.last > 0 {
		e.events = append(e.events, ',')
	}
	e.events = append(append(append(e.events, `{"type":"`...), t...), '"')
}

func (e *jsonEncoder) close(metadata *string) {
	if metadata != nil {
		e.key("metadata")
		start := len(e.events)
		e.events = append(e.events, *metadata...)
		if v := jsontext.Value(e.events[start:]); v.Kind() != '{' || !v.IsValid(jsontext.AllowDuplicateNames(true)) {
			// Somebody else wrote it. One such row must not spoil a batch.
			e.events = append(e.events[:start], `{"value":`...)
			e.events = append(otlp.AppendJSONString(e.events, *metadata), '}')
		}
	}
	e.events = append(e.events, '}')
}

func (e *jsonEncoder) key(name string) {
	e.events = append(append(append(e.events, `,"`...), name...), `":`...)
}

func (e *jsonEncoder) text(name, s string) {
	e.key(name)
	e.events = otlp.AppendJSONString(e.events, s)
}

func (e *jsonEncoder) textOr(name string, s *string) {
	if s != nil {
		e.text(name, *s)
	}
}

func (e *jsonEncoder) int(name string, n int64) {
	e.key(name)
	e.events = strconv.AppendInt(e.events, n, 10)
}

func (e *jsonEncoder) intOr(name string, n *int64) {
	if n != nil {
		e.int(name, *n)
	}
}

func (e *jsonEncoder) floatOr(name string, f *float64) {
	if f != nil && !math.IsInf(*f, 0) { // SQLite keeps no NaN, JSON has neither
		e.key(name)
		e.events = strconv.AppendFloat(e.events, *f, 'g', -1, 64)
	}
}

func (e *jsonEncoder) call(r *db.LLMTrace) {
	e.open("llm_trace")
	e.text("trace_id", r.TraceID)
	e.int("created_at", r.CreatedAt)
	e.text("provider", r.Provider)
	e.text("model", r.Model)
	e.textOr("operation", r.Operation)
	e.textOr("input_text", r.InputText)
	e.textOr("output_text", r.OutputText)
	e.intOr("prompt_tokens", r.PromptTokens)
	e.intOr("completion_tokens", r.CompletionTokens)
	e.intOr("total_tokens", r.TotalTokens)
	e.intOr("cache_read_tokens", r.CacheReadTokens)
	e.intOr("cache_write_tokens", r.CacheWriteTokens)
	e.intOr("reasoning_tokens", r.ReasoningTokens)
	e.floatOr("cost_usd", r.CostUSD)
	e.textOr("cost_source", r.CostSource)
	e.intOr("latency_ms", r.LatencyMS)
	e.intOr("ttft_ms", r.TtftMS)
	e.text("status", r.Status)
	e.textOr("error_type", r.ErrorType)
	e.textOr("error_message", r.ErrorMessage)
	e.textOr("session_id", r.SessionID)
	e.textOr("agent", r.Agent)
	e.textOr("otel_trace_id", r.OTELTraceID)
	e.textOr("otel_span_id", r.OTELSpanID)
	e.textOr("otel_parent_span_id", r.OTELParentSpanID)
	e.close(r.Metadata)
}

func (e *jsonEncoder) errorEvent(r *db.ErrorEvent) {
	e.open("error_event")
	e.text("trace_id", r.TraceID)
	e.int("created_at", r.CreatedAt)
	e.text("error_type", r.ErrorType)
	e.text("message", r.Message)
	e.textOr("stack_trace", r.StackTrace)
	e.text("severity", r.Severity)
	e.close(r.Metadata)
}

func (e *jsonEncoder) span(r *db.Span) {
	e.open("span")
	e.text("trace_id", r.TraceID)
	e.int("created_at", r.CreatedAt)
	e.text("name", r.Name)
	e.textOr("operation", r.Operation)
	e.textOr("session_id", r.SessionID)
	e.textOr("agent", r.Agent)
	e.text("otel_trace_id", r.OTELTraceID)
	e.text("otel_span_id", r.OTELSpanID)
	e.textOr("otel_parent_span_id", r.OTELParentSpanID)
	e.intOr("duration_ms", r.DurationMS)
	e.text("status", r.Status)
	e.textOr("error_message", r.ErrorMessage)
	e.close(r.Metadata)
}

func (e *jsonEncoder) event(r *db.CustomEvent) {
	e.open("custom_event")
	e.text("trace_id", r.TraceID)
	e.int("created_at", r.CreatedAt)
	e.text("name", r.Name)
	e.textOr("session_id", r.SessionID)
	e.close(r.Metadata)
}

func (e *jsonEncoder) reading(r *db.SystemMetric) {
	e.open("system_metric")
	e.text("trace_id", r.TraceID)
	e.int("created_at", r.CreatedAt)
	e.floatOr("cpu_pct", r.CpuPct)
	e.intOr("mem_rss_bytes", r.MemRssBytes)
	e.intOr("mem_available", r.MemAvailable)
	e.intOr("mem_total", r.MemTotal)
	e.intOr("disk_used_bytes", r.DiskUsedBytes)
	e.intOr("disk_total_bytes", r.DiskTotalBytes)
	e.intOr("disk_free_bytes", r.DiskFreeBytes)
	e.close(r.Metadata)
}

func (e *jsonEncoder) finish(env envelope) request {
	h := strconv.AppendInt(append(e.head[:0], `{"schema_version":`...), SchemaVersion, 10)
	h = otlp.AppendJSONString(append(h, `,"batch_id":`...), env.batchID)
	h = strconv.AppendInt(append(h, `,"sequence":`...), env.sequence, 10)
	h = otlp.AppendJSONString(append(h, `,"instance":{"id":`...), e.instance.ID)
	for _, m := range [...]struct{ name, value string }{
		{"host", e.instance.Host}, {"agent_id", e.instance.AgentID}, {"version", e.instance.Version},
	} {
		if m.value != "" {
			h = append(append(append(h, `,"`...), m.name...), `":`...)
			h = otlp.AppendJSONString(h, m.value)
		}
	}
	h = append(h, `},"ledger":`...)
	h = appendLedger(h, env.books)
	e.head = append(h, `,"events":[`...)
	return request{e.url, "application/json", [][]byte{e.head, e.events, []byte("]}")}}
}

func appendLedger(b []byte, books writer.Books) []byte {
	for i, m := range [...]struct {
		name string
		n    int64
	}{
		{"received", books.Received}, {"pending", books.Pending()}, {"delivered", books.Delivered},
		{"quarantined", books.Quarantined}, {"dropped", books.Dropped}, {"expired", books.Expired},
	} {
		sep := `,"`
		if i == 0 {
			sep = `{"`
		}
		b = append(append(append(b, sep...), m.name...), `":`...)
		b = strconv.AppendInt(b, m.n, 10)
	}
	return append(b, '}')
}

// accepted: a JSON remote takes a batch or it does not.
func (e *jsonEncoder) accepted(string, []byte) (int64, string) { return 0, "" }
