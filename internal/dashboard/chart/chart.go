// Package chart draws charts as SVG in HTML, for pages that may use neither scripts nor
// styles of their own.
//
// A chart has no size: it is as wide as its place. What carries data is in an SVG that is
// stretched, whose lines keep their width; text is outside of it, placed in percent, so
// that it is as large on a phone as on a wall. Colours are classes (s1 to s8) of the page's
// style sheet, and series differ in their dashes too.
//
// What is not known is NaN and is drawn as nothing: a line ends there and begins anew.
// Every chart has a sentence that says what it shows, and a table of all its values,
// which is also what a script reads them from.
package chart

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
)

// Series is one value over time.
type Series struct {
	Name   string
	Values []float64 // one for each bucket; NaN is unknown
	// Low and High, if not nil, are drawn as a band around a line.
	Low, High []float64
	// Class is the number of its colour, 1 to 8; 0 is its place in the list.
	Class int
}

// Mark is something that happened, drawn as a tick at the foot.
type Mark struct {
	Bucket int
	Label  string
	Href   string
}

// Limit is a value that is not to be passed.
type Limit struct {
	Value float64
	Label string
}

// Time is a chart over a time range that is divided into buckets of equal length, but for
// daylight saving.
type Time struct {
	ID     string // of the element, unique in its page
	Title  string
	Starts []int64 // of the buckets, Unix ms
	Until  int64   // end of the last one
	Zone   *time.Location
	Series []Series
	Unit   Unit
	Max    float64 // the scale reaches at least this far
	Limit  *Limit
	Marks  []Mark
	Area   bool // lines are filled down to 0
	Height int  // of the plane in pixels; 0 is 150

	// Link returns where a bucket leads, or ""; nil leads nowhere.
	Link func(bucket int) string
	// Note is a remark for below the chart, or "".
	Note string
}

const (
	above, below = 8, 22 // of the plane, in pixels

	perBucket = 10   // units of width inside the stretched SVG
	tall      = 1000 // units of height
)

func (t *Time) height() int { return cmp.Or(t.Height, 150) }

// Lines draws the series as lines.
func Lines(t Time) h.Node {
	top, ticks := t.scale(false)
	var shapes []h.Node
	for i, s := range t.Series {
		class := "s" + strconv.Itoa(s.class(i))
		if s.Low != nil && s.High != nil {
			shapes = append(shapes, path("band "+class, band(s.Low, s.High, top)))
		}
		if t.Area {
			shapes = append(shapes, path("area "+class, area(s.Values, top)))
		}
		shapes = append(shapes, path("line "+class, line(s.Values, top)), path("dots "+class, dots(s.Values, top)))
	}
	return t.figure("lines", top, ticks, shapes)
}

// Bars draws the series as bars upon each other, the first one lowest.
func Bars(t Time) h.Node {
	top, ticks := t.scale(true)
	gap := 2
	if len(t.Starts) > 60 {
		gap = 1
	}
	var shapes []h.Node
	for b := range t.Starts {
		var rects []h.Node
		sum := 0.0
		for i, s := range t.Series {
			v := at(s.Values, b)
			if math.IsNaN(v) || v <= 0 {
				continue
			}
			y0, y1 := height(sum, top), height(sum+v, top)
			sum += v
			if y1 == y0 {
				y1-- // something is never nothing
			}
			rects = append(rects, h.El("rect", h.Class("s"+strconv.Itoa(s.class(i))),
				num("x", b*perBucket+gap/2), num("y", y1), num("width", perBucket-gap), num("height", y0-y1)))
		}
		href := t.link(b)
		if href == "" {
			shapes = append(shapes, rects...)
			continue
		}
		// The whole column leads there, not only what is filled of it. The table has the
		// same links for whoever uses the keyboard.
		hit := h.El("rect", h.Class("hit"), num("x", b*perBucket), num("y", 0), num("width", perBucket), num("height", tall))
		shapes = append(shapes, h.A(append([]h.Node{h.Href(href), h.TabIndex("-1"), h.El("title", h.Text(t.describe(b))), hit}, rects...)...))
	}
	return t.figure("bars", top, ticks, shapes)
}

func (s Series) class(i int) int {
	if s.Class > 0 {
		return s.Class
	}
	return i%8 + 1
}

func (t *Time) link(b int) string {
	if t.Link == nil {
		return ""
	}
	return t.Link(b)
}

// scale returns the top of the vertical scale and its ticks.
func (t *Time) scale(stacked bool) (top float64, ticks []float64) {
	top = t.Max
	if t.Limit != nil {
		top = math.Max(top, t.Limit.Value)
	}
	for b := range t.Starts {
		sum := 0.0
		for _, s := range t.Series {
			v := at(s.Values, b)
			if s.High != nil && !math.IsNaN(at(s.High, b)) {
				v = at(s.High, b)
			}
			switch {
			case math.IsNaN(v):
			case stacked:
				sum += max(v, 0)
			default:
				sum = math.Max(sum, v)
			}
		}
		top = math.Max(top, sum)
	}
	step := t.Unit.step(top)
	for v := 0.0; ; v += step {
		ticks = append(ticks, v)
		if v >= top && v > 0 {
			return v, ticks
		}
	}
}

