// Package json5 reads JSON as people write it and remembers on which line each value
// stands, so that a mistake in a file can be pointed at. It takes JSON5 as
// https://spec.json5.org has it: comments, trailing commas, names without quotes,
// single quotes, hexadecimal numbers, Infinity and NaN. Of JavaScript it takes the two
// more that bundlers make of a literal: `text` without substitutions, and !0 and !1
// for true and false.
package json5

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds the nesting, and with it the stack.
const maxDepth = 200

// Kind is what a Value is.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Value is a value and the line that it begins on, the first being 1.
type Value struct {
	Kind    Kind
	Line    int
	Bool    bool
	Number  float64  // may be NaN or infinite
	Text    string   // of a String
	Items   []Value  // of an Array
	Members []Member // of an Object, in the order of the file; names may repeat
}

// Member is a named value of an Object.
type Member struct {
	Name  string
	Line  int // of the name
	Value Value
}

// Get returns the last member of that name, as JavaScript would.
func (v *Value) Get(name string) (*Value, bool) {
	for i := len(v.Members) - 1; i >= 0; i-- {
		if v.Members[i].Name == name {
			return &v.Members[i].Value, true
		}
	}
	return nil, false
}

// Error is text that is not JSON5, and its line.
type Error struct {
	Line   int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Parse reads a text that is one value. Its error is an *Error.
func Parse(src []byte) (Value, error) {
	p := &parser{src: string(src), line: 1}
	p.src = strings.TrimPrefix(p.src, "\ufeff")
	v, err := p.document(true)
	return v, err
}

// Prefix reads the value that a text begins with and leaves the rest.
func Prefix(src []byte) (Value, error) {
	p := &parser{src: string(src), line: 1}
	return p.document(false)
}

// parser unwinds by panicking with an *Error, which document turns into a result.
type parser struct {
	src  string
	pos  int
	line int
}

func (p *parser) document(whole bool) (v Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ours := r.(*Error)
			if !ours {
				panic(r)
			}
			v, err = Value{}, e
		}
	}()
	v = p.value(0)
	if p.space(); whole && p.pos < len(p.src) {
		p.fail("%s after the end of the value", p.next())
	}
	return v, nil
}

func (p *parser) fail(format string, args ...any) {
	panic(&Error{p.line, fmt.Sprintf(format, args...)})
}

// next describes what comes next, for messages.
func (p *parser) next() string {
	if p.pos >= len(p.src) {
		return "the end of the file"
	}
	r, _ := utf8.DecodeRuneInString(p.src[p.pos:])
	return strconv.QuoteRune(r)
}

func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

// skip goes over n bytes and counts their lines.
func (p *parser) skip(n int) {
	p.line += strings.Count(p.src[p.pos:p.pos+n], "\n")
	p.pos += n
}

// space goes over white space and comments.
func (p *parser) space() {
	for p.pos < len(p.src) {
		rest := p.src[p.pos:]
		switch c := rest[0]; {
		case c == '\n':
			p.skip(1)
		case c == ' ' || c >= '\t' && c <= '\r':
			p.pos++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			p.pos += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				p.fail("the comment does not end")
			}
			p.skip(end + 4)
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(rest)
			if !unicode.IsSpace(r) && r != '\ufeff' {
				return
			}
			p.pos += n
		default:
			return
		}
	}
}

func (p *parser) value(depth int) Value {
	if depth > maxDepth {
		p.fail("nested more than %d deep", maxDepth)
	}
	p.space()
	v := Value{Line: p.line}
	switch c := p.peek(); {
	case c == '{':
		v.Kind, v.Members = Object, p.members(depth)
	case c == '[':
		v.Kind, v.Items = Array, p.items(depth)
	case c == '"' || c == '\'' || c == '`':
		v.Kind, v.Text = String, p.text(c)
	case c == '!':
		if rest := p.src[p.pos:]; !strings.HasPrefix(rest, "!0") && !strings.HasPrefix(rest, "!1") {
			p.fail("a value cannot begin with %s", p.next())
		}
		v.Kind, v.Bool = Bool, p.src[p.pos+1] == '0'
		p.pos += 2
	case c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.':
		v.Kind, v.Number = Number, p.number()
	default:
		switch start := p.next(); p.word() {
		case "null":
		case "true":
			v.Kind, v.Bool = Bool, true
		case "false":
			v.Kind = Bool
		case "Infinity":
			v.Kind, v.Number = Number, math.Inf(1)
		case "NaN":
			v.Kind, v.Number = Number, math.NaN()
		default:
			p.fail("a value cannot begin with %s", start)
		}
	}
	return v
}

