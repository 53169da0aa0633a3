package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/config"
)

var update = flag.Bool("update", false, "rewrite the table of settings in README.md")

func TestDeclarations(t *testing.T) {
	settings := config.Settings()
	names := make(map[string]bool)
	for _, s := range settings {
		names[s.Name] = true
	}
	if len(names) != len(settings) {
		t.Error("a variable is declared twice")
	}
	for _, s := range settings {
		if !strings.HasPrefix(s.Name, "OCT_") {
			t.Errorf("%s: the prefix is OCT_", s.Name)
		}
		if s.Secret && !names[s.Name+"_FILE"] {
			t.Errorf("%s: a secret needs a field for %s_FILE", s.Name, s.Name)
		}
		if s.Secret && s.Default != "" {
			t.Errorf("%s: a secret has no default", s.Name)
		}
		if help, accepted, ok := strings.Cut(s.Help, ". Accepted: "); !ok || help == "" || !strings.HasSuffix(accepted, ".") {
			t.Errorf("%s: help %q", s.Name, s.Help)
		}
	}
}

func TestResolvedSettings(t *testing.T) {
	want := map[string]string{
		"OCT_HOST":             "::",
		"OCT_PORT":             "80",
		"OCT_OTLP_PORT":        "4318",
		"OCT_ALLOWED_HOSTS":    "a.example,::2",
		"OCT_AUTH_TOKEN":       "***",
		"OCT_AUTH_TOKEN_FILE":  "",
		"OCT_DB_PATH":          "/data/openclaw-trace.db",
		"OCT_SYNCHRONOUS":      "normal",
		"OCT_MAX_TEXT_BYTES":   "2048",
		"OCT_CAPTURE_CONTENT":  "truncated",
		"OCT_REDACT":           "secrets",
		"OCT_PRICES_FILE":      "",
		"OCT_MAX_BODY_BYTES":   "16777216",
		"OCT_LOG_LEVEL":        "debug",
		"OCT_SHUTDOWN_TIMEOUT": "1m30s",
		"OCT_PUSH_ENDPOINT":    "https://***@collector.example/in?***",
		"OCT_PUSH_FORMAT":      "json",
		"OCT_PUSH_TIMEOUT":     "30s",
		"OCT_PUSH_MAX_BYTES":   "5242880",
		"OCT_PUSH_COMPRESSION": "gzip",
		"OCT_PUSH_HEADERS":     "x-key=***",
		"OCT_PUSH_TOKEN":       "",
		"OCT_PUSH_TOKEN_FILE":  "",
		"OCT_PUSH_CA_FILE":     "",
		"OCT_PUSH_INSECURE":    "false",
		"OCT_AGENT_ID":         "",
		"OCT_PUSH_INTERVAL":    "5m0s",
		"OCT_METRICS_INTERVAL": "15s",
		"OCT_AGENT_PROCESS":    "",
		"OCT_AGENT_PID_FILE":   "",
		"OCT_AGENT_SILENCE":    "30m0s",
		"OCT_LOG_PATH":         "",
		"OCT_LOG_EVENTS":       "false",
		"OCT_RETENTION_DAYS":   "3",
		"OCT_MAX_DB_BYTES":     "268435456",
		"OCT_MIN_FREE_BYTES":   "67108864",
		"OCT_JANITOR_INTERVAL": "1m0s",
	}
	c := load(t, "OCT_HOST=[::]", "OCT_PORT=80", "OCT_ALLOWED_HOSTS=A.example, ::2", "OCT_AUTH_TOKEN=12345678",
		"OCT_MAX_TEXT_BYTES=2KiB", "OCT_LOG_LEVEL=debug", "OCT_SHUTDOWN_TIMEOUT=90s",
		"OCT_PUSH_ENDPOINT=https://u:p@collector.example/in?k=v", "OCT_PUSH_HEADERS=x-key=v")
	settings := c.Settings()
	if len(settings) != len(want) {
		t.Errorf("%d settings, want %d", len(settings), len(want))
	}
	for _, s := range settings {
		if s.Value != want[s.Name] {
			t.Errorf("%s: value %q, want %q", s.Name, s.Value, want[s.Name])
		}
	}

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "env", c)
	var line struct{ Env map[string]string }
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		if got, ok := line.Env[name]; !ok || got != value {
			t.Errorf("logged %s: %q, want %q", name, got, value)
		}
	}
}

