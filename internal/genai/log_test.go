package genai_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestLogSeverity(t *testing.T) {
	f := func(want string, number int, text string) {
		t.Helper()
		m := logs(t, message{"severityNumber": number, "severityText": text, "body": anyValue("x")})
		got := ""
		if len(m.Batch.Errors) > 0 {
			got = m.Batch.Errors[0].Severity
		}
		if got != want {
			t.Errorf("%d %q: %q, want %q", number, text, got, want)
		}
	}
	for number, want := range map[int]string{
		0: "", 1: "", 9: "", 12: "", 13: "warning", 16: "warning", 17: "error", 20: "error", 21: "critical", 24: "critical", 25: "critical",
	} {
		f(want, number, "")
	}
	// The text helps where there is no number, and only there.
	for text, want := range map[string]string{
		"TRACE": "", "DEBUG": "", "INFO": "", "notice": "", "warn": "warning", "Warning": "warning",
		"error": "error", "ERR": "error", "fatal": "critical", "CRITICAL": "critical", "panic": "critical", "emergency": "critical", "Alert": "critical",
	} {
		f(want, 0, text)
		f("", 9, text)
		f("error", 17, text)
	}
}

func TestLogRow(t *testing.T) {
	got := errorEvent(t, message{
		"timeUnixNano": "1700000000123456789", "observedTimeUnixNano": "1800000000000000000", "severityNumber": 17, "body": anyValue("it broke"),
		"eventName": "app.crash", "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "1112131415161718",
		"attributes": attrs{"exception.stacktrace": "main.go:1", "exception.type": "Boom", "k": []any{1}}.list(),
	})
	delete(got, "TraceID")
	diff(t, "row", map[string]any{
		"CreatedAt": 1700000000123.0, "ErrorType": "log", "Severity": "error", "Message": "it broke", "StackTrace": "main.go:1",
		"Metadata": map[string]any{
			"exception.type": "Boom", "k": []any{1.0}, "log.event_name": "app.crash",
			"log.trace_id": "0102030405060708090a0b0c0d0e0f10", "log.span_id": "1112131415161718",
			"service.name": "agent", "host.name": "box",
		},
	}, got)
	if got := errorEvent(t, message{"observedTimeUnixNano": "1800000000000000000", "severityNumber": 13}); got["CreatedAt"] != 1800000000000.0 {
		t.Errorf("observed: %v", got["CreatedAt"])
	}
	if got := errorEvent(t, message{"severityNumber": 13, "attributes": attrs{"exception.stacktrace": 5}.list()}); got["StackTrace"] != nil {
		t.Errorf("a stack trace that is no text: %v", got["StackTrace"])
	}
}

