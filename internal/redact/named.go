package redact

import "strings"

// kind is how the value of a named field is read.
type kind uint8

const (
	noSecret  kind = iota
	plain          // a value as it is
	token          // unless the word before says that it is no secret: next_token
	directory      // unless it is a path: PWD
	suffix         // only after an underscore: DB_PASS, not bypass; or pass
	pass           // "pass" alone, which tests also do: not a count, not in prose
	headers        // a scheme and credentials
	cookies        // name=value, more than one of them
	signature      // base64 as URLs have it
)

// names are the ends of names of secrets, in small letters. A space stands for
// nothing or one of _ - . and a space, so that "api key" is also apiKey, API_KEY
// and x-api-key. Singular only: tokens are counted, not kept secret.
var names = []struct {
	end  string
	kind kind
}{
	{"password", plain}, {"passwd", plain}, {"passphrase", plain}, {"secret", plain},
	{"secret key", plain}, {"secret key base", plain}, {"api key", plain}, {"private key", plain}, {"access key", plain},
	{"account key", plain}, {"auth key", plain}, {"encryption key", plain}, {"signing key", plain},
	{"master key", plain}, {"subscription key", plain}, {"credential", plain}, {"credentials", plain},
	{"token", token}, {"pwd", directory}, {"pass", suffix},
	{"authorization", headers}, {"cookie", cookies}, {"sig", signature},
}

// nameEnds holds the numbers of the names that end in a letter, as bits.
var nameEnds = func() (t [256]uint32) {
	for i, n := range names {
		c := n.end[len(n.end)-1]
		t[c] |= 1 << i
		t[c-'a'+'A'] |= 1 << i
	}
	return t
}()

// notBeforeToken are words that make a token a piece of text, a position in a list
// or a price.
var notBeforeToken = map[string]bool{
	"per": true, "first": true, "last": true, "next": true, "previous": true, "prev": true, "page": true,
	"continuation": true, "cancellation": true, "eos": true, "bos": true, "pad": true, "unk": true, "sep": true,
	"cls": true, "mask": true, "special": true, "stop": true, "start": true, "end": true, "max": true, "min": true,
	"each": true, "every": true, "input": true, "output": true, "prompt": true, "completion": true, "reasoning": true,
	"cached": true, "image": true, "audio": true, "of": true, "total": true, "current": true, "new": true, "inter": true,
}

// named returns the kind of the name that ends at p and begins at floor or later.
// It reads less than 40 bytes.
func (sc *scanner) named(floor, p int) kind {
	s := sc.s
	for set, i := nameEnds[s[p-1]], 0; set != 0; set, i = set>>1, i+1 {
		if set&1 == 0 {
			continue
		}
		start := nameStart(s[floor:p], names[i].end)
		if start < 0 {
			continue
		}
		start += floor
		switch k := names[i].kind; k {
		case token:
			var buf [longestWord]byte
			if notBeforeToken[string(lower(buf[:0], wordBefore(s[floor:start])))] {
				return noSecret
			}
			return k
		case suffix:
			switch {
			case start > floor && strings.IndexByte("_&?", s[start-1]) >= 0:
				return plain
			case start == floor || classes[s[start-1]]&tokenChar == 0 || escaped(s, start):
				return pass
			}
		case signature:
			if start > floor && (s[start-1] == '&' || s[start-1] == '?' || hasFoldSuffix(s[floor:start], `\u0026`)) {
				return k
			}
		case directory, cookies:
			if start == floor || !isAlnum(s[start-1]) || isUpper(s[start]) && isLower(s[start-1]) ||
				s[start-1]|0x20 == 'n' && start-1 > floor && s[start-2] == '\\' {
				return k
			}
		default:
			return k
		}
	}
	return noSecret
}

// nameStart returns where the name begins that s ends in, or -1.
func nameStart(s, name string) int {
	p := len(s)
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == ' ' {
			if p > 0 && (s[p-1] == '_' || s[p-1] == '-' || s[p-1] == ' ' || s[p-1] == '.') {
				p--
			}
			continue
		}
		if p == 0 || s[p-1]|0x20 != name[i] {
			return -1
		}
		p--
	}
	return p
}

