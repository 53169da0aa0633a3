package writer_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// BenchmarkSubmit stores one event per batch, as many producers at once.
func BenchmarkSubmit(b *testing.B) {
	for _, synchronous := range []string{"normal", "full"} {
		for _, producers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", synchronous, producers), func(b *testing.B) {
				f := open(b, newPath(b), synchronous)
				events := b.N
				m := measure(b)
				produce(producers, events, func(r *rand.Rand) {
					if _, err := f.Submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{randomCall(r)}}); err != nil {
						b.Error(err)
					}
				})
				m.report(events, "event")
				f.finish(events)
			})
		}
	}
}

// BenchmarkGroupCommit compares the throughput of 64 producers whose events share
// synced transactions with that of one such transaction for each.
func BenchmarkGroupCommit(b *testing.B) {
	const producers = 64
	f := open(b, newPath(b), "full")
	events := max(b.N, producers)
	m := measure(b)
	produce(producers, events, func(r *rand.Rand) {
		if _, err := f.Submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{randomCall(r)}}); err != nil {
			b.Error(err)
		}
	})
	m.report(events, "event")
	grouped := float64(events) / b.Elapsed().Seconds()
	f.finish(events)

	single := open(b, newPath(b), "full")
	events = max(events/8, producers) // which takes as long, if the target is met
	var mu sync.Mutex
	began := time.Now()
	produce(producers, events, func(r *rand.Rand) {
		batch := &writer.Batch{Calls: []db.InsertLLMTraceParams{randomCall(r)}}
		writer.Prepare(batch, time.Now(), single.opts.MaxTextBytes)
		mu.Lock()
		defer mu.Unlock()
		if err := single.store.Tx(func(q *db.Queries) error {
			_, err := q.InsertLLMTrace(context.Background(), batch.Calls[0])
			return err
		}); err != nil {
			b.Error(err)
		}
	})
	b.ReportMetric(grouped*time.Since(began).Seconds()/float64(events), "x-single")
	if err := single.stop(); err != nil {
		b.Error(err)
	}
}

// BenchmarkInsert stores transactions of different sizes, one after the other.
func BenchmarkInsert(b *testing.B) {
	for _, rows := range []int{1, 16, 400, 2000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			f := open(b, newPath(b), "normal")
			r := rand.New(rand.NewPCG(1, 2))
			transactions := (b.N + rows - 1) / rows
			m := measure(b)
			for range transactions {
				batch := new(writer.Batch)
				for range rows {
					batch.Calls = append(batch.Calls, randomCall(r))
				}
				if _, err := f.Submit(batch); err != nil {
					b.Fatal(err)
				}
			}
			m.report(transactions*rows, "row")
			f.finish(transactions * rows)
		})
	}
}

// produce calls f n times from several goroutines.
func produce(goroutines, n int, f func(*rand.Rand)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for i := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for next.Add(1) <= int64(n) {
				f(r)
			}
		})
	}
	wg.Wait()
}

// finish closes the writer and fails the benchmark unless all events were stored:
// refusals would be cheap.
func (f *fixture) finish(events int) {
	f.t.Helper()
	if err := f.stop(); err != nil {
		f.t.Error(err)
	}
	if got := f.Books().Received; got != int64(events) {
		f.t.Errorf("%d of %d events are stored", got, events)
	}
}

// measurement is the CPU time that the process had used when the timer started.
type measurement struct {
	b   *testing.B
	cpu time.Duration
}

func measure(b *testing.B) measurement {
	b.Helper()
	m := measurement{b, cpuTime(b)}
	b.ResetTimer()
	return m
}

func (m measurement) report(n int, unit string) {
	m.b.Helper()
	m.b.StopTimer()
	used := cpuTime(m.b) - m.cpu
	m.b.ReportMetric(0, "ns/op") // n is not always b.N
	m.b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(n), "cpu-µs/"+unit)
	m.b.ReportMetric(float64(n)/m.b.Elapsed().Seconds(), unit+"s/s")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// prose is text to cut inputs and outputs from.
var prose = strings.Repeat("the agent read the file, wrote a test for it and ran it again; ", 100)

// randomCall is a call as it comes from OTLP: the columns that its emitters fill, an
// identity that begins with its time, texts of 200 bytes each.
func randomCall(r *rand.Rand) db.InsertLLMTraceParams {
	latency := 200 + r.Int64N(8000)
	start := time.Now().UnixMilli() - latency
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(start)<<16|r.Uint64()&0xffff)
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	span := hex.EncodeToString(id[8:])
	trace := span + span
	from := r.IntN(len(prose) - 400)
	input := `[{"role":"user","parts":[{"type":"text","content":"` + prose[from:from+200] + `"}]}]`
	output := `[{"role":"assistant","parts":[{"type":"text","content":"` + prose[from+200:from+400] + `"}]}]`
	meta := `{"gen_ai.response.id":"msg_` + span + `","gen_ai.response.finish_reasons":["stop"],"gen_ai.request.max_tokens":4096,` +
		`"gen_ai.request.temperature":0.7,"server.address":"api.example.com","server.port":443,"openclaw.cost_usd":0.0123,` +
		`"service.name":"openclaw","service.version":"2026.11.1","host.name":"gateway-1"}`
	return db.InsertLLMTraceParams{
		TraceID: id.String(), CreatedAt: start, Provider: "anthropic", Model: "claude-sonnet-4-5", Status: "ok",
		InputText: &input, OutputText: &output, Metadata: &meta, LatencyMS: &latency,
		PromptTokens: new(int64(120)), CompletionTokens: new(int64(56)),
		SessionID: new("conv_" + span), Operation: new("chat"),
		OTELTraceID: &trace, OTELSpanID: &span, OTELParentSpanID: &span,
	}
}
