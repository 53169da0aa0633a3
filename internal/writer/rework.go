package writer

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
	"github.com/kon-rad/openclaw-trace/internal/redact"
)

// stepIDs is how many ids a step of Reprice or MaskStored covers, so that events that
// arrive meanwhile wait no longer than for one another.
const stepIDs = 100

// Progress is told after each step. It counts the rows looked at, and about how many
// there are in all.
type Progress func(rows, of int64)

// Repricing says what Reprice changed for one model.
type Repricing struct {
	Provider  string  `json:"provider"`
	Model     string  `json:"model"`
	Calls     int64   `json:"calls"`      // whose cost changed, or became known or unknown
	Known     int64   `json:"known"`      // of those, how many have a cost now
	BeforeUSD float64 `json:"before_usd"` // the sum of their costs as far as they were known
	AfterUSD  float64 `json:"after_usd"`
}

// maxRepricings is how many models are told apart; the rest is summed as "other".
const maxRepricings = 1000

// Reprice takes table for the calls to come, and computes anew the costs of those that
// are stored, unless they were reported. Sums of hours, days and sessions change with them. It
// may be ended by ctx and started again: it goes through all calls each time, and
// changes those whose cost is another one.
func (w *Writer) Reprice(ctx context.Context, table *pricing.Table, progress Progress) ([]*Repricing, error) {
	prices := newPrices(table)
	w.prices.Store(prices)
	changes := make(map[[2]string]*Repricing)
	first, last, err := w.ids(ctx)
	if err != nil {
		return nil, err
	}
	walk := walk{w: w, progress: progress, of: rowsOf(first.LLMTrace, last.LLMTrace)}
	err = walk.table(ctx, first.LLMTrace, last.LLMTrace, func(tx *Tx, after, upto int64) (int64, error) {
		ctx := context.Background() // a step is not ended half-way
		// What is not in the sums yet would be corrected there before it is added.
		if err := tx.summarize(); err != nil {
			return after, err
		}
		calls, err := tx.ListCallsToPrice(ctx, db.ListCallsToPriceParams{After: after, Upto: upto})
		if err != nil {
			return after, err
		}
		for i := range calls {
			if err := reprice(ctx, tx, &calls[i], prices, changes); err != nil {
				return after, err
			}
		}
		return upto, nil
	})
	return slices.SortedFunc(maps.Values(changes), func(a, b *Repricing) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Model, b.Model))
	}), err
}

// walk goes through tables in steps of a few ids.
type walk struct {
	w        *Writer
	progress Progress
	rows, of int64
	secure   bool // overwrite on the disk what changes
}

// ids returns the first and the last id of each table.
func (w *Writer) ids(ctx context.Context) (first db.FirstIDsRow, last db.LastIDsRow, err error) {
	err = w.Do(ctx, func(tx *Tx) error {
		last = w.last
		first, err = tx.FirstIDs(context.Background())
		return err
	})
	return first, last, err
}

// rowsOf returns how many rows there are at most, from the first to the last id.
func rowsOf(first, last int64) int64 {
	if first == 0 { // none
		return 0
	}
	return last - first + 1
}

// table has step look at the ids of a table, some at a time; step returns how far it got.
func (k *walk) table(ctx context.Context, first, last int64, step func(tx *Tx, after, upto int64) (int64, error)) error {
	if first == 0 {
		return nil
	}
	for after := first - 1; after < last; {
		upto := min(after+stepIDs, last)
		reached := after
		j := &job{secure: k.secure, do: func(tx *Tx) (err error) {
			reached, err = step(tx, after, upto)
			return err
		}}
		if err := k.w.do(ctx, j); err != nil {
			return err
		}
		k.rows += reached - after
		after = reached
		if k.progress != nil {
			k.progress(k.rows, k.of)
		}
	}
	return nil
}

