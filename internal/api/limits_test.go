package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/api"
)

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func (s *server) postBody(body io.Reader, length int64, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://localhost/v1/traces", body)
	r.ContentLength = length
	r.Header.Set("Content-Type", jsonType)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return s.serve(r)
}

// sized returns an event of n bytes.
func sized(n int) string {
	const head, tail = `{"provider":"p","model":"m","input_text":"`, `"}`
	return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
}

func TestBodyLimit(t *testing.T) {
	const limit = 3 << 19
	s := newServer(t, func(set *settings) { set.MaxBodyBytes = limit })
	f := func(status, size int) {
		t.Helper()
		body := sized(size)
		if w := s.postBody(strings.NewReader(body), int64(size)); w.Code != status {
			t.Errorf("%d bytes: %d, want %d", size, w.Code, status)
		}
		if w := s.postBody(strings.NewReader(body), -1); w.Code != status {
			t.Errorf("%d bytes of unknown length: %d, want %d", size, w.Code, status)
		}
		zipped := gzipped(t, body)
		if w := s.postBody(strings.NewReader(zipped), int64(len(zipped)), "Content-Encoding: gzip"); w.Code != status {
			t.Errorf("%d bytes zipped: %d, want %d", size, w.Code, status)
		}
	}
	for _, size := range []int{100, 16<<10 - 1, 16 << 10, 16<<10 + 1, api.LargeBody - 1, api.LargeBody, api.LargeBody + 1, limit} {
		f(202, size)
	}
	f(413, limit+1)
	if w := s.postBody(unread{t}, limit+1); w.Code != 413 {
		t.Errorf("by its length: %d", w.Code)
	}
}

// What a body decompresses to is not held in memory beyond the limit.
func TestGzipBomb(t *testing.T) {
	s := newServer(t, func(set *settings) { set.MaxBodyBytes = 256 << 10 })
	bomb := gzipped(t, strings.Repeat(" ", 16<<20))
	s.post(202, "/v1/traces", jsonType, "[]")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := s.postBody(strings.NewReader(bomb), int64(len(bomb)), "Content-Encoding: gzip")
	runtime.ReadMemStats(&after)
	if w.Code != 413 {
		t.Errorf("%d", w.Code)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("%d bytes allocated", got)
	}
}

func TestContentEncoding(t *testing.T) {
	s := newServer(t)
	f := func(status int, encoding, body string) {
		t.Helper()
		if w := s.postBody(strings.NewReader(body), int64(len(body)), "Content-Encoding: "+encoding); w.Code != status {
			t.Errorf("%q of %d bytes: %d %s, want %d", encoding, len(body), w.Code, w.Body, status)
		}
	}
	zipped := gzipped(t, event)
	f(202, "", event)
	f(202, "identity", event)
	f(202, "gzip", zipped)
	f(202, "GZIP", zipped)
	f(202, "gzip", gzipped(t, event[:10])+gzipped(t, event[10:])) // members are one text
	f(415, "zstd", event)
	f(415, "deflate", event)
	f(415, "br", event)
	f(415, "gzip, gzip", gzipped(t, zipped))
	f(415, "x\x00\n", event)
	f(400, "", zipped)
	f(400, "gzip", event)
	f(400, "gzip", "")
	f(400, "gzip", zipped[:5])
	f(400, "gzip", zipped[:len(zipped)-1])
	f(400, "gzip", zipped[:len(zipped)-8]+"00000000")
	f(400, "gzip", zipped+"trailing")
	f(400, "gzip", zipped[:10]+"\xff\xff\xff\xff\xff"+zipped[15:])
	f(400, "gzip", gzipped(t, zipped))
	if n := len(s.rows("llm_traces")); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
	f(202, "gzip", zipped) // a reader that failed serves the next body
}

