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
func (p *preparer) mask(s *string) { *s = mask(p.opts.Mask, *s, p.found) }

// mask returns s masked, however its characters are escaped. JSON inside a text, or inside
// a string of JSON, has escapes; they may as well be part of a text that means them, so
// they are undone only where that uncovers a secret.
func mask(m *redact.Masker, s string, found func(redact.Match)) string {
	json := isJSON(s)
	if json {
		s = plain(s)
	}
	s = m.Mask(s, found)
	if inner := plainInside(s, !json); inner != s {
		hits := 0
		masked := m.Mask(inner, func(h redact.Match) {
			hits++
			found(h)
		})
		if hits > 0 {
			return masked
		}
	}
	return s
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

// isJSON tells whether s is JSON, an array or an object. Of a text without escapes it is
// enough to know that it may be.
func isJSON(s string) bool {
	t := strings.TrimLeft(s, " \t\r\n")
	if !strings.HasPrefix(t, "[") && !strings.HasPrefix(t, "{") {
		return false
	}
	return !hasEscapes(s) || jsontext.Value(s).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func hasEscapes(s string) bool { return strings.Contains(s, `\u00`) || strings.Contains(s, `\/`) }

// plain returns the JSON text s with characters that need no escape as themselves, so
// that a secret is found however it was written, and NUL as U+FFFD.
func plain(s string) string {
	if !hasEscapes(s) {
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

// plainInside returns s with the escapes of JSON inside it undone as plain undoes its own,
// at any depth: with text those of JSON in a text, otherwise those of JSON in strings of
// JSON.
func plainInside(s string, text bool) string {
	if !hasEscapes(s) {
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
		run := end - i // 1, 2, 4, 8 … at depth 0, 1, 2, 3 …
		deep := (run > 1 || text) && run&(run-1) == 0
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

// names are the members of metadata whose texts OCT_CAPTURE_CONTENT=off keeps, up to
// maxName bytes: they name something, and nobody says anything in them.
var names = func() map[string]bool {
	m := make(map[string]bool)
	for name := range strings.FieldsSeq(`
		error.type exception.type server.address user.id session.id span.name
		log.event_name log.trace_id log.span_id
		gen_ai.system gen_ai.provider.name gen_ai.operation.name gen_ai.request.model gen_ai.response.model gen_ai.response.id
		gen_ai.response.finish_reasons gen_ai.output.type gen_ai.agent.id gen_ai.agent.name gen_ai.agent.version
		gen_ai.conversation.id gen_ai.workflow.name gen_ai.tool.name gen_ai.tool.type gen_ai.tool.call.id
		openclaw.provider openclaw.model openclaw.api openclaw.transport openclaw.channel openclaw.trigger openclaw.outcome
		openclaw.agent openclaw.harness.id openclaw.harness.plugin openclaw.harness.phase openclaw.errorCategory openclaw.errorCode
		openclaw.failureKind openclaw.toolName openclaw.tool.source openclaw.tool.owner openclaw.tool.params.kind openclaw.event
		openclaw.subsystem openclaw.logger openclaw.stopReason openclaw.responseId openclaw.model_call.observation_unit
		openclaw.failover.reason openclaw.failover.to_provider openclaw.failover.to_model openclaw.exec.target openclaw.exec.mode
		openclaw.exec.exit_signal openclaw.phase openclaw.gateway.rpc.method openclaw.gateway.rpc.phase openclaw.gateway.rpc.outcome
		openclaw.failoverReason openclaw.providerRuntimeFailureKind openclaw.log.level
		llm.model_name llm.provider llm.system llm.request.type openinference.span.kind traceloop.span.kind traceloop.entity.name
		traceloop.workflow.name ai.model.id ai.model.provider ai.operationId ai.telemetry.functionId ai.response.id ai.response.model
		ai.response.finishReason ai.toolCall.name ai.toolCall.id tool.name`) {
		m[name] = true
	}
	return m
}()

func isName(key string) bool {
	return names[key] || strings.HasPrefix(key, "openclaw_trace.") || strings.HasPrefix(key, "service.") ||
		strings.HasPrefix(key, "host.") || strings.HasPrefix(key, "otel.scope.")
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
			keep := isName(key) || key == "name" && name == "span.events"
			if k := d.PeekKind(); k == 'n' || k == '"' && !keep {
				if err := d.SkipValue(); err != nil {
					return err
				}
				continue
			}
			if err := e.WriteToken(jsontext.String(key)); err != nil {
				return err
			}
			if key == "name" && keep {
				key = "span.name"
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
