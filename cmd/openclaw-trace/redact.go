package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/redact"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// finding is a secret found in a text, which it does not show.
type finding struct {
	Line   int    `json:"line"`
	Column int    `json:"column"` // in bytes, from 1
	Bytes  int    `json:"bytes"`
	Rule   string `json:"rule"`
	What   string `json:"what"`
}

func redactInput(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	return redactText(ctx, args, environ, os.Stdin, stdout, stderr)
}

// redactText shows what the rules find in a text, lists them, or applies them to what is
// stored.
func redactText(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("redact")
	stored := flags.Bool("stored", false, "")
	rules := flags.Bool("rules", false, "")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	masker := newMasker(cfg)
	switch {
	case *rules:
		return listRules(stdout, *asJSON)
	case masker == nil:
		return usageError("redact: OCT_REDACT is off, so nothing is masked")
	case *stored:
		result, err := onStored(ctx, cfg, "redact", stderr, func(w *writer.Writer, progress writer.Progress) (line api.WorkLine, err error) {
			line.Masked, err = w.MaskStored(ctx, progress)
			return line, err
		})
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(stdout, result)
		}
		return writeSum(stdout, result.Masked, "masked")
	}

	text, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("redact: read the text: %w", err)
	}
	what := make(map[string]string)
	for _, r := range redact.Rules() {
		what[r.ID] = r.What
	}
	found := []finding{}
	sum := make(map[string]int64)
	line, start := 1, 0 // of the last find
	masker.Mask(string(text), func(m redact.Match) {
		line += bytes.Count(text[start:m.Start], []byte("\n"))
		start = m.Start
		column := m.Start - bytes.LastIndexByte(text[:m.Start], '\n')
		found = append(found, finding{line, column, m.End - m.Start, m.Rule, what[m.Rule]})
		sum[m.Rule]++
	})
	if *asJSON {
		return writeJSON(stdout, found)
	}
	for _, f := range found {
		fmt.Fprintf(stdout, "%d:%d\t%d bytes\t%s\t%s\n", f.Line, f.Column, f.Bytes, f.Rule, f.What)
	}
	return writeSum(stdout, sum, "would be masked")
}

func listRules(w io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(w, redact.Rules())
	}
	for _, r := range redact.Rules() {
		fmt.Fprintf(w, "%-24s %s\n%24s %s\n", r.ID, r.What, "", r.Source)
	}
	return nil
}

func writeSum(w io.Writer, sum map[string]int64, done string) error {
	var total int64
	var each []string
	for _, rule := range slices.Sorted(maps.Keys(sum)) {
		total += sum[rule]
		each = append(each, fmt.Sprintf("%s %d", rule, sum[rule]))
	}
	text := fmt.Sprintf("%d secrets %s", total, done)
	if total > 0 {
		text += ": " + strings.Join(each, ", ")
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
