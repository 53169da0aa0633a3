package dashboard

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// message is one of a conversation, as it is shown.
type message struct {
	role    string
	parts   []part
	finish  string // why the model stopped
	omitted int    // so many messages stood here and are not stored
}

// part is a piece of a message.
type part struct {
	kind partKind
	text string // what it says; arguments and results as indented JSON, if they are JSON
	name string // of a tool, or the type of a part that is not known here
	id   string // of a tool call
}

type partKind int

const (
	partText partKind = iota
	partReasoning
	partCall
	partResult
	partOther
)

// size returns how many bytes m says.
func (m *message) size() (n int) {
	for i := range m.parts {
		n += len(m.parts[i].text)
	}
	return n
}

// maxParts is the limit of messages, and of the parts of one, that are shown.
const maxParts = 2000

// messagesOf reads a stored input or output. What is no list of messages is one message
// of that role, as it is.
func messagesOf(stored, role string) []message {
	if list, ok := parseMessages(stored); ok {
		nameResults(list)
		return list
	}
	text := stored
	if pretty, ok := indent([]byte(stored)); ok {
		text = pretty
	}
	return []message{{role: role, parts: []part{{text: text}}}}
}

// rawMessage has the members of messages in the forms that are stored: OpenTelemetry's,
// and what emitters send that is not put into it.
type rawMessage struct {
	Role         string            `json:"role"`
	Parts        []json.RawMessage `json:"parts"`
	Content      json.RawMessage   `json:"content"`
	ToolCalls    []json.RawMessage `json:"tool_calls"`
	ToolCallID   string            `json:"tool_call_id"`
	FinishReason string            `json:"finish_reason"`
	Omitted      int               `json:"omitted"`
}

