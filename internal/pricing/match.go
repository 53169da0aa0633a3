package pricing

import "strings"

// matches tells whether one of the patterns, which spaces separate, is the name's. In a
// pattern * stands for any text, # for a digit and everything else for itself. Parts
// joined by & must all match, one after ! must not. Both are in lower case.
//
// This takes the place of the source's regular expressions, all of which it can say, and
// needs nothing but the text.
func matches(patterns, name string) bool {
	for pattern := range strings.FieldsSeq(patterns) {
		all := true
		for part := range strings.SplitSeq(pattern, "&") {
			part, not := strings.CutPrefix(part, "!")
			if glob(part, name) == not {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// glob goes back to the last * only, so its time is at most the product of the lengths.
func glob(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == name[n] || pattern[p] == '#' && name[n] >= '0' && name[n] <= '9'):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
