package view

// Size returns how much m takes itself to hold, and how much it does.
func (m *SessionSums) Size() (believed, held int) {
	for _, parts := range []map[int64][]used{m.slots, m.days} {
		for _, list := range parts {
			held += len(list) + 1
		}
	}
	return m.size, held
}

// MaxHeld is how much is remembered of ranges.
const MaxHeld = maxHeld
