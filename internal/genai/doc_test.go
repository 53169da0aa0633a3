package genai

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/dialects.md")

// What people read about the tables is made from them.
func TestDocs(t *testing.T) {
	const path = "../../docs/dialects.md"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var attributes strings.Builder
	attributes.WriteString("| Means | Attributes |\n|---|---|\n")
	for _, d := range dialect {
		fmt.Fprintf(&attributes, "| %s | `%s` |\n", d.what, strings.Join(d.keys, "`, `"))
	}
	page := string(old)
	for name, text := range map[string]string{
		"attributes": attributes.String(), "operations": inverse(operations), "providers": inverse(providers),
	} {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		before, rest, ok := strings.Cut(page, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no part %q", path, name)
		}
		page = before + begin + text + end + after
	}
	if !strings.Contains(page, fmt.Sprintf("\n- **%d**: ", DialectVersion)) {
		t.Errorf("%s does not say what version %d changed", path, DialectVersion)
	}
	if page == string(old) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale; run go test ./internal/genai -run TestDocs -update", path)
	}
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

func inverse(m map[string]string) string {
	from := make(map[string][]string)
	for key, value := range m {
		from[value] = append(from[value], key)
	}
	var b strings.Builder
	b.WriteString("| Stored as | Sent as |\n|---|---|\n")
	for _, value := range slices.Sorted(maps.Keys(from)) {
		slices.Sort(from[value])
		fmt.Fprintf(&b, "| `%s` | `%s` |\n", value, strings.Join(from[value], "`, `"))
	}
	return b.String()
}

// A key stands for one thing, and a field is listed once.
func TestTableIsSound(t *testing.T) {
	seen := make(map[string]bool)
	listed := make(map[field]bool)
	for _, d := range dialect {
		if listed[d.field] {
			t.Errorf("field %d (%s) is listed twice", d.field, d.what)
		}
		listed[d.field] = true
		for _, key := range d.keys {
			if seen[key] {
				t.Errorf("%s is listed twice", key)
			}
			seen[key] = true
		}
	}
	for f := unknown + 1; f < fields; f++ {
		if f != lastColumn && !listed[f] {
			t.Errorf("field %d has no attributes", f)
		}
	}
	for from, to := range providers {
		if from != strings.ToLower(from) || providers[to] != to {
			t.Errorf("provider %q becomes %q, which is not final", from, to)
		}
	}
	for from := range operations {
		if from != strings.ToLower(from) {
			t.Errorf("operation %q is compared in lower case", from)
		}
	}
}
