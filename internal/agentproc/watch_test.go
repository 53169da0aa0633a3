package agentproc_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/agentproc"
)

// A busy agent whose calls do not arrive any more is told once, and again after it was
// heard.
func TestBusyButSilent(t *testing.T) {
	for name, c := range map[string]struct {
		cpu  int // ticks of 1/100 s a look; 75 are 5 %
		log  bool
		call bool
		want []string
	}{
		"burns CPU":    {100, false, true, []string{"agent_silent system_error warning"}},
		"log moves":    {0, true, true, []string{"agent_silent system_error warning"}},
		"idle":         {10, false, true, nil},
		"never a call": {100, true, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				x.opts.SilentAfter = 30 * time.Minute
				agent := gateway(20, 100)
				work := func(d time.Duration) {
					for range d / tick {
						agent.cpu += c.cpu
						x.tree.add(agent)
						if c.log {
							x.log(agentproc.Line{At: time.Now(), Text: "line"})
						}
						x.ticks(1)
					}
				}
				x.tree.add(agent)
				x.watch()
				work(time.Minute)
				if c.call {
					x.call()
				}
				work(29 * time.Minute)
				x.expect()
				work(time.Hour)
				e := x.expect(c.want...)
				if x.a.Status().Silent != (len(c.want) > 0) {
					t.Errorf("%+v", x.a.Status())
				}
				if len(c.want) == 0 {
					return
				}
				if at := time.UnixMilli(e[0].at).Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); at < 31*time.Minute || at > 32*time.Minute {
					t.Errorf("told after %s", at)
				}
				t.Log(e[0].message)

				// We are started anew: it is the same silence.
				if err := x.a.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				x.watch()
				work(time.Hour)
				x.expect(c.want...)

				x.call()
				work(time.Minute)
				if x.a.Status().Silent {
					t.Errorf("%+v", x.a.Status())
				}
				work(time.Hour)
				x.expect(c.want[0], c.want[0])
			})
		})
	}
}

// A long night without work and then half an hour of it: only the last counts.
func TestSilenceAfterIdleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.opts.SilentAfter = 30 * time.Minute
		agent := gateway(20, 100)
		x.tree.add(agent)
		x.watch()
		x.call()
		x.ticks(4 * 60 * 3)
		x.expect()
		for range 50 { // 12 minutes
			agent.cpu += 150
			x.tree.add(agent)
			x.ticks(1)
		}
		x.expect()
		for range 50 {
			agent.cpu += 150
			x.tree.add(agent)
			x.ticks(1)
		}
		x.expect("agent_silent system_error warning")
	})
}

func TestSilenceIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.watch()
		x.call()
		for range 1000 {
			x.log(agentproc.Line{At: time.Now()})
			x.ticks(1)
		}
		x.expect()
	})
}

// Each shortage is told once, and again only after there was plenty.
func TestVolume(t *testing.T) {
	const full, readOnly, inodes = "disk_nearly_full system_error error", "disk_read_only system_error critical", "inodes_nearly_used_up system_error error"
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.watch()
		free := func(mib int64) { x.disk(1, func(v *agentproc.Volume) { v.FreeBytes = mib << 20 }) }
		free(64)
		x.expect()
		free(63)
		e := x.expect(full)
		if !strings.Contains(e[0].message, "63 MiB of 10240 MiB") || !strings.Contains(e[0].message, "OCT_MIN_FREE_BYTES") {
			t.Error(e[0].message)
		}
		for range 10 {
			free(70)
			free(60)
		}
		x.expect(full)

		// A new start of ours is no news.
		if err := x.a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.tree.write("proc/sys/kernel/random/boot_id", "another\n") // nor is one of the machine
		x.watch()
		free(60)
		x.expect(full)
		free(96)
		free(60)
		x.expect(full, full)

		x.disk(3, func(v *agentproc.Volume) { v.ReadOnly = true })
		x.disk(1, func(v *agentproc.Volume) { v.ReadOnly = false })
		x.expect(full, full, readOnly)
		for _, n := range []int64{99, 120, 80} {
			x.disk(1, func(v *agentproc.Volume) { v.FreeInodes = n })
		}
		x.expect(full, full, readOnly, inodes)
		x.disk(2, func(v *agentproc.Volume) { v.Inodes, v.FreeInodes = 0, 0 }) // some file systems do not count them
		x.expect(full, full, readOnly, inodes)
	})
}

func TestVolumeIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.opts.Volume = nil
		x.opts.MinFreeBytes = 1 << 62
		x.watch()
		e := x.expect("disk_nearly_full system_error error")
		if total, _ := e[0].m["disk_total_bytes"].(float64); total < 1<<20 {
			t.Errorf("%v", e[0].m)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.opts.Volume = func() (agentproc.Volume, error) { return agentproc.Volume{}, errors.New("gone") }
		x.watch()
		x.expect()
	})
}

func TestClock(t *testing.T) {
	const hour = time.Hour
	for name, c := range map[string]struct {
		wall, passed, uptime time.Duration
		known                bool
		want                 string // "" for none
	}{
		"steady":              {tick, tick, tick, true, ""},
		"corrected":           {tick + 2*time.Second, tick, tick, true, ""},
		"forward":             {hour, tick, tick, true, "forward by 59m45s. It was set, or the machine was stopped from outside"},
		"back":                {-hour, tick, tick, true, "back by 1h0m15s. It was set."},
		"suspended":           {hour, tick, hour, true, ""},
		"perhaps suspended":   {hour, tick, 0, false, "It was set, or the machine was suspended"},
		"stopped for an hour": {hour, hour, hour, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				x.opts.Interval = 1000 * hour // the watcher does not look meanwhile
				x.watch()
				for range 5 {
					x.a.ClockMoved(time.Now(), c.wall, c.passed, c.uptime, c.known)
				}
				if c.want == "" {
					x.expect()
					return
				}
				e := x.expect("clock_jumped system_error warning")
				if !strings.Contains(e[0].message, c.want) {
					t.Error(e[0].message)
				}
				time.Sleep(11 * time.Minute)
				synctest.Wait()
				x.a.ClockMoved(time.Now(), c.wall, c.passed, c.uptime, c.known)
				e = x.expect("clock_jumped system_error warning", "clock_jumped system_error warning")
				if n := e[1].m["openclaw_trace.clock.jumps"]; n != 5.0 {
					t.Errorf("%v jumps since", n)
				}
			})
		})
	}
}

// While we were stopped, or the database took no rows, no call could be seen to arrive.
// That is no silence of the agent's.
func TestSilenceIsNotTheAgents(t *testing.T) {
	for name, hold := range map[string]func(x *world, work func(d time.Duration)){
		"stopped": func(x *world, work func(d time.Duration)) {
			x.mu.Lock()
			x.hold = time.Hour
			x.mu.Unlock()
			time.Sleep(time.Hour)
			synctest.Wait()
		},
		"the database takes no rows": func(x *world, work func(d time.Duration)) {
			release := x.block()
			work(time.Hour)
			release()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				x.opts.SilentAfter = 30 * time.Minute
				agent := gateway(20, 100)
				work := func(d time.Duration) {
					for range d / tick {
						agent.cpu += 1000
						x.tree.add(agent)
						x.ticks(1)
					}
				}
				x.tree.add(agent)
				x.watch()
				x.call()
				work(25 * time.Minute)
				hold(x, work)
				work(4 * time.Minute)
				x.expect()
				work(30 * time.Minute)
				x.expect("agent_silent system_error warning")
			})
		})
	}
}
