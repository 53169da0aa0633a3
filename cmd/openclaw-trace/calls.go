package main

import (
	"context"
	"io"
	"strconv"

	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// calls lists calls, newest first.
func calls(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("calls")
	_, parse := filterFlags(flags, view.CallParams...)
	limit := limitFlag(flags, 50)
	if err := parseAll(flags, args); err != nil {
		return err
	}
	f, err := parse()
	if err != nil {
		return err
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	list := []view.CallRow{}
	more := false
	var extent view.Extent
	t := newTerminal(stdout, environ, f.Location())
	err = reading(ctx, cfg, "calls", func(read view.Reader) error {
		p := newProgress(stderr)
		defer p.end()
		for page := (view.Page{}); ; {
			page.Limit = min(*limit-len(list), 1000)
			var l view.List[view.CallRow]
			err := read(ctx, func(v *view.View) (err error) {
				if l, err = v.Calls(ctx, f, page); err == nil && len(list)+len(l.Rows) == 0 {
					extent, err = v.Extent(ctx)
				}
				return err
			})
			if err != nil {
				return err
			}
			list = append(list, l.Rows...)
			more = l.Next != nil
			if !more || len(list) == *limit {
				return nil
			}
			page.Before = *l.Next
			p.say(func() string { return "searched back to " + t.clock(l.Next.At) })
		}
	})
	if err != nil {
		return err
	}
	if *asJSON {
		return writeJSON(stdout, list)
	}
	if len(list) == 0 {
		t.printf("%s\n", noCalls(t, extent))
		return t.flush()
	}
	rows := make([][]cell, 0, len(list))
	for i := range list {
		rows = append(rows, t.callCells(&list[i]))
	}
	t.table([]string{"TIME", "ID", "STATUS", "MODEL", ">INPUT", ">OUTPUT", ">COST", ">LATENCY", "SESSION", "TEXT"}, rows)
	if more {
		t.printf("%s\n", t.paint("There are more: --limit "+strconv.Itoa(10**limit)+" shows them.", dim))
	}
	return t.flush()
}

// noCalls says why there is nothing to see.
func noCalls(t *terminal, e view.Extent) string {
	if e.LastCall == nil {
		return "No call was ever stored. Is the agent connected? The README says how."
	}
	return "No call is like this. The last of all began at " + t.clock(*e.LastCall) + "."
}

// idDigits of an id are shown in lists. Ids begin with the time in ms; so many tell calls
// of the same one apart.
const idDigits = 18

func (t *terminal) callCells(c *view.CallRow) []cell {
	said := cell{line(value(c.InputPreview), 72), dim}
	if c.Status != "ok" {
		said = cell{line(value(c.ErrorType)+": "+value(c.ErrorMessage), 72), red}
	}
	return []cell{
		{t.clock(c.CreatedAt), plain}, {c.TraceID[:min(len(c.TraceID), idDigits)], dim}, {line(c.Status, 8), statusStyle(c.Status)},
		{line(c.Provider+"/"+c.Model, 36), plain},
		orUnknown(c.PromptTokens, readable.Short), orUnknown(c.CompletionTokens, readable.Short),
		orUnknown(c.CostUSD, readable.Dollars), orUnknown(c.LatencyMS, readable.Duration),
		{ending(value(c.Session), 16), plain}, said,
	}
}
