package agentproc_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/agent.md has every event, and every member of a reading.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	for file, names := range map[string]string{
		"event.go": `kind\w+ += "(\w+)"`,
		"proc.go":  `"((?:process|openclaw_trace)\.[\w.]+)"`,
	} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(names).FindAllSubmatch(src, -1)
		if len(found) < 9 {
			t.Errorf("%s: only %d names", file, len(found))
		}
		for _, m := range found {
			if !strings.Contains(string(doc), "`"+string(m[1])+"`") {
				t.Errorf("docs/agent.md lacks `%s`", m[1])
			}
		}
	}
}
