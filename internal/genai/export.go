package genai

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Names of our own on what is exported, beside those that metadata has.
const (
	traceIDKey    = "openclaw_trace.trace_id"    // the row's trace_id: its identity for receivers
	costSourceKey = "openclaw_trace.cost_source" // the column
	asideKey      = "openclaw_trace.metadata."   // before a metadata member's name that a column needs
	brokenKey     = "openclaw_trace.metadata"    // metadata that is no JSON object, as text
	sidecarPrefix = "openclaw_trace."            // of resource attributes that say which sidecar sends

	conflictKey = "openclaw_trace.tokens_in_conflict" // by the writer
)

// Exporter turns rows of the database into views for export, in the words of the GenAI
// conventions as they are now, whatever dialect the rows came in. What an Exporter
// returns, and all that it refers to, is valid until its next call; strings may be those
// of the row. It never fails: metadata that is no JSON object becomes one attribute.
//
// Members of metadata become attributes under their own names with their JSON types, a
// number without fraction and exponent an int. Those that stand for a part of the item
// return to it: span.name, span.kind, span.events, log.*, otel.scope.* and what is known
// of the emitter's resource. A member whose name a column needs goes by the name
// openclaw_trace.metadata.<name> if it says something else.
//
// Mapped again (Traces, Logs), what came in by OTLP gives the rows that it was, but for:
//
//   - metadata gains openclaw_trace.trace_id, openclaw_trace.cost_source, error.type
//     where another attribute told it, and the renamed members;
//   - a text that is no list of messages is one then;
//   - a computed cost is reported then, and one of 0 unknown: see (*reader).cost;
//   - an unknown latency is 0, since a span must have an end;
//   - a start in the future, or none, was replaced when it was stored, and the identity
//     follows from the start; a timeout of unknown error type has the type timeout;
//   - values nested deeper than maxExported are JSON texts;
//   - log records have other identities, since those were derived from more than is
//     stored: from nanoseconds, among others. Event names other than those for content
//     of a call are not taken back, nor are readings.
type Exporter struct {
	own     otlp.Origin
	sidecar []otlp.KeyValue // of own's resource, what the resources of emitters get too

	json     members
	origin   otlp.Origin     // of the item, if it is an emitter's
	resource []otlp.KeyValue // of origin
	attrs    []otlp.KeyValue // of the item
	at       map[string]int  // where in attrs a key is
	columns  int             // how many of attrs stand for columns
	events   []otlp.Event
	text     []byte
	span     otlp.Span
	log      otlp.LogRecord
	metrics  []otlp.Metric
	points   []otlp.Point
}

// NewExporter returns an Exporter. own is the origin of items whose emitter is not
// known. The resource and scope of others is the emitter's; to that are added those
// attributes of own's resource whose names begin with openclaw_trace.
func NewExporter(own otlp.Origin) *Exporter {
	e := &Exporter{own: own, at: make(map[string]int)}
	for _, kv := range own.Resource {
		if strings.HasPrefix(kv.Key, sidecarPrefix) {
			e.sidecar = append(e.sidecar, kv)
		}
	}
	return e
}

// begin forgets the item before and reads the metadata of the next.
func (e *Exporter) begin(metadata *string) []otlp.KeyValue {
	e.origin = otlp.Origin{}
	e.resource, e.attrs, e.events = shrink(e.resource), shrink(e.attrs), shrink(e.events)
	e.columns = 0
	if len(e.at) > maxKept {
		e.at = make(map[string]int)
	}
	clear(e.at)
	if metadata == nil {
		return nil
	}
	list, ok := e.json.read(*metadata)
	if !ok {
		e.put(brokenKey, otlp.StringValue(*metadata))
	}
	return list
}

// maxKept bounds the elements of a buffer that is kept from one item to the next.
const maxKept = 1024

// shrink empties a buffer, and gives up one that an unusual item made large.
func shrink[T any](s []T) []T {
	if cap(s) > maxKept {
		return nil
	}
	return s[:0]
}

// put adds an attribute that there is none of yet.
func (e *Exporter) put(key string, v otlp.Value) {
	e.at[key] = len(e.attrs)
	e.attrs = append(e.attrs, otlp.KeyValue{Key: key, Value: v})
}

