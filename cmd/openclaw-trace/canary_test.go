package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	collogs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// A canary is a secret that is planted wherever a secret can get to. It has the form
// of one but is none, and is put together from pieces, so that scanners of source
// trees stay quiet.
type canary struct {
	rule string
	text string   // what is sent
	core []string // what must be found nowhere, in whatever case
}

const (
	alnum36 = "q7Rk2VnX9bT4mZs8LwYc3HdJf6GpAe1UtW5y"
	lower36 = "m4kq8zr2vx7n1cw9bt5hd3jf6gpae0ulys4o"
)

// ownToken has no form, so that only its value can give it away.
const ownToken = "violet/" + "heron+at+nine=k4"

var canaries = []canary{
	{"anthropic_key", "sk-" + "ant-api03-" + alnum36 + lower36, []string{alnum36 + lower36}},
	{"openai_key", "sk-" + "proj-" + lower36 + "A9_" + alnum36, []string{lower36 + "A9_"}},
	{"github_token", "gh" + "p_" + "Zk" + alnum36[:34], []string{"Zk" + alnum36[:34]}},
	{"aws_access_key", "AK" + "IA" + "4HTN6WQX2JB7ZKR5", []string{"4HTN6WQX2JB7ZKR5"}},
	{"named_secret", "aws_secret_access" + "_key=" + "wJ7/rXUtnF3+MI/K7MDENGbPxRfiCYz9kLq2Wv4T", []string{"wJ7/rXUtnF3+MI", "K7MDENGbPxRfiCYz9kLq2Wv4T"}},
	{"bearer", "Authorization: Bearer " + "opaque-" + lower36[4:28], []string{"opaque-" + lower36[4:28]}},
	{"basic_auth", "Authorization: Basic " + "cmVjb3JkZXI6c3dvcmRmaXNo", []string{"cmVjb3JkZXI6c3dvcmRmaXNo"}},
	{"jwt", "ey" + "JhbGciOiJIUzI1NiJ9" + ".ey" + "JzdWIiOiIxMjM0In0." + "Nv3" + lower36, []string{"JzdWIiOiIxMjM0In0", "Nv3" + lower36}},
	{"private_key", "-----BEGIN " + "PRIVATE KEY-----\n" + "MIIEvQ" + alnum36 + "\n" + "u8Tz" + lower36 + "==\n-----END " + "PRIVATE KEY-----", []string{"MIIEvQ" + alnum36, "u8Tz" + lower36}},
	{"url_password", "postgres://app:" + "n4rwhal.Tusk&7" + "@db.internal:5432/x", []string{"n4rwhal.Tusk"}},
	{"named_secret", "password=" + "kestrel-Wing_83x", []string{"kestrel-Wing_83x"}},
	{"own_secret", ownToken, []string{ownToken}},
}

// around is c in the middle of other text.
func (c canary) around() string { return "see: " + c.text + " , as said" }

var escapes = regexp.MustCompile(`\\+(u00[0-9a-fA-F]{2}|/)`)

