package readable_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/readable"
)

func TestMessages(t *testing.T) {
	f := func(stored string, want ...readable.Message) {
		t.Helper()
		if diff := cmp.Diff(want, readable.Messages(stored, "user")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", stored, diff)
		}
	}
	text := func(s string) []readable.Part { return []readable.Part{{Text: s}} }
	f("Is the door locked?", readable.Message{Role: "user", Parts: text("Is the door locked?")})
	f(`{"answer":42}`, readable.Message{Role: "user", Parts: text("{\n  \"answer\": 42\n}")})
	f(`[1,2]`, readable.Message{Role: "user", Parts: text("[\n  1,\n  2\n]")})
	f(`[{"role":"system","parts":[{"type":"text","content":"Be kind."}]},{"omitted":3},{"role":"assistant","content":"Yes.","finish_reason":"stop"}]`,
		readable.Message{Role: "system", Parts: text("Be kind.")},
		readable.Message{Omitted: 3},
		readable.Message{Role: "assistant", Parts: text("Yes."), Finish: "stop"})
	// Arguments come as JSON in a string; a result has the name of its call.
	f(`[{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"door\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"open"}]`,
		readable.Message{Role: "assistant", Parts: []readable.Part{{Kind: readable.PartCall, Name: "look", ID: "c1", Text: "{\n  \"door\": 1\n}"}}},
		readable.Message{Role: "tool", Parts: []readable.Part{{Kind: readable.PartResult, Name: "look", ID: "c1", Text: "open"}}})
	f(`[{"role":"assistant","parts":[{"type":"reasoning","content":"Hm."},{"type":"image","uri":"x"}]}]`,
		readable.Message{Role: "assistant", Parts: []readable.Part{
			{Kind: readable.PartReasoning, Text: "Hm."}, {Kind: readable.PartOther, Name: "image", Text: "{\n  \"type\": \"image\",\n  \"uri\": \"x\"\n}"}}})
}

func TestVisible(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := readable.Visible(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
	f("plain\ttext\r\n– Ω 日本", "plain\ttext\r\n– Ω 日本")
	f("\x1b]0;owned\x07", "␛]0;owned␇")
	f("\x7f\u009b2J", "␡⟨U+9B⟩2J")
	f("a\u202eb\u2066c\ufeff\U000E0041", "a⟨U+202E⟩b⟨U+2066⟩c⟨U+FEFF⟩⟨U+E0041⟩")
}

func TestNumbers(t *testing.T) {
	got := strings.Join([]string{
		readable.Count(0), readable.Count(-1234567), readable.Short(9999), readable.Short(12_345), readable.Short(4_560_000),
		readable.Dollars(0), readable.Dollars(0.000111), readable.Dollars(0.00001), readable.Dollars(1.5), readable.Dollars(12345),
		readable.Duration(480), readable.Duration(9_990), readable.Duration(61_000), readable.Duration(3_660_000), readable.Duration(90_000_000),
		readable.Size(512), readable.Size(64 << 20), readable.Percentage(12.34), readable.Plural(1, "call", "calls"), readable.Plural(2000, "call", "calls"),
		readable.Since(500), readable.Since(90_000), readable.Since(-2000),
	}, "|")
	want := "0|-1,234,567|9,999|12.3 k|4.56 M|$0|$0.0001|<$0.0001|$1.50|$12,345|480 ms|9.99 s|1 m 01 s|1 h 01 m|1 d 1 h|512 B|64 MiB|12.3%|1 call|2,000 calls|now|1 min ago|in 2 s"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
