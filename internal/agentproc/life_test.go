package agentproc_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/agentproc"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// gateway is the agent's process in a tree.
func gateway(pid, ticks int) proc {
	return proc{pid: pid, args: []string{"openclaw-gateway"}, ticks: ticks, rssPages: 100}
}

func TestRestartBetweenLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		x.tree.remove(20)
		x.tree.add(gateway(21, 2000))
		x.ticks(1)
		e := x.expect("agent_restarted crash warning")
		if !strings.Contains(e[0].message, "pid 20 is gone (whether it was stopped or crashed cannot be seen from outside), pid 21 runs") {
			t.Error(e[0].message)
		}
		x.ticks(10)
		x.expect("agent_restarted crash warning")
	})
}

// A process whose first thread has ended runs as long as another does.
func TestThreadsOutliveTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		agent := gateway(20, 100)
		x.tree.add(agent)
		x.watch()
		agent.state, agent.threads = "Z", 4
		x.tree.add(agent)
		x.ticks(2)
		x.expect()
		agent.threads, agent.exit = 1, 134 // SIGABRT, and a core
		x.tree.add(agent)
		x.ticks(2)
		e := x.expect("agent_gone crash error")
		if !strings.Contains(e[0].message, "SIGABRT") || e[0].m["openclaw_trace.agent.exit_signal"] != "SIGABRT" {
			t.Error(e[0].message, e[0].m)
		}
	})
}

// The evidence is what came last, and bounded.
func TestEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		for i := range 50 {
			x.log(append(x.lines, agentproc.Line{At: time.Now(), Text: fmt.Sprintf("line %d %s", i, strings.Repeat("x", 5000))})...)
			x.call()
			_, err := x.w.Submit(&writer.Batch{Readings: []db.InsertSystemMetricParams{{CpuPct: new(float64(i))}}})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		x.tree.remove(20)
		x.ticks(1)
		m := x.expect("agent_gone crash error")[0].m
		lines, _ := m["log.lines"].([]any)
		calls, _ := m["openclaw_trace.last_calls"].([]any)
		readings, _ := m["openclaw_trace.last_readings"].([]any)
		if len(lines) != 10 || !strings.HasPrefix(lines[9].(string), "line 49 ") || len(calls) != 5 || len(readings) != 5 {
			t.Fatalf("%d lines, %d calls, %d readings: %v", len(lines), len(calls), len(readings), m)
		}
		if r := readings[0].(map[string]any); r["cpu_pct"] != 49.0 {
			t.Errorf("%v", r)
		}
	})
}

// When the agent was last seen is written down now and then.
func TestSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		first := x.meta("")
		x.ticks(10)
		if m := x.meta(""); m != first {
			t.Errorf("written too soon: %s, then %s", first, m)
		}
		x.ticks(15)
		if m := x.meta(""); m == first {
			t.Errorf("never written again: %s", m)
		}
	})
}

// A number that is used again is another process.
func TestPIDUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		x.tree.add(proc{pid: 20, args: []string{"cron"}, ticks: 5000})
		x.ticks(1)
		x.expect("agent_gone crash error")
		x.tree.add(gateway(20, 9000))
		x.ticks(1)
		x.expect("agent_gone crash error", "agent_restarted system_error warning")
	})
}

// The log of the agent says whether it was asked to stop.
func TestOrderlyStop(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		age  time.Duration
		want string
	}{
		"stopped":        {"[gateway] received SIGTERM; shutting down", 0, "agent_gone system_error warning"},
		"something else": {"[ws] connected", 0, "agent_gone crash error"},
		"its forerunner": {"[gateway] received SIGTERM; shutting down", time.Hour, "agent_gone crash error"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				x.tree.add(gateway(20, 100))
				x.watch()
				x.log(agentproc.Line{At: time.Now().Add(-c.age), Text: c.text}, agentproc.Line{At: time.Now(), Text: strings.Repeat("é", 1000)})
				x.tree.remove(20)
				x.ticks(1)
				e := x.expect(c.want)
				lines, _ := e[0].m["log.lines"].([]any)
				if len(lines) != 2 || lines[0] != c.text || len(lines[1].(string)) > 310 {
					t.Errorf("evidence %v", lines)
				}
			})
		})
	}
}

