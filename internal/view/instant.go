package view

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Instant is a moment as people write it: so long ago, or a date. The zero value is
// none.
type Instant struct {
	Ago time.Duration // "24h", "7d"; whole milliseconds
	At  int64         // "2026-11-25T06:00:00Z", in Unix ms
}

// In returns the moment in Unix ms, or none if i is zero.
func (i Instant) In(now time.Time, none int64) int64 {
	switch {
	case i.Ago != 0:
		return max(now.Add(-i.Ago).UnixMilli(), 0)
	case i.At != 0:
		return i.At
	}
	return none
}

// String returns i as it stands in a URL.
func (i Instant) String() string {
	switch {
	case i.Ago != 0:
		return printSpan(i.Ago)
	case i.At != 0:
		return time.UnixMilli(i.At).UTC().Format("2006-01-02T15:04:05.999Z07:00")
	}
	return ""
}

// layouts of dates. Those without a zone are in the one that people chose.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

func (i *Instant) parse(s string, zone *time.Location) error {
	*i = Instant{}
	if s == "now" {
		return nil
	}
	if ago, ok := parseSpan(strings.TrimPrefix(s, "now-")); ok {
		i.Ago = ago
		return nil
	}
	date := s
	if strings.Contains(s, "T") {
		date = strings.Replace(s, " ", "+", 1) // which a + in a URL becomes
	}
	for _, layout := range layouts {
		t, err := time.ParseInLocation(layout, date, zone)
		if err != nil {
			continue
		}
		if t.Year() < 1970 || t.Year() > 9999 {
			return fmt.Errorf("want a year from 1970 to 9999; got %.40q", s)
		}
		i.At = min(max(t.UnixMilli(), 1), lastMilli)
		return nil
	}
	return fmt.Errorf("want a duration such as 90m, 24h or 7d, or a date such as 2026-11-25 or 2026-11-25T06:00:00Z; got %.40q", s)
}

// lastMilli is the last that has a year of four digits in UTC.
var lastMilli = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli()

// maxSpan is about 273 years, less than time.Duration can hold.
const maxSpan = 100_000 * 24 * time.Hour

var span = regexp.MustCompile(`^([0-9]{1,12})(ms|s|m|h|d|w)$`)

var units = []struct {
	name string
	d    time.Duration
}{
	{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond},
}

// parseSpan reads a duration of days and weeks too.
func parseSpan(s string) (time.Duration, bool) {
	if m := span.FindStringSubmatch(s); m != nil {
		n, _ := strconv.ParseInt(m[1], 10, 64) // digits
		for _, u := range units {
			if u.name == m[2] {
				return time.Duration(n) * u.d, n <= int64(maxSpan/u.d)
			}
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxSpan {
		return 0, false
	}
	return d.Truncate(time.Millisecond), true
}

// printSpan writes d in the largest unit in which it is a whole number, but weeks; 0 is "".
func printSpan(d time.Duration) string {
	for _, u := range units[1:] {
		if d != 0 && d%u.d == 0 {
			return strconv.FormatInt(int64(d/u.d), 10) + u.name
		}
	}
	return ""
}

// Location returns the time zone that f.Zone names, which Parse has looked up; UTC if
// it is empty.
func (f Filter) Location() *time.Location {
	loc, err := zone(f.Zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

var offset = regexp.MustCompile(`^([+-])([01][0-9]):?([0-5][0-9])$`)

func zone(s string) (*time.Location, error) {
	switch strings.ToLower(s) {
	case "", "utc":
		return time.UTC, nil
	case "local":
		return time.Local, nil
	}
	if m := offset.FindStringSubmatch(s); m != nil {
		h, _ := strconv.Atoi(m[2]) // digits
		min, _ := strconv.Atoi(m[3])
		seconds := h*3600 + min*60
		if m[1] == "-" {
			seconds = -seconds
		}
		return time.FixedZone(s, seconds), nil
	}
	if len(s) > 64 {
		return nil, errors.New("there is no such time zone")
	}
	return time.LoadLocation(s) // which refuses whatever leads out of its folders
}

func checkZone(s string) error {
	if _, err := zone(s); err != nil {
		return fmt.Errorf("want utc, local, an offset such as +02:00, or a name such as Europe/Berlin that this machine knows; got %.40q", s)
	}
	return nil
}

// Range returns the time range in Unix ms: from is in it, until is not. Without a
// Since from is 0; without an Until, until is the next millisecond.
func (f Filter) Range(now time.Time) (from, until int64) {
	from = f.Since.In(now, 0)
	until = max(f.Until.In(now, now.UnixMilli()+1), from)
	return from, until
}

// open is Range for lists, which show what a clock set back left in the future.
func (f Filter) open(now time.Time) (from, until int64) {
	from = f.Since.In(now, 0)
	return from, max(f.Until.In(now, math.MaxInt64), from)
}
