package view_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/view"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func wants(f view.Filter, c *db.InsertLLMTraceParams, from, until int64) bool {
	text := false
	for _, s := range []string{c.TraceID, c.Provider, c.Model, deref(c.SessionID), deref(c.Agent), deref(c.ErrorType), deref(c.ErrorMessage), deref(c.InputText), deref(c.OutputText)} {
		text = text || strings.Contains(strings.ToLower(s), strings.ToLower(f.Text))
	}
	return c.CreatedAt >= from && c.CreatedAt < until && text &&
		(f.Provider == "" || c.Provider == f.Provider) && (f.Model == "" || c.Model == f.Model) &&
		(f.Agent == "" || deref(c.Agent) == f.Agent) && (f.Session == "" || deref(c.SessionID) == f.Session) &&
		(f.Operation == "" || deref(c.Operation) == f.Operation) &&
		(f.Status == "" || c.Status == f.Status || f.Status == "failed" && c.Status != "ok") &&
		(f.MinLatencyMS == 0 || c.LatencyMS != nil && *c.LatencyMS >= f.MinLatencyMS) &&
		(f.MinCostUSD == 0 || c.CostUSD != nil && *c.CostUSD >= f.MinCostUSD)
}

// pages reads a list to its end, however small its pages and its time.
func pages[T any](t *testing.T, limit int, budget time.Duration, list func(view.Page) (view.List[T], error)) (all []T) {
	t.Helper()
	p := view.Page{Limit: limit, Budget: budget}
	for range 10_000 {
		l, err := list(p)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Rows) > limit || l.Next != nil && l.SearchedTo == nil && len(l.Rows) != limit {
			t.Fatalf("a page of %d has %d rows; next %v, searched to %v", limit, len(l.Rows), l.Next, l.SearchedTo)
		}
		all = append(all, l.Rows...)
		if l.Next == nil {
			return all
		}
		if l.SearchedTo != nil && l.Next.At != *l.SearchedTo {
			t.Fatalf("searched to %d, but goes on at %v", *l.SearchedTo, *l.Next)
		}
		// As it comes back in a URL.
		if p.Before, err = view.ParseCursor(l.Next.String()); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the list does not end")
	return nil
}

// Whatever the filter, the pages of a list are together what a look at every row finds.
func TestCalls(t *testing.T) {
	t.Parallel()
	skipSlow(t)
	d := open(t)
	r := rand.New(rand.NewPCG(5, 6))
	now := time.Now().UnixMilli()
	calls := randomCalls(r, 900, now-48*3600_000, now)
	d.submit(&writer.Batch{Calls: slices.Clone(calls)})
	d.close() // sessions are summed
	order := make([]int, len(calls))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(calls[b].CreatedAt, calls[a].CreatedAt), cmp.Compare(b, a))
	})
	d.view(func(v *view.View) error {
		for range 150 {
			f := view.Filter{
				Provider: pick(r, "", "", "openai"), Model: pick(r, "", "", "opus"), Agent: pick(r, "", "", "", "main"),
				Session: pick(r, "", "", "s1", "none"), Operation: pick(r, "", "", "chat"), Status: pick(r, "", "", "ok", "failed", "error", "timeout"),
				MinLatencyMS: pick[int64](r, 0, 0, 2500), MinCostUSD: pick(r, 0, 0, 0.5), Text: pick(r, "", "", "refund", `"YOU"`, "\n", "no such text"),
				Since: pick(r, view.Instant{}, view.Instant{At: now - 24*3600_000}), Until: pick(r, view.Instant{}, view.Instant{At: now - 12*3600_000}),
			}
			from, until := f.Range(v.Now())
			var want, got []string
			for _, i := range order {
				if wants(f, &calls[i], from, until) {
					want = append(want, calls[i].TraceID)
				}
			}
			budget := pick(r, 0, time.Nanosecond)
			for _, c := range pages(t, 1+r.IntN(60), budget, func(p view.Page) (view.List[view.CallRow], error) {
				return v.Calls(context.Background(), f, p)
			}) {
				got = append(got, c.TraceID)
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", f.Query().Encode(), diff)
			}
			if len(want) < 3 {
				continue
			}
			// The neighbours of one in the middle.
			c, err := v.Call(context.Background(), want[len(want)/2])
			if err != nil {
				return err
			}
			older, newer, err := v.Neighbours(context.Background(), f, c.Cursor())
			if err != nil {
				return err
			}
			if w := [2]string{want[len(want)/2+1], want[len(want)/2-1]}; w != [2]string{older, newer} {
				t.Fatalf("%s: neighbours %s, %s; want %v", f.Query().Encode(), older, newer, w)
			}
		}
		return nil
	})
}

