package genai

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// span adds s to the batch as what it is.
func (r *reader) span(b *writer.Batch, s *otlp.Span) {
	isCall := r.collect(s.Attrs) || s.Name == callSpan
	r.mendTimes(&s.StartNano, &s.EndNano)
	r.op = r.operation()
	if !isCall {
		isCall = r.op != nil && inference[*r.op] && !wrappers[s.Name] && !(*r.op == "embeddings" && r.wrapsEmbeddings(s))
	}
	r.meta.reset()
	r.meta.dropped = int64(s.DroppedAttrs)
	kind := writer.KindSpan
	if isCall {
		kind = writer.KindCall
		b.Calls = append(b.Calls, db.InsertLLMTraceParams{})
		r.call(s, &b.Calls[len(b.Calls)-1])
	} else {
		b.Spans = append(b.Spans, r.other(s))
	}
	r.countRepairs(b, kind)
}

// operation returns what the span does, in the conventions' words if they have one.
func (r *reader) operation() *string {
	said := r.textPtr(operation)
	if said == nil {
		return nil
	}
	standard := operations[strings.ToLower(*said)]
	if standard == "text_completion" && r.key(operation) == "llm.request.type" && r.hasRoles {
		standard = "chat" // OpenLLMetry's name for Anthropic's Messages API too
	}
	if standard != "" && standard != *said {
		return r.slab.string(standard)
	}
	return said
}

// wrapsEmbeddings tells the outer of two spans of the AI SDK 7, which say the same but
// for the tokens, from the one that is the request.
func (r *reader) wrapsEmbeddings(s *otlp.Span) bool {
	return s.ScopeName == "gen_ai" && r.got(inputTokens) == nil && s.StatusCode != otlp.StatusError
}

// call maps the span of an LLM call.
func (r *reader) call(s *otlp.Span, c *db.InsertLLMTraceParams) {
	id := r.spanIDs(s)
	*c = db.InsertLLMTraceParams{
		TraceID: id.uuid, CreatedAt: millis(s.StartNano), LatencyMS: r.duration(s.StartNano, s.EndNano),
		OTELTraceID: r.slab.string(id.trace), OTELSpanID: r.slab.string(id.span), OTELParentSpanID: id.parent,
		Provider: "unknown", Model: "unknown",
		SessionID: r.textPtr(session), Agent: r.textPtr(agent), Operation: r.op,
	}
	said, _ := r.text(provider)
	if said != "" {
		c.Provider = Provider(said)
	}
	for _, f := range [...]field{responseModel, requestModel} {
		if m, _ := r.text(f); m != "" {
			c.Model = m
		}
	}
	r.tokens(c, s)
	c.TtftMS = r.firstToken(s)
	detail := r.openclawDetail()
	r.texts(c, s)
	r.cost(c, &detail)
	r.outcomeOf(s, detail, &c.Status, &c.ErrorType, &c.ErrorMessage)
	writer.ForgetZeros(c)
	if c.CostUSD != nil {
		c.CostSource = r.slab.string(writer.Reported)
	}

	r.describe(s, c.Operation, c.Model, func(m meaning) bool {
		// What differs from the column it lost to is kept: it may matter.
		switch m.field {
		case ttftSeconds, firstTokenAt, instructions, toolCalls, openclawOutput, toolDefinitions, duplicate:
			return true
		}
		return m.field < lastColumn
	})
	r.meta.events(s.Events, isContentEvent, r.maxText)
	r.closing(s)
	if said != c.Provider && said != "" {
		r.meta.text(ProviderKey, r.cut(said))
	}
	if m, _ := r.text(responseModel); m != "" && m != c.Model {
		r.meta.text(writer.ResponseModelKey, r.cut(m))
	}
	if r.hourly != nil {
		r.meta.int(writer.CacheWrite1hKey, *r.hourly)
	}
	for _, f := range [...]struct{ key, text string }{
		{"openclaw.stopReason", detail.stopReason}, {"openclaw.responseId", detail.responseID}, {"openclaw.errorBody", detail.errorBody},
	} {
		if f.text != "" {
			r.meta.text(f.key, r.cut(f.text))
		}
	}
	if defs, ok := r.text(toolDefinitions); ok {
		sum := sha256.Sum256([]byte(defs))
		r.meta.text("openclaw_trace.tool_definitions_sha256", hex.EncodeToString(sum[:]))
		r.meta.int("openclaw_trace.tool_definitions_bytes", int64(len(defs)))
	}
	c.Metadata = r.meta.string(&r.slab)
}

