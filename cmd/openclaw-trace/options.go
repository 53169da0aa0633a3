package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/agentproc"
	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/dashboard"
	"github.com/kon-rad/openclaw-trace/internal/hoststat"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/redact"
	"github.com/kon-rad/openclaw-trace/internal/tail"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// sessionOptions are what the parts of a session need.
type sessionOptions struct {
	writer  writer.Options
	push    *push.Options // nil without a remote
	janitor janitor.Options
	host    hoststat.Options
	agent   agentproc.Options
	tail    *tail.Options // nil if no log is followed
}

func sessionOptionsOf(cfg *config.Config, version string, log *slog.Logger) (o sessionOptions, err error) {
	o.janitor = janitorOptions(cfg, log)
	o.host = hoststat.Options{DBPath: cfg.DBPath, Interval: cfg.MetricsInterval, Log: log}
	o.agent = agentproc.Options{
		Process: cfg.AgentProcess, PIDFile: cfg.AgentPIDFile, Interval: cfg.MetricsInterval,
		SilentAfter: cfg.AgentSilence, MinFreeBytes: int64(cfg.MinFreeBytes), Log: log,
	}
	if cfg.LogPath != "" {
		o.tail = &tail.Options{Path: cfg.LogPath, KeepEvents: cfg.LogEvents, MaxText: cfg.MaxText(), Log: log}
		for _, own := range []*os.File{os.Stdout, os.Stderr} {
			if info, err := own.Stat(); err == nil {
				o.tail.Avoid = append(o.tail.Avoid, info)
			}
		}
		if err := o.tail.Validate(); err != nil {
			return o, configError{err}
		}
	}
	if o.writer, err = writerOptions(cfg, log); err == nil {
		o.push, err = pushOptions(cfg, version, log)
	}
	return o, err
}

// janitorOptions returns what the settings say of deleting.
func janitorOptions(cfg *config.Config, log *slog.Logger) janitor.Options {
	return janitor.Options{
		Remote: cfg.PushEndpoint != "", Retention: time.Duration(cfg.RetentionDays) * 24 * time.Hour,
		MaxDBBytes: int64(cfg.MaxDBBytes), MinFreeBytes: int64(cfg.MinFreeBytes), Interval: cfg.JanitorInterval, Log: log,
	}
}

// pushOptions returns what the settings say of forwarding, or nil without a remote.
func pushOptions(cfg *config.Config, version string, log *slog.Logger) (*push.Options, error) {
	if cfg.PushEndpoint == "" {
		return nil, nil
	}
	o := &push.Options{
		Endpoint: cfg.PushEndpoint.Reveal(), Format: cfg.PushFormat, Interval: cfg.PushInterval, Timeout: cfg.PushTimeout,
		MaxBytes: int(cfg.PushMaxBytes), Compression: cfg.PushCompression, Headers: cfg.PushHeaders, Token: cfg.PushToken.Reveal(),
		Instance: push.Instance{AgentID: cfg.AgentID, Version: version}, Log: log, Proxy: http.ProxyFromEnvironment,
		Mask: redact.New(redact.Options{Secrets: cfg.Secrets()}), // whatever OCT_REDACT says of what the agent sends
	}
	o.Instance.Host, _ = os.Hostname() // without one it is left out
	if cfg.PushCAFile != "" {
		ca, err := os.ReadFile(cfg.PushCAFile)
		if err != nil {
			return nil, configError{fmt.Errorf("OCT_PUSH_CA_FILE: %w", err)}
		}
		o.CA = ca
	}
	if err := o.Validate(); err != nil {
		return nil, configError{err}
	}
	return o, nil
}

// writerOptions returns what the settings say of how events are stored.
func writerOptions(cfg *config.Config, log *slog.Logger) (writer.Options, error) {
	prices, err := loadPrices(cfg)
	if err != nil {
		return writer.Options{}, configError{err}
	}
	return writer.Options{
		MaxTextBytes: cfg.MaxText(), MaxQueueBytes: maxQueueBytes, NoContent: cfg.CaptureContent == "off",
		Mask: newMasker(cfg), Prices: prices, Tally: writer.NewTally(), Log: log,
	}, nil
}

// newMasker returns what the settings say is to be masked, or nil.
func newMasker(cfg *config.Config) *redact.Masker {
	if !cfg.Redacts("secrets") {
		return nil
	}
	return redact.New(redact.Options{Emails: cfg.Redacts("emails"), Cards: cfg.Redacts("cards"), Secrets: cfg.Secrets()})
}

// maxPricesFile is a limit for mistakes; openclaw.json may hold much besides prices.
const maxPricesFile = 16 << 20

// loadPrices returns the built-in prices with those of OCT_PRICES_FILE before them.
func loadPrices(cfg *config.Config) (*pricing.Table, error) {
	table := pricing.Embedded()
	if cfg.PricesFile == "" {
		return table, nil
	}
	file, err := os.Open(cfg.PricesFile)
	if err != nil {
		return nil, fmt.Errorf("OCT_PRICES_FILE: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxPricesFile+1))
	if err != nil {
		return nil, fmt.Errorf("OCT_PRICES_FILE: %w", err)
	}
	if len(data) > maxPricesFile {
		return nil, fmt.Errorf("OCT_PRICES_FILE: %s is larger than 16 MiB", cfg.PricesFile)
	}
	if table, err = table.With(cfg.PricesFile, data); err != nil {
		return nil, fmt.Errorf("OCT_PRICES_FILE: %w", err)
	}
	return table, nil
}

// dashboardOptions shows the server's database to the pages.
func dashboardOptions(cfg *config.Config, version string, server *api.Server, log *slog.Logger) dashboard.Options {
	o := dashboard.Options{
		Version: version, Reasons: server.Reasons, Log: log,
		Session: func() *dashboard.Session {
			s := server.Session()
			if s == nil {
				return nil
			}
			shown := &dashboard.Session{Store: s.Store, Writer: s.Writer}
			if d := s.Delivery; d != nil {
				shown.Delivery = &dashboard.Delivery{
					Endpoint: cfg.PushEndpoint.String(), Release: d.Release,
					Status: func() dashboard.DeliveryStatus { return dashboard.DeliveryStatus(d.Status()) },
					Now: func(ctx context.Context) (dashboard.DeliveryResult, error) {
						r, err := d.Now(ctx)
						return dashboard.DeliveryResult(r), err
					},
				}
			}
			return shown
		},
	}
	if cfg.AuthToken != "" {
		o.LogIn, o.LogOut = server.LogIn, server.LogOut
	}
	return o
}
