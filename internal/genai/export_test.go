package genai_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// rows returns all rows of a table, whose columns are in the order of T's fields.
func rows[T any](s *stored, table string) (list []T) {
	s.t.Helper()
	found, err := s.db.QueryContext(s.t.Context(), "SELECT * FROM "+table+" ORDER BY trace_id")
	if err != nil {
		s.t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var row T
		v := reflect.ValueOf(&row).Elem()
		fields := make([]any, v.NumField())
		for i := range fields {
			fields[i] = v.Field(i).Addr().Interface()
		}
		if err := found.Scan(fields...); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, row)
	}
	if err := found.Err(); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// exported returns what s holds as export requests.
func exported(s *stored) (traces, logs []byte) {
	s.t.Helper()
	e := genai.NewExporter(otlp.Origin{})
	var spans, records otlp.Encoder
	for _, row := range rows[db.LLMTrace](s, "llm_traces") {
		spans.Span(e.Call(&row))
	}
	for _, row := range rows[db.Span](s, "spans") {
		spans.Span(e.Span(&row))
	}
	for _, row := range rows[db.ErrorEvent](s, "error_events") {
		records.LogRecord(e.Error(&row))
	}
	for _, row := range rows[db.CustomEvent](s, "custom_events") {
		records.LogRecord(e.Event(&row))
	}
	return spans.Bytes(), records.Bytes()
}

// content returns the rows of all tables without what is of this database alone, in an
// order that follows from them.
func (s *stored) content() (list []map[string]any) {
	s.t.Helper()
	add := func(row any) {
		f := fields(s.t, row)
		delete(f, "ID")
		list = append(list, f)
	}
	for _, row := range rows[db.LLMTrace](s, "llm_traces") {
		add(row)
	}
	for _, row := range rows[db.Span](s, "spans") {
		add(row)
	}
	// Log records have another identity after each trip.
	logs := len(list)
	for _, row := range rows[db.ErrorEvent](s, "error_events") {
		add(row)
	}
	for _, row := range rows[db.CustomEvent](s, "custom_events") {
		add(row)
	}
	for _, f := range list[logs:] {
		if m := metadata(f); m["openclaw_trace.trace_id"] == nil {
			m["openclaw_trace.trace_id"] = f["TraceID"]
		}
		delete(f, "TraceID")
	}
	slices.SortFunc(list[logs:], func(a, b map[string]any) int {
		id := func(f map[string]any) string { return fmt.Sprint(metadata(f)["openclaw_trace.trace_id"]) }
		return strings.Compare(id(a), id(b))
	})
	return list
}

// metadata returns the metadata of a row that fields made.
func metadata(row map[string]any) map[string]any {
	m, ok := row["Metadata"].(map[string]any)
	if !ok {
		m = make(map[string]any)
		row["Metadata"] = m
	}
	return m
}

// afterTrip changes a row into what it is after one trip: all that is different.
func afterTrip(f map[string]any) {
	m := metadata(f)
	missing := func(key string, v any) {
		if v != nil && m[key] == nil {
			m[key] = v
		}
	}
	missing("openclaw_trace.trace_id", f["TraceID"])
	aside := func(key string, column any) {
		if said := m[key]; said != nil && said != "" && column != nil && said != column {
			delete(m, key)
			m["openclaw_trace.metadata."+key] = said
		}
	}
	aside("gen_ai.operation.name", f["Operation"])
	if _, isCall := f["Model"]; !isCall {
		return
	}
	missing("openclaw_trace.cost_source", f["CostSource"])
	if f["CostUSD"] != nil {
		f["CostSource"] = "reported"
	}
	aside("error.type", f["ErrorType"])
	missing("error.type", f["ErrorType"])
	aside("openclaw.failureKind", f["ErrorType"])
	aside("openclaw.error", f["ErrorMessage"])
	if f["LatencyMS"] == nil {
		f["LatencyMS"] = 0.0
	}
	for column, role := range map[string]string{"InputText": "user", "OutputText": "assistant"} {
		text, ok := f[column].(string)
		var list []map[string]any
		if ok && json.Unmarshal([]byte(text), &list) != nil {
			b, _ := json.Marshal(text)
			f[column] = `[{"role":"` + role + `","parts":[{"type":"text","content":` + string(b) + `}]}]`
		}
	}
}

