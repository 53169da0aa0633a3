package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"time"
)

// CPU is what a group has had of the CPUs since it was made.
type CPU struct {
	Usage        time.Duration // by all its processes together
	User, System time.Duration // of Usage; Unknown if not told

	Quota float64 // in CPUs: the lowest that applies; 0 without one
	CPUs  int     // that its processes may run on; 0 if not told

	// Of the group whose quota applies: how many periods it was runnable in, in how
	// many of them the quota was used up, and how long it then had to wait (summed
	// over CPUs). Unknown without a quota.
	Periods, ThrottledPeriods int64
	Throttled                 time.Duration
}

// CPU reads the CPU time and quota.
func (g *Group) CPU() (CPU, error) {
	c := CPU{User: Unknown, System: Unknown, Periods: Unknown, ThrottledPeriods: Unknown, Throttled: Unknown}
	if err := g.cpuTime(&c); err != nil {
		return CPU{}, err
	}
	quota, at, err := lowest(g.cpu.dirs, math.MaxFloat64, g.quota)
	if err != nil {
		return CPU{}, err
	}
	if at >= 0 {
		c.Quota = quota
		if err := g.throttling(g.cpu.dirs[at], &c); err != nil {
			return CPU{}, err
		}
	}
	c.CPUs, err = g.cpus()
	return c, err
}

func (g *Group) cpuTime(c *CPU) error {
	usage, user, system := int64(Unknown), int64(Unknown), int64(Unknown)
	unit := time.Microsecond
	if g.cpuacct.version == 2 {
		dir := g.cpuacct.dir()
		err := g.pairs(dir+"/cpu.stat", func(key string) *int64 {
			switch key {
			case "usage_usec":
				return &usage
			case "user_usec":
				return &user
			case "system_usec":
				return &system
			}
			return nil
		})
		if err != nil {
			return err
		}
		if usage == Unknown {
			return fmt.Errorf("%s/cpu.stat has no usage_usec", dir)
		}
	} else {
		dir := g.cpuacct.dir()
		if dir == "" {
			return fmt.Errorf("the CPU time of the control group: %w", fs.ErrNotExist)
		}
		var err error
		if usage, err = g.value(dir + "/cpuacct.usage"); err != nil {
			return err
		}
		unit = time.Nanosecond
		for name, to := range map[string]*int64{"/cpuacct.usage_user": &user, "/cpuacct.usage_sys": &system} {
			switch *to, err = g.value(dir + name); {
			case errors.Is(err, fs.ErrNotExist): // before Linux 4.7
				*to = Unknown
			case err != nil:
				return err
			}
		}
	}
	c.Usage, c.User, c.System = times(usage, unit), times(user, unit), times(system, unit)
	return nil
}

// times returns n units, or Unknown.
func times(n int64, unit time.Duration) time.Duration {
	switch {
	case n == Unknown:
		return Unknown
	case n > math.MaxInt64/int64(unit):
		return math.MaxInt64
	}
	return time.Duration(n) * unit
}

// quota reads how many CPUs dir's processes may use, math.MaxFloat64 for no limit.
func (g *Group) quota(dir string) (float64, error) {
	if g.cpu.version == 2 {
		// "150000 100000" or "max 100000"
		name := dir + "/cpu.max"
		data, err := g.read(name)
		if err != nil {
			return 0, err
		}
		fields := bytes.Fields(data)
		if len(fields) == 2 && string(fields[0]) == "max" {
			return math.MaxFloat64, nil
		}
		if len(fields) == 2 {
			quota, ok := number(fields[0])
			period, ok2 := number(fields[1])
			if ok && ok2 && quota > 0 && period > 0 {
				return float64(quota) / float64(period), nil
			}
		}
		return 0, fmt.Errorf("%s is no quota and period: %.80q", name, data)
	}
	name := dir + "/cpu.cfs_quota_us"
	data, err := g.read(name)
	if err != nil {
		return 0, err
	}
	data = bytes.TrimSpace(data)
	if string(data) == "-1" {
		return math.MaxFloat64, nil
	}
	quota, ok := number(data)
	if !ok || quota == 0 {
		return 0, fmt.Errorf("%s is no quota: %.80q", name, data)
	}
	period, err := g.value(dir + "/cpu.cfs_period_us")
	if err != nil {
		return 0, err
	}
	if period == 0 {
		return 0, fmt.Errorf("%s/cpu.cfs_period_us is 0", dir)
	}
	return float64(quota) / float64(period), nil
}

