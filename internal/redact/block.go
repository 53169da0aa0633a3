package redact

import "strings"

// privateKey returns the end of the private key block that begins at p, or 0. When
// the END line is missing, the block ends where the text or the string around it
// does.
func (sc *scanner) privateKey(p int) int {
	const begin, end = "-----BEGIN ", "-----END "
	s := sc.s
	switch {
	case strings.HasPrefix(s[p:], begin):
	case strings.HasPrefix(s[p:], "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"):
	default:
		return 0
	}
	const longestLabel = 48
	label := s[p+len(begin)-1 : min(len(s), p+len(begin)+longestLabel)]
	close := strings.Index(label, "----")
	if close < 0 || !strings.Contains(label[:close], "PRIVATE KEY") {
		return 0
	}
	for _, c := range []byte(label[:close]) {
		if !isUpper(c) && !isDigit(c) && c != ' ' {
			return 0
		}
	}
	sc.work += len(label)
	body := p + len(begin) - 1 + close
	for body < len(s) && s[body] == '-' {
		body++
	}

	// Prose names the first line, code joins it to others: a key follows it only if
	// the next line is one of base64 or of headers.
	b := body
	for b < len(s) && b < body+64 {
		if isSpace(s[b]) {
			b++
			continue
		}
		n := 0
		for b+n < len(s) && s[b+n] == '\\' && n < 32 {
			n++
		}
		if n == 0 || b+n >= len(s) || strings.IndexByte("nrt", s[b+n]) < 0 {
			break
		}
		b += n + 1
	}
	line := sc.part(b, base64Char, 16)
	if line == b || line < len(s) && line-b < 16 && (isBlank(s[line]) || strings.IndexByte("\"'`,.;)[", s[line]) >= 0) {
		return 0
	}

	e := b
	for e < len(s) && !isQuote(s[e]) {
		if s[e] == '-' && (strings.HasPrefix(s[e:], end) || strings.HasPrefix(s[e:], "---- END ")) {
			e += len(end)
			at := e - 1
			for e < len(s) && (isUpper(s[e]) || isDigit(s[e]) || s[e] == ' ') {
				e++
			}
			labelled, dashes := e > at+1, 0
			for e < len(s) && s[e] == '-' {
				e++
				dashes++
			}
			if cut := e == len(s) || isQuote(s[e]) || s[e] == '\\'; (dashes < 4 || !labelled || strings.HasPrefix(s[e:], "BEGIN")) && !cut {
				e = at // it is no such line
			}
			sc.work += e - b
			return e
		}
		e++
	}
	sc.work += e - b
	if e < len(s) {
		e -= backslashes(s, b, e)
	}
	return e
}
