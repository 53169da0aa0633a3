package view

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

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
	src := v.calls(f)
	if f.Status != "" && f.Status != "ok" {
		src = v.failedCalls(f)
	}
	low, until := f.open(v.now)
	if f.Session != "" {
		// Sessions are no index, but their row says when they were.
		s, err := v.q.GetSession(ctx, f.Session)
		switch {
		case err == nil:
			low, until = max(low, s.FirstAt), min(until, max(s.LastAt+1, low))
		case !errors.Is(err, sql.ErrNoRows):
			return List[CallRow]{}, err
		}
	}
	return search(ctx, src, p, p.start(until), low, f.Narrow())
}

// calls are all calls as a source.
func (v *View) calls(f Filter) source[CallRow] {
	lower, quoted := f.lowered()
	return source[CallRow]{
		window: func(ctx context.Context, c Cursor, low int64, n int) (int64, error) {
			return v.q.CallWindow(ctx, db.CallWindowParams{At: c.At, ID: c.ID, Low: low, N: int64(n)})
		},
		rows: func(ctx context.Context, c Cursor, low int64, n int) ([]CallRow, error) {
			rows, err := v.q.ListCalls(ctx, db.ListCallsParams{
				At: c.At, ID: c.ID, Low: low, Lim: int64(n),
				Provider: f.Provider, Model: f.Model, Status: f.Status, Agent: f.Agent, Session: f.Session, Operation: f.Operation,
				MinLatency: f.MinLatencyMS, MinCost: f.MinCostUSD, Text: lower, Quoted: quoted,
			})
			list := make([]CallRow, len(rows))
			for i := range rows {
				list[i] = callRow(&rows[i])
			}
			return list, err
		},
		cursor: (*CallRow).Cursor,
	}
}

// failedCalls are those that failed, which have an index of their own.
func (v *View) failedCalls(f Filter) source[CallRow] {
	lower, quoted := f.lowered()
	status := f.Status
	if status == "failed" {
		status = ""
	}
	return source[CallRow]{
		window: func(ctx context.Context, c Cursor, low int64, n int) (int64, error) {
			return v.q.FailedWindow(ctx, db.FailedWindowParams{At: c.At, ID: c.ID, Low: low, N: int64(n)})
		},
		rows: func(ctx context.Context, c Cursor, low int64, n int) ([]CallRow, error) {
			rows, err := v.q.ListFailedCalls(ctx, db.ListFailedCallsParams{
				At: c.At, ID: c.ID, Low: low, Lim: int64(n),
				Provider: f.Provider, Model: f.Model, Status: status, Agent: f.Agent, Session: f.Session, Operation: f.Operation,
				MinLatency: f.MinLatencyMS, MinCost: f.MinCostUSD, Text: lower, Quoted: quoted,
			})
			list := make([]CallRow, len(rows))
			for i := range rows {
				row := db.ListCallsRow(rows[i])
				list[i] = callRow(&row)
			}
			return list, err
		},
		cursor: (*CallRow).Cursor,
	}
}

func callRow(r *db.ListCallsRow) CallRow {
	return CallRow{
		ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, Provider: r.Provider, Model: r.Model,
		Status: r.Status, ErrorType: r.ErrorType, ErrorMessage: known(r.ErrorHead),
		Session: r.SessionID, Agent: r.Agent, Operation: r.Operation,
		PromptTokens: r.PromptTokens, CompletionTokens: r.CompletionTokens, TotalTokens: r.TotalTokens,
		CacheReadTokens: r.CacheReadTokens, CacheWriteTokens: r.CacheWriteTokens, ReasoningTokens: r.ReasoningTokens,
		CostUSD: r.CostUSD, CostSource: r.CostSource, LatencyMS: r.LatencyMS, TTFTMS: r.TtftMS,
		InputPreview:  known(lastMessage(r.InputHead, r.InputTail)),
		OutputPreview: known(firstMessage(r.OutputHead)),
	}
}

// known returns nil for the text that stands for none.
func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Call returns the call with this trace_id, of which the beginning is enough if there
// is only one like it. It returns ErrNotFound or ErrAmbiguous.
func (v *View) Call(ctx context.Context, id string) (*Call, error) {
	low, high, err := prefix(id)
	if err != nil {
		return nil, err
	}
	rows, err := v.q.ListCallsByPrefix(ctx, db.ListCallsByPrefixParams{Prefix: low, After: high})
	r, err := only(rows, err)
	if err != nil {
		return nil, err
	}
	return call(r), nil
}