func (g *Group) throttling(dir string, c *CPU) error {
	throttled, unit := int64(Unknown), time.Microsecond
	err := g.pairs(dir+"/cpu.stat", func(key string) *int64 {
		switch key {
		case "nr_periods":
			return &c.Periods
		case "nr_throttled":
			return &c.ThrottledPeriods
		case "throttled_usec":
			return &throttled
		case "throttled_time": // of version 1
			unit = time.Nanosecond
			return &throttled
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c.Throttled = times(throttled, unit)
	return err
}

// cpus reads how many CPUs the group may run on.
func (g *Group) cpus() (int, error) {
	file := "/cpuset.cpus.effective"
	if g.cpuset.version == 1 {
		file = "/cpuset.effective_cpus"
	}
	dirs := g.cpuset.dirs
	if g.cpuset.root != "" {
		dirs = append(dirs[:len(dirs):len(dirs)], g.cpuset.root)
	}
	// Where the controller is not enabled, what is above holds.
	for _, dir := range dirs {
		data, err := g.read(dir + file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n, ok := CountCPUs(data)
		if !ok {
			return 0, fmt.Errorf("%s%s is no list of CPUs: %.80q", dir, file, data)
		}
		return n, nil
	}
	return 0, nil
}

// CountCPUs returns how many CPUs a list such as "0-3,8" has, and whether it is one.
func CountCPUs(list []byte) (n int, ok bool) {
	const most = 1 << 16
	for part := range bytes.SplitSeq(bytes.TrimSpace(list), []byte(",")) {
		from, to, isRange := bytes.Cut(part, []byte("-"))
		first, ok := number(from)
		last := first
		if ok && isRange {
			last, ok = number(to)
		}
		if !ok || last < first || last >= most {
			return 0, false
		}
		n += int(last - first + 1)
		if n > most {
			return 0, false
		}
	}
	return n, true
}

// Memory is what the processes of a group hold now, in bytes.
type Memory struct {
	Usage      int64 // all of it, with page cache
	WorkingSet int64 // Usage without the page cache that was not used lately, as the kubelet counts it

	// Limit is the lowest that applies, 0 without one. Available is how much more
	// there may be until the first limit is reached, counted by working sets; Unknown
	// without a limit.
	Limit, Available int64

	Anonymous    int64 // not backed by files: heaps and stacks
	File         int64 // page cache and tmpfs
	InactiveFile int64 // of File, not used lately
	Swap         int64 // Unknown if it is not accounted
	MajorFaults  int64 // since the group was made
}

// Memory reads the memory and its limit. In the root of the hierarchy there is neither.
func (g *Group) Memory() (Memory, error) {
	if len(g.memory.dirs) == 0 {
		return Memory{}, fmt.Errorf("the memory of the control group: %w", fs.ErrNotExist)
	}
	m, err := g.usage(g.memory.dirs[0])
	if err != nil {
		return Memory{}, err
	}
	if m.Limit, _, err = lowest(g.memory.dirs, unlimited, g.memoryLimit); err != nil {
		return Memory{}, err
	}
	if g.memory.version == 1 {
		// This one knows of the groups that cannot be seen from here.
		above := int64(unlimited)
		err := g.pairs(g.memory.dirs[0]+"/memory.stat", func(key string) *int64 {
			if key == "hierarchical_memory_limit" {
				return &above
			}
			return nil
		})
		if err != nil {
			return Memory{}, err
		}
		m.Limit = min(m.Limit, above)
	}
	if m.Limit >= unlimited {
		m.Limit, m.Available = 0, Unknown
		return m, nil
	}
	m.Available = max(m.Limit-m.WorkingSet, 0)
	for _, dir := range g.memory.dirs[1:] { // where others use the same limit up
		limit, err := g.memoryLimit(dir)
		if err != nil || limit >= unlimited {
			continue // said already, or none
		}
		above, err := g.usage(dir)
		if err != nil {
			return Memory{}, err
		}
		m.Available = min(m.Available, max(limit-above.WorkingSet, 0))
	}
	return m, nil
}

// unlimited is below what version 1 says for no limit, which depends on the size of a
// page, and above any memory there is.
const unlimited = 1 << 62

func (g *Group) memoryLimit(dir string) (int64, error) {
	if g.memory.version == 1 {
		return g.value(dir + "/memory.limit_in_bytes")
	}
	return g.value(dir + "/memory.max")
}

// usage reads a group's memory without limits.
func (g *Group) usage(dir string) (m Memory, err error) {
	m = Memory{Available: Unknown, Anonymous: Unknown, File: Unknown, InactiveFile: Unknown, Swap: Unknown, MajorFaults: Unknown}
	usage, anonymous, file, inactive, faults := "memory.current", "anon", "file", "inactive_file", "pgmajfault"
	if g.memory.version == 1 {
		usage, anonymous, file, inactive, faults = "memory.usage_in_bytes", "total_rss", "total_cache", "total_inactive_file", "total_pgmajfault"
	}
	if m.Usage, err = g.value(dir + "/" + usage); err != nil {
		return Memory{}, err
	}
	err = g.pairs(dir+"/memory.stat", func(key string) *int64 {
		switch key {
		case anonymous:
			return &m.Anonymous
		case file:
			return &m.File
		case inactive:
			return &m.InactiveFile
		case faults:
			return &m.MajorFaults
		case "total_swap": // of version 1
			return &m.Swap
		}
		return nil
	})
	if err != nil {
		return Memory{}, err
	}
	if m.InactiveFile == Unknown {
		return Memory{}, fmt.Errorf("%s/memory.stat has no %s", dir, inactive)
	}
	m.WorkingSet = max(m.Usage-m.InactiveFile, 0)
	if g.memory.version == 2 {
		switch m.Swap, err = g.value(dir + "/memory.swap.current"); {
		case errors.Is(err, fs.ErrNotExist):
			m.Swap = Unknown
		case err != nil:
			return Memory{}, err
		}
	}
	return m, nil
}

// Limit returns the lowest memory limit of the calling process in bytes, or 0 without
// one. ErrNone and ErrHidden say that no limit can be known.
func Limit(root fs.FS) (int64, error) {
	g, err := Find(root, 0)
	if err != nil {
		return 0, err
	}
	m, err := g.Memory()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // not accounted, so not limited
	}
	return m.Limit, err
}

// Events count since the group was made what befell it for want of memory. Those that
// the kernel does not tell are Unknown; version 1 tells Max and OOMKill, and only of
// the group without those below it.
type Events struct {
	High         int64 // times it was held up at memory.high
	Max          int64 // times it met its limit
	OOM          int64 // times the limit stood though all was done
	OOMKill      int64 // processes that were killed
	OOMGroupKill int64 // times the whole group was
}

// Events reads memory.events, or what version 1 has of it.
func (g *Group) Events() (Events, error) {
	e := Events{Unknown, Unknown, Unknown, Unknown, Unknown}
	dir := g.memory.dir()
	if dir == "" {
		return e, fmt.Errorf("the memory events of the control group: %w", fs.ErrNotExist)
	}
	if g.memory.version == 2 {
		return e, g.pairs(dir+"/memory.events", func(key string) *int64 {
			switch key {
			case "high":
				return &e.High
			case "max":
				return &e.Max
			case "oom":
				return &e.OOM
			case "oom_kill":
				return &e.OOMKill
			case "oom_group_kill":
				return &e.OOMGroupKill
			}
			return nil
		})
	}
	err := g.pairs(dir+"/memory.oom_control", func(key string) *int64 {
		if key == "oom_kill" { // since Linux 4.13
			return &e.OOMKill
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	switch e.Max, err = g.value(dir + "/memory.failcnt"); {
	case errors.Is(err, fs.ErrNotExist):
		e.Max = Unknown
	case err != nil:
		return e, err
	}
	return e, nil
}

// IO is what a group has read from disks and written to them since it was made.
// Version 1 knows of writes only when they did not go through the page cache, and often
// of nothing.
type IO struct {
	ReadBytes, WriteBytes int64
	Reads, Writes         int64 // operations
}

// IO reads the disk I/O. Devices that are made of others (LVM, dm-crypt, loop) are left
// out where those others are in the list, as the kernel counts a transfer on both.
func (g *Group) IO() (IO, error) {
	if g.io.dir() == "" {
		return IO{}, fmt.Errorf("the disk I/O of the control group: %w", fs.ErrNotExist)
	}
	var list devices
	if g.io.version == 2 {
		if err := g.ioStat(&list); err != nil {
			return IO{}, err
		}
	} else {
		for _, ops := range [...]bool{false, true} {
			if err := g.blkio(&list, ops); err != nil {
				return IO{}, err
			}
		}
	}
	return list.sum(g.root), nil
}

// ioStat reads lines such as "254:0 rbytes=90112 wbytes=0 rios=4 wios=0 dbytes=0 dios=0".
func (g *Group) ioStat(list *devices) error {
	name := g.io.dir() + "/io.stat"
	data, err := g.read(name)
	if err != nil {
		return err
	}
	for n, line := range lines(data) {
		id, rest, _ := bytes.Cut(line, []byte(" "))
		d, ok := list.get(id)
		if !ok {
			return malformed(name, n, "names no device", line)
		}
		for field := range bytes.FieldsSeq(rest) {
			key, value, _ := bytes.Cut(field, []byte("="))
			var to *int64
			switch string(key) {
			case "rbytes":
				to = &d.ReadBytes
			case "wbytes":
				to = &d.WriteBytes
			case "rios":
				to = &d.Reads
			case "wios":
				to = &d.Writes
			default:
				continue
			}
			if *to, ok = number(value); !ok {
				return malformed(name, n, "has no number", line)
			}
		}
	}
	return nil
}

// blkio reads lines such as "254:0 Read 90112". The last, of all devices, has no
// device. Which file has any depends on the kernel and the scheduler; in recent ones
// the first is empty until somebody sets a limit for I/O.
func (g *Group) blkio(list *devices, ops bool) error {
	file := "io_service_bytes"
	if ops {
		file = "io_serviced"
	}
	for _, name := range [...]string{"/blkio.throttle." + file + "_recursive", "/blkio.throttle." + file, "/blkio.bfq." + file + "_recursive"} {
		found, err := g.blkioFile(list, ops, g.io.dir()+name)
		if found || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fmt.Errorf("the disk I/O of the control group: %w", fs.ErrNotExist)
}

func (g *Group) blkioFile(list *devices, ops bool, name string) (found bool, err error) {
	data, err := g.read(name)
	if err != nil {
		return false, err
	}
	for n, line := range lines(data) {
		fields := bytes.Fields(line)
		if len(fields) == 2 && string(fields[0]) == "Total" {
			continue
		}
		if len(fields) != 3 {
			return false, malformed(name, n, "is no device, operation and number", line)
		}
		d, ok := list.get(fields[0])
		if !ok {
			return false, malformed(name, n, "names no device", line)
		}
		found = true
		var to *int64
		switch op := string(fields[1]); {
		case op == "Read" && ops:
			to = &d.Reads
		case op == "Read":
			to = &d.ReadBytes
		case op == "Write" && ops:
			to = &d.Writes
		case op == "Write":
			to = &d.WriteBytes
		default:
			continue
		}
		if *to, ok = number(fields[2]); !ok {
			return false, malformed(name, n, "has no number", line)
		}
	}
	return found, nil
}

// devices are those of a list, in its order.
type devices []device

type device struct {
	id string // "254:0"
	IO
}

const maxDevices = 4096

// get returns the device id, which it adds if need be, and whether it is one.
func (l *devices) get(id []byte) (*device, bool) {
	major, minor, _ := bytes.Cut(id, []byte(":"))
	_, ok := number(major)
	_, ok2 := number(minor)
	if !ok || !ok2 || len(*l) >= maxDevices {
		return nil, false
	}
	for i := range *l {
		if (*l)[i].id == string(id) {
			return &(*l)[i], true
		}
	}
	*l = append(*l, device{id: string(id)})
	return &(*l)[len(*l)-1], true
}

func (l devices) sum(root fs.FS) (sum IO) {
	for i := range l {
		d := &l[i]
		if d.IO == (IO{}) || Stacked(root, "sys/dev/block/"+d.id) {
			continue
		}
		sum.ReadBytes = add(sum.ReadBytes, d.ReadBytes)
		sum.WriteBytes = add(sum.WriteBytes, d.WriteBytes)
		sum.Reads = add(sum.Reads, d.Reads)
		sum.Writes = add(sum.Writes, d.Writes)
	}
	return sum
}

// add returns the sum of what is not negative.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Stacked tells whether the block device that sysfs has at dir is made of others, or of
// a file.
func Stacked(root fs.FS, dir string) bool {
	if slaves, err := fs.ReadDir(root, dir+"/slaves"); err == nil && len(slaves) > 0 {
		return true
	}
	_, err := fs.Stat(root, dir+"/loop")
	return err == nil
}

// PIDs is how many tasks, which are threads, a group has and may have.
type PIDs struct {
	Current int64
	Limit   int64 // the lowest that applies, 0 without one
}

// PIDs reads the number of tasks.
func (g *Group) PIDs() (p PIDs, err error) {
	if len(g.pids.dirs) == 0 {
		return PIDs{}, fmt.Errorf("the tasks of the control group: %w", fs.ErrNotExist)
	}
	if p.Current, err = g.value(g.pids.dirs[0] + "/pids.current"); err != nil {
		return PIDs{}, err
	}
	p.Limit, _, err = lowest(g.pids.dirs, unlimited, func(dir string) (int64, error) { return g.value(dir + "/pids.max") })
	if p.Limit >= unlimited {
		p.Limit = 0
	}
	return p, err
}

// Pressure is how much time was lost in waiting for a resource. Some is when any task
// waited, Full when all did that had work to do.
type Pressure struct{ Some, Full Stall }

// Stall is a share of time in percent, over the last 10, 60 and 300 seconds, and how
// long it was in all since the group was made.
type Stall struct {
	Avg10, Avg60, Avg300 float64
	Total                time.Duration // Unknown if the line is missing
}

// Pressure reads what the kernel offers of the pressure on "cpu", "memory" or "io".
// Version 1 has none.
func (g *Group) Pressure(resource string) (Pressure, error) {
	if g.Version != 2 || len(g.unified.dirs) == 0 {
		return Pressure{}, fmt.Errorf("the pressure on the control group: %w", fs.ErrNotExist)
	}
	name := g.unified.dirs[0] + "/" + resource + ".pressure"
	data, err := g.read(name)
	if err != nil {
		return Pressure{}, err
	}
	return ParsePressure(name, data)
}

// ParsePressure reads lines such as
// "some avg10=0.12 avg60=0.03 avg300=0.00 total=93412". name is for the error.
func ParsePressure(name string, data []byte) (Pressure, error) {
	p := Pressure{Stall{Total: Unknown}, Stall{Total: Unknown}}
	for n, line := range lines(data) {
		kind, rest, _ := bytes.Cut(line, []byte(" "))
		var s *Stall
		switch string(kind) {
		case "some":
			s = &p.Some
		case "full":
			s = &p.Full
		default:
			continue
		}
		for field := range bytes.FieldsSeq(rest) {
			key, value, _ := bytes.Cut(field, []byte("="))
			var to *float64
			switch string(key) {
			case "total":
				total, ok := number(value)
				if !ok {
					return Pressure{}, malformed(name, n, "has no number", line)
				}
				s.Total = times(total, time.Microsecond)
				continue
			case "avg10":
				to = &s.Avg10
			case "avg60":
				to = &s.Avg60
			case "avg300":
				to = &s.Avg300
			default:
				continue
			}
			f, err := strconv.ParseFloat(string(value), 64)
			if err != nil || !(f >= 0 && f <= 100) {
				return Pressure{}, malformed(name, n, "has no percentage", line)
			}
			*to = f
		}
	}
	if p.Some.Total == Unknown && p.Full.Total == Unknown {
		return Pressure{}, fmt.Errorf("%s says nothing: %.80q", name, data)
	}
	return p, nil
}
