package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/kon-rad/openclaw-trace/internal/store"
)

// backup copies the database into a new file, also while a sidecar has it open.
func backup(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("backup")
	words, err := parseWords(flags, args, 1)
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return usageError("backup: want the file to be written")
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	if err := store.Backup(ctx, cfg.DBPath, words[0]); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	info, err := os.Stat(words[0])
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if *asJSON {
		return writeJSON(stdout, map[string]any{"file": words[0], "bytes": info.Size()})
	}
	_, err = fmt.Fprintf(stdout, "%s holds a copy of %s, %d bytes\n", words[0], cfg.DBPath, info.Size())
	return err
}
