package view

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Filter says what is wanted. The zero value of a field wants everything.
type Filter struct {
	Since, Until Instant // Until itself is not in the range
	Zone         string  // that days and times are shown in: "utc", "local", "Europe/Berlin", "+02:00"

	Provider, Model, Agent, Session, Operation string

	Status       string // "ok", "error", "timeout", "failed" (either of those)
	MinLatencyMS int64
	MinCostUSD   float64
	Text         string // in any text of the row; upper and lower case of ASCII letters are the same

	// Of entries (see Entries).
	Kind        string // one of the Kinds
	Severity    string // at least: "warning", "error", "critical"
	Name        string // error type, event's or span's name
	Fingerprint string // of an ErrorGroup
}

// Names of parameters in a URL, by what takes them.
var (
	TimeParams    = []string{"since", "until", "zone"}
	SumParams     = slices.Concat(TimeParams, []string{"provider", "model", "agent", "status"})
	CallParams    = slices.Concat(SumParams, []string{"session", "operation", "min_latency", "min_cost", "q"})
	SessionParams = slices.Concat(TimeParams, []string{"agent", "q"})
	EntryParams   = slices.Concat(TimeParams, []string{"kind", "severity", "name", "fingerprint", "provider", "model", "agent", "session", "q"})
)

// ParamError says which parameter is wrong, and what would be right.
type ParamError struct{ Name, Message string }

func (e *ParamError) Error() string { return e.Name + ": " + e.Message }

// param is one parameter: how it is read and how it is written.
type param struct {
	name  string
	parse func(*Filter, string) error
	print func(*Filter) string
}

// params are all of them, in the order in which a line has them.
var params = []param{
	// The zone comes first, since a date without one is in it.
	{"zone", parseZone, func(f *Filter) string { return f.Zone }},
	{"since", parseSince, func(f *Filter) string { return f.Since.String() }},
	{"until", func(f *Filter, s string) error { return f.Until.parse(s, f.Location()) }, func(f *Filter) string { return f.Until.String() }},
	text("provider", func(f *Filter) *string { return &f.Provider }),
	text("model", func(f *Filter) *string { return &f.Model }),
	text("agent", func(f *Filter) *string { return &f.Agent }),
	text("session", func(f *Filter) *string { return &f.Session }),
	text("operation", func(f *Filter) *string { return &f.Operation }),
	text("status", func(f *Filter) *string { return &f.Status }, "ok", "error", "timeout", "failed"),
	{"min_latency", parseMinLatency, func(f *Filter) string { return printSpan(time.Duration(f.MinLatencyMS) * time.Millisecond) }},
	{"min_cost", parseMinCost, printMinCost},
	text("kind", func(f *Filter) *string { return &f.Kind }, KindCall, KindError, KindEvent, KindSpan),
	text("severity", func(f *Filter) *string { return &f.Severity }, "warning", "error", "critical"),
	text("name", func(f *Filter) *string { return &f.Name }),
	text("fingerprint", func(f *Filter) *string { return &f.Fingerprint }),
	text("q", func(f *Filter) *string { return &f.Text }),
}

// maxParam is the limit in bytes of a parameter. Names are stored with up to 256.
const maxParam = 1024

// text is a parameter that is taken as it is, unless it has to be one of some words.
func text(name string, field func(*Filter) *string, words ...string) param {
	return param{name, func(f *Filter, s string) error {
		if len(words) > 0 && !slices.Contains(words, s) {
			return fmt.Errorf("want one of %s; got %.40q", strings.Join(words, ", "), s)
		}
		*field(f) = s
		return nil
	}, func(f *Filter) string { return *field(f) }}
}

func parseZone(f *Filter, s string) error {
	if s[0] == ' ' { // which a + in a URL becomes
		s = "+" + s[1:]
	}
	f.Zone = s
	return checkZone(s)
}

// Parse reads a filter from a URL's query. Parameters other than those that takes
// lists are an error, a *ParamError as all others; an empty one is as good as none.
// Those of takes that no Filter has are the caller's.
func Parse(v url.Values, takes ...string) (Filter, error) {
	var f Filter
	for name, values := range v {
		if !slices.Contains(takes, name) {
			return f, &ParamError{name, "there is no such parameter here; there are " + strings.Join(takes, ", ")}
		}
		if len(values) > 1 {
			return f, &ParamError{name, "it is given more than once"}
		}
	}
	for _, p := range params {
		s := v.Get(p.name)
		if s == "" {
			continue
		}
		err := error(nil)
		switch {
		case len(s) > maxParam:
			err = fmt.Errorf("it is longer than %d bytes", maxParam)
		case !utf8.ValidString(s):
			err = errors.New("it is not valid UTF-8")
		default:
			err = p.parse(&f, s)
		}
		if err != nil {
			return f, &ParamError{p.name, err.Error()}
		}
	}
	return f, nil
}

