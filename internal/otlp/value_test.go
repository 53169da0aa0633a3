package otlp_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

func TestAppendJSON(t *testing.T) {
	f := func(value []byte, want string) {
		t.Helper()
		oneSpan(t, spanBody(attr(value)), otlp.Protobuf, func(s *otlp.Span) {
			got := string(otlp.AppendJSON([]byte("x"), &s.Attrs[0].Value))
			if got != "x"+want {
				t.Errorf("got %s, want %s", got, want)
			}
			if !jsontext.Value(got[1:]).IsValid() { // duplicate names and invalid UTF-8 included
				t.Errorf("%s is not valid", got)
			}
		})
	}
	double := func(v float64) []byte { return fixed64(4, math.Float64bits(v)) }
	entry := func(key string, value []byte) []byte { return length(1, text(1, key), length(2, value)) }
	f(nil, `null`)
	f(text(1, "a\"b"), `"a\"b"`)
	f(varint(2, 1), `true`)
	f(varint(2, 0), `false`)
	f(varint(3, 1<<63), `-9223372036854775808`)
	f(double(0), `0`)
	f(double(math.Copysign(0, -1)), `-0`)
	f(double(0.1), `0.1`)
	f(double(1e20), `100000000000000000000`)
	f(double(1e21), `1e+21`)
	f(double(-1.5e-7), `-1.5e-07`)
	f(double(math.MaxFloat64), `1.7976931348623157e+308`)
	f(double(math.NaN()), `"NaN"`)
	f(double(math.Inf(1)), `"Infinity"`)
	f(double(math.Inf(-1)), `"-Infinity"`)
	f(text(7, "\x00\xff\xfe"), `"AP/+"`)
	f(length(5), `[]`)
	f(length(5, length(1), length(1, varint(3, 1)), length(1, length(5))), `[null,1,[]]`)
	f(length(6), `{}`)
	f(length(6, entry("a", varint(3, 1)), entry("\n", length(6, entry("", nil)))), `{"a":1,"\n":{"":null}}`)
	f(length(6, entry("a", varint(3, 1)), entry("b", nil), entry("a", varint(3, 2))), `{"b":null,"a":2}`)
	f(length(6, entry("\x00", varint(3, 1)), entry("\xff", varint(3, 2))), `{"`+"\uFFFD"+`":2}`)
}

func TestAppendJSONString(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := string(otlp.AppendJSONString(nil, s)); got != want {
			t.Errorf("%q is %s, want %s", s, got, want)
		}
	}
	f("", `""`)
	f("plain <b>&amp; 日本語 😀\u2028\u007f", `"plain <b>&amp; 日本語 😀`+"\u2028\u007f"+`"`)
	f("\"\\/", `"\"\\/"`)
	f("\b\f\n\r\t\x01\x1b[0m", `"\u0008\u000c\n\r\t\u0001\u001b[0m"`)
	f("a\x00b", `"a`+"\uFFFD"+`b"`)
	f("\xffa\xed\xa0\x80", `"`+"\uFFFDa\uFFFD"+`"`)

	r := rand.New(rand.NewPCG(3, 4))
	alphabet := []string{"a", "é", "日", "\x00", "\x1f", " ", `"`, `\`, "\xff", "\x80", "\xe6", "\xf0\x9f", "\uFFFD", "long text without anything special"}
	for range 5000 {
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		enc := otlp.AppendJSONString(nil, b.String())
		want := strings.ReplaceAll(strings.ToValidUTF8(b.String(), "\uFFFD"), "\x00", "\uFFFD")
		var got string
		if err := json.Unmarshal(enc, &got); err != nil || got != want || !jsontext.Value(enc).IsValid() {
			t.Fatalf("%q is %s: %v", b.String(), enc, err)
		}
	}
}

func BenchmarkAppendJSONString(b *testing.B) {
	for name, s := range map[string]string{
		"prose":    strings.Repeat("The quick brown fox jumps over the lazy dog, and so on. ", 300),
		"messages": strings.Repeat(`{"role":"user","content":"It said \"no\".\n"},`, 300),
		"japanese": strings.Repeat("いろはにほへとちりぬるを", 300),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			var dst []byte
			for b.Loop() {
				dst = otlp.AppendJSONString(dst[:0], s)
			}
		})
	}
}
