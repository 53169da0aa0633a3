package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/cgroup"
	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/dashboard"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// maxQueueBytes bounds the batches that wait to be stored.
const maxQueueBytes = 16 << 20

// uncounted is room for memory that is not the collector's: SQLite's, and the pages of the
// program.
const uncounted = 24 << 20

// setHeap gives the heap a floor, which is to be kept alive, and the garbage collector
// a soft limit, which GOMEMLIMIT overrides. The floor is never touched, so the kernel
// gives no page for it; the collector counts it as live and so runs less often than a
// heap this small would have it. Near the limit it runs more; a body of 16 MiB takes
// it there for as long as it is in memory, larger ones get more room. In a container,
// whose limit may be less, the rest is left room for, but the collector gets half.
func setHeap(maxBody, container int64) (floor []byte) {
	limit := 28<<20 + max(0, maxBody-16<<20)
	if container > 0 {
		limit = min(limit, max(container-uncounted, container/2))
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(limit)
	}
	return make([]byte, 8<<20)
}

// serveAlone is the command without any arguments.
func serveAlone(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		return usageError("serve takes no arguments")
	}
	return serve(ctx, environ, stdout, stderr)
}

// serve runs the sidecar until ctx is done. The listeners stand outside; inside, a
// session is one open database. A session that can no longer be trusted (a replaced
// file, damage, a failed sync) ends, and the next one is a normal start.
func serve(ctx context.Context, environ []string, stdout, stderr io.Writer) (err error) {
	started := time.Now()
	cfg, err := loadConfig(environ, stderr)
	if err != nil {
		return err
	}
	container, limitErr := cgroup.Limit(os.DirFS("/"))
	defer runtime.KeepAlive(setHeap(int64(cfg.MaxBodyBytes), container))
	log := slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: cfg.LogLevel}))
	version, _ := buildVersion()
	log.Info("openclaw-trace " + version + " starting...")
	log.LogAttrs(ctx, slog.LevelInfo, "settings", slog.Any("", cfg))
	if limitErr != nil && !errors.Is(limitErr, cgroup.ErrNone) {
		log.Warn("the memory limit of the container is not known; GOMEMLIMIT sets one by hand", "err", limitErr)
	}
	if cfg.PushEndpoint == "" {
		log.Warn("push is disabled: OCT_PUSH_ENDPOINT is not set; events are kept here only")
	}

	opts, err := sessionOptionsOf(cfg, version, log)
	if err != nil {
		return err
	}
	session, err := open(ctx, cfg, opts, nil, "")
	switch {
	case err != nil && ctx.Err() != nil:
		log.Info("signal received", "cause", context.Cause(ctx).Error())
		return nil
	case err != nil && !store.MayPass(err) && !store.IsDamage(err):
		return err
	}
	cause := err                         // why there is no session
	defer func() { session.discard() }() // does nothing after an orderly stop

	listeners, err := listen(cfg, log)
	if err != nil {
		return err
	}
	server := api.New(apiOptions(cfg, version, log))
	locked, free := dashboard.Patterns()
	server.Pages(dashboard.New(dashboardOptions(cfg, version, server, log)), locked, free)
	last := session // whose books the end tells
	if session != nil {
		server.Use(&session.Session)
	} else {
		server.Lost(cause.Error())
	}
	srv := server.HTTPServer()
	failed := make(chan error, len(listeners))
	var serving sync.WaitGroup
	var addrs []string
	for _, l := range listeners {
		addrs = append(addrs, l.Addr().String())
		serving.Go(func() { failed <- srv.Serve(l) })
	}
	debug.FreeOSMemory() // what the start needed, it needs no more; connections are taken meanwhile
	log.Info("listening", "addresses", addrs)

	for running := true; running; {
		if session == nil {
			if session, err = reopen(ctx, cfg, opts, cause, server.Lost); session == nil {
				break
			}
			if last != nil {
				session.Writer.Count(last.Writer.Uncounted())
			}
			last = session
			server.Use(&session.Session)
		}
		select {
		case <-ctx.Done():
			running = false
		case err = <-failed:
			log.Error("a listener failed", "err", err)
			running = false
		case cause = <-session.failed:
			log.Error("the database is closed and will be opened anew", "err", cause)
			server.Lost(cause.Error())
			session.discard()
			session = nil
		}
	}
	if ctx.Err() != nil {
		log.Info("signal received", "cause", context.Cause(ctx).Error())
	}

	// One budget for all steps. Whatever it cuts short, what was answered is stored.
	budget, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	server.Stop()
	shutdown(budget, srv)
	serving.Wait()
	var books writer.Books
	if last != nil {
		log.Info("requests finished", "queue_depth", last.Writer.Depth())
		last.stopParts(budget)
		last.finalPush(budget)
		err = errors.Join(err, last.close(budget))
		books = last.Writer.Books()
	}
	if err != nil {
		log.Error("the shutdown was not clean", "err", err)
	}
	log.Info("shutdown complete", "received", books.Received, "pending", books.Pending(), "delivered", books.Delivered,
		"duplicates", books.Duplicates, "refused", books.Refused,
		"uptime_seconds", int64(time.Since(started).Seconds()))
	return err
}

func apiOptions(cfg *config.Config, version string, log *slog.Logger) api.Options {
	hosts := slices.Clone(cfg.AllowedHosts)
	if cfg.Host != "*" {
		hosts = append(hosts, cfg.Host)
	}
	return api.Options{
		Version: version, AuthToken: cfg.AuthToken.Reveal(),
		AnyHost: cfg.AnyInterface(), AllowedHosts: hosts,
		MaxBodyBytes: int64(cfg.MaxBodyBytes), MaxTextBytes: cfg.MaxText(),
		PushEnabled: cfg.PushEndpoint != "", PushInterval: cfg.PushInterval, Log: log,
		LoadPrices: func() (*pricing.Table, error) { return loadPrices(cfg) },
	}
}

// shutdown stops listening and waits for the requests under way. They answer within
// writer.MaxWait; a connection that has not asked for anything is not waited for.
func shutdown(ctx context.Context, srv *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, writer.MaxWait+time.Second)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close() // nothing is left to do with an error
	}
}

// listen binds all addresses, or none.
func listen(cfg *config.Config, log *slog.Logger) (list []net.Listener, err error) {
	if list, err = bind(cfg, cfg.Port); err != nil {
		closeAll(list)
		return nil, fmt.Errorf("listen on OCT_PORT %d: %w", cfg.Port, err)
	}
	if cfg.OTLPPort != 0 {
		otlp, err := bind(cfg, cfg.OTLPPort)
		switch {
		case err == nil:
			list = append(list, otlp...)
		case cfg.OTLPPortSet:
			closeAll(append(list, otlp...))
			return nil, fmt.Errorf("listen on OCT_OTLP_PORT %d: %w", cfg.OTLPPort, err)
		default:
			closeAll(otlp) // half a port is none
			log.Warn("OTLP's default port is taken; exporters have to be pointed at OCT_PORT", "port", cfg.OTLPPort, "err", err)
		}
	}
	limiter := new(api.Limiter)
	for i, l := range list {
		list[i] = limiter.Listener(l)
	}
	return list, nil
}

// bind listens on a port of all addresses. With an error it returns those that it has got.
func bind(cfg *config.Config, port int) (list []net.Listener, err error) {
	for _, host := range cfg.ListenHosts() {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if host == "::1" && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
			continue // a machine without IPv6
		}
		if err != nil {
			return list, err
		}
		list = append(list, l)
	}
	return list, nil
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		_ = l.Close() // nothing was accepted from it
	}
}
