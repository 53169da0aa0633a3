package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"

	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// What the commands of the program ask of a running server, because it holds the
// database. The answer is a line of JSON for each step, and a last one with the result
// or an error.

// Work is the body of a request for work on what is stored.
type Work struct {
	Database string `json:"database"` // the path that is meant; another server may have the port
}

// WorkLine is a line of the answer.
type WorkLine struct {
	Rows int64 `json:"rows,omitempty"` // looked at so far
	Of   int64 `json:"of,omitempty"`   // about how many there are

	Done    bool                `json:"done,omitempty"`
	Changed []*writer.Repricing `json:"changed,omitempty"` // by reprice
	Masked  map[string]int64    `json:"masked,omitempty"`  // by redact, for each rule
	Version string              `json:"version,omitempty"` // of the price table
	Error   string              `json:"error,omitempty"`
}

// postReprice computes costs anew, with the prices file as it is now.
func (s *Server) postReprice(r *http.Request) (response, error) {
	return s.work(r, func(ctx context.Context, w *writer.Writer, progress writer.Progress) (line WorkLine, err error) {
		table, err := s.opts.LoadPrices()
		if err != nil {
			return line, err
		}
		line.Version = table.Version()
		line.Changed, err = w.Reprice(ctx, table, progress)
		return line, err
	})
}

// postRedact masks what was stored before the rules were what they are.
func (s *Server) postRedact(r *http.Request) (response, error) {
	return s.work(r, func(ctx context.Context, w *writer.Writer, progress writer.Progress) (line WorkLine, err error) {
		line.Masked, err = w.MaskStored(ctx, progress)
		return line, err
	})
}

func (s *Server) work(r *http.Request, do func(context.Context, *writer.Writer, writer.Progress) (WorkLine, error)) (response, error) {
	var work Work
	session, err := s.workOn(r, &work, &work)
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusOK, contentType: ndjsonType, stream: func(w io.Writer) {
		e := json.NewEncoder(w)
		line, err := do(r.Context(), session.Writer, func(rows, of int64) {
			_ = e.Encode(WorkLine{Rows: rows, Of: of}) // a client that goes away ends the request's context
		})
		line.Done = err == nil
		if err != nil {
			line.Error = err.Error()
		}
		_ = e.Encode(line)
	}}, nil
}

// workOn reads the body and checks that this server has the database that is meant.
func (s *Server) workOn(r *http.Request, body any, work *Work) (*Session, error) {
	if _, err := accept(r, jsonType); err != nil {
		return nil, err
	}
	session := s.session.Load()
	if session == nil {
		return nil, errUnavailable("the database is not open: "+*s.problem.Load(), nil)
	}
	const maxBody = 64 << 10
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(body); err != nil {
		return nil, errBadRequest(`want an object of JSON such as {"database": "<its path>"}`)
	}
	if !sameFile(work.Database, session.Store.Path()) {
		return nil, &httpError{status: http.StatusConflict, message: "this server has another database open: " + session.Store.Path()}
	}
	return session, nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}
