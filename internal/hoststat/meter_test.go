package hoststat_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/hoststat"
)

var update = flag.Bool("update", false, "write testdata/metadata.json anew")

var systems = []string{
	"cgroup2-limited", "cgroup2-unlimited", "cgroup1", "hybrid", "kubernetes", "kubernetes-cgroup1", "bare-metal", "fly", "macos",
}

// busy has the CPUs of a system do something: 3 s of CPU time in the group, and on the
// host a quarter of what there was.
func busy(t *testing.T, x *tree, name string) {
	t.Helper()
	switch name {
	case "cgroup1", "hybrid", "kubernetes-cgroup1":
		x.edit(t, "sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "12000000000", "15000000000")
	case "cgroup2-limited", "cgroup2-unlimited":
		x.edit(t, "sys/fs/cgroup/cpu.stat", "usage_usec 12000000", "usage_usec 15000000")
	case "kubernetes":
		for file := range x.files {
			if strings.HasSuffix(file, ".scope/cpu.stat") {
				x.edit(t, file, "usage_usec 12000000", "usage_usec 15000000")
				return
			}
		}
	case "bare-metal":
		x.edit(t, "proc/stat", "cpu  4000 0 2000 32000 2000", "cpu  4100 0 2050 32400 2050")
	case "fly":
		x.edit(t, "proc/stat", "cpu  1000 0 500 8000 500", "cpu  1100 0 550 8400 550")
	}
}

// What is measured on each system after ten seconds in which it did something.
func TestSystems(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	const hostTotal, hostAvailable = 8000000 << 10, 6000000 << 10
	metadata := make(map[string]map[string]any)
	for _, name := range systems {
		var want string
		row := func(cpu float64, used, available, total int64) {
			want = fmt.Sprint(cpu, " ", used, " ", available, " ", total)
		}
		source, reason := "", ""
		switch name {
		case "cgroup2-limited": // 3 s of 10 at 1.5 CPUs
			source = "cgroup v2"
			row(20, 160*mib, 352*mib, 512*mib)
		case "cgroup2-unlimited": // at 2 CPUs
			source = "cgroup v2"
			row(15, 160*mib, hostAvailable, hostTotal)
		case "cgroup1": // at half a CPU
			source = "cgroup v1"
			row(60, 160*mib, 352*mib, 512*mib)
		case "hybrid": // at 4 CPUs
			source = "cgroup v1"
			row(7.5, 160*mib, hostAvailable, hostTotal)
		case "kubernetes": // at half a CPU, which is the pod's, as the memory is
			source = "cgroup v2"
			row(60, 160*mib, 164*mib, gib)
		case "kubernetes-cgroup1":
			source = "cgroup v1"
			row(7.5, 160*mib, gib-160*mib, gib)
		case "bare-metal", "fly":
			source = "host"
			row(25, hostTotal-hostAvailable, hostAvailable, hostTotal)
		case "macos":
			source, want = "host", "- - - -"
			reason = "there is no /proc here, as Linux has it: CPU, memory and I/O are not measured, only disk space"
		}
		synctest.Test(t, func(t *testing.T) {
			x := system(t, name)
			m := hoststat.NewMeter(x, filepath.Join(t.TempDir(), "trace.db"))
			time.Sleep(10 * time.Second)
			busy(t, x, name)
			got, gotSource, gotReason := m.Read()
			if v := values(got); v != want || gotSource != source || gotReason != reason {
				t.Errorf("%s:\ngot  %s %q %q\nwant %s %q %q", name, v, gotSource, gotReason, want, source, reason)
			}
			if got.DiskUsedBytes == nil || got.DiskTotalBytes == nil || got.DiskFreeBytes == nil {
				t.Errorf("%s: no disk space", name)
			}
			if got.CreatedAt != time.Now().UnixMilli() {
				t.Errorf("%s: at %d", name, got.CreatedAt)
			}
			metadata[name] = members(t, got)
		})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(metadata); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/metadata.json"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("metadata (-want +got; -update writes it anew):\n%s", d)
	}
	documented(t, metadata)
}

// Every member of the metadata has a line in docs/system.md, and every line there is
// of a member.
func documented(t *testing.T, metadata map[string]map[string]any) {
	doc, err := os.ReadFile("../../docs/system.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := bytes.Cut(doc, []byte("\n| Member "))
	lines := make(map[string]string) // by member
	for line := range strings.Lines(string(table)) {
		cell, rest, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		base := ""
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			name := m[1]
			if strings.HasPrefix(name, ".") {
				name = base[:strings.LastIndex(base, ".")] + name
			} else {
				base = name
			}
			lines[name] = rest
		}
	}
	seen := map[string]bool{"source.memory": true, "container.network.io": true}
	for _, system := range metadata {
		for name, v := range system {
			line, ok := lines[name]
			if strings.HasPrefix(name, "system.pressure.") {
				line, ok = lines["container"+strings.TrimPrefix(name, "system")]
			}
			if !ok {
				t.Errorf("docs/system.md has no line for %s", name)
			}
			seen[name] = true
			if v, ok := v.(map[string]any); ok {
				for key := range v {
					if !strings.Contains(line, "`"+key+"`") {
						t.Errorf("docs/system.md does not say what %s of %s is", key, name)
					}
				}
			}
		}
	}
	for name := range lines {
		if !seen[name] && !strings.Contains(name, "…") {
			t.Errorf("docs/system.md has a line for %s, which no system has", name)
		}
	}
}

// A percentage is of two samples that can be compared, or is not there.
func TestPercent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stat, limit = "sys/fs/cgroup/cpu.stat", "sys/fs/cgroup/cpu.max"
		x := system(t, "cgroup2-limited")
		usage := func(usec int64) { x.set(stat, fmt.Sprintf("usage_usec %d\nnr_periods 1\n", usec)) }
		usage(1_000_000)
		m := hoststat.NewMeter(x, "/")
		read := func(name string, want string) {
			t.Helper()
			row, _, reason := m.Read()
			if got, _, _ := strings.Cut(values(row), " "); got != want || reason != "" {
				t.Errorf("%s: %s, want %s (%s)", name, got, want, reason)
			}
		}
		read("at the same moment", "-")
		time.Sleep(2 * time.Second)
		read("idle", "0")
		time.Sleep(2 * time.Second)
		usage(4_000_000)
		read("all of it", "100")
		time.Sleep(8 * time.Hour) // stopped, and the machine's clock set meanwhile
		usage(4_000_000 + 8*3600*750_000)
		read("after a long stop", "50")
		time.Sleep(2 * time.Second)
		usage(5)
		read("the counter began anew", "-")
		time.Sleep(2 * time.Second)
		usage(1_500_005)
		read("and went on", "50")
		time.Sleep(2 * time.Second)
		usage(2_500_005)
		x.set(limit, "50000 100000\n")
		read("with a lower quota", "100")
		time.Sleep(2 * time.Second)
		usage(4_100_005)
		x.set(limit, "max 100000\n")
		read("with none, of four CPUs", "20")
		time.Sleep(2 * time.Second)
		usage(5_700_005)
		x.set(limit, "1000000 100000\n")
		read("with one that is more than there is", "20")
		time.Sleep(2 * time.Second)
		usage(6_100_005)
		x.set("sys/fs/cgroup/cpuset.cpus.effective", "2\n")
		read("tied to one CPU", "20")
		time.Sleep(time.Second)
		x.set(stat, "x")
		if row, _, reason := m.Read(); row.CpuPct != nil || reason == "" {
			t.Errorf("unreadable: %v", *row.CpuPct)
		}
		time.Sleep(time.Second)
		usage(7_100_005)
		read("over the time that could not be read", "50")

		time.Sleep(2 * time.Second)
		x.set("proc/self/cgroup", "0::/other\n")
		for _, f := range []string{"cpu.stat", "cpu.max", "memory.current", "memory.stat", "memory.max", "cgroup.procs", "cgroup.events"} {
			x.set("sys/fs/cgroup/other/"+f, string(x.files["sys/fs/cgroup/"+f].Data))
		}
		read("in another group", "-")
		time.Sleep(2 * time.Second)
		read("still there", "0")
	})
	synctest.Test(t, func(t *testing.T) {
		x := system(t, "fly")
		m := hoststat.NewMeter(x, "/")
		for _, c := range []struct{ stat, want string }{
			{"cpu  1000 0 500 8000 500 0 0 0 0 0\n", "-"},         // no tick went by
			{"cpu  1030 0 500 8060 510 0 0 0 30 0\n", "30"},       // the guests' time is in the first
			{"cpu  1030 10 510 8060 590 10 10 60 30 0\n", "55.6"}, // stolen time was not ours to use, but it was not idle
			{"cpu  1030 10 510 8060 500 10 10 60 30 0\n", "-"},    // a counter of waiting that fell
			{"cpu  0 0 0 10 0\n", "-"},
			{"cpu  5 0 0 15 0\n", "50"},
			{"cpu  105 0 0 15 10\n", "90.9"},
			{"cpu  205 0 0 15 7\n", "100"}, // it fell a little, as it does on a busy machine
		} {
			x.set("proc/stat", c.stat)
			row, _, reason := m.Read()
			got := "-"
			if row.CpuPct != nil {
				got = fmt.Sprint(math.Round(*row.CpuPct*10) / 10)
			}
			if got != c.want || reason != "" {
				t.Errorf("%q: %s, want %s (%s)", c.stat, got, c.want, reason)
			}
		}
	})
}

