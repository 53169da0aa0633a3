// These tests put a real OpenTelemetry Collector, and the OpenTelemetry SDK for Go, in
// front of the built sidecar. What they send is known, and afterwards they read the
// database file: nothing may be missing and nothing may be there twice. They use no
// code of the sidecar.
package main_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// ways are those in which the exporter can send to us.
var ways = []export{
	{encoding: "proto", compression: "none"},
	{encoding: "proto", compression: "gzip"},
	{encoding: "json", compression: "none"},
	{encoding: "json", compression: "gzip"},
}

func (e export) String() string { return e.encoding + "-" + e.compression }

// check compares what is stored with what was sent.
func (k *known) check(t testing.TB, s stored) {
	t.Helper()
	records := make([]string, len(s.errors))
	for i, row := range s.errors {
		var metadata struct{ Record string }
		if err := json.Unmarshal([]byte(row["metadata"].(string)), &metadata); err != nil {
			t.Errorf("metadata of %v: %v", row["trace_id"], err)
		}
		records[i] = metadata.Record
	}
	for _, c := range []struct {
		what      string
		want, got []string
	}{
		{"calls", sorted(k.calls), s.calls.column("otel_span_id")},
		{"spans", sorted(k.spans), s.spans.column("otel_span_id")},
		{"log records", sorted(k.logs), sorted(records)},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Errorf("%s sent (-) and stored (+):\n%s", c.what, d)
		}
	}
	if n := s.counted("log", "ignored"); n != k.quiet {
		t.Errorf("the ledger has %d log records below WARN, %d were sent", n, k.quiet)
	}
	if n := s.counted("metric", "ignored"); n != k.points {
		t.Errorf("the ledger has %d data points, %d were sent", n, k.points)
	}
}

func TestNothingIsLost(t *testing.T) {
	const requests = 25
	all := make([]stored, len(ways))
	t.Run("by", func(t *testing.T) {
		for i, way := range ways {
			// Requests are merged and split, as in front of most remotes.
			way.batch = "{flush_timeout: 100ms, sizer: items, min_size: 50, max_size: 70}"
			t.Run(way.String(), func(t *testing.T) {
				t.Parallel()
				s := startSidecar(t)
				c := startCollector(t, s, way)
				var k known
				for n := range requests {
					k.send(c, n)
				}
				c.stop()
				s.stop()
				c.mustKeep()
				all[i] = read(t, s.db)
				k.check(t, all[i])
				for _, line := range all[i].ledger {
					if o := line["outcome"]; o != "received" && o != "ignored" {
						t.Errorf("the ledger has %v", line)
					}
				}
				sample(t, all[i])
			})
		}
	})
	for i := range all {
		if d := cmp.Diff(all[0], all[i], cmp.AllowUnexported(stored{})); d != "" {
			t.Errorf("what %s stored (-) and what %s stored (+):\n%s", ways[0], ways[i], d)
		}
	}
}

