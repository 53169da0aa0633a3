package view

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrorGroup is a kind of failure: all of one error type whose messages differ only in
// numbers, ids and the like.
type ErrorGroup struct {
	Fingerprint string   `json:"fingerprint"`
	Kind        string   `json:"kind"`
	Name        string   `json:"name"`    // error type
	Message     *string  `json:"message"` // of the newest
	Severity    string   `json:"severity"`
	Count       int64    `json:"count"`
	FirstAt     int64    `json:"first_at"`
	LastAt      int64    `json:"last_at"`
	LastID      string   `json:"last_trace_id"`
	Models      []string `json:"models"` // "provider/model", at most 5
	Series      []int64  `json:"series"` // count in each 24th of the range

	times []int64
}

// ErrorGroups are the groups of a time range, the largest first.
type ErrorGroups struct {
	From       int64        `json:"from"`
	Until      int64        `json:"until"`
	Groups     []ErrorGroup `json:"groups"`
	Others     int64        `json:"others"`      // errors in groups beyond the first 200
	SearchedTo *int64       `json:"searched_to"` // set when the time was up: older ones are not counted
}

const (
	maxGroups   = 200
	maxModels   = 5
	groupSeries = 24
	maxNormal   = 200 // bytes of a normalised message
)

// ErrorGroups groups what failed in f's range. Of f it takes TimeParams, kind, severity,
// name and q, and what those of EntryParams say that calls and errors have.
func (v *View) ErrorGroups(ctx context.Context, f Filter) (*ErrorGroups, error) {
	from, until := f.Range(v.now)
	g := &ErrorGroups{From: from, Until: until, Groups: []ErrorGroup{}}
	found := make(map[string]*ErrorGroup)
	begun := time.Now()
	p := Page{Limit: maxLimit}
	for {
		p.Budget = defaultBudget - time.Since(begun)
		if p.Budget <= 0 {
			g.SearchedTo = &p.Before.At
			break
		}
		list, err := v.Entries(ctx, ErrorKinds, f, p)
		if err != nil {
			return nil, err
		}
		for i := range list.Rows {
			g.add(found, &list.Rows[i])
		}
		if list.SearchedTo != nil {
			g.SearchedTo = list.SearchedTo
			break
		}
		if list.Next == nil {
			break
		}
		p.Before = *list.Next
	}
	g.finish(found)
	return g, nil
}

func (g *ErrorGroups) add(found map[string]*ErrorGroup, e *Entry) {
	group := found[e.Fingerprint]
	if group == nil {
		if len(found) >= 10*maxGroups {
			g.Others++
			return
		}
		group = &ErrorGroup{
			Fingerprint: e.Fingerprint, Kind: e.Kind, Name: e.Name, Message: e.Message, Severity: e.Severity,
			LastAt: e.CreatedAt, LastID: e.TraceID, Models: []string{}, times: []int64{},
		}
		found[e.Fingerprint] = group
	}
	group.Count++
	group.FirstAt = e.CreatedAt
	group.times = append(group.times, e.CreatedAt)
	if e.Model != nil && len(group.Models) < maxModels {
		if m := deref(e.Provider) + "/" + *e.Model; !slices.Contains(group.Models, m) {
			group.Models = append(group.Models, m)
		}
	}
}

// finish sorts the groups and spreads their times over the range, which begins with
// the first error if it has no beginning.
func (g *ErrorGroups) finish(found map[string]*ErrorGroup) {
	if g.From == 0 {
		g.From = g.Until
		for _, group := range found {
			g.From = min(g.From, group.FirstAt)
		}
	}
	for _, group := range found {
		g.Groups = append(g.Groups, *group)
	}
	sortRows(g.Groups, func(a, b *ErrorGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(b.LastAt, a.LastAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	for _, group := range g.Groups[min(len(g.Groups), maxGroups):] {
		g.Others += group.Count
	}
	g.Groups = g.Groups[:min(len(g.Groups), maxGroups)]
	for i := range g.Groups {
		group := &g.Groups[i]
		group.Series = make([]int64, groupSeries)
		for _, at := range group.times {
			part := (at - g.From) * groupSeries / max(g.Until-g.From, 1)
			group.Series[min(max(part, 0), groupSeries-1)]++
		}
		group.times = nil
	}
}

// fingerprint returns the same for all errors of a kind and type whose messages differ
// only in numbers, ids and the like.
func fingerprint(kind, name, message string) string {
	h := fnv.New64a()
	for _, s := range [...]string{kind, name, normal(message)} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return strconv.FormatUint(h.Sum64()|1<<63, 16) // always of 16 digits
}

// normal returns the beginning of a message with # for each word that is likely to
// differ from one to the next: numbers but HTTP's statuses, ids, and what is long and
// has digits.
func normal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxNormal; {
		j := i
		digits, hex := 0, true
		for j < len(s) && isWord(s[j]) {
			c := s[j]
			if c >= '0' && c <= '9' {
				digits++
			} else if c != '-' && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') {
				hex = false
			}
			j++
		}
		word := s[i:j]
		switch {
		case word == "":
			r, size := utf8.DecodeRuneInString(s[i:])
			j = i + size
			if r == ' ' || r == '\n' || r == '\t' || r == '\r' {
				if b.Len() > 0 && !strings.HasSuffix(b.String(), " ") {
					b.WriteByte(' ')
				}
			} else {
				b.WriteRune(r)
			}
		case slices.Contains(statuses, word):
			b.WriteString(word)
		case digits > 0 && (word[0] >= '0' && word[0] <= '9' || len(word) >= 16 || hex && len(word) >= 8):
			b.WriteByte('#')
		default:
			b.WriteString(word)
		}
		i = j
	}
	return b.String()
}

// statuses are HTTP's that tell failures apart.
var statuses = []string{
	"400", "401", "402", "403", "404", "405", "408", "409", "410", "413", "415", "422", "424", "429",
	"500", "501", "502", "503", "504", "520", "521", "522", "523", "524", "529",
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-'
}
