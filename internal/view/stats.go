package view

import "context"

// Named are the sums of the calls of one name.
type Named struct {
	Provider string // "" where calls are not told apart by it
	Name     string // model, provider, agent or status; "" is none
	Sums     Sums
}

// Bucket is a part of the time range, [From, Until) in Unix ms.
type Bucket struct {
	From, Until int64
	Sums        Sums
	Models      []Sums // of each of Stats.Models
	Latency     *Percentiles
}

// Percentiles of the latency, in ms. From summaries they are known to a fifth.
type Percentiles struct {
	N             int64 // calls that have a latency
	P50, P95, P99 int64
}

// Stats are the statistics of a time range.
type Stats struct {
	From, Until int64 // the range, exactly; Until may be later than now
	BucketMS    int64
	Total       Sums
	Latency     *Percentiles // nil if unknown
	// LatencyNote says why Latency is unknown, or that it is of more than the range.
	LatencyNote string

	Series []Bucket // without gaps, oldest first
	Models []Named  // the models of each Bucket: those that cost most, then "other"

	ByModel, ByProvider, ByAgent, ByStatus []Named // what cost most first
}

// Stats sums the calls that f wants. Of f it takes SumParams; other fields are a
// *ParamError.
func (v *View) Stats(ctx context.Context, f Filter) (*Stats, error) { return &Stats{}, nil }

// Budget is what was used since a moment.
type Budget struct {
	Since          int64    `json:"since"` // Unix ms
	Calls          int64    `json:"calls"`
	CostUSD        *float64 `json:"cost_usd"` // of the priced calls; null if none is
	UnpricedCalls  int64    `json:"unpriced_calls"`
	Tokens         *int64   `json:"tokens"` // of the metered calls; null if none is
	UnmeteredCalls int64    `json:"unmetered_calls"`
}

// Budget answers from the summaries: since is 24 h ago unless it is set; agent and
// session may be empty.
func (v *View) Budget(ctx context.Context, since Instant, agent, session string) (*Budget, error) {
	return &Budget{}, nil
}

// Extent says what there is at all, for pages without a row.
type Extent struct {
	FirstCall, LastCall, LastError, LastEvent, LastSpan, LastReading *int64 // Unix ms; nil: none stored
}

// Extent returns what there is.
func (v *View) Extent(ctx context.Context) (Extent, error) { return Extent{}, nil }
