package api_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/api"
)

const event = `{"provider":"p","model":"m"}`

func TestHost(t *testing.T) {
	f := func(s *server, want bool, hosts ...string) {
		t.Helper()
		for _, host := range hosts {
			w := s.do("POST", "/v1/traces", event, "Content-Type: "+jsonType, "Host: "+host)
			if status := map[bool]int{true: 202, false: 403}[want]; w.Code != status {
				t.Errorf("Host %q: %d, want %d", host, w.Code, status)
			}
			for _, path := range []string{"/health", "/ready"} {
				if w := s.do("GET", path, "", "Host: "+host); w.Code != 200 {
					t.Errorf("%s for Host %q: %d", path, host, w.Code)
				}
			}
		}
	}
	lan := []string{"192.168.1.5", "192.168.1.5:9090", "[2001:db8::1]:9090", "0.0.0.0", "0.0.0.0:9090", "[::]"}
	s := newServer(t)
	f(s, true, "localhost", "localhost:9090", "LocalHost", "localhost.", "localhost.:4318",
		"127.0.0.1", "127.0.0.1:4318", "127.1.2.3", "127.1.2.3:80", "[::1]", "[::1]:9090", "[::ffff:127.0.0.1]:9090")
	f(s, false, "", ":9090", "evil.example", "evil.example:9090", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example",
		"127.1", "2130706433", "0x7f.0.0.1", "127.0.0.1:80:90", "localhost@evil.example", "sidecar:9090", "..", "[", "[]", "ⓛocalhost", "localhost evil.example")
	f(s, false, lan...)

	named := newServer(t, func(set *settings) { set.AllowedHosts = []string{"sidecar", "trace.example"} })
	f(named, true, "sidecar", "Sidecar:9090", "trace.example.", "localhost", "127.0.0.1")
	f(named, false, "trace", "example", "x.trace.example", "")
	f(named, false, lan...)

	open := newServer(t, func(set *settings) { set.AnyHost = true })
	f(open, true, "localhost", "127.0.0.1:9090")
	f(open, true, lan...)
	f(open, false, "evil.example", "evil.example:9090", "")
}

func TestCrossOrigin(t *testing.T) {
	s := newServer(t, func(set *settings) { set.AllowedHosts = []string{"sidecar"} })
	f := func(status int, header ...string) {
		t.Helper()
		if w := s.do("POST", "/v1/traces", event, append(header, "Content-Type: "+jsonType)...); w.Code != status {
			t.Errorf("%q: %d, want %d", header, w.Code, status)
		}
	}
	f(202)
	f(202, "Sec-Fetch-Site: same-origin")
	f(202, "Sec-Fetch-Site: none")
	f(202, "Origin: http://localhost:9090")
	f(202, "Origin: http://sidecar", "Host: sidecar")
	f(202, "Origin: http://localhost:9090", "Sec-Fetch-Site: same-origin")
	f(403, "Sec-Fetch-Site: cross-site")
	f(403, "Sec-Fetch-Site: same-site")
	f(403, "Origin: null")
	f(403, "Origin: null", "Sec-Fetch-Site: cross-site")
	f(403, "Origin: https://evil.example")
	f(403, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site")
	f(403, "Origin: http://localhost:3000")
	// A rebound name is of the same origin to the browser; it is stopped by its name.
	f(403, "Origin: http://evil.example:9090", "Host: evil.example:9090", "Sec-Fetch-Site: same-origin")
	if n := len(s.rows("llm_traces")); n != 6 {
		t.Errorf("%d rows, want 6", n)
	}
}

// Whatever is answered, no page may read it, and nothing may be made of it.
func TestHeaders(t *testing.T) {
	s := newServer(t, func(set *settings) { set.AuthToken = "secret" })
	check := func(what string, w *httptest.ResponseRecorder) {
		t.Helper()
		h := w.Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s, %d: %v", what, w.Code, h)
		}
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s, %d: %s", what, w.Code, name)
			}
		}
		if h.Get("Content-Type") == "" || h.Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%s, %d: a body of %d bytes and %v", what, w.Code, w.Body.Len(), h)
		}
	}
	origin := "Origin: http://localhost:9090"
	for _, path := range []string{"/", "/health", "/ready", "/v1/traces", "/v1/errors", "/v1/events", "/v1/logs", "/v1/metrics", "/v1//traces", "/a/../health", "/none"} {
		for _, method := range []string{"GET", "POST", "OPTIONS", "DELETE"} {
			check(method+" "+path, s.do(method, path, event, origin, "Content-Type: "+jsonType))
			check(method+" "+path, s.do(method, path, event, origin, "Content-Type: "+jsonType, "Authorization: Bearer secret"))
			check(method+" "+path, s.do(method, path, event, "Host: evil.example", "Access-Control-Request-Method: POST"))
		}
	}
}

