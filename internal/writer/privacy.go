package writer

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kon-rad/openclaw-trace/internal/redact"
)

// MaskMargin is how many bytes of a text that will be cut have to be there beyond the
// cut when it is masked: a secret that the cut would have halved is seen whole.
const MaskMargin = 8 << 10

// mask replaces secrets in s and counts them.
func (p *preparer) mask(s *string) {
	*s = p.opts.Mask.Mask(*s, p.found)
}

// maskJSON is mask for a JSON text, however its characters are escaped.
func (p *preparer) maskJSON(s *string) {
	*s = maskJSON(p.opts.Mask, plain(*s), p.found)
}

// maskJSON returns s, which plain returned, masked. JSON in a string of JSON has escapes
// that are themselves escaped. They may as well be part of a text that means them, so
// they are undone only where that uncovers a secret.
func maskJSON(m *redact.Masker, s string, found func(redact.Match)) string {
	if inner := plainInside(s); inner != s && secrets(m, inner) > secrets(m, s) {
		s = inner
	}
	return m.Mask(s, found)
}

// secrets returns how many there are in s.
func secrets(m *redact.Masker, s string) (n int) {
	m.Mask(s, func(redact.Match) { n++ })
	return n
}

// found counts a secret for the ledger.
func (p *preparer) found(m redact.Match) {
	p.counts.Add(Entry{p.kind, Masked, m.Rule}, 1)
}

// shorten masks s and cuts it to n bytes. Of a much longer text only what matters is
// looked at.
func (p *preparer) shorten(s *string, n int) {
	cut := len(*s) > n+MaskMargin
	if cut {
		*s = Cut(*s, n+MaskMargin)
	}
	p.mask(s)
	if cut {
		n = min(n, max(0, len(*s)-MaskMargin)) // the rest may end with half a secret
	}
	*s = Cut(*s, n)
}

// isJSON tells whether a content looks like JSON and not like text.
func isJSON(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n")
	return strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{")
}

// plain returns the JSON text s with characters that need no escape as themselves, so
// that a secret is found however it was written, and NUL as U+FFFD.
func plain(s string) string {
	if !strings.Contains(s, `\u00`) && !strings.Contains(s, `\/`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch c, ok := escaped(s[i:]); {
		case s[i+1] == '/':
			b.WriteByte('/')
			i++
		case ok && c == 0:
			b.WriteString(`\ufffd`)
			i += 5
		case ok && isPlain(c):
			b.WriteByte(c)
			i += 5
		default:
			b.WriteString(s[i : i+2]) // an escaped backslash is not the start of an escape
			i++
		}
	}
	return b.String()
}

// plainInside returns s with the escapes of JSON inside its strings undone as plain undoes
// its own, at any depth.
func plainInside(s string) string {
	if !strings.Contains(s, `\\u00`) && !strings.Contains(s, `\\/`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		end := i
		for end < len(s) && s[end] == '\\' {
			end++
		}
		if end == i {
			b.WriteByte(s[i])
			continue
		}
		run := end - i // 2, 4, 8 … at depth 1, 2, 3 …
		deep := run > 1 && run&(run-1) == 0
		c, ok := escaped(s[end-1:])
		switch {
		case deep && end < len(s) && s[end] == '/':
			b.WriteByte('/')
			i = end
		case deep && ok && isPlain(c):
			b.WriteByte(c)
			i = end + 4
		default:
			b.WriteString(s[i:end])
			i = end - 1
		}
	}
	return b.String()
}

// isPlain tells whether JSON needs no escape for c.
func isPlain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

// escaped returns the character that s begins with, if that is \u00 and two digits.
func escaped(s string) (c byte, ok bool) {
	if len(s) < 6 || s[:4] != `\u00` {
		return 0, false
	}
	for _, d := range []byte(s[4:6]) {
		switch {
		case '0' <= d && d <= '9':
			c = c<<4 | (d - '0')
		case 'a' <= d|0x20 && d|0x20 <= 'f':
			c = c<<4 | (d | 0x20 - 'a' + 10)
		default:
			return 0, false
		}
	}
	return c, true
}

// With OCT_CAPTURE_CONTENT=off metadata keeps numbers, true and false, and of its texts
// those whose names begin with one of naming and with none of telling, up to maxName
// bytes: names of things, and no content.
var (
	naming = []string{
		"openclaw_trace.", "openclaw.", "service.", "host.", "otel.", "span.", "name", "log.event_name", "log.trace_id", "log.span_id",
		"error.", "exception.type", "server.", "user.id", "session.id", "gen_ai.system", "gen_ai.provider.", "gen_ai.operation.", "gen_ai.request.",
		"gen_ai.response.", "gen_ai.agent.", "gen_ai.conversation.", "gen_ai.tool.name", "gen_ai.tool.type", "gen_ai.tool.call.id", "gen_ai.output.type",
		"gen_ai.workflow.", "llm.model_name", "llm.provider", "llm.system", "llm.request.type", "llm.response.", "openinference.span.kind", "tool.name",
		"traceloop.span.kind", "traceloop.entity.name", "traceloop.workflow.name", "ai.model.", "ai.operationId", "ai.telemetry.functionId",
		"ai.response.id", "ai.response.model", "ai.response.finishReason", "ai.toolCall.name", "ai.toolCall.id",
	}
	telling = []string{"openclaw.content.", "openclaw.error", "openclaw.rawError", "openclaw.log.", "gen_ai.system_instructions", "gen_ai.request.stop"}
)

func isName(key string) bool {
	begins := func(list []string) bool {
		for _, prefix := range list {
			if strings.HasPrefix(key, prefix) {
				return true
			}
		}
		return false
	}
	return begins(naming) && !begins(telling)
}

// withoutContent returns the JSON object metadata with numbers and names only, or nil
// if nothing is left.
func withoutContent(metadata string) *string {
	d := decoder(metadata)
	var out bytes.Buffer
	e := jsontext.NewEncoder(&out, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if keepNumbers(d, e, "") != nil {
		return nil
	}
	s := strings.TrimRight(out.String(), "\n")
	if s == "{}" {
		return nil
	}
	return &s
}

// keepNumbers copies the next value, which name belongs to, as far as it may stay: of
// what may not, nothing in an object and null in an array.
func keepNumbers(d *jsontext.Decoder, e *jsontext.Encoder, name string) error {
	switch d.PeekKind() {
	case '{':
		if err := copyToken(d, e); err != nil {
			return err
		}
		for d.PeekKind() == '"' {
			t, err := d.ReadToken()
			if err != nil {
				return err
			}
			key := t.String()
			if k := d.PeekKind(); k == 'n' || k == '"' && !isName(key) {
				if err := d.SkipValue(); err != nil {
					return err
				}
				continue
			}
			if err := e.WriteToken(jsontext.String(key)); err != nil {
				return err
			}
			if err := keepNumbers(d, e, key); err != nil {
				return err
			}
		}
		return copyToken(d, e)
	case '[':
		if err := copyToken(d, e); err != nil {
			return err
		}
		for k := d.PeekKind(); k != ']' && k != jsontext.KindInvalid; k = d.PeekKind() {
			if err := keepNumbers(d, e, name); err != nil {
				return err
			}
		}
		return copyToken(d, e)
	case '"':
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		if !isName(name) || len(t.String()) > maxName {
			return e.WriteToken(jsontext.Null)
		}
		return e.WriteToken(t)
	}
	return copyToken(d, e)
}

func copyToken(d *jsontext.Decoder, e *jsontext.Encoder) error {
	t, err := d.ReadToken()
	if err != nil {
		return err
	}
	return e.WriteToken(t)
}
