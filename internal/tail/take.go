package tail

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// take makes rows of data, which begins at f.pos, and returns how much of it is done
// with. end tells that data ends where the file does.
func (t *Tail) take(ctx context.Context, f *file, data []byte, end bool, now time.Time) int {
	done := 0
	if f.midLine() {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return len(data)
		}
		done = i + 1
	}
	idle := now.Sub(f.grown)
	below, flood := int64(0), int64(0)
	var open *record // of which more lines may come
	// give gives the open record out. It tells whether to go on.
	give := func() bool {
		if open == nil {
			return true
		}
		r := open
		if r.openclaw && r.event == "" && t.allowed(now) && !t.decide(ctx, r, now) {
			return false
		}
		open = nil
		done = r.end
		if !r.twin {
			t.add(f, r, now)
		}
		return t.rows() < maxRows
	}
	i, on := done, true
	for i < len(data) {
		if data[i] == 0 {
			// A hole is what is left where a file was emptied below its writer, or where
			// the power failed. It may be of any size, and no event goes on behind it.
			if on = give(); !on {
				break
			}
			for i < len(data) && data[i] == 0 {
				i++
			}
			done = i
			continue
		}
		line, next, part := data[i:], 0, ""
		switch nl := bytes.IndexByte(line[:min(len(line), maxLine+1)], '\n'); {
		case nl >= 0:
			line, next = line[:nl], i+nl+1
		case len(line) > maxLine:
			// The position behind the cut is in the middle of a line, so that the rest is skipped.
			line, next, part = line[:maxLine], i+maxLine, "log.line_cut"
		case end && idle >= partAfter:
			next, part = len(data), "log.line_partial"
		default:
			next = -1
		}
		if next < 0 {
			break
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if open != nil && part == "" && open.takes(line) {
			open.end = next
			i = next
			continue
		}
		if on = give(); !on {
			break
		}
		level := ""
		if part == "log.line_cut" {
			level = levelBehind(data[i:], len(line))
		}
		if levelOf(level) < otlpWarn && uninteresting(line, t.opts.KeepEvents) {
			below++
			done = next
		} else if line[0] == '{' && !t.allowed(now) {
			flood++ // reading it would cost the most
			done = next
		} else if r := parseWith(line, level); r.severity < otlpWarn && (r.event == "" || !t.opts.KeepEvents) {
			below++
			done = next
		} else {
			r.start, r.end, r.part = i, next, part
			open = r
		}
		i = next
		if part != "" {
			on = give()
			break
		}
	}
	// Of the last event more may come, unless it is a line of JSON or nothing came for a while.
	if open != nil && on && (open.json || end && idle >= pollEvery) {
		give()
	}
	if below > 0 {
		t.count(writer.Ignored, "below WARN", below)
	}
	t.refuse(flood)
	if lines := int64(bytes.Count(data[:done], []byte{'\n'})); lines > 0 {
		t.mu.Lock()
		t.status.Lines += lines
		t.status.LastLineAt = now.UnixMilli()
		t.mu.Unlock()
	}
	return done
}

// add makes a row of r.
func (t *Tail) add(f *file, r *record, now time.Time) {
	if !t.allowed(now) {
		t.refuse(1)
		return
	}
	t.tokens--
	l := &otlp.LogRecord{
		Origin: new(otlp.Origin), SeverityNumber: r.severity, SeverityText: r.level, Body: otlp.StringValue(r.body),
		Attrs: r.attrs, TraceID: r.trace, SpanID: r.span, ObservedTimeNano: uint64(now.UnixNano()),
	}
	if !r.at.IsZero() {
		l.TimeNano = uint64(r.at.UnixNano())
	}
	l.Attrs = append(l.Attrs,
		otlp.KeyValue{Key: "log.file.path", Value: otlp.StringValue(f.path)},
		otlp.KeyValue{Key: "log.file.position", Value: otlp.IntValue(f.pos + int64(r.start))})
	if r.part != "" {
		l.Attrs = append(l.Attrs, otlp.KeyValue{Key: r.part, Value: otlp.BoolValue(true)})
	}
	if len(r.stack) > 0 {
		l.Attrs = append(l.Attrs, otlp.KeyValue{Key: "exception.stacktrace", Value: otlp.StringValue(string(r.stack))})
	}
	genai.AddLog(t.batch, l, r.event, t.opts.MaxText)
}

// allowed tells whether one more event is no flood.
func (t *Tail) allowed(now time.Time) bool {
	t.tokens = min(burst, t.tokens+refill*max(0, now.Sub(t.filled).Seconds()))
	t.filled = now
	return t.tokens >= 1
}