func call(r *db.LLMTrace) *Call {
	return &Call{
		CallRow: CallRow{
			ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, Provider: r.Provider, Model: r.Model,
			Status: r.Status, ErrorType: r.ErrorType, ErrorMessage: cutPtr(r.ErrorMessage, 300),
			Session: r.SessionID, Agent: r.Agent, Operation: r.Operation,
			PromptTokens: r.PromptTokens, CompletionTokens: r.CompletionTokens, TotalTokens: r.TotalTokens,
			CacheReadTokens: r.CacheReadTokens, CacheWriteTokens: r.CacheWriteTokens, ReasoningTokens: r.ReasoningTokens,
			CostUSD: r.CostUSD, CostSource: r.CostSource, LatencyMS: r.LatencyMS, TTFTMS: r.TtftMS,
			InputPreview:  known(lastMessage(cut(deref(r.InputText), 200), tail(deref(r.InputText), 800))),
			OutputPreview: known(firstMessage(cut(deref(r.OutputText), 800))),
		},
		InputText: r.InputText, OutputText: r.OutputText, ErrorMessage: r.ErrorMessage, Metadata: r.Metadata,
		OTELTraceID: r.OTELTraceID, OTELSpanID: r.OTELSpanID, OTELParentID: r.OTELParentSpanID,
		Synced: r.Synced != 0, PushedAt: r.PushedAt,
	}
}

// hexPrefix is as much of a trace_id as is needed to look for one.
var hexPrefix = regexp.MustCompile(`^[0-9a-f-]{4,36}$`)

// prefix returns the range of trace_ids that begin with id.
func prefix(id string) (low, high string, err error) {
	id = strings.ToLower(id)
	if !hexPrefix.MatchString(id) {
		return "", "", ErrNotFound
	}
	return id, id + "~", nil // ~ is behind whatever a UUID has
}

// only returns the one row that there is.
func only[T any](rows []T, err error) (*T, error) {
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, ErrNotFound
	case len(rows) > 1:
		return nil, ErrAmbiguous
	}
	return &rows[0], nil
}

// nearby is how long a neighbour is searched for, on either side.
const nearby = 25 * time.Millisecond

// Neighbours returns the trace_ids of the calls next to the one at c in the list that f
// makes, "" where there is none near.
func (v *View) Neighbours(ctx context.Context, f Filter, c Cursor) (older, newer string, err error) {
	list, err := v.Calls(ctx, f, Page{Before: c, Limit: 1, Budget: nearby})
	if err != nil {
		return "", "", err
	}
	if len(list.Rows) > 0 {
		older = list.Rows[0].TraceID
	}
	newer, err = v.newer(ctx, f, c)
	return older, newer, err
}

// newer is search the other way round, for one call.
func (v *View) newer(ctx context.Context, f Filter, c Cursor) (string, error) {
	_, until := f.open(v.now)
	lower, quoted := f.lowered()
	begun, n := time.Now(), firstWindow
	for {
		high, err := v.q.NewerWindow(ctx, db.NewerWindowParams{At: c.At, ID: c.ID, N: int64(n)})
		last := errors.Is(err, sql.ErrNoRows)
		if err != nil && !last {
			return "", err
		}
		if last || high >= until {
			high, last = until-1, true
		}
		started := time.Now()
		rows, err := v.q.ListNewerCalls(ctx, db.ListNewerCallsParams{
			At: c.At, ID: c.ID, High: high, Lim: 1,
			Provider: f.Provider, Model: f.Model, Status: f.Status, Agent: f.Agent, Session: f.Session, Operation: f.Operation,
			MinLatency: f.MinLatencyMS, MinCost: f.MinCostUSD, Text: lower, Quoted: quoted,
		})
		if err != nil {
			return "", err
		}
		if len(rows) > 0 {
			return rows[0].TraceID, nil
		}
		left := nearby - time.Since(begun)
		if last || left <= 0 {
			return "", nil
		}
		c = Cursor{At: high, ID: math.MaxInt64}
		n = nextWindow(n, time.Since(started), left)
	}
}
