package writer

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/db"
)

// Numbers of an event that are larger make no sense; whoever makes rows leaves them
// out.
const (
	MaxCount   = 1_000_000_000_000 // tokens, milliseconds
	MaxCostUSD = 10_000
)

// maxName is the limit in bytes of what is not free text: provider, model, types, ids.
const maxName = 256

// A Batch is what one request stores. The caller fills in rows as far as it knows
// them; Submit completes them, the same for every way in:
//
//   - an empty TraceID becomes a new UUID, version 4;
//   - a CreatedAt of 0 becomes now, less the latency; one in the future becomes now,
//     and the original is kept in the metadata;
//   - TotalTokens becomes the sum of prompt and completion when it is nil;
//   - invalid UTF-8 and NUL become U+FFFD;
//   - long texts are shortened: input, output, messages and stack traces to
//     MaxTextBytes, names to 256 bytes; the metadata says how long a call's input
//     and output were.
//
// Metadata, where there is any, must be a JSON object.
type Batch struct {
	Calls  []db.InsertLLMTraceParams
	Errors []db.InsertErrorEventParams
	Spans  []db.InsertSpanParams
	Counts Counts // for the ledger, in the same transaction

	// Deadline is when Submit gives up. Zero is MaxWait from its call.
	Deadline time.Time

	prepared bool
}

// Empty tells whether b has no rows. It may have counts.
func (b *Batch) Empty() bool { return b.rows() == 0 }

func (b *Batch) rows() int { return len(b.Calls) + len(b.Errors) + len(b.Spans) }

// Refusal returns the counts of b's rows when none of them was stored.
func (b *Batch) Refusal(reason string) *Counts {
	c := new(Counts)
	c.Add(Entry{KindCall, Refused, reason}, int64(len(b.Calls)))
	c.Add(Entry{KindError, Refused, reason}, int64(len(b.Errors)))
	c.Add(Entry{KindSpan, Refused, reason}, int64(len(b.Spans)))
	return c
}

// size estimates the memory that b holds until it is stored.
func (b *Batch) size() int64 {
	n := 0
	for i := range b.Calls {
		c := &b.Calls[i]
		n += 512 + text(c.InputText) + text(c.OutputText) + text(c.Metadata) + text(c.ErrorMessage)
	}
	for i := range b.Errors {
		e := &b.Errors[i]
		n += 256 + len(e.Message) + text(e.StackTrace) + text(e.Metadata)
	}
	for i := range b.Spans {
		s := &b.Spans[i]
		n += 384 + text(s.Metadata) + text(s.ErrorMessage)
	}
	return int64(n)
}

func text(s *string) int { return len(deref(s)) }

// prepare completes the rows. It is done once: a batch that was refused may be
// submitted again.
func (b *Batch) prepare(now time.Time, maxText int) {
	if b.prepared {
		return
	}
	b.prepared = true
	p := preparer{now: now.UnixMilli(), maxText: maxText}
	for i := range b.Calls {
		p.call(&b.Calls[i])
		p.countRepairs(b, KindCall)
	}
	for i := range b.Errors {
		p.errorEvent(&b.Errors[i])
		p.countRepairs(b, KindError)
	}
	for i := range b.Spans {
		p.span(&b.Spans[i])
		p.countRepairs(b, KindSpan)
	}
}

type preparer struct {
	now     int64
	maxText int

	repaired bool   // this row held invalid text
	notes    []byte // members for this row's metadata: `"key":value,…`
}

func (p *preparer) countRepairs(b *Batch, kind string) {
	if p.repaired {
		b.Counts.Add(Entry{kind, Repaired, "text"}, 1)
	}
	p.repaired = false
}