// refuse counts n events of a flood.
func (t *Tail) refuse(n int64) {
	if n == 0 {
		return
	}
	t.count(writer.Refused, "log flood", n)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Refused += n
}

// decide tells whether r, a line of OpenClaw's log, can be given out. OpenClaw may export
// it as a log record as well, which comes some seconds later: until then the line waits,
// and with it all that follows. A line far in the future was written before the clock was
// set back, and does not wait for that time to come again.
func (t *Tail) decide(ctx context.Context, r *record, now time.Time) bool {
	if r.at.IsZero() {
		return true
	}
	if r.twin = t.hasTwin(ctx, r); r.twin {
		t.mu.Lock()
		t.status.Twins++
		t.mu.Unlock()
		t.count(writer.Ignored, "arrived by OTLP", 1)
		return true
	}
	return now.Sub(r.at).Abs() >= twinAfter
}

// twinWithin is how much later than the line its record may be dated.
const twinWithin = time.Second

// hasTwin tells whether r has come as a log record. Each record is one line's twin.
func (t *Tail) hasTwin(ctx context.Context, r *record) bool {
	var rows []db.ListLogTwinsRow
	err := t.st.Read(ctx, func(q *db.Queries) (err error) {
		rows, err = q.ListLogTwins(ctx, db.ListLogTwinsParams{
			Since: r.at.UnixMilli(), Until: r.at.Add(twinWithin).UnixMilli(), Severity: r.severityName(), Lim: maxRows,
		})
		return err
	})
	if err != nil {
		return false
	}
	for _, row := range rows {
		if row.Metadata == nil || t.twins[row.ID] || !r.isTwin(row.Message, *row.Metadata) {
			continue
		}
		if len(t.twins) > maxTwins {
			clear(t.twins)
		}
		t.twins[row.ID] = true
		return true
	}
	return false
}

// splitLines returns the lines of b, without the first if it was cut.
func splitLines(b []byte, cut bool) (lines [][]byte) {
	for line := range bytes.Lines(b) {
		if cut {
			cut = false
			continue
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			lines = append(lines, line[:min(len(line), maxLine)])
		}
	}
	return lines
}

// takes tells whether line goes on with r, and adds it.
func (r *record) takes(line []byte) bool {
	if r.json || len(r.stack)+len(line) > maxStack {
		return false
	}
	text := string(stripANSI(line))
	// What a logger adds to a failure is an exception behind its line.
	bare := r.level != "" && r.severity >= otlpError && len(r.stack) == 0
	switch {
	case r.kind == goPanic:
		// Everything up to the next line of a log belongs to it.
		if p := parse([]byte(text)); p.level != "" || p.json {
			return false
		}
	case r.inTrace || r.kind == traceback && len(r.stack) == 0:
		r.inTrace, r.traced, r.chained = true, true, false
		if text != "" && text[0] != ' ' && text[0] != '\t' {
			// The last line says what it was.
			r.inTrace = false
			if r.kind == traceback {
				r.raised(text)
			}
		}
	case strings.HasPrefix(text, tracebackStart) && (bare || r.chained):
		r.inTrace, r.traced = true, true
	case r.traced:
		chained := strings.HasPrefix(text, "During handling of the above exception") || strings.HasPrefix(text, "The above exception was the direct cause")
		if r.chained = r.chained || chained; text != "" && !chained {
			return false
		}
	case bare && parseText(text).isException():
	default:
		if !continues(text) {
			return false
		}
	}
	r.stack = append(append(r.stack, text...), '\n')
	return true
}

// raised takes text, the last line of a traceback, for what r is about.
func (r *record) raised(text string) {
	r.body = text
	const key = "exception.type"
	r.attrs = slices.DeleteFunc(r.attrs, func(kv otlp.KeyValue) bool { return kv.Key == key })
	if name, _, _ := strings.Cut(text, ":"); exceptionName(name) {
		r.attrs = append(r.attrs, otlp.KeyValue{Key: key, Value: otlp.StringValue(name)})
	}
}

// isException tells whether r is an exception's name and text, and no more.
func (r *record) isException() bool { return r.level == "" && r.at.IsZero() && len(r.attrs) > 0 }

// continues tells whether a line belongs to the one before.
func continues(text string) bool {
	trimmed := strings.TrimLeft(text, " \t")
	switch {
	case trimmed == "":
		return false
	case len(trimmed) < len(text):
		return true
	}
	for _, start := range []string{"at ", "Caused by:", "... ", "goroutine "} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}