// However often it restarts, it is one loop. What comes after that is told again.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		pid := 1000
		x.tree.add(gateway(pid, 100))
		x.watch()
		restart := func() {
			x.tree.remove(pid)
			x.ticks(1)
			pid++
			x.tree.add(gateway(pid, 100*pid))
			x.ticks(1)
		}
		for range 3 {
			restart()
		}
		gone, again, loop := "agent_gone crash error", "agent_restarted system_error warning", "agent_crash_loop crash critical"
		want := []string{gone, again, gone, again, gone, again}
		x.expect(want...)
		for range 50 {
			restart()
		}
		want = append(want, gone, loop)
		e := x.expect(want...)
		if n := e[7].m["openclaw_trace.agent.restarts"]; n != 4.0 {
			t.Errorf("%v restarts", n)
		}
		if s := x.a.Status(); !s.CrashLoop || s.Restarts != 53 {
			t.Errorf("%+v", s)
		}
		x.ticks(45) // more than ten minutes
		if s := x.a.Status(); s.CrashLoop {
			t.Errorf("%+v", s)
		}
		restart()
		want = append(want, gone, again)
		x.expect(want...)
		for range 3 {
			restart()
		}
		want = append(want, gone, again, gone, again, gone, loop)
		x.expect(want...)

		// And one that ends with nobody starting it any more.
		x.tree.remove(pid)
		x.ticks(1)
		x.expect(want...)
		x.ticks(45)
		x.expect(append(want, gone)...)
	})
}

// Four restarts in a day are no loop.
func TestNoCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		var want []string
		for pid := 21; pid < 31; pid++ {
			x.ticks(20) // five minutes
			x.tree.remove(pid - 1)
			x.tree.add(gateway(pid, 100*pid))
			want = append(want, "agent_restarted crash warning")
		}
		x.ticks(1)
		x.expect(want...)
	})
}

// What happened while we were not running is told as far as it can be known, and what
// was told before is not told again.
func TestAcrossOurRestart(t *testing.T) {
	for name, c := range map[string]struct {
		between func(x *world)
		want    []string
	}{
		"nothing": {func(x *world) {}, nil},
		"restarted": {func(x *world) {
			x.tree.remove(20)
			x.tree.add(gateway(30, 3000))
		}, []string{"agent_restarted system_error warning"}},
		"restarting": {func(x *world) {
			x.tree.remove(20)
			time.AfterFunc(40*time.Second, func() { x.tree.add(gateway(30, 3000)) })
		}, []string{"agent_restarted system_error warning"}},
		"gone": {func(x *world) { x.tree.remove(20) }, []string{"agent_gone system_error warning"}},
		"number used again": {func(x *world) {
			x.tree.add(gateway(20, 3000))
		}, []string{"agent_restarted system_error warning"}},
		"machine started anew": {func(x *world) {
			x.tree.write("proc/sys/kernel/random/boot_id", "another\n")
			x.tree.remove(20)
			x.tree.add(gateway(30, 3000))
		}, nil},
		"container started anew": {func(x *world) {
			x.tree.link("proc/77/ns/pid", "pid:[5]")
			x.tree.remove(20)
		}, nil},
		"container started anew, with the agent": {func(x *world) {
			x.tree.link("proc/77/ns/pid", "pid:[5]")
			x.tree.add(gateway(20, 3000))
		}, []string{"agent_restarted system_error warning"}},
		"container started anew, beside the agent": {func(x *world) {
			x.tree.link("proc/77/ns/pid", "pid:[5]")
			x.tree.remove(20)
			x.tree.add(gateway(30, 100)) // the same, under another number
		}, nil},
		"out of memory": {func(x *world) {
			x.tree.remove(20)
			x.tree.add(gateway(30, 3000))
			x.tree.group("sys/fs/cgroup/app", 1)
		}, []string{"agent_restarted crash critical"}},
		"out of memory, in a group of its own": {func(x *world) {
			x.tree.remove(20)
			x.tree.add(gateway(30, 3000))
			x.tree.group("sys/fs/cgroup/agent", 1)
		}, []string{"agent_restarted crash critical"}},
		"out of memory, another": {func(x *world) {
			x.tree.group("sys/fs/cgroup/app", 1)
		}, []string{"oom_kill system_error critical"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				x.tree.group("sys/fs/cgroup/app", 0)
				x.tree.write("proc/77/cgroup", "0::/app\n")
				agent := gateway(20, 100)
				agent.cgroup = "/app"
				if strings.Contains(name, "of its own") {
					agent.cgroup = "/agent"
					x.tree.group("sys/fs/cgroup/agent", 0)
				}
				x.tree.add(agent)
				x.watch()
				x.ticks(1)
				if err := x.a.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				c.between(x)
				x.watch()
				x.ticks(5)
				for _, e := range x.expect(c.want...) {
					if !strings.Contains(e.message, "while openclaw-trace was not running") {
						t.Error(e.message)
					}
				}
				for range 3 {
					if err := x.a.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					x.watch()
					x.ticks(5)
				}
				x.expect(c.want...)
			})
		})
	}
}