// Which group is a container's, if all of the hierarchy can be seen.
func TestContainer(t *testing.T) {
	f := func(name string, want string, limited bool) {
		t.Helper()
		x := system(t, "bare-metal")
		const from = "sys/fs/cgroup/system.slice/openclaw-trace.service/"
		for file, content := range maps.Clone(x.files) {
			if rest, ok := strings.CutPrefix(file, from); ok {
				if rest == "memory.max" && limited {
					content.Data = []byte("100000000")
				}
				x.set("sys/fs/cgroup"+name+"/"+rest, string(content.Data))
			}
		}
		x.set("proc/self/cgroup", "0::"+name+"\n")
		if _, source, reason := hoststat.NewMeter(x, "/").Read(); source != want || reason != "" {
			t.Errorf("%s: %s (%s)", name, source, reason)
		}
	}
	for _, limited := range []bool{false, true} {
		f("/system.slice/other.service", "host", limited)
		f("/system.slice/other.service/sub", "host", limited)
		f("/user.slice/user-1000.slice/session-3.scope", "host", limited)
		f("/init.scope", "host", limited)
		f("/docker/6a1f", "cgroup v2", limited)
		f("/system.slice/docker-6a1f.scope", "cgroup v2", limited)
		f("/user.slice/user@1000.service/user.slice/libpod-6a1f.scope/container", "cgroup v2", limited)
		f("/kubepods.slice/kubepods-pod1.slice/crio-6a1f.scope", "cgroup v2", limited)
		f("/made-by-hand", "cgroup v2", limited)
	}
	f("/system.slice/run-r123.scope", "host", false)
	f("/system.slice/run-r123.scope", "cgroup v2", true)

	// A container that runs systemd is measured as a whole.
	x := system(t, "cgroup2-limited")
	x.set("proc/self/cgroup", "0::/system.slice/openclaw-trace.service\n")
	const service = "sys/fs/cgroup/system.slice/openclaw-trace.service/"
	for file, content := range map[string]string{"cgroup.procs": "17\n", "memory.current": "5\n", "memory.max": "max\n", "memory.stat": "inactive_file 0\n", "cpu.stat": "usage_usec 1\n"} {
		x.set(service+file, content)
	}
	if row, source, reason := hoststat.NewMeter(x, "/").Read(); source != "cgroup v2" || !strings.HasSuffix(values(row), " 167772160 369098752 536870912") || reason != "" {
		t.Errorf("a service in a container: %s %s %s", source, values(row), reason)
	}
}

