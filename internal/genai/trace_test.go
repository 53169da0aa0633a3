package genai_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

func TestWhichSpanIsACall(t *testing.T) {
	f := func(want bool, name string, a attrs) {
		t.Helper()
		m := traces(t, span(name, a))
		if got := len(m.Batch.Calls) == 1; got != want || len(m.Batch.Calls)+len(m.Batch.Spans) != 1 {
			t.Errorf("%s %v: %d calls and %d spans", name, a, len(m.Batch.Calls), len(m.Batch.Spans))
		}
	}
	op := func(name string) attrs { return attrs{"gen_ai.operation.name": name} }
	f(true, "openclaw.model.call", nil)
	f(true, "openclaw.model.call", op("invoke_agent"))
	f(true, "invoke_agent mock", attrs{"gen_ai.operation.name": "invoke_agent", "openclaw.model_call.request_bytes": 1})
	f(true, "openclaw.run", attrs{"openclaw.model_call.usage.output_tokens": 0})
	for _, name := range []string{"chat", "text_completion", "generate_content", "embeddings"} {
		f(true, name+" gpt", op(name))
		f(true, "", op(name))
		for _, wrapper := range []string{"openclaw.model.usage", "openclaw.run", "openclaw.harness.run"} {
			f(false, wrapper, op(name))
		}
	}
	for _, name := range []string{"invoke_agent", "execute_tool", "create_agent", ""} {
		f(false, name, op(name))
	}
	f(false, "openclaw.model_call", nil)
	f(false, "chat", attrs{"gen_ai.request.model": "gpt", "gen_ai.usage.input_tokens": 5})
	f(false, "x", attrs{"gen_ai.operation.name": 7})
}

func TestCallColumns(t *testing.T) {
	// One attribute after the other, each alone, gives the column its value.
	f := func(column string, sent, want any, keys ...string) {
		t.Helper()
		for i, key := range keys {
			got := call(t, span("openclaw.model.call", attrs{key: sent}))
			if got[column] != want {
				t.Errorf("%s: %s is %v, want %v", key, column, got[column], want)
			}
			if i == 0 {
				continue
			}
			// An earlier one of the list wins, and what it beats is not lost.
			got = call(t, span("openclaw.model.call", attrs{key: other(sent), keys[i-1]: sent}))
			if got[column] != want {
				t.Errorf("%s beats %s: %s is %v, want %v", key, keys[i-1], column, got[column], want)
			}
		}
	}
	f("Provider", "p", "p", "gen_ai.provider.name", "gen_ai.system", "openclaw.provider")
	f("Model", "m", "m", "gen_ai.request.model", "openclaw.model", "gen_ai.response.model")
	f("Operation", "chat", "chat", "gen_ai.operation.name")
	f("PromptTokens", 9, 9.0, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "openclaw.model_call.usage.prompt_tokens", "openclaw.model_call.usage.input_tokens")
	f("CompletionTokens", 9, 9.0, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "openclaw.model_call.usage.output_tokens")
	f("CacheReadTokens", 9, 9.0, "gen_ai.usage.cache_read.input_tokens", "openclaw.model_call.usage.cache_read_input_tokens")
	f("CacheWriteTokens", 9, 9.0, "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens", "openclaw.model_call.usage.cache_creation_input_tokens")
	f("ReasoningTokens", 9, 9.0, "gen_ai.usage.reasoning.output_tokens", "openclaw.model_call.usage.reasoning_output_tokens")
	f("TtftMS", 250, 250.0, "openclaw.model_call.time_to_first_byte_ms")
	f("SessionID", "s", "s", "gen_ai.conversation.id", "session.id")
	f("Agent", "a", "a", "gen_ai.agent.name", "openclaw.agent", "gen_ai.agent.id")
	f("CostUSD", 0.5, 0.5, "gen_ai.usage.cost")
	f("InputText", "[1]", "[1]", "gen_ai.input.messages", "openclaw.content.input_messages", "input.value", "gen_ai.prompt")
	f("OutputText", "[1]", "[1]", "gen_ai.output.messages", "output.value", "gen_ai.completion", "openclaw.content.output_messages")
	f("InputText", []any{attrs{"role": "user"}}, `[{"role":"user"}]`, "gen_ai.input.messages")
}

func other(v any) any {
	switch v := v.(type) {
	case string:
		return v + " of another"
	case int:
		return v + 1
	}
	return nil
}

