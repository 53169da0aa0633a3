package api

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Limits of a native body.
const (
	maxEvents   = genai.MaxItems
	maxMetadata = 64 << 10 // bytes of an event's metadata, or as much as a text may have
)

// tooMany is made once: it may be needed for millions of tiny elements.
var tooMany = fmt.Sprintf("more than %d events in one request", maxEvents)

// native is what may be sent to one of the native endpoints.
type native struct {
	kind string // in the ledger
	// read takes the members of one event up to the closing brace and adds it to b.
	// A rejection is an error of type reject.
	read func(n *nativeReader, b *writer.Batch) error
	ids  func(*writer.Batch) []string
}

var nativeCalls = native{writer.KindCall, (*nativeReader).call, func(b *writer.Batch) []string {
	return ids(b.Calls, func(c *db.InsertLLMTraceParams) string { return c.TraceID })
}}

var nativeErrors = native{writer.KindError, (*nativeReader).errorEvent, func(b *writer.Batch) []string {
	return ids(b.Errors, func(e *db.InsertErrorEventParams) string { return e.TraceID })
}}

var nativeEvents = native{writer.KindEvent, (*nativeReader).customEvent, func(b *writer.Batch) []string {
	return ids(b.Events, func(e *db.InsertCustomEventParams) string { return e.TraceID })
}}

func ids[T any](rows []T, id func(*T) string) []string {
	list := make([]string, len(rows))
	for i := range rows {
		list[i] = id(&rows[i])
	}
	return list
}

// reject says why one event cannot be stored. It ends that event only. It goes into the
// answer, and so into logs of others: it does not repeat what was sent.
type reject string

func (r reject) Error() string { return string(r) }

// readNative reads one object, an array of objects, or newline-delimited objects.
// A malformed body is an error with its position; an event that cannot be stored is
// listed and takes no other with it.
func readNative(body []byte, kind string, what native, maxText int) (answer, error) {
	n := readers.Get().(*nativeReader)
	defer n.release()
	n.maxExtra = max(maxMetadata, maxText)
	n.dec.Reset(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

	batch := new(writer.Batch)
	var rejected []rejection
	index, count := 0, 0
	event := func() error {
		defer func() { index++ }()
		reason := ""
		switch {
		case index >= maxEvents:
			reason = tooMany
			if _, err := n.value(); err != nil {
				return err
			}
		case n.dec.PeekKind() != '{':
			reason = "an event must be a JSON object"
			if _, err := n.value(); err != nil {
				return err
			}
		default:
			var no reject
			if err := what.read(n, batch); errors.As(err, &no) {
				reason = string(no)
			} else if err != nil {
				return err
			}
		}
		if reason != "" {
			count++
			if len(rejected) < maxRejections {
				rejected = append(rejected, rejection{index, reason})
			}
			batch.Counts.Add(writer.Entry{Kind: what.kind, Outcome: writer.Refused, Reason: "invalid"}, 1)
		}
		return nil
	}

	err := n.events(kind == ndjsonType, event)
	if err != nil {
		if at := tooDeep(body, 0); at >= 0 {
			return answer{}, errBadRequest(fmt.Sprintf("the body is nested deeper than %d at byte %d", otlp.MaxDepth, at))
		}
		return answer{}, malformed(err, n.dec.InputOffset())
	}
	return nativeAnswer(batch, rejected, count, func() []string { return what.ids(batch) })
}

// events calls f with the decoder before each event of the body.
func (n *nativeReader) events(lines bool, f func() error) error {
	if lines {
		for {
			if n.dec.PeekKind() == jsontext.KindInvalid {
				if _, err := n.dec.ReadToken(); err != io.EOF {
					return err
				}
				return nil
			}
			if err := f(); err != nil {
				return err
			}
		}
	}
	if n.dec.PeekKind() == '[' {
		if _, err := n.dec.ReadToken(); err != nil {
			return err
		}
		for kind := n.dec.PeekKind(); kind != ']'; kind = n.dec.PeekKind() {
			if kind == jsontext.KindInvalid {
				_, err := n.dec.ReadToken() // says what is wrong
				return err
			}
			if err := f(); err != nil {
				return err
			}
		}
		if _, err := n.dec.ReadToken(); err != nil {
			return err
		}
	} else if err := f(); err != nil {
		return err
	}
	if n.dec.PeekKind() != jsontext.KindInvalid {
		return errors.New("unexpected data after the JSON value")
	}
	if _, err := n.dec.ReadToken(); err != io.EOF {
		return err
	}
	return nil
}

func malformed(err error, at int64) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at, err = syntax.ByteOffset, syntax.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errBadRequest(fmt.Sprintf("the body is malformed JSON: it ends early at byte %d", at))
	}
	return errBadRequest(fmt.Sprintf("the body is malformed JSON: %s at byte %d", strings.TrimPrefix(err.Error(), "jsontext: "), at))
}

