package push_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/redact"
)

// What is a page, and what of a long answer is told.
func TestJudgePagesAndTexts(t *testing.T) {
	f := func(code int, kind, body, outcome, reason string) {
		t.Helper()
		h := http.Header{}
		if kind != "" {
			h.Set("Content-Type", kind)
		}
		got, _, why := push.Judge(&http.Response{StatusCode: code, Status: http.StatusText(code), Header: h}, []byte(body), time.Now())
		if got != outcome || !strings.Contains(why, reason) {
			t.Errorf("%d %q %.20q: %s, %q; want %s, %q", code, kind, body, got, why, outcome, reason)
		}
	}
	f(200, "text/html; charset", "<h1>Log in</h1>", "retry", "HTML") // parameters that nobody can read
	f(200, "application/xhtml+xml", "<html/>", "retry", "HTML")
	f(200, "text/plain", "<h1>", "delivered", "")
	f(200, "", "<h1>", "delivered", "")
	// Frameworks say text/html of an answer without a body, which is no page.
	f(202, "text/html; charset=UTF-8", "", "delivered", "")
	f(204, "text/html", "", "delivered", "")
	// A text is cut between two characters.
	f(400, "", strings.Repeat("é", 1000), "rejected", strings.Repeat("é", 100)+"…")
	f(400, "", strings.Repeat("x", 799)+"é", "rejected", strings.Repeat("x", 200)+"…")
}

// A remote that echoes what it was sent gives nothing away, wherever its answer is cut.
func TestEchoOfSecrets(t *testing.T) {
	const token = "q7Rk2VnX9bT4mZs8LwYc3HdJ"
	for _, before := range []int{0, 150, 170, 180, 185, 190, 195, 780, 790} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t, func(o *push.Options) {
				o.Token, o.Mask = token, redact.New(redact.Options{Secrets: []string{token}})
			})
			defer x.close()
			x.answers(func(w http.ResponseWriter, s *sent) {
				w.WriteHeader(503)
				io.WriteString(w, strings.Repeat("x", before)+" "+s.header.Get("Authorization"))
			})
			x.calls(0, 1)
			r, err := x.p.Now(t.Context())
			if err != nil || strings.Contains(r.Error, token[:5]) {
				t.Errorf("after %d bytes: %v, %q", before, err, r.Error)
			}
		})
	}
}

// No answer is told in words that help, and without the address, which may hold secrets.
func TestPlain(t *testing.T) {
	f := func(dial error, hang bool, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t, func(o *push.Options) {
				o.Endpoint = "http://user:hidden@remote.test/in?key=hidden"
				if dial != nil {
					o.Dial = func(context.Context, string, string) (net.Conn, error) {
						return nil, &net.OpError{Op: "dial", Net: "tcp", Err: dial}
					}
				}
			})
			defer x.close()
			release := make(chan struct{})
			defer close(release)
			if hang {
				x.answers(func(http.ResponseWriter, *sent) { <-release })
			}
			x.calls(0, 1)
			began := time.Now()
			r, err := x.p.Now(t.Context())
			if err != nil || r.Error != want || r.Pending != 1 || strings.Contains(r.Error, "hidden") {
				t.Errorf("%+v, %v; want %q", r, err, want)
			}
			if d := time.Since(began); hang && d != 30*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
	f(nil, true, "no answer within 30s (OCT_PUSH_TIMEOUT)")
	f(&net.DNSError{Err: "no such host", Name: "remote.test", IsNotFound: true}, false, "the host name cannot be resolved: no such host")
	f(os.ErrDeadlineExceeded, false, "no connection within 10s")
	f(syscall.ECONNREFUSED, false, "the connection was refused")
	f(syscall.ECONNRESET, false, "the connection was closed before the answer")
}

// A redirect to another host reaches nobody there: neither events nor the token.
func TestRedirectIsNotFollowed(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		synctest.Test(t, func(t *testing.T) {
			var dialled []string
			x := newWorld(t, func(o *push.Options) {
				dial := o.Dial
				o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					dialled = append(dialled, address)
					return dial(ctx, network, address)
				}
			})
			defer x.close()
			x.answers(func(w http.ResponseWriter, _ *sent) {
				w.Header().Set("Location", "http://elsewhere.test/in")
				w.WriteHeader(code)
			})
			x.calls(0, 3)
			r, err := x.p.Now(t.Context())
			if err != nil || r.Pending != 3 || !strings.Contains(r.Error, "redirects are not followed") {
				t.Errorf("%d: %+v, %v", code, r, err)
			}
			for _, address := range dialled {
				if address != "remote.test:80" {
					t.Errorf("%d: it went to %s", code, address)
				}
			}
		})
	}
}
