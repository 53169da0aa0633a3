package pricing

// Doors for tests: what the table holds, and the matcher by itself.

var Matches = matches

// Entry is a model of the table.
type Entry struct {
	Provider, ID, Patterns string
	Priced                 bool
}

func (t *Table) Entries() []Entry {
	var list []Entry
	for id, p := range t.base().providers {
		for _, m := range p.models {
			e := Entry{Provider: id, ID: m.id, Patterns: m.patterns}
			for _, p := range m.periods {
				e.Priced = e.Priced || p.tiers != nil
			}
			list = append(list, e)
		}
	}
	return list
}

// Resolved returns how many names are remembered.
func (t *Table) Resolved() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.resolved)
}

// Decode decodes the embedded table once more.
// Decode makes the embedded table anew.
func Decode() (*Table, error) {
	b, err := decode(prices)
	return &Table{version: dateOf(prices), base: func() *base { return b }}, err
}

// Text is the embedded table.
var Text = prices
