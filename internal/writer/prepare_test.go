package writer_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

var now = time.UnixMilli(1_800_000_000_000)

const maxText = 64

func prepared(c db.InsertLLMTraceParams) (db.InsertLLMTraceParams, writer.Batch) {
	b := writer.Batch{Calls: []db.InsertLLMTraceParams{c}}
	writer.Prepare(&b, now, maxText)
	return b.Calls[0], b
}

func TestPrepareIDs(t *testing.T) {
	b := writer.Batch{
		Calls:  []db.InsertLLMTraceParams{{}, {TraceID: id(1)}},
		Errors: []db.InsertErrorEventParams{{}},
		Events: []db.InsertCustomEventParams{{}},
	}
	writer.Prepare(&b, now, maxText)
	if b.Calls[1].TraceID != id(1) {
		t.Errorf("a given id became %s", b.Calls[1].TraceID)
	}
	made := b.Calls[0].TraceID
	for _, s := range []string{made, b.Errors[0].TraceID, b.Events[0].TraceID} {
		if u, err := uuid.Parse(s); err != nil || u.Version() != 4 || u.String() != s {
			t.Errorf("made the id %q: %v", s, err)
		}
	}
	writer.Prepare(&b, now, maxText)
	if b.Calls[0].TraceID != made {
		t.Error("a batch that is sent again has other ids")
	}
}

func TestPrepareTimes(t *testing.T) {
	ms := now.UnixMilli()
	f := func(name string, at int64, latency *int64, want int64, metadata string) {
		t.Helper()
		c, _ := prepared(db.InsertLLMTraceParams{CreatedAt: at, LatencyMS: latency})
		var got string
		if c.Metadata != nil {
			got = *c.Metadata
		}
		if c.CreatedAt != want || got != metadata {
			t.Errorf("%s: %d with metadata %q, want %d with %q", name, c.CreatedAt, got, want, metadata)
		}
	}
	f("given", 5, nil, 5, "")
	f("now", ms, nil, ms, "")
	f("none", 0, nil, ms, "")
	f("none, with a latency", 0, new(int64(250)), ms-250, "")
	f("none, with a negative latency", 0, new(int64(-9)), ms, "")
	f("none, with a latency from before 1970", 0, new(ms+1), 0, "")
	f("future", ms+1, nil, ms, `{"openclaw_trace.created_at":1800000000001}`)
}

func TestPrepareTotal(t *testing.T) {
	f := func(prompt, completion, total, want *int64) {
		t.Helper()
		c, _ := prepared(db.InsertLLMTraceParams{PromptTokens: prompt, CompletionTokens: completion, TotalTokens: total})
		if d := cmp.Diff(want, c.TotalTokens); d != "" {
			t.Errorf("total (-want +got):\n%s", d)
		}
	}
	n := func(n int64) *int64 { return &n }
	f(nil, nil, nil, nil)
	f(n(3), nil, nil, nil)
	f(nil, n(4), nil, nil)
	f(n(3), n(4), nil, n(7))
	f(n(3), n(4), n(9), n(9))
	f(n(0), n(0), nil, n(0))
	f(n(1<<62), n(1<<62), nil, nil) // no overflow
}

