package chart

import (
	"fmt"
	"math"
	"strconv"

	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
)

// Spark is a line the size of a word, beside a number that says what it shows.
func Spark(values []float64) h.Node {
	top := 0.0
	for _, v := range values {
		if !math.IsNaN(v) {
			top = math.Max(top, v)
		}
	}
	if top == 0 {
		top = 1
	}
	return h.El("svg", h.Class("spark"), h.Aria("hidden", "true"), h.Attr("viewBox", fmt.Sprintf("0 -40 %d %d", max(1, len(values))*perBucket, tall+80)),
		h.Attr("preserveAspectRatio", "none"),
		path("area s1", area(values, top)), path("line s1", line(values, top)), path("dots s1", dots(values, top)))
}

// SparkBars are columns the size of a word.
func SparkBars(values []int64) h.Node {
	top := int64(1)
	for _, v := range values {
		top = max(top, v)
	}
	var rects []h.Node
	for i, v := range values {
		if v > 0 {
			y := min(height(float64(v), float64(top)), tall-60)
			rects = append(rects, h.El("rect", num("x", i*perBucket+1), num("y", y), num("width", perBucket-2), num("height", tall-y)))
		}
	}
	return h.El("svg", h.Class("spark bars"), h.Aria("hidden", "true"), h.Attr("viewBox", fmt.Sprintf("0 0 %d %d", max(1, len(values))*perBucket, tall)),
		h.Attr("preserveAspectRatio", "none"), h.Group(rects))
}

// Share is a bar as long as v is of total, beside the number.
func Share(v, total float64) h.Node {
	if !(total > 0) || math.IsNaN(v) {
		return nil
	}
	return h.El("svg", h.Class("share"), h.Aria("hidden", "true"), h.Width("100%"), h.Height("4"),
		h.El("rect", h.Class("track"), h.Width("100%"), h.Height("4")),
		h.El("rect", h.Class("part"), h.Width(percent(math.Min(v/total, 1))), h.Height("4")))
}

// Percentile is one of a distribution.
type Percentile struct {
	Name  string
	Value float64
}

// Strip shows percentiles on one line that begins at 0, the last being its end.
func Strip(unit Unit, list []Percentile) h.Node {
	if len(list) == 0 {
		return nil
	}
	top := list[len(list)-1].Value
	if !(top > 0) {
		top = 1
	}
	label := ""
	var shapes []h.Node
	for i := len(list) - 1; i >= 0; i-- {
		p := list[i]
		shapes = append(shapes, h.El("rect", h.Class("p"+strconv.Itoa(i+1)), h.Width(percent(p.Value/top)), h.Height("8"), h.Attr("rx", "2"),
			h.El("title", h.Text(p.Name+" "+unit.Format(p.Value)))))
	}
	for i, p := range list {
		if i > 0 {
			label += ", "
		}
		label += p.Name + " " + unit.Format(p.Value)
	}
	return h.El("svg", h.Class("strip"), h.Role("img"), h.Aria("label", label), h.Width("100%"), h.Height("8"), h.Group(shapes))
}

// Span is a bar in a waterfall: from and to are shares of the whole.
func Span(class string, from, to float64) h.Node {
	from, to = math.Min(math.Max(from, 0), 1), math.Min(math.Max(to, 0), 1)
	if to-from < 0.003 { // something is never nothing
		from, to = math.Min(from, 0.997), math.Min(from, 0.997)+0.003
	}
	return h.El("svg", h.Class("span "+class), h.Aria("hidden", "true"), h.Width("100%"), h.Height("14"),
		h.El("rect", h.Attr("x", percent(from)), h.Width(percent(to-from)), num("y", 1), num("height", 12), h.Attr("rx", "2")))
}
