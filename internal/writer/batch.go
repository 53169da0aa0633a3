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

// maxName is the limit in bytes of what is not free text: provider, model, types, names, ids.
const maxName = 256

// A Batch is what one request stores. The caller fills in rows as far as it knows
// them; Submit completes them, the same for every way in:
//
//   - an empty TraceID becomes a new UUID, version 4;
//   - a CreatedAt of 0 becomes now, less the latency; one in the future becomes now,
//     and the original is kept in the metadata;
//   - TotalTokens becomes the sum of prompt and completion when it is nil;
//   - invalid UTF-8 and NUL become U+FFFD;
//   - secrets in any text are masked, and counted by the rule that found them;
//   - long texts are shortened: input, output, messages and stack traces to
//     MaxTextBytes, names to 256 bytes; the metadata says how long a call's input
//     and output were;
//   - counts of tokens are made parts of each other (see tokens), and a cost that
//     was not reported is computed if a price is known.
//
// Metadata, where there is any, must be a JSON object.
type Batch struct {
	Calls     []db.InsertLLMTraceParams
	Errors    []db.InsertErrorEventParams
	Spans     []db.InsertSpanParams
	Events    []db.InsertCustomEventParams
	Readings  []db.InsertSystemMetricParams
	Counts    Counts                    // for the ledger, in the same transaction
	Positions []db.SetLogPositionParams // in the same transaction

	// Deadline is when Submit gives up. Zero is MaxWait from its call.
	Deadline time.Time

	prepared bool
}

// Empty tells whether b has no rows. It may have counts and positions.
func (b *Batch) Empty() bool { return b.rows() == 0 }

func (b *Batch) rows() int {
	return len(b.Calls) + len(b.Errors) + len(b.Spans) + len(b.Events) + len(b.Readings)
}

// Refusal returns the counts of b's rows when none of them was stored.
func (b *Batch) Refusal(reason string) *Counts {
	c := new(Counts)
	c.Add(Entry{KindCall, Refused, reason}, int64(len(b.Calls)))
	c.Add(Entry{KindError, Refused, reason}, int64(len(b.Errors)))
	c.Add(Entry{KindSpan, Refused, reason}, int64(len(b.Spans)))
	c.Add(Entry{KindEvent, Refused, reason}, int64(len(b.Events)))
	c.Add(Entry{KindReading, Refused, reason}, int64(len(b.Readings)))
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
	for i := range b.Events {
		n += 256 + text(b.Events[i].Metadata)
	}
	for i := range b.Readings {
		n += 256 + text(b.Readings[i].Metadata)
	}
	return int64(n)
}

func text(s *string) int { return len(deref(s)) }

// prepare completes the rows. It is done once: a batch that was refused may be
// submitted again.
func (b *Batch) prepare(now time.Time, opts *Options, prices *prices) {
	if b.prepared {
		return
	}
	b.prepared = true
	p := preparer{now: now.UnixMilli(), opts: opts, prices: prices, counts: &b.Counts}
	p.kind = KindCall
	for i := range b.Calls {
		p.call(&b.Calls[i])
		p.countRepairs()
	}
	p.kind = KindError
	for i := range b.Errors {
		p.errorEvent(&b.Errors[i])
		p.countRepairs()
	}
	p.kind = KindSpan
	for i := range b.Spans {
		p.span(&b.Spans[i])
		p.countRepairs()
	}
	p.kind = KindEvent
	for i := range b.Events {
		p.event(&b.Events[i])
		p.countRepairs()
	}
	p.kind = KindReading
	for i := range b.Readings {
		p.reading(&b.Readings[i])
		p.countRepairs()
	}
}

type preparer struct {
	now    int64
	opts   *Options
	prices *prices
	counts *Counts // the batch's
	kind   string  // of the rows under way

	repaired bool   // this row held invalid text
	conflict bool   // this row's counts did not fit each other
	notes    []byte // members for this row's metadata: `"key":value,…`
}

func (p *preparer) countRepairs() {
	if p.repaired {
		p.counts.Add(Entry{p.kind, Repaired, "text"}, 1)
	}
	if p.conflict {
		p.counts.Add(Entry{p.kind, Repaired, "token counts in conflict"}, 1)
	}
	p.repaired, p.conflict = false, false
}

func (p *preparer) call(c *db.InsertLLMTraceParams) {
	if c.TraceID == "" {
		c.TraceID = uuid.NewString()
	}
	p.time(&c.CreatedAt, deref(c.LatencyMS))
	p.tokens(c)
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
	if p.opts.NoContent {
		c.InputText, c.OutputText = nil, nil
	}
	p.metadata(&c.Metadata)
	if c.CostUSD == nil {
		c.CostUSD, c.CostSource = p.prices.of(c)
	}
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

func (p *preparer) event(e *db.InsertCustomEventParams) {
	if e.TraceID == "" {
		e.TraceID = uuid.NewString()
	}
	p.time(&e.CreatedAt, 0)
	p.name(&e.Name)
	p.name(e.SessionID)
	p.metadata(&e.Metadata)
}

func (p *preparer) reading(m *db.InsertSystemMetricParams) {
	if m.TraceID == "" {
		m.TraceID = uuid.NewString()
	}
	p.time(&m.CreatedAt, 0)
	p.metadata(&m.Metadata)
}

func (p *preparer) time(at *int64, latency int64) {
	switch {
	case *at == 0:
		*at = p.now - min(max(latency, 0), p.now)
	case *at > p.now:
		p.noteInt("openclaw_trace.created_at", *at)
		*at = p.now
	}
}

func (p *preparer) noteInt(key string, n int64) { p.note(key, strconv.FormatInt(n, 10)) }

// note adds a member, whose value is JSON, to the metadata.
func (p *preparer) note(key, value string) {
	if len(p.notes) > 0 {
		p.notes = append(p.notes, ',')
	}
	p.notes = append(p.notes, '"')
	p.notes = append(p.notes, key...)
	p.notes = append(p.notes, `":`...)
	p.notes = append(p.notes, value...)
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
		p.shorten(s, maxName)
	}
}

func (p *preparer) text(s *string) {
	if s != nil {
		p.clean(s)
		p.shorten(s, p.opts.MaxTextBytes)
	}
}

func (p *preparer) content(key string, s *string) {
	if s == nil {
		return
	}
	p.clean(s)
	size := len(*s)
	if size > p.opts.MaxTextBytes || p.opts.NoContent {
		p.noteInt(key, int64(size))
	}
	switch {
	case p.opts.NoContent:
	case isJSON(*s):
		p.mask(s)
		*s = CutContent(*s, p.opts.MaxTextBytes)
	default:
		p.shorten(s, p.opts.MaxTextBytes)
	}
}

// metadata masks m, takes from it what is not to be kept, and adds the notes to it.
func (p *preparer) metadata(m **string) {
	if *m != nil {
		p.clean(*m)
		if strings.Contains(**m, `\u0000`) {
			p.repaired = true
		}
		p.mask(*m)
		if p.opts.NoContent && p.kind != KindReading { // nobody says anything in a reading
			*m = withoutContent(**m)
		} else if len(**m) > p.opts.MaxTextBytes {
			**m = shortenStrings(**m, p.opts.MaxTextBytes)
		}
	}
	if p.conflict {
		p.note(inConflictKey, "true")
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
