package view

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// Named are the sums of the calls of one name.
type Named struct {
	Provider string `json:"provider,omitempty"` // "" where calls are not told apart by it
	Name     string `json:"name"`               // model, provider, agent or status; "" is none
	Sums     Sums   `json:"sums"`
}

// Bucket is a part of the time range, [From, Until) in Unix ms.
type Bucket struct {
	From    int64        `json:"from"`
	Until   int64        `json:"until"`
	Sums    Sums         `json:"sums"`
	Models  []Sums       `json:"models"`  // of each of Stats.Models
	Latency *Percentiles `json:"latency"` // nil if unknown
}

// Percentiles of the latency, in ms. From summaries they are known to a tenth.
type Percentiles struct {
	N   int64 `json:"calls"` // that have a latency
	P50 int64 `json:"p50_ms"`
	P95 int64 `json:"p95_ms"`
	P99 int64 `json:"p99_ms"`
}

// Stats are the statistics of a time range.
type Stats struct {
	From     int64        `json:"from"` // the range, exactly
	Until    int64        `json:"until"`
	BucketMS int64        `json:"bucket_ms"` // of a whole bucket
	Total    Sums         `json:"total"`
	Latency  *Percentiles `json:"latency"` // nil if unknown
	// LatencyNote says why Latency is unknown, or that it is of more than the range.
	LatencyNote string `json:"latency_note,omitempty"`

	Series []Bucket `json:"series"` // without gaps, oldest first
	Models []Named  `json:"models"` // the models of each Bucket: those that cost most, then Others

	// What cost most first, at most a hundred and then Others.
	ByModel    []Named `json:"by_model"`
	ByProvider []Named `json:"by_provider"`
	ByAgent    []Named `json:"by_agent"`
	ByStatus   []Named `json:"by_status"`
}

const (
	hour = int64(time.Hour / time.Millisecond)
	day  = 24 * hour

	// Up to so long a range, and so many calls in it, the calls themselves are summed,
	// so that there is more to see than a few hours.
	shortRange = 3 * hour
	fewCalls   = 5000

	seriesModels = 6
	maxNames     = 100 // of a table
)

// Others is the name of what a table or a series has no room for.
const Others = "…"

// Stats sums the calls that f wants, of 24 hours without a Since. Of f it takes
// SumParams; another is a *ParamError.
func (v *View) Stats(ctx context.Context, f Filter) (*Stats, error) {
	s, parts, short, err := v.sums(ctx, f, true)
	switch {
	case err != nil:
		return nil, err
	case short:
		return s, v.latencies(ctx, f, s)
	}
	return s, v.histogram(ctx, f, s, parts)
}

// Sums is Stats without the latencies, and without what tells the calls apart by names,
// which takes a third of the time.
func (v *View) Sums(ctx context.Context, f Filter) (*Stats, error) {
	s, _, _, err := v.sums(ctx, f, false)
	return s, err
}

// Total is what Sums says of the range as a whole.
func (v *View) Total(ctx context.Context, f Filter) (total Sums, err error) {
	if err := f.summable(); err != nil {
		return total, err
	}
	from, until := f.lastDay(v.now)
	return v.total(ctx, spanOf(from, until, false, f.Until == Instant{}, day, 0), f)
}

func (v *View) total(ctx context.Context, span spans, f Filter) (total Sums, err error) {
	rows, err := v.q.SumUsageParts(ctx, db.SumUsagePartsParams(span.usage(f)))
	for i := range rows {
		total.Add(sumsOfPart(&rows[i]))
	}
	return total, err
}