// longestWord is that of notBeforeToken and a letter more.
const longestWord = 14

// wordBefore returns the word that s ends in, where one of _ - . and a space may
// follow it. In camelCase, a capital begins a word.
func wordBefore(s string) string {
	end := len(s)
	if end > 0 && (s[end-1] == '_' || s[end-1] == '-' || s[end-1] == ' ' || s[end-1] == '.') {
		end--
	}
	start := end
	for start > 0 && end-start < longestWord && isLetter(s[start-1]) {
		start--
		if isUpper(s[start]) && start > 0 && isLower(s[start-1]) {
			break
		}
	}
	return s[start:end]
}

// separator reads the name before and the value after the : or = at i, or the URL
// around it. It returns the place from which on the text has not been read.
func (sc *scanner) separator(i int) int {
	s := sc.s
	p, v := i, i+1
	arrow := false
	if s[i] == ':' {
		if v == len(s) {
			return v
		}
		switch s[v] {
		case '/', '\\':
			if end := sc.url(i); end > 0 {
				return end
			}
		case ':': // a::b
			return v + 1
		case '=': // :=
			return v
		}
	} else {
		if p > sc.floor {
			switch s[p-1] {
			case ':':
				p--
			case '!', '<', '>', '=':
				return v
			}
		}
		if v < len(s) && s[v] == '=' {
			return v + 1
		}
		if v < len(s) && s[v] == '>' { // 'name' => 'value'
			arrow = true
			v++
		}
	}

	const blanks = 32 // as many as a table of settings may be aligned with
	for n := 0; n < blanks && p > sc.floor && isBlank(s[p-1]); n++ {
		p--
	}
	for n := 0; n < 3 && p > sc.floor && s[p-1] == '*'; n++ { // **name**
		p--
	}
	if p > sc.floor+1 && s[p-1] == ']' && isQuote(s[p-2]) { // env["NAME"]
		p--
	}
	quote, escapes := byte(0), 0
	if p > sc.floor && isQuote(s[p-1]) {
		p--
		quote = s[p]
		escapes = ownBackslashes(backslashes(s, max(sc.floor, p-32), p))
		p -= escapes
	}
	f := field{quote: quote, escapes: escapes, arrow: arrow, colon: s[i] == ':', end: p}
	name := p
	if quote == '"' && f.colon && p-5 > sc.floor && s[p-1] == 'e' && s[p-4:p] == "alue" {
		name = sc.pair(f, p)
	}
	if name > sc.floor && nameEnds[s[name-1]] != 0 {
		sc.work += 40
		f.kind = sc.named(max(sc.floor, name-64), name)
	}
	switch {
	case f.kind == noSecret:
		if f.colon && quote == 0 && v == i+1 && v < len(s) && wordEnds[s[v]] == 0 {
			return max(v, sc.userFlag(i))
		}
		return v
	case f.kind == token:
		start := name - len("token")
		f.alone = start <= sc.floor || classes[s[start-1]]&tokenChar == 0 || escaped(s, start)
	}
	if f.colon && quote == 0 && v < len(s) && !isSpace(s[v]) && sc.inKey(p) {
		return v
	}
	return max(v, sc.value(f, v))
}

// inKey reports whether the name that ends at p is a part of a key as those of
// sessions are: agent:main:token:x.
func (sc *scanner) inKey(p int) bool {
	start := p
	for start > sc.floor && p-start < 64 && classes[sc.s[start-1]]&tokenChar != 0 {
		start--
	}
	sc.work += p - start
	return start > sc.floor && sc.s[start-1] == ':'
}

