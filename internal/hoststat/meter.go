package hoststat

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/cgroup"
)

// meter measures. It remembers what the next reading is compared with.
type meter struct {
	host   host
	folder string // of the database

	group      *cgroup.Group // of the container, or nil
	groupErr   error         // why it is not known which it is
	membership []byte        // proc/self/cgroup when it was looked for
	before     cpuSample
	metadata   object
	extra      func() map[string]float64
}

// cpuSample is CPU time as of a moment. Of a group it is compared with the clock; of
// the host the kernel tells the time that there was in all.
type cpuSample struct {
	ok       bool
	at       time.Time
	used     time.Duration // by the group; ticks of all CPUs for the host
	there    time.Duration // ticks; 0 for a group
	capacity float64       // CPUs that the group may use
}

// reading is what came of measuring once.
type reading struct {
	row    db.InsertSystemMetricParams
	source string
	reason string // what is missing, "" if nothing is
}

func newMeter(root fs.FS, dbPath string, extra func() map[string]float64) meter {
	return meter{host: host{root: root}, folder: filepath.Dir(dbPath), extra: extra}
}

// begin takes the sample that the first reading is compared with.
func (m *meter) begin() {
	m.find()
	m.before, _ = m.cpu(nil) // the first reading says what is wrong
}

// faults gathers what is wrong with a reading, in words.
type faults []string

// add notes that what was not measured, unless err is nil.
func (f *faults) add(what string, err error) {
	if err != nil {
		*f = append(*f, what+": "+err.Error())
	}
}

// optional is add for what not every system has: that it is not there is no fault.
func (f *faults) optional(what string, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		f.add(what, err)
	}
}

// read takes a reading.
func (m *meter) read() (r reading) {
	var wrong faults
	m.find()
	if m.groupErr != nil {
		wrong = append(wrong, "the host is measured, and not the container, if this is one: "+m.groupErr.Error())
	}
	r.source = "host"
	if m.group != nil {
		r.source = fmt.Sprintf("cgroup v%d", m.group.Version)
	}
	o := &m.metadata
	o.begin()
	o.text("source", r.source)

	now, err := m.cpu(o)
	wrong.add("CPU", err)
	if err == nil {
		r.row.CpuPct = percent(m.before, now)
		m.before = now
	}
	wrong.add("memory", m.memory(&r.row, o))
	space, diskErr := spaceAt(m.folder)
	wrong.add("disk space", diskErr)
	if diskErr == nil {
		r.row.DiskUsedBytes, r.row.DiskTotalBytes, r.row.DiskFreeBytes = &space.used, &space.total, &space.free
	}
	m.diskIO(o, &wrong)
	m.network(o, &wrong)
	m.pressure(o, &wrong)
	if load, err := m.host.load(); err != nil {
		wrong.optional("load", err)
	} else {
		for i, name := range [...]string{"1m", "5m", "15m"} {
			o.float("system.cpu.load_average."+name, load[i])
		}
	}
	if m.group == nil && !m.host.exists("proc/stat") && !m.host.exists("proc/meminfo") {
		wrong = faults{"there is no /proc here, as Linux has it: CPU, memory and I/O are not measured, only disk space"}
		wrong.add("nor is that", diskErr)
	}
	r.reason = strings.Join(wrong, "; ")
	if m.extra != nil {
		extra := m.extra()
		for _, name := range slices.Sorted(maps.Keys(extra)) {
			o.float(name, extra[name])
		}
	}
	metadata := o.end()
	r.row.Metadata = &metadata
	r.row.CreatedAt = time.Now().UnixMilli()
	return r
}

