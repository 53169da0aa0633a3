package api_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/internal/api"
)

const anID = "0b9c2f0e-6a1d-4c57-9d0e-2f6f3f0c8a11"

// Every field of an event goes to the column of its name.
func TestNativeColumns(t *testing.T) {
	s := newServer(t)
	s.post(202, "/v1/traces", jsonType, `{
		"trace_id": "0B9C2F0E-6A1D-4C57-9D0E-2F6F3F0C8A11", "created_at": 1700000000123,
		"provider": "anthropic", "model": "claude", "input_text": "What?", "output_text": "That.",
		"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "cost_usd": 0.0125, "latency_ms": 1500,
		"status": "timeout", "error_type": "slow", "error_message": "too slow",
		"session_id": "s1", "agent": "main", "operation": "chat",
		"otel_trace_id": "aa", "otel_span_id": "bb", "otel_parent_span_id": "cc",
		"cache_read_tokens": 5, "cache_write_tokens": 4, "reasoning_tokens": 3, "ttft_ms": 200,
		"metadata": {"k": [1, "x"]}
	}`)
	diff(t, "call", []row{{
		"trace_id": anID, "created_at": int64(1700000000123),
		"provider": "anthropic", "model": "claude", "input_text": "What?", "output_text": "That.",
		"prompt_tokens": int64(11), "completion_tokens": int64(7), "total_tokens": int64(18),
		"cost_usd": 0.0125, "cost_source": "reported", "latency_ms": int64(1500),
		"status": "timeout", "error_type": "slow", "error_message": "too slow",
		"session_id": "s1", "agent": "main", "operation": "chat",
		"otel_trace_id": "aa", "otel_span_id": "bb", "otel_parent_span_id": "cc",
		"cache_read_tokens": int64(5), "cache_write_tokens": int64(4), "reasoning_tokens": int64(3), "ttft_ms": int64(200),
		"metadata": `{"k": [1, "x"]}`,
	}}, s.rows("llm_traces"))

	s.post(202, "/v1/errors", jsonType, `{
		"trace_id": "`+anID+`", "created_at": "2023-11-14T22:13:20.5Z", "error_type": "crash", "message": "it broke",
		"stack_trace": "main.go:1", "severity": "critical", "metadata": {"pid": 1}
	}`)
	diff(t, "error", []row{{
		"trace_id": anID, "created_at": int64(1700000000500), "error_type": "crash", "message": "it broke",
		"stack_trace": "main.go:1", "severity": "critical", "metadata": `{"pid": 1}`,
	}}, s.rows("error_events"))
}

// What is not said is NULL.
func TestNativeMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m"}`)
		call := s.last("llm_traces")
		if id, err := uuid.Parse(call["trace_id"].(string)); err != nil || id.Version() != 4 {
			t.Errorf("trace_id %v", call["trace_id"])
		}
		delete(call, "trace_id")
		want := row{"provider": "p", "model": "m", "status": "ok", "created_at": time.Now().UnixMilli()}
		for name := range call {
			if _, ok := want[name]; !ok {
				want[name] = nil
			}
		}
		diff(t, "call", want, call)

		s.post(202, "/v1/errors", jsonType, `{"error_type":"e","message":"x"}`)
		event := s.last("error_events")
		delete(event, "trace_id")
		diff(t, "error", row{
			"error_type": "e", "message": "x", "severity": "error", "created_at": time.Now().UnixMilli(), "stack_trace": nil, "metadata": nil,
		}, event)
	})
}

func TestNativeForms(t *testing.T) {
	s := newServer(t)
	f := func(kind, body string, want ...any) {
		t.Helper()
		before := len(s.rows("llm_traces"))
		answer := object(t, s.post(202, "/v1/traces", kind, body))
		var got []any
		for _, r := range s.rows("llm_traces")[before:] {
			got = append(got, r["model"])
		}
		diff(t, body, want, got)
		if answer["accepted"] != float64(len(want)) || len(answer["trace_ids"].([]any)) != len(want) {
			t.Errorf("%s: %v", body, answer)
		}
	}
	a, b := `{"provider":"p","model":"a"}`, `{"model":"b","provider":"p"}`
	f(jsonType, a, "a")
	f("application/json; charset=utf-8", a, "a")
	f("Application/JSON", a, "a")
	f(jsonType, " [ "+a+" , "+b+" ] \r\n", "a", "b")
	f(jsonType, "[]")
	f(ndjsonType, a+"\n"+b+"\n", "a", "b")
	f(ndjsonType, a+"\r\n\r\n"+b, "a", "b")
	f(ndjsonType, "\n")
	// The last of the same name counts.
	f(jsonType, `{"provider":"p","model":"x","model":"a"}`, "a")
}

