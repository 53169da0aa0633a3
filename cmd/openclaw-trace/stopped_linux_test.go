package main_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process that is stopped for a while, as a machine is that sleeps, goes on where it
// was: what should have been done meanwhile is done once, and neither the agent nor the
// remote has died of it.
func TestStoppedForAWhile(t *testing.T) {
	t.Parallel()
	agent := exec.Command("sleep", fmt.Sprint(100_000+rand.IntN(1_000_000)))
	check(t, agent.Start())
	t.Cleanup(func() {
		_ = agent.Process.Kill() // has not ended
		_ = agent.Wait()
	})
	r := newRemote(t)
	in := newInstance(t, dbPath(t), "OCT_METRICS_INTERVAL=1s", "OCT_PUSH_ENDPOINT="+r.URL, "OCT_PUSH_INTERVAL=100ms", "OCT_PUSH_TIMEOUT=1s",
		"OCT_JANITOR_INTERVAL=1s", "OCT_AGENT_PROCESS=^sleep "+agent.Args[1]+"$")
	p := in.start()
	batches := func() (n, events int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, times := range r.batches {
			n += times
		}
		return n, len(r.events)
	}
	readings := func(since time.Time) (n int) {
		db := openDB(t, in.db, "mode=ro")
		defer db.Close()
		check(t, db.QueryRow("SELECT COUNT(*) FROM system_metrics WHERE created_at >= ?", since.UnixMilli()).Scan(&n))
		return n
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	await := func(what string, is func() bool) {
		t.Helper()
		for timeout := time.After(patience); !is(); {
			select {
			case <-poll.C:
			case <-timeout:
				t.Fatalf("%s: that did not happen", what)
			}
		}
	}
	send(in, 5)
	await("the agent is seen, and events are delivered", func() bool {
		_, events := batches()
		return events >= 5 && strings.Contains(string(in.get("/metrics").body), "openclaw_trace_agent_up 1")
	})

	p.signal(syscall.SIGSTOP)
	before, _ := batches()
	<-time.After(3 * time.Second)
	answered := make(chan struct{})
	go func() { // it waits in the kernel
		defer close(answered)
		send(in, 5)
	}()
	if n, _ := batches(); n > before+1 { // one may have been on its way
		t.Errorf("%d batches came from a process that is stopped", n-before)
	}
	before, _ = batches()
	awake := time.Now()
	p.signal(syscall.SIGCONT)
	<-answered
	await("readings go on", func() bool { return readings(awake) >= 2 })
	n, sent := readings(awake), 0
	passed := time.Since(awake)
	sent, _ = batches()
	if most := int(passed/time.Second) + 2; n > most {
		t.Errorf("%d readings in %s, want %d at most", n, passed, most)
	}
	// A batch is for what waits: readings, and what was sent.
	if most := int(passed/(90*time.Millisecond)) + 3; sent-before > most {
		t.Errorf("%d batches in %s, want %d at most", sent-before, passed, most)
	}

	p.mustLive()
	if h := in.health(); h.Status != "ok" {
		t.Errorf("health says %+v", h)
	}
	if m := string(in.get("/metrics").body); !strings.Contains(m, "openclaw_trace_agent_up 1") {
		t.Error("the agent is said to be gone")
	}
	p.stop()
	db := openDB(t, in.db, "mode=ro")
	defer db.Close()
	var failed, events string
	check(t, db.QueryRow("SELECT COALESCE(group_concat(error_message), '') FROM push_log WHERE status <> 'ok'").Scan(&failed))
	check(t, db.QueryRow("SELECT COALESCE(group_concat(error_type || ': ' || message), '') FROM error_events").Scan(&events))
	if failed != "" || events != "" || strings.Contains(p.text(), "events are not delivered") {
		t.Errorf("attempts that failed: %q; events: %q", failed, events)
	}
	for id, times := range r.events {
		if times != 1 {
			t.Errorf("%s came %d times", id, times)
		}
	}
	if _, events := batches(); events < 10 {
		t.Errorf("%d events were delivered", events)
	}
}
