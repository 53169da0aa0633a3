package view_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/view"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	d := open(t)
	r := rand.New(rand.NewPCG(31, 32))
	now := time.Now().UnixMilli()
	readings := make([]db.InsertSystemMetricParams, 300)
	for i := range readings {
		readings[i] = db.InsertSystemMetricParams{
			TraceID: id('m', i), CreatedAt: now - int64(i)*600_000 - r.Int64N(600_000),
			MemTotal: new(int64(1000)), MemAvailable: maybe(r, r.Int64N(1000)),
		}
	}
	d.submit(&writer.Batch{Readings: slices.Clone(readings)})
	d.view(func(v *view.View) error {
		for _, f := range []view.Filter{
			{}, {Since: view.Instant{Ago: 3 * time.Hour}}, {Since: view.Instant{Ago: 90 * time.Hour}},
			{Since: view.Instant{Ago: 30 * time.Hour}, Until: view.Instant{Ago: 10 * time.Hour}},
			{Since: view.Instant{At: now + 1}},
		} {
			from, until := f.Range(v.Now())
			if f.Since == (view.Instant{}) {
				from = until - 24*3600_000
			}
			const n = 17
			m, err := v.Memory(context.Background(), f, n)
			if err != nil {
				return err
			}
			want := make([]*int64, n)
			var last string
			for i := len(readings) - 1; i >= 0; i-- { // the newest is the first
				c := readings[i]
				if c.CreatedAt < from || c.CreatedAt >= until {
					continue
				}
				last = c.TraceID
				part := (c.CreatedAt - from) / max((until-from+n-1)/n, 1)
				want[part] = nil
				if c.MemAvailable != nil {
					want[part] = new(*c.MemTotal - *c.MemAvailable)
				}
			}
			if diff := cmp.Diff(want, m.Used); diff != "" {
				t.Errorf("%s (-want +got):\n%s", f.Query().Encode(), diff)
			}
			if (m.Last != nil) != (last != "") || m.Last != nil && m.Last.TraceID != last {
				t.Errorf("%s: the last is %+v, want %s", f.Query().Encode(), m.Last, last)
			}
		}
		return nil
	})
}
