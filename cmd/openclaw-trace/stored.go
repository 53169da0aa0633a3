package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// reprice computes the costs of stored calls anew, after prices have changed.
func reprice(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("reprice")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	result, err := onStored(ctx, cfg, "reprice", stderr, func(w *writer.Writer, progress writer.Progress) (line api.WorkLine, err error) {
		table, err := loadPrices(cfg)
		if err != nil {
			return line, configError{err}
		}
		line.Version = table.Version()
		line.Changed, err = w.Reprice(ctx, table, progress)
		return line, err
	})
	if err != nil {
		return err
	}
	if *asJSON {
		return writeJSON(stdout, result)
	}
	var calls int64
	for _, c := range result.Changed {
		calls += c.Calls
		fmt.Fprintf(stdout, "%-20s %-40s %6d calls, %6d with a cost: $%.6f, was $%.6f\n", c.Provider, c.Model, c.Calls, c.Known, c.AfterUSD, c.BeforeUSD)
	}
	_, err = fmt.Fprintf(stdout, "%d calls have another cost by price table %s. Reported costs stay as they are.\n", calls, result.Version)
	return err
}

// onStored has work done on the stored events: by do if nobody has the database open,
// and otherwise by the server that has.
func onStored(ctx context.Context, cfg *config.Config, command string, stderr io.Writer, do func(*writer.Writer, writer.Progress) (api.WorkLine, error)) (api.WorkLine, error) {
	told := int64(-1)
	progress := func(rows, of int64) {
		if tenth := 10 * rows / max(of, 1); tenth != told {
			told = tenth
			fmt.Fprintf(stderr, "%s: %d of %d\n", command, rows, of)
		}
	}
	var line api.WorkLine
	err := alone(ctx, cfg, command, stderr, func(_ *store.Store, w *writer.Writer) (err error) {
		line, err = do(w, progress)
		line.Done = err == nil
		return err
	})
	if !errors.Is(err, store.ErrInUse) {
		return line, err
	}
	inUse := err
	answer, err := askServer(ctx, cfg, "POST", "/api/v1/"+command, api.Work{Database: absolute(cfg.DBPath)})
	if err != nil {
		return line, fmt.Errorf("%w, and it cannot be asked to %s: %w", inUse, command, err)
	}
	defer answer.Close()
	for lines := json.NewDecoder(answer); ; {
		var line api.WorkLine
		switch err := lines.Decode(&line); {
		case err != nil:
			return line, fmt.Errorf("%s: the server stopped half-way; run the command again: %w", command, err)
		case line.Error != "":
			return line, fmt.Errorf("%s: the server says: %s", command, line.Error)
		case line.Done:
			return line, nil
		}
		progress(line.Rows, line.Of)
	}
}

// alone opens the database for writing, which must exist and be open nowhere else.
func alone(ctx context.Context, cfg *config.Config, command string, stderr io.Writer, do func(*store.Store, *writer.Writer) error) error {
	if _, err := os.Stat(cfg.DBPath); err != nil {
		return fmt.Errorf("%s: the database cannot be found: %w", command, err)
	}
	return withWriter(ctx, cfg, stderr, do)
}

// withWriter opens the database for writing, and makes it if it is not there.
func withWriter(ctx context.Context, cfg *config.Config, stderr io.Writer, do func(*store.Store, *writer.Writer) error) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	opts, err := writerOptions(cfg, log)
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, store.Options{Path: cfg.DBPath, Synchronous: cfg.Synchronous, Log: log})
	if err != nil {
		return err
	}
	w, err := writer.New(st, opts)
	if err != nil {
		return errors.Join(err, st.Close())
	}
	err = do(st, w)
	_ = w.Close(context.Background()) // fails only when its context ends
	return errors.Join(err, w.Err(), st.Close())
}

// absolute returns path as another process finds it.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// askServer asks the running server and returns its answer, which is 200. body is sent as
// JSON unless it is nil.
func askServer(ctx context.Context, cfg *config.Config, method, path string, body any) (io.ReadCloser, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	host := cfg.ListenHosts()[0]
	if cfg.AnyInterface() {
		host = "127.0.0.1"
	}
	url := "http://" + net.JoinHostPort(host, strconv.Itoa(cfg.Port)) + path
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if cfg.AuthToken != "" {
		request.Header.Set("Authorization", "Bearer "+cfg.AuthToken.Reveal())
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy: it is this machine
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		var refusal struct{ Message string }
		_ = json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&refusal) // the status says enough
		return nil, &serverError{answer.StatusCode, answer.Status, refusal.Message}
	}
	return answer.Body, nil
}

// serverError is a refusal of the server.
type serverError struct {
	status       int
	text, reason string
}

func (e *serverError) Error() string { return e.text + ": " + e.reason }

// newFlags returns the flags of a command, all of which have --json.
func newFlags(name string) (*flag.FlagSet, *bool) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags, flags.Bool("json", false, "")
}

// parseWords parses args, in which flags and words may stand in any order, and returns
// the words, of which there may be so many.
func parseWords(flags *flag.FlagSet, args []string, most int) (words []string, err error) {
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, usageError(flags.Name() + ": " + err.Error())
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		if len(words) == most {
			return nil, usageError(fmt.Sprintf("%s: unexpected %q", flags.Name(), args[0]))
		}
		words, args = append(words, args[0]), args[1:]
	}
	return words, nil
}

// parseAll parses args, in which there may be only flags.
func parseAll(flags *flag.FlagSet, args []string) error {
	_, err := parseWords(flags, args, 0)
	return err
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(forTerminal(w))
	e.SetIndent("", "  ")
	return e.Encode(v)
}
