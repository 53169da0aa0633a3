package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/agentproc"
	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/hoststat"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/metrics"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/tail"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// session is an open database with its writer, and the parts that work on it.
type session struct {
	api.Session
	log     *slog.Logger
	pusher  *push.Pusher            // nil without a remote
	parts   []func(context.Context) // end what stores and deletes by itself, the last begun first
	failed  chan error              // why the session must end
	stop    context.CancelFunc      // of the check
	checked chan struct{}           // closed when the check has ended

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
	checking, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go func() {
		defer close(s.checked)
		if st.Unclean() {
			s.check(checking)
		}
	}()
	if err := s.begin(ctx, opts); err != nil {
		s.discard()
		return nil, err
	}
	switch to := st.MovedAside(); {
	case to != "":
		s.Notice = "the database was damaged; it was moved to " + to + " and a new one started"
	case errors.Is(cause, store.ErrReplaced):
		s.Notice = "the database file was removed, replaced or truncated while it was open; what is there now was opened"
		w.Count(writer.CountOf(writer.Entry{Kind: writer.KindDatabase, Outcome: writer.Replaced}, 1))
	}
	go func() {
		<-w.Done()
		if err := w.Err(); err != nil {
			s.failed <- err
		}
	}()
	return s, nil
}

// begin starts the parts.
func (s *session) begin(ctx context.Context, opts sessionOptions) (err error) {
	if opts.push != nil {
		if s.pusher, err = push.New(ctx, s.Store, s.Writer, *opts.push); err != nil {
			return err
		}
		s.Delivery = delivery(s.pusher, s.Writer)
		s.Parts.Push = remotes(s.pusher, opts.push.Endpoint)
	}
	cleaner := janitor.New(ctx, s.Store, s.Writer, opts.janitor)
	s.parts = append(s.parts, cleaner.Close)
	s.Parts.Janitor = func() metrics.Janitor { return metrics.Janitor(cleaner.Status()) }
	s.Prune = pruner(cleaner, s.Store, s.Writer, opts.janitor)
	if opts.tail != nil {
		follower, err := tail.New(ctx, s.Store, s.Writer, *opts.tail)
		if err != nil {
			return err
		}
		s.parts = append(s.parts, func(ctx context.Context) { s.told(follower.Close(ctx)) })
		s.Parts.Log = func() metrics.Log { return metrics.Log(follower.Status()) }
		opts.agent.Lines = func() []agentproc.Line { return linesOf(follower) }
	}
	agent, err := agentproc.New(ctx, s.Store, s.Writer, opts.agent)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, func(ctx context.Context) { s.told(agent.Close(ctx)) })
	s.Parts.Agent = func() metrics.Agent { return agentFigures(agent.Status()) }
	opts.host.Extra = agent.Members
	host := hoststat.New(s.Writer, opts.host)
	s.parts = append(s.parts, host.Close)
	s.Parts.Host = func() metrics.Host { return hostFigures(host, opts.host.Interval) }
	return nil
}

// told logs what went wrong with a part that ends.
func (s *session) told(err error) {
	if err != nil {
		s.log.Warn("stopping", "err", err)
	}
}

// linesOf shows the agent's last lines to who watches its process.
func linesOf(t *tail.Tail) (all []agentproc.Line) {
	for _, line := range t.Lines() {
		all = append(all, agentproc.Line(line))
	}
	return all
}

// delivery shows the pusher to the server.
func delivery(p *push.Pusher, w *writer.Writer) *api.Delivery {
	return &api.Delivery{
		Status: func() api.DeliveryStatus {
			s := p.Status()
			return api.DeliveryStatus{
				LastAttempt: s.LastAttempt, LastSuccess: s.LastSuccess, NextAttempt: s.NextAttempt, LastError: s.LastError,
				Refused: s.Refused, Failures: s.Failures, Oldest: s.Oldest,
			}
		},
		Now: func(ctx context.Context) (api.DeliveryResult, error) {
			r, err := p.Now(ctx)
			return api.DeliveryResult(r), err
		},
		Release: func(ctx context.Context, drop bool, ids ...string) (int64, error) {
			return push.Release(ctx, w, drop, ids...)
		},
	}
}

// stopParts ends what stores and deletes by itself, before the last round of forwarding.
func (s *session) stopParts(ctx context.Context) {
	for _, stop := range slices.Backward(s.parts) {
		stop(ctx)
	}
	s.parts = nil
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
	s.stopParts(ctx)
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
