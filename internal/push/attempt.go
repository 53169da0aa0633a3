package push

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/kon-rad/openclaw-trace/internal/redact"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// outcome is what becomes of a batch.
type outcome uint8

const (
	// delivered: the remote has it.
	delivered outcome = iota
	// retry: it may have it the next time.
	retry
	// refused: it will take nothing as things are; somebody has to change a setting,
	// here or there. Everything is kept.
	refused
	// rejected: something in this batch it will never take.
	rejected
)

// verdict is what an answer, or the lack of one, means.
type verdict struct {
	outcome outcome
	after   time.Duration // with retry: what the remote asks for, or 0
	reason  string        // in plain words, for people
	slow    bool          // with retry: it was not done when its time was over
}

const (
	dialTimeout   = 10 * time.Second
	maxRetryAfter = 5 * time.Minute
	maxAnswer     = 64 << 10
)

// judge is the one place that turns an answer into a verdict. Its body is at most
// maxAnswer bytes.
func judge(answer *http.Response, body []byte, now time.Time) verdict {
	said := excerpt(answer, body)
	switch code := answer.StatusCode; {
	case code >= 200 && code <= 299:
		// Parameters that cannot be read make it no less of a page. Frameworks name that
		// type of an answer without a body too.
		kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
		if (kind == "text/html" || kind == "application/xhtml+xml") && (len(body) > 0 || answer.ContentLength > 0) {
			return verdict{outcome: retry, reason: fmt.Sprintf("%s with an HTML page, as from a log-in page or a proxy, which is no receipt", answer.Status)}
		}
		return verdict{outcome: delivered}
	case code >= 300 && code <= 399:
		return verdict{outcome: refused, reason: fmt.Sprintf("%s: redirects are not followed; OCT_PUSH_ENDPOINT has to be the final address", answer.Status)}
	case code == http.StatusBadRequest || code == http.StatusRequestEntityTooLarge || code == http.StatusUnprocessableEntity:
		return verdict{outcome: rejected, reason: said}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return verdict{outcome: refused, reason: said + "; check OCT_PUSH_TOKEN and OCT_PUSH_HEADERS"}
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly || code == http.StatusTooManyRequests || code >= 500:
		return verdict{outcome: retry, after: retryAfter(answer.Header.Get("Retry-After"), now), reason: said}
	}
	return verdict{outcome: refused, reason: said + "; check OCT_PUSH_ENDPOINT and OCT_PUSH_FORMAT"}
}

