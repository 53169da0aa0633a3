package otlp

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendJSON appends v to dst as plain JSON: an Empty is null, Bytes are base64, an
// infinite or undefined Double is one of the strings "Infinity", "-Infinity" and
// "NaN", and of entries of a Map with the same key the last one is kept.
func AppendJSON(dst []byte, v *Value) []byte {
	switch v.Kind {
	case String:
		return AppendJSONString(dst, v.Str)
	case Bool:
		return strconv.AppendBool(dst, v.Bool())
	case Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case Double:
		return appendDouble(dst, v.Double())
	case Bytes:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, []byte(v.Str))
		return append(dst, '"')
	case Array:
		dst = append(dst, '[')
		for i := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendJSON(dst, &v.Items[i].Value)
		}
		return append(dst, ']')
	case Map:
		return appendMap(dst, v.Items)
	}
	return append(dst, "null"...)
}

func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

func appendMap(dst []byte, items []KeyValue) []byte {
	last := make(map[string]int, len(items))
	for i := range items {
		last[clean(items[i].Key)] = i
	}
	dst = append(dst, '{')
	for i := range items {
		key := clean(items[i].Key)
		if last[key] != i {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = AppendJSONString(dst, key)
		dst = append(dst, ':')
		dst = AppendJSON(dst, &items[i].Value)
	}
	return append(dst, '}')
}

// clean replaces what a JSON string of ours does not hold.
func clean(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}

// AppendJSONString appends s to dst as a JSON string. NUL and each run of invalid
// UTF-8 become U+FFFD; nothing is escaped but what JSON demands.
func AppendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if i := plainPrefix(s); i == len(s) { // nearly all keys, and most values
		dst = append(append(dst, '"'), s...)
		return append(dst, '"')
	}
	s = clean(s)
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !mustEscape[c] {
			continue
		}
		dst = append(dst, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}

// plainPrefix returns how many bytes of s stand in JSON as they are, and in ASCII.
func plainPrefix(s string) int {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 0x80 || mustEscape[c] {
			return i
		}
	}
	return len(s)
}

var mustEscape = func() (t [256]bool) {
	for c := range ' ' {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()