// leaks returns the places in data where a canary is, with what stands before it.
// Escaping hides nothing from whoever reads the text.
func leaks(data []byte) (found []string) {
	data = escapes.ReplaceAllFunc(data, func(e []byte) []byte {
		if e = bytes.TrimLeft(e, `\`); e[0] == 'u' {
			n, _ := strconv.ParseUint(string(e[3:]), 16, 8) // two hex digits always are a number
			return []byte{byte(n)}
		}
		return e
	})
	lower := bytes.ToLower(data)
	for _, c := range canaries {
		for _, core := range c.core {
			if at := bytes.Index(lower, []byte(strings.ToLower(core))); at >= 0 {
				found = append(found, fmt.Sprintf("%s after %q", c.rule, lower[max(0, at-80):at]))
			}
		}
	}
	return found
}

// planted are the columns that hold a canary in every row that has a value there.
var planted = map[string][]string{
	"llm_traces": {
		"provider", "model", "input_text", "output_text", "error_type", "error_message", "session_id", "agent", "metadata",
		"CASE WHEN operation <> 'chat' THEN operation END",
	},
	"error_events":  {"message", "stack_trace", "metadata", "CASE WHEN error_type NOT IN ('log', 'llm_error') THEN error_type END"},
	"custom_events": {"CASE WHEN name NOT LIKE 'gen_ai.%' THEN name END", "session_id", "metadata"},
	"spans":         {"CASE WHEN name <> 'execute_tool' THEN name END", "session_id", "agent", "error_message", "metadata", "CASE WHEN operation <> 'execute_tool' THEN operation END"},
}

// No secret gets through: not into the database, its log or its index, not into what
// is printed, and not into an answer, whichever way it came in and wherever in the
// request it stood.
func TestCanaries(t *testing.T) {
	t.Parallel()
	in := newInstance(t, dbPath(t), "OCT_AUTH_TOKEN="+ownToken, "OCT_LOG_LEVEL=debug")
	p := in.start()
	rows := make(map[string]int)
	for round, zipped := range []bool{false, true} {
		list := bodies(byte(round))
		if !zipped {
			list = append(list, refused()...)
		}
		for _, b := range list {
			a := in.post(b, zipped)
			if a.status != b.status {
				t.Errorf("%s: %d %s, want %d", b.name, a.status, a.body, b.status)
			}
			for table, n := range b.rows {
				rows[table] += n
			}
		}
	}
	in.knock()
	in.get("/ready")
	if h := in.health(); h.Status != "ok" {
		t.Errorf("health says %+v, want ok", h)
	}

	if n := in.search("running"); n < 3 {
		t.Errorf("there are %d files, want the database, its log and its index", n)
	}
	p.stop()
	in.search("stopped")
	for _, l := range leaks([]byte(p.text() + p.stderr.String())) {
		t.Errorf("what was printed has a secret: %s", l)
	}

	// It was masked, and not lost.
	db := openDB(t, in.db, "mode=ro")
	defer db.Close()
	count := func(q string, args ...any) (n int) {
		t.Helper()
		check(t, db.QueryRow(q, args...).Scan(&n))
		return n
	}
	kinds := map[string]string{"llm_traces": "llm_trace", "error_events": "error_event", "custom_events": "custom_event", "spans": "span"}
	for table, columns := range planted {
		if n := count("SELECT COUNT(*) FROM " + table); n != rows[table] {
			t.Errorf("%s has %d rows, want %d", table, n, rows[table])
		}
		for _, column := range columns {
			if n := count("SELECT COUNT(" + column + ") FROM " + table); n == 0 {
				t.Errorf("%s: no row has a value in %s, so nothing is tested there", table, column)
			}
			if n := count("SELECT COUNT(*) FROM " + table + " WHERE instr(" + column + ", '[masked:') = 0"); n > 0 {
				var value string
				check(t, db.QueryRow("SELECT "+column+" FROM "+table+" WHERE instr("+column+", '[masked:') = 0").Scan(&value))
				t.Errorf("%s: %d rows have no mask in %s, such as %.300q", table, n, column, value)
			}
		}
		for _, c := range canaries {
			if n := count("SELECT COALESCE(SUM(n), 0) FROM ledger WHERE kind = ? AND outcome = 'masked' AND reason = ?", kinds[table], c.rule); n == 0 {
				t.Errorf("the ledger counts no %s of %s, want each that was masked", c.rule, kinds[table])
			}
		}
	}
}

// What once got through.
func TestCanariesOfOnce(t *testing.T) {
	f := func(name string, event func(c canary) object) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstance(t, dbPath(t), "OCT_AUTH_TOKEN="+ownToken)
			p := in.start()
			for _, c := range canaries {
				e := event(c)
				e["provider"], e["model"] = "p", "m"
				if a := in.post(body{name: name, path: "/v1/traces", kind: "application/json", data: mustJSON(e)}, false); a.status != 202 {
					t.Errorf("%d %s, want 202", a.status, a.body)
				}
			}
			p.stop()
			in.search("stopped")
		})
	}
	f("ids", func(c canary) object {
		return object{"otel_trace_id": c.text, "otel_span_id": c.text, "otel_parent_span_id": c.text}
	})
	inner := func(c canary) []byte { return mustJSON(object{"cmd": c.around(), "env": []string{c.text}}) }
	f("JSON in JSON, escaped", func(c canary) object {
		return object{"metadata": object{"arguments": string(escaped(inner(c)))}}
	})
	f("JSON in JSON, escaped for HTML", func(c canary) object {
		html, err := json.Marshal(object{"cmd": c.around()})
		check(t, err)
		return object{"input_text": []object{{"arguments": string(html)}}, "metadata": object{"arguments": string(html)}}
	})
	t.Run("headers in answers", func(t *testing.T) {
		t.Parallel()
		in := newInstance(t, dbPath(t))
		p := in.start()
		for _, name := range []string{"Content-Type", "Content-Encoding", "method"} {
			r, err := http.NewRequest("POST", in.url+"/v1/traces", strings.NewReader("{}"))
			check(t, err)
			r.Header.Set("Content-Type", "application/json")
			if name == "method" {
				r.Method = canaries[0].text
			} else {
				r.Header.Set(name, canaries[3].text)
			}
			in.ask(name, r)
		}
		p.stop()
	})
	t.Run("a server that does not mask", func(t *testing.T) {
		t.Parallel()
		in := newInstance(t, dbPath(t), "OCT_REDACT=off")
		p := in.start()
		in.post(body{path: "/v1/traces", kind: "application/json", data: mustJSON(object{"provider": "p", "model": "m", "input_text": canaries[0].text})}, false)
		redact := in.command(binary, "redact", "--stored")
		redact.Env = append(redact.Env, "OCT_REDACT=secrets")
		out, err := redact.CombinedOutput()
		p.stop()
		if err == nil {
			in.search("after redact --stored, which said " + string(out) + "and exit code 0")
		}
	})
}

// search looks for secrets in all files of the database and returns how many there are.
func (in *instance) search(when string) int {
	in.t.Helper()
	list, err := filepath.Glob(in.db + "*")
	check(in.t, err)
	for _, name := range list {
		data, err := os.ReadFile(name)
		check(in.t, err)
		for _, l := range leaks(data) {
			in.t.Errorf("%s, %s has a secret: %s", when, filepath.Base(name), l)
		}
	}
	return len(list)
}

// post sends b and reports an answer that repeats a secret.
func (in *instance) post(b body, zipped bool) answer {
	in.t.Helper()
	data := b.data
	if zipped {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(b.data) // a buffer takes everything
		_ = w.Close()
		data = z.Bytes()
	}
	r, err := http.NewRequest("POST", in.url+b.path, bytes.NewReader(data))
	check(in.t, err)
	r.Header.Set("Content-Type", b.kind)
	r.Header.Set("Authorization", "Bearer "+ownToken)
	if zipped {
		r.Header.Set("Content-Encoding", "gzip")
	}
	return in.ask(b.name, r)
}

func (in *instance) ask(what string, r *http.Request) answer {
	in.t.Helper()
	a, err := in.do(r)
	check(in.t, err)
	var text bytes.Buffer
	check(in.t, a.header.Write(&text))
	for _, l := range leaks(append(text.Bytes(), a.body...)) {
		in.t.Errorf("%s: the answer repeats a secret: %s", what, l)
	}
	return a
}

// knock sends secrets where they do not belong: in headers, in addresses, and in what
// is no HTTP at all.
func (in *instance) knock() {
	in.t.Helper()
	for _, c := range canaries {
		if strings.Contains(c.text, "\n") {
			continue
		}
		r, err := http.NewRequest("POST", in.url+"/v1/traces?key="+hexed(c.text)+"&"+hexed(c.text)+"=1", strings.NewReader("{}"))
		check(in.t, err)
		for _, name := range []string{"X-Api-Key", "Cookie", "User-Agent", "Referer", "X-Request-Id", "Accept"} {
			r.Header.Set(name, c.text)
		}
		r.Header.Set("Authorization", "Bearer "+ownToken)
		r.Header.Set("Content-Type", "application/json")
		if a := in.ask("headers and query", r); a.status != http.StatusBadRequest {
			in.t.Errorf("headers and query: %d %s, want the empty event refused", a.status, a.body)
		}
		for _, path := range []string{"/", "/v1/traces/", "/health/"} {
			r, err = http.NewRequest("GET", in.url+path+hexed(c.text), nil)
			check(in.t, err)
			in.ask("path", r)
		}
		for _, header := range []string{"Origin", "Host", "Sec-Fetch-Site", "Authorization"} {
			r, err = http.NewRequest("POST", in.url+"/v1/traces", strings.NewReader("{}"))
			check(in.t, err)
			r.Header.Set(header, c.text)
			if header == "Host" {
				r.Host = strings.NewReplacer(" ", "", "/", "", "@", "").Replace(c.text)
			}
			in.ask(header, r)
		}
		for _, raw := range []string{
			c.text + " / HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET " + c.text + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET / " + c.text + "\r\nHost: localhost\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: " + c.text + "\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: localhost\r\n" + c.text + "\r\n\r\n",
			"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + c.text + "\r\n\r\n",
			"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: " + c.text + "\r\n\r\n",
			"\x16\x03\x01\x02\x00" + c.text,
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(in.url, "http://"))
			check(in.t, err)
			_, err = io.WriteString(conn, raw)
			check(in.t, err)
			check(in.t, conn.(*net.TCPConn).CloseWrite())
			got, _ := io.ReadAll(conn) // it may be cut off
			for _, l := range leaks(got) {
				in.t.Errorf("%.20q: the answer repeats a secret: %s", raw, l)
			}
			conn.Close()
		}
	}
}

// hexed is s as an address may hold it.
func hexed(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(" /?#%&+", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// body is a request that has a canary wherever one can be.
type body struct {
	name, path, kind string
	data             []byte
	status           int
	rows             map[string]int // what it adds to each table
}

type object = map[string]any

// bodies returns one request for each way in. The ids in them are those of a round.
func bodies(round byte) (list []body) {
	const jsonType, lines, protobuf = "application/json", "application/x-ndjson", "application/x-protobuf"
	natives := func(name, path, table string, short bool, event func(c canary) object) {
		var events []object
		var ndjson []byte
		for _, c := range canaries {
			e := event(c)
			events = append(events, e)
			ndjson = append(append(ndjson, mustJSON(e)...), '\n')
		}
		rows, array := map[string]int{table: len(events)}, mustJSON(events)
		if short { // or else it would be too large
			list = append(list, body{name + ", escaped", path, jsonType, escaped(array), 202, rows})
		}
		list = append(list,
			body{name, path, jsonType, array, 202, rows},
			body{name + ", slashes escaped", path, jsonType, bytes.ReplaceAll(array, []byte("/"), []byte(`\/`)), 202, rows},
			body{name + ", NDJSON", path, lines, ndjson, 202, rows})
	}
	natives("calls", "/v1/traces", "llm_traces", true, nativeCall)
	natives("calls of messages", "/v1/traces", "llm_traces", true, nativeMessages)
	natives("calls with long texts", "/v1/traces", "llm_traces", false, func(c canary) object {
		return object{
			"provider": c.around(), "model": c.around(), "input_text": lengthy(c), "output_text": conversation(lengthy(c)),
			"error_message": lengthy(c), "metadata": object{"a": lengthy(c), "b": []string{lengthy(c)}},
		}
	})
	natives("errors", "/v1/errors", "error_events", true, func(c canary) object {
		return object{
			"error_type": c.around(), "message": c.around(), "stack_trace": "at f()\n" + c.around(), "metadata": details(c),
			"created_at": c.text, "unheard_of": c.around(), c.text: 1,
		}
	})
	natives("long errors", "/v1/errors", "error_events", false, func(c canary) object {
		return object{"error_type": c.around(), "message": lengthy(c), "stack_trace": lengthy(c), "metadata": object{"a": lengthy(c)}}
	})
	natives("events", "/v1/events", "custom_events", true, func(c canary) object {
		return object{"name": c.around(), "session_id": c.around(), "metadata": details(c), "unheard_of": c.around(), c.text: 1}
	})

	kinds := []struct {
		name, kind string
		encode     func(proto.Message) []byte
	}{
		{"", protobuf, mustProto},
		{", JSON", jsonType, otlpJSON},
		{", JSON escaped", jsonType, func(m proto.Message) []byte { return escaped(otlpJSON(m)) }},
	}
	for k, kind := range kinds {
		variant := 3*round + byte(k)
		for i, dialect := range dialects {
			request := new(coltrace.ExportTraceServiceRequest)
			for j, c := range canaries {
				request.ResourceSpans = append(request.ResourceSpans, dialect.spans(c, 8*byte(i)+variant, byte(j)))
			}
			rows := map[string]int{"llm_traces": len(canaries)}
			if i == 0 {
				rows["spans"] = 2 * len(canaries)
			}
			list = append(list, body{dialect.name + kind.name, "/v1/traces", kind.kind, kind.encode(request), 200, rows})
		}
		request := new(collogs.ExportLogsServiceRequest)
		for j, c := range canaries {
			request.ResourceLogs = append(request.ResourceLogs, logRecords(c, variant, byte(j)))
		}
		rows := map[string]int{"error_events": 3 * len(canaries), "custom_events": len(canaries)}
		list = append(list, body{"logs" + kind.name, "/v1/logs", kind.kind, kind.encode(request), 200, rows})
	}
	// Values of the wrong type are done without.
	for i, member := range []string{
		`"startTimeUnixNano":%[1]s`, `"kind":%[1]s`, `"attributes":[{"key":%[1]s,"value":{"intValue":%[1]s}}]`,
	} {
		for j, c := range canaries {
			s := mustJSON(c.text)
			data := fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":%[1]s,"traceId":"%032[2]x","spanId":"%016[3]x",`+member+`}]}]}]}`, s, i+1, 2*j+1+int(round))
			list = append(list, body{"OTLP with " + member, "/v1/traces", jsonType, []byte(data), 200, map[string]int{"spans": 1}})
		}
	}
	return list
}

