// Package readable turns what is stored into what people read: the messages of a call
// whatever their form, numbers with units, and texts whose invisible characters can be
// seen. The pages and the command line show the same because both ask here.
//
// Stored texts are hostile. Nothing in them is interpreted; Visible takes away what could
// drive a terminal or make one text look like another.
package readable

import (
	"fmt"
	"math"
	"strconv"
)

// Count writes n with a comma between thousands.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Short writes n in three digits or so.
func Short(n int64) string {
	v := float64(n)
	for _, u := range []struct {
		at   float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= u.at*0.9995 && (u.at > 1e3 || math.Abs(v) >= 10e3) {
			return Digits(v/u.at) + " " + u.name
		}
	}
	return Count(n)
}

// Digits writes v with three digits, and no zeros behind the point.
func Digits(v float64) string {
	n := 2
	switch a := math.Abs(v); {
	case a >= 99.95:
		n = 0
	case a >= 9.995:
		n = 1
	}
	s := strconv.FormatFloat(v, 'f', n, 64)
	for n > 0 && s[len(s)-1] == '0' {
		s, n = s[:len(s)-1], n-1
	}
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	return s
}

// Dollars writes a known amount.
func Dollars(usd float64) string {
	switch {
	case usd == 0:
		return "$0"
	case usd < 0:
		return "−" + Dollars(-usd)
	case usd < 0.00005:
		return "<$0.0001"
	case usd < 0.99995:
		return "$" + strconv.FormatFloat(usd, 'f', 4, 64)
	case usd < 1000:
		return "$" + strconv.FormatFloat(usd, 'f', 2, 64)
	}
	return "$" + Count(int64(math.Round(usd)))
}

// Duration writes milliseconds.
func Duration(ms int64) string {
	switch {
	case ms < 0:
		return "−" + Duration(-ms)
	case ms < 1000:
		return strconv.FormatInt(ms, 10) + " ms"
	case ms < 10_000:
		return strconv.FormatFloat(float64(ms)/1000, 'f', 2, 64) + " s"
	case ms < 60_000:
		return strconv.FormatFloat(float64(ms)/1000, 'f', 1, 64) + " s"
	case ms < 3_600_000:
		return fmt.Sprintf("%d m %02d s", ms/60_000, ms/1000%60)
	case ms < 86_400_000:
		return fmt.Sprintf("%d h %02d m", ms/3_600_000, ms/60_000%60)
	}
	return fmt.Sprintf("%d d %d h", ms/86_400_000, ms/3_600_000%24)
}

// Size writes bytes.
func Size(n float64) string {
	if math.Abs(n) < 1024 {
		return strconv.FormatFloat(n, 'f', 0, 64) + " B"
	}
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		n /= 1024
		if math.Abs(n) < 1023.5 || unit == "TiB" {
			return Digits(n) + " " + unit
		}
	}
	return "" // not reached
}

// Percentage writes v, which is out of a hundred.
func Percentage(v float64) string { return Digits(v) + "%" }

// Plural writes how many there are of something.
func Plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

// Since writes how long ago something was.
func Since(ms int64) string {
	switch {
	case ms < 0:
		return "in " + Span(-ms)
	case ms < 1000:
		return "now"
	}
	return Span(ms) + " ago"
}

// Span writes about how long milliseconds are, in one unit.
func Span(ms int64) string {
	switch {
	case ms < 60_000:
		return strconv.FormatInt(ms/1000, 10) + " s"
	case ms < 3_600_000:
		return strconv.FormatInt(ms/60_000, 10) + " min"
	case ms < 2*86_400_000:
		return strconv.FormatInt(ms/3_600_000, 10) + " h"
	}
	return strconv.FormatInt(ms/86_400_000, 10) + " days"
}
