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
	case r.uncached == nil && r.fromAISDK() && !r.hasInputDetails():
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
	text, ok := r.text(firstTokenAt)
	if !ok {
		return nil
	}
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

// hasInputDetails tells whether they are those of version 6 on.
func (r *reader) hasInputDetails() bool {
	const prefix = "ai.usage.inputTokenDetails."
	return strings.HasPrefix(r.key(cacheRead), prefix) || strings.HasPrefix(r.key(cacheWrite), prefix)
}

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

// details reads counts that are sent as JSON.
func (r *reader) details(c *db.InsertLLMTraceParams) {
	if r.at[usageDetails] > 0 {
		r.langfuse(c)
	}
	if r.at[inputDetails] > 0 || r.at[outputDetails] > 0 { // LangSmith's, of what the others count in
		r.counts(inputDetails, func(name string, n int64) {
			switch {
			case name == "cache_read" && c.CacheReadTokens == nil:
				c.CacheReadTokens = r.slab.int(n)
			case name == "cache_creation" && c.CacheWriteTokens == nil:
				c.CacheWriteTokens = r.slab.int(n)
			}
		})
		r.counts(outputDetails, func(name string, n int64) {
			if name == "reasoning" && c.ReasoningTokens == nil {
				c.ReasoningTokens = r.slab.int(n)
			}
		})
	}
}

// langfuse reads the kinds of tokens that Langfuse's SDK sends. They do not include each
// other, but for the names that it passes on from OpenAI's API.
func (r *reader) langfuse(c *db.InsertLLMTraceParams) {
	var in, out, read, write, thought int64
	var total, prompt, completion *int64
	hasIn, hasOut := false, false
	r.counts(usageDetails, func(name string, n int64) {
		switch name {
		case "total", "total_tokens":
			total = r.slab.int(n)
		case "prompt_tokens":
			prompt = r.slab.int(n)
		case "completion_tokens":
			completion = r.slab.int(n)
		case "cache_read_input_tokens", "input_cache_read", "input_cached_tokens", "input_cache_read_tokens":
			in, read, hasIn = in+n, read+n, true
		case "cache_creation_input_tokens", "input_cache_creation", "input_cache_creation_tokens":
			in, write, hasIn = in+n, write+n, true
		case "output_reasoning_tokens", "output_reasoning":
			out, thought, hasOut = out+n, thought+n, true
		default:
			switch {
			case strings.HasPrefix(name, "input"):
				in, hasIn = in+n, true
			case strings.HasPrefix(name, "output"):
				out, hasOut = out+n, true
			}
		}
	})
	if hasIn && prompt == nil {
		prompt = r.slab.int(in)
	}
	if hasOut && completion == nil {
		completion = r.slab.int(out)
	}
	set := func(dst **int64, n *int64) {
		if *dst == nil {
			*dst = n
		}
	}
	set(&c.PromptTokens, prompt)
	set(&c.CompletionTokens, completion)
	set(&c.TotalTokens, total)
	for dst, n := range map[**int64]int64{&c.CacheReadTokens: read, &c.CacheWriteTokens: write, &c.ReasoningTokens: thought} {
		if n > 0 {
			set(dst, r.slab.int(n))
		}
	}
}

// counts calls f for each count of a field that is an object, as JSON or as Python
// prints it.
func (r *reader) counts(f field, each func(name string, n int64)) {
	text, _ := r.text(f)
	v := jsontext.Value(text)
	if !valid(v) {
		if v = jsontext.Value(strings.ReplaceAll(text, "'", `"`)); !valid(v) {
			return
		}
	}
	eachMember(v, func(name string, v jsontext.Value) {
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && n >= 0 && n <= writer.MaxCount {
			each(name, n)
		}
	})
}

// cost reads what the emitter says that the call cost.
func (r *reader) cost(c *db.InsertLLMTraceParams, d *detail) {
	c.CostUSD = r.amount(cost, writer.MaxCostUSD)
	if in, out := r.amount(inputCost, writer.MaxCostUSD), r.amount(outputCost, writer.MaxCostUSD); c.CostUSD == nil && in != nil && out != nil {
		sum := *in + *out
		c.CostUSD = &sum
	}
	if v := r.got(costDetails); c.CostUSD == nil && v != nil && valid(jsontext.Value(v.Str)) {
		var total *float64
		parts := 0.0
		eachMember(jsontext.Value(v.Str), func(name string, v jsontext.Value) {
			usd, err := strconv.ParseFloat(string(v), 64)
			switch {
			case err != nil || !(usd >= 0 && usd <= writer.MaxCostUSD):
			case name == "total":
				total = &usd
			default:
				parts += usd
			}
		})
		if total == nil && parts > 0 {
			total = &parts
		}
		c.CostUSD = total
	}
	if c.CostUSD == nil {
		c.CostUSD = d.cost
	}
	if value(c.CostUSD) == 0 && value(c.PromptTokens)+value(c.CompletionTokens) > 0 {
		c.CostUSD = nil // what emitters say that have no price
	}
}
