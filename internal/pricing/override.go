package pricing

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/kon-rad/openclaw-trace/internal/pricing/json5"
)

// maxErrors bounds the entries that an error of With tells about.
const maxErrors = 50

// With returns a table in which the prices of a file go before those of t. The file is
// in the form of docs/prices.md, or an openclaw.json, of which only the costs below
// models.providers are read. Its error joins one for each bad entry, up to 50, and says
// in which file, line and field it is and what is accepted there.
func (t *Table) With(name string, file []byte) (*Table, error) {
	doc, err := json5.Parse(file)
	if err != nil {
		line := 1
		if e, ok := errors.AsType[*json5.Error](err); ok {
			line, err = e.Line, errors.New(e.Reason)
		}
		return nil, fmt.Errorf("%s:%d: the file is not JSON: %w", name, line, err)
	}
	r := &reader{file: name, seen: make(map[string]int)}
	if prices, ok := doc.Get("prices"); ok {
		for _, m := range doc.Members {
			if m.Name != "prices" {
				r.fail(m.Line, m.Name, "is not known; beside prices nothing is accepted")
			}
		}
		r.prices(prices)
	} else if models, ok := doc.Get("models"); ok {
		r.openclaw(models)
	} else {
		r.fail(1, "prices", `is missing; {"prices": […]} or an openclaw.json with models.providers is expected`)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return t.with(r.entries, file), nil
}

// override is a price of a file.
type override struct {
	provider, model string // the table's name, if it has one, and lower case
	period          period
}

func (t *Table) with(list []override, file []byte) *Table {
	sum := sha256.Sum256(file)
	n := &Table{version: t.version, base: t.base, own: maps.Clone(t.own), overrides: t.overrides}
	n.version += "+" + hex.EncodeToString(sum[:4])
	if n.own == nil {
		n.own = make(map[string]*provider)
	}
	byProvider := make(map[string][]model)
	sort.SliceStable(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.model, b.model), cmp.Compare(a.period.from, b.period.from)) < 0
	})
	for i, o := range list {
		id := o.provider
		if i > 0 && list[i-1].provider == o.provider && list[i-1].model == o.model {
			last := &byProvider[id][len(byProvider[id])-1]
			last.periods = append(last.periods, o.period)
			continue
		}
		m := model{id: o.model, name: id + "/" + o.model}
		if strings.ContainsAny(o.model, "*#") {
			m.patterns = o.model
		}
		// Before the first day of the file what held before goes on.
		if o.period.from != always && m.patterns == "" {
			if e := t.resolve(o.provider, o.model); e.model != nil && e.match != Inferred {
				m.periods = slices.Clone(e.model.periods)
			}
		}
		m.periods = append(m.periods, o.period)
		byProvider[id] = append(byProvider[id], m)
		n.overrides++
	}
	for id, models := range byProvider {
		p := &provider{models: models}
		if before := t.own[id]; before != nil {
			p.models = append(p.models, before.models...)
		}
		n.own[id] = p
	}
	return n
}

// reader gathers the entries of a file and what is wrong with it.
type reader struct {
	file    string
	entries []override
	seen    map[string]int // the line of an entry's first appearance
	errs    []error
	more    int
}

func (r *reader) fail(line int, field, format string, args ...any) {
	if len(r.errs) == maxErrors {
		r.more++
		return
	}
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s %s", r.file, line, field, fmt.Sprintf(format, args...)))
}

func (r *reader) err() error {
	if r.more > 0 {
		r.errs = append(r.errs, fmt.Errorf("%s: %d more", r.file, r.more))
	}
	return errors.Join(r.errs...)
}

// ours and openclaws are the members that hold a price.
var (
	ours      = map[string]int{"input": input, "output": output, "cache_read": cacheRead, "cache_write": cacheWrite, "cache_write_1h": cacheWrite1h, "reasoning": reasoning}
	openclaws = map[string]int{"input": input, "output": output, "cacheRead": cacheRead, "cacheWrite": cacheWrite}
)

