package janitor_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mib  = 1 << 20
	hour = time.Hour
	day  = 24 * hour
)

// world is a database with a writer and a janitor, on a volume of its own imagination.
type world struct {
	t    testing.TB
	path string
	st   *store.Store
	w    *writer.Writer
	j    *janitor.Janitor
	opts janitor.Options

	free int64        // on the volume
	skew atomic.Int64 // of the wall clock
	n    atomic.Int64 // rows made
}

func newWorld(t testing.TB, set ...func(*janitor.Options)) *world {
	t.Helper()
	x := &world{t: t, path: filepath.Join(t.TempDir(), "trace.db"), free: 1 << 40}
	x.opts = janitor.Options{Retention: 3 * day, MaxDBBytes: 256 * mib, MinFreeBytes: 64 * mib, Interval: 10 * time.Minute}
	x.opts.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	x.opts.Free = func(string) (int64, error) { return x.free, nil }
	x.opts.Wall = func() time.Time { return time.Now().Round(0).Add(time.Duration(x.skew.Load())) }
	for _, set := range set {
		set(&x.opts)
	}
	x.open()
	return x
}

func withRemote(o *janitor.Options) { o.Remote = true }

func budget(bytes int64) func(*janitor.Options) {
	return func(o *janitor.Options) { o.MaxDBBytes = bytes }
}

func (x *world) open() {
	x.t.Helper()
	var err error
	log := slog.New(slog.NewTextHandler(x.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	x.st, err = store.Open(context.Background(), store.Options{Path: x.path, Synchronous: "normal", Log: log})
	if err != nil {
		x.t.Fatal(err)
	}
	x.w, err = writer.New(x.st, writer.Options{MaxTextBytes: 1 << 20, MaxQueueBytes: 64 << 20, Log: log})
	if err != nil {
		x.t.Fatal(err)
	}
	x.j = janitor.New(context.Background(), x.st, x.w, x.opts)
}

// restart puts a janitor with other settings in place of the one before.
func (x *world) restart(set func(*janitor.Options)) {
	x.j.Close(context.Background())
	set(&x.opts)
	x.j = janitor.New(context.Background(), x.st, x.w, x.opts)
}

func (x *world) close() {
	x.t.Helper()
	x.j.Close(context.Background())
	if err := x.w.Close(context.Background()); err != nil {
		x.t.Error(err)
	}
	x.balance()
	if err := x.st.Close(); err != nil {
		x.t.Error(err)
	}
}

// pass runs a whole pass.
func (x *world) pass() janitor.Result {
	x.t.Helper()
	r, err := x.j.Now(context.Background())
	if err != nil {
		x.t.Fatal(err)
	}
	x.balance()
	return r
}

func (x *world) submit(b *writer.Batch) {
	x.t.Helper()
	if _, err := x.w.Submit(b); err != nil {
		x.t.Fatal(err)
	}
}

// patiently stores b however slow the machine is.
func (x *world) patiently(b *writer.Batch) error {
	for {
		if _, err := x.w.Submit(b); !errors.Is(err, writer.ErrTimeout) {
			return err
		}
	}
}

func (x *world) id() string {
	n := x.n.Add(1)
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(n)*2654435761, n)
}

func (x *world) call(at time.Time, text int) db.InsertLLMTraceParams {
	c := db.InsertLLMTraceParams{TraceID: x.id(), CreatedAt: at.UnixMilli(), Provider: "p", Model: "m", Status: "ok", SessionID: new("s")}
	if text > 0 {
		c.InputText, c.OutputText = new(strings.Repeat("i", text)), new(strings.Repeat("o", text))
	}
	return c
}

func (x *world) span(at time.Time) db.InsertSpanParams {
	return db.InsertSpanParams{
		TraceID: x.id(), CreatedAt: at.UnixMilli(), Name: "run", Status: "ok", SessionID: new("s"),
		OTELTraceID: strings.Repeat("a", 32), OTELSpanID: fmt.Sprintf("%016x", x.n.Load()),
	}
}

func (x *world) failure(at time.Time) db.InsertErrorEventParams {
	return db.InsertErrorEventParams{TraceID: x.id(), CreatedAt: at.UnixMilli(), ErrorType: "crash", Message: "it broke", Severity: "error"}
}

func (x *world) event(at time.Time) db.InsertCustomEventParams {
	return db.InsertCustomEventParams{TraceID: x.id(), CreatedAt: at.UnixMilli(), Name: "deployed", SessionID: new("s")}
}

func (x *world) reading(at time.Time) db.InsertSystemMetricParams {
	return db.InsertSystemMetricParams{TraceID: x.id(), CreatedAt: at.UnixMilli()}
}

// each is one row of each kind.
func (x *world) each(at time.Time) *writer.Batch {
	return &writer.Batch{
		Calls: []db.InsertLLMTraceParams{x.call(at, 10)}, Spans: []db.InsertSpanParams{x.span(at)}, Errors: []db.InsertErrorEventParams{x.failure(at)},
		Events: []db.InsertCustomEventParams{x.event(at)}, Readings: []db.InsertSystemMetricParams{x.reading(at)},
	}
}

var tables = map[string]string{
	writer.KindCall: "llm_traces", writer.KindError: "error_events", writer.KindSpan: "spans",
	writer.KindEvent: "custom_events", writer.KindReading: "system_metrics",
}

// alter runs statements on the database beside the writer.
func (x *world) alter(statements ...string) {
	x.t.Helper()
	c := look(x.t, x.path, "_pragma=busy_timeout(10000)")
	defer c.Close()
	for _, s := range statements {
		if _, err := c.Exec(s); err != nil {
			x.t.Fatalf("%s: %v", s, err)
		}
	}
}

// deliver marks rows as the pusher does.
func (x *world) deliver(kind, where string) {
	x.t.Helper()
	x.mark(kind, where, writer.Delivered, time.Now().UnixMilli())
}

// giveUp puts rows into quarantine as the pusher does.
func (x *world) giveUp(kind, where string) {
	x.t.Helper()
	x.mark(kind, where, writer.Quarantined, 0)
}

func (x *world) mark(kind, where, outcome string, at int64) {
	x.t.Helper()
	c := look(x.t, x.path, "mode=ro")
	ids := list[int64](x.t, c, "SELECT id FROM "+tables[kind]+" WHERE synced = 0 AND "+where)
	names := list[string](x.t, c, "SELECT trace_id FROM "+tables[kind]+" WHERE synced = 0 AND "+where)
	c.Close()
	x.markIDs(kind, ids, names, outcome, at)
}

// markIDs marks rows that were there when they were read.
func (x *world) markIDs(kind string, ids []int64, names []string, outcome string, at int64) (marked int64) {
	x.t.Helper()
	ctx := context.Background()
	err := x.w.Do(ctx, func(tx *writer.Tx) error {
		marked = 0
		for i, id := range ids {
			var n int64
			var err error
			if outcome == writer.Delivered {
				n, err = map[string]func() (int64, error){
					writer.KindCall:    func() (int64, error) { return tx.MarkCall(ctx, db.MarkCallParams{At: &at, ID: id}) },
					writer.KindError:   func() (int64, error) { return tx.MarkError(ctx, db.MarkErrorParams{At: &at, ID: id}) },
					writer.KindSpan:    func() (int64, error) { return tx.MarkSpan(ctx, db.MarkSpanParams{At: &at, ID: id}) },
					writer.KindEvent:   func() (int64, error) { return tx.MarkEvent(ctx, db.MarkEventParams{At: &at, ID: id}) },
					writer.KindReading: func() (int64, error) { return tx.MarkReading(ctx, db.MarkReadingParams{At: &at, ID: id}) },
				}[kind]()
			} else {
				n, err = map[string]func() (int64, error){
					writer.KindCall:    func() (int64, error) { return tx.GiveUpCall(ctx, id) },
					writer.KindError:   func() (int64, error) { return tx.GiveUpError(ctx, id) },
					writer.KindSpan:    func() (int64, error) { return tx.GiveUpSpan(ctx, id) },
					writer.KindEvent:   func() (int64, error) { return tx.GiveUpEvent(ctx, id) },
					writer.KindReading: func() (int64, error) { return tx.GiveUpReading(ctx, id) },
				}[kind]()
				if err == nil && n > 0 {
					err = tx.AddQuarantine(ctx, db.AddQuarantineParams{Kind: kind, EventID: names[i], Reason: "no"})
				}
			}
			if err != nil {
				return err
			}
			marked += n
		}
		tx.Count(writer.Entry{Kind: kind, Outcome: outcome}, marked)
		return nil
	})
	if err != nil {
		x.t.Error(err)
	}
	return marked
}

func look(t testing.TB, path, query string) *sql.DB {
	t.Helper()
	c, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, OmitHost: true, RawQuery: query}).String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetMaxOpenConns(1)
	return c
}

