package writer_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/redact"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// secret is made up, and put together so that scanners of source trees stay quiet.
const (
	secretRule = "anthropic_key"
	secret     = "sk-ant-" + "api03-q7Rk2V-X9bT4mZs8_wYc3HdJf6GpAe1Uq7Rk2V-X9bT4mZs8"
	masked     = "[masked:" + secretRule + "]"
)

var all = redact.New(redact.Options{})

func withMask(o *writer.Options) { o.Mask = all }

// traces tells whether so much of the secret is left in s that it would help to guess
// the rest.
func traces(s string) bool {
	const enough = 12
	for i := 0; i+enough <= len(secret); i++ {
		if strings.Contains(s, secret[i:i+enough]) {
			return true
		}
	}
	return false
}

// columns are those that hold text, with what puts one there. Ids are not among them.
var columns = []struct {
	kind, name string
	put        func(b *writer.Batch, s string)
}{
	{writer.KindCall, "provider", func(b *writer.Batch, s string) { b.Calls[0].Provider = s }},
	{writer.KindCall, "model", func(b *writer.Batch, s string) { b.Calls[0].Model = s }},
	{writer.KindCall, "input_text", func(b *writer.Batch, s string) { b.Calls[0].InputText = &s }},
	{writer.KindCall, "output_text", func(b *writer.Batch, s string) { b.Calls[0].OutputText = &s }},
	{writer.KindCall, "error_type", func(b *writer.Batch, s string) { b.Calls[0].ErrorType = &s }},
	{writer.KindCall, "error_message", func(b *writer.Batch, s string) { b.Calls[0].ErrorMessage = &s }},
	{writer.KindCall, "session_id", func(b *writer.Batch, s string) { b.Calls[0].SessionID = &s }},
	{writer.KindCall, "agent", func(b *writer.Batch, s string) { b.Calls[0].Agent = &s }},
	{writer.KindCall, "operation", func(b *writer.Batch, s string) { b.Calls[0].Operation = &s }},
	{writer.KindCall, "metadata", func(b *writer.Batch, s string) { b.Calls[0].Metadata = object(s) }},
	{writer.KindError, "error_type", func(b *writer.Batch, s string) { b.Errors[0].ErrorType = s }},
	{writer.KindError, "message", func(b *writer.Batch, s string) { b.Errors[0].Message = s }},
	{writer.KindError, "stack_trace", func(b *writer.Batch, s string) { b.Errors[0].StackTrace = &s }},
	{writer.KindError, "metadata", func(b *writer.Batch, s string) { b.Errors[0].Metadata = object(s) }},
	{writer.KindSpan, "name", func(b *writer.Batch, s string) { b.Spans[0].Name = s }},
	{writer.KindSpan, "operation", func(b *writer.Batch, s string) { b.Spans[0].Operation = &s }},
	{writer.KindSpan, "session_id", func(b *writer.Batch, s string) { b.Spans[0].SessionID = &s }},
	{writer.KindSpan, "agent", func(b *writer.Batch, s string) { b.Spans[0].Agent = &s }},
	{writer.KindSpan, "error_message", func(b *writer.Batch, s string) { b.Spans[0].ErrorMessage = &s }},
	{writer.KindSpan, "metadata", func(b *writer.Batch, s string) { b.Spans[0].Metadata = object(s) }},
	{writer.KindEvent, "name", func(b *writer.Batch, s string) { b.Events[0].Name = s }},
	{writer.KindEvent, "session_id", func(b *writer.Batch, s string) { b.Events[0].SessionID = &s }},
	{writer.KindEvent, "metadata", func(b *writer.Batch, s string) { b.Events[0].Metadata = object(s) }},
}

// object returns metadata with s in it.
func object(s string) *string {
	j, err := json.Marshal(map[string]any{"a": map[string]any{"b": []any{1, s}}})
	if err != nil {
		panic(err)
	}
	return new(string(j))
}

