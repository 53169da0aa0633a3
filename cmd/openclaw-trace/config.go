package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/kon-rad/openclaw-trace/internal/config"
)

// configuration checks the settings as a start would, files that they name included, or
// prints what they come to. Nothing is touched.
func configuration(_ context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("config")
	words, err := parseWords(flags, args, 1)
	if err != nil {
		return err
	}
	if len(words) != 1 || words[0] != "check" && words[0] != "print" {
		return usageError("config: want check or print")
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	if words[0] == "print" {
		return printSettings(stdout, cfg, environ, *asJSON)
	}
	version, _ := buildVersion()
	if _, err := sessionOptionsOf(cfg, version, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if *asJSON {
		return writeJSON(stdout, map[string]bool{"valid": true})
	}
	_, err = fmt.Fprintln(stdout, "the settings are valid")
	return err
}

// printSettings prints the settings as a file of variables, secrets hidden.
func printSettings(w io.Writer, cfg *config.Config, environ []string, asJSON bool) error {
	set := make(map[string]bool)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		set[name] = value != ""
	}
	type setting struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		From  string `json:"from"` // environment | default
	}
	var list []setting
	for _, s := range cfg.Settings() {
		from := "default"
		if set[s.Name] {
			from = "environment"
		}
		list = append(list, setting{s.Name, s.Value, from})
	}
	if asJSON {
		return writeJSON(w, list)
	}
	for _, s := range list {
		if _, err := fmt.Fprintf(w, "%-60s # %s\n", s.Name+"="+s.Value, s.From); err != nil {
			return err
		}
	}
	return nil
}