// lengthy has a secret where texts are cut, and where what is masked of them ends.
func lengthy(c canary) string {
	const limit, margin = 16384, 8192 // OCT_MAX_TEXT_BYTES, writer.MaskMargin
	s := c.around()
	for _, at := range []int{limit, limit + margin} {
		room := at - len(s) - len(c.text)/2 - 1
		s += strings.Repeat(" All quiet.", room/11+1)[:room] + " " + c.text
	}
	return s + strings.Repeat(" More.", 500)
}

// details has a secret in every place of an object.
func details(c canary) object {
	inner := mustJSON(object{"cmd": c.around(), "env": []string{c.text}, c.text: 1})
	return object{
		"note": c.around(), "only": c.text, c.text: "as a name", "json": string(inner),
		"json in json": string(mustJSON(object{"arguments": string(inner)})),
		"deep":         []any{object{"a": []any{c.around(), object{c.text: c.text}}}, 1, nil, true},
	}
}

// conversation is a conversation with s in it.
func conversation(s string) []object {
	arguments := mustJSON(object{"command": "echo " + s, "files": []string{s}})
	return []object{
		{"role": "user", "content": s},
		{"role": "assistant", "tool_calls": []object{{"type": "function", "function": object{"name": "run", "arguments": string(arguments)}}}},
		{"role": "tool", "content": []object{{"type": "text", "text": s}, {"type": "tool_result", "content": string(mustJSON(object{"output": string(arguments)}))}}},
	}
}