func TestCallDefaults(t *testing.T) {
	got := call(t, span("openclaw.model.call", attrs{"gen_ai.system": "", "gen_ai.request.model": "", "session.id": ""}))
	delete(got, "TraceID")
	want := map[string]any{
		"CreatedAt": 1700000000123.0, "LatencyMS": 1500.0, "Provider": "unknown", "Model": "unknown", "Status": "ok",
		"OTELTraceID": "0102030405060708090a0b0c0d0e0f10", "OTELSpanID": "1112131415161718",
		"Metadata": map[string]any{"span.name": "openclaw.model.call", "service.name": "agent", "host.name": "box"},
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			want[name] = nil
		}
	}
	diff(t, "call", want, got)
}

func TestCallTimes(t *testing.T) {
	f := func(created, latency any, more message) {
		t.Helper()
		got := call(t, span("openclaw.model.call", nil, more))
		if got["CreatedAt"] != created || got["LatencyMS"] != latency {
			t.Errorf("%v: %v, %v; want %v, %v", more, got["CreatedAt"], got["LatencyMS"], created, latency)
		}
	}
	f(1700000000123.0, 0.0, message{"endTimeUnixNano": "1700000000123456789"})
	f(1700000000123.0, nil, message{"endTimeUnixNano": "0"})
	f(1700000000123.0, nil, message{"endTimeUnixNano": "1600000000000000000"})
	f(0.0, nil, message{"startTimeUnixNano": "0"})

	if got := call(t, span("openclaw.model.call", attrs{"gen_ai.response.time_to_first_chunk": 0.25})); got["TtftMS"] != 250.0 {
		t.Errorf("ttft from seconds: %v", got["TtftMS"])
	}
	if got := call(t, span("openclaw.model.call", nil, message{"parentSpanId": "2122232425262728"})); got["OTELParentSpanID"] != "2122232425262728" {
		t.Errorf("parent %v", got["OTELParentSpanID"])
	}
}

func TestCallModel(t *testing.T) {
	f := func(want, name string, a attrs) {
		t.Helper()
		a["gen_ai.operation.name"], a["gen_ai.request.model"] = "chat", "gpt"
		if got, _ := call(t, span(name, a))["Metadata"].(map[string]any)["span.name"].(string); got != want {
			t.Errorf("%q: span.name %q, want %q", name, got, want)
		}
	}
	// The conventions' name for a call says nothing that its columns do not.
	f("", "chat gpt", attrs{})
	f("", "", attrs{})
	f("chat other", "chat other", attrs{})
	f("openclaw.model.call", "openclaw.model.call", attrs{})

	got := call(t, span("chat", attrs{"gen_ai.operation.name": "chat", "gen_ai.request.model": "alias", "gen_ai.response.model": "alias-2026"}))
	if got["Model"] != "alias" || got["Metadata"].(map[string]any)["gen_ai.response.model"] != "alias-2026" {
		t.Errorf("model %v, metadata %v", got["Model"], got["Metadata"])
	}
}

// prompt_tokens includes cached tokens, also where the emitter tells them apart.
func TestCallTokens(t *testing.T) {
	f := func(want any, a attrs) {
		t.Helper()
		if got := call(t, span("openclaw.model.call", a))["PromptTokens"]; got != want {
			t.Errorf("%v: %v, want %v", a, got, want)
		}
	}
	const usage = "openclaw.model_call.usage."
	f(1230.0, attrs{"gen_ai.usage.input_tokens": 1230, usage + "input_tokens": 430, usage + "prompt_tokens": 1, usage + "cache_read_input_tokens": 800})
	f(1230.0, attrs{usage + "input_tokens": 430, usage + "prompt_tokens": 1230, usage + "cache_read_input_tokens": 800})
	f(430.0, attrs{usage + "input_tokens": 430})
	f(1230.0, attrs{usage + "input_tokens": 430, usage + "cache_read_input_tokens": 800})
	f(1350.0, attrs{usage + "input_tokens": 400, usage + "cache_read_input_tokens": 800, usage + "cache_creation_input_tokens": 150})
	f(1350.0, attrs{usage + "input_tokens": 400, "gen_ai.usage.cache_read.input_tokens": 800, "gen_ai.usage.cache_creation.input_tokens": 150})
	f(nil, attrs{usage + "cache_read_input_tokens": 800})
	f(nil, attrs{usage + "total_tokens": 800})
}

