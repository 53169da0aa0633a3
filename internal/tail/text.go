package tail

import (
	"bytes"
	"strings"
	"time"
	"unicode"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// alarm is how runtimes begin what no logger has written.
type alarm struct {
	prefix   string
	severity int32
	kind     textKind
}

var alarmLines = []alarm{
	{"panic: ", otlpFatal, goPanic},
	{"fatal error: ", otlpFatal, goPanic},
	{tracebackStart, otlpError, traceback},
	{"FATAL ERROR: ", otlpFatal, plainText}, // V8
	{"Exception in thread ", otlpError, plainText},
	{"Unhandled ", otlpError, plainText},
	{"Uncaught ", otlpError, plainText},
	{"Segmentation fault", otlpFatal, plainText},
	{"Killed process ", otlpFatal, plainText},
	{"Out of memory", otlpFatal, plainText},
	{"npm ERR! ", otlpError, plainText},
	{"npm error ", otlpError, plainText},
}

const tracebackStart = "Traceback (most recent call last)"

// parseText reads a line that is no JSON: a time, a level and a message, as most loggers
// write them, or what a runtime says of a crash. A word such as "error" further on in a
// line says nothing.
func parseText(line string) *record {
	r := &record{body: line}
	rest := r.takeTime(strings.TrimLeft(line, " \t"))
	for _, a := range alarmLines {
		if strings.HasPrefix(rest, a.prefix) {
			r.severity, r.kind = a.severity, a.kind
			return r
		}
	}
	if rest == "Killed" { // as a shell says it
		r.severity = otlpFatal
		return r
	}
	if level, ok := logfmt(rest); ok {
		r.level, r.severity = level, levelOf(level)
		return r
	}
	if glog(rest) {
		r.level, r.severity = rest[:1], map[byte]int32{'I': otlpInfo, 'W': otlpWarn, 'E': otlpError, 'F': otlpFatal}[rest[0]]
		return r
	}
	words := rest
	for range 4 {
		word := strings.TrimLeft(words, " \t|-")
		if i := strings.IndexAny(word, " \t"); i >= 0 {
			word, words = word[:i], word[i+1:]
		} else {
			words = ""
		}
		bare := strings.Trim(word, "[](){}<>:|!*")
		// Some put more behind it: ERROR:root:text, ERRO[0012] text.
		if i := strings.IndexAny(bare, ":["); i > 0 && bare[:i] == strings.ToUpper(bare[:i]) {
			bare = bare[:i]
		}
		// A level is set apart: in capitals, in brackets, or before a colon.
		if n := levels[strings.ToUpper(bare)]; n > 0 && bare != "OK" &&
			(bare == strings.ToUpper(bare) || strings.ContainsAny(word[:1], "[(<") || strings.HasSuffix(word, ":")) {
			r.level, r.severity = bare, n
			return r
		}
		name, colon := strings.CutSuffix(word, ":")
		if !colon && strings.HasPrefix(words, "[") { // Node's own: TypeError [ERR_INVALID_ARG_TYPE]: text
			code, _, _ := strings.Cut(words, " ")
			colon = strings.HasSuffix(code, "]:")
		}
		if colon && exceptionName(name) {
			r.severity = otlpError
			r.attrs = append(r.attrs, otlp.KeyValue{Key: "exception.type", Value: otlp.StringValue(name)})
			return r
		}
		if words == "" {
			break
		}
	}
	return r
}

// takeTime takes the time off the beginning of line.
func (r *record) takeTime(line string) string {
	if len(line) > 16 {
		if _, err := time.Parse(time.Stamp, line[:15]); err == nil {
			// As syslog writes it, without a year; the host and the program follow.
			_, rest, _ := strings.Cut(line[16:], " ")
			if program, text, ok := strings.Cut(rest, ": "); ok && !strings.Contains(program, " ") {
				return text
			}
			return rest
		}
	}
	s := line
	bracket := strings.HasPrefix(s, "[")
	if bracket {
		s = s[1:]
	}
	if s == "" || s[0] < '0' || s[0] > '9' {
		return line
	}
	cut := func(s string) (string, string) {
		if i := strings.IndexAny(s, " \t]"); i >= 0 {
			return s[:i], s[i:]
		}
		return s, ""
	}
	first, rest := cut(s)
	at := parseTime(strings.TrimSuffix(first, ":"))
	if at.IsZero() && strings.HasPrefix(rest, " ") {
		var second string
		second, rest = cut(rest[1:])
		at = parseTime(first + " " + strings.TrimSuffix(second, ":"))
	}
	if at.IsZero() {
		return line
	}
	r.at = at
	if bracket {
		rest = strings.TrimPrefix(rest, "]")
	}
	return strings.TrimLeft(rest, " \t:")
}

// logfmt returns the level of a line of key=value pairs.
func logfmt(s string) (string, bool) {
	for _, key := range []string{"level=", "lvl=", "severity="} {
		i := strings.Index(s, key)
		if i < 0 || i > 0 && s[i-1] != ' ' {
			continue
		}
		value := strings.TrimLeft(s[i+len(key):], `"`)
		if end := strings.IndexAny(value, "\" \t"); end >= 0 {
			value = value[:end]
		}
		if levelOf(value) > 0 {
			return value, true
		}
	}
	return "", false
}

// glog tells whether a line begins as "E0102 15:04:05".
func glog(s string) bool {
	if len(s) < 6 || !strings.ContainsRune("IWEF", rune(s[0])) || s[5] != ' ' {
		return false
	}
	return strings.IndexFunc(s[1:5], func(c rune) bool { return c < '0' || c > '9' }) < 0
}

// exceptionName tells whether s is called as exceptions are, such as java.io.IOException.
func exceptionName(s string) bool {
	if !strings.HasSuffix(s, "Error") && !strings.HasSuffix(s, "Exception") {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool {
		return c != '.' && c != '_' && c != '$' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}) < 0
}

// stripANSI takes the colours out of a line.
func stripANSI(line []byte) []byte {
	const escape = 0x1b
	if bytes.IndexByte(line, escape) < 0 {
		return line
	}
	plain := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] == escape && i+1 < len(line) && line[i+1] == '[' {
			for i += 2; i < len(line) && (line[i] < '@' || line[i] > '~'); i++ {
			}
			continue
		}
		plain = append(plain, line[i])
	}
	return plain
}
