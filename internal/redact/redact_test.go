package redact_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/redact"
)

var everything = redact.New(redact.Options{Emails: true, Cards: true, Secrets: []string{"one-of-our-secrets", "86420864"}})

// check masks s, and what comes of it once more, and checks what holds for every text.
func check(t *testing.T, m *redact.Masker, s string) (masked string, matches []redact.Match) {
	t.Helper()
	masked = m.Mask(s, func(x redact.Match) { matches = append(matches, x) })
	last := 0
	for _, x := range matches {
		if x.Start < last || x.End <= x.Start || x.End > len(s) || !known(x.Rule) {
			t.Errorf("Mask(%q) found %+v after offset %d", s, x, last)
		}
		last = x.End
	}
	if (masked == s) != (len(matches) == 0) {
		t.Errorf("Mask(%q) = %q with %d matches", s, masked, len(matches))
	}
	if again := m.Mask(masked, nil); again != masked {
		t.Errorf("Mask(%q)\n  = %q, and masked again\n  = %q", s, masked, again)
	}
	if strings.ContainsAny(s[:min(1, len(s))], `{["`) && json.Valid([]byte(s)) && !json.Valid([]byte(masked)) {
		t.Errorf("Mask(%q) = %q, which is not JSON any more", s, masked)
	}
	return masked, matches
}

func known(rule string) bool {
	return slices.ContainsFunc(redact.Rules(), func(r redact.Rule) bool { return r.ID == rule })
}

func TestWholeSecrets(t *testing.T) {
	t.Parallel()
	around := [][2]string{
		{"", ""}, {" ", " "}, {"use ", " here"}, {"\n", "\n"}, {"(", ")"}, {`"`, `"`}, {"'", "'"}, {`{"a":"`, `"}`}, {`{"a":"x\n`, `\ny"}`}, {`{"a":"{\"b\":\"x\\t`, `\"}"}`},
		{"x=", "&y"}, {"x:", ","}, {"see ", ". So"}, {"`", "`"}, {"<", ">"}, {"密", "密"}, {"x/", " "}, {"[", "]"},
	}
	for _, w := range whole {
		for _, a := range around {
			s := a[0] + w.secret + a[1]
			if strings.Contains(a[0], `{"`) && strings.Contains(w.secret, "\n") {
				continue // no JSON string has a line break
			}
			want := a[0] + "[masked:" + w.rule + "]" + a[1]
			got, _ := check(t, everything, s)
			if got != want {
				t.Errorf("Mask(%q)\n got %q\nwant %q", s, got, want)
			}
		}
	}
}

func TestPartsOfText(t *testing.T) {
	t.Parallel()
	for _, x := range slices.Concat(inPart, chosen) {
		t.Run(x.rule, func(t *testing.T) {
			want := strings.ReplaceAll(x.want, "§", "[masked:"+x.rule+"]")
			got, matches := check(t, everything, x.text)
			if got != want {
				t.Errorf("Mask(%q)\n got %q\nwant %q", x.text, got, want)
			}
			if len(matches) != 1 || matches[0].Rule != x.rule {
				t.Errorf("Mask(%q) found %+v", x.text, matches)
			}
		})
	}
}

func TestSeveral(t *testing.T) {
	t.Parallel()
	for _, x := range several {
		if got, _ := check(t, everything, x.text); got != x.want {
			t.Errorf("Mask(%q)\n got %q\nwant %q", x.text, got, x.want)
		}
	}
}

func TestChosenOnlyIfChosen(t *testing.T) {
	t.Parallel()
	m := redact.New(redact.Options{})
	for _, x := range chosen {
		if got, _ := check(t, m, x.text); got != x.text {
			t.Errorf("Mask(%q) = %q", x.text, got)
		}
	}
}

func TestInnocentTexts(t *testing.T) {
	t.Parallel()
	for rule, texts := range innocent {
		for _, text := range texts {
			for _, s := range []string{text, "see " + text + " there", "(" + text + ")"} {
				if s != text && strings.HasSuffix(text, `"`) != strings.HasPrefix(text, `"`) {
					continue
				}
				if got, matches := check(t, everything, s); got != s {
					t.Errorf("%s: Mask(%q) = %q: %+v", rule, s, got, matches)
				}
			}
		}
	}
}

