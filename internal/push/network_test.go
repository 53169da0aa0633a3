package push_test

import (
	"context"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// counted is a connection that is missed while it is open.
type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
	perKiB time.Duration
}

func (c *counted) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

func (c *counted) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		time.Sleep(c.perKiB)
		var m int
		m, err = c.Conn.Write(p[:min(len(p), 1024)])
		n, p = n+m, p[m:]
	}
	return n, err
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// However bad the network is, attempts leave nothing open and nothing running behind,
// and when it is better all is delivered.
func TestBadNetworks(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for name, bad := range map[string]func(good dialer) dialer{
		"the name server hangs": func(dialer) dialer {
			return func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
		"a black hole": func(dialer) dialer {
			return func(context.Context, string, string) (net.Conn, error) {
				c, _ := net.Pipe()
				return c, nil
			}
		},
		"three connections in ten break": func(good dialer) dialer {
			return func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := good(ctx, network, address)
				if err == nil && random.IntN(10) < 3 {
					c = &breaking{c, random.IntN(2000)}
				}
				return c, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open atomic.Int64
				var better atomic.Bool
				x := newWorld(t, func(o *push.Options) {
					good := o.Dial
					broken := bad(good)
					o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
						dial := broken
						if better.Load() {
							dial = good
						}
						c, err := dial(ctx, network, address)
						if err != nil {
							return nil, err
						}
						open.Add(1)
						return &counted{Conn: c, open: &open}, nil
					}
				})
				defer x.close()
				running := runtime.NumGoroutine()
				for n := range 100 {
					x.calls(10*n, 10*n+10)
					time.Sleep(5 * time.Minute)
				}
				if n := open.Load(); n > 1 {
					t.Errorf("%d connections are open", n)
				}
				if n := runtime.NumGoroutine(); n > running+5 { // those of a connection
					t.Errorf("%d goroutines run, %d did before", n, running)
				}
				better.Store(true)
				time.Sleep(10 * time.Minute)
				if n := len(x.arrived()); n != 1000 || x.w.Books().Pending() != 0 {
					t.Errorf("%d arrived, %d wait", n, x.w.Books().Pending())
				}
			})
		})
	}
}

// Over a connection that takes minutes for a full batch smaller ones get through.
func TestSlowConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Int64
		x := newWorld(t, func(o *push.Options) {
			o.Compression = "none"
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				if err != nil {
					return nil, err
				}
				open.Add(1)
				return &counted{Conn: c, open: &open, perKiB: 125 * time.Millisecond}, nil // 64 kbit/s
			}
		})
		defer x.close()
		b := new(writer.Batch)
		for n := range 300 { // 1.2 MB, which takes two and a half minutes
			b.Calls = append(b.Calls, db.InsertLLMTraceParams{
				TraceID: id(n), Provider: "openai", Model: "gpt-5", Status: "ok", InputText: new(strings.Repeat("What? ", 680)),
			})
		}
		x.submit(b)
		time.Sleep(30 * time.Minute)
		if n := len(x.arrived()); n != 300 || x.w.Books().Pending() != 0 {
			t.Errorf("%d arrived, %d wait, %+v", n, x.w.Books().Pending(), x.p.Status())
		}
		if n := open.Load(); n > 1 {
			t.Errorf("%d connections are open", n)
		}
	})
}
