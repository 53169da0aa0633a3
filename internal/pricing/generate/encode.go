package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kon-rad/openclaw-trace/internal/pricing/json5"
)

// columns are the prices that are taken, by their names in the package and in ours, in
// the order of a line.
var columns = []struct {
	theirs, ours string
	times        float64 // theirs is per 1,000, ours per 1,000,000
}{
	{"input_mtok", "in", 1}, {"output_mtok", "out", 1}, {"cache_read_mtok", "cr", 1}, {"cache_write_mtok", "cw", 1},
	{"cache_write_1h_mtok", "cw1h", 1}, {"output_reasoning_mtok", "reason", 1}, {"requests_kcount", "req", 1000},
}

// ignored are the prices that are not: of what no emitter counts apart.
var ignored = regexp.MustCompile(`_kcount$|_kpages$|_hours$|_mchars$|_gpixels$|(audio|image|video|citation)(_read|_write)?_mtok$`)

// encoder writes lines and gathers what is wrong.
type encoder struct {
	out      *bytes.Buffer
	provider string
	model    string
	rounded  []string
	errs     []error
}

func (e *encoder) fail(format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf("%s/%s: %s", e.provider, e.model, fmt.Sprintf(format, args...)))
}

func (e *encoder) providers(list json5.Value) {
	sorted := slices.SortedFunc(slices.Values(list.Items), func(a, b json5.Value) int { return cmp.Compare(member(a, "id"), member(b, "id")) })
	for _, p := range sorted {
		e.provider, e.model = member(p, "id"), ""
		fmt.Fprintf(e.out, "\n[%s]", e.provider)
		if fallback, ok := p.Get("fallback_model_providers"); ok {
			for _, f := range fallback.Items {
				e.out.WriteString(" " + f.Text)
			}
		}
		e.out.WriteByte('\n')
		models, ok := p.Get("models")
		if !ok || e.provider == "" {
			e.fail("a provider without an id or models")
			continue
		}
		for _, m := range models.Items {
			e.line(m)
		}
	}
}

func (e *encoder) line(m json5.Value) {
	e.model = member(m, "id")
	if strings.HasSuffix(e.model, ":free") {
		return // a rule of OpenRouter, and not a model
	}
	if e.model == "" || strings.ContainsAny(e.model, "\t\n[#") {
		e.fail("an id that a line cannot begin with")
		return
	}
	id := strings.ToLower(e.model)
	var patterns []string
	if match, ok := m.Get("match"); ok {
		for _, parts := range e.match(*match) {
			if p := strings.Join(parts, "&"); p != id && !slices.Contains(patterns, p) { // the id matches anyway
				patterns = append(patterns, p)
			}
		}
	} else {
		e.fail("it has no match")
	}
	fmt.Fprintf(e.out, "%s\t%s\t%s\n", id, strings.Join(patterns, " "), e.periods(m))
}

// Forms of regular expressions that a pattern can say.
var (
	digits = regexp.MustCompile(`\\d(?:\{(\d+)\})?`)
	plain  = regexp.MustCompile(`^[a-z0-9./:@\-#]+$`)
)

// match returns the alternatives that the package's rules are, each of them parts that
// must all match: or, and, and what is inside them, multiplied out.
func (e *encoder) match(v json5.Value) [][]string {
	if v.Kind != json5.Object || len(v.Members) != 1 {
		e.fail("a match of one rule is expected")
		return nil
	}
	op, arg := v.Members[0].Name, v.Members[0].Value
	text := strings.ToLower(arg.Text)
	if arg.Kind == json5.String && op != "regex" && (text == "" || strings.ContainsAny(text, " \t*#&!|")) {
		e.fail("%q has characters that mean something in a pattern", text)
		return nil
	}
	switch op {
	case "equals":
		return [][]string{{text}}
	case "starts_with":
		return [][]string{{text + "*"}}
	case "ends_with":
		return [][]string{{"*" + text}}
	case "contains":
		return [][]string{{"*" + text + "*"}}
	case "regex":
		return e.regex(arg.Text)
	case "or":
		var all [][]string
		for _, item := range arg.Items {
			all = append(all, e.match(item)...)
		}
		return all
	case "and":
		all := [][]string{nil}
		for _, item := range arg.Items {
			var next [][]string
			for _, right := range e.match(item) {
				for _, left := range all {
					next = append(next, slices.Concat(left, right))
				}
			}
			all = next
		}
		return all
	}
	e.fail("the rule %q is not known", op)
	return nil
}

