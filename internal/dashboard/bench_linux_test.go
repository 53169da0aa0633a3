package dashboard_test

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

var (
	benchCalls = flag.Int("calls", 1_000_000, "how many calls the database of BenchmarkPages holds")
	benchDays  = flag.Int("days", 30, "in how many days they were made")
	benchDB    = flag.String("db", "", "keep the database of BenchmarkPages at this path, and take it as it is if it is there")
)

// BenchmarkPages asks for pages of a database of a million calls of a month, and tells
// the CPU time that each takes: that of the whole process, with its collections.
func BenchmarkPages(b *testing.B) {
	path, filled := *benchDB, false
	if path == "" {
		path = filepath.Join(b.TempDir(), "trace.db")
	} else if _, err := os.Stat(path); err == nil {
		filled = true
	}
	f := openFixture(b, path)
	last := callID(*benchCalls - 1)
	if !filled {
		f.crowd(*benchCalls, *benchDays)
	}
	for _, p := range []struct{ name, target string }{
		// All sessions reach out of each range, but for the last: all that there is. The
		// sums of sessions are remembered, so that the average of the first asks is higher.
		{"overview", "/"}, {"overview-first", "/"}, {"overview-7d", "/?since=7d"}, {"overview-29d", "/?since=29d"}, {"overview-30d", "/?since=30d"},
		{"calls", "/calls"}, {"call", "/calls/" + last}, {"sessions", "/sessions"}, {"session", "/sessions/session-7"},
		{"errors", "/errors"}, {"logs", "/logs"}, {"system", "/system"},
		{"filter-failed", "/calls?status=failed&since=30d"}, {"filter-model", "/calls?model=model-2&since=30d"}, {"filter-session", "/calls?session=session-7&since=30d"},
		{"filter-cost", "/calls?min_cost=1000&since=30d"}, {"filter-latency", "/calls?min_latency=1h&since=30d"}, {"filter-words", "/calls?q=refund&since=30d"}, {"filter-nothing", "/calls?q=nowhere+to+be+found&since=30d"},
	} {
		b.Run(p.name, func(b *testing.B) {
			const asks = 20 // whatever b.N is: each is the same work
			var size int
			var slowest time.Duration
			before := cpu(b)
			for range asks {
				if p.name == "overview-first" {
					f.restart() // it remembers nothing
				}
				began := time.Now()
				w := httptest.NewRecorder()
				r := httptest.NewRequestWithContext(b.Context(), "GET", p.target, nil)
				r.Header.Set("Accept-Encoding", "gzip")
				f.ServeHTTP(w, r)
				slowest = max(slowest, time.Since(began))
				if w.Code != 200 {
					b.Fatalf("GET %s: %d", p.target, w.Code)
				}
				size = w.Body.Len()
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(cpu(b)-before)/asks/1e6, "ms-cpu/page")
			b.ReportMetric(float64(slowest)/1e6, "ms-slowest")
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// callID returns the id of the i-th call of crowd.
func callID(i int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", i*2_654_435_761&0xffff_ffff, i)
}

// crowd stores n calls of some days, and a span for each tenth.
func (f *fixture) crowd(n, days int) {
	f.t.Helper()
	began := time.Now().Add(-time.Duration(days) * 24 * time.Hour).UnixMilli()
	text := "What did we spend on cloud last week, and on what? Say it in a table, with the names of the services, and mind that the bill of the old account is still to come. Nothing of it is urgent. Thank you."
	for at := 0; at < n; at += 500 {
		batch := new(writer.Batch)
		for i := at; i < min(at+500, n); i++ {
			created := began + int64(i)*(int64(days)*86_400_000-1000)/int64(n)
			words := text
			if i%997 == 0 {
				words = "Refund request. " + text
			}
			otel, root := fmt.Sprintf("%032x", i/4+1), fmt.Sprintf("%016x", i/4+1)
			c := db.InsertLLMTraceParams{
				TraceID: callID(i), CreatedAt: created, Provider: "anthropic", Model: fmt.Sprintf("model-%d", i%5), Status: "ok", Operation: ptr("chat"), Agent: ptr("main"), SessionID: ptr(fmt.Sprintf("session-%d", i/4%2000)),
				InputText: &words, OutputText: &text, PromptTokens: ptr(int64(2000 + i%977)), CompletionTokens: ptr(int64(100 + i%89)), CacheReadTokens: ptr(int64(1500)), LatencyMS: ptr(int64(300 + i*7919%9000)), CostUSD: ptr(float64(i%1000) / 1e5), CostSource: ptr("reported"),
				OTELTraceID: &otel, OTELSpanID: ptr(fmt.Sprintf("%016x", 1<<40+i)), OTELParentSpanID: &root, Metadata: ptr(`{"gen_ai.response.id":"msg_01","service.name":"agent"}`),
			}
			if i%50 == 0 {
				c.Status, c.ErrorType, c.ErrorMessage = "error", ptr("rate_limit_error"), ptr("429: too many input tokens in this minute")
			}
			batch.Calls = append(batch.Calls, c)
			if i%10 == 0 {
				batch.Spans = append(batch.Spans, db.InsertSpanParams{TraceID: fmt.Sprintf("%08x-0001-4000-8000-%012x", i*2_654_435_761&0xffff_ffff, i), CreatedAt: created, Name: "invoke_agent main", Operation: ptr("invoke_agent"), SessionID: c.SessionID, OTELTraceID: otel, OTELSpanID: root, DurationMS: ptr(int64(9000)), Status: "ok"})
			}
			if i%100 == 0 {
				batch.Readings = append(batch.Readings, db.InsertSystemMetricParams{TraceID: fmt.Sprintf("%08x-0002-4000-8000-%012x", i*2_654_435_761&0xffff_ffff, i), CreatedAt: created, CpuPct: ptr(20.0), MemTotal: ptr(int64(1 << 30)), MemAvailable: ptr(int64(1 << 29))})
			}
		}
		f.submit(batch)
	}
	f.settle()
}
