package redact

import "strings"

// fileEnds are not domains: icon@2x.png is a file.
var fileEnds = map[string]bool{"png": true, "jpg": true, "jpeg": true, "gif": true, "svg": true, "webp": true, "avif": true, "css": true, "js": true, "ts": true, "json": true}

// email masks the address whose @ is at i. It returns its end, or i+1.
func (sc *scanner) email(i int) int {
	s := sc.s
	local := func(c byte) bool { return classes[c]&tokenChar != 0 || c == '+' || c == '%' }
	start := i
	for start > sc.floor && i-start < 64 && local(s[start-1]) {
		start--
	}
	if start > sc.floor && s[start-1] == '\\' {
		start += escapeLen(s[start:i])
	}
	start = min(i, escapeEnd(s, start))
	for start < i && !isAlnum(s[start]) {
		start++
	}
	end := sc.part(i+1, urlChar|dottedChar, 255)
	if sc.maskEnd(end) > end { // a token was part of the word
		return i + 1
	}
	for end > i+1 && !isAlnum(s[end-1]) {
		end--
	}
	sc.work += end - start
	domain := s[i+1 : end]
	dot := strings.LastIndexByte(domain, '.')
	if start == i || dot < 1 || len(domain)-dot < 3 || strings.Contains(domain, "..") || strings.Contains(domain, "_") {
		return i + 1
	}
	top := domain[dot+1:]
	for j := range len(top) {
		if !isLetter(top[j]) {
			return i + 1
		}
	}
	if fileEnds[strings.ToLower(top)] || end+1 < len(s) && s[end] == ':' && !isSpace(s[end+1]) { // git@host:path
		return i + 1
	}
	if start > sc.floor && strings.IndexByte("/:", s[start-1]) >= 0 && end < len(s) && strings.IndexByte("/:", s[end]) >= 0 { // https://user@host/
		return i + 1
	}
	sc.emit(emailRule, start, end)
	return end
}

// cardGroups are the ways to write a card number in groups, by the digits in each.
var cardGroups = [][]int{{4, 4, 4, 4, 3}, {4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}}

// longestCard is the length in bytes of the longest card number, in groups.
const longestCard = 19 + 4

// card masks the card number that the digit at i belongs to. It returns its end, or
// 0. It may begin some groups before, where no word of the main loop had enough
// digits to tell.
func (sc *scanner) card(i int) int {
	s := sc.s
	least := max(sc.floor, i-longestCard)
	start := i
	for start > least && (isDigit(s[start-1]) || (s[start-1] == ' ' || s[start-1] == '-') && start-1 > least && isDigit(s[start-2])) {
		start--
	}
	for p := start; p <= i; p++ {
		if !isDigit(s[p]) || p > sc.floor && isDigit(s[p-1]) || p < sc.cardEnd {
			continue
		}
		sc.cardEnd = p + 1
		if end := sc.cardAt(p); end > 0 {
			return end
		}
	}
	sc.work += 2 * longestCard
	return 0
}

// cardAt masks the card number that begins with the first of the digits at p. It
// returns its end, or 0. Longer runs of digits hold none, nor do names and fractions.
func (sc *scanner) cardAt(p int) int {
	s := sc.s
	start := escapeEnd(s, p)
	escape := start > p || start > 5 && s[start-6] == '\\' && escapeLen(s[start-5:]) == 5
	if start > sc.floor && !escape && !escaped(s, start) && (classes[s[start-1]]&wordChar != 0 || s[start-1] == '.' || s[start-1] == '-') {
		return 0
	}
	piece := start
	for piece < len(s) && piece-start < 20 && isDigit(s[piece]) {
		piece++
	}
	sc.work += 4 * longestCard
	end := 0
	if n := piece - start; n >= 13 && n <= 19 && sc.endsNumber(piece) {
		end = piece
	}
	for _, groups := range cardGroups {
		if end == 0 && !sc.afterFour(start) {
			end = sc.grouped(start, groups)
		}
	}
	// The first digit is that of the networks; clocks begin with 1.
	if end == 0 || s[start] < '2' || s[start] > '6' || !luhn(s[start:end]) {
		return 0
	}
	quote := ""
	if end == piece && sc.outsideString(start) {
		quote = `"` // it was a JSON number
	}
	sc.emitIn(quote, cardRule, start, end)
	return end
}

// afterFour reports whether four more digits make a longer number of that at p.
func (sc *scanner) afterFour(p int) bool {
	s := sc.s
	return p-5 >= sc.floor && (s[p-1] == ' ' || s[p-1] == '-') && isDigit(s[p-2]) && isDigit(s[p-3]) && isDigit(s[p-4]) && isDigit(s[p-5]) &&
		(p-5 == sc.floor || !isAlnum(s[p-6]))
}

// grouped returns the end of the groups of digits at p, or 0 if they are others.
func (sc *scanner) grouped(p int, groups []int) int {
	s := sc.s
	sep := byte(0)
	for i, n := range groups {
		if i > 0 {
			if p >= len(s) || s[p] != ' ' && s[p] != '-' || i > 1 && s[p] != sep {
				return 0
			}
			sep = s[p]
			p++
		}
		for range n {
			if p >= len(s) || !isDigit(s[p]) {
				return 0
			}
			p++
		}
	}
	if !sc.endsNumber(p) {
		return 0
	}
	// Four more make it a longer number.
	if p+4 < len(s) && s[p] == sep && isDigit(s[p+1]) && isDigit(s[p+2]) && isDigit(s[p+3]) && isDigit(s[p+4]) &&
		(p+5 == len(s) || isSpace(s[p+5]) || strings.IndexByte(",;)", s[p+5]) >= 0) {
		return 0
	}
	return p
}

// endsNumber reports whether a number that ends at p is not part of a name or a
// fraction.
func (sc *scanner) endsNumber(p int) bool {
	s := sc.s
	return p == len(s) || classes[s[p]]&wordChar == 0 && (s[p] != '.' || p+1 == len(s) || !isDigit(s[p+1]))
}

// outsideString reports whether s is a JSON array or object, as far as its beginning
// tells, and p is in none of its strings. It is asked for places in ascending order.
func (sc *scanner) outsideString(p int) bool {
	s := sc.s
	if sc.quotesEnd == 0 {
		for sc.quotesEnd < p && isSpace(s[sc.quotesEnd]) {
			sc.quotesEnd++
		}
	}
	if sc.quotesEnd == p || !sc.isJSON && s[sc.quotesEnd] != '{' && s[sc.quotesEnd] != '[' {
		return false
	}
	sc.isJSON = true
	for ; sc.quotesEnd < p; sc.quotesEnd++ {
		switch s[sc.quotesEnd] {
		case '"':
			sc.inString = !sc.inString
		case '\\':
			sc.quotesEnd++
		}
	}
	return !sc.inString
}

// escaped reports whether the letter before p is that of an escape sequence.
func escaped(s string, p int) bool {
	return p >= 2 && s[p-2] == '\\' && strings.IndexByte("bfnrt", s[p-1]) >= 0
}

// luhn reports whether the last digit of s is the check digit of those before it.
func luhn(s string) bool {
	sum, odd := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		if !isDigit(s[i]) {
			continue
		}
		d := int(s[i] - '0')
		if odd {
			d *= 2
			if d > 9 {
				d -= 9
			}
		}
		sum += d
		odd = !odd
	}
	return sum%10 == 0
}
