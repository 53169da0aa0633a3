package push_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a network of its own, which synctest knows all of.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	mu    sync.Mutex
	down  bool
	cut   int // bytes after which the next connection breaks; 0 for none
}

// breaking is a connection that breaks after some bytes were written to it.
type breaking struct {
	net.Conn
	left int
}

func (c *breaking) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:c.left])
	c.left = 0
	c.Conn.Close()
	return n, io.ErrClosedPipe
}

func (p *pipes) cutAfter(n int) {
	p.mu.Lock()
	p.cut = n
	p.mu.Unlock()
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) setDown(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.mu.Lock()
	down, cut := p.down, p.cut
	p.cut = 0
	p.mu.Unlock()
	if down {
		return nil, errors.New("the network is down")
	}
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		if cut > 0 {
			return &breaking{client, cut}, nil
		}
		return client, nil
	case <-p.done:
	case <-ctx.Done():
	}
	client.Close()
	server.Close()
	return nil, errors.New("nobody listens")
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// sent is a batch as the remote sees it.
type sent struct {
	at    time.Time
	path  string
	url   *url.URL
	key   string // Idempotency-Key
	raw   []byte // decompressed
	batch struct {
		SchemaVersion int    `json:"schema_version"`
		BatchID       string `json:"batch_id"`
		Sequence      int64
		Instance      struct{ ID, Host, Version string }
		Ledger        struct{ Received, Pending, Delivered, Quarantined, Dropped, Expired int64 }
		Events        []struct {
			Type    string
			TraceID string `json:"trace_id"`
		}
	}
	header http.Header
}

// world is a database, its pusher and a remote.
type world struct {
	t      testing.TB
	path   string
	st     *store.Store
	w      *writer.Writer
	p      *push.Pusher
	net    *pipes
	server *http.Server

	mu     sync.Mutex
	answer func(w http.ResponseWriter, s *sent) // nil answers 200
	got    []*sent
}

func newWorld(t testing.TB, change ...func(*push.Options)) *world {
	t.Helper()
	x := &world{t: t, path: filepath.Join(t.TempDir(), "trace.db"), net: newPipes()}
	x.server = &http.Server{Handler: x}
	go x.server.Serve(x.net)
	x.open(change...)
	return x
}

func (x *world) open(change ...func(*push.Options)) {
	x.t.Helper()
	log := slog.New(slog.NewTextHandler(x.t.Output(), nil))
	var err error
	if x.st, err = store.Open(context.Background(), store.Options{Path: x.path, Synchronous: "normal", Log: log}); err != nil {
		x.t.Fatal(err)
	}
	if x.w, err = writer.New(x.st, writer.Options{MaxTextBytes: 16384, MaxQueueBytes: 64 << 20, Log: log}); err != nil {
		x.t.Fatal(err)
	}
	o := push.Options{
		Endpoint: "http://remote.test/in", Format: "json", Interval: 5 * time.Minute, Timeout: 30 * time.Second,
		MaxBytes: 5 << 20, Compression: "gzip", Token: "the-remotes-token", Instance: push.Instance{Host: "box", Version: "v1"},
		Log: log, Dial: x.net.dial,
	}
	for _, f := range change {
		f(&o)
	}
	if x.p, err = push.New(context.Background(), x.st, x.w, o); err != nil {
		x.t.Fatal(err)
	}
}

// stop ends all but the remote, and checks the books.
func (x *world) stop(ctx context.Context) push.Result {
	x.t.Helper()
	r := x.p.Close(ctx)
	x.check()
	if err := x.w.Close(context.Background()); err != nil {
		x.t.Error(err)
	}
	if err := x.st.Close(); err != nil {
		x.t.Error(err)
	}
	return r
}

func (x *world) close() {
	x.t.Helper()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	x.stop(ended)
	x.server.Close()
}

// check fails unless the books are those of the tables.
func (x *world) check() {
	x.t.Helper()
	b := x.w.Books()
	if b.Received != b.Pending()+b.Delivered+b.Quarantined+b.Dropped+b.Expired {
		x.t.Errorf("the books do not balance: %+v", b)
	}
	var waiting int64
	err := x.st.Read(context.Background(), func(q *db.Queries) error {
		calls, err := q.ListPendingCalls(context.Background(), db.ListPendingCallsParams{Upto: math.MaxInt64, Lim: 1_000_000})
		if err != nil {
			return err
		}
		failures, err := q.ListPendingErrors(context.Background(), db.ListPendingErrorsParams{Upto: math.MaxInt64, Lim: 1_000_000})
		if err != nil {
			return err
		}
		spans, err := q.ListPendingSpans(context.Background(), db.ListPendingSpansParams{Upto: math.MaxInt64, Lim: 1_000_000})
		if err != nil {
			return err
		}
		events, err := q.ListPendingEvents(context.Background(), db.ListPendingEventsParams{Upto: math.MaxInt64, Lim: 1_000_000})
		waiting = int64(len(calls) + len(failures) + len(spans) + len(events))
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	if waiting != b.Pending() {
		x.t.Errorf("%d rows wait, the books say %d", waiting, b.Pending())
	}
}

func (x *world) answers(f func(w http.ResponseWriter, s *sent)) {
	x.mu.Lock()
	x.answer = f
	x.mu.Unlock()
}

func status(code int) func(http.ResponseWriter, *sent) {
	return func(w http.ResponseWriter, _ *sent) { w.WriteHeader(code) }
}

func (x *world) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := &sent{at: time.Now(), path: r.URL.Path, url: r.URL, key: r.Header.Get("Idempotency-Key"), header: r.Header.Clone()}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		zip, err := gzip.NewReader(r.Body)
		if err != nil {
			return // the connection broke
		}
		body = zip
	}
	var err error
	if s.raw, err = io.ReadAll(body); err != nil {
		return // the connection broke
	}
	if r.Header.Get("Content-Type") == "application/json" {
		d := json.NewDecoder(bytes.NewReader(s.raw))
		if err := d.Decode(&s.batch); err != nil {
			x.t.Errorf("the body is no JSON: %v\n%.300s", err, s.raw)
		}
		l := s.batch.Ledger
		if l.Received != l.Pending+l.Delivered+l.Quarantined+l.Dropped+l.Expired {
			x.t.Errorf("the ledger of a batch does not balance: %+v", l)
		}
	}
	x.mu.Lock()
	x.got = append(x.got, s)
	answer := x.answer
	x.mu.Unlock()
	if answer == nil {
		return
	}
	answer(w, s)
}

func (x *world) batches() []*sent {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]*sent(nil), x.got...)
}

// arrived returns how often each event came.
func (x *world) arrived() map[string]int {
	n := make(map[string]int)
	for _, s := range x.batches() {
		for _, e := range s.batch.Events {
			n[e.TraceID]++
		}
	}
	return n
}

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }

// calls stores calls from number from up to to, which happen now.
func (x *world) calls(from, to int) {
	x.t.Helper()
	b := new(writer.Batch)
	for n := from; n < to; n++ {
		b.Calls = append(b.Calls, db.InsertLLMTraceParams{
			TraceID: id(n), Provider: "openai", Model: "gpt-5", Status: "ok", InputText: new("What?"), PromptTokens: new(int64(n)),
			Metadata: new(`{"n":1}`),
		})
	}
	x.submit(b)
}

func (x *world) submit(b *writer.Batch) {
	x.t.Helper()
	if _, err := x.w.Submit(b); err != nil {
		x.t.Fatal(err)
	}
}