// tooDeep returns where the nesting of a JSON value that stands at depth exceeds
// otlp.MaxDepth, or -1.
func tooDeep(v []byte, depth int) int {
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			for i++; i < len(v) && v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > otlp.MaxDepth {
				return i
			}
		case '}', ']':
			depth--
		}
	}
	return -1
}

// nativeReader reads the members of events. It is kept from one request to the next.
type nativeReader struct {
	dec      *jsontext.Decoder
	extra    []byte   // members of the event's metadata: `"key":value,…`
	maxExtra int      // bytes of extra
	invalid  []string // members whose value makes no sense
}

var readers = sync.Pool{New: func() any { return &nativeReader{dec: jsontext.NewDecoder(new(bytes.Buffer))} }}

func (n *nativeReader) release() {
	n.dec.Reset(new(bytes.Buffer)) // lets go of the body
	if cap(n.extra) <= 2*maxMetadata {
		readers.Put(n)
	}
}

// members calls f with each member's name, the decoder standing before its value.
func (n *nativeReader) members(f func(name string) error) error {
	n.extra, n.invalid = n.extra[:0], n.invalid[:0]
	if _, err := n.dec.ReadToken(); err != nil {
		return err
	}
	for n.dec.PeekKind() == '"' {
		t, err := n.dec.ReadToken()
		if err != nil {
			return err
		}
		if err := f(t.String()); err != nil {
			return err
		}
	}
	_, err := n.dec.ReadToken()
	return err
}

// call reads an LLM call. Its members are the columns of llm_traces.
func (n *nativeReader) call(b *writer.Batch) error {
	var c db.InsertLLMTraceParams
	var id, status *string
	var hourly *int64
	err := n.members(func(name string) error {
		switch name {
		case "trace_id":
			return n.string(name, &id)
		case "created_at":
			return n.time(&c.CreatedAt)
		case "provider":
			return n.required(name, &c.Provider)
		case "model":
			return n.required(name, &c.Model)
		case "input_text":
			return n.content(&c.InputText)
		case "output_text":
			return n.content(&c.OutputText)
		case "prompt_tokens":
			return n.count(name, &c.PromptTokens)
		case "completion_tokens":
			return n.count(name, &c.CompletionTokens)
		case "total_tokens":
			return n.count(name, &c.TotalTokens)
		case "cache_read_tokens":
			return n.count(name, &c.CacheReadTokens)
		case "cache_write_tokens":
			return n.count(name, &c.CacheWriteTokens)
		case "reasoning_tokens":
			return n.count(name, &c.ReasoningTokens)
		case "cost_usd":
			return n.amount(name, writer.MaxCostUSD, &c.CostUSD)
		case "latency_ms":
			return n.millis(name, &c.LatencyMS)
		case "ttft_ms":
			return n.millis(name, &c.TtftMS)
		case "status":
			return n.string(name, &status)
		case "error_type":
			return n.string(name, &c.ErrorType)
		case "error_message":
			return n.string(name, &c.ErrorMessage)
		case "session_id":
			return n.string(name, &c.SessionID)
		case "agent":
			return n.string(name, &c.Agent)
		case "operation":
			return n.string(name, &c.Operation)
		case "otel_trace_id":
			return n.hex(name, &c.OTELTraceID)
		case "otel_span_id":
			return n.hex(name, &c.OTELSpanID)
		case "otel_parent_span_id":
			return n.hex(name, &c.OTELParentSpanID)
		case "cache_write_1h_tokens":
			return n.count(name, &hourly)
		case "metadata":
			return n.metadata()
		}
		return n.unknown(name)
	})
	if err != nil {
		return err
	}
	switch {
	case c.Provider == "":
		return reject("provider is required")
	case c.Model == "":
		return reject("model is required")
	}
	if c.TraceID, err = nativeID(id, &c); err != nil {
		return err
	}
	switch {
	case status != nil && *status != "":
		c.Status = *status
		if c.Status != "ok" && c.Status != "error" && c.Status != "timeout" {
			return reject("status is none of ok, error, timeout")
		}
	case c.ErrorType == nil:
		c.Status = "ok"
	case genai.IsTimeout(*c.ErrorType):
		c.Status = "timeout"
	default:
		c.Status = "error"
	}
	if c.CostUSD != nil {
		reported := writer.Reported
		c.CostSource = &reported
	}
	if standard := genai.Provider(c.Provider); standard != c.Provider {
		n.member(genai.ProviderKey, otlp.AppendJSONString(nil, c.Provider))
		c.Provider = standard
	}
	if hourly != nil {
		n.member(writer.CacheWrite1hKey, strconv.AppendInt(nil, *hourly, 10))
	}
	c.Metadata = n.finish(b, writer.KindCall)
	b.Calls = append(b.Calls, c)
	return nil
}