// A number that makes no sense is unknown, and the row says which it was.
func TestCallNumbers(t *testing.T) {
	f := func(sent, want any, noted bool) {
		t.Helper()
		for key, column := range map[string]string{
			"gen_ai.usage.input_tokens": "PromptTokens", "gen_ai.usage.completion_tokens": "CompletionTokens",
			"openclaw.model_call.usage.reasoning_output_tokens": "ReasoningTokens",
		} {
			got := call(t, span("openclaw.model.call", attrs{key: sent, "z": 1}))
			meta := got["Metadata"].(map[string]any)
			var note any
			if noted {
				note = key
			}
			if got[column] != want || meta["openclaw_trace.invalid"] != note || meta["z"] != 1.0 {
				t.Errorf("%s %v: %v, want %v; metadata %v", key, sent, got[column], want, meta)
			}
		}
	}
	f(7, 7.0, false)
	f(0, 0.0, false)
	f(7.0, 7.0, false)
	f("7", 7.0, false)
	f(nil, nil, false)
	f("", nil, false)
	for _, bad := range []any{-1, -1.0, 1.5, math.NaN(), math.Inf(1), 1e30, math.MaxInt64, "1.5", "many", "NaN", true, []any{1}, attrs{"n": 1}} {
		f(bad, nil, true)
	}

	g := func(key, column string, sent, want any) {
		t.Helper()
		got := call(t, span("openclaw.model.call", attrs{key: sent}))
		if note := got["Metadata"].(map[string]any)["openclaw_trace.invalid"]; got[column] != want || (note == key) != (want == nil) {
			t.Errorf("%s %v: %v, want %v; noted %v", key, sent, got[column], want, note)
		}
	}
	g("gen_ai.usage.cost", "CostUSD", 0.0, 0.0)
	g("gen_ai.usage.cost", "CostUSD", 2, 2.0)
	g("gen_ai.usage.cost", "CostUSD", "0.25", 0.25)
	for _, bad := range []any{-0.1, math.NaN(), math.Inf(1), 1e300, "free", "NaN", "Inf", false} {
		g("gen_ai.usage.cost", "CostUSD", bad, nil)
	}
	g("ai.response.msToFirstChunk", "TtftMS", 320.75, 321.0)
	g("gen_ai.response.time_to_first_chunk", "TtftMS", 1.001, 1001.0)
	g("openclaw.model_call.time_to_first_byte_ms", "TtftMS", -1, nil)
	g("gen_ai.response.time_to_first_chunk", "TtftMS", 1e300, nil)
	g("gen_ai.response.time_to_first_chunk", "TtftMS", -1.0, nil)

	got := call(t, span("openclaw.model.call", attrs{"gen_ai.usage.cost": -1.0, "gen_ai.usage.input_tokens": -1}))
	if note := got["Metadata"].(map[string]any)["openclaw_trace.invalid"]; note != "gen_ai.usage.input_tokens gen_ai.usage.cost" {
		t.Errorf("noted %v", note)
	}
}

