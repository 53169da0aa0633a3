package redact

// Work masks s and returns how many bytes were read besides the main loop's.
func (m *Masker) Work(s string) int {
	sc := scanner{s: s, m: m}
	sc.mask()
	return sc.work
}