// sums also returns the buckets, and whether the range is so short that its calls were
// summed one by one.
func (v *View) sums(ctx context.Context, f Filter, byName bool) (s *Stats, parts []part, short bool, err error) {
	if err := f.summable(); err != nil {
		return nil, nil, false, err
	}
	from, until := f.lastDay(v.now)
	if f.Since != (Instant{}) {
		// A range is not longer than what there is, nor is its chart.
		first, err := v.q.FirstUsage(ctx)
		if err != nil {
			return nil, nil, false, err
		}
		if first == 0 {
			first = until - day
		}
		from = min(max(from, first), until)
	}
	s = &Stats{From: from, Until: until, Series: []Bucket{}}
	if until-from <= shortRange {
		n, err := v.q.CountCallsUpTo(ctx, db.CountCallsUpToParams{Low: from, High: until, Lim: fewCalls + 1})
		if err != nil {
			return nil, nil, false, err
		}
		short = n <= fewCalls
	}
	s.BucketMS = width(until-from, short)
	parts = divide(from, until, s.BucketMS, f.Location())
	a := newAggregate(s, parts)
	for i := 0; i < len(parts); {
		// Those of one offset from UTC are one statement.
		j := i + 1
		for j < len(parts) && parts[j].origin == parts[i].origin {
			j++
		}
		span := spanOf(parts[i].from, parts[j-1].until, short, f.Until == Instant{} && j == len(parts), s.BucketMS, parts[i].origin)
		if byName {
			rows, err := v.q.SumUsage(ctx, span.usage(f))
			if err != nil {
				return nil, nil, false, err
			}
			a.add(rows, i, j)
		} else {
			rows, err := v.q.SumUsageParts(ctx, db.SumUsagePartsParams(span.usage(f)))
			if err != nil {
				return nil, nil, false, err
			}
			a.addParts(rows, i, j)
		}
		i = j
	}
	a.finish()
	return s, parts, short, nil
}

// lastDay is Range with a beginning 24 hours before its end unless f says another.
func (f Filter) lastDay(now time.Time) (from, until int64) {
	from, until = f.Range(now)
	if f.Since == (Instant{}) {
		from = max(until-day, 0)
	}
	return from, until
}

// summable returns an error unless usage has what f asks for.
func (f Filter) summable() error {
	for _, p := range params {
		if s := p.print(&f); s != "" && !slices.Contains(SumParams, p.name) {
			return &ParamError{p.name, "sums are not kept by it; they are by provider, model, agent and status"}
		}
	}
	return nil
}

// width returns how long a bucket is, so that a chart has enough of them and not too many.
func width(ms int64, short bool) int64 {
	minute := hour / 60
	switch {
	case short:
		for _, w := range []int64{minute, 2 * minute} {
			if ms <= 60*w {
				return w
			}
		}
		return 5 * minute
	case ms <= 2*day:
		return hour
	case ms <= 4*day:
		return 3 * hour
	case ms <= 8*day:
		return 6 * hour
	case ms <= 120*day:
		return day
	}
	return 7 * day
}

// part is a bucket: its time, from where buckets of its length are counted, and which
// one it is.
type part struct{ from, until, origin, number int64 }

// divide returns the buckets of a range. They begin at midnight, or at parts of the day
// from then, in people's time zone; where that is no whole hour of UTC, at the one
// before, since nothing is summed by less. Where clocks change a bucket is split.
func divide(from, until, width int64, zone *time.Location) []part {
	var parts []part
	for at := from; at < until; {
		local := time.UnixMilli(at).In(zone)
		_, seconds := local.Zone()
		off := int64(seconds) * 1000
		off -= (off%hour + hour) % hour
		// Long before any time that is asked for, since / rounds to 0; a Monday.
		origin := -off - 10*7*day + 4*day
		number := (at - origin) / width
		end := min(origin+(number+1)*width, until)
		if _, change := local.ZoneBounds(); !change.IsZero() {
			end = min(end, roundUp(change.UnixMilli(), hour))
		}
		parts = append(parts, part{at, end, origin, number})
		at = end
	}
	return parts
}

// spans are where the sums of a range are: whole days, whole hours, single calls.
type spans struct {
	origin, width, low, high             int64
	firstHour, endHour, firstDay, endDay int64
}

// spanOf divides a range. A short one is summed from its calls alone. One that is open
// ends now: all that there is of the last hour is in it.
func spanOf(from, until int64, short, open bool, width, origin int64) spans {
	if open {
		until = roundUp(until, day)
	}
	s := spans{origin: origin, width: width, low: from, high: until}
	if short {
		s.firstHour, s.endHour, s.firstDay, s.endDay = until, until, until, until
		return s
	}
	s.firstHour = min(roundUp(from, hour), until)
	s.endHour = max(until-until%hour, s.firstHour)
	s.days()
	return s
}