// rawPart has the members of parts.
type rawPart struct {
	Type      string          `json:"type"`
	Content   json.RawMessage `json:"content"`
	Text      json.RawMessage `json:"text"`
	Thinking  json.RawMessage `json:"thinking"`
	Name      string          `json:"name"`
	ID        json.RawMessage `json:"id"`
	ToolUseID json.RawMessage `json:"tool_use_id"`
	Arguments json.RawMessage `json:"arguments"`
	Input     json.RawMessage `json:"input"`
	Response  json.RawMessage `json:"response"`
	Result    json.RawMessage `json:"result"`
	Function  *struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

func parseMessages(s string) ([]message, bool) {
	if t := strings.TrimLeft(s, " \t\r\n"); !strings.HasPrefix(t, "[") && !strings.HasPrefix(t, "{") {
		return nil, false
	}
	var raw []json.RawMessage
	if json.Unmarshal([]byte(s), &raw) != nil {
		var one rawMessage
		if json.Unmarshal([]byte(s), &one) != nil || one.Role == "" {
			return nil, false
		}
		raw = []json.RawMessage{json.RawMessage(s)}
	}
	if len(raw) == 0 {
		return nil, false
	}
	var list []message
	for _, element := range raw[:min(len(raw), maxParts)] {
		var m rawMessage
		if json.Unmarshal(element, &m) != nil {
			// A member has another type than all known emitters give it.
			text, ok := indent(element)
			if !ok || element[0] != '{' {
				return nil, false
			}
			list = append(list, message{role: "message", parts: []part{{kind: partOther, text: text}}})
			continue
		}
		switch {
		case m.Role == "" && m.Omitted > 0:
			list = append(list, message{omitted: m.Omitted})
		case m.Role == "":
			return nil, false // a list, but of something else
		default:
			list = append(list, m.message())
		}
	}
	if left := len(raw) - len(list); left > 0 {
		list = append(list, message{omitted: left})
	}
	return list, true
}

func (m *rawMessage) message() message {
	out := message{role: m.Role, finish: m.FinishReason}
	for _, p := range m.Parts[:min(len(m.Parts), maxParts)] {
		out.parts = append(out.parts, partOf(p))
	}
	if text, ok := unquote(m.Content); ok {
		if text != "" || len(m.Parts)+len(m.ToolCalls) == 0 {
			p := part{text: text}
			if m.ToolCallID != "" {
				p.kind, p.id = partResult, m.ToolCallID
				p.text = pretty(m.Content)
			}
			out.parts = append(out.parts, p)
		}
	} else if blocks, ok := elements(m.Content); ok {
		for _, b := range blocks[:min(len(blocks), maxParts)] {
			out.parts = append(out.parts, partOf(b))
		}
	} else if len(m.Content) > 0 && string(m.Content) != "null" {
		out.parts = append(out.parts, part{kind: partOther, text: pretty(m.Content)})
	}
	for _, c := range m.ToolCalls[:min(len(m.ToolCalls), maxParts)] {
		p := partOf(c)
		if p.kind == partOther && p.name == "function" {
			p.kind = partCall
		}
		out.parts = append(out.parts, p)
	}
	return out
}

func partOf(raw json.RawMessage) part {
	if text, ok := unquote(raw); ok {
		return part{text: text}
	}
	var p rawPart
	if json.Unmarshal(raw, &p) != nil {
		return part{kind: partOther, text: pretty(raw)}
	}
	first := func(list ...json.RawMessage) json.RawMessage {
		for _, v := range list {
			if len(v) > 0 {
				return v
			}
		}
		return nil
	}
	id, ok := unquote(first(p.ID, p.ToolUseID))
	if !ok {
		id = ""
	}
	switch p.Type {
	case "", "text", "input_text", "output_text":
		if text, ok := unquote(first(p.Content, p.Text)); ok {
			return part{text: text}
		}
	case "reasoning", "thinking":
		if text, ok := unquote(first(p.Content, p.Text, p.Thinking)); ok {
			return part{kind: partReasoning, text: text}
		}
	case "tool_call", "tool_use", "tool-call":
		return part{kind: partCall, name: p.Name, id: id, text: pretty(first(p.Arguments, p.Input))}
	case "tool_call_response", "tool_result", "tool-result":
		return part{kind: partResult, name: p.Name, id: id, text: pretty(first(p.Response, p.Result, p.Content))}
	}
	if p.Function != nil {
		return part{kind: partCall, name: p.Function.Name, id: id, text: pretty(p.Function.Arguments)}
	}
	return part{kind: partOther, name: p.Type, text: pretty(raw)}
}

// nameResults gives each result the name of the tool that was called.
func nameResults(list []message) {
	names := make(map[string]string)
	for i := range list {
		for j := range list[i].parts {
			p := &list[i].parts[j]
			switch {
			case p.id == "":
			case p.kind == partCall:
				names[p.id] = p.name
			case p.kind == partResult && p.name == "":
				p.name = names[p.id]
			}
		}
	}
}

// pretty returns what a value says: a string's text, the texts of content blocks, or
// indented JSON. JSON in a string is JSON.
func pretty(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	if text, ok := unquote(raw); ok {
		if t := strings.TrimSpace(text); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
			if inner, ok := indent([]byte(t)); ok {
				return inner
			}
		}
		return text
	}
	if blocks, ok := elements(raw); ok && len(blocks) > 0 {
		var texts []string
		for _, b := range blocks {
			var p rawPart
			if json.Unmarshal(b, &p) != nil || p.Type != "text" {
				break
			}
			text, ok := unquote(p.Text)
			if !ok {
				if text, ok = unquote(p.Content); !ok {
					break
				}
			}
			texts = append(texts, text)
		}
		if len(texts) == len(blocks) {
			return strings.Join(texts, "\n")
		}
	}
	if text, ok := indent(raw); ok {
		return text
	}
	return string(raw)
}

func elements(raw json.RawMessage) (list []json.RawMessage, ok bool) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil, false
	}
	return list, json.Unmarshal(raw, &list) == nil
}

func unquote(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// indent returns JSON over several lines. A number alone is none.
func indent(raw []byte) (string, bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return "", false
	}
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil || b.Len() > 4*len(raw)+1024 {
		return "", false // not JSON, or so nested that it would be mostly spaces
	}
	return b.String(), true
}

// visible returns s with its invisible characters made visible: control characters, and
// those that change the direction of text, with which one text can look like another.
func visible(s string) string {
	ok := true
	for _, r := range s {
		if hidden(r) {
			ok = false
			break
		}
	}
	if ok {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 64)
	for _, r := range s {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x20:
			b.WriteRune(0x2400 + r) // its picture
		case r == 0x7f:
			b.WriteRune('␡')
		default:
			b.WriteString("⟨U+" + strings.ToUpper(strconv.FormatInt(int64(r), 16)) + "⟩")
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return false
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return true
	case r == 0x061c, r >= 0x200e && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	case r == 0xfeff, r >= 0xe0000 && r <= 0xe007f: // tags, in which prompts have been hidden
		return true
	}
	return false
}
