// Package demo makes up three days of an agent's life, for those who want to look around
// before they connect their own: conversations with tool calls, failures of the usual
// kinds, models whose price nobody knows, and a host that runs short of memory while the
// last call fails.
//
// All of it comes from a seed and the time, and every row says in its metadata that it is
// made up. It belongs into a database of its own, so that no sum is ever one of real and
// invented calls.
package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

const days = 3

// ErrNotDemo is what Fill says of a database that has rows of its own.
var ErrNotDemo = errors.New("it holds events that are no sample data")

// Fill stores the sample data that end at now. It refuses a database in which anything is
// stored, and does nothing in one that it has filled before.
func Fill(ctx context.Context, w *writer.Writer, now time.Time) error {
	filled := false
	err := w.Do(ctx, func(tx *writer.Tx) error {
		_, err := tx.GetDemo(context.Background())
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		filled = err == nil
		return err
	})
	if err != nil || filled {
		return err
	}
	if w.Books().Received > 0 {
		return ErrNotDemo
	}
	err = w.Do(ctx, func(tx *writer.Tx) error {
		return tx.MarkDemo(context.Background(), now.UTC().Format(time.RFC3339))
	})
	if err != nil {
		return err
	}
	l := &life{random: rand.New(rand.NewPCG(20, 26)), now: now}
	l.live()
	for _, b := range l.batches {
		if _, err := w.Submit(b); err != nil {
			return fmt.Errorf("store the sample data: %w", err)
		}
	}
	return nil
}

// life makes the rows.
type life struct {
	random  *rand.Rand
	now     time.Time
	batches []*writer.Batch
	tight   []span // when memory was short
}

type span struct{ from, until time.Time }

// batch returns the one that rows go into.
func (l *life) batch() *writer.Batch {
	if n := len(l.batches); n > 0 {
		b := l.batches[n-1]
		if len(b.Calls)+len(b.Spans)+len(b.Readings) < 400 {
			return b
		}
	}
	b := new(writer.Batch)
	l.batches = append(l.batches, b)
	return b
}

// live goes through the days: people ask during theirs, jobs run at their time.
func (l *life) live() {
	start := l.now.Add(-days * 24 * time.Hour).Truncate(time.Hour)
	conversation := 0
	converse := func(at time.Time, s story) {
		if at.Before(l.now.Add(-30 * time.Minute)) { // it takes a while
			l.converse(at, s, conversation)
			conversation++
		}
	}
	for at := start; at.Before(l.now); at = at.Add(time.Hour) {
		hour := at.Hour()
		if hour%6 == 0 {
			converse(at.Add(l.minutes(1, 3)), job(hour))
		}
		if hour >= 7 && hour <= 22 {
			for range 1 + l.random.IntN(3) {
				converse(at.Add(l.minutes(2, 40)), l.pick())
			}
		}
	}
	// What somebody comes to look for: the last call failed, and the host was short of memory.
	at := l.now.Add(-9 * time.Minute)
	l.tight = append(l.tight, span{at.Add(-6 * time.Minute), at.Add(4 * time.Minute)})
	l.converse(at, lastStory, conversation)
	l.readings(start)
	l.events(start)
}

func (l *life) minutes(from, to int) time.Duration {
	return time.Duration(from)*time.Minute + time.Duration(l.random.Int64N(int64(time.Duration(to-from)*time.Minute)))
}

func (l *life) pick() story { return stories[l.random.IntN(len(stories))] }

// hex returns random ids as OpenTelemetry writes them, of so many bytes.
func (l *life) hex(bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(l.random.Uint32())
	}
	return fmt.Sprintf("%x", b)
}

// id returns a UUID of version 4 from the seed.
func (l *life) id() string {
	h := []byte(l.hex(16))
	h[12] = '4'
	h[16] = "89ab"[l.random.IntN(4)]
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// readings are the host's, one a minute.
func (l *life) readings(start time.Time) {
	const total = 1 << 30
	rss := 380.0 // MiB
	for at := start; at.Before(l.now); at = at.Add(time.Minute) {
		if at.Hour() == 4 && at.Minute() < 20 {
			continue // the machine was restarted: a gap, not zeros
		}
		cpu := 4 + 3*l.random.Float64()
		if h := at.Hour(); h >= 7 && h <= 22 {
			cpu += 18 * l.random.Float64() * l.random.Float64() * 3
		}
		rss += (390 + 60*l.random.Float64() - rss) / 8
		used := rss
		for _, t := range l.tight {
			if at.After(t.from) && at.Before(t.until) {
				used, cpu = 930+40*l.random.Float64(), 71+20*l.random.Float64()
			}
		}
		mem := int64(used * (1 << 20))
		disk := int64(3_400_000_000) + at.Unix()%86400*2000
		b := l.batch()
		b.Readings = append(b.Readings, db.InsertSystemMetricParams{
			TraceID: l.id(), CreatedAt: at.UnixMilli(), CpuPct: new(float64(int(cpu*10)) / 10),
			MemRssBytes: &mem, MemAvailable: new(int64(total) - mem), MemTotal: new(int64(total)),
			DiskUsedBytes: &disk, DiskTotalBytes: new(int64(10_400_000_000)), DiskFreeBytes: new(int64(10_400_000_000) - disk),
			Metadata: new(`{"openclaw_trace.demo":true,"source":"cgroup v2"}`),
		})
	}
}

// events are what the gateway's log and the agent said beside the calls.
func (l *life) events(start time.Time) {
	say := func(at time.Time, kind, severity, message string) {
		b := l.batch()
		b.Errors = append(b.Errors, db.InsertErrorEventParams{
			TraceID: l.id(), CreatedAt: at.UnixMilli(), ErrorType: kind, Severity: severity, Message: message,
			Metadata: new(`{"openclaw_trace.demo":true,"openclaw.subsystem":"gateway"}`),
		})
	}
	for at := start.Add(3 * time.Hour); at.Before(l.now); at = at.Add(l.minutes(4*60, 9*60)) {
		say(at, "log", "warning", fmt.Sprintf("telegram: getUpdates timed out after %d ms, retrying", 30_000+l.random.IntN(900)))
	}
	for _, t := range l.tight {
		say(t.from.Add(time.Minute), "system_error", "warning", "memory is nearly used up: 58 MiB of 1.0 GiB are available")
		say(t.until.Add(-5*time.Minute), "crash", "critical", "the kernel ended a process of the agent for lack of memory (oom_kill 1)")
	}
	b := l.batch()
	for _, e := range []struct {
		ago  time.Duration
		name string
	}{{70 * time.Hour, "channel.connected"}, {41 * time.Hour, "config.changed"}, {20 * time.Hour, "channel.connected"}} {
		b.Events = append(b.Events, db.InsertCustomEventParams{
			TraceID: l.id(), CreatedAt: l.now.Add(-e.ago).UnixMilli(), Name: e.name,
			Metadata: new(`{"openclaw_trace.demo":true,"channel":"telegram"}`),
		})
	}
}