func TestHelp(t *testing.T) {
	var b strings.Builder
	if err := config.WriteHelp(&b); err != nil {
		t.Fatal(err)
	}
	help := b.String()
	for line := range strings.Lines(help) {
		if len(strings.TrimSuffix(line, "\n")) > 80 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
	lines := strings.Split(help, "\n")
	words := " " + strings.Join(strings.Fields(help), " ") + " "
	for _, s := range config.Settings() {
		found := 0
		for _, line := range lines {
			if f := strings.Fields(line); len(f) == 3 && f[0] == s.Name && f[1] == "default:" {
				found++
				if f[2] != s.Default && (s.Default != "" || f[2] != "(none)") {
					t.Errorf("%s: default %q, want %q", s.Name, f[2], s.Default)
				}
			}
		}
		if found != 1 {
			t.Errorf("%s stands on %d lines", s.Name, found)
		}
		if !strings.Contains(words, " "+s.Help+" ") {
			t.Errorf("%s: its help is missing", s.Name)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	const canary = "c4n4ry"
	const token = "token-" + canary
	const endpoint = "https://user-" + canary + ":pass-" + canary + "@collector.example/in?key=" + canary + "#" + canary
	shown := func(where, text string) {
		t.Helper()
		// %x would hide the canary from a plain search.
		for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
			if strings.Contains(text, form) {
				t.Errorf("%s shows a secret: %s", where, text)
			}
		}
	}

	file := writeFile(t, token+"\n")
	for _, given := range []string{"OCT_AUTH_TOKEN=" + token, "OCT_AUTH_TOKEN_FILE=" + file} {
		c := load(t, given, "OCT_PUSH_ENDPOINT="+endpoint)
		if c.AuthToken.Reveal() != token || c.PushEndpoint.Reveal() != endpoint {
			t.Fatal("the secrets themselves are lost")
		}
		for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %t %c %U") {
			for _, x := range []any{c, *c, c.AuthToken, &c.AuthToken, c.PushEndpoint, &c.PushEndpoint, c.Settings()} {
				shown(fmt.Sprintf("%s of %T", verb, x), fmt.Sprintf(verb, x))
			}
		}
		for _, x := range []any{c, *c, c.AuthToken, c.PushEndpoint, c.Settings()} {
			data, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			shown(fmt.Sprintf("JSON of %T", x), string(data))
			var log bytes.Buffer
			slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "x", x)
			slog.New(slog.NewTextHandler(&log, nil)).Info("m", "x", x)
			shown(fmt.Sprintf("slog of %T", x), log.String())
		}
		shown("LogValue", c.AuthToken.LogValue().String()+c.PushEndpoint.LogValue().String()+c.LogValue().String())
	}

	// Wrong secrets, and right ones beside other faults.
	for _, environ := range [][]string{
		{"OCT_AUTH_TOKEN=" + token, "OCT_PUSH_ENDPOINT=" + endpoint, "OCT_PORT=x", "OCT_AUTH_TOKE=" + token},
		{"OCT_AUTH_TOKEN=" + token, "OCT_AUTH_TOKEN_FILE=" + file},
		{"OCT_AUTH_TOKEN=" + canary + " "},
		{"OCT_AUTH_TOKEN=" + canary},
		{"OCT_AUTH_TOKEN_FILE=" + writeFile(t, canary)},
		{"OCT_AUTH_TOKEN_FILE=" + writeFile(t, strings.Repeat(canary, 20_000))},
		{"OCT_PUSH_ENDPOINT=ftp" + endpoint},
		{"OCT_PUSH_ENDPOINT=https//user:" + canary + "@collector.example"},
		{"OCT_PUSH_ENDPOINT=https://user:" + canary + "/x@collector.example"},
		{"OCT_PUSH_ENDPOINT=https://user:" + canary + "%zz@collector.example"},
		{"OCT_PUSH_ENDPOINT=https://user:" + canary + "@collector.example:0"},
		{"OCT_PUSH_ENDPOINT=https://user:" + canary + "@"},
	} {
		_, warnings, err := config.Load(environ)
		if err == nil {
			t.Errorf("%q: no fault", environ)
			continue
		}
		shown("fault", fmt.Sprintf("%v %+v %#v", err, err, err))
		shown("warnings", strings.Join(warnings, "\n"))
	}
}

func TestURLString(t *testing.T) {
	f := func(u config.URL, want string) {
		t.Helper()
		if got := u.String(); got != want {
			t.Errorf("%s: got %s, want %s", u.Reveal(), got, want)
		}
	}
	f("", "")
	f("http://collector.example", "http://collector.example")
	f("https://collector.example:8443/a%2Fb/", "https://collector.example:8443/a%2Fb/")
	f("https://[2001:db8::1]:8443/in", "https://[2001:db8::1]:8443/in")
	f("https://user@collector.example/in", "https://***@collector.example/in")
	f("https://user:p%40ss@collector.example/in?a=b&c=d#e", "https://***@collector.example/in?***")
	f("https://collector.example?", "https://collector.example")
	// Passwords with unescaped delimiters end up elsewhere in the parsed URL.
	f("https://token/rest@collector.example", "***")
	f("https://user:12/34@collector.example", "***")
	f("https://user:12?34@collector.example", "***")
	f("https://user:12#34@collector.example", "***")
	f("https://%zz", "***")
}

func TestUnsetSecretShowsAsEmpty(t *testing.T) {
	if s := config.Secret(""); s.String() != "" || fmt.Sprint(s) != "" {
		t.Errorf("an unset secret shows as %q", s.String())
	}
}

// The table in README.md, between its two markers, is what -update writes.
func TestREADME(t *testing.T) {
	const path = "../../README.md"
	const begin, end = "<!-- settings -->\n", "<!-- /settings -->\n"

	var table strings.Builder
	table.WriteString("| Variable | Default | Meaning |\n|---|---|---|\n")
	escape := strings.NewReplacer("|", `\|`, "*", `\*`)
	for _, s := range config.Settings() {
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", s.Name, def, escape.Replace(s.Help))
	}

	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	block, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("README.md lacks the lines %q and %q", begin, end)
	}
	if block == table.String() {
		return
	}
	if !*update {
		t.Fatalf("the settings in README.md are stale; run go test ./internal/config -run TestREADME -update\n%s", table.String())
	}
	if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
