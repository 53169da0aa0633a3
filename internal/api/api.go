// Package api is the HTTP side: who may come in, how much at once, what the bodies
// mean, and what is answered.
//
// Every request passes the doors (Host, origin, token), then its route, whose
// handler returns either a response or an error; one function (writeError) turns
// errors into statuses, so that all routes answer alike. A 2xx is sent only after
// the rows are committed. Whatever may succeed when sent again is 503 with
// Retry-After, never 500, which OTLP exporters take as final.
//
// Memory is bounded across requests, not only within each: see intake.
package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/metrics"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/view"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Options are the settings of a Server.
type Options struct {
	Version      string
	AuthToken    string   // "" asks for none
	AnyHost      bool     // listening on every interface: any IP address is a right Host
	AllowedHosts []string // right Host names besides the loopback ones; lower case, no port
	MaxBodyBytes int64    // of a decompressed body
	MaxTextBytes int      // of a value in metadata
	PushEnabled  bool     // a remote is configured
	PushInterval time.Duration
	LoadPrices   func() (*pricing.Table, error)
	Log          *slog.Logger
}

// Session is an open database as requests see it.
type Session struct {
	Store  *store.Store
	Writer *writer.Writer
	Notice string // why people should look at this database, or ""
	Parts  metrics.Parts

	Delivery *Delivery                                                // nil without a remote
	Prune    func(context.Context, PruneRequest) (PruneResult, error) // nil if nothing is deleted
}

// Server answers requests. Its methods are safe for concurrent use.
type Server struct {
	opts     Options
	started  time.Time
	doors    doors
	intake   intake
	mux      *http.ServeMux
	session  atomic.Pointer[Session] // nil while no database is open
	last     atomic.Pointer[Session] // the one before, for its books
	streams  atomic.Int64            // clients that watch
	requests tally
	stopped  chan struct{} // closed by Stop
	stopping sync.Once
	problem  atomic.Pointer[string] // why there is no session
}

// New returns a Server without a session: it answers 503 until Use is called.
func New(opts Options) *Server {
	s := &Server{
		opts: opts, started: time.Now(),
		doors: newDoors(opts), intake: newIntake(opts.MaxBodyBytes),
		mux: http.NewServeMux(), stopped: make(chan struct{}), requests: tally{n: make(map[answered]int64)},
	}
	s.Lost("the database is not open yet")
	methods := make(map[string]string)
	for _, r := range s.routes() {
		s.mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) {
			s.serve(w, req, r)
		})
		methods[r.path] += ", " + r.method
	}
	for path, allow := range methods {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow[2:])
			s.writeError(w, r, &httpError{status: http.StatusMethodNotAllowed, message: "this method is not allowed here; allowed: " + allow[2:]})
		})
	}
	s.mux.HandleFunc("/", s.notFound)
	return s
}

// Session returns the open database, or nil.
func (s *Server) Session() *Session { return s.session.Load() }

// Pages mounts pages for people at patterns of http.ServeMux, behind the doors. Those of
// open need no token: the log-in, and what it is made of. It is called before serving.
func (s *Server) Pages(h http.Handler, patterns, open []string) {
	mount := func(pattern string, check func(*http.Request) error) {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			err := check(r)
			switch {
			case r.Context().Value(reserveKey{}) != nil:
				w.Header().Set("Connection", "close")
				s.writeError(w, r, errUnavailable("too many connections; try again", nil))
			case err == errNoToken && r.Method == http.MethodGet:
				// Who comes with a browser has no other way to send it.
				http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			case err != nil:
				s.writeError(w, r, err)
			default:
				h.ServeHTTP(w, r)
			}
		})
	}
	for _, p := range patterns {
		mount(p, s.doors.check)
	}
	for _, p := range open {
		mount(p, s.doors.checkOrigin)
	}
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.writeError(w, r, &httpError{status: http.StatusNotFound, message: "there is nothing at this path"})
}

// route is one thing that can be asked for.
type route struct {
	method, path string
	open         bool // needs neither a known Host nor a token
	handle       func(*http.Request) (response, error)
}

