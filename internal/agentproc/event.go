package agentproc

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// What an event tells, in its metadata as openclaw_trace.event.
const (
	kindGone      = "agent_gone"
	kindRestart   = "agent_restarted"
	kindLoop      = "agent_crash_loop"
	kindOOMKill   = "oom_kill"
	kindSilent    = "agent_silent"
	kindDiskLow   = "disk_nearly_full"
	kindReadOnly  = "disk_read_only"
	kindInodesLow = "inodes_nearly_used_up"
	kindClockJump = "clock_jumped"
)

// event is a row of error_events to be.
type event struct {
	id        string
	at        time.Time
	kind      string
	errorType string // crash or system_error
	severity  string
	message   string
	members   map[string]any

	text   string // members and evidence as JSON; made once
	logged bool
}

// Evidence is bounded, so that an event is a few KB.
const (
	maxWaiting  = 32 // events
	maxLines    = 10
	maxLine     = 300 // bytes
	maxCalls    = 5
	maxReadings = 5
)

// of returns the id of an event: the same for the same facts.
func (id *identity) of(facts ...any) string {
	data := fmt.Sprintln(append([]any{id.instance}, facts...)...)
	return uuid.NewHash(sha256.New(), uuid.UUID{}, []byte(data), 8).String()
}

// add has an event stored.
func (a *Watcher) add(e event) {
	if len(a.waiting) == maxWaiting {
		a.lose(1)
	}
	a.waiting = append(a.waiting, e)
	a.life.changed = true
}

// store stores what waits, and logs it. What does not succeed is tried again at the next
// tick, with the same id.
func (a *Watcher) store() {
	for len(a.waiting) > 0 {
		e := &a.waiting[0]
		if e.text == "" {
			e.text = a.evidence(e)
		}
		receipt, err := a.w.Submit(e.batch())
		if err == nil && receipt.Duplicates > 0 {
			a.waiting = a.waiting[1:]
			continue // it was told before we started
		}
		if !e.logged {
			e.logged = true
			a.opts.Log.Warn("something happened to the agent or its host", "event", e.kind, "severity", e.severity, "message", e.message, "trace_id", e.id)
		}
		if errors.Is(err, writer.ErrRejected) { // the writer has counted it
			a.opts.Log.Error("the database does not take an event", "event", e.kind, "trace_id", e.id)
		} else if err != nil {
			break // the writer says what is wrong
		}
		a.waiting = a.waiting[1:]
	}
	a.update(func(s *Status) { s.Waiting = len(a.waiting) })
}

// lose gives the oldest n events up that wait.
func (a *Watcher) lose(n int) {
	for _, e := range a.waiting[:n] {
		a.opts.Log.Error("an event could not be stored", "event", e.kind, "trace_id", e.id)
		a.w.Count(e.batch().Refusal("could not be stored"))
	}
	a.waiting = a.waiting[n:]
}

// batch returns e as the writer takes it, which changes the texts in place.
func (e *event) batch() *writer.Batch {
	text := strings.Clone(e.text)
	return &writer.Batch{Errors: []db.InsertErrorEventParams{{
		TraceID: e.id, CreatedAt: e.at.UnixMilli(), ErrorType: e.errorType, Message: e.message, Severity: e.severity, Metadata: &text,
	}}}
}

// evidence returns the metadata of e with what happened before it.
func (a *Watcher) evidence(e *event) string {
	m := map[string]any{"openclaw_trace.event": e.kind}
	maps.Copy(m, e.members)
	ctx, cancel := context.WithTimeout(context.Background(), writer.MaxWait)
	defer cancel()
	var calls []string
	var readings []db.ListReadingsBeforeRow
	err := a.st.Read(ctx, func(q *db.Queries) (err error) {
		at := e.at.UnixMilli()
		if calls, err = q.ListCallsBefore(ctx, db.ListCallsBeforeParams{At: at, Lim: maxCalls}); err != nil {
			return err
		}
		readings, err = q.ListReadingsBefore(ctx, db.ListReadingsBeforeParams{At: at, Lim: maxReadings})
		return err
	})
	if err != nil {
		a.opts.Log.Debug("reading the evidence of an event", "err", err)
	}
	if len(calls) > 0 {
		m["openclaw_trace.last_calls"] = calls
	}
	if len(readings) > 0 {
		list := make([]map[string]any, len(readings))
		for i, r := range readings {
			list[i] = map[string]any{"created_at": r.CreatedAt}
			put(list[i], "cpu_pct", r.CpuPct)
			put(list[i], "mem_rss_bytes", r.MemRssBytes)
			put(list[i], "mem_available", r.MemAvailable)
			put(list[i], "disk_free_bytes", r.DiskFreeBytes)
		}
		m["openclaw_trace.last_readings"] = list
	}
	if a.opts.Lines != nil {
		lines := a.opts.Lines()
		lines = lines[max(0, len(lines)-maxLines):]
		list := make([]string, len(lines))
		for i, l := range lines {
			list[i] = shorten(l.Text, maxLine)
		}
		if len(list) > 0 {
			m["log.lines"] = list
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return "{}" // it has no values that JSON has not
	}
	return string(text)
}

func put[T any](m map[string]any, key string, value *T) {
	if value != nil {
		m[key] = *value
	}
}

func merge(list ...map[string]any) map[string]any {
	all := make(map[string]any)
	for _, m := range list {
		maps.Copy(all, m)
	}
	return all
}

// shorten cuts s at the start of a character.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
