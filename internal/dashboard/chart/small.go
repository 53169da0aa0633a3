package chart

import (
	"fmt"
	"math"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// Spark is a line the size of a word, beside a number that says what it shows.
func Spark(values []float64) g.Node {
	top := 0.0
	for _, v := range values {
		if !math.IsNaN(v) {
			top = math.Max(top, v)
		}
	}
	if top == 0 {
		top = 1
	}
	return g.El("svg", h.Class("spark"), h.Aria("hidden", "true"), g.Attr("viewBox", fmt.Sprintf("0 -40 %d %d", max(1, len(values))*perBucket, tall+80)),
		g.Attr("preserveAspectRatio", "none"),
		path("area s1", area(values, top)), path("line s1", line(values, top)))
}

// SparkBars are columns the size of a word.
func SparkBars(values []int64) g.Node {
	top := int64(1)
	for _, v := range values {
		top = max(top, v)
	}
	var rects []g.Node
	for i, v := range values {
		if v > 0 {
			y := min(height(float64(v), float64(top)), tall-60)
			rects = append(rects, g.El("rect", num("x", i*perBucket+1), num("y", y), num("width", perBucket-2), num("height", tall-y)))
		}
	}
	return g.El("svg", h.Class("spark bars"), h.Aria("hidden", "true"), g.Attr("viewBox", fmt.Sprintf("0 0 %d %d", max(1, len(values))*perBucket, tall)),
		g.Attr("preserveAspectRatio", "none"), g.Group(rects))
}

// Share is a bar as long as v is of total, beside the number.
func Share(v, total float64) g.Node {
	if !(total > 0) || math.IsNaN(v) {
		return nil
	}
	return g.El("svg", h.Class("share"), h.Aria("hidden", "true"), h.Width("100%"), h.Height("4"),
		g.El("rect", h.Class("track"), h.Width("100%"), h.Height("4")),
		g.El("rect", h.Class("part"), h.Width(percent(math.Min(v/total, 1))), h.Height("4")))
}

// Percentile is one of a distribution.
type Percentile struct {
	Name  string
	Value float64
}

// Strip shows percentiles on one line that begins at 0, the last being its end.
func Strip(unit Unit, list []Percentile) g.Node {
	if len(list) == 0 {
		return nil
	}
	top := list[len(list)-1].Value
	if !(top > 0) {
		top = 1
	}
	label := ""
	var shapes []g.Node
	for i := len(list) - 1; i >= 0; i-- {
		p := list[i]
		shapes = append(shapes, g.El("rect", h.Class("p"+strconv.Itoa(i+1)), h.Width(percent(p.Value/top)), h.Height("8"), g.Attr("rx", "2"),
			g.El("title", g.Text(p.Name+" "+unit.Format(p.Value)))))
	}
	for i, p := range list {
		if i > 0 {
			label += ", "
		}
		label += p.Name + " " + unit.Format(p.Value)
	}
	return g.El("svg", h.Class("strip"), h.Role("img"), h.Aria("label", label), h.Width("100%"), h.Height("8"), g.Group(shapes))
}

// Span is a bar in a waterfall: from and to are shares of the whole.
func Span(class string, from, to float64) g.Node {
	from, to = math.Min(math.Max(from, 0), 1), math.Min(math.Max(to, 0), 1)
	if to-from < 0.003 { // something is never nothing
		from, to = math.Min(from, 0.997), math.Min(from, 0.997)+0.003
	}
	return g.El("svg", h.Class("span "+class), h.Aria("hidden", "true"), h.Width("100%"), h.Height("14"),
		g.El("rect", g.Attr("x", percent(from)), h.Width(percent(to-from)), num("y", 1), num("height", 12), g.Attr("rx", "2")))
}
