package redact

import (
	"encoding/base64"
	"math/bits"
	"strings"
)

// run reads the run of token characters that s[i] is in, and masks the first secret
// in it. It returns the end of that secret, or 0. A secret begins where a run does,
// or in it after one of - _ . and so never inside a word.
func (sc *scanner) run(i int) int {
	s := sc.s
	start, least := i, max(sc.floor, sc.runEnd)
	for start > least && classes[s[start-1]]&tokenChar != 0 {
		start--
	}
	p := start
	if start > 0 && start > sc.floor {
		switch s[start-1] {
		case '\\': // the first characters belong to an escape sequence
			p += escapeLen(s[start:])
			if p > start {
				// Outside JSON it may be none: all but the first character goes.
				if rule, end := sc.token(start); end > p && sc.long(start) {
					sc.emit(rule, p, end)
					return end
				}
			}
		case '%':
			if start+1 < len(s) && isHex(s[start]) && isHex(s[start+1]) {
				p += 2
			}
		case ':':
			if from, end := sc.telegram(start); end > 0 {
				sc.emit(telegramRule, from, end)
				return end
			}
		case '/':
			if from, end := sc.refreshToken(start); end > 0 {
				sc.emit(googleOAuth, from, end)
				return end
			}
		case ' ':
			if rule, end := sc.afterScheme(start); end > 0 && sc.long(start) {
				sc.emit(rule, start, end)
				return end
			}
		}
	}
	for fresh := true; p < len(s); p++ {
		c := classes[s[p]]
		if c&tokenChar == 0 {
			break
		}
		if fresh && c&separator == 0 {
			if rule, end := sc.token(p); end > 0 && sc.long(p) {
				sc.runEnd = end
				if sc.m.cards && p > start && isDigit(s[start]) {
					sc.card(start)
				}
				sc.emit(rule, p, end)
				return end
			}
		}
		fresh = c&separator != 0
	}
	sc.work += p - start
	sc.runEnd = max(sc.runEnd, p)
	return 0
}

// long reports whether the run from p on is one that the main loop is sure to come to,
// so that it does not depend on the place in the text whether a secret is found.
func (sc *scanner) long(p int) bool { return sc.part(p, tokenChar, longRun) == p+longRun }

// token returns the rule of the secret of a known form that begins at p, and its
// end; 0 if there is none. What it reads in vain is at most 64 bytes for a form.
func (sc *scanner) token(p int) (rule string, end int) {
	s := sc.s
	first := s[p]
	if first >= 128 {
		return "", 0
	}
	for i := range byFirst[first] {
		f := &byFirst[first][i]
		if strings.HasPrefix(s[p:], f.prefix) {
			if end := sc.tail(&f.shape, p+len(f.prefix)); end > 0 {
				return f.rule, end
			}
		}
	}
	switch first {
	case 'e':
		return jwtRule, sc.jwt(p)
	case 'M', 'N', 'O':
		return discordRule, sc.discord(p)
	}
	return "", 0
}

// tail returns the end of what follows a prefix, or 0 if that is no secret of the
// shape.
func (sc *scanner) tail(f *shape, p int) int {
	s := sc.s
	if len(s)-p < f.least {
		return 0
	}
	for e := p; e < p+f.least; e++ {
		if classes[s[e]]&f.class == 0 {
			sc.work += e - p
			return 0
		}
	}
	// Ids of a team and a bot may come first, with digits only.
	e, near := p+f.least, p+f.least
	if !f.exact {
		near = max(e, p+64)
	}
	for e < min(near, len(s)) && classes[s[e]]&f.class != 0 {
		e++
	}
	sc.work += e - p
	if !varied(s[p:e], f.signs) {
		return 0
	}
	for !f.exact && e < len(s) && classes[s[e]]&f.class != 0 {
		e++
	}
	// No random token holds five dashes: a key block begins there.
	if k := strings.Index(s[p:e], "-----"); k >= 0 {
		e = p + k
	}
	for e > p && s[e-1] == '.' { // the end of a sentence
		e--
	}
	if e < p+f.least || e < len(s) && classes[s[e]]&alnumChar != 0 {
		return 0
	}
	return e
}

// varied reports whether s looks random: it has that many of the three signs
// (digits, capitals, small letters) and more than a few different characters, which
// sets it apart from sk-xxxxxxxx.
func varied(s string, signs int) bool {
	var seen [2]uint64
	for i := range len(s) {
		seen[s[i]>>6&1] |= 1 << (s[i] & 63)
	}
	const digits, letters = 0x03ff << 48, 0x07fffffe
	n := 0
	for _, sign := range [...]bool{seen[0]&digits != 0, seen[1]&letters != 0, seen[1]&(letters<<32) != 0} {
		if sign {
			n++
		}
	}
	return n >= min(signs, 3) && bits.OnesCount64(seen[0])+bits.OnesCount64(seen[1]) >= 5 && (signs != random || mixed(s))
}

// mixed reports whether digits, capitals and small letters of s follow one another as
// in random text. In that every second character is of another kind than the one
// before; in names that are joined by dashes at most every fourth is.
func mixed(s string) bool {
	last, n, changes := 0, 0, 0
	for i := range len(s) {
		kind := 0
		switch c := s[i]; {
		case isDigit(c):
			kind = 1
		case isUpper(c):
			kind = 2
		case isLower(c):
			kind = 3
		}
		if kind > 0 && last > 0 {
			n++
			if kind != last {
				changes++
			}
		}
		last = kind
	}
	return n >= 8 && 3*changes > n
}