// days finds the whole days in the hours. They are UTC's, so that they serve only who
// counts in those.
func (s *spans) days() {
	s.firstDay, s.endDay = s.endHour, s.endHour
	if s.width%day == 0 && s.origin%day == 0 {
		s.firstDay = min(roundUp(s.firstHour, day), s.endHour)
		s.endDay = max(s.endHour-s.endHour%day, s.firstDay)
	}
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

func (s spans) usage(f Filter) db.SumUsageParams {
	return db.SumUsageParams{
		Origin: s.origin, Width: s.width, Low: s.low, High: s.high,
		FirstHour: s.firstHour, EndHour: s.endHour, FirstDay: s.firstDay, EndDay: s.endDay,
		Provider: f.Provider, Model: f.Model, Agent: f.Agent, Status: f.Status,
	}
}

// aggregate adds up rows for all that Stats tells apart.
type aggregate struct {
	stats *Stats
	parts []part

	models, providers, agents, statuses sumsBy
	series                              []sumsBy // of each part, by model
}

type name struct{ provider, name string }

type sumsBy map[name]*Sums

func (m sumsBy) add(k name, s Sums) {
	if m[k] == nil {
		m[k] = new(Sums)
	}
	m[k].Add(s)
}

func newAggregate(s *Stats, parts []part) *aggregate {
	a := &aggregate{
		stats: s, parts: parts, models: sumsBy{}, providers: sumsBy{}, agents: sumsBy{}, statuses: sumsBy{},
		series: make([]sumsBy, len(parts)),
	}
	for i := range a.series {
		a.series[i] = sumsBy{}
	}
	return a
}

func sumsOf(r *db.SumUsageRow) Sums {
	s := Sums{
		Calls: r.Calls, PromptTokens: r.PromptTokens, CompletionTokens: r.CompletionTokens,
		CacheReadTokens: r.CacheReadTokens, CacheWriteTokens: r.CacheWriteTokens, ReasoningTokens: r.ReasoningTokens,
		CostNanoUSD: r.CostNanoUSD, Unmetered: r.Unmetered, Unpriced: r.Unpriced,
	}
	if r.Status != "ok" {
		s.Failed = r.Calls
	}
	return s
}

// add adds rows of the parts from first up to end.
func (a *aggregate) add(rows []db.SumUsageRow, first, end int) {
	for i := range rows {
		r, sums := &rows[i], sumsOf(&rows[i])
		n := a.part(r.Bucket, first, end)
		a.stats.Total.Add(sums)
		model := name{r.Provider, r.Model}
		a.models.add(model, sums)
		a.providers.add(name{name: r.Provider}, sums)
		a.agents.add(name{name: r.Agent}, sums)
		a.statuses.add(name{name: r.Status}, sums)
		a.series[n].add(model, sums)
	}
}

func sumsOfPart(r *db.SumUsagePartsRow) Sums {
	return Sums{
		Calls: r.Calls, Failed: r.Failed, PromptTokens: r.PromptTokens, CompletionTokens: r.CompletionTokens,
		CacheReadTokens: r.CacheReadTokens, CacheWriteTokens: r.CacheWriteTokens, ReasoningTokens: r.ReasoningTokens,
		CostNanoUSD: r.CostNanoUSD, Unmetered: r.Unmetered, Unpriced: r.Unpriced,
	}
}

// part returns which part from first up to end has a number.
func (a *aggregate) part(number int64, first, end int) int {
	return min(max(first+int(number-a.parts[first].number), first), end-1)
}

// addParts is add for rows that tell nothing else apart.
func (a *aggregate) addParts(rows []db.SumUsagePartsRow, first, end int) {
	for i := range rows {
		sums := sumsOfPart(&rows[i])
		a.stats.Total.Add(sums)
		a.series[a.part(rows[i].Bucket, first, end)].add(name{}, sums)
	}
}

// finish fills in what can be told apart when all is added.
func (a *aggregate) finish() {
	s := a.stats
	s.ByModel, s.ByProvider = ranked(a.models, maxNames), ranked(a.providers, maxNames)
	s.ByAgent, s.ByStatus = ranked(a.agents, maxNames), ranked(a.statuses, maxNames)
	s.Models = ranked(a.models, seriesModels)
	place := make(map[name]int, len(s.Models))
	for i, m := range s.Models {
		place[name{m.Provider, m.Name}] = i
	}
	for i, p := range a.parts {
		b := Bucket{From: p.from, Until: p.until, Models: make([]Sums, len(s.Models))}
		for k, sums := range a.series[i] {
			b.Sums.Add(*sums)
			n, ok := place[k]
			if len(s.Models) == 0 {
				continue
			}
			if !ok {
				n = len(s.Models) - 1 // Others
			}
			b.Models[n].Add(*sums)
		}
		s.Series = append(s.Series, b)
	}
}

// ranked returns what cost most first, at most n of them and Others.
func ranked(sums sumsBy, n int) []Named {
	list := make([]Named, 0, len(sums))
	for k, s := range sums {
		list = append(list, Named{k.provider, k.name, *s})
	}
	sortRows(list, func(a, b *Named) int {
		return cmp.Or(cmp.Compare(b.Sums.CostNanoUSD, a.Sums.CostNanoUSD), cmp.Compare(b.Sums.Calls, a.Sums.Calls),
			cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Name, b.Name))
	})
	if len(list) > n {
		others := Named{Name: Others}
		for _, o := range list[n:] {
			others.Sums.Add(o.Sums)
		}
		list = append(list[:n], others)
	}
	return list
}

