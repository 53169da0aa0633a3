package redact

import (
	"math/bits"
	"strings"
)

// field is what stands before a value.
type field struct {
	kind    kind
	quote   byte // around the name; 0 if there is none
	escapes int  // the backslashes before the quote
	colon   bool // a colon, not an equals sign
	alone   bool // the name is just "token", which is also a piece of text
	arrow   bool // =>
	flag    bool // --name
	end     int  // of the name
}

// inVain is how much of an unquoted value is read before it is clear that it is one:
// what was read in vain is read again, for the tokens in it.
const inVain = 64

// value masks the value of the field f, which begins at v or after white space. It
// returns the place from which on the text is still to be read.
func (sc *scanner) value(f field, v int) int {
	s := sc.s
	spaced := f.flag
	if f.colon && strings.HasPrefix(s[v:], "** ") { // **name:** value
		v += 2
	}
	for n := 0; v < len(s) && (isBlank(s[v]) || f.quote != 0 && isSpace(s[v])); n++ {
		if n == 256 {
			return v
		}
		spaced = true
		v++
	}
	if v >= len(s) {
		return v
	}
	if v+1 < len(s) && isQuote(s[v+1]) && strings.IndexByte("bfruBFRU", s[v]) >= 0 { // b"…"
		v++
	}

	escapes := 0
	for v+escapes < len(s) && s[v+escapes] == '\\' && escapes < 32 {
		escapes++
	}
	open := v + escapes
	switch {
	case open < len(s) && s[open] == '"':
		if bits.OnesCount(uint(escapes+1)) != 1 { // no depth of strings has so many
			return open
		}
		if sc.closes(f, open, escapes) {
			return open
		}
		return sc.quoted(f, open+1, '"', escapes)
	case escapes == 0 && isQuote(s[v]):
		if f.quote == 0 && sc.surrounds(f, v, 0) {
			return v
		}
		return sc.quoted(f, v+1, s[v], 0)
	case s[v] == '[' && sc.maskEnd(v) == v:
		return sc.list(f, v+1)
	case f.arrow:
		return v
	case s[v] == '-' && sc.privateKey(v) > 0:
		return v // the main loop comes to it
	case f.quote == '"' && (isDigit(s[v]) || s[v] == '-'):
		return sc.number(f, v)
	}
	return sc.unquoted(f, v, spaced)
}

// closes reports whether the double quote at p ends the text that the name stands in
// rather than begins a value: in JSON a comma, a bracket, a colon or the end follows
// then, in code also the end of an expression or more of it. A value that begins so
// is taken for the end of a string too.
func (sc *scanner) closes(f field, p, escapes int) bool {
	if f.quote == '"' && f.escapes == escapes {
		return false
	}
	if f.quote == 0 && sc.surrounds(f, p, escapes) {
		return true
	}
	p++
	for n := 0; p < len(sc.s) && isSpace(sc.s[p]); n++ {
		if n == 256 {
			return true // what follows so much space belongs to something else
		}
		p++
	}
	return p == len(sc.s) || strings.IndexByte(",]}:);+", sc.s[p]) >= 0 || sc.s[p] == '\\' && strings.HasPrefix(sc.s[p:], `\n`) ||
		strings.HasPrefix(sc.s[p:], "or ") || strings.HasPrefix(sc.s[p:], "and ") || strings.HasPrefix(sc.s[p:], "if ")
}

// surrounds reports whether the quote at p ends a text that another one begins shortly
// before the name, as in getpass("Password: ").
func (sc *scanner) surrounds(f field, p, escapes int) bool {
	s, quote := sc.s, sc.s[p]
	if p+1 < len(s) && isAlnum(s[p+1]) {
		return false
	}
	const longestText = 64
	for q := f.end - 1; q >= sc.floor && f.end-q <= longestText; q-- {
		switch c := s[q]; {
		case c == '\n' || c == ']': // a mask ends with a bracket
			sc.work += longestText
			return false
		case c == '"' || c == quote:
			n := ownBackslashes(backslashes(s, max(sc.floor, q-32), q))
			if c == quote && n == escapes {
				sc.work += longestText
				return sc.opens(q-n, q+1)
			}
			if c != quote || n <= escapes { // of the text around this one
				return false
			}
			q -= n
		}
	}
	sc.work += longestText
	return false
}

