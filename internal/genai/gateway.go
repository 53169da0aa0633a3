package genai

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// GatewayLine is what tells a line of OpenClaw's log from the others. A gateway writes it
// to its file and, if it is told to, exports it as a log record; both have this in common,
// and the record's time is up to some 100 ms later.
type GatewayLine struct {
	At        int64  // Unix ms
	Level     string // WARN, ERROR, FATAL
	Subsystem string // "" if it names none
	Function  string // where it was logged
	Line      int64
	TraceID   string // OpenClaw's own, in hex; "" for none
	SpanID    string
	Text      string
}

// GatewayIDs gives lines of OpenClaw's log their identities: the same for a line of the
// file and for its record, whichever comes first, and others for each repetition in one
// file or in one request. The zero value is ready. It is not safe for concurrent use.
type GatewayIDs struct {
	at   int64
	seen map[GatewayLine]int
}

// sameLine is the time in which two such lines are one, in ms: long enough for the
// record's delay, so that only one line in hundreds is taken for two. A line that comes
// again in it, in another request, is taken for the first.
const sameLine = 8192

// maxSameText is how much of the text counts. Records have 4,096 characters at most.
const maxSameText = 1000

// Of returns the identity of g.
func (s *GatewayIDs) Of(g GatewayLine) string {
	g.At -= g.At % sameLine
	g.Text = strings.TrimSpace(g.Text)
	g.Text = strings.Clone(g.Text[:min(len(g.Text), maxSameText)])
	if s.seen == nil || g.At > s.at {
		s.at, s.seen = g.At, make(map[GatewayLine]int)
	}
	n := s.seen[g]
	s.seen[g]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s\x00%s\x00%d\x00%s\x00%s\x00%s\x00%d",
		g.At, g.Level, g.Subsystem, g.Function, g.Line, g.TraceID, g.SpanID, g.Text, n))
	var id [36]byte
	putUUID(id[:], g.At, sum[:])
	return string(id[:])
}

// gatewayLine returns what l says if it is a line of OpenClaw's log. The body "log"
// stands for a text that was not exported, so that such a record cannot be told from
// others and is no line.
func gatewayLine(l *otlp.LogRecord, at int64) (g GatewayLine, ok bool) {
	for i := range l.Attrs {
		switch v := &l.Attrs[i].Value; l.Attrs[i].Key {
		case "openclaw.log.level":
			g.Level, ok = v.Str, true
		case "openclaw.subsystem":
			g.Subsystem = v.Str
		case "code.function", "code.function.name":
			g.Function = v.Str
		case "code.lineno", "code.line.number":
			g.Line = v.Int()
		}
	}
	if !ok || l.Body.Str == "" || l.Body.Str == "log" {
		return g, false
	}
	g.At, g.Text = at, l.Body.Str
	if l.TraceID != (otlp.TraceID{}) {
		g.TraceID = hex.EncodeToString(l.TraceID[:])
	}
	if l.SpanID != (otlp.SpanID{}) {
		g.SpanID = hex.EncodeToString(l.SpanID[:])
	}
	return g, true
}
