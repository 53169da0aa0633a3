package otlp_test

import (
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// captured returns the bodies that real OpenClaw processes have sent, by file name.
func captured(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("../genai/testdata/openclaw", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no captured bodies %s: %v", pattern, err)
	}
	out := make(map[string][]byte)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(name)] = b
	}
	return out
}

// Run the fuzz targets with -fuzzminimizetime=10x: by default each new input is
// minimized for up to a minute, during which nothing else is tried.

func FuzzProtobufTraces(f *testing.F) {
	for _, body := range captured(f, "*-traces.pb") {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkProtobuf(t, body, otlp.Traces) })
}

func FuzzProtobufLogs(f *testing.F) {
	for _, body := range captured(f, "*-logs.pb") {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkProtobuf(t, body, otlp.Logs) })
}

func FuzzJSONTraces(f *testing.F) {
	for _, body := range captured(f, "*-traces.pb") {
		m := newRequest(otlp.Traces)
		if err := proto.Unmarshal(body, m); err != nil {
			f.Fatal(err)
		}
		f.Add(jsonBody(f, m))
	}
	f.Fuzz(checkJSON)
}