// opens reports whether a quote between before and after begins a text, by what stands
// around it.
func (sc *scanner) opens(before, after int) bool {
	s := sc.s
	if isSpace(s[after]) || strings.IndexByte(",;:)]}", s[after]) >= 0 {
		return false
	}
	if before <= sc.floor {
		return before == 0 // else it ends what was masked
	}
	if strings.IndexByte("bfruBFRU", s[before-1]) >= 0 { // f"…"
		return before == 1 || before-1 > sc.floor && !isAlnum(s[before-2]) && s[before-2] != ']'
	}
	return isSpace(s[before-1]) || strings.IndexByte("([{,:=+>|&", s[before-1]) >= 0 || escaped(s, before)
}

// quotedEnd returns the end of the text that begins at v behind a quote with that
// many backslashes, and the place behind the quote that ends it. In JSON inside
// strings a quote at depth d has 2^d-1 backslashes, and one that belongs to the text
// has an odd multiple of 2^(d+1) less one. A line break ends the text too: what is
// quoted over lines is prose.
func (sc *scanner) quotedEnd(v int, quote byte, escapes int) (end, next int) {
	s := sc.s
	for p := v; p < len(s); p++ {
		switch c := s[p]; c {
		case '\n':
			sc.work += p - v
			return p, p
		case '"', quote:
			n := backslashes(s, v, p)
			if (n+1)%(2*(escapes+1)) == 0 {
				continue
			}
			if c != quote && n%2 == 1 {
				continue // '…\"…'
			}
			sc.work += p - v
			return p - ownBackslashes(n), p + 1
		}
	}
	sc.work += len(s) - v
	return len(s), len(s)
}

// quoted masks the value that begins at v behind a quote.
func (sc *scanner) quoted(f field, v int, quote byte, escapes int) int {
	end, _ := sc.quotedEnd(v, quote, escapes)
	if block := sc.privateKey(v); block > 0 {
		sc.emit(privateKeyRule, v, max(end, block))
		return sc.floor
	}
	if f.kind == headers || f.kind == cookies {
		return max(v, sc.header(f, v, end, true))
	}
	if !sc.secret(f, v, end, false) {
		return v
	}
	sc.emit(sc.known(f, v, end), v, end)
	return end
}

// list masks the strings directly inside the array whose bracket is before v. What
// is in arrays and objects inside it is judged by its own names.
func (sc *scanner) list(f field, v int) int {
	s, first := sc.s, v
	for {
		for n := 0; n < 256 && v < len(s) && isSpace(s[v]); n++ {
			v++
		}
		escapes := 0
		for v+escapes < len(s) && s[v+escapes] == '\\' && escapes < 32 {
			escapes++
		}
		open := v + escapes
		if open >= len(s) || !isQuote(s[open]) || s[open] != '"' && escapes > 0 || bits.OnesCount(uint(escapes+1)) != 1 {
			return max(first, sc.floor)
		}
		if s[open] == '"' && (f.quote == '"' && f.escapes != escapes || sc.closes(f, open, escapes)) {
			return max(first, sc.floor)
		}
		if strings.HasPrefix(s[open+1:], maskStart+cardRule) {
			return max(first, sc.floor) // it was a number, which ends the list too
		}
		end, next := sc.quotedEnd(open+1, s[open], escapes)
		switch {
		case sc.secret(f, open+1, end, false):
			sc.emit(sc.known(f, open+1, end), open+1, end)
		case sc.maskEnd(open+1) != end && (end-open > 16 || strings.ContainsAny(s[open+1:end], ":=@-")):
			return max(open+1, sc.floor) // there may be something in it
		}
		v = next
		if sc.floor > next { // a key block over lines
			v = sc.floor
			if v < len(s) && s[v] == s[open] {
				v++
			}
		}
		for n := 0; n < 256 && v < len(s) && isSpace(s[v]); n++ {
			v++
		}
		if v >= len(s) || s[v] != ',' {
			return max(first, sc.floor)
		}
		v++
	}
}

