package main_test

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of commands in README.md")

// The table in README.md, between its two markers, is what --help says.
func TestREADMENamesCommands(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- commands -->\n", "<!-- /commands -->\n"
	help, err := exec.Command(binary, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| Command | What it does |\n|---|---|\n")
	escape := strings.NewReplacer("|", `\|`)
	forms := regexp.MustCompile(`(?m)^  openclaw-trace (.+)\n {8}(.+)$`).FindAllStringSubmatch(string(help), -1)
	for _, m := range forms {
		table.WriteString("| `" + escape.Replace(m[1]) + "` | " + escape.Replace(m[2]) + " |\n")
	}
	if len(forms) == 0 {
		t.Fatalf("--help names no commands:\n%s", help)
	}

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("README.md lacks the lines %q and %q", begin, end)
	}
	if got == table.String() {
		return
	}
	if !*update {
		t.Fatalf("the commands in README.md are stale; run go test ./cmd/openclaw-trace -run TestREADME -update\n%s", table.String())
	}
	if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The commands that the README shows are understood.
func TestREADMEShowsCommands(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for _, m := range regexp.MustCompile(`(?m)^openclaw-trace ([^#>|\n]+)`).FindAllStringSubmatch(block[1], -1) {
			n++
			cmd := exec.Command(binary, strings.Fields(m[1])...)
			cmd.Env = []string{"OCT_DB_PATH=" + dbPath(t), "OCT_PORT=1", "OCT_OTLP_PORT=0"}
			out, _ := cmd.CombinedOutput() // there is nothing to be shown
			if code := cmd.ProcessState.ExitCode(); code == 2 || code < 0 {
				t.Errorf("openclaw-trace %s: exit code %d: %s", m[1], code, out)
			}
		}
	}
	if n < 10 {
		t.Errorf("README.md shows %d commands", n)
	}
}