func TestOutcome(t *testing.T) {
	f := func(status string, errorType, text any, a attrs, more ...message) {
		t.Helper()
		got := call(t, span("openclaw.model.call", a, more...))
		if got["Status"] != status || got["ErrorType"] != errorType || got["ErrorMessage"] != text {
			t.Errorf("%v %v: %v, %v, %v; want %v, %v, %v", a, more, got["Status"], got["ErrorType"], got["ErrorMessage"], status, errorType, text)
		}
		// Any other span comes to the same end.
		m := traces(t, span("tool", a, more...))
		if s := m.Batch.Spans; len(s) == 1 && !strings.Contains(strings.Join(keys(a), " "), "content") && s[0].Status != status {
			t.Errorf("%v %v: a span's status is %s", a, more, s[0].Status)
		}
	}
	said := func(text string) message { return message{"status": message{"code": 2, "message": text}} }
	event := func(name string, a attrs) message {
		return message{"events": []message{{"name": name, "timeUnixNano": "1700000000200000000", "attributes": a.list()}}}
	}

	f("ok", nil, nil, nil)
	f("ok", nil, nil, nil, message{"status": message{"code": 1, "message": "fine"}})
	f("ok", nil, nil, attrs{"error.type": "timeout", "openclaw.errorCategory": "x"})
	f("ok", nil, nil, attrs{"openclaw.outcome": "error", "openclaw.failureKind": "terminated"})
	f("error", nil, nil, nil, failed)
	f("error", nil, "Error", nil, said("Error"))

	f("timeout", "timeout", nil, attrs{"openclaw.failureKind": "timeout"})
	f("timeout", "timeout", nil, attrs{"openclaw.failureKind": "timeout"}, failed)
	f("timeout", nil, nil, attrs{"openclaw.outcome": "timed_out"})
	f("timeout", "TimeoutError", nil, attrs{"error.type": "TimeoutError"}, failed)
	f("timeout", "DEADLINE_EXCEEDED", nil, attrs{"error.type": "DEADLINE_EXCEEDED"}, failed)
	f("timeout", "ReadTimeout", "slow", nil, failed, event("exception", attrs{"exception.type": "ReadTimeout", "exception.message": "slow"}))
	f("timeout", "timeout_error", nil, attrs{"openclaw.content.output_messages": `[{"errorType":"timeout_error"}]`}, failed)
	f("timeout", "ETIMEDOUT", nil, attrs{"openclaw.content.output_messages": `[{"errorCode":"ETIMEDOUT"}]`}, failed)

	// The most specific type that is known.
	f("error", "code", nil, attrs{
		"openclaw.content.output_messages": `[{"errorCode":"code","errorType":"type"}]`,
		"openclaw.failureKind":             "kind", "error.type": "class", "openclaw.errorCategory": "category",
	}, failed)
	f("error", "type", nil, attrs{
		"openclaw.content.output_messages": `[{"errorCode":"***","errorType":"type"}]`,
		"openclaw.failureKind":             "kind", "error.type": "class", "openclaw.errorCategory": "category",
	}, failed)
	f("error", "kind", nil, attrs{"openclaw.failureKind": "kind", "error.type": "class", "openclaw.errorCategory": "category"}, failed)
	f("error", "class", nil, attrs{"error.type": "class", "openclaw.errorCategory": "category"}, failed)
	f("error", "raised", nil, attrs{"error.type": "Error", "openclaw.errorCategory": "category"}, failed, event("exception", attrs{"exception.type": "raised"}))
	f("error", "category", nil, attrs{"error.type": "Error", "openclaw.errorCategory": "category"}, failed)
	f("error", nil, nil, attrs{"error.type": "Error"}, failed)
	f("error", nil, nil, nil, failed, event("log", attrs{"exception.type": "raised"}))

	// The fullest message that is known.
	exception := event("exception", attrs{"exception.message": "raised"})
	f("error", nil, "provider", attrs{"openclaw.content.output_messages": `[{"errorMessage":"provider"}]`, "openclaw.error": "told"}, said("said"), exception)
	f("error", nil, "told", attrs{"openclaw.error": "told"}, said("said"), exception)
	f("error", nil, "raised", nil, said("said"), exception)
	f("error", nil, "said", nil, said("said"))
}

func keys(a attrs) (list []string) {
	for key := range a {
		list = append(list, key)
	}
	return list
}

// A call that failed before its usage was known has none; one that failed after it
// keeps what was paid for. OpenClaw's cost of 0 for tokens is that of a model whose
// price it does not know.
func TestFailedUsage(t *testing.T) {
	zeros := attrs{
		"gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0, "gen_ai.usage.cache_read.input_tokens": 0,
		"gen_ai.usage.cache_creation.input_tokens": 0, "openclaw.model_call.usage.reasoning_output_tokens": 0,
		"openclaw.content.output_messages": `[{"usage":{"cost":{"total":0}}}]`,
	}
	columns := []string{"PromptTokens", "CompletionTokens", "CacheReadTokens", "CacheWriteTokens", "ReasoningTokens", "CostUSD"}
	got := call(t, span("openclaw.model.call", zeros, failed))
	for _, c := range append(columns, "CostSource", "OutputText") {
		if got[c] != nil {
			t.Errorf("failed: %s is %v", c, got[c])
		}
	}
	got = call(t, span("openclaw.model.call", zeros))
	for _, c := range columns {
		if got[c] != 0.0 {
			t.Errorf("not failed: %s is %v", c, got[c])
		}
	}
	for key, column := range map[string]string{
		"gen_ai.usage.input_tokens": "PromptTokens", "gen_ai.usage.output_tokens": "CompletionTokens", "gen_ai.usage.cache_read.input_tokens": "CacheReadTokens",
	} {
		got := call(t, span("openclaw.model.call", attrs{key: 3, "gen_ai.usage.cost": 0.5}, failed))
		if got[column] != 3.0 || got["CostUSD"] != 0.5 {
			t.Errorf("failed with %s: %v, cost %v", key, got[column], got["CostUSD"])
		}
	}
	zeros["gen_ai.usage.output_tokens"] = 3
	got = call(t, span("openclaw.model.call", zeros, failed))
	if got["PromptTokens"] != 0.0 || got["CompletionTokens"] != 3.0 || got["CostUSD"] != nil {
		t.Errorf("failed half-way: %v, %v, %v", got["PromptTokens"], got["CompletionTokens"], got["CostUSD"])
	}
}

