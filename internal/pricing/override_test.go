package pricing_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/pricing"
)

// ours and openclaw show all that the two forms can say.
const (
	ours = `// of a contract
{prices: [
	{provider: "anthropic", model: "claude-sonnet-4-5", input: 2, output: 10},
	{provider: "google", model: "gemini-2.5-pro", input: 1, output: 8, from: "2026-09-01"},
	{provider: "gcp.gemini", model: "gemini-2.5-pro", input: 0.5, output: 4, from: "2026-10-01"},
	{provider: "ollama", model: "*", input: 0, output: 0},
	{provider: "my-proxy", model: "House-Model", input: 1, cache_read: 0.1, cache_write: 2, cache_write_1h: 3, output: 5, reasoning: 7,
	 tiers: [{above: 1000, input: 10}, {above: 2000, output: 50}]},
	{provider: "new", model: "later", input: 1, from: "2026-09-01"},
]}`
	openclaw = `{
	// written by hand
	agents: { defaults: { model: { primary: 'my-proxy/a' } } },
	models: {
		mode: "merge",
		providers: {
			"my-proxy": {
				baseUrl: 'http://localhost:4000', apiKey: "${KEY}",
				models: [
					{ id: "a", name: "A", cost: { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 }, contextWindow: 200000, },
					{ id: "zeros", cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 } },
					{ id: "gpt-5", cost: { input: 0, output: 0 } },
					{ id: "without" },
					{ id: "tiers", cost: { input: 9, output: 9, tieredPricing: [
						{ range: [0, 1000], input: 1, output: 2, cacheRead: 0.5, cacheWrite: 1 },
						{ range: [1000], input: 2.5e+0, output: 4, cacheRead: 1, cacheWrite: 2 },
					] } },
				],
			},
			anthropic: { models: [ { id: "claude-sonnet-4-5", cost: { input: 1, output: 2 } } ] },
			bare: {},
		},
	},
}`
)

