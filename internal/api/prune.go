package api

import (
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// PruneRequest says what is to be deleted by hand: at most one of the first three. With
// none of them it is what retention and budget ask for.
type PruneRequest struct {
	OlderThan time.Duration
	Call      string // trace_id
	Session   string // session_id
	DryRun    bool   // only count
}

// PruneResult is what was deleted.
type PruneResult struct {
	Deleted     map[string]int64 `json:"deleted"`          // rows, by kind
	Undelivered int64            `json:"undelivered"`      // of them, those that no remote had
	Texts       int64            `json:"texts"`            // calls that lost their texts
	Reason      string           `json:"reason,omitempty"` // why there is still too much, or too old
}

// PruneAnswer is the body of the answer.
type PruneAnswer struct {
	PruneResult
	Error string `json:"error,omitempty"` // why not all was done
}

// Prune is the body of a request to delete.
type Prune struct {
	Work
	OlderThanMS int64  `json:"older_than_ms,omitempty"`
	TraceID     string `json:"trace_id,omitempty"`
	SessionID   string `json:"session_id,omitempty"`
	DryRun      bool   `json:"dry_run,omitempty"`
}

// postPrune deletes, and answers when that is done.
func (s *Server) postPrune(r *http.Request) (response, error) {
	var p Prune
	session, err := s.workOn(r, &p, &p.Work)
	if err != nil {
		return response{}, err
	}
	wanted := 0
	for _, is := range []bool{p.OlderThanMS != 0, p.TraceID != "", p.SessionID != ""} {
		if is {
			wanted++
		}
	}
	const most = int64(1<<63-1) / int64(time.Millisecond)
	switch {
	case wanted > 1:
		return response{}, errBadRequest("want at most one of older_than_ms, trace_id and session_id")
	case p.OlderThanMS < 0 || p.OlderThanMS > most:
		return response{}, errBadRequest("older_than_ms makes no sense")
	case p.DryRun && wanted == 0:
		return response{}, errBadRequest("dry_run needs one of older_than_ms, trace_id and session_id")
	case session.Prune == nil:
		return response{}, &httpError{status: http.StatusConflict, message: "this server deletes nothing"}
	}
	return response{status: http.StatusOK, contentType: jsonType, stream: func(w io.Writer) {
		result, err := session.Prune(r.Context(), PruneRequest{
			OlderThan: time.Duration(p.OlderThanMS) * time.Millisecond, Call: p.TraceID, Session: p.SessionID, DryRun: p.DryRun,
		})
		answer := PruneAnswer{PruneResult: result}
		if err != nil {
			answer.Error = err.Error()
		}
		_ = json.NewEncoder(w).Encode(answer) // a client that has gone will ask again
	}}, nil
}