func TestNativeAnswer(t *testing.T) {
	s := newServer(t)
	one := `{"trace_id":"` + anID + `","provider":"p","model":"m"}`
	f := func(status int, body, want string) {
		t.Helper()
		w := s.post(status, "/v1/traces", jsonType, body)
		diff(t, body, want+"\n", w.Body.String())
		if w.Header().Get("Content-Type") != jsonType {
			t.Errorf("Content-Type %q", w.Header().Get("Content-Type"))
		}
	}
	f(202, one, `{"accepted":1,"duplicates":0,"rejected":[],"trace_ids":["`+anID+`"]}`)
	f(202, one, `{"accepted":0,"duplicates":1,"rejected":[],"trace_ids":["`+anID+`"]}`)
	f(202, `[`+one+`,`+one+`]`, `{"accepted":0,"duplicates":2,"rejected":[],"trace_ids":["`+anID+`","`+anID+`"]}`)
	f(202, `[]`, `{"accepted":0,"duplicates":0,"rejected":[],"trace_ids":[]}`)
	f(202, `[7,`+one+`,{"model":"m"}]`, `{"accepted":0,"duplicates":1,"rejected":[`+
		`{"index":0,"reason":"an event must be a JSON object"},{"index":2,"reason":"provider is required"}],"trace_ids":["`+anID+`"]}`)
	f(400, `{"model":"m"}`, `{"code":3,"message":"provider is required","rejected":[{"index":0,"reason":"provider is required"}]}`)
	f(400, `[{},null]`, `{"code":3,"message":"none of 2 events can be stored","rejected":[`+
		`{"index":0,"reason":"provider is required"},{"index":1,"reason":"an event must be a JSON object"}]}`)
	f(400, `nonsense`, `{"code":3,"message":"the body is malformed JSON: invalid character 'o' in literal null (expecting 'u') at byte 1"}`)
}

// The first of two events with one id wins; that they differ is counted.
func TestNativeConflict(t *testing.T) {
	s := newServer(t)
	body := func(text string) string {
		return `{"trace_id":"` + anID + `","provider":"p","model":"m","input_text":"` + text + `"}`
	}
	s.post(202, "/v1/traces", jsonType, body("first"))
	s.post(202, "/v1/traces", jsonType, body("second"))
	s.post(202, "/v1/traces", jsonType, body("first"))
	if got := s.rows("llm_traces"); len(got) != 1 || got[0]["input_text"] != "first" {
		t.Errorf("rows %v", got)
	}
	diff(t, "ledger", map[string]int64{
		"llm_trace received: ": 1, "llm_trace duplicate: ": 1, "llm_trace duplicate: conflict": 1,
	}, s.ledger())
}

