package api_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	collogs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// captured returns the bodies that a real OpenClaw sent, each with its path.
func captured(t testing.TB) (bodies map[string][]byte, paths map[string]string) {
	t.Helper()
	files, err := filepath.Glob("../genai/testdata/openclaw/*.pb")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captured bodies: %v", err)
	}
	bodies, paths = make(map[string][]byte), make(map[string]string)
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".pb")
		bodies[name], paths[name] = body, "/v1/"+name[strings.LastIndex(name, "-")+1:]
	}
	return bodies, paths
}

// newRequest returns the message that is posted to path.
func newRequest(path string) proto.Message {
	switch path {
	case "/v1/traces":
		return new(coltrace.ExportTraceServiceRequest)
	case "/v1/logs":
		return new(collogs.ExportLogsServiceRequest)
	}
	return new(colmetrics.ExportMetricsServiceRequest)
}

var base64ID = regexp.MustCompile(`"(traceId|spanId|parentSpanId)": ?"([^"]*)"`)

// toJSON writes m as OTLP JSON. protojson does but for the ids, which OTLP has in hex.
func toJSON(t testing.TB, m proto.Message) string {
	t.Helper()
	b, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return base64ID.ReplaceAllStringFunc(string(b), func(member string) string {
		part := base64ID.FindStringSubmatch(member)
		id, err := base64.StdEncoding.DecodeString(part[2])
		if err != nil {
			t.Fatal(err)
		}
		return `"` + part[1] + `":"` + hex.EncodeToString(id) + `"`
	})
}

func toProtobuf(t testing.TB, m proto.Message) string {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var dataTables = []string{"llm_traces", "spans", "error_events", "custom_events"}

func (s *server) allRows() map[string][]row {
	all := make(map[string][]row)
	for _, table := range dataTables {
		all[table] = s.rows(table)
	}
	return all
}

// Both encodings of a request are stored alike, and sent again store nothing.
func TestCapturedBodies(t *testing.T) {
	bodies, paths := captured(t)
	names := slices.Sorted(maps.Keys(bodies))
	asProtobuf, asJSON := newServer(t), newServer(t)
	for round := range 2 {
		for _, name := range names {
			m := newRequest(paths[name])
			if err := proto.Unmarshal(bodies[name], m); err != nil {
				t.Fatal(err)
			}
			if w := asProtobuf.post(200, paths[name], protobufType, string(bodies[name])); w.Body.Len() != 0 || w.Header().Get("Content-Type") != protobufType {
				t.Errorf("%s: answer %q of %s", name, w.Body, w.Header().Get("Content-Type"))
			}
			if w := asJSON.post(200, paths[name], jsonType, toJSON(t, m)); w.Body.String() != "{}" || w.Header().Get("Content-Type") != jsonType {
				t.Errorf("%s: answer %s of %s", name, w.Body, w.Header().Get("Content-Type"))
			}
		}
		stored := asProtobuf.allRows()
		diff(t, "rows from JSON", stored, asJSON.allRows())
		n := int64(0)
		for _, rows := range stored {
			n += int64(len(rows))
		}
		books := asProtobuf.writer.Books()
		if books.Received != n || books.Duplicates != int64(round)*n || books.Ignored == 0 || n < 100 {
			t.Errorf("round %d: %d rows; books %+v", round, n, books)
		}
	}
	ledger := asProtobuf.ledger()
	diff(t, "ledger", ledger, asJSON.ledger())
	for _, line := range []string{"log ignored: below WARN", "metric ignored: not kept"} {
		if ledger[line] == 0 {
			t.Errorf("%s is not counted", line)
		}
	}
	if ledger["llm_trace duplicate: conflict"]+ledger["span duplicate: conflict"]+ledger["error_event duplicate: conflict"] != 0 {
		t.Errorf("conflicts in %v", ledger)
	}
}

func attribute(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func spanOf(n byte, attrs ...*common.KeyValue) *trace.Span {
	id := make([]byte, 16)
	id[15] = n
	return &trace.Span{TraceId: id, SpanId: id[8:], Name: "openclaw.model.call", StartTimeUnixNano: 1700000000000000000, EndTimeUnixNano: 1700000001000000000, Attributes: attrs}
}

func tracesOf(spans ...*trace.Span) *coltrace.ExportTraceServiceRequest {
	return &coltrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{ScopeSpans: []*trace.ScopeSpans{{Spans: spans}}}}}
}