// find looks for our control group: at first, when the kernel says that we are in
// another, and as long as it cannot be found.
func (m *meter) find() {
	now, err := m.host.read("proc/self/cgroup")
	if err != nil {
		now = nil // Find says what that means
	}
	known := m.membership != nil && bytes.Equal(now, m.membership)
	if known && m.groupErr == nil {
		return
	}
	if !known {
		m.membership = append([]byte{}, now...)
		m.before = cpuSample{} // what another group used
	}
	m.group, m.groupErr = nil, nil
	g, err := cgroup.Find(m.host.root, 0)
	switch {
	case errors.Is(err, cgroup.ErrNone):
	case err != nil:
		m.groupErr = err
	case g.Namespaced():
		m.group = g.Top() // a container may run services in groups of its own
	case isContainer(g):
		m.group = g
	}
}

// isContainer tells whether what g is of holds the agent too, as far as that can be
// known with all of the hierarchy in sight: a group that no service manager made, or
// one that has limits of its own. A service of systemd's and a user's session are not;
// their limits are for us alone.
func isContainer(g *cgroup.Group) bool {
	if !g.Real() {
		return false
	}
	names := strings.Split(g.Path(), "/")
	for i := len(names) - 1; i >= 0; i-- {
		switch name := names[i]; {
		case strings.HasSuffix(name, ".service"), strings.HasSuffix(name, ".slice"), name == "init.scope", strings.HasPrefix(name, "session-"):
			return false
		case strings.HasSuffix(name, ".scope"):
			for _, engine := range [...]string{"docker-", "libpod-", "cri-", "crio-", "machine-", "nspawn-"} {
				if strings.HasPrefix(name, engine) {
					return true
				}
			}
			return limited(g)
		}
	}
	return true
}

func limited(g *cgroup.Group) bool {
	if c, err := g.CPU(); err == nil && c.Quota > 0 {
		return true
	}
	m, err := g.Memory()
	return err == nil && m.Limit > 0
}

// cpu takes a sample, and says in o what it was of.
func (m *meter) cpu(o *object) (s cpuSample, err error) {
	cpus, err := m.host.cpus()
	if err != nil {
		cpus = 0 // needed only where the group does not tell
	}
	if m.group == nil {
		s.used, s.there, err = m.host.cpuTime()
		s.ok = err == nil
		o.count("system.cpu.logical.count", int64(cpus))
		return s, err
	}
	s.at = time.Now()
	c, err := m.group.CPU()
	if err != nil {
		return s, err
	}
	if c.CPUs > 0 {
		cpus = c.CPUs
	}
	s.capacity = float64(cpus)
	if c.Quota > 0 && (cpus == 0 || c.Quota < s.capacity) {
		s.capacity = c.Quota
	}
	if s.capacity == 0 {
		return s, errors.New("it is not known how many CPUs there are")
	}
	s.ok, s.used = true, c.Usage
	o.count("system.cpu.logical.count", int64(cpus))
	if c.Quota > 0 {
		o.float("container.cpu.limit", c.Quota)
		o.object("cgroup.cpu.stat", func() {
			o.known("nr_periods", c.Periods)
			o.known("nr_throttled", c.ThrottledPeriods)
			if c.Throttled != cgroup.Unknown {
				o.known("throttled_usec", c.Throttled.Microseconds())
			}
		})
	}
	return s, nil
}

// percent returns the share of what could be used that was used, or nil if a and b
// cannot be compared: one is missing, or a counter began anew.
func percent(a, b cpuSample) *float64 {
	used, there := b.used-a.used, float64(b.there-a.there)
	if b.there == 0 {
		there = float64(b.at.Sub(a.at)) * b.capacity
	}
	if !a.ok || !b.ok || (a.there == 0) != (b.there == 0) || used < 0 || there <= 0 {
		return nil
	}
	p := 100 * float64(used) / there
	if b.there != 0 {
		p = min(p, 100) // the kernel's count of waiting may fall, and takes from the whole
	}
	return &p
}