// sample looks at a few rows closely.
func sample(t testing.TB, s stored) {
	t.Helper()
	f := func(row map[string]any, want map[string]any) {
		t.Helper()
		for name, value := range want {
			if row[name] != value {
				t.Errorf("%s of span %s is %#v, want %#v", name, row["otel_span_id"], row[name], value)
			}
		}
	}
	f(s.calls.with(t, "otel_span_id", "b200000000030005"), map[string]any{
		"created_at": began.UnixMilli() + 3005, "provider": "openai", "operation": "chat",
		"otel_trace_id": "a1000000000000000000000000000003", "otel_parent_span_id": "b200000000030000",
		"session_id": "evening-3", "status": "ok", "error_type": nil, "latency_ms": int64(1234),
		"prompt_tokens": int64(405), "completion_tokens": int64(15), "total_tokens": int64(420), "cache_read_tokens": int64(256),
		"input_text":  `[{"role":"user","parts":[{"type":"text","content":"3"}]}]`,
		"output_text": `[{"role":"assistant","parts":[{"type":"text","content":"5"}]}]`,
	})
	f(s.calls.with(t, "otel_span_id", "b200000000030011"), map[string]any{
		"status": "error", "error_type": "rate_limit_exceeded", "error_message": "the lamp is out",
		"prompt_tokens": nil, "completion_tokens": nil, "total_tokens": nil, "cost_usd": nil, "input_text": nil,
	})

	var messages []struct {
		Role  string
		Parts []struct{ Type, Content string }
	}
	text, _ := s.calls.with(t, "otel_span_id", "b200000000030009")["input_text"].(string)
	if err := json.Unmarshal([]byte(text), &messages); err != nil || len(messages) != 1 || messages[0].Role != "user" ||
		len(messages[0].Parts) != 1 || messages[0].Parts[0].Content != "Is the dôor locked? \"Yes\"\\no\n" {
		t.Errorf("messages sent as structured values became %s", text)
	}

	row := s.spans.with(t, "otel_span_id", "b200000000030002")
	f(row, map[string]any{"name": "execute_tool lamp-2", "status": "error", "duration_ms": int64(1234)})
	var metadata map[string]any
	d := json.NewDecoder(strings.NewReader(row["metadata"].(string)))
	d.UseNumber()
	if err := d.Decode(&metadata); err != nil {
		t.Fatalf("metadata %s: %v", row["metadata"], err)
	}
	for key, want := range map[string]any{
		"type.text": "tab\t quote\" slash/ back\\ nül é 漢字 🔒 \u2028 \x01 <&>",
		"type.true": true, "type.false": false,
		"type.int.3": json.Number("9007199254740993"), "type.int.4": json.Number("9223372036854775807"), "type.int.5": json.Number("-9223372036854775808"),
		"type.double.2": json.Number("-2.5"), "type.double.3": json.Number("0.1"),
		"type.double.8": "NaN", "type.double.10": "-Infinity",
	} {
		if metadata[key] != want {
			t.Errorf("metadata has %s = %#v, want %#v", key, metadata[key], want)
		}
	}
	if t.Failed() {
		t.Logf("metadata: %s", row["metadata"])
	}
}

func TestSidecarIsAwayForAWhile(t *testing.T) {
	for _, how := range []struct {
		name   string
		signal syscall.Signal
		way    export
		// Data points are counted a little later than they are answered. After a kill
		// there may be fewer.
		send func(*known, *collector, int)
	}{
		{"stopped", syscall.SIGTERM, export{encoding: "proto", compression: "gzip"}, (*known).send},
		{"killed", syscall.SIGKILL, export{encoding: "json", compression: "none"}, (*known).sendRows},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			s := startSidecar(t)
			c := startCollector(t, s, how.way)
			var k known
			for n := range 10 {
				how.send(&k, c, n)
			}
			s.end(how.signal) // some of it is under way
			for n := range 10 {
				how.send(&k, c, 10+n)
			}
			c.await("Will retry")
			s.start()
			for n := range 10 {
				how.send(&k, c, 20+n)
			}
			k.arrive(t, s.db)
			c.stop()
			s.stop()
			c.mustKeep()
			got := read(t, s.db)
			k.countAgain(got)
			k.check(t, got)
		})
	}
}

// countAgain allows for batches that were stored without an answer and so were sent
// twice. A row is known again; a log record below WARN has none and is counted again.
func (k *known) countAgain(s stored) {
	if s.counted("error_event", "duplicate") > 0 {
		k.quiet = max(k.quiet, s.counted("log", "ignored"))
	}
}

func TestDatabaseIsLocked(t *testing.T) {
	for _, way := range []export{{encoding: "proto", compression: "gzip"}, {encoding: "json", compression: "gzip"}} {
		t.Run(way.String(), func(t *testing.T) {
			t.Parallel()
			s := startSidecar(t)
			c := startCollector(t, s, way)
			db, err := sql.Open("sqlite", "file:"+s.db+"?mode=rw&_txlock=immediate&_pragma=busy_timeout(10000)")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			held, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer held.Rollback()
			var k known
			for n := range 3 {
				k.send(c, n)
			}
			c.await("HTTP Status Code 503")
			c.await("Will retry")
			if err := held.Rollback(); err != nil {
				t.Fatal(err)
			}
			k.arrive(t, s.db)
			c.stop()
			s.stop()
			c.mustKeep()
			got := read(t, s.db)
			k.countAgain(got)
			k.check(t, got)
		})
	}
}

