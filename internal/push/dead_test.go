package push_test

import (
	"context"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/push"
)

// deaf is a connection that a router between has forgotten, once it is told so: what is
// written goes nowhere, and nothing comes.
type deaf struct {
	net.Conn
	gone *atomic.Bool
	done chan struct{}
}

func (c deaf) Write(p []byte) (int, error) {
	if c.gone.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c deaf) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.gone.Load() {
		<-c.done
		return 0, net.ErrClosed
	}
	return n, err
}

func (c deaf) Close() error {
	select {
	case <-c.done:
	default:
		close(c.done)
	}
	return c.Conn.Close()
}

// closedTwice is a listener that may be closed twice, as httptest does.
type closedTwice struct {
	net.Listener
	sync.Once
}

func (l *closedTwice) Close() error {
	l.Do(func() { l.Listener.Close() })
	return nil
}

// A connection that is dead without anybody having said so is given up after an attempt,
// with HTTP/2 too, where one connection serves all requests.
func TestDeadConnection(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var gone atomic.Bool
			dials := 0
			server := &httptest.Server{EnableHTTP2: h2}
			x := newWorld(t)
			x.stop(t.Context())
			x.server.Close()
			x.net = newPipes()
			server.Listener, server.Config = &closedTwice{Listener: x.net}, &http.Server{Handler: x}
			server.StartTLS()
			x.open(func(o *push.Options) {
				o.Endpoint = "https://example.com/in"
				o.CA = authority(server)
				dial := o.Dial
				o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					c, err := dial(ctx, network, address)
					if dials++; dials == 1 && err == nil {
						c = deaf{c, &gone, make(chan struct{})}
					}
					return c, err
				}
			})
			x.calls(0, 1)
			if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 1 {
				t.Errorf("HTTP/2 %v: %+v, %v", h2, r, err)
			}
			gone.Store(true)
			x.calls(1, 2)
			if r, err := x.p.Now(t.Context()); err != nil || r.Error == "" {
				t.Errorf("HTTP/2 %v: %+v, %v", h2, r, err)
			}
			time.Sleep(time.Minute)
			if n := x.w.Books().Pending(); n != 0 || dials < 2 {
				t.Errorf("HTTP/2 %v: %d wait, %d connections", h2, n, dials)
			}
			x.stop(t.Context())
			server.Close()
		})
	}
}

// authority returns the certificate of s as OCT_PUSH_CA_FILE has it.
func authority(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
