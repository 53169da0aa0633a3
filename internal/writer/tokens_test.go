package writer_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// counts are a call's tokens; -1 is one that is not known.
type counts struct{ prompt, completion, total, read, write, reasoning int64 }

func (c counts) call() db.InsertLLMTraceParams {
	known := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	return db.InsertLLMTraceParams{
		TraceID: id(1), CreatedAt: 1, PromptTokens: known(c.prompt), CompletionTokens: known(c.completion), TotalTokens: known(c.total),
		CacheReadTokens: known(c.read), CacheWriteTokens: known(c.write), ReasoningTokens: known(c.reasoning),
	}
}

func countsOf(c *db.InsertLLMTraceParams) counts {
	n := func(p *int64) int64 {
		if p == nil {
			return -1
		}
		return *p
	}
	return counts{
		n(c.PromptTokens), n(c.CompletionTokens), n(c.TotalTokens),
		n(c.CacheReadTokens), n(c.CacheWriteTokens), n(c.ReasoningTokens),
	}
}

// conflicts is how many rows had counts that did not fit each other.
func conflicts(b *writer.Batch) int64 {
	return b.Counts.Each()[writer.Entry{Kind: writer.KindCall, Outcome: writer.Repaired, Reason: "token counts in conflict"}]
}

func TestTokens(t *testing.T) {
	t.Parallel()
	const (
		x      = -1
		most   = writer.MaxCount
		prompt = `"openclaw_trace.prompt_tokens":`
		compl  = `"openclaw_trace.completion_tokens":`
		flag   = `"openclaw_trace.tokens_in_conflict":true}`
	)
	for _, c := range []struct {
		name     string
		in, want counts
		metadata string // "" if nothing is said
	}{
		{"nothing known", counts{x, x, x, x, x, x}, counts{x, x, x, x, x, x}, ""},
		{"zeros", counts{0, 0, 0, 0, 0, 0}, counts{0, 0, 0, 0, 0, 0}, ""},
		{"zeros without a total", counts{0, 0, x, 0, 0, 0}, counts{0, 0, 0, 0, 0, 0}, ""},
		{"prompt alone", counts{9, x, x, x, x, x}, counts{9, x, x, x, x, x}, ""},
		{"completion alone", counts{x, 9, x, x, x, x}, counts{x, 9, x, x, x, x}, ""},
		{"total alone", counts{x, x, 9, x, x, x}, counts{x, x, 9, x, x, x}, ""},
		{"cached alone", counts{x, 3, x, 5, 2, x}, counts{x, 3, x, 5, 2, x}, ""},
		{"reasoning alone", counts{3, x, x, x, x, 2}, counts{3, x, x, x, x, 2}, ""},
		{"prompt and total", counts{9, x, 12, 4, x, x}, counts{9, x, 12, 4, x, x}, ""},

		{"inclusive", counts{100, 20, 120, 60, 30, 15}, counts{100, 20, 120, 60, 30, 15}, ""},
		{"inclusive without a total", counts{100, 20, x, 60, 30, 15}, counts{100, 20, 120, 60, 30, 15}, ""},
		{"all cached, all reasoning", counts{90, 15, 105, 60, 30, 15}, counts{90, 15, 105, 60, 30, 15}, ""},
		{"cached as much as the rest", counts{50, 20, 70, 25, 25, x}, counts{50, 20, 70, 25, 25, x}, ""},

		{"read is larger", counts{10, 20, x, 11, x, x}, counts{21, 20, 41, 11, x, x}, "{" + prompt + "10," + flag},
		{"written is larger", counts{10, 20, x, x, 11, x}, counts{21, 20, 41, x, 11, x}, "{" + prompt + "10," + flag},
		{"both together are larger", counts{10, 20, x, 6, 5, x}, counts{21, 20, 41, 6, 5, x}, "{" + prompt + "10," + flag},
		{"nothing uncached", counts{0, 20, x, 6, 5, x}, counts{11, 20, 31, 6, 5, x}, "{" + prompt + "0," + flag},
		{"larger, completion not known", counts{10, x, x, 11, x, x}, counts{21, x, x, 11, x, x}, "{" + prompt + "10," + flag},
		{"larger, and the total knows", counts{10, 20, 41, 11, x, x}, counts{21, 20, 41, 11, x, x}, "{" + prompt + "10," + flag},
		{"larger, and the total does not", counts{10, 20, 30, 11, x, x}, counts{21, 20, 41, 11, x, x}, "{" + prompt + "10," + `"openclaw_trace.total_tokens":30,` + flag},
		{"apart by the total", counts{100, 20, 210, 60, 30, x}, counts{190, 20, 210, 60, 30, x}, "{" + prompt + "100," + flag},

		{"reasoning is larger", counts{10, 5, x, x, x, 6}, counts{10, 11, 21, x, x, 6}, "{" + compl + "5," + flag},
		{"no answer but reasoning", counts{10, 0, x, x, x, 6}, counts{10, 6, 16, x, x, 6}, "{" + compl + "0," + flag},
		{"reasoning is larger, prompt not known", counts{x, 5, x, x, x, 6}, counts{x, 11, x, x, x, 6}, "{" + compl + "5," + flag},
		{"reasoning apart by the total", counts{10, 20, 35, x, x, 5}, counts{10, 25, 35, x, x, 5}, "{" + compl + "20," + flag},
		{"all are apart by size", counts{1, 2, x, 3, 4, 5}, counts{8, 7, 15, 3, 4, 5}, "{" + prompt + "1," + compl + "2," + flag},

		{"a total that fits nothing", counts{10, 20, 99, 3, x, 4}, counts{10, 20, 99, 3, x, 4}, "{" + flag},
		{"a total below its parts", counts{10, 20, 5, x, x, x}, counts{10, 20, 5, x, x, x}, "{" + flag},
		{"a total of 0", counts{10, 20, 0, x, x, x}, counts{10, 20, 0, x, x, x}, "{" + flag},

		{"the largest", counts{most, most, x, most, 0, most}, counts{most, most, 2 * most, most, 0, most}, ""},
		{"the largest, apart", counts{1, 1, x, most, most, most}, counts{2*most + 1, most + 1, 3*most + 2, most, most, most}, "{" + prompt + "1," + compl + "1," + flag},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, b := prepared(c.in.call())
			if n := countsOf(&got); n != c.want {
				t.Errorf("%+v became %+v, want %+v", c.in, n, c.want)
			}
			metadata := ""
			if got.Metadata != nil {
				metadata = *got.Metadata
			}
			if metadata != c.metadata {
				t.Errorf("metadata %s, want %s", metadata, c.metadata)
			}
			if n := conflicts(&b); n != 0 != (c.metadata != "") || n > 1 {
				t.Errorf("%d conflicts counted", n)
			}
		})
	}
}