func TestCall(t *testing.T) {
	t.Parallel()
	d := open(t)
	input := `[{"role":"user","parts":[{"type":"text","content":"first"}]},{"role":"user","parts":[{"type":"text","content":"what is\n \"this\"?"}]}]`
	d.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{
		{TraceID: id('a', 1), Provider: "p", Model: "m", Status: "ok", InputText: &input, Metadata: new(`{"a":1}`)},
		{TraceID: id('a', 2), Provider: "p", Model: "m", Status: "error", ErrorMessage: new(strings.Repeat("é", 400))},
	}})
	d.view(func(v *view.View) error {
		ctx := context.Background()
		c, err := v.Call(ctx, strings.ToUpper(id('a', 1)))
		if err != nil {
			return err
		}
		if deref(c.InputText) != input || deref(c.Metadata) != `{"a":1}` || deref(c.InputPreview) != `what is "this"?` {
			t.Errorf("%+v, preview %q", c, deref(c.InputPreview))
		}
		if c.CostUSD != nil || c.TotalTokens != nil || c.OutputPreview != nil {
			t.Error("what is unknown is known")
		}
		if c, err = v.Call(ctx, id('a', 2)); err != nil || len([]rune(*c.CallRow.ErrorMessage)) != 300 || len([]rune(*c.ErrorMessage)) != 400 {
			t.Errorf("%v %v", c, err)
		}
		for prefix, want := range map[string]error{
			"a0000000": view.ErrAmbiguous, "b0000000": view.ErrNotFound, "a": view.ErrNotFound, "": view.ErrNotFound,
			"%%%%%": view.ErrNotFound, id('a', 1) + "0": view.ErrNotFound,
		} {
			if _, err := v.Call(ctx, prefix); !errors.Is(err, want) {
				t.Errorf("%q: %v", prefix, err)
			}
		}
		return nil
	})
}

