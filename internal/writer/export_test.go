package writer

import "time"

// SyncEvery is how old an unsynced commit may become.
const SyncEvery = syncEvery

// StepIDs is how many ids a step of Reprice or MaskStored covers.
const StepIDs = stepIDs

// MaxNames is how many names a day may have in usage.
const MaxNames = maxNames

// MaxTallied is how many models are counted apart.
const MaxTallied = maxTallied

// Prepare completes b as Submit does.
func Prepare(b *Batch, now time.Time, maxText int) {
	PrepareWith(b, now, Options{MaxTextBytes: maxText})
}

// PrepareWith is Prepare with all options.
func PrepareWith(b *Batch, now time.Time, opts Options) {
	b.prepare(now, &opts, newPrices(opts.Prices))
}

// Each returns what b has for the ledger.
func (c *Counts) Each() map[Entry]int64 {
	m := make(map[Entry]int64)
	for _, l := range c.list {
		m[Entry{l.Kind, l.Outcome, l.Reason}] = l.N
	}
	return m
}

// Member returns the raw value of a member of metadata.
func Member(metadata, key string) string { return member(&metadata, key) }

// Plain resolves what needs no escape.
func Plain(s string) string { return plain(s) }

// Size is what b takes of the queue.
func Size(b *Batch) int64 { return b.size() }
