package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// doors decide who may come in. The order matters: a page that reached us through a
// rebound name must not learn whether a token is asked for.
type doors struct {
	anyIP   bool
	names   []string
	origin  *http.CrossOriginProtection
	token   [sha256.Size]byte
	locked  bool
	guesses *guesses
}

func newDoors(opts Options) doors {
	return doors{
		anyIP: opts.AnyHost, names: opts.AllowedHosts,
		origin: http.NewCrossOriginProtection(),
		token:  sha256.Sum256([]byte(opts.AuthToken)), locked: opts.AuthToken != "",
		guesses: newGuesses(),
	}
}

func (d *doors) check(r *http.Request) error {
	if !d.knows(r.Host) {
		return &httpError{status: http.StatusForbidden, message: "this Host is not allowed; OCT_ALLOWED_HOSTS may add it"}
	}
	if d.origin.Check(r) != nil {
		return &httpError{status: http.StatusForbidden, message: "cross-origin requests are not allowed"}
	}
	if !d.locked {
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token == "" || !strings.EqualFold(scheme, "Bearer") {
		return &httpError{status: http.StatusUnauthorized, message: "send the token as Authorization: Bearer <token>"}
	}
	if !d.guesses.allowed(r.RemoteAddr) {
		return &httpError{status: http.StatusTooManyRequests, message: "too many wrong tokens from this address; try again"}
	}
	// Digests are of one length, so the time tells nothing about the token's either.
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if subtle.ConstantTimeCompare(sum[:], d.token[:]) != 1 {
		d.guesses.add(r.RemoteAddr)
		return &httpError{status: http.StatusUnauthorized, message: "the token is wrong"}
	}
	return nil
}

// knows tells whether host is a name of ours. Any other came from a name in somebody
// else's DNS that was pointed here.
func (d *doors) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "."))
	if host == "localhost" || slices.Contains(d.names, host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || d.anyIP)
}

// guesses counts wrong tokens per address in the current second, so that a token
// cannot be found by trying.
type guesses struct {
	mu     sync.Mutex
	second int64
	wrong  map[string]int
}

const (
	maxGuesses   = 10   // a second and address
	maxAddresses = 1024 // beyond that all share one count
)

func newGuesses() *guesses { return &guesses{wrong: make(map[string]int)} }

func (g *guesses) allowed(addr string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wrong[g.key(addr)] < maxGuesses
}

func (g *guesses) add(addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrong[g.key(addr)]++
}

func (g *guesses) key(addr string) string {
	if now := time.Now().Unix(); now != g.second {
		g.second = now
		clear(g.wrong)
	}
	host, _, err := net.SplitHostPort(addr)
	if _, known := g.wrong[host]; err != nil || !known && len(g.wrong) >= maxAddresses {
		return "others"
	}
	return host
}
