package janitor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// On a volume that others keep full, the largest request that there may be is stored in
// what the database may have, and what is there already makes room for it.
func TestLargeRequestOnFullVolume(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it stores and deletes 200 MiB, which takes long under the race detector")
	}
	for _, most := range []int64{48 * mib, 64 * mib, 256 * mib} {
		x := newWorld(t, budget(most))
		x.fill(time.Now().Add(-time.Hour), most/8, func(_ int, at time.Time) *writer.Batch {
			return &writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(at, 20_000)}}
		})
		x.restart(func(o *janitor.Options) { o.Free = func(string) (int64, error) { return 1 * mib, nil } })
		x.pass()
		for i := range 12 {
			b := &writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(time.Now(), 0)}}
			b.Calls[0].Metadata = new(`{"a":"` + strings.Repeat("x", 200_000*i) + `"}`)
			for range i {
				b.Calls = append(b.Calls, x.call(time.Now(), 200_000))
			}
			if err := x.patiently(b); err != nil {
				t.Errorf("budget %d MiB, request %d with %d MiB in the database: %v", most/mib, i, x.live()/mib, err)
			}
		}
		x.close()
	}
}