// A body whose end never comes is an error of its own.
func TestBrokenBody(t *testing.T) {
	s := newServer(t)
	w := s.postBody(io.MultiReader(strings.NewReader(event), errReader{io.ErrUnexpectedEOF}), -1)
	if w.Code != 400 || len(s.rows("llm_traces")) != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = s.postBody(io.MultiReader(strings.NewReader(sized(2<<20)), errReader{net.ErrClosed}), -1)
	if w.Code != 400 || len(s.rows("llm_traces")) != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// Pooled buffers and decompressors never show one request another's body.
func TestBodiesDoNotMix(t *testing.T) {
	s := newServer(t)
	var senders sync.WaitGroup
	for sender := range 8 {
		senders.Go(func() {
			for i := range 40 {
				// Of very different sizes, so that what a buffer held before would show.
				text := strings.Repeat(fmt.Sprintf("%d.%d ", sender, i), 1+(i*i*7)%2500)
				body := fmt.Sprintf(`{"provider":"p","model":"%d.%d","output_text":"%s"}`, sender, i, text)
				header := "Content-Encoding: identity"
				if (sender+i)%2 == 0 {
					body, header = gzipped(t, body), "Content-Encoding: gzip"
				}
				if i%5 == 4 {
					body = body[:len(body)-4] // some fail
				}
				length := int64(len(body))
				if i%3 == 0 {
					length = -1
				}
				if w := s.postBody(strings.NewReader(body), length, header); (w.Code == 202) != (i%5 != 4) {
					t.Errorf("%d.%d: %d %s", sender, i, w.Code, w.Body)
				}
			}
		})
	}
	senders.Wait()
	rows := s.rows("llm_traces")
	for _, r := range rows {
		unit := r["model"].(string) + " "
		text := r["output_text"].(string)
		if len(text) < 16<<10 && strings.ReplaceAll(text, unit, "") != "" || !strings.HasPrefix(text, unit) {
			t.Errorf("%s has the text %.60q…", r["model"], text)
		}
	}
	if len(rows) != 8*32 {
		t.Errorf("%d rows, want %d", len(rows), 8*32)
	}
}

// serving is a request under way, whose body is written by the test.
type serving struct {
	*io.PipeWriter
	answer chan *httptest.ResponseRecorder
}

func (s *server) begin(length int64) serving {
	r, w := io.Pipe()
	answer := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		answer <- s.postBody(r, length)
		r.Close()
	}()
	synctest.Wait()
	return serving{w, answer}
}

// fill sends so much white space, which may stand before any body.
func (s serving) fill(bytes int) {
	io.WriteString(s, strings.Repeat(" ", bytes))
	synctest.Wait()
}

// finish sends the whole body and returns the status.
func (s serving) finish(body string) int {
	io.WriteString(s, body)
	s.Close()
	return (<-s.answer).Code
}

func (s serving) answered() bool {
	synctest.Wait()
	return len(s.answer) > 0
}

// Large bodies come in one at a time, however their size becomes known.
func TestLargeBodiesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		large := sized(2 << 20)
		for _, length := range []int64{2 << 20, -1} {
			first := s.begin(2 << 20)
			first.fill(api.LargeBody + 1)
			second := s.begin(length)
			go io.WriteString(second, large)
			if second.answered() {
				t.Fatal("the second did not wait")
			}
			if w := s.do("POST", "/v1/traces", event, "Content-Type: "+jsonType); w.Code != 202 {
				t.Errorf("a small one beside them: %d", w.Code)
			}
			time.Sleep(time.Second)
			if got := first.finish(large); got != 202 {
				t.Errorf("the first: %d", got)
			}
			synctest.Wait() // until all of it is written
			if got := second.finish(""); got != 202 {
				t.Errorf("the second, of length %d: %d", length, got)
			}

			// A turn that does not come in time is refused.
			first = s.begin(2 << 20)
			first.fill(api.LargeBody + 1)
			start := time.Now()
			w := s.postBody(strings.NewReader(large), length)
			if w.Code != 503 || w.Header().Get("Retry-After") == "" || time.Since(start) != 2*time.Second {
				t.Errorf("refused after %s: %d %s", time.Since(start), w.Code, w.Body)
			}
			if got := first.finish(large[:9]); got != 400 {
				t.Errorf("the first, cut short: %d", got)
			}
		}
	})
}