// OpenClaw's own form of the answer is read as far as it goes.
func TestOpenClawDetail(t *testing.T) {
	f := func(content any, want map[string]any) {
		t.Helper()
		got := call(t, span("openclaw.model.call", attrs{"openclaw.content.output_messages": content}, failed,
			message{"attributes": append(attrs{"openclaw.content.output_messages": content}.list(), attrs{"gen_ai.usage.output_tokens": 1}.list()...)}))
		meta := got["Metadata"].(map[string]any)
		diff(t, "detail", want, map[string]any{
			"cost": got["CostUSD"], "type": got["ErrorType"], "message": got["ErrorMessage"],
			"stop": meta["openclaw.stopReason"], "response": meta["openclaw.responseId"], "body": meta["openclaw.errorBody"],
		})
	}
	whole := `[{"role":"assistant","content":[{"type":"text","text":"Hi","errorMessage":"not this"}],"usage":{"input":4,"cost":{"input":1,"total":0.25}},` +
		`"stopReason":"error","responseId":"r1","errorMessage":"429 slow down","errorCode":"rate_limit","errorType":"rle","errorBody":"{\"e\":1}"}]`
	all := map[string]any{"cost": 0.25, "type": "rate_limit", "message": "429 slow down", "stop": "error", "response": "r1", "body": `{"e":1}`}
	nothing := map[string]any{"cost": nil, "type": nil, "message": nil, "stop": nil, "response": nil, "body": nil}
	f(whole, all)
	// The last message counts.
	f(`[{"errorCode":"early","usage":{"cost":{"total":9}}},`+whole[1:], all)
	f(`[`+whole[1:len(whole)-1]+`,{"role":"assistant"}]`, nothing)
	// Cut short it says what stood before the cut.
	f(whole[:strings.Index(whole, `,"errorMessage":"429`)]+"...(truncated)",
		map[string]any{"cost": 0.25, "type": nil, "message": nil, "stop": "error", "response": "r1", "body": nil})
	f(`[{"usage":{"cost":{"total":-1}},"errorCode":7,"stopReason":null}]`, nothing)
	f(`[{"usage":{"cost":{"total":1e300}}}]`, nothing)
	f(`[{"usage":{"cost":0.25},"cost":{"total":1},"total":2}]`, nothing)
	f(`not JSON`, nothing)
	f(``, nothing)
	f(5, nothing)
	f([]any{}, nothing)
}

func TestCallContent(t *testing.T) {
	parts, own := `[{"role":"user","parts":[]}]`, `[{"role":"user"}]`
	got := call(t, span("openclaw.model.call", attrs{
		"gen_ai.input.messages": parts, "input.value": parts, "input.mime_type": "application/json", "openclaw.content.input_messages": own,
		"gen_ai.output.messages": parts, "output.value": parts, "output.mime_type": "application/json", "openclaw.content.output_messages": own,
		"gen_ai.tool.definitions": `[{"name":"exec"}]`, "openclaw.content.tool_definitions": `[{"n":"exec"}]`,
	}))
	sum := sha256.Sum256([]byte(`[{"name":"exec"}]`))
	diff(t, "texts", [2]any{parts, parts}, [2]any{got["InputText"], got["OutputText"]})
	diff(t, "metadata", map[string]any{
		"span.name": "openclaw.model.call", "service.name": "agent", "host.name": "box",
		"openclaw_trace.tool_definitions_sha256": hex.EncodeToString(sum[:]), "openclaw_trace.tool_definitions_bytes": 17.0,
	}, got["Metadata"].(map[string]any))

	// Cut definitions are no JSON; their hash and size are of what was sent.
	cut := `[{"name":"exec","description":"...(truncated)`
	got = call(t, span("openclaw.model.call", attrs{"openclaw.content.tool_definitions": cut, "openclaw.content.output_messages": own}))
	sum = sha256.Sum256([]byte(cut))
	meta := got["Metadata"].(map[string]any)
	if meta["openclaw_trace.tool_definitions_sha256"] != hex.EncodeToString(sum[:]) || meta["openclaw_trace.tool_definitions_bytes"] != float64(len(cut)) {
		t.Errorf("metadata %v", meta)
	}
	if got["OutputText"] != own {
		t.Errorf("output %v", got["OutputText"])
	}
}

