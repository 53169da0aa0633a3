package writer

import (
	"maps"
	"slices"

	"github.com/kon-rad/openclaw-trace/db"
)

// Kinds of events in the ledger. The first five have a table each.
const (
	KindCall    = "llm_trace"
	KindError   = "error_event"
	KindSpan    = "span"
	KindEvent   = "custom_event"
	KindReading = "system_metric"

	KindLog      = "log"      // OTLP log records below WARN
	KindMetric   = "metric"   // OTLP data points
	KindRequest  = "request"  // bodies refused whole, whose events nobody counted
	KindDatabase = "database" // files, not events
)

// Kinds are those that are stored.
var Kinds = [...]string{KindCall, KindError, KindSpan, KindEvent, KindReading}

// Outcomes in the ledger. Received is the sum of what is pending and the next four;
// those after them stand outside that equation.
const (
	Received    = "received"    // newly stored
	Delivered   = "delivered"   // a remote took it
	Quarantined = "quarantined" // a remote will never take it
	Dropped     = "dropped"     // deleted undelivered although there is a remote
	Expired     = "expired"     // deleted by age or size without a remote

	Duplicate  = "duplicate"   // sent again; reason "conflict" if it said something else
	Refused    = "refused"     // never stored
	Ignored    = "ignored"     // understood, and not kept by design
	Repaired   = "repaired"    // stored with a value replaced
	Stripped   = "stripped"    // kept without its texts, which took too much room
	Masked     = "masked"      // secrets replaced, by the rule that found them
	MovedAside = "moved_aside" // a damaged database put out of the way
	Replaced   = "replaced"    // a database whose file went away under us
)

// Entry is a line of the ledger: what it counts.
type Entry struct{ Kind, Outcome, Reason string }

// Books are the ledger's totals at one commit. Its map is not to be changed.
type Books struct {
	Received, Delivered, Quarantined, Dropped, Expired int64

	Duplicates, Refused, Ignored, Repaired, Masked, MovedAside int64

	ReceivedByKind [len(Kinds)]int64 // in the order of Kinds

	DroppedByReason map[string]int64
}

// Pending is how many stored events still await delivery.
func (b Books) Pending() int64 {
	return b.Received - b.Delivered - b.Quarantined - b.Dropped - b.Expired
}

// add counts n more of e. It copies the map it changes, for others read the old one.
func (b *Books) add(e Entry, n int64) {
	switch e.Outcome {
	case Received:
		b.Received += n
		if i := slices.Index(Kinds[:], e.Kind); i >= 0 {
			b.ReceivedByKind[i] += n
		}
	case Delivered:
		b.Delivered += n
	case Quarantined:
		b.Quarantined += n
	case Expired:
		b.Expired += n
	case Dropped:
		b.Dropped += n
		b.DroppedByReason = maps.Clone(b.DroppedByReason)
		if b.DroppedByReason == nil {
			b.DroppedByReason = make(map[string]int64)
		}
		b.DroppedByReason[e.Reason] += n
	case Duplicate:
		b.Duplicates += n
	case Refused:
		b.Refused += n
	case Ignored:
		b.Ignored += n
	case Repaired:
		b.Repaired += n
	case Masked:
		b.Masked += n
	case MovedAside:
		b.MovedAside += n
	}
}

func (b *Books) addAll(c *Counts) {
	for _, l := range c.list {
		b.add(Entry{l.Kind, l.Outcome, l.Reason}, l.N)
	}
}

// Counts are additions to the ledger, in no order. The zero value is ready to use.
type Counts struct{ list []db.AddLedgerParams }

// CountOf returns Counts of n times e.
func CountOf(e Entry, n int64) *Counts {
	c := new(Counts)
	c.Add(e, n)
	return c
}

// Add counts n more of e.
func (c *Counts) Add(e Entry, n int64) {
	if n == 0 {
		return
	}
	for i := range c.list {
		if l := &c.list[i]; l.Kind == e.Kind && l.Outcome == e.Outcome && l.Reason == e.Reason {
			l.N += n
			return
		}
	}
	c.list = append(c.list, db.AddLedgerParams{Kind: e.Kind, Outcome: e.Outcome, Reason: e.Reason, N: n})
}

// AddAll adds what o counted.
func (c *Counts) AddAll(o *Counts) {
	for _, l := range o.list {
		c.Add(Entry{l.Kind, l.Outcome, l.Reason}, l.N)
	}
}

func (c *Counts) reset() { c.list = c.list[:0] }