func TestWith(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * 3600 * 1000
	day := at(t, "2026-09-01T00:00:00Z")
	for _, c := range []struct {
		name, file, provider, model string
		at                          int64
		usage                       pricing.Usage
		want                        int64 // -1: no price
		match                       pricing.Match
		whose                       string
	}{
		{"replaced", ours, "anthropic", "claude-sonnet-4-5", 0, pricing.Usage{Input: 1e6, CacheRead: 1e6}, 2e9, pricing.Exact, "anthropic/claude-sonnet-4-5"},
		{"replaced, with the provider before it", ours, "anthropic", "anthropic/claude-sonnet-4-5", 0, pricing.Usage{Output: 1e6}, 10e9, pricing.Exact, "anthropic/claude-sonnet-4-5"},
		{"another of the provider", ours, "anthropic", "claude-sonnet-4-5-20250929", 0, pricing.Usage{Input: 1e5}, 3e8, pricing.Rule, "anthropic/claude-sonnet-4-5"},
		{"before its first day", ours, "gcp.gemini", "gemini-2.5-pro", day - 1, pricing.Usage{Input: 1e5}, 125e6, pricing.Exact, "google/gemini-2.5-pro"},
		{"from its first day", ours, "gcp.vertex_ai", "gemini-2.5-pro", day, pricing.Usage{Input: 1e5}, 1e8, pricing.Exact, "google/gemini-2.5-pro"},
		{"from its second", ours, "google", "Gemini-2.5-Pro", day + month, pricing.Usage{Input: 1e5}, 5e7, pricing.Exact, "google/gemini-2.5-pro"},
		{"a pattern, and a price of 0", ours, "ollama", "llama3.3:70b", 0, pricing.Usage{Input: 1e6, Output: 1e6}, 0, pricing.Rule, "ollama/*"},
		{"added", ours, "My-Proxy", "house-model", 0, pricing.Usage{100, 10, 20, 5, 50, 10}, 70*1000 + 10*100 + 15*2000 + 5*3000 + 40*5000 + 10*7000, pricing.Exact, "my-proxy/house-model"},
		{"at the tier's limit", ours, "my-proxy", "house-model", 0, pricing.Usage{Input: 1000}, 1e6, pricing.Exact, "my-proxy/house-model"},
		{"in the tier", ours, "my-proxy", "house-model", 0, pricing.Usage{Input: 1001, Output: 1}, 1001*10000 + 5000, pricing.Exact, "my-proxy/house-model"},
		{"in the next, which keeps the other price", ours, "my-proxy", "house-model", 0, pricing.Usage{Input: 2001, Output: 1}, 2001*10000 + 50000, pricing.Exact, "my-proxy/house-model"},
		{"before there was one", ours, "new", "later", day - 1, pricing.Usage{Input: 1}, -1, 0, ""},
		{"no price for output", ours, "new", "later", day, pricing.Usage{Input: 1, Output: 1}, -1, 0, ""},
		{"not in the file", ours, "openai", "gpt-4o", 0, pricing.Usage{Input: 1e6}, 2.5e9, pricing.Exact, "openai/gpt-4o"},

		{"openclaw.json", openclaw, "my-proxy", "a", 0, pricing.Usage{Input: 1e6, CacheRead: 5e5, CacheWrite: 1e5, CacheWrite1h: 1e5, Output: 1e6}, 1.2e9 + 0.15e9 + 0.375e9 + 15e9, pricing.Exact, "my-proxy/a"},
		{"zeros are not set", openclaw, "my-proxy", "zeros", 0, pricing.Usage{Input: 1}, -1, 0, ""},
		{"zeros leave the price as it was", openclaw, "my-proxy", "gpt-5", 0, pricing.Usage{Input: 1e6}, 1.25e9, pricing.Inferred, "openai/gpt-5"},
		{"below OpenClaw's tier", openclaw, "my-proxy", "tiers", 0, pricing.Usage{Input: 999}, 999 * 1000, pricing.Exact, "my-proxy/tiers"},
		{"in OpenClaw's tier", openclaw, "my-proxy", "tiers", 0, pricing.Usage{Input: 1000}, 1000 * 2500, pricing.Exact, "my-proxy/tiers"},
		{"its price for a known provider", openclaw, "anthropic", "claude-sonnet-4-5", 0, pricing.Usage{Input: 1e6}, 1e9, pricing.Exact, "anthropic/claude-sonnet-4-5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := with(t, c.file).Cost(c.provider, c.model, c.at, c.usage)
			want := pricing.Cost{NanoUSD: c.want, Match: c.match, Model: c.whose}
			if ok != (c.want >= 0) || ok && got != want {
				t.Errorf("got %+v, %v, want %+v", got, ok, want)
			}
		})
	}
}

func TestWithNamesItsVersion(t *testing.T) {
	t.Parallel()
	base := pricing.Embedded()
	sum := sha256.Sum256([]byte(ours))
	table := with(t, ours)
	if want := base.Version() + "+" + hex.EncodeToString(sum[:])[:8]; table.Version() != want {
		t.Errorf("got %s, want %s", table.Version(), want)
	}
	if info := table.Info(); info.Overrides != 5 || info.Models != base.Info().Models || info.Version != table.Version() {
		t.Errorf("%+v", info)
	}
	// The table that it was made from, and one made from it.
	if strings.Contains(base.Version(), "+") {
		t.Errorf("the embedded table is now %s", base.Version())
	}
	twice, err := table.With("openclaw.json", []byte(openclaw))
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := twice.Cost("anthropic", "claude-sonnet-4-5", 0, pricing.Usage{Input: 1e6}); c.NanoUSD != 1e9 {
		t.Errorf("the later file does not go first: %+v", c)
	}
	if c, _ := twice.Cost("ollama", "x", 0, pricing.Usage{Input: 1e6}); c.Model != "ollama/*" {
		t.Errorf("the earlier file is forgotten: %+v", c)
	}
}

func TestWithRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, want string }{
		{"nothing", "", "p.json:1: the file is not JSON: a value cannot begin with the end of the file"},
		{"not JSON", "{prices: [\n}", "p.json:2: the file is not JSON: a value cannot begin with '}'"},
		{"something else", `[1]`, `p.json:1: prices is missing; {"prices": […]} or an openclaw.json with models.providers is expected`},
		{"another member", "{prices: [],\nprice: []}", "p.json:2: price is not known; beside prices nothing is accepted"},
		{"no list", "{prices: {}}", "p.json:1: prices is not a list; an array of objects is expected"},
		{"no object", "{prices: [1]}", "p.json:1: prices[0] is not an object; provider, model and at least one price are expected"},
		{"no provider and no model", "{prices: [\n{input: 1}]}", "p.json:2: prices[0].provider is missing; the name that calls are stored with is expected\np.json:2: prices[0].model is missing; the name that calls are stored with is expected"},
		{"empty names", `{prices: [{provider: "", model: 7, input: 1}]}`, "p.json:1: prices[0].provider is not a name; a text that is not empty is expected\np.json:1: prices[0].model is not a name; a text that is not empty is expected"},
		{"a name with spaces", `{prices: [{provider: "p", model: "a b", input: 1}]}`, `p.json:1: prices[0].model is not a name; a text without spaces, & and ! is expected, not "a b"`},
		{"a long name", `{prices: [{provider: "p", model: "` + strings.Repeat("x", 257) + `", input: 1}]}`, "p.json:1: prices[0].model is too long; at most 256 bytes are accepted"},
		{"no price", `{prices: [{provider: "p", model: "m", cache_read: 1}]}`, "p.json:1: prices[0] has no price; input, output or both are expected (USD per 1,000,000 tokens)"},
		{"negative", "{prices: [{provider: 'p', model: 'm', input: 1,\noutput: -3}]}", "p.json:2: prices[0].output is no price: a number from 0 to 1000000 is expected (USD per 1,000,000 tokens), not -3"},
		{"NaN", `{prices: [{provider: "p", model: "m", input: NaN}]}`, "p.json:1: prices[0].input is no price: a number from 0 to 1000000 is expected (USD per 1,000,000 tokens), not NaN"},
		{"per token instead of per million, upside down", `{prices: [{provider: "p", model: "m", input: 1000001}]}`, "p.json:1: prices[0].input is no price: a number from 0 to 1000000 is expected (USD per 1,000,000 tokens), not 1.000001e+06"},
		{"a text", `{prices: [{provider: "p", model: "m", input: "3"}]}`, "p.json:1: prices[0].input is not a number; USD per 1,000,000 tokens are expected, from 0 to 1000000"},
		{"an unknown member", `{prices: [{provider: "p", model: "m", input: 1, cacheRead: 1}]}`, "p.json:1: prices[0].cacheRead is not known; provider, model, from, tiers, input, output, cache_read, cache_write, cache_write_1h and reasoning are"},
		{"a member twice", "{prices: [{provider: 'p', model: 'm', input: 1,\ninput: 2}]}", "p.json:2: prices[0].input is there twice"},
		{"a wrong date", `{prices: [{provider: "p", model: "m", input: 1, from: "2026-02-30"}]}`, `p.json:1: prices[0].from is not a date; a text like "2026-01-31" is expected (UTC)`},
		{"an entry twice", "{prices: [{provider: 'gcp.gemini', model: 'm', input: 1},\n{provider: 'Google', model: 'M', input: 2}]}", "p.json:2: prices[1] is there twice; line 1 has the same provider, model and date"},
		{"tiers without a list", `{prices: [{provider: "p", model: "m", input: 1, tiers: 1}]}`, "p.json:1: prices[0].tiers is not a list; an array of objects is expected"},
		{"a tier that begins nowhere", `{prices: [{provider: "p", model: "m", input: 1, tiers: [{input: 2}]}]}`, "p.json:1: prices[0].tiers[0].above is missing; the input tokens that a call must exceed are expected"},
		{"tiers that fall", `{prices: [{provider: "p", model: "m", input: 1, tiers: [{above: 2}, {above: 2}]}]}`, "p.json:1: prices[0].tiers[1].above is not above the tier before it; ascending numbers are expected"},
		{"half a token", `{prices: [{provider: "p", model: "m", input: 1, tiers: [{above: 0.5, range: 1}]}]}`, "p.json:1: prices[0].tiers[0].above is not a number of tokens; an integer from 0 to 1000000000000 is expected\np.json:1: prices[0].tiers[0].range is not known; above and the names of prices are"},
		{"all bad entries", "{prices: [\n{provider: 'p', model: 'm', input: -1},\n{provider: 'p', model: 'ok', input: 1},\n{provider: 'p', model: 'n', input: 'x'}]}", "p.json:2: prices[0].input is no price: a number from 0 to 1000000 is expected (USD per 1,000,000 tokens), not -1\np.json:4: prices[2].input is not a number; USD per 1,000,000 tokens are expected, from 0 to 1000000"},

		{"models without providers", "{models: {}}", "p.json:1: models.providers is missing; an object by provider is expected"},
		{"OpenClaw, negative", "{models: {providers: {p: {models: [\n{id: 'm', cost: {input: -1}}]}}}}", "p.json:2: models.providers.p.models[0].cost.input is no price: a number from 0 to 1000000 is expected (USD per 1,000,000 tokens), not -1"},
		{"OpenClaw, no id", "{models: {providers: {p: {models: [{cost: {input: 1}}]}}}}", "p.json:1: models.providers.p.models[0].id is missing; the model's name is expected"},
		{"OpenClaw, no object", "{models: {providers: {p: {models: [{id: 'm', cost: 3}]}}}}", "p.json:1: models.providers.p.models[0].cost is not an object; input, output, cacheRead and cacheWrite are expected"},
		{"OpenClaw, twice", "{models: {providers: {p: {models: [{id: 'm', cost: {input: 1}},\n{id: 'm', cost: {input: 1}}]}}}}", "p.json:2: models.providers.p.models[1] is there twice; line 1 has the same provider, model and date"},
		{"OpenClaw, a tier that begins nowhere", "{models: {providers: {p: {models: [{id: 'm', cost: {input: 1, tieredPricing: [{input: 1}]}}]}}}}", "p.json:1: models.providers.p.models[0].cost.tieredPricing[0].range is missing; [from, to] in input tokens is expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			table, err := pricing.Embedded().With("p.json", []byte(c.file))
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if table != nil {
				t.Error("there is a table all the same")
			}
		})
	}
}