// Everything that has no column is kept as it was sent, as far as there is room.
func TestSpanMetadata(t *testing.T) {
	got := call(t, span("openclaw.model.call", attrs{
		"gen_ai.provider.name": "a", "gen_ai.system": "a", "openclaw.provider": "b",
		"gen_ai.usage.input_tokens": 5, "gen_ai.usage.prompt_tokens": 5, "openclaw.model_call.usage.prompt_tokens": 6,
		"bool": true, "int": -7, "double": 1.5, "nan": math.NaN(), "list": []any{1, "x"}, "map": attrs{"k": "v"}, "none": nil,
		"text": strings.Repeat("é", maxText), "long": []any{strings.Repeat("x", maxText)},
	}, message{"events": []message{
		{"name": "first", "timeUnixNano": "1700000000200000000", "attributes": attrs{"k": 1}.list()},
		{"name": "huge", "attributes": attrs{"k": strings.Repeat("x", maxText)}.list()},
		{"name": "last"},
	}}))
	diff(t, "metadata", map[string]any{
		"openclaw.provider": "b", "openclaw.model_call.usage.prompt_tokens": 6.0,
		"bool": true, "int": -7.0, "double": 1.5, "nan": "NaN", "list": []any{1.0, "x"}, "map": map[string]any{"k": "v"}, "none": nil,
		"text":        strings.Repeat("é", maxText), // the writer cuts it
		"span.name":   "openclaw.model.call",
		"span.events": []any{map[string]any{"name": "first", "time": 1700000000200.0, "k": 1.0}, map[string]any{"name": "last", "time": 0.0}},
		"host.name":   "box", "service.name": "agent",
		"openclaw_trace.attributes_dropped": 2.0,
	}, got["Metadata"].(map[string]any))

	many := attrs{}
	for i := range 200 {
		many[strings.Repeat("k", 500)+string(rune('a'+i%26))+strings.Repeat("j", i)] = "v"
	}
	row := traces(t, span("x", many)).Batch.Spans[0]
	if n := len(*row.Metadata); n > 65<<10 || metadataOf(t, row.Metadata)["openclaw_trace.attributes_dropped"] == nil {
		t.Errorf("metadata of %d bytes", n)
	}
}

func TestOtherSpan(t *testing.T) {
	got := fields(t, traces(t, span("openclaw.model.usage", attrs{
		"gen_ai.operation.name": "chat", "gen_ai.agent.name": "main", "session.id": "s", "gen_ai.system": "p",
		"gen_ai.usage.input_tokens": 5, "openclaw.tokens.input": 5, "openclaw.error": "told",
	}, failed, message{"parentSpanId": "2122232425262728"})).Batch.Spans[0])
	delete(got, "TraceID")
	diff(t, "span", map[string]any{
		"CreatedAt": 1700000000123.0, "DurationMS": 1500.0, "Name": "openclaw.model.usage", "Operation": "chat", "SessionID": "s", "Agent": "main",
		"OTELTraceID": "0102030405060708090a0b0c0d0e0f10", "OTELSpanID": "1112131415161718", "OTELParentSpanID": "2122232425262728",
		"Status": "error", "ErrorMessage": "told",
		"Metadata": map[string]any{
			"gen_ai.system": "p", "gen_ai.usage.input_tokens": 5.0, "openclaw.tokens.input": 5.0, "openclaw.error": "told",
			"service.name": "agent", "host.name": "box",
		},
	}, got)
	if row := traces(t, span("", nil)).Batch.Spans[0]; row.Name != "unknown" || row.Status != "ok" {
		t.Errorf("without a name: %q, %s", row.Name, row.Status)
	}
}