// Small bodies share a sum of memory. What they promise to be takes none of it.
func TestSmallBodiesShareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		var list []serving
		for range api.SmallSum / api.LargeBody {
			list = append(list, s.begin(api.LargeBody-1))
		}
		if w := s.postBody(strings.NewReader(event), int64(len(event))); w.Code != 202 {
			t.Errorf("beside silent ones: %d", w.Code)
		}
		for _, r := range list {
			r.fill(api.LargeBody/2 + 1)
		}
		w := s.postBody(strings.NewReader(event), int64(len(event)))
		if w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("one too many: %d %s", w.Code, w.Body)
		}
		if w := s.do("GET", "/health", ""); w.Code != 200 {
			t.Errorf("health: %d", w.Code)
		}
		for i, r := range list {
			if i%2 == 0 {
				r.CloseWithError(net.ErrClosed) // a client that has gone
				if got := (<-r.answer).Code; got != 400 {
					t.Errorf("gone: %d", got)
				}
			} else if got := r.finish(event); got != 202 {
				t.Errorf("after all: %d", got)
			}
		}
		if w := s.postBody(strings.NewReader(event), -1); w.Code != 202 {
			t.Errorf("after them: %d", w.Code)
		}
	})
}

// pipes is a listener for connections inside a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// dial connects to the server.
func (p *pipes) dial(t *testing.T) *client {
	c, remote := net.Pipe()
	p.conns <- remote
	synctest.Wait()
	t.Cleanup(func() { c.Close() })
	return &client{Conn: c, r: bufio.NewReader(c)}
}

type client struct {
	net.Conn
	r *bufio.Reader
}

// send writes raw, as far as the other side reads it.
func (c *client) send(raw string) { go io.WriteString(c, raw) }

// status reads one answer.
func (c *client) status(t *testing.T) int {
	t.Helper()
	w, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer w.Body.Close()
	if _, err := io.Copy(io.Discard, w.Body); err != nil && w.ContentLength >= 0 {
		t.Error(err)
	}
	if (w.StatusCode == 503) != (w.Header.Get("Retry-After") != "") {
		t.Errorf("%d with Retry-After %q", w.StatusCode, w.Header.Get("Retry-After"))
	}
	return w.StatusCode
}

// ended tells whether the server says nothing more and closes.
func (c *client) ended() bool {
	_, err := c.r.ReadByte()
	return err != nil
}

const (
	getHealth = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
	postEvent = "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n" + event
)

// listen serves on pipes until the test ends.
func (s *server) listen(t *testing.T) *pipes {
	p := &pipes{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	srv := s.HTTPServer()
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(new(api.Limiter).Listener(p)) })
	t.Cleanup(func() {
		srv.Close()
		serving.Wait()
		synctest.Wait()
	})
	return p
}

func TestStalledRequests(t *testing.T) {
	f := func(what, raw string, status int, after time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t)
			c := s.listen(t).dial(t)
			start := time.Now()
			c.send(raw)
			if status != 0 {
				if got := c.status(t); got != status {
					t.Errorf("%s: %d, want %d", what, got, status)
				}
			} else if !c.ended() {
				t.Errorf("%s: an answer", what)
			}
			if took := time.Since(start); took != after {
				t.Errorf("%s: after %s, want %s", what, took, after)
			}
			if !c.ended() {
				t.Errorf("%s: the connection stays open", what)
			}
			if small, large := s.IntakeFree(); small != api.SmallSum || !large {
				t.Errorf("%s: %d of the intake are free", what, small)
			}
		})
	}
	const head = "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	f("silence", "", 0, 5*time.Second)
	f("half a header", "POST /v1/traces HTTP/1.1\r\nHost: loc", 0, 5*time.Second)
	f("no end of the header", head, 0, 5*time.Second)
	f("no body", head+"Content-Length: 100\r\n\r\n", 408, 10*time.Second)
	f("half a body", head+"Content-Length: 100\r\n\r\n"+event, 408, 10*time.Second)
	f("half a chunk", head+"Transfer-Encoding: chunked\r\n\r\n1c\r\n{\"pro", 408, 10*time.Second)
	f("no last chunk", head+"Transfer-Encoding: chunked\r\n\r\n1c\r\n"+event+"\r\n", 408, 10*time.Second)
	f("no gzip", head+"Content-Encoding: gzip\r\nContent-Length: 100\r\n\r\n", 408, 10*time.Second)
	f("half of gzip", head+"Content-Encoding: gzip\r\nContent-Length: 100\r\n\r\n"+gzipped(t, event)[:15], 408, 10*time.Second)
	f("half a large body", head+"Content-Length: 2000000\r\n\r\n"+event, 408, 10*time.Second)
	f("idle", getHealth, 200, 0)
}

