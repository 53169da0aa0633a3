package writer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// files returns the bytes of the database's files that are there.
func files(t *testing.T, path string) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		b, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		m[filepath.Base(name)] = string(b)
	}
	return m
}

// checkNoTrace fails if the secret is anywhere in the database's files.
func checkNoTrace(t *testing.T, path string) {
	t.Helper()
	for name, bytes := range files(t, path) {
		const enough = 16
		for i := 0; i+enough <= len(secret); i += enough / 2 {
			if at := strings.Index(bytes, secret[i:i+enough]); at >= 0 {
				t.Errorf("the secret is in %s of %d bytes, at %d", name, len(bytes), at)
				break
			}
		}
	}
}

// repriced returns what Reprice says, having checked its progress.
func (f *fixture) repriced(p *pricing.Table) []*writer.Repricing {
	f.t.Helper()
	progress := &steps{t: f.t}
	changes, err := f.Reprice(background, p, progress.take)
	if err != nil {
		f.t.Fatalf("reprice: %v", err)
	}
	progress.checkEnd()
	return changes
}

// steps checks what a Progress is told.
type steps struct {
	t        testing.TB
	rows, of int64
	n        int
}

func (s *steps) take(rows, of int64) {
	if rows < s.rows || rows > of || s.n > 0 && of != s.of {
		s.t.Errorf("progress went from %d of %d to %d of %d", s.rows, s.of, rows, of)
	}
	s.rows, s.of = rows, of
	s.n++
}

func (s *steps) checkEnd() {
	s.t.Helper()
	if s.rows != s.of {
		s.t.Errorf("progress ended at %d of %d", s.rows, s.of)
	}
}

// pricedCall returns one of a series of calls: of models that have a price, that have
// none, that cost what was reported, and whose tokens are not known.
func pricedCall(n int) db.InsertLLMTraceParams {
	c := call(n)
	c.CreatedAt += int64(n) * 600_000 // into the next hours and days
	c.Provider, c.Model = "maker", []string{"one", "third", "nothing"}[n%3]
	c.Status = []string{"ok", "error"}[n/3%2]
	switch n % 7 {
	case 5:
		c.CostUSD, c.CostSource = new(0.125), new(writer.Reported)
	case 6:
		c.PromptTokens, c.CompletionTokens = nil, nil
	}
	if n%2 == 0 {
		c.Agent = new("main")
	}
	return c
}

func pricedCalls(from, to int) *writer.Batch {
	b := new(writer.Batch)
	for n := from; n < to; n++ {
		b.Calls = append(b.Calls, pricedCall(n))
	}
	return b
}

// costs are the rows' costs as text, by id.
func costs(t *testing.T, path string) []string {
	t.Helper()
	c := look(t, path, "mode=ro")
	defer c.Close()
	return table(t, c, `SELECT trace_id || ' ' || IFNULL(CAST(ROUND(cost_usd * 1e9) AS INTEGER), 'NULL') || ' ' || IFNULL(cost_source, 'NULL')
		FROM llm_traces ORDER BY id`)
}

// wantCosts are those that n calls of pricedCall have by a table.
func wantCosts(n int, p *pricing.Table) (list []string) {
	for i := range n {
		b := writer.Batch{Calls: []db.InsertLLMTraceParams{pricedCall(i)}}
		writer.PrepareWith(&b, now, writer.Options{MaxTextBytes: 100, Prices: p})
		c := &b.Calls[0]
		cost, source := "NULL", "NULL"
		if c.CostUSD != nil {
			cost, source = fmt.Sprint(nanoUSD(c.CostUSD)), *c.CostSource
		}
		list = append(list, id(i)+" "+cost+" "+source)
	}
	return list
}

func checkCosts(t *testing.T, path string, n int, p *pricing.Table) {
	t.Helper()
	if d := cmp.Diff(wantCosts(n, p), costs(t, path)); d != "" {
		t.Errorf("costs (-want +got):\n%s", d)
	}
}

