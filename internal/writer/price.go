package writer

import (
	"strconv"
	"strings"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
)

// Where a cost comes from: cost_source. Reported is the emitter's own; a computed one
// names the version of the price table, and how the price was found if it was not by
// the model's own name.
const (
	Reported = "reported"
	computed = "computed:"
	inferred = ":inferred"
)

// ResponseModelKey is the metadata member for the model that answered, where it is not
// the one that was asked for.
const ResponseModelKey = "gen_ai.response.model"

// prices is a table with its cost_source texts.
type prices struct {
	table              *pricing.Table
	computed, inferred string
}

func newPrices(t *pricing.Table) *prices {
	if t == nil {
		return nil
	}
	return &prices{t, computed + t.Version(), computed + t.Version() + inferred}
}

// of returns what a call cost and where that comes from; nil, nil if it is not known:
// no price, or no count of tokens.
func (p *prices) of(c *db.InsertLLMTraceParams) (usd *float64, source *string) {
	if p == nil || c.PromptTokens == nil || c.CompletionTokens == nil && !isEmbedding(c) {
		return nil, nil
	}
	u := pricing.Usage{
		Input: *c.PromptTokens, CacheRead: deref(c.CacheReadTokens), CacheWrite: deref(c.CacheWriteTokens),
		Output: deref(c.CompletionTokens), Reasoning: deref(c.ReasoningTokens),
	}
	if u.CacheWrite > 0 {
		hourly, _ := strconv.ParseInt(member(c.Metadata, CacheWrite1hKey), 10, 64) // 0 if there is none
		u.CacheWrite1h = min(max(hourly, 0), u.CacheWrite)
	}
	cost, ok := p.table.Cost(c.Provider, c.Model, c.CreatedAt, u)
	if !ok {
		// A deployment's name says nothing, but the answer may say what it runs.
		if model, err := strconv.Unquote(member(c.Metadata, ResponseModelKey)); err == nil {
			cost, ok = p.table.Cost(c.Provider, model, c.CreatedAt, u)
		}
	}
	if !ok {
		return nil, nil
	}
	dollars := float64(cost.NanoUSD) / 1e9
	if cost.Match == pricing.Inferred {
		return &dollars, &p.inferred
	}
	return &dollars, &p.computed
}

// member returns the raw value of a member of metadata, or "".
func member(metadata *string, key string) string {
	text := deref(metadata)
	if !strings.Contains(text, `"`+key+`"`) {
		return ""
	}
	d := decoder(text)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return ""
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return ""
		}
		found := name.String() == key
		v, err := d.ReadValue()
		if err != nil {
			return ""
		}
		if found {
			return string(v)
		}
	}
	return ""
}
