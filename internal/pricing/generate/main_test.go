package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixture has each thing that the generator knows once, the way a bundler writes it.
const fixture = `const E = [
  {
    id: "zeta",
    name: "Zeta",
    pricing_urls: ["https://zeta.example/prices"],
    fallback_model_providers: ["alpha", "beta"],
    extractors: [{ root: "usage", mappings: [{ path: ["a", "b"], required: !0 }] }],
    models: [
      {
        id: "Plain",
        description: ` + "`Two\nlines.\n`" + `,
        match: { equals: "plain" },
        context_window: 2e5,
        prices: { input_mtok: .8, output_mtok: 24, web_searches_kcount: 10 }
      },
      {
        id: "tiers",
        match: { or: [{ equals: "tiers" }, { starts_with: "Tiers-" }, { contains: "-tier-" }, { ends_with: "-tiers" }] },
        prices: {
          input_mtok: { base: 3, tiers: [{ start: 2e5, price: 6 }] },
          cache_read_mtok: .3,
          cache_write_mtok: 3.75,
          cache_write_1h_mtok: 6,
          output_mtok: { base: 15, tiers: [{ start: 2e5, price: 22.5 }, { start: 1e6, price: 30 }] },
          output_reasoning_mtok: 0.08333333333333334,
          requests_kcount: 12
        }
      },
      {
        id: "history",
        match: { or: [{ regex: "^history-\\d{8}$" }, { regex: "^old\\.history-\\d" }] },
        prices: [
          { prices: { input_mtok: 1 } },
          { constraint: { start_date: "2026-01-31", type: "start_date" }, prices: { input_mtok: 2 } },
          { constraint: { start_time: "01:00:00Z", end_time: "04:30:00Z", type: "time_of_date" }, prices: { input_mtok: 4 } }
        ]
      },
      {
        id: "both",
        match: { and: [{ starts_with: "both" }, { or: [{ contains: "x" }, { regex: "^(?!.*-[tT][tT][sS](?:$|-))" }] }] },
        prices: { input_mtok: 1, output_mtok: 1 }
      },
      { id: "gift:free", match: { equals: "gift:free" }, prices: {} },
      { id: "sound", match: { equals: "sound" }, prices: { audio_hours: .36 } }
    ]
  },
  { id: "alpha", name: "Alpha", models: [] }
], J = { requests: { per: 1e3 } };
function g() { return J; }
`

const want = `
[alpha]

[zeta] alpha beta
plain		in=0.8 out=24
tiers	tiers-* *-tier-* *-tiers	in=3 out=15 cr=0.3 cw=3.75 cw1h=6 reason=0.083333333 req=12000 >200000 in=6 out=22.5 >1000000 out=30
history	history-######## old.history-#*	in=1 | @2026-01-31 in=2 | @2026-01-31 01:00-04:30 in=4
both	both*&*x* both*&!*-tts&!*-tts-*	in=1 out=1
sound		-
`