// each returns a batch with a row of each kind.
func each(n int) *writer.Batch {
	return &writer.Batch{
		Calls:  []db.InsertLLMTraceParams{call(n)},
		Errors: []db.InsertErrorEventParams{failure(n)},
		Spans:  []db.InsertSpanParams{span(n)},
		Events: []db.InsertCustomEventParams{event(n)},
	}
}

// tableOf is the table of a kind of row.
var tableOf = map[string]string{
	writer.KindCall: "llm_traces", writer.KindError: "error_events", writer.KindSpan: "spans", writer.KindEvent: "custom_events",
}

// maskedCounts reads from the ledger how many secrets each kind of row held.
func maskedCounts(t *testing.T, path string) map[writer.Entry]int64 {
	t.Helper()
	c := look(t, path, "mode=ro")
	defer c.Close()
	m := make(map[writer.Entry]int64)
	for _, line := range table(t, c, `SELECT kind || ' ' || reason || ' ' || n FROM ledger WHERE outcome = 'masked'`) {
		e := writer.Entry{Outcome: writer.Masked}
		var n int64
		if _, err := fmt.Sscan(line, &e.Kind, &e.Reason, &n); err != nil {
			t.Fatal(err)
		}
		m[e] = n
	}
	return m
}

// One batch for each column, so that each can be told from the others.
func TestMaskedInEachColumn(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal", withMask)
	want := make(map[writer.Entry]int64)
	for n, c := range columns {
		b := each(n)
		c.put(b, "it is "+secret+", keep it")
		f.submit(b)
		want[writer.Entry{Kind: c.kind, Outcome: writer.Masked, Reason: secretRule}]++
	}
	f.close()
	if d := cmp.Diff(want, maskedCounts(t, f.path)); d != "" {
		t.Errorf("ledger (-want +got):\n%s", d)
	}
	db := look(t, f.path, "mode=ro")
	defer db.Close()
	for n, c := range columns {
		got := one[string](t, db, `SELECT `+c.name+` FROM `+tableOf[c.kind]+` WHERE trace_id = ?`, id(n))
		if traces(got) || !strings.Contains(got, "it is "+masked+", keep it") {
			t.Errorf("%s.%s: %s", tableOf[c.kind], c.name, got)
		}
	}
	checkNoTrace(t, f.path)
}

