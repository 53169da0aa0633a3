package main

import (
	"net/url"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/agentproc"
	"github.com/kon-rad/openclaw-trace/internal/hoststat"
	"github.com/kon-rad/openclaw-trace/internal/metrics"
	"github.com/kon-rad/openclaw-trace/internal/push"
)

// What the parts of a session show in GET /metrics and GET /health.

// remotes returns the status of the one remote, called by its host: more of the URL may
// be a secret.
func remotes(p *push.Pusher, endpoint string) func() []metrics.Remote {
	name := "remote"
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		name = u.Host
	}
	return func() []metrics.Remote {
		s := p.Status()
		return []metrics.Remote{{
			Name: name, LastAttempt: s.LastAttempt, LastSuccess: s.LastSuccess, NextAttempt: s.NextAttempt, Oldest: s.Oldest,
			Failures: s.Failures, Refused: s.Refused, Attempts: s.Attempts, Failed: s.Failed,
		}}
	}
}

func hostFigures(s *hoststat.Sampler, interval time.Duration) metrics.Host {
	status := s.Status()
	h := metrics.Host{Interval: interval, Lost: status.Lost, Reason: status.Reason}
	if r, ok := s.Last(); ok {
		h.At, h.CPUPct = r.CreatedAt, r.CpuPct
		h.MemUsed, h.MemAvailable, h.MemTotal = r.MemRssBytes, r.MemAvailable, r.MemTotal
		h.DiskUsed, h.DiskFree, h.DiskSize = r.DiskUsedBytes, r.DiskFreeBytes, r.DiskTotalBytes
	}
	return h
}

func agentFigures(s agentproc.Status) metrics.Agent {
	r := &s.Reading
	return metrics.Agent{
		Running: s.Found, PID: s.PID, Note: s.Note, SeenAt: s.SeenAt, StartedAt: s.StartedAt,
		Restarts: s.Restarts, CrashLoop: s.CrashLoop, Silent: s.Silent, Waiting: s.Waiting,
		CPU: r.CPUTime, RSS: r.RSSBytes, Threads: r.Threads, FDs: r.FDs,
		Children: r.Children, ChildBytes: r.ChildrenRSSBytes,
	}
}
