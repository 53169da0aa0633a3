package view

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// Node is a span or a call in its trace.
type Node struct {
	Depth      int     `json:"depth"` // 0 for those without a known parent
	Kind       string  `json:"kind"`  // "call" or "span"
	TraceID    string  `json:"trace_id"`
	SpanID     string  `json:"otel_span_id"`
	ParentID   *string `json:"otel_parent_span_id"`
	Name       string  `json:"name"` // a call's is its model
	Operation  *string `json:"operation"`
	CreatedAt  int64   `json:"created_at"`
	DurationMS *int64  `json:"duration_ms"`
	Status     string  `json:"status"`

	CostUSD     *float64 `json:"cost_usd"`
	TotalTokens *int64   `json:"total_tokens"`
}

// Trace is what happened in one OpenTelemetry trace, in the order of a tree.
type Trace struct {
	ID      string `json:"otel_trace_id"`
	From    int64  `json:"from"`  // of the earliest node
	Until   int64  `json:"until"` // the latest end
	Nodes   []Node `json:"nodes"`
	Omitted int    `json:"omitted"` // nodes beyond the first 500
}

// Where the parts of a trace are searched for: first near the call, then further back as
// long as a span's parent is missing.
const (
	traceNear   = 10 * time.Minute
	traceFar    = 6 * time.Hour
	traceBudget = 50 * time.Millisecond
	maxNodes    = 500
	maxParts    = 2000 // rows of a kind
)

// Trace returns the trace that c is part of, or nil if c does not name one. Its parts
// are searched for near c in time.
func (v *View) Trace(ctx context.Context, c *Call) (*Trace, error) {
	id := deref(c.OTELTraceID)
	if id == "" {
		return nil, nil
	}
	begun := time.Now()
	var parts []Node
	for near := traceNear; ; near *= 4 {
		low := c.CreatedAt - near.Milliseconds()
		high := c.CreatedAt + max(deref(c.LatencyMS), 0) + near.Milliseconds()
		spans, err := v.q.ListTraceSpans(ctx, db.ListTraceSpansParams{Low: low, High: high, OTELTraceID: id, Lim: maxParts})
		if err != nil {
			return nil, err
		}
		calls, err := v.q.ListTraceCalls(ctx, db.ListTraceCallsParams{Low: low, High: high, OTELTraceID: &id, Lim: maxParts})
		if err != nil {
			return nil, err
		}
		parts = parts[:0]
		for _, s := range spans {
			parts = append(parts, Node{
				Kind: KindSpan, TraceID: s.TraceID, SpanID: s.OTELSpanID, ParentID: s.OTELParentSpanID, Name: s.Name,
				Operation: s.Operation, CreatedAt: s.CreatedAt, DurationMS: s.DurationMS, Status: s.Status,
			})
		}
		for _, r := range calls {
			parts = append(parts, Node{
				Kind: KindCall, TraceID: r.TraceID, SpanID: deref(r.OTELSpanID), ParentID: r.OTELParentSpanID, Name: r.Model,
				Operation: r.Operation, CreatedAt: r.CreatedAt, DurationMS: r.LatencyMS, Status: r.Status,
				CostUSD: r.CostUSD, TotalTokens: r.TotalTokens,
			})
		}
		if near*4 > traceFar || time.Since(begun) > traceBudget || !orphaned(parts) {
			return tree(id, parts), nil
		}
	}
}

// orphaned tells whether a part's parent is missing.
func orphaned(parts []Node) bool {
	there := make(map[string]bool, len(parts))
	for i := range parts {
		there[parts[i].SpanID] = true
	}
	return slices.ContainsFunc(parts, func(n Node) bool { return deref(n.ParentID) != "" && !there[*n.ParentID] })
}

// tree puts parts in order: children behind their parent, by time. What is part of a
// ring has no parent that anybody would find it by; it comes last.
func tree(id string, parts []Node) *Trace {
	sort.SliceStable(parts, func(i, j int) bool { // see sortRows
		a, b := &parts[i], &parts[j]
		return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(deref(b.DurationMS), deref(a.DurationMS))) < 0
	})
	t := &Trace{ID: id, Nodes: make([]Node, 0, min(len(parts), maxNodes))}
	at := make(map[string]int, len(parts))
	for i := range parts {
		if _, twice := at[parts[i].SpanID]; !twice && parts[i].SpanID != "" {
			at[parts[i].SpanID] = i
		}
		end := parts[i].CreatedAt + max(deref(parts[i].DurationMS), 0)
		if i == 0 {
			t.From, t.Until = parts[i].CreatedAt, end
		}
		t.Until = max(t.Until, end)
	}
	children := make(map[int][]int)
	var roots []int
	for i := range parts {
		if p, ok := at[deref(parts[i].ParentID)]; ok && p != i {
			children[p] = append(children[p], i)
		} else {
			roots = append(roots, i)
		}
	}
	placed := make([]bool, len(parts))
	type place struct{ part, depth int }
	walk := func(root int) {
		for stack := []place{{root, 0}}; len(stack) > 0; {
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if placed[top.part] {
				continue
			}
			placed[top.part] = true
			if len(t.Nodes) == maxNodes {
				t.Omitted++
			} else {
				parts[top.part].Depth = top.depth
				t.Nodes = append(t.Nodes, parts[top.part])
			}
			for _, c := range slices.Backward(children[top.part]) {
				stack = append(stack, place{c, top.depth + 1})
			}
		}
	}
	for _, r := range roots {
		walk(r)
	}
	for i := range parts {
		walk(i)
	}
	return t
}