func nativeCall(c canary) object {
	call := object{"metadata": details(c), "unheard_of": c.around(), "and": []any{c.text, object{c.text: c.text}}, c.text: 1}
	for _, name := range []string{
		"provider", "model", "input_text", "output_text", "error_type", "error_message", "session_id", "agent", "operation",
	} {
		call[name] = c.around()
	}
	for _, name := range []string{
		"created_at", "prompt_tokens", "completion_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
		"reasoning_tokens", "cost_usd", "latency_ms", "ttft_ms",
	} {
		call[name] = c.text
	}
	return call
}

func nativeMessages(c canary) object {
	return object{
		"provider": c.text, "model": c.text, "input_text": conversation(c.around()), "output_text": string(mustJSON(conversation(c.text))),
		"metadata": string(mustJSON(details(c))), "session_id": object{c.text: c.text}, "trace_id": "",
	}
}

// dialects are the ways in which OTLP spans say what was asked and answered.
var dialects = []struct {
	name  string
	spans func(c canary, dialect, n byte) *trace.ResourceSpans
}{
	{"OTLP", func(c canary, d, n byte) *trace.ResourceSpans {
		call := span("chat "+c.text, d, n, 1, chat(c, object{
			"gen_ai.input.messages": string(mustJSON(conversation(c.around()))), "gen_ai.output.messages": string(mustJSON(conversation(c.around()))),
			"gen_ai.system_instructions": c.around(), "gen_ai.tool.definitions": c.around(), "gen_ai.response.id": c.text,
			"error.type": c.around(), "gen_ai.usage.input_tokens": c.text, c.text: c.text, "x": details(c),
		}))
		call.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: c.around()}
		call.TraceState = "a=" + c.text
		call.Links = []*trace.Span_Link{{TraceId: call.TraceId, SpanId: call.SpanId, Attributes: attributes(details(c))}}
		call.Events = []*trace.Span_Event{
			{Name: "exception", Attributes: attributes(object{"exception.type": c.around(), "exception.message": c.around(), "exception.stacktrace": "at f()\n" + c.around()})},
			{Name: c.around(), Attributes: attributes(details(c))},
		}
		tool := span("execute_tool", d, n, 2, object{
			"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": string(mustJSON(details(c))), "gen_ai.tool.call.result": c.around(),
			"gen_ai.conversation.id": c.around(), "gen_ai.agent.name": c.around(), c.text: 1,
		})
		tool.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: c.around()}
		other := span(c.around(), d, n, 3, object{"gen_ai.operation.name": c.around(), "http.url": c.around()})
		return inResource(c, call, tool, other)
	}},
	{"OTLP with content in events", func(c canary, d, n byte) *trace.ResourceSpans {
		call := span("chat", d, n, 1, chat(c, nil))
		call.Events = []*trace.Span_Event{
			{Name: "gen_ai.user.message", Attributes: attributes(object{"content": c.around()})},
			{Name: "gen_ai.choice", Attributes: attributes(object{"message": string(mustJSON(object{"content": c.around()}))})},
			{Name: "gen_ai.content.prompt", Attributes: attributes(object{"gen_ai.prompt": c.around()})},
		}
		return inResource(c, call)
	}},
	{"OpenLLMetry", func(c canary, d, n byte) *trace.ResourceSpans {
		return inResource(c, span("openai.chat", d, n, 1, chat(c, object{
			"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": c.around(), "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": c.around(),
			"gen_ai.completion.0.tool_calls.0.arguments": string(mustJSON(details(c))), "traceloop.entity.input": c.around(), "llm.request.functions.0.description": c.around(),
		})))
	}},
	{"OpenInference", func(c canary, d, n byte) *trace.ResourceSpans {
		return inResource(c, span("ChatCompletion", d, n, 1, chat(c, object{
			"openinference.span.kind": "LLM", "input.value": string(mustJSON(conversation(c.around()))), "output.value": c.around(),
			"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": c.around(),
			"llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": c.around(), "llm.invocation_parameters": string(mustJSON(details(c))),
		})))
	}},
	{"AI SDK", func(c canary, d, n byte) *trace.ResourceSpans {
		return inResource(c, span("ai.generateText.doGenerate", d, n, 1, chat(c, object{
			"ai.prompt.messages": string(mustJSON(conversation(c.around()))), "ai.response.text": c.around(), "ai.response.toolCalls": string(mustJSON([]object{details(c)})),
			"ai.settings.context": c.around(), "ai.request.headers.authorization": c.around(),
		})))
	}},
	{"OpenClaw", func(c canary, d, n byte) *trace.ResourceSpans {
		call := span("openclaw.model.call", d, n, 1, chat(c, object{
			"openclaw.content.input_messages": string(mustJSON(conversation(c.around()))), "openclaw.failureKind": c.around(), "openclaw.error": c.around(),
			"openclaw.content.output_messages": string(mustJSON([]object{{"role": "assistant", "errorMessage": c.around(), "errorBody": c.around(), "stopReason": c.text, "content": c.text}})),
		}))
		call.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR}
		return inResource(c, call)
	}},
}

