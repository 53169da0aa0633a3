package view

import (
	"context"
	"math"

	"github.com/kon-rad/openclaw-trace/db"
)

// Stat is what the readings of a part say about one value.
type Stat struct {
	Min float64 `json:"min"`
	Avg float64 `json:"avg"`
	Max float64 `json:"max"`
}

// Point is a part of the time range, [At, At+System.BucketMS). Count 0 is a gap. A value
// that no reading has is nil.
type Point struct {
	At    int64 `json:"at"`
	Count int64 `json:"count"`

	CPUPct       *Stat `json:"cpu_pct"`
	MemRSS       *Stat `json:"mem_rss_bytes"`
	MemUsed      *Stat `json:"mem_used"` // mem_total less mem_available
	MemAvailable *Stat `json:"mem_available"`
	DiskUsed     *Stat `json:"disk_used_bytes"`
	DiskFree     *Stat `json:"disk_free_bytes"`
}

// Reading is one reading of the host.
type Reading struct {
	ID        int64    `json:"-"`
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

// Cursor returns the place of the reading in a list.
func (r *Reading) Cursor() Cursor { return Cursor{At: r.CreatedAt, ID: r.ID} }

func reading(r *db.SystemMetric) Reading {
	return Reading{
		ID: r.ID, TraceID: r.TraceID, CreatedAt: r.CreatedAt, CPUPct: r.CpuPct, MemRSS: r.MemRssBytes,
		MemAvail: r.MemAvailable, MemTotal: r.MemTotal,
		DiskUsed: r.DiskUsedBytes, DiskTotal: r.DiskTotalBytes, DiskFree: r.DiskFreeBytes, Metadata: r.Metadata,
	}
}

// System is how the host was.
type System struct {
	From     int64    `json:"from"` // Unix ms
	Until    int64    `json:"until"`
	BucketMS int64    `json:"bucket_ms"`
	Points   []Point  `json:"points"` // oldest first, gaps included
	Last     *Reading `json:"last"`   // the newest of the range
}

// maxPoints is how many points a range may be divided into.
const maxPoints = 1000

// System returns the readings of f's range as at most n points. Without a Since the
// range is of 24 hours.
func (v *View) System(ctx context.Context, f Filter, n int) (*System, error) {
	from, until := f.lastDay(v.now)
	n = min(max(n, 1), maxPoints)
	s := &System{From: from, Until: until, BucketMS: max((until-from+int64(n)-1)/int64(n), 1), Points: []Point{}}
	rows, err := v.q.SumReadings(ctx, db.SumReadingsParams{Low: from, High: until, Width: s.BucketMS})
	if err != nil {
		return nil, err
	}
	for at := from; at < until; at += s.BucketMS {
		s.Points = append(s.Points, Point{At: at})
	}
	for _, r := range rows {
		p := &s.Points[r.Bucket]
		p.Count = r.N
		p.CPUPct = stat(r.CpuN, r.CpuMin, r.CpuAvg, r.CpuMax)
		p.MemRSS = stat(r.RssN, r.RssMin, r.RssAvg, r.RssMax)
		p.MemUsed = stat(r.UsedN, r.UsedMin, r.UsedAvg, r.UsedMax)
		p.MemAvailable = stat(r.AvailN, r.AvailMin, r.AvailAvg, r.AvailMax)
		p.DiskUsed = stat(r.DiskN, r.DiskMin, r.DiskAvg, r.DiskMax)
		p.DiskFree = stat(r.FreeN, r.FreeMin, r.FreeAvg, r.FreeMax)
	}
	s.Last, err = v.lastReading(ctx, f, from)
	return s, err
}

// Memory is how much memory the host used.
type Memory struct {
	Used []*int64 // bytes, at the last reading of each part of the range; nil without one
	Last *Reading // the newest of the range
}

// Memory returns a reading of each of n parts of f's range. It takes as long as there are
// parts, and not as there are readings.
func (v *View) Memory(ctx context.Context, f Filter, n int) (*Memory, error) {
	from, until := f.lastDay(v.now)
	width := max((until-from+int64(n)-1)/int64(n), 1)
	rows, err := v.q.SampleMemory(ctx, db.SampleMemoryParams{Low: from, Width: width, Parts: int64(n)})
	if err != nil {
		return nil, err
	}
	m := &Memory{Used: make([]*int64, n)}
	for i := range rows {
		m.Used[rows[i].Part] = &rows[i].Used
	}
	m.Last, err = v.lastReading(ctx, f, from)
	return m, err
}

// lastReading returns the newest of f's range, which begins at from, or nil.
func (v *View) lastReading(ctx context.Context, f Filter, from int64) (*Reading, error) {
	f.Since = Instant{At: max(from, 1)}
	last, err := v.Readings(ctx, f, Page{Limit: 1})
	if len(last.Rows) == 0 {
		return nil, err
	}
	return &last.Rows[0], err
}

func stat(n int64, min, avg, max float64) *Stat {
	if n == 0 {
		return nil
	}
	return &Stat{min, avg, max}
}

// Readings lists the readings themselves, newest first. Of f it takes TimeParams.
func (v *View) Readings(ctx context.Context, f Filter, p Page) (List[Reading], error) {
	low, until := f.open(v.now)
	src := source[Reading]{
		rows: func(ctx context.Context, c Cursor, low int64, n int) ([]Reading, error) {
			rows, err := v.q.ListReadings(ctx, db.ListReadingsParams{At: c.At, ID: c.ID, Low: low, Lim: int64(n)})
			list := make([]Reading, len(rows))
			for i := range rows {
				list[i] = reading(&rows[i])
			}
			return list, err
		},
		cursor: (*Reading).Cursor,
	}
	return search(ctx, src, p, p.start(until), low, false)
}

// nearReading is how far a reading may be from the moment that is asked about.
const nearReading = 5 * 60 * 1000

// ReadingAt returns the reading nearest to a moment (Unix ms), at most 5 minutes away,
// or nil.
func (v *View) ReadingAt(ctx context.Context, at int64) (*Reading, error) {
	before, err := v.q.ListReadings(ctx, db.ListReadingsParams{At: at, ID: math.MaxInt64, Low: at - nearReading, Lim: 1})
	if err != nil {
		return nil, err
	}
	after, err := v.q.NextReading(ctx, db.NextReadingParams{At: at, High: at + nearReading})
	if err != nil {
		return nil, err
	}
	rows := append(before, after...)
	switch {
	case len(rows) == 0:
		return nil, nil
	case len(rows) == 2 && rows[1].CreatedAt-at < at-rows[0].CreatedAt:
		rows = rows[1:]
	}
	r := reading(&rows[0])
	return &r, nil
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
func (v *View) Pushes(ctx context.Context, p Page) (List[Push], error) {
	list := List[Push]{Rows: []Push{}}
	rows, err := v.q.ListPushes(ctx, db.ListPushesParams{ID: p.start(math.MaxInt64).ID, Lim: int64(p.limit()) + 1})
	for i, r := range rows {
		if i == p.limit() {
			list.Next = &Cursor{At: list.Rows[i-1].CreatedAt, ID: list.Rows[i-1].ID}
			break
		}
		list.Rows = append(list.Rows, Push{r.ID, r.CreatedAt, r.Status, r.EventsPushed, r.ErrorMessage, r.DurationMS})
	}
	return list, err
}

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
	list := List[Quarantined]{Rows: []Quarantined{}}
	rows, err := v.q.ListQuarantined(ctx, db.ListQuarantinedParams{ID: p.start(math.MaxInt64).ID, Lim: int64(p.limit()) + 1})
	for i, r := range rows {
		if i == p.limit() {
			list.Next = &Cursor{At: list.Rows[i-1].CreatedAt, ID: list.Rows[i-1].ID}
			break
		}
		list.Rows = append(list.Rows, Quarantined{r.ID, r.Kind, r.EventID, r.CreatedAt, r.Reason})
	}
	return list, err
}
