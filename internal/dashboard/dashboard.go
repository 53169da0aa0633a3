// Package dashboard shows the record to people, as pages that the binary alone makes.
//
// A page is made whole on the server, from a URL that says all of it: it can be kept,
// shared, printed, and read without a script. What scripts there are make it live and
// quick to the keyboard. Nothing comes from anywhere else, and the browser is told to
// allow nothing else (see headers).
//
// What is stored was written by a model or by whoever spoke to it. It is text, wherever
// it is shown: there is no way from it into an element, an attribute's name, a link's
// scheme, a style or a script. Long texts are folded, and a text that is not whole says
// by how much.
//
// The handler has no doors of its own: Host, origin and token are for who mounts it.
package dashboard

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/view"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Options are what a Dashboard shows, and the settings that it tells of.
type Options struct {
	Version string
	// Session returns the open database, or nil.
	Session func() *Session
	// Reasons returns why the program is not as it should be, in plain words.
	Reasons func() []string
	// LogIn returns the cookie for who knows the token, or a status and an error for who
	// does not; nil where there is no token.
	LogIn func(r *http.Request, token string) (*http.Cookie, int, error)
	// LogOut returns what takes that cookie's place; nil where LogIn is.
	LogOut func() *http.Cookie
	Log    *slog.Logger
}

// Session is an open database as pages see it.
type Session struct {
	Store    *store.Store
	Writer   *writer.Writer
	Delivery *Delivery // nil without a remote
}

// Delivery is what is shown and asked of the part that forwards events.
type Delivery struct {
	Endpoint string // as it may be shown
	Status   func() DeliveryStatus
	Now      func(context.Context) (DeliveryResult, error)
	// Release takes events out of quarantine: to be delivered after all, or with drop
	// to be deleted. Without ids it means all.
	Release func(ctx context.Context, drop bool, ids ...string) (int64, error)
}

// DeliveryStatus says how forwarding goes. Times are Unix ms, 0 for never.
type DeliveryStatus struct {
	LastAttempt int64
	LastSuccess int64
	NextAttempt int64
	LastError   string // in plain words; "" after a success
	Refused     bool   // the remote will take nothing until somebody changes a setting
	Failures    int    // attempts in a row
	Oldest      int64  // when the oldest event that waits happened
}

// DeliveryResult is what came of a round.
type DeliveryResult struct {
	Delivered, Quarantined, Pending int64
	Error                           string // why not everything was delivered
}

// Dashboard serves the pages. It is safe for concurrent use.
type Dashboard struct {
	opts   Options
	mux    *http.ServeMux
	static static
	memory memory
}

// New returns a Dashboard.
func New(opts Options) *Dashboard {
	d := &Dashboard{opts: opts, mux: http.NewServeMux(), static: newStatic()}
	for _, p := range pages {
		d.mux.HandleFunc(p.pattern, func(w http.ResponseWriter, r *http.Request) { d.serve(w, r, p) })
	}
	d.mux.Handle("GET /static/", d.static)
	d.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		d.serve(w, r, page{show: func(*request) (*answer, error) { return nil, view.ErrNotFound }})
	})
	return d
}

// page is one that can be asked for.
type page struct {
	pattern string
	section string   // of the navigation
	takes   []string // parameters: of view.Filter, and its own
	watches []string // kinds of what makes it another page when it arrives
	show    func(*request) (*answer, error)
}

var pages = []page{
	{"GET /{$}", "/", join(view.TimeParams), []string{view.KindCall, view.KindError, view.KindReading}, (*request).overview},
	{"GET /calls", "/calls", join(view.CallParams, "line", "before"), []string{view.KindCall}, (*request).calls},
	{"GET /calls/{trace_id}", "/calls", join(view.CallParams, "part", "whole"), nil, (*request).call},
	{"GET /sessions", "/sessions", join(view.SessionParams, "line", "before"), []string{view.KindCall}, (*request).sessions},
	{"GET /sessions/{id}", "/sessions", join(view.TimeParams, "before"), []string{view.KindCall}, (*request).session},
	{"GET /errors", "/errors", join(view.EntryParams, "line", "before", "show"), []string{view.KindCall, view.KindError}, (*request).errors},
	{"GET /logs", "/logs", join(view.EntryParams, "line", "before", "show"), []string{view.KindError, view.KindEvent, view.KindSpan}, (*request).logs},
	{"GET /system", "/system", join(view.TimeParams), []string{view.KindCall, view.KindReading}, (*request).system},
	{"GET /push", "/push", join(view.TimeParams, "before"), []string{view.KindCall, view.KindError, view.KindEvent, view.KindSpan, view.KindReading}, (*request).push},
	{"POST /push", "/push", nil, nil, (*request).pushNow},
	{"GET /login", "", []string{"next"}, nil, (*request).login},
	{"POST /login", "", nil, nil, (*request).logIn},
	{"POST /logout", "", nil, nil, (*request).logOut},
}