// chat returns what a call says of itself, and more.
func chat(c canary, more object) object {
	o := object{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": c.around(), "gen_ai.request.model": c.around(), "gen_ai.response.model": c.text,
		"gen_ai.conversation.id": c.around(), "gen_ai.agent.name": c.around(),
	}
	for name, v := range more {
		o[name] = v
	}
	return o
}

func span(name string, dialect, n, id byte, attrs object) *trace.Span {
	return &trace.Span{
		TraceId: bytes.Repeat([]byte{dialect + 1, n + 1}, 8), SpanId: bytes.Repeat([]byte{id}, 8), Name: name,
		StartTimeUnixNano: 1_700_000_000_000_000_000, EndTimeUnixNano: 1_700_000_000_500_000_000, Attributes: attributes(attrs),
	}
}

func inResource(c canary, spans ...*trace.Span) *trace.ResourceSpans {
	return &trace.ResourceSpans{
		Resource: &resource.Resource{Attributes: attributes(object{
			"service.name": c.around(), "host.name": c.around(), "process.command_line": c.around(), c.text: c.text,
		})},
		SchemaUrl: c.text,
		ScopeSpans: []*trace.ScopeSpans{{
			Scope: &common.InstrumentationScope{Name: c.around(), Version: c.around(), Attributes: attributes(details(c))}, Spans: spans, SchemaUrl: c.text,
		}},
	}
}