// nativeID returns the identity of the call c, for which the client sent this id, or ""
// when a new one is to be made.
func nativeID(sent *string, c *db.InsertLLMTraceParams) (string, error) {
	id, err := identity(sent)
	if id != "" || err != nil {
		return id, err
	}
	// The same call sent both ways is one row.
	if trace, span, ok := spanOf(c); ok {
		return genai.SpanUUID(trace, span, c.CreatedAt), nil
	}
	return "", nil
}

// maxSpanStart is the latest start in Unix ms that OTLP can tell, in the year 2554.
const maxSpanStart = math.MaxUint64 / 1_000_000

// spanOf returns the ids of the span that is this call, if it names one that OTLP would
// take, and when it began.
func spanOf(c *db.InsertLLMTraceParams) (trace otlp.TraceID, span otlp.SpanID, ok bool) {
	if c.OTELTraceID == nil || len(*c.OTELTraceID) != 2*len(trace) || c.OTELSpanID == nil || len(*c.OTELSpanID) != 2*len(span) {
		return trace, span, false
	}
	_, traceErr := hex.Decode(trace[:], []byte(*c.OTELTraceID))
	_, spanErr := hex.Decode(span[:], []byte(*c.OTELSpanID))
	ok = traceErr == nil && spanErr == nil && trace != (otlp.TraceID{}) && span != (otlp.SpanID{}) &&
		c.CreatedAt > 0 && c.CreatedAt <= maxSpanStart
	return trace, span, ok
}

// errorEvent reads an error. Its members are the columns of error_events.
func (n *nativeReader) errorEvent(b *writer.Batch) error {
	var e db.InsertErrorEventParams
	var id, severity *string
	err := n.members(func(name string) error {
		switch name {
		case "trace_id":
			return n.string(name, &id)
		case "created_at":
			return n.time(&e.CreatedAt)
		case "error_type":
			return n.required(name, &e.ErrorType)
		case "message":
			return n.required(name, &e.Message)
		case "stack_trace":
			return n.string(name, &e.StackTrace)
		case "severity":
			return n.string(name, &severity)
		case "metadata":
			return n.metadata()
		}
		return n.unknown(name)
	})
	if err != nil {
		return err
	}
	switch {
	case e.ErrorType == "":
		return reject("error_type is required")
	case e.Message == "":
		return reject("message is required")
	}
	if e.TraceID, err = identity(id); err != nil {
		return err
	}
	e.Severity = "error"
	if severity != nil && *severity != "" {
		e.Severity = *severity
		if e.Severity != "warning" && e.Severity != "error" && e.Severity != "critical" {
			return reject("severity is none of warning, error, critical")
		}
	}
	e.Metadata = n.finish(b, writer.KindError)
	b.Errors = append(b.Errors, e)
	return nil
}