// Each kind and rule is counted by itself.
func TestMaskedCounts(t *testing.T) {
	t.Parallel()
	b := each(1)
	b.Calls[0].InputText = new(secret + " and " + secret)
	b.Calls[0].Metadata = new(`{"password":"hunter2","` + secret + `":1}`)
	b.Events[0].Metadata = new(`{"token":"hunter22"}`)
	writer.PrepareWith(b, now, writer.Options{MaxTextBytes: 1000, Mask: all})
	want := map[writer.Entry]int64{
		{Kind: writer.KindCall, Outcome: writer.Masked, Reason: secretRule}:      3,
		{Kind: writer.KindCall, Outcome: writer.Masked, Reason: "named_secret"}:  1,
		{Kind: writer.KindEvent, Outcome: writer.Masked, Reason: "named_secret"}: 1,
	}
	if d := cmp.Diff(want, b.Counts.Each()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// escapedSecret has the secret's characters as escapes, those for which yes says so.
func escapedSecret(yes func(i int) bool) string {
	var b strings.Builder
	for i := range len(secret) {
		if yes(i) {
			fmt.Fprintf(&b, `\u%04x`, secret[i])
		} else {
			b.WriteByte(secret[i])
		}
	}
	return b.String()
}

// A secret is found however JSON writes it.
func TestMaskedInJSON(t *testing.T) {
	t.Parallel()
	first := escapedSecret(func(i int) bool { return i == 0 })
	every := escapedSecret(func(int) bool { return true })
	quoted := func(s string) string { // as JSON writes it inside a text
		j, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(j)
	}
	for _, c := range []struct{ name, in, want string }{
		{"value", `{"a":"` + secret + `"}`, `{"a":"` + masked + `"}`},
		{"name", `{"` + secret + `":1}`, `{"` + masked + `":1}`},
		{"name deep inside", `{"a":[{"b":{"` + secret + `":1}}]}`, `{"a":[{"b":{"` + masked + `":1}}]}`},
		{"value deep inside", `{"a":[[{"b":["` + secret + `"]}]]}`, `{"a":[[{"b":["` + masked + `"]}]]}`},
		{"JSON in a text", `{"a":` + quoted(`{"b":"`+secret+`"}`) + `}`, `{"a":` + quoted(`{"b":"`+masked+`"}`) + `}`},
		{"JSON in a text in a text", `{"a":` + quoted(`{"b":`+quoted(`{"c":"`+secret+`"}`)+`}`) + `}`, `{"a":` + quoted(`{"b":`+quoted(`{"c":"`+masked+`"}`)+`}`) + `}`},
		{"named", `{"password":"hunter2 and more"}`, `{"password":"[masked:named_secret]"}`},
		{"named by an escape", `{"p\u0061ssword":"hunter2 and more"}`, `{"password":"[masked:named_secret]"}`},
		{"its first character is an escape", `{"a":"` + first + `"}`, `{"a":"` + masked + `"}`},
		{"all of it is escapes", `{"a":"` + every + `"}`, `{"a":"` + masked + `"}`},
		{"capital digits", `{"a":"` + strings.Replace(secret, "k", `\u006B`, 1) + `"}`, `{"a":"` + masked + `"}`},
		{"a name of escapes", `{"` + every + `":1}`, `{"` + masked + `":1}`},
		{"after escapes that stay", `{"a":"\u00e9\n\"\\` + first + `"}`, `{"a":"\u00e9\n\"\\` + masked + `"}`},
		{"URL with a password", `{"a":"https:\/\/jo:hunter2@example.com\/x"}`, `{"a":"https://jo:[masked:url_password]@example.com/x"}`},
		{"key with a slash", `{"aws_secret_access_key":"q7Rk2V\/X9bT4mZs8"}`, `{"aws_secret_access_key":"[masked:named_secret]"}`},
		{"webhook", `{"a":"https:\/\/hooks.slack.com\/services\/T0000\u0030000\/B00000000\/q7Rk2VX9bT4mZs8wYc3HdJf6"}`, `{"a":"https://hooks.slack.com/services/[masked:slack_webhook]"}`},
		{"a backslash that is escaped", `{"a":"\\u0073k"}`, `{"a":"\\u0073k"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := each(1)
			b.Calls[0].Metadata, b.Errors[0].Metadata, b.Spans[0].Metadata, b.Events[0].Metadata = new(c.in), new(c.in), new(c.in), new(c.in)
			b.Calls[0].InputText, b.Calls[0].OutputText = new(c.in), new(" ["+c.in+"]")
			writer.PrepareWith(b, now, writer.Options{MaxTextBytes: 10_000, Mask: all})
			for what, got := range map[string]*string{
				"call": b.Calls[0].Metadata, "error": b.Errors[0].Metadata, "span": b.Spans[0].Metadata, "event": b.Events[0].Metadata,
				"input": b.Calls[0].InputText,
			} {
				if *got != c.want {
					t.Errorf("%s: got %s, want %s", what, *got, c.want)
				}
			}
			if got := *b.Calls[0].OutputText; got != " ["+c.want+"]" {
				t.Errorf("output: got %s, want  [%s]", got, c.want)
			}
		})
	}
}

// JSON in a text of JSON has escapes of its own, which count only where they hide something.
func TestMaskedInJSONInside(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 4))
	for range 500 {
		v := any("a\"b\\c/ " + secret + " é\n")
		depth := 1 + r.IntN(4)
		for range depth {
			j, err := json.Marshal(map[string]any{"x": v})
			if err != nil {
				t.Fatal(err)
			}
			// As programs do that escape some characters wherever they stand in a string.
			s := string(j)
			for _, c := range []string{"k", "-", "s", "/", "<"} {
				if r.IntN(2) == 0 {
					s = strings.ReplaceAll(s, c, fmt.Sprintf(`\u%04x`, c[0]))
				}
			}
			v = strings.ReplaceAll(s, "/", []string{"/", `\/`}[r.IntN(2)])
		}
		in := v.(string)
		b := writer.Batch{Calls: []db.InsertLLMTraceParams{{Metadata: new(in), InputText: new("[" + in + "]")}}}
		writer.PrepareWith(&b, now, writer.Options{MaxTextBytes: 100_000, Mask: all})
		got := *b.Calls[0].Metadata
		for range depth {
			var object map[string]string
			if err := json.Unmarshal([]byte(got), &object); err != nil {
				t.Fatalf("%s became %s, where %s: %v", in, *b.Calls[0].Metadata, got, err)
			}
			got = object["x"]
		}
		if want := "a\"b\\c/ " + masked + " é\n"; got != want {
			t.Fatalf("%s became %s, in which it says %q", in, *b.Calls[0].Metadata, got)
		}
		if *b.Calls[0].InputText != "["+*b.Calls[0].Metadata+"]" {
			t.Fatalf("input became %s, metadata %s", *b.Calls[0].InputText, *b.Calls[0].Metadata)
		}
	}
	for _, in := range []string{
		`{"a":"in JSON A is \\u0041, and a slash may be \\/"}`,
		`{"a":"in JSON A is \\u0041","password":"[masked:named_secret]"}`,
	} {
		b := writer.Batch{Calls: []db.InsertLLMTraceParams{{Metadata: new(in)}}}
		writer.PrepareWith(&b, now, writer.Options{MaxTextBytes: 1000, Mask: all})
		if got := *b.Calls[0].Metadata; got != in {
			t.Errorf("%s became %s", in, got)
		}
	}
}

// Answers of providers, which are JSON, are often passed on as the message of an error.
func TestMaskedInErrorMessages(t *testing.T) {
	t.Parallel()
	body := `{"error":"no such key: ` + escapedSecret(func(i int) bool { return i%5 == 0 }) + `"}`
	b := each(1)
	b.Calls[0].ErrorMessage, b.Errors[0].Message, b.Spans[0].ErrorMessage = new(body), body, new(body)
	writer.PrepareWith(b, now, writer.Options{MaxTextBytes: 1000, Mask: all})
	for what, got := range map[string]string{
		"call": *b.Calls[0].ErrorMessage, "error": b.Errors[0].Message, "span": *b.Spans[0].ErrorMessage,
	} {
		if !strings.Contains(got, masked) {
			t.Errorf("%s: %s", what, got)
		}
	}
}

// Text is text even if it begins like JSON.
func TestPlainLeavesText(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		`[note] the expression is s/\/usr/\/opt/`,
		`{{template}} "\u0041" is how JSON writes an A`,
	} {
		b := writer.Batch{Calls: []db.InsertLLMTraceParams{{InputText: new(s)}}}
		writer.PrepareWith(&b, now, writer.Options{MaxTextBytes: 1000, Mask: all})
		if got := *b.Calls[0].InputText; got != s {
			t.Errorf("%s became %s", s, got)
		}
	}
}

// A cut never leaves the beginning of a secret, wherever it falls.
func TestMaskedAcrossTheCut(t *testing.T) {
	t.Parallel()
	const most = 512
	message := func(s string) string { return `[{"role":"user","content":"` + s + `"}]` }
	for _, c := range []struct {
		name string
		make func(before, after string) (b *writer.Batch, text func() string)
	}{
		{"input", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Calls: []db.InsertLLMTraceParams{{InputText: new(before + secret + after)}}}
			return b, func() string { return *b.Calls[0].InputText }
		}},
		{"output", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Calls: []db.InsertLLMTraceParams{{OutputText: new(before + secret + after)}}}
			return b, func() string { return *b.Calls[0].OutputText }
		}},
		{"messages", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Calls: []db.InsertLLMTraceParams{{InputText: new(message(before + secret + after))}}}
			return b, func() string { return *b.Calls[0].InputText }
		}},
		{"broken messages", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Calls: []db.InsertLLMTraceParams{{InputText: new("[" + before + secret + after)}}}
			return b, func() string { return *b.Calls[0].InputText }
		}},
		{"messages with escapes", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Calls: []db.InsertLLMTraceParams{{InputText: new(message(before + escapedSecret(func(i int) bool { return i%3 == 0 }) + after))}}}
			return b, func() string { return *b.Calls[0].InputText }
		}},
		{"error message of a call", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Calls: []db.InsertLLMTraceParams{{ErrorMessage: new(before + secret + after)}}}
			return b, func() string { return *b.Calls[0].ErrorMessage }
		}},
		{"message", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Errors: []db.InsertErrorEventParams{{Message: before + secret + after}}}
			return b, func() string { return b.Errors[0].Message }
		}},
		{"stack", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Errors: []db.InsertErrorEventParams{{StackTrace: new(before + secret + after)}}}
			return b, func() string { return *b.Errors[0].StackTrace }
		}},
		{"metadata", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Events: []db.InsertCustomEventParams{{Metadata: new(`{"a":"` + before + secret + after + `"}`)}}}
			return b, func() string { return *b.Events[0].Metadata }
		}},
		{"name", func(before, after string) (*writer.Batch, func() string) {
			b := &writer.Batch{Events: []db.InsertCustomEventParams{{Name: strings.TrimPrefix(before, strings.Repeat("x ", (most-256)/2)) + secret + after}}}
			return b, func() string { return b.Events[0].Name }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, after := range []string{"", strings.Repeat(" x", 100), strings.Repeat(" x", writer.MaskMargin)} {
				for at := most - 2*len(secret); at <= most+len(secret); at++ {
					// Words, lest the secret is part of a longer run of letters.
					before := strings.Repeat("x ", at/2) + strings.Repeat(" ", at%2)
					b, text := c.make(before, after)
					writer.PrepareWith(b, now, writer.Options{MaxTextBytes: most, Mask: all})
					if got := text(); traces(got) || len(got) < 100 {
						t.Fatalf("secret at %d, %d bytes after it, %d bytes left: %s", at, len(after), len(got), got[max(0, len(got)-100):])
					}
				}
			}
		})
	}
}

// Of a text that is much too long only what may be kept is looked at, and where that
// ends there may be half a secret: it must not come into what is kept when masks are
// shorter than what they stand for.
func TestMaskedAcrossTheMargin(t *testing.T) {
	t.Parallel()
	const most = 16384 // as is usual: masked, the text is shorter
	for at := range len(secret) + 2 {
		text := strings.Repeat(" ", at) + strings.Repeat(secret+" ", (most+writer.MaskMargin)/len(secret)+9)
		b := writer.Batch{
			Calls:  []db.InsertLLMTraceParams{{InputText: new(text), OutputText: new(`["` + text + `"]`), ErrorMessage: new(text)}},
			Errors: []db.InsertErrorEventParams{{Message: text, StackTrace: new(text), ErrorType: text}},
		}
		writer.PrepareWith(&b, now, writer.Options{MaxTextBytes: most, Mask: all})
		c, e := b.Calls[0], b.Errors[0]
		for what, got := range map[string]string{
			"input": *c.InputText, "output": *c.OutputText, "error message": *c.ErrorMessage,
			"message": e.Message, "stack": *e.StackTrace, "type": e.ErrorType,
		} {
			if traces(got) || len(got) > most {
				t.Fatalf("%s, secret at %d, %d bytes: %s", what, at, len(got), got)
			}
		}
		if !json.Valid([]byte(*c.OutputText)) {
			t.Fatalf("no JSON any more: %s", *c.OutputText)
		}
	}
}

// A JSON array of messages is one after masking and cutting.
func TestMaskedMessagesStayJSON(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 1))
	for range 2000 {
		v := []any{}
		for range r.IntN(8) {
			v = append(v, someJSON(r, 3))
		}
		in := someWriting(r, v)
		most := 64 + r.IntN(1000)
		b := writer.Batch{Calls: []db.InsertLLMTraceParams{{InputText: new(in)}}}
		writer.PrepareWith(&b, now, writer.Options{MaxTextBytes: most, Mask: all})
		got := *b.Calls[0].InputText
		if !json.Valid([]byte(got)) || got[0] != '[' || len(got) > most || traces(got) {
			t.Fatalf("cut to %d:\n in %s\nout %s", most, in, got)
		}
	}
}

// someText makes up a text, with a secret now and then.
func someText(r *rand.Rand) string {
	s := ""
	for range r.IntN(1 << r.IntN(5)) {
		s += []string{
			"x", " ", "大", `"`, `\`, "/", "\n", "\U0001F99E", "\u2028", "<", "\x00", "\x1f", "\x7f",
			`\u0073`, "password=hunter2 ", " " + secret + " ", `{"token":"hunter22"}`,
		}[r.IntN(17)]
	}
	return s
}

// someJSON makes up a value.
func someJSON(r *rand.Rand, depth int) any {
	switch k := r.IntN(9); {
	case k < 2 && depth > 0:
		m := make(map[string]any)
		for range r.IntN(5) {
			m[someText(r)] = someJSON(r, depth-1)
		}
		return m
	case k < 4 && depth > 0:
		list := []any{}
		for range r.IntN(4) {
			list = append(list, someJSON(r, depth-1))
		}
		return list
	case k == 4:
		return []any{r.Float64() - 0.5, 0, r.IntN(1e9), 1e300}[r.IntN(4)]
	case k == 5:
		return []any{nil, true, false}[r.IntN(3)]
	}
	return someText(r)
}

// someWriting writes a value as JSON in one of the ways in which programs do: with or
// without spaces, and with escapes that need not be.
func someWriting(r *rand.Rand, v any) string {
	j, err := json.Marshal(v)
	if r.IntN(3) == 0 {
		j, err = json.MarshalIndent(v, "", " ")
	}
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	inString, often := false, r.IntN(20)
	for i := 0; i < len(j); i++ {
		switch c := j[i]; {
		case c == '\\':
			n := 2
			if j[i+1] == 'u' {
				n = 6
			}
			b.Write(j[i : i+n])
			i += n - 1
		case c == '"':
			inString = !inString
			b.WriteByte(c)
		case inString && c == '/' && often > 10:
			b.WriteString(`\/`)
		case inString && c < 0x80 && r.IntN(20) < often:
			fmt.Fprintf(&b, []string{`\u%04x`, `\u%04X`}[r.IntN(2)], c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"nothing to do", `{"a":"b\n\"\\\t"}`, `{"a":"b\n\"\\\t"}`},
		{"letter", `"\u0061"`, `"a"`},
		{"capital digits", `"\u004A\u006a"`, `"Jj"`},
		{"slash", `"\/\/"`, `"//"`},
		{"quote", `"\u0022"`, `"\u0022"`},
		{"backslash", `"\u005c\u005C"`, `"\u005c\u005C"`},
		{"backslash before what looks like one", `"\u005cu0061"`, `"\u005cu0061"`},
		{"escaped backslash before it", `"\\u0061"`, `"\\u0061"`},
		{"two of them", `"\\\\u0061"`, `"\\\\u0061"`},
		{"three backslashes", `"\\\u0061"`, `"\\a"`},
		{"control characters", `"\u0001\u000a\u001f\u007f"`, `"\u0001\u000a\u001f\u007f"`},
		{"above ASCII", `"\u0080\u00e9\u0161\ud83e\udd9e"`, `"\u0080\u00e9\u0161\ud83e\udd9e"`},
		{"NUL", `"a\u0000b"`, `"a\ufffdb"`},
		{"no hexadecimal digits", `"\u00g1\u00"`, `"\u00g1\u00"`},
		{"cut off", `"\u006`, `"\u006`},
		{"a backslash at the end", `"\u0061\`, `"a\`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := writer.Plain(c.in); got != c.want {
				t.Errorf("%s became %s, want %s", c.in, got, c.want)
			}
		})
	}
}

// Plain JSON means what it meant, but for NUL, and stays so.
func TestPlainProperty(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 2))
	decode := func(s string) (v any) {
		if err := json.Unmarshal([]byte(s), &v); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		return v
	}
	for range 5000 {
		in := someWriting(r, someJSON(r, 3))
		got := writer.Plain(in)
		// Decoding first and replacing then may make two names of an object equal.
		if want := decode(strings.ReplaceAll(strings.ReplaceAll(in, `\\`, `\u005c`), `\u0000`, `\ufffd`)); !cmp.Equal(want, decode(got)) {
			t.Fatalf("%s became %s", in, got)
		}
		if again := writer.Plain(got); again != got {
			t.Fatalf("%s became %s and then %s", in, got, again)
		}
	}
	for range 20_000 { // anything, also what is no JSON
		s := ""
		for range r.IntN(12) {
			s += []string{`\`, `u`, `0`, `00`, `006`, `1`, `"`, `/`, `\u00`, `\u0061`, "大", `\\`}[r.IntN(12)]
		}
		if got := writer.Plain(s); len(got) > len(s) {
			t.Fatalf("%s became longer: %s", s, got)
		}
	}
}

