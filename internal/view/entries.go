package view

import "context"

// Kinds of an Entry.
const (
	KindCall  = "call"  // one that failed
	KindError = "error" // an error reported, or a line of the log
	KindEvent = "event" // of the agent's own
	KindSpan  = "span"  // that is no call
)

// Kinds of two lists.
var (
	ErrorKinds = []string{KindCall, KindError}
	LogKinds   = []string{KindError, KindEvent, KindSpan}
)

// Entry is something that happened, in a list of several kinds.
type Entry struct {
	Kind        string  `json:"kind"`
	ID          int64   `json:"-"`
	TraceID     string  `json:"trace_id"`
	CreatedAt   int64   `json:"created_at"`
	Name        string  `json:"name"`     // error type, or the name of an event or span
	Severity    string  `json:"severity"` // "" for events, and for spans that went well
	Message     *string `json:"message"`  // its first 300 characters
	Provider    *string `json:"provider"`
	Model       *string `json:"model"`
	Session     *string `json:"session_id"`
	Agent       *string `json:"agent"`
	DurationMS  *int64  `json:"duration_ms"`
	Fingerprint string  `json:"fingerprint,omitempty"` // of a failed call or an error
}

// Cursor returns the place of the entry in a list.
func (e *Entry) Cursor() Cursor { return Cursor{At: e.CreatedAt, Kind: e.Kind, ID: e.ID} }

// EntryDetail is all that is stored of an entry that is no call.
type EntryDetail struct {
	Entry
	Message      *string `json:"message"` // whole
	StackTrace   *string `json:"stack_trace"`
	Metadata     *string `json:"-"` // JSON object
	OTELTraceID  *string `json:"otel_trace_id"`
	OTELSpanID   *string `json:"otel_span_id"`
	OTELParentID *string `json:"otel_parent_span_id"`
}

// Entries lists what happened of these kinds, or of f.Kind alone.
func (v *View) Entries(ctx context.Context, kinds []string, f Filter, p Page) (List[Entry], error) {
	return List[Entry]{}, nil
}

// Entry returns the entry with this trace_id, of KindError, KindEvent or KindSpan.
func (v *View) Entry(ctx context.Context, kind, id string) (*EntryDetail, error) {
	return nil, ErrNotFound
}

// ErrorGroup is a kind of failure: all of one error type whose messages differ only in
// numbers, ids and the like.
type ErrorGroup struct {
	Fingerprint string   `json:"fingerprint"`
	Kind        string   `json:"kind"`
	Name        string   `json:"name"`    // error type
	Message     *string  `json:"message"` // of the newest
	Severity    string   `json:"severity"`
	Count       int64    `json:"count"`
	FirstAt     int64    `json:"first_at"`
	LastAt      int64    `json:"last_at"`
	LastID      string   `json:"last_trace_id"`
	Models      []string `json:"models"` // "provider/model", at most 5
	Series      []int64  `json:"series"` // count in each 24th of the range
}

// ErrorGroups are the groups of a time range, the largest first.
type ErrorGroups struct {
	From, Until int64
	Groups      []ErrorGroup
	Others      int64  // errors in groups beyond the first 200
	SearchedTo  *int64 // set when the time was up: older ones are not counted
}

// ErrorGroups groups what failed.
func (v *View) ErrorGroups(ctx context.Context, f Filter) (*ErrorGroups, error) {
	return &ErrorGroups{}, nil
}