// figure puts the shapes of a chart into their frame.
func (t *Time) figure(kind string, top float64, ticks []float64, shapes []h.Node) h.Node {
	var axis, grid []h.Node
	foot := above + t.height() // 0 is here
	total := foot + below
	place := func(v float64) int { return foot - int(math.Round(v/top*float64(t.height()))) }
	for _, v := range ticks {
		y := place(v)
		axis = append(axis, h.El("text", num("x", axisWidth-8), num("y", y+4), h.Attr("text-anchor", "end"), h.Text(t.Unit.Format(v))))
		grid = append(grid, h.El("line", h.Class("grid"), num("x1", 0), h.Attr("x2", "100%"), num("y1", y), num("y2", y)))
	}
	if t.Limit != nil {
		y := place(t.Limit.Value)
		grid = append(grid,
			h.El("line", h.Class("limit"), num("x1", 0), h.Attr("x2", "100%"), num("y1", y), num("y2", y)),
			h.El("text", h.Class("limit"), h.Attr("x", "100%"), num("y", y-4), h.Attr("text-anchor", "end"), h.Text(t.Limit.Label)))
	}
	for i, tick := range t.times() {
		anchor := "middle"
		if tick.share < 0.03 {
			anchor = "start"
		} else if tick.share > 0.97 {
			anchor = "end"
		}
		x := percent(tick.share)
		class := "tick"
		if i%2 == 1 {
			class = "tick odd" // left out where there is little room
		}
		grid = append(grid,
			h.El("line", h.Class(class), h.Attr("x1", x), h.Attr("x2", x), num("y1", foot), num("y2", foot+4)),
			h.El("text", h.Class(class), h.Attr("x", x), num("y", total-3), h.Attr("text-anchor", anchor), h.Text(tick.label)))
	}
	data := h.El("svg", h.Class("data"), h.Attr("x", "0"), num("y", above), h.Width("100%"), h.Height(strconv.Itoa(t.height())),
		h.Attr("viewBox", fmt.Sprintf("0 0 %d %d", max(1, len(t.Starts))*perBucket, tall)), h.Attr("preserveAspectRatio", "none"), h.Group(shapes))
	var marks []h.Node
	for _, m := range t.Marks {
		x := percent((float64(m.Bucket) + 0.5) / float64(len(t.Starts)))
		tick := h.El("line", h.Class("mark"), h.Attr("x1", x), h.Attr("x2", x), num("y1", foot-9), num("y2", foot))
		if m.Href != "" {
			tick = h.A(h.Href(m.Href), h.TabIndex("-1"), h.El("title", h.Text(m.Label)), tick)
		}
		marks = append(marks, tick)
	}
	return h.Figure(h.Class("chart "+kind), h.ID(t.ID), h.Data("buckets", strconv.Itoa(len(t.Starts))),
		h.FigCaption(h.H2(h.Text(t.Title)), t.legend()),
		h.Div(h.Class("frame"),
			h.El("svg", h.Class("axis"), h.Width(strconv.Itoa(axisWidth)), num("height", total), h.Aria("hidden", "true"), h.Group(axis)),
			h.El("svg", h.Class("plane"), h.Width("100%"), num("height", total), h.Role("group"), h.Aria("label", t.Sentence()),
				h.Group(grid), data, h.Group(marks)),
		),
		h.If(t.Note != "", h.P(h.Class("note"), h.Text(t.Note))),
		t.table(),
	)
}

const axisWidth = 60

func (t *Time) legend() h.Node {
	var items []h.Node
	for i, s := range t.Series {
		if len(t.Series) == 1 {
			break // the title says it
		}
		items = append(items, h.Li(key("s"+strconv.Itoa(s.class(i))), h.Text(s.Name)))
	}
	if len(t.Marks) > 0 {
		items = append(items, h.Li(key("mark"), h.Text("failed calls")))
	}
	if len(items) == 0 {
		return nil
	}
	return h.Ul(h.Class("legend"), h.Group(items))
}

// key is the sample of a series in a legend.
func key(class string) h.Node {
	return h.El("svg", h.Class("key "+class), h.Width("18"), h.Height("10"), h.Aria("hidden", "true"),
		h.El("rect", h.Width("18"), h.Height("10")),
		h.El("line", h.Class("line"), num("x1", 0), num("x2", 18), num("y1", 5), num("y2", 5)))
}

// Sentence says what the chart shows.
func (t *Time) Sentence() string {
	var b strings.Builder
	b.WriteString(t.Title)
	if len(t.Starts) > 0 {
		fmt.Fprintf(&b, ", %s to %s", t.when(t.Starts[0]), t.when(t.Until))
	}
	b.WriteString(". ")
	for i, s := range t.Series {
		low, high, last, known := math.Inf(1), math.Inf(-1), math.NaN(), 0
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				low, high, last = math.Min(low, v), math.Max(high, v), v
				known++
			}
		}
		if i > 0 {
			b.WriteString("; ")
		}
		if known == 0 {
			fmt.Fprintf(&b, "%s: no data", s.Name)
			continue
		}
		fmt.Fprintf(&b, "%s: %s to %s, last %s", s.Name, t.Unit.Format(low), t.Unit.Format(high), t.Unit.Format(last))
		if gaps := len(s.Values) - known; gaps > 0 {
			fmt.Fprintf(&b, ", no data in %d of %d parts", gaps, len(s.Values))
		}
	}
	return b.String() + "."
}

