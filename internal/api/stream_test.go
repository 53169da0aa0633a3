package api_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// overPipes serves s until the test ends, and returns a client of it.
func (s *server) overPipes(t *testing.T) *http.Client {
	p := s.listen(t)
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		c, remote := net.Pipe()
		p.conns <- remote
		return c, nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// watch begins a stream and returns its events, each as "name id data"; comments are ":".
func watch(t *testing.T, client *http.Client, query, last string) (events chan string, close func() error) {
	t.Helper()
	r, err := http.NewRequest("GET", "http://localhost/api/v1/stream"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", res.Status, res.Header)
	}
	events = make(chan string, 1000)
	go func() {
		defer func() { events <- "end" }()
		var event []string
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			switch line := s.Text(); {
			case strings.HasPrefix(line, ":"):
				event = append(event, ":")
			case line == "":
				if len(event) > 0 {
					events <- strings.Join(event, " ")
				}
				event = nil
			case !strings.HasPrefix(line, "retry:"):
				_, value, _ := strings.Cut(line, ": ")
				event = append(event, value)
			}
		}
	}()
	return events, res.Body.Close
}

// received returns what has come.
func received(events chan string) (list []string) {
	for {
		select {
		case e := <-events:
			list = append(list, e)
		default:
			return list
		}
	}
}

func (s *server) submit(b *writer.Batch) {
	s.t.Helper()
	if _, err := s.writer.Submit(b); err != nil {
		s.t.Fatal(err)
	}
}

func call(n int, model string) db.InsertLLMTraceParams {
	return db.InsertLLMTraceParams{TraceID: number('c', n), Provider: "p", Model: model, Status: "ok"}
}

func TestStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		client := s.overPipes(t)
		s.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{call(0, "before")}})
		events, leave := watch(t, client, "?model=m", "")
		time.Sleep(1500 * time.Millisecond)
		if got := received(events); len(got) != 0 {
			t.Errorf("of what was there: %q", got)
		}
		s.submit(&writer.Batch{
			Calls:  []db.InsertLLMTraceParams{call(1, "m"), call(2, "other"), call(3, "m")},
			Errors: []db.InsertErrorEventParams{{TraceID: number('e', 1), ErrorType: "log", Message: "x\ny", Severity: "error"}},
		})
		time.Sleep(1500 * time.Millisecond)
		got := received(events)
		if len(got) != 2 || !strings.HasPrefix(got[0], "call c2.e0.v0.s0.r0 {") || !strings.HasPrefix(got[1], "call c4.e0.v0.s0.r0 {") || !strings.Contains(got[1], number('c', 3)) {
			t.Errorf("%q", got)
		}
		// It goes on for longer than a request may take to be read, or an answer to be written.
		time.Sleep(time.Minute)
		beats := received(events)
		if len(beats) < 5 || beats[0] != ":" {
			t.Errorf("in a quiet minute: %q", beats)
		}
		if err := leave(); err != nil {
			t.Error(err)
		}
		// Who comes back misses nothing, and gets nothing twice.
		s.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{call(4, "m")}})
		events, leave = watch(t, client, "?kinds=call,error", "c2.e0.v0.s0.r0")
		time.Sleep(1500 * time.Millisecond)
		got = received(events)
		if len(got) != 4 || !strings.HasPrefix(got[0], "call c3.") || !strings.HasPrefix(got[2], "call c5.e0") || !strings.HasPrefix(got[3], "error c5.e1.v0.s0.r0 {") || strings.Contains(got[3], "\n") {
			t.Errorf("%q", got)
		}
		if err := leave(); err != nil {
			t.Error(err)
		}
		// A database that is another one.
		events, leave = watch(t, client, "", "c99.e0.v0.s0.r0")
		time.Sleep(1500 * time.Millisecond)
		if got = received(events); len(got) != 1 || !strings.HasPrefix(got[0], "reset c5.e1.v0.s0.r0") {
			t.Errorf("%q", got)
		}
		// The end of the server is the end of the stream.
		s.Stop()
		synctest.Wait()
		if got = received(events); len(got) != 1 || got[0] != "end" {
			t.Errorf("after the stop: %q", got)
		}
		if err := leave(); err != nil {
			t.Error(err)
		}
	})
}

// What is too much at once is counted, and the stream goes on behind it.
func TestStreamOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		client := s.overPipes(t)
		events, leave := watch(t, client, "", "")
		var b writer.Batch
		for n := range 500 {
			b.Calls = append(b.Calls, call(n, "m"))
		}
		s.submit(&b)
		time.Sleep(1500 * time.Millisecond)
		got := received(events)
		if len(got) != 21 || got[20] != `more c500.e0.v0.s0.r0 {"call":480}` {
			t.Errorf("%d events, the last: %s", len(got), got[len(got)-1])
		}
		s.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{call(1000, "m")}})
		time.Sleep(1500 * time.Millisecond)
		if got := received(events); len(got) != 1 || !strings.HasPrefix(got[0], "call c501.") {
			t.Errorf("%q", got)
		}
		if err := leave(); err != nil {
			t.Error(err)
		}
	})
}

// So many clients may watch, and their places are free when they leave. A client whose
// database goes away comes back.
func TestStreamClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		client := s.overPipes(t)
		var leave []func() error
		var events chan string
		for range api.MaxStreams {
			var l func() error
			events, l = watch(t, client, "", "")
			leave = append(leave, l)
		}
		res, err := client.Get("http://localhost/api/v1/stream")
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
			t.Errorf("one more: %s %s", res.Status, body)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		if err := leave[0](); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Second) // until it is noticed
		_, leave[0] = watch(t, client, "", "")
		s.Lost("gone")
		time.Sleep(2 * time.Second)
		got := received(events)
		if len(got) == 0 || got[len(got)-1] != "end" {
			t.Errorf("without a database: %q", got)
		}
		for _, l := range leave {
			if err := l(); err != nil {
				t.Error(err)
			}
		}
	})
}
