package otlp_test

import (
	"testing"

	collogs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

func TestContentType(t *testing.T) {
	if p, j := otlp.Protobuf.ContentType(), otlp.JSON.ContentType(); p != "application/x-protobuf" || j != "application/json" {
		t.Errorf("%s, %s", p, j)
	}
}

func TestExportResponse(t *testing.T) {
	f := func(sig otlp.Signal, rejected int64, message, wantJSON string, want proto.Message) {
		t.Helper()
		if got := otlp.ExportResponse(otlp.JSON, sig, rejected, message); string(got) != wantJSON {
			t.Errorf("got %s, want %s", got, wantJSON)
		}
		got := want.ProtoReflect().New().Interface()
		b := otlp.ExportResponse(otlp.Protobuf, sig, rejected, message)
		if err := proto.Unmarshal(b, got); err != nil || !proto.Equal(got, want) {
			t.Errorf("%x is %v, %v; want %v", b, got, err, want)
		}
	}
	f(otlp.Traces, 0, "", `{}`, &coltrace.ExportTraceServiceResponse{})
	f(otlp.Logs, -1, "", `{}`, &collogs.ExportLogsServiceResponse{})
	f(otlp.Logs, -1, "m", `{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"m"}}`,
		&collogs.ExportLogsServiceResponse{PartialSuccess: &collogs.ExportLogsPartialSuccess{ErrorMessage: "m"}})
	f(otlp.Traces, 3, `no "id"`, `{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no \"id\""}}`,
		&coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: 3, ErrorMessage: `no "id"`}})
	f(otlp.Logs, 1<<40, "", `{"partialSuccess":{"rejectedLogRecords":"1099511627776","errorMessage":""}}`,
		&collogs.ExportLogsServiceResponse{PartialSuccess: &collogs.ExportLogsPartialSuccess{RejectedLogRecords: 1 << 40}})
	f(otlp.Metrics, 0, "a\xffb", `{"partialSuccess":{"rejectedDataPoints":"0","errorMessage":"a`+"\uFFFD"+`b"}}`,
		&colmetrics.ExportMetricsServiceResponse{PartialSuccess: &colmetrics.ExportMetricsPartialSuccess{ErrorMessage: "a\uFFFDb"}})
}

func TestStatusBody(t *testing.T) {
	f := func(code int32, message, wantJSON string, want []byte) {
		t.Helper()
		if got := otlp.StatusBody(otlp.JSON, code, message); string(got) != wantJSON {
			t.Errorf("got %s, want %s", got, wantJSON)
		}
		if got := otlp.StatusBody(otlp.Protobuf, code, message); string(got) != string(want) {
			t.Errorf("got %x, want %x", got, want)
		}
	}
	f(3, "bad at byte 5\n", `{"code":3,"message":"bad at byte 5\n"}`, join(varint(1, 3), text(2, "bad at byte 5\n")))
	f(-1, "", `{"code":-1,"message":""}`, varint(1, 1<<64-1))
	f(0, "m", `{"code":0,"message":"m"}`, text(2, "m"))
}