// That an agent is gone was told before; that it runs again is for us its start.
func TestGoneBeforeOurRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		x.tree.remove(20)
		x.ticks(1)
		if err := x.a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.watch()
		x.tree.add(gateway(30, 3000))
		x.ticks(1)
		x.expect("agent_gone crash error")
	})
}

// An agent that takes its container with it whenever it crashes takes us too.
func TestCrashLoopOfContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		var want []string
		for n := range 10 {
			x.tree.link("proc/77/ns/pid", fmt.Sprintf("pid:[%d]", n))
			x.tree.add(gateway(20, 1000*(n+1)))
			if n > 0 && n < 4 {
				want = append(want, "agent_restarted system_error warning")
			}
			if n == 4 {
				want = append(want, "agent_crash_loop crash critical")
			}
			x.watch()
			x.ticks(1)
			if err := x.a.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			x.expect(want...)
		}
		x.tree.write("proc/sys/kernel/random/boot_id", "another\n")
		x.tree.add(gateway(20, 50))
		x.watch()
		x.ticks(1)
		x.expect(want...)
	})
}

// A loop that the clock has put into the future is over.
func TestCrashLoopOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		if err := x.a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(1000 * time.Hour).UnixMilli()
		x.meta(strings.Replace(x.meta(""), "{", fmt.Sprintf(`{"restarts":[%d],"loop_since":%d,"loop_count":9,`, at, at), 1))
		x.watch()
		x.ticks(1)
		if s := x.a.Status(); s.CrashLoop {
			t.Errorf("%+v", s)
		}
	})
}

// The database may forget what was written last: then the same is told with the same id.
func TestToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first []told
		for range 2 {
			x := newWorld(t)
			x.tree.add(gateway(20, 100))
			x.watch()
			x.tree.remove(20)
			x.ticks(1)
			first = append(first, x.expect("agent_gone crash error")...)
			x.close()
		}
		if first[0].id == first[1].id {
			t.Error("two databases give an event the same id")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		kept := x.meta("")
		x.tree.remove(20)
		x.ticks(1)
		x.expect("agent_gone crash error")
		if err := x.a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.meta(kept) // as if we had been killed
		x.watch()
		x.ticks(6)
		x.expect("agent_gone crash error")
	})
}

