package metrics

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// kind is what a metric is, in the words of the format.
type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// metric is a name, what stands under it, and the names of its samples' labels.
type metric struct {
	kind   kind
	name   string
	help   string // one line without a backslash
	labels []string
}

// page is what a scrape answers, as far as it is written.
type page struct {
	b      []byte
	open   bool // OpenMetrics instead of Prometheus' text format 0.0.4
	metric metric
	begun  bool     // the metric has samples
	told   []metric // all that were begun
}

// begin says what the samples that follow are of. Without any the page does not
// mention it.
func (p *page) begin(k kind, name, help string, labels ...string) {
	p.metric, p.begun = metric{k, name, help, labels}, false
}

// gauge writes a gauge that is a whole number and has no labels.
func (p *page) gauge(name, help string, n int64) {
	p.begin(gauge, name, help)
	p.count(n)
}

// counter writes a counter that has no labels.
func (p *page) counter(name, help string, n int64) {
	p.begin(counter, name, help)
	p.count(n)
}

// sample writes a sample with the values of its labels.
func (p *page) sample(value float64, labels ...string) {
	p.head()
	p.line("", "", labels, value)
}

// count is sample for a whole number.
func (p *page) count(n int64, labels ...string) { p.sample(float64(n), labels...) }

// flag is sample for what is so or is not.
func (p *page) flag(is bool, labels ...string) {
	n := 0.0
	if is {
		n = 1
	}
	p.sample(n, labels...)
}

// moment is sample for a time in Unix ms, of which 0 is never and not written.
func (p *page) moment(ms int64, labels ...string) {
	if ms != 0 {
		p.sample(float64(ms)/1000, labels...)
	}
}

// known is sample for what is nil while it is not known.
func known[T int64 | float64](p *page, value *T, labels ...string) {
	if value != nil {
		p.sample(float64(*value), labels...)
	}
}

// distribution writes a histogram.
func (p *page) distribution(d *writer.Distribution, labels ...string) {
	p.head()
	var n int64
	for i, c := range d.Counts {
		n += c
		bound := math.Inf(1)
		if i < len(d.Bounds) {
			bound = d.Bounds[i]
		}
		p.line("_bucket", p.bound(bound), labels, float64(n))
	}
	p.line("_sum", "", labels, d.Sum)
	p.line("_count", "", labels, float64(n))
}

// head writes what comes before the samples.
func (p *page) head() {
	if p.begun {
		return
	}
	p.begun = true
	p.told = append(p.told, p.metric)
	name := p.metric.name
	if p.open && p.metric.kind == counter {
		name = strings.TrimSuffix(name, "_total") // which only its samples have
	}
	p.b = fmt.Appendf(p.b, "# HELP %s %s\n# TYPE %s %s\n", name, p.metric.help, name, p.metric.kind)
}

func (p *page) line(suffix, bound string, values []string, v float64) {
	m := &p.metric
	if len(m.labels) != len(values) {
		panic(fmt.Sprintf("metrics: %s has the labels %q, not %q", m.name, m.labels, values))
	}
	p.b = append(append(p.b, m.name...), suffix...)
	before := byte('{')
	label := func(name, value string) {
		p.b = append(append(append(p.b, before), name...), `="`...)
		p.b = append(append(p.b, escape.Replace(value)...), '"')
		before = ','
	}
	for i, name := range m.labels {
		label(name, values[i])
	}
	if bound != "" {
		label("le", bound)
	}
	if before == ',' {
		p.b = append(p.b, '}')
	}
	p.b = append(append(append(p.b, ' '), number(v)...), '\n')
}

// escape is for the values of labels, which are valid UTF-8.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// bound returns the upper bound of a bucket, which in OpenMetrics is never an integer.
func (p *page) bound(v float64) string {
	text := number(v)
	if p.open && !strings.ContainsAny(text, ".I") {
		text += ".0"
	}
	return text
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