// other maps a span that is not an LLM call.
func (r *reader) other(s *otlp.Span) db.InsertSpanParams {
	id := r.spanIDs(s)
	row := db.InsertSpanParams{
		TraceID: id.uuid, CreatedAt: millis(s.StartNano), DurationMS: r.duration(s.StartNano, s.EndNano),
		Name: s.Name, Operation: r.op, SessionID: r.textPtr(session), Agent: r.textPtr(agent),
		OTELTraceID: id.trace, OTELSpanID: id.span, OTELParentSpanID: id.parent,
	}
	if row.Name == "" {
		row.Name = "unknown"
	}
	var errorType *string
	r.outcomeOf(s, detail{}, &row.Status, &errorType, &row.ErrorMessage)
	r.describe(s, nil, row.Name, func(m meaning) bool {
		return m.field == operation || m.field == session || m.field == agent || m.field == duplicate
	})
	r.meta.events(s.Events, nil, r.maxText)
	r.closing(s)
	row.Metadata = r.meta.string(&r.slab)
	return row
}

// Span kinds that say nothing: what a span is anyway, and what a call is.
const (
	kindInternal = 1
	kindClient   = 3
)

// describe puts into the metadata everything but what leave says stands elsewhere,
// and the span's name and kind unless they follow from the row: "{operation} {model}"
// and CLIENT are the conventions' for a call.
func (r *reader) describe(s *otlp.Span, does *string, name string, leave func(meaning) bool) {
	for i := range s.Attrs {
		kv, m := &s.Attrs[i], r.means[i]
		if m.field != unknown && leave(m) {
			winner := r.got(m.field)
			if winner == nil || winner == &kv.Value || m.field > lastColumn || m.field == input || m.field == output || same(winner, &kv.Value) {
				continue
			}
		}
		if m.field == responseModel && kv.Value.Kind == otlp.String && (r.at[m.field] == uint16(i+1) || kv.Value.Str == name) {
			continue
		}
		if m.field == operation && r.op != nil && operations[strings.ToLower(kv.Value.Str)] == *r.op {
			continue // the same in another dialect
		}
		r.meta.value(kv.Key, &kv.Value, r.maxText)
	}
	if does != nil {
		name = *does + " " + name
	}
	if s.Name != "" && s.Name != name {
		r.meta.text("span.name", r.cut(s.Name))
	}
	if s.Kind > kindInternal && (does == nil || s.Kind != kindClient) {
		r.meta.int("span.kind", int64(s.Kind))
	}
}

// closing adds what every row says at its end.
func (r *reader) closing(s *otlp.Span) {
	r.meta.origin(s.Origin, r.maxText)
	if len(r.invalid) > 0 {
		r.meta.text("openclaw_trace.invalid", strings.Join(r.invalid, " "))
	}
	if r.mended {
		r.meta.flag(timeUnitMended)
	}
}

// texts reads what was asked and answered.
func (r *reader) texts(c *db.InsertLLMTraceParams, s *otlp.Span) {
	r.collectEvents(s.Events)
	if c.InputText = r.content(input, s); c.InputText == nil {
		c.InputText = r.eventMessages(s.Events, input)
	}
	c.InputText = r.withInstructions(c.InputText)
	switch r.key(output) {
	case "ai.response.text", "ai.response.object", "":
		if c.OutputText = r.aiOutput(); c.OutputText == nil {
			c.OutputText = r.eventMessages(s.Events, output)
		}
	default:
		c.OutputText = r.content(output, s)
	}
	if c.OutputText == nil && s.StatusCode != otlp.StatusError {
		c.OutputText = r.content(openclawOutput, s)
	}
}

