package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
)

// Delivery is what a server shows and asks of the part that forwards events.
type Delivery struct {
	Status func() DeliveryStatus
	Now    func(context.Context) (DeliveryResult, error)
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
	Delivered   int64  `json:"delivered"`
	Quarantined int64  `json:"quarantined"`
	Pending     int64  `json:"pending"`
	Error       string `json:"error,omitempty"` // why not everything was delivered
}

var errNoRemote = &httpError{status: http.StatusConflict, message: "there is nowhere to forward to: OCT_PUSH_ENDPOINT is not set"}

// postPush has a round of forwarding begin now, and answers when it has ended.
func (s *Server) postPush(r *http.Request) (response, error) {
	session := s.session.Load()
	if session == nil {
		return response{}, errUnavailable("the database is not open: "+*s.problem.Load(), nil)
	}
	if session.Delivery == nil {
		return response{}, errNoRemote
	}
	return response{status: http.StatusOK, contentType: jsonType, stream: func(w io.Writer) {
		result, err := session.Delivery.Now(r.Context())
		if err != nil {
			result.Error = err.Error()
		}
		_ = json.NewEncoder(w).Encode(result) // a client that has gone will ask again
	}}, nil
}

// Quarantine is the body of a request about events that the remote will never take.
type Quarantine struct {
	Work
	Action   string   `json:"action"` // retry or drop
	TraceIDs []string `json:"trace_ids"`
	All      bool     `json:"all"`
}

// postQuarantine releases events.
func (s *Server) postQuarantine(r *http.Request) (response, error) {
	var q Quarantine
	session, err := s.workOn(r, &q, &q.Work)
	if err != nil {
		return response{}, err
	}
	switch {
	case q.Action != "retry" && q.Action != "drop":
		return response{}, errBadRequest("action is none of retry, drop")
	case len(q.TraceIDs) == 0 && !q.All:
		return response{}, errBadRequest("trace_ids is required, or all")
	case session.Delivery == nil:
		return response{}, errNoRemote
	}
	n, err := session.Delivery.Release(r.Context(), q.Action == "drop", q.TraceIDs...)
	if err != nil {
		return response{}, err
	}
	body, err := json.Marshal(WorkLine{Done: true, Rows: n})
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusOK, contentType: jsonType, body: append(body, '\n')}, nil
}
