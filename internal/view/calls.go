package view

import "context"

// CallRow is a call in a list.
type CallRow struct {
	ID        int64  `json:"-"`
	TraceID   string `json:"trace_id"`
	CreatedAt int64  `json:"created_at"`
	Provider  string `json:"provider"`
	Model     string `json:"model"`

	Status       string  `json:"status"`
	ErrorType    *string `json:"error_type"`
	ErrorMessage *string `json:"error_message"` // its first 300 characters
	Session      *string `json:"session_id"`
	Agent        *string `json:"agent"`
	Operation    *string `json:"operation"`

	PromptTokens     *int64   `json:"prompt_tokens"`
	CompletionTokens *int64   `json:"completion_tokens"`
	TotalTokens      *int64   `json:"total_tokens"`
	CacheReadTokens  *int64   `json:"cache_read_tokens"`
	CacheWriteTokens *int64   `json:"cache_write_tokens"`
	ReasoningTokens  *int64   `json:"reasoning_tokens"`
	CostUSD          *float64 `json:"cost_usd"`
	CostSource       *string  `json:"cost_source"`
	LatencyMS        *int64   `json:"latency_ms"`
	TTFTMS           *int64   `json:"ttft_ms"`

	// The newest message of the input, and the output, as one line of plain text; nil
	// if none is stored.
	InputPreview  *string `json:"input_preview"`
	OutputPreview *string `json:"output_preview"`
}

// Cursor returns the place of the call in a list.
func (c *CallRow) Cursor() Cursor { return Cursor{At: c.CreatedAt, ID: c.ID} }

// Call is all that is stored of a call.
type Call struct {
	CallRow
	InputText    *string `json:"input_text"`    // plain text, or a JSON array of messages
	OutputText   *string `json:"output_text"`   // likewise
	ErrorMessage *string `json:"error_message"` // whole
	Metadata     *string `json:"-"`             // JSON object
	OTELTraceID  *string `json:"otel_trace_id"`
	OTELSpanID   *string `json:"otel_span_id"`
	OTELParentID *string `json:"otel_parent_span_id"`
	Synced       bool    `json:"synced"`
	PushedAt     *int64  `json:"pushed_at"`
}

// Calls lists the calls that f wants.
func (v *View) Calls(ctx context.Context, f Filter, p Page) (List[CallRow], error) {
	return List[CallRow]{}, nil
}

// Call returns the call with this trace_id, of which the beginning is enough if there
// is only one like it. It returns ErrNotFound or ErrAmbiguous.
func (v *View) Call(ctx context.Context, id string) (*Call, error) { return nil, ErrNotFound }

// Neighbours returns the trace_ids of the calls next to the one at c in the list that f
// makes, "" where there is none near.
func (v *View) Neighbours(ctx context.Context, f Filter, c Cursor) (older, newer string, err error) {
	return "", "", nil
}

// Node is a span or a call in its trace.
type Node struct {
	Depth      int     `json:"depth"` // 0 for those without a known parent
	Kind       string  `json:"kind"`  // "call" or "span"
	TraceID    string  `json:"trace_id"`
	SpanID     string  `json:"otel_span_id"`
	ParentID   *string `json:"otel_parent_span_id"`
	Name       string  `json:"name"` // a call's is its model
	Operation  *string `json:"operation"`
	CreatedAt  int64   `json:"created_at"`
	DurationMS *int64  `json:"duration_ms"`
	Status     string  `json:"status"`

	CostUSD     *float64 `json:"cost_usd"`
	TotalTokens *int64   `json:"total_tokens"`
}

// Trace is what happened in one OpenTelemetry trace, in the order of a tree.
type Trace struct {
	ID      string `json:"otel_trace_id"`
	From    int64  `json:"from"`  // of the earliest node
	Until   int64  `json:"until"` // the latest end
	Nodes   []Node `json:"nodes"`
	Omitted int    `json:"omitted"` // nodes beyond the first 500
}

// Trace returns the trace that c is part of, or nil if c does not name one. Its parts
// are searched for near c in time.
func (v *View) Trace(ctx context.Context, c *Call) (*Trace, error) { return nil, nil }