// jwt returns the end of the JSON Web Token at p, or 0: two parts that each begin
// like a JSON object, and a signature unless it was cut off.
func (sc *scanner) jwt(p int) int {
	const object = "eyJ" // {" in base64
	s := sc.s
	if !strings.HasPrefix(s[p:], object) {
		return 0
	}
	if p >= sc.partEnd { // else p is in the part that was read last
		sc.partEnd = sc.span(p, urlChar)
	}
	e := sc.partEnd
	if e-p < 10 || e >= len(s) || s[e] != '.' || !strings.HasPrefix(s[e+1:], object) {
		return 0
	}
	e = sc.span(e+1, urlChar)
	if e < len(s) && s[e] == '.' {
		if end := sc.span(e+1, urlChar); end > e+1 {
			e = end
		}
	}
	return e
}

// span returns the end of the characters of class c from p on.
func (sc *scanner) span(p int, c class) int {
	e := p
	for e < len(sc.s) && classes[sc.s[e]]&c != 0 {
		e++
	}
	sc.work += e - p
	return e
}

// part is span that reads at most limit characters.
func (sc *scanner) part(p int, c class, limit int) int {
	e := p
	for e < len(sc.s) && e-p < limit && classes[sc.s[e]]&c != 0 {
		e++
	}
	sc.work += e - p
	return e
}

// discord returns the end of the bot token at p, or 0. It has three parts: the bot's
// id, which is 17 to 20 digits, in base64, a time, and a signature.
func (sc *scanner) discord(p int) int {
	s := sc.s
	id := sc.part(p, urlChar, 29)
	if n := id - p; n < 23 || n > 28 || id >= len(s) || s[id] != '.' {
		return 0
	}
	time := sc.part(id+1, urlChar, 8)
	if n := time - id - 1; n < 6 || n > 7 || time >= len(s) || s[time] != '.' {
		return 0
	}
	end := sc.part(time+1, urlChar, 64)
	if n := end - time - 1; n < 27 || n > 45 || !varied(s[p:end], 3) {
		return 0
	}
	return end
}

// telegram returns where the bot token whose second half begins at p begins and
// ends: the bot's id, a colon and 35 characters.
func (sc *scanner) telegram(p int) (start, end int) {
	s := sc.s
	end = sc.part(p, urlChar, 36)
	if strings.HasPrefix(s[p:][min(35, end-p):], "-----") { // a key block
		end = p + 35
	}
	if end-p != 35 || !varied(s[p:end], 2) {
		return 0, 0
	}
	start = p - 1
	for start > sc.floor && p-1-start < 11 && isDigit(s[start-1]) {
		start--
	}
	start = escapeEnd(s, start)
	if n := p - 1 - start; n < 8 || n > 10 {
		return 0, 0
	}
	return start, end
}

// refreshToken returns where the Google refresh token begins and ends whose part after
// 1// begins at p.
func (sc *scanner) refreshToken(p int) (start, end int) {
	s := sc.s
	if s[p] != '0' {
		return 0, 0
	}
	start = p
	for range 2 {
		if start--; start <= sc.floor || s[start] != '/' {
			return 0, 0
		}
		if s[start-1] == '\\' { // JSON may have \/
			start--
		}
	}
	start--
	if start < sc.floor || s[start] != '1' || escapeEnd(s, start) > start {
		return 0, 0
	}
	if start > sc.floor && isAlnum(s[start-1]) && !escaped(s, start) {
		return 0, 0
	}
	end = sc.part(p, urlChar, 64)
	if end-p < 40 || !varied(s[p:end], random) {
		return 0, 0
	}
	return start, sc.span(end, urlChar)
}

// afterScheme returns the rule and the end of credentials at p that the name of a
// scheme stands before, outside a header.
func (sc *scanner) afterScheme(p int) (rule string, end int) {
	before := sc.s[max(sc.floor, p-len("bearer ")):p]
	switch {
	case hasFoldSuffix(before, "bearer "):
		rule, end = bearerRule, sc.span(p, base64Char|dottedChar)
		if !varied(sc.s[p:min(end, p+64)], 2) || !hasDigit(sc.s[p:min(end, p+64)]) {
			return "", 0
		}
	case hasFoldSuffix(before, "basic "):
		rule, end = basicRule, sc.span(p, base64Char)
		if !isBasic(sc.s[p:end]) {
			return "", 0
		}
	default:
		return "", 0
	}
	if known, e := sc.token(p); e >= end {
		return known, e
	}
	return rule, end
}

// isBasic reports whether s is base64 of a user, a colon and a password.
func isBasic(s string) bool {
	s = strings.TrimRight(s[:min(len(s), 88)], "=")
	b, err := base64.RawStdEncoding.DecodeString(s[:len(s)-len(s)%4])
	if err != nil {
		return false
	}
	colon := false
	for _, c := range b {
		colon = colon || c == ':'
		if c < ' ' || c > '~' {
			return false
		}
	}
	return colon
}