func (e *Exporter) putText(key string, s *string) {
	if s != nil && *s != "" {
		e.put(key, otlp.StringValue(*s))
	}
}

func (e *Exporter) putInt(key string, n *int64) {
	if n != nil {
		e.put(key, otlp.IntValue(*n))
	}
}

// putMissing adds an attribute unless the metadata has it, from a sidecar before.
func (e *Exporter) putMissing(key string, s *string) {
	if _, ok := e.at[key]; !ok {
		e.putText(key, s)
	}
}

// member adds a member of the metadata as an attribute. Of members with one name the
// last counts, as most readers of JSON have it.
func (e *Exporter) member(kv otlp.KeyValue) {
	switch i, taken := e.at[kv.Key]; {
	case !taken:
		e.put(kv.Key, kv.Value)
	case i >= e.columns:
		e.attrs[i].Value = kv.Value
	case !same(&e.attrs[i].Value, &kv.Value) && !sameDouble(&e.attrs[i].Value, &kv.Value):
		e.aside(kv)
	}
}

func sameDouble(a, b *otlp.Value) bool {
	return a.Kind == otlp.Double && b.Kind == otlp.Double && a.Double() == b.Double()
}

func (e *Exporter) aside(kv otlp.KeyValue) {
	kv.Key = asideKey + kv.Key
	e.member(kv)
}

// fromOrigin takes a member that tells where the item comes from.
func (e *Exporter) fromOrigin(kv otlp.KeyValue) bool {
	isText := kv.Value.Kind == otlp.String
	switch {
	case isText && kv.Key == "otel.scope.name":
		e.origin.ScopeName = kv.Value.Str
	case isText && kv.Key == "otel.scope.version":
		e.origin.ScopeVersion = kv.Value.Str
	case resourceKeys[kv.Key]:
		for i := range e.resource {
			if e.resource[i].Key == kv.Key { // the first was the item's own
				e.member(e.resource[i])
				e.resource[i] = kv
				return true
			}
		}
		e.resource = append(e.resource, kv)
	default:
		return false
	}
	return true
}

// originOf returns the item's origin, once all members were seen.
func (e *Exporter) originOf() *otlp.Origin {
	if len(e.resource) == 0 && e.origin.ScopeName == "" && e.origin.ScopeVersion == "" {
		return &e.own
	}
	e.resource = append(e.resource, e.sidecar...)
	e.origin.Resource = e.resource
	return &e.origin
}

// Call returns the span of an LLM call: of kind CLIENT and named "{operation} {model}",
// unless the metadata says otherwise. Ids that the row does not have are derived:
// see TraceIDOf and SpanIDOf. A call that does not say its operation is a chat, as the
// conventions demand one.
func (e *Exporter) Call(c *db.LLMTrace) *otlp.Span {
	list := e.begin(c.Metadata)
	s := e.newSpan(c.TraceID, c.OTELTraceID, c.OTELSpanID, c.OTELParentSpanID, c.CreatedAt, c.LatencyMS)
	s.Kind = kindClient
	switch op := value(c.Operation); {
	case op != "":
		s.Name = op + " " + c.Model
		e.put("gen_ai.operation.name", otlp.StringValue(op))
	case isMarked(list):
		s.Name, s.Kind = c.Model, kindInternal
	default:
		s.Name = "chat " + c.Model
		e.put("gen_ai.operation.name", otlp.StringValue("chat"))
	}
	e.putText("gen_ai.provider.name", &c.Provider)
	e.putText("gen_ai.request.model", &c.Model)
	e.putText("gen_ai.conversation.id", c.SessionID)
	e.putText("gen_ai.agent.name", c.Agent)
	e.usage(c)
	e.firstChunk(c.TtftMS, list)
	e.messages("gen_ai.input.messages", "user", c.InputText)
	e.messages("gen_ai.output.messages", "assistant", c.OutputText)
	e.outcome(s, c, list)
	e.columns = len(e.attrs)

	conflict, hourly := e.has("gen_ai.usage.total_tokens"), hasField(list, cacheWrite1h)
	for _, kv := range list {
		switch {
		case kv.Key == conflictKey && conflict, kv.Key == writer.CacheWrite1hKey && hourly:
			// It follows from other attributes, and who reads them says it again.
		case c.Status != "ok" && contradicts(&kv, "openclaw.failureKind", c.ErrorType),
			c.Status != "ok" && contradicts(&kv, "openclaw.error", c.ErrorMessage):
			e.aside(kv)
		default:
			e.spanMember(s, kv)
		}
	}
	if c.CostUSD != nil {
		e.putMissing(costSourceKey, c.CostSource)
	}
	return e.finish(s, c.TraceID, c.Provider)
}

