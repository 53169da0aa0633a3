package redact_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestMixtures masks what comes of putting together all the texts of the tables, and
// what separates them, in JSON of several depths. The mixtures are the same each time.
func TestMixtures(t *testing.T) {
	t.Parallel()
	small := []string{
		`"`, "'", "`", `\`, `\n`, "\n", " ", ",", ":", "=", "{", "}", "[", "]", "(", ")", ";", "+", "-", "--", "a", "1", ".", "_", "/", "@", "<", ">", "f",
		"token", "password", "pass", "api_key", "Authorization", "cookie", "value", `"token":`, `"password":`, `"value":`, `"name":`, `\"value\":`,
		"curl ", "-u ", "bob:", "https://", "@host", "1//0", "hunter2", "is required", "null", "12345678", "86420864", "one-of-our-secrets", "$X", "密", "Bearer ", "Password: ", "agent:main:",
	}
	large := slices.Clone(adversarial)
	for _, w := range whole {
		large = append(large, w.secret)
	}
	for _, x := range slices.Concat(inPart, chosen) {
		large = append(large, x.text)
	}
	for _, rule := range slices.Sorted(maps.Keys(innocent)) {
		large = append(large, innocent[rule]...)
	}
	// A text that has masks already may hold parts of some.
	large = slices.DeleteFunc(large, func(s string) bool { return strings.Contains(s, "[masked:") })

	r := rand.New(rand.NewPCG(5, 6))
	text := func() string {
		var b strings.Builder
		for range 1 + r.IntN(6) {
			from := small
			if r.IntN(3) == 0 {
				from = large
			}
			b.WriteString(from[r.IntN(len(from))])
		}
		return b.String()
	}
	keys := []string{"token", "password", "value", "name", "pass", "x-api-key", "Cookie", "authorization", `password\`}
	var value func(depth int) any
	value = func(depth int) any {
		if depth == 0 {
			return text()
		}
		switch r.IntN(8) {
		case 0:
			return map[string]any{text(): value(depth - 1), text(): value(depth - 1)}
		case 1:
			return map[string]any{keys[r.IntN(len(keys))]: value(depth - 1), keys[r.IntN(len(keys))]: value(depth - 1)}
		case 2:
			return []any{value(depth - 1), value(depth - 1), value(depth - 1)}
		case 3:
			return []int64{12345678, 86420864, 4111111111111111, 1864208649, -86420864, 3}[r.IntN(6)]
		case 4:
			return []any{true, nil, 1.5e30, false}[r.IntN(4)]
		case 5:
			b, err := json.Marshal(value(depth - 1))
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		return text()
	}
	for range 10_000 {
		check(t, everything, text())
		b, err := json.Marshal(map[string]any{"a": value(4), text(): value(4)})
		if err != nil {
			t.Fatal(err)
		}
		check(t, everything, string(b))
		if t.Failed() {
			return
		}
	}
}