func TestMaskNil(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	for n, c := range columns {
		b := each(n)
		c.put(b, secret)
		f.submit(b)
	}
	f.close()
	if m := maskedCounts(t, f.path); len(m) != 0 || f.Books().Masked != 0 {
		t.Errorf("counted %v", m)
	}
	db := look(t, f.path, "mode=ro")
	defer db.Close()
	for n, c := range columns {
		if got := one[string](t, db, `SELECT `+c.name+` FROM `+tableOf[c.kind]+` WHERE trace_id = ?`, id(n)); !strings.Contains(got, secret) {
			t.Errorf("%s.%s: %s", tableOf[c.kind], c.name, got)
		}
	}
}

var noContent = writer.Options{MaxTextBytes: 1000, NoContent: true, Mask: all}

func TestNoContent(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal", withMask, func(o *writer.Options) { o.NoContent = true })
	const said = "the quick brown fox"
	b := each(1)
	c := &b.Calls[0]
	c.InputText, c.OutputText = new(said), new(`[{"role":"assistant","content":"`+said+`"}]`)
	c.Metadata = new(`{"gen_ai.prompt.0.content":"` + said + `","gen_ai.response.model":"one","n":1.50,"t":true}`)
	b.Errors[0].Metadata = new(`{"log.body":"` + said + `"}`)
	b.Spans[0].Metadata = new(`{"span.events":[{"name":"choice","time":1,"message":"` + said + `"}]}`)
	b.Events[0].Metadata = new(`{"note":["` + said + `",{"deep":"` + said + `"}],"count":3}`)
	f.submit(b)
	f.close()
	db := look(t, f.path, "mode=ro")
	defer db.Close()
	for what, want := range map[string]string{
		`SELECT COALESCE(input_text, 'NULL') FROM llm_traces`:  "NULL",
		`SELECT COALESCE(output_text, 'NULL') FROM llm_traces`: "NULL",
		`SELECT metadata FROM llm_traces`: fmt.Sprintf(`{"gen_ai.response.model":"one","n":1.50,"t":true,"openclaw_trace.input_bytes":%d,"openclaw_trace.output_bytes":%d}`,
			len(said), len(`[{"role":"assistant","content":""}]`)+len(said)),
		`SELECT prompt_tokens || ' ' || latency_ms || ' ' || model FROM llm_traces`: "101 1 claude",
		`SELECT COALESCE(metadata, 'NULL') FROM error_events`:                       "NULL",
		`SELECT metadata FROM spans`:                                                `{"span.events":[{"name":"choice","time":1}]}`,
		`SELECT metadata FROM custom_events`:                                        `{"note":[null,{}],"count":3}`,
	} {
		if got := one[string](t, db, what); got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	for name, bytes := range files(t, f.path) {
		if strings.Contains(bytes, said) {
			t.Errorf("%s has what was said", name)
		}
	}
}

func TestNoContentMetadata(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"nothing", `{}`, ""},
		{"only texts", `{"a":"b","c":"d"}`, ""},
		{"numbers stay as they were written", `{"a":1e400,"b":-0.0,"c":123456789012345678901234567890}`, `{"a":1e400,"b":-0.0,"c":123456789012345678901234567890}`},
		{"true and false", `{"a":true,"b":false,"c":null}`, `{"a":true,"b":false}`},
		{"names", `{"gen_ai.tool.name":"search","service.name":"gateway","session.id":"s-1"}`, `{"gen_ai.tool.name":"search","service.name":"gateway","session.id":"s-1"}`},
		{"content of a family of names", `{"openclaw.content.input":"hi","openclaw.channel":"web","openclaw.error":"hi","gen_ai.request.stop_sequences":["hi"]}`, `{"openclaw.channel":"web","gen_ai.request.stop_sequences":[null]}`},
		{"a list of names", `{"gen_ai.response.finish_reasons":["stop","length"]}`, `{"gen_ai.response.finish_reasons":["stop","length"]}`},
		{"a list of texts", `{"a":["b",1,"c",{"d":"e"}]}`, `{"a":[null,1,null,{}]}`},
		{"texts in lists in a list", `{"a":[["b"],[["c"]]]}`, `{"a":[[null],[[null]]]}`},
		{"a name inside", `{"a":{"name":"b","error.type":"c"}}`, `{"a":{"error.type":"c"}}`},
		{"a text inside a name", `{"openclaw.x":{"text":"c","n":1}}`, `{"openclaw.x":{"n":1}}`},
		{"a name that is too long to be one", `{"gen_ai.request.model":"` + strings.Repeat("x", 257) + `"}`, `{"gen_ai.request.model":null}`},
		{"a long one", `{"gen_ai.request.model":"` + strings.Repeat("x", 256) + `"}`, `{"gen_ai.request.model":"` + strings.Repeat("x", 256) + `"}`},
		{"a name with a secret", `{"gen_ai.request.model":"` + secret + `"}`, `{"gen_ai.request.model":"` + masked + `"}`},
		{"the same twice", `{"n":1,"n":2,"user.id":"a","user.id":"b"}`, `{"n":1,"n":2,"user.id":"a","user.id":"b"}`},
		{"spaces", "{ \"a\" : \"b\" ,\n\"n\" : 1 }\n", `{"n":1}`},
		{"no JSON", `{"a":1`, ""},
		{"no JSON at all", `hello`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := writer.Batch{Events: []db.InsertCustomEventParams{{Metadata: new(c.in)}}}
			writer.PrepareWith(&b, now, noContent)
			got := ""
			if m := b.Events[0].Metadata; m != nil {
				got = *m
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Any JSON object becomes one with its numbers in their places and no text.
func TestNoContentProperty(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 3))
	var keep func(v any) any // as the documentation says it
	keep = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			m := make(map[string]any)
			for k, v := range v {
				if _, isText := v.(string); v != nil && !isText {
					m[k] = keep(v)
				}
			}
			return m
		case []any:
			list := make([]any, len(v))
			for i, v := range v {
				list[i] = keep(v)
			}
			return list
		case string:
			return nil
		}
		return v
	}
	for range 3000 {
		object := make(map[string]any)
		for range r.IntN(6) {
			object["key "+[]string{"a", "b", `"`, "大"}[r.IntN(4)]+fmt.Sprint(r.IntN(3))] = renamed(someJSON(r, 4))
		}
		in := someWriting(r, object)
		b := writer.Batch{Calls: []db.InsertLLMTraceParams{{Metadata: new(in)}}}
		writer.PrepareWith(&b, now, writer.Options{MaxTextBytes: 64, NoContent: true})
		var was, got any
		if err := json.Unmarshal([]byte(in), &was); err != nil {
			t.Fatal(err)
		}
		out := "{}"
		if m := b.Calls[0].Metadata; m != nil {
			out = *m
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%s became %s: %v", in, out, err)
		}
		if d := cmp.Diff(keep(was), got); d != "" {
			t.Fatalf("%s became %s (-want +got):\n%s", in, out, d)
		}
	}
}

// renamed gives the objects of v names that say nothing and are all different.
func renamed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any)
		for i, k := range slices.Sorted(maps.Keys(v)) {
			m[fmt.Sprint("k", i)] = renamed(v[k])
		}
		return m
	case []any:
		for i := range v {
			v[i] = renamed(v[i])
		}
	}
	return v
}