func TestNativeRejected(t *testing.T) {
	s := newServer(t)
	f := func(path, body, reason string) {
		t.Helper()
		answer := object(t, s.post(400, path, jsonType, body))
		if answer["message"] != reason {
			t.Errorf("%s: %v, want %s", body, answer["message"], reason)
		}
	}
	f("/v1/traces", `{}`, "provider is required")
	f("/v1/traces", `{"provider":"p"}`, "model is required")
	f("/v1/traces", `{"provider":"","model":"m"}`, "provider is required")
	f("/v1/traces", `{"provider":"p","model":null}`, "model is required")
	f("/v1/traces", `{"provider":["p"],"model":"m"}`, "provider is required")
	f("/v1/traces", `{"provider":"p","model":"m","status":"fine"}`, "status is none of ok, error, timeout")
	f("/v1/traces", `{"provider":"p","model":"m","trace_id":"7"}`, "trace_id is not a UUID")
	f("/v1/traces", `{"provider":"p","model":"m","trace_id":"0b9c2f0e6a1d4c579d0e2f6f3f0c8a11"}`, "trace_id is not a UUID")
	f("/v1/traces", `{"provider":"p","model":"m","trace_id":"{`+anID+`}"}`, "trace_id is not a UUID")
	f("/v1/traces", `{"provider":"p","model":"m","trace_id":"`+anID[:35]+`g"}`, "trace_id is not a UUID")
	f("/v1/errors", `{}`, "error_type is required")
	f("/v1/errors", `{"error_type":"e"}`, "message is required")
	f("/v1/errors", `{"message":"x"}`, "error_type is required")
	f("/v1/errors", `{"error_type":"e","message":{}}`, "message is required")
	f("/v1/errors", `{"error_type":"e","message":"x","severity":"info"}`, "severity is none of warning, error, critical")
	f("/v1/errors", `{"error_type":"e","message":"x","trace_id":"nope"}`, "trace_id is not a UUID")
	f("/v1/events", `{}`, "name is required")
	f("/v1/events", `{"name":""}`, "name is required")
	f("/v1/events", `{"name":null,"metadata":{"name":"x"}}`, "name is required")
	f("/v1/events", `{"name":["x"]}`, "name is required")
	f("/v1/events", `{"name":"x","trace_id":"nope"}`, "trace_id is not a UUID")
	f("/v1/events", `7`, "an event must be a JSON object")
	f("/v1/traces", `"text"`, "an event must be a JSON object")
	for _, table := range dataTables {
		if n := len(s.rows(table)); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
	diff(t, "ledger", map[string]int64{
		"llm_trace refused: invalid": 11, "error_event refused: invalid": 6, "custom_event refused: invalid": 6,
	}, s.ledger())
}

// Whoever reads the answers, or a log of them, does not learn what was sent.
func TestNativeRejectedTellsNothing(t *testing.T) {
	s := newServer(t)
	const secret = "sk-s3cr3t"
	for path, members := range map[string][]string{
		"/v1/traces": {`"provider":"p","model":"m","trace_id":"` + secret + `"`, `"provider":"p","model":"m","status":"` + secret + `"`, `"provider":"` + secret + `"`},
		"/v1/errors": {`"error_type":"e","message":"x","trace_id":"` + secret + `"`, `"error_type":"e","message":"x","severity":"` + secret + `"`, `"error_type":"` + secret + `"`},
		"/v1/events": {`"name":"n","trace_id":"` + secret + `"`, `"` + secret + `":"` + secret + `"`},
	} {
		for _, m := range members {
			for _, body := range []string{"{" + m + "}", "[{" + m + "},7]", "{" + m + "}}", "{" + m + `,"x":` + secret} {
				if w := s.post(400, path, jsonType, body); strings.Contains(w.Body.String(), secret) {
					t.Errorf("%s to %s: %s", body, path, w.Body)
				}
			}
		}
	}
}

// A value that makes no sense costs its field and never the event.
func TestNativeValues(t *testing.T) {
	s := newServer(t)
	f := func(member string, want any, noted string) {
		t.Helper()
		s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m",`+member+`,"output_text":"after"}`)
		got := s.last("llm_traces")
		column := strings.Split(member, `"`)[1]
		if got[column] != want || got["output_text"] != "after" {
			t.Errorf("%s: %v (%T), want %v; then %v", member, got[column], got[column], want, got["output_text"])
		}
		if note, _ := object(t, got["metadata"])["openclaw_trace.invalid"].(string); note != noted {
			t.Errorf("%s: noted %q, want %q", member, note, noted)
		}
	}
	for _, column := range []string{
		"prompt_tokens", "completion_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
	} {
		good := func(value string, want int64) { t.Helper(); f(`"`+column+`":`+value, want, "") }
		bad := func(value string) { t.Helper(); f(`"`+column+`":`+value, nil, column) }
		good(`0`, 0)
		good(`12`, 12)
		good(`"12"`, 12)
		good(`12.0`, 12)
		good(`1.2e1`, 12)
		bad(`-1`)
		bad(`1.5`)
		bad(`1e400`)
		bad(`9223372036854775808`)
		bad(`"NaN"`)
		bad(`"Infinity"`)
		bad(`"many"`)
		bad(`""`)
		bad(`true`)
		bad(`[1]`)
		bad(`{"n":{"n":1}}`)
		f(`"`+column+`":null`, nil, "")
	}

	f(`"cost_usd":0`, 0.0, "")
	f(`"cost_usd":0.25`, 0.25, "")
	f(`"cost_usd":"0.25"`, 0.25, "")
	f(`"cost_usd":1`, 1.0, "")
	f(`"cost_usd":null`, nil, "")
	for _, v := range []string{`-0.1`, `1e400`, `"NaN"`, `"-Infinity"`, `"+Inf"`, `"free"`, `false`, `[]`} {
		f(`"cost_usd":`+v, nil, "cost_usd")
	}

	for _, column := range []string{"latency_ms", "ttft_ms"} {
		f(`"`+column+`":1500`, int64(1500), "")
		f(`"`+column+`":1500.9`, int64(1500), "")
		f(`"`+column+`":null`, nil, "")
		for _, v := range []string{`-1`, `1e19`, `1e400`, `"NaN"`, `"long"`, `{}`} {
			f(`"`+column+`":`+v, nil, column)
		}
	}

	for _, column := range []string{"input_text", "error_message", "session_id", "agent", "operation"} {
		f(`"`+column+`":"text"`, "text", "")
		f(`"`+column+`":null`, nil, "")
	}
	for _, column := range []string{"otel_trace_id", "otel_span_id", "otel_parent_span_id"} {
		f(`"`+column+`":"00FFab"`, "00ffab", "")
		f(`"`+column+`":"text"`, nil, column)
		f(`"`+column+`":null`, nil, "")
	}
	f(`"session_id":5`, nil, "session_id")
	f(`"agent":{"name":"main"}`, nil, "agent")
	f(`"error_message":["a",["b"]]`, nil, "error_message")
	// A list of messages stays what it is.
	f(`"input_text":[{"role": "user"}]`, `[{"role": "user"}]`, "")
	f(`"input_text":7`, "7", "")

	s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m","latency_ms":-1,"prompt_tokens":{},"latency_ms":-2,"trace_id":5}`)
	if note := object(t, s.last("llm_traces")["metadata"])["openclaw_trace.invalid"]; note != "latency_ms prompt_tokens trace_id" {
		t.Errorf("noted %q", note)
	}
}

func TestNativeRepairsAreCounted(t *testing.T) {
	s := newServer(t)
	s.post(202, "/v1/traces", jsonType, `[{"provider":"p","model":"m","prompt_tokens":-1,"cost_usd":"x"},{"provider":"p","model":"m","input_text":"a\u0000b"}]`)
	s.post(202, "/v1/errors", jsonType, `{"error_type":"e","message":"x","stack_trace":1}`)
	diff(t, "ledger", map[string]int64{
		"llm_trace received: ": 2, "llm_trace repaired: value": 2, "llm_trace repaired: text": 1,
		"error_event received: ": 1, "error_event repaired: value": 1,
	}, s.ledger())
}

// Sums of absurd numbers, which the columns hold, must not stop what comes after them.
func TestNativeHugeNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		for _, cost := range []string{"1e300", "9e9", "9e9"} {
			s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m","created_at":900000000000,"cost_usd":`+cost+
				`,"prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807,"latency_ms":9e18}`)
			time.Sleep(2 * time.Second) // the sums are written once a second
		}
		s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m","created_at":900000000000,"prompt_tokens":1}`)
		time.Sleep(2 * time.Second)
		if fault := s.writer.Fault(); fault != "" {
			t.Errorf("the writer is at fault: %s", fault)
		}
		var calls int64
		for _, r := range s.rows("usage_by_day") {
			calls += r["calls"].(int64)
		}
		if calls != 4 {
			t.Errorf("the sums are of %d calls, want 4", calls)
		}
		if got := s.ledger()["llm_trace received: "]; got != 4 {
			t.Errorf("the ledger has %d calls, want 4", got)
		}
	})
}