// retryAfter reads the header of that name: seconds or a date (RFC 9110, section
// 10.2.3). It is obeyed up to maxRetryAfter, nonsense not at all.
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		d = time.Duration(min(seconds, int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// excerpt returns the status and the beginning of what the remote says, if that is text.
func excerpt(answer *http.Response, body []byte) string {
	return withText(answer.Status, string(body))
}

// withText adds the beginning of text to what, on one line, if it is text.
func withText(what, text string) string {
	const most = 200
	text = strings.Join(strings.Fields(writer.Cut(text, 4*most)), " ")
	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return what
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return what + ": " + text
}

// plain says in plain words why there is no answer.
func plain(err error, timeout time.Duration) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may hold secrets
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	dns, isDNS := errors.AsType[*net.DNSError](err)
	dial, isDial := errors.AsType[*net.OpError](err)
	switch {
	case isDial && dial.Op == "proxyconnect":
		return "the proxy of HTTPS_PROXY or HTTP_PROXY: " + plain(dial.Err, timeout)
	case isDial && dial.Op == "dial" && dial.Timeout():
		return "no connection within " + min(dialTimeout, timeout).String()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v (OCT_PUSH_TIMEOUT)", timeout)
	case errors.As(err, &unknown):
		return "its certificate is from an unknown authority; OCT_PUSH_CA_FILE may name one"
	case errors.As(err, &name):
		return "its certificate is for another host"
	case errors.As(err, &invalid):
		return "its certificate is not valid: " + invalid.Error()
	case isDNS:
		return "the host name cannot be resolved: " + dns.Err
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer"
	}
	return err.Error()
}

// client sends requests. It is used by one goroutine.
type client struct {
	http     *http.Client
	headers  http.Header
	compress bool
	timeout  time.Duration
	mask     *redact.Masker

	zip  *gzip.Writer
	out  bytes.Buffer
	deaf bool // nothing came on the connection when the last attempt was over
}

func newClient(o Options) (*client, error) {
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	transport := &http.Transport{
		Proxy: o.Proxy,
		// A dial is not ended with the request that it was begun for.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return dial(ctx, network, address)
		},
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: o.Timeout,
		MaxIdleConns:          1,
		IdleConnTimeout:       90 * time.Second,
		DisableCompression:    true, // answers are small, and a small answer that grows is a trap
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{WriteByteTimeout: dialTimeout},
	}
	if len(o.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("there is no certificate in PEM form")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	c := &client{
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		headers: make(http.Header), compress: o.Compression != "none", timeout: o.Timeout, mask: o.Mask,
	}
	for name, value := range o.Headers {
		c.headers.Set(name, value)
	}
	if o.Token != "" {
		c.headers.Set("Authorization", "Bearer "+o.Token)
	}
	c.headers.Set("User-Agent", "openclaw-trace/"+o.Instance.Version)
	return c, nil
}

// send sends r and says what came of it.
func (c *client) send(ctx context.Context, r request, batchID string, accepted func([]byte) (int64, string)) (verdict, int64) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	c.out.Reset()
	if c.compress {
		if c.zip == nil {
			c.zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for a wrong level only
		}
		c.zip.Reset(&c.out)
		for _, part := range r.body {
			_, _ = c.zip.Write(part) // a buffer takes all
		}
		_ = c.zip.Close()
	} else {
		for _, part := range r.body {
			c.out.Write(part)
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(c.out.Bytes()))
	if err != nil {
		return verdict{outcome: refused, reason: plain(err, c.timeout)}, 0
	}
	for name, values := range c.headers {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", r.contentType)
	request.Header.Set("Idempotency-Key", batchID)
	if c.compress {
		request.Header.Set("Content-Encoding", "gzip")
	}
	if c.deaf {
		// It may be dead without anybody having said so. With HTTP/2 it would be used again
		// and again: there the end of a request is not that of its connection.
		c.http.CloseIdleConnections()
	}
	answer, err := c.http.Do(request)
	c.deaf = err != nil
	if err != nil {
		return verdict{outcome: retry, reason: plain(err, c.timeout), slow: ctx.Err() != nil}, 0
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // the status says it all
	if answer.StatusCode > 299 {
		// Before it is cut: half a secret is not recognized as one.
		said = []byte(c.mask.Mask(string(said), nil))
	}
	v := judge(answer, said, time.Now())
	if v.outcome != delivered {
		return v, 0
	}
	n, text := accepted(said)
	if n > 0 {
		reason := fmt.Sprintf("%s, but %d rejected (partial success)", answer.Status, n)
		return verdict{outcome: rejected, reason: withText(reason, c.mask.Mask(text, nil))}, n
	}
	return v, 0
}

// Reach asks the remote for a sign of life, without its token, with no event, and without
// a change to anything. It returns the status of its answer, and its clock or the zero time.
func Reach(ctx context.Context, o Options) (status int, date time.Time, err error) {
	o.Token, o.Headers = "", nil
	c, err := newClient(o)
	if err != nil {
		return 0, date, err
	}
	defer c.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, min(o.Timeout, dialTimeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, o.Endpoint, nil)
	if err != nil {
		return 0, date, errors.New(plain(err, dialTimeout))
	}
	request.URL.User, request.URL.RawQuery = nil, "" // which may hold secrets
	request.Header.Set("User-Agent", c.headers.Get("User-Agent"))
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, date, errors.New(plain(err, min(o.Timeout, dialTimeout)))
	}
	_ = answer.Body.Close()                             // of nothing
	date, _ = http.ParseTime(answer.Header.Get("Date")) // not all have one
	return answer.StatusCode, date, nil
}
