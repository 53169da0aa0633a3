package view

import (
	"context"
	"errors"
	"fmt"

	"github.com/kon-rad/openclaw-trace/db"
)

// KindReading is a reading of the host, for those who watch what arrives.
const KindReading = "reading"

// LiveKinds are the kinds of what can be watched.
var LiveKinds = []string{KindCall, KindError, KindEvent, KindSpan, KindReading}

// Marks say how far somebody has seen what arrives: the newest id of each kind. Rows
// arrive in the order of their ids, whenever they happened.
type Marks struct{ Call, Error, Event, Span, Reading int64 }

const marksFormat = "c%d.e%d.v%d.s%d.r%d"

// String returns m as the id of an event in a stream.
func (m Marks) String() string {
	return fmt.Sprintf(marksFormat, m.Call, m.Error, m.Event, m.Span, m.Reading)
}

// ParseMarks is the inverse of String.
func ParseMarks(s string) (m Marks, err error) {
	_, err = fmt.Sscanf(s, marksFormat, &m.Call, &m.Error, &m.Event, &m.Span, &m.Reading)
	if err != nil || m.String() != s {
		return Marks{}, errors.New("want the id of an event of this stream")
	}
	return m, nil
}

// Of returns the mark of a kind.
func (m *Marks) Of(kind string) *int64 {
	switch kind {
	case KindCall:
		return &m.Call
	case KindError:
		return &m.Error
	case KindEvent:
		return &m.Event
	case KindSpan:
		return &m.Span
	}
	return &m.Reading
}

// Newest returns the marks of who has seen all.
func (v *View) Newest(ctx context.Context) (Marks, error) {
	r, err := v.q.NewestIDs(ctx)
	return Marks{r.LLMTrace, r.ErrorEvent, r.CustomEvent, r.Span, r.SystemMetric}, err
}

// Arrival is a row that arrived.
type Arrival struct {
	ID  int64
	Row any // *CallRow, *Entry or *Reading
}

// Arrived returns at most n rows of a kind with ids behind after and up to upto, in the
// order of their arrival. Of f it looks at all but the times and the fingerprint; rows
// of kinds that do not have what f asks for are left out.
func (v *View) Arrived(ctx context.Context, kind string, f Filter, after, upto int64, n int) ([]Arrival, error) {
	var list []Arrival
	lower, quoted := f.lowered()
	ofCall := f.Provider != "" || f.Model != "" || f.Status != "" || f.Operation != "" || f.MinLatencyMS != 0 || f.MinCostUSD != 0
	switch kind {
	case KindCall:
		if f.Severity != "" || f.Name != "" {
			return nil, nil
		}
		rows, err := v.q.ListArrivedCalls(ctx, db.ListArrivedCallsParams{
			After: after, Upto: upto, Lim: int64(n),
			Provider: f.Provider, Model: f.Model, Status: f.Status, Agent: f.Agent, Session: f.Session, Operation: f.Operation,
			MinLatency: f.MinLatencyMS, MinCost: f.MinCostUSD, Text: lower, Quoted: quoted,
		})
		for i := range rows {
			row := db.ListCallsRow(rows[i])
			c := callRow(&row)
			list = append(list, Arrival{c.ID, &c})
		}
		return list, err
	case KindError:
		if ofCall || f.Agent != "" || f.Session != "" {
			return nil, nil
		}
		rows, err := v.q.ListArrivedErrors(ctx, db.ListArrivedErrorsParams{
			After: after, Upto: upto, Lim: int64(n), Severity: f.Severity, Name: f.Name, Text: lower, Quoted: quoted,
		})
		for i := range rows {
			e := errorEntry(db.ListErrorEntriesRow(rows[i]))
			list = append(list, Arrival{e.ID, &e})
		}
		return list, err
	case KindEvent:
		if ofCall || f.Agent != "" || f.Severity != "" {
			return nil, nil
		}
		rows, err := v.q.ListArrivedEvents(ctx, db.ListArrivedEventsParams{
			After: after, Upto: upto, Lim: int64(n), Name: f.Name, Session: f.Session, Text: lower, Quoted: quoted,
		})
		for i := range rows {
			e := eventEntry(db.ListEventEntriesRow(rows[i]))
			list = append(list, Arrival{e.ID, &e})
		}
		return list, err
	case KindSpan:
		if ofCall {
			return nil, nil
		}
		rows, err := v.q.ListArrivedSpans(ctx, db.ListArrivedSpansParams{
			After: after, Upto: upto, Lim: int64(n),
			Severity: f.Severity, Name: f.Name, Session: f.Session, Agent: f.Agent, Text: lower, Quoted: quoted,
		})
		for i := range rows {
			e := spanEntry(db.ListSpanEntriesRow(rows[i]))
			list = append(list, Arrival{e.ID, &e})
		}
		return list, err
	}
	if f.Narrow() {
		return nil, nil
	}
	rows, err := v.q.ListArrivedReadings(ctx, db.ListArrivedReadingsParams{After: after, Upto: upto, Lim: int64(n)})
	for i := range rows {
		r := reading(&rows[i])
		list = append(list, Arrival{r.ID, &r})
	}
	return list, err
}