func TestPrepareText(t *testing.T) {
	f := func(in, want string, repaired int64) {
		t.Helper()
		b := writer.Batch{
			Calls:  []db.InsertLLMTraceParams{{Provider: in, InputText: new(in), ErrorMessage: new(in)}},
			Errors: []db.InsertErrorEventParams{{Message: in, StackTrace: new(in)}},
			Spans:  []db.InsertSpanParams{{Name: in, ErrorMessage: new(in)}},
			Events: []db.InsertCustomEventParams{{Name: in, SessionID: new(in)}},
		}
		writer.Prepare(&b, now, maxText)
		c, e, s, v := b.Calls[0], b.Errors[0], b.Spans[0], b.Events[0]
		for _, got := range []string{c.Provider, *c.InputText, *c.ErrorMessage, e.Message, *e.StackTrace, s.Name, *s.ErrorMessage, v.Name, *v.SessionID} {
			if got != want {
				t.Errorf("%q became %q, want %q", in, got, want)
			}
		}
		var counted writer.Counts
		for _, kind := range []string{writer.KindCall, writer.KindError, writer.KindSpan, writer.KindEvent} {
			counted.Add(writer.Entry{Kind: kind, Outcome: writer.Repaired, Reason: "text"}, repaired)
		}
		if d := cmp.Diff(counted, b.Counts, cmp.AllowUnexported(writer.Counts{})); d != "" {
			t.Errorf("%q: counted (-want +got):\n%s", in, d)
		}
	}
	f("", "", 0)
	f("plain", "plain", 0)
	f("größer, 大", "größer, 大", 0)
	f("a\x00b", "a\uFFFDb", 1)
	f("a\xff\xfeb", "a\uFFFDb", 1)
	f("\xe5\xa4", "\uFFFD", 1)
	f(strings.Repeat("x", maxText), strings.Repeat("x", maxText), 0)
}

func TestPrepareCuts(t *testing.T) {
	text := strings.Repeat("大", 100) // 3 bytes each
	c, _ := prepared(db.InsertLLMTraceParams{Model: text + text, InputText: new(text), OutputText: new(text + "!"), ErrorMessage: new(text)})
	if len(c.Model) != 255 || len(*c.InputText) != 63 || len(*c.OutputText) != 63 || len(*c.ErrorMessage) != 63 {
		t.Errorf("cut to %d, %d, %d, %d bytes", len(c.Model), len(*c.InputText), len(*c.OutputText), len(*c.ErrorMessage))
	}
	if want := `{"openclaw_trace.input_bytes":300,"openclaw_trace.output_bytes":301}`; c.Metadata == nil || *c.Metadata != want {
		t.Errorf("metadata %v, want %s", c.Metadata, want)
	}
}

func TestPrepareEvent(t *testing.T) {
	long := strings.Repeat("x", 300)
	b := writer.Batch{Events: []db.InsertCustomEventParams{
		{TraceID: id(1), Name: long, SessionID: new(long), Metadata: new(`{"text":"` + long + `\u0000"}`), CreatedAt: now.UnixMilli() + 1},
		{TraceID: id(2), Name: "deployed"},
	}}
	writer.Prepare(&b, now, maxText)
	want := []db.InsertCustomEventParams{
		{
			TraceID: id(1), Name: long[:256], SessionID: new(long[:256]), CreatedAt: now.UnixMilli(),
			Metadata: new(`{"text":"` + long[:maxText] + `… [239 bytes cut]","openclaw_trace.created_at":1800000000001}`),
		},
		{TraceID: id(2), Name: "deployed", CreatedAt: now.UnixMilli()},
	}
	if d := cmp.Diff(want, b.Events); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// What a client can make large is counted, whatever kind of event it comes in.
func TestSize(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for name, b := range map[string]*writer.Batch{
		"input":          {Calls: []db.InsertLLMTraceParams{{InputText: &long}}},
		"output":         {Calls: []db.InsertLLMTraceParams{{OutputText: &long}}},
		"call metadata":  {Calls: []db.InsertLLMTraceParams{{Metadata: &long}}},
		"call error":     {Calls: []db.InsertLLMTraceParams{{ErrorMessage: &long}}},
		"message":        {Errors: []db.InsertErrorEventParams{{Message: long}}},
		"stack":          {Errors: []db.InsertErrorEventParams{{StackTrace: &long}}},
		"error metadata": {Errors: []db.InsertErrorEventParams{{Metadata: &long}}},
		"span metadata":  {Spans: []db.InsertSpanParams{{Metadata: &long}}},
		"span error":     {Spans: []db.InsertSpanParams{{ErrorMessage: &long}}},
		"event metadata": {Events: []db.InsertCustomEventParams{{Metadata: &long}}},
	} {
		if n := writer.Size(b); n <= int64(len(long)) || n > int64(len(long))+1000 {
			t.Errorf("%s: %d bytes for a text of %d", name, n, len(long))
		}
		if b.Empty() {
			t.Errorf("%s: a batch with a row is empty", name)
		}
	}
}

// Notes go into metadata of any shape, and leave the rest of it as it was.
func TestPrepareMetadata(t *testing.T) {
	f := func(metadata string) {
		t.Helper()
		c, _ := prepared(db.InsertLLMTraceParams{CreatedAt: now.UnixMilli() + 5, Metadata: new(metadata), InputText: new(strings.Repeat("x", 99))})
		var got, want map[string]any
		if err := json.Unmarshal([]byte(*c.Metadata), &got); err != nil {
			t.Errorf("%s became %s: %v", metadata, *c.Metadata, err)
			return
		}
		if err := json.Unmarshal([]byte(metadata), &want); err != nil {
			t.Fatal(err)
		}
		want["openclaw_trace.created_at"] = float64(now.UnixMilli() + 5)
		want["openclaw_trace.input_bytes"] = 99.0
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", metadata, d)
		}
	}
	f(`{}`)
	f("{ \n}")
	f("{}\n")
	f(" {\"a\":1} \r\n\t")
	f(`{"a":{"b":{}}}`)
	f(`{"a":"}"}`)
	f(`{"a":[{}] , "b":{} }`)
	f(`{"":""}`)
	f(`{"a":"\\"}`)
}

