package config_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/config"
)

// load fails the test on any fault or warning.
func load(t *testing.T, environ ...string) *config.Config {
	t.Helper()
	c, warnings, err := config.Load(environ)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Load(%q): error %v, warnings %q", environ, err, warnings)
	}
	return c
}

// faults returns the lines of the error.
func faults(t *testing.T, environ ...string) []string {
	t.Helper()
	c, _, err := config.Load(environ)
	if err == nil {
		t.Errorf("Load(%q): no error", environ)
		return nil
	}
	if c != nil {
		t.Errorf("Load(%q): a Config beside the error", environ)
	}
	return strings.Split(err.Error(), "\n")
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	want := &config.Config{
		Host:            "localhost",
		Port:            9090,
		OTLPPort:        4318,
		DBPath:          "/data/openclaw-trace.db",
		Synchronous:     "normal",
		MaxTextBytes:    16 << 10,
		CaptureContent:  "truncated",
		Redact:          []string{"secrets"},
		MaxBodyBytes:    16 << 20,
		LogLevel:        slog.LevelInfo,
		ShutdownTimeout: 8 * time.Second,
		PushFormat:      "json",
		PushTimeout:     30 * time.Second,
		PushMaxBytes:    5 << 20,
		PushCompression: "gzip",
		PushInterval:    5 * time.Minute,
		MetricsInterval: 15 * time.Second,
		AgentSilence:    30 * time.Minute,
		RetentionDays:   3,
		MaxDBBytes:      256 << 20,
		MinFreeBytes:    64 << 20,
		JanitorInterval: time.Minute,
	}
	if got := load(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	var empty []string
	for _, s := range config.Settings() {
		empty = append(empty, s.Name+"=")
	}
	if got := load(t, empty...); !reflect.DeepEqual(got, want) {
		t.Errorf("all variables empty: got %+v\nwant %+v", got, want)
	}
}

func TestEverySettingGiven(t *testing.T) {
	got := load(t,
		"OCT_HOST=0.0.0.0",
		"OCT_PORT=65535",
		"OCT_OTLP_PORT=0",
		"OCT_ALLOWED_HOSTS=Trace.Example, trace_1,192.168.1.5,[FE80::1]",
		"OCT_AUTH_TOKEN=12345678",
		"OCT_DB_PATH=x.db",
		"OCT_SYNCHRONOUS=full",
		"OCT_MAX_TEXT_BYTES=256",
		"OCT_CAPTURE_CONTENT=off",
		"OCT_REDACT=emails, cards",
		"OCT_PRICES_FILE=prices.json",
		"OCT_MAX_BODY_BYTES=64 MiB",
		"OCT_LOG_LEVEL=error",
		"OCT_SHUTDOWN_TIMEOUT=1m30s",
		"OCT_PUSH_ENDPOINT=https://u:p@collector.example:8443/in?k=v",
		"OCT_PUSH_FORMAT=otlp",
		"OCT_PUSH_INTERVAL=100ms",
		"OCT_PUSH_TIMEOUT=1s",
		"OCT_PUSH_MAX_BYTES=1MiB",
		"OCT_PUSH_COMPRESSION=none",
		"OCT_PUSH_HEADERS=x-key=a%2Cb, x-other=c=d",
		"OCT_PUSH_TOKEN=abcdefgh",
		"OCT_PUSH_CA_FILE=ca.pem",
		"OCT_PUSH_INSECURE=true",
		"OCT_AGENT_ID=kitchen",
		"OCT_METRICS_INTERVAL=1m",
		"OCT_AGENT_PROCESS=node .*gateway",
		"OCT_AGENT_PID_FILE=agent.pid",
		"OCT_AGENT_SILENCE=0s",
		"OCT_LOG_PATH=auto",
		"OCT_LOG_EVENTS=true",
		"OCT_RETENTION_DAYS=36500",
		"OCT_MAX_DB_BYTES=1GiB",
		"OCT_MIN_FREE_BYTES=0",
		"OCT_JANITOR_INTERVAL=24h",
		"PATH=/bin",
	)
	want := &config.Config{
		Host:            "0.0.0.0",
		Port:            65535,
		OTLPPortSet:     true,
		AllowedHosts:    []string{"trace.example", "trace_1", "192.168.1.5", "fe80::1"},
		AuthToken:       "12345678",
		DBPath:          "x.db",
		Synchronous:     "full",
		MaxTextBytes:    256,
		CaptureContent:  "off",
		Redact:          []string{"emails", "cards"},
		PricesFile:      "prices.json",
		MaxBodyBytes:    64 << 20,
		LogLevel:        slog.LevelError,
		ShutdownTimeout: 90 * time.Second,
		PushEndpoint:    "https://u:p@collector.example:8443/in?k=v",
		PushFormat:      "otlp",
		PushInterval:    100 * time.Millisecond,
		PushTimeout:     time.Second,
		PushMaxBytes:    1 << 20,
		PushCompression: "none",
		PushHeaders:     config.Headers{"x-key": "a,b", "x-other": "c=d"},
		PushToken:       "abcdefgh",
		PushCAFile:      "ca.pem",
		PushInsecure:    true,
		AgentID:         "kitchen",
		MetricsInterval: time.Minute,
		AgentProcess:    "node .*gateway",
		AgentPIDFile:    "agent.pid",
		LogPath:         "auto",
		LogEvents:       true,
		RetentionDays:   36500,
		MaxDBBytes:      1 << 30,
		JanitorInterval: 24 * time.Hour,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := got.PushEndpoint.Reveal(); got != string(want.PushEndpoint) {
		t.Errorf("Reveal: %s", got)
	}
}

func TestOTLPPortSetToItsDefault(t *testing.T) {
	if c := load(t, "OCT_PORT=4318"); c.OTLPPort != 0 {
		t.Errorf("OTLPPort is %d beside OCT_PORT 4318, want 0: one listener serves both", c.OTLPPort)
	}
	if !load(t, "OCT_OTLP_PORT=4318").OTLPPortSet {
		t.Error("OTLPPortSet is false")
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]config.Bytes{
		"1000":          1000,
		"1KiB":          1 << 10,
		"3 MiB":         3 << 20,
		"2GiB":          2 << 30,
		"8589934591GiB": 8589934591 << 30,
	} {
		if got := load(t, "OCT_MAX_TEXT_BYTES="+text).MaxTextBytes; got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}

func TestRedacts(t *testing.T) {
	for environ, want := range map[string][3]bool{
		"":                         {true, false, false},
		"OCT_REDACT=emails":        {true, true, false},
		"OCT_REDACT=cards,secrets": {true, false, true},
		"OCT_REDACT=off":           {},
	} {
		c := load(t, environ)
		if got := [...]bool{c.Redacts("secrets"), c.Redacts("emails"), c.Redacts("cards")}; got != want {
			t.Errorf("%s: secrets, emails, cards: %v, want %v", environ, got, want)
		}
	}
}

func TestSecrets(t *testing.T) {
	got := load(t, "OCT_AUTH_TOKEN=a-token-of-ours", "OCT_PUSH_ENDPOINT=https://u:pass-word@collector.example/in?key=in-query#f",
		"OCT_PUSH_TOKEN=token-of-the-remote", "OCT_PUSH_HEADERS=x-key=in-a-header").Secrets()
	if want := []string{"a-token-of-ours", "token-of-the-remote", "in-a-header", "pass-word", "in-query"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := load(t).Secrets(); len(got) != 0 {
		t.Errorf("without settings: %q", got)
	}
}

func TestMaxText(t *testing.T) {
	for environ, want := range map[string]int{"": 16384, "OCT_CAPTURE_CONTENT=off": 16384, "OCT_CAPTURE_CONTENT=full": 16 << 20} {
		if got := load(t, environ).MaxText(); got != want {
			t.Errorf("%s: %d, want %d", environ, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	f := func(environ, want string) {
		t.Helper()
		if got := faults(t, environ); !slices.Equal(got, []string{want}) {
			t.Errorf("%s\ngot  %q\nwant %q", environ, got, want)
		}
	}

	const host = "; accepted: localhost, *, an IP address or a host name, without scheme and port."
	f("OCT_HOST=localhost:9090", `OCT_HOST is "localhost:9090"`+host)
	f("OCT_HOST=http://localhost", `OCT_HOST is "http://localhost"`+host)
	f("OCT_HOST= localhost", `OCT_HOST is " localhost"`+host)
	f("OCT_HOST=127.1", `OCT_HOST is "127.1"`+host)
	f("OCT_HOST=300.0.0.1", `OCT_HOST is "300.0.0.1"`+host)
	f("OCT_HOST=[127.0.0.1]", `OCT_HOST is "[127.0.0.1]"`+host)
	f("OCT_HOST=[::1", `OCT_HOST is "[::1"`+host)
	f("OCT_HOST=[::1]:9090", `OCT_HOST is "[::1]:9090"`+host)
	f("OCT_HOST=-a.example", `OCT_HOST is "-a.example"`+host)
	f("OCT_HOST=a..example", `OCT_HOST is "a..example"`+host)
	f("OCT_HOST="+strings.Repeat("é", 101), `OCT_HOST is "`+strings.Repeat("é", 100)+`"…`+host)

	const port = "; accepted: a whole number from 1 to 65535."
	f("OCT_PORT=0", `OCT_PORT is "0"`+port)
	f("OCT_PORT=65536", `OCT_PORT is "65536"`+port)
	f("OCT_PORT=-1", `OCT_PORT is "-1"`+port)
	f("OCT_PORT=http", `OCT_PORT is "http"`+port)
	f("OCT_PORT=90.5", `OCT_PORT is "90.5"`+port)
	f("OCT_PORT= 9090", `OCT_PORT is " 9090"`+port)
	f("OCT_PORT=0x2382", `OCT_PORT is "0x2382"`+port)
	f("OCT_PORT=01000", `OCT_PORT is "01000"`+port)
	f("OCT_PORT=99999999999999999999", `OCT_PORT is "99999999999999999999"`+port)
	f("OCT_PORT=9090\nx", `OCT_PORT is "9090\nx"`+port)

	f("OCT_OTLP_PORT=-1", `OCT_OTLP_PORT is "-1"; accepted: a whole number from 0 to 65535.`)
	f("OCT_OTLP_PORT=65536", `OCT_OTLP_PORT is "65536"; accepted: a whole number from 0 to 65535.`)
	f("OCT_OTLP_PORT=9090", `OCT_OTLP_PORT is 9090, and so is OCT_PORT; accepted: another port, or 0 to do without.`)

	const hosts = "; accepted: host names or IP addresses without scheme and port, separated by commas."
	f("OCT_ALLOWED_HOSTS=a.example,https://b.example", `OCT_ALLOWED_HOSTS contains "https://b.example"`+hosts)
	f("OCT_ALLOWED_HOSTS=a.example:80", `OCT_ALLOWED_HOSTS contains "a.example:80"`+hosts)
	f("OCT_ALLOWED_HOSTS=*", `OCT_ALLOWED_HOSTS contains "*"`+hosts)
	f("OCT_ALLOWED_HOSTS=*.example", `OCT_ALLOWED_HOSTS contains "*.example"`+hosts)
	f("OCT_ALLOWED_HOSTS=a.example,", `OCT_ALLOWED_HOSTS contains ""`+hosts)
	f("OCT_ALLOWED_HOSTS="+strings.Repeat("a.", 127), `OCT_ALLOWED_HOSTS contains "`+strings.Repeat("a.", 50)+`"…`+hosts)

	const token = "OCT_AUTH_TOKEN cannot be used (its value is not shown); accepted: at least 8 printable ASCII characters without spaces."
	f("OCT_AUTH_TOKEN=1234567", token)
	f("OCT_AUTH_TOKEN=1234 5678", token)
	f("OCT_AUTH_TOKEN=12345678\n", token)
	f("OCT_AUTH_TOKEN=1234567é", token)
	f("OCT_AUTH_TOKEN=12345678\x7f", token)

	f("OCT_SYNCHRONOUS=off", `OCT_SYNCHRONOUS is "off"; accepted: normal or full.`)
	f("OCT_SYNCHRONOUS=FULL", `OCT_SYNCHRONOUS is "FULL"; accepted: normal or full.`)

	const text = "; accepted: a size of at least 256, in bytes or with the suffix KiB, MiB or GiB."
	f("OCT_MAX_TEXT_BYTES=255", `OCT_MAX_TEXT_BYTES is "255"`+text)
	f("OCT_MAX_TEXT_BYTES=-1KiB", `OCT_MAX_TEXT_BYTES is "-1KiB"`+text)
	f("OCT_MAX_TEXT_BYTES=16k", `OCT_MAX_TEXT_BYTES is "16k"`+text)
	f("OCT_MAX_TEXT_BYTES=KiB", `OCT_MAX_TEXT_BYTES is "KiB"`+text)
	f("OCT_MAX_TEXT_BYTES=1MiBKiB", `OCT_MAX_TEXT_BYTES is "1MiBKiB"`+text)
	f("OCT_MAX_TEXT_BYTES=1.5MiB", `OCT_MAX_TEXT_BYTES is "1.5MiB"`+text)
	f("OCT_MAX_TEXT_BYTES=8589934592GiB", `OCT_MAX_TEXT_BYTES is "8589934592GiB"`+text)

	const body = "; accepted: a size from 1KiB to 64MiB, in bytes or with the suffix KiB, MiB or GiB."
	f("OCT_MAX_BODY_BYTES=1023", `OCT_MAX_BODY_BYTES is "1023"`+body)
	f("OCT_MAX_BODY_BYTES=67108865", `OCT_MAX_BODY_BYTES is "67108865"`+body)

	f("OCT_CAPTURE_CONTENT=none", `OCT_CAPTURE_CONTENT is "none"; accepted: truncated, full or off.`)
	const redact = "; accepted: secrets, emails and cards, separated by commas, or off."
	f("OCT_REDACT=phones", `OCT_REDACT contains "phones"`+redact)
	f("OCT_REDACT=secrets,off", `OCT_REDACT contains "off"`+redact)

	f("OCT_LOG_LEVEL=warning", `OCT_LOG_LEVEL is "warning"; accepted: debug, info, warn or error.`)
	f("OCT_LOG_LEVEL=INFO+2", `OCT_LOG_LEVEL is "INFO+2"; accepted: debug, info, warn or error.`)

	f("OCT_SHUTDOWN_TIMEOUT=0", `OCT_SHUTDOWN_TIMEOUT is "0"; accepted: a duration of at least 1ms, such as 30s or 5m.`)
	f("OCT_SHUTDOWN_TIMEOUT=-8s", `OCT_SHUTDOWN_TIMEOUT is "-8s"; accepted: a duration of at least 1ms, such as 30s or 5m.`)
	f("OCT_SHUTDOWN_TIMEOUT=8", `OCT_SHUTDOWN_TIMEOUT is "8"; accepted: a duration of at least 1ms, such as 30s or 5m.`)

	const endpoint = "OCT_PUSH_ENDPOINT cannot be used (its value is not shown); accepted: an http or https URL with a host."
	f("OCT_PUSH_ENDPOINT=http://collector.example/in", `OCT_PUSH_ENDPOINT is "http://collector.example/in", which is not encrypted; accepted: https, or http to a loopback address, or anything together with OCT_PUSH_INSECURE=true.`)
	for _, address := range []string{"https://169.254.169.254", "http://[fe80::1]:4318"} {
		f("OCT_PUSH_ENDPOINT="+address, `OCT_PUSH_ENDPOINT is "`+address+`", a link-local address, as metadata services of clouds have; accepted: another address, or this together with OCT_PUSH_INSECURE=true.`)
	}
	f("OCT_PUSH_HEADERS=x", `OCT_PUSH_HEADERS cannot be used (its value is not shown); accepted: name=value pairs separated by commas, values percent-encoded where they hold commas.`)
	f("OCT_PUSH_ENDPOINT=collector.example", endpoint)
	f("OCT_PUSH_ENDPOINT=collector:4318", endpoint)
	f("OCT_PUSH_ENDPOINT=ftp://collector.example", endpoint)
	f("OCT_PUSH_ENDPOINT=https://", endpoint)
	f("OCT_PUSH_ENDPOINT=https://:443/in", endpoint)
	f("OCT_PUSH_ENDPOINT=https:collector.example", endpoint)
	f("OCT_PUSH_ENDPOINT=https://collector.example:99999", endpoint)
	f("OCT_PUSH_ENDPOINT=https://collector.example:0", endpoint)
	f("OCT_PUSH_ENDPOINT=https://collector.example\n", endpoint)

	f("OCT_PUSH_INTERVAL=99ms", `OCT_PUSH_INTERVAL is "99ms"; accepted: a duration of at least 100ms, such as 30s or 5m.`)
	f("OCT_PUSH_INTERVAL=5", `OCT_PUSH_INTERVAL is "5"; accepted: a duration of at least 100ms, such as 30s or 5m.`)

	f("OCT_AGENT_PROCESS=a(", `OCT_AGENT_PROCESS is "a(", which is no regular expression; accepted: a name or a regular expression.`)
	f("OCT_RETENTION_DAYS=0", `OCT_RETENTION_DAYS is "0"; accepted: a whole number from 1 to 36500.`)
	f("OCT_RETENTION_DAYS=36501", `OCT_RETENTION_DAYS is "36501"; accepted: a whole number from 1 to 36500.`)
}

func TestAllFaultsAtOnce(t *testing.T) {
	got := faults(t,
		"OCT_HOST=0.0.0.0",
		"OCT_PORT=x",
		"OCT_OTLP_PORT=x",
		"OCT_ALLOWED_HOSTS=a b,c:1",
		"OCT_AUTH_TOKEN=short",
		"OCT_SYNCHRONOUS=x",
		"OCT_MAX_TEXT_BYTES=x",
		"OCT_MAX_BODY_BYTES=x",
		"OCT_LOG_LEVEL=x",
		"OCT_SHUTDOWN_TIMEOUT=x",
		"OCT_PUSH_ENDPOINT=x",
		"OCT_PUSH_INTERVAL=x",
		"OCT_RETENTION_DAYS=x",
	)
	var names []string
	for _, line := range got {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	slices.Sort(names)
	// OCT_HOST is absent: whether it may be used depends on the token, which is wrong.
	want := []string{
		"OCT_ALLOWED_HOSTS", "OCT_ALLOWED_HOSTS", "OCT_AUTH_TOKEN", "OCT_LOG_LEVEL", "OCT_MAX_BODY_BYTES",
		"OCT_MAX_TEXT_BYTES", "OCT_OTLP_PORT", "OCT_PORT", "OCT_PUSH_ENDPOINT", "OCT_PUSH_INTERVAL",
		"OCT_RETENTION_DAYS", "OCT_SHUTDOWN_TIMEOUT", "OCT_SYNCHRONOUS",
	}
	if !slices.Equal(names, want) {
		t.Errorf("faults of %q\nwant      %q\n%s", names, want, strings.Join(got, "\n"))
	}
}

func TestListen(t *testing.T) {
	f := func(host string, loopback bool, want ...string) {
		t.Helper()
		c := load(t, "OCT_HOST="+host, "OCT_AUTH_TOKEN=12345678")
		if got := c.ListenHosts(); !slices.Equal(got, want) {
			t.Errorf("%s: ListenHosts %q, want %q", host, got, want)
		}
		if loopback {
			load(t, "OCT_HOST="+host)
			return
		}
		fault := `OCT_HOST is "` + c.Host + `" but OCT_AUTH_TOKEN is not set; accepted: localhost, an address in 127.0.0.0/8, ::1, or anything together with a token.`
		if got := faults(t, "OCT_HOST="+host); !slices.Equal(got, []string{fault}) {
			t.Errorf("%s without a token: %q", host, got)
		}
	}
	f("", true, "127.0.0.1", "::1")
	f("localhost", true, "127.0.0.1", "::1")
	f("LocalHost", true, "127.0.0.1", "::1")
	f("127.0.0.1", true, "127.0.0.1")
	f("127.8.9.10", true, "127.8.9.10")
	f("::1", true, "::1")
	f("[::1]", true, "::1")
	f("0:0:0:0:0:0:0:1", true, "::1")
	f("::ffff:127.0.0.1", true, "::ffff:127.0.0.1")

	f("0.0.0.0", false, "0.0.0.0")
	f("::", false, "::")
	f("[::]", false, "::")
	f("::ffff:0.0.0.0", false, "::ffff:0.0.0.0")
	f("*", false, "")
	f("192.168.1.5", false, "192.168.1.5")
	f("128.0.0.1", false, "128.0.0.1")
	f("fe80::1%eth0", false, "fe80::1%eth0")
	f("trace.example", false, "trace.example")
	f("localhost.example", false, "localhost.example")
	f("127.0.0.1.example", false, "127.0.0.1.example")
}

func TestSecretFile(t *testing.T) {
	const token = "0123456789abcdef"
	for _, content := range []string{token, token + "\n", token + "\r\n"} {
		path := writeFile(t, content)
		c := load(t, "OCT_AUTH_TOKEN=", "OCT_AUTH_TOKEN_FILE="+path, "OCT_HOST=0.0.0.0")
		if got := c.AuthToken.Reveal(); got != token {
			t.Errorf("file %q: token %q", content, got)
		}
		if c.AuthTokenFile != path {
			t.Errorf("AuthTokenFile %q, want %q", c.AuthTokenFile, path)
		}
	}

	// The largest file that is read.
	big := strings.Repeat("x", 64<<10)
	if got := load(t, "OCT_AUTH_TOKEN_FILE="+writeFile(t, big)).AuthToken.Reveal(); got != big {
		t.Errorf("file of 64 KiB: token of %d bytes", len(got))
	}
}

func TestSecretFileFaults(t *testing.T) {
	// The host needs a token, which is only one more fault if none was meant.
	f := func(path, want string, environ ...string) {
		t.Helper()
		got := faults(t, append(environ, "OCT_HOST=0.0.0.0", "OCT_AUTH_TOKEN_FILE="+path)...)
		if !slices.Equal(got, []string{want}) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	const accepted = "; accepted: the path of a readable, non-empty file of at most 64 KiB."
	prefix := func(path string) string { return `OCT_AUTH_TOKEN_FILE is "` + path + `", which ` }

	missing := filepath.Join(t.TempDir(), "none")
	f(missing, prefix(missing)+"cannot be read (no such file or directory)"+accepted)
	dir := t.TempDir()
	f(dir, prefix(dir)+"cannot be read (is a directory)"+accepted)
	empty := writeFile(t, "")
	f(empty, prefix(empty)+"is empty"+accepted)
	newline := writeFile(t, "\n")
	f(newline, prefix(newline)+"is empty"+accepted)
	large := writeFile(t, strings.Repeat("x", 64<<10+1))
	f(large, prefix(large)+"is too large"+accepted)

	short := writeFile(t, "short\n")
	f(short, `OCT_AUTH_TOKEN in "`+short+`" cannot be used (its value is not shown); accepted: at least 8 printable ASCII characters without spaces.`)
	two := writeFile(t, "12345678\n12345678\n")
	f(two, `OCT_AUTH_TOKEN in "`+two+`" cannot be used (its value is not shown); accepted: at least 8 printable ASCII characters without spaces.`)
	f(two, "OCT_AUTH_TOKEN and OCT_AUTH_TOKEN_FILE are both set; accepted: one of them.", "OCT_AUTH_TOKEN=12345678")
}

func TestUnknownVariables(t *testing.T) {
	f := func(environ string, want ...string) {
		t.Helper()
		c, warnings, err := config.Load([]string{environ})
		if c == nil || err != nil || !slices.Equal(warnings, want) {
			t.Errorf("%s: error %v, warnings\n%q, want\n%q", environ, err, warnings, want)
		}
	}
	const ignored = " is not a setting of this version and is ignored."
	f("OCT_COLOUR=1", "OCT_COLOUR"+ignored)
	f("OCT_PRT=1", "OCT_PRT"+ignored+" Did you mean OCT_PORT?")
	f("OCT_PORTS=1", "OCT_PORTS"+ignored+" Did you mean OCT_PORT?")
	f("OCT_SORT=1", "OCT_SORT"+ignored+" Did you mean OCT_PORT?")
	f("OCT_PROT=1", "OCT_PROT"+ignored+" Did you mean OCT_PORT?")
	f("OCT_=1", "OCT_"+ignored)
	f("OCT_DB=1", "OCT_DB"+ignored)
	f("OCT_COLOUR=")
	f("XOCT_PORT=1")
	f("OCTOPUS=1")

	_, warnings, err := config.Load([]string{"OCT_B=1", "OCT_PORT=x", "OCT_A=1"})
	if want := []string{"OCT_A" + ignored, "OCT_B" + ignored}; err == nil || !slices.Equal(warnings, want) {
		t.Errorf("with a fault: error %v, warnings %q", err, warnings)
	}
}