func TestOOMKill(t *testing.T) {
	v1 := func(dir string) func(x *world, kills int) {
		return func(x *world, kills int) {
			x.tree.write(dir+"/cgroup.procs", "")
			x.tree.write(dir+"/memory.oom_control", fmt.Sprintf("oom_kill_disable 0\nunder_oom 0\noom_kill %d\n", kills))
		}
	}
	for name, c := range map[string]struct {
		root, point, kind, options string
		group                      string
		set                        func(x *world, kills int)
	}{
		"version 2": {"/", "/sys/fs/cgroup", "cgroup2", "rw", "0::/system.slice/openclaw.service",
			func(x *world, kills int) { x.tree.group("sys/fs/cgroup/system.slice/openclaw.service", kills) }},
		"version 1": {"/", "/sys/fs/cgroup/memory", "cgroup", "rw,memory", "9:name=systemd:/x\n4:memory:/docker/abc\n0::/",
			v1("sys/fs/cgroup/memory/docker/abc")},
		"version 1, in a container": {"/docker/abc", "/sys/fs/cgroup/memory", "cgroup", "rw,memory", "4:memory:/docker/abc",
			v1("sys/fs/cgroup/memory")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				x.tree.mount(c.root, c.point, c.kind, c.options)
				x.tree.add(gateway(20, 100))
				x.tree.write("proc/20/cgroup", c.group+"\n")
				c.set(x, 3)
				x.watch()
				x.ticks(1)
				x.expect() // what was before us is not ours to tell
				c.set(x, 5)
				x.ticks(1)
				e := x.expect("oom_kill system_error critical")
				if !strings.Contains(e[0].message, "2 processes") || !strings.Contains(e[0].message, "pid 20) is running") || e[0].m["openclaw_trace.oom_kills"] != 5.0 {
					t.Error(e[0].message, e[0].m)
				}
				c.set(x, 6)
				x.tree.remove(20)
				x.ticks(3)
				e = x.expect("oom_kill system_error critical", "agent_gone crash critical")
				if !strings.Contains(e[1].message, "OOM killer") {
					t.Error(e[1].message)
				}
			})
		})
	}
	// systemd removes the group of a service; its slice has counted.
	t.Run("group removed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			agent := gateway(20, 100)
			agent.cgroup = "/system.slice/openclaw.service"
			x.tree.add(agent)
			x.tree.group("sys/fs/cgroup/system.slice", 7)
			x.tree.group("sys/fs/cgroup/system.slice/openclaw.service", 0)
			x.watch()
			x.tree.group("sys/fs/cgroup/system.slice", 8) // of another service
			x.ticks(1)
			x.expect()
			x.tree.group("sys/fs/cgroup/system.slice", 9)
			x.tree.remove(20)
			x.tree.removeAll("sys/fs/cgroup/system.slice/openclaw.service")
			x.ticks(1)
			x.expect("agent_gone crash critical")
		})
	})
	// Ours is above the agent's, and more than a place to look when that is gone.
	t.Run("group above is ours", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			agent := gateway(20, 100)
			agent.cgroup = "/app/agent"
			x.tree.add(agent)
			x.tree.write("proc/77/cgroup", "0::/app\n")
			x.tree.group("sys/fs/cgroup/app", 0)
			x.tree.group("sys/fs/cgroup/app/agent", 0)
			x.watch()
			x.tree.group("sys/fs/cgroup/app", 1)
			x.ticks(1)
			x.expect("oom_kill system_error critical")
		})
	})
	// A group that is made anew counts from where it was, or from 0.
	t.Run("group comes back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			x.tree.write("proc/77/cgroup", "0::/app\n")
			x.tree.group("sys/fs/cgroup/app", 2)
			x.watch()
			x.tree.removeAll("sys/fs/cgroup/app")
			x.ticks(1)
			x.tree.group("sys/fs/cgroup/app", 2)
			x.ticks(1)
			x.expect()
			x.tree.group("sys/fs/cgroup/app", 0)
			x.ticks(1)
			x.expect()
			x.tree.removeAll("sys/fs/cgroup/app")
			x.ticks(1)
			x.tree.group("sys/fs/cgroup/app", 1)
			x.ticks(1)
			x.expect("oom_kill system_error critical")
		})
	})
	// A container that is started anew has another group.
	t.Run("restarted in another group", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			agent := gateway(20, 100)
			agent.cgroup = "/docker/one"
			x.tree.add(agent)
			x.tree.group("sys/fs/cgroup/docker/one", 0)
			x.watch()
			x.tree.group("sys/fs/cgroup/docker/one", 1)
			x.tree.remove(20)
			agent = gateway(30, 9000)
			agent.cgroup = "/docker/two"
			x.tree.add(agent)
			x.tree.group("sys/fs/cgroup/docker/two", 0)
			x.ticks(1)
			x.expect("agent_restarted crash critical")
			x.tree.group("sys/fs/cgroup/docker/two", 1)
			x.ticks(1)
			x.expect("agent_restarted crash critical", "oom_kill system_error critical")
		})
	})
	// Whatever its log says, that was no stop.
	t.Run("while stopping", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			agent := gateway(20, 100)
			agent.cgroup = "/app"
			x.tree.add(agent)
			x.tree.group("sys/fs/cgroup/app", 0)
			x.watch()
			x.log(agentproc.Line{At: time.Now(), Text: "received SIGTERM; shutting down"})
			x.tree.group("sys/fs/cgroup/app", 1)
			x.tree.remove(20)
			x.ticks(1)
			x.expect("agent_gone crash critical")
		})
	})
	// The counter of our container is not that of an agent in another one.
	t.Run("another container", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			x.tree.write("sys/fs/cgroup/cgroup.events", "populated 1\n")
			x.tree.group("sys/fs/cgroup", 0)
			agent := gateway(20, 100)
			agent.cgroup = "/../other"
			x.tree.add(agent)
			x.watch()
			x.tree.group("sys/fs/cgroup", 1)
			x.tree.remove(20)
			x.ticks(1)
			x.expect("agent_gone crash error", "oom_kill system_error critical")
		})
	})
}

