package redact

import "strings"

// longestPlaceholder is the length in bytes from which on a value is taken for a
// secret whatever it looks like.
const longestPlaceholder = 64

// literals are values that say that there is no secret here, or of what type it is.
var literals = map[string]bool{
	"true": true, "false": true, "null": true, "none": true, "nil": true, "undefined": true, "unset": true, "empty": true,
	"yes": true, "no": true, "n/a": true, "string": true, "str": true, "text": true, "number": true, "integer": true,
	"int": true, "boolean": true, "bool": true, "object": true, "array": true, "any": true, "bytes": true,
	"required": true, "optional": true, "hidden": true, "redacted": true, "masked": true, "removed": true,
	"include": true, "same-origin": true, "omit": true, // fetch's credentials
}

// references begin an expression that names where the secret is.
var references = []string{"process.env", "os.environ", "os.getenv", "os.Getenv", "import.meta.env", "env.", "secrets.", "vars.", "var.", "ENV["}

// requests begin a text that asks to put the secret there.
var requests = []string{"your", "insert", "enter", "replace", "paste", "put", "add", "change"}

// standsForSecret reports whether s is a placeholder, or was one before a secret in
// it was masked. Around a secret of our own it is none: more of it may be there.
func standsForSecret(s string) bool {
	if strings.HasPrefix(s, maskStart) && !strings.HasPrefix(s, maskStart+ownRule) {
		return true // what was masked went over the end of this line
	}
	if len(s) <= 8*longestPlaceholder && strings.Contains(s, maskStart) {
		return strings.Count(s, maskStart) != strings.Count(s, maskStart+ownRule+"]")
	}
	return len(s) <= longestPlaceholder && !strings.Contains(s, "-----BEGIN") && isPlaceholder(s)
}

// isPlaceholder reports whether s stands for a secret without being one.
func isPlaceholder(s string) bool {
	if s == "" {
		return true
	}
	var buf [16]byte
	if len(s) <= len(buf) && literals[string(lower(buf[:0], s))] {
		return true
	}
	if len(s) <= 24 && (strings.HasSuffix(s, "...") || strings.HasSuffix(s, "…") || strings.Contains(s, "***")) || isFiller(s) {
		return true
	}
	if holdsRun(s) {
		return false
	}
	first, last := s[0], s[len(s)-1]
	switch {
	case first == '<' && last == '>', first == '[' && last == ']', first == '{' && last == '}', first == '%' && last == '%' && len(s) > 2:
		return true
	case first == '%' && len(s) <= 3, strings.HasPrefix(s, "%("):
		return true
	case first == '<' || first == '{' || strings.HasPrefix(s, "[") || first == '(':
		return !strings.ContainsAny(s[1:], "0123456789")
	case first == '$':
		return isReference(s[1:])
	}
	for _, r := range references {
		if strings.HasPrefix(s, r) {
			return true
		}
	}
	for _, r := range requests {
		if len(s) > len(r) && strings.EqualFold(s[:len(r)], r) && strings.IndexByte("_- ", s[len(r)]) >= 0 && !hasDigit(s) {
			return true
		}
	}
	return hasFoldSuffix(s, "-here") || hasFoldSuffix(s, "_here") || hasFoldSuffix(s, " here")
}

// lower appends s to b with small letters for capitals.
func lower(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if isUpper(c) {
			c |= 0x20
		}
		b = append(b, c)
	}
	return b
}

// holdsRun reports whether s holds a run with digits that is as long as a token.
func holdsRun(s string) bool {
	n, digit := 0, false
	for i := range len(s) {
		if classes[s[i]]&tokenChar == 0 {
			n, digit = 0, false
			continue
		}
		n++
		digit = digit || isDigit(s[i])
		if n >= longRun && digit {
			return true
		}
	}
	return false
}

// isFiller reports whether s is made of one character, or of those that fill forms.
func isFiller(s string) bool {
	same, fill := true, true
	for i, c := range s {
		if i > 0 && c != rune(s[0]) {
			same = false
		}
		if !strings.ContainsRune("*xX.-_#?•● ", c) {
			fill = false
		}
	}
	return fill || same && len(s) >= 3
}

// isReference reports whether s is what follows the $ of a variable: {NAME}, (…),
// NAME or name.
func isReference(s string) bool {
	if s == "" {
		return true
	}
	if s[0] == '{' || s[0] == '(' {
		return true
	}
	upper, lower := false, false
	for i := range len(s) {
		c := s[i]
		switch {
		case isUpper(c):
			upper = true
		case isLower(c):
			lower = true
		case c != '_' && (!isDigit(c) || i == 0 || lower):
			return false
		}
	}
	return upper != lower
}
