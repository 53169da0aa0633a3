package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// pushNow forwards what waits: the running sidecar does it, or we do if none runs.
func pushNow(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("push")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	if cfg.PushEndpoint == "" {
		return configError{errors.New("OCT_PUSH_ENDPOINT is not set, so there is nowhere to forward to; accepted: an http or https URL with a host.")}
	}
	version, _ := buildVersion()
	opts, err := pushOptions(cfg, version, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	var result api.DeliveryResult
	err = alone(ctx, cfg, "push", stderr, func(st *store.Store, w *writer.Writer) error {
		p, err := push.New(ctx, st, w, *opts)
		if err != nil {
			return err
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		defer p.Close(ended) // one round is enough
		r, err := p.Now(ctx)
		result = api.DeliveryResult(r)
		return err
	})
	if errors.Is(err, store.ErrInUse) {
		answer, asked := askServer(ctx, cfg, "POST", "/v1/push", struct{}{})
		if asked != nil {
			return fmt.Errorf("%w, and it cannot be asked to push: %w", err, asked)
		}
		defer answer.Close()
		err = json.NewDecoder(answer).Decode(&result)
	}
	if err != nil {
		return err
	}
	if *asJSON {
		if err := writeJSON(stdout, result); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(stdout, "%d events delivered, %d put into quarantine, %d wait\n", result.Delivered, result.Quarantined, result.Pending)
	}
	if result.Error != "" {
		return fmt.Errorf("push: %s", result.Error)
	}
	return nil
}

// quarantine lists or releases the events that the remote will never take.
func quarantine(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("quarantine")
	all := flags.Bool("all", false, "")
	words, err := parseWords(flags, args, math.MaxInt)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return usageError("quarantine: want list, retry or drop")
	}
	action, ids := words[0], words[1:]
	switch {
	case action == "list" && (len(ids) > 0 || *all):
		return usageError("quarantine list takes no ids")
	case action == "list":
	case action != "retry" && action != "drop":
		return usageError(fmt.Sprintf("quarantine: %q is none of list, retry, drop", action))
	case *all == (len(ids) > 0):
		return usageError("quarantine " + action + ": want either ids or --all")
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	if action == "list" {
		var list []push.Quarantined
		err := store.ReadOnly(ctx, cfg.DBPath, func(q *db.Queries) error {
			list, err = push.InQuarantine(ctx, q)
			return err
		})
		if err != nil {
			return fmt.Errorf("quarantine list: %w", err)
		}
		if *asJSON {
			return writeJSON(stdout, append([]push.Quarantined{}, list...))
		}
		for _, e := range list {
			fmt.Fprintf(stdout, "%s  %-13s  %s  %s\n", time.UnixMilli(e.At).UTC().Format(time.DateTime), e.Kind, e.TraceID, e.Reason)
		}
		_, err = fmt.Fprintf(stdout, "%d events are in quarantine\n", len(list))
		return err
	}

	var line api.WorkLine
	err = alone(ctx, cfg, "quarantine "+action, stderr, func(_ *store.Store, w *writer.Writer) error {
		line.Rows, err = push.Release(ctx, w, action == "drop", ids...)
		return err
	})
	if errors.Is(err, store.ErrInUse) {
		q := api.Quarantine{Work: api.Work{Database: absolute(cfg.DBPath)}, Action: action, TraceIDs: ids, All: *all}
		answer, asked := askServer(ctx, cfg, "POST", "/api/v1/quarantine", q)
		if asked != nil {
			return fmt.Errorf("%w, and it cannot be asked to %s: %w", err, action, asked)
		}
		defer answer.Close()
		err = json.NewDecoder(answer).Decode(&line)
	}
	if err != nil {
		return err
	}
	if *asJSON {
		return writeJSON(stdout, map[string]int64{"events": line.Rows})
	}
	did := map[string]string{"retry": "will be forwarded again", "drop": "were deleted"}[action]
	_, err = fmt.Fprintf(stdout, "%d events %s\n", line.Rows, did)
	return err
}