// customEvent reads an event in the sender's own words. Its members are the columns of
// custom_events.
func (n *nativeReader) customEvent(b *writer.Batch) error {
	var e db.InsertCustomEventParams
	var id *string
	err := n.members(func(name string) error {
		switch name {
		case "trace_id":
			return n.string(name, &id)
		case "created_at":
			return n.time(&e.CreatedAt)
		case "name":
			return n.required(name, &e.Name)
		case "session_id":
			return n.string(name, &e.SessionID)
		case "metadata":
			return n.metadata()
		}
		return n.unknown(name)
	})
	if err != nil {
		return err
	}
	if e.Name == "" {
		return reject("name is required")
	}
	if e.TraceID, err = identity(id); err != nil {
		return err
	}
	e.Metadata = n.finish(b, writer.KindEvent)
	b.Events = append(b.Events, e)
	return nil
}

// identity returns the client's UUID in lower case, or "" when it sent none.
func identity(id *string) (string, error) {
	if id == nil || *id == "" {
		return "", nil
	}
	u, err := uuid.Parse(*id)
	if err != nil || len(*id) != 36 {
		return "", reject("trace_id is not a UUID")
	}
	return u.String(), nil
}

// bad notes a member that cannot be used; the event is kept without it.
func (n *nativeReader) bad(name string) {
	if !slices.Contains(n.invalid, name) {
		n.invalid = append(n.invalid, name)
	}
}

var errTooDeep = errors.New("too deep")

// value reads a whole value, which stays valid until the next read.
func (n *nativeReader) value() (jsontext.Value, error) {
	depth := n.dec.StackDepth()
	v, err := n.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	if tooDeep(v, depth) >= 0 {
		return nil, errTooDeep // readNative says where
	}
	return v, nil
}

// scalar reads a text, number, true or false. An array or object in its place is
// skipped and noted, and null is none.
func (n *nativeReader) scalar(name string) (t jsontext.Token, ok bool, err error) {
	if k := n.dec.PeekKind(); k == '{' || k == '[' {
		n.bad(name)
		_, err = n.value()
		return t, false, err
	}
	t, err = n.dec.ReadToken()
	return t, err == nil && t.Kind() != 'n', err
}

// string reads a text; null is none, and so is "".
func (n *nativeReader) string(name string, dst **string) error {
	t, ok, err := n.scalar(name)
	if !ok {
		return err
	}
	if t.Kind() != '"' {
		n.bad(name)
		return nil
	}
	if s := t.String(); s != "" {
		*dst = &s
	}
	return nil
}

// hex reads an id, which is stored as OpenTelemetry writes it.
func (n *nativeReader) hex(name string, dst **string) error {
	if err := n.string(name, dst); err != nil || *dst == nil {
		return err
	}
	lower := strings.ToLower(**dst)
	*dst = &lower
	if strings.Trim(lower, "0123456789abcdef") != "" {
		*dst = nil
		n.bad(name)
	}
	return nil
}

func (n *nativeReader) required(name string, dst *string) error {
	var s *string
	if err := n.string(name, &s); err != nil {
		return err
	}
	*dst = ""
	if s != nil {
		*dst = *s
	}
	return nil
}

// content reads a text, or an array of messages, which is kept as JSON.
func (n *nativeReader) content(dst **string) error {
	if k := n.dec.PeekKind(); k == '"' || k == 'n' {
		return n.string("", dst)
	}
	v, err := n.value()
	if err != nil {
		return err
	}
	s := string(v)
	*dst = &s
	return nil
}

// number reads a number, also one sent as text.
func (n *nativeReader) number(name string) (text string, ok bool, err error) {
	t, ok, err := n.scalar(name)
	if !ok {
		return "", false, err
	}
	if k := t.Kind(); k != '0' && k != '"' {
		n.bad(name)
		return "", false, nil
	}
	return t.String(), true, nil
}

