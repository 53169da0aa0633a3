package writer

import "github.com/kon-rad/openclaw-trace/db"

// CacheWrite1hKey is the metadata member for the part of cache_write_tokens that the
// provider keeps for an hour, at a price of its own.
const CacheWrite1hKey = "openclaw_trace.cache_write_1h_tokens"

// inConflictKey is the metadata member that says that the counts of a call did not fit
// each other.
const inConflictKey = "openclaw_trace.tokens_in_conflict"

// tokens makes the counts of a call parts of each other as the columns have it: prompt
// tokens include those read from and written to a cache, completion tokens include
// reasoning. Emitters that count them apart are known by a part that is larger than
// its whole, or by a total that only all of them together make. The metadata then has
// the number as it was reported.
func (p *preparer) tokens(c *db.InsertLLMTraceParams) {
	ForgetZeros(c)
	settled := member(c.Metadata, inConflictKey) == "true" // a row of ours that comes back
	if !settled {
		p.joinApart(c)
	}
	if c.PromptTokens == nil || c.CompletionTokens == nil && !isEmbedding(c) {
		return
	}
	switch sum := *c.PromptTokens + deref(c.CompletionTokens); {
	case sum < 0: // no count that makes sense, and too large for an integer
	case c.TotalTokens == nil:
		c.TotalTokens = &sum
	case *c.TotalTokens == sum || settled:
	case p.conflict:
		p.noteInt("openclaw_trace.total_tokens", *c.TotalTokens)
		c.TotalTokens = &sum
	default:
		p.conflict = true
	}
}

// joinApart adds the parts that are counted apart to their wholes.
func (p *preparer) joinApart(c *db.InsertLLMTraceParams) {
	cached := deref(c.CacheReadTokens) + deref(c.CacheWriteTokens)
	reasoning := deref(c.ReasoningTokens)
	total := deref(c.TotalTokens)
	cachedApart := c.PromptTokens != nil && *c.PromptTokens < cached
	reasoningApart := c.CompletionTokens != nil && *c.CompletionTokens < reasoning
	if c.PromptTokens != nil && c.CompletionTokens != nil {
		rest := total - *c.PromptTokens - *c.CompletionTokens
		switch {
		case rest <= 0:
		case rest == cached+reasoning:
			cachedApart, reasoningApart = cached > 0, reasoning > 0
		case rest == cached && !reasoningApart:
			cachedApart = true
		case rest == reasoning && !cachedApart:
			reasoningApart = true
		}
	}
	if cachedApart {
		p.apart("openclaw_trace.prompt_tokens", &c.PromptTokens, cached)
	}
	if reasoningApart {
		p.apart("openclaw_trace.completion_tokens", &c.CompletionTokens, reasoning)
	}
}

// apart adds to a count the part that it does not include.
func (p *preparer) apart(key string, n **int64, part int64) {
	p.noteInt(key, **n)
	whole := **n + part
	*n = &whole
	p.conflict = true
}

// isEmbedding tells whether c has no output tokens by its nature.
func isEmbedding(c *db.InsertLLMTraceParams) bool { return deref(c.Operation) == "embeddings" }

// ForgetZeros makes the counts and the cost of a call unknown that failed before its usage
// was known, for which emitters report zeros.
func ForgetZeros(c *db.InsertLLMTraceParams) {
	if c.Status != "error" && c.Status != "timeout" {
		return
	}
	if deref(c.PromptTokens)+deref(c.CompletionTokens)+deref(c.TotalTokens)+
		deref(c.CacheReadTokens)+deref(c.CacheWriteTokens)+deref(c.ReasoningTokens) != 0 {
		return
	}
	c.PromptTokens, c.CompletionTokens, c.TotalTokens = nil, nil, nil
	c.CacheReadTokens, c.CacheWriteTokens, c.ReasoningTokens = nil, nil, nil
	if deref(c.CostUSD) == 0 {
		c.CostUSD, c.CostSource = nil, nil
	}
}
