package view

import (
	"net/url"
	"time"
)

// Instant is a moment as people write it: so long ago, or a date. The zero value is
// none.
type Instant struct {
	Ago time.Duration // "24h", "7d"
	At  int64         // Unix ms, "2026-11-25T06:00:00Z"
}

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
	SumParams     = append([]string{"provider", "model", "agent", "status"}, TimeParams...)
	CallParams    = append([]string{"session", "operation", "min_latency", "min_cost", "q"}, SumParams...)
	SessionParams = append([]string{"agent", "q"}, TimeParams...)
	EntryParams   = append([]string{"kind", "severity", "name", "fingerprint", "session", "agent", "provider", "model", "q"}, TimeParams...)
)

// ParamError says which parameter is wrong, and what would be right.
type ParamError struct{ Name, Message string }

func (e *ParamError) Error() string { return e.Name + ": " + e.Message }

// Parse reads a filter from a URL's query. Parameters other than those that takes
// lists are an error, a *ParamError as all others; an empty one is as good as none.
func Parse(v url.Values, takes ...string) (f Filter, err error) { return f, err }

// Query is the inverse of Parse: what it returns makes the same filter.
func (f Filter) Query() url.Values { return nil }

// ParseLine reads what people type: words to search for, and name:value for the other
// parameters, such as `model:opus status:failed min_cost:0.05 refund`. The value may be
// in double quotes. What the line does not say is taken from f: the times and the zone.
func ParseLine(f Filter, line string) (Filter, error) { return f, nil }

// Line is the inverse of ParseLine.
func (f Filter) Line() string { return "" }

// Narrow tells whether f leaves out rows of its time range.
func (f Filter) Narrow() bool { return false }

// Location returns the time zone that f.Zone names, which Parse has looked up; UTC if
// it is empty.
func (f Filter) Location() *time.Location { return time.UTC }

// Range returns the time range in Unix ms: from is in it, until is not.
func (f Filter) Range(now time.Time) (from, until int64) { return 0, 0 }
