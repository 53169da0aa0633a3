package genai

import (
	"slices"
	"strconv"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// maxMetadata is the size in bytes above which a row's metadata takes no further
// attributes, unless texts may be longer.
const maxMetadata = 64 << 10

// metadata builds a row's JSON object in a buffer that is kept for the next row.
type metadata struct {
	buf     []byte
	limit   int   // of buf
	dropped int64 // attributes that did not fit
}

func (m *metadata) reset() {
	m.buf = append(m.buf[:0], '{')
	m.dropped = 0
}

func (m *metadata) key(key string) {
	if len(m.buf) > 1 {
		m.buf = append(m.buf, ',')
	}
	m.buf = otlp.AppendJSONString(m.buf, key)
	m.buf = append(m.buf, ':')
}

// value adds an attribute. A text is cut to maxText bytes by the writer, once it has
// masked it; anything else longer than that does not fit.
func (m *metadata) value(key string, v *otlp.Value, maxText int) {
	if v.Kind == otlp.String {
		m.text(key, writer.CutWord(v.Str, maxText+writer.MaskMargin))
		return
	}
	start := len(m.buf)
	m.key(key)
	value := len(m.buf)
	m.buf = otlp.AppendJSON(m.buf, v)
	if len(m.buf)-value > maxText || len(m.buf) > m.limit {
		m.buf = m.buf[:start]
		m.dropped++
	}
}

func (m *metadata) text(key, s string) {
	start := len(m.buf)
	m.key(key)
	m.buf = otlp.AppendJSONString(m.buf, s)
	if len(m.buf) > m.limit {
		m.buf = m.buf[:start]
		m.dropped++
	}
}

func (m *metadata) int(key string, n int64) {
	m.key(key)
	m.buf = strconv.AppendInt(m.buf, n, 10)
}

func (m *metadata) flag(key string) {
	m.key(key)
	m.buf = append(m.buf, "true"...)
}

// events adds a span's events, those that fit, but for the ones that stand in columns.
func (m *metadata) events(events []otlp.Event, inColumns func(name string) bool, maxText int) {
	leave := func(e otlp.Event) bool { return inColumns != nil && inColumns(e.Name) }
	if len(events) == 0 || !slices.ContainsFunc(events, func(e otlp.Event) bool { return !leave(e) }) {
		return
	}
	m.key("span.events")
	m.buf = append(m.buf, '[')
	for i := range events {
		e := &events[i]
		if leave(*e) {
			continue
		}
		start := len(m.buf)
		if m.buf[start-1] != '[' {
			m.buf = append(m.buf, ',')
		}
		m.buf = append(m.buf, `{"name":`...)
		m.buf = otlp.AppendJSONString(m.buf, writer.CutWord(e.Name, maxText+writer.MaskMargin))
		m.buf = append(m.buf, `,"time":`...)
		m.buf = strconv.AppendInt(m.buf, millis(e.TimeNano), 10)
		for j := range e.Attrs {
			m.buf = append(m.buf, ',')
			m.buf = otlp.AppendJSONString(m.buf, e.Attrs[j].Key)
			m.buf = append(m.buf, ':')
			m.buf = otlp.AppendJSON(m.buf, &e.Attrs[j].Value)
		}
		m.buf = append(m.buf, '}')
		if len(m.buf)-start > maxText || len(m.buf) > m.limit {
			m.buf = m.buf[:start]
			m.dropped++
		}
	}
	m.buf = append(m.buf, ']')
}

// string closes the object and returns it, or nil if it is empty.
func (m *metadata) string(s *slab) *string {
	if m.dropped > 0 {
		m.int("openclaw_trace.attributes_dropped", m.dropped)
	}
	if len(m.buf) == 1 {
		return nil
	}
	m.buf = append(m.buf, '}')
	return s.string(string(m.buf))
}

// origin adds what tells where an item comes from.
func (m *metadata) origin(o *otlp.Origin, maxText int) {
	for i := range o.Resource {
		if kv := &o.Resource[i]; resourceKeys[kv.Key] {
			m.value(kv.Key, &kv.Value, maxText)
		}
	}
	// As OpenTelemetry maps a scope to formats that have none.
	if o.ScopeName != "" {
		m.text("otel.scope.name", writer.CutWord(o.ScopeName, maxText+writer.MaskMargin))
	}
	if o.ScopeVersion != "" {
		m.text("otel.scope.version", writer.CutWord(o.ScopeVersion, maxText+writer.MaskMargin))
	}
}