func (s *Server) routes() []route {
	return []route{
		{"POST", "/v1/traces", false, s.postTraces},
		{"POST", "/v1/errors", false, s.postErrors},
		{"POST", "/v1/events", false, s.postEvents},
		{"POST", "/v1/logs", false, s.postLogs},
		{"POST", "/v1/metrics", false, s.postMetrics},
		{"POST", "/v1/push", false, s.postPush},
		{"POST", "/api/v1/quarantine", false, s.postQuarantine},
		{"POST", "/api/v1/reprice", false, s.postReprice},
		{"POST", "/api/v1/redact", false, s.postRedact},
		{"POST", "/api/v1/prune", false, s.postPrune},
		{"GET", "/v1/budget", false, s.getBudget},
		{"GET", "/api/v1/calls", false, s.getCalls},
		{"GET", "/api/v1/calls/{trace_id}", false, s.getCall},
		{"GET", "/api/v1/sessions", false, s.getSessions},
		{"GET", "/api/v1/sessions/{id}", false, s.getSession},
		{"GET", "/api/v1/errors", false, s.getErrors},
		{"GET", "/api/v1/events", false, s.getEvents},
		{"GET", "/api/v1/stats", false, s.getStats},
		{"GET", "/api/v1/system", false, s.getSystem},
		{"GET", "/api/v1/stream", false, s.getStream},
		{"GET", "/metrics", false, s.getMetrics},
		{"GET", "/health", true, s.getHealth},
		{"GET", "/ready", true, s.getReady},
	}
}

// response is what a handler answers.
type response struct {
	status      int
	contentType string
	body        []byte
	stream      func(io.Writer) // writes the body instead, if not nil
	attachment  string          // the name of a file that browsers make of it, if not ""
}

// writeTimeout is for an answer, or for a line of one that goes on.
const writeTimeout = 15 * time.Second

const jsonType = "application/json"

// Use makes requests go to session.
func (s *Server) Use(session *Session) {
	s.session.Store(session)
	s.last.Store(nil)
}

// Lost ends the use of a session and tells senders to try again; why is for health.
func (s *Server) Lost(why string) {
	s.problem.Store(&why)
	if old := s.session.Swap(nil); old != nil {
		s.last.Store(old)
	}
}

// Stop makes the server not ready and ends the streams. Other requests are still served.
func (s *Server) Stop() { s.stopping.Do(func() { close(s.stopped) }) }

// HTTPServer returns a net/http server with every limit on time and size set. One
// may serve several listeners; they have to come from a Limiter.
func (s *Server) HTTPServer() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           s,
		Protocols:         &protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16<<10 - 4096, // net/http adds 4096
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if isReserve(c) {
				return context.WithValue(ctx, reserveKey{}, true)
			}
			return ctx
		},
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is no way around ServeHTTP
		ErrorLog:                     slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
}

type reserveKey struct{}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		// net/http would close the connection, and an exporter take that as final.
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.opts.Log.Error("a request handler panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			s.writeError(w, r, errUnavailable("an internal error; try again", nil))
		}
	}()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if p := r.URL.EscapedPath(); p != path.Clean("/"+p) {
		s.notFound(w, r) // the mux would redirect, which no exporter follows
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, route route) {
	res, err := s.answer(w, r, route)
	if err != nil {
		s.requests.add(route, asHTTPError(err).status)
		s.writeError(w, r, err)
		return
	}
	s.requests.add(route, res.status)
	w.Header().Set("Content-Type", res.contentType)
	if res.attachment != "" {
		w.Header().Set("Content-Disposition", `attachment; filename="`+res.attachment+`"`)
	}
	if res.stream != nil {
		control := http.NewResponseController(w)
		// It is for the request; net/http would take it for the client's going.
		_ = control.SetReadDeadline(time.Time{}) // one that cannot be set is none
		w.WriteHeader(res.status)
		res.stream(&lineWriter{w, control})
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(res.body)))
	w.WriteHeader(res.status)
	_, _ = w.Write(res.body) // a client that has gone will ask again
}

// answer lets a request through the doors to its route.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, route route) (response, error) {
	if !route.open {
		if r.Context().Value(reserveKey{}) != nil {
			w.Header().Set("Connection", "close")
			return response{}, errUnavailable("too many connections; try again", nil)
		}
		if err := s.doors.check(r); err != nil {
			return response{}, err
		}
	}
	return route.handle(r)
}

// lineWriter sends each line at once, and gives it time of its own.
type lineWriter struct {
	io.Writer
	control *http.ResponseController
}