// A header that comes byte by byte does not get more time for it.
func TestSlowHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		c := s.listen(t).dial(t)
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() {
			for i := range getHealth {
				if _, err := io.WriteString(c, getHealth[i:i+1]); err != nil {
					return
				}
				time.Sleep(900 * time.Millisecond)
			}
		})
		start := time.Now()
		answer, _ := io.ReadAll(c.r)
		if took := time.Since(start); took != 5*time.Second || len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			t.Errorf("open for %s, then %q", took, answer)
		}
	})
}

// Silent connections keep nobody from asking how we are, and once they are gone,
// others come in.
func TestConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		p := s.listen(t)
		early := p.dial(t)
		ask := func(c *client, raw string, want int) {
			t.Helper()
			c.send(raw)
			if got := c.status(t); got != want {
				t.Errorf("%.20q: %d, want %d", raw, got, want)
			}
		}
		ask(early, postEvent, 202)

		var silent []*client
		for range 300 {
			silent = append(silent, p.dial(t))
		}
		closed := 0
		for _, c := range silent {
			c.SetReadDeadline(time.Now()) // for those that are still open
			if _, err := c.r.ReadByte(); err == io.EOF {
				closed++
			}
		}
		if want := 301 - api.MaxConns - api.ReserveConns; closed != want {
			t.Errorf("%d silent connections were closed, want %d", closed, want)
		}
		probe := p.dial(t)
		ask(probe, getHealth, 200)
		ask(probe, getHealth, 200)
		ask(probe, postEvent, 503)
		if !probe.ended() {
			t.Error("a connection of the reserve stays open after its refusal")
		}
		for range 2 * api.ReserveConns {
			ask(p.dial(t), getHealth, 200)
		}
		ask(early, postEvent, 202)

		for _, c := range silent {
			c.Close()
		}
		synctest.Wait()
		for range 2 * api.ReserveConns {
			ask(p.dial(t), postEvent, 202)
		}
	})
}

func TestRawRequests(t *testing.T) {
	s := newServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := s.HTTPServer()
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(new(api.Limiter).Listener(l)) })
	defer serving.Wait()
	defer srv.Close()

	f := func(status int, raw string) {
		t.Helper()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{Conn: conn, r: bufio.NewReader(conn)}
		if _, err := io.WriteString(c, raw); err != nil {
			t.Fatal(err)
		}
		if got := c.status(t); got != status {
			t.Errorf("%.80q: %d, want %d", raw, got, status)
		}
	}
	f(200, getHealth)
	f(202, postEvent)
	f(202, strings.Replace(postEvent, "Content-Length: 28\r\n\r\n"+event, "Transfer-Encoding: chunked\r\n\r\n5\r\n"+event[:5]+"\r\n17\r\n"+event[5:]+"\r\n0\r\n\r\n", 1))
	f(200, "GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n")

	f(431, "GET /health HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 17<<10)+"\r\n\r\n")
	f(431, "GET /health HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("baggage: k=v\r\n", 1200)+"\r\n")
	f(200, "GET /health HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 15<<10)+"\r\n\r\n")
	f(404, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	f(200, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")

	f(400, "POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n"+event) // no Host
	f(403, "POST /v1/traces HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n"+event)
	f(403, "POST http://evil.example/v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n"+event)
	f(400, "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
	f(400, "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 28\r\nContent-Length: 29\r\n\r\n"+event)
	f(400, "GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	f(404, "GET /..%2f..%2fetc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n")
	f(404, "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n")
	f(404, "GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n")
	f(404, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
	f(404, "CONNECT localhost:9090 HTTP/1.1\r\nHost: localhost:9090\r\n\r\n")
	f(400, "nonsense\r\n\r\n")
}