// A span that cannot be stored takes no other with it, and its sender is told.
func TestPartialSuccess(t *testing.T) {
	spans := make([]*trace.Span, 200)
	for i := range spans {
		spans[i] = spanOf(byte(i + 1))
	}
	spans[57].SpanId = make([]byte, 8)
	m := tracesOf(spans...)
	const reason = "invalid span_id: want 8 bytes, not all zero"

	s := newServer(t)
	var answer coltrace.ExportTraceServiceResponse
	w := s.post(200, "/v1/traces", protobufType, toProtobuf(t, m))
	if err := proto.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if p := answer.PartialSuccess; p.GetRejectedSpans() != 1 || p.GetErrorMessage() != reason {
		t.Errorf("protobuf: %v", p)
	}
	if n := len(s.rows("llm_traces")); n != 199 {
		t.Errorf("%d rows, want 199", n)
	}
	w = s.post(200, "/v1/traces", jsonType, toJSON(t, m))
	diff(t, "JSON", `{"partialSuccess":{"rejectedSpans":"1","errorMessage":"`+reason+`"}}`, w.Body.String())

	// None of them: still a success in part, or the exporter would send it again.
	w = s.post(200, "/v1/traces", jsonType, toJSON(t, tracesOf(&trace.Span{}, &trace.Span{})))
	diff(t, "JSON", `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"invalid trace_id: want 16 bytes, not all zero"}}`, w.Body.String())

	ledger := s.ledger()
	if ledger["span refused: "+reason] != 2 || ledger["span refused: invalid trace_id: want 16 bytes, not all zero"] != 2 {
		t.Errorf("ledger %v", ledger)
	}
}

func TestTooManyLogRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no slow machine lets the commit come too late
		records := make([]*logs.LogRecord, 10_003)
		for i := range records {
			records[i] = &logs.LogRecord{SeverityNumber: 17, TimeUnixNano: uint64(i+1) * 1e6}
		}
		m := &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{LogRecords: records}}}}}
		s := newServer(t)
		var answer collogs.ExportLogsServiceResponse
		if err := proto.Unmarshal(s.post(200, "/v1/logs", protobufType, toProtobuf(t, m)).Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		if p := answer.PartialSuccess; p.GetRejectedLogRecords() != 3 || p.GetErrorMessage() == "" || s.writer.Books().Received != 10_000 {
			t.Errorf("%v; %d are stored", p, s.writer.Books().Received)
		}
	})
}