// The kinds of a list come together in one order.
func TestEntries(t *testing.T) {
	t.Parallel()
	skipSlow(t)
	d := open(t)
	r := rand.New(rand.NewPCG(7, 8))
	now := time.Now().UnixMilli()
	type row struct {
		view.Entry
		text string
		n    int
	}
	var rows []row
	b := &writer.Batch{}
	for i := range 700 {
		at := now - 1000 + r.Int64N(300) // many in a millisecond
		session := maybe(r, pick(r, "s1", "s2"))
		switch pick(r, order...) {
		case view.KindCall:
			c := db.InsertLLMTraceParams{
				TraceID: id('c', i), CreatedAt: at, Provider: "openai", Model: "gpt", Status: pick(r, "ok", "error", "timeout"),
				ErrorType: maybe(r, pick(r, "rate_limit", "overloaded")), ErrorMessage: new(fmt.Sprint("Failed ", 1000+i)), SessionID: session,
			}
			b.Calls = append(b.Calls, c)
			if c.Status != "ok" {
				name := c.Status
				if c.ErrorType != nil {
					name = *c.ErrorType
				}
				rows = append(rows, row{view.Entry{Kind: view.KindCall, TraceID: c.TraceID, CreatedAt: at, Name: name, Severity: "error", Session: session, Model: &c.Model}, *c.ErrorMessage, i})
			}
		case view.KindError:
			e := db.InsertErrorEventParams{TraceID: id('e', i), CreatedAt: at, ErrorType: pick(r, "log", "crash"), Message: fmt.Sprint("Boom ", 1000+i), Severity: pick(r, "warning", "error", "critical")}
			b.Errors = append(b.Errors, e)
			rows = append(rows, row{view.Entry{Kind: view.KindError, TraceID: e.TraceID, CreatedAt: at, Name: e.ErrorType, Severity: e.Severity}, e.Message, i})
		case view.KindEvent:
			e := db.InsertCustomEventParams{TraceID: id('f', i), CreatedAt: at, Name: pick(r, "deploy", "log"), SessionID: session, Metadata: new(fmt.Sprintf(`{"n":"Boom %d"}`, 1000+i))}
			b.Events = append(b.Events, e)
			rows = append(rows, row{view.Entry{Kind: view.KindEvent, TraceID: e.TraceID, CreatedAt: at, Name: e.Name, Session: session}, *e.Metadata, i})
		case view.KindSpan:
			s := db.InsertSpanParams{TraceID: id('d', i), CreatedAt: at, Name: pick(r, "tool", "run"), SessionID: session, OTELTraceID: "t", OTELSpanID: fmt.Sprint(i), Status: pick(r, "ok", "error")}
			b.Spans = append(b.Spans, s)
			e := view.Entry{Kind: view.KindSpan, TraceID: s.TraceID, CreatedAt: at, Name: s.Name, Session: session}
			if s.Status != "ok" {
				e.Severity = "error"
			}
			rows = append(rows, row{e, "", i})
		}
	}
	d.submit(b)
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(b.n, a.n))
	})
	severities := []string{"", "warning", "error", "critical"}
	d.view(func(v *view.View) error {
		for range 100 {
			kinds := pick(r, view.ErrorKinds, view.LogKinds, order)
			f := view.Filter{
				Kind: pick(r, "", "", "span", "error"), Name: pick(r, "", "", "log", "overloaded"), Severity: pick(r, "", "", "warning", "error", "critical"),
				Session: pick(r, "", "", "s1"), Model: pick(r, "", "", "", "gpt"), Text: pick(r, "", "", "boom 1"),
			}
			var want, got []string
			for _, e := range rows {
				if slices.Contains(kinds, e.Kind) && (f.Kind == "" || e.Kind == f.Kind) && (f.Name == "" || e.Name == f.Name) &&
					(f.Severity == "" || slices.Index(severities, e.Severity) >= slices.Index(severities, f.Severity)) &&
					(f.Session == "" || deref(e.Session) == f.Session) && (f.Model == "" || deref(e.Model) == f.Model) &&
					strings.Contains(strings.ToLower(e.text), f.Text) {
					want = append(want, e.TraceID)
				}
			}
			for _, e := range pages(t, 1+r.IntN(40), pick(r, 0, time.Nanosecond), func(p view.Page) (view.List[view.Entry], error) {
				return v.Entries(context.Background(), kinds, f, p)
			}) {
				got = append(got, e.TraceID)
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("%v %s (-want +got):\n%s", kinds, f.Query().Encode(), diff)
			}
		}
		// Groups are what the list has.
		g, err := v.ErrorGroups(context.Background(), view.Filter{})
		if err != nil {
			return err
		}
		total, failures := g.Others, 0
		for _, group := range g.Groups {
			n := int64(0)
			for _, s := range group.Series {
				n += s
			}
			list := pages(t, 7, 0, func(p view.Page) (view.List[view.Entry], error) {
				return v.Entries(context.Background(), view.ErrorKinds, view.Filter{Fingerprint: group.Fingerprint}, p)
			})
			if n != group.Count || int64(len(list)) != group.Count || list[0].TraceID != group.LastID || list[len(list)-1].CreatedAt != group.FirstAt {
				t.Errorf("group %+v has %d in its series and %d in its list", group, n, len(list))
			}
			total += group.Count
		}
		for _, e := range rows {
			if slices.Contains(view.ErrorKinds, e.Kind) {
				failures++
			}
		}
		// Calls: two types and the two statuses without one; errors: two types. Severities do not tell apart.
		if total != int64(failures) || len(g.Groups) != 6 {
			t.Errorf("%d of %d in %d groups", total, failures, len(g.Groups))
		}
		return nil
	})
}

var order = []string{view.KindCall, view.KindError, view.KindEvent, view.KindSpan}

func TestEntry(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.submit(&writer.Batch{
		Errors: []db.InsertErrorEventParams{{TraceID: id('e', 1), ErrorType: "crash", Message: "m", Severity: "critical", StackTrace: new("s"), Metadata: new(`{"a":1}`)}},
		Events: []db.InsertCustomEventParams{{TraceID: id('f', 1), Name: "n", Metadata: new(`{"b":2}`)}},
		Spans:  []db.InsertSpanParams{{TraceID: id('d', 1), Name: "n", OTELTraceID: "t", OTELSpanID: "s", Status: "timeout", ErrorMessage: new("late")}},
	})
	d.view(func(v *view.View) error {
		ctx := context.Background()
		e, err := v.Entry(ctx, view.KindError, id('e', 1))
		if err != nil || deref(e.StackTrace) != "s" || e.Severity != "critical" || deref(e.Metadata) != `{"a":1}` {
			t.Errorf("%+v %v", e, err)
		}
		if e, err = v.Entry(ctx, view.KindEvent, "f0000000"); err != nil || deref(e.Metadata) != `{"b":2}` {
			t.Errorf("%+v %v", e, err)
		}
		if e, err = v.Entry(ctx, view.KindSpan, id('d', 1)); err != nil || e.Severity != "error" || *e.OTELTraceID != "t" {
			t.Errorf("%+v %v", e, err)
		}
		if _, err = v.Entry(ctx, view.KindSpan, id('e', 1)); !errors.Is(err, view.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if _, err = v.Entry(ctx, "x", id('e', 1)); !errors.Is(err, view.ErrNotFound) {
			t.Errorf("%v", err)
		}
		return nil
	})
}
