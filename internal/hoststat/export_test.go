package hoststat

import (
	"io/fs"

	"github.com/kon-rad/openclaw-trace/db"
)

// Meter is a meter without a Sampler.
type Meter struct{ m meter }

func NewMeter(root fs.FS, dbPath string) *Meter {
	m := &Meter{newMeter(root, dbPath, nil)}
	m.m.begin()
	return m
}

func (m *Meter) Read() (row db.InsertSystemMetricParams, source, reason string) {
	r := m.m.read()
	return r.row, r.source, r.reason
}

var SpaceOf = func(blocks, free, available, size uint64) (used, total, avail int64, err error) {
	s, err := spaceOf("/data", blocks, free, available, size)
	return s.used, s.total, s.free, err
}
