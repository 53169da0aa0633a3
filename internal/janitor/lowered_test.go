package janitor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// A budget far below what is there already: whoever sends is answered, and stored once
// rows were deleted, and the file gets shorter.
func TestBudgetIsLowered(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it stores 150 MiB, which takes long under the race detector")
	}
	x := newWorld(t, budget(1<<30))
	defer func() { x.close() }()
	x.fill(time.Now().Add(-time.Hour), 150*mib, func(_ int, at time.Time) *writer.Batch {
		b := x.each(at)
		for range 50 {
			b.Calls = append(b.Calls, x.call(at, 3000))
		}
		return b
	})
	x.close()
	x.opts.MaxDBBytes = 48 * mib
	x.open()
	began := time.Now()
	refused := 0
	for {
		err := x.one()
		if err == nil {
			break
		}
		if refused++; errors.Is(err, writer.ErrPending) || errors.Is(err, writer.ErrClosed) || refused > 1000 {
			t.Fatal(err)
		}
		if !errors.Is(err, writer.ErrTimeout) {
			time.Sleep(10 * time.Millisecond) // as who is told to try again
		}
	}
	t.Logf("%d times refused, stored after %s", refused, time.Since(began))
	if r := x.pass(); r.Reason != "" || x.w.Fault() != "" {
		t.Errorf("%+v, %q", r, x.w.Fault())
	}
	if n := x.size(); n > 48*mib-janitor.LogBytes {
		t.Errorf("the file has %d MiB", n/mib)
	}
}

func (x *world) one() error {
	_, err := x.w.Submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(time.Now(), 6000)}})
	return err
}