func TestNativeStatus(t *testing.T) {
	s := newServer(t)
	f := func(members, status string, errorType any) {
		t.Helper()
		s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m"`+members+`}`)
		got := s.last("llm_traces")
		if got["status"] != status || got["error_type"] != errorType {
			t.Errorf("%s: %v, %v; want %v, %v", members, got["status"], got["error_type"], status, errorType)
		}
	}
	f(``, "ok", nil)
	f(`,"status":""`, "ok", nil)
	f(`,"status":null`, "ok", nil)
	f(`,"error_type":""`, "ok", nil)
	f(`,"error_type":null`, "ok", nil)
	f(`,"error_type":"rate_limit"`, "error", "rate_limit")
	f(`,"error_type":"Timeout"`, "timeout", "Timeout")
	f(`,"error_type":"request_timed_out"`, "timeout", "request_timed_out")
	f(`,"error_type":"ETIMEDOUT"`, "timeout", "ETIMEDOUT")
	f(`,"error_type":"context deadline exceeded"`, "timeout", "context deadline exceeded")
	f(`,"status":"error"`, "error", nil)
	f(`,"status":"error","error_type":"timeout"`, "error", "timeout")
	f(`,"status":"ok","error_type":"x"`, "ok", "x")
	f(`,"status":"timeout","error_type":"x"`, "timeout", "x")
	f(`,"status":5,"error_type":"x"`, "error", "x")
}

func TestNativeCreatedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		now := time.Now().UnixMilli()
		f := func(members string, want int64, metadata any) {
			t.Helper()
			s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m"`+members+`}`)
			got := s.last("llm_traces")
			if got["created_at"] != want || got["metadata"] != metadata {
				t.Errorf("%s: %v %v, want %d %v", members, got["created_at"], got["metadata"], want, metadata)
			}
		}
		invalid := `{"openclaw_trace.invalid":"created_at"}`
		f(`,"created_at":123456`, 123456, nil)
		f(`,"created_at":123456.7`, 123456, nil)
		f(`,"created_at":"123456"`, 123456, nil)
		f(`,"created_at":"1999-12-31T23:00:00+01:00"`, 946677600000, nil)
		f(`,"created_at":"1999-12-31T22:00:00.123456Z"`, 946677600123, nil)
		f(`,"created_at":null`, now, nil)
		f(`,"created_at":null,"latency_ms":250`, now-250, nil)
		f(`,"latency_ms":1000000000000`, 0, nil)
		f(fmt.Sprintf(`,"created_at":%d`, now+5000), now, fmt.Sprintf(`{"openclaw_trace.created_at":%d}`, now+5000))
		f(fmt.Sprintf(`,"created_at":%d,"metadata":{"a":1}`, now+1), now, fmt.Sprintf(`{"a":1,"openclaw_trace.created_at":%d}`, now+1))
		f(`,"created_at":0`, now, invalid)
		f(`,"created_at":-5`, now, invalid)
		f(`,"created_at":1e30`, now, invalid)
		f(`,"created_at":"yesterday"`, now, invalid)
		f(`,"created_at":"1969-12-31T23:59:59Z"`, now, invalid)
		f(`,"created_at":{"$date":1}`, now, invalid)
		f(`,"created_at":true`, now, invalid)
	})
}

func TestNativeMetadata(t *testing.T) {
	s := newServer(t)
	f := func(members string, want any) {
		t.Helper()
		s.post(202, "/v1/errors", jsonType, `{"error_type":"e","message":"x"`+members+`}`)
		diff(t, members, want, s.last("error_events")["metadata"])
	}
	f(`,"metadata":{}`, nil)
	f(`,"metadata":{ }`, nil)
	f(`,"metadata":null`, nil)
	f(`,"metadata":{"a":1.0,"b":[{"c":null}]}`, `{"a":1.0,"b":[{"c":null}]}`)
	f(`,"metadata":"{\"a\":1}"`, `{"a":1}`)
	f(`,"metadata":" {\"a\":1} "`, `{"a":1}`)
	f(`,"metadata":"{}"`, nil)
	f(`,"metadata":"{\"a\":"`, `{"value":"{\"a\":"}`)
	f(`,"metadata":"[1]"`, `{"value":"[1]"}`)
	f(`,"metadata":"plain"`, `{"value":"plain"}`)
	f(`,"metadata":[1,2]`, `{"value":[1,2]}`)
	f(`,"metadata":5`, `{"value":5}`)
	f(`,"metadata":"`+strings.Repeat("[", 70)+strings.Repeat("]", 70)+`"`, `{"value":"`+strings.Repeat("[", 70)+strings.Repeat("]", 70)+`"}`)
	f(`,"metadata":"`+strings.Repeat(`{\"a\":`, 70)+`1`+strings.Repeat("}", 70)+`"`, `{"value":"`+strings.Repeat(`{\"a\":`, 70)+`1`+strings.Repeat("}", 70)+`"}`)
	f(`,"extra":{"x":1},"metadata":{"a":1},"more":"y"`, `{"extra":{"x":1},"a":1,"more":"y"}`)
	f(`,"a \"quoted\" name":1`, `{"a \"quoted\" name":1}`)
	f(`,"nul":"a\u0000b\\u0000","esc":"\u00e9"`, `{"nul":"a\ufffdb\\u0000","esc":"\u00e9"}`)
	f(",\"bad\":\"a\xffb\"", "{\"bad\":\"a\uFFFDb\"}")
	f(",\"bad\xff\":1", "{\"bad\uFFFD\":1}")
	// Half a surrogate pair is no text: databases behind a remote refuse it.
	f(`,"half":"\ud83d","metadata":{"k":["\uDE00x"]}`, `{"half":"�","k":["�x"]}`)
	f(`,"whole":"\ud83d\ude00"`, `{"whole":"😀"}`)
	f(`,"slash":"\\ud83d"`, `{"slash":"\\ud83d"}`)
}