// latencies fills in the percentiles of a short range, from its calls.
func (v *View) latencies(ctx context.Context, f Filter, s *Stats) error {
	rows, err := v.q.ListLatencies(ctx, db.ListLatenciesParams{
		Low: s.From, High: s.Until, Provider: f.Provider, Model: f.Model, Agent: f.Agent, Status: f.Status,
	})
	if err != nil {
		return err
	}
	all := make([]int64, 0, len(rows))
	parts := make([][]int64, len(s.Series))
	for _, r := range rows {
		if r.LatencyMS >= 0 {
			all = append(all, r.LatencyMS)
			i, _ := slices.BinarySearchFunc(s.Series, r.CreatedAt, func(b Bucket, at int64) int { return cmp.Compare(b.Until-1, at) })
			i = min(i, len(parts)-1)
			parts[i] = append(parts[i], r.LatencyMS)
		}
	}
	s.Latency = exact(all)
	for i := range parts {
		s.Series[i].Latency = exact(parts[i])
	}
	return nil
}

// exact returns the percentiles of these, or nil.
func exact(ms []int64) *Percentiles {
	if len(ms) == 0 {
		return nil
	}
	slices.Sort(ms)
	at := func(share float64) int64 { return ms[max(int(math.Ceil(share*float64(len(ms))))-1, 0)] }
	return &Percentiles{int64(len(ms)), at(0.5), at(0.95), at(0.99)}
}

// histogram fills in the percentiles from the summaries.
func (v *View) histogram(ctx context.Context, f Filter, s *Stats, parts []part) error {
	if f.Agent != "" || f.Status != "" {
		s.LatencyNote = "the latency is not known by agent or status for more than three hours"
		return nil
	}
	if s.From%hour != 0 || f.Until != (Instant{}) && s.Until%hour != 0 {
		s.LatencyNote = "the latency is of the whole hours that the range begins and ends in"
	}
	var total counts
	each := make([]counts, len(parts))
	for i := 0; i < len(parts); {
		j := i + 1
		for j < len(parts) && parts[j].origin == parts[i].origin {
			j++
		}
		span := spans{origin: parts[i].origin, width: s.BucketMS, firstHour: parts[i].from - parts[i].from%hour, endHour: roundUp(parts[j-1].until, hour)}
		if i > 0 {
			span.firstHour = roundUp(parts[i].from, hour)
		}
		span.days()
		rows, err := v.q.ListHistograms(ctx, db.ListHistogramsParams{
			FirstHour: span.firstHour, EndHour: span.endHour, FirstDay: span.firstDay, EndDay: span.endDay,
			Provider: f.Provider, Model: f.Model,
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			var h counts
			if err := h.parse(r.Histogram); err != nil {
				return err
			}
			n := min(max(i+int((r.StartAt-span.origin)/span.width-parts[i].number), i), j-1)
			each[n].add(&h)
			total.add(&h)
		}
		i = j
	}
	s.Latency = total.estimate()
	for i := range each {
		s.Series[i].Latency = each[i].estimate()
	}
	return nil
}

// counts are how many latencies each bucket of a histogram has (see writer.Bucket).
type counts [4 * 64]int64

func (c *counts) add(o *counts) {
	for i, n := range o {
		c[i] += n
	}
}

// parse adds a line of ListHistograms.
func (c *counts) parse(line string) error {
	for line != "" {
		var bucket, n string
		bucket, line, _ = strings.Cut(line, " ")
		n, line, _ = strings.Cut(line, " ")
		i, err := strconv.ParseUint(bucket, 10, 8)
		if err != nil {
			return err
		}
		k, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			return err
		}
		c[i] += k
	}
	return nil
}

