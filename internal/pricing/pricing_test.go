package pricing_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/pricing"
)

func at(t testing.TB, text string) int64 {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when.UnixMilli()
}

func with(t testing.TB, file string) *pricing.Table {
	t.Helper()
	table, err := pricing.Embedded().With("prices.json", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// The expectations are what calcPrice of @pydantic/genai-prices 0.1.8 returned in Node
// for the same usage, provider and time, in nano-USD and rounded to an integer.
func TestCostIsThatOfTheSource(t *testing.T) {
	t.Parallel()
	const noon = "2026-09-23T12:00:00Z"
	for _, c := range []struct {
		name, provider, model, at string
		usage                     pricing.Usage
		want                      int64
	}{
		{"cache of an hour", "anthropic", "claude-sonnet-4-5-20250929", noon, pricing.Usage{10000, 6000, 2000, 500, 1200, 0}, 34425000},
		{"at the tier's limit", "anthropic", "claude-sonnet-4-5", noon, pricing.Usage{200000, 150000, 20000, 0, 1000, 0}, 225000000},
		{"one token above it", "anthropic", "claude-sonnet-4-5", noon, pricing.Usage{200001, 150000, 20000, 10000, 1000, 0}, 487506000},
		{"last day of a tier", "anthropic", "claude-opus-4-6", "2026-03-12T23:59:59Z", pricing.Usage{Input: 250000, Output: 1000}, 2537500000},
		{"first day without it", "anthropic", "claude-opus-4-6", "2026-03-13T00:00:00Z", pricing.Usage{Input: 250000, Output: 1000}, 1275000000},
		{"cache read", "openai", "gpt-4o", noon, pricing.Usage{Input: 1234, CacheRead: 1024, Output: 567}, 7475000},
		{"before a cut in price", "openai", "o3", "2025-06-09T12:00:00Z", pricing.Usage{Input: 1000, Output: 1000, Reasoning: 900}, 50000000},
		{"after it", "openai", "o3-2025-04-16", "2025-06-10T12:00:00Z", pricing.Usage{Input: 1000, Output: 1000, Reasoning: 900}, 10000000},
		{"all input from the cache", "openai", "gpt-5.4", noon, pricing.Usage{Input: 272000, CacheRead: 272000, Output: 1}, 136022500},
		{"reasoning in the output", "gcp.gemini", "gemini-2.5-pro", noon, pricing.Usage{Input: 200001, CacheRead: 100000, Output: 999, Reasoning: 500}, 289987500},
		{"a few tokens", "gcp.gemini", "gemini-2.5-flash", noon, pricing.Usage{Input: 7, CacheRead: 3, Output: 11}, 28790},
		{"a region of Bedrock", "aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", noon, pricing.Usage{Input: 10000, CacheRead: 6000, CacheWrite: 2000, Output: 1200}, 36630000},
		{"Bedrock everywhere", "aws.bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", noon, pricing.Usage{Input: 10000, CacheRead: 6000, CacheWrite: 2000, Output: 1200}, 33300000},
		{"Azure at OpenAI's price", "azure.ai.openai", "gpt-4o-2024-08-06", noon, pricing.Usage{Input: 1234, CacheRead: 1024, Output: 567}, 7475000},
		{"night", "deepseek", "deepseek-chat", "2026-01-01T00:29:59Z", pricing.Usage{Input: 1000000, CacheRead: 500000, Output: 1000}, 85550000},
		{"day", "deepseek", "deepseek-chat", "2026-01-01T00:30:00Z", pricing.Usage{Input: 1000000, CacheRead: 500000, Output: 1000}, 171100000},
		{"peak hours", "deepseek", "deepseek-v4-pro", "2026-09-23T02:30:00Z", pricing.Usage{Input: 1000, CacheRead: 200, Output: 300}, 2252800},
		{"after them", "deepseek", "deepseek-v4-pro", "2026-09-23T04:00:00Z", pricing.Usage{Input: 1000, CacheRead: 200, Output: 300}, 1126400},
		{"day of a rise", "mistral_ai", "mistral-medium-latest", "2026-06-16T00:00:00Z", pricing.Usage{Input: 1000, Output: 1000}, 9000000},
		{"a tier that includes its limit", "x_ai", "grok-4.3", noon, pricing.Usage{Input: 200000, Output: 1}, 500005000},
		{"reasoning at its own price", "perplexity", "sonar-deep-research", noon, pricing.Usage{Input: 1000, Output: 2000, Reasoning: 1500}, 10500000},
		{"a price per request", "perplexity", "sonar-pro", noon, pricing.Usage{Input: 1000, Output: 2000}, 47000000},
		{"no price for an hour", "openrouter", "anthropic/claude-sonnet-4.5", noon, pricing.Usage{10000, 6000, 2000, 500, 1200, 0}, 33300000},
		{"no price for caches", "groq", "llama-3.3-70b-versatile", noon, pricing.Usage{Input: 333, CacheRead: 33, CacheWrite: 3, Output: 777}, 810300},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := pricing.Embedded().Cost(c.provider, c.model, at(t, c.at), c.usage)
			if !ok || got.NanoUSD != c.want {
				t.Errorf("got %+v, %v, want %d", got, ok, c.want)
			}
		})
	}
}