// Each step is followed by what close proves: that usage is what the rows sum up to.
func TestReprice(t *testing.T) {
	t.Parallel()
	const n = 2*writer.StepIDs + 50
	dear, none := prices(t, strings.ReplaceAll(maker, "3.333", "5.555")), bare(t)
	same := prices(t, maker+" // in another file")
	p := prices(t, maker)
	f := open(t, newPath(t), "normal")
	f.submit(pricedCalls(0, n))
	before := costs(t, f.path)
	models := func(changes []*writer.Repricing) (list []string) {
		for _, c := range changes {
			list = append(list, fmt.Sprintf("%s/%s %d %d %.9f %.9f", c.Provider, c.Model, c.Calls, c.Known, c.BeforeUSD, c.AfterUSD))
		}
		return list
	}
	// sums is what changes should say of a model, of the rows as they were and are.
	sums := func(model string, was, is []string) string {
		var calls, known, from, to int64
		for i := range was {
			if pricedCall(i).Model != model {
				continue
			}
			var a, b string
			for dst, line := range map[*string]string{&a: was[i], &b: is[i]} {
				*dst = strings.Fields(line)[1]
			}
			if a == b {
				continue
			}
			calls++
			nano, _ := strconv.ParseInt(a, 10, 64) // 0 for NULL
			from += nano
			if nano, err := strconv.ParseInt(b, 10, 64); err == nil {
				known++
				to += nano
			}
		}
		return fmt.Sprintf("maker/%s %d %d %.9f %.9f", model, calls, known, float64(from)/1e9, float64(to)/1e9)
	}
	for _, step := range []struct {
		name    string
		table   *pricing.Table
		changes []string // models
		reopen  bool     // before it: what is stored is in the sums already
	}{
		{"found out", p, []string{"one", "third"}, false},
		{"again", p, nil, false},
		{"again, in another life", p, nil, true},
		{"one is dearer", dear, []string{"third"}, false},
		{"as it was", p, []string{"third"}, true},
		{"by another table, at the same prices", same, nil, false},
		{"prices are gone", none, []string{"one", "third"}, false},
		{"and stay so", none, nil, true},
		{"found out again", p, []string{"one", "third"}, true},
		{"no table at all", nil, []string{"one", "third"}, false},
	} {
		if step.reopen {
			f.close()
			f = open(t, f.path, "normal")
		}
		got := models(f.repriced(step.table))
		after := costs(t, f.path)
		var want []string
		for _, m := range step.changes {
			want = append(want, sums(m, before, after))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, d)
		}
		checkCosts(t, f.path, n, step.table)
		checkSummaries(t, f.path) // at once: a step brings them up to date
		CheckBooks(t, f.path, f.Books())
		before = after
	}
	f.close()
	checkCosts(t, f.path, n, nil)
}

// The table is the one of calls to come, too.
func TestRepriceTakesTable(t *testing.T) {
	t.Parallel()
	p := prices(t, maker)
	f := open(t, newPath(t), "normal")
	f.submit(pricedCalls(0, 10))
	f.repriced(p)
	f.submit(pricedCalls(10, 20))
	f.close()
	checkCosts(t, f.path, 20, p)
}