// Span returns a span that is not an LLM call.
func (e *Exporter) Span(row *db.Span) *otlp.Span {
	list := e.begin(row.Metadata)
	s := e.newSpan(row.TraceID, &row.OTELTraceID, &row.OTELSpanID, row.OTELParentSpanID, row.CreatedAt, row.DurationMS)
	s.Name, s.Kind = row.Name, kindInternal
	e.putText("gen_ai.operation.name", row.Operation)
	e.putText("gen_ai.conversation.id", row.SessionID)
	e.putText("gen_ai.agent.name", row.Agent)
	if row.Status != "ok" {
		s.StatusCode, s.StatusMessage = otlp.StatusError, value(row.ErrorMessage)
	}
	if row.Status == "timeout" && !saysTimeout(list, false) {
		e.put("openclaw.outcome", otlp.StringValue("timed_out"))
	}
	e.columns = len(e.attrs)
	for _, kv := range list {
		e.spanMember(s, kv)
	}
	return e.finish(s, row.TraceID, "")
}

func (e *Exporter) newSpan(id string, traceID, spanID, parent *string, createdAt int64, latency *int64) *otlp.Span {
	e.span = otlp.Span{StartNano: nanos(createdAt)}
	s := &e.span
	s.EndNano = s.StartNano + nanos(value(latency))
	if !unhex(s.TraceID[:], value(traceID)) {
		s.TraceID = TraceIDOf(id)
	}
	if !unhex(s.SpanID[:], value(spanID)) {
		s.SpanID = SpanIDOf(id)
	}
	unhex(s.ParentSpanID[:], value(parent))
	return s
}

// spanMember puts a member of the metadata where it belongs.
func (e *Exporter) spanMember(s *otlp.Span, kv otlp.KeyValue) {
	switch kind := kv.Value.Kind; {
	case kv.Key == "span.name" && kind == otlp.String:
		s.Name = kv.Value.Str
	case kv.Key == "span.kind" && kind == otlp.Int && kv.Value.Int() == int64(int32(kv.Value.Int())):
		s.Kind = int32(kv.Value.Int())
	case kv.Key == "span.events" && kind == otlp.Array:
		for i := range kv.Value.Items {
			e.event(&kv.Value.Items[i].Value)
		}
	case e.fromOrigin(kv):
	default:
		e.member(kv)
	}
}

// event adds an event as the metadata has it: its name, its time in Unix ms, and its
// attributes, which may have these names too.
func (e *Exporter) event(v *otlp.Value) {
	var event otlp.Event
	for len(v.Items) > 0 && v.Kind == otlp.Map {
		switch kv := &v.Items[0]; {
		case event.Name == "" && kv.Key == "name" && kv.Value.Kind == otlp.String:
			event.Name = kv.Value.Str
		case event.TimeNano == 0 && kv.Key == "time" && kv.Value.Kind == otlp.Int:
			event.TimeNano = nanos(kv.Value.Int())
		default:
			event.Attrs = v.Items
			e.events = append(e.events, event)
			return
		}
		v.Items = v.Items[1:]
	}
	e.events = append(e.events, event)
}

func (e *Exporter) finish(s *otlp.Span, id, provider string) *otlp.Span {
	s.Origin = e.originOf()
	if s.Origin == &e.origin && provider != "" && isExclusive(s, provider) {
		// Its name would mean that input tokens do not include cached ones. Here they do.
		name, version := s.ScopeName, s.ScopeVersion
		s.ScopeName, s.ScopeVersion = "", ""
		e.putMissing("otel.scope.name", &name)
		e.putMissing("otel.scope.version", &version)
	}
	e.putMissing(traceIDKey, &id)
	s.Attrs, s.Events = e.attrs, e.events
	return s
}

