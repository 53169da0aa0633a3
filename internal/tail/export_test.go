package tail

// Uninteresting is what is asked of each line first.
func Uninteresting(line []byte) bool { return uninteresting(line, false) }
