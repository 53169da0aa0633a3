package hoststat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/cgroup"
)

// host reads /proc and /sys.
type host struct {
	root fs.FS
	buf  []byte
	kept map[string]bool // by block device or "net:" and interface, whether it is counted
}

const maxFile = 1 << 20

// read returns the content of a file, which is valid until the next read.
func (h *host) read(name string) ([]byte, error) {
	f, err := h.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if h.buf == nil {
		h.buf = make([]byte, 8<<10)
	}
	for n := 0; ; {
		m, err := f.Read(h.buf[n:])
		n += m
		switch {
		case errors.Is(err, io.EOF):
			return h.buf[:n], nil
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", name, err)
		case n > maxFile:
			return nil, fmt.Errorf("read %s: it is larger than 1 MiB", name)
		case n == len(h.buf):
			h.buf = append(h.buf, make([]byte, n)...)
		}
	}
}

func (h *host) exists(name string) bool {
	_, err := fs.Stat(h.root, name)
	return err == nil
}

// number reads a decimal number of the kernel's. What does not fit an int64 is none.
func number(b []byte) (int64, bool) {
	n, err := strconv.ParseUint(string(b), 10, 63)
	return int64(n), err == nil
}

// field cuts the next word off b.
func field(b []byte) (word, rest []byte) {
	b = bytes.TrimLeft(b, " \t")
	if i := bytes.IndexAny(b, " \t"); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}

// cpuTime returns what all CPUs did and what they could have done, in ticks, since the
// machine was started.
func (h *host) cpuTime() (used, there time.Duration, err error) {
	data, err := h.read("proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	word, rest := field(line)
	// user nice system idle iowait irq softirq steal; what guests had is in user.
	var ticks [8]int64
	ok := string(word) == "cpu"
	for i := 0; i < len(ticks) && ok; i++ {
		if word, rest = field(rest); len(word) == 0 && i >= 4 {
			break // of old kernels
		}
		ticks[i], ok = number(word)
		ok = ok && ticks[i] < math.MaxInt64/8
		there += time.Duration(ticks[i])
	}
	if !ok {
		return 0, 0, fmt.Errorf("proc/stat does not begin with the time of all CPUs: %.80q", line)
	}
	return there - time.Duration(ticks[3]+ticks[4]), there, nil
}

// cpus returns how many CPUs are on.
func (h *host) cpus() (int, error) {
	data, err := h.read("sys/devices/system/cpu/online")
	if err != nil {
		return 0, err
	}
	n, ok := cgroup.CountCPUs(data)
	if !ok {
		return 0, fmt.Errorf("sys/devices/system/cpu/online is no list of CPUs: %.80q", data)
	}
	return n, nil
}

// memory returns bytes. swap is how much of it is used, negative without any.
func (h *host) memory() (total, available, swap int64, err error) {
	data, err := h.read("proc/meminfo")
	if err != nil {
		return 0, 0, 0, err
	}
	total, available = -1, -1
	swapTotal, swapFree := int64(-1), int64(-1)
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		key, rest, _ := bytes.Cut(line, []byte(":"))
		var to *int64
		switch string(key) {
		case "MemTotal":
			to = &total
		case "MemAvailable":
			to = &available
		case "SwapTotal":
			to = &swapTotal
		case "SwapFree":
			to = &swapFree
		default:
			continue
		}
		value, unit := field(rest)
		n, ok := number(value)
		if !ok || n > math.MaxInt64>>10 || string(bytes.TrimSpace(unit)) != "kB" {
			return 0, 0, 0, fmt.Errorf("proc/meminfo: no number of kB: %.80q", line)
		}
		*to = n << 10
	}
	if total < 0 || available < 0 || available > total {
		return 0, 0, 0, errors.New("proc/meminfo does not tell MemTotal and MemAvailable")
	}
	swap = -1
	if swapTotal > 0 && swapFree >= 0 && swapFree <= swapTotal {
		swap = swapTotal - swapFree
	}
	return total, available, swap, nil
}

// vmstat returns how many processes were killed for want of memory and how many faults
// had to read from a disk since the machine was started, -1 for what is not told.
func (h *host) vmstat() (kills, faults int64, err error) {
	data, err := h.read("proc/vmstat")
	if err != nil {
		return -1, -1, err
	}
	kills, faults = -1, -1
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		key, value, _ := bytes.Cut(line, []byte(" "))
		var to *int64
		switch string(key) {
		case "oom_kill":
			to = &kills
		case "pgmajfault":
			to = &faults
		default:
			continue
		}
		var ok bool
		if *to, ok = number(value); !ok {
			return -1, -1, fmt.Errorf("proc/vmstat: no number: %.80q", line)
		}
	}
	return kills, faults, nil
}

