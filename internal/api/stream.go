package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/view"
)

// Live updates are server-sent events: one for each row that arrived, in the order of
// arrival, with an id that says how far a client has seen. A client that comes back with
// it as Last-Event-ID misses nothing. Each client looks for itself once a second whether
// the books have changed, and reads only then; nothing is read while nobody watches.

const (
	maxStreams  = 32
	lookEvery   = time.Second
	beatEvery   = 10 * time.Second // less than writeTimeout, and than what proxies wait
	maxArrivals = 20               // of a kind, each time
	maxLookedAt = 2000             // rows of a kind, each time
)

// streamParams are those of a filter that make sense for rows that arrive.
var streamParams = []string{
	"provider", "model", "agent", "status", "session", "operation", "min_latency", "min_cost", "q", "severity", "name",
	"kinds", "after",
}

// getStream begins a stream.
func (s *Server) getStream(r *http.Request) (response, error) {
	q, err := ask(r, streamParams)
	if err != nil {
		return response{}, err
	}
	kinds := []string{view.KindCall, view.KindError, view.KindEvent}
	if text := q.values.Get("kinds"); text != "" {
		kinds = strings.Split(text, ",")
		for _, k := range kinds {
			if !slices.Contains(view.LiveKinds, k) {
				return response{}, &view.ParamError{Name: "kinds", Message: "want some of " + strings.Join(view.LiveKinds, ",") + ", separated by commas"}
			}
		}
	}
	after := r.Header.Get("Last-Event-ID") // of a client that comes back
	if after == "" {
		after = q.values.Get("after")
	}
	st := &stream{server: s, filter: q.filter, kinds: kinds}
	if after != "" {
		if st.seen, err = view.ParseMarks(after); err != nil {
			return response{}, &view.ParamError{Name: "after", Message: err.Error()}
		}
	}
	var newest view.Marks
	err = s.read(r.Context(), time.Now(), func(v *view.View) (err error) {
		newest, err = v.Newest(r.Context())
		return err
	})
	if err != nil {
		return response{}, err
	}
	if after == "" || ahead(st.seen, newest) {
		// Of somebody who is ahead the database was another one.
		st.reset = after != ""
		st.seen = newest
	}
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		return response{}, errUnavailable("too many clients watch; try again", nil)
	}
	return response{status: http.StatusOK, contentType: "text/event-stream", stream: func(w io.Writer) {
		defer s.streams.Add(-1)
		st.run(w, r)
	}}, nil
}

// ahead tells whether a has seen what b does not know.
func ahead(a, b view.Marks) bool {
	return a.Call > b.Call || a.Error > b.Error || a.Event > b.Event || a.Span > b.Span || a.Reading > b.Reading
}

// stream is one client that watches.
type stream struct {
	server *Server
	filter view.Filter
	kinds  []string
	seen   view.Marks
	reset  bool

	books   int64 // received as of the last look
	session *Session
	buf     bytes.Buffer
}

// run writes until the client has gone or the server stops.
func (st *stream) run(w io.Writer, r *http.Request) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	st.buf.WriteString("retry: 3000\n\n")
	if st.reset {
		st.event("reset", struct{}{})
	}
	var written time.Time
	for {
		if st.buf.Len() == 0 && time.Since(written) >= beatEvery {
			st.buf.WriteString(": \n\n")
		}
		if st.buf.Len() > 0 {
			if _, err := w.Write(st.buf.Bytes()); err != nil {
				return
			}
			st.buf.Reset()
			written = time.Now()
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-st.server.stopped:
			return
		}
		if err := st.look(r); err != nil {
			return // the client comes back with what it has seen
		}
	}
}

// look puts into the buffer what arrived since the last one. A database that was opened
// anew ends the stream: its ids may be others.
func (st *stream) look(r *http.Request) error {
	session := st.server.session.Load()
	if st.session == nil {
		st.session = session
	}
	if session == nil || session != st.session {
		return errUnavailable("the database was opened anew", nil)
	}
	received := session.Writer.Books().Received
	if received == st.books {
		return nil
	}
	more := make(map[string]int64)
	err := st.server.read(r.Context(), time.Now(), func(v *view.View) error {
		newest, err := v.Newest(r.Context())
		if err != nil {
			return err
		}
		for _, kind := range st.kinds {
			seen, last := st.seen.Of(kind), *newest.Of(kind)
			if last <= *seen {
				continue
			}
			upto := min(last, *seen+maxLookedAt)
			rows, err := v.Arrived(r.Context(), kind, st.filter, *seen, upto, maxArrivals)
			if err != nil {
				return err
			}
			for _, a := range rows {
				*seen = a.ID
				st.event(kind, a.Row)
			}
			if len(rows) < maxArrivals {
				*seen = upto
			}
			if *seen < last {
				more[kind] = last - *seen
				*seen = last
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(more) > 0 {
		st.event("more", more)
	}
	st.books = received
	return nil
}

// event adds an event to the buffer. JSON has no line breaks.
func (st *stream) event(name string, data any) {
	body, err := json.Marshal(data)
	if err != nil {
		panic(err) // of our own types
	}
	for _, s := range [...]string{"event: ", name, "\nid: ", st.seen.String(), "\ndata: ", string(body), "\n\n"} {
		st.buf.WriteString(s)
	}
}
