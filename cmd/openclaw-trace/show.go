package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// shown is a call and what was around it, as JSON.
type shown struct {
	Call  *view.Call    `json:"call"`
	Older string        `json:"older,omitempty"`
	Newer string        `json:"newer,omitempty"`
	Trace *view.Trace   `json:"trace"`
	Host  *view.Reading `json:"host"` // the reading nearest to its beginning
}

// show shows all that is stored of one thing.
func show(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("show")
	_, parse := filterFlags(flags)
	words, err := parseWords(flags, args, 1)
	if err != nil {
		return err
	}
	if len(words) != 1 || len(words[0]) < 4 {
		return usageError("show: want an id, or its first characters, at least four")
	}
	f, err := parse()
	if err != nil {
		return err
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	var s shown
	var entry *view.EntryDetail
	err = reading(ctx, cfg, "show", func(read view.Reader) error {
		return read(ctx, func(v *view.View) (err error) {
			if s.Call, entry, err = find(ctx, v, words[0]); err != nil {
				return err
			}
			at := int64(0)
			if entry != nil {
				at = entry.CreatedAt
			} else {
				at = s.Call.CreatedAt
				if s.Older, s.Newer, err = v.Neighbours(ctx, view.Filter{}, s.Call.Cursor()); err != nil {
					return err
				}
				if s.Trace, err = v.Trace(ctx, s.Call); err != nil {
					return err
				}
			}
			s.Host, err = v.ReadingAt(ctx, at)
			return err
		})
	})
	switch {
	case errors.Is(err, view.ErrNotFound):
		return fmt.Errorf("show: nothing is stored under an id that begins with %q", words[0])
	case errors.Is(err, view.ErrAmbiguous):
		return fmt.Errorf("show: several ids begin with %q; give more of it", words[0])
	case err != nil:
		return err
	case *asJSON && entry != nil:
		return writeJSON(stdout, map[string]any{entry.Kind: entry, "host": s.Host})
	case *asJSON:
		return writeJSON(stdout, s)
	}
	t := newTerminal(stdout, environ, f.Location())
	if entry != nil {
		t.entry(entry, s.Host)
	} else {
		t.call(&s)
	}
	return t.flush()
}

// find returns the one call or entry whose id begins like this.
func find(ctx context.Context, v *view.View, id string) (call *view.Call, entry *view.EntryDetail, err error) {
	call, err = v.Call(ctx, id)
	if err != nil && !errors.Is(err, view.ErrNotFound) {
		return nil, nil, err
	}
	for _, kind := range view.LogKinds {
		e, err := v.Entry(ctx, kind, id)
		switch {
		case errors.Is(err, view.ErrNotFound):
			continue
		case err != nil:
			return nil, nil, err
		case call != nil || entry != nil:
			return nil, nil, view.ErrAmbiguous
		}
		entry = e
	}
	if call == nil && entry == nil {
		return nil, nil, view.ErrNotFound
	}
	return call, entry, nil
}

// fact writes a line about something, unless there is nothing to say.
func (t *terminal) fact(name, says string) {
	if says != "" {
		t.printf("%s %s\n", t.paint(fmt.Sprintf("%-10s", name), dim), says)
	}
}

func (t *terminal) title(s string) { t.printf("\n%s\n", t.paint(s, bold)) }

// moment writes a time whole.
func (t *terminal) moment(ms int64) string {
	return time.UnixMilli(ms).In(t.zone).Format("2006-01-02 15:04:05.000 -07:00")
}

func (t *terminal) call(s *shown) {
	c := s.Call
	t.printf("%s %s\n", t.paint("call", bold), c.TraceID)
	t.fact("time", t.moment(c.CreatedAt))
	t.fact("model", line(c.Provider+"/"+c.Model, 200))
	t.fact("status", t.paint(line(c.Status, 20), statusStyle(c.Status)))
	t.fact("operation", line(value(c.Operation), 200))
	t.fact("agent", line(value(c.Agent), 200))
	t.fact("session", line(value(c.Session), 200))
	t.fact("tokens", t.tokens(c))
	t.fact("cost", t.cost(c))
	latency := orUnknown(c.LatencyMS, readable.Duration)
	says := t.paint(latency.text, latency.as)
	if c.TTFTMS != nil {
		says += ", the first token after " + readable.Duration(*c.TTFTMS)
	}
	t.fact("latency", says)
	t.fact("host", t.host(s.Host))
	t.fact("older", s.Older)
	t.fact("newer", s.Newer)
	if c.PushedAt != nil {
		t.fact("forwarded", t.moment(*c.PushedAt))
	}
	if c.Status != "ok" {
		t.title("Error")
		t.printf("%s\n", t.paint(line(value(c.ErrorType), 200), red))
		t.body(c.ErrorMessage)
	}
	t.said("Input", c.InputText, "user")
	t.said("Output", c.OutputText, "assistant")
	t.trace(s.Trace, c.TraceID)
	t.metadata(c.Metadata)
}

func (t *terminal) tokens(c *view.Call) string {
	if c.PromptTokens == nil && c.CompletionTokens == nil && c.TotalTokens == nil {
		return t.paint("unknown", amber)
	}
	number := func(n *int64) string { x := orUnknown(n, readable.Count); return t.paint(x.text, x.as) }
	part := func(name string, n *int64) string {
		if n == nil {
			return ""
		}
		return ", " + readable.Count(*n) + " " + name
	}
	in := strings.TrimPrefix(part("read from a cache", c.CacheReadTokens)+part("written to one", c.CacheWriteTokens), ", ")
	if in != "" {
		in = " (" + in + " among them)"
	}
	out := strings.TrimPrefix(part("reasoning", c.ReasoningTokens), ", ")
	if out != "" {
		out = " (" + out + " among them)"
	}
	return "input " + number(c.PromptTokens) + in + ", output " + number(c.CompletionTokens) + out + ", total " + number(c.TotalTokens)
}

func (t *terminal) cost(c *view.Call) string {
	if c.CostUSD == nil {
		return t.paint("unknown", amber) + ": none was reported, and none can be computed without tokens or without a price for the model"
	}
	source := line(value(c.CostSource), 80)
	if table, ok := strings.CutPrefix(source, "computed:"); ok {
		source = "computed from price table " + table
	}
	return fmt.Sprintf("$%.6f, %s", *c.CostUSD, source)
}

func (t *terminal) host(r *view.Reading) string {
	if r == nil {
		return ""
	}
	var parts []string
	if r.CPUPct != nil {
		parts = append(parts, "CPU "+readable.Percentage(*r.CPUPct))
	}
	if r.MemAvail != nil && r.MemTotal != nil && *r.MemTotal > 0 {
		says := fmt.Sprintf("memory %s of %s available", readable.Size(float64(*r.MemAvail)), readable.Size(float64(*r.MemTotal)))
		if *r.MemAvail*10 < *r.MemTotal {
			says = t.paint(says, red)
		}
		parts = append(parts, says)
	}
	if r.DiskFree != nil {
		parts = append(parts, "disk "+readable.Size(float64(*r.DiskFree))+" free")
	}
	return strings.Join(parts, ", ") + ", at " + time.UnixMilli(r.CreatedAt).In(t.zone).Format(time.TimeOnly)
}

func (t *terminal) body(s *string) {
	if s != nil && *s != "" {
		t.printf("%s\n", text(*s, "  "))
	}
}

// said writes the messages of an input or output.
func (t *terminal) said(title string, stored *string, role string) {
	if stored == nil {
		t.title(title)
		t.printf("  %s\n", t.paint("none is stored: the emitter sent none, OCT_CAPTURE_CONTENT is off, or it was deleted to make room", dim))
		return
	}
	list := readable.Messages(*stored, role)
	t.title(fmt.Sprintf("%s, %s, %s", title, readable.Plural(int64(len(list)), "message", "messages"), readable.Size(float64(len(*stored)))))
	for i := range list {
		m := &list[i]
		if m.Omitted > 0 {
			t.printf("  %s\n", t.paint("… "+readable.Plural(int64(m.Omitted), "message", "messages")+" left out when this was stored (OCT_MAX_TEXT_BYTES)", amber))
			continue
		}
		t.printf("  %s\n", t.paint(line(m.Role, 40), blue))
		for _, p := range m.Parts {
			switch p.Kind {
			case readable.PartReasoning:
				t.printf("    %s\n", t.paint("reasoning", dim))
			case readable.PartCall:
				t.printf("    %s %s\n", t.paint("calls", dim), line(p.Name+" "+p.ID, 120))
			case readable.PartResult:
				t.printf("    %s %s\n", t.paint("result of", dim), line(p.Name+" "+p.ID, 120))
			case readable.PartOther:
				t.printf("    %s\n", t.paint(line(p.Name, 120), dim))
			}
			if p.Text != "" {
				t.printf("%s\n", text(p.Text, "    "))
			}
		}
	}
}

// trace writes what was around a call, as a tree.
func (t *terminal) trace(trace *view.Trace, this string) {
	if trace == nil || len(trace.Nodes) < 2 {
		return
	}
	t.title("Trace")
	var rows [][]cell
	for _, n := range trace.Nodes {
		as, mark := plain, "  "
		if n.TraceID == this {
			as, mark = bold, "▸ "
		}
		status := cell{line(n.Status, 8), statusStyle(n.Status)}
		rows = append(rows, []cell{
			{mark + strings.Repeat("  ", min(n.Depth, 12)) + line(n.Name, 48), as}, {"+" + readable.Duration(n.CreatedAt-trace.From), dim},
			orUnknown(n.DurationMS, readable.Duration), status, {n.TraceID[:min(len(n.TraceID), idDigits)], dim},
		})
	}
	t.table([]string{"  NAME", ">BEGAN", ">TOOK", "STATUS", "ID"}, rows)
	if trace.Omitted > 0 {
		t.printf("  … and %s\n", readable.Plural(int64(trace.Omitted), "more", "more"))
	}
}

func (t *terminal) metadata(stored *string) {
	if stored == nil {
		return
	}
	t.title("Metadata")
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(*stored), &members) != nil {
		t.body(stored)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		says := readable.Pretty(members[name])
		if says == "" {
			says = string(members[name])
		}
		if strings.Contains(says, "\n") {
			t.printf("  %s\n%s\n", t.paint(line(name, 120), dim), text(says, "    "))
			continue
		}
		t.printf("  %s %s\n", t.paint(line(name, 120), dim), text(says, ""))
	}
}

func (t *terminal) entry(e *view.EntryDetail, host *view.Reading) {
	t.printf("%s %s\n", t.paint(e.Kind, bold), e.TraceID)
	t.fact("time", t.moment(e.CreatedAt))
	t.fact("name", line(e.Name, 200))
	if e.Severity != "" {
		t.fact("severity", t.paint(line(e.Severity, 20), statusStyle(e.Severity)))
	}
	t.fact("agent", line(value(e.Agent), 200))
	t.fact("session", line(value(e.Session), 200))
	if e.DurationMS != nil {
		t.fact("took", readable.Duration(*e.DurationMS))
	}
	t.fact("host", t.host(host))
	if e.Message != nil {
		t.title("Message")
		t.body(e.Message)
	}
	if e.StackTrace != nil {
		t.title("Stack trace")
		t.body(e.StackTrace)
	}
	t.metadata(e.Metadata)
}
