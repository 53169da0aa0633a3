package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// What commands that read have in common.

// filterFlags gives flags one for each parameter of the API that takes lists, under the
// same name; min_cost may also be written min-cost. Times are in the local zone unless
// --zone says another. What it returns is called after the flags were parsed.
func filterFlags(flags *flag.FlagSet, takes ...string) (values url.Values, filter func() (view.Filter, error)) {
	values = url.Values{"zone": {"local"}}
	if !slices.Contains(takes, "zone") {
		takes = append(slices.Clone(takes), "zone")
	}
	for _, name := range takes {
		set := func(s string) error {
			values.Set(name, s)
			return nil
		}
		flags.Func(name, "", set)
		if dashed := strings.ReplaceAll(name, "_", "-"); dashed != name {
			flags.Func(dashed, "", set)
		}
	}
	return values, func() (view.Filter, error) {
		f, err := view.Parse(values, takes...)
		if wrong, ok := errors.AsType[*view.ParamError](err); ok {
			return f, usageError(flags.Name() + ": --" + wrong.Name + ": " + wrong.Message)
		}
		if from, until := f.Range(time.Now()); err == nil && f.Until != (view.Instant{}) && from >= until {
			return f, usageError(flags.Name() + ": --until: it is not after --since")
		}
		return f, err
	}
}

// limitFlag is a number of rows.
func limitFlag(flags *flag.FlagSet, otherwise int) *int {
	limit := otherwise
	flags.Func("limit", "", func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("want a number from 1 on")
		}
		limit = n
		return nil
	})
	return &limit
}

// reading calls f with what reads the database, which may be open in a sidecar. All its
// answers are as of one moment.
func reading(ctx context.Context, cfg *config.Config, command string, f func(view.Reader) error) error {
	r, err := store.OpenReader(ctx, cfg.DBPath)
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	now := time.Now()
	err = f(func(ctx context.Context, ask func(*view.View) error) error {
		return r.Read(ctx, func(q *db.Queries) error { return ask(view.At(q, now)) })
	})
	if wrong, ok := errors.AsType[*view.ParamError](err); ok {
		err = usageError(command + ": --" + wrong.Name + ": " + wrong.Message)
	} else if err != nil {
		err = fmt.Errorf("%s: %w", command, err)
	}
	return errors.Join(err, r.Close())
}

// progress tells people on a terminal how far something is that takes longer than a
// second. Its last word is taken away again, so that the result stands alone.
type progress struct {
	w     io.Writer // nil if nobody looks
	next  time.Time
	shown bool
}

func newProgress(stderr io.Writer) *progress {
	p := &progress{next: time.Now().Add(time.Second)}
	if isTerminal(stderr) {
		p.w = stderr
	}
	return p
}

// say shows what text returns, if it is time.
func (p *progress) say(text func() string) {
	if p.w == nil || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(200 * time.Millisecond)
	p.shown = true
	fmt.Fprintf(p.w, "\r\x1b[K%s", text())
}

// during shows a text as long as f runs, for what cannot say how far it is.
func (p *progress) during(what string, f func() error) error {
	if p.w == nil {
		return f()
	}
	done := make(chan error, 1)
	begun := time.Now()
	go func() { done <- f() }()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	defer p.end()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			p.say(func() string { return what + ", for " + readable.Span(time.Since(begun).Milliseconds()) })
		}
	}
}

func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