// The one place where the source is not followed: it has DeepSeek's prices of peak hours
// also before the day that they began on.
func TestPeakHoursBeginWithTheirDay(t *testing.T) {
	t.Parallel()
	got, ok := pricing.Embedded().Cost("deepseek", "deepseek-v4-pro", at(t, "2026-08-16T02:30:00Z"), pricing.Usage{Input: 1000, CacheRead: 200, Output: 300})
	if want := int64(800*435 + 200*3.625 + 300*870); !ok || got.NanoUSD != want {
		t.Errorf("got %+v, %v, want %d", got, ok, want)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	const none = pricing.Match(99)
	when := at(t, "2026-09-23T12:00:00Z")
	for _, c := range []struct {
		provider, model string
		match           pricing.Match
		want            string
	}{
		// The provider's own names.
		{"anthropic", "claude-sonnet-4-5", pricing.Exact, "anthropic/claude-sonnet-4-5"},
		{" Anthropic ", "Claude-Sonnet-4-5", pricing.Exact, "anthropic/claude-sonnet-4-5"},
		{"anthropic", "claude-sonnet-4-5-20250929", pricing.Rule, "anthropic/claude-sonnet-4-5"},
		{"anthropic", "anthropic/claude-sonnet-4-5", pricing.Exact, "anthropic/claude-sonnet-4-5"},
		{"anthropic", "claude-3-5-haiku-20241022", pricing.Rule, "anthropic/claude-3-5-haiku-latest"},
		{"anthropic", "claude-opus-5-20260801", pricing.Rule, "anthropic/claude-opus-5"},
		{"anthropic", "claude-opus-5-5-20260801", pricing.Rule, "anthropic/claude-opus-5-5"},
		{"openai", "gpt-4o-2024-08-06", pricing.Rule, "openai/gpt-4o"},
		{"openai", "openai/gpt-5", pricing.Exact, "openai/gpt-5"},
		{"openai", "gpt-5.6-sol-2026-07-01", pricing.Rule, "openai/gpt-5.6-sol"},
		{"openai", "gpt-5.6-sol-20260701", pricing.Rule, "openai/gpt-5.6-sol"},
		{"openai", "gpt-5.4-latest", pricing.Inferred, "openai/gpt-5.4"},
		{"openai", "gpt-5.4-2027-01-01", pricing.Inferred, "openai/gpt-5.4"},
		{"azure.ai.inference", "gpt-4o", pricing.Rule, "openai/gpt-4o"},
		{"gcp.gemini", "models/gemini-2.5-pro", pricing.Exact, "google/gemini-2.5-pro"},
		{"gcp.gemini", "gemini-2.5-pro-preview-tts", pricing.Rule, "google/gemini-2.5-pro-tts"},
		{"gcp.gemini", "gemini-2.5-pro-preview-06-05", pricing.Rule, "google/gemini-2.5-pro"},
		{"google", "gemini-2.5-flash", pricing.Exact, "google/gemini-2.5-flash"},
		{"gcp.vertex_ai", "claude-sonnet-4-5@20250929", pricing.Rule, "google/claude-sonnet-4-5"},
		{"gcp.vertex_ai", "publishers/anthropic/models/claude-sonnet-4-5", pricing.Rule, "google/claude-sonnet-4-5"},
		{"aws.bedrock", "anthropic.claude-3-haiku-20240307-v1:0", pricing.Rule, "aws/regional.anthropic.claude-3-haiku-20240307-v1:0"},
		{"amazon-bedrock", "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-5-20251101-v1:0", pricing.Rule, "aws/regional.anthropic.claude-opus-4-5-v1:0"},
		{"mistral_ai", "mistral-large-latest", pricing.Rule, "mistral/mistral-large"},
		{"moonshot_ai", "kimi-k2.5", pricing.Exact, "moonshotai/kimi-k2.5"},
		{"x_ai", "grok-4.3-20260401", pricing.Rule, "x-ai/grok-4.3"},
		{"fireworks", "accounts/fireworks/models/kimi-k2p5", pricing.Rule, "fireworks/kimi-k2p5"},
		{"fireworks_ai", "kimi-k2p5", pricing.Exact, "fireworks/kimi-k2p5"},
		{"zai", "glm-5.2", pricing.Exact, "zai/glm-5.2"},
		{"huggingface", "deepseek-ai/DeepSeek-R1:together", pricing.Exact, "huggingface_together/deepseek-ai/deepseek-r1"},
		{"openrouter", "anthropic/claude-sonnet-4.5", pricing.Exact, "openrouter/anthropic/claude-sonnet-4.5"},
		{"openrouter", "openrouter/anthropic/claude-sonnet-4.5", pricing.Exact, "openrouter/anthropic/claude-sonnet-4.5"},
		{"openrouter", "anthropic/claude-sonnet-4.5:nitro", pricing.Inferred, "openrouter/anthropic/claude-sonnet-4.5"},
		{"openrouter", "meta-llama/llama-9:free", pricing.Rule, "openrouter/meta-llama/llama-9:free"},

		// By the model's name alone.
		{"my-proxy", "claude-sonnet-4-5", pricing.Inferred, "anthropic/claude-sonnet-4-5"},
		{"my-proxy", "anthropic/claude-sonnet-4.5", pricing.Inferred, "anthropic/claude-sonnet-4-5"},
		{"my-proxy", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", pricing.Inferred, "anthropic/claude-sonnet-4-5"},
		{"my-proxy", "claude-sonnet-4-5[1m]", pricing.Inferred, "anthropic/claude-sonnet-4-5"},
		{"my-proxy", "copilot-claude-opus-4.6", pricing.Inferred, "anthropic/claude-opus-4-6"},
		{"openai", "anthropic/claude-sonnet-4.5", pricing.Inferred, "anthropic/claude-sonnet-4-5"},
		{"unknown", "gpt-5", pricing.Inferred, "openai/gpt-5"},
		{"", "gpt-4o-mini", pricing.Inferred, "openai/gpt-4o-mini"},
		{"vercel", "google/gemini-2.5-pro", pricing.Inferred, "google/gemini-2.5-pro"},
		{"litellm", "deepseek/deepseek-chat", pricing.Inferred, "deepseek/deepseek-chat"},
		{"vercel", "moonshotai/kimi-k2.5", pricing.Inferred, "moonshotai/kimi-k2.5"},

		// Of these no price is known.
		{"anthropic", "", none, ""},
		{"anthropic", "claude-next", none, ""},
		{"openai", strings.Repeat("gpt-5", 100), none, ""},
		{"my-proxy", "llama-3.3-70b", none, ""},
		{"my-proxy", "deepseek-r1:70b", none, ""},
		{"my-proxy", "openai/gpt-oss-120b", none, ""},
		{"litellm", "deepseek-r1:70b", none, ""},
		{"my-proxy", "anthropic/claude-sonnet-4.5:free", none, ""},
		{"ollama", "llama3.3", none, ""},
		{"ollama", "claude-sonnet-4-5", none, ""},
		{"ollama-2", "gpt-oss:20b", none, ""},
		{"LMStudio", "openai/gpt-oss-20b", none, ""},
		{"llama.cpp", "gpt-4o", none, ""},
		{"vllm", "deepseek-ai/deepseek-chat", none, ""},
		{"github-copilot", "gpt-4o", none, ""}, // included in the subscription, says the source
		{"github-copilot", "gpt-4o-latest", none, ""},
		{"openai", "whisper-1", none, ""},
		{"ibm.watsonx.ai", "granite-4", none, ""},
	} {
		t.Run(c.provider+" "+fmt.Sprintf("%.60s", c.model), func(t *testing.T) {
			t.Parallel()
			got, ok := pricing.Embedded().Cost(c.provider, c.model, when, pricing.Usage{Input: 1000, Output: 100})
			switch {
			case c.match == none || c.want == "":
				if ok {
					t.Errorf("got %+v, want no price", got)
				}
			case !ok || got.Match != c.match || got.Model != c.want:
				t.Errorf("got %+v, %v, want %v %s", got, ok, c.match, c.want)
			case strings.HasSuffix(c.model, ":free") != (got.NanoUSD == 0):
				t.Errorf("it costs %d", got.NanoUSD)
			}
		})
	}
}

func TestEmbeddingsHaveNoPriceForOutput(t *testing.T) {
	t.Parallel()
	cost := func(u pricing.Usage) (pricing.Cost, bool) {
		return pricing.Embedded().Cost("openai", "text-embedding-3-small", 0, u)
	}
	if got, ok := cost(pricing.Usage{Input: 1000}); !ok || got.NanoUSD != 20000 {
		t.Errorf("got %+v, %v", got, ok)
	}
	if got, ok := cost(pricing.Usage{Input: 1000, Output: 1}); ok {
		t.Errorf("got %+v for output, which has no price", got)
	}
}

func TestUsageIsClamped(t *testing.T) {
	t.Parallel()
	table := with(t, `{"prices":[{"provider":"p","model":"m","input":1,"cache_read":10,"cache_write":100,"cache_write_1h":1000,"output":10000,"reasoning":100000}]}`)
	for _, c := range []struct {
		name string
		give pricing.Usage
		want int64 // in 1000 nano-USD
	}{
		{"nothing", pricing.Usage{}, 0},
		{"all parts", pricing.Usage{10, 2, 3, 1, 5, 2}, 5*1 + 2*10 + 2*100 + 1*1000 + 3*10000 + 2*100000},
		{"negative", pricing.Usage{-1, -2, -3, -4, -5, -6}, 0},
		{"parts without the whole", pricing.Usage{0, 2, 3, 1, 0, 2}, 0},
		{"more read than input", pricing.Usage{5, 9, 9, 9, 0, 0}, 50},
		{"more read and written than input", pricing.Usage{5, 3, 9, 9, 0, 0}, 3*10 + 2*1000},
		{"more reasoning than output", pricing.Usage{0, 0, 0, 0, 3, 5}, 3 * 100000},
		{"the least number", pricing.Usage{math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := table.Cost("p", "m", 0, c.give)
			if !ok || got.NanoUSD != c.want*1000 {
				t.Errorf("got %+v, %v, want %d", got, ok, c.want*1000)
			}
		})
	}
}

func TestRoundedHalfUpOnce(t *testing.T) {
	t.Parallel()
	table := with(t, `{"prices":[{"provider":"p","model":"m","input":0.0005,"output":0.0004}]}`)
	for _, c := range []struct{ in, out, want int64 }{{1, 0, 1}, {0, 1, 0}, {1, 1, 1}, {2, 1, 1}, {3, 0, 2}, {0, 4, 2}} {
		if got, _ := table.Cost("p", "m", 0, pricing.Usage{Input: c.in, Output: c.out}); got.NanoUSD != c.want {
			t.Errorf("%d in, %d out: got %d, want %d", c.in, c.out, got.NanoUSD, c.want)
		}
	}
}

func TestTooLargeIsNoCost(t *testing.T) {
	t.Parallel()
	table := with(t, `{"prices":[{"provider":"p","model":"m","input":1000000,"output":1000000}]}`)
	for _, c := range []struct {
		tokens int64
		ok     bool
	}{{9_223_372_036, true}, {9_223_372_037, false}, {1e12, false}, {math.MaxInt64, false}} {
		got, ok := table.Cost("p", "m", 0, pricing.Usage{Input: c.tokens})
		if ok != c.ok || ok && got.NanoUSD != c.tokens*1e9 {
			t.Errorf("%d tokens: got %+v, %v", c.tokens, got, ok)
		}
	}
	if _, ok := table.Cost("p", "m", 0, pricing.Usage{Input: math.MaxInt64, Output: math.MaxInt64}); ok {
		t.Error("the sum of two is a cost")
	}
}

// Of any model: a cost is not negative, and more tokens do not cost less.
func TestMoreTokensDoNotCostLess(t *testing.T) {
	t.Parallel()
	table := pricing.Embedded()
	entries := table.Entries()
	slices.SortFunc(entries, func(a, b pricing.Entry) int { return strings.Compare(a.Provider+a.ID, b.Provider+b.ID) })
	rnd := rand.New(rand.NewPCG(1, 2))
	priced := 0
	for range 20_000 {
		e, when, u := entries[rnd.IntN(len(entries))], rnd.Int64N(2e12), randomUsage(rnd)
		whole, ok := table.Cost(e.Provider, e.ID, when, u)
		if !ok {
			continue
		}
		priced++
		if whole.NanoUSD < 0 {
			t.Fatalf("%s/%s: %+v costs %d", e.Provider, e.ID, u, whole.NanoUSD)
		}
		for k, grow := range growths {
			more := u
			grow(&more, tokens(rnd))
			if c, ok := table.Cost(e.Provider, e.ID, when, more); ok && c.NanoUSD < whole.NanoUSD {
				t.Fatalf("%s/%s: %+v costs %d, with more of kind %d: %d", e.Provider, e.ID, u, whole.NanoUSD, k, c.NanoUSD)
			}
		}
	}
	if priced < 10_000 {
		t.Errorf("only %d had a price", priced)
	}
}

// Whatever the prices: a cost is the sum of its parts, counted without bounds.
func TestCostIsTheSumOfItsParts(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var prices [2][6]int64 // below and above the tier, in nano-USD per 1,000,000 tokens
		var text [2]string
		for i := range prices {
			for k, name := range []string{"input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning"} {
				prices[i][k] = rnd.Int64N(1 << rnd.IntN(40))
				text[i] += fmt.Sprintf(`,"%s":%d.%09d`, name, prices[i][k]/1e9, prices[i][k]%1e9)
			}
		}
		above := tokens(rnd)
		table := with(t, fmt.Sprintf(`{"prices":[{"provider":"p","model":"m"%s,"tiers":[{"above":%d%s}]}]}`, text[0], above, text[1]))
		for range 200 {
			u := randomUsage(rnd)
			p := prices[0]
			if u.Input > above {
				p = prices[1]
			}
			sum := big.NewInt(500_000)
			for k, n := range []int64{u.Input - u.CacheRead - u.CacheWrite, u.CacheRead, u.CacheWrite - u.CacheWrite1h, u.CacheWrite1h, u.Output - u.Reasoning, u.Reasoning} {
				sum.Add(sum, new(big.Int).Mul(big.NewInt(n), big.NewInt(p[k])))
			}
			sum.Div(sum, big.NewInt(1_000_000))
			got, ok := table.Cost("p", "m", 0, u)
			if ok != sum.IsInt64() || ok && got.NanoUSD != sum.Int64() {
				t.Fatalf("%+v at %v: got %+v, %v, want %v", u, p, got, ok, sum)
			}
		}
	}
}

// growths add tokens of one kind to a usage: to the part and to its whole.
var growths = []func(u *pricing.Usage, n int64){
	func(u *pricing.Usage, n int64) { u.Input += n },
	func(u *pricing.Usage, n int64) { u.Input += n; u.CacheRead += n },
	func(u *pricing.Usage, n int64) { u.Input += n; u.CacheWrite += n },
	func(u *pricing.Usage, n int64) { u.Input += n; u.CacheWrite += n; u.CacheWrite1h += n },
	func(u *pricing.Usage, n int64) { u.Output += n },
	func(u *pricing.Usage, n int64) { u.Output += n; u.Reasoning += n },
}

func tokens(rnd *rand.Rand) int64 { return min(rnd.Int64N(1<<rnd.IntN(41)), 1e12) }

func randomUsage(rnd *rand.Rand) (u pricing.Usage) {
	for _, grow := range growths {
		if rnd.IntN(3) > 0 {
			grow(&u, tokens(rnd))
		}
	}
	return u
}

func TestEmbeddedTable(t *testing.T) {
	t.Parallel()
	table, err := pricing.Decode()
	if err != nil {
		t.Fatal(err)
	}
	info := table.Info()
	if info.Providers < 40 || info.Models < 1500 || info.Source == "" || !strings.HasPrefix(info.Licence, "MIT, Copyright") {
		t.Errorf("%+v", info)
	}
	if _, err := time.Parse(time.DateOnly, info.Date); err != nil || table.Version() != info.Date || info.Version != info.Date {
		t.Errorf("version %q, date %q: %v", table.Version(), info.Date, err)
	}
	seen := make(map[string]bool)
	var before []pricing.Entry
	for _, e := range table.Entries() {
		if seen[e.Provider+"/"+e.ID] {
			t.Errorf("%s/%s is there twice", e.Provider, e.ID)
		}
		seen[e.Provider+"/"+e.ID] = true
		if e.ID != strings.ToLower(e.ID) || e.Patterns != strings.ToLower(e.Patterns) {
			t.Errorf("%s/%s is not in lower case", e.Provider, e.ID)
		}
		if len(before) > 0 && before[0].Provider != e.Provider {
			before = before[:0]
		}
		// Its own id goes first here and the rules in the source: that must not differ.
		for _, b := range before {
			if pricing.Matches(b.Patterns, e.ID) {
				t.Errorf("%s/%s is what an earlier rule, of %s, matches", e.Provider, e.ID, b.ID)
			}
		}
		before = append(before, e)
		c, ok := table.Cost(e.Provider, e.ID, math.MaxInt64, pricing.Usage{Input: 1})
		if ok != e.Priced || ok && (c.Match != pricing.Exact || c.Model != e.Provider+"/"+e.ID) {
			t.Errorf("%s/%s: %+v, %v", e.Provider, e.ID, c, ok)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		patterns, name string
		want           bool
	}{
		{"", "a", false},
		{"a", "a", true},
		{"a", "ab", false},
		{"b a", "a", true},
		{"a*", "a", true},
		{"a*", "ab", true},
		{"a*", "ba", false},
		{"*a", "ba", true},
		{"*a", "ab", false},
		{"*a*", "bab", true},
		{"*a*", "bbb", false},
		{"a*b*c", "axxbxxc", true},
		{"a*b*c", "axxcxxb", false},
		{"*ab", "aab", true},
		{"*aab", "aaaaab", true},
		{"**", "", true},
		{"a-##", "a-12", true},
		{"a-##", "a-1", false},
		{"a-##", "a-1b", false},
		{"a-##", "a-123", false},
		{"a-#*", "a-1b", true},
		{"a*&!*-tts", "a-b", true},
		{"a*&!*-tts", "a-tts", false},
		{"a*&!*-tts x", "x", true},
	} {
		if got := pricing.Matches(c.patterns, c.name); got != c.want {
			t.Errorf("%q, %q: %v", c.patterns, c.name, got)
		}
	}
}

func TestManyNamesAreNotKept(t *testing.T) {
	t.Parallel()
	table, err := pricing.Decode()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				name := fmt.Sprintf("gpt-5-x%d", g*500+i)
				if c, ok := table.Cost("p", name, 0, pricing.Usage{Input: 1}); ok {
					t.Errorf("%s: %+v", name, c)
				}
				if c, ok := table.Cost("openai", "gpt-4o", 0, pricing.Usage{Input: 1000}); !ok || c.NanoUSD != 2_500_000 {
					t.Errorf("%+v, %v", c, ok)
				}
			}
		})
	}
	wg.Wait()
	if n := table.Resolved(); n > 256 {
		t.Errorf("%d names are kept", n)
	}
}