// Patterns returns at which patterns of http.ServeMux to mount a Dashboard. Those of open
// have to be there for who has not logged in.
func Patterns() (locked, open []string) {
	for _, p := range pages {
		method, path, _ := strings.Cut(p.pattern, " ")
		switch {
		case path == "/login" && method == http.MethodGet:
			open = append(open, path, "/logout", "/static/")
		case method == http.MethodGet:
			locked = append(locked, path)
		}
	}
	return locked, open
}

func join(list []string, more ...string) []string {
	return append(list[:len(list):len(list)], append(more, "refresh")...)
}

// answer is what a page shows.
type answer struct {
	status   int // 0 is 200
	title    string
	body     html.Node
	redirect string       // to go there instead
	cookie   *http.Cookie // to be set
	text     *string      // plain text instead of a page
	bare     bool         // without navigation
}

// maxForm is the limit in bytes of what a form sends.
const maxForm = 64 << 10

// ServeHTTP implements http.Handler.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	headers(w.Header())
	d.mux.ServeHTTP(w, r)
}

// policy allows what is our own and nothing else, and no script or style in a page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func headers(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func (d *Dashboard) serve(w http.ResponseWriter, req *http.Request, p page) {
	req.Body = http.MaxBytesReader(w, req.Body, maxForm)
	r, err := d.newRequest(req, p)
	var a *answer
	if err == nil {
		a, err = p.show(r)
	}
	if err != nil {
		if req.Context().Err() != nil {
			return // nobody waits for it
		}
		a = r.failure(err)
	}
	h := w.Header()
	if a.cookie != nil {
		http.SetCookie(w, a.cookie)
	}
	if n, err := strconv.Atoi(r.own("refresh")); err == nil && n >= 2 && n <= 3600 {
		h.Set("Refresh", strconv.Itoa(n)) // for who has no script to keep it live
	}
	if a.redirect != "" {
		http.Redirect(w, req, a.redirect, http.StatusSeeOther)
		return
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	if status == http.StatusTooManyRequests {
		h.Set("Retry-After", "1")
	}
	var body []byte
	if a.text != nil {
		// Hostile text in the open: no browser may take it for anything else.
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
		h.Set("Content-Type", "text/plain; charset=utf-8")
		body = []byte(*a.text)
	} else {
		h.Set("Content-Type", "text/html; charset=utf-8")
		body = html.Render(r.layout(a))
	}
	send(w, req, status, body)
}

// compressors are expensive to make: each holds a window of its own.
var compressors = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed+2) // a level that exists
	return z
}}

// send writes a body, compressed if that is worth it.
func send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	if len(body) > 1024 && acceptsGzip(r) {
		var small bytes.Buffer
		z := compressors.Get().(*gzip.Writer)
		z.Reset(&small)
		_, _ = z.Write(body) // a Buffer takes everything
		_ = z.Close()
		compressors.Put(z)
		h.Set("Content-Encoding", "gzip")
		body = small.Bytes()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone will ask again
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, weighted := strings.Cut(part, ";")
		if strings.TrimSpace(name) == "gzip" {
			return !weighted || strings.Trim(q, " q=0.") != "" // a weight of 0 says no
		}
	}
	return false
}

// request is a question for a page.
type request struct {
	*http.Request
	d      *Dashboard
	page   page
	values url.Values // of the query
	filter view.Filter
	before view.Cursor
	zone   *time.Location
	now    time.Time // in zone
}

