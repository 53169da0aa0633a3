package view

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPreview is the length of a preview in runes.
const maxPreview = 160

// lastMessage returns a preview of the newest text in an input of which the beginning
// and the end are known. An input is a plain text or a JSON array of messages; parsing
// the whole of it for each line of a list would cost more than the list.
func lastMessage(head, tail string) string {
	if !strings.HasPrefix(strings.TrimLeft(head, " \t\r\n"), "[") {
		return preview(head)
	}
	if s := jsonText(tail, true); s != "" {
		return s
	}
	return preview(tail)
}

// firstMessage returns a preview of the first text in an output of which the beginning
// is known.
func firstMessage(head string) string {
	if !strings.HasPrefix(strings.TrimLeft(head, " \t\r\n"), "[") {
		return preview(head)
	}
	if s := jsonText(head, false); s != "" {
		return s
	}
	return preview(head)
}

// textKeys are the members of messages that hold what was said.
var textKeys = []string{`"content"`, `"text"`, `"response"`, `"arguments"`}

// jsonText returns a preview of the last or first string that stands in a piece of JSON
// under one of textKeys, or "". The piece may begin and end anywhere.
func jsonText(s string, last bool) string {
	for range strings.Count(s, `"`) {
		at, after := -1, 0
		for _, key := range textKeys {
			i := strings.Index(s, key)
			if last {
				i = strings.LastIndex(s, key)
			}
			if i >= 0 && (at < 0 || (i > at) == last) {
				at, after = i, i+len(key)
			}
		}
		if at < 0 {
			return ""
		}
		value := strings.TrimLeft(s[after:], " \t\r\n")
		if v, ok := strings.CutPrefix(value, ":"); ok && (at == 0 || s[at-1] != '\\') {
			if v = strings.TrimLeft(v, " \t\r\n"); strings.HasPrefix(v, `"`) {
				if text := preview(unescape(v[1:])); text != "" {
					return text
				}
			}
		}
		if last {
			s = s[:at]
		} else {
			s = s[after:]
		}
	}
	return ""
}

// unescape returns the JSON string that s begins with, without its first quote, as far
// as it is there.
func unescape(s string) string {
	end := len(s)
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i+1 >= len(s) || s[i+1] == 'u' && i+6 > len(s) {
				end = i
				break
			}
			i++
		} else if s[i] == '"' {
			end = i
			break
		}
	}
	var text string
	if json.Unmarshal([]byte(`"`+s[:end]+`"`), &text) != nil {
		return s[:end] // what it says is better than nothing
	}
	return text
}

// preview makes one line of the beginning of a text.
func preview(s string) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			space = b.Len() > 0
			continue
		}
		if n >= maxPreview {
			b.WriteRune('…')
			break
		}
		if space {
			b.WriteByte(' ')
			n++
			space = false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// cut returns the first n runes of s.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

func cutPtr(s *string, n int) *string {
	if s == nil {
		return nil
	}
	c := cut(*s, n)
	return &c
}

// tail returns about the last n bytes of s.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	i := len(s) - n
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return s[i:]
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
