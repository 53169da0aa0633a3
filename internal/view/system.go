package view

import "context"

// Stat is what the readings of a bucket say about one value; nil if none has it.
type Stat struct{ Min, Avg, Max float64 }

// Point is a part of the time range, [At, At+System.BucketMS). Count 0 is a gap.
type Point struct {
	At    int64
	Count int64

	CPUPct, MemRSS, MemUsed, MemAvailable, DiskUsed, DiskFree *Stat // bytes but for CPUPct
}

// Reading is one reading of the host.
type Reading struct {
	TraceID   string   `json:"trace_id"`
	CreatedAt int64    `json:"created_at"`
	CPUPct    *float64 `json:"cpu_pct"`
	MemRSS    *int64   `json:"mem_rss_bytes"`
	MemAvail  *int64   `json:"mem_available"`
	MemTotal  *int64   `json:"mem_total"`
	DiskUsed  *int64   `json:"disk_used_bytes"`
	DiskTotal *int64   `json:"disk_total_bytes"`
	DiskFree  *int64   `json:"disk_free_bytes"`
	Metadata  *string  `json:"-"` // JSON object
}

// System is how the host was.
type System struct {
	From, Until int64
	BucketMS    int64
	Points      []Point  // oldest first, gaps included
	Last        *Reading // the newest of the range
}

// System returns the readings of f's range as n points.
func (v *View) System(ctx context.Context, f Filter, n int) (*System, error) { return &System{}, nil }

// ReadingAt returns the reading nearest to a moment (Unix ms), at most 5 minutes away,
// or nil.
func (v *View) ReadingAt(ctx context.Context, at int64) (*Reading, error) { return nil, nil }

// Readings lists the readings themselves.
func (v *View) Readings(ctx context.Context, f Filter, p Page) (List[Reading], error) {
	return List[Reading]{}, nil
}

// Push is an attempt to deliver.
type Push struct {
	ID         int64   `json:"id"`
	CreatedAt  int64   `json:"created_at"`
	Status     string  `json:"status"` // "ok" or "error"
	Events     int64   `json:"events_pushed"`
	Error      *string `json:"error_message"`
	DurationMS *int64  `json:"duration_ms"`
}

// Pushes lists attempts to deliver, newest first.
func (v *View) Pushes(ctx context.Context, p Page) (List[Push], error) { return List[Push]{}, nil }

// Quarantined is an event that the remote will never take.
type Quarantined struct {
	ID        int64  `json:"-"`
	Kind      string `json:"kind"` // as in the ledger
	TraceID   string `json:"trace_id"`
	CreatedAt int64  `json:"created_at"` // when it was given up
	Reason    string `json:"reason"`
}

// Quarantine lists events in quarantine, newest first.
func (v *View) Quarantine(ctx context.Context, p Page) (List[Quarantined], error) {
	return List[Quarantined]{}, nil
}