func TestLogMessage(t *testing.T) {
	f := func(errorType, text string, body any, a attrs, more message) {
		t.Helper()
		record := message{"severityNumber": 13, "body": anyValue(body), "attributes": a.list()}
		for k, v := range more {
			record[k] = v
		}
		got := errorEvent(t, record)
		if got["ErrorType"] != errorType || got["Message"] != text {
			t.Errorf("%v %v %v: %v %v, want %v %v", body, a, more, got["ErrorType"], got["Message"], errorType, text)
		}
		// A body that is not the message is not lost.
		if s, ok := body.(string); ok && s != "" && s != text && got["Metadata"].(map[string]any)["log.body"] != s {
			t.Errorf("%v: the body is lost: %v", body, got["Metadata"])
		}
	}
	f("log", "told", "told", nil, nil)
	f("log", `{"k":["v",1]}`, attrs{"k": []any{"v", 1}}, nil, nil)
	f("log", "7", 7, nil, nil)
	// With content off OpenClaw sends the word log.
	f("log", "broken", "log", attrs{"openclaw.error": "broken"}, nil)
	f("log", "raised", "log", attrs{"exception.message": "raised"}, nil)
	f("log", "preview", "log", attrs{"openclaw.errorPreview": "preview"}, nil)
	f("log", "raw", "log", attrs{"openclaw.rawErrorPreview": "raw", "openclaw.event": "other"}, nil)
	f("log", "broken", "log", attrs{"openclaw.error": "broken", "openclaw.rawErrorPreview": "raw"}, nil)
	f("log", "said", "said", attrs{"openclaw.error": "broken"}, nil)
	f("log", "log", "log", nil, nil)
	// Without a body, the best there is.
	f("log", "broken", nil, attrs{"openclaw.error": "broken"}, nil)
	f("log", "thing", "", attrs{"openclaw.event": "thing", "exception.type": "Boom"}, message{"eventName": "app.x", "severityText": "WARN"})
	f("log", "app.x", nil, attrs{"exception.type": "Boom"}, message{"eventName": "app.x", "severityText": "WARN"})
	f("log", "Boom", nil, attrs{"exception.type": "Boom"}, message{"severityText": "WARN"})
	f("log", "WARN", nil, nil, message{"severityText": "WARN"})
	f("log", "warning", nil, nil, nil)
	// What went wrong with a model is told by the error, not by the event's text.
	for _, event := range []string{
		"embedded_run_agent_end", "embedded_run_failover_decision", "model_fallback_decision", "model_fallback_chain_stopped", "auth_profile_failure_state_updated",
	} {
		f("llm_error", "429", "run ended", attrs{"openclaw.event": event, "openclaw.error": "429", "openclaw.rawErrorPreview": "{}"}, nil)
		f("llm_error", "{}", "run ended", attrs{"openclaw.event": event, "openclaw.rawErrorPreview": "{}"}, nil)
		f("llm_error", "run ended", "run ended", attrs{"openclaw.event": event}, nil)
		f("llm_error", "run ended", "run ended", nil, message{"eventName": event})
	}
	got := errorEvent(t, message{
		"severityNumber": 13, "body": anyValue(attrs{"k": "v"}),
		"attributes": attrs{"openclaw.event": "embedded_run_agent_end", "openclaw.error": "429"}.list(),
	})
	if body := got["Metadata"].(map[string]any)["log.body"]; got["Message"] != "429" || body != `{"k":"v"}` {
		t.Errorf("message %v, body %v", got["Message"], body)
	}
}

// A record sent again is the same one, in whatever order its attributes come; a
// record that differs in anything is another.
func TestLogID(t *testing.T) {
	list := attrs{"a": 1, "b": "x", "c": []any{1}}.list()
	record := func(more message) message {
		r := message{
			"timeUnixNano": "1700000000123456789", "severityNumber": 17, "severityText": "ERROR", "body": anyValue("it broke"),
			"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "1112131415161718", "attributes": list,
		}
		for k, v := range more {
			r[k] = v
		}
		return r
	}
	id := func(more message) string {
		t.Helper()
		return errorEvent(t, record(more))["TraceID"].(string)
	}
	first := id(nil)
	u, err := uuid.Parse(first)
	if err != nil || u.Version() != 8 || u.Variant() != uuid.RFC4122 || !strings.HasPrefix(first, "018bcfe5-687b-8") {
		t.Errorf("%s: version %d, variant %s, %v", first, u.Version(), u.Variant(), err)
	}
	reversed := slices.Clone(list)
	slices.Reverse(reversed)
	for _, more := range []message{nil, {"attributes": reversed}, {"observedTimeUnixNano": "1900000000000000000"}} {
		if again := id(more); again != first {
			t.Errorf("%v: %s, was %s", more, again, first)
		}
	}
	seen := map[string]message{first: nil}
	for _, more := range []message{
		{"timeUnixNano": "1700000000123456788"}, {"severityNumber": 18}, {"severityText": "error"}, {"body": anyValue("it broke!")},
		{"body": anyValue(1)}, {"body": anyValue("1")}, {"body": anyValue([]any{"1"})}, {"body": anyValue(`["1"]`)}, {"body": anyValue("")}, {"body": message{}},
		{"eventName": "e"}, {"traceId": ""}, {"spanId": ""}, {"spanId": "1112131415161719"},
		{"attributes": []message{}}, {"attributes": list[:2]}, {"attributes": attrs{"a": 2, "b": "x", "c": []any{1}}.list()},
		{"attributes": attrs{"a": "1", "b": "x", "c": []any{1}}.list()}, {"attributes": attrs{"a": "x", "b": 1, "c": []any{1}}.list()},
		{"attributes": attrs{"a": 1, "b": "x", "d": []any{1}}.list()},
	} {
		other := id(more)
		if twin, ok := seen[other]; ok {
			t.Errorf("%v has the identity of %v", more, twin)
		}
		seen[other] = more
	}
}
