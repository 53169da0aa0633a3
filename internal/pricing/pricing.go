// Package pricing says what a call cost. It has a table of published prices, embedded
// as text (prices.txt), finds the entry for a provider's and a model's name, and
// multiplies. Where no price is known there is no cost, which is something else than 0.
//
// Prices are integers, nano-USD per 1,000,000 tokens, in which all published prices but
// a few are exact. A cost is rounded once, to a nano-USD. docs/prices.md has the rules.
//
// The package is pure. The file that overrides prices is read by the caller.
package pricing

import (
	_ "embed" // for the table
	"strings"
	"sync"
)

// Usage is what a call used, in tokens. A part is clamped to its whole and a negative
// count to 0, so that nothing is charged twice and nothing is negative; of cached
// input, reading is served first.
type Usage struct {
	Input        int64 // all input, cached included
	CacheRead    int64 // of Input: read from a cache
	CacheWrite   int64 // of Input: written to a cache
	CacheWrite1h int64 // of CacheWrite: kept for an hour
	Output       int64 // all output, reasoning included
	Reasoning    int64 // of Output
}

// Match is how a price was found.
type Match uint8

// The ways to a price, the most certain first.
const (
	Exact    Match = iota // by the provider and the model's name
	Rule                  // by the provider's rules for names of the model
	Inferred              // by the model's name alone, or after cutting something off it
)

// String returns the name of the way, in lower case.
func (m Match) String() string { return [...]string{"exact", "rule", "inferred"}[m] }

// Cost is what a call cost by the list price.
type Cost struct {
	NanoUSD int64 // never negative
	Match   Match
	Model   string // whose price it is: the table's provider / the table's model
}

// Table is a set of prices. It is safe for concurrent use.
type Table struct {
	version   string
	base      func() *base         // decodes on the first call, which not every process makes
	own       map[string]*provider // of the files given to With: they go first
	overrides int                  // models of own

	mu       sync.RWMutex
	resolved map[name]entry // bounded by maxResolved
}

// base is what the text of a table says.
type base struct {
	info      Info
	providers map[string]*provider
}

// Info describes a Table.
type Info struct {
	Version   string // as Version returns it
	Source    string // the package that the embedded prices were made from, and its version
	Date      string // of the source's release, YYYY-MM-DD
	Licence   string // of the source
	Providers int    // in the embedded table
	Models    int    // in the embedded table, those with a price
	Overrides int    // models priced by files given to With
}

// Info returns what the table was made of.
func (t *Table) Info() Info {
	info := t.base().info
	info.Version, info.Overrides = t.version, t.overrides
	return info
}

// Version names the table in cost_source: the date of the embedded prices and, after a
// plus sign, the first eight hexadecimal digits of the SHA-256 of a file given to With.
func (t *Table) Version() string { return t.version }

//go:embed prices.txt
var prices string

// Embedded returns the table that is part of the binary. The first price that is asked
// for decodes it, which takes about a millisecond and 0.4 MB.
func Embedded() *Table { return embedded }

var embedded = &Table{version: dateOf(prices), base: sync.OnceValue(func() *base {
	b, err := decode(prices)
	if err != nil {
		panic(err) // prices.txt is generated, and decoded by a test
	}
	return b
})}

const (
	// A process talks to a handful of models. More distinct names than this are
	// somebody's invention; they cost a search each and no memory.
	maxResolved = 256
	// No name of a provider or a model is as long.
	maxName = 256
)

// name is how an emitter calls a model.
type name struct{ provider, model string }

// entry is what a name was resolved to; its model is nil if there is no price.
type entry struct {
	model *model
	match Match
}

// Cost returns what the usage cost at the prices of a moment, in Unix milliseconds. The
// provider is a value of OpenTelemetry's gen_ai.provider.name or what the emitter calls
// it, the model a name as the provider, the emitter or a gateway writes it; case does
// not matter. It is false if no price is known: for the model, at that time, for a kind
// of token that was used, or if the cost is too large to be true (9.2e9 USD).
//
// A tier for long contexts is chosen by all input and is then the price of all tokens.
func (t *Table) Cost(provider, model string, at int64, u Usage) (Cost, bool) {
	e := t.entry(name{provider, model})
	if e.model == nil {
		return Cost{}, false
	}
	p := e.model.at(at)
	if p == nil {
		return Cost{}, false
	}
	nano, ok := p.cost(u)
	if !ok {
		return Cost{}, false
	}
	return Cost{nano, e.match, e.model.name}, true
}

func (t *Table) entry(n name) entry {
	t.mu.RLock()
	e, ok := t.resolved[n]
	t.mu.RUnlock()
	if ok || len(n.provider) > maxName || len(n.model) > maxName {
		return e
	}
	e = t.resolve(strings.ToLower(strings.TrimSpace(n.provider)), strings.ToLower(strings.TrimSpace(n.model)))
	// The names may be part of a request's body, which must not be kept for them.
	n = name{strings.Clone(n.provider), strings.Clone(n.model)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resolved == nil || len(t.resolved) >= maxResolved {
		t.resolved = make(map[name]entry)
	}
	t.resolved[n] = e
	return e
}