// regex translates the few forms that are in use: a name with digits at places, from
// its beginning, and "not for speech", which is written in full.
func (e *encoder) regex(src string) [][]string {
	if src == `^(?!.*-[tT][tT][sS](?:$|-))` {
		return [][]string{{"!*-tts", "!*-tts-*"}}
	}
	text, anchored := strings.CutPrefix(src, "^")
	text, whole := strings.CutSuffix(text, "$")
	text = digits.ReplaceAllStringFunc(text, func(m string) string {
		n, err := strconv.Atoi(digits.FindStringSubmatch(m)[1])
		if err != nil {
			n = 1
		}
		return strings.Repeat("#", n)
	})
	text = strings.NewReplacer(`\.`, ".", `\[`, "[", `\]`, "]").Replace(text)
	if !anchored || !plain.MatchString(strings.NewReplacer("[", "", "]", "", "=", "").Replace(text)) {
		e.fail("the regular expression %s has no form as a pattern", src)
		return nil
	}
	if !whole {
		text += "*"
	}
	return [][]string{{text}}
}

// periods writes a model's prices. The package lists them by date; a price for a time
// of the day that follows one with a date begins with it.
func (e *encoder) periods(m json5.Value) string {
	list, ok := m.Get("prices")
	if !ok {
		e.fail("it has no prices")
		return "-"
	}
	if list.Kind == json5.Object {
		return e.prices(*list)
	}
	var periods []string
	from, priced := "", false
	for i, item := range list.Items {
		prices, ok := item.Get("prices")
		if !ok {
			e.fail("a period has no prices")
			continue
		}
		text := e.prices(*prices)
		priced = priced || text != "-"
		window := ""
		constraint, ok := item.Get("constraint")
		switch {
		case !ok && i > 0, ok && i == 0:
			e.fail("the first period, and no other, has no constraint")
		case !ok:
		case member(*constraint, "type") == "start_date":
			from = "@" + member(*constraint, "start_date") + " "
		case member(*constraint, "type") == "time_of_date":
			window = e.clock(member(*constraint, "start_time")) + "-" + e.clock(member(*constraint, "end_time")) + " "
		default:
			e.fail("the constraint %q is not known", member(*constraint, "type"))
		}
		periods = append(periods, from+window+text)
	}
	if !priced {
		return "-"
	}
	return strings.Join(periods, " | ")
}

var clock = regexp.MustCompile(`^(\d\d:\d\d):00Z$`)

func (e *encoder) clock(text string) string {
	m := clock.FindStringSubmatch(text)
	if m == nil {
		e.fail("%q is not a time in UTC and full minutes", text)
		return ""
	}
	return m[1]
}

func (e *encoder) prices(v json5.Value) string {
	tiers := map[int64][]string{} // by the input above which they hold
	put := func(above int64, ours string, times float64, price *json5.Value, ok bool) {
		if !ok || price.Kind != json5.Number || !(price.Number >= 0 && price.Number*times <= 1e6) {
			e.fail("the price %s is not a number from 0 to 1000000", ours)
			return
		}
		nano := math.Round(price.Number * times * 1e9)
		text := strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(nano/1e9, 'f', 9, 64), "0"), ".")
		if math.Abs(price.Number*times*1e9-nano) > 1e-3 {
			e.rounded = append(e.rounded, fmt.Sprintf("%s/%s %s=%v", e.provider, e.model, ours, price.Number))
		}
		tiers[above] = append(tiers[above], ours+"="+text)
	}
	for _, c := range columns {
		price, ok := v.Get(c.theirs)
		if !ok {
			continue
		}
		if price.Kind != json5.Object {
			put(-1, c.ours, c.times, price, true)
			continue
		}
		base, ok := price.Get("base")
		put(-1, c.ours, c.times, base, ok)
		if list, ok := price.Get("tiers"); ok {
			for _, t := range list.Items {
				start, ok := t.Get("start")
				if !ok || start.Kind != json5.Number || start.Number != math.Trunc(start.Number) || start.Number < 0 {
					e.fail("a tier begins nowhere")
					continue
				}
				price, ok := t.Get("price")
				put(int64(start.Number), c.ours, c.times, price, ok)
			}
		}
	}
	for _, m := range v.Members {
		if !known(m.Name) && !ignored.MatchString(m.Name) {
			e.fail("the price %q is not known", m.Name)
		}
	}
	_, in := v.Get("input_mtok")
	if _, out := v.Get("output_mtok"); !in && !out {
		return "-"
	}
	var text []string
	for _, above := range sortedKeys(tiers) {
		if above >= 0 {
			text = append(text, ">"+strconv.FormatInt(above, 10))
		}
		text = append(text, tiers[above]...)
	}
	return strings.Join(text, " ")
}

func known(price string) bool {
	for _, c := range columns {
		if c.theirs == price {
			return true
		}
	}
	return false
}

func sortedKeys(m map[int64][]string) []int64 {
	var keys []int64
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
