package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// healthTimeout is shorter than what containers allow such a check by default.
const healthTimeout = 5 * time.Second

// healthcheck asks the running sidecar how it is, for images without curl. It fails when
// events cannot be stored; that a remote takes none is no reason to restart it.
func healthcheck(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("healthcheck")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	answer, err := askServer(ctx, cfg, "GET", "/health", nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer answer.Close()
	body, err := io.ReadAll(answer)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	var health struct {
		Status  string
		Reasons []string
	}
	if err := json.Unmarshal(body, &health); err != nil {
		return fmt.Errorf("healthcheck: what answers on port %d is no openclaw-trace: %w", cfg.Port, err)
	}
	text := strings.Join(append([]string{health.Status}, health.Reasons...), "\n  ")
	if *asJSON {
		text = strings.TrimSpace(string(body))
	}
	if _, err := fmt.Fprintln(stdout, text); err != nil {
		return err
	}
	if health.Status == "error" {
		return fmt.Errorf("healthcheck: events cannot be stored")
	}
	return nil
}
