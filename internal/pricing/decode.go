package pricing

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// provider is a seller of models, or the vendor that named them.
type provider struct {
	models   []model  // in the source's order: the first that matches counts
	fallback []string // providers whose models it sells at their prices
}

// decode reads prices.txt. Its lines are
//
//	# what the table is, and the source's licence
//	source: NAME VERSION
//	date: YYYY-MM-DD
//	licence: NAME
//	[PROVIDER] FALLBACK …
//	MODEL <tab> PATTERN … <tab> PERIOD | PERIOD …
//
// where a period is
//
//	@YYYY-MM-DD HH:MM-HH:MM in=3 out=15 … >200000 in=6 out=22.5 …
//
// in USD per 1,000,000 tokens (req: requests): from that day on, between those times of the day (UTC),
// and above that number of input tokens; what a tier does not name is as below it. A
// period of "-" has no price per token: the source lists the model, and it is not to be
// priced by guessing either. The last period that holds counts.
//
// The table keeps the text, and parts of it as its strings.
func decode(text string) (*base, error) {
	t := &base{providers: make(map[string]*provider)}
	id, p := "", (*provider)(nil)
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[':
			var rest string
			id, rest, _ = strings.Cut(line[1:], "]")
			p = &provider{fallback: strings.Fields(rest)}
			t.providers[id] = p
			continue
		case p == nil:
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "source":
				t.info.Source = value
			case "date":
				t.info.Date = value
			case "licence":
				t.info.Licence = value
			default:
				return nil, fmt.Errorf("prices, line %d: %q is not known", n, key)
			}
			continue
		}
		columns := strings.SplitN(line, "\t", 3)
		if len(columns) != 3 {
			return nil, fmt.Errorf("prices, line %d: three columns are expected", n)
		}
		m := model{id: columns[0], name: id + "/" + columns[0], patterns: columns[1]}
		priced := false
		for text := range strings.SplitSeq(columns[2], " | ") {
			p, err := decodePeriod(text)
			if err != nil {
				return nil, fmt.Errorf("prices, line %d: %w", n, err)
			}
			m.periods = append(m.periods, p)
			priced = priced || p.tiers != nil
		}
		p.models = append(p.models, m)
		if priced {
			t.info.Models++
		}
	}
	t.info.Providers = len(t.providers)
	return t, nil
}

// dateOf returns the date of a table's text.
func dateOf(text string) string {
	_, rest, _ := strings.Cut(text, "\ndate: ")
	date, _, _ := strings.Cut(rest, "\n")
	return date
}

func decodePeriod(text string) (period, error) {
	p := period{from: always}
	var raw []tier
	for word := range strings.SplitSeq(text, " ") {
		var err error
		switch {
		case word == "-":
			continue
		case strings.HasPrefix(word, "@"):
			p.from, err = date(word[1:])
		case strings.HasPrefix(word, ">"):
			next := tier{rates: noRates}
			if len(raw) > 0 {
				next.rates = raw[len(raw)-1].rates
			}
			next.above, err = strconv.ParseInt(word[1:], 10, 64)
			raw = append(raw, next)
		case len(word) == 11 && word[5] == '-':
			var from, to time.Time
			if from, err = time.Parse("15:04", word[:5]); err == nil {
				to, err = time.Parse("15:04", word[6:])
			}
			p.start, p.end = int32(from.Hour()*3600+from.Minute()*60), int32(to.Hour()*3600+to.Minute()*60)
		default:
			if raw == nil {
				raw = []tier{{rates: noRates}}
			}
			err = raw[len(raw)-1].rates.set(word)
		}
		if err != nil {
			return p, err
		}
	}
	for i := range raw {
		raw[i].rates = raw[i].rates.fill()
	}
	p.tiers = raw
	return p, nil
}

// set takes a word of the form in=3.
func (r *rates) set(word string) error {
	key, value, _ := strings.Cut(word, "=")
	for k := range keys {
		if keys[k] != key {
			continue
		}
		usd, err := strconv.ParseFloat(value, 64)
		if err == nil {
			r[k], err = rate(usd)
		}
		return err
	}
	return fmt.Errorf("%q is not a price", word)
}

// date returns the beginning of a day in UTC.
func date(text string) (int64, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, fmt.Errorf("a date like 2026-01-31 is expected, not %.40q", text)
	}
	return t.UnixMilli(), nil
}