// Metadata stops growing at its limit, and the event says so.
func TestNativeMetadataLimit(t *testing.T) {
	s := newServer(t)
	big := strings.Repeat("x", api.MaxMetadata)
	s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m","first":1,"big":"`+big+`","metadata":{"b":"`+big+`"},"last":2}`)
	diff(t, "metadata", any(`{"first":1,"last":2,"openclaw_trace.invalid":"metadata"}`), s.last("llm_traces")["metadata"])

	s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m"`+strings.Repeat(`,"prompt_tokens":-1`, 50_000)+`}`)
	diff(t, "metadata", any(`{"openclaw_trace.invalid":"prompt_tokens"}`), s.last("llm_traces")["metadata"])
}

func TestNativeText(t *testing.T) {
	s := newServer(t, func(set *settings) { set.MaxTextBytes = 64 })
	long := strings.Repeat("é", 50)
	s.post(202, "/v1/traces", jsonType, "{\"provider\":\"p\xff\",\"model\":\"m\\u0000\",\"input_text\":\""+long+"\",\"output_text\":\"a\xc3b\\u0000\\ud800\"}")
	got := s.last("llm_traces")
	diff(t, "call", row{
		"provider": "p\uFFFD", "model": "m\uFFFD", "input_text": strings.Repeat("é", 32), "output_text": "a\uFFFDb\uFFFD\uFFFD",
		"metadata": `{"openclaw_trace.input_bytes":100}`,
	}, row{
		"provider": got["provider"], "model": got["model"], "input_text": got["input_text"], "output_text": got["output_text"],
		"metadata": got["metadata"],
	})
}

