package genai_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// expectation is what expected.json says of one request.
type expectation struct {
	Signal string
	Spans  []struct {
		Name         string
		SpanID       string `json:"span_id"`
		Call         bool
		Columns      map[string]any
		Input        []string `json:"input_contains"`
		Output       []string `json:"output_contains"`
		ErrorMessage string   `json:"error_message_contains"`
	}
	Records []struct {
		Name, Row, Severity string
		Contains            []string
	}
}

// stored is a database that requests are mapped and written to.
type stored struct {
	t  *testing.T
	w  *writer.Writer
	db *sql.DB
}

func newStored(t *testing.T) *stored {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace.db")
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	st, err := store.Open(t.Context(), store.Options{Path: path, Synchronous: "normal", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(st, writer.Options{MaxTextBytes: 16384, MaxQueueBytes: 16 << 20, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return &stored{t, w, db}
}

func (s *stored) submit(signal string, body []byte, enc otlp.Encoding) writer.Receipt {
	s.t.Helper()
	decode := genai.Traces
	if signal == "logs" {
		decode = genai.Logs
	}
	m, err := decode(body, enc, 16384)
	if err != nil {
		s.t.Fatal(err)
	}
	if m.Rejected > 0 {
		s.t.Errorf("%d items rejected: %s", m.Rejected, m.Reason)
	}
	r, err := s.w.Submit(m.Batch)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// row returns the columns of the row that a query finds, by name.
func (s *stored) row(query string, args ...any) map[string]any {
	s.t.Helper()
	rows, err := s.db.QueryContext(s.t.Context(), query, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		s.t.Fatal(err)
	}
	if !rows.Next() {
		return nil
	}
	values := make([]any, len(names))
	for i := range values {
		values[i] = new(any)
	}
	if err := rows.Scan(values...); err != nil {
		s.t.Fatal(err)
	}
	row := make(map[string]any)
	for i, name := range names {
		row[name] = *values[i].(*any)
	}
	if rows.Next() {
		s.t.Errorf("%s %v finds more than one row", query, args)
	}
	return row
}

func expected(t *testing.T) map[string]expectation {
	t.Helper()
	var all struct{ Files map[string]expectation }
	data, err := os.ReadFile("testdata/dialects/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/dialects/*-*.json")
	if err != nil || len(files) != len(all.Files) {
		t.Fatalf("%d fixtures, expected.json has %d: %v", len(files), len(all.Files), err)
	}
	return all.Files
}

// Every emitter's form of a call becomes the row that it stands for, and spans around
// it become none.
func TestDialects(t *testing.T) {
	for name, want := range expected(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(filepath.Join("testdata/dialects", name))
			if err != nil {
				t.Fatal(err)
			}
			s := newStored(t)
			s.submit(want.Signal, body, otlp.JSON)
			calls := 0
			for _, span := range want.Spans {
				table := "spans"
				if span.Call {
					table = "llm_traces"
					calls++
				}
				row := s.row("SELECT * FROM "+table+" WHERE otel_span_id = ?", span.SpanID)
				if row == nil {
					t.Errorf("%s (%s) is not in %s", span.Name, span.SpanID, table)
					continue
				}
				for column, want := range span.Columns {
					got := row[column]
					if n, ok := got.(int64); ok {
						got = float64(n)
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s: %s (-want +got):\n%s", span.Name, column, d)
					}
				}
				contains(t, span.Name+" input_text", row["input_text"], span.Input)
				contains(t, span.Name+" output_text", row["output_text"], span.Output)
				if span.ErrorMessage != "" {
					contains(t, span.Name+" error_message", row["error_message"], []string{span.ErrorMessage})
				}
			}
			if n := s.row("SELECT COUNT(*) AS n FROM llm_traces")["n"]; n != int64(calls) {
				t.Errorf("%d calls, want %d", n, calls)
			}
			events := 0
			for _, r := range want.Records {
				if r.Row == "event" {
					events++
					row := s.row("SELECT metadata FROM custom_events WHERE name = ? LIMIT 1", r.Name)
					contains(t, r.Name, row["metadata"], r.Contains)
				} else if r.Row == "error" {
					row := s.row("SELECT severity, message || metadata AS text FROM error_events LIMIT 1")
					contains(t, r.Name, row["text"], r.Contains)
				}
			}
			if n := s.row("SELECT COUNT(*) AS n FROM custom_events")["n"]; n != int64(events) {
				t.Errorf("%d events, want %d", n, events)
			}
		})
	}
}

func contains(t *testing.T, what string, got any, parts []string) {
	t.Helper()
	text, _ := got.(string)
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s is %q, which lacks %q", what, fmt.Sprint(got), part)
		}
	}
}

// The reference call has the same messages from all who send them.
func TestSameMessages(t *testing.T) {
	s := newStored(t)
	for name, want := range expected(t) {
		if !strings.HasSuffix(name, "-anthropic.json") {
			continue
		}
		body, err := os.ReadFile(filepath.Join("testdata/dialects", name))
		if err != nil {
			t.Fatal(err)
		}
		s.submit(want.Signal, body, otlp.JSON)
		for _, span := range want.Spans {
			if !span.Call || len(span.Input) == 0 {
				continue
			}
			row := s.row("SELECT input_text, output_text FROM llm_traces WHERE otel_span_id = ?", span.SpanID)
			for column, want := range map[string]string{
				"input_text":  "system: You are terse.\nuser: What is the capital of France?\n",
				"output_text": "assistant: Paris.\n",
			} {
				if column == "output_text" && (strings.HasPrefix(name, "langsmith") || strings.Contains(name, "-object-")) {
					continue // LangChain's own form; an object that was asked for
				}
				if got := spoken(t, row[column]); got != want {
					t.Errorf("%s: %s says\n%s\nof %v", name, column, got, row[column])
				}
			}
		}
	}
}

// spoken returns who said what in messages.
func spoken(t *testing.T, text any) string {
	t.Helper()
	var messages []struct {
		Role  string
		Parts []struct{ Type, Content string }
	}
	if err := json.Unmarshal([]byte(fmt.Sprint(text)), &messages); err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, m := range messages {
		for _, p := range m.Parts {
			if p.Type == "text" {
				fmt.Fprintf(&b, "%s: %s\n", m.Role, p.Content)
			}
		}
	}
	return b.String()
}
