package tail_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/tail"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// What becomes an event, as severity, type and message; "" is below WARN.
func TestMeaning(t *testing.T) {
	for line, want := range map[string]string{
		"":                                    "",
		"the error was harmless":              "",
		"0 errors, 0 warnings":                "",
		"2026-11-23T08:00:00.123Z ERROR boom": "error log 2026-11-23T08:00:00.123Z ERROR boom",
		"2026-11-23 08:00:00,123 - app - WARNING - slow":    "warning log 2026-11-23 08:00:00,123 - app - WARNING - slow",
		"2026/11/23 08:00:00 [crit] 12#0: out":              "critical log 2026/11/23 08:00:00 [crit] 12#0: out",
		"2026-11-23T08:00:00Z INFO an ERROR came":           "",
		"[2026-11-23 08:00:00] [error] boom":                "error log [2026-11-23 08:00:00] [error] boom",
		"time=2026-11-23T08:00:00Z level=warn msg=\"slow\"": "warning log time=2026-11-23T08:00:00Z level=warn msg=\"slow\"",
		"level=info msg=\"no error\"":                       "",
		"E1123 08:00:00.000000 1 main.go:1] lost":           "error log E1123 08:00:00.000000 1 main.go:1] lost",
		"I1123 08:00:00.000000 1 main.go:1] error found":    "",
		"error: no such file":                               "error log error: no such file",
		"errors: none":                                      "",
		"npm ERR! code E404":                                "error log npm ERR! code E404",
		"\x1b[31mERROR\x1b[0m boom":                         "error log ERROR boom",
		"TypeError: x is undefined":                         "error log TypeError: x is undefined",
		"java.io.IOException: closed":                       "error log java.io.IOException: closed",
		"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory": "critical log FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
		"Segmentation fault (core dumped)":                                                  "critical log Segmentation fault (core dumped)",

		"ERROR:root:boom":                                           "error log ERROR:root:boom",
		"INFO:root:an ERROR came":                                   "",
		"2026-11-23T08:00:00.000Z\tERROR\ta.go:1\tboom":             "error log 2026-11-23T08:00:00.000Z\tERROR\ta.go:1\tboom",
		"2026/11/23 08:00:00 [emerg] 1#1: bind() to [::]:80 failed": "critical log 2026/11/23 08:00:00 [emerg] 1#1: bind() to [::]:80 failed",
		"2026/11/23 08:00:00 [alert] 1#1: no":                       "critical log 2026/11/23 08:00:00 [alert] 1#1: no",
		"[Critical] no":                                             "critical log [Critical] no",
		"ERRO[0012] boom":                                           "error log ERRO[0012] boom",
		"INFO[0012] an ERROR came":                                  "",
		"TypeError [ERR_INVALID_ARG_TYPE]: no":                      "error log TypeError [ERR_INVALID_ARG_TYPE]: no",
		"Error [ERR_MODULE_NOT_FOUND]: no":                          "error log Error [ERR_MODULE_NOT_FOUND]: no",
		"npm error code E404":                                       "error log npm error code E404",
		"Nov 23 08:00:00 host app[12]: ERROR boom":                  "error log Nov 23 08:00:00 host app[12]: ERROR boom",
		"Nov 23 08:00:00 host app[12]: INFO an ERROR came":          "",
		"2026-11-23 08:00:00.123 UTC [12] ERROR:  no":               "error log 2026-11-23 08:00:00.123 UTC [12] ERROR:  no",
		"Killed 3 stale sessions":                                   "",
		"Killed":                                                    "critical log Killed",

		`{"level":"dpanic","ts":1795420800.5,"msg":"no"}`:                            "critical log no",
		`{"version":"1.1","short_message":"no","timestamp":1795420800.5,"level":3}`:  "error log no",
		`{"version":"1.1","short_message":"yes","timestamp":1795420800.5,"level":6}`: "",
		`{"level":3,"msg":"yes"}`: "",
		`{"Timestamp":"2026-11-23T08:00:00Z","Level":"Error","Message":"no"}`:                                                      "error log no",
		`{"level":"error","msg":"boom","time":"2026-11-23T08:00:00Z"}`:                                                             "error log boom",
		`{"level":50,"time":1795420800000,"msg":"boom","err":{"type":"TypeError","message":"x","stack":"TypeError: x\n    at f"}}`: "error log boom",
		`{"level":30,"msg":"error: not one"}`:                                                                                      "",
		`{"severity":"CRITICAL","message":"out","timestamp":"2026-11-23T08:00:00Z"}`:                                               "critical log out",
		`{"ctx":{"level":"info"},"level":"error","msg":"nested"}`:                                                                  "error log nested",
		`{"msg":"says \"level\":\"error\" only"}`:                                                                                  "",
		`{"lvl":"warn","ts":1795420800.5,"event":"slow"}`:                                                                          "warning log slow",
		`{"level":"error","error":"gone"}`:                                                                                         "error log gone",
		`{"level":"error"`:                                                                                                         "",
		`{"no":"level"}`:                                                                                                           "",
		`{`:                                                                                                                        "",
		"\x00\xff\xfe ERROR \xff":                                                                                                  "error log \uFFFD ERROR \uFFFD",
	} {
		t.Run("line", func(t *testing.T) {
			inWorld(t, "a.log", func(x *world) {
				x.start()
				x.write("a.log", line+"\n")
				x.wait(7 * time.Second)
				got := ""
				for _, r := range x.rows() {
					got += r.severity + " " + r.kind + " " + r.message
				}
				if got != want {
					t.Errorf("%q: got %q, want %q", line, got, want)
				}
				if b := x.w.Books(); b.Received+b.Ignored != 1 {
					t.Errorf("%q: %+v", line, b)
				}
			})
		})
	}
}