func TestToken(t *testing.T) {
	const token = "s3cr3t-t0ken"
	var log bytes.Buffer
	s := newServer(t, func(set *settings) {
		set.AuthToken = token
		set.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	f := func(status int, message string, header ...string) {
		t.Helper()
		w := s.do("POST", "/v1/traces", event, append(header, "Content-Type: "+jsonType)...)
		if w.Code != status || message != "" && object(t, w)["message"] != message {
			t.Errorf("%q: %d %s, want %d %s", header, w.Code, w.Body, status, message)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (status == 401) != (challenge == "Bearer") {
			t.Errorf("%q: %d with WWW-Authenticate %q", header, status, challenge)
		}
		if strings.Contains(w.Body.String()+fmt.Sprint(w.Header()), token) {
			t.Errorf("%q: the token is in the answer", header)
		}
	}
	missing, wrong := "send the token as Authorization: Bearer <token>", "the token is wrong"
	f(401, missing)
	f(401, missing, "Authorization: ")
	f(401, missing, "Authorization: Bearer")
	f(401, missing, "Authorization: "+token)
	f(401, missing, "Authorization: Basic "+token)
	f(401, missing, "X-Token: "+token)
	f(401, wrong, "Authorization: Bearer x"+token)
	f(401, wrong, "Authorization: Bearer "+token+"x")
	f(401, wrong, "Authorization: Bearer "+token[1:])
	f(401, wrong, "Authorization: Bearer "+strings.ToUpper(token))
	f(202, "", "Authorization: Bearer "+token)
	f(202, "", "authorization: bearer  "+token+" ")
	// The doors before it say nothing of a token.
	f(403, "this Host is not allowed; OCT_ALLOWED_HOSTS may add it", "Host: evil.example", "Authorization: Bearer "+token)
	f(403, "cross-origin requests are not allowed", "Origin: null", "Authorization: Bearer "+token)
	if w := s.do("POST", "/v1/traces?token="+token, event, "Content-Type: "+jsonType); w.Code != 401 || strings.Contains(w.Body.String(), token) {
		t.Errorf("in the URL: %d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/health", "/ready"} {
		if w := s.do("GET", path, ""); w.Code != 200 {
			t.Errorf("%s without a token: %d", path, w.Code)
		}
	}
	if n := len(s.rows("llm_traces")); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	s.Use(&api.Session{})
	if w := s.do("POST", "/v1/traces", event, "Content-Type: "+jsonType, "Authorization: Bearer "+token); w.Code != 503 {
		t.Errorf("a panic: %d", w.Code)
	}
	if log.Len() == 0 || strings.Contains(log.String(), token) {
		t.Errorf("the log: %s", &log)
	}
}

// Nor can it on the page that asks for it.
func TestGuessesAtLogIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *settings) { o.AuthToken = "right" })
	last := 0
	for range 4 * api.MaxGuesses { // some of which may be of the next second
		r := httptest.NewRequest("POST", "http://localhost/login", nil)
		if c, status, err := s.LogIn(r, "wrong"); c != nil || err == nil || status != 401 && status != 429 {
			t.Fatal(c, status, err)
		} else if last = status; last == 429 {
			break
		}
	}
	if last != 429 {
		t.Errorf("the last guess: %d, want 429", last)
	}
	if c, status, err := s.LogIn(httptest.NewRequest("POST", "http://localhost/login", nil), "right"); status == 200 && (c == nil || err != nil) {
		t.Error(c, status, err)
	}
}

// A token cannot be found by trying: one address has so many guesses a second.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(set *settings) { set.AuthToken = "right" })
		try := func(addr, token string) int {
			r := httptest.NewRequest("POST", "http://localhost/v1/traces", strings.NewReader(event))
			r.RemoteAddr = addr
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", jsonType)
			w := s.serve(r)
			if (w.Code == 429) != (w.Header().Get("Retry-After") != "") {
				t.Errorf("%d with Retry-After %q", w.Code, w.Header().Get("Retry-After"))
			}
			return w.Code
		}
		f := func(want int, addr, token string) {
			t.Helper()
			if got := try(addr, token); got != want {
				t.Errorf("%s from %s: %d, want %d", token, addr, got, want)
			}
		}
		for i := range 2 * api.MaxGuesses {
			f(202, "10.0.0.1:1", "right") // a right token is no guess
			f(map[bool]int{true: 401, false: 429}[i < api.MaxGuesses/2], fmt.Sprintf("10.0.0.2:%d", i), "wrong")
			if i < api.MaxGuesses/2 {
				f(401, "10.0.0.2:9", "wrong")
			}
		}
		f(429, "10.0.0.2:1", "right")
		f(401, "[2001:db8::1]:1", "wrong")
		time.Sleep(time.Second)
		f(202, "10.0.0.2:1", "right")
		f(401, "10.0.0.2:1", "wrong")

		// Of so many addresses none has a count of its own any more.
		last := 0
		for i := range 2000 {
			last = try(fmt.Sprintf("10.1.%d.%d:1", i/256, i%256), "wrong")
		}
		if last != 429 {
			t.Errorf("the 2000th address in a second: %d, want 429", last)
		}
	})
}

