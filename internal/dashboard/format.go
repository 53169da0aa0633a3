package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"time"

	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// Numbers as people read them. What is not known has a word of its own, never 0.

// count writes n with a comma between thousands.
func count(n int64) string {
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

// short writes n in three digits or so.
func short(n int64) string {
	v := float64(n)
	for _, u := range []struct {
		at   float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= u.at*0.9995 && (u.at > 1e3 || math.Abs(v) >= 10e3) {
			return digits(v/u.at) + " " + u.name
		}
	}
	return count(n)
}

// digits writes v with three digits, and no zeros behind the point.
func digits(v float64) string {
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

// dollars writes a known amount.
func dollars(usd float64) string {
	switch {
	case usd == 0:
		return "$0"
	case usd < 0:
		return "−" + dollars(-usd)
	case usd < 0.00005:
		return "<$0.0001"
	case usd < 0.99995:
		return "$" + strconv.FormatFloat(usd, 'f', 4, 64)
	case usd < 1000:
		return "$" + strconv.FormatFloat(usd, 'f', 2, 64)
	}
	return "$" + count(int64(math.Round(usd)))
}

// axisDollars is dollars for the ticks of a scale.
func axisDollars(usd float64) string {
	if usd >= 1 || usd == 0 {
		return "$" + digits(usd)
	}
	return "$" + strconv.FormatFloat(usd, 'g', 3, 64)
}

// duration writes milliseconds.
func duration(ms int64) string {
	switch {
	case ms < 0:
		return "−" + duration(-ms)
	case ms < 1000:
		return strconv.FormatInt(ms, 10) + " ms"
	case ms < 60_000:
		return strconv.FormatFloat(float64(ms)/1000, 'f', 2-btoi(ms >= 10_000), 64) + " s"
	case ms < 3_600_000:
		return fmt.Sprintf("%d m %02d s", ms/60_000, ms/1000%60)
	case ms < 86_400_000:
		return fmt.Sprintf("%d h %02d m", ms/3_600_000, ms/60_000%60)
	}
	return fmt.Sprintf("%d d %d h", ms/86_400_000, ms/3_600_000%24)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// axisDuration is duration for the ticks of a scale.
func axisDuration(ms float64) string {
	switch {
	case ms == 0:
		return "0"
	case ms < 1000:
		return digits(ms) + " ms"
	case ms < 60_000:
		return digits(ms/1000) + " s"
	case ms < 3_600_000:
		return digits(ms/60_000) + " min"
	}
	return digits(ms/3_600_000) + " h"
}

// size writes bytes.
func size(n float64) string {
	if math.Abs(n) < 1024 {
		return strconv.FormatFloat(n, 'f', 0, 64) + " B"
	}
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		n /= 1024
		if math.Abs(n) < 1023.5 || unit == "TiB" {
			return digits(n) + " " + unit
		}
	}
	return "" // not reached
}

func percentage(v float64) string { return digits(v) + "%" }

// share writes what part of total n is, or "".
func share(n, total int64) string {
	if total == 0 {
		return ""
	}
	v := 100 * float64(n) / float64(total)
	if n > 0 && v < 0.1 {
		return "<0.1%"
	}
	return percentage(v)
}

// plural writes how many there are of something.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// unknown stands where a value is not known.
func unknown(why string) h.Node {
	return h.Span(h.Class("unknown"), h.Title(why), h.Text("unknown"))
}

// none stands where there is nothing.
func none() h.Node { return h.Span(h.Class("unknown"), h.Text("–")) }

func orUnknown(n *int64, format func(int64) string) h.Node {
	if n == nil {
		return h.Span(h.Class("unknown"), h.Title("not reported"), h.Text("–"))
	}
	return h.Text(format(*n))
}

const noPrice = "no cost was reported, and none can be computed: without tokens, or without a price for the model"

// cost writes the cost of a call.
func cost(usd *float64) h.Node {
	if usd == nil {
		return unknown(noPrice)
	}
	return h.Text(dollars(*usd))
}

// sumCost writes what calls cost, and how many of them are not in it.
func sumCost(s view.Sums) h.Node {
	usd := s.CostUSD()
	if usd == nil {
		return unknown(noPrice)
	}
	if s.Unpriced == 0 {
		return h.Text(dollars(*usd))
	}
	return h.Group{h.Text(dollars(*usd)), h.Text(" "),
		h.Span(h.Class("unknown under"), h.Title(plural(s.Unpriced, "call has", "calls have")+" no known cost, which is not in this sum"), h.Text("+ "+count(s.Unpriced)+" unpriced"))}
}

func sumTokens(s view.Sums) h.Node {
	n := s.Tokens()
	if n == nil {
		return unknown("no call of these reported tokens")
	}
	return h.Span(h.Title(count(*n)), h.Text(short(*n)))
}

// clock writes when something happened: the time of day, and the date if it is not today.
func (r *request) clock(ms int64) h.Node {
	t := r.time(ms)
	layout := "15:04:05"
	if y, d := t.Year(), t.YearDay(); y != r.now.Year() || d != r.now.YearDay() {
		layout = "2 Jan 15:04:05"
		if y != r.now.Year() {
			layout = "2 Jan 2006 15:04:05"
		}
	}
	return r.stamp(ms, t.Format(layout))
}

// moment writes when something happened, whole.
func (r *request) moment(ms int64) h.Node {
	return r.stamp(ms, r.time(ms).Format("2 Jan 2006 15:04:05.000"))
}

// ago writes how long ago something was.
func (r *request) ago(ms int64) h.Node { return r.stamp(ms, since(r.now.UnixMilli()-ms)) }

func since(ms int64) string {
	switch {
	case ms < 0:
		return "in " + span(-ms)
	case ms < 1000:
		return "now"
	}
	return span(ms) + " ago"
}

// span writes about how long milliseconds are, in one unit.
func span(ms int64) string {
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

func (r *request) stamp(ms int64, text string) h.Node {
	t := r.time(ms)
	return h.El("time", h.Attr("datetime", t.UTC().Format("2006-01-02T15:04:05.000Z")), h.Title(t.Format("Mon 2 Jan 2006 15:04:05.000 MST")), h.Text(text))
}

func (r *request) time(ms int64) time.Time { return time.UnixMilli(ms).In(r.zone) }
