package view_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/view"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// database is one with a writer, as the program has it.
type database struct {
	t    *testing.T
	path string
	st   *store.Store
	w    *writer.Writer
}

func open(t *testing.T) *database {
	t.Helper()
	d := &database{t: t, path: filepath.Join(t.TempDir(), "trace.db")}
	d.reopen()
	t.Cleanup(d.close)
	return d
}

func (d *database) reopen() {
	d.t.Helper()
	log := slog.New(slog.NewTextHandler(d.t.Output(), nil))
	var err error
	if d.st, err = store.Open(context.Background(), store.Options{Path: d.path, Synchronous: "normal", Log: log}); err != nil {
		d.t.Fatal(err)
	}
	if d.w, err = writer.New(d.st, writer.Options{MaxTextBytes: 16 << 10, MaxQueueBytes: 64 << 20, Log: log}); err != nil {
		d.t.Fatal(err)
	}
}

// close stops the writer, which brings the summaries up to date.
func (d *database) close() {
	if d.st == nil {
		return
	}
	if err := d.w.Close(context.Background()); err != nil {
		d.t.Error(err)
	}
	<-d.w.Done()
	if err := d.st.Close(); err != nil {
		d.t.Error(err)
	}
	d.st = nil
}

func (d *database) submit(b *writer.Batch) {
	d.t.Helper()
	b.Deadline = time.Now().Add(time.Minute) // no machine is too slow for it
	if _, err := d.w.Submit(b); err != nil {
		d.t.Fatal(err)
	}
}

// view runs f on the database: through the store's readers while it is open, as a
// command does otherwise.
func (d *database) view(f func(*view.View) error) {
	d.t.Helper()
	read := func(q *db.Queries) error { return f(view.New(q)) }
	var err error
	if d.st != nil {
		err = d.st.Read(context.Background(), read)
	} else {
		err = store.ReadOnly(context.Background(), d.path, read)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// skipSlow skips a test that looks at every row often, which takes longer under the race
// detector than a reader has. It starts no goroutine.
func skipSlow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it compares with every row, for seconds")
	}
}

// id returns the trace_id of the n-th row of a kind.
func id(kind byte, n int) string { return fmt.Sprintf("%c0000000-0000-4000-8000-%012x", kind, n) }

func maybe[T any](r *rand.Rand, v T) *T {
	if r.IntN(4) == 0 {
		return nil
	}
	return &v
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// randomCalls makes calls from since up to until, several of them in one millisecond.
func randomCalls(r *rand.Rand, n int, since, until int64) []db.InsertLLMTraceParams {
	calls := make([]db.InsertLLMTraceParams, n)
	for i := range calls {
		c := &calls[i]
		*c = db.InsertLLMTraceParams{
			TraceID: id('c', i), CreatedAt: since + r.Int64N(until-since),
			Provider: pick(r, "anthropic", "openai"), Model: pick(r, "opus", "sonnet", "gpt"), Status: pick(r, "ok", "ok", "ok", "error", "timeout"),
			Agent: maybe(r, pick(r, "main", "cron")), SessionID: maybe(r, pick(r, "s1", "s2", "s3", "s4")), Operation: maybe(r, "chat"),
			PromptTokens: maybe(r, r.Int64N(1000)), CompletionTokens: maybe(r, r.Int64N(1000)),
			CacheReadTokens: maybe(r, r.Int64N(10)), ReasoningTokens: maybe(r, r.Int64N(10)),
			CostUSD: maybe(r, float64(r.IntN(1_000_000_000))/1e9), LatencyMS: maybe(r, r.Int64N(5000)),
			InputText: maybe(r, pick(r, `hello "you"`, "Refund please", "line\ntwo")), OutputText: maybe(r, pick(r, "done", "REFUND sent")),
		}
		if i > 0 && r.IntN(3) == 0 {
			c.CreatedAt = calls[i-1].CreatedAt
		}
		if c.CostUSD != nil {
			source := "reported"
			c.CostSource = &source
		}
		if c.Status != "ok" {
			c.ErrorType = maybe(r, pick(r, "rate_limit", "overloaded"))
			c.ErrorMessage = maybe(r, fmt.Sprintf("request %d failed: status 429", r.IntN(1000)))
		}
	}
	return calls
}