// usage adds what the call used and cost.
func (e *Exporter) usage(c *db.LLMTrace) {
	e.putInt("gen_ai.usage.input_tokens", c.PromptTokens)
	e.putInt("gen_ai.usage.output_tokens", c.CompletionTokens)
	e.putInt("gen_ai.usage.cache_read.input_tokens", c.CacheReadTokens)
	e.putInt("gen_ai.usage.cache_write.input_tokens", c.CacheWriteTokens)
	e.putInt("gen_ai.usage.reasoning.output_tokens", c.ReasoningTokens)
	known := c.PromptTokens != nil && (c.CompletionTokens != nil || value(c.Operation) == "embeddings")
	if !known || value(c.TotalTokens) != value(c.PromptTokens)+value(c.CompletionTokens) {
		e.putInt("gen_ai.usage.total_tokens", c.TotalTokens) // not of the conventions: there it is the sum
	}
	if c.CostUSD != nil {
		e.put("gen_ai.usage.cost", otlp.DoubleValue(*c.CostUSD)) // in USD; the conventions have no cost
	}
}

// firstChunk adds the time to the first token in seconds, as exactly as it is known.
func (e *Exporter) firstChunk(ms *int64, list []otlp.KeyValue) {
	const key = "gen_ai.response.time_to_first_chunk"
	if ms == nil {
		return
	}
	seconds := func(s float64) int64 { return int64(math.Round(s / 0.001)) }
	v := otlp.DoubleValue(float64(*ms) / 1000)
	for i := range list {
		said := &list[i].Value
		if list[i].Key == key && (said.Kind == otlp.Double && seconds(said.Double()) == *ms || said.Kind == otlp.Int && said.Int()*1000 == *ms) {
			v = *said
		}
	}
	e.put(key, v)
}

// messages adds a text as the conventions have it on spans: messages as JSON.
func (e *Exporter) messages(key, role string, text *string) {
	s := value(text)
	if s == "" {
		return
	}
	if !e.json.isMessages(s) {
		b := append(e.text[:0], `[{"role":"`...)
		b = append(b, role...)
		b = append(b, `","parts":[`...)
		b = append(appendText(b, s), "]}]"...)
		s, e.text = string(b), shrinkText(b)
	}
	e.put(key, otlp.StringValue(s))
}

// outcome says how the call ended.
func (e *Exporter) outcome(s *otlp.Span, c *db.LLMTrace, list []otlp.KeyValue) {
	kind := value(c.ErrorType)
	if c.Status != "ok" {
		s.StatusCode, s.StatusMessage = otlp.StatusError, value(c.ErrorMessage)
	}
	if c.Status == "timeout" && !IsTimeout(kind) && !saysTimeout(list, true) {
		if kind == "" {
			kind = "timeout"
		} else {
			e.put("openclaw.outcome", otlp.StringValue("timed_out")) // the type tells something else
		}
	}
	e.putText("error.type", &kind)
}

// saysTimeout tells whether members of the metadata make an item a timeout for
// outcomeOf. error.type does not on a call, whose column takes its place.
func saysTimeout(list []otlp.KeyValue, isCall bool) bool {
	for i := range list {
		v := &list[i].Value
		switch list[i].Key {
		case "openclaw.outcome":
			if v.Str == "timed_out" {
				return true
			}
		case "openclaw.failureKind":
			if v.Str == "timeout" && !isCall {
				return true
			}
		case "error.type", "exception.type":
			if IsTimeout(v.Str) && !isCall {
				return true
			}
		case "span.events":
			for j := range v.Items {
				if saysTimeout(v.Items[j].Value.Items, false) {
					return true
				}
			}
		}
	}
	return false
}

// contradicts tells whether kv is the attribute of that name, which would decide about
// a column whose text is another one.
func contradicts(kv *otlp.KeyValue, key string, column *string) bool {
	return kv.Key == key && kv.Value.Kind == otlp.String && kv.Value.Str != "" && kv.Value.Str != value(column)
}