func (p *preparer) call(c *db.InsertLLMTraceParams) {
	if c.TraceID == "" {
		c.TraceID = uuid.NewString()
	}
	p.time(&c.CreatedAt, deref(c.LatencyMS))
	if c.TotalTokens == nil && c.PromptTokens != nil && c.CompletionTokens != nil {
		if sum := *c.PromptTokens + *c.CompletionTokens; sum >= 0 {
			c.TotalTokens = &sum
		}
	}
	p.name(&c.Provider)
	p.name(&c.Model)
	p.name(&c.Status)
	for _, s := range [...]*string{
		c.ErrorType, c.SessionID, c.Agent, c.Operation, c.OTELTraceID, c.OTELSpanID, c.OTELParentSpanID, c.CostSource,
	} {
		p.name(s)
	}
	p.content("openclaw_trace.input_bytes", c.InputText)
	p.content("openclaw_trace.output_bytes", c.OutputText)
	p.text(c.ErrorMessage)
	p.metadata(&c.Metadata)
}

func (p *preparer) errorEvent(e *db.InsertErrorEventParams) {
	if e.TraceID == "" {
		e.TraceID = uuid.NewString()
	}
	p.time(&e.CreatedAt, 0)
	p.name(&e.ErrorType)
	p.text(&e.Message)
	p.text(e.StackTrace)
	p.metadata(&e.Metadata)
}

func (p *preparer) span(s *db.InsertSpanParams) {
	p.time(&s.CreatedAt, deref(s.DurationMS))
	p.name(&s.Name)
	for _, f := range [...]*string{s.Operation, s.SessionID, s.Agent} {
		p.name(f)
	}
	p.text(s.ErrorMessage)
	p.metadata(&s.Metadata)
}

func (p *preparer) time(at *int64, latency int64) {
	switch {
	case *at == 0:
		*at = p.now - min(max(latency, 0), p.now)
	case *at > p.now:
		p.note("openclaw_trace.created_at", *at)
		*at = p.now
	}
}

func (p *preparer) note(key string, n int64) {
	if len(p.notes) > 0 {
		p.notes = append(p.notes, ',')
	}
	p.notes = append(p.notes, '"')
	p.notes = append(p.notes, key...)
	p.notes = append(p.notes, `":`...)
	p.notes = strconv.AppendInt(p.notes, n, 10)
}

// clean replaces what is not valid text for SQLite, JSON and the stores behind a
// remote: invalid UTF-8, and NUL, at which some of them stop reading.
func (p *preparer) clean(s *string) {
	if utf8.ValidString(*s) && strings.IndexByte(*s, 0) < 0 {
		return
	}
	p.repaired = true
	*s = strings.ReplaceAll(strings.ToValidUTF8(*s, "\uFFFD"), "\x00", "\uFFFD")
}

func (p *preparer) name(s *string) {
	if s != nil {
		p.clean(s)
		*s = Cut(*s, maxName)
	}
}

func (p *preparer) text(s *string) {
	if s != nil {
		p.clean(s)
		*s = Cut(*s, p.maxText)
	}
}

func (p *preparer) content(key string, s *string) {
	if s == nil {
		return
	}
	p.clean(s)
	if len(*s) > p.maxText {
		p.note(key, int64(len(*s)))
		*s = CutContent(*s, p.maxText)
	}
}

// metadata adds the notes to m. A NUL can only be in it as an escape.
func (p *preparer) metadata(m **string) {
	if *m != nil {
		p.clean(*m)
		if strings.Contains(**m, `\u0000`) {
			p.repaired = true
			**m = replaceEscapedNUL(**m)
		}
	}
	if len(p.notes) == 0 {
		return
	}
	object := "{"
	if *m != nil {
		object = strings.TrimRight(**m, " \t\r\n")
		object = strings.TrimRight(strings.TrimSuffix(object, "}"), " \t\r\n")
		if object != "{" {
			object += ","
		}
	}
	object += string(p.notes) + "}"
	*m = &object
	p.notes = p.notes[:0]
}

func replaceEscapedNUL(json string) string {
	var b strings.Builder
	for i := 0; i < len(json); i++ {
		if json[i] != '\\' || i+1 == len(json) {
			b.WriteByte(json[i])
			continue
		}
		if strings.HasPrefix(json[i:], `\u0000`) {
			b.WriteString(`\ufffd`)
			i += 5
			continue
		}
		b.WriteString(json[i : i+2]) // an escaped backslash is not the start of an escape
		i++
	}
	return b.String()
}