// What came in by OTLP comes back as the same rows, but for what afterTrip says; and
// after one more trip they are the same again.
func TestExportRoundTrip(t *testing.T) {
	f := func(name, path, signal string, enc otlp.Encoding) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			first := newStored(t)
			first.submit(signal, body, enc)
			want := first.content()
			for _, f := range want {
				afterTrip(f)
			}
			for from := first; ; {
				traces, logs := exported(from)
				next := newStored(t)
				next.submit("traces", traces, otlp.Protobuf)
				next.submit("logs", logs, otlp.Protobuf)
				diff(t, "rows", want, next.content())
				if from != first {
					break
				}
				from = next
			}
		})
	}
	for name, want := range expected(t) {
		f(name, filepath.Join("testdata/dialects", name), want.Signal, otlp.JSON)
	}
	bodies, err := filepath.Glob("testdata/openclaw/*s.pb")
	if err != nil || len(bodies) == 0 {
		t.Fatal("no captured bodies", err)
	}
	for _, path := range bodies {
		for _, signal := range []string{"traces", "logs"} {
			if strings.HasSuffix(path, signal+".pb") {
				f(filepath.Base(path), path, signal, otlp.Protobuf)
			}
		}
	}
}

// native is a call as a client sends it that knows nothing of OpenTelemetry.
func native() *db.LLMTrace {
	return &db.LLMTrace{
		TraceID: "0b9c2f0e-6a1d-4c57-9d0e-2f6f3f0c8a11", CreatedAt: 1_700_000_000_123, Provider: "anthropic", Model: "claude", Status: "ok",
		LatencyMS: new(int64(1500)), PromptTokens: new(int64(12)), CompletionTokens: new(int64(3)), TotalTokens: new(int64(15)),
	}
}

// plain returns attributes as Go values by their keys, a repeated key marked.
func plain(list []otlp.KeyValue) map[string]any {
	m := make(map[string]any)
	for i := range list {
		key := list[i].Key
		if _, again := m[key]; again {
			key += " again"
		}
		m[key] = plainValue(&list[i].Value)
	}
	return m
}

func plainValue(v *otlp.Value) any {
	switch v.Kind {
	case otlp.String:
		return v.Str
	case otlp.Bool:
		return v.Bool()
	case otlp.Int:
		return v.Int()
	case otlp.Double:
		return v.Double()
	case otlp.Array:
		list := []any{}
		for i := range v.Items {
			list = append(list, plainValue(&v.Items[i].Value))
		}
		return list
	case otlp.Map:
		return plain(v.Items)
	}
	return nil
}

var own = otlp.Origin{
	Resource: []otlp.KeyValue{
		{Key: "service.name", Value: otlp.StringValue("openclaw-trace")},
		{Key: "openclaw_trace.instance_id", Value: otlp.StringValue("i-1")},
	},
	ScopeName: "openclaw-trace", ScopeVersion: "1",
}

func TestExportNativeCall(t *testing.T) {
	c := native()
	c.SessionID, c.Agent, c.CostUSD, c.CostSource = new("s-1"), new("main"), new(0.25), new("computed:7")
	c.CacheReadTokens, c.CacheWriteTokens, c.ReasoningTokens, c.TtftMS = new(int64(4)), new(int64(0)), new(int64(2)), new(int64(1001))
	c.InputText, c.OutputText = new("say \"hi\"\n"), new(` [{"role":"assistant","parts":[]}]`)
	c.Metadata = new(`{"user.id":"u","tries":2,"share":0.5,"deep":{"list":[1,"a",null,true,-0]},"big":123456789012345678901}`)
	s := genai.NewExporter(own).Call(c)
	if s.Name != "chat claude" || s.Kind != 3 || s.StatusCode != 0 || s.StatusMessage != "" || len(s.Events) != 0 {
		t.Errorf("%q, kind %d, status %d %q, events %v", s.Name, s.Kind, s.StatusCode, s.StatusMessage, s.Events)
	}
	if s.StartNano != 1_700_000_000_123_000_000 || s.EndNano != s.StartNano+1_500_000_000 {
		t.Errorf("from %d to %d", s.StartNano, s.EndNano)
	}
	if id := fmt.Sprintf("%x %x %x", s.TraceID, s.SpanID, s.ParentSpanID); id != "0b9c2f0e6a1d4c579d0e2f6f3f0c8a11 2a218bcb3999310d 0000000000000000" {
		t.Errorf("ids %s", id)
	}
	diff(t, "resource", plain(own.Resource), plain(s.Resource))
	if s.ScopeName != "openclaw-trace" || s.ScopeVersion != "1" {
		t.Errorf("scope %q %q", s.ScopeName, s.ScopeVersion)
	}
	diff(t, "attributes", map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude",
		"gen_ai.conversation.id": "s-1", "gen_ai.agent.name": "main",
		"gen_ai.usage.input_tokens": int64(12), "gen_ai.usage.output_tokens": int64(3), "gen_ai.usage.reasoning.output_tokens": int64(2),
		"gen_ai.usage.cache_read.input_tokens": int64(4), "gen_ai.usage.cache_write.input_tokens": int64(0),
		"gen_ai.usage.cost": 0.25, "openclaw_trace.cost_source": "computed:7", "openclaw_trace.trace_id": c.TraceID,
		"gen_ai.response.time_to_first_chunk": 1.001,
		"gen_ai.input.messages":               `[{"role":"user","parts":[{"type":"text","content":"say \"hi\"\n"}]}]`,
		"gen_ai.output.messages":              *c.OutputText,
		"user.id":                             "u", "tries": int64(2), "share": 0.5, "big": 123456789012345678901.0,
		"deep": map[string]any{"list": []any{int64(1), "a", nil, true, 0.0}},
	}, plain(s.Attrs))
}