// pair returns the end of the name in {"name":"x-api-key","value":…},
// {"x-api-key":{"value":…}} or {"key":"x-api-key","value":{"stringValue":…}}, whose
// last key ends at p; 0 if there is none.
func (sc *scanner) pair(f field, p int) int {
	s := sc.s
	// back steps over white space and then c.
	back := func(c byte) bool {
		for n := 0; n < 8 && p > sc.floor && isSpace(s[p-1]); n++ {
			p--
		}
		if p <= sc.floor || s[p-1] != c {
			return false
		}
		p--
		return true
	}
	quote := func() bool {
		if !back('"') {
			return false
		}
		own := ownBackslashes(backslashes(s, max(sc.floor, p-32), p))
		p -= own
		return own == f.escapes
	}
	sc.work += 64
	if strings.HasSuffix(s[sc.floor:p], "stringValue") {
		p -= len("stringValue")
		if !quote() || !back('{') || !back(':') || !quote() {
			return 0
		}
	}
	if n := p - len("value"); n <= sc.floor || s[n]|0x20 != 'v' || s[n+1:p] != "alue" {
		return 0
	}
	p -= len("value")
	if !quote() || !back(',') && (!back('{') || !back(':')) || !quote() {
		return 0
	}
	return p
}

// userFlag masks the password of curl -u user:password, whose colon is at i. It
// returns the end of what it masked, or 0.
func (sc *scanner) userFlag(i int) int {
	s := sc.s
	const longest = 64 // of the user's name
	start := i
	for start > sc.floor && i-start < longest && (classes[s[start-1]]&tokenChar != 0 || s[start-1] == '@' || s[start-1] == '+') {
		start--
	}
	sc.work += i - start
	flag := start
	for flag > sc.floor && start-flag < 16 && (isBlank(s[flag-1]) || isQuote(s[flag-1]) || strings.IndexByte(`,=\`, s[flag-1]) >= 0) {
		flag--
	}
	switch before := s[max(sc.floor, flag-len("--user")):flag]; {
	case start == i:
		return 0
	case strings.HasPrefix(s[start:i], "-u"): // -uname
		if start+2 == i || start == sc.floor || !isBlank(s[start-1]) && !isQuote(s[start-1]) {
			return 0
		}
	case before == "--user":
	case strings.HasSuffix(before, "u"): // or -sSu
		dash := strings.LastIndexByte(before, '-')
		if dash < 0 || strings.Trim(before[dash+1:], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return 0
		}
	default:
		return 0
	}
	if !sc.ofCurl(start) {
		return 0
	}
	end := 0
	if q := s[start-1]; isQuote(q) {
		end, _ = sc.quotedEnd(i+1, q, ownBackslashes(backslashes(s, max(sc.floor, start-33), start-1)))
	} else {
		end = sc.word(i+1, false, len(s))
	}
	if end-i < 5 || sc.maskEnd(i+1) == end || standsForSecret(s[i+1:end]) || isPath(s[i+1:end]) || isCount(s[i+1:end]) {
		return 0
	}
	sc.emit(basicRule, i+1, end)
	return end
}

// ofCurl reports whether curl is called before p. A mask may have been a header of
// the same call, and is taken for one whether it was written just now or before.
func (sc *scanner) ofCurl(p int) bool {
	const near = 256
	if sc.floor > 0 && p-sc.floor < near {
		return true
	}
	sc.work += near
	before := sc.s[max(sc.floor, p-near):p]
	if strings.Contains(before, "curl") {
		return true
	}
	const longestMask = 32
	from := max(sc.floor, p-near-longestMask)
	k := strings.LastIndex(sc.s[from:p], maskStart)
	return k >= 0 && p-sc.maskEnd(from+k) < near
}

// dashes reads the flag or the key block that the -- at i begins.
func (sc *scanner) dashes(i int) int {
	s := sc.s
	if i > sc.floor && s[i-1] == '-' {
		return i + 1
	}
	if end := sc.privateKey(i); end > 0 {
		sc.emit(privateKeyRule, i, end)
		return end
	}
	p := sc.part(i+2, urlChar, 64)
	if p == i+2 || p-i > 60 || p >= len(s) || !isBlank(s[p]) || nameEnds[s[p-1]] == 0 {
		return i + 1
	}
	k := sc.named(max(sc.floor, i+2), p)
	if k == noSecret || k == headers || k == cookies || k == signature {
		return i + 1
	}
	v := p + 1
	for v < len(s) && v < p+8 && isBlank(s[v]) {
		v++
	}
	if v < len(s) && s[v] == '-' {
		return i + 1
	}
	return max(i+1, sc.value(field{kind: k, flag: true, end: p}, v))
}