// prices reads our own form.
func (r *reader) prices(list *json5.Value) {
	if list.Kind != json5.Array {
		r.fail(list.Line, "prices", "is not a list; an array of objects is expected")
		return
	}
	for i := range list.Items {
		v, path := &list.Items[i], fmt.Sprintf("prices[%d]", i)
		bad := len(r.errs) + r.more
		if v.Kind != json5.Object {
			r.fail(v.Line, path, "is not an object; provider, model and at least one price are expected")
			continue
		}
		o := override{period: period{from: always}}
		base, tiers := noRates, []tier(nil)
		names := make(map[string]bool)
		for j := range v.Members {
			m := &v.Members[j]
			field := path + "." + m.Name
			if names[m.Name] {
				r.fail(m.Line, field, "is there twice")
			}
			names[m.Name] = true
			switch m.Name {
			case "provider":
				o.provider = r.name(&m.Value, field)
			case "model":
				o.model = r.name(&m.Value, field)
			case "from":
				o.period.from = r.date(&m.Value, field)
			case "tiers":
				tiers = r.tiers(&m.Value, field)
			default:
				if k, ok := ours[m.Name]; ok {
					r.rate(&base[k], &m.Value, field)
				} else {
					r.fail(m.Line, field, "is not known; provider, model, from, tiers, input, output, cache_read, cache_write, cache_write_1h and reasoning are")
				}
			}
		}
		for _, name := range []string{"provider", "model"} {
			if !names[name] {
				r.fail(v.Line, path+"."+name, "is missing; the name that calls are stored with is expected")
			}
		}
		if len(r.errs)+r.more > bad {
			continue
		}
		if base[input] == unknown && base[output] == unknown {
			r.fail(v.Line, path, "has no price; input, output or both are expected (USD per 1,000,000 tokens)")
			continue
		}
		r.add(v.Line, path, o, base, tiers)
	}
}

// openclaw reads the costs of an openclaw.json, and nothing else of it.
func (r *reader) openclaw(models *json5.Value) {
	providers, ok := models.Get("providers")
	if !ok || providers.Kind != json5.Object {
		r.fail(models.Line, "models.providers", "is missing; an object by provider is expected")
		return
	}
	for i := range providers.Members {
		p := &providers.Members[i]
		list, ok := p.Value.Get("models")
		if !ok {
			continue
		}
		for j := range list.Items {
			v, path := &list.Items[j], fmt.Sprintf("models.providers.%s.models[%d]", p.Name, j)
			cost, ok := v.Get("cost")
			if !ok {
				continue
			}
			if cost.Kind != json5.Object {
				r.fail(cost.Line, path+".cost", "is not an object; input, output, cacheRead and cacheWrite are expected")
				continue
			}
			bad := len(r.errs) + r.more
			o := override{provider: strings.ToLower(strings.TrimSpace(p.Name)), period: period{from: always}}
			if o.provider == "" {
				r.fail(p.Line, "models.providers", "has a provider without a name")
			}
			if id, ok := v.Get("id"); ok {
				o.model = r.name(id, path+".id")
			} else {
				r.fail(v.Line, path+".id", "is missing; the model's name is expected")
			}
			base := noRates
			r.costs(&base, cost, path+".cost")
			var tiers []tier
			if list, ok := cost.Get("tieredPricing"); ok {
				tiers = r.ranges(list, path+".cost.tieredPricing")
			}
			// OpenClaw writes zeros where nobody has said a price.
			if len(r.errs)+r.more > bad || base[input] <= 0 && base[output] <= 0 && len(tiers) == 0 {
				continue
			}
			if len(tiers) > 0 { // they take the place of the others
				base, tiers = tiers[0].rates, tiers[1:]
			}
			r.add(v.Line, path, o, base, tiers)
		}
	}
}

// add takes an entry. A tier has the prices below it for what it does not name.
func (r *reader) add(line int, path string, o override, base rates, tiers []tier) {
	if id, ok := tableNames[o.provider]; ok {
		o.provider = id
	}
	key := fmt.Sprintf("%q %q %d", o.provider, o.model, o.period.from)
	if first := r.seen[key]; first > 0 {
		r.fail(line, path, "is there twice; line %d has the same provider, model and date", first)
		return
	}
	r.seen[key] = line
	o.period.tiers = []tier{{rates: base.fill()}}
	for _, t := range tiers {
		for k := range t.rates {
			if t.rates[k] == unknown {
				t.rates[k] = base[k]
			}
		}
		base = t.rates
		t.rates = base.fill()
		o.period.tiers = append(o.period.tiers, t)
	}
	r.entries = append(r.entries, o)
}

