package janitor_test

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// scales weigh the files of a database again and again, as fast as they can.
type scales struct {
	stop, done chan struct{}
	bytes      atomic.Int64 // of the files together, at most
	blocks     atomic.Int64 // what they take from the volume, at most
	free       atomic.Int64 // of the volume, at least
}

func weigh(t testing.TB, path string) *scales {
	s := &scales{stop: make(chan struct{}), done: make(chan struct{})}
	s.free.Store(1 << 62)
	go func() {
		defer close(s.done)
		for {
			var bytes, blocks int64
			for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
				if info, err := os.Stat(path + suffix); err == nil {
					bytes += info.Size()
				}
				blocks += taken(t, path+suffix)
			}
			free, err := janitor.Free(path)
			if err != nil {
				t.Error(err)
			}
			s.bytes.Store(max(s.bytes.Load(), bytes))
			s.blocks.Store(max(s.blocks.Load(), blocks))
			s.free.Store(min(s.free.Load(), free))
			select {
			case <-s.stop:
				return
			default:
				runtime.Gosched()
			}
		}
	}()
	return s
}

func (s *scales) end() {
	close(s.stop)
	<-s.done
}

// flood has senders store large batches side by side, without a rest, while rows are
// delivered and given up. It returns what batches were refused with, the last of it.
func (x *world) flood(senders, batches int) (refused error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	ended := make(chan struct{})
	delivering := make(chan struct{})
	go func() {
		defer close(delivering)
		for {
			select {
			case <-ended:
				return
			default:
				x.deliver(writer.KindCall, "id % 3 = 0 ORDER BY id LIMIT 20")
				x.giveUp(writer.KindSpan, "1 ORDER BY id LIMIT 1")
			}
		}
	}()
	for range senders {
		wg.Go(func() {
			for range batches {
				b := x.each(time.Now())
				for range 40 {
					b.Calls = append(b.Calls, x.call(time.Now(), 12_000))
				}
				if err := x.patiently(b); err != nil {
					mu.Lock()
					refused = err
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	close(ended)
	<-delivering
	return refused
}

// The files together are never larger than the budget and a log, however fast rows come
// in, and no larger than the budget and the longest log while somebody reads and does not
// end.
func TestTotal(t *testing.T) {
	if testing.Short() {
		t.Skip("it stores and deletes for half a minute under the race detector, in no other way than its neighbours")
	}
	const most = 48 * mib // the least that there may be
	x := newWorld(t, withRemote, budget(most), func(o *janitor.Options) { o.Interval = 100 * time.Millisecond })
	defer x.close()
	s := weigh(t, x.path)
	err := x.flood(4, 25)
	s.end()
	if err != nil {
		t.Errorf("nobody reads, and a batch is refused: %v", err)
	}
	if n := s.bytes.Load(); n > most+janitor.LogBytes {
		t.Errorf("the files have %d MiB, the budget is %d", n/mib, most/mib)
	}
	t.Logf("%d MiB of files at most, %d MiB with what is set aside", s.bytes.Load()/mib, s.blocks.Load()/mib)

	s = weigh(t, x.path)
	for range 2 {
		c := look(t, x.path, "mode=ro")
		tx, err := c.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("SELECT COUNT(*) FROM llm_traces"); err != nil {
			t.Fatal(err)
		}
		err = x.flood(4, 15)
		t.Logf("refused with %v", err)
		if err == nil {
			t.Error("nothing is refused while somebody reads")
		}
		if err := errors.Join(tx.Rollback(), c.Close()); err != nil {
			t.Error(err)
		}
		x.flood(2, 5)
	}
	s.end()
	if n := s.bytes.Load(); n > most+store.MaxLogBytes {
		t.Errorf("the files have %d MiB while somebody reads, the budget is %d and a log of %d", n/mib, most/mib, store.MaxLogBytes/mib)
	}
	t.Logf("%d MiB of files at most, %d MiB with what is set aside", s.bytes.Load()/mib, s.blocks.Load()/mib)
}
