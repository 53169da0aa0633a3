package writer

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Cut returns the longest prefix of s that has at most n bytes and does not end
// inside a character.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// CutWord is Cut, and does not end inside a word either, unless that is longer than
// 4 KiB: a word that is half there may be half a secret.
func CutWord(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = Cut(s, n)
	const longest = 4 << 10
	if i := strings.LastIndexAny(s, " \t\r\n"); i >= len(s)-longest && i >= 0 {
		return s[:i]
	}
	return s
}

// CutContent shortens an input or output text to n bytes. A JSON array of messages
// stays one: first its long strings are shortened, each saying by how much, then
// messages from the middle give way to {"omitted": count}; leading system messages
// and the newest ones stay.
func CutContent(s string, n int) string {
	if len(s) <= n {
		return s
	}
	if messages, ok := elements(s); ok {
		if short := cutMessages(messages, n); len(short) <= n {
			return short
		}
	}
	return Cut(s, n)
}

// elements returns the raw elements of s if it is a JSON array and nothing else.
func elements(s string) ([]string, bool) {
	if !strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "[") {
		return nil, false
	}
	d := decoder(s)
	if _, err := d.ReadToken(); err != nil {
		return nil, false
	}
	var list []string
	for d.PeekKind() != ']' {
		v, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		end := int(d.InputOffset())
		list = append(list, s[end-len(v):end])
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, false
	}
	_, err := d.ReadToken()
	return list, err == io.EOF
}

func decoder(s string) *jsontext.Decoder {
	return jsontext.NewDecoder(strings.NewReader(s), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func cutMessages(messages []string, n int) string {
	const shortest = 128 // bytes of a string below which nothing of it is worth keeping
	short := make([]string, len(messages))
	for limit := max(n/2, shortest); ; limit = max(limit/4, shortest) {
		size := 1
		for i, m := range messages {
			short[i] = shortenStrings(m, limit)
			size += len(short[i]) + 1
		}
		if size <= n {
			return "[" + strings.Join(short, ",") + "]"
		}
		if limit == shortest {
			break
		}
	}

	const room = len(`{"omitted":1000000000},`)
	head, size := 0, len("[]")+room
	for head < len(short) && isSystem(short[head]) && size+len(short[head])+1 <= n/2 {
		size += len(short[head]) + 1
		head++
	}
	tail := len(short)
	for tail > head && size+len(short[tail-1])+1 <= n {
		tail--
		size += len(short[tail]) + 1
	}
	kept := append(append(short[:head:head], fmt.Sprintf(`{"omitted":%d}`, tail-head)), short[tail:]...)
	return "[" + strings.Join(kept, ",") + "]"
}

func isSystem(message string) bool {
	d := decoder(message)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	for d.PeekKind() == '"' {
		key, err := d.ReadToken()
		if err != nil {
			return false
		}
		isRole := key.String() == "role"
		value, err := d.ReadValue()
		if err != nil {
			return false
		}
		if isRole {
			return string(value) == `"system"` || string(value) == `"developer"`
		}
	}
	return false
}

// shortenStrings returns the JSON value v with every string value of more than n
// bytes cut to about n.
func shortenStrings(v string, n int) string {
	if len(v) <= n {
		return v
	}
	var out bytes.Buffer
	e := jsontext.NewEncoder(&out, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for d := decoder(v); ; {
		kind, length := d.StackIndex(d.StackDepth())
		isName := kind == '{' && length%2 == 0
		t, err := d.ReadToken()
		if err != nil {
			break // io.EOF: v was read before
		}
		if t.Kind() == '"' && !isName {
			if s := t.String(); len(s) > n {
				kept := Cut(s, n)
				t = jsontext.String(fmt.Sprintf("%s… [%d bytes cut]", kept, len(s)-len(kept)))
			}
		}
		if err := e.WriteToken(t); err != nil {
			return v
		}
	}
	return string(bytes.TrimRight(out.Bytes(), "\n"))
}