// isMarked tells whether OpenClaw's own marks make a span a call.
func isMarked(list []otlp.KeyValue) bool {
	for i := range list {
		if kv := &list[i]; strings.HasPrefix(kv.Key, callPrefix) || kv.Key == "span.name" && kv.Value.Str == callSpan {
			return true
		}
	}
	return false
}

func hasField(list []otlp.KeyValue, f field) bool {
	for i := range list {
		if meanings[list[i].Key].field == f {
			return true
		}
	}
	return false
}

func (e *Exporter) has(key string) bool { _, ok := e.at[key]; return ok }

// severities are those of error events as log records have them: the lowest of each range.
var severities = map[string]struct {
	number int32
	text   string
}{
	"warning":  {13, "WARN"},
	"error":    {17, "ERROR"},
	"critical": {21, "FATAL"},
}

// Error returns an error event as a log record. error.type is the row's, unless it only
// says that the record was a log.
func (e *Exporter) Error(row *db.ErrorEvent) *otlp.LogRecord {
	list := e.begin(row.Metadata)
	severity := severities[row.Severity]
	e.log = otlp.LogRecord{
		TimeNano: nanos(row.CreatedAt), SeverityNumber: severity.number, SeverityText: severity.text, Body: otlp.StringValue(row.Message),
	}
	if row.ErrorType != "log" && !(row.ErrorType == "llm_error" && isModelEvent(list)) {
		e.putText("error.type", &row.ErrorType)
	}
	e.putText("exception.stacktrace", row.StackTrace)
	return e.record(row.TraceID, list)
}

func isModelEvent(list []otlp.KeyValue) bool {
	for i := range list {
		if kv := &list[i]; (kv.Key == "openclaw.event" || kv.Key == "log.event_name") && modelEvents[kv.Value.Str] {
			return true
		}
	}
	return false
}

// Event returns a custom event as a log record of that event name. It has no severity,
// as the row has none.
func (e *Exporter) Event(row *db.CustomEvent) *otlp.LogRecord {
	list := e.begin(row.Metadata)
	e.log = otlp.LogRecord{TimeNano: nanos(row.CreatedAt), EventName: row.Name}
	e.putText("gen_ai.conversation.id", row.SessionID)
	return e.record(row.TraceID, list)
}

// record puts the members of the metadata where they belong.
func (e *Exporter) record(id string, list []otlp.KeyValue) *otlp.LogRecord {
	l := &e.log
	e.columns = len(e.attrs)
	for _, kv := range list {
		isText := kv.Value.Kind == otlp.String
		switch {
		case kv.Key == "log.body":
			l.Body = kv.Value
		case kv.Key == "log.event_name" && isText && l.EventName == "":
			l.EventName = kv.Value.Str
		case kv.Key == "log.trace_id" && isText && unhex(l.TraceID[:], kv.Value.Str):
		case kv.Key == "log.span_id" && isText && unhex(l.SpanID[:], kv.Value.Str):
		case e.fromOrigin(kv):
		default:
			e.member(kv)
		}
	}
	e.putMissing(traceIDKey, &id)
	l.Origin, l.Attrs = e.originOf(), e.attrs
	return l
}

// readings says how host readings are exported, in the names and units of
// OpenTelemetry's conventions for system metrics
// (https://opentelemetry.io/docs/specs/semconv/system/system-metrics): a utilization is
// a gauge, an amount of bytes a sum that is not monotonic. Points have no attributes but
// the state; neither metadata nor trace_id goes with them, as each value of those would
// make a series of its own.
var readings = []struct {
	name, unit, what, state string // state is the attribute for it, if there are several
	points                  []reading
}{
	{"system.cpu.utilization", "1", "Share of the available CPU time that was used.", "", []reading{
		{"", func(m *db.SystemMetric) (v otlp.Value) {
			if m.CpuPct != nil {
				v = otlp.DoubleValue(*m.CpuPct / 100)
			}
			return v
		}}}},
	{"system.memory.usage", "By", "Memory in use, without page cache.", "system.memory.state", []reading{
		{"used", func(m *db.SystemMetric) otlp.Value { return bytesValue(m.MemRssBytes) }}}},
	{"system.memory.linux.available", "By", "Memory that can be had without swapping.", "", []reading{
		{"", func(m *db.SystemMetric) otlp.Value { return bytesValue(m.MemAvailable) }}}},
	{"system.memory.limit", "By", "Memory there is in all.", "", []reading{
		{"", func(m *db.SystemMetric) otlp.Value { return bytesValue(m.MemTotal) }}}},
	{"system.filesystem.usage", "By", "Space of the file system that holds the database.", "system.filesystem.state", []reading{
		{"used", func(m *db.SystemMetric) otlp.Value { return bytesValue(m.DiskUsedBytes) }},
		{"free", func(m *db.SystemMetric) otlp.Value { return bytesValue(m.DiskFreeBytes) }}}},
	{"system.filesystem.limit", "By", "Size of the file system that holds the database.", "", []reading{
		{"", func(m *db.SystemMetric) otlp.Value { return bytesValue(m.DiskTotalBytes) }}}},
}