// What metadata says of a span's parts returns to them.
func TestExportParts(t *testing.T) {
	c := native()
	c.Operation, c.OTELTraceID, c.OTELSpanID, c.OTELParentSpanID = new("chat"), new("0102030405060708090a0b0c0d0e0f10"), new("1112131415161718"), new("2122232425262728")
	c.Metadata = new(`{"span.name":"ask","span.kind":1,"service.name":"agent","host.name":"box","otel.scope.name":"lib","otel.scope.version":"2",` +
		`"span.events":[{"name":"retry","time":1700000000200,"n":1,"time":"late"},{"x":1},7,{}]}`)
	e := genai.NewExporter(own)
	s := e.Call(c)
	if s.Name != "ask" || s.Kind != 1 || s.ScopeName != "lib" || s.ScopeVersion != "2" {
		t.Errorf("%q kind %d scope %q %q", s.Name, s.Kind, s.ScopeName, s.ScopeVersion)
	}
	if id := fmt.Sprintf("%x %x %x", s.TraceID, s.SpanID, s.ParentSpanID); id != "0102030405060708090a0b0c0d0e0f10 1112131415161718 2122232425262728" {
		t.Errorf("ids %s", id)
	}
	diff(t, "resource", map[string]any{"service.name": "agent", "host.name": "box", "openclaw_trace.instance_id": "i-1"}, plain(s.Resource))
	var events []any
	for _, e := range s.Events {
		events = append(events, e.Name, e.TimeNano, plain(e.Attrs))
	}
	none := map[string]any{}
	diff(t, "events", []any{
		"retry", uint64(1700000000200e6), map[string]any{"n": int64(1), "time": "late"},
		"", uint64(0), map[string]any{"x": int64(1)}, "", uint64(0), none, "", uint64(0), none,
	}, events)

	// What has the name of a part and not its form is an attribute, and so is what the
	// item itself says under the name of a resource's attribute.
	c.Metadata = new(`{"span.name":1,"span.kind":"x","span.events":{},"otel.scope.name":7,"host.name":"mine","host.name":"box"}`)
	s = e.Call(c)
	got := plain(s.Attrs)
	for key, want := range map[string]any{"span.name": int64(1), "span.kind": "x", "span.events": map[string]any{}, "otel.scope.name": int64(7), "host.name": "mine"} {
		diff(t, key, want, got[key])
	}
	diff(t, "resource", map[string]any{"host.name": "box", "openclaw_trace.instance_id": "i-1"}, plain(s.Resource))
	// Nothing is left of the item before.
	if s = e.Call(native()); s.ScopeName != "openclaw-trace" || s.Name != "chat claude" || len(s.Events) != 0 || s.ParentSpanID != (otlp.SpanID{}) {
		t.Errorf("%+v", s)
	}
}

// A member of metadata never takes a column's name, and no name is there twice.
func TestExportNames(t *testing.T) {
	f := func(metadata string, want map[string]any) {
		t.Helper()
		c := native()
		c.Status, c.ErrorType, c.ErrorMessage, c.CostUSD, c.TtftMS = "error", new("rate_limit"), new("slow down"), new(0.5), new(int64(320))
		c.Metadata = &metadata
		got := plain(genai.NewExporter(otlp.Origin{}).Call(c).Attrs)
		for key := range got {
			if strings.HasSuffix(key, " again") {
				t.Errorf("%s: %s", metadata, key)
			}
		}
		for key, value := range want {
			if value == "none" {
				_, found := got[key]
				diff(t, metadata+": "+key, false, found)
				continue
			}
			diff(t, metadata+": "+key, value, got[key])
		}
	}
	const aside = "openclaw_trace.metadata."
	f(`{"error.type":"Error"}`, map[string]any{"error.type": "rate_limit", aside + "error.type": "Error"})
	f(`{"error.type":"rate_limit"}`, map[string]any{"error.type": "rate_limit", aside + "error.type": "none"})
	f(`{"error.type":"a","error.type":"b"}`, map[string]any{aside + "error.type": "b"})
	f(`{"gen_ai.usage.cost":0.5}`, map[string]any{"gen_ai.usage.cost": 0.5, aside + "gen_ai.usage.cost": "none"})
	f(`{"gen_ai.usage.cost":1}`, map[string]any{"gen_ai.usage.cost": 0.5, aside + "gen_ai.usage.cost": int64(1)})
	f(`{"gen_ai.response.time_to_first_chunk":0.3204}`, map[string]any{"gen_ai.response.time_to_first_chunk": 0.3204, aside + "gen_ai.response.time_to_first_chunk": "none"})
	f(`{"k":1,"k":{"a":1,"a":2}}`, map[string]any{"k": map[string]any{"a": int64(1), "a again": int64(2)}})
	f(`{"openclaw_trace.trace_id":"from before","openclaw_trace.cost_source":"computed:1"}`,
		map[string]any{"openclaw_trace.trace_id": "from before", "openclaw_trace.cost_source": "computed:1"})
	// These would speak for a column when mapped again.
	f(`{"openclaw.failureKind":"http","openclaw.error":"429"}`, map[string]any{aside + "openclaw.failureKind": "http", aside + "openclaw.error": "429"})
	f(`{"openclaw.failureKind":"rate_limit","openclaw.error":"slow down"}`, map[string]any{"openclaw.failureKind": "rate_limit", "openclaw.error": "slow down"})
}

