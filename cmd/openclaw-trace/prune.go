package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// prune deletes what is too old or too much, or what somebody wants to be gone.
func prune(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("prune")
	var r api.PruneRequest
	flags.DurationVar(&r.OlderThan, "older-than", 0, "")
	flags.StringVar(&r.Call, "call", "", "")
	flags.StringVar(&r.Session, "session", "", "")
	flags.BoolVar(&r.DryRun, "dry-run", false, "")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	wanted := make(map[string]bool)
	for name, is := range map[string]bool{"--older-than": r.OlderThan != 0, "--call": r.Call != "", "--session": r.Session != ""} {
		if is {
			wanted[name] = true
		}
	}
	switch {
	case len(wanted) > 1:
		return usageError("prune: " + strings.Join(slices.Sorted(maps.Keys(wanted)), " and ") + " exclude each other")
	case r.OlderThan < 0, r.OlderThan > 0 && r.OlderThan < time.Millisecond:
		return usageError("prune: --older-than wants a time such as 168h")
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	opts := janitorOptions(cfg, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if r.DryRun && len(wanted) == 0 {
		r.OlderThan = opts.Retention
	}

	var answer api.PruneAnswer
	err = alone(ctx, cfg, "prune", stderr, func(st *store.Store, w *writer.Writer) (err error) {
		var j *janitor.Janitor
		if len(wanted) == 0 && !r.DryRun {
			j = janitor.New(ctx, st, w, opts)
			defer j.Close(context.WithoutCancel(ctx))
		}
		answer.PruneResult, err = pruner(j, st, w, opts)(ctx, r)
		return err
	})
	if errors.Is(err, store.ErrInUse) {
		p := api.Prune{
			Work:        api.Work{Database: absolute(cfg.DBPath)},
			OlderThanMS: r.OlderThan.Milliseconds(), TraceID: r.Call, SessionID: r.Session, DryRun: r.DryRun,
		}
		body, asked := askServer(ctx, cfg, "POST", "/api/v1/prune", p)
		if asked != nil {
			return fmt.Errorf("%w, and it cannot be asked to prune: %w", err, asked)
		}
		defer body.Close()
		if err = json.NewDecoder(body).Decode(&answer); err == nil && answer.Error != "" {
			err = errors.New(answer.Error)
		}
	}
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	if *asJSON {
		return writeJSON(stdout, answer.PruneResult)
	}
	return tellPruned(stdout, answer.PruneResult, r.DryRun)
}

func tellPruned(w io.Writer, r api.PruneResult, dry bool) error {
	var total int64
	var each []string
	for _, kind := range slices.Sorted(maps.Keys(r.Deleted)) {
		total += r.Deleted[kind]
		each = append(each, fmt.Sprintf("%s %d", kind, r.Deleted[kind]))
	}
	text := fmt.Sprintf("%d rows %s", total, map[bool]string{true: "would be deleted", false: "deleted"}[dry])
	if total > 0 {
		text += ": " + strings.Join(each, ", ")
	}
	if r.Undelivered > 0 {
		text += fmt.Sprintf("; %d of them were not delivered", r.Undelivered)
	}
	if r.Texts > 0 {
		text += fmt.Sprintf("; %d calls lost their texts", r.Texts)
	}
	if r.Reason != "" {
		text += "\n" + r.Reason
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// pruner shows the janitor to the server.
func pruner(j *janitor.Janitor, st *store.Store, w *writer.Writer, opts janitor.Options) func(context.Context, api.PruneRequest) (api.PruneResult, error) {
	return func(ctx context.Context, r api.PruneRequest) (api.PruneResult, error) {
		if cmp.Or(r.Call, r.Session) == "" && r.OlderThan == 0 {
			result, err := j.Now(ctx)
			return api.PruneResult(result), err
		}
		result, err := janitor.Prune(ctx, st, w, opts, janitor.Request(r))
		return api.PruneResult(result), err
	}
}