// count reads a whole number from 0 to writer.MaxCount.
func (n *nativeReader) count(name string, dst **int64) error {
	text, ok, err := n.number(name)
	if err != nil || !ok {
		return err
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil && i >= 0 && i <= writer.MaxCount {
		*dst = &i
		return nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 && f <= writer.MaxCount && f == math.Trunc(f) {
		i := int64(f)
		*dst = &i
		return nil
	}
	n.bad(name)
	return nil
}

// amount reads a number from 0 to limit.
func (n *nativeReader) amount(name string, limit float64, dst **float64) error {
	text, ok, err := n.number(name)
	if err != nil || !ok {
		return err
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 && f <= limit {
		*dst = &f
		return nil
	}
	n.bad(name)
	return nil
}

// millis reads a duration, of which whole milliseconds are kept.
func (n *nativeReader) millis(name string, dst **int64) error {
	var f *float64
	if err := n.amount(name, writer.MaxCount, &f); err != nil || f == nil {
		return err
	}
	i := int64(*f)
	*dst = &i
	return nil
}

// time reads Unix milliseconds, or a time as RFC 3339 writes it.
func (n *nativeReader) time(dst *int64) error {
	text, ok, err := n.number("created_at")
	if err != nil || !ok {
		return err
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil && t.UnixMilli() > 0 {
		*dst = t.UnixMilli()
		return nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f > 0 && f < math.MaxInt64 {
		*dst = int64(f)
		if unit := genai.TimeUnit(uint64(f)); unit > 0 && unit != 1e6 {
			*dst = int64(uint64(f) * unit / 1e6)
			n.bad("created_at")
		}
		return nil
	}
	n.bad("created_at")
	return nil
}

// metadata reads an object, also one sent as text. Anything else becomes the member
// "value" of one.
func (n *nativeReader) metadata() error {
	v, err := n.value()
	if err != nil || v.Kind() == 'n' {
		return err
	}
	if v.Kind() == '"' {
		var unquoted []byte
		if unquoted, err = jsontext.AppendUnquote(nil, v); err == nil && tooDeep(unquoted, n.dec.StackDepth()) < 0 {
			inner := jsontext.Value(unquoted)
			if inner.Kind() == '{' && inner.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
				v = inner
			}
		}
	}
	if v.Kind() != '{' {
		n.member("value", v)
		return nil
	}
	object := bytes.TrimSpace(v)
	if inside := bytes.TrimSpace(object[1 : len(object)-1]); len(inside) > 0 {
		n.append(inside)
	}
	return nil
}

// unknown keeps a member that has no column.
func (n *nativeReader) unknown(name string) error {
	v, err := n.value()
	if err != nil {
		return err
	}
	n.member(name, v)
	return nil
}

func (n *nativeReader) member(name string, v jsontext.Value) {
	n.append(append(append(otlp.AppendJSONString(nil, name), ':'), v...))
}

// append adds members to the event's metadata as far as it has room.
func (n *nativeReader) append(members []byte) {
	members = mendSurrogates(members)
	if len(n.extra)+len(members) > n.maxExtra {
		n.bad("metadata")
		return
	}
	if len(n.extra) > 0 {
		n.extra = append(n.extra, ',')
	}
	n.extra = append(n.extra, members...)
}

// mendSurrogates replaces escapes of half a surrogate pair, which stand for no
// character: databases behind a remote refuse the whole object.
func mendSurrogates(members []byte) []byte {
	if !bytes.Contains(members, []byte(`\ud`)) && !bytes.Contains(members, []byte(`\uD`)) {
		return members
	}
	object := append(append([]byte{'{'}, members...), '}')
	object, err := jsontext.AppendFormat(nil, object, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return members
	}
	return object[1 : len(object)-1]
}

// finish returns the event's metadata and counts what was left out of the event.
func (n *nativeReader) finish(b *writer.Batch, kind string) *string {
	if len(n.invalid) > 0 {
		b.Counts.Add(writer.Entry{Kind: kind, Outcome: writer.Repaired, Reason: "value"}, int64(len(n.invalid)))
		note := otlp.AppendJSONString([]byte(`"openclaw_trace.invalid":`), strings.Join(n.invalid, " "))
		if len(n.extra) > 0 {
			n.extra = append(n.extra, ',')
		}
		n.extra = append(n.extra, note...)
	}
	if len(n.extra) == 0 {
		return nil
	}
	s := "{" + string(n.extra) + "}"
	return &s
}
