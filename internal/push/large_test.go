package push_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Rows with long texts, as OCT_CAPTURE_CONTENT=full keeps them, are not read fifty at a
// time. Not parallel: it measures what is allocated.
func TestLargeRows(t *testing.T) {
	const size, events, maxBytes = 1 << 20, 60, 2 << 20
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, func(o *push.Options) { o.Compression, o.MaxBytes = "none", maxBytes })
		defer x.close()
		x.net.setDown(true)
		text := strings.Repeat("x", size)
		for n := range events {
			err := x.w.Do(t.Context(), func(tx *writer.Tx) error { // longer than the writer of this test keeps it
				tx.Count(writer.Entry{Kind: writer.KindCall, Outcome: writer.Received}, 1)
				_, err := tx.InsertLLMTrace(t.Context(), db.InsertLLMTraceParams{
					TraceID: id(n), CreatedAt: int64(n + 1), Provider: "p", Model: "m", Status: "ok", InputText: &text,
				})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var before, after runtime.MemStats
		if _, err := x.p.Now(t.Context()); err != nil { // fills the caches
			t.Fatal(err)
		}
		runtime.ReadMemStats(&before)
		if _, err := x.p.Now(t.Context()); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		// A row is copied out of SQLite; another that is too much ends the batch.
		if n := after.TotalAlloc - before.TotalAlloc; n > 6*maxBytes {
			t.Errorf("an attempt with a batch of at most %d MiB allocates %d MiB", maxBytes>>20, n>>20)
		}
		x.net.setDown(false)
		x.answers(func(http.ResponseWriter, *sent) {})
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != events {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