// number masks a whole number of at least four digits. It becomes a string.
func (sc *scanner) number(f field, v int) int {
	s := sc.s
	e := v
	if s[e] == '-' {
		e++
	}
	digits := e
	for e < len(s) && isDigit(s[e]) {
		e++
	}
	sc.work += e - v
	if e-digits < 4 || f.kind == pass || f.alone && e-digits < longRun || e < len(s) && strings.IndexByte(" \t\r\n,}]\\", s[e]) < 0 || f.kind == directory {
		return v
	}
	sc.emitIn(strings.Repeat(`\`, f.escapes)+`"`, namedRule, v, e)
	return e
}

// unquoted masks the value that begins at v and has no quotes around it.
func (sc *scanner) unquoted(f field, v int, spaced bool) int {
	if f.kind == headers || f.kind == cookies {
		return max(v, sc.header(f, v, sc.line(v, inVain), false))
	}
	// NAME=value at the start of a line has all of the line but spaces, as shells do.
	wide := !f.colon && !spaced && sc.isVariable(f.end)
	strict := f.colon || spaced || f.kind == pass && !wide
	if f.kind == pass && f.colon {
		return v
	}
	s, end := sc.s, sc.word(v, wide, inVain)
	cut := end-v >= inVain
	if strict {
		for end > v && strings.IndexByte(".,:!?*", s[end-1]) >= 0 { // the end of a sentence
			end--
		}
	}
	if !sc.secret(f, v, end, strict) {
		return v
	}
	if cut {
		end = sc.word(v, wide, len(s))
	}
	sc.emit(sc.known(f, v, end), v, end)
	return end
}

// known returns the rule of the whole of s[v:end] if it is of a known form, so that
// the mask says more than that the field was named like a secret.
func (sc *scanner) known(f field, v, end int) string {
	if f.kind == signature {
		return sasRule
	}
	return sc.rule(namedRule, v, end)
}

// rule is the rule of the form that all of s[v:end] has, or else the given one.
func (sc *scanner) rule(other string, v, end int) string {
	if rule, e := sc.token(v); e == end && e > 0 {
		return rule
	}
	return other
}

// isVariable reports whether the name that ends at p is in capitals and begins a
// line.
func (sc *scanner) isVariable(p int) bool {
	s := sc.s
	start := p
	for start > sc.floor && p-start < 64 && (isUpper(s[start-1]) || isDigit(s[start-1]) || s[start-1] == '_') {
		start--
	}
	before := s[max(sc.floor, start-7):start]
	return start < p && (start == 0 || strings.HasSuffix(before, "\n") || strings.HasSuffix(before, `\n`) || strings.HasSuffix(before, "export "))
}

// line returns the end of the line that v is in, or of the quoted text around it, or
// a place soon after limit bytes.
func (sc *scanner) line(v, limit int) int {
	s := sc.s
	e := v
loop:
	for ; e < len(s) && e-v < limit; e++ {
		switch s[e] {
		case '\n', '\r', '"', '\'', '`':
			break loop
		case '\\':
			n := 1
			for e+n < len(s) && s[e+n] == '\\' {
				n++
			}
			if e+n == len(s) || s[e+n] == '\n' || strings.IndexByte(`nr"'`, s[e+n]) >= 0 {
				break loop
			}
			e += n
		}
	}
	sc.work += e - v
	return min(e, len(s))
}

// wordEnds holds what ends an unquoted value: 1 everywhere, 2 unless the value is a
// shell variable's.
var wordEnds = func() (t [256]uint8) {
	for i := range 256 {
		if i <= ' ' || isQuote(byte(i)) {
			t[i] = 1
		}
	}
	for _, c := range []byte(",;)}]<>&|") {
		t[c] = 2
	}
	return t
}()

// word returns the end of the unquoted value at v, or a place soon after limit bytes.
// A backslash belongs to it with what it escapes, unless that is a line break, a tab
// or a quote.
func (sc *scanner) word(v int, wide bool, limit int) int {
	s := sc.s
	ends := uint8(3)
	if wide {
		ends = 1
	}
	e := sc.maskEnd(v)
	for e < len(s) && e-v < limit && wordEnds[s[e]]&ends == 0 {
		if s[e] != '\\' {
			e = max(e+1, sc.maskEnd(e))
			continue
		}
		n := 1
		for e+n < len(s) && s[e+n] == '\\' {
			n++
		}
		if e+n == len(s) || s[e+n] <= ' ' || strings.IndexByte("nrt\"'`", s[e+n]) >= 0 {
			break
		}
		e = max(e+n+1, sc.maskEnd(e+n))
	}
	sc.work += e - v
	return min(e, len(s))
}

// secret reports whether the value s[v:end] is one, and not nothing, a word that
// stands for one, or a piece of prose or code. Where the value was neither quoted
// nor set with = it is strict: the value must look like a secret.
func (sc *scanner) secret(f field, v, end int, strict bool) bool {
	if v >= end || sc.maskEnd(v) == end {
		return false
	}
	text := sc.s[v:end]
	if f.kind == signature {
		return !strings.Contains(text, maskStart) && len(text) >= 30 && varied(text[:min(len(text), 64)], 2)
	}
	if standsForSecret(text) {
		return false
	}
	if f.kind == directory && isPath(text) {
		return false
	}
	if f.kind == pass && (len(text) < 4 || isCount(text)) {
		return false
	}
	bare := strict || v == f.end+1 // not quoted
	if !bare {
		return !isProse(text) && (!f.alone || likeToken(text))
	}
	if isMember(text) || isCall(text) || len(text) < 4 && hasDigit(text) {
		return false
	}
	return !strict || likeSecret(text) && !isTypeName(text)
}

// likeToken reports whether a quoted value named "token" looks like a secret and not
// like a piece of the text that a model wrote.
func likeToken(s string) bool {
	letter, digit := false, false
	for i := range min(len(s), longestPlaceholder) {
		switch c := s[i]; {
		case isDigit(c):
			digit = true
		case isLetter(c):
			letter = true
		case isSpace(c) || c == '\\':
			return false
		}
	}
	return len(s) >= 8 && digit && letter || len(s) >= longRun && (digit || mixed(s))
}

// isCount reports whether s is a number of at most five digits.
func isCount(s string) bool { return len(s) <= 5 && strings.Trim(s, "0123456789") == "" }

// isTypeName reports whether s is in CamelCase, as PasswordField is.
func isTypeName(s string) bool {
	if !isUpper(s[0]) || len(s) > longestPlaceholder {
		return false
	}
	capitals := 0
	for i := range len(s) {
		if isUpper(s[i]) {
			capitals++
		} else if !isLower(s[i]) {
			return false
		}
	}
	return capitals > 1 && capitals*3 <= len(s)
}

// likeSecret reports whether an unquoted value in prose looks like a secret: it has
// a digit, a symbol that words do not have, or small letters before capitals.
func likeSecret(s string) bool {
	if len(s) < 4 || isPath(s) || strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
		return false
	}
	lower := false
	for i := range min(len(s), inVain) {
		switch c := s[i]; {
		case isDigit(c), strings.IndexByte("@#$%^&*+=|~_!", c) >= 0:
			return true
		case isLower(c):
			lower = true
			if i > 0 && isUpper(s[0]) && hasUpper(s[1:min(len(s), inVain)]) {
				return true
			}
		case isUpper(c) && lower && i > 0:
			return true
		}
	}
	return false
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if isUpper(s[i]) {
			return true
		}
	}
	return false
}

