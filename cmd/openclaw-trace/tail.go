package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// maxStreamLine is more than a row of a list can have.
const maxStreamLine = 1 << 20

// follow shows what arrives at the running sidecar. It begins when the sidecar answers,
// comes back to it when it goes away, gets what arrived between, or how much of it is too
// much to show, and ends with ctx.
func follow(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("tail")
	takes := slices.DeleteFunc(slices.Clone(api.StreamParams), func(name string) bool { return name == "after" })
	values, parse := filterFlags(flags, takes...)
	if err := parseAll(flags, args); err != nil {
		return err
	}
	f, err := parse()
	if err != nil {
		return err
	}
	for kind := range strings.SplitSeq(values.Get("kinds"), ",") {
		if kind != "" && !slices.Contains(view.LiveKinds, kind) {
			return usageError("tail: --kinds: want some of " + strings.Join(view.LiveKinds, ",") + ", separated by commas")
		}
	}
	values.Del("zone") // it is only for showing
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	t := &follower{
		cfg: cfg, query: values, stdout: forTerminal(stdout), stderr: stderr, asJSON: *asJSON,
		terminal: newTerminal(stdout, environ, f.Location()),
	}
	return t.run(ctx)
}

// follower is a client of the stream.
type follower struct {
	*terminal
	cfg    *config.Config
	query  url.Values
	stdout io.Writer // for JSON
	stderr io.Writer
	asJSON bool
	seen   string // the id of the last event
	open   bool   // the server has answered before
}

// run connects again and again. Only a server that was never there, or that refuses what
// is asked, ends it.
func (f *follower) run(ctx context.Context) error {
	told := false
	for wait := time.Second; ; wait = min(2*wait, 10*time.Second) {
		began := f.seen
		err := f.once(ctx, func() {
			if told {
				fmt.Fprintln(f.stderr, "openclaw-trace: tail: the sidecar answers again")
			}
			told = false
		})
		if ctx.Err() != nil {
			return nil
		}
		var ours *outputError
		var refused *serverError
		switch {
		case errors.As(err, &ours):
			return ours.error
		case errors.As(err, &refused) && refused.status == http.StatusUnauthorized:
			return fmt.Errorf("tail: %w; OCT_AUTH_TOKEN is not the one of the sidecar", err)
		case !f.open:
			return fmt.Errorf("tail: %w; is the sidecar running, with this OCT_PORT?", err)
		case errors.As(err, &refused) && refused.status < 500:
			return fmt.Errorf("tail: %w", err)
		}
		if f.seen != began {
			wait = time.Second
		}
		if !told {
			fmt.Fprintf(f.stderr, "openclaw-trace: tail: the sidecar went away (%v); waiting for it\n", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// outputError is one of our own output, which no other try will mend.
type outputError struct{ error }

// once follows until the stream ends.
func (f *follower) once(ctx context.Context, opened func()) error {
	query := maps.Clone(f.query)
	if f.seen != "" {
		query.Set("after", f.seen)
	}
	body, err := askServer(ctx, f.cfg, http.MethodGet, "/api/v1/stream?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if !f.open {
		fmt.Fprintln(f.stderr, "openclaw-trace: tail: waiting for what arrives; Ctrl-C ends it")
	}
	f.open = true
	opened()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxStreamLine)
	var kind string
	for lines.Scan() {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(name) {
		case "event":
			kind = string(value)
		case "id":
			f.seen = string(value)
		case "data":
			if err := f.event(kind, value); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("it ended the stream")
}

// event shows one event of the stream.
func (f *follower) event(kind string, data []byte) error {
	switch kind {
	case "more":
		var more map[string]int64
		if json.Unmarshal(data, &more) != nil {
			return nil // of a later version
		}
		for _, k := range slices.Sorted(maps.Keys(more)) {
			fmt.Fprintf(f.stderr, "openclaw-trace: tail: too much at once: up to %s not shown\n", readable.Plural(more[k], "more "+k+" is", "more "+k+"s are"))
		}
		return nil
	case "reset":
		fmt.Fprintln(f.stderr, "openclaw-trace: tail: the sidecar has another database now")
		return nil
	}
	if f.asJSON {
		var object bytes.Buffer
		fmt.Fprintf(&object, `{"kind":%q`, kind)
		if !bytes.HasPrefix(data, []byte(`{"kind":`)) {
			object.WriteByte(',')
			object.Write(bytes.TrimPrefix(data, []byte("{")))
		} else {
			object.Reset()
			object.Write(data)
		}
		object.WriteByte('\n')
		if _, err := f.stdout.Write(object.Bytes()); err != nil {
			return &outputError{err}
		}
		return nil
	}
	var cells []cell
	switch kind {
	case view.KindCall:
		var c view.CallRow
		if err := json.Unmarshal(data, &c); err != nil {
			return err
		}
		cells = f.callCells(&c)
	case view.KindReading:
		var r view.Reading
		if err := json.Unmarshal(data, &r); err != nil {
			return err
		}
		cells = []cell{{f.clock(r.CreatedAt), plain}, {r.TraceID[:min(len(r.TraceID), idDigits)], dim}, {kind, dim}, {f.host(&r), plain}}
	default:
		var e view.Entry
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		status := cell{line(e.Severity, 8), statusStyle(e.Severity)}
		if e.Severity == "" {
			status = cell{kind, dim}
		}
		cells = []cell{{f.clock(e.CreatedAt), plain}, {e.TraceID[:min(len(e.TraceID), idDigits)], dim}, status, {line(e.Name, 36), plain}, {line(value(e.Message), 120), dim}}
	}
	f.row(cells)
	if err := f.flush(); err != nil {
		return &outputError{err}
	}
	return nil
}

// row writes cells in columns of the usual widths, since the next ones are not known.
func (t *terminal) row(cells []cell) {
	widths := []int{0, idDigits, 8, 32, 7, 7, 8, 8, 16}
	for i, c := range cells {
		space := ""
		if i < len(cells)-1 {
			space = strings.Repeat(" ", max(widths[i]-len([]rune(c.text)), 0))
		}
		if i >= 4 && i <= 7 && i < len(cells)-1 { // numbers
			t.WriteString(space + t.paint(c.text, c.as))
		} else {
			t.WriteString(t.paint(c.text, c.as) + space)
		}
		if i < len(cells)-1 {
			t.WriteString("  ")
		}
	}
	t.WriteByte('\n')
}