var errNoDatabase = errors.New("the database is not open at the moment; this page will work again once it is")

// all is the Instant that every event is later than, which a URL calls "all".
var all = view.Instant{At: 1}

// day is the range of a URL that names none.
var day = view.Instant{Ago: 24 * time.Hour}

func (d *Dashboard) newRequest(req *http.Request, p page) (*request, error) {
	r := &request{Request: req, d: d, page: p, values: req.URL.Query(), zone: time.UTC, now: time.Now().UTC()}
	if req.Method == http.MethodPost || p.pattern == "" {
		r.values = url.Values{}
	}
	values := r.values
	if since := values.Get("since"); since == "all" {
		values = clone(values)
		values.Del("since")
	}
	var err error
	if r.filter, err = view.Parse(values, p.takes...); err != nil {
		r.filter = view.Filter{Since: day}
		return r, err
	}
	if r.filter.Since == (view.Instant{}) {
		r.filter.Since = day
		switch {
		case r.values.Get("since") == "all":
			r.filter.Since = all
		case r.filter.Until != (view.Instant{}):
			r.filter.Since = view.Instant{At: max(r.filter.Until.In(r.now, 0)-day.Ago.Milliseconds(), 1)}
		}
	}
	r.zone = r.filter.Location()
	r.now = r.now.In(r.zone)
	if from, until := r.filter.Range(r.now); r.filter.Until != (view.Instant{}) && from >= until {
		r.filter = view.Filter{Since: day, Zone: r.filter.Zone}
		return r, &view.ParamError{Name: "until", Message: "it is not after since"}
	}
	r.before, err = view.ParseCursor(r.own("before"))
	return r, err
}

func clone(v url.Values) url.Values {
	c := make(url.Values, len(v))
	for name, list := range v {
		c[name] = list
	}
	return c
}

// own returns a parameter that is the page's own.
func (r *request) own(name string) string { return r.values.Get(name) }

// ask reads from the database.
func (r *request) ask(f func(context.Context, *view.View) error) error {
	s := r.d.opts.Session()
	if s == nil {
		return errNoDatabase
	}
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second) // so that no page holds the log for long
	defer cancel()
	return r.d.read(ctx, s, func(v *view.View) error { return f(ctx, v) })
}

// times returns a filter that wants the same range, and everything in it.
func (r *request) times() view.Filter {
	return view.Filter{Since: r.filter.Since, Until: r.filter.Until, Zone: r.filter.Zone}
}

// link returns the URL of a page for a filter; more are names and values.
func link(path string, f view.Filter, more ...string) string {
	q := f.Query()
	switch f.Since {
	case day:
		if f.Until == (view.Instant{}) {
			q.Del("since")
		}
	case all:
		q.Set("since", "all")
	}
	for i := 0; i < len(more); i += 2 {
		if more[i+1] != "" {
			q.Set(more[i], more[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// self is a link to this page for another filter. A day of a session is named, since a
// session whose URL names no time is shown whole.
func (r *request) self(f view.Filter, more ...string) string {
	if r.PathValue("id") != "" && f.Since == day {
		more = append(more, "since", day.String())
	}
	return link(r.URL.EscapedPath(), f, more...)
}

// api returns the URL of the same question to the API.
func api(path string, f view.Filter, format string) string {
	q := f.Query()
	if format != "" {
		q.Set("format", format)
	}
	return "/api/v1" + path + "?" + q.Encode()
}

// between returns f for a part of its time.
func between(f view.Filter, from, until int64) view.Filter {
	f.Since, f.Until = view.Instant{At: max(from, 1)}, view.Instant{At: max(until, 1)}
	return f
}

// callPath returns the path of a call's page.
func callPath(id string) string { return "/calls/" + url.PathEscape(id) }

func sessionPath(id string) string { return "/sessions/" + url.PathEscape(id) }

// typed returns where to go with what people typed into the line of a list, if they did.
func (r *request) typed(path string, takes []string) (*answer, error) {
	if !r.values.Has("line") {
		return nil, nil
	}
	f, err := view.ParseLine(r.times(), r.own("line"), takes...)
	if err != nil {
		return nil, err
	}
	return &answer{redirect: link(path, f)}, nil
}
