package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
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
	cookie  http.Cookie // for who has logged in
	guesses *guesses
}

func newDoors(opts Options) doors {
	return doors{
		anyIP: opts.AnyHost, names: opts.AllowedHosts,
		origin: http.NewCrossOriginProtection(),
		token:  sha256.Sum256([]byte(opts.AuthToken)), locked: opts.AuthToken != "",
		cookie:  newCookie(opts.AuthToken),
		guesses: newGuesses(),
	}
}

// newCookie returns what a browser has instead of the token. It follows from the token:
// it outlives us, is worth nothing once the token is changed, and does not tell it. Its
// name does too, since the cookies of a host are those of all its ports.
func newCookie(token string) http.Cookie {
	derive := func(what string) string {
		mac := hmac.New(sha256.New, []byte(token))
		mac.Write([]byte("openclaw-trace " + what))
		return hex.EncodeToString(mac.Sum(nil))
	}
	return http.Cookie{
		Name: "openclaw_trace_" + derive("cookie name")[:8], Value: derive("cookie"),
		Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: 30 * 24 * 3600,
	}
}

func (d *doors) check(r *http.Request) error {
	if err := d.checkOrigin(r); err != nil {
		return err
	}
	return d.checkToken(r)
}

func (d *doors) checkOrigin(r *http.Request) error {
	if !d.knows(r.Host) {
		return &httpError{status: http.StatusForbidden, message: "this Host is not allowed; OCT_ALLOWED_HOSTS may add it"}
	}
	if d.origin.Check(r) != nil {
		return &httpError{status: http.StatusForbidden, message: "cross-origin requests are not allowed"}
	}
	return nil
}

func (d *doors) checkToken(r *http.Request) error {
	if !d.locked {
		return nil
	}
	for _, c := range r.CookiesNamed(d.cookie.Name) {
		if equal(c.Value, sha256.Sum256([]byte(d.cookie.Value))) {
			return nil
		}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token == "" || !strings.EqualFold(scheme, "Bearer") {
		return errNoToken
	}
	if err := d.guess(r, token); err != nil {
		return err
	}
	return nil
}

var errNoToken = &httpError{status: http.StatusUnauthorized, message: "send the token as Authorization: Bearer <token>"}

// guess checks a token.
func (d *doors) guess(r *http.Request, token string) *httpError {
	if !d.guesses.allowed(r.RemoteAddr) {
		return &httpError{status: http.StatusTooManyRequests, message: "too many wrong tokens from this address; try again"}
	}
	if !equal(strings.TrimSpace(token), d.token) {
		d.guesses.add(r.RemoteAddr)
		return &httpError{status: http.StatusUnauthorized, message: "the token is wrong"}
	}
	return nil
}

// equal tells whether the digest of s is sum. Digests are of one length, so the time
// tells nothing about that of a secret either.
func equal(s string, sum [sha256.Size]byte) bool {
	own := sha256.Sum256([]byte(s))
	return subtle.ConstantTimeCompare(own[:], sum[:]) == 1
}

// LogIn returns the cookie that opens the doors for who knows the token, or the status
// that answers who does not.
func (s *Server) LogIn(r *http.Request, token string) (*http.Cookie, int, error) {
	if err := s.doors.guess(r, token); err != nil {
		return nil, err.status, err
	}
	c := s.doors.cookie
	c.Secure = r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
	return &c, http.StatusOK, nil
}

// LogOut returns what takes the place of a cookie of LogIn.
func (s *Server) LogOut() *http.Cookie {
	c := s.doors.cookie
	c.Value, c.MaxAge = "", -1
	return &c
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