// isPath reports whether s is a path of at least two parts.
func isPath(s string) bool {
	if len(s) > 2 && isLetter(s[0]) && s[1] == ':' && (s[2] == '\\' || s[2] == '/') {
		return true
	}
	if len(s) > 256 || !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "./") && !strings.HasPrefix(s, "~/") {
		return false
	}
	slashes := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '/':
			slashes++
		case classes[c]&tokenChar == 0 && c != '~':
			return false
		}
	}
	return slashes >= 2
}

// prose are words of texts about a secret, such as a form's error. Those that a
// passphrase may well have are left out: articles and nouns.
var prose = map[string]bool{
	"is": true, "are": true, "was": true, "be": true, "isn't": true, "has": true, "have": true, "do": true, "does": true, "doesn't": true, "don't": true, "did": true, "didn't": true,
	"must": true, "should": true, "can": true, "can't": true, "cannot": true, "may": true, "not": true, "too": true, "please": true, "your": true, "least": true,
	"invalid": true, "valid": true, "wrong": true, "missing": true, "incorrect": true, "required": true, "expired": true, "blank": true, "short": true, "long": true,
	"characters": true, "contain": true, "match": true, "field": true, "password": true, "token": true, "key": true,
}

// isProse reports whether s begins with a word of prose and another one, or has two of
// prose. Its digits make up whole words.
func isProse(s string) bool {
	if len(s) >= 256 {
		return false
	}
	known, rest, more := 0, s, true
	for n := 0; more; n++ {
		var word string
		word, rest, more = strings.Cut(rest, " ")
		word = strings.Trim(word, ".,;:!?()'")
		if hasDigit(word) {
			if !isCount(word) {
				return false
			}
			continue
		}
		var buf [16]byte
		if len(word) <= len(buf) && prose[string(lower(buf[:0], word))] {
			known++
			if n == 0 && more {
				known++
			}
		}
	}
	return known >= 2
}

// isMember reports whether s is an expression such as user.password_hash.
func isMember(s string) bool {
	if len(s) > inVain || strings.IndexByte(s, '.') < 1 || s[len(s)-1] == '.' {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || len(part) >= longRun || !isLetter(part[0]) && part[0] != '_' {
			return false
		}
		for i := range len(part) {
			if c := part[i]; !isLetter(c) && c != '_' && !(isDigit(c) && i == len(part)-1) {
				return false
			}
		}
	}
	return true
}

// isCall reports whether s begins like the call of a function or an index.
func isCall(s string) bool {
	for i := range min(len(s), 64) {
		switch c := s[i]; {
		case c == '(' || c == '[':
			return i > 0
		case classes[c]&(wordChar|dottedChar) == 0 || c == '-' || i == 0 && isDigit(c):
			return false
		}
	}
	return false
}