// A process that cannot be seen is no crash.
func TestNotSeen(t *testing.T) {
	for name, c := range map[string]struct {
		change func(x *world)
		note   string
	}{
		"no such process": {func(x *world) {}, "share their pid namespace"},
		"no proc":         {func(x *world) { x.tree.removeAll("proc") }, "no /proc"},
		"pid file missing": {func(x *world) {
			x.opts.PIDFile = filepath.Join(x.tree.dir, "gone.pid")
		}, "gone.pid"},
		"pid file of nobody": {func(x *world) {
			x.tree.write("agent.pid", "99\n")
			x.opts.PIDFile = filepath.Join(x.tree.dir, "agent.pid")
		}, "no process 99"},
		"pid file with something else": {func(x *world) {
			x.tree.write("agent.pid", "hello")
			x.opts.PIDFile = filepath.Join(x.tree.dir, "agent.pid")
		}, "number of a process"},
		"pid file of us": {func(x *world) {
			x.tree.write("agent.pid", "77")
			x.opts.PIDFile = filepath.Join(x.tree.dir, "agent.pid")
		}, "our own"},
		"pid file of another": {func(x *world) {
			x.tree.add(proc{pid: 30, args: []string{"cron"}})
			x.tree.write("agent.pid", "30")
			x.opts.PIDFile, x.opts.Process = filepath.Join(x.tree.dir, "agent.pid"), "my-agent"
		}, `is not "my-agent"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				c.change(x)
				x.watch()
				x.ticks(100)
				x.expect()
				if s := x.a.Status(); s.Found || !strings.Contains(s.Note, c.note) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestPIDFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.opts.PIDFile = filepath.Join(x.tree.dir, "agent.pid")
		x.tree.write("agent.pid", " 30\n")
		x.tree.add(proc{pid: 30, args: []string{"/srv/anything"}, ticks: 5})
		x.tree.add(gateway(20, 1))
		x.watch()
		if s := x.a.Status(); s.PID != 30 || s.Name != "anything" {
			t.Errorf("%+v", s)
		}
		x.tree.remove(30)
		x.tree.add(proc{pid: 31, args: []string{"/srv/anything"}, ticks: 50})
		x.tree.write("agent.pid", "31")
		x.ticks(1)
		x.expect("agent_restarted crash warning")
	})
}

// When /proc itself cannot be read, nothing is known, and nothing is told.
func TestProcGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		x.tree.removeAll("proc")
		x.ticks(5)
		x.expect()
	})
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		x.tree.write("proc/20/stat", "nonsense")
		x.ticks(5)
		x.expect()
	})
}

// The launcher is found first, the agent soon after; but a pid file has the last word.
func TestLauncherFirst(t *testing.T) {
	t.Run("searched", func(t *testing.T) { launcherFirst(t, false, 21) })
	t.Run("pid file", func(t *testing.T) { launcherFirst(t, true, 20) })
}

func launcherFirst(t *testing.T, pidFile bool, want int) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		if pidFile {
			x.tree.write("agent.pid", "20")
			x.opts.PIDFile = filepath.Join(x.tree.dir, "agent.pid")
		}
		// A second ago, by the tree's clock.
		ticks := 100 * int(time.Now().Unix()-bootUnix-1)
		launcher := proc{pid: 20, args: []string{"node", "/x/openclaw.mjs", "gateway"}, ticks: ticks}
		x.tree.add(launcher)
		x.watch()
		if s := x.a.Status(); s.PID != 20 {
			t.Fatalf("%+v", s)
		}
		launcher.children = []int{21}
		x.tree.add(launcher)
		x.tree.add(proc{pid: 21, ppid: 20, args: []string{"openclaw-gateway"}, ticks: ticks + 100})
		x.ticks(1)
		if s := x.a.Status(); s.PID != want {
			t.Errorf("%+v", s)
		}
		x.expect()
	})
}

// When the agent was seen last is known although it is gone and we began anew.
func TestSeenAtOutlivesUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.watch()
		if s := x.a.Status(); s.SeenAt != 0 {
			t.Errorf("never seen: %+v", s)
		}
		x.tree.add(gateway(20, 100))
		x.ticks(2)
		seen := x.a.Status().SeenAt
		if seen == 0 {
			t.Fatalf("%+v", x.a.Status())
		}
		x.tree.remove(20)
		x.ticks(2)
		for range 2 {
			if s := x.a.Status(); s.Found || s.SeenAt != seen {
				t.Errorf("found %t, seen at %d, want %d", s.Found, s.SeenAt, seen)
			}
			if err := x.a.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			x.watch()
		}
	})
}

// The end of an agent that is not told yet is told by the next of us.
func TestToldByTheNext(t *testing.T) {
	t.Run("while it may be starting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			again := func() {
				if err := x.a.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				x.watch()
			}
			x.tree.add(gateway(20, 100))
			x.watch()
			x.ticks(1)
			x.tree.remove(20)
			again()
			x.ticks(1)
			x.expect()
			again()
			x.ticks(5)
			x.expect("agent_gone system_error warning")
			again()
			x.ticks(5)
			x.expect("agent_gone system_error warning")
		})
	})
	t.Run("after a crash loop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			x.tree.add(gateway(20, 100))
			x.watch()
			var want []string
			for pid := 21; pid < 25; pid++ {
				x.tree.remove(pid - 1)
				x.tree.add(gateway(pid, 100*pid))
				x.ticks(1)
				want = append(want, "agent_restarted crash warning")
			}
			want[3] = "agent_crash_loop crash critical"
			x.expect(want...)
			x.tree.remove(24)
			x.ticks(1)
			x.expect(want...)
			if err := x.a.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			x.watch()
			x.ticks(50)
			x.expect(append(want, "agent_gone system_error warning")...)
		})
	})
}

// Set clocks change when the machine is said to have started, and with it the agent.
func TestStartAfterClockWasSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.write("proc/stat", "cpu 1\nbtime 1000\n") // as long as no clock is set
		x.tree.add(gateway(20, 100))
		x.watch()
		x.tree.write("proc/stat", fmt.Sprintf("cpu 1\nbtime %d\n", bootUnix))
		x.a.ClockMoved(time.Now(), time.Hour, tick, tick, true)
		x.ticks(1)
		if s := x.a.Status(); s.StartedAt != bootUnix*1000+1000 || s.Reading.StartedAt.UnixMilli() != s.StartedAt {
			t.Errorf("%+v", s)
		}
	})
}

// A process that the kernel has killed takes its time to go, and is still seen meanwhile.
func TestOOMKilledIsSeenOnceMore(t *testing.T) {
	for name, c := range map[string]struct {
		looks int
		line  string
		want  string
	}{
		"gone at the next look":    {1, "", "agent_gone crash critical"},
		"gone much later":          {3, "", "agent_gone crash error"},
		"says that it was stopped": {1, "received SIGTERM; shutting down", "agent_gone system_error warning"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				agent := gateway(20, 100)
				agent.cgroup = "/app"
				x.tree.add(agent)
				x.tree.group("sys/fs/cgroup/app", 0)
				x.watch()
				x.tree.group("sys/fs/cgroup/app", 1)
				x.ticks(c.looks)
				x.expect("oom_kill system_error critical")
				x.log(agentproc.Line{At: time.Now(), Text: c.line})
				x.tree.remove(20)
				x.ticks(2)
				e := x.expect("oom_kill system_error critical", c.want)
				if strings.Contains(e[1].message, "OOM killer") != strings.Contains(c.want, "critical") {
					t.Error(e[1].message)
				}
			})
		})
	}
}