// Metadata that is no JSON object is kept as one text, and none is too much.
func TestExportOddMetadata(t *testing.T) {
	e := genai.NewExporter(own)
	for _, metadata := range []string{"", " ", "null", "7", "[]", `"x"`, "{", `{"a"`, `{"a":}`, `{"a":1,}`, `{"a":1}x`, `{"a":1} {}`, `{1:2}`, `{"a":"\x"}`, "{\x00}", `{"a":[1}`, `{"a":01}`} {
		c := native()
		c.Metadata = &metadata
		if got := plain(e.Call(c).Attrs); got["openclaw_trace.metadata"] != metadata || got["a"] != nil {
			t.Errorf("%q: %v", metadata, got)
		}
	}
	f := func(metadata string, want map[string]any) {
		t.Helper()
		got := plain(e.Event(&db.CustomEvent{TraceID: native().TraceID, Name: "x", Metadata: &metadata}).Attrs)
		delete(got, "openclaw_trace.trace_id")
		diff(t, metadata, want, got)
	}
	f(` { "a" : 1 } `, map[string]any{"a": int64(1)})
	f(`{}`, map[string]any{})
	f(`{"":"","\u0061\n":"\ud83d\ude00 \/"}`, map[string]any{"": "", "a\n": "😀 /"})
	f(`{"max":9223372036854775807,"min":-9223372036854775808,"over":9223372036854775808,"e":1e3,"huge":1e999,"zero":-0}`, map[string]any{
		"max": int64(1<<63 - 1), "min": int64(-1 << 63), "over": 9223372036854775808.0, "e": 1000.0, "huge": "1e999", "zero": 0.0,
	})
	// Deeper than receivers may read, it is JSON as text.
	deep := func(n int) string { return strings.Repeat(`{"k":`, n) + "1" + strings.Repeat("}", n) }
	var want any = `{"k":{"k":1}}`
	for range 17 {
		want = map[string]any{"k": want}
	}
	f(deep(19), want.(map[string]any))
	lists := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	var enc otlp.Encoder
	enc.LogRecord(e.Event(&db.CustomEvent{TraceID: native().TraceID, Name: "x", Metadata: new(`{"a":` + lists + `}`)}))
	if err := otlp.DecodeLogs(enc.Bytes(), otlp.Protobuf, func(*otlp.LogRecord) {}); err != nil {
		t.Error(err)
	}
}

func TestExportIDs(t *testing.T) {
	f := func(id string, trace, span *string, wantTrace otlp.TraceID, wantSpan otlp.SpanID) {
		t.Helper()
		c := native()
		c.TraceID, c.OTELTraceID, c.OTELSpanID = id, trace, span
		s := genai.NewExporter(own).Call(c)
		if s.TraceID != wantTrace || s.SpanID != wantSpan || s.TraceID == (otlp.TraceID{}) || s.SpanID == (otlp.SpanID{}) {
			t.Errorf("%s %v %v: %x %x, want %x %x", id, trace, span, s.TraceID, s.SpanID, wantTrace, wantSpan)
		}
	}
	id := native().TraceID
	trace, span := otlp.TraceID(uuid.MustParse(id)), genai.SpanIDOf(id)
	f(id, nil, nil, trace, span)
	f(id, new("000102030405060708090a0b0c0d0e0F"), nil, otlp.TraceID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, span)
	f(id, nil, new("0001020304050607"), trace, otlp.SpanID{0, 1, 2, 3, 4, 5, 6, 7})
	for _, bad := range []string{"", "00", strings.Repeat("0", 32), strings.Repeat("0", 16), strings.Repeat("x", 32), strings.Repeat("1", 14) + "xx", strings.Repeat("1", 33)} {
		f(id, &bad, &bad, trace, span)
	}
	for _, odd := range []string{"", uuid.Nil.String(), "not a uuid"} {
		f(odd, nil, nil, genai.TraceIDOf(odd), genai.SpanIDOf(odd))
	}
	if genai.SpanIDOf(id) == genai.SpanIDOf(uuid.NewString()) {
		t.Error("two rows have one span id")
	}
}