func (t *Time) when(ms int64) string { return time.UnixMilli(ms).In(t.Zone).Format("2 Jan 15:04") }

// describe says the values of a bucket.
func (t *Time) describe(b int) string {
	parts := []string{t.when(t.Starts[b])}
	for _, s := range t.Series {
		if v := at(s.Values, b); !math.IsNaN(v) && v != 0 {
			parts = append(parts, s.Name+" "+t.Unit.Format(v))
		}
	}
	return strings.Join(parts, ", ")
}

// table has all values. Its rows are in the order of the buckets.
func (t *Time) table() h.Node {
	head := []h.Node{h.Th(h.Attr("scope", "col"), h.Text("From"))}
	for _, s := range t.Series {
		head = append(head, h.Th(h.Attr("scope", "col"), h.Class("n"), h.Text(s.Name)))
	}
	rows := make([]h.Node, len(t.Starts))
	for b, start := range t.Starts {
		var when h.Node = h.Text(t.when(start))
		if href := t.link(b); href != "" {
			when = h.A(h.Href(href), when)
		}
		cells := []h.Node{h.Th(h.Attr("scope", "row"), when)}
		for _, s := range t.Series {
			v := at(s.Values, b)
			text := "no data"
			if !math.IsNaN(v) {
				text = t.Unit.Format(v)
			}
			cells = append(cells, h.Td(h.Text(text)))
		}
		rows[b] = h.Tr(cells...)
	}
	return h.Details(h.Class("values"), h.Summary(h.Text("As a table")),
		h.Div(h.Class("scroll"), h.TabIndex("0"), h.Role("region"), h.Aria("label", t.Title+", as a table"),
			h.Table(h.THead(h.Tr(head...)), h.TBody(rows...))))
}

func num(name string, v int) h.Node { return h.Attr(name, strconv.Itoa(v)) }

func percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e4)/1e2, 'f', -1, 64) + "%"
}

func at(values []float64, i int) float64 {
	if i >= len(values) {
		return math.NaN()
	}
	return values[i]
}

// height returns where v is in the stretched SVG.
func height(v, top float64) int {
	return tall - int(math.Round(math.Min(math.Max(v/top, 0), 1)*tall))
}

func path(class, d string) h.Node {
	if d == "" {
		return nil
	}
	return h.El("path", h.Class(class), h.Attr("d", d), h.Attr("vector-effect", "non-scaling-stroke"))
}

// runs calls f for each run of known values.
func runs(values []float64, f func(from, to int)) {
	for i := 0; i < len(values); i++ {
		if math.IsNaN(values[i]) {
			continue
		}
		from := i
		for i < len(values) && !math.IsNaN(values[i]) {
			i++
		}
		f(from, i)
	}
}

func point(b *strings.Builder, command byte, x, y int) {
	b.WriteByte(command)
	b.WriteString(strconv.Itoa(x))
	b.WriteByte(' ')
	b.WriteString(strconv.Itoa(y))
}

// line connects known values that are neighbours.
func line(values []float64, top float64) string {
	var b strings.Builder
	runs(values, func(from, to int) {
		if to == from+1 {
			return // one of dots
		}
		for i := from; i < to; i++ {
			command := byte('L')
			if i == from {
				command = 'M'
			}
			point(&b, command, i*perBucket+perBucket/2, height(values[i], top))
		}
	})
	return b.String()
}

// dots are the known values without a neighbour.
func dots(values []float64, top float64) string {
	var b strings.Builder
	runs(values, func(from, to int) {
		if to == from+1 {
			point(&b, 'M', from*perBucket+perBucket/2, height(values[from], top))
			b.WriteString("h0") // it has nothing but its round ends
		}
	})
	return b.String()
}

// area closes each run by itself: what is not known is not filled either.
func area(values []float64, top float64) string {
	var b strings.Builder
	runs(values, func(from, to int) {
		point(&b, 'M', from*perBucket+perBucket/2, tall)
		for i := from; i < to; i++ {
			point(&b, 'L', i*perBucket+perBucket/2, height(values[i], top))
		}
		point(&b, 'L', (to-1)*perBucket+perBucket/2, tall)
		b.WriteByte('z')
	})
	return b.String()
}

func band(low, high []float64, top float64) string {
	var b strings.Builder
	runs(high, func(from, to int) {
		for i := from; i < to; i++ {
			command := byte('L')
			if i == from {
				command = 'M'
			}
			point(&b, command, i*perBucket+perBucket/2, height(high[i], top))
		}
		for i := to - 1; i >= from; i-- {
			point(&b, 'L', i*perBucket+perBucket/2, height(at(low, i), top))
		}
		b.WriteByte('z')
	})
	return b.String()
}