func TestEveryRuleIsTested(t *testing.T) {
	t.Parallel()
	hits := make(map[string]bool)
	for _, w := range whole {
		hits[w.rule] = true
	}
	for _, x := range slices.Concat(inPart, chosen) {
		hits[x.rule] = true
	}
	ids := make(map[string]bool)
	for _, r := range redact.Rules() {
		if !hits[r.ID] && r.ID != "own_secret" {
			t.Errorf("no text is tested in which %s is found", r.ID)
		}
		if len(innocent[r.ID]) == 0 {
			t.Errorf("no text is tested that only looks like %s", r.ID)
		}
		if ids[r.ID] {
			t.Errorf("there are two rules %s", r.ID)
		}
		ids[r.ID] = true
		if strings.Trim(r.ID, "abcdefghijklmnopqrstuvwxyz_") != "" || r.What == "" {
			t.Errorf("the rule %q, %q: an ID has small letters and _, and people read What", r.ID, r.What)
		}
		if u, err := url.Parse(r.Source); err != nil || u.Scheme != "https" || u.Host == "" {
			t.Errorf("the source of %s is %q", r.ID, r.Source)
		}
	}
}

func TestOwnSecrets(t *testing.T) {
	t.Parallel()
	m := redact.New(redact.Options{Secrets: []string{"one-of-our-secrets", `with "quotes" \ and <b>`, "short", "", "named_secret", "nine/slash", "our-secrets-2"}})
	for name, x := range map[string]struct{ text, want string }{
		"alone":           {"one-of-our-secrets", "§"},
		"inside a word":   {"xxone-of-our-secretsyy", "xx§yy"},
		"twice":           {"one-of-our-secretsone-of-our-secrets", "§§"},
		"each place":      {strings.Repeat("one-of-our-secrets ", 9), strings.Repeat("§ ", 9)},
		"overlapping":     {"one-of-our-secrets-2", "§-2"},
		"other":           {"our-secrets-2", "§"},
		"plain":           {`x with "quotes" \ and <b> y`, `x § y`},
		"in JSON":         {`{"a":"with \"quotes\" \\ and <b>"}`, `{"a":"§"}`},
		"in JSON, HTML":   {`{"a":"with \"quotes\" \\ and \u003cb\u003e"}`, `{"a":"§"}`},
		"slash":           {`{"a":"nine\/slash nine/slash"}`, `{"a":"§ §"}`},
		"after an escape": {`{"a":"\none-of-our-secrets"}`, `{"a":"\n§"}`},
		"too short":       {"short", "short"},
		"part of a mask":  {"password=[masked:named_secret]", "password=[masked:named_secret]"},
	} {
		t.Run(name, func(t *testing.T) {
			want := strings.ReplaceAll(x.want, "§", "[masked:own_secret]")
			if got, _ := check(t, m, x.text); got != want {
				t.Errorf("Mask(%q) = %q, want %q", x.text, got, want)
			}
		})
	}

	numbers := redact.New(redact.Options{Secrets: []string{"1234567890123", "55556666"}})
	for name, x := range map[string]struct{ text, want string }{
		"JSON number":       {`{"n":1234567890123}`, `{"n":"§"}`},
		"in a list":         {`[1, 1234567890123 ,55556666]`, `[1, "§" ,"§"]`},
		"in a number":       {`{"n":-91234567890123.5e3,"m":1}`, `{"n":"§","m":1}`},
		"two in a number":   {`{"n":123456789012355556666}`, `{"n":"§"}`},
		"in a string":       {`{"n":"x 1234567890123"}`, `{"n":"x §"}`},
		"in JSON in JSON":   {`{"a":"{\"n\": 1234567890123,\"m\":55556666}"}`, `{"a":"{\"n\": \"§\",\"m\":\"§\"}"}`},
		"in text in JSON":   {`{"a":"n: 1234567890123"}`, `{"a":"n: §"}`},
		"in text":           {`n 1234567890123, 91234567890123`, `n §, 9§`},
		"in JSON, cut off":  {`{"n":1234567890123`, `{"n":"§"`},
		"a part of a name":  {`{"n":"a1234567890123b"}`, `{"n":"a§b"}`},
		"after other masks": {`{"password":"xyz","n":55556666,"token":"abcdefgh12345"}`, `{"password":"[masked:named_secret]","n":"§","token":"[masked:named_secret]"}`},
	} {
		t.Run(name, func(t *testing.T) {
			want := strings.ReplaceAll(x.want, "§", "[masked:own_secret]")
			if got, _ := check(t, numbers, x.text); got != want {
				t.Errorf("Mask(%q) = %q, want %q", x.text, got, want)
			}
		})
	}

	t.Run("offsets", func(t *testing.T) {
		s := "a one-of-our-secrets b password=xyz c token=one-of-our-secretszz d nine/slash"
		got, matches := check(t, m, s)
		if want := "a [masked:own_secret] b password=[masked:named_secret] c token=[masked:named_secret] d [masked:own_secret]"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		var found []string
		for _, x := range matches {
			found = append(found, x.Rule+" "+s[x.Start:x.End])
		}
		if want := []string{"own_secret one-of-our-secrets", "named_secret xyz", "named_secret one-of-our-secretszz", "own_secret nine/slash"}; !slices.Equal(found, want) {
			t.Errorf("found %q, want %q", found, want)
		}
	})
}

