package pricing

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// The kinds of token that have a price of their own, and what the request itself costs.
const (
	input = iota
	output
	cacheRead
	cacheWrite
	cacheWrite1h
	reasoning
	request
	kinds
)

// keys are the kinds' names in prices.txt.
var keys = [kinds]string{"in", "out", "cr", "cw", "cw1h", "reason", "req"}

// otherwise is the kind whose price a kind has that has none of its own: who knows
// nothing of caches charges what was cached like any input.
var otherwise = [kinds]int{
	input: input, output: output, cacheRead: input, cacheWrite: input, cacheWrite1h: cacheWrite, reasoning: output, request: request,
}

// rates are prices in nano-USD per 1,000,000 tokens, or requests.
type rates [kinds]int64

// unknown is the rate of a kind that has no price.
const unknown = -1

var noRates = rates{unknown, unknown, unknown, unknown, unknown, unknown, unknown}

// fill gives the kinds without a price that of another.
func (r rates) fill() rates {
	for k, rate := range r {
		if rate == unknown {
			r[k] = r[otherwise[k]]
		}
	}
	r[request] = max(r[request], 0) // few charge for it
	return r
}

// tier is what tokens cost when a call's input exceeds a number of tokens.
type tier struct {
	above int64
	rates rates
}

// period is a time with prices of its own: from a moment on, in Unix milliseconds, and
// if start and end differ only between these seconds of the day, in UTC.
type period struct {
	from       int64
	start, end int32
	tiers      []tier // ascending; none if the source has no price per token
}

// always is the from of a period without a beginning.
const always = math.MinInt64

const day = 24 * 60 * 60

// holds tells whether a moment is in the period, as far as it knows itself.
func (p *period) holds(at int64) bool {
	if at < p.from {
		return false
	}
	second := int32((at/1000%day + day) % day)
	switch {
	case p.start == p.end:
		return true
	case p.start < p.end:
		return second >= p.start && second < p.end
	default: // over midnight
		return second >= p.start || second < p.end
	}
}

// model is an entry of the table.
type model struct {
	id       string // lower case
	name     string // provider/id, for people
	patterns string // further names, see matches
	periods  []period
}

// at returns the last period that a moment is in.
func (m *model) at(at int64) *period {
	for i := len(m.periods) - 1; i >= 0; i-- {
		if m.periods[i].holds(at) {
			return &m.periods[i]
		}
	}
	return nil
}

// cost is the sum of tokens times rates, rounded half up to a nano-USD.
func (p *period) cost(u Usage) (int64, bool) {
	if len(p.tiers) == 0 {
		return 0, false
	}
	in, out := max(u.Input, 0), max(u.Output, 0)
	read := min(max(u.CacheRead, 0), in)
	write := min(max(u.CacheWrite, 0), in-read)
	hour := min(max(u.CacheWrite1h, 0), write)
	thought := min(max(u.Reasoning, 0), out)

	r := &p.tiers[0].rates
	for i := 1; i < len(p.tiers) && in > p.tiers[i].above; i++ {
		r = &p.tiers[i].rates
	}
	// Seven products below 2^63 times 2^50 (the largest rate) and a half fit into 128 bits.
	var high, low, carry uint64
	for k, n := range [kinds]int64{in - read - write, out - thought, read, write - hour, hour, thought, 1} {
		if n == 0 {
			continue
		}
		if r[k] == unknown {
			return 0, false
		}
		h, l := bits.Mul64(uint64(n), uint64(r[k]))
		low, carry = bits.Add64(low, l, 0)
		high, _ = bits.Add64(high, h, carry)
	}
	const million = 1_000_000
	low, carry = bits.Add64(low, million/2, 0)
	if high += carry; high >= million {
		return 0, false
	}
	nano, _ := bits.Div64(high, low, million)
	return int64(nano), nano <= math.MaxInt64
}

// maxUSD is the highest price that is taken for one, per 1,000,000 tokens.
const maxUSD = 1_000_000

// rate turns USD per 1,000,000 tokens into nano-USD. A price with more than nine
// decimals is rounded.
func rate(usd float64) (int64, error) {
	if !(usd >= 0 && usd <= maxUSD) { // nor NaN
		return 0, fmt.Errorf("a number from 0 to %d is expected (USD per 1,000,000 tokens), not %s", maxUSD, strconv.FormatFloat(usd, 'g', -1, 64))
	}
	return int64(math.Round(usd * 1e9)), nil // at most 1e15, below a float's 2^53
}