type reading struct {
	state string
	of    func(*db.SystemMetric) otlp.Value // Empty if it is not known
}

func bytesValue(n *int64) (v otlp.Value) {
	if n != nil {
		v = otlp.IntValue(*n)
	}
	return v
}

// Reading returns a host reading as metrics, those of readings that it has.
func (e *Exporter) Reading(row *db.SystemMetric) []otlp.Metric {
	e.begin(nil)
	e.metrics, e.points = e.metrics[:0], e.points[:0]
	for i := range readings {
		r := &readings[i]
		from := len(e.points)
		for _, p := range r.points {
			point := otlp.Point{TimeNano: nanos(row.CreatedAt), Value: p.of(row)}
			if point.Value.Kind == otlp.Empty {
				continue
			}
			if r.state != "" {
				at := len(e.attrs)
				e.attrs = append(e.attrs, otlp.KeyValue{Key: r.state, Value: otlp.StringValue(p.state)})
				point.Attrs = e.attrs[at : at+1 : at+1]
			}
			e.points = append(e.points, point)
		}
		if points := e.points[from:len(e.points):len(e.points)]; len(points) > 0 {
			e.metrics = append(e.metrics, otlp.Metric{
				Origin: &e.own, Name: r.name, Description: r.what, Unit: r.unit, Sum: r.unit == "By", Points: points,
			})
		}
	}
	return e.metrics
}

// TraceIDOf returns the OpenTelemetry trace id of a row that came with none: the 16
// bytes of its UUID. Of the nil UUID, which is no trace id, and of what is no UUID it is
// the first 16 bytes of the SHA-256 of its text.
func TraceIDOf(id string) otlp.TraceID {
	if u, err := uuid.Parse(id); err == nil && u != uuid.Nil {
		return otlp.TraceID(u)
	}
	sum := sha256.Sum256([]byte(id))
	return otlp.TraceID(sum[:16])
}

// SpanIDOf returns the span id of a row that came with none: the first 8 bytes of the
// SHA-256 of its UUID's text, and 1 should they all be zero.
func SpanIDOf(id string) otlp.SpanID {
	sum := sha256.Sum256([]byte(id))
	s := otlp.SpanID(sum[:8])
	if s == (otlp.SpanID{}) {
		s[7] = 1
	}
	return s
}

// unhex reads an id that is not all zero into dst, which is zero otherwise.
func unhex(dst []byte, s string) bool {
	if len(s) != 2*len(dst) {
		return false
	}
	var buf [32]byte
	if _, err := hex.Decode(dst, append(buf[:0], s...)); err != nil {
		clear(dst)
		return false
	}
	for _, b := range dst {
		if b != 0 {
			return true
		}
	}
	return false
}

// nanos turns Unix milliseconds, or a duration, into nanoseconds. What makes no sense
// is 0.
func nanos(ms int64) uint64 {
	if ms < 0 || ms > math.MaxInt64/1_000_000 {
		return 0
	}
	return uint64(ms) * 1e6
}

// maxExported is how deep arrays and objects may nest in an attribute. Each level is up
// to three messages in protobuf, and implementations of that refuse a request with 100.
const maxExported = 16