func TestRepriceNothing(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	if changes := f.repriced(prices(t, maker)); len(changes) != 0 {
		t.Errorf("%d models", len(changes))
	}
	if changes, err := f.Reprice(background, nil, nil); err != nil || len(changes) != 0 {
		t.Errorf("without progress: %d models, %v", len(changes), err)
	}
	f.close()
	if _, err := f.Reprice(background, nil, nil); !errors.Is(err, writer.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// What is ended half-way is half done, and adds up all the same.
func TestRepriceEnded(t *testing.T) {
	t.Parallel()
	const n = 4 * writer.StepIDs
	p := prices(t, maker)
	f := open(t, newPath(t), "normal")
	f.submit(pricedCalls(0, n))
	ctx, cancel := context.WithCancel(background)
	progress := &steps{t: t}
	changes, err := f.Reprice(ctx, p, func(rows, of int64) {
		progress.take(rows, of)
		if progress.n == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || progress.rows >= n || len(changes) == 0 {
		t.Errorf("ended at %d of %d rows with %d changes: %v", progress.rows, progress.of, len(changes), err)
	}
	checkSummaries(t, f.path)
	if changes := f.repriced(p); len(changes) == 0 {
		t.Error("nothing was left to do")
	}
	if changes := f.repriced(p); len(changes) != 0 {
		t.Errorf("%d models changed once it was done", len(changes))
	}
	f.close()
	checkCosts(t, f.path, n, p)
}

func TestRepriceBesideSubmit(t *testing.T) {
	t.Parallel()
	const n, producers, each = 300, 4, 40
	p := prices(t, maker)
	f := open(t, newPath(t), "normal")
	f.submit(pricedCalls(0, n))
	var wg sync.WaitGroup
	for i := range producers {
		wg.Go(func() {
			for j := range each {
				from := n + i*each + j
				if _, err := f.Submit(pricedCalls(from, from+1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		for _, table := range []*pricing.Table{p, nil, bare(t)} {
			f.repriced(table)
		}
	}
	wg.Wait()
	f.repriced(p)
	f.close()
	got := costs(t, f.path)
	slices.Sort(got)
	want := wantCosts(n+producers*each, p)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("costs (-want +got):\n%s", d)
	}
}

// manyNames are calls of so many models, more than usage tells apart.
func manyNames(from, to int) *writer.Batch {
	b := calls(from, to)
	for i := range b.Calls {
		b.Calls[i].Provider, b.Calls[i].Model = "vendor", fmt.Sprintf("model-%05d", from+i)
	}
	return b
}

// usageOf sums up usage where a condition holds.
func usageOf(t *testing.T, path, column, where string) int64 {
	t.Helper()
	c := look(t, path, "mode=ro")
	defer c.Close()
	return one[int64](t, c, `SELECT COALESCE(SUM(`+column+`), 0) FROM usage WHERE granularity = 'day' AND `+where)
}

const isOther = `provider = 'other' AND model = 'other' AND agent = ''`

// Calls that usage holds under "other" are adjusted there.
func TestRepriceOther(t *testing.T) {
	t.Parallel()
	const n = writer.MaxNames + 200
	p := prices(t, `{prices: [{provider: "vendor", model: "*", input: 1, output: 1}]}`)
	f := open(t, newPath(t), "normal")
	f.submit(manyNames(0, n))
	changes := f.repriced(p)
	if len(changes) != writer.MaxNames+1 {
		t.Errorf("%d models changed", len(changes))
	}
	var sum int64
	for _, c := range changes {
		sum += c.Calls
		if c.Provider == "other" && c.Calls != n-writer.MaxNames {
			t.Errorf("other: %+v", *c)
		}
	}
	if sum != n {
		t.Errorf("%d calls changed", sum)
	}
	check := func(name string) {
		t.Helper()
		c := look(t, f.path, "mode=ro")
		defer c.Close()
		nano := one[int64](t, c, `SELECT COALESCE(SUM(CAST(ROUND(cost_usd * 1e9) AS INTEGER)), 0) FROM llm_traces`)
		unpriced := one[int64](t, c, `SELECT COUNT(*) FROM llm_traces WHERE cost_usd IS NULL`)
		folded := one[int64](t, c, `SELECT COALESCE(SUM(CAST(ROUND(cost_usd * 1e9) AS INTEGER)), 0) FROM llm_traces WHERE model >= ?`, fmt.Sprintf("model-%05d", writer.MaxNames))
		for _, g := range []string{"hour", "day"} {
			if got := one[int64](t, c, `SELECT SUM(cost_nano_usd) FROM usage WHERE granularity = ?`, g); got != nano {
				t.Errorf("%s: usage by %s has %d nano-USD, the rows %d", name, g, got, nano)
			}
			if got := one[int64](t, c, `SELECT SUM(unpriced) FROM usage WHERE granularity = ?`, g); got != unpriced {
				t.Errorf("%s: usage by %s has %d unpriced, the rows %d", name, g, got, unpriced)
			}
			if got := one[int64](t, c, `SELECT SUM(cost_nano_usd) FROM usage WHERE granularity = ? AND `+isOther, g); got != folded {
				t.Errorf("%s: other by %s has %d nano-USD, its rows %d", name, g, got, folded)
			}
		}
	}
	check("priced")
	f.repriced(nil)
	check("not any more")
	f.repriced(p)
	check("priced again")
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}

// A name that had its own line on the day of a call may have none for a call of that
// day that comes later.
func TestRepriceOtherLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newPath(t), "normal")
		f.submit(manyNames(0, 1))
		time.Sleep(24 * time.Hour)
		b := manyNames(1, writer.MaxNames+1)
		for i := range b.Calls {
			b.Calls[i].CreatedAt = time.Now().UnixMilli()
		}
		f.submit(b)
		late := manyNames(0, 1)
		late.Calls[0].TraceID = id(9999)
		f.submit(late)
		f.repriced(prices(t, `{prices: [{provider: "vendor", model: "*", input: 1, output: 1}]}`))
		c := look(t, f.path, "mode=ro")
		if n := one[int64](t, c, `SELECT COUNT(*) FROM usage WHERE unpriced <> 0`); n != 0 {
			t.Errorf("%d lines have unpriced calls, or less than none", n)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := f.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestManyNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newPath(t), "normal")
		check := func(name string, names, inOther int64) {
			t.Helper()
			f.sum()
			if n := usageOf(t, f.path, "1", "NOT ("+isOther+")"); n != names {
				t.Errorf("%s: %d names, want %d", name, n, names)
			}
			if n := usageOf(t, f.path, "calls", isOther); n != inOther {
				t.Errorf("%s: %d calls under other, want %d", name, n, inOther)
			}
		}
		f.submit(manyNames(0, writer.MaxNames))
		check("as many as there may be", writer.MaxNames, 0)
		f.submit(manyNames(writer.MaxNames, writer.MaxNames+5))
		check("more", writer.MaxNames, 5)
		again := manyNames(0, 10) // which are known
		for i := range again.Calls {
			again.Calls[i].TraceID = id(5000 + i)
		}
		f.submit(again)
		check("known ones", writer.MaxNames, 5)
		if n := usageOf(t, f.path, "calls", "model = 'model-00003'"); n != 2 {
			t.Errorf("a known name has %d calls", n)
		}

		// The next life goes on with them.
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		f = open(t, f.path, "normal")
		f.submit(manyNames(2000, 2003))
		check("after a restart", writer.MaxNames, 8)

		// A new day has room again, for calls of whatever day.
		time.Sleep(24 * time.Hour)
		f.submit(manyNames(3000, 3002))
		check("the next day", writer.MaxNames+2, 8)
		f.submit(manyNames(4000, 4000+writer.MaxNames))
		check("many the next day", 2*writer.MaxNames, 10)
		time.Sleep(24 * time.Hour)
		f.submit(manyNames(6000, 6001))
		check("the day after", 2*writer.MaxNames+1, 10)
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		c := look(t, f.path, "mode=ro")
		defer c.Close()
		for _, g := range []string{"hour", "day"} { // nothing is lost under other
			for _, column := range []string{"prompt_tokens", "completion_tokens"} {
				kept := one[int64](t, c, `SELECT SUM(`+column+`) FROM usage WHERE granularity = ?`, g)
				if rows := one[int64](t, c, `SELECT SUM(`+column+`) FROM llm_traces`); kept != rows {
					t.Errorf("%s by %s: %d, the rows have %d", column, g, kept, rows)
				}
			}
		}
	})
}

// sum brings usage up to the last call, as the writer does every second.
func (f *fixture) sum() {
	time.Sleep(writer.SyncEvery)
	synctest.Wait()
}

// "other" is no name: all that were known stay so in the next life.
func TestManyNamesRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // on the day of the calls
		f := open(t, newPath(t), "normal")
		f.submit(manyNames(0, writer.MaxNames+1))
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		f = open(t, f.path, "normal")
		b := manyNames(0, writer.MaxNames)
		for i := range b.Calls {
			b.Calls[i].TraceID = id(5000 + i)
		}
		f.submit(b)
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		if n := usageOf(t, f.path, "calls", isOther); n != 1 {
			t.Errorf("%d calls under other", n)
		}
	})
}

// stored are the columns that MaskStored looks at: all but the names that usage has.
func stored() (list []int) {
	for i, c := range columns {
		if c.kind != writer.KindCall || c.name != "provider" && c.name != "model" && c.name != "agent" {
			list = append(list, i)
		}
	}
	return list
}

// numbers are all columns that are not masked, row by row.
func numbers(t *testing.T, path string) (list []string) {
	t.Helper()
	c := look(t, path, "mode=ro")
	defer c.Close()
	for _, query := range []string{
		`SELECT json_array(id, trace_id, created_at, provider, model, prompt_tokens, completion_tokens, total_tokens, cost_usd, latency_ms, status,
			synced, pushed_at, agent, otel_trace_id, otel_span_id, otel_parent_span_id, cache_read_tokens, cache_write_tokens, reasoning_tokens, ttft_ms, cost_source)
			FROM llm_traces ORDER BY id`,
		`SELECT json_array(id, trace_id, created_at, severity, synced, pushed_at) FROM error_events ORDER BY id`,
		`SELECT json_array(id, trace_id, created_at, otel_trace_id, otel_span_id, otel_parent_span_id, duration_ms, status, synced, pushed_at) FROM spans ORDER BY id`,
		`SELECT json_array(id, trace_id, created_at, synced, pushed_at) FROM custom_events ORDER BY id`,
	} {
		list = append(list, table(t, c, query)...)
	}
	return list
}

// withStored stores rows unmasked, a secret in each column in turn with so much text
// around it, delivers some of them, and opens the database again with a mask.
func withStored(t *testing.T, rows int, around string) (f *fixture, want map[writer.Entry]int64) {
	t.Helper()
	f = open(t, newPath(t), "normal")
	want = make(map[writer.Entry]int64)
	which := stored()
	for n := range rows {
		c := columns[which[n%len(which)]]
		b := each(n)
		c.put(b, "it is "+secret+", keep it")
		if around != "" && (strings.HasSuffix(c.name, "text") || strings.HasSuffix(c.name, "message") || c.name == "metadata" || c.name == "stack_trace") {
			c.put(b, around+" "+secret+" "+around)
		}
		f.submit(b)
		want[writer.Entry{Kind: c.kind, Outcome: writer.Masked, Reason: secretRule}]++
	}
	f.close()
	c := look(t, f.path, "mode=rw&_pragma=secure_delete(FAST)")
	for kind, name := range tableOf {
		r, err := c.ExecContext(background, `UPDATE `+name+` SET synced = 1, pushed_at = id WHERE id % 3 = 0`)
		if err != nil {
			t.Fatal(err)
		}
		n, err := r.RowsAffected()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ExecContext(background, `INSERT INTO ledger (kind, outcome, n) SELECT ?, 'delivered', ? WHERE ? > 0`, kind, n, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, f.path, "normal", withMask), want
}

// maskStored masks what f holds and checks its progress.
func (f *fixture) maskStored() map[string]int64 {
	f.t.Helper()
	progress := &steps{t: f.t}
	found, err := f.MaskStored(background, progress.take)
	if err != nil {
		f.t.Fatalf("mask what is stored: %v", err)
	}
	progress.checkEnd()
	return found
}

// storedSizes are amounts of rows and of text around the secret in them.
var storedSizes = []struct {
	name   string
	rows   int
	around string
}{
	{"a few rows", len(stored()), ""},
	{"many", 2*writer.StepIDs + 30, ""},
	{"texts that fill pages", 60, strings.Repeat("ordinary words ", 60)},
	{"texts larger than pages", 30, strings.Repeat("ordinary words ", 500)},
}

func TestMaskStored(t *testing.T) {
	t.Parallel()
	for _, c := range storedSizes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, want := withStored(t, c.rows, c.around)
			before := numbers(t, f.path)
			found := f.maskStored()
			if d := cmp.Diff(map[string]int64{secretRule: int64(c.rows)}, found); d != "" {
				t.Errorf("found (-want +got):\n%s", d)
			}
			if d := cmp.Diff(before, numbers(t, f.path)); d != "" {
				t.Errorf("numbers (-before +after):\n%s", d)
			}
			CheckBooks(t, f.path, f.Books())
			if found := f.maskStored(); len(found) != 0 {
				t.Errorf("found when it was done: %v", found)
			}
			f.close()
			if d := cmp.Diff(want, maskedCounts(t, f.path)); d != "" {
				t.Errorf("ledger (-want +got):\n%s", d)
			}
			db := look(t, f.path, "mode=ro")
			defer db.Close()
			which := stored()
			for n := range c.rows {
				c := columns[which[n%len(which)]]
				if got := one[string](t, db, `SELECT `+c.name+` FROM `+tableOf[c.kind]+` WHERE trace_id = ?`, id(n)); strings.Count(got, masked) != 1 {
					t.Fatalf("%s.%s: %s", tableOf[c.kind], c.name, got)
				}
			}
		})
	}
}

