package main_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// remote takes batches and remembers how often each event came.
type remote struct {
	*httptest.Server
	mu      sync.Mutex
	events  map[string]int
	batches map[string]int // by id
	after   func(n int)    // called with the number of batches, before the answer has gone
}

func newRemote(t *testing.T) *remote {
	r := &remote{events: make(map[string]int), batches: make(map[string]int)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var batch struct {
		BatchID string `json:"batch_id"`
		Events  []struct {
			TraceID string `json:"trace_id"`
		}
	}
	zip, err := gzip.NewReader(req.Body)
	if err == nil {
		err = json.NewDecoder(zip).Decode(&batch)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	r.batches[batch.BatchID]++
	for _, e := range batch.Events {
		r.events[e.TraceID]++
	}
	n, after := len(r.batches), r.after
	r.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
	if after != nil {
		after(n)
	}
}

func send(in *instance, events int) {
	in.t.Helper()
	var list []string
	for range events {
		list = append(list, `{"provider":"p","model":"m","input_text":"What?"}`)
	}
	r, err := http.NewRequest("POST", in.url+"/v1/traces", strings.NewReader("["+strings.Join(list, ",")+"]"))
	if err != nil {
		in.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if a, err := in.do(r); err != nil || a.status != 202 {
		in.t.Fatalf("%+v, %v", a, err)
	}
}

// A process that dies between the remote's answer and its own mark sends that batch
// again, and nothing else.
func TestKilledBeforeTheMark(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	in := newInstance(t, dbPath(t), "OCT_PUSH_ENDPOINT="+r.URL, "OCT_PUSH_INTERVAL=1h")
	p := in.start()
	r.after = func(n int) {
		if n == 3 {
			p.kill()
		}
	}
	send(in, 2500)
	p.wait()
	r.mu.Lock()
	r.after = nil
	r.mu.Unlock()

	p = in.start()
	p.stop() // with a last round
	twice := 0
	for id, n := range r.events {
		if n > 2 {
			t.Errorf("%s came %d times", id, n)
		}
		twice += n - 1
	}
	if len(r.events) != 2500 || twice > 500 {
		t.Errorf("%d events arrived, %d of them twice", len(r.events), twice)
	}
	if sum := 5 + twice/500; fmt.Sprint(len(r.batches)) != "5" || twice%500 != 0 {
		t.Errorf("%d batches, %d expected at most", len(r.batches), sum)
	}
}

// The proxy of the environment is asked for the remote.
func TestProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	in := newInstance(t, dbPath(t), "OCT_PUSH_ENDPOINT=https://remote.example/in", "OCT_PUSH_INTERVAL=1s", "HTTPS_PROXY="+proxy.URL)
	p := in.start()
	send(in, 1)
	if got := <-asked; got != "CONNECT remote.example:443" {
		t.Errorf("the proxy was asked for %s", got)
	}
	p.stop()
}

// A remote that hangs does not keep the process from ending in time and in order.
func TestStopWhileRemoteHangs(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, 10), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(release) })
	in := newInstance(t, dbPath(t), "OCT_PUSH_ENDPOINT="+srv.URL, "OCT_PUSH_INTERVAL=1h", "OCT_SHUTDOWN_TIMEOUT=1s")
	p := in.start()
	send(in, 600)
	<-entered
	p.signal(syscall.SIGTERM)
	if state := p.wait(); state.ExitCode() != 0 {
		t.Errorf("exit code %d", state.ExitCode())
	}
	if l := p.await("final push", 1); !strings.Contains(l.json, `"status":"error"`) || !strings.Contains(l.json, `"pending":600`) {
		t.Errorf("%s", l.json)
	}
	p.await("shutdown complete", 1)
}
