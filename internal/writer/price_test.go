package writer_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/pricing"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// maker's prices are such that each kind of token shows in the cost, in nano-USD.
const maker = `{prices: [
	{provider: "maker", model: "one", input: 0.001, cache_read: 0.01, cache_write: 0.1, cache_write_1h: 1, output: 10, reasoning: 100},
	{provider: "maker", model: "embed", input: 0.001},
	{provider: "maker", model: "free", input: 0, output: 0},
	{provider: "maker", model: "third", input: 3.333, output: 15.777},
]}`

// prices returns the embedded table with those of a file.
func prices(t testing.TB, file string) *pricing.Table {
	t.Helper()
	p, err := pricing.Embedded().With("prices.json5", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bare returns the embedded table in a file's place, where maker has no price.
func bare(t testing.TB) *pricing.Table { return prices(t, `{prices: []}`) }

func withPrices(p *pricing.Table) func(*writer.Options) {
	return func(o *writer.Options) { o.Prices = p }
}

func TestPrice(t *testing.T) {
	t.Parallel()
	p := prices(t, maker)
	const x = -1
	computed := "computed:" + p.Version()
	inferred := computed + ":inferred"
	usage := counts{111, 22, x, 30, 20, 2}
	base := int64(61*1 + 30*10 + 20*100 + 20*10_000 + 2*100_000)
	hourly := func(n int64) int64 { return base + n*900 } // 1000 instead of 100
	metadata := func(s string) func(*db.InsertLLMTraceParams) {
		return func(c *db.InsertLLMTraceParams) { c.Metadata = &s }
	}
	for _, c := range []struct {
		name, provider, model string
		usage                 counts
		change                func(*db.InsertLLMTraceParams)
		nano                  int64 // x: not known
		source                string
	}{
		{"computed", "maker", "one", usage, nil, base, computed},
		{"capitals and spaces", "Maker", " ONE", usage, nil, base, computed},
		{"counts apart", "maker", "one", counts{61, 20, 131, 30, 20, x}, nil, 61 + 300 + 2000 + 200_000, computed},
		{"nothing used", "maker", "one", counts{0, 0, x, x, x, x}, nil, 0, computed},
		{"free", "maker", "free", usage, nil, 0, computed},
		{"reported", "maker", "one", usage, func(c *db.InsertLLMTraceParams) {
			c.CostUSD, c.CostSource = new(0.25), new(writer.Reported)
		}, 250_000_000, writer.Reported},
		{"reported as 0", "maker", "one", usage, func(c *db.InsertLLMTraceParams) {
			c.CostUSD, c.CostSource = new(0.0), new(writer.Reported)
		}, 0, writer.Reported},
		{"reported without a price", "nobody", "nothing", counts{x, x, x, x, x, x}, func(c *db.InsertLLMTraceParams) {
			c.CostUSD, c.CostSource = new(0.5), new(writer.Reported)
		}, 500_000_000, writer.Reported},

		{"no price", "nobody", "nothing", usage, nil, x, ""},
		{"no price for output", "maker", "embed", usage, nil, x, ""},
		{"no tokens", "maker", "one", counts{x, x, x, x, x, x}, nil, x, ""},
		{"a total alone", "maker", "one", counts{x, x, 133, x, x, x}, nil, x, ""},
		{"no completion", "maker", "one", counts{111, x, x, x, x, x}, nil, x, ""},
		{"no prompt", "maker", "one", counts{x, 22, x, x, x, x}, nil, x, ""},
		{"failed without usage", "maker", "one", counts{x, x, x, x, x, x}, func(c *db.InsertLLMTraceParams) { c.Status = "error" }, x, ""},
		{"failed with usage", "maker", "one", usage, func(c *db.InsertLLMTraceParams) { c.Status = "error" }, base, computed},
		{"embeddings", "maker", "embed", counts{1000, x, x, x, x, x}, func(c *db.InsertLLMTraceParams) { c.Operation = new("embeddings") }, 1000, computed},
		{"embeddings with output", "maker", "embed", counts{1000, 0, x, x, x, x}, func(c *db.InsertLLMTraceParams) { c.Operation = new("embeddings") }, 1000, computed},
		{"embeddings without input", "maker", "embed", counts{x, x, x, x, x, x}, func(c *db.InsertLLMTraceParams) { c.Operation = new("embeddings") }, x, ""},

		{"by the provider's rules", "anthropic", "claude-sonnet-4-5-20250929", counts{1000, 100, x, x, x, x}, nil, 4_500_000, computed},
		{"by the family", "somebody", "claude-sonnet-4-5", counts{1000, 100, x, x, x, x}, nil, 4_500_000, inferred},

		{"kept for an hour", "maker", "one", usage, metadata(`{"openclaw_trace.cache_write_1h_tokens":7}`), hourly(7), computed},
		{"after other members", "maker", "one", usage, metadata(`{"a":"b","openclaw_trace.cache_write_1h_tokens":7}`), hourly(7), computed},
		{"before other members", "maker", "one", usage, metadata(`{"openclaw_trace.cache_write_1h_tokens":7,"a":"}"}`), hourly(7), computed},
		{"all kept for an hour", "maker", "one", usage, metadata(`{"openclaw_trace.cache_write_1h_tokens":20}`), hourly(20), computed},
		{"more than were written", "maker", "one", usage, metadata(`{"openclaw_trace.cache_write_1h_tokens":21}`), hourly(20), computed},
		{"below nothing", "maker", "one", usage, metadata(`{"openclaw_trace.cache_write_1h_tokens":-1}`), base, computed},
		{"no number", "maker", "one", usage, metadata(`{"openclaw_trace.cache_write_1h_tokens":"7"}`), base, computed},
		{"a fraction", "maker", "one", usage, metadata(`{"openclaw_trace.cache_write_1h_tokens":7.5}`), base, computed},
		{"nothing written", "maker", "one", counts{111, 22, x, 30, x, 2}, metadata(`{"openclaw_trace.cache_write_1h_tokens":7}`), base - 20*100 + 20, computed},

		{"the model that answered", "maker", "my-deployment", usage, metadata(`{"gen_ai.response.model":"one"}`), base, computed},
		{"the model that was asked for goes first", "maker", "one", usage, metadata(`{"gen_ai.response.model":"free"}`), base, computed},
		{"neither is known", "maker", "my-deployment", usage, metadata(`{"gen_ai.response.model":"another"}`), x, ""},
		{"a model that is none", "maker", "my-deployment", usage, metadata(`{"gen_ai.response.model":["one"]}`), x, ""},
		{"what answered, inferred", "somebody", "my-deployment", counts{1000, 100, x, x, x, x}, metadata(`{"gen_ai.response.model":"claude-sonnet-4-5"}`), 4_500_000, inferred},
		{"with escapes", "maker", "my-deployment", usage, metadata(`{"gen_ai.response.model":"\u006fn\u0065"}`), base, computed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := c.usage.call()
			in.Provider, in.Model, in.Status = c.provider, c.model, "ok"
			if c.change != nil {
				c.change(&in)
			}
			b := writer.Batch{Calls: []db.InsertLLMTraceParams{in}}
			writer.PrepareWith(&b, now, writer.Options{MaxTextBytes: 1000, Prices: p})
			got, source := b.Calls[0].CostUSD, ""
			if s := b.Calls[0].CostSource; s != nil {
				source = *s
			}
			if source != c.source {
				t.Errorf("from %q, want %q", source, c.source)
			}
			if nano := nanoUSD(got); nano != c.nano {
				t.Errorf("%d nano-USD, want %d", nano, c.nano)
			}
		})
	}
}

// nanoUSD is -1 if usd is not known.
func nanoUSD(usd *float64) int64 {
	if usd == nil {
		return -1
	}
	return int64(math.Round(*usd * 1e9))
}

// What off leaves of the metadata is enough for a price.
func TestPriceWithoutContent(t *testing.T) {
	t.Parallel()
	in := counts{111, 22, -1, 30, 20, 2}.call()
	in.Provider, in.Model, in.InputText = "maker", "my-deployment", new("hello")
	in.Metadata = new(`{ "prompt" : "hello", "gen_ai.response.model" : "one", "openclaw_trace.cache_write_1h_tokens" : 7 }`)
	b := writer.Batch{Calls: []db.InsertLLMTraceParams{in}}
	writer.PrepareWith(&b, now, writer.Options{MaxTextBytes: 1000, Prices: prices(t, maker), NoContent: true})
	if n := nanoUSD(b.Calls[0].CostUSD); n != 61+300+2000+200_000+200_000+7*900 {
		t.Errorf("%d nano-USD, metadata %s", n, *b.Calls[0].Metadata)
	}
}

func TestPriceWithoutTable(t *testing.T) {
	t.Parallel()
	in := counts{111, 22, -1, -1, -1, -1}.call()
	in.Provider, in.Model = "anthropic", "claude-sonnet-4-5"
	if c, _ := prepared(in); c.CostUSD != nil || c.CostSource != nil {
		t.Errorf("%v from %v", c.CostUSD, c.CostSource)
	}
}

func TestMember(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, metadata, want string }{
		{"none", `{}`, ""},
		{"no metadata", ``, ""},
		{"another", `{"key2":1,"akey":2}`, ""},
		{"a number", `{"key":12}`, "12"},
		{"a number before another", `{"key":12,"a":1}`, "12"},
		{"a number at the end", `{"a":1,"key":12}`, "12"},
		{"a text", `{"key":"v"}`, `"v"`},
		{"a text with a comma and a brace", `{"key":"a,b}c","d":1}`, `"a,b}c"`},
		{"an empty text", `{"key":"","d":1}`, `""`},
		{"a literal", `{"key":null}`, "null"},
		{"the first of two", `{"key":1,"key":2}`, "1"},
		{"in a text", `{"a":"\"key\":5"}`, ""},
		{"in a text in a text", `{"a":"{\"b\":\"{\\\"key\\\":5}\"}"}`, ""},
		{"as a text", `{"a":"key","b":5}`, ""},
		{"at the end of a text", `{"a":"x\\","key":5}`, "5"},

		// Clients' metadata is kept as they wrote it.
		{"a space after the colon", `{"key": 12}`, "12"},
		{"a text after a space", `{"a": 1, "key": "v"}`, `"v"`},
		{"a space before the colon", `{"key" : 12}`, "12"},
		{"lines", "{\n\t\"key\":\n\t\t12\n}", "12"},
		{"a space at the end", `{"key":12 }`, "12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := writer.Member(c.metadata, "key"); got != c.want {
				t.Errorf("%s: got %s, want %s", c.metadata, got, c.want)
			}
		})
	}
}

