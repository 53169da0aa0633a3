package dashboard

import (
	"context"

	"github.com/kon-rad/openclaw-trace/internal/dashboard/chart"
	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// system shows how the host was, with failed calls on the same axis.
func (r *request) system() (*answer, error) {
	var (
		s      *view.System
		stats  *view.Stats
		extent view.Extent
	)
	err := r.ask(func(ctx context.Context, v *view.View) (err error) {
		if extent, err = v.Extent(ctx); err != nil {
			return err
		}
		f := r.filter
		if f.Since == all && extent.LastReading != nil {
			f.Since = view.Instant{At: max(first(extent, r.now.UnixMilli()), 1)}
		}
		from, until := f.Range(r.now)
		// No bucket is so short that a reading every 15 s would leave it empty.
		n := min(max((until-from)/60_000, 10), 120)
		if s, err = v.System(ctx, f, int(n)); err != nil {
			return err
		}
		stats, err = v.Sums(ctx, r.times())
		return err
	})
	if err != nil {
		return nil, err
	}
	empty := true
	for _, p := range s.Points {
		empty = empty && p.Count == 0
	}
	if empty {
		return &answer{title: "System", body: h.Group{r.heading("System"), r.noReadings(extent)}}, nil
	}
	var more h.Node
	if s.Last != nil {
		more = metadata(members(s.Last.Metadata), "What else it says", true)
	}
	return &answer{title: "System", body: h.Group{
		r.heading("System", r.measured(s.Last)),
		h.Div(h.Class("charts"), h.ID("charts"), h.Data("live", ""), h.Group(r.systemCharts(s, stats))),
		h.Div(h.Class("columns"), section("", "The last reading", r.lastReading(s.Last)),
			more),
		r.downloads("/system"),
	}}, nil
}

func first(e view.Extent, now int64) int64 {
	if e.FirstCall != nil {
		return *e.FirstCall
	}
	return now - 24*3600_000
}

func (r *request) noReadings(e view.Extent) h.Node {
	if e.LastReading != nil {
		return r.quiet("readings of the host", *e.LastReading)
	}
	return h.Div(h.Class("empty"), h.H2(h.Text("No reading of the host yet")),
		h.P(h.Text("They are taken every OCT_METRICS_INTERVAL, of the container if this runs in one.")))
}

// measured says of what the readings are.
func (r *request) measured(last *view.Reading) h.Node {
	if last == nil {
		return nil
	}
	text := ""
	if last.MemTotal != nil {
		text = size(float64(*last.MemTotal)) + " of memory"
	}
	if last.DiskTotal != nil {
		if text != "" {
			text += ", "
		}
		text += size(float64(*last.DiskTotal)) + " of disk"
	}
	if text == "" {
		return nil
	}
	return h.Span(h.Class("badge"), h.Text(text))
}

func (r *request) systemCharts(s *view.System, stats *view.Stats) []h.Node {
	starts := make([]int64, len(s.Points))
	for i, p := range s.Points {
		starts[i] = p.At
	}
	series := func(name string, class int, get func(view.Point) *view.Stat) chart.Series {
		c := chart.Series{Name: name, Class: class, Values: make([]float64, len(s.Points)), Low: make([]float64, len(s.Points)), High: make([]float64, len(s.Points))}
		for i, p := range s.Points {
			c.Values[i], c.Low[i], c.High[i] = nan, nan, nan
			if stat := get(p); stat != nil {
				c.Values[i], c.Low[i], c.High[i] = stat.Avg, stat.Min, stat.Max
			}
		}
		return c
	}
	var marks []chart.Mark
	for _, b := range stats.Series {
		if b.Sums.Failed == 0 || len(starts) == 0 {
			continue
		}
		at := int((b.From + (b.Until-b.From)/2 - starts[0]) / max(s.BucketMS, 1))
		if at < 0 || at >= len(starts) {
			continue
		}
		f := between(r.times(), b.From, b.Until)
		marks = append(marks, chart.Mark{Bucket: at, Label: plural(b.Sums.Failed, "failed call", "failed calls"), Href: link("/calls", withStatus(f))})
	}
	base := chart.Time{Starts: starts, Until: s.Until, Zone: r.zone, Marks: marks,
		Link: func(b int) string { return link("/calls", between(r.times(), starts[b], starts[b]+s.BucketMS)) }}
	has := func(get func(view.Point) *view.Stat) bool {
		for _, p := range s.Points {
			if get(p) != nil {
				return true
			}
		}
		return false
	}
	bytes := chart.Bytes(size)
	var list []h.Node
	if get := func(p view.Point) *view.Stat { return p.CPUPct }; has(get) {
		c := base
		c.ID, c.Title, c.Unit, c.Area, c.Max = "cpu", "CPU", chart.Values(percentage), true, 100
		c.Series = []chart.Series{series("CPU", 1, get)}
		list = append(list, section("", "", chart.Lines(c)))
	}
	if get := func(p view.Point) *view.Stat { return p.MemUsed }; has(get) {
		c := base
		c.ID, c.Title, c.Unit = "memory", "Memory", bytes
		c.Series = []chart.Series{series("used", 1, get)}
		if rss := func(p view.Point) *view.Stat { return p.MemRSS }; has(rss) {
			c.Series = append(c.Series, series("the agent", 2, rss))
		}
		c.Limit = limit(s.Last, func(l *view.Reading) *int64 { return l.MemTotal })
		list = append(list, section("", "", chart.Lines(c)))
	}
	if get := func(p view.Point) *view.Stat { return p.DiskUsed }; has(get) {
		c := base
		c.ID, c.Title, c.Unit, c.Area = "disk", "Disk", bytes, true
		c.Series = []chart.Series{series("used", 1, get)}
		c.Limit = limit(s.Last, func(l *view.Reading) *int64 { return l.DiskTotal })
		list = append(list, section("", "", chart.Lines(c)))
	}
	if stats.Total.Calls > 0 {
		c := r.callChart(stats)
		list = append(list, section("", "", c))
	}
	return list
}

func limit(last *view.Reading, get func(*view.Reading) *int64) *chart.Limit {
	if last == nil || get(last) == nil {
		return nil
	}
	v := float64(*get(last))
	return &chart.Limit{Value: v, Label: "limit " + size(v)}
}

func (r *request) lastReading(l *view.Reading) h.Node {
	if l == nil {
		return h.P(h.Class("quiet"), h.Text("None in this time."))
	}
	inBytes := func(n *int64) h.Node { return orUnknown(n, func(n int64) string { return size(float64(n)) }) }
	cpu := none()
	if l.CPUPct != nil {
		cpu = h.Text(percentage(*l.CPUPct))
	}
	return list(fact("Taken", h.Group{r.clock(l.CreatedAt), h.Text(", "), r.ago(l.CreatedAt)}), fact("CPU", cpu),
		fact("Memory available", h.Group{inBytes(l.MemAvail), h.Text(" of "), inBytes(l.MemTotal)}), fact("Memory of the agent", inBytes(l.MemRSS)),
		fact("Disk free", h.Group{inBytes(l.DiskFree), h.Text(" of "), inBytes(l.DiskTotal)}))
}