func TestPrepareMetadataText(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		c, b := prepared(db.InsertLLMTraceParams{Metadata: new(in)})
		if *c.Metadata != want {
			t.Errorf("%s became %s, want %s", in, *c.Metadata, want)
		}
		var counted writer.Counts
		if want != in {
			counted.Add(writer.Entry{Kind: writer.KindCall, Outcome: writer.Repaired, Reason: "text"}, 1)
		}
		if d := cmp.Diff(counted, b.Counts, cmp.AllowUnexported(writer.Counts{})); d != "" {
			t.Errorf("%s: counted (-want +got):\n%s", in, d)
		}
	}
	f(`{"a":"b"}`, `{"a":"b"}`)
	f(`{"a":"\u0000"}`, `{"a":"\ufffd"}`)
	f(`{"a":"\\\u0000x"}`, `{"a":"\\\ufffdx"}`)
	f("{\"a\":\"\xff\"}", "{\"a\":\"\uFFFD\"}")
}

func TestPrepareMetadataEscapedBackslash(t *testing.T) {
	in := `{"a":"\\u0000"}` // a backslash and then plain text
	if c, _ := prepared(db.InsertLLMTraceParams{Metadata: new(in)}); *c.Metadata != in {
		t.Errorf("%s became %s", in, *c.Metadata)
	}
}

func TestCut(t *testing.T) {
	f := func(s string, n int, want string) {
		t.Helper()
		if got := writer.Cut(s, n); got != want {
			t.Errorf("Cut(%q, %d) = %q, want %q", s, n, got, want)
		}
	}
	f("", 0, "")
	f("abc", 3, "abc")
	f("abc", 2, "ab")
	f("abc", 0, "")
	f("a大", 3, "a")
	f("a大", 4, "a大")
	f("大", 1, "")
	f("ab\U0001F99E", 5, "ab")
}