func (r *reader) name(v *json5.Value, field string) string {
	text := strings.ToLower(strings.TrimSpace(v.Text))
	switch {
	case v.Kind != json5.String || text == "":
		r.fail(v.Line, field, "is not a name; a text that is not empty is expected")
	case len(text) > maxName:
		r.fail(v.Line, field, "is too long; at most %d bytes are accepted", maxName)
	case strings.ContainsAny(text, " \t\n&!"):
		r.fail(v.Line, field, "is not a name; a text without spaces, & and ! is expected, not %.40q", text)
	}
	return text
}

func (r *reader) date(v *json5.Value, field string) int64 {
	at, err := date(v.Text)
	if err != nil {
		r.fail(v.Line, field, "is not a date; a text like \"2026-01-31\" is expected (UTC)")
	}
	return at
}

func (r *reader) rate(to *int64, v *json5.Value, field string) {
	if v.Kind != json5.Number {
		r.fail(v.Line, field, "is not a number; USD per 1,000,000 tokens are expected, from 0 to %d", maxUSD)
		return
	}
	n, err := rate(v.Number)
	if err != nil {
		r.fail(v.Line, field, "is no price: %v", err)
		return
	}
	*to = n
}

// tiers reads our own: prices that hold when a call's input is above a number.
func (r *reader) tiers(v *json5.Value, field string) []tier {
	if v.Kind != json5.Array {
		r.fail(v.Line, field, "is not a list; an array of objects is expected")
		return nil
	}
	var list []tier
	for i := range v.Items {
		item, path := &v.Items[i], fmt.Sprintf("%s[%d]", field, i)
		t := tier{above: -1, rates: noRates}
		for j := range item.Members {
			m := &item.Members[j]
			if k, ok := ours[m.Name]; ok {
				r.rate(&t.rates[k], &m.Value, path+"."+m.Name)
			} else if m.Name == "above" {
				t.above = r.tokens(&m.Value, path+".above")
			} else {
				r.fail(m.Line, path+"."+m.Name, "is not known; above and the names of prices are")
			}
		}
		if _, ok := item.Get("above"); !ok {
			r.fail(item.Line, path+".above", "is missing; the input tokens that a call must exceed are expected")
		} else if len(list) > 0 && t.above <= list[len(list)-1].above {
			r.fail(item.Line, path+".above", "is not above the tier before it; ascending numbers are expected")
		}
		list = append(list, t)
	}
	return list
}

// ranges reads OpenClaw's: prices from a number of input tokens on, up to another,
// which is where the next begins.
func (r *reader) ranges(v *json5.Value, field string) []tier {
	var list []tier
	for i := range v.Items {
		item, path := &v.Items[i], fmt.Sprintf("%s[%d]", field, i)
		t := tier{rates: noRates}
		r.costs(&t.rates, item, path)
		span, ok := item.Get("range")
		if !ok || len(span.Items) == 0 {
			r.fail(item.Line, path+".range", "is missing; [from, to] in input tokens is expected")
			continue
		}
		t.above = r.tokens(&span.Items[0], path+".range") - 1
		list = append(list, t)
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].above < list[j].above })
	return list
}

// costs reads the prices of OpenClaw's among the members of an object.
func (r *reader) costs(to *rates, v *json5.Value, field string) {
	for i := range v.Members {
		if k, ok := openclaws[v.Members[i].Name]; ok {
			r.rate(&to[k], &v.Members[i].Value, field+"."+v.Members[i].Name)
		}
	}
}

func (r *reader) tokens(v *json5.Value, field string) int64 {
	if v.Kind != json5.Number || !(v.Number >= 0 && v.Number <= 1e12) || v.Number != math.Trunc(v.Number) {
		r.fail(v.Line, field, "is not a number of tokens; an integer from 0 to 1000000000000 is expected")
		return 0
	}
	return int64(v.Number)
}
