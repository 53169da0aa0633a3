package genai_test

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

const maxText = 1024

// attrs are the attributes of a span, an event or a log record.
type attrs map[string]any

// message is a message of OTLP JSON.
type message map[string]any

func anyValue(v any) message {
	switch v := v.(type) {
	case string:
		return message{"stringValue": v}
	case bool:
		return message{"boolValue": v}
	case int:
		return message{"intValue": strconv.Itoa(v)}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return message{"doubleValue": map[bool]string{true: "NaN", false: "Infinity"}[math.IsNaN(v)]}
		}
		return message{"doubleValue": v}
	case []any:
		list := []message{}
		for _, e := range v {
			list = append(list, anyValue(e))
		}
		return message{"arrayValue": message{"values": list}}
	case attrs:
		return message{"kvlistValue": message{"values": v.list()}}
	}
	return message{}
}

// list returns a in OTLP's form, in the order of its keys.
func (a attrs) list() []message {
	list := []message{}
	for _, key := range slices.Sorted(maps.Keys(a)) {
		list = append(list, message{"key": key, "value": anyValue(a[key])})
	}
	return list
}

var resource = message{"attributes": attrs{"service.name": "agent", "host.name": "box", "process.pid": 7}.list()}

// span returns a span that took 1.5 s. more are further fields.
func span(name string, a attrs, more ...message) message {
	s := message{
		"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "1112131415161718",
		"name": name, "startTimeUnixNano": "1700000000123456789", "endTimeUnixNano": "1700000001623456789",
		"attributes": a.list(),
	}
	for _, m := range more {
		maps.Copy(s, m)
	}
	return s
}

var failed = message{"status": message{"code": 2}}

func traces(t *testing.T, spans ...message) *genai.Mapped {
	t.Helper()
	body, err := json.Marshal(message{"resourceSpans": []message{{
		"resource": resource, "scopeSpans": []message{{"spans": spans}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := genai.Traces(body, otlp.JSON, maxText)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func logs(t *testing.T, records ...message) *genai.Mapped {
	t.Helper()
	body, err := json.Marshal(message{"resourceLogs": []message{{
		"resource": resource, "scopeLogs": []message{{"logRecords": records}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := genai.Logs(body, otlp.JSON, maxText)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fields returns a row by the names of its Go fields, a NULL as nil, and its
// metadata as an object.
func fields(t *testing.T, row any) map[string]any {
	t.Helper()
	b, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	var f map[string]any
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if text, ok := f["Metadata"].(string); ok {
		f["Metadata"] = metadataOf(t, &text)
	}
	return f
}

// call maps a span that must be an LLM call.
func call(t *testing.T, s message) map[string]any {
	t.Helper()
	m := traces(t, s)
	if len(m.Batch.Calls) != 1 || len(m.Batch.Spans) != 0 {
		t.Fatalf("%d calls and %d spans", len(m.Batch.Calls), len(m.Batch.Spans))
	}
	return fields(t, m.Batch.Calls[0])
}

func errorEvent(t *testing.T, record message) map[string]any {
	t.Helper()
	m := logs(t, record)
	if len(m.Batch.Errors) != 1 {
		t.Fatalf("%d error events", len(m.Batch.Errors))
	}
	return fields(t, m.Batch.Errors[0])
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got)\n%s", what, d)
	}
}
