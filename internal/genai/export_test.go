package genai_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// rows returns all rows of a table, whose columns are in the order of T's fields.
func rows[T any](s *stored, table string) (list []T) {
	s.t.Helper()
	found, err := s.db.QueryContext(s.t.Context(), "SELECT * FROM "+table+" ORDER BY trace_id")
	if err != nil {
		s.t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var row T
		v := reflect.ValueOf(&row).Elem()
		fields := make([]any, v.NumField())
		for i := range fields {
			fields[i] = v.Field(i).Addr().Interface()
		}
		if err := found.Scan(fields...); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, row)
	}
	if err := found.Err(); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// exported returns what s holds as export requests.
func exported(s *stored) (traces, logs []byte) {
	s.t.Helper()
	e := genai.NewExporter(otlp.Origin{})
	var spans, records otlp.Encoder
	for _, row := range rows[db.LLMTrace](s, "llm_traces") {
		spans.Span(e.Call(&row))
	}
	for _, row := range rows[db.Span](s, "spans") {
		spans.Span(e.Span(&row))
	}
	for _, row := range rows[db.ErrorEvent](s, "error_events") {
		records.LogRecord(e.Error(&row))
	}
	for _, row := range rows[db.CustomEvent](s, "custom_events") {
		records.LogRecord(e.Event(&row))
	}
	return spans.Bytes(), records.Bytes()
}

// content returns the rows of all tables without what is of this database alone, in an
// order that follows from them.
func (s *stored) content() (list []map[string]any) {
	s.t.Helper()
	add := func(row any) {
		f := fields(s.t, row)
		delete(f, "ID")
		list = append(list, f)
	}
	for _, row := range rows[db.LLMTrace](s, "llm_traces") {
		add(row)
	}
	for _, row := range rows[db.Span](s, "spans") {
		add(row)
	}
	// Log records have another identity after each trip.
	logs := len(list)
	for _, row := range rows[db.ErrorEvent](s, "error_events") {
		add(row)
	}
	for _, row := range rows[db.CustomEvent](s, "custom_events") {
		add(row)
	}
	for _, f := range list[logs:] {
		if m := metadata(f); m["openclaw_trace.trace_id"] == nil {
			m["openclaw_trace.trace_id"] = f["TraceID"]
		}
		delete(f, "TraceID")
	}
	slices.SortFunc(list[logs:], func(a, b map[string]any) int {
		id := func(f map[string]any) string { return fmt.Sprint(metadata(f)["openclaw_trace.trace_id"]) }
		return strings.Compare(id(a), id(b))
	})
	return list
}

// metadata returns the metadata of a row that fields made.
func metadata(row map[string]any) map[string]any {
	m, ok := row["Metadata"].(map[string]any)
	if !ok {
		m = make(map[string]any)
		row["Metadata"] = m
	}
	return m
}

// afterTrip changes a row into what it is after one trip: all that is different.
func afterTrip(f map[string]any) {
	m := metadata(f)
	missing := func(key string, v any) {
		if v != nil && m[key] == nil {
			m[key] = v
		}
	}
	missing("openclaw_trace.trace_id", f["TraceID"])
	aside := func(key string, column any) {
		if said := m[key]; said != nil && said != "" && column != nil && said != column {
			delete(m, key)
			m["openclaw_trace.metadata."+key] = said
		}
	}
	aside("gen_ai.operation.name", f["Operation"])
	if _, isCall := f["Model"]; !isCall {
		return
	}
	missing("openclaw_trace.cost_source", f["CostSource"])
	if f["CostUSD"] != nil {
		f["CostSource"] = "reported"
	}
	aside("error.type", f["ErrorType"])
	missing("error.type", f["ErrorType"])
	aside("openclaw.failureKind", f["ErrorType"])
	aside("openclaw.error", f["ErrorMessage"])
	if f["LatencyMS"] == nil {
		f["LatencyMS"] = 0.0
	}
	for column, role := range map[string]string{"InputText": "user", "OutputText": "assistant"} {
		text, ok := f[column].(string)
		var list []map[string]any
		if ok && json.Unmarshal([]byte(text), &list) != nil {
			b, _ := json.Marshal(text)
			f[column] = `[{"role":"` + role + `","parts":[{"type":"text","content":` + string(b) + `}]}]`
		}
	}
}

// What came in by OTLP comes back as the same rows, but for what afterTrip says; and
// after one more trip they are the same again.
func TestExportRoundTrip(t *testing.T) {
	f := func(name, path, signal string, enc otlp.Encoding) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			first := newStored(t)
			first.submit(signal, body, enc)
			want := first.content()
			for _, f := range want {
				afterTrip(f)
			}
			for from := first; ; {
				traces, logs := exported(from)
				next := newStored(t)
				next.submit("traces", traces, otlp.Protobuf)
				next.submit("logs", logs, otlp.Protobuf)
				diff(t, "rows", want, next.content())
				if from != first {
					break
				}
				from = next
			}
		})
	}
	for name, want := range expected(t) {
		f(name, filepath.Join("testdata/dialects", name), want.Signal, otlp.JSON)
	}
	bodies, err := filepath.Glob("testdata/openclaw/*s.pb")
	if err != nil || len(bodies) == 0 {
		t.Fatal("no captured bodies", err)
	}
	for _, path := range bodies {
		for _, signal := range []string{"traces", "logs"} {
			if strings.HasSuffix(path, signal+".pb") {
				f(filepath.Base(path), path, signal, otlp.Protobuf)
			}
		}
	}
}
