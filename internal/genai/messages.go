package genai

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// Whatever an emitter's form, the messages of a call are stored in that of
// OpenTelemetry's gen_ai.input.messages and gen_ai.output.messages:
//
//	[{"role": "user", "parts": [{"type": "text", "content": "…"}]}]
//
// with parts of the types text, reasoning, tool_call (id, name, arguments) and
// tool_call_response (id, response). What has no place in it keeps its own name and
// form, so nothing is lost by it. A text that is no list of messages stays as it is.

// content returns the input or output of a call, or nil.
func (r *reader) content(f field, s *otlp.Span) *string {
	if key := r.key(f); key != "" && isPattern(key) {
		role := "user"
		if f == output {
			role = "assistant"
		}
		return r.slab.string(indexed(strings.TrimSuffix(key, "*"), role, s.Attrs))
	}
	text, ok := r.text(f)
	if !ok || text == "" {
		return nil
	}
	return r.slab.string(messagesOf(text))
}

// withInstructions puts system instructions, which some emitters send apart, before
// the messages.
func (r *reader) withInstructions(input *string) *string {
	instructions, ok := r.text(instructions)
	if !ok || instructions == "" {
		return input
	}
	b := append([]byte(nil), `[{"role":"system","parts":`...)
	if parts := jsontext.Value(instructions); parts.Kind() == '[' && valid(parts) {
		b = append(b, parts...)
	} else {
		b = append(appendText(append(b, '['), instructions), ']')
	}
	b = append(b, '}')
	if input != nil {
		rest := strings.TrimLeft(*input, " \t\r\n")
		if !strings.HasPrefix(rest, "[") || !valid(jsontext.Value(rest)) {
			b = append(b, `,{"role":"user","parts":[`...)
			b = append(appendText(b, *input), "]}]"...)
			return r.slab.string(string(b))
		}
		if rest = strings.TrimLeft(rest[1:], " \t\r\n"); rest != "]" {
			b = append(b, ',')
		}
		return r.slab.string(string(append(b, rest...)))
	}
	return r.slab.string(string(append(b, ']')))
}

// aiOutput returns the answer as the AI SDK spreads it over several attributes.
func (r *reader) aiOutput() *string {
	text, _ := r.text(output)
	b := append([]byte(nil), `[{"role":"assistant","parts":[`...)
	start := len(b)
	if text != "" {
		b = appendText(b, text)
	}
	calls, _ := r.text(toolCalls)
	if v := jsontext.Value(calls); v.Kind() == '[' && valid(v) {
		eachElement(v, func(call jsontext.Value) { b = appendBlock(separate(b, start), call, "tool-call") })
	}
	if len(b) == start {
		return nil
	}
	return r.slab.string(string(append(b, "]}]"...)))
}

// fragment is an attribute whose key holds a path into a list of messages.
type fragment struct {
	message int
	list    string // contents or tool_calls, "" for what belongs to the message itself
	item    int    // of list
	name    string
	value   *otlp.Value
}

// parseFragment reads the rest of such a key: "0.role", "0.tool_calls.1.name"
// (OpenLLMetry), "0.message.contents.1.message_content.text" (OpenInference).
func parseFragment(path string) (f fragment, ok bool) {
	number, path, ok := strings.Cut(path, ".")
	if !ok || !parseIndex(number, &f.message) {
		return f, false
	}
	path = strings.TrimPrefix(path, "message.")
	for _, list := range [...]string{"contents", "tool_calls"} {
		inside, isList := strings.CutPrefix(path, list+".")
		if !isList {
			continue
		}
		if number, inside, ok = strings.Cut(inside, "."); ok && parseIndex(number, &f.item) {
			f.list, path = list, inside
		}
	}
	for _, level := range [...]string{"message_content.", "tool_call.", "function."} {
		path = strings.TrimPrefix(path, level)
	}
	f.name = path
	return f, true
}

func parseIndex(s string, dst *int) bool {
	n, err := strconv.ParseUint(s, 10, 31)
	*dst = int(n)
	return err == nil
}

