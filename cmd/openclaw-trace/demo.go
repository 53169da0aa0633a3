package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/demo"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// demoDBPath is where sample data go unless OCT_DB_PATH is set: beside the sidecar's
// database, so that they never mix.
const demoDBPath = "/data/openclaw-trace-demo.db"

// runDemo fills a database of its own with sample data and runs the sidecar on it.
func runDemo(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, _ := newFlags("demo")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	if !slices.ContainsFunc(environ, func(s string) bool { return strings.HasPrefix(s, "OCT_DB_PATH=") && s != "OCT_DB_PATH=" }) {
		environ = append(slices.Clip(environ), "OCT_DB_PATH="+demoDBPath)
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(cfg.DBPath), 0o700); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	err = withWriter(ctx, cfg, stderr, func(_ *store.Store, w *writer.Writer) error {
		if err := demo.Fill(ctx, w, time.Now()); err != nil {
			return fmt.Errorf("demo: %s: %w; accepted: an OCT_DB_PATH where nothing is yet", cfg.DBPath, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "Open http://localhost:%d/ to look around in sample data; other commands show them with OCT_DB_PATH=%s. Ctrl-C ends it; the file can be removed then.\n", cfg.Port, cfg.DBPath)
	return serve(ctx, environ, stdout, stderr)
}