func list[T any](t testing.TB, c *sql.DB, query string, args ...any) (all []T) {
	t.Helper()
	rows, err := c.QueryContext(context.Background(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// one reads a single value.
func one[T any](x *world, query string, args ...any) T {
	x.t.Helper()
	c := look(x.t, x.path, "mode=ro")
	defer c.Close()
	all := list[T](x.t, c, query, args...)
	if len(all) != 1 {
		x.t.Fatalf("%s: %d rows", query, len(all))
	}
	return all[0]
}

func (x *world) rows(kind, where string) int {
	x.t.Helper()
	return one[int](x, "SELECT COUNT(*) FROM "+tables[kind]+" WHERE "+where)
}

// counted reads a sum from the ledger.
func (x *world) counted(kind, outcome, reason string) int64 {
	x.t.Helper()
	return one[int64](x, "SELECT COALESCE(SUM(n), 0) FROM ledger WHERE kind = ? AND outcome = ? AND reason = ?", kind, outcome, reason)
}

// balance fails unless what is pending by the ledger of one commit is what is pending in
// the tables of the same commit.
func (x *world) balance() {
	x.t.Helper()
	c := look(x.t, x.path, "mode=ro")
	defer c.Close()
	for kind, table := range tables {
		for _, s := range list[string](x.t, c, `SELECT 'pending ' || pending || ', counted ' || counted FROM (
			SELECT (SELECT COUNT(*) FROM `+table+` WHERE synced = 0) AS pending,
				(SELECT COALESCE(SUM(CASE WHEN outcome = 'received' THEN n WHEN outcome IN ('delivered', 'quarantined', 'dropped', 'expired') THEN -n ELSE 0 END), 0)
					FROM ledger WHERE kind = ?) AS counted) WHERE pending <> counted`, kind) {
			x.t.Errorf("%s: the ledger does not balance: %s", kind, s)
		}
	}
	if n := list[int](x.t, c, `SELECT COUNT(*) FROM quarantine WHERE NOT EXISTS (
		SELECT 1 FROM llm_traces WHERE trace_id = event_id UNION ALL SELECT 1 FROM error_events WHERE trace_id = event_id
		UNION ALL SELECT 1 FROM spans WHERE trace_id = event_id UNION ALL SELECT 1 FROM custom_events WHERE trace_id = event_id
		UNION ALL SELECT 1 FROM system_metrics WHERE trace_id = event_id)`); n[0] != 0 {
		x.t.Errorf("%d lines of the quarantine have no row", n[0])
	}
}