// What has no output by its nature has its total without it.
func TestTokensOfEmbeddings(t *testing.T) {
	t.Parallel()
	in := counts{9, -1, -1, -1, -1, -1}.call()
	in.Operation = new("embeddings")
	got, b := prepared(in)
	if n, want := countsOf(&got), (counts{9, -1, 9, -1, -1, -1}); n != want || conflicts(&b) != 0 {
		t.Errorf("%+v, want %+v; %d conflicts", n, want, conflicts(&b))
	}
}

// An emitter that counts everything apart says so by its total alone.
func TestTokensAllApartByTotal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		in, want counts
	}{
		{"no part is larger", counts{100, 20, 215, 60, 30, 5}, counts{190, 25, 215, 60, 30, 5}},
		{"reasoning is larger", counts{100, 5, 180, 50, -1, 25}, counts{150, 30, 180, 50, -1, 25}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, _ := prepared(c.in.call())
			if n := countsOf(&got); n != c.want {
				t.Errorf("%+v became %+v, want %+v", c.in, n, c.want)
			}
		})
	}
}

// someCounts makes up counts, small ones often, which fit each other by accident.
func someCounts(r *rand.Rand) counts {
	limit := []int64{3, 8, 30, 1000, writer.MaxCount + 1}[r.IntN(5)]
	n := func() int64 {
		if r.IntN(4) == 0 {
			return -1
		}
		return r.Int64N(limit)
	}
	c := counts{n(), n(), n(), n(), n(), n()}
	at := func(n int64) int64 { return max(n, 0) }
	switch r.IntN(4) { // totals as emitters make them
	case 0:
		c.total = at(c.prompt) + at(c.completion)
	case 1:
		c.total = at(c.prompt) + at(c.completion) + at(c.read) + at(c.write)
	case 2:
		c.total = at(c.prompt) + at(c.completion) + at(c.read) + at(c.write) + at(c.reasoning)
	}
	return c
}