func TestRoutes(t *testing.T) {
	s := newServer(t)
	f := func(status int, method, path, allow string) {
		t.Helper()
		w := s.do(method, path, event, "Content-Type: "+jsonType)
		if w.Code != status || w.Header().Get("Allow") != allow {
			t.Errorf("%s %s: %d, Allow %q; want %d, %q", method, path, w.Code, w.Header().Get("Allow"), status, allow)
		}
	}
	for _, path := range []string{"/v1/traces", "/v1/errors", "/v1/events", "/v1/logs", "/v1/metrics"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
			f(405, method, path, "POST")
		}
	}
	for _, path := range []string{"/health", "/ready"} {
		f(200, "GET", path, "")
		f(200, "HEAD", path, "")
		f(405, "POST", path, "GET")
		f(405, "OPTIONS", path, "GET")
	}
	// Nothing leads anywhere but to what it names, and no path is mended.
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v1/traces/", "/v1/traces/x", "/v1//traces", "//v1/traces", "/v1/./traces", "/v1/x/../traces", "/../v1/traces",
		"/v1/..%2fv1/traces", "/%2e%2e/health", "/health/..", "/health%00", "/v1%2ftraces", "/V1/traces", "/etc/passwd", "//evil.example/", "/\\evil.example",
	} {
		f(404, "GET", path, "")
		f(404, "POST", path, "")
	}
	f(200, "GET", "/health?x=1", "")
}

func TestContentType(t *testing.T) {
	s := newServer(t)
	f := func(status int, path string, kinds ...string) {
		t.Helper()
		for _, kind := range kinds {
			if w := s.do("POST", path, "", "Content-Type: "+kind); w.Code != status {
				t.Errorf("%s of %q: %d, want %d", path, kind, w.Code, status)
			}
		}
	}
	foreign := []string{"", "text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "application/grpc", "json", ";;"}
	for _, path := range []string{"/v1/traces", "/v1/errors", "/v1/events", "/v1/logs", "/v1/metrics"} {
		f(415, path, foreign...)
	}
	f(200, "/v1/traces", protobufType, "APPLICATION/X-PROTOBUF", "application/x-protobuf; v=1")
	f(415, "/v1/errors", protobufType)
	f(415, "/v1/events", protobufType)
	f(415, "/v1/logs", ndjsonType)
	f(415, "/v1/metrics", ndjsonType)
	w := s.do("POST", "/v1/traces", event)
	if w.Code != 415 {
		t.Errorf("without a type: %d", w.Code)
	}
	w = s.do("POST", "/v1/traces", event, "Content-Type: text/"+strings.Repeat("x", 5000))
	if w.Code != 415 || w.Body.Len() > 500 {
		t.Errorf("%d and a body of %d bytes", w.Code, w.Body.Len())
	}
}
