package chart_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/kon-rad/openclaw-trace/internal/dashboard/chart"
	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
)

var update = flag.Bool("update", false, "write the golden files anew")

var nan = math.NaN()

// hours are n buckets of an hour from a fixed moment.
func hours(n int) (starts []int64, until int64) {
	at := time.Date(2026, 11, 24, 22, 0, 0, 0, time.UTC)
	for i := range n {
		starts = append(starts, at.Add(time.Duration(i)*time.Hour).UnixMilli())
	}
	return starts, at.Add(time.Duration(n) * time.Hour).UnixMilli()
}

func render(t *testing.T, n h.Node) string {
	t.Helper()
	return string(h.Render(n))
}

// golden compares what is drawn with a file, one element a line, so that a change can
// be read.
func golden(t *testing.T, name string, n h.Node) string {
	t.Helper()
	got := render(t, n)
	lines := strings.ReplaceAll(got, "><", ">\n<") + "\n"
	path := filepath.Join("testdata", name+".html")
	if *update {
		if err := os.WriteFile(path, []byte(lines), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), lines); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	return got
}

func plain(v float64) string { return fmt.Sprint(v) }

func TestLines(t *testing.T) {
	starts, until := hours(8)
	c := chart.Time{
		ID: "memory", Title: "Memory", Starts: starts, Until: until, Zone: time.UTC, Unit: chart.Bytes(plain), Area: true,
		Limit: &chart.Limit{Value: 512, Label: "limit 512"},
		Marks: []chart.Mark{{Bucket: 2, Label: "2 failed calls", Href: "/calls?status=failed&x=1"}},
		Series: []chart.Series{
			{Name: "used", Values: []float64{100, 120, nan, nan, 90, nan, 80, 80}, Low: []float64{90, 110, nan, nan, 85, nan, 80, 70}, High: []float64{110, 130, nan, nan, 95, nan, 80, 90}},
			{Name: "agent", Values: []float64{50, 60, nan, nan, 40, nan, 30, 20}},
		},
		Link: func(b int) string { return fmt.Sprintf("/calls?since=%d", b) },
		Note: "A note.",
	}
	got := golden(t, "lines", chart.Lines(c))
	if !strings.Contains(got, `d="M5 805L15 766M65 844L75 844"`) {
		t.Error("a gap in the values is no gap in the line")
	}
	if !strings.Contains(got, `class="dots s1" d="M45 824h0"`) {
		t.Error("a value without neighbours is no dot")
	}
	if !strings.Contains(got, `d="M5 1000L5 805L15 766L15 1000zM45 1000L45 824L45 1000zM65 1000L65 844L75 844L75 1000z"`) {
		t.Error("the area is not closed at a gap")
	}
	if want := "Memory, 24 Nov 22:00 to 25 Nov 06:00. used: 80 to 120, last 80, no data in 3 of 8 parts; agent: 20 to 60, last 20, no data in 3 of 8 parts."; c.Sentence() != want {
		t.Errorf("the chart says %q, want %q", c.Sentence(), want)
	}
}

func TestBars(t *testing.T) {
	starts, until := hours(4)
	golden(t, "bars", chart.Bars(chart.Time{
		ID: "cost", Title: "Cost", Starts: starts, Until: until, Zone: time.FixedZone("", 5*3600+1800), Unit: chart.Values(plain), Height: 90,
		Series: []chart.Series{{Name: "a", Values: []float64{1, 0, nan, 0.001}}, {Name: "b", Values: []float64{2, 3, nan, 0}, Class: 9}},
		Link:   func(b int) string { return map[bool]string{true: "/calls"}[b < 2] },
	}))
}

func TestSmall(t *testing.T) {
	golden(t, "spark", chart.Spark([]float64{1, 2, nan, 4}))
	golden(t, "spark-bars", chart.SparkBars([]int64{0, 1, 1000}))
	golden(t, "strip", chart.Strip(chart.Milliseconds(plain), []chart.Percentile{{Name: "p50", Value: 10}, {Name: "p95", Value: 60}, {Name: "p99", Value: 90}}))
	golden(t, "share", chart.Share(1, 3))
	golden(t, "span", h.Group{chart.Span("model", 0.2, 0.7), chart.Span("tool", 1, 1), chart.Span("bad", -1, 2)})
}

