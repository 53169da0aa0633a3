package api

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// postTraces takes LLM calls: native JSON, or OTLP spans in either encoding.
func (s *Server) postTraces(r *http.Request) (response, error) {
	kind, err := accept(r, jsonType, ndjsonType, protobufType)
	if err != nil {
		return response{}, err
	}
	return s.ingest(r, func(body []byte) (answer, error) {
		if enc, ok := encodingOf(kind, body); ok {
			return s.otlp(body, enc, otlp.Traces)
		}
		return readNative(body, kind, nativeCalls, s.opts.MaxTextBytes)
	})
}

func (s *Server) postErrors(r *http.Request) (response, error) { return s.postNative(r, nativeErrors) }
func (s *Server) postEvents(r *http.Request) (response, error) { return s.postNative(r, nativeEvents) }

func (s *Server) postNative(r *http.Request, what native) (response, error) {
	kind, err := accept(r, jsonType, ndjsonType)
	if err != nil {
		return response{}, err
	}
	return s.ingest(r, func(body []byte) (answer, error) { return readNative(body, kind, what, s.opts.MaxTextBytes) })
}

func (s *Server) postLogs(r *http.Request) (response, error)    { return s.postOTLP(r, otlp.Logs) }
func (s *Server) postMetrics(r *http.Request) (response, error) { return s.postOTLP(r, otlp.Metrics) }

func (s *Server) postOTLP(r *http.Request, signal otlp.Signal) (response, error) {
	kind, err := accept(r, protobufType, jsonType)
	if err != nil {
		return response{}, err
	}
	enc := otlp.Protobuf
	if kind == jsonType {
		enc = otlp.JSON
	}
	return s.ingest(r, func(body []byte) (answer, error) { return s.otlp(body, enc, signal) })
}

// answer is a body understood: what is to be stored, and what to say once it is.
type answer struct {
	batch   *writer.Batch
	success func(writer.Receipt) response
	// failure adds to an error what its reader needs, such as ids. May be nil.
	failure func(*httpError)
}

// ingest reads the body, has it decoded, stores it and answers.
func (s *Server) ingest(r *http.Request, decode func([]byte) (answer, error)) (response, error) {
	session := s.session.Load()
	if session == nil {
		return response{}, errUnavailable("the database is not open: "+*s.problem.Load(), nil)
	}
	b, err := s.intake.read(r)
	if err != nil {
		session.Writer.Count(refusal(err))
		return response{}, err
	}
	defer b.free()
	a, err := decode(b.bytes)
	if err != nil {
		session.Writer.Count(refusal(err))
		return response{}, err
	}
	if a.batch.Empty() {
		session.Writer.Count(&a.batch.Counts)
		return a.success(writer.Receipt{}), nil
	}
	if b.waited > 0 {
		a.batch.Deadline = time.Now().Add(writer.MaxWait - b.waited)
	}
	receipt, err := session.Writer.Submit(a.batch)
	if err != nil {
		e := asHTTPError(err)
		b.lent = errors.Is(err, writer.ErrPending)
		switch {
		case errors.Is(err, writer.ErrRejected): // the writer has counted it
		case !e.unsure:
			session.Writer.Count(a.batch.Refusal(strconv.Itoa(e.status)))
		case a.failure != nil:
			a.failure(e)
		}
		return response{}, e
	}
	return a.success(receipt), nil
}

// refusal counts a request that was refused whole: its events if they were read, or
// else itself.
func refusal(err error) *writer.Counts {
	e := asHTTPError(err)
	if e.counts != nil {
		return e.counts
	}
	return writer.CountOf(writer.Entry{Kind: writer.KindRequest, Outcome: writer.Refused, Reason: strconv.Itoa(e.status)}, 1)
}

// encodingOf tells OTLP from native JSON, which share a path and a content type: an
// export request is the object that has resourceSpans.
func encodingOf(kind string, body []byte) (otlp.Encoding, bool) {
	switch {
	case kind == protobufType:
		return otlp.Protobuf, true
	case kind != jsonType:
		return 0, false
	}
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return 0, false
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return 0, false
		}
		if name.String() == "resourceSpans" {
			return otlp.JSON, true
		}
		if d.SkipValue() != nil {
			return 0, false
		}
	}
	return 0, false
}

func (s *Server) otlp(body []byte, enc otlp.Encoding, signal otlp.Signal) (answer, error) {
	var m *genai.Mapped
	var err error
	switch signal {
	case otlp.Traces:
		m, err = genai.Traces(body, enc, s.opts.MaxTextBytes)
	case otlp.Logs:
		m, err = genai.Logs(body, enc, s.opts.MaxTextBytes)
	case otlp.Metrics:
		m, err = genai.Metrics(body, enc)
	}
	if err != nil {
		return answer{}, err
	}
	return answer{batch: m.Batch, success: func(writer.Receipt) response {
		return response{status: http.StatusOK, contentType: enc.ContentType(), body: otlp.ExportResponse(enc, signal, m.Rejected, m.Reason)}
	}}, nil
}

// rejection is an element of a native body that cannot be stored.
type rejection struct {
	index  int
	reason string
}

// maxRejections is how many of them an answer lists.
const maxRejections = 100

// nativeAnswer is the answer to a native body, of which rejected cannot be stored.
func nativeAnswer(batch *writer.Batch, rejected []rejection, count int, ids func() []string) (answer, error) {
	if batch.Empty() && count > 0 {
		e := errBadRequest(fmt.Sprintf("none of %d events can be stored", count))
		if count == 1 {
			e.message = rejected[0].reason
		}
		e.rejected, e.count, e.counts = rejected, count, &batch.Counts
		return answer{}, e
	}
	return answer{
		batch: batch,
		success: func(r writer.Receipt) response {
			b := strconv.AppendInt([]byte(`{"accepted":`), int64(r.Stored), 10)
			b = strconv.AppendInt(append(b, `,"duplicates":`...), int64(r.Duplicates), 10)
			b = appendRejections(b, rejected, count)
			b = appendStrings(append(b, `,"trace_ids":`...), ids())
			return response{status: http.StatusAccepted, contentType: jsonType, body: append(b, "}\n"...)}
		},
		failure: func(e *httpError) { e.traceIDs = ids() },
	}, nil
}

func appendRejections(b []byte, list []rejection, count int) []byte {
	b = append(b, `,"rejected":[`...)
	for i, r := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"index":`...), int64(r.index), 10)
		b = otlp.AppendJSONString(append(b, `,"reason":`...), r.reason)
		b = append(b, '}')
	}
	b = append(b, ']')
	if count > len(list) {
		b = strconv.AppendInt(append(b, `,"rejected_count":`...), int64(count), 10)
	}
	return b
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = otlp.AppendJSONString(b, s)
	}
	return append(b, ']')
}
