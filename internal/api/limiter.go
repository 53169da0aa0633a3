package api

import (
	"net"
	"sync"
)

// Connections at once, over all listeners of a Limiter.
const (
	maxConns     = 256
	reserveConns = 16 // beyond maxConns, for health and readiness only
)

// A Limiter bounds the connections of several listeners together and keeps a place
// for those who ask how we are. A connection beyond maxConns is accepted into the
// reserve, where only open routes are served; when the reserve is full, its oldest
// connection is closed. A probe speaks at once and so is served before its turn
// comes, however many others connect and stay silent.
type Limiter struct {
	mu      sync.Mutex
	conns   int
	reserve []*limitedConn // oldest first
}

// Listener returns l with its connections counted here.
func (l *Limiter) Listener(ln net.Listener) net.Listener { return &limitedListener{ln, l} }

type limitedListener struct {
	net.Listener
	limiter *Limiter
}

func (l *limitedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.limiter.admit(c), nil
}

func (l *Limiter) admit(c net.Conn) *limitedConn {
	lc := &limitedConn{Conn: c, limiter: l}
	l.mu.Lock()
	var evicted *limitedConn
	if l.conns < maxConns {
		l.conns++
	} else {
		lc.reserve = true
		if len(l.reserve) == reserveConns {
			evicted, l.reserve = l.reserve[0], l.reserve[1:]
		}
		l.reserve = append(l.reserve, lc)
	}
	l.mu.Unlock()
	if evicted != nil {
		_ = evicted.Conn.Close() // its server side sees the error
	}
	return lc
}

type limitedConn struct {
	net.Conn
	limiter *Limiter
	reserve bool
	once    sync.Once
}

func isReserve(c net.Conn) bool {
	lc, ok := c.(*limitedConn)
	return ok && lc.reserve
}

func (c *limitedConn) Close() error {
	c.once.Do(func() {
		l := c.limiter
		l.mu.Lock()
		defer l.mu.Unlock()
		if !c.reserve {
			l.conns--
			return
		}
		for i, r := range l.reserve {
			if r == c {
				l.reserve = append(l.reserve[:i:i], l.reserve[i+1:]...)
				break
			}
		}
	})
	return c.Conn.Close()
}
