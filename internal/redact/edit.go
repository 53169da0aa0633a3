package redact

// edit is a match and how long what stands in its place is.
type edit struct {
	Match
	size int
}

// merge returns first and then as one: the edits of a text, and those of what it became
// by them. Both are in the order of their text, and so is the result.
func merge(first, then []edit) []edit {
	if len(first) == 0 {
		return then
	}
	merged := make([]edit, 0, len(first)+len(then))
	shift, last := 0, 0 // how much later things stand after first; the end of the last of merged
	add := func(e edit) {
		merged = append(merged, e)
		last = e.End
	}
	for _, e := range then {
		for len(first) > 0 && first[0].Start+shift+first[0].size <= e.Start {
			add(first[0])
			shift += first[0].size - (first[0].End - first[0].Start)
			first = first[1:]
		}
		x, cut := edit{Match{e.Rule, e.Start - shift, 0}, e.size}, 0
		for len(first) > 0 && first[0].Start+shift < e.End {
			f := first[0]
			start, end := f.Start+shift, f.Start+shift+f.size
			if start < e.Start {
				x.Start = f.Start
				x.size += e.Start - start
			}
			cut = max(0, end-e.End)
			shift += f.size - (f.End - f.Start)
			first = first[1:]
		}
		x.Start = max(x.Start, last)
		x.End = e.End + cut - shift
		x.size += cut
		add(x)
	}
	return append(merged, first...)
}
