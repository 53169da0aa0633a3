package redact

import "strings"

func isDigit(c byte) bool { return c-'0' < 10 }
func isLower(c byte) bool { return c-'a' < 26 }
func isUpper(c byte) bool { return c-'A' < 26 }
func isHex(c byte) bool   { return isDigit(c) || c|0x20-'a' < 6 }

func isLetter(c byte) bool { return c|0x20-'a' < 26 }
func isAlnum(c byte) bool  { return classes[c]&alnumChar != 0 }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
func isSpace(c byte) bool { return isBlank(c) || c == '\n' || c == '\r' }
func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

func hasDigit(s string) bool {
	for i := range len(s) {
		if isDigit(s[i]) {
			return true
		}
	}
	return false
}

// hasFoldSuffix reports whether s ends in suffix, which is in small letters.
func hasFoldSuffix(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// ownBackslashes returns how many of n backslashes belong to the quote after them: in
// JSON inside strings a quote at depth d has 2^d-1 of them, what is before is text.
func ownBackslashes(n int) int {
	own := 0
	for own < n && (n+1)%(2*(own+1)) == 0 {
		own = 2*own + 1
	}
	return min(own, n)
}

// escapeLen returns how many characters at the start of s belong to the escape
// sequence that a backslash before s begins; 0 if none does.
func escapeLen(s string) int {
	switch {
	case s == "":
	case strings.IndexByte(`bfnrt`, s[0]) >= 0:
		return 1
	case s[0] == 'u' && len(s) >= 5 && isHex(s[1]) && isHex(s[2]) && isHex(s[3]) && isHex(s[4]):
		return 5
	}
	return 0
}

// escapeEnd returns the end of the \u and its four digits that p is inside, or p.
func escapeEnd(s string, p int) int {
	for k := 1; k <= 4 && p-k >= 1; k++ {
		if s[p-k] == 'u' && s[p-k-1] == '\\' && escapeLen(s[p-k:]) == 5 {
			return p - k + 5
		}
	}
	return p
}

// backslashes counts those that end at p, down to floor.
func backslashes(s string, floor, p int) int {
	n := 0
	for p-n > floor && s[p-n-1] == '\\' {
		n++
	}
	return n
}