func TestOneBadSpan(t *testing.T) {
	const spans = 500
	for _, bad := range []struct {
		name  string
		spoil func(ptrace.Span)
	}{
		{"trace-id", func(s ptrace.Span) { s.SetTraceID(pcommon.NewTraceIDEmpty()) }},
		{"span-id", func(s ptrace.Span) { s.SetSpanID(pcommon.NewSpanIDEmpty()) }},
	} {
		for _, way := range []export{ways[1], ways[3]} {
			t.Run(bad.name+"/"+way.String(), func(t *testing.T) {
				t.Parallel()
				s := startSidecar(t)
				c := startCollector(t, s, way)
				var k known
				td := ptrace.NewTraces()
				list := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
				for i := range spans {
					span := list.AppendEmpty()
					span.SetTraceID(traceID(1))
					span.SetSpanID(spanID(1, i))
					span.SetName("step")
					span.SetStartTimestamp(at(0))
					span.SetEndTimestamp(at(0))
					if i == spans/2 {
						bad.spoil(span)
					} else {
						k.spans = append(k.spans, hexOf(span.SpanID()))
					}
				}
				c.send("/v1/traces", ptraceotlp.NewExportRequestFromTraces(td))
				c.stop()
				s.stop()
				got := read(t, s.db)
				k.check(t, got)
				if n := got.counted("span", "refused"); n != 1 {
					t.Errorf("the ledger has %d refused spans, want 1", n)
				}
				if n := c.says(`"dropped_spans":1`); n != 1 || c.says("Partial success response") != 1 {
					t.Errorf("the collector says %d times that one span was dropped, want once", n)
				}
				for _, text := range []string{"Dropping data", "Will retry"} {
					if n := c.says(text); n > 0 {
						t.Errorf("the collector says %q %d times", text, n)
					}
				}
			})
		}
	}
}

func TestBodyTooLarge(t *testing.T) {
	const limit, count = 256 << 10, 40
	// 320 KiB, which compress well.
	large := func(k *known) ptrace.Traces {
		td := ptrace.NewTraces()
		list := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		for i := range count {
			span := list.AppendEmpty()
			span.SetTraceID(traceID(2))
			span.SetSpanID(spanID(2, i))
			span.SetName("step")
			span.SetStartTimestamp(at(0))
			span.SetEndTimestamp(at(0))
			span.Attributes().PutStr("text", strings.Repeat("light ", 8<<10/6))
			k.spans = append(k.spans, hexOf(span.SpanID()))
		}
		return td
	}
	for _, way := range ways {
		t.Run("refused/"+way.String(), func(t *testing.T) {
			t.Parallel()
			s := startSidecar(t, fmt.Sprint("OCT_MAX_BODY_BYTES=", limit))
			c := startCollector(t, s, way)
			c.send("/v1/traces", ptraceotlp.NewExportRequestFromTraces(large(new(known))))
			c.await("Dropping data")
			var k known
			c.send("/v1/traces", ptraceotlp.NewExportRequestFromTraces(k.traces(1)))
			c.stop()
			s.stop()
			got := read(t, s.db)
			k.check(t, got)
			if n := got.counted("request", "refused"); n != 1 {
				t.Errorf("the ledger has %d refused requests, want 1", n)
			}
			if c.says("HTTP Status Code 413") == 0 || c.says("Dropping data") != 1 || c.says("Will retry") > 0 {
				t.Error("want a collector that gives up one request at once because of a 413")
			}
		})
	}
	t.Run("split", func(t *testing.T) {
		t.Parallel()
		s := startSidecar(t, fmt.Sprint("OCT_MAX_BODY_BYTES=", limit))
		c := startCollector(t, s, export{encoding: "proto", compression: "gzip",
			batch: fmt.Sprintf("{flush_timeout: 100ms, sizer: bytes, min_size: 0, max_size: %d}", limit)})
		var k known
		c.send("/v1/traces", ptraceotlp.NewExportRequestFromTraces(large(&k)))
		c.stop()
		s.stop()
		c.mustKeep()
		k.check(t, read(t, s.db))
	})
}