// A timeout is an error to OpenTelemetry, and yet known when mapped again.
func TestExportTimeout(t *testing.T) {
	for _, errorType := range []*string{nil, new("ETIMEDOUT"), new("aborted")} {
		for _, metadata := range []*string{nil, new(`{"openclaw.failureKind":"timeout"}`), new(`{"openclaw.outcome":"timed_out"}`), new(`{"openclaw.outcome":"error"}`)} {
			c := native()
			c.Status, c.ErrorType, c.ErrorMessage, c.Metadata = "timeout", errorType, new("no answer"), metadata
			got := fields(t, remapped(t, c))
			want := any("timeout")
			if errorType != nil {
				want = *errorType
			} else if metadata != nil && *metadata == `{"openclaw.outcome":"timed_out"}` {
				want = nil // it is said already
			}
			if got["Status"] != "timeout" || got["ErrorMessage"] != "no answer" || got["ErrorType"] != want {
				t.Errorf("%v, %v: %v %v %v", want, fields(t, c)["Metadata"], got["Status"], got["ErrorMessage"], got["ErrorType"])
			}
		}
		for _, metadata := range []*string{nil, new(`{"error.type":"TimeoutError"}`), new(`{"span.events":[{"name":"exception","time":1,"exception.type":"TimeoutError"}]}`)} {
			var enc otlp.Encoder
			enc.Span(genai.NewExporter(own).Span(&db.Span{
				TraceID: native().TraceID, CreatedAt: 1_700_000_000_123, Name: "run", Status: "timeout", Metadata: metadata,
				OTELTraceID: "0102030405060708090a0b0c0d0e0f10", OTELSpanID: "1112131415161718",
			}))
			got := mapped(t, enc.Bytes()).Batch.Spans[0]
			if got.Status != "timeout" || strings.Contains(*got.Metadata, "timed_out") != (metadata == nil) {
				t.Errorf("%s with %s", got.Status, *got.Metadata)
			}
		}
	}
}

func mapped(t *testing.T, body []byte) *genai.Mapped {
	t.Helper()
	m, err := genai.Traces(body, otlp.Protobuf, 16384)
	if err != nil || m.Rejected > 0 {
		t.Fatal(err, m)
	}
	return m
}

// remapped exports a call and maps it again.
func remapped(t *testing.T, c *db.LLMTrace) db.InsertLLMTraceParams {
	t.Helper()
	var enc otlp.Encoder
	enc.Span(genai.NewExporter(otlp.Origin{}).Call(c))
	m := mapped(t, enc.Bytes())
	if len(m.Batch.Calls) != 1 {
		t.Fatalf("the call became %d calls and %d spans", len(m.Batch.Calls), len(m.Batch.Spans))
	}
	return m.Batch.Calls[0]
}

// Under the name of a library that counts cached tokens apart they would be added again.
func TestExportExclusiveScope(t *testing.T) {
	c := native()
	c.Operation, c.PromptTokens, c.CacheReadTokens = new("chat"), new(int64(100)), new(int64(60))
	c.Metadata = new(`{"service.name":"agent","otel.scope.name":"@traceloop/instrumentation-anthropic","otel.scope.version":"0.22.6"}`)
	if got := remapped(t, c); *got.PromptTokens != 100 || !strings.Contains(*got.Metadata, `"otel.scope.name":"@traceloop/instrumentation-anthropic"`) {
		t.Errorf("%d prompt tokens, metadata %s", *got.PromptTokens, *got.Metadata)
	}
	c.Metadata = new(`{"service.name":"agent","otel.scope.name":"@traceloop/instrumentation-anthropic","otel.scope.version":"9.0"}`)
	if s := genai.NewExporter(own).Call(c); s.ScopeName != "@traceloop/instrumentation-anthropic" || s.ScopeVersion != "9.0" {
		t.Errorf("scope %q %q", s.ScopeName, s.ScopeVersion)
	}
}