// A name that ends in a backslash is written with two before its quote.
func TestBackslashAtTheEndOfAName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{`password\`, `password\`, `"password"`, `x"password\"`, `x\`} {
		for _, value := range []any{682859, "abc", []any{"abc", 682859}, map[string]any{"value": 682859}} {
			var nested any = map[string]any{name: value, "secret": value}
			for range 4 {
				b, err := json.Marshal(nested)
				if err != nil {
					t.Fatal(err)
				}
				check(t, everything, string(b))
				nested = map[string]any{"a": string(b), name: string(b)}
			}
		}
	}
}

func TestNil(t *testing.T) {
	t.Parallel()
	var m *redact.Masker
	if got := m.Mask("password=abc", nil); got != "password=abc" {
		t.Errorf("a nil Masker gave %q", got)
	}
}

func TestNoAllocation(t *testing.T) {
	m := redact.New(redact.Options{Emails: true, Cards: true, Secrets: []string{"one-of-our-secrets"}})
	for name, s := range map[string]string{"prose": prose(8 << 10), "JSON": messages(8 << 10), "code": code, "base64": random(8 << 10), "short": "a", "empty": "",
		"names": "password=${X} token: none secret: nobody api_key=\"your-api-key-here\" nextPageToken=1"} {
		if n := testing.AllocsPerRun(20, func() { m.Mask(s, nil) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzMask plants each secret between two texts: it must be gone, whatever they are.
// The texts end before it as a text does where a secret may begin.
func FuzzMask(f *testing.F) {
	for rule, texts := range innocent {
		for i, s := range texts {
			f.Add(s, rule, uint16(i))
		}
	}
	for i, x := range slices.Concat(inPart, chosen) {
		f.Add(x.text, x.want, uint16(i))
	}
	for i, part := range adversarial {
		f.Add(strings.Repeat(part, 4), part, uint16(i*7))
	}
	for i, w := range whole {
		f.Add(w.secret, `"}`, uint16(i))
		f.Add(`{"a":"`, w.secret, uint16(i))
	}
	f.Fuzz(func(t *testing.T, before, after string, which uint16) {
		check(t, everything, before+after)
		for _, s := range []string{before, after} {
			if b, err := json.Marshal(map[string]any{s: s, "password": s, "x": []string{s, after}, "n": 86420864 * (1 + int64(which)%11)}); err == nil {
				check(t, everything, string(b))
				b, _ = json.Marshal(map[string]any{"a": string(b), "secret": len(b) * 1000})
				check(t, everything, string(b))
			}
		}

		w := whole[int(which)%len(whole)]
		boundary := []string{" ", "\n", `"`, "(", ",", "=\"", "\t"}[int(which)/len(whole)%7]
		end := []string{" ", "\n", `"`, ")", ","}[int(which)/len(whole)%5]
		s := before + boundary + w.secret + end + after
		masked, _ := check(t, everything, s)
		// The last part of it, which no other text here holds by chance.
		if key := w.secret[len(w.secret)/2:]; len(w.secret) > 24 && strings.Contains(masked, key) && !strings.Contains(before+after, key[:8]) {
			t.Errorf("Mask(%q) = %q still has %q", s, masked, key)
		}
	})
}