// memory fills in what there is of it: of the group as far as it has limits, and of the
// host for the rest.
func (m *meter) memory(row *db.InsertSystemMetricParams, o *object) error {
	total, available, swap, err := m.host.memory()
	if err != nil && m.group == nil {
		return err
	}
	if err == nil {
		row.MemTotal, row.MemAvailable = &total, &available
	}
	used := total - available
	if m.group == nil {
		row.MemRssBytes = &used
		if swap >= 0 {
			o.object("system.paging.usage", func() { o.known("used", swap) })
		}
		kills, faults, err := m.host.vmstat()
		if err != nil {
			return ignoreMissing(err)
		}
		o.object("system.memory.events", func() { o.known("oom_kill", kills) })
		o.object("system.paging.faults", func() { o.known("major", faults) })
		return nil
	}
	g, gerr := m.group.Memory()
	if errors.Is(gerr, fs.ErrNotExist) && err == nil {
		// The group's memory is not accounted.
		row.MemRssBytes = &used
		o.text("source.memory", "host")
		return nil
	}
	if gerr != nil {
		row.MemTotal, row.MemAvailable = nil, nil // a limit may be lower
		return gerr
	}
	row.MemRssBytes = &g.WorkingSet
	if g.Limit > 0 {
		if err != nil || g.Limit < total {
			row.MemTotal = &g.Limit
		}
		if err != nil || g.Available < available {
			row.MemAvailable = &g.Available
		}
		o.known("container.memory.limit", g.Limit)
	}
	o.known("container.memory.usage", g.Usage)
	o.known("container.memory.rss", g.Anonymous)
	if g.Swap > 0 {
		o.object("container.paging.usage", func() { o.known("used", g.Swap) })
	}
	o.object("container.paging.faults", func() { o.known("major", g.MajorFaults) })
	e, eerr := m.group.Events()
	if eerr == nil {
		o.object("cgroup.memory.events", func() {
			o.known("high", e.High)
			o.known("max", e.Max)
			o.known("oom", e.OOM)
			o.known("oom_kill", e.OOMKill)
			o.known("oom_group_kill", e.OOMGroupKill)
		})
	}
	if g.Limit > 0 {
		err = nil // the host's is not needed
	}
	return errors.Join(err, ignoreMissing(eerr))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (m *meter) diskIO(o *object, wrong *faults) {
	var io cgroup.IO
	var err error
	prefix := "system.disk."
	if m.group != nil {
		prefix = "container.disk."
		io, err = m.group.IO()
	} else {
		io, err = m.host.diskIO()
	}
	if err != nil {
		wrong.optional("disk I/O", err)
		return
	}
	o.object(prefix+"io", func() {
		o.known("read", io.ReadBytes)
		o.known("write", io.WriteBytes)
	})
	o.object(prefix+"operations", func() {
		o.known("read", io.Reads)
		o.known("write", io.Writes)
	})
}

func (m *meter) network(o *object, wrong *faults) {
	received, sent, err := m.host.network()
	if err != nil {
		wrong.optional("network", err)
		return
	}
	name := "system.network.io"
	if m.group != nil {
		name = "container.network.io"
	}
	o.object(name, func() {
		o.known("receive", received)
		o.known("transmit", sent)
	})
}

func (m *meter) pressure(o *object, wrong *faults) {
	for _, resource := range [...]string{"cpu", "memory", "io"} {
		var p cgroup.Pressure
		var err error
		prefix := "system.pressure."
		if m.group != nil {
			prefix = "container.pressure."
			p, err = m.group.Pressure(resource)
		} else {
			p, err = m.host.pressure(resource)
		}
		if err != nil {
			wrong.optional("pressure", err)
			continue
		}
		o.object(prefix+resource, func() {
			if p.Some.Total != cgroup.Unknown {
				o.float("some_avg10", p.Some.Avg10)
				o.known("some_total_usec", p.Some.Total.Microseconds())
			}
			if p.Full.Total != cgroup.Unknown {
				o.float("full_avg10", p.Full.Avg10)
				o.known("full_total_usec", p.Full.Total.Microseconds())
			}
		})
	}
}