func TestExportLogRecords(t *testing.T) {
	e := genai.NewExporter(own)
	id := native().TraceID
	f := func(what string, l *otlp.LogRecord, severity, event string, ids string, body any, attrs map[string]any) {
		t.Helper()
		if got := fmt.Sprintf("%d %s", l.SeverityNumber, l.SeverityText); got != severity {
			t.Errorf("%s: severity %s", what, got)
		}
		if got := fmt.Sprintf("%x %x", l.TraceID, l.SpanID); got != ids || l.EventName != event || l.TimeNano != 1_700_000_000_123_000_000 || l.ObservedTimeNano != 0 {
			t.Errorf("%s: event %q, ids %s, at %d %d", what, l.EventName, got, l.TimeNano, l.ObservedTimeNano)
		}
		diff(t, what+": body", body, plainValue(&l.Body))
		attrs["openclaw_trace.trace_id"] = id
		diff(t, what+": attributes", attrs, plain(l.Attrs))
	}
	const none = "00000000000000000000000000000000 0000000000000000"
	for status, severity := range map[string]string{"warning": "13 WARN", "error": "17 ERROR", "critical": "21 FATAL"} {
		row := &db.ErrorEvent{TraceID: id, CreatedAt: 1_700_000_000_123, ErrorType: "crash", Message: "gone", Severity: status, StackTrace: new("main.go:1")}
		f(status, e.Error(row), severity, "", none, "gone", map[string]any{"error.type": "crash", "exception.stacktrace": "main.go:1"})
	}
	row := &db.ErrorEvent{TraceID: id, CreatedAt: 1_700_000_000_123, ErrorType: "log", Message: "429", Severity: "error", Metadata: new(
		`{"log.body":"run ended","log.event_name":"run.end","log.trace_id":"0102030405060708090a0b0c0d0e0f10","log.span_id":"1112131415161718","service.name":"agent","openclaw.error":"429"}`)}
	l := e.Error(row)
	f("a log", l, "17 ERROR", "run.end", "0102030405060708090a0b0c0d0e0f10 1112131415161718", "run ended", map[string]any{"openclaw.error": "429"})
	diff(t, "resource", map[string]any{"service.name": "agent", "openclaw_trace.instance_id": "i-1"}, plain(l.Resource))
	row.ErrorType, row.Metadata = "llm_error", new(`{"log.trace_id":"0102","error.type":"RateLimit"}`)
	f("a native error of a model", e.Error(row), "17 ERROR", "", none, "429",
		map[string]any{"error.type": "llm_error", "openclaw_trace.metadata.error.type": "RateLimit", "log.trace_id": "0102"})
	row.Metadata = new(`{"openclaw.event":"embedded_run_agent_end","error.type":"RateLimit"}`)
	f("an event of a model", e.Error(row), "17 ERROR", "", none, "429", map[string]any{"openclaw.event": "embedded_run_agent_end", "error.type": "RateLimit"})

	event := &db.CustomEvent{TraceID: id, CreatedAt: 1_700_000_000_123, Name: "plan.changed", SessionID: new("s-1"), Metadata: new(`{"log.body":{"steps":[1,2]},"log.event_name":"x","why":"asked"}`)}
	f("an event", e.Event(event), "0 ", "plan.changed", none, map[string]any{"steps": []any{int64(1), int64(2)}},
		map[string]any{"gen_ai.conversation.id": "s-1", "why": "asked", "log.event_name": "x"})
	event.SessionID, event.Metadata = nil, nil
	f("a bare event", e.Event(event), "0 ", "plan.changed", none, nil, map[string]any{})
}

// randomCall is a row as the writer may have stored it of a span, with an operation that
// makes it a call.
func randomCall(r *rand.Rand) *db.LLMTrace {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	maybe := func(list ...string) *string {
		if r.IntN(3) == 0 {
			return nil
		}
		return new(pick(list...))
	}
	count := func(limit int64) *int64 {
		if r.IntN(3) == 0 {
			return nil
		}
		return new(r.Int64N(limit) + 1)
	}
	c := &db.LLMTrace{
		CreatedAt: 1_000_000_000_000 + r.Int64N(1_000_000_000_000), LatencyMS: new(r.Int64N(1_000_000)),
		Provider: pick("anthropic", "openai", "unknown", "house brand"), Model: pick("claude-sonnet-4-5", "unknown", "módel 日本"),
		Operation: new(pick("chat", "text_completion", "generate_content", "embeddings")), Status: pick("ok", "error", "timeout"),
		SessionID: maybe("s-1", "ß"), Agent: maybe("main", "🦞"), OTELParentSpanID: maybe("2122232425262728"),
		InputText:  maybe(`[{"role":"user","parts":[{"type":"text","content":"hi 😀"}]}]`, `[{"omitted":3},{"role":"user","parts":[]}]`),
		OutputText: maybe(`[{"role":"assistant","parts":[{"type":"tool_call","id":null,"name":"x","arguments":{"a":[1]}}]}]`),
		TtftMS:     count(1_000_000_000), PromptTokens: count(3e11), CompletionTokens: count(3e11),
		CacheReadTokens: count(1e6), CacheWriteTokens: count(1e6), ReasoningTokens: count(1e6),
	}
	var trace otlp.TraceID
	var span otlp.SpanID
	for i := range trace {
		trace[i] = byte(r.Uint32() | 1)
	}
	for i := range span {
		span[i] = byte(r.Uint32() | 1)
	}
	c.OTELTraceID, c.OTELSpanID = new(fmt.Sprintf("%x", trace)), new(fmt.Sprintf("%x", span))
	c.TraceID = genai.SpanUUID(trace, span, c.CreatedAt)
	if c.PromptTokens != nil {
		c.PromptTokens = new(*c.PromptTokens + 2e6)
	}
	if c.CompletionTokens != nil {
		c.CompletionTokens = new(*c.CompletionTokens + 1e6)
	}
	if r.IntN(2) == 0 {
		c.CostUSD, c.CostSource = new(r.Float64()*100), new(pick("reported", "computed:2026-09-23", "computed:2026-09-23:inferred"))
	}
	if c.Status != "ok" {
		c.ErrorMessage = maybe("it broke", "no \"answer\"")
		c.ErrorType = maybe("rate_limit_exceeded", "ETIMEDOUT", "Überlast")
		if c.Status == "timeout" || c.ErrorType != nil && genai.IsTimeout(*c.ErrorType) {
			c.Status, c.ErrorType = "timeout", new("deadline_exceeded")
		}
	}
	c.Metadata = randomMetadata(r)
	return c
}