// archive packs files as npm does.
func archive(t *testing.T, js string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range []struct{ name, text string }{
		{"package/LICENSE", "The Licence\n\nCopyright (c) Somebody\n\nDo as you like.\n"},
		{"package/README.md", "# Prices"},
		{"package/dist/index.js", js},
		{"package/package.json", `{"name": "@somebody/prices", "version": "1.2.3", "license": "MIT"}`},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tgz := filepath.Join(dir, "prices-1.2.3.tgz")
	if err := os.WriteFile(tgz, archive(t, fixture), 0o600); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, name := range []string{"a.txt", "b.txt"} {
		out := filepath.Join(dir, name)
		if err := run(tgz, "2026-01-31", out); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if texts[0] != texts[1] {
		t.Error("the same package makes different bytes")
	}
	head, body, _ := strings.Cut(texts[0], "\nlicence: MIT, Copyright (c) Somebody\n")
	if body != want {
		t.Errorf("got\n%s\nwant\n%s", body, want)
	}
	for _, line := range []string{"# Do as you like.", "source: @somebody/prices 1.2.3", "date: 2026-01-31"} {
		if !strings.Contains(head, line+"\n") && !strings.HasSuffix(head, line) {
			t.Errorf("%q is missing in\n%s", line, head)
		}
	}
}

func TestRoundedPricesAreTold(t *testing.T) {
	t.Parallel()
	files, err := unpack(bytes.NewReader(archive(t, fixture)))
	if err != nil {
		t.Fatal(err)
	}
	_, rounded, err := generate(files, "2026-01-31")
	if err != nil || len(rounded) != 1 || rounded[0] != "zeta/tiers reason=0.08333333333333334" {
		t.Errorf("%q, %v", rounded, err)
	}
}

// What is not understood must not be left out silently.
func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	model := func(match, prices string) string {
		return `const E = [{id: "p", models: [{id: "m", match: ` + match + `, prices: ` + prices + `}]}];`
	}
	for _, c := range []struct{ name, js, want string }{
		{"no data", "export default 1", "package/dist/index.js: there is no list of providers"},
		{"cut", "const E = [{id: 1", "package/dist/index.js: line 1: a comma or } is expected, not the end of the file"},
		{"a new price", model(`{equals: "m"}`, `{input_mtok: 1, cache_write_1d_mtok: 2}`), `p/m: the price "cache_write_1d_mtok" is not known`},
		{"a price below 0", model(`{equals: "m"}`, `{input_mtok: -1}`), "p/m: the price in is not a number from 0 to 1000000"},
		{"a price that is a text", model(`{equals: "m"}`, `{input_mtok: "1"}`), "p/m: the price in is not a number from 0 to 1000000"},
		{"a tier without a start", model(`{equals: "m"}`, `{input_mtok: {base: 1, tiers: [{price: 2}]}}`), "p/m: a tier begins nowhere"},
		{"no prices", `const E = [{id: "p", models: [{id: "m", match: {equals: "m"}}]}];`, "p/m: it has no prices"},
		{"no match", `const E = [{id: "p", models: [{id: "m", prices: {}}]}];`, "p/m: it has no match"},
		{"a new rule", model(`{like: "m"}`, `{}`), `p/m: the rule "like" is not known`},
		{"a new form of expression", model(`{regex: "^m(a|b)$"}`, `{}`), "p/m: the regular expression ^m(a|b)$ has no form as a pattern"},
		{"an expression for a middle", model(`{regex: "m"}`, `{}`), "p/m: the regular expression m has no form as a pattern"},
		{"a name that is a pattern", model(`{equals: "m*"}`, `{}`), `p/m: "m*" has characters that mean something in a pattern`},
		{"a new constraint", model(`{equals: "m"}`, `[{prices: {}}, {constraint: {type: "moon"}, prices: {}}]`), `p/m: the constraint "moon" is not known`},
		{"a first period with a constraint", model(`{equals: "m"}`, `[{constraint: {type: "start_date", start_date: "2026-01-01"}, prices: {}}]`), "p/m: the first period, and no other, has no constraint"},
		{"a time of another zone", model(`{equals: "m"}`, `[{prices: {}}, {constraint: {type: "time_of_date", start_time: "01:00:00+02:00", end_time: "02:00:00Z"}, prices: {}}]`), `p/m: "01:00:00+02:00" is not a time in UTC and full minutes`},
		{"an id with a tab", `const E = [{id: "p", models: [{id: "a\tb", match: {equals: "m"}, prices: {}}]}];`, "p/a\tb: an id that a line cannot begin with"},
		{"no models", `const E = [{id: "p"}];`, "p/: a provider without an id or models"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files, err := unpack(bytes.NewReader(archive(t, c.js)))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err = generate(files, "2026-01-31"); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	if _, _, err := generate(nil, "today"); err == nil || err.Error() != `the date "today" is not like 2026-01-31` {
		t.Errorf("got %v", err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	if _, err := unpack(strings.NewReader("not an archive")); err == nil {
		t.Error("text is an archive")
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := tar.NewWriter(z).Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(&b); err == nil || err.Error() != "it has no package/package.json" {
		t.Errorf("got %v", err)
	}
}