func (p *parser) members(depth int) []Member {
	var list []Member
	for p.pos++; ; {
		p.space()
		m := Member{Line: p.line}
		switch c := p.peek(); c {
		case '}':
			p.pos++
			return list
		case '"', '\'':
			m.Name = p.text(c)
		default:
			start := p.next()
			if m.Name = p.word(); m.Name == "" {
				p.fail("a name or } is expected, not %s", start)
			}
		}
		if p.space(); p.peek() != ':' {
			p.fail("after the name %.40q a : is expected, not %s", m.Name, p.next())
		}
		p.pos++
		m.Value = p.value(depth + 1)
		list = append(list, m)
		p.comma('}')
	}
}

func (p *parser) items(depth int) []Value {
	var list []Value
	for p.pos++; ; {
		if p.space(); p.peek() == ']' {
			p.pos++
			return list
		}
		list = append(list, p.value(depth+1))
		p.comma(']')
	}
}

// comma goes over a comma, or stands before the closing bracket.
func (p *parser) comma(closing byte) {
	switch p.space(); p.peek() {
	case ',':
		p.pos++
	case closing:
	default:
		p.fail("a comma or %c is expected, not %s", closing, p.next())
	}
}

// word reads a name without quotes, "" if there is none.
func (p *parser) word() string {
	start := p.pos
	for p.pos < len(p.src) {
		r, n := utf8.DecodeRuneInString(p.src[p.pos:])
		if r != '_' && r != '$' && !unicode.IsLetter(r) && !(p.pos > start && unicode.IsDigit(r)) {
			break
		}
		p.pos += n
	}
	return p.src[start:p.pos]
}

func (p *parser) number() float64 {
	start := p.pos
	for strings.IndexByte("+-.xX", p.peek()) >= 0 && p.peek() != 0 || isAlnum(p.peek()) {
		p.pos++
	}
	text := p.src[start:p.pos]
	sign, digits := 1.0, text
	switch digits[0] {
	case '-':
		sign, digits = -1, digits[1:]
	case '+':
		digits = digits[1:]
	}
	switch lower := strings.ToLower(digits); {
	case digits == "Infinity":
		return sign * math.Inf(1)
	case digits == "NaN":
		return math.NaN()
	case strings.HasPrefix(lower, "0x"):
		if n, err := strconv.ParseUint(lower[2:], 16, 64); err == nil {
			return sign * float64(n)
		}
	case strings.ContainsAny(lower, "xpin"): // ParseFloat knows more words and forms than JSON5
	case lower != "" && lower[0] != '+' && lower[0] != '-':
		if n, err := strconv.ParseFloat(lower, 64); err == nil || math.IsInf(n, 0) {
			return sign * n
		}
	}
	p.fail("%.40q is not a number", text)
	return 0
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// escapes are those of one letter; any other character stands for itself.
var escapes = map[byte]string{'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '0': "\x00", '\n': "", '\r': ""}

func (p *parser) text(quote byte) string {
	p.pos++
	var b strings.Builder
	for {
		n := strings.IndexAny(p.src[p.pos:], string(quote)+"\\\n$")
		if n < 0 {
			p.pos = len(p.src)
			p.fail("the text does not end")
		}
		b.WriteString(p.src[p.pos : p.pos+n])
		p.pos += n
		switch c := p.src[p.pos]; {
		case c == quote:
			p.pos++
			return b.String()
		case c == '\\':
			p.pos++
			p.escape(&b)
		case c == '\n' && quote != '`':
			p.fail("the text does not end on its line")
		case c == '$' && quote == '`' && strings.HasPrefix(p.src[p.pos:], "${"):
			p.fail("the text has a substitution")
		default:
			b.WriteByte(c)
			p.skip(1)
		}
	}
}

func (p *parser) escape(b *strings.Builder) {
	c := p.peek()
	if p.pos >= len(p.src) {
		p.fail("the text does not end")
	}
	switch c {
	case 'x':
		p.pos++
		b.WriteRune(p.hex(2))
	case 'u':
		p.pos++
		r := p.hex(4)
		if r >= 0xd800 && r < 0xdc00 && strings.HasPrefix(p.src[p.pos:], `\u`) {
			p.pos += 2
			low := p.hex(4)
			r = (r-0xd800)<<10 + (low - 0xdc00) + 0x10000
			if low < 0xdc00 || low > 0xdfff {
				r = utf8.RuneError
			}
		}
		b.WriteRune(r) // half a pair becomes U+FFFD
	default:
		if s, ok := escapes[c]; ok {
			b.WriteString(s)
		} else {
			b.WriteByte(c)
		}
		if c == '\r' && strings.HasPrefix(p.src[p.pos:], "\r\n") {
			p.pos++
		}
		p.skip(1)
	}
}

func (p *parser) hex(digits int) rune {
	if p.pos+digits > len(p.src) {
		p.pos = len(p.src)
		p.fail("the text does not end")
	}
	n, err := strconv.ParseUint(p.src[p.pos:p.pos+digits], 16, 32)
	if err != nil {
		p.fail("%q are not %d hexadecimal digits", p.src[p.pos:p.pos+digits], digits)
	}
	p.pos += digits
	return rune(n)
}
