package genai_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// A reading of the host is metrics with the names and units of OpenTelemetry's
// conventions for systems and processes, and what was not read is none.
func TestExportReading(t *testing.T) {
	e := genai.NewExporter(otlp.Origin{ScopeName: "openclaw-trace"})
	got := make(map[string][]string)
	describe := func(list []otlp.Metric) {
		for _, m := range list {
			for _, p := range m.Points {
				text := m.Unit
				for _, kv := range p.Attrs {
					text += " " + kv.Key + "=" + kv.Value.Str
				}
				got[m.Name] = append(got[m.Name], text+" "+string(otlp.AppendJSON(nil, &p.Value)))
				if p.TimeNano != 1_700_000_000_123_000_000 {
					t.Errorf("%s at %d", m.Name, p.TimeNano)
				}
			}
		}
	}
	n := func(n int64) *int64 { return &n }
	describe(e.Reading(&db.SystemMetric{
		TraceID: "0b9c2f0e-6a1d-4c57-9d0e-2f6f3f0c8a11", CreatedAt: 1_700_000_000_123, CpuPct: new(12.5), MemRssBytes: n(1), MemAvailable: n(2), MemTotal: n(3),
		DiskUsedBytes: n(4), DiskTotalBytes: n(5), DiskFreeBytes: n(6),
	}))
	want := map[string][]string{
		"system.cpu.utilization":        {"1 0.125"},
		"system.memory.usage":           {"By system.memory.state=used 1"},
		"system.memory.linux.available": {"By 2"},
		"system.memory.limit":           {"By 3"},
		"system.filesystem.usage":       {"By system.filesystem.state=used 4", "By system.filesystem.state=free 6"},
		"system.filesystem.limit":       {"By 5"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
	clear(got)
	describe(e.Reading(&db.SystemMetric{TraceID: "0b9c2f0e-6a1d-4c57-9d0e-2f6f3f0c8a11", CreatedAt: 1_700_000_000_123, CpuPct: new(0.0)}))
	if d := cmp.Diff(map[string][]string{"system.cpu.utilization": {"1 0"}}, got); d != "" {
		t.Errorf("metrics of one value (-want +got):\n%s", d)
	}
}