func same(a, b *otlp.Value) bool {
	switch {
	case a.Kind != b.Kind:
		return false
	case a.Kind == otlp.String:
		return a.Str == b.Str
	case a.Kind == otlp.Int:
		return a.Int() == b.Int()
	}
	return false
}

// outcomeOf decides how a span ended, and in whose words.
func (r *reader) outcomeOf(s *otlp.Span, d detail, status *string, errorTypeCol, message **string) {
	kind, _ := r.text(failureKind)
	class, _ := r.text(errorType)
	category, _ := r.text(errorCategory)
	ended, _ := r.text(outcome)
	exception := exceptionOf(s)

	*status = "ok"
	failed := s.StatusCode == otlp.StatusError
	switch {
	case kind == "timeout", ended == "timed_out", failed && (IsTimeout(class) || IsTimeout(d.errorCode) || IsTimeout(d.errorType) || IsTimeout(exception.class)):
		*status = "timeout"
	case failed:
		*status = "error"
	default:
		return
	}
	said := s.StatusMessage
	if said == class { // OpenClaw repeats it there
		said = ""
	}
	if class == "Error" { // JavaScript's base class says nothing
		class = ""
	}
	if exception.class == "Error" {
		exception.class = ""
	}
	if d.errorCode == "***" { // masked by OpenClaw
		d.errorCode = ""
	}
	for _, t := range [...]string{d.errorCode, d.errorType, kind, class, exception.class, category} {
		if t != "" {
			*errorTypeCol = r.slab.string(t)
			break
		}
	}
	told, _ := r.text(errorText)
	for _, t := range [...]string{d.errorMessage, told, exception.message, said} {
		if t != "" {
			*message = r.slab.string(t)
			break
		}
	}
}

type exception struct{ class, message string }

// exceptionOf returns what a span event "exception" says, as OpenTelemetry's
// conventions for exceptions define it.
func exceptionOf(s *otlp.Span) (e exception) {
	for i := range s.Events {
		if s.Events[i].Name != "exception" {
			continue
		}
		for j := range s.Events[i].Attrs {
			switch kv := &s.Events[i].Attrs[j]; kv.Key {
			case "exception.type":
				e.class = kv.Value.Str
			case "exception.message":
				e.message = kv.Value.Str
			}
		}
	}
	return e
}

// detail is what only OpenClaw's own form of the answer says of a call. It is there
// when content is captured.
type detail struct {
	cost                               *float64 // USD
	errorCode, errorType, errorMessage string
	errorBody, stopReason, responseID  string
}

// openclawDetail reads the last message of openclaw.content.output_messages. A text
// that OpenClaw cut short is no JSON any more; then it says what came before the cut.
func (r *reader) openclawDetail() (d detail) {
	v := r.got(openclawOutput)
	if v == nil || v.Kind != otlp.String {
		return d
	}
	dec := jsontext.NewDecoder(strings.NewReader(v.Str), lenient...)
	var path [3]string // names on the way down, of the message's own members and of usage.cost
	for {
		depth := dec.StackDepth()
		kind, length := dec.StackIndex(depth)
		isName := kind == '{' && length%2 == 0
		t, err := dec.ReadToken()
		if err != nil {
			return d
		}
		switch {
		case kind == '[' && depth == 1 && t.Kind() == '{':
			d = detail{}
		case isName && t.Kind() == '"':
			if depth-2 >= 0 && depth-2 < len(path) {
				path[depth-2] = t.String()
			}
		case depth == 2 && t.Kind() == '"':
			switch path[0] {
			case "errorCode":
				d.errorCode = t.String()
			case "errorType":
				d.errorType = t.String()
			case "errorMessage":
				d.errorMessage = t.String()
			case "errorBody":
				d.errorBody = t.String()
			case "stopReason":
				d.stopReason = t.String()
			case "responseId":
				d.responseID = t.String()
			}
		case depth == 4 && t.Kind() == '0' && path == [3]string{"usage", "cost", "total"}:
			if total, err := t.Float(); err == nil && total >= 0 && total <= writer.MaxCostUSD {
				d.cost = &total
			}
		}
	}
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
