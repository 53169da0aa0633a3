package main

import (
	"net/url"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/agentproc"
	"github.com/kon-rad/openclaw-trace/internal/hoststat"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/metrics"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/tail"
)

// What the parts of a session show in GET /metrics.

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
	h := metrics.Host{Interval: interval, Lost: s.Status().Lost}
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
		Running: s.Found, SeenAt: s.SeenAt, StartedAt: s.StartedAt,
		Restarts: s.Restarts, CrashLoop: s.CrashLoop, Silent: s.Silent, Waiting: s.Waiting,
		CPU: r.CPUTime, RSS: r.RSSBytes, Threads: r.Threads, FDs: r.FDs,
		Children: r.Children, ChildBytes: r.ChildrenRSSBytes,
	}
}

func logFigures(s tail.Status) metrics.Log {
	return metrics.Log{
		Files: s.Files, Behind: s.Behind, Lines: s.Lines, Events: s.Events, Twins: s.Twins, Refused: s.Refused, LastLineAt: s.LastLineAt,
	}
}

func janitorFigures(s janitor.Status) metrics.Janitor {
	return metrics.Janitor{LastRun: s.LastRun, Deleted: s.Deleted, Texts: s.Texts, OverBytes: s.OverBytes}
}