// Whatever an emitter says, parts are parts of their wholes in the row, nothing is lost,
// and what fits is left alone.
func TestTokensProperty(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 1))
	for range 10_000 {
		in := someCounts(r)
		row, b := prepared(in.call())
		out := countsOf(&row)
		said := make(map[string]any)
		if row.Metadata != nil {
			if err := json.Unmarshal([]byte(*row.Metadata), &said); err != nil {
				t.Fatalf("%+v: metadata %s: %v", in, *row.Metadata, err)
			}
		}
		flagged := said["openclaw_trace.tokens_in_conflict"] == true
		at := func(n int64) int64 { return max(n, 0) }
		was := func(key string, before, after int64) bool { // the raw number is kept if, and only if, it was changed
			n, ok := said[key].(float64)
			return ok == (before != after) && (!ok || int64(n) == before)
		}
		whole := (in.prompt < 0 || at(in.read)+at(in.write) <= in.prompt) && (in.completion < 0 || at(in.reasoning) <= in.completion) &&
			(in.prompt < 0 || in.completion < 0 || in.total < 0 || in.total == in.prompt+in.completion)
		for what, holds := range map[string]bool{
			"cached tokens are part of the prompt":     out.prompt < 0 || at(out.read)+at(out.write) <= out.prompt,
			"reasoning is part of the completion":      out.completion < 0 || at(out.reasoning) <= out.completion,
			"nothing becomes less":                     out.prompt >= in.prompt && out.completion >= in.completion,
			"the parts stay":                           out.read == in.read && out.write == in.write && out.reasoning == in.reasoning,
			"what is not known stays so":               in.prompt < 0 == (out.prompt < 0) && in.completion < 0 == (out.completion < 0),
			"a reported total stays":                   in.total < 0 || out.total == in.total || out.prompt != in.prompt || out.completion != in.completion,
			"any other is the sum":                     in.total >= 0 || out.prompt < 0 || out.completion < 0 || out.total == out.prompt+out.completion,
			"no total without both":                    in.total >= 0 || out.prompt >= 0 && out.completion >= 0 || out.total < 0,
			"the raw prompt is kept":                   was("openclaw_trace.prompt_tokens", in.prompt, out.prompt),
			"the raw completion is kept":               was("openclaw_trace.completion_tokens", in.completion, out.completion),
			"what fits is left alone":                  !whole || out.prompt == in.prompt && out.completion == in.completion && !flagged,
			"what does not is flagged":                 whole || flagged,
			"what is flagged is counted":               conflicts(&b) == 1 == flagged,
			"a total that is not the sum is flagged":   out.prompt < 0 || out.completion < 0 || out.total == out.prompt+out.completion || flagged,
			"a count becomes larger by its parts only": out.prompt-in.prompt <= at(in.read)+at(in.write) && out.completion-in.completion <= at(in.reasoning),
		} {
			if !holds {
				t.Fatalf("%+v became %+v, metadata %v: it does not hold that %s", in, out, said, what)
			}
		}
	}
}

// A row that went through once, as from a copy of the database, is what it was.
func TestTokensAgain(t *testing.T) {
	t.Parallel()
	tokensAgain(t, false)
}

func TestTokensAgainInConflict(t *testing.T) {
	t.Parallel()
	tokensAgain(t, true)
}

func tokensAgain(t *testing.T, conflicting bool) {
	r := rand.New(rand.NewPCG(3, 2))
	for range 20_000 {
		in := someCounts(r)
		row, b := prepared(in.call())
		if conflicts(&b) > 0 != conflicting {
			continue
		}
		again, b := prepared(row)
		if d := cmp.Diff(row, again); d != "" {
			t.Fatalf("%+v (-once +twice):\n%s", in, d)
		}
		if n := conflicts(&b); n != 0 {
			t.Fatalf("%+v: %d conflicts counted again", in, n)
		}
	}
}

// metered returns a call with made-up counts, with the time, the names and the cost
// that usage tells apart.
func metered(r *rand.Rand, n int) db.InsertLLMTraceParams {
	c := someCounts(r).call()
	c.TraceID, c.CreatedAt = id(n), 946684800000+r.Int64N(3*24*3600*1000)
	c.Provider, c.Model = []string{"anthropic", "openai"}[r.IntN(2)], fmt.Sprint("model-", r.IntN(3))
	c.Status = []string{"ok", "ok", "error", "timeout"}[r.IntN(4)]
	if r.IntN(2) == 0 {
		c.Agent = new([]string{"main", "research"}[r.IntN(2)])
	}
	if r.IntN(2) == 0 {
		c.CostUSD, c.CostSource = new(r.Float64()), new(writer.Reported)
	}
	return c
}

