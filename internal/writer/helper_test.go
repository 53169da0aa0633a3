package writer_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

var long = flag.Bool("long", false, "every fault point and a thousand power cuts; takes minutes")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a writer on a database of its own.
type fixture struct {
	*writer.Writer
	t     testing.TB
	path  string
	sync  string
	store *store.Store
	log   *logged
	opts  writer.Options
}

// emptyPath returns a path at which nothing lies.
func emptyPath(t testing.TB) string { return filepath.Join(t.TempDir(), "trace.db") }

var template struct {
	sync.Once
	data []byte
}

// newPath returns the path of a database without rows.
func newPath(t testing.TB) string {
	t.Helper()
	template.Do(func() {
		f := open(t, emptyPath(t), "normal")
		err := f.stop()
		if err == nil {
			template.data, err = os.ReadFile(f.path)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	path := emptyPath(t)
	if err := os.WriteFile(path, template.data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path, synchronous string, set ...func(*writer.Options)) *fixture {
	t.Helper()
	f, err := tryOpen(t, path, synchronous, set...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func tryOpen(t testing.TB, path, synchronous string, set ...func(*writer.Options)) (*fixture, error) {
	f := &fixture{t: t, path: path, sync: synchronous, log: new(logged)}
	log := slog.New(slog.NewTextHandler(f.log, nil))
	st, err := store.Open(context.Background(), store.Options{Path: path, Synchronous: synchronous, Log: log})
	if err != nil {
		return nil, err
	}
	f.opts = writer.Options{MaxTextBytes: 16384, MaxQueueBytes: 64 << 20, Log: log}
	for _, set := range set {
		set(&f.opts)
	}
	if f.Writer, err = writer.New(st, f.opts); err != nil {
		return nil, fmt.Errorf("%w; close: %v", err, st.Close())
	}
	f.store = st
	return f, nil
}

// close stops the writer and checks what it leaves.
func (f *fixture) close() {
	f.t.Helper()
	if err := f.stop(); err != nil {
		f.t.Error(err)
	}
	CheckBooks(f.t, f.path, f.Books())
	if f.Err() == nil {
		// Nothing is only counted any more.
		c := look(f.t, f.path, "mode=ro")
		defer c.Close()
		for outcome, n := range beside(f.Books()) {
			if sum := one[int64](f.t, c, `SELECT COALESCE(SUM(n), 0) FROM ledger WHERE outcome = ?`, outcome); n != sum {
				f.t.Errorf("at the end: %s is %d, the ledger has %d", outcome, n, sum)
			}
		}
	}
	checkSummaries(f.t, f.path)
}

// beside are the outcomes that stand outside the ledger's equation.
func beside(b writer.Books) map[string]int64 {
	return map[string]int64{
		writer.Duplicate: b.Duplicates, writer.Refused: b.Refused, writer.Ignored: b.Ignored,
		writer.Repaired: b.Repaired, writer.Masked: b.Masked, writer.MovedAside: b.MovedAside,
	}
}

func (f *fixture) stop() error {
	f.t.Helper()
	if err := f.Close(context.Background()); err != nil {
		f.t.Error(err)
	}
	return f.store.Close()
}

// submit stores rows that must be taken.
func (f *fixture) submit(b *writer.Batch) writer.Receipt {
	f.t.Helper()
	r, err := f.Submit(b)
	if err != nil {
		f.t.Fatalf("submit: %v", err)
	}
	return r
}

// logged keeps what was logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

// id returns the n-th of a series of identities.
func id(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", n*2654435761&0xffffffff, n) }

func call(n int) db.InsertLLMTraceParams {
	return db.InsertLLMTraceParams{
		TraceID: id(n), CreatedAt: 946684800000 + int64(n), Provider: "anthropic", Model: "claude", Status: "ok",
		PromptTokens: new(int64(100 + n)), CompletionTokens: new(int64(7)), LatencyMS: new(int64(n)),
	}
}

func calls(from, to int) *writer.Batch {
	b := new(writer.Batch)
	for n := from; n < to; n++ {
		b.Calls = append(b.Calls, call(n))
	}
	return b
}

func failure(n int) db.InsertErrorEventParams {
	return db.InsertErrorEventParams{
		TraceID: id(n), CreatedAt: 946684800000, ErrorType: "crash", Message: "it broke", Severity: "error",
	}
}

func span(n int) db.InsertSpanParams {
	return db.InsertSpanParams{
		TraceID: id(n), CreatedAt: 946684800000, Name: "run", Status: "ok",
		OTELTraceID: strings.Repeat("a", 32), OTELSpanID: fmt.Sprintf("%016x", n),
	}
}

func event(n int) db.InsertCustomEventParams {
	return db.InsertCustomEventParams{TraceID: id(n), CreatedAt: 946684800000, Name: "deployed"}
}

// look opens a connection of its own to the database at path.
func look(t testing.TB, path, query string) *sql.DB {
	t.Helper()
	c, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, OmitHost: true, RawQuery: query}).String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetMaxOpenConns(1)
	return c
}

// one reads a single value.
func one[T any](t testing.TB, c *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := c.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// table reads rows as text, to be compared.
func table(t testing.TB, c *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := c.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// CheckBooks fails unless the ledger in the database at path says of each table what
// is in it, and books, when nothing is under way, what the ledger says. What was
// only counted so far may be in the books alone.
func CheckBooks(t testing.TB, path string, books writer.Books) {
	t.Helper()
	c := look(t, path, "mode=ro")
	defer c.Close()
	ledger := make(map[[2]string]int64) // by kind and outcome
	sums := make(map[string]int64)      // by outcome
	for _, line := range table(t, c, `SELECT kind || ' ' || outcome || ' ' || n FROM ledger`) {
		var kind, outcome string
		var n int64
		if _, err := fmt.Sscan(line, &kind, &outcome, &n); err != nil || n <= 0 {
			t.Errorf("the ledger says %q: %v", line, err)
		}
		ledger[[2]string{kind, outcome}] += n
		sums[outcome] += n
	}
	var total, pending int64
	for _, line := range table(t, c, `SELECT 'llm_trace ' || COUNT(*) || ' ' || COUNT(*) FILTER (WHERE synced = 0) FROM llm_traces
		UNION ALL SELECT 'error_event ' || COUNT(*) || ' ' || COUNT(*) FILTER (WHERE synced = 0) FROM error_events
		UNION ALL SELECT 'span ' || COUNT(*) || ' ' || COUNT(*) FILTER (WHERE synced = 0) FROM spans
		UNION ALL SELECT 'custom_event ' || COUNT(*) || ' ' || COUNT(*) FILTER (WHERE synced = 0) FROM custom_events
		UNION ALL SELECT 'system_metric ' || COUNT(*) || ' ' || COUNT(*) FILTER (WHERE synced = 0) FROM system_metrics`) {
		var kind string
		var rows, unsynced int64
		if _, err := fmt.Sscan(line, &kind, &rows, &unsynced); err != nil {
			t.Fatal(err)
		}
		n := func(outcome string) int64 { return ledger[[2]string{kind, outcome}] }
		received := n(writer.Received)
		gone := n(writer.Dropped) + n(writer.Expired)
		kept := n(writer.Delivered) + n(writer.Quarantined)
		if kept == 0 && received-gone != rows {
			t.Errorf("%s: the ledger has %d received and %d gone, the table %d rows", kind, received, gone, rows)
		}
		if received-gone-kept != unsynced {
			t.Errorf("%s: the ledger leaves %d pending, the table has %d", kind, received-gone-kept, unsynced)
		}
		if got := books.ReceivedByKind[slices.Index(writer.Kinds[:], kind)]; got != received {
			t.Errorf("books: %d of %s received, the ledger has %d", got, kind, received)
		}
		total += received
		pending += unsynced
	}
	if books.Received != total || books.Pending() != pending {
		t.Errorf("books: received %d and pending %d, the database has %d and %d", books.Received, books.Pending(), total, pending)
	}
	for outcome, n := range beside(books) {
		if n < sums[outcome] {
			t.Errorf("books: %s is %d, the ledger has %d", outcome, n, sums[outcome])
		}
	}
}

// checkSummaries fails unless usage and latency are what a count of the calls gives.
func checkSummaries(t testing.TB, path string) {
	t.Helper()
	c := look(t, path, "mode=ro")
	defer c.Close()
	kept := table(t, c, `SELECT json_array(granularity, start_at, provider, model, agent, status, calls, prompt_tokens,
		completion_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_nano_usd, unmetered, unpriced)
		FROM usage ORDER BY 1`)
	counted := table(t, c, `WITH g (name, ms) AS (VALUES ('hour', 3600000), ('day', 86400000))
		SELECT json_array(name, created_at / ms * ms, provider, model, COALESCE(agent, ''), status, COUNT(*),
		COALESCE(SUM(prompt_tokens), 0), COALESCE(SUM(completion_tokens), 0), COALESCE(SUM(cache_read_tokens), 0),
		COALESCE(SUM(cache_write_tokens), 0), COALESCE(SUM(reasoning_tokens), 0),
		CAST(COALESCE(SUM(CAST(ROUND(cost_usd * 1e9) AS INTEGER)), 0) AS INTEGER),
		SUM(prompt_tokens IS NULL AND completion_tokens IS NULL AND total_tokens IS NULL), SUM(cost_usd IS NULL))
		FROM llm_traces, g GROUP BY name, created_at / ms, provider, model, agent, status ORDER BY 1`)
	if d := cmp.Diff(counted, kept); d != "" {
		t.Errorf("usage (-counted +kept):\n%s", d)
	}
	kept = table(t, c, `SELECT json_array(granularity, start_at, provider, model, bucket, n) FROM latency ORDER BY 1`)
	counted = table(t, c, `WITH g (name, ms) AS (VALUES ('hour', 3600000), ('day', 86400000)),
		b (id, bucket) AS (SELECT id, CASE WHEN latency_ms < 1 THEN 0 ELSE CAST(4 * log2(latency_ms) AS INTEGER) END
			FROM llm_traces WHERE latency_ms IS NOT NULL)
		SELECT json_array(name, created_at / ms * ms, provider, model, bucket, COUNT(*))
		FROM llm_traces JOIN b USING (id), g GROUP BY name, created_at / ms, provider, model, bucket ORDER BY 1`)
	if d := cmp.Diff(counted, kept); d != "" {
		t.Errorf("latency (-counted +kept):\n%s", d)
	}
}

// checkStored fails unless exactly the identities of the calls given are there.
func checkStored(t testing.TB, path string, want ...int) {
	t.Helper()
	c := look(t, path, "mode=ro")
	defer c.Close()
	var ids []string
	for _, n := range want {
		ids = append(ids, id(n))
	}
	got := table(t, c, `SELECT trace_id FROM llm_traces ORDER BY id`)
	if d := cmp.Diff(ids, got); d != "" {
		t.Errorf("calls stored (-want +got):\n%s", d)
	}
}

func upTo(n int) (list []int) {
	for n := range n {
		list = append(list, n)
	}
	return list
}
