package genai

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// tokens reads what the call used. Counts that do not include each other as the columns
// do are made to, where the emitter is known for it; the writer sees to those that
// only their sizes give away.
func (r *reader) tokens(c *db.InsertLLMTraceParams, s *otlp.Span) {
	c.PromptTokens, c.CompletionTokens = r.count(inputTokens), r.count(outputTokens)
	c.CacheReadTokens, c.CacheWriteTokens, c.ReasoningTokens = r.count(cacheRead), r.count(cacheWrite), r.count(reasoning)
	if total := r.count(totalTokens); value(total) > 0 {
		c.TotalTokens = total
	}
	r.uncached, r.hourly = r.count(uncachedInput), r.count(cacheWrite1h)
	r.details(c)
	switch {
	case isExclusive(s, c.Provider):
		r.uncached, c.PromptTokens, c.TotalTokens = c.PromptTokens, nil, nil
	case r.uncached == nil && r.fromAISDK():
		r.aiUsage(c)
	}
	if c.PromptTokens == nil && r.uncached != nil {
		c.PromptTokens = r.slab.int(*r.uncached + value(c.CacheReadTokens) + value(c.CacheWriteTokens))
	}
}

// isExclusive tells whether s comes from a scope of exclusive.
func isExclusive(s *otlp.Span, provider string) bool {
	for i := range exclusive {
		e := &exclusive[i]
		if s.ScopeName == e.scope && (e.provider == "" || provider == e.provider) && (e.upTo == "" || !newer(s.ScopeVersion, e.upTo)) {
			return true
		}
	}
	return false
}

// firstToken returns how long after its start a call had its first token.
func (r *reader) firstToken(s *otlp.Span) *int64 {
	if ms := r.millis(ttftMS, 1); ms != nil {
		return ms
	}
	if ms := r.millis(ttftSeconds, 0.001); ms != nil {
		return ms
	}
	text, _ := r.text(firstTokenAt)
	at, err := time.Parse(time.RFC3339, strings.Trim(text, `"`))
	if ms := at.UnixMilli() - millis(s.StartNano); err == nil && ms >= 0 && ms <= writer.MaxCount {
		return r.slab.int(ms)
	}
	return nil
}

// newer tells whether a version is above another, by their first two numbers.
func newer(version, than string) bool {
	number := func(v string) int64 {
		major, rest, _ := strings.Cut(v, ".")
		minor, _, _ := strings.Cut(rest, ".")
		a, _ := strconv.ParseInt(major, 10, 32) // 0 if it is none
		b, _ := strconv.ParseInt(minor, 10, 32)
		return a<<32 + b
	}
	return number(version) > number(than)
}

// fromAISDK tells whether the tokens come from the Vercel AI SDK up to version 6.
func (r *reader) fromAISDK() bool { return strings.HasPrefix(r.key(operation), "ai.") }

// aiUsage reads what the AI SDK up to version 5 says of Anthropic's models, directly or
// on Bedrock: input without cached tokens, and those in what the provider reported.
// From version 6 on it counts them in, and says which it does not.
func (r *reader) aiUsage(c *db.InsertLLMTraceParams) {
	by, _ := r.text(provider)
	if !strings.Contains(by, "anthropic") && !strings.Contains(by, "bedrock") {
		return
	}
	r.uncached, c.PromptTokens, c.TotalTokens = c.PromptTokens, nil, nil
	v := r.got(providerMetadata)
	if v == nil || !valid(jsontext.Value(v.Str)) {
		return
	}
	set := func(dst **int64, v jsontext.Value) {
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && n >= 0 && n <= writer.MaxCount {
			*dst = r.slab.int(n)
		}
	}
	var usage func(name string, v jsontext.Value)
	usage = func(name string, v jsontext.Value) {
		switch name {
		case "usage", "cache_creation":
			eachMember(v, usage)
		case "input_tokens": // as Anthropic's API has it, where it is the uncached ones
			set(&r.uncached, v)
		case "cacheReadInputTokens", "cache_read_input_tokens":
			set(&c.CacheReadTokens, v)
		case "cacheCreationInputTokens", "cacheWriteInputTokens", "cache_creation_input_tokens":
			set(&c.CacheWriteTokens, v)
		case "ephemeral_1h_input_tokens":
			set(&r.hourly, v)
		}
	}
	eachMember(jsontext.Value(v.Str), func(_ string, v jsontext.Value) { eachMember(v, usage) })
}

// details reads counts that are sent as JSON: Langfuse's, which do not include each
// other, and LangSmith's, which say only what a part of the others is.
func (r *reader) details(c *db.InsertLLMTraceParams) {
	if r.got(usageDetails) == nil && r.got(inputDetails) == nil && r.got(outputDetails) == nil {
		return
	}
	for f, counts := range map[field]map[string]**int64{
		usageDetails: {
			"input": &r.uncached, "output": &c.CompletionTokens, "total": &c.TotalTokens,
			"cache_read_input_tokens": &c.CacheReadTokens, "input_cached_tokens": &c.CacheReadTokens,
			"cache_creation_input_tokens": &c.CacheWriteTokens, "output_reasoning_tokens": &c.ReasoningTokens,
		},
		inputDetails:  {"cache_read": &c.CacheReadTokens, "cache_creation": &c.CacheWriteTokens},
		outputDetails: {"reasoning": &c.ReasoningTokens},
	} {
		v := r.got(f)
		if v == nil || !valid(jsontext.Value(v.Str)) {
			continue
		}
		eachMember(jsontext.Value(v.Str), func(name string, v jsontext.Value) {
			n, err := strconv.ParseInt(string(v), 10, 64)
			if dst := counts[name]; dst != nil && *dst == nil && err == nil && n >= 0 && n <= writer.MaxCount {
				*dst = r.slab.int(n)
			}
		})
	}
}

// cost reads what the emitter says that the call cost.
func (r *reader) cost(c *db.InsertLLMTraceParams, d *detail) {
	c.CostUSD = r.amount(cost, writer.MaxCostUSD)
	if in, out := r.amount(inputCost, writer.MaxCostUSD), r.amount(outputCost, writer.MaxCostUSD); c.CostUSD == nil && in != nil && out != nil {
		sum := *in + *out
		c.CostUSD = &sum
	}
	if v := r.got(costDetails); c.CostUSD == nil && v != nil && valid(jsontext.Value(v.Str)) {
		eachMember(jsontext.Value(v.Str), func(name string, v jsontext.Value) {
			if usd, err := strconv.ParseFloat(string(v), 64); name == "total" && err == nil && usd >= 0 && usd <= writer.MaxCostUSD {
				c.CostUSD = &usd
			}
		})
	}
	if c.CostUSD == nil && d.cost != nil && (*d.cost > 0 || value(c.PromptTokens)+value(c.CompletionTokens) == 0) {
		// OpenClaw says 0 as well when it has no price.
		c.CostUSD = d.cost
	}
}