func (w *lineWriter) Write(line []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // one that cannot be set is none
	n, err := w.Writer.Write(line)
	if err != nil {
		return n, err
	}
	return n, w.control.Flush()
}

// httpError is an error as a client sees it. The cause goes to the log only.
type httpError struct {
	status   int
	message  string
	cause    error
	unsure   bool     // whether the request was stored
	traceIDs []string // to send it again with, if unsure
	rejected []rejection
	count    int            // of rejections, more than are listed
	counts   *writer.Counts // of its events, for the ledger
}

func (e *httpError) Error() string { return e.message }

func errBadRequest(message string) *httpError {
	return &httpError{status: http.StatusBadRequest, message: message}
}

func errUnavailable(message string, cause error) *httpError {
	return &httpError{status: http.StatusServiceUnavailable, message: message, cause: cause}
}

// asHTTPError is the one place where an error of the parts below gets its status.
func asHTTPError(err error) *httpError {
	if e, ok := errors.AsType[*httpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*otlp.Error](err); ok {
		return errBadRequest("the body is malformed: " + e.Error())
	}
	if e, ok := errors.AsType[*view.ParamError](err); ok {
		return errBadRequest("the parameter " + e.Error())
	}
	switch {
	case errors.Is(err, writer.ErrRejected):
		return &httpError{status: http.StatusBadRequest, message: "the database does not accept these events; they are not stored"}
	case errors.Is(err, writer.ErrFull):
		return errUnavailable("too much is waiting to be stored; nothing of this request was stored; try again", nil)
	case errors.Is(err, writer.ErrTimeout):
		return errUnavailable("the disk is too slow; nothing of this request was stored; try again", nil)
	case errors.Is(err, writer.ErrPending):
		e := errUnavailable("the disk is too slow; this request may yet be stored; try again with the same ids", nil)
		e.unsure = true
		return e
	case errors.Is(err, writer.ErrClosed):
		return errUnavailable("the database is being closed or opened anew; try again", nil)
	}
	if store.Classify(err) == store.Fatal {
		// It may come after the commit, or from a disk that has it all the same.
		e := errUnavailable("the database failed; this request may yet be stored; try again with the same ids", err)
		e.unsure = true
		return e
	}
	return errUnavailable("the database cannot store this now; nothing of this request was stored; try again", err)
}

// grpcCodes are the codes of google.rpc.Status for the statuses used here.
var grpcCodes = map[int]int32{
	http.StatusBadRequest:            3, // INVALID_ARGUMENT
	http.StatusUnauthorized:          16,
	http.StatusForbidden:             7,
	http.StatusNotFound:              5,
	http.StatusConflict:              9,  // FAILED_PRECONDITION
	http.StatusMethodNotAllowed:      12, // UNIMPLEMENTED
	http.StatusRequestTimeout:        4,  // DEADLINE_EXCEEDED
	http.StatusRequestEntityTooLarge: 8,  // RESOURCE_EXHAUSTED
	http.StatusUnsupportedMediaType:  3,
	http.StatusTooManyRequests:       8,
	http.StatusServiceUnavailable:    14, // UNAVAILABLE
}

// writeError answers in the request's encoding: google.rpc.Status as protobuf or
// JSON, to which JSON adds what a native sender can use.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := asHTTPError(err)
	if e.cause != nil {
		s.opts.Log.Debug("request failed", "path", r.URL.Path, "status", e.status, "err", e.cause)
	}
	h := w.Header()
	switch e.status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		// Spread, so that senders refused together do not come back together.
		h.Set("Retry-After", strconv.Itoa(1+rand.IntN(3)))
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	}
	enc := otlp.JSON
	if kind, _ := mediaType(r); kind == protobufType {
		enc = otlp.Protobuf
	}
	body := otlp.StatusBody(enc, grpcCodes[e.status], e.message)
	if enc == otlp.JSON {
		body = appendDetail(body[:len(body)-1], e)
	}
	h.Set("Content-Type", enc.ContentType())
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	_, _ = w.Write(body) // a client that has gone will ask again
}

// appendDetail completes the JSON object b, which lacks its closing brace.
func appendDetail(b []byte, e *httpError) []byte {
	if len(e.traceIDs) > 0 {
		b = appendStrings(append(b, `,"trace_ids":`...), e.traceIDs)
	}
	if e.count > 0 {
		b = appendRejections(b, e.rejected, e.count)
	}
	return append(b, "}\n"...)
}
