package pricing_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/pricing"
)

// docs/prices.md says which table the binary has, and shows a file of one's own.
func TestDocsDescribeTheTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/prices.md")
	if err != nil {
		t.Fatal(err)
	}
	info := pricing.Embedded().Info()
	name, version, _ := strings.Cut(info.Source, " ")
	for _, want := range []string{
		fmt.Sprintf("`%s`, version %s,", name, version),
		fmt.Sprintf("| date | %s,", info.Date),
		"| licence | " + info.Licence,
		fmt.Sprintf("| holds | %d providers;", info.Providers),
		fmt.Sprintf("`computed:%s:inferred`", info.Version),
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/prices.md does not say %q", want)
		}
	}
	_, example, _ := strings.Cut(string(page), "```json5\n")
	example, _, _ = strings.Cut(example, "```")
	table := with(t, example)
	if c, ok := table.Cost("ollama", "llama3.3", 0, pricing.Usage{Input: 1}); !ok || c.NanoUSD != 0 {
		t.Errorf("the example prices a model at home as %+v, %v", c, ok)
	}
	if c, ok := table.Cost("anthropic", "claude-sonnet-4-5", at(t, "2026-07-01T00:00:00Z"), pricing.Usage{Input: 1e5}); !ok || c.NanoUSD != 240_000_000 {
		t.Errorf("the example's contract costs %+v, %v", c, ok)
	}
}