// What was masked is nowhere in the files, also where SQLite has put it aside while the
// tables grew.
func TestMaskStoredLeavesNoTrace(t *testing.T) {
	t.Parallel()
	for _, c := range storedSizes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, _ := withStored(t, c.rows, c.around)
			f.maskStored()
			checkNoTrace(t, f.path)
			f.close()
			checkNoTrace(t, f.path)
		})
	}
}

// Nor in a database whose rows were stored by a version that left such pieces behind.
func TestMaskStoredLeavesNoTraceOfOldVersions(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	f.close()
	const rows = 300
	c := look(t, f.path, "mode=rw&_pragma=secure_delete(OFF)")
	for n := range rows {
		if _, err := c.ExecContext(background, `INSERT INTO error_events (trace_id, created_at, error_type, message) VALUES (?, ?, 'crash', ?)`,
			id(n), n, "it is "+secret); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{
		`INSERT INTO ledger (kind, outcome, n) VALUES ('error_event', 'received', 300)`,
		`UPDATE error_events SET metadata = '{"a":"a longer row is moved"}' WHERE id % 3 = 0`,
	} {
		if _, err := c.ExecContext(background, query); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	f = open(t, f.path, "normal", withMask)
	if found := f.maskStored(); found[secretRule] != rows {
		t.Errorf("found %v", found)
	}
	checkNoTrace(t, f.path)
	f.close()
	checkNoTrace(t, f.path)
}

func TestMaskStoredNothing(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal", withMask)
	if found := f.maskStored(); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	for n := range 5 {
		f.submit(each(n))
	}
	if found := f.maskStored(); len(found) != 0 {
		t.Errorf("found %v where there is none", found)
	}
	if found, err := f.MaskStored(background, nil); err != nil || len(found) != 0 {
		t.Errorf("without progress: %v, %v", found, err)
	}
	f.close()
	if _, err := f.MaskStored(background, nil); !errors.Is(err, writer.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// Without a mask there is nothing to look for, which should not look like a success.
func TestMaskStoredWithoutMask(t *testing.T) {
	t.Parallel()
	f, _ := withStored(t, 1, "")
	f.close()
	f = open(t, f.path, "normal")
	if found, err := f.MaskStored(background, nil); err == nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
	f.close()
}

// JSON is found out whatever it escapes, and is JSON afterwards.
func TestMaskStoredJSON(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	escaped := escapedSecret(func(i int) bool { return i%4 == 0 })
	b := each(1)
	b.Calls[0].InputText = new(`[{"role":"user","content":"` + escaped + `"}]`)
	b.Calls[0].Metadata = new(`{"password": 12345678, "a\/b": "` + escaped + `"}`)
	b.Spans[0].Metadata = new(`{"untouched": "\u0061\/", "n": 1.50}`)
	f.submit(b)
	f.close()
	// A row of before escapes were resolved.
	c := look(t, f.path, "mode=rw")
	if _, err := c.ExecContext(background, `UPDATE llm_traces SET input_text = ?, metadata = ?`,
		`[{"role":"user","content":"`+escaped+`"}]`, `{"password": 12345678, "a\/b": "`+escaped+`"}`); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	f = open(t, f.path, "normal", withMask)
	if d := cmp.Diff(map[string]int64{secretRule: 2, "named_secret": 1}, f.maskStored()); d != "" {
		t.Errorf("found (-want +got):\n%s", d)
	}
	checkNoTrace(t, f.path)
	f.close()
	c = look(t, f.path, "mode=ro")
	defer c.Close()
	for query, want := range map[string]string{
		`SELECT input_text FROM llm_traces`: `[{"role":"user","content":"` + masked + `"}]`,
		`SELECT metadata FROM llm_traces`:   `{"password": "[masked:named_secret]", "a/b": "` + masked + `"}`,
		`SELECT metadata FROM spans`:        `{"untouched": "a/", "n": 1.50}`, // by Submit
	} {
		if got := one[string](t, c, query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

// What is ended half-way can be gone on with.
func TestMaskStoredEnded(t *testing.T) {
	t.Parallel()
	const rows = 3 * writer.StepIDs
	f, want := withStored(t, rows, "")
	ctx, cancel := context.WithCancel(background)
	progress := &steps{t: t}
	first, err := f.MaskStored(ctx, func(rows, of int64) {
		progress.take(rows, of)
		if progress.n == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || progress.rows >= progress.of || first[secretRule] == 0 || first[secretRule] >= rows {
		t.Errorf("ended at %d of %d rows, found %v: %v", progress.rows, progress.of, first, err)
	}
	CheckBooks(t, f.path, f.Books())
	rest := f.maskStored()
	if n := first[secretRule] + rest[secretRule]; n != rows {
		t.Errorf("found %d of %d", n, rows)
	}
	f.close()
	if d := cmp.Diff(want, maskedCounts(t, f.path)); d != "" {
		t.Errorf("ledger (-want +got):\n%s", d)
	}
}

// Rows that come meanwhile are masked by Submit.
func TestMaskStoredBesideSubmit(t *testing.T) {
	t.Parallel()
	const rows = 150
	f, _ := withStored(t, rows, strings.Repeat("ordinary words ", 20))
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for j := range 20 {
				b := each(rows + i*20 + j)
				b.Calls[0].InputText = new(secret)
				if _, err := f.Submit(b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if found := f.maskStored(); found[secretRule] != rows {
		t.Errorf("found %v", found)
	}
	wg.Wait()
	if n := f.Books().Masked; n != rows+60 {
		t.Errorf("books: %d masked", n)
	}
	f.close()
}

func TestRevision(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal")
	was := f.Revision()
	is := func(what string, another bool) {
		t.Helper()
		now := f.Revision()
		if (now != was) != another {
			t.Errorf("after %s the revision is %d, it was %d", what, now, was)
		}
		was = now
	}
	f.submit(pricedCalls(0, 3))
	is("calls came", false)
	nothing := func(*writer.Tx) error { return nil }
	if err := f.Do(background, nothing); err != nil {
		t.Fatal(err)
	}
	is("other work", false)
	if err := f.Erase(background, nothing); err != nil {
		t.Fatal(err)
	}
	is("rows were erased", true)
	f.repriced(prices(t, maker))
	is("calls were priced", true)
	f.close()
}