// A limit above what the machine has limits nothing.
func TestLimitAboveHost(t *testing.T) {
	x := system(t, "cgroup2-limited")
	x.set("sys/fs/cgroup/memory.max", "109951162777600\n")
	if row, _, reason := hoststat.NewMeter(x, "/").Read(); !strings.HasSuffix(values(row), " 167772160 6144000000 8192000000") || reason != "" {
		t.Errorf("%s %s", values(row), reason)
	}
}

// A part that cannot be measured is missing and said; the others are there.
func TestFaults(t *testing.T) {
	const c = "sys/fs/cgroup/"
	f := func(name, file, content, want, reason string, missing ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			x := system(t, name)
			m := hoststat.NewMeter(x, "/")
			x.set(file, content)
			time.Sleep(time.Second)
			row, _, got := m.Read()
			if v := values(row); v != want || got != reason {
				t.Errorf("%s, %s:\ngot  %s %q\nwant %s %q", name, file, v, got, want, reason)
			}
			all := members(t, row)
			for _, name := range missing {
				if v, ok := all[name]; ok {
					t.Errorf("%s: %s is %v", file, name, v)
				}
			}
		})
	}
	limited, host := "0 167772160 369098752 536870912", "- 2048000000 6144000000 8192000000"
	f("cgroup2-limited", c+"cpu.stat", "x", "- 167772160 369098752 536870912", "CPU: "+c+"cpu.stat has no usage_usec", "cgroup.cpu.stat")
	f("cgroup2-limited", c+"memory.current", "x", "0 - - -", "memory: "+c+`memory.current is no number: "x"`, "container.memory.usage")
	f("cgroup2-limited", c+"memory.max", "x", "0 - - -", "memory: "+c+`memory.max is no number: "x"`, "container.memory.limit")
	f("cgroup2-limited", c+"memory.events", "oom x", limited, "memory: "+c+`memory.events: line 1 has no number: "oom x"`, "cgroup.memory.events")
	f("cgroup2-limited", c+"memory.events", "", limited, "", "cgroup.memory.events")
	f("cgroup2-limited", c+"io.stat", "x", limited, "disk I/O: "+c+`io.stat: line 1 names no device: "x"`, "container.disk.io", "container.disk.operations")
	f("cgroup2-limited", c+"io.stat", "", limited, "", "container.disk.io")
	f("cgroup2-limited", c+"io.pressure", "x", limited, "pressure: "+c+`io.pressure says nothing: "x"`, "container.pressure.io")
	f("cgroup2-limited", c+"cpu.pressure", "", limited, "", "container.pressure.cpu")
	f("cgroup2-limited", "proc/meminfo", "x", limited, "")
	f("cgroup2-unlimited", "proc/meminfo", "x", "0 167772160 - -", "memory: proc/meminfo does not tell MemTotal and MemAvailable")
	f("cgroup2-limited", c+"memory.current", "", "0 2048000000 6144000000 8192000000", "")
	f("cgroup2-limited", "proc/net/dev", "eth0: x", limited, `network: proc/net/dev: no numbers of bytes: "eth0: x"`, "container.network.io")
	f("cgroup2-limited", "proc/net/dev", "a\nlo: 1 0 0 0 0 0 0 0 1\n", limited, "", "container.network.io")
	f("cgroup2-limited", "proc/loadavg", "1 2", limited, `load: proc/loadavg has no three averages: "1 2"`, "system.cpu.load_average.1m")
	f("hybrid", "sys/devices/system/cpu/online", "", "- 167772160 6144000000 8192000000", "CPU: it is not known how many CPUs there are")
	f("bare-metal", "proc/stat", "intr 1", host, `CPU: proc/stat does not begin with the time of all CPUs: "intr 1"`)
	f("bare-metal", "proc/stat", "cpu 1 2 3", host, `CPU: proc/stat does not begin with the time of all CPUs: "cpu 1 2 3"`)
	f("bare-metal", "proc/stat", "cpu 1 2 -3 4", host, `CPU: proc/stat does not begin with the time of all CPUs: "cpu 1 2 -3 4"`)
	f("bare-metal", "proc/meminfo", "MemTotal: 5 kB\nMemFree: 4 kB\n", "- - - -", "memory: proc/meminfo does not tell MemTotal and MemAvailable")
	f("bare-metal", "proc/meminfo", "MemTotal: 5 MB\n", "- - - -", `memory: proc/meminfo: no number of kB: "MemTotal: 5 MB"`)
	f("bare-metal", "proc/diskstats", "8 0 sda 1", host, `disk I/O: proc/diskstats: no numbers: "8 0 sda 1"`, "system.disk.io")
	f("bare-metal", "proc/vmstat", "oom_kill x", host, `memory: proc/vmstat: no number: "oom_kill x"`, "system.memory.events")
	f("bare-metal", "proc/pressure/io", "some avg10=x", host, `pressure: proc/pressure/io: line 1 has no percentage: "some avg10=x"`, "system.pressure.io")

	// A group that cannot be found is no reason to measure nothing, but one to say so.
	x := system(t, "cgroup2-limited")
	x.set("proc/self/cgroup", "0::/../other\n")
	x.set("sys/fs/cgroup/cgroup.procs", "1\n")
	m := hoststat.NewMeter(x, "/")
	row, source, reason := m.Read()
	if v := values(row); v != host || source != "host" ||
		!strings.HasPrefix(reason, "the host is measured, and not the container, if this is one: the control group of the process cannot be seen from here: the kernel calls it /../other") {
		t.Errorf("hidden group: %s %s %s", v, source, reason)
	}
	x.edit(t, "proc/stat", "cpu  4000", "cpu  4100")
	row, _, _ = m.Read()
	if row.CpuPct == nil || *row.CpuPct != 100 {
		t.Errorf("hidden group: %s", values(row))
	}
	x.set("sys/fs/cgroup/cgroup.procs", "17\n") // now it can be seen
	if _, source, reason := m.Read(); source != "cgroup v2" || reason != "" {
		t.Errorf("found group: %s %s", source, reason)
	}
}

