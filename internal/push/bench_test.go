package push_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// vocabulary has words that compress like those of a language.
var vocabulary = func() (words []string) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 4000 {
		var w strings.Builder
		for range 2 + random.IntN(9) {
			w.WriteByte("etaoinshrdlucmfwypvbgkjqxz"[int(26*math.Pow(random.Float64(), 2))])
		}
		words = append(words, w.String())
	}
	return words
}()

// prose returns 200 bytes that compress like those of a language.
func prose(random *rand.Rand) *string {
	var text strings.Builder
	for text.Len() < 200 {
		fmt.Fprintf(&text, "%s ", vocabulary[int(float64(len(vocabulary))*math.Pow(random.Float64(), 3))])
	}
	return new(text.String()[:200])
}

// bench is a database with calls that wait, and a remote on this machine that reads
// what it is sent and forgets it.
type bench struct {
	st     *store.Store
	w      *writer.Writer
	remote *httptest.Server
	random *rand.Rand
}

func newBench(b *testing.B, pending int) *bench {
	log := slog.New(slog.DiscardHandler)
	st, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "trace.db"), Synchronous: "normal", Log: log})
	if err != nil {
		b.Fatal(err)
	}
	w, err := writer.New(st, writer.Options{MaxTextBytes: 16384, MaxQueueBytes: 64 << 20, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	x := &bench{
		st: st, w: w, random: rand.New(rand.NewPCG(1, 2)),
		remote: httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })),
	}
	b.Cleanup(func() {
		x.remote.Close()
		if err := w.Close(context.Background()); err != nil {
			b.Error(err)
		}
		if err := st.Close(); err != nil {
			b.Error(err)
		}
	})
	for n := 0; n < pending; n += 500 {
		x.submit(b, min(500, pending-n))
	}
	return x
}

// submit stores n calls with texts of 200 + 200 bytes.
func (x *bench) submit(b *testing.B, n int) {
	batch := new(writer.Batch)
	for i := range n {
		batch.Calls = append(batch.Calls, db.InsertLLMTraceParams{
			Provider: "anthropic", Model: "claude-sonnet-4-5", Status: "ok", Operation: new("chat"), SessionID: new("session-7"),
			InputText: prose(x.random), OutputText: prose(x.random), PromptTokens: new(int64(i)), CompletionTokens: new(int64(7)),
			LatencyMS: new(int64(1200)), OTELTraceID: new(strings.Repeat("a1", 16)), OTELSpanID: new(strings.Repeat("b2", 8)),
			Metadata: new(`{"gen_ai.response.id":"msg_01XkRq7pVb3nDw5sTgYhZc9L","gen_ai.response.finish_reasons":["stop"],"service.name":"agent"}`),
		})
	}
	if _, err := x.w.Submit(batch); err != nil {
		b.Fatal(err)
	}
}

func (x *bench) pusher(b *testing.B, format, compression string) *push.Pusher {
	p, err := push.New(b.Context(), x.st, x.w, push.Options{
		Endpoint: x.remote.URL, Format: format, Interval: time.Hour, Timeout: 30 * time.Second, MaxBytes: 5 << 20,
		Compression: compression, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// drain delivers all that waits.
func drain(b *testing.B, p *push.Pusher) {
	for {
		r, err := p.Now(b.Context())
		if err != nil || r.Error != "" {
			b.Fatal(r, err)
		}
		if r.Pending == 0 {
			return
		}
	}
}

// BenchmarkDrain delivers b.N stored calls.
func BenchmarkDrain(b *testing.B) {
	for _, c := range []struct{ name, format, compression string }{
		{"json", "json", "gzip"}, {"otlp", "otlp", "gzip"}, {"json-plain", "json", "none"}, {"otlp-plain", "otlp", "none"},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := newBench(b, b.N)
			b.ResetTimer()
			p := x.pusher(b, c.format, c.compression)
			drain(b, p)
			b.StopTimer()
			p.Close(b.Context())
		})
	}
}

// BenchmarkBatch selects, sends and marks batches of 500 while so many wait; it does not
// get slower with their number. An iteration is a batch.
func BenchmarkBatch(b *testing.B) {
	const batches = 20
	for _, pending := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("pending=", pending), func(b *testing.B) {
			x := newBench(b, pending)
			// The remote takes as many batches, and then no more.
			left := 0
			x.remote.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if left--; left < 0 {
					rw.WriteHeader(http.StatusForbidden)
				}
			})
			p := x.pusher(b, "json", "none")
			defer p.Close(b.Context())
			var spent time.Duration
			sent := 0
			for b.Loop() {
				n := min(batches, pending/500)
				left = n
				began := time.Now()
				if _, err := p.Now(b.Context()); err != nil {
					b.Fatal(err)
				}
				spent += time.Since(began)
				sent += n
				b.StopTimer()
				for range n {
					x.submit(b, 500)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(spent.Microseconds())/1000/float64(sent), "ms/batch")
		})
	}
}

// BenchmarkIngestWhileDraining stores single calls, a thousand a second, without and with
// a backlog being delivered beside it, and reports the 99th percentiles of how long they
// took from when each was due, and their ratio.
func BenchmarkIngestWhileDraining(b *testing.B) {
	x := newBench(b, 0)
	p99 := func(goOn func(n int) bool) float64 {
		var took []time.Duration
		began := time.Now()
		for n := 0; goOn(n); n++ {
			due := began.Add(time.Duration(n) * time.Millisecond)
			time.Sleep(time.Until(due))
			x.submit(b, 1)
			took = append(took, time.Since(due))
		}
		slices.Sort(took)
		return float64(took[len(took)*99/100].Microseconds()) / 1000
	}
	for b.Loop() {
		idle := p99(func(n int) bool { return n < 3000 })
		for range 200 {
			x.submit(b, 500)
		}
		p := x.pusher(b, "json", "gzip")
		busy := p99(func(n int) bool { return x.w.Books().Pending() > 1000 })
		p.Close(b.Context())
		b.ReportMetric(idle, "p99-idle-ms")
		b.ReportMetric(busy, "p99-draining-ms")
		b.ReportMetric(busy/idle, "ratio")
	}
}