// The lines of a crash are one event.
func TestStacks(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		x.write("a.log", `INFO starting
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    f()
ValueError: no such thing
INFO between
Error: Cannot find module 'x'
    at Module._load (node:internal:1)
    at f (a.js:2)
INFO between
panic: runtime error: index out of range [1]

goroutine 1 [running]:
main.main()
	/a/main.go:3 +0x1d
exit status 2
{"level":"info","msg":"next"}
{"level":50,"msg":"pino","err":{"type":"E","message":"m","stack":"E: m\n    at g"},"reqId":7}
`)
		x.wait(4 * time.Second)
		type event struct{ severity, message, stack string }
		want := []event{
			{"error", "ValueError: no such thing", "  File \"a.py\", line 1, in <module>\n    f()\nValueError: no such thing\n"},
			{"error", "Error: Cannot find module 'x'", "    at Module._load (node:internal:1)\n    at f (a.js:2)\n"},
			{"critical", "panic: runtime error: index out of range [1]", "\ngoroutine 1 [running]:\nmain.main()\n\t/a/main.go:3 +0x1d\nexit status 2\n"},
			{"error", "pino", "E: m\n    at g"},
		}
		rows := x.rows()
		for i, r := range rows {
			if got := (event{r.severity, r.message, r.stack}); i >= len(want) || got != want[i] {
				t.Errorf("event %d: %q", i, got)
			}
		}
		if len(rows) != len(want) {
			t.Errorf("%d events", len(rows))
		} else if m := rows[3].metadata; m["exception.type"] != "E" || m["exception.message"] != "m" || m["reqId"] != 7.0 {
			t.Errorf("%v", m)
		}
	})
}