func TestCutContent(t *testing.T) {
	f := func(name, s string, n int, want string) {
		t.Helper()
		if got := writer.CutContent(s, n); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	x := func(n int) string { return strings.Repeat("x", n) }
	f("short", `[{"role":"user"}]`, 100, `[{"role":"user"}]`)
	f("plain text", x(300), 200, x(200))
	f("no array", `{"a":"`+x(300)+`"}`, 200, `{"a":"`+x(194))
	f("not valid", `[{"a":"`+x(300), 200, `[{"a":"`+x(193))
	f("a long string", `[{"role":"user","content":"`+x(900)+`"}]`, 400,
		`[{"role":"user","content":"`+x(200)+`… [700 bytes cut]"}]`)
	f("a long name is kept", `[{"`+x(150)+`":"`+x(900)+`"}]`, 400, `[{"`+x(150)+`":"`+x(200)+`… [700 bytes cut]"}]`)
	message := func(role, text string) string { return `{"role":"` + role + `","content":"` + text + `"}` }
	f("the middle goes", "["+strings.Join([]string{
		message("system", "be good"), message("user", x(100)), message("assistant", x(100)), message("user", x(100)), message("user", "now?"),
	}, ", ")+"]", 300, "["+strings.Join([]string{
		message("system", "be good"), `{"omitted":2}`, message("user", x(100)), message("user", "now?"),
	}, ",")+"]")
	f("a system message in the middle is like any other", "["+strings.Join([]string{
		message("user", x(100)), message("system", x(100)), message("user", x(100)),
	}, ",")+"]", 200, "["+strings.Join([]string{`{"omitted":2}`, message("user", x(100))}, ",")+"]")
}

// Text that only begins like an array is text.
func TestCutContentTextAfterArray(t *testing.T) {
	s := `[1] ` + strings.Repeat("The first of the sources. ", 20)
	if got := writer.CutContent(s, 100); got != s[:100] {
		t.Errorf("got %q", got)
	}
}

// A JSON array stays valid JSON, valid text stays valid, and nothing is longer than
// it may be.
func TestCutContentProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	var value func(depth int) any
	text := func() string {
		s := ""
		for range r.IntN(1 << r.IntN(9)) {
			s += []string{"x", "大", "\"", "\\", "\n", "\U0001F99E", "\u2028", "<"}[r.IntN(8)]
		}
		return s
	}
	value = func(depth int) any {
		switch k := r.IntN(7); {
		case k == 0 && depth > 0:
			m := map[string]any{"role": []string{"system", "user"}[r.IntN(2)]}
			for range r.IntN(4) {
				m[text()] = value(depth - 1)
			}
			return m
		case k == 1 && depth > 0:
			list := []any{}
			for range r.IntN(5) {
				list = append(list, value(depth-1))
			}
			return list
		case k == 2:
			return r.Float64()
		case k == 3:
			return nil
		default:
			return text()
		}
	}
	for range 2000 {
		messages := []any{}
		for range r.IntN(12) {
			messages = append(messages, value(3))
		}
		in, err := json.Marshal(messages)
		if err != nil {
			t.Fatal(err)
		}
		n := 32 + r.IntN(1000)
		got := writer.CutContent(string(in), n)
		if len(got) > n || !utf8.ValidString(got) || !json.Valid([]byte(got)) || got[0] != '[' {
			t.Fatalf("cut to %d:\n in %s\nout %s", n, in, got)
		}
		if len(in) <= n && got != string(in) {
			t.Fatalf("changed what fits: %s", in)
		}
		broken := string(in[:r.IntN(len(in))])
		if got := writer.CutContent(broken, n); len(got) > n || !strings.HasPrefix(broken, got) && !json.Valid([]byte(got)) {
			t.Fatalf("cut to %d:\n in %s\nout %s", n, broken, got)
		}
	}
}

func TestBucket(t *testing.T) {
	f := func(ms, want int64) {
		t.Helper()
		if got := writer.Bucket(ms); got != want {
			t.Errorf("Bucket(%d) = %d, want %d", ms, got, want)
		}
	}
	f(-1, 0)
	f(0, 0)
	f(1, 0)
	f(2, 4)
	f(3, 6)
	f(4, 8)
	f(1023, 39)
	f(1024, 40)
	f(1<<62, 248)
}