// Only the object's own members count, and a text ends at its own quote.
func TestMemberNested(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, metadata, want string }{
		{"an escaped quote", `{"key":"a\"b"}`, `"a\"b"`},
		{"a quote in another name", `{"a\"key":5}`, ""},
		{"of a nested object", `{"a":{"key":5}}`, ""},
		{"after a nested one", `{"a":{"key":5},"key":6}`, "6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := writer.Member(c.metadata, "key"); got != c.want {
				t.Errorf("%s: got %s, want %s", c.metadata, got, c.want)
			}
		})
	}
}

// No metadata makes member fail, and what it returns is part of it.
func TestMemberProperty(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 1))
	for range 10_000 {
		s := strings.Repeat(`"key":`, r.IntN(2))
		for range r.IntN(8) {
			s += []string{`"key":`, `"`, `\`, `{`, `}`, `,`, `1`, ` `, `"key"`}[r.IntN(9)]
		}
		if got := writer.Member(s, "key"); !strings.Contains(s, got) {
			t.Fatalf("%s of %s", got, s)
		}
	}
	for range 2000 { // as our own writers of metadata make it: nothing nested, no spaces
		members := map[string]any{"key": r.Int64N(1000)}
		for range r.IntN(5) {
			members[[]string{"a", `b"`, "\\", "key2", ","}[r.IntN(5)]] = []any{`"key":7`, `\"key":7`, "}", 7, nil}[r.IntN(5)]
		}
		s, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(members["key"])
		if err != nil {
			t.Fatal(err)
		}
		if got := writer.Member(string(s), "key"); got != string(want) {
			t.Fatalf("%s of %s", got, s)
		}
	}
}

// What usage sums is what the rows say, to the nano-USD.
func TestUsageCost(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), "normal", withPrices(prices(t, maker)))
	r := rand.New(rand.NewPCG(4, 2))
	for n := range 10 {
		b := new(writer.Batch)
		for i := range 50 {
			c := metered(r, n*50+i)
			if r.IntN(4) > 0 {
				c.Provider, c.Model = "maker", []string{"one", "third", "free", "nothing"}[r.IntN(4)]
			}
			b.Calls = append(b.Calls, c)
		}
		f.submit(b)
	}
	f.close() // compares each sum with its rows
	c := look(t, f.path, "mode=ro")
	defer c.Close()
	for _, g := range []string{"hour", "day"} {
		kept := one[int64](t, c, `SELECT SUM(cost_nano_usd) FROM usage WHERE granularity = ?`, g)
		rows := one[int64](t, c, `SELECT SUM(CAST(ROUND(cost_usd * 1e9) AS INTEGER)) FROM llm_traces`)
		if kept != rows || kept == 0 {
			t.Errorf("usage by %s has %d nano-USD, the rows %d", g, kept, rows)
		}
	}
	if n := one[int64](t, c, `SELECT COUNT(*) FROM llm_traces WHERE (cost_usd IS NULL) <> (cost_source IS NULL)`); n != 0 {
		t.Errorf("%d rows have a cost without a source, or the other way round", n)
	}
}