func openclawLog(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("../genai/testdata/openclaw/gateway.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A real log of OpenClaw, written in pieces and with restarts between.
func TestOpenClaw(t *testing.T) {
	data := openclawLog(t)
	warn := bytes.Count(data, []byte(`"logLevelName":"WARN"`)) + bytes.Count(data, []byte(`"logLevelName":"ERROR"`))
	all := bytes.Count(data, []byte("\n"))
	if warn == 0 || all < warn {
		t.Fatal("the log is not what it was")
	}
	var before []row
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 2))
		inWorld(t, "openclaw-YYYY-MM-DD.log", func(x *world) {
			x.opts.KeepEvents = seed%2 == 1
			x.until(begin.Add(24 * time.Hour)) // so that no line waits for a record
			x.start()
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(20_000))
				x.write("openclaw-2026-11-23.log", string(rest[:n]))
				rest = rest[n:]
				x.wait(time.Duration(random.IntN(1500)) * time.Millisecond)
				if random.IntN(4) == 0 {
					x.stop()
					x.start()
				}
			}
			x.wait(10 * time.Second)
			var errors, events []row
			names := make(map[string]int)
			for _, r := range x.rows() {
				delete(r.metadata, "log.file.path")
				if r.table == "error" {
					errors = append(errors, r)
				} else {
					events = append(events, r)
					names[r.kind]++
				}
			}
			if len(errors) != warn {
				t.Errorf("%d errors, want %d", len(errors), warn)
			}
			if want := map[string]int{"openclaw.run.ended": 5}; x.opts.KeepEvents && fmt.Sprint(names) != fmt.Sprint(want) || !x.opts.KeepEvents && len(events) > 0 {
				t.Errorf("events %v", names)
			}
			if b := x.w.Books(); b.Received+b.Ignored != int64(all) || b.Duplicates+b.Refused != 0 {
				t.Errorf("%d lines, %+v", all, b)
			}
			if diff := cmp.Diff(before, errors, cmp.AllowUnexported(row{})); before != nil && diff != "" {
				t.Errorf("the rows depend on how the file was written:\n%s", diff)
			}
			before = errors
		})
	}
	for _, r := range before {
		if r.metadata["openclaw.event"] == "embedded_run_agent_end" {
			if r.kind != "llm_error" || !strings.Contains(r.message, "429 Rate limit reached") && !strings.Contains(r.message, "Rate limit reached") ||
				r.metadata["openclaw.subsystem"] != "agent/embedded" || r.metadata["log.trace_id"] != "7bde533be2be2f2a2084efa42ea45434" {
				t.Errorf("%+v", r)
			}
			return
		}
	}
	t.Error("the failed run is missing")
}

// What comes as a log record too is one event, whichever comes first, with its content
// exported or without.
func TestOpenClawTwice(t *testing.T) {
	data := openclawLog(t)
	records, err := filepath.Glob("../genai/testdata/openclaw/926-*-logs.pb")
	if err != nil || len(records) == 0 {
		t.Fatal("no records", err)
	}
	// What happens: a line is written, a request arrives some seconds after its records.
	type moment struct {
		at   time.Time
		line []byte
		sent *writer.Batch
	}
	var moments []moment
	lines, sent := 0, 0
	for line := range bytes.Lines(data) {
		var l struct{ Time time.Time }
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		moments = append(moments, moment{at: l.Time, line: line})
		if bytes.Contains(line, []byte(`"logLevelName":"WARN"`)) || bytes.Contains(line, []byte(`"logLevelName":"ERROR"`)) {
			lines++
		}
	}
	for _, name := range records {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := genai.Logs(body, otlp.Protobuf, 16<<10)
		if err != nil {
			t.Fatal(err)
		}
		last := begin.UnixMilli()
		for _, e := range m.Batch.Errors {
			last = max(last, e.CreatedAt)
		}
		sent += len(m.Batch.Errors)
		moments = append(moments, moment{at: time.UnixMilli(last).Add(5 * time.Second), sent: m.Batch})
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint("file comes late: ", late), func(t *testing.T) {
			inWorld(t, "a.log", func(x *world) {
				x.start()
				for _, m := range moments {
					x.until(m.at)
					if m.sent != nil {
						_, err := x.w.Submit(&writer.Batch{Errors: m.sent.Errors})
						x.must(err)
					} else if !late {
						x.write("a.log", string(m.line))
					}
				}
				if late {
					x.write("a.log", string(data))
				}
				x.wait(time.Minute)
				s := x.tail.Status()
				rows := x.rows()
				if s.Twins != 6 || int64(len(rows)) != int64(sent+lines)-s.Twins {
					t.Errorf("%d rows of %d records and %d lines, of which %d are the same", len(rows), sent, lines, s.Twins)
				}
			})
		})
	}
}

// A line that matters to nobody costs little: the bench names the bytes per second.
func BenchmarkUninteresting(b *testing.B) {
	var info []byte
	for line := range bytes.Lines(openclawLog(b)) {
		if bytes.Contains(line, []byte(`"logLevelName":"INFO"`)) {
			info = append(info, line...)
		}
	}
	var text []byte
	for n := range 1000 {
		text = fmt.Appendf(text, "2026-11-23T08:00:00.%03dZ INFO  gateway/ws res agent %dms runId=5d64a37b-18d3-4f39-a644-57dc7bfdf71a\n", n, n)
	}
	for name, data := range map[string][]byte{"openclaw": info, "text": text} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				for line := range bytes.Lines(data) {
					if !tail.Uninteresting(line) {
						b.Fatalf("%s", line)
					}
				}
			}
		})
	}
}
