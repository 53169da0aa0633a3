package agentproc_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/agentproc"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// An event that cannot be stored waits, and has the time when it happened.
func TestEventsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		x.ticks(2)
		release := x.block()
		x.disk(1, func(v *agentproc.Volume) { v.ReadOnly = true })
		at := time.Now()
		x.tree.remove(20)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if s := x.a.Status(); s.Waiting == 0 || s.Found {
			t.Errorf("%+v", s)
		}
		release()
		x.ticks(2)
		e := x.expect("disk_read_only system_error critical", "agent_gone crash error")
		if d := time.UnixMilli(e[0].at).Sub(at); d > 0 || d < -2*tick {
			t.Errorf("told %s late", d)
		}
		if s := x.a.Status(); s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// What cannot be stored at all is counted.
func TestEventsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.tree.add(gateway(20, 100))
		x.watch()
		release := x.block()
		x.tree.remove(20)
		time.Sleep(time.Minute)
		if err := x.a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.a = nil
		if b := x.w.Books(); b.Refused != 1 {
			t.Errorf("%+v", b)
		}
		release()
		synctest.Wait()
	})
}

// block has the writer do something else until release is called.
func (x *world) block() (release func()) {
	wait := make(chan struct{})
	begun := make(chan struct{})
	go x.w.Do(context.Background(), func(*writer.Tx) error {
		close(begun)
		<-wait
		return nil
	})
	<-begun
	return func() { close(wait) }
}