// indexed puts together the messages that are spread over the attributes whose keys
// begin with prefix. role is that of a message that does not say.
func indexed(prefix, role string, attrs []otlp.KeyValue) string {
	var all []fragment
	for i := range attrs {
		if path, ok := strings.CutPrefix(attrs[i].Key, prefix); ok {
			if f, ok := parseFragment(path); ok {
				f.value = &attrs[i].Value
				all = append(all, f)
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		return cmp.Or(cmp.Compare(a.message, b.message), cmp.Compare(a.list, b.list), cmp.Compare(a.item, b.item)) < 0
	})
	b := []byte{'['}
	for len(all) > 0 {
		end := 1
		for end < len(all) && all[end].message == all[0].message {
			end++
		}
		b = appendFragments(separate(b, 1), role, all[:end])
		all = all[end:]
	}
	return string(append(b, ']'))
}

// appendFragments appends one message, whose fragments are sorted.
func appendFragments(b []byte, role string, all []fragment) []byte {
	// As the JSON object that others send, which then becomes a message.
	m := []byte{'{'}
	if !slices.ContainsFunc(all, func(f fragment) bool { return f.list == "" && f.name == "role" }) {
		m = appendMember(m, "role", otlp.AppendJSONString(nil, role))
		for i := range all { // a completion has no role and no content, but "user"
			if all[i].name == role {
				all[i].name = "content"
			}
		}
	}
	for len(all) > 0 {
		end := 1
		for end < len(all) && all[end].list == all[0].list {
			end++
		}
		list := all[:end]
		all = all[end:]
		if list[0].list == "" {
			m = appendMembers(m, list)
			continue
		}
		name := list[0].list
		if name == "contents" {
			name = "content"
		}
		m = otlp.AppendJSONString(separate(m, 1), name)
		m = append(m, ":["...)
		start := len(m)
		for len(list) > 0 {
			end := 1
			for end < len(list) && list[end].item == list[0].item {
				end++
			}
			m = append(separate(m, start), '{')
			m = append(appendMembers(m, list[:end]), '}')
			list = list[end:]
		}
		m = append(m, ']')
	}
	return appendMessage(b, append(m, '}'))
}

func appendMembers(b []byte, list []fragment) []byte {
	start := len(b)
	for _, f := range list {
		if b[start-1] != '{' || len(b) > start {
			b = append(b, ',')
		}
		b = otlp.AppendJSONString(b, f.name)
		b = append(b, ':')
		b = otlp.AppendJSON(b, f.value)
	}
	return b
}

// messagesOf returns messages, in an array, alone, or as the only member of an object, in
// the form that is stored. Anything else, and what is in that form already, comes back
// as it is.
func messagesOf(s string) string {
	trimmed := strings.TrimLeft(s, " \t\r\n")
	if !strings.HasPrefix(trimmed, "[") && !strings.HasPrefix(trimmed, "{") ||
		strings.Contains(s[:min(len(s), 256)], `"parts"`) || !strings.Contains(s, `"role"`) {
		return s
	}
	v := jsontext.Value(s)
	if !valid(v) {
		return s
	}
	if v.Kind() == '{' {
		members, isMessage := 0, false
		var list jsontext.Value
		eachMember(v, func(name string, v jsontext.Value) {
			members++
			isMessage = isMessage || name == "role"
			if name == "messages" && v.Kind() == '[' {
				list = v
			}
		})
		switch {
		case isMessage:
			return string(append(appendMessage([]byte{'['}, v), ']'))
		case list == nil || members > 1:
			return s
		}
		v = list
	}
	b := []byte{'['}
	eachElement(v, func(m jsontext.Value) { b = appendMessage(separate(b, 1), m) })
	return string(append(b, ']'))
}

// appendMessage appends a message of whatever form, an object of valid JSON.
func appendMessage(b []byte, m jsontext.Value) []byte {
	var role, content, calls, id jsontext.Value
	isMessage := m.Kind() == '{'
	eachMember(m, func(name string, v jsontext.Value) {
		switch name {
		case "role":
			role = v
		case "content":
			content = v
		case "tool_calls":
			calls = v
		case "tool_call_id":
			id = v
		case "parts":
			isMessage = false // it is in the form already
		}
	})
	if !isMessage || role == nil || content == nil && calls == nil {
		return append(b, m...)
	}
	kind := "text"
	if string(role) == `"thinking"` { // OpenLLMetry's
		role, kind = jsontext.Value(`"assistant"`), "reasoning"
	}
	b = append(append(b, `{"role":`...), role...)
	b = append(b, `,"parts":[`...)
	start := len(b)
	var said map[string]bool // ids of tool calls, since some emitters say each twice
	block := func(v jsontext.Value, kind string) {
		if id := toolCallID(v); id != "" {
			if said[id] {
				return
			}
			if said == nil {
				said = make(map[string]bool)
			}
			said[id] = true
		}
		b = appendBlock(separate(b, start), v, kind)
	}
	switch {
	case id != nil && string(role) != `"assistant"`: // a result; Anthropic's come from the user
		b = append(append(b, `{"type":"tool_call_response","id":`...), id...)
		b = append(append(append(b, `,"response":`...), orNull(unquoted(content))...), '}')
	case content.Kind() == '"' && unquoted(content).Kind() == '[':
		content = unquoted(content) // content blocks as text
		fallthrough
	case content.Kind() == '[':
		eachElement(content, func(v jsontext.Value) { block(v, kind) })
	case content.Kind() == '{':
		block(content, kind)
	case content.Kind() == '"' && string(content) != `""`:
		b = append(append(append(b, `{"type":"`...), kind...), `","content":`...)
		b = append(append(b, content...), '}')
	}
	if calls.Kind() == '[' {
		eachElement(calls, func(v jsontext.Value) { block(v, "tool-call") })
	}
	b = append(b, ']')
	eachMember(m, func(name string, v jsontext.Value) {
		switch name {
		case "role", "content", "tool_calls":
		case "tool_call_id":
			if string(role) == `"assistant"` {
				b = appendMember(b, name, v)
			}
		default:
			b = appendMember(b, name, v)
		}
	})
	return append(b, '}')
}

// toolCallID returns the id of a block that is a call of a tool, or "".
func toolCallID(block jsontext.Value) (id string) {
	isCall := false
	eachMember(block, func(name string, v jsontext.Value) {
		switch name {
		case "name", "function", "toolName":
			isCall = true
		case "id", "toolCallId":
			id = string(v)
		}
	})
	if !isCall {
		return ""
	}
	return id
}

// blockMembers are the names that emitters have for the members of a part.
var blockMembers = map[string]string{
	"text": "text", "thinking": "text", "content": "text",
	"toolCallId": "id", "id": "id", "tool_use_id": "id", "call_id": "id",
	"toolName": "name", "name": "name",
	"input": "arguments", "args": "arguments", "arguments": "arguments",
	"output": "response", "result": "response", "response": "response",
}

// appendBlock appends what is one block of a message's content, or one of its tool
// calls, as a part. kind is its type if it does not say.
func appendBlock(b []byte, block jsontext.Value, kind string) []byte {
	if block.Kind() == '"' {
		return append(append(append(b, `{"type":"text","content":`...), block...), '}')
	}
	if block.Kind() != '{' {
		return append(b, block...)
	}
	said := make(map[string]jsontext.Value, 6)
	eachMember(block, func(name string, v jsontext.Value) {
		switch {
		case name == "type":
			kind = string(v[1:max(1, len(v)-1)])
		case name == "function" && v.Kind() == '{': // OpenAI's
			eachMember(v, func(name string, v jsontext.Value) { said[blockMembers[name]] = v })
		case blockMembers[name] != "":
			said[blockMembers[name]] = v
		}
	})
	switch kind {
	case "text", "input_text", "output_text":
		if said["text"].Kind() == '"' {
			return append(append(append(b, `{"type":"text","content":`...), said["text"]...), '}')
		}
	case "reasoning", "thinking":
		if said["text"].Kind() == '"' {
			return append(append(append(b, `{"type":"reasoning","content":`...), said["text"]...), '}')
		}
	case "tool-call", "tool_call", "tool_use", "toolCall", "function", "function_call":
		if said["name"] != nil {
			b = append(b, `{"type":"tool_call","id":`...)
			b = append(append(b, orNull(said["id"])...), `,"name":`...)
			b = append(append(b, said["name"]...), `,"arguments":`...)
			return append(append(b, orNull(unquoted(said["arguments"]))...), '}')
		}
	case "tool-result", "tool_result", "toolResult":
		response := said["response"]
		if response == nil {
			response = said["text"] // Anthropic calls it content
		}
		b = append(b, `{"type":"tool_call_response","id":`...)
		b = append(append(b, orNull(said["id"])...), `,"response":`...)
		return append(append(b, orNull(unquoted(response))...), '}')
	}
	return append(b, block...)
}

// contentEvents are events, of a span or as log records, that hold content of a call.
// Those without a role hold it in attributes of their own.
var contentEvents = map[string]string{
	"gen_ai.system.message":                     "system",
	"gen_ai.user.message":                       "user",
	"gen_ai.assistant.message":                  "assistant",
	"gen_ai.tool.message":                       "tool",
	"gen_ai.choice":                             "assistant",
	"gen_ai.content.prompt":                     "",
	"gen_ai.content.completion":                 "",
	"gen_ai.client.inference.operation.details": "",
}

func isContentEvent(name string) bool { _, ok := contentEvents[name]; return ok }

// collectEvents notes content that the span's events carry, where no attribute does.
func (r *reader) collectEvents(events []otlp.Event) {
	for i := range events {
		if role, ok := contentEvents[events[i].Name]; !ok || role != "" {
			continue
		}
		for j := range events[i].Attrs {
			kv := &events[i].Attrs[j]
			switch m := meanings[kv.Key]; m.field {
			case input, output, instructions:
				if r.at[m.field] == 0 && len(r.attrs) < math.MaxUint16 {
					r.attrs = append(r.attrs[:len(r.attrs):len(r.attrs)], *kv)
					r.at[m.field], r.rank[m.field] = uint16(len(r.attrs)), m.rank
				}
			}
		}
	}
}

// eventMessages returns the messages that span events hold one by one, of the input
// or of the output.
func (r *reader) eventMessages(events []otlp.Event, f field) *string {
	b := []byte{'['}
	for i := range events {
		e := &events[i]
		role := contentEvents[e.Name]
		if role == "" || (f == output) != (e.Name == "gen_ai.choice") {
			continue
		}
		// As one object that becomes a message; Azure's form has it as JSON text.
		m := []byte{'{'}
		var whole jsontext.Value
		hasRole := false
		for j := range e.Attrs {
			kv := &e.Attrs[j]
			switch kv.Key {
			case "gen_ai.event.content", "message":
				if v := jsontext.Value(kv.Value.Str); v.Kind() == '{' && valid(v) {
					whole = v
				} else if kv.Value.Kind == otlp.Map {
					whole = otlp.AppendJSON(nil, &kv.Value)
				}
			case "role", "content", "tool_calls", "id", "finish_reason", "index":
				name := kv.Key
				if name == "id" {
					name = "tool_call_id"
				}
				hasRole = hasRole || name == "role"
				v := otlp.AppendJSON(nil, &kv.Value)
				if inner := unquoted(v); name == "tool_calls" && inner.Kind() == '[' {
					v = inner
				}
				m = appendMember(m, name, v)
			}
		}
		if whole != nil {
			eachMember(whole, func(name string, v jsontext.Value) {
				if name == "message" && v.Kind() == '{' {
					eachMember(v, func(name string, v jsontext.Value) {
						hasRole = hasRole || name == "role"
						m = appendMember(m, name, v)
					})
					return
				}
				hasRole = hasRole || name == "role"
				m = appendMember(m, name, v)
			})
		}
		if !hasRole {
			m = appendMember(m, "role", otlp.AppendJSONString(nil, role))
		}
		b = appendMessage(separate(b, 1), append(m, '}'))
	}
	if len(b) == 1 {
		return nil
	}
	return r.slab.string(string(append(b, ']')))
}

// separate appends a comma unless b ends where a list starts.
func separate(b []byte, start int) []byte {
	if len(b) > start && b[len(b)-1] != '[' {
		b = append(b, ',')
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = append(b, `{"type":"text","content":`...)
	return append(otlp.AppendJSONString(b, s), '}')
}

func appendMember(b []byte, name string, v jsontext.Value) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = otlp.AppendJSONString(b, name)
	return append(append(b, ':'), v...)
}

func orNull(v jsontext.Value) jsontext.Value {
	if v == nil {
		return jsontext.Value("null")
	}
	return v
}

// unquoted returns the JSON that a string holds, or v if it holds none.
func unquoted(v jsontext.Value) jsontext.Value {
	if v.Kind() != '"' {
		return v
	}
	text, err := jsontext.AppendUnquote(nil, v)
	if inner := jsontext.Value(text); err == nil && (inner.Kind() == '{' || inner.Kind() == '[') && valid(inner) {
		return inner
	}
	return v
}

// lenient reads JSON as emitters write it.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

func valid(v jsontext.Value) bool { return v.IsValid(lenient...) }

// eachElement calls f with the elements of v, a valid array. They are valid until the
// next one.
func eachElement(v jsontext.Value, f func(jsontext.Value)) {
	each(v, func(d *jsontext.Decoder) error {
		e, err := d.ReadValue()
		if err == nil {
			f(e)
		}
		return err
	})
}

// eachMember calls f with the members of v if it is an object, which must be valid.
func eachMember(v jsontext.Value, f func(name string, v jsontext.Value)) {
	if v.Kind() != '{' {
		return
	}
	each(v, func(d *jsontext.Decoder) error {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		text := name.String()
		start := d.InputOffset()
		if _, err = d.ReadValue(); err != nil {
			return err
		}
		// From v itself, since the decoder's is gone at its next read.
		member := v[start:d.InputOffset()]
		f(text, trimColon(member))
		return nil
	})
}

func trimColon(v jsontext.Value) jsontext.Value {
	for len(v) > 0 && (v[0] == ':' || v[0] == ' ' || v[0] == '\t' || v[0] == '\n' || v[0] == '\r') {
		v = v[1:]
	}
	return v
}

// each calls f for what is inside the array or object v.
func each(v jsontext.Value, f func(*jsontext.Decoder) error) {
	d := jsontext.NewDecoder(strings.NewReader(string(v)), lenient...)
	if _, err := d.ReadToken(); err != nil {
		return
	}
	for k := d.PeekKind(); k != ']' && k != '}' && k != jsontext.KindInvalid; k = d.PeekKind() {
		if f(d) != nil {
			return
		}
	}
}
