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
	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/dashboard"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/redact"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// maxQueueBytes bounds the batches that wait to be stored.
const maxQueueBytes = 16 << 20

// setHeap gives the heap a floor, which is to be kept alive, and the garbage collector
// a soft limit, which GOMEMLIMIT overrides. The floor is never touched, so the kernel
// gives no page for it; the collector counts it as live and so runs less often than a
// heap this small would have it. Near the limit it runs more; a body of 16 MiB takes
// it there for as long as it is in memory, larger ones get more room. SQLite's memory
// is not counted.
func setHeap(maxBody int64) (floor []byte) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(28<<20 + max(0, maxBody-16<<20))
	}
	return make([]byte, 8<<20)
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
	defer runtime.KeepAlive(setHeap(int64(cfg.MaxBodyBytes)))
	log := slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: cfg.LogLevel}))
	version, _ := buildVersion()
	log.Info("openclaw-trace " + version + " starting...")
	log.LogAttrs(ctx, slog.LevelInfo, "settings", slog.Any("", cfg))
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
	log.Info("listening", "addresses", addrs)
	debug.FreeOSMemory() // what the start needed, it needs no more

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
		o.LogIn = server.LogIn
	}
	return o
}

// sessionOptions are what the parts of a session need.
type sessionOptions struct {
	writer writer.Options
	push   *push.Options // nil without a remote
}

func sessionOptionsOf(cfg *config.Config, version string, log *slog.Logger) (o sessionOptions, err error) {
	if o.writer, err = writerOptions(cfg, log); err == nil {
		o.push, err = pushOptions(cfg, version, log)
	}
	return o, err
}

// pushOptions returns what the settings say of forwarding, or nil without a remote.
func pushOptions(cfg *config.Config, version string, log *slog.Logger) (*push.Options, error) {
	if cfg.PushEndpoint == "" {
		return nil, nil
	}
	o := &push.Options{
		Endpoint: cfg.PushEndpoint.Reveal(), Format: cfg.PushFormat, Interval: cfg.PushInterval, Timeout: cfg.PushTimeout,
		MaxBytes: int(cfg.PushMaxBytes), Compression: cfg.PushCompression, Headers: cfg.PushHeaders, Token: cfg.PushToken.Reveal(),
		Instance: push.Instance{AgentID: cfg.AgentID, Version: version}, Mask: newMasker(cfg), Log: log,
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

// delivery shows the pusher to the server.
func delivery(p *push.Pusher, w *writer.Writer) *api.Delivery {
	return &api.Delivery{
		Status: func() api.DeliveryStatus { return api.DeliveryStatus(p.Status()) },
		Now: func(ctx context.Context) (api.DeliveryResult, error) {
			r, err := p.Now(ctx)
			return api.DeliveryResult(r), err
		},
		Release: func(ctx context.Context, drop bool, ids ...string) (int64, error) {
			return push.Release(ctx, w, drop, ids...)
		},
	}
}

// writerOptions returns what the settings say of how events are stored.
func writerOptions(cfg *config.Config, log *slog.Logger) (writer.Options, error) {
	prices, err := loadPrices(cfg)
	if err != nil {
		return writer.Options{}, configError{err}
	}
	return writer.Options{
		MaxTextBytes: cfg.MaxText(), MaxQueueBytes: maxQueueBytes, NoContent: cfg.CaptureContent == "off",
		Mask: newMasker(cfg), Prices: prices, Log: log,
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

// shutdown stops listening and waits for the requests under way. They answer within
// writer.MaxWait; a connection that has not asked for anything is not waited for.
func shutdown(ctx context.Context, srv *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, writer.MaxWait+time.Second)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close() // nothing is left to do with an error
	}
}

// session is an open database with its writer, and what forwards from it.
type session struct {
	api.Session
	pusher  *push.Pusher // nil without a remote
	log     *slog.Logger
	failed  chan error         // why the session must end
	stop    context.CancelFunc // of the check
	checked chan struct{}      // closed when the check has ended

	closing  chan struct{} // closed when close has done all; nil before it is called
	closeErr error         // set before that
}

// open starts a session, unless ctx is done before that: another program may hold the
// database for long, and nothing was answered yet that leaving could lose. cause is
// what ended the session before, or nil, and moved where its damaged database was put.
func open(ctx context.Context, cfg *config.Config, opts sessionOptions, cause error, moved string) (*session, error) {
	type result struct {
		s   *session
		err error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := openNow(ctx, cfg, opts, cause, moved)
		opened <- result{s, err}
	}()
	select {
	case r := <-opened:
		return r.s, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func openNow(ctx context.Context, cfg *config.Config, opts sessionOptions, cause error, moved string) (*session, error) {
	log := opts.writer.Log
	st, err := store.Open(ctx, store.Options{Path: cfg.DBPath, Synchronous: cfg.Synchronous, MovedAside: moved, Log: log})
	if err != nil {
		return nil, err
	}
	w, err := writer.New(st, opts.writer)
	if err != nil {
		err = errors.Join(err, st.Close())
		if to := st.MovedAside(); to != "" {
			err = &store.MovedError{To: to, Err: err}
		}
		return nil, err
	}
	size, wal := st.Sizes()
	log.Info("database opened", "path", st.Path(), "size_bytes", size, "wal_size_bytes", wal,
		"tables", st.Tables(), "schema_version", st.Version(), "pragmas", st.Pragmas(), "clean", !st.Unclean(), "moved_aside", st.MovedAside())
	s := &session{log: log, failed: make(chan error, 2), checked: make(chan struct{})}
	s.Store, s.Writer = st, w
	if opts.push != nil {
		if s.pusher, err = push.New(ctx, st, w, *opts.push); err != nil {
			_ = w.Close(context.Background()) // fails only when its context ends
			return nil, errors.Join(err, st.Close())
		}
		s.Delivery = delivery(s.pusher, w)
	}
	switch to := st.MovedAside(); {
	case to != "":
		s.Notice = "the database was damaged; it was moved to " + to + " and a new one started"
	case errors.Is(cause, store.ErrReplaced):
		s.Notice = "the database file was removed, replaced or truncated while it was open; what is there now was opened"
		w.Count(writer.CountOf(writer.Entry{Kind: writer.KindDatabase, Outcome: writer.Replaced}, 1))
	}
	checking, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go func() {
		defer close(s.checked)
		if st.Unclean() {
			s.check(checking)
		}
	}()
	go func() {
		<-w.Done()
		if err := w.Err(); err != nil {
			s.failed <- err
		}
	}()
	return s, nil
}

// check reads the whole file after an unclean stop, beside the session's work.
func (s *session) check(ctx context.Context) {
	switch err := s.Store.QuickCheck(ctx); {
	case store.IsDamage(err):
		s.failed <- err
	case ctx.Err() != nil:
	case err != nil:
		s.log.Warn("the check of the database did not finish", "err", err)
	default:
		s.log.Info("the database was not closed by its last user; a check found nothing wrong")
	}
}

// finalPush ends the forwarding with a last round, which leaves time for the rest of
// ctx. A remote that does not take it is no fault of ours.
func (s *session) finalPush(ctx context.Context) {
	if s.pusher == nil {
		s.log.Info("final push", "status", "disabled")
		return
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-min(time.Second, time.Until(deadline)/4)))
		defer cancel()
	}
	r := s.pusher.Close(ctx)
	s.pusher = nil
	status := "ok"
	if r.Error != "" {
		status = "error"
	}
	s.log.Info("final push", "status", status, "delivered", r.Delivered, "pending", r.Pending, "reason", r.Error)
}

// close stores what is queued and closes the database, within ctx. A disk that does
// not answer is left to itself: what was answered is in the log.
func (s *session) close(ctx context.Context) error {
	if s.closing == nil {
		s.closing = make(chan struct{})
		s.stop()
		go func() {
			// It goes on after ctx, so that the lock is free once the disk answers.
			defer close(s.closing)
			_ = s.Writer.Close(context.Background()) // fails only when its context ends
			<-s.checked
			s.closeErr = s.Store.Close()
		}()
	}
	select {
	case <-s.closing:
		return s.closeErr
	case <-ctx.Done():
		return fmt.Errorf("the disk did not finish in time: %w", ctx.Err())
	}
}

// discard closes a session that has failed, if there is one. Its errors add nothing
// to the cause.
func (s *session) discard() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), writer.StallAfter)
	defer cancel()
	if s.pusher != nil {
		now, cancel := context.WithCancel(ctx)
		cancel() // its database is gone
		s.pusher.Close(now)
		s.pusher = nil
	}
	if err := s.close(ctx); err != nil {
		s.log.Debug("closing the failed database", "err", err)
	}
}