func reprice(ctx context.Context, tx *Tx, c *db.ListCallsToPriceRow, p *prices, changes map[[2]string]*Repricing) error {
	usd, source := p.of(&db.InsertLLMTraceParams{
		Provider: c.Provider, Model: c.Model, CreatedAt: c.CreatedAt, Operation: c.Operation, Metadata: c.Metadata,
		PromptTokens: c.PromptTokens, CompletionTokens: c.CompletionTokens,
		CacheReadTokens: c.CacheReadTokens, CacheWriteTokens: c.CacheWriteTokens, ReasoningTokens: c.ReasoningTokens,
	})
	if equal(usd, c.CostUSD) && equal(source, c.CostSource) {
		return nil
	}
	if err := tx.SetCost(ctx, db.SetCostParams{ID: c.ID, CostUSD: usd, CostSource: source}); err != nil {
		return err
	}
	if equal(usd, c.CostUSD) {
		return nil // found in another table, at the same price
	}
	change := db.AdjustUsageParams{NanoUSD: nano(usd) - nano(c.CostUSD)}
	switch {
	case usd == nil:
		change.Unpriced = 1
	case c.CostUSD == nil:
		change.Unpriced = -1
	}
	if id := deref(c.SessionID); id != "" && !tx.w.summary.backlog.has(c.ID) {
		if err := tx.AdjustSession(ctx, db.AdjustSessionParams{SessionID: id, NanoUSD: change.NanoUSD, Unpriced: change.Unpriced}); err != nil {
			return err
		}
	}
	name := usageName{c.Provider, c.Model, deref(c.Agent)}
	for _, g := range [...]int64{hour, day} {
		change.Granularity, change.StartAt, change.Status = granularity(g), c.CreatedAt-c.CreatedAt%g, c.Status
		for _, n := range [...]usageName{name, otherName} { // one of the two holds the call
			change.Provider, change.Model, change.Agent = n.provider, n.model, n.agent
			if changed, err := tx.AdjustUsage(ctx, change); err != nil {
				return err
			} else if changed > 0 {
				break
			}
		}
	}
	key := [2]string{c.Provider, c.Model}
	if changes[key] == nil && len(changes) >= maxRepricings {
		key = [2]string{otherName.provider, otherName.model}
	}
	r := changes[key]
	if r == nil {
		r = &Repricing{Provider: key[0], Model: key[1]}
		changes[key] = r
	}
	r.Calls++
	if usd != nil {
		r.Known++
	}
	r.BeforeUSD += deref(c.CostUSD)
	r.AfterUSD += deref(usd)
	return nil
}

func nano(usd *float64) int64 { return int64(math.Round(deref(usd) * 1e9)) }

// MaskStored masks the rows that were stored before the rules were what they are, and
// returns how many secrets of each rule there were. Then the file is made anew, so that
// nothing is left of them on the disk; if that fails the error says so, and the next
// call does it. Ids, and the names of providers, models and agents, which sums are kept
// under, are not looked at. It may be ended by ctx and started again.
func (w *Writer) MaskStored(ctx context.Context, progress Progress) (map[string]int64, error) {
	if w.opts.Mask == nil {
		return nil, errors.New("nothing is masked here: OCT_REDACT is off")
	}
	first, last, err := w.ids(ctx)
	if err != nil {
		return nil, err
	}
	m := masker{mask: w.opts.Mask, total: make(map[string]int64)}
	tables := []struct {
		first, last int64
		row         func(tx *Tx, id int64) (bytes int, err error)
	}{
		{first.LLMTrace, last.LLMTrace, m.call},
		{first.ErrorEvent, last.ErrorEvent, m.errorEvent},
		{first.Span, last.Span, m.span},
		{first.CustomEvent, last.CustomEvent, m.event},
	}
	k := walk{w: w, progress: progress, secure: true}
	for _, t := range tables {
		k.of += rowsOf(t.first, t.last)
	}
	for _, t := range tables {
		err := k.table(ctx, t.first, t.last, func(tx *Tx, after, upto int64) (int64, error) {
			// Row by row, since one may have megabytes.
			for bytes := 0; after < upto && bytes < maxStepBytes; {
				n, err := t.row(tx, after+1)
				if err != nil {
					return after, err
				}
				bytes += n
				after++
			}
			return after, nil
		})
		if err != nil {
			return m.total, err
		}
	}
	if err := w.Scrub(ctx); err != nil {
		return m.total, fmt.Errorf("what was found is masked, but the file still has remains of it; run this again: %w", err)
	}
	return m.total, nil
}

// maxStepBytes is how much text a step looks at, but for the last row.
const maxStepBytes = 1 << 20

// metaReplaced is the key in meta that says that the file may have remains of what was
// masked or erased.
const metaReplaced = "replaced"

