package agentproc

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

const (
	clockJump      = 10 * time.Second // between two looks; what a clock is corrected by is less
	clockToldEvery = 10 * time.Minute // a broken clock jumps at every look
)

// clock compares the time of day with the time that passes.
type clock struct {
	wall   time.Time     // of the last look, without its monotonic reading
	mono   time.Time     // the same with it
	uptime time.Duration // of the machine then, suspension included; 0 if unknown
	told   time.Time     // with its monotonic reading
	jumps  int           // since then
}

// checkClock tells when the time of day has made a jump.
func (a *Watcher) checkClock(now time.Time) {
	c := &a.clock
	before := *c
	c.mono, c.wall, c.uptime = now, now.Round(0), uptime(a.opts.Root)
	if before.mono.IsZero() {
		return
	}
	passed := c.mono.Sub(before.mono)
	a.clockMoved(now, c.wall.Sub(before.wall), passed, c.uptime-before.uptime, before.uptime > 0 && c.uptime > 0)
}

// clockMoved judges a look: the time of day moved by wall, while passed went by, or
// uptime with what the machine was suspended for, if that is known.
func (a *Watcher) clockMoved(now time.Time, wall, passed, uptime time.Duration, known bool) {
	c := &a.clock
	jump := wall - passed
	if jump.Abs() < clockJump {
		return
	}
	a.life.reckon(a.opts.Root)
	if known && (wall-uptime).Abs() < clockJump {
		a.opts.Log.Info("the machine was suspended", "for", (uptime - passed).Round(time.Second).String())
		return
	}
	c.jumps++
	if !c.told.IsZero() && now.Sub(c.told) < clockToldEvery {
		a.opts.Log.Debug("the clock has jumped again", "by", jump.String())
		return
	}
	direction, why := "forward", "It was set, or the machine was stopped from outside."
	if jump < 0 {
		direction, why = "back", "It was set."
	}
	// Where the kernel does not say how long it was suspended, that looks the same.
	if jump > 0 && !known {
		why = "It was set, or the machine was suspended."
	}
	a.add(event{
		id: a.id.of(kindClockJump, now.UnixNano(), jump), at: now, kind: kindClockJump, errorType: "system_error", severity: "warning",
		message: fmt.Sprintf("The clock has jumped %s by %s. %s Times of events before and after do not fit each other.", direction, jump.Abs().Round(time.Second), why),
		members: map[string]any{
			"openclaw_trace.clock.jump_ms": jump.Milliseconds(), "openclaw_trace.clock.jumps": c.jumps,
			"openclaw_trace.clock.before": now.Round(0).Add(-jump).UTC().Format(time.RFC3339), // as it would be now
		},
	})
	c.told, c.jumps = now, 0
}

// uptime returns how long the machine has been running, or 0.
func uptime(root fs.FS) time.Duration {
	b, err := readSmall(root, "proc/uptime")
	if err != nil {
		return 0
	}
	text, _, _ := strings.Cut(string(b), " ")
	seconds, _ := strconv.ParseFloat(text, 64)
	return time.Duration(seconds * float64(time.Second))
}
