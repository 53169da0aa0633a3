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

// BenchmarkDrain delivers b.N stored calls with texts of 200 + 200 bytes to a remote on
// this machine that reads them and forgets them.
func BenchmarkDrain(b *testing.B) {
	for _, c := range []struct{ name, format, compression string }{
		{"json", "json", "gzip"}, {"otlp", "otlp", "gzip"}, {"json-plain", "json", "none"}, {"otlp-plain", "otlp", "none"},
	} {
		b.Run(c.name, func(b *testing.B) {
			srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
			defer srv.Close()
			log := slog.New(slog.DiscardHandler)
			st, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "trace.db"), Synchronous: "normal", Log: log})
			if err != nil {
				b.Fatal(err)
			}
			w, err := writer.New(st, writer.Options{MaxTextBytes: 16384, MaxQueueBytes: 64 << 20, Log: log})
			if err != nil {
				b.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 2))
			prose := func() *string {
				var text strings.Builder
				for text.Len() < 200 {
					fmt.Fprintf(&text, "%s ", vocabulary[int(float64(len(vocabulary))*math.Pow(random.Float64(), 3))])
				}
				return new(text.String()[:200])
			}
			for n := 0; n < b.N; {
				batch := new(writer.Batch)
				for ; n < b.N && len(batch.Calls) < 500; n++ {
					batch.Calls = append(batch.Calls, db.InsertLLMTraceParams{
						Provider: "anthropic", Model: "claude-sonnet-4-5", Status: "ok", Operation: new("chat"), SessionID: new("session-7"),
						InputText: prose(), OutputText: prose(), PromptTokens: new(int64(n)), CompletionTokens: new(int64(7)),
						LatencyMS: new(int64(1200)), OTELTraceID: new(strings.Repeat("a1", 16)), OTELSpanID: new(strings.Repeat("b2", 8)),
						Metadata: new(`{"gen_ai.response.id":"msg_01XkRq7pVb3nDw5sTgYhZc9L","gen_ai.response.finish_reasons":["stop"],"service.name":"agent"}`),
					})
				}
				if _, err := w.Submit(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			p, err := push.New(b.Context(), st, w, push.Options{
				Endpoint: srv.URL, Format: c.format, Interval: time.Hour, Timeout: 30 * time.Second, MaxBytes: 5 << 20, Compression: c.compression, Log: log,
			})
			if err != nil {
				b.Fatal(err)
			}
			r := push.Result{}
			for r.Pending = int64(b.N); r.Pending > 0; {
				if r, err = p.Now(b.Context()); err != nil || r.Error != "" {
					b.Fatal(r, err)
				}
			}
			b.StopTimer()
			p.Close(b.Context())
			if err := w.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
			if err := st.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