func TestWithBoundsItsErrors(t *testing.T) {
	t.Parallel()
	file := "{prices: [" + strings.Repeat("{},", 1000) + "]}"
	_, err := pricing.Embedded().With("p.json", []byte(file))
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != 51 || lines[50] != "p.json: 1950 more" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func FuzzWith(f *testing.F) {
	for _, s := range []string{ours, openclaw, `{"prices":[]}`, `{prices:[{provider:"p",model:"m",input:1,from:"2026-01-01",tiers:[{above:1,output:2}]}]}`, `{models:{providers:{p:{models:[{id:"*",cost:{input:1e-3,tieredPricing:[{range:[5]},{range:[0]}]}}]}}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		table, err := pricing.Embedded().With("p.json", file)
		if (table == nil) == (err == nil) {
			t.Fatalf("table %v, error %v", table, err)
		}
		if err != nil {
			return
		}
		for _, model := range []string{"m", "claude-sonnet-4-5"} {
			for _, u := range []pricing.Usage{{}, {1e12, 1e11, 1e10, 1e9, 1e12, 1e6}} {
				if c, ok := table.Cost("p", model, 1e12, u); ok && c.NanoUSD < 0 {
					t.Fatalf("%+v costs %+v", u, c)
				}
			}
		}
	})
}