// members reads the members of a JSON object as attributes. It keeps its buffers.
type members struct {
	dec   jsontext.Decoder
	src   bytes.Buffer
	raw   []byte // what src reads
	text  string // the same
	stack []otlp.KeyValue
	items []otlp.KeyValue // of the lists that are complete
}

func (m *members) begin(text string) {
	m.raw = append(shrinkText(m.raw), text...)
	m.text = text
	m.src = *bytes.NewBuffer(m.raw) // the decoder then reads from raw itself
	m.dec.Reset(&m.src, lenient...)
}

func shrinkText(b []byte) []byte {
	if cap(b) > maxMetadata {
		return nil
	}
	return b[:0]
}

// isMessages tells whether text is a JSON array of objects, as messages are.
func (m *members) isMessages(text string) bool {
	s := strings.TrimLeft(text, " \t\r\n")
	if !strings.HasPrefix(s, "[") || !strings.HasPrefix(strings.TrimLeft(s[1:], " \t\r\n"), "{") {
		return false
	}
	m.begin(text)
	if m.dec.SkipValue() != nil {
		return false
	}
	return m.atEnd()
}

func (m *members) atEnd() bool {
	_, err := m.dec.ReadToken()
	return err == io.EOF
}

// read returns the members of text, and whether it is a JSON object. They are valid until
// the next read.
func (m *members) read(text string) ([]otlp.KeyValue, bool) {
	m.begin(text)
	m.stack, m.items = shrink(m.stack), shrink(m.items)
	if m.dec.PeekKind() != '{' {
		return nil, false
	}
	v, err := m.list(otlp.Map, 0)
	if err != nil || !m.atEnd() {
		return nil, false
	}
	return v.Items, true
}

// list reads an array or object. Its elements move from the stack to items when there
// are no more: lists inside it were complete before.
func (m *members) list(kind otlp.Kind, depth int) (otlp.Value, error) {
	v := otlp.Value{Kind: kind}
	start := len(m.stack)
	if _, err := m.dec.ReadToken(); err != nil {
		return v, err
	}
	for k := m.dec.PeekKind(); k != ']' && k != '}'; k = m.dec.PeekKind() {
		var kv otlp.KeyValue
		if kind == otlp.Map {
			name, err := m.scalar()
			if err != nil {
				return v, err
			}
			kv.Key = unquote(name)
		}
		var err error
		if kv.Value, err = m.value(depth + 1); err != nil {
			return v, err
		}
		m.stack = append(m.stack, kv)
	}
	if _, err := m.dec.ReadToken(); err != nil {
		return v, err
	}
	from := len(m.items)
	m.items = append(m.items, m.stack[start:]...)
	m.stack = m.stack[:start]
	v.Items = m.items[from:len(m.items):len(m.items)]
	return v, nil
}

func (m *members) value(depth int) (otlp.Value, error) {
	switch k := m.dec.PeekKind(); {
	case k == '{' && depth <= maxExported:
		return m.list(otlp.Map, depth)
	case k == '[' && depth <= maxExported:
		return m.list(otlp.Array, depth)
	}
	s, err := m.scalar()
	if err != nil {
		return otlp.Value{}, err
	}
	switch s[0] {
	case 'n':
		return otlp.Value{}, nil
	case 't', 'f':
		return otlp.BoolValue(s[0] == 't'), nil
	case '"':
		return otlp.StringValue(unquote(s)), nil
	case '{', '[': // too deep
		return otlp.StringValue(s), nil
	}
	if !strings.ContainsAny(s, ".eE") && s != "-0" {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return otlp.IntValue(n), nil
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return otlp.DoubleValue(f), nil
	}
	return otlp.StringValue(s), nil // larger than any number here
}

// scalar returns the next value as it stands in the text, of which it is a part.
func (m *members) scalar() (string, error) {
	raw, err := m.dec.ReadValue()
	if err != nil {
		return "", err
	}
	end := m.dec.InputOffset()
	return m.text[end-int64(len(raw)) : end], nil
}

// unquote returns what a JSON string stands for.
func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1]
	}
	b, _ := jsontext.AppendUnquote(nil, s) // an error is invalid UTF-8, which it replaces
	return string(b)
}
