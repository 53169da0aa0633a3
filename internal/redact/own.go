package redact

import (
	"bytes"
	"encoding/json"
	"strings"
)

// shortestOwn is the length from which on a configured secret is masked by value.
const shortestOwn = 8

// gramStep is the distance between the places at which find looks. Four bytes at
// one of them lie inside any secret of at least shortestOwn bytes.
const gramStep = shortestOwn - 3

// ownSecrets finds given strings in a text at a cost that hardly depends on how many
// they are: it takes four bytes at every fifth place and looks them up in a small
// bitmap.
type ownSecrets struct {
	seen  *[64]uint64 // nil if there are none
	grams []gram
}

// gram is four bytes that are at an offset in a secret.
type gram struct {
	bytes  uint32
	offset int
	secret string
}

func newOwnSecrets(secrets []string) ownSecrets {
	var o ownSecrets
	known := make(map[string]bool)
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			if len(form) < shortestOwn || known[form] || inMask(form) {
				continue
			}
			known[form] = true
			if o.seen == nil {
				o.seen = new([64]uint64)
			}
			for offset := range gramStep {
				g := gram{load4(form, offset), offset, form}
				o.grams = append(o.grams, g)
				h := hash(g.bytes)
				o.seen[h>>6] |= 1 << (h & 63)
			}
		}
	}
	return o
}

// forms returns a secret as it may stand in a text: as it is, and as JSON strings
// have it, with or without what encoders escape by choice.
func forms(secret string) []string {
	// A backslash at the end could take the escape of what follows with it.
	list := []string{strings.TrimRight(secret, `\`)}
	for _, html := range []bool{false, true} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if err := e.Encode(secret); err != nil {
			continue // cannot be: it is a string
		}
		quoted := strings.TrimSuffix(strings.TrimPrefix(b.String(), `"`), "\"\n")
		list = append(list, quoted, strings.ReplaceAll(quoted, "/", `\/`))
	}
	return list
}

// inMask reports whether s is part of a mask, which would then be masked itself.
func inMask(s string) bool {
	for _, r := range rules {
		if strings.Contains(maskStart+r.ID+"]", s) {
			return true
		}
	}
	return false
}

func load4(s string, i int) uint32 {
	b := s[i : i+4]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func hash(x uint32) uint32 { return x * 0x9e3779b1 >> 20 }

// replaceOwn masks the hits in s.
func replaceOwn(s string, hits []Match) (masked string, edits []edit) {
	const mask = maskStart + ownRule + "]"
	hits, quotes := wholeNumbers(s, hits)
	var b strings.Builder
	at := 0
	for i, h := range hits {
		b.WriteString(s[at:h.Start])
		b.WriteString(quotes[i])
		b.WriteString(mask)
		b.WriteString(quotes[i])
		at = h.End
		edits = append(edits, edit{h, len(mask) + 2*len(quotes[i])})
	}
	b.WriteString(s[at:])
	return b.String(), edits
}

// wholeNumbers returns the hits with those inside a JSON number reaching over all of
// it, and the quotes that each of them needs to become a string.
func wholeNumbers(s string, hits []Match) (whole []Match, quotes []string) {
	sc := scanner{s: s}
	digit := func(p int) bool { return isDigit(s[p]) || strings.IndexByte("+-.eE", s[p]) >= 0 }
	last := 0
	for _, h := range hits {
		if h.Start < last {
			continue // in the number before
		}
		start, end, number := h.Start, h.End, true
		for p := start; p < end && number; p++ {
			number = digit(p)
		}
		for start > last && number && digit(start-1) {
			start--
		}
		for end < len(s) && number && digit(end) {
			end++
		}
		quote := ""
		if number {
			quote, number = sc.quoteOf(start, end)
		}
		if number {
			h.Start, h.End = start, end
		}
		whole, quotes, last = append(whole, h), append(quotes, quote), h.End
	}
	return whole, quotes
}

// quoteOf returns the quote that the JSON around the number s[start:end] has for
// strings. It is asked for places in ascending order.
func (sc *scanner) quoteOf(start, end int) (quote string, ok bool) {
	s := sc.s
	if end < len(s) && strings.IndexByte(",]} \t\r\n\\", s[end]) < 0 {
		return "", false
	}
	if sc.outsideString(start) {
		return `"`, true
	}
	// In JSON inside a string, it is that of the key.
	p := start
	for n := 0; n < 8 && p > 0 && isSpace(s[p-1]); n++ {
		p--
	}
	if p < 2 || s[p-1] != ':' || s[p-2] != '"' {
		return "", false
	}
	n := ownBackslashes(backslashes(s, max(0, p-34), p-2))
	if n == 0 {
		return "", false
	}
	return s[p-2-n : p-1], true
}

// find returns where secrets are in s, not overlapping and in order.
func (o *ownSecrets) find(s string) (hits []Match) {
	if o.seen == nil {
		return nil
	}
	last := 0
	for p := 0; p+4 <= len(s); p += gramStep {
		x := load4(s, p)
		if h := hash(x); o.seen[h>>6]>>(h&63)&1 == 0 {
			continue
		}
		hit := Match{Rule: ownRule, Start: -1}
		for _, g := range o.grams {
			start := p - g.offset
			if g.bytes != x || start < last || !strings.HasPrefix(s[start:], g.secret) {
				continue
			}
			end := start + len(g.secret)
			if hit.Start < 0 || start < hit.Start || start == hit.Start && end > hit.End {
				hit.Start, hit.End = start, end
			}
		}
		if hit.Start < 0 {
			continue
		}
		last = hit.End
		p = hit.End - gramStep
		if backslashes(s, 0, hit.Start)%2 == 1 {
			hit.Start += escapeLen(s[hit.Start:])
		}
		hit.Start = escapeEnd(s, hit.Start)
		hits = append(hits, hit)
	}
	return hits
}
