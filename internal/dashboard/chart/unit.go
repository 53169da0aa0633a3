package chart

import (
	"math"
	"sort"
	"time"
)

// Unit is how values are written, and at which of them a scale has its ticks.
type Unit struct {
	Format func(float64) string
	steps  []float64 // nil for 1, 2, 5 and their multiples by ten
	whole  bool      // there is nothing between 0 and 1
}

// Units.
func Counts(format func(float64) string) Unit { return Unit{Format: format, whole: true} }
func Values(format func(float64) string) Unit { return Unit{Format: format} }

// Milliseconds have ticks at whole seconds, minutes and hours.
func Milliseconds(format func(float64) string) Unit {
	return Unit{Format: format, steps: milliseconds}
}

// Bytes have ticks at powers of two.
func Bytes(format func(float64) string) Unit { return Unit{Format: format, steps: bytes} }

var (
	milliseconds = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3,
		3600e3, 7200e3, 4 * 3600e3, 12 * 3600e3, 24 * 3600e3}
	bytes = powers()
)

func powers() (list []float64) {
	for e := range 55 {
		list = append(list, math.Ldexp(1, e))
	}
	return list
}

// step returns the distance of ticks of which three or four are enough for top.
func (u Unit) step(top float64) float64 {
	const most = 4
	if !(top > 0) || math.IsInf(top, 0) {
		return 1
	}
	for _, s := range u.steps {
		if s*most >= top {
			return s
		}
	}
	magnitude := math.Pow(10, math.Floor(math.Log10(top/most)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		s := m * magnitude
		if s*most >= top*(1-1e-9) {
			if u.whole {
				return max(1, math.Ceil(s))
			}
			return s
		}
	}
	return top
}

// tick is a moment that the horizontal scale names.
type tick struct {
	share float64 // of the width
	label string
}

// share returns where a moment is in the width: buckets are of equal width, even where
// the first one is the rest of an hour.
func (t *Time) share(ms int64) float64 {
	b := max(sort.Search(len(t.Starts), func(i int) bool { return t.Starts[i] > ms })-1, 0)
	end := t.Until
	if b+1 < len(t.Starts) {
		end = t.Starts[b+1]
	}
	return (float64(b) + float64(ms-t.Starts[b])/float64(max(end-t.Starts[b], 1))) / float64(len(t.Starts))
}

// most ticks of a time scale.
const most = 7

// times returns moments that are round in the chart's zone.
func (t *Time) times() (list []tick) {
	if len(t.Starts) == 0 {
		return nil
	}
	from, until := t.Starts[0], t.Until
	span := time.Duration(until-from) * time.Millisecond
	if span <= 0 {
		return nil
	}
	add := func(at time.Time, layout string) {
		list = append(list, tick{t.share(at.UnixMilli()), at.Format(layout)})
	}
	start := time.UnixMilli(from).In(t.Zone)
	midnight := time.Date(start.Year(), start.Month(), start.Day(), 0, 0, 0, 0, t.Zone)
	for _, step := range []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	} {
		if span > most*step {
			continue
		}
		layout := "15:04"
		if step < time.Minute {
			layout = "15:04:05"
		}
		at := midnight.Add(start.Sub(midnight).Truncate(step))
		for ; at.UnixMilli() <= until; at = at.Add(step) {
			switch {
			case at.UnixMilli() < from:
			case at.Hour() == 0 && at.Minute() == 0 && at.Second() == 0:
				add(at, "2 Jan")
			default:
				add(at, layout)
			}
		}
		return list
	}
	days := 1
	for _, n := range []int{1, 2, 7, 14, 30, 90, 180, 365, 730, 1825, 3650} {
		if days = n; int(span.Hours()/24) <= most*n {
			break
		}
	}
	layout := "2 Jan"
	if days >= 180 {
		layout = "Jan 2006"
	}
	for at := midnight; at.UnixMilli() <= until; at = at.AddDate(0, 0, days) {
		if at.UnixMilli() >= from {
			add(at, layout)
		}
	}
	return list
}