func randomMetadata(r *rand.Rand) *string {
	m := make(map[string]any)
	for range r.IntN(8) {
		key := [...]string{"", "user.id", "k", "päth", "a.b.c", "server.port", "gen_ai.response.id", "openclaw.api", "error.type", "openclaw.failureKind",
			"service.name", "host.name", "service.version", "otel.scope.name", "otel.scope.version", "span.name", "openclaw_trace.input_bytes"}[r.IntN(17)]
		switch key {
		case "service.name", "host.name", "service.version", "otel.scope.name", "otel.scope.version", "span.name":
			m[key] = [...]string{"one", "zwölf", "a\"b"}[r.IntN(3)]
		case "error.type", "openclaw.failureKind":
			m[key] = [...]string{"Error", "broken", "rate_limit_exceeded"}[r.IntN(3)]
		default:
			m[key] = randomJSON(r, 4)
		}
	}
	if r.IntN(4) == 0 {
		m["span.events"] = []any{map[string]any{"name": "retry", "time": 1_700_000_000_123, "k": randomJSON(r, 2)}}
	}
	if r.IntN(4) == 0 {
		m["span.kind"] = 2 + 2*r.IntN(2)
	}
	if len(m) == 0 {
		return nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return new(string(b))
}

func randomJSON(r *rand.Rand, depth int) any {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	switch r.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return r.Int64() - 1<<62
	case 3:
		return r.NormFloat64() * 1e9
	case 4:
		return [...]string{"", "text", "\u00fc \u2028 😀", "\\ \" \n"}[r.IntN(4)]
	case 5:
		list := []any{}
		for range r.IntN(4) {
			list = append(list, randomJSON(r, depth-1))
		}
		return list
	}
	m := make(map[string]any)
	for i := range r.IntN(4) {
		m[fmt.Sprint("k", i)] = randomJSON(r, depth-1)
	}
	return m
}

// Whatever is in a row of an OTLP call, it comes back as afterTrip says.
func TestExportRandomCalls(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 2000 {
		c := randomCall(r)
		want := fields(t, c)
		metadataBefore := maps.Clone(metadata(want))
		afterTrip(want)
		for _, column := range []string{"ID", "Synced", "PushedAt"} {
			delete(want, column)
		}
		if kind, failed := metadataBefore["openclaw.failureKind"], c.Status != "ok"; kind != nil && !failed {
			metadata(want)["openclaw.failureKind"] = kind // it decides nothing then
			delete(metadata(want), "openclaw_trace.metadata.openclaw.failureKind")
		}
		if failed := c.Status != "ok"; failed && c.ErrorType == nil {
			// What the row does not say, its metadata may say when it is read again.
			class, _ := metadataBefore["error.type"].(string)
			if class != "" && class != "Error" {
				want["ErrorType"] = class
			}
			if kind := metadataBefore["openclaw.failureKind"]; kind != nil {
				delete(metadata(want), "openclaw.failureKind")
				metadata(want)["openclaw_trace.metadata.openclaw.failureKind"] = kind
			}
		}
		got := fields(t, remapped(t, c))
		metadata(got)
		diff(t, fmt.Sprint("row ", i), want, got)
		if t.Failed() {
			t.Fatalf("metadata was %v", metadataBefore)
		}
	}
}

