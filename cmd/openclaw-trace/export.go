package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// exports are what can be exported.
var exports = []struct {
	name  string
	takes []string
	rows  func(view.Filter) view.Rows
}{
	{"calls", view.CallParams, view.CallRows},
	{"errors", view.EntryParams, func(f view.Filter) view.Rows { return view.EntryRows(view.ErrorKinds, f) }},
	{"metrics", view.TimeParams, view.ReadingRows},
	{"events", view.EntryParams, func(f view.Filter) view.Rows { return view.EntryRows(view.LogKinds, f) }},
}

// export writes all of a list, newest first and row by row, as the API does.
func export(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	var names []string
	for _, e := range exports {
		names = append(names, e.name)
	}
	want := "export: want one of " + strings.Join(names, ", ")
	i := slices.IndexFunc(args, func(a string) bool { return slices.Contains(names, a) })
	if i < 0 {
		return usageError(want)
	}
	e := exports[slices.Index(names, args[i])]
	flags, asJSON := newFlags("export")
	_, parse := filterFlags(flags, e.takes...)
	format := flags.String("format", view.JSONLines, "")
	words, err := parseWords(flags, args, 1)
	if err != nil {
		return err
	}
	switch {
	case len(words) != 1 || words[0] != e.name:
		return usageError(want)
	case *format != view.JSONLines && *format != view.CSV:
		return usageError("export: --format: want jsonl or csv")
	case *asJSON && *format == view.CSV:
		return usageError("export: --json is --format jsonl")
	}
	f, err := parse()
	if err != nil {
		return err
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	p := newProgress(stderr)
	defer p.end()
	return reading(ctx, cfg, "export", func(read view.Reader) error {
		err := e.rows(f).Write(ctx, forTerminal(stdout), *format, view.Page{}, read, func(n int64) {
			p.say(func() string { return "export: " + readable.Plural(n, "row", "rows") })
		})
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted; what was written is not whole")
		}
		return err
	})
}