// reopen starts the next session, trying until it succeeds or the file turns out not
// to be ours. It returns nil when ctx is done first. lost is told what is in the way.
func reopen(ctx context.Context, cfg *config.Config, opts sessionOptions, cause error, lost func(string)) (*session, error) {
	log := opts.writer.Log
	var moved, told string
	damaged := store.IsDamage(cause)
	if m, ok := errors.AsType[*store.MovedError](cause); ok {
		moved, damaged = m.To, false
	}
	for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 5*time.Second) {
		var s *session
		var err error
		if damaged {
			moved, err = store.MoveAside(cfg.DBPath, log)
			damaged = err != nil // a second time would be the turn of the new one
		}
		if err == nil {
			s, err = open(ctx, cfg, opts, cause, moved)
		}
		if err == nil || errors.Is(err, store.ErrForeign) || errors.Is(err, store.ErrNewer) {
			return s, err
		}
		if m, ok := errors.AsType[*store.MovedError](err); ok {
			moved = m.To
		} else if store.IsDamage(err) && moved == "" {
			damaged = true
		}
		if text := err.Error(); text != told {
			log.Warn("the database cannot be opened; will try again", "err", err)
			lost(text)
			told = text
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil, nil
}

// listen binds all addresses, or none.
func listen(cfg *config.Config, log *slog.Logger) (list []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range list {
				_ = l.Close() // the first error is the one to tell
			}
		}
	}()
	limiter := new(api.Limiter)
	bind := func(port int) error {
		for _, host := range cfg.ListenHosts() {
			l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
			if host == "::1" && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
				continue // a machine without IPv6
			}
			if err != nil {
				return err
			}
			list = append(list, limiter.Listener(l))
		}
		return nil
	}
	if err := bind(cfg.Port); err != nil {
		return list, fmt.Errorf("listen on OCT_PORT %d: %w", cfg.Port, err)
	}
	if cfg.OTLPPort == 0 {
		return list, nil
	}
	own := len(list)
	if err := bind(cfg.OTLPPort); err != nil {
		if cfg.OTLPPortSet {
			return list, fmt.Errorf("listen on OCT_OTLP_PORT %d: %w", cfg.OTLPPort, err)
		}
		for _, l := range list[own:] {
			_ = l.Close() // half a port is none
		}
		list = list[:own]
		log.Warn("OTLP's default port is taken; exporters have to be pointed at OCT_PORT", "port", cfg.OTLPPort, "err", err)
	}
	return list, nil
}
