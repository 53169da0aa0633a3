package genai

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// severityOf returns the severity of an error event, or "" for a record below WARN.
// The number counts; the text helps where the number is unset.
func severityOf(l *otlp.LogRecord) string {
	n := l.SeverityNumber
	if n == 0 {
		switch strings.ToUpper(l.SeverityText) {
		case "WARN", "WARNING":
			n = 13
		case "ERROR", "ERR":
			n = 17
		case "FATAL", "CRITICAL", "PANIC", "EMERGENCY", "ALERT":
			n = 21
		}
	}
	switch {
	case n >= 21:
		return "critical"
	case n >= 17:
		return "error"
	case n >= 13:
		return "warning"
	}
	return ""
}

// log adds a record to the batch as an error event. Its trace and span ids go into
// the metadata only: those that OpenClaw puts on logs match none of its spans.
func (r *reader) log(b *writer.Batch, l *otlp.LogRecord, severity string) {
	at := r.timeOf(l)
	e := db.InsertErrorEventParams{
		TraceID: r.logID(l, at), CreatedAt: at, Severity: severity, ErrorType: "log",
	}
	var event, reason string
	var stack *string
	var told, class string
	isModel := l.EventName != "" && modelEvents[l.EventName]
	r.meta.reset()
	r.meta.dropped = int64(l.DroppedAttrs)
	for i := range l.Attrs {
		kv := &l.Attrs[i]
		s := kv.Value.Str
		switch kv.Key {
		case "openclaw.event":
			event = s
			isModel = isModel || modelEvents[s]
		case "openclaw.error", "exception.message":
			told = s
		case "openclaw.rawErrorPreview", "openclaw.errorPreview":
			reason = s
		case "exception.type":
			class = s
		case "exception.stacktrace":
			if s != "" {
				stack = r.slab.string(s)
				continue
			}
		}
		r.meta.value(kv.Key, &kv.Value, r.maxText)
	}
	if isModel {
		e.ErrorType = "llm_error"
	}
	e.StackTrace = stack

	body := l.Body.Str
	if l.Body.Kind != otlp.String && l.Body.Kind != otlp.Empty {
		body = string(otlp.AppendJSON(nil, &l.Body))
	}
	if contentEvent(l) == "" { // what was said to a model is no message of an error
		e.Message = body
	}
	// With content off OpenClaw's body is the word "log", and an event's own text is
	// shorter than what it is about.
	for _, better := range [...]string{told, reason} {
		if better != "" && (e.Message == "" || e.Message == "log" || isModel) {
			e.Message = better
			break
		}
	}
	for _, rest := range [...]string{event, l.EventName, class, l.SeverityText, severity} {
		if e.Message == "" {
			e.Message = rest
		}
	}

	if body != "" && body != e.Message {
		r.meta.text("log.body", r.cut(body))
	}
	if l.EventName != "" {
		r.meta.text("log.event_name", l.EventName)
	}
	r.logOrigin(l)
	e.Metadata = r.meta.string(&r.slab)
	b.Errors = append(b.Errors, e)
	r.countRepairs(b, writer.KindError)
}

// contentEvent returns the name of a record that holds content of a call, or "".
// GenAI conventions up to v1.36 send it so, since v1.37 as
// gen_ai.client.inference.operation.details.
func contentEvent(l *otlp.LogRecord) string {
	name := l.EventName
	if name == "" { // before event names were a field of their own
		for i := range l.Attrs {
			if l.Attrs[i].Key == "event.name" {
				name = l.Attrs[i].Value.Str
			}
		}
	}
	if isContentEvent(name) {
		return name
	}
	return ""
}

// event adds a record that is an event of an agent to the batch as a custom event,
// with the ids of the call that it belongs to.
func (r *reader) event(b *writer.Batch, l *otlp.LogRecord, name string) {
	r.collect(l.Attrs)
	at := r.timeOf(l)
	e := db.InsertCustomEventParams{TraceID: r.logID(l, at), CreatedAt: at, Name: name, SessionID: r.textPtr(session)}
	r.meta.reset()
	r.meta.dropped = int64(l.DroppedAttrs)
	for i := range l.Attrs {
		kv := &l.Attrs[i]
		if kv.Key != "event.name" && (r.means[i].field != session || r.got(session) != &kv.Value) {
			r.meta.value(kv.Key, &kv.Value, r.maxText)
		}
	}
	if l.Body.Kind != otlp.Empty {
		r.meta.value("log.body", &l.Body, r.maxText)
	}
	r.logOrigin(l)
	e.Metadata = r.meta.string(&r.slab)
	b.Events = append(b.Events, e)
	r.countRepairs(b, writer.KindEvent)
}

// timeOf returns when a record was made, in Unix ms.
func (r *reader) timeOf(l *otlp.LogRecord) int64 {
	r.mended = false
	nano := l.TimeNano
	if nano == 0 {
		nano = l.ObservedTimeNano
	}
	r.mendTimes(&nano)
	return millis(nano)
}

func (r *reader) logOrigin(l *otlp.LogRecord) {
	if l.TraceID != (otlp.TraceID{}) {
		r.meta.text("log.trace_id", hex.EncodeToString(l.TraceID[:]))
	}
	if l.SpanID != (otlp.SpanID{}) {
		r.meta.text("log.span_id", hex.EncodeToString(l.SpanID[:]))
	}
	r.meta.origin(l.Origin, r.maxText)
	if r.mended {
		r.meta.flag(timeUnitMended)
	}
}

// logID derives a record's identity from everything that tells it from another, as
// records have no id of their own.
func (r *reader) logID(l *otlp.LogRecord, at int64) string {
	h := sha256.New()
	write := func(b []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	var number [16]byte
	binary.BigEndian.PutUint64(number[:], cmp.Or(l.TimeNano, l.ObservedTimeNano))
	binary.BigEndian.PutUint32(number[8:], uint32(l.SeverityNumber))
	write(number[:])
	write([]byte(l.SeverityText))
	write([]byte(l.EventName))
	write(l.TraceID[:])
	write(l.SpanID[:])
	write(otlp.AppendJSON(nil, &l.Body))
	attrs := make([]string, len(l.Attrs))
	for i := range l.Attrs {
		attrs[i] = l.Attrs[i].Key + "\x00" + string(otlp.AppendJSON(nil, &l.Attrs[i].Value))
	}
	slices.Sort(attrs)
	for _, a := range attrs {
		write([]byte(a))
	}
	var id [36]byte
	putUUID(id[:], at, h.Sum(nil))
	return string(id[:])
}