// A body that is no JSON is refused whole, and the answer says where.
func TestNativeMalformed(t *testing.T) {
	s := newServer(t)
	f := func(kind, body, want string) {
		t.Helper()
		got, _ := object(t, s.post(400, "/v1/traces", kind, body))["message"].(string)
		if got != want {
			t.Errorf("%.80q:\n got %s\nwant %s", body, got, want)
		}
	}
	good := `{"provider":"p","model":"m"}` // of 28 bytes
	f(jsonType, ``, "the body is malformed JSON: it ends early at byte 0")
	f(jsonType, `   `, "the body is malformed JSON: it ends early at byte 0")
	f(jsonType, `{"provider":"p","mod`, "the body is malformed JSON: it ends early at byte 20")
	f(jsonType, `{"provider":"p"`, "the body is malformed JSON: it ends early at byte 15")
	f(jsonType, `[`+good, "the body is malformed JSON: it ends early at byte 29")
	f(jsonType, `[`+good+`,`, "the body is malformed JSON: it ends early at byte 30")
	f(jsonType, `[`+good+`,{"provider":tru`, "the body is malformed JSON: it ends early at byte 45")
	f(jsonType, good+` `+good, "the body is malformed JSON: unexpected data after the JSON value at byte 28")
	f(jsonType, good+`]`, "the body is malformed JSON: unexpected data after the JSON value at byte 28")
	f(jsonType, `[`+good+`]x`, "the body is malformed JSON: invalid character 'x' at start of value at byte 30")
	f(jsonType, `[`+good+` `+good+`]`, "the body is malformed JSON: invalid character '{' after array element (expecting ',' or ']') at byte 30")
	f(jsonType, `[`+good+`,]`, "the body is malformed JSON: invalid character ',' at start of value at byte 29")
	f(jsonType, `{"a":"\x"}`, "the body is malformed JSON: invalid escape sequence `\\x` in string at byte 6")
	f(jsonType, `{"provider":"a`+"\n"+`b"}`, "the body is malformed JSON: invalid character '\\n' in string (expecting non-control character) at byte 14")
	f(jsonType, `{"a" 1}`, "the body is malformed JSON: invalid character '1' after object name (expecting ':') at byte 5")
	f(jsonType, `{1:2}`, "the body is malformed JSON: object member name must be a string at byte 1")
	f(jsonType, `{"n":01}`, "the body is malformed JSON: invalid character '1' after object value (expecting ',' or '}') at byte 6")
	f(jsonType, `{"n":NaN}`, "the body is malformed JSON: invalid character 'N' at start of value at byte 5")
	f(ndjsonType, good+"\n{\"provider\":\n", "the body is malformed JSON: it ends early at byte 42")
	f(ndjsonType, good+"\n,\n"+good, "the body is malformed JSON: invalid character ',' at start of value at byte 29")
	deep := strings.Repeat("[", 63)
	f(jsonType, `{"metadata":`+deep+`[[`, "the body is nested deeper than 64 at byte 75")
	f(jsonType, strings.Repeat("[", 1<<20), "the body is nested deeper than 64 at byte 64")
	if got := s.rows("llm_traces"); len(got) != 0 {
		t.Errorf("%d rows of malformed bodies", len(got))
	}

	// Brackets in strings are none, and 64 levels are allowed.
	s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"`+strings.Repeat(`[\"`, 70)+`","metadata":`+deep+strings.Repeat("]", 63)+`}`)
}

// One bad event takes no other with it.
func TestNativeOneBadOfMany(t *testing.T) {
	s := newServer(t)
	events := slices.Repeat([]string{`{"provider":"p","model":"m"}`}, 500)
	events[321] = `{"provider":"p"}`
	answer := object(t, s.post(202, "/v1/traces", jsonType, "["+strings.Join(events, ",")+"]"))
	diff(t, "rejected", []any{map[string]any{"index": 321.0, "reason": "model is required"}}, answer["rejected"].([]any))
	if answer["accepted"] != 499.0 || len(s.rows("llm_traces")) != 499 {
		t.Errorf("accepted %v, stored %d", answer["accepted"], len(s.rows("llm_traces")))
	}
	if refused := s.ledger()["llm_trace refused: invalid"]; refused != 1 {
		t.Errorf("%d refusals are counted", refused)
	}
}

// Of the rejections no more are listed than somebody reads; all are counted.
func TestNativeManyRejected(t *testing.T) {
	s := newServer(t)
	answer := object(t, s.post(400, "/v1/errors", jsonType, "["+strings.Repeat("{},", 250)+"{}]"))
	if n := len(answer["rejected"].([]any)); n != 100 || answer["rejected_count"] != 251.0 {
		t.Errorf("%d are listed, count %v", n, answer["rejected_count"])
	}
	if refused := s.writer.Books().Refused; refused != 251 {
		t.Errorf("%d are counted as refused, want 251", refused)
	}
}

func TestNativeTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no slow machine lets the commit come too late
		s := newServer(t)
		body := "[" + strings.Repeat(`{"provider":"p","model":"m"},`, api.MaxEvents+2) + `{"provider":"p","model":"m"}]`
		answer := object(t, s.post(202, "/v1/traces", jsonType, body))
		if answer["accepted"] != float64(api.MaxEvents) || s.writer.Books().Received != api.MaxEvents {
			t.Errorf("accepted %v, stored %d", answer["accepted"], s.writer.Books().Received)
		}
		first := map[string]any{"index": float64(api.MaxEvents), "reason": "more than 10000 events in one request"}
		if list := answer["rejected"].([]any); len(list) != 3 {
			t.Errorf("%d rejected", len(list))
		} else {
			diff(t, "rejected", any(first), list[0])
		}
	})
}

// A small body must not become a large heap: generic decoding would need about
// fifty times the size of this one.
func TestNativeMemory(t *testing.T) {
	s := newServer(t)
	for _, element := range []string{"{}", "0", `""`, "[]"} {
		body := "[" + strings.Repeat(element+",", 1<<20/(len(element)+1)) + element + "]"
		s.post(400, "/v1/traces", jsonType, "[0]") // whatever the first request needs
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s.post(400, "/v1/traces", jsonType, body)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 6*uint64(len(body)) {
			t.Errorf("%s: %d bytes allocated for a body of %d", element, got, len(body))
		}
	}
}