// On a machine, bridges, tunnels, partitions and the like are not counted again.
func TestCountedOnce(t *testing.T) {
	x := system(t, "bare-metal")
	m := hoststat.NewMeter(x, "/")
	row, _, reason := m.Read()
	all := members(t, row)
	want := map[string]any{
		"system.network.io":      map[string]any{"receive": 5000000., "transmit": 700000.},
		"system.disk.io":         map[string]any{"read": 176000. * 512, "write": 8000. * 512},
		"system.disk.operations": map[string]any{"read": 4000., "write": 300.},
	}
	for name, v := range want {
		if d := cmp.Diff(v, all[name]); d != "" || reason != "" {
			t.Errorf("%s (%s):\n%s", name, reason, d)
		}
	}
}

// Our own reading of the machine's files and those of a container agree on what df says.
func TestDiskSpace(t *testing.T) {
	dir := t.TempDir()
	x := system(t, "macos")
	row, _, _ := hoststat.NewMeter(x, filepath.Join(dir, "trace.db")).Read()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if got, want := *row.DiskTotalBytes, int64(st.Blocks)*int64(st.Bsize); got != want {
		t.Errorf("total %d, want %d", got, want)
	}
	row, _, reason := hoststat.NewMeter(system(t, "fly"), filepath.Join(dir, "gone", "trace.db")).Read()
	if row.DiskTotalBytes != nil || row.DiskFreeBytes != nil || !strings.Contains(reason, "disk space: ask for the space of "+dir+"/gone: no such file or directory") {
		t.Errorf("of a folder that is not there: %s", reason)
	}

	f := func(blocks, free, available, size uint64, want string) {
		t.Helper()
		used, total, avail, err := hoststat.SpaceOf(blocks, free, available, size)
		got := fmt.Sprint(used, total, avail)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%d blocks of %d, %d free, %d available: %s, want %s", blocks, size, free, available, got, want)
		}
	}
	f(100, 30, 25, 4096, "286720 409600 102400") // five blocks are for root
	f(100, 0, 0, 4096, "409600 409600 0")
	f(100, 2, math.MaxUint64-3, 1, "98 100 2") // some file systems go below zero
	f(100, 101, 0, 1, "error")
	f(1<<62, 0, 0, 4, "error")
	f(100, 0, 0, 0, "error")
	f(0, 0, 0, 4096, "error") // a tmpfs without a limit
}

// Whatever /proc says, there is a reading that may be.
func FuzzRead(f *testing.F) {
	for i, name := range systems[:8] {
		x := system(f, name)
		for j, file := range slices.Sorted(maps.Keys(x.files)) {
			if strings.HasPrefix(file, "proc/") {
				f.Add(byte(i), uint16(j), x.files[file].Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which byte, file uint16, content []byte) {
		x := system(t, systems[int(which)%8])
		m := hoststat.NewMeter(x, "/")
		all := slices.Sorted(maps.Keys(x.files))
		x.set(all[int(file)%len(all)], string(content))
		row, source, _ := m.Read()
		members(t, row)
		for _, n := range []*int64{row.MemRssBytes, row.MemAvailable, row.MemTotal} {
			if n != nil && *n < 0 {
				t.Errorf("%s: %s", source, values(row))
			}
		}
		if p := row.CpuPct; p != nil && !(*p >= 0 && !math.IsInf(*p, 0)) {
			t.Errorf("%v %% of the CPU", *p)
		}
		if row.MemTotal != nil && row.MemAvailable != nil && *row.MemAvailable > *row.MemTotal {
			t.Errorf("more memory than there is: %s", values(row))
		}
	})
}
