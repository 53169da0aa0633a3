package redact

import "strings"

// longestAuthority is how much of a URL is read for a password.
const longestAuthority = 1024

// url masks the password of the URL whose scheme the colon at i ends, or the path of
// a webhook, which is a password too. It returns the end of what it masked, or 0.
func (sc *scanner) url(i int) int {
	s := sc.s
	if i == 0 || !isAlnum(s[i-1]) {
		return 0
	}
	p := i + 1
	for range 2 {
		for n := 0; n < 8 && p < len(s) && s[p] == '\\'; n++ { // JSON may have \/
			p++
		}
		if p >= len(s) || s[p] != '/' {
			return 0
		}
		p++
	}
	host, colon, at := p, -1, -1
	e := p
	for ; e < len(s) && e-p < longestAuthority; e++ {
		c := s[e]
		if c <= ' ' || isQuote(c) || strings.IndexByte(`/?#<>\`, c) >= 0 {
			break
		}
		switch {
		case c == '[': // a mask has a colon
			e = max(e, sc.maskEnd(e)-1)
		case c == ':' && colon < 0:
			colon = e
		case c == '@':
			at = e
		}
	}
	sc.work += e - p
	if at < 0 {
		return sc.webhook(host, e)
	}
	user := at
	if colon > 0 && colon < at {
		user = colon
	}
	end := 0
	if isKey(s[host:user]) {
		sc.emit(sc.rule(urlRule, host, user), host, user)
		end = user
	}
	if user == at || colon+1 == at || sc.maskEnd(colon+1) == at || standsForSecret(s[colon+1:at]) {
		return end
	}
	for u := host; u < colon; u = max(u+1, sc.runEnd) { // the user may be a token
		if u >= max(sc.runEnd, sc.floor) {
			sc.run(u)
		}
	}
	sc.emit(sc.rule(urlRule, colon+1, at), colon+1, at)
	return at
}

// isKey reports whether the user of a URL is a key: it holds a long run of letters and
// digits.
func isKey(user string) bool {
	if len(user) < longRun {
		return false
	}
	n, digits := 0, 0
	for i := range len(user) {
		switch c := user[i]; {
		case classes[c]&urlChar == 0:
			return false
		case !isAlnum(c):
			n, digits = 0, 0
			continue
		case isDigit(c):
			digits++
		}
		if n++; n >= 16 && digits > 0 && digits < n {
			return true
		}
	}
	return false
}

// webhooks are addresses at which whoever knows the path may write.
var webhooks = []struct{ host, path, rule string }{
	{"hooks.slack.com", "/services/", slackWebhook},
	{"hooks.slack.com", "/workflows/", slackWebhook},
	{"hooks.slack.com", "/triggers/", slackWebhook},
	{"discord.com", "/api/webhooks/", discordWebhook},
	{"discordapp.com", "/api/webhooks/", discordWebhook},
	{"canary.discord.com", "/api/webhooks/", discordWebhook},
	{"ptb.discord.com", "/api/webhooks/", discordWebhook},
}

func (sc *scanner) webhook(host, end int) int {
	s := sc.s
	for _, w := range webhooks {
		if s[host:end] != w.host {
			continue
		}
		p := end
		for i := 0; ; {
			if p < len(s) && s[p] == '\\' && w.path[min(i, len(w.path)-1)] == '/' && i < len(w.path) {
				p++
				continue
			}
			if i == len(w.path) {
				break
			}
			if p >= len(s) || s[p] != w.path[i] {
				p = -1
				break
			}
			p++
			i++
		}
		if p < 0 {
			continue
		}
		e := p
		for e < len(s) {
			if classes[s[e]]&urlChar != 0 || s[e] == '/' {
				e++
			} else if s[e] == '\\' && e+1 < len(s) && s[e+1] == '/' {
				e += 2
			} else {
				break
			}
		}
		sc.work += e - end
		if e-p < 20 || !hasDigit(s[p:e]) {
			return 0
		}
		sc.emit(w.rule, p, e)
		return e
	}
	return 0
}