// estimate returns the percentiles, or nil.
func (c *counts) estimate() *Percentiles {
	var all int64
	for _, n := range c {
		all += n
	}
	if all == 0 {
		return nil
	}
	at := func(share float64) int64 {
		rank := max(int64(math.Ceil(share*float64(all))), 1)
		for b, n := range c {
			if rank -= n; rank <= 0 {
				if b == 0 {
					return 1
				}
				return int64(math.Round(math.Exp2((float64(b) + 0.5) / 4)))
			}
		}
		return 0
	}
	return &Percentiles{all, at(0.5), at(0.95), at(0.99)}
}

// Budget is what was used since a moment.
type Budget struct {
	Since          int64    `json:"since"` // Unix ms
	Calls          int64    `json:"calls"`
	CostUSD        *float64 `json:"cost_usd"` // of the priced calls; null if there are calls and none is
	UnpricedCalls  int64    `json:"unpriced_calls"`
	Tokens         *int64   `json:"tokens"` // of the metered calls; null if there are calls and none is
	UnmeteredCalls int64    `json:"unmetered_calls"`
}

// Budget answers from the summaries: since is 24 h ago unless it is set; agent and
// session may be empty. A session that began since then is answered from its row; of
// one that is older the calls are summed, which takes longer.
func (v *View) Budget(ctx context.Context, since Instant, agent, session string) (*Budget, error) {
	low := since.In(v.now, v.now.UnixMilli()-day)
	sums, err := v.since(ctx, low, agent, session)
	if err != nil {
		return nil, err
	}
	return &Budget{
		Since: low, Calls: sums.Calls, CostUSD: sums.CostUSD(), UnpricedCalls: sums.Unpriced,
		Tokens: sums.Tokens(), UnmeteredCalls: sums.Unmetered,
	}, nil
}

func (v *View) since(ctx context.Context, low int64, agent, session string) (sums Sums, err error) {
	if session == "" {
		_, until := Filter{}.Range(v.now)
		span := spanOf(low, max(until, low), false, true, day, 0)
		return v.total(ctx, span, Filter{Agent: agent})
	}
	row, err := v.q.GetSession(ctx, session)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return sums, err
	}
	known := err == nil
	if agent != "" || known && row.FirstAt < low {
		if known {
			low = max(low, row.FirstAt)
		}
		r, err := v.q.SumSessionSince(ctx, db.SumSessionSinceParams{Session: &session, Agent: agent, Low: low})
		return Sums{
			Calls: r.Calls, Failed: r.Failed, PromptTokens: r.PromptTokens, CompletionTokens: r.CompletionTokens,
			CostNanoUSD: r.CostNanoUSD, Unmetered: r.Unmetered, Unpriced: r.Unpriced,
		}, err
	}
	rows, err := v.q.SumSession(ctx, db.SumSessionParams{Session: session, Low: low})
	for _, r := range rows {
		sums.Add(Sums{
			Calls: r.Calls, Failed: r.Failed, PromptTokens: r.PromptTokens, CompletionTokens: r.CompletionTokens,
			CostNanoUSD: r.CostNanoUSD, Unmetered: r.Unmetered, Unpriced: r.Unpriced,
		})
	}
	return sums, err
}

// Extent says what there is at all, for pages without a row. Times are Unix ms; nil is
// that nothing is stored.
type Extent struct {
	FirstCall, LastCall, LastError, LastEvent, LastSpan, LastReading *int64
}

// Extent returns what there is.
func (v *View) Extent(ctx context.Context) (Extent, error) {
	r, err := v.q.FirstAndLast(ctx)
	at := func(ms int64) *int64 {
		if ms == 0 {
			return nil
		}
		return &ms
	}
	return Extent{at(r.FirstCall), at(r.LastCall), at(r.LastError), at(r.LastEvent), at(r.LastSpan), at(r.LastReading)}, err
}