func logRecords(c canary, variant, n byte) *logs.ResourceLogs {
	record := func(id uint64, severity logs.SeverityNumber, body any, attrs object) *logs.LogRecord {
		return &logs.LogRecord{
			TimeUnixNano: 1_700_000_000_000_000_000 + uint64(variant)<<16 + uint64(n)<<8 + id, SeverityNumber: severity, SeverityText: c.text,
			Body: value(body), Attributes: attributes(attrs),
		}
	}
	event := record(4, logs.SeverityNumber_SEVERITY_NUMBER_INFO, details(c), object{"session.id": c.around(), "gen_ai.input.messages": string(mustJSON(conversation(c.text))), "x": details(c)})
	event.EventName = "gen_ai.client.inference.operation.details"
	named := record(5, logs.SeverityNumber_SEVERITY_NUMBER_ERROR, c.around(), details(c))
	named.EventName = c.around()
	return &logs.ResourceLogs{
		Resource: &resource.Resource{Attributes: attributes(object{"service.name": c.around(), c.text: c.text})},
		ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: c.text}, LogRecords: []*logs.LogRecord{
			record(1, logs.SeverityNumber_SEVERITY_NUMBER_ERROR, c.around(), object{"exception.type": c.around(), "exception.message": c.around(), "exception.stacktrace": "at f()\n" + c.around(), c.text: c.text}),
			record(2, logs.SeverityNumber_SEVERITY_NUMBER_FATAL, details(c), object{"openclaw.event": "model.call.error", "openclaw.error": c.around(), "openclaw.rawErrorPreview": c.around()}),
			record(3, logs.SeverityNumber_SEVERITY_NUMBER_INFO, c.around(), details(c)), // is not kept
			event, named,
		}}},
	}
}