func TestEmptyExport(t *testing.T) {
	s := newServer(t)
	for path, list := range map[string]string{"/v1/traces": "resourceSpans", "/v1/logs": "resourceLogs", "/v1/metrics": "resourceMetrics"} {
		if w := s.post(200, path, protobufType, ""); w.Body.Len() != 0 || w.Header().Get("Content-Type") != protobufType {
			t.Errorf("%s: %q of %s", path, w.Body, w.Header().Get("Content-Type"))
		}
		if w := s.post(200, path, jsonType, `{"`+list+`":[]}`); w.Body.String() != "{}" {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	if received := s.writer.Books().Received; received != 0 {
		t.Errorf("%d events of empty requests", received)
	}
}

// What an exporter does not say is unknown, never a guess and never a refusal.
func TestExportDefaults(t *testing.T) {
	s := newServer(t)
	s.post(200, "/v1/traces", jsonType, toJSON(t, tracesOf(spanOf(1), spanOf(2, attribute("gen_ai.system", "p"), attribute("gen_ai.request.model", "m")))))
	rows := s.rows("llm_traces")
	if rows[0]["provider"] != "unknown" || rows[0]["model"] != "unknown" || rows[1]["provider"] != "p" || rows[1]["model"] != "m" {
		t.Errorf("rows %v", rows)
	}
}

// googleStatus parses a google.rpc.Status.
func googleStatus(t *testing.T, w *httptest.ResponseRecorder) (code uint64, message string) {
	t.Helper()
	if w.Header().Get("Content-Type") == jsonType {
		var s struct {
			Code    uint64
			Message string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		return s.Code, s.Message
	}
	for b := w.Body.Bytes(); len(b) > 0; {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatalf("no Status: %q", w.Body)
		}
		b = b[n:]
		switch {
		case num == 1 && kind == protowire.VarintType:
			code, n = protowire.ConsumeVarint(b)
		case num == 2 && kind == protowire.BytesType:
			message, n = protowire.ConsumeString(b)
		default:
			n = -1
		}
		if n < 0 {
			t.Fatalf("no Status: %q", w.Body)
		}
		b = b[n:]
	}
	return code, message
}

// An error is answered in the encoding of its request.
func TestExportErrors(t *testing.T) {
	s := newServer(t, func(set *settings) { set.MaxBodyBytes = 1000 })
	f := func(status int, code uint64, message, method, path, kind, body string, header ...string) {
		t.Helper()
		w := s.do(method, path, body, append(header, "Content-Type: "+kind)...)
		if w.Code != status || w.Header().Get("Content-Type") != kind {
			t.Errorf("%s %s: %d of %s, want %d of %s", method, path, w.Code, w.Header().Get("Content-Type"), status, kind)
		}
		if gotCode, got := googleStatus(t, w); gotCode != code || got != message {
			t.Errorf("%s %s: %d %q, want %d %q", method, path, gotCode, got, code, message)
		}
	}
	for _, path := range []string{"/v1/traces", "/v1/logs", "/v1/metrics"} {
		f(400, 3, "the body is malformed: varint is cut off at byte 1", "POST", path, protobufType, "\x0a")
		for _, kind := range []string{protobufType, jsonType} {
			f(403, 7, "this Host is not allowed; OCT_ALLOWED_HOSTS may add it", "POST", path, kind, "", "Host: evil.example")
			f(403, 7, "cross-origin requests are not allowed", "POST", path, kind, "", "Origin: https://evil.example")
			f(405, 12, "this method is not allowed here; allowed: POST", "PUT", path, kind, "")
			f(413, 8, "the body is larger than 1000 bytes (OCT_MAX_BODY_BYTES, counted after decompression); send smaller batches", "POST", path, kind, strings.Repeat(" ", 1001))
			f(415, 3, `this Content-Encoding is not supported; send gzip or none`, "POST", path, kind, "", "Content-Encoding: zstd")
		}
	}
	f(404, 5, "there is nothing at this path", "POST", "/v1/profiles", protobufType, "")
	f(415, 3, `this Content-Type is not supported here; send application/json or application/x-ndjson`, "POST", "/v1/errors", protobufType, "")
	s.Lost("test")
	for _, kind := range []string{protobufType, jsonType} {
		f(503, 14, "the database is not open: test", "POST", "/v1/traces", kind, "")
	}
}

// Native and OTLP JSON share a path; the member resourceSpans makes the difference.
func TestJSONIsNativeOrOTLP(t *testing.T) {
	s := newServer(t)
	f := func(status int, answer, body string) {
		t.Helper()
		if got := s.post(status, "/v1/traces", jsonType, body).Body.String(); !strings.HasPrefix(got, answer) {
			t.Errorf("%s:\n got %s\nwant %s", body, got, answer)
		}
	}
	f(200, `{}`, `{"resourceSpans":[]}`)
	f(200, `{}`, ` { "schema": {"resourceSpans": 1}, "resourceSpans" : [ ] }`)
	f(400, `{"code":3,"message":"the body is malformed: `, `{"resourceSpans":[`)
	f(202, `{"accepted":1,`, `{"provider":"p","model":"m","input_text":"{\"resourceSpans\":[]}"}`)
	f(202, `{"accepted":1,`, `{"provider":"p","model":"m","metadata":{"resourceSpans":[]}}`)
	f(202, `{"accepted":1,`, `[{"provider":"p","model":"m","resourceSpans":[]}]`)
	f(400, `{"code":3,"message":"provider is required"`, `{}`)
	f(400, `{"code":3,"message":"the body is malformed JSON: `, `{"a":x,"resourceSpans":[]}`)
}