// load returns the load averages over 1, 5 and 15 minutes.
func (h *host) load() (l [3]float64, err error) {
	data, err := h.read("proc/loadavg")
	if err != nil {
		return l, err
	}
	rest, word := data, []byte(nil)
	for i := range l {
		word, rest = field(rest)
		if l[i], err = strconv.ParseFloat(string(word), 64); err != nil || !(l[i] >= 0 && l[i] < 1e9) {
			return l, fmt.Errorf("proc/loadavg has no three averages: %.80q", data)
		}
	}
	return l, nil
}

func (h *host) pressure(resource string) (cgroup.Pressure, error) {
	name := "proc/pressure/" + resource
	data, err := h.read(name)
	if err != nil {
		return cgroup.Pressure{}, err
	}
	return cgroup.ParsePressure(name, data)
}

// maxKept is a limit for machines where devices come and go.
const maxKept = 1024

// keep returns what decide says of name, which it asks once.
func (h *host) keep(name string, decide func() bool) bool {
	kept, ok := h.kept[name]
	if !ok {
		if h.kept == nil || len(h.kept) >= maxKept {
			h.kept = make(map[string]bool)
		}
		kept = decide()
		h.kept[name] = kept
	}
	return kept
}

// network returns the bytes that came and went since the interfaces were made. The
// loopback is left out. Where there is hardware only that is counted: what goes over a
// bridge or a tunnel goes over it too. Inside a container there is none.
func (h *host) network() (received, sent int64, err error) {
	data, err := h.read("proc/net/dev")
	if err != nil {
		return 0, 0, err
	}
	var hardware, all [2]int64
	found := false
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		at := bytes.LastIndexByte(line, ':') // an alias has one in its name
		if at < 0 {
			continue // the two lines of titles
		}
		name := string(bytes.TrimSpace(line[:at]))
		if name == "lo" {
			continue
		}
		var n [2]int64
		rest, word, ok := line[at+1:], []byte(nil), true
		for i := range 9 {
			word, rest = field(rest)
			if ok && i == 0 {
				n[0], ok = number(word)
			} else if ok && i == 8 {
				n[1], ok = number(word)
			}
		}
		if !ok {
			return 0, 0, fmt.Errorf("proc/net/dev: no numbers of bytes: %.80q", line)
		}
		found = true
		isHardware := h.keep("net:"+name, func() bool {
			return fs.ValidPath(name) && h.exists("sys/class/net/"+name+"/device")
		})
		for i := range n {
			all[i] = add(all[i], n[i])
			if isHardware {
				hardware[i] = add(hardware[i], n[i])
			}
		}
	}
	if !found {
		return 0, 0, fmt.Errorf("proc/net/dev names no interface: %w", fs.ErrNotExist)
	}
	if hardware != [2]int64{} {
		all = hardware
	}
	return all[0], all[1], nil
}

// add returns the sum of what is not negative.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// diskIO returns what all disks have read and written since the machine was started.
func (h *host) diskIO() (sum cgroup.IO, err error) {
	data, err := h.read("proc/diskstats")
	if err != nil {
		return sum, err
	}
	found := false
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		// major minor name reads merged sectors ms writes merged sectors …
		var fields [10][]byte
		rest := line
		for i := range fields {
			fields[i], rest = field(rest)
		}
		reads, ok1 := number(fields[3])
		read, ok2 := number(fields[5])
		writes, ok3 := number(fields[7])
		written, ok4 := number(fields[9])
		if !ok1 || !ok2 || !ok3 || !ok4 {
			return sum, fmt.Errorf("proc/diskstats: no numbers: %.80q", line)
		}
		name := string(fields[2])
		if !h.keep(name, func() bool { return h.isDisk(name) }) {
			continue
		}
		found = true
		const sector = 512
		sum.Reads = add(sum.Reads, reads)
		sum.Writes = add(sum.Writes, writes)
		sum.ReadBytes = add(sum.ReadBytes, min(read, math.MaxInt64/sector)*sector)
		sum.WriteBytes = add(sum.WriteBytes, min(written, math.MaxInt64/sector)*sector)
	}
	if !found {
		return sum, fmt.Errorf("proc/diskstats names no disk: %w", fs.ErrNotExist)
	}
	return sum, nil
}

// isDisk tells whether name is a whole disk: no partition, not made of others, and not
// of memory.
func (h *host) isDisk(name string) bool {
	dir := "sys/block/" + strings.ReplaceAll(name, "/", "!")
	if strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "zram") || !fs.ValidPath(dir) {
		return false
	}
	return h.exists(dir) && !cgroup.Stacked(h.root, dir)
}
