package redact

import "strings"

// schemes are the names that stand before credentials in an Authorization header, in
// small letters.
var schemes = map[string]struct {
	rule string
	rest bool // the credentials are the rest of the line and not one word
}{
	"bearer": {bearerRule, false}, "basic": {basicRule, false},
	"token": {authRule, false}, "bot": {authRule, false}, "apikey": {authRule, false}, "api-key": {authRule, false}, "key": {authRule, false},
	"negotiate": {authRule, false}, "ntlm": {authRule, false}, "gitlab-token": {authRule, false}, "sso-key": {authRule, false},
	"digest": {authRule, true}, "oauth": {authRule, true}, "hawk": {authRule, true}, "aws4-hmac-sha256": {authRule, true},
	"sharedkey": {authRule, true}, "sharedaccesssignature": {authRule, true},
}

// header masks the credentials or cookies in s[v:end], which is the beginning of a
// line or all of a quoted text. It returns the end of what it masked, or 0.
func (sc *scanner) header(f field, v, end int, quoted bool) int {
	s := sc.s
	for v < end && isBlank(s[v]) {
		v++
	}
	if v >= end || sc.maskEnd(v) == end {
		return 0
	}
	if f.kind == cookies {
		pair := strings.IndexByte(s[v:min(end, v+inVain)], '=')
		if pair < 1 || !quoted && strings.IndexByte(s[v:v+pair], ' ') >= 0 || standsForSecret(s[v:end]) {
			return 0
		}
		return sc.headerRest(cookieRule, v, end, quoted)
	}

	word := sc.part(v, urlChar, 32)
	if scheme, ok := schemes[strings.ToLower(s[v:min(word, end)])]; ok && word < end && s[word] == ' ' {
		for v = word; v < end && s[v] == ' '; {
			v++
		}
		if v == end || s[v] == '[' && sc.maskEnd(v) > v {
			return 0
		}
		if scheme.rest {
			if standsForSecret(s[v:end]) {
				return 0
			}
			return sc.headerRest(scheme.rule, v, end, quoted)
		}
		// "Bearer token" is a phrase; four letters of base64 can be all small.
		strict := !quoted && scheme.rule != basicRule
		return sc.credentials(scheme.rule, v, end, quoted, strict)
	}
	if quoted {
		if !sc.secret(field{}, v, end, false) {
			return 0
		}
		sc.emit(sc.rule(authRule, v, end), v, end)
		return end
	}
	return sc.credentials(authRule, v, end, false, true)
}

// headerRest masks the rest of a header.
func (sc *scanner) headerRest(rule string, v, end int, quoted bool) int {
	if !quoted {
		end = sc.line(v, len(sc.s))
	}
	for end > v && isBlank(sc.s[end-1]) {
		end--
	}
	sc.emit(rule, v, end)
	return end
}

// credentials masks the one word at v, which reaches no further than end if that is
// the end of a quoted text.
func (sc *scanner) credentials(rule string, v, end int, quoted, strict bool) int {
	s := sc.s
	limit := len(s)
	if quoted {
		limit = end
	}
	end = min(limit, sc.word(v, false, inVain))
	cut := end-v >= inVain
	for strict && end > v && strings.IndexByte(".:!?", s[end-1]) >= 0 {
		end--
	}
	if !sc.secret(field{}, v, end, strict) {
		return 0
	}
	if cut {
		end = min(limit, sc.word(v, false, len(s)))
	}
	sc.emit(sc.rule(rule, v, end), v, end)
	return end
}