func attributes(o object) (list []*common.KeyValue) {
	for name, v := range o {
		list = append(list, &common.KeyValue{Key: name, Value: value(v)})
	}
	slices.SortFunc(list, func(a, b *common.KeyValue) int { return strings.Compare(a.Key, b.Key) })
	return list
}

func value(v any) *common.AnyValue {
	switch v := v.(type) {
	case string:
		return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}
	case int:
		return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(v)}}
	case object:
		return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: attributes(v)}}}
	case []any:
		list := new(common.ArrayValue)
		for _, e := range v {
			list.Values = append(list.Values, value(e))
		}
		return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: list}}
	}
	return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}
}

// refused returns bodies of which nothing is stored, though each is full of secrets.
func refused() (list []body) {
	const call, failure, custom = `"provider":"p","model":"m"`, `"error_type":"e","message":"m"`, `"name":"n"`
	const span = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"`
	for _, c := range canaries {
		s := string(mustJSON(c.text))
		for _, r := range []struct {
			path, data string
			status     int
		}{
			{"/v1/traces", `{` + call + `,"trace_id":` + s + `}`, 400},
			{"/v1/traces", `{` + call + `,"status":` + s + `}`, 400},
			{"/v1/traces", `{"provider":` + s + `,"input_text":` + s + `}`, 400},
			{"/v1/traces", `{"model":` + s + `,` + s + `:` + s + `}`, 400},
			{"/v1/traces", `[` + s + `,1,[` + s + `]]`, 400},
			{"/v1/traces", s, 400},
			{"/v1/traces", c.text, 400},
			{"/v1/traces", `{` + call + `,"x":` + c.text + `}`, 400},
			{"/v1/traces", `{` + call + `,` + s + `}`, 400},
			{"/v1/traces", `{` + call + `,"x":` + s, 400},
			{"/v1/traces", `{` + call + `,"x":"\q` + c.text + `"}`, 400},
			{"/v1/traces", `{` + call + `,"x":"\u` + c.text + `"}`, 400},
			{"/v1/traces", `{` + call + `}` + c.text, 400},
			{"/v1/traces", `{` + call + `,"x":` + strings.Repeat("[", 20_000) + s, 400},
			{"/v1/errors", `{` + failure + `,"severity":` + s + `}`, 400},
			{"/v1/errors", `{` + failure + `,"trace_id":` + s + `}`, 400},
			{"/v1/errors", `{"error_type":` + s + `}`, 400},
			{"/v1/errors", `{"message":` + s + `}`, 400},
			{"/v1/events", `{` + custom + `,"trace_id":` + s + `}`, 400},
			{"/v1/events", `{"metadata":{"a":` + s + `}}`, 400},
			{"/v1/traces", `{"resourceSpans":` + s + `}`, 400},
			{"/v1/traces", span + `,"attributes":` + s + `}]}]}]}`, 400},
			{"/v1/traces", span + `,` + s + `:` + c.text, 400},
			// Of these the answer tells that they were rejected, or nothing.
			{"/v1/traces", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"","spanId":"0102030405060708","name":` + s + `}]}]}]}`, 200},
			{"/v1/traces", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":` + s + `,"spanId":"0102030405060708","name":` + s + `}]}]}]}`, 200},
			{"/v1/logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":` + s + `,"body":{"stringValue":` + s + `}}]}]}]}`, 200},
			{"/v1/logs", c.text, 400},
			{"/v1/metrics", `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":` + s + `,"gauge":{"dataPoints":[{"asDouble":` + s + `}]}}]}]}]}`, 200},
			{"/v1/metrics", `{"resourceMetrics":` + s + `}`, 400},
			{"/api/v1/redact", `{"database":` + s + `}`, 409},
			{"/api/v1/reprice", `{"database":` + s + `}`, 409},
			{"/api/v1/reprice", c.text, 400},
		} {
			name := fmt.Sprintf("%s %.160s with %s", r.path, strings.NewReplacer(s, "…", c.text, "…").Replace(r.data), c.rule)
			list = append(list, body{name, r.path, "application/json", []byte(r.data), r.status, nil})
		}
		// A span, cut off; and what is none.
		whole := mustProto(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{dialects[0].spans(c, 100, 0)}})
		list = append(list,
			body{"protobuf, cut off", "/v1/traces", "application/x-protobuf", whole[:len(whole)-3], 400, nil},
			body{"no protobuf", "/v1/traces", "application/x-protobuf", []byte(c.text), 400, nil},
			body{"no protobuf", "/v1/logs", "application/x-protobuf", []byte(c.text), 400, nil})
	}
	return list
}

func mustJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // texts, numbers, maps and lists always can be
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func mustProto(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err) // texts that are valid always can be
	}
	return b
}

// otlpJSON is m as OTLP has it, which is protobuf's JSON but for ids in hex.
func otlpJSON(m proto.Message) []byte {
	b, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(m)
	if err != nil {
		panic(err) // as above
	}
	return regexp.MustCompile(`"(traceId|spanId)": ?"([^"]*)"`).ReplaceAllFunc(b, func(member []byte) []byte {
		parts := bytes.Split(member, []byte(`"`))
		id, err := base64.StdEncoding.DecodeString(string(parts[3]))
		if err != nil {
			panic(err)
		}
		return fmt.Appendf(nil, `"%s":"%s"`, parts[1], hex.EncodeToString(id))
	})
}

// escaped is the JSON text b with every character of its strings as \u00….
func escaped(b []byte) []byte {
	var out bytes.Buffer
	inside := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			inside = !inside
			out.WriteByte(c)
		case inside && c == '\\':
			out.Write(b[i : i+2])
			i++
		case inside && c < 0x80:
			fmt.Fprintf(&out, `\u%04x`, c)
		default:
			out.WriteByte(c)
		}
	}
	return out.Bytes()
}
