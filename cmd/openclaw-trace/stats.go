package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// maxSums is how many sessions, models and so on are listed.
const maxSums = 100

// statsBy are what calls can be summed by.
var statsBy = []string{"model", "provider", "agent", "status", "session"}

// sums are statistics as JSON.
type sums struct {
	From        int64             `json:"from"`
	Until       int64             `json:"until"`
	Total       view.Sums         `json:"total"`
	Latency     *view.Percentiles `json:"latency"`
	LatencyNote string            `json:"latency_note,omitempty"`
	By          string            `json:"by"`
	Rows        any               `json:"rows"`
	SearchedTo  *int64            `json:"searched_to,omitempty"` // of sessions: older calls are not counted
}

// stats sums what was called, used and spent.
func stats(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("stats")
	_, parse := filterFlags(flags, view.SumParams...)
	by := flags.String("by", "model", "")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	f, err := parse()
	if err != nil {
		return err
	}
	if !slices.Contains(statsBy, *by) {
		return usageError("stats: --by: want one of " + strings.Join(statsBy, ", "))
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	if *by == "session" && (f.Model != "" || f.Provider != "" || f.Status != "") {
		return usageError("stats: sessions are not summed by model, provider or status; openclaw-trace calls --session lists their calls")
	}
	if f.Since == (view.Instant{}) {
		f.Since = view.Instant{Ago: 24 * time.Hour}
		if f.Until != (view.Instant{}) {
			f.Since = view.Instant{At: max(f.Until.In(time.Now(), 0)-f.Since.Ago.Milliseconds(), 1)}
		}
	}
	var s *view.Stats
	var top *view.TopSessions
	err = reading(ctx, cfg, "stats", func(read view.Reader) error {
		return read(ctx, func(v *view.View) (err error) {
			if s, err = v.Stats(ctx, f); err != nil || *by != "session" {
				return err
			}
			top, err = v.TopSessions(ctx, f, maxSums)
			return err
		})
	})
	if err != nil {
		return err
	}
	named := map[string][]view.Named{"model": s.ByModel, "provider": s.ByProvider, "agent": s.ByAgent, "status": s.ByStatus}[*by]
	if *asJSON {
		a := sums{From: s.From, Until: s.Until, Total: s.Total, Latency: s.Latency, LatencyNote: s.LatencyNote, By: *by, Rows: named}
		if top != nil {
			a.Rows, a.SearchedTo = top.Rows, top.SearchedTo
		}
		return writeJSON(stdout, a)
	}

	t := newTerminal(stdout, environ, f.Location())
	t.total(s)
	head := []string{strings.ToUpper(*by), ">CALLS", ">FAILED", ">INPUT", ">OUTPUT", ">COST", ">UNPRICED"}
	var rows [][]cell
	row := func(name string, sums view.Sums, more ...cell) {
		rows = append(rows, append([]cell{
			{name, plain}, {readable.Count(sums.Calls), plain}, some(sums.Failed, red),
			sumTokens(sums, sums.PromptTokens), sumTokens(sums, sums.CompletionTokens), sumCost(sums), some(sums.Unpriced, amber),
		}, more...))
	}
	for _, n := range named {
		name := line(n.Name, 48)
		switch {
		case n.Name == "":
			name = "(none)"
		case *by == "model" && n.Provider != "":
			name = line(n.Provider+"/"+n.Name, 48)
		}
		if top == nil {
			row(name, n.Sums)
		}
	}
	if top != nil {
		head = append(head, "LAST")
		for i := range top.Rows {
			n := &top.Rows[i]
			row(line(n.ID, 48), *n.InRange, cell{t.clock(n.LastAt), dim})
		}
	}
	if len(rows) > 0 {
		t.printf("\n")
		t.table(head, rows)
	}
	if top != nil && top.SearchedTo != nil {
		t.printf("\nOf sessions that began before then, calls before %s are not counted.\n", t.clock(*top.SearchedTo))
	}
	return t.flush()
}

// total writes what all calls come to.
func (t *terminal) total(s *view.Stats) {
	sums := s.Total
	t.printf("%s – %s %s\n\n", t.clock(s.From), t.clock(s.Until), time.UnixMilli(s.Until).In(t.zone).Format("MST"))
	t.printf("calls    %s", t.paint(readable.Count(sums.Calls), bold))
	if sums.Failed > 0 {
		t.printf(", %s", t.paint(readable.Plural(sums.Failed, "failed", "failed"), red))
	}
	tokens := sumTokens(sums, sums.PromptTokens+sums.CompletionTokens)
	t.printf("\ntokens   %s", t.strong(tokens))
	if sums.Tokens() != nil && sums.Calls > 0 {
		t.printf(": input %s (cache read %s, cache write %s), output %s (reasoning %s)", readable.Short(sums.PromptTokens), readable.Short(sums.CacheReadTokens),
			readable.Short(sums.CacheWriteTokens), readable.Short(sums.CompletionTokens), readable.Short(sums.ReasoningTokens))
	}
	if sums.Unmetered > 0 {
		t.printf(", %s", t.paint("not known of "+readable.Plural(sums.Unmetered, "call", "calls"), amber))
	}
	cost := sumCost(sums)
	t.printf("\ncost     %s", t.strong(cost))
	if sums.Unpriced > 0 {
		t.printf(", %s", t.paint("not known of "+readable.Plural(sums.Unpriced, "call", "calls"), amber))
	}
	if l := s.Latency; l != nil {
		t.printf("\nlatency  median %s, 95%% within %s, 99%% within %s", readable.Duration(l.P50), readable.Duration(l.P95), readable.Duration(l.P99))
	}
	t.printf("\n")
	if s.LatencyNote != "" {
		t.printf("         %s\n", t.paint("("+s.LatencyNote+")", dim))
	}
}
