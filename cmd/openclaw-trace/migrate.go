package main

import (
	"context"
	"fmt"
	"io"

	"github.com/kon-rad/openclaw-trace/internal/store"
)

// migrate changes or shows the schema of the database at OCT_DB_PATH. The sidecar
// migrates by itself when it starts; this is for those who want to look first.
func migrate(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("migrate")
	words, err := parseWords(flags, args, 1)
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return usageError("migrate: want up, down, status or version")
	}
	action := words[0]
	var do func(context.Context, string) (int64, error)
	switch action {
	case "up":
		do = store.MigrateUp
	case "down":
		do = store.MigrateDown
	case "status", "version":
	default:
		return usageError("migrate: want up, down, status or version")
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}

	report := struct {
		Database   string            `json:"database"`
		Version    int64             `json:"version"`
		Migrations []store.Migration `json:"migrations,omitempty"`
	}{Database: cfg.DBPath}
	if do != nil {
		report.Version, err = do(ctx, cfg.DBPath)
	} else {
		report.Migrations, report.Version, err = store.MigrationStatus(ctx, cfg.DBPath)
	}
	if err != nil {
		return fmt.Errorf("migrate %s %s: %w", action, cfg.DBPath, err)
	}
	if action != "status" {
		report.Migrations = nil
	}
	switch {
	case *asJSON:
		return writeJSON(stdout, report)
	case action == "version":
		_, err = fmt.Fprintln(stdout, report.Version)
	case action == "status":
		for _, m := range report.Migrations {
			state := "pending"
			if m.Applied {
				state = "applied"
			}
			fmt.Fprintf(stdout, "%-8s %s\n", state, m.File)
		}
		if n := len(report.Migrations); n > 0 && report.Version > report.Migrations[n-1].Version {
			fmt.Fprintf(stdout, "The database has schema version %d, which is newer than this binary.\n", report.Version)
		}
	default:
		_, err = fmt.Fprintf(stdout, "%s has schema version %d\n", report.Database, report.Version)
	}
	return err
}