const usageRows = `SELECT json_array(granularity, start_at, provider, model, agent, status, calls, prompt_tokens, completion_tokens,
	cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_nano_usd, unmetered, unpriced) FROM usage ORDER BY 1`

// The same calls give the same usage in whatever order and pieces they come, and however
// often.
func TestUsageHasNoOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	all := make([]db.InsertLLMTraceParams, 200)
	for n := range all {
		all[n] = metered(r, n)
	}
	var want []string
	for _, c := range []struct {
		name   string
		pieces func() [][]db.InsertLLMTraceParams
	}{
		{"at once", func() [][]db.InsertLLMTraceParams { return [][]db.InsertLLMTraceParams{all} }},
		{"twice", func() [][]db.InsertLLMTraceParams { return [][]db.InsertLLMTraceParams{all, all} }},
		{"twice in one batch", func() [][]db.InsertLLMTraceParams {
			return [][]db.InsertLLMTraceParams{append(append([]db.InsertLLMTraceParams(nil), all...), all...)}
		}},
		{"shuffled, in pieces, some again", func() (list [][]db.InsertLLMTraceParams) {
			order := append(r.Perm(len(all)), r.Perm(len(all))[:50]...)
			for len(order) > 0 {
				n := 1 + r.IntN(min(30, len(order)))
				var piece []db.InsertLLMTraceParams
				for _, i := range order[:n] {
					piece = append(piece, all[i])
				}
				list, order = append(list, piece), order[n:]
			}
			return list
		}},
	} {
		f := open(t, newPath(t), "normal")
		for _, piece := range c.pieces() {
			b := &writer.Batch{Calls: append([]db.InsertLLMTraceParams(nil), piece...)}
			for i := range b.Calls { // preparing changes what they point to
				b.Calls[i].Agent = copyOf(b.Calls[i].Agent)
			}
			f.submit(b)
		}
		f.close() // counts what is in the rows
		if got := f.Books().Received; got != int64(len(all)) {
			t.Errorf("%s: received %d", c.name, got)
		}
		db := look(t, f.path, "mode=ro")
		got := table(t, db, usageRows)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if want == nil {
			want = got
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-at once +this way):\n%s", c.name, d)
		}
	}
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

// A call that its span told of, and that is then sent as a native call of the same id, is one row.
func TestCallByTwoWays(t *testing.T) {
	t.Parallel()
	native := db.InsertLLMTraceParams{
		TraceID: id(1), Provider: "anthropic", Model: "claude", Status: "ok", CreatedAt: 946684800000,
		PromptTokens: new(int64(100)), CompletionTokens: new(int64(7)), CacheReadTokens: new(int64(60)),
	}
	traced := native
	traced.OTELTraceID, traced.OTELSpanID = new(strings.Repeat("a", 32)), new(strings.Repeat("b", 16))
	traced.Operation, traced.Metadata = new("chat"), new(`{"otel.scope.name":"x"}`)
	for _, c := range []struct {
		name    string
		batches []*writer.Batch
	}{
		{"one after the other", []*writer.Batch{{Calls: []db.InsertLLMTraceParams{traced}}, {Calls: []db.InsertLLMTraceParams{native}}}},
		{"the other way round", []*writer.Batch{{Calls: []db.InsertLLMTraceParams{native}}, {Calls: []db.InsertLLMTraceParams{traced}}}},
		{"together", []*writer.Batch{{Calls: []db.InsertLLMTraceParams{traced, native}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, newPath(t), "normal")
			var sum writer.Receipt
			for _, b := range c.batches {
				r := f.submit(b)
				sum.Stored += r.Stored
				sum.Duplicates += r.Duplicates
			}
			if sum != (writer.Receipt{Stored: 1, Duplicates: 1}) {
				t.Errorf("%+v", sum)
			}
			f.close()
			checkStored(t, f.path, 1)
			db := look(t, f.path, "mode=ro")
			defer db.Close()
			if n := one[int64](t, db, `SELECT SUM(prompt_tokens) FROM usage WHERE granularity = 'day'`); n != 100 {
				t.Errorf("%d tokens in usage", n)
			}
			if n := one[int64](t, db, `SELECT COALESCE(SUM(n), 0) FROM ledger WHERE outcome = 'duplicate' AND reason = 'conflict'`); n != 0 {
				t.Errorf("%d conflicts", n)
			}
		})
	}
}