// Whatever the values, a chart has no NaN and no infinity in it, and every bucket is a
// row of its table.
func TestOddValues(t *testing.T) {
	for _, values := range [][]float64{
		nil, {}, {nan}, {nan, nan, nan}, {0}, {0, 0, 0}, {-1, 2, -3}, {1e-12}, {math.MaxFloat64 / 4}, {1e15, nan, 3}, {5e-324},
	} {
		starts, until := hours(max(len(values), 1))
		if len(values) == 0 {
			starts = nil
		}
		for _, unit := range []chart.Unit{chart.Values(plain), chart.Counts(plain), chart.Bytes(plain), chart.Milliseconds(plain)} {
			c := chart.Time{ID: "x", Title: "t", Starts: starts, Until: until, Zone: time.UTC, Unit: unit, Series: []chart.Series{{Name: "v", Values: values}}, Area: true}
			for _, draw := range []func(chart.Time) h.Node{chart.Lines, chart.Bars} {
				text := render(t, draw(c))
				for _, bad := range []string{"NaN", "Inf", "-9223372036854775808"} {
					if strings.Contains(strings.ReplaceAll(text, "+Inf", "Inf"), bad) {
						t.Errorf("%v: the chart contains %s: %s", values, bad, text)
					}
				}
				if n := strings.Count(text, `<th scope="row">`); n != len(starts) {
					t.Errorf("%v: the table has %d rows, want %d", values, n, len(starts))
				}
			}
		}
	}
}

// Ticks are few, rise, and stand at round times of the zone.
func TestTimeTicks(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, span := range []time.Duration{time.Second, time.Minute, 7 * time.Minute, time.Hour, 5 * time.Hour, 24 * time.Hour, 3 * 24 * time.Hour, 9 * 24 * time.Hour, 40 * 24 * time.Hour, 400 * 24 * time.Hour, 4000 * 24 * time.Hour} {
		from := time.Date(2026, 10, 24, 13, 37, 11, 0, zone) // the clocks change the night after
		text := render(t, chart.Lines(chart.Time{ID: "x", Title: "t", Starts: []int64{from.UnixMilli()}, Until: from.Add(span).UnixMilli(), Zone: zone, Unit: chart.Values(plain)}))
		if n := strings.Count(text, `<text class="tick`); n > 8 || n < 1 {
			t.Errorf("%v: %d ticks", span, n)
		}
	}
}

// The first bucket is often the rest of an hour. A tick stands where its bar begins.
func TestTicksStandAtBuckets(t *testing.T) {
	at := time.Date(2026, 11, 25, 7, 45, 0, 0, time.UTC)
	starts := []int64{at.UnixMilli()}
	for i := range 3 {
		starts = append(starts, at.Add(15*time.Minute+time.Duration(i)*time.Hour).UnixMilli())
	}
	text := render(t, chart.Bars(chart.Time{ID: "x", Title: "t", Starts: starts, Until: at.Add(195 * time.Minute).UnixMilli(), Zone: time.UTC, Unit: chart.Values(plain)}))
	for _, want := range []string{`x="25%" y="177" text-anchor="middle">08:00<`, `x="75%" y="177" text-anchor="middle">10:00<`} {
		if !strings.Contains(text, want) {
			t.Errorf("no tick %s in %s", want, text)
		}
	}
}

// Names come from outside.
func TestNamesAreText(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	starts, until := hours(2)
	text := render(t, chart.Bars(chart.Time{ID: "x", Title: evil, Starts: starts, Until: until, Zone: time.UTC, Unit: chart.Values(plain), Note: evil,
		Series: []chart.Series{{Name: evil, Values: []float64{1, 2}}, {Name: "b", Values: []float64{1, 2}}}, Link: func(int) string { return "/x?" + evil }}))
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "script" {
			t.Error("a name became an element")
		}
	}
}
