// Package redact masks secrets in text before it reaches the disk: keys and tokens
// of known forms, credentials in headers and URLs, private keys, and the values of
// fields named like secrets.
//
// Text may be prose, code, JSON, or JSON inside JSON strings at any depth. A valid
// JSON array, object or string stays valid: a match holds no quote that ends a
// string, splits no escape sequence, a mask has no character that JSON escapes, and
// a number becomes a string. Masking again changes nothing. A \u escape of an ASCII
// character hides what it stands for: callers resolve those first.
//
// The time is linear in the length whatever the text holds. One pass over words of
// eight bytes finds the few places that are worth reading: the characters : = and --
// after which a named value, a URL or a key block may come, and runs of token
// characters longer than words are. What is read there is bounded, or masked, or
// remembered and not read again. A text in which something was masked is gone over
// once more, at most eight times.
package redact

import (
	"math/bits"
	"strings"
)

// Options say what is masked besides the secrets of Rules that are always masked.
type Options struct {
	Emails bool // addresses such as jo@example.com
	Cards  bool // payment card numbers: 13 to 19 digits with a valid check digit

	// Secrets are masked wherever they occur by exact value, also in the form that
	// they have inside a JSON string. Those shorter than 8 bytes are ignored: they
	// would mask ordinary text. One that has quotes is masked where it stands even if
	// the text is no valid JSON then.
	Secrets []string
}

// Match is a secret that was found.
type Match struct {
	Rule       string // its Rule.ID
	Start, End int    // byte offsets in the text given to Mask
}

// Masker masks by one set of Options. It does not change after New and may be used
// by many goroutines.
type Masker struct {
	own           ownSecrets
	emails, cards bool
}

// New returns a Masker.
func New(o Options) *Masker {
	return &Masker{own: newOwnSecrets(o.Secrets), emails: o.Emails, cards: o.Cards}
}

// Mask returns s with each secret replaced by "[masked:<rule id>]", or s itself,
// without allocating, when it holds none. It calls found, unless that is nil, for
// each secret in the order of the text. A nil Masker masks nothing.
func (m *Masker) Mask(s string, found func(Match)) string {
	if m == nil {
		return s
	}
	var edits []edit
	text := s
	if hits := m.own.find(s); hits != nil {
		text, edits = replaceOwn(s, hits)
	}
	// What was masked may have hidden what stands before it, such as a token that went
	// on into a key block. There is hardly ever more than that.
	const passes = 8
	for range passes {
		sc := scanner{s: text, m: m}
		next := sc.mask()
		if sc.edits == nil {
			break
		}
		text, edits = next, merge(edits, sc.edits)
	}
	if found != nil {
		for _, e := range edits {
			found(e.Match)
		}
	}
	return text
}

// scanner goes over one text.
type scanner struct {
	s     string
	m     *Masker
	out   strings.Builder
	edits []edit

	floor   int // the end of the last match: nothing before it is looked at again
	runEnd  int // up to where runs of token characters were read
	partEnd int // up to where the part of a JWT that was read last reaches
	cardEnd int // up to where numbers that begin were tried

	// What outsideString knows.
	quotesEnd        int
	isJSON, inString bool

	work int // bytes read besides the main loop's, for the test of linear time
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// longRun is the number of token characters from which on a run may be a secret:
// the shortest known one is an AWS access key id with 20.
const longRun = 20

// mask goes over the text once. The tests on whole words may report a byte too many,
// never one too few.
func (sc *scanner) mask() string {
	s := sc.s
	emails, cards := sc.m.emails, sc.m.cards
	i := 0
loop:
	for i+16 <= len(s) {
		x := load(s, i)

		// A run of 20 token characters covers 13 bytes from some multiple of 8 on,
		// none of which is below '-' as spaces and quotes are, or above ASCII.
		if ((x-'-'*ones)&^x|x)&highs == 0 && i >= sc.runEnd {
			if y := load(s, i+5); ((y-'-'*ones)&^y|y)&highs == 0 {
				if end := sc.run(i); end > i {
					i = max(end, sc.floor)
					continue
				}
			}
		}

		colon := (x ^ '8'*ones) & (0xf8 * ones) // a zero byte for 89:;<=>?
		dash := x ^ '-'*ones
		hits := ((colon-ones)&^colon | (dash-ones)&^dash) & highs
		if emails {
			at := x ^ '@'*ones
			hits |= (at - ones) &^ at & highs
		}
		for ; hits != 0; hits &= hits - 1 {
			p := i + bits.TrailingZeros64(hits)/8
			if end := sc.anchor(p); end > p+1 {
				i = max(end, sc.floor)
				continue loop
			}
		}
		if cards {
			digit := (x ^ '0'*ones) & (0xf0 * ones)
			if zero := (digit - ones) &^ digit & highs; bits.OnesCount64(zero) >= 3 {
				if end := sc.card(i + bits.TrailingZeros64(zero)/8); end > i {
					i = end
					continue
				}
			}
		}
		i += 8
	}
	for i < len(s) {
		end := i + 1
		if i >= sc.runEnd && classes[s[i]]&tokenChar != 0 {
			end = max(end, sc.run(i))
		}
		if end == i+1 {
			end = max(end, sc.anchor(i))
		}
		if cards && end == i+1 && isDigit(s[i]) {
			end = max(end, sc.card(i))
		}
		i = max(end, sc.floor)
	}
	if sc.floor == 0 {
		return s
	}
	sc.out.WriteString(s[sc.floor:])
	return sc.out.String()
}

// load returns the eight bytes of s at i. The compiler makes one instruction of it.
func load(s string, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// anchor reads on where s[i] says that it may be worth it. It returns the place from
// which on the text has not been read; i+1 or less when there is nothing.
func (sc *scanner) anchor(i int) int {
	switch sc.s[i] {
	case ':', '=':
		return sc.separator(i)
	case '-':
		if i+1 < len(sc.s) && sc.s[i+1] == '-' {
			return sc.dashes(i)
		}
	case '@':
		if sc.m.emails {
			return sc.email(i)
		}
	}
	return i + 1
}

// emit masks s[start:end], which must not be before the last match.
func (sc *scanner) emit(rule string, start, end int) {
	sc.emitIn("", rule, start, end)
}

// emitIn is emit with quotes around the mask, for a value that had none.
func (sc *scanner) emitIn(quote, rule string, start, end int) {
	// A value may end where a line of the key in it does.
	if k := strings.LastIndex(sc.s[start:end], "-----BEGIN"); k >= 0 {
		end = max(end, sc.privateKey(start+k))
	}
	if sc.floor == 0 {
		sc.out.Grow(len(sc.s) + 64)
	}
	sc.out.WriteString(sc.s[sc.floor:start])
	sc.out.WriteString(quote)
	sc.out.WriteString(maskStart)
	sc.out.WriteString(rule)
	sc.out.WriteByte(']')
	sc.out.WriteString(quote)
	sc.floor = end
	sc.work += end - start
	sc.edits = append(sc.edits, edit{Match{rule, start, end}, 2*len(quote) + len(maskStart) + len(rule) + len("]")})
}

const maskStart = "[masked:"

// maskEnd returns the end of the mask that begins at p, or p if none does.
func (sc *scanner) maskEnd(p int) int {
	if p >= len(sc.s) || sc.s[p] != '[' || !strings.HasPrefix(sc.s[p:], maskStart) {
		return p
	}
	e := p + len(maskStart)
	for e < len(sc.s) && (isLower(sc.s[e]) || sc.s[e] == '_') {
		e++
	}
	if e < len(sc.s) && sc.s[e] == ']' {
		return e + 1
	}
	return p
}
