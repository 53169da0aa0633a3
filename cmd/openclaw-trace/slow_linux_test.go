package main_test

import (
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

var queueBytes = regexp.MustCompile(`(?m)^openclaw_trace_queue_bytes (\S+)\n(?:#.*\n)*openclaw_trace_queue_limit_bytes (\S+)`)

// On a disk that takes most of a second for each sync, answers come late and are right.
// What it cannot take is refused for now, the queue stays bounded, and the process says how
// it is all the while.
func TestDiskIsSlow(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	in := newInstance(t, dbPath(t), "OCT_SYNCHRONOUS=full")
	rec := newRecord(in)
	p := in.start()
	rec.mustStore(calls(r, 5))
	release := disk(t, p, "fdatasync,fsync", "delay_exit=700ms")
	rec.sendUntil(calls(r, 5), stored)

	var clients sync.WaitGroup
	var taken, refused atomic.Int64
	for range 48 {
		req := bulk(r, 50)
		clients.Go(func() {
			switch a, err := rec.send(req); {
			case err != nil:
				t.Error(err)
			case a.status == http.StatusServiceUnavailable:
				refused.Add(1)
			default:
				taken.Add(1)
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		clients.Wait()
		close(ended)
	}()
	most := 0.0
	for running := true; running; {
		select {
		case <-ended:
			running = false
		default:
		}
		in.health()
		m := queueBytes.FindSubmatch(in.get("/metrics").body)
		if m == nil {
			t.Fatal("the queue is not among the metrics")
		}
		bytes, _ := strconv.ParseFloat(string(m[1]), 64)
		limit, _ := strconv.ParseFloat(string(m[2]), 64)
		if most = max(most, bytes); bytes > limit || limit == 0 {
			t.Errorf("%v bytes wait, the limit is %v", bytes, limit)
		}
	}
	if refused.Load() == 0 || most == 0 {
		t.Errorf("%d of 48 requests were refused, %v bytes waited", refused.Load(), most)
	}
	p.mustLive()
	release()
	rec.resend()
	rec.check()
	rec.checkHealth()
	p.stop()
	rec.checkSettled()
	t.Logf("%d requests stored, %d refused, %.1f MB waited at most", taken.Load(), refused.Load(), most/1e6)
}