// Scrub makes the file anew if it may have remains of what was masked or erased. Nothing
// is stored meanwhile: it takes seconds for hundreds of megabytes.
func (w *Writer) Scrub(ctx context.Context) error {
	due := false
	err := w.Do(ctx, func(tx *Tx) error {
		text, err := tx.GetMeta(context.Background(), metaReplaced)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		due = text != ""
		return err
	})
	if err != nil || !due {
		return err
	}
	if err := w.do(ctx, &job{rewrite: true}); err != nil {
		return err
	}
	return w.Do(ctx, func(tx *Tx) error {
		return tx.SetMeta(context.Background(), db.SetMetaParams{Key: metaReplaced})
	})
}

// masker masks stored rows.
type masker struct {
	mask  *redact.Masker
	total map[string]int64 // of each rule
}

// texts masks each text that is there, and returns how many bytes there were and whether
// there was a secret.
func (m masker) texts(tx *Tx, kind string, texts ...*string) (bytes int, found bool, err error) {
	for _, s := range texts {
		if s == nil {
			continue
		}
		bytes += len(*s)
		hits := 0
		masked := mask(m.mask, *s, func(h redact.Match) {
			hits++
			m.total[h.Rule]++
			tx.Count(Entry{kind, Masked, h.Rule}, 1)
		})
		if hits > 0 {
			found = true
			*s = masked
		}
	}
	if found {
		err = tx.SetMeta(context.Background(), db.SetMetaParams{Key: metaReplaced, Value: "1"})
	}
	return bytes, found, err
}

func (m masker) call(tx *Tx, id int64) (bytes int, err error) {
	ctx := context.Background()
	r, err := tx.GetCallTexts(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	session := deref(r.SessionID)
	bytes, found, err := m.texts(tx, KindCall, r.InputText, r.OutputText, r.ErrorType, r.ErrorMessage, r.SessionID, r.Operation, r.Metadata)
	if err != nil || !found {
		return bytes, err
	}
	if now := deref(r.SessionID); now != session {
		if err := renameSession(ctx, tx, session, now); err != nil {
			return bytes, err
		}
	}
	return bytes, tx.SetCallTexts(ctx, db.SetCallTextsParams{
		ID: r.ID, InputText: r.InputText, OutputText: r.OutputText, ErrorType: r.ErrorType, ErrorMessage: r.ErrorMessage,
		SessionID: r.SessionID, Operation: r.Operation, Metadata: r.Metadata,
	})
}

// renameSession moves a session's sums to another id, under which there may be some. All
// its calls get the new id one by one, and the first of them finds the sums.
func renameSession(ctx context.Context, tx *Tx, from, to string) error {
	// What is not in the sums yet would come under the old id.
	if err := tx.summarize(); err != nil {
		return err
	}
	if _, err := tx.CopySession(ctx, db.CopySessionParams{SessionID: to, Old: from}); err != nil {
		return err
	}
	return tx.DeleteSession(ctx, from)
}

func (m masker) errorEvent(tx *Tx, id int64) (bytes int, err error) {
	ctx := context.Background()
	r, err := tx.GetErrorTexts(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	bytes, found, err := m.texts(tx, KindError, &r.ErrorType, &r.Message, r.StackTrace, r.Metadata)
	if err != nil || !found {
		return bytes, err
	}
	return bytes, tx.SetErrorTexts(ctx, db.SetErrorTextsParams{
		ID: r.ID, ErrorType: r.ErrorType, Message: r.Message, StackTrace: r.StackTrace, Metadata: r.Metadata,
	})
}

func (m masker) span(tx *Tx, id int64) (bytes int, err error) {
	ctx := context.Background()
	r, err := tx.GetSpanTexts(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	bytes, found, err := m.texts(tx, KindSpan, &r.Name, r.Operation, r.SessionID, r.Agent, r.ErrorMessage, r.Metadata)
	if err != nil || !found {
		return bytes, err
	}
	return bytes, tx.SetSpanTexts(ctx, db.SetSpanTextsParams{
		ID: r.ID, Name: r.Name, Operation: r.Operation, SessionID: r.SessionID, Agent: r.Agent,
		ErrorMessage: r.ErrorMessage, Metadata: r.Metadata,
	})
}

func (m masker) event(tx *Tx, id int64) (bytes int, err error) {
	ctx := context.Background()
	r, err := tx.GetEventTexts(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	bytes, found, err := m.texts(tx, KindEvent, &r.Name, r.SessionID, r.Metadata)
	if err != nil || !found {
		return bytes, err
	}
	return bytes, tx.SetEventTexts(ctx, db.SetEventTextsParams{ID: r.ID, Name: r.Name, SessionID: r.SessionID, Metadata: r.Metadata})
}
