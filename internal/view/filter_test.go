package view_test

import (
	"errors"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/view"
)

var allParams = slices.Concat(view.CallParams, []string{"kind", "severity", "name", "fingerprint"})

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(8) {
		b.WriteString(pick(r, "a", "model:", `"`, `\`, " ", "  ", "é", ":", "\n", "q:", "<b>", "%", "+", "&", "=", "\t", "session:x", "日"))
	}
	return b.String()
}

func randomInstant(r *rand.Rand) view.Instant {
	switch r.IntN(3) {
	case 0:
		return view.Instant{Ago: time.Duration(r.Int64N(1e6)) * pick(r, time.Millisecond, time.Second, time.Hour)}
	case 1:
		return view.Instant{At: 1 + r.Int64N(200_000_000_000_000)}
	}
	return view.Instant{}
}

func randomFilter(r *rand.Rand) view.Filter {
	f := view.Filter{
		Since: randomInstant(r), Until: randomInstant(r), Zone: pick(r, "", "utc", "+02:00", "-0530"),
		Provider: randomText(r), Model: randomText(r), Agent: randomText(r), Session: randomText(r), Operation: randomText(r),
		Status: pick(r, "", "ok", "failed"), Text: randomText(r), Kind: pick(r, "", "span"), Severity: pick(r, "", "critical"),
		Name: randomText(r), Fingerprint: randomText(r), MinLatencyMS: pick[int64](r, 0, 1, 1500, 60_000, 90*24*3600_000),
		MinCostUSD: pick(r, 0, 0.05, 1e-9, 12345.678),
	}
	return f
}

// What a filter prints is read back as the same filter, in a URL and in a line.
func TestFilterRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		f := randomFilter(r)
		encoded := f.Query().Encode()
		v, err := url.ParseQuery(encoded)
		if err != nil {
			t.Fatal(err)
		}
		got, err := view.Parse(v, allParams...)
		if err != nil || got != f {
			t.Fatalf("%s: %v\n%s", encoded, err, cmp.Diff(f, got))
		}
		got, err = view.ParseLine(view.Filter{Since: f.Since, Until: f.Until, Zone: f.Zone}, f.Line(), allParams...)
		if err != nil || got != f {
			t.Fatalf("%s: %v\n%s", f.Line(), err, cmp.Diff(f, got))
		}
	}
}

func TestCursorRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		c := view.Cursor{At: r.Int64(), ID: r.Int64N(1 << 40), Key: randomText(r)}
		got, err := view.ParseCursor(c.String())
		if err != nil || got != c {
			t.Fatalf("%q: %v, %v", c.String(), got, err)
		}
	}
	for _, s := range []string{"x", "1", "1.", "-1.2", "1.-2", "1.x", ".", "99999999999999999999.1", "1.2." + strings.Repeat("a", 2000)} {
		if c, err := view.ParseCursor(s); err == nil {
			t.Errorf("%q is %v", s, c)
		}
	}
}

func TestParse(t *testing.T) {
	at := func(s string) view.Instant {
		d, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return view.Instant{At: d.UnixMilli()}
	}
	for query, want := range map[string]view.Filter{
		"":                                     {},
		"model=":                               {},
		"since=24h":                            {Since: view.Instant{Ago: 24 * time.Hour}},
		"since=now-6h&until=now":               {Since: view.Instant{Ago: 6 * time.Hour}},
		"since=7d":                             {Since: view.Instant{Ago: 7 * 24 * time.Hour}},
		"since=2w":                             {Since: view.Instant{Ago: 14 * 24 * time.Hour}},
		"since=1h30m":                          {Since: view.Instant{Ago: 90 * time.Minute}},
		"since=2026-11-25T06:00Z":              {},
		"since=2026-11-25":                     {Since: at("2026-11-25T00:00:00Z")},
		"since=2026-11-25T06:00":               {Since: at("2026-11-25T06:00:00Z")},
		"since=2026-11-25+06:00":               {Since: at("2026-11-25T06:00:00Z")},
		"since=1970-01-01":                     {Since: view.Instant{At: 1}},
		"since=2026-11-25T06:00:00.5Z":         {Since: at("2026-11-25T06:00:00.5Z")},
		"since=2026-11-25T06:00:00+02:00":      {Since: at("2026-11-25T04:00:00Z")},
		"since=2026-11-25T06:00:00%2B02:00":    {Since: at("2026-11-25T04:00:00Z")},
		"since=2026-11-25T06:00&zone=%2B02:00": {Since: at("2026-11-25T04:00:00Z"), Zone: "+02:00"},
		"since=2026-11-25T06:00&zone=+02:00":   {Since: at("2026-11-25T04:00:00Z"), Zone: "+02:00"},
		"min_latency=1500":                     {MinLatencyMS: 1500},
		"min_latency=1.5s":                     {MinLatencyMS: 1500},
		"min_cost=0.05&q=a%20b":                {MinCostUSD: 0.05, Text: "a b"},
		"status=failed&kind=error":             {Status: "failed", Kind: "error"},
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := view.Parse(v, allParams...)
		if query == "since=2026-11-25T06:00Z" {
			if err == nil {
				t.Errorf("%s: no error", query)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s: %v\n%s", query, err, cmp.Diff(want, got))
		}
	}
}

// A wrong parameter is named.
func TestParseErrors(t *testing.T) {
	for query, name := range map[string]string{
		"since=yesterday": "since", "since=-1h": "since", "since=1e9h": "since", "until=2026-13-01": "until", "since=1950-01-01": "since",
		"since=now": "since", "since=0s": "since", "since=now-0m": "since", "since=99999999999d": "since", "zone=Nowhere/Town": "zone", "zone=../etc/passwd": "zone", "zone=/etc/passwd": "zone", "zone=%2B99:00": "zone",
		"status=good": "status", "min_latency=-1": "min_latency", "min_latency=fast": "min_latency",
		"min_cost=-1": "min_cost", "min_cost=NaN": "min_cost", "min_cost=Inf": "min_cost", "kind=x": "kind", "severity=info": "severity",
		"colour=red": "colour", "model=a&model=b": "model", "q=%ff": "q", "q=" + strings.Repeat("a", 1025): "q",
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = view.Parse(v, allParams...)
		if e, ok := errors.AsType[*view.ParamError](err); !ok || e.Name != name || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: %v", query, err)
		}
	}
	if _, err := view.Parse(url.Values{"kind": {"span"}}, view.CallParams...); err == nil {
		t.Error("a parameter of another list is taken")
	}
}

func TestParseLine(t *testing.T) {
	zone := view.Filter{Since: view.Instant{Ago: time.Hour}, Zone: "utc", Model: "old"}
	for line, want := range map[string]view.Filter{
		"": {},
		`model:opus status:failed min_cost:0.05 refund  now`: {Model: "opus", Status: "failed", MinCostUSD: 0.05, Text: "refund now"},
		`session:"telegram: a \"b\"" x`:                      {Session: `telegram: a "b"`, Text: "x"},
		`http://example.com q:x`:                             {Text: "http://example.com q:x"},
		`"model:opus"`:                                       {Text: "model:opus"},
		`"not closed`:                                        {Text: "not closed"},
		`model:a:b`:                                          {Model: "a:b"},
		`since:2h x`:                                         {Since: view.Instant{Ago: 2 * time.Hour}, Text: "x"},
	} {
		if want.Since == (view.Instant{}) {
			want.Since = zone.Since
		}
		want.Zone = "utc"
		if got, err := view.ParseLine(zone, line, allParams...); err != nil || got != want {
			t.Errorf("%s: %v\n%s", line, err, cmp.Diff(want, got))
		}
	}
	if _, err := view.ParseLine(zone, "kind:span", view.CallParams...); err == nil {
		t.Error("a parameter of another list is taken")
	}
}
