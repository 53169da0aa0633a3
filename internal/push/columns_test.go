package push_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// look opens a connection of another program to the database at path.
func look(t testing.TB, path string) *sql.DB {
	t.Helper()
	c, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	c.SetMaxOpenConns(1)
	return c
}

func count(t testing.TB, path, query string) (n int64) {
	t.Helper()
	c := look(t, path)
	defer c.Close()
	if err := c.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

var tables = map[string]string{
	"llm_trace": "llm_traces", "error_event": "error_events", "span": "spans", "custom_event": "custom_events", "system_metric": "system_metrics",
}

// rowsOf reads what an event of each row has to say.
func rowsOf(t testing.TB, path string) map[string]map[string]any {
	t.Helper()
	c := look(t, path)
	defer c.Close()
	all := make(map[string]map[string]any)
	for kind, table := range tables {
		rows, err := c.Query("SELECT * FROM " + table)
		if err != nil {
			t.Fatal(err)
		}
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, to := make([]any, len(names)), make([]any, len(names))
			for i := range values {
				to[i] = &values[i]
			}
			if err := rows.Scan(to...); err != nil {
				t.Fatal(err)
			}
			e := map[string]any{"type": kind}
			for i, name := range names {
				switch v := values[i].(type) {
				case nil:
				case int64:
					e[name] = float64(v)
				case string:
					e[name] = v
					if name == "metadata" {
						var object map[string]any
						if json.Unmarshal([]byte(v), &object) != nil || object == nil {
							object = map[string]any{"value": v}
						}
						e[name] = object
					}
				default:
					e[name] = v
				}
			}
			delete(e, "id")
			delete(e, "synced")
			delete(e, "pushed_at")
			all[e["trace_id"].(string)] = e
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	return all
}

// Every column of every table arrives as it is stored, whatever is in it.
func TestColumnsArrive(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	text := func() string {
		words := []string{"", " ", "plain", `"quoted"`, `back\slash`, "é密🙂", "<b>&</b>", "\u2028\u2029", "line\nbreak\ttab", "\x01\x1f\x7f", "\u0000"[:0], "\\u0000"}
		var b strings.Builder
		for range r.IntN(6) {
			b.WriteString(words[r.IntN(len(words))])
		}
		return b.String()
	}
	maybe := func() *string {
		if r.IntN(3) == 0 {
			return nil
		}
		return new(text())
	}
	number := func() *int64 {
		if r.IntN(3) == 0 {
			return nil
		}
		return new(r.Int64N(1 << 52))
	}
	amount := func() *float64 {
		if r.IntN(3) == 0 {
			return nil
		}
		return new(r.Float64() * []float64{1e-12, 1, 1e6}[r.IntN(3)])
	}
	metadata := func() *string {
		return [...]*string{nil, new(`{}`), new(`{"a":[1,2.5,null,{"b":"\u00e9"}],"c":true}`), new(`{"a":1`), new(`[1]`), new(`"x"`), new(`null`), new(``)}[r.IntN(8)]
	}
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		for n := 0; n < 400; n += 4 {
			x.submit(&writer.Batch{
				Calls: []db.InsertLLMTraceParams{{TraceID: id(n), CreatedAt: 1 + r.Int64N(9e11), Provider: text(), Model: text(), InputText: maybe(), OutputText: maybe(),
					PromptTokens: number(), CompletionTokens: number(), TotalTokens: number(), CostUSD: amount(), LatencyMS: number(), Status: "ok",
					ErrorType: maybe(), Metadata: metadata(), SessionID: maybe(), Agent: maybe(), Operation: maybe(), OTELTraceID: maybe(), OTELSpanID: maybe(),
					OTELParentSpanID: maybe(), CacheReadTokens: number(), CacheWriteTokens: number(), ReasoningTokens: number(), TtftMS: number(), ErrorMessage: maybe()}},
				Errors: []db.InsertErrorEventParams{{TraceID: id(n + 1), CreatedAt: 1 + r.Int64N(9e11), ErrorType: text(), Message: text(), StackTrace: maybe(), Severity: "warning", Metadata: metadata()}},
				Spans: []db.InsertSpanParams{{TraceID: id(n + 2), CreatedAt: 1 + r.Int64N(9e11), Name: text(), Operation: maybe(), SessionID: maybe(), Agent: maybe(),
					OTELTraceID: text(), OTELSpanID: text(), OTELParentSpanID: maybe(), DurationMS: number(), Status: "ok", ErrorMessage: maybe(), Metadata: metadata()}},
				Events: []db.InsertCustomEventParams{{TraceID: id(n + 3), CreatedAt: 1 + r.Int64N(9e11), Name: text(), SessionID: maybe(), Metadata: metadata()}},
			})
		}
		want := rowsOf(t, x.path)
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 400 {
			t.Fatalf("%+v, %v", r, err)
		}
		got := make(map[string]map[string]any)
		for _, s := range x.batches() {
			var b struct{ Events []map[string]any }
			if err := json.NewDecoder(bytes.NewReader(s.raw)).Decode(&b); err != nil {
				t.Fatal(err)
			}
			for _, e := range b.Events {
				got[e["trace_id"].(string)] = e
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-stored +sent)\n%.4000s", d)
		}
	})
}

// What another program wrote into a row spoils no batch.
func TestForeignValues(t *testing.T) {
	for _, c := range []struct{ name, set string }{
		{"infinite cost", "cost_usd = 9e999"},
		{"negative infinity", "cost_usd = -9e999"},
		{"invalid UTF-8", "output_text = CAST(x'41ff42' AS TEXT), agent = CAST(x'c328' AS TEXT)"},
		{"NUL", "output_text = 'a' || char(0) || 'b'"},
		{"metadata of invalid UTF-8", "metadata = CAST(x'7b2261223a22ff227d' AS TEXT)"},
		{"metadata with a name twice", `metadata = '{"a":1,"a":2}'`},
		{"metadata that is deep", `metadata = '{"a":' || replace(hex(zeroblob(6000)), '00', '[') || replace(hex(zeroblob(6000)), '00', ']') || '}'`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				x.calls(0, 3)
				conn := look(t, x.path)
				defer conn.Close()
				if _, err := conn.Exec("UPDATE llm_traces SET " + c.set + " WHERE id = 2"); err != nil {
					t.Fatal(err)
				}
				if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 3 {
					t.Errorf("%+v, %v", r, err)
				}
				for _, s := range x.batches() {
					if !json.Valid(s.raw) {
						t.Errorf("no JSON: %.600q", s.raw)
					}
				}
			})
		})
	}
}