// A span's identity is made of its start and its ids, and of nothing else.
func TestSpanID(t *testing.T) {
	id := func(s message) string {
		t.Helper()
		return traces(t, s).Batch.Spans[0].TraceID
	}
	first := id(span("a", nil))
	u, err := uuid.Parse(first)
	if err != nil || first != strings.ToLower(first) || u.Version() != 8 || u.Variant() != uuid.RFC4122 {
		t.Errorf("%s: version %d, variant %s, %v", first, u.Version(), u.Variant(), err)
	}
	ms := int64(u[0])<<40 | int64(u[1])<<32 | int64(u[2])<<24 | int64(u[3])<<16 | int64(u[4])<<8 | int64(u[5])
	if ms != 1700000000123 {
		t.Errorf("%s starts with %s", first, time.UnixMilli(ms))
	}
	if again := id(span("b", attrs{"k": 1}, failed, message{"endTimeUnixNano": "0", "parentSpanId": "2122232425262728"})); again != first {
		t.Errorf("the span again is %s, was %s", again, first)
	}
	seen := map[string]bool{first: true}
	for _, more := range []message{
		{"traceId": "ff02030405060708090a0b0c0d0e0f10"}, {"spanId": "ff12131415161718"}, {"startTimeUnixNano": "1700000000124456789"},
		{"traceId": "0102030405060708090a0b0c0d0e0f11", "spanId": "1012131415161718"},
	} {
		other := id(span("a", nil, more))
		if seen[other] {
			t.Errorf("%v has the identity of another", more)
		}
		seen[other] = true
	}
}

// What cannot be stored is counted and explained; the rest of its request is kept.
func TestRejectedSpans(t *testing.T) {
	f := func(reason string, more message) {
		t.Helper()
		m := traces(t, span("a", nil), span("b", nil, more), span("c", attrs{"openclaw.model_call.x": 1}))
		if m.Rejected != 1 || m.Reason != reason || len(m.Batch.Spans) != 1 || len(m.Batch.Calls) != 1 {
			t.Errorf("%v: %d rejected, %q, %d spans, %d calls", more, m.Rejected, m.Reason, len(m.Batch.Spans), len(m.Batch.Calls))
		}
	}
	f("invalid trace_id: want 16 bytes, not all zero", message{"traceId": ""})
	f("invalid trace_id: want 16 bytes, not all zero", message{"traceId": "00000000000000000000000000000000"})
	f("invalid trace_id: want 16 bytes, not all zero", message{"traceId": "0102"})
	f("invalid span_id: want 8 bytes, not all zero", message{"spanId": ""})
	f("invalid span_id: want 8 bytes, not all zero", message{"spanId": "0000000000000000"})
}

func TestTooManyItems(t *testing.T) {
	spans := make([]message, genai.MaxItems+5)
	for i := range spans {
		spans[i] = message{"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "1112131415161718"}
	}
	m := traces(t, spans...)
	if len(m.Batch.Spans) != genai.MaxItems || m.Rejected != 5 || m.Reason != "more than 10000 items in one request" {
		t.Errorf("%d spans, %d rejected: %s", len(m.Batch.Spans), m.Rejected, m.Reason)
	}
	records := make([]message, genai.MaxItems+5)
	for i := range records {
		records[i] = message{"severityNumber": 17}
	}
	m = logs(t, records...)
	if len(m.Batch.Errors) != genai.MaxItems || m.Rejected != 5 || m.Reason != "more than 10000 items in one request" {
		t.Errorf("%d records, %d rejected: %s", len(m.Batch.Errors), m.Rejected, m.Reason)
	}
}

func TestMalformed(t *testing.T) {
	if m, err := genai.Traces([]byte{0xff}, otlp.Protobuf, maxText); m != nil || err == nil {
		t.Errorf("traces: %v, %v", m, err)
	}
	if m, err := genai.Logs([]byte(`{`), otlp.JSON, maxText); m != nil || err == nil {
		t.Errorf("logs: %v, %v", m, err)
	}
	if m, err := genai.Metrics([]byte(`[]`), otlp.JSON); m != nil || err == nil {
		t.Errorf("metrics: %v, %v", m, err)
	}
}