// BenchmarkExport turns calls with texts of 200 bytes each way into an export request.
func BenchmarkExport(b *testing.B) {
	floor := make([]byte, 8<<20) // as in BenchmarkTraces
	defer runtime.KeepAlive(floor)
	m, err := genai.Traces(chats(b, 50, 200), otlp.Protobuf, 16384)
	if err != nil {
		b.Fatal(err)
	}
	var calls []db.LLMTrace
	for _, c := range m.Batch.Calls {
		calls = append(calls, db.LLMTrace{
			TraceID: c.TraceID, CreatedAt: c.CreatedAt, Provider: c.Provider, Model: c.Model, InputText: c.InputText, OutputText: c.OutputText,
			PromptTokens: c.PromptTokens, CompletionTokens: c.CompletionTokens, TotalTokens: new(*c.PromptTokens + *c.CompletionTokens),
			LatencyMS: c.LatencyMS, Status: c.Status, Metadata: c.Metadata, SessionID: c.SessionID, Operation: c.Operation,
			OTELTraceID: c.OTELTraceID, OTELSpanID: c.OTELSpanID, OTELParentSpanID: c.OTELParentSpanID, CostUSD: new(0.0123), CostSource: new("computed:1"),
		})
	}
	e := genai.NewExporter(own)
	var enc otlp.Encoder
	run := func(name string, f func(c *db.LLMTrace)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if enc.Len() > 5<<20 {
					enc.Bytes()
					enc.Reset()
				}
				f(&calls[i%len(calls)])
			}
		})
	}
	run("call", func(c *db.LLMTrace) { enc.Span(e.Call(c)) })
	text := strings.Repeat("it says \"so\" ", 15)
	run("plain", func(c *db.LLMTrace) {
		row := *c
		row.InputText, row.OutputText = &text, &text
		enc.Span(e.Call(&row))
	})
}

// A cost of 0 is what emitters say that have no price, so ours is not known when it is
// mapped again.
func TestExportFreeCall(t *testing.T) {
	c := native()
	c.CostUSD, c.CostSource = new(0.0), new("computed:1")
	if v, ok := plain(genai.NewExporter(own).Call(c).Attrs)["gen_ai.usage.cost"]; !ok || v != 0.0 {
		t.Errorf("exported as %v", v)
	}
	if got := remapped(t, c); got.CostUSD != nil || got.CostSource != nil {
		t.Errorf("mapped again it costs %v", *got.CostUSD)
	}
}

// What OpenClaw's own marks make a call needs no operation, and is not given one.
func TestExportMarkedCall(t *testing.T) {
	for _, metadata := range []string{`{"span.name":"openclaw.model.call"}`, `{"openclaw.model_call.request_bytes":7}`} {
		c := native()
		c.Metadata = &metadata
		if got := remapped(t, c); got.Operation != nil || strings.Contains(*got.Metadata, "span.kind") {
			t.Errorf("%s: %v %s", metadata, got.Operation, *got.Metadata)
		}
	}
}

// What a sidecar notes itself of the counts that it is sent, it is not told as well.
func TestExportNotes(t *testing.T) {
	f := func(metadata string, total int64, key string) {
		t.Helper()
		first := native()
		first.Operation, first.Metadata, first.TotalTokens, first.CacheWriteTokens = new("chat"), &metadata, &total, new(int64(5))
		var enc otlp.Encoder
		enc.Span(genai.NewExporter(otlp.Origin{}).Call(first))
		s := newStored(t)
		s.submit("traces", enc.Bytes(), otlp.Protobuf)
		row := rows[db.LLMTrace](s, "llm_traces")[0]
		if *row.TotalTokens != total || strings.Count(*row.Metadata, key) != 1 {
			t.Errorf("total %d, metadata %s", *row.TotalTokens, *row.Metadata)
		}
	}
	f(`{"openclaw_trace.tokens_in_conflict":true}`, 99, "tokens_in_conflict")
	f(`{"openclaw_trace.tokens_in_conflict":true}`, 15, "tokens_in_conflict")
	f(`{"gen_ai.usage.cache_creation.input_tokens.ephemeral_1h":4,"openclaw_trace.cache_write_1h_tokens":4}`, 15, "openclaw_trace.cache_write_1h_tokens")
	f(`{"openclaw_trace.cache_write_1h_tokens":4}`, 15, "openclaw_trace.cache_write_1h_tokens")
	// A total that prompt and completion do not tell is told.
	c := native()
	c.CompletionTokens, c.TotalTokens = nil, new(int64(12))
	if got := remapped(t, c); *got.TotalTokens != 12 {
		t.Errorf("total %d", *got.TotalTokens)
	}
	c.Operation = new("embeddings")
	if got := remapped(t, c); got.TotalTokens != nil {
		t.Errorf("of embeddings the total is said, which is the prompt: %d", *got.TotalTokens)
	}
}
