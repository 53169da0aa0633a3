package push_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"log/slog"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/redact"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	f := func(code int, header, body, outcome string, after time.Duration, reason string) {
		t.Helper()
		h := make(http.Header)
		if name, value, ok := strings.Cut(header, ": "); ok {
			h.Set(name, value)
		}
		got, wait, why := push.Judge(&http.Response{StatusCode: code, Status: http.StatusText(code), Header: h}, []byte(body), now)
		if got != outcome || wait != after || !strings.Contains(why, reason) {
			t.Errorf("%d %s %q: %s, %v, %q; want %s, %v, %q", code, header, body, got, wait, why, outcome, after, reason)
		}
	}
	for _, code := range []int{200, 201, 202, 204, 299} {
		f(code, "", "", "delivered", 0, "")
		f(code, "Content-Type: application/json", "{}", "delivered", 0, "")
		f(code, "Content-Type: text/html", "<p>", "retry", 0, "HTML")
		f(code, "Content-Type: TEXT/HTML; charset=utf-8", "<p>", "retry", 0, "HTML")
	}
	for _, code := range []int{300, 301, 302, 303, 307, 308} {
		f(code, "Location: https://elsewhere.example/", "", "refused", 0, "redirects are not followed")
	}
	for _, code := range []int{400, 413, 422} {
		f(code, "", "no such\n field", "rejected", 0, "no such field")
	}
	for _, code := range []int{401, 403} {
		f(code, "", "", "refused", 0, "OCT_PUSH_TOKEN")
	}
	for _, code := range []int{402, 404, 405, 406, 409, 410, 411, 415, 418, 431, 451} {
		f(code, "", "", "refused", 0, "OCT_PUSH_ENDPOINT")
	}
	for _, code := range []int{408, 425, 429, 500, 501, 502, 503, 504, 599} {
		f(code, "", "", "retry", 0, "")
		f(code, "Retry-After: 7", "", "retry", 7*time.Second, "")
		f(code, "Retry-After: Wed, 25 Nov 2026 12:00:30 GMT", "", "retry", 30*time.Second, "")
		f(code, "Retry-After: Wed, 25 Nov 2026 11:00:30 GMT", "", "retry", 0, "")
		f(code, "Retry-After: 86400", "", "retry", 5*time.Minute, "")
		f(code, "Retry-After: -1", "", "retry", 0, "")
		f(code, "Retry-After: soon", "", "retry", 0, "")
		f(code, "Retry-After: 99999999999999999999", "", "retry", 5*time.Minute, "")
		f(code, "Retry-After: -99999999999999999999", "", "retry", 0, "")
	}
	f(400, "", strings.Repeat("x", 10_000), "rejected", 0, strings.Repeat("x", 200)+"…")
	f(400, "", "\x00\x01binary", "rejected", 0, "Bad Request")
	f(400, "", "\xff\xfe", "rejected", 0, "Bad Request")
}

// certificate makes a server's certificate, signed by itself.
func certificate(t *testing.T, change func(*x509.Certificate)) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// once makes one round against a real remote.
func once(t *testing.T, change func(*push.Options)) (push.Result, writer.Books) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "trace.db"), Synchronous: "normal", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(st, writer.Options{MaxTextBytes: 16384, MaxQueueBytes: 64 << 20, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := w.Submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{{Provider: "p", Model: "m", Status: "ok"}}}); err != nil {
		t.Fatal(err)
	}
	o := push.Options{Format: "json", Interval: time.Hour, Timeout: 10 * time.Second, MaxBytes: 1 << 20, Compression: "gzip",
		Mask: redact.New(redact.Options{}), Log: log}
	change(&o)
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := push.New(t.Context(), st, w, o)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	defer p.Close(ended)
	r, err := p.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, w.Books()
}

// A remote that cannot prove who it is gets nothing.
func TestTLS(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*x509.Certificate)
		trust  bool
		reason string
	}{
		{"trusted", func(*x509.Certificate) {}, true, ""},
		{"unknown", func(*x509.Certificate) {}, false, "unknown authority; OCT_PUSH_CA_FILE"},
		{"another host", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} }, true, "for another host"},
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, true, "not valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cert, ca := certificate(t, c.change)
			hits := 0
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			srv.Config.ErrorLog = log.New(t.Output(), "", 0)
			srv.StartTLS()
			defer srv.Close()
			r, books := once(t, func(o *push.Options) {
				o.Endpoint = srv.URL
				if c.trust {
					o.CA = ca
				}
			})
			if !strings.Contains(r.Error, c.reason) || (r.Error == "") != (c.reason == "") || (hits > 0) != (c.reason == "") || books.Delivered != int64(hits) {
				t.Errorf("%+v, %d hits, books %+v; want %q", r, hits, books, c.reason)
			}
		})
	}
	if err := (&push.Options{CA: []byte("no certificate")}).Validate(); err == nil || !strings.Contains(err.Error(), "OCT_PUSH_CA_FILE") {
		t.Errorf("a file without certificates: %v", err)
	}
}

// A proxy passes on what it cannot read.
func TestProxy(t *testing.T) {
	cert, ca := certificate(t, func(*x509.Certificate) {})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.StartTLS()
	defer srv.Close()
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.Host)
		if r.Header.Get("Authorization") != "" {
			t.Error("the proxy sees the token")
		}
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			t.Error(err)
			return
		}
		defer up.Close()
		down, sent, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer down.Close()
		io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(up, sent)
		io.Copy(down, up)
	}))
	defer proxy.Close()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	through := func(o *push.Options) {
		o.Endpoint, o.CA, o.Token, o.Proxy = srv.URL, ca, "the-token", http.ProxyURL(u)
	}
	if r, books := once(t, through); r.Error != "" || books.Delivered != 1 || !slices.Equal(asked, []string{"CONNECT " + srv.Listener.Addr().String()}) {
		t.Errorf("%+v, books %+v, the proxy was asked for %v", r, books, asked)
	}
	proxy.Close()
	if r, _ := once(t, through); r.Error != "the proxy of HTTPS_PROXY or HTTP_PROXY: the connection was refused" || r.Pending != 1 {
		t.Errorf("%+v", r)
	}
}

// What goes wrong on the way is told in words that help.
func TestNoAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	if r, _ := once(t, func(o *push.Options) { o.Endpoint = closed }); r.Error != "the connection was refused" || r.Pending != 1 {
		t.Errorf("%+v", r)
	}

	// The remote echoes what it should not have.
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(503)
		w.Write([]byte("seen: Authorization: " + r.Header.Get("Authorization")))
	}))
	defer srv.Close()
	r, _ := once(t, func(o *push.Options) { o.Endpoint, o.Token = srv.URL, "q7Rk2VnX9bT4mZs8LwYc3HdJ" })
	if strings.Contains(r.Error, "q7Rk2VnX9bT4") || !strings.Contains(r.Error, "[masked:bearer]") {
		t.Errorf("%+v", r)
	}

	// An answer without end.
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	if r, books := once(t, func(o *push.Options) { o.Endpoint = endless.URL }); r.Error != "" || books.Delivered != 1 {
		t.Errorf("%+v", r)
	}
}
