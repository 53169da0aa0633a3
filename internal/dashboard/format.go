package dashboard

import (
	"strconv"
	"time"

	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// Numbers as people read them, as on the command line. What is not known has a word of
// its own, never 0.
var (
	count      = readable.Count
	short      = readable.Short
	digits     = readable.Digits
	dollars    = readable.Dollars
	duration   = readable.Duration
	size       = readable.Size
	percentage = readable.Percentage
	plural     = readable.Plural
	since      = readable.Since
)

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// axisDollars is dollars for the ticks of a scale.
func axisDollars(usd float64) string {
	if usd >= 1 || usd == 0 {
		return "$" + digits(usd)
	}
	return "$" + strconv.FormatFloat(usd, 'g', 3, 64)
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

func (r *request) stamp(ms int64, text string) h.Node {
	t := r.time(ms)
	return h.El("time", h.Attr("datetime", t.UTC().Format("2006-01-02T15:04:05.000Z")), h.Title(t.Format("Mon 2 Jan 2006 15:04:05.000 MST")), h.Text(text))
}

func (r *request) time(ms int64) time.Time { return time.UnixMilli(ms).In(r.zone) }