// Query is the inverse of Parse: what it returns makes the same filter.
func (f Filter) Query() url.Values {
	v := make(url.Values)
	for _, p := range params {
		if s := p.print(&f); s != "" {
			v.Set(p.name, s)
		}
	}
	return v
}

// parseSince takes no range of no length: as an Instant it would be none, and want all.
func parseSince(f *Filter, s string) error {
	err := f.Since.parse(s, f.Location())
	if err == nil && f.Since == (Instant{}) {
		err = fmt.Errorf("want a time before now; got %.40q", s)
	}
	return err
}

func parseMinLatency(f *Filter, s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 && n <= int64(maxSpan/time.Millisecond) {
		f.MinLatencyMS = n
		return nil
	}
	d, ok := parseSpan(s)
	if !ok {
		return fmt.Errorf("want milliseconds such as 1500, or a duration such as 1500ms or 2m; got %.40q", s)
	}
	f.MinLatencyMS = d.Milliseconds()
	return nil
}

func parseMinCost(f *Filter, s string) error {
	usd, err := strconv.ParseFloat(s, 64)
	if err != nil || !(usd >= 0) || math.IsInf(usd, 0) {
		return fmt.Errorf("want US dollars such as 0.05; got %.40q", s)
	}
	f.MinCostUSD = usd + 0 // -0 is 0
	return nil
}

func printMinCost(f *Filter) string {
	if f.MinCostUSD == 0 {
		return ""
	}
	return strconv.FormatFloat(f.MinCostUSD, 'g', -1, 64)
}

// ParseLine reads what people type: words to search for, and name:value for the
// parameters that takes lists, such as `model:opus status:failed min_cost:0.05 refund`.
// A value or a text may be in double quotes, where \ stands before a quote or another \.
// What the line does not say about times and the zone is taken from f.
func ParseLine(f Filter, line string, takes ...string) (Filter, error) {
	v := make(url.Values)
	for _, p := range params[:3] {
		if s := p.print(&f); s != "" {
			v.Set(p.name, s)
		}
	}
	var words []string
	for line = strings.TrimLeft(line, spaces); line != ""; line = strings.TrimLeft(line, spaces) {
		if line[0] == '"' {
			var s string
			s, line = unquote(line)
			words = append(words, s)
			continue
		}
		end := strings.IndexAny(line, spaces)
		if end < 0 {
			end = len(line)
		}
		name, _, named := strings.Cut(line[:end], ":")
		if !named || name == "q" || !slices.ContainsFunc(params, func(p param) bool { return p.name == name }) {
			words = append(words, line[:end])
			line = line[end:]
			continue
		}
		value := ""
		if line = line[len(name)+1:]; strings.HasPrefix(line, `"`) {
			value, line = unquote(line)
		} else {
			end -= len(name) + 1
			value, line = line[:end], line[end:]
		}
		v.Set(name, value)
	}
	if len(words) > 0 {
		v.Set("q", strings.Join(words, " "))
	}
	return Parse(v, takes...)
}

const spaces = " \t\r\n"

// unquote reads the text in quotes that s begins with, up to the end if it is not closed.
func unquote(s string) (text, rest string) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

var plain = regexp.MustCompile(`^[^\s":\\]+( [^\s":\\]+)*$`)

// Line is the inverse of ParseLine; times and zone are not in it.
func (f Filter) Line() string {
	var parts []string
	for _, p := range params[3:] {
		s := p.print(&f)
		if s == "" {
			continue
		}
		quote := !plain.MatchString(s)
		if p.name != "q" {
			quote = strings.ContainsAny(s, spaces) || s[0] == '"'
		}
		if quote {
			s = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		}
		if p.name != "q" {
			s = p.name + ":" + s
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

// Narrow tells whether f leaves out rows of its time range.
func (f Filter) Narrow() bool {
	f.Since, f.Until, f.Zone = Instant{}, Instant{}, ""
	return f != Filter{}
}

// lowered returns what SQL's lower would make of the text that is searched for, and
// how that stands in JSON, or "" if it is the same.
func (f Filter) lowered() (text, quoted string) {
	b := []byte(f.Text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	text = string(b)
	quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(text)
	if quoted == text {
		quoted = ""
	}
	return text, quoted
}
