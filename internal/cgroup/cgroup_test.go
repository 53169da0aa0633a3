package cgroup_test

import (
	"errors"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/cgroup"
)

// summary is what a Group tells, with the errors as text.
type summary struct {
	Version          int
	Real, Namespaced bool
	CPU              cgroup.CPU
	Memory           cgroup.Memory
	Events           cgroup.Events
	IO               cgroup.IO
	PIDs             cgroup.PIDs
	Pressure         cgroup.Pressure // on memory
	Missing          string          // what is not there
}

func summarize(t *testing.T, root fs.FS) (s summary) {
	t.Helper()
	g, err := cgroup.Find(root, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Version, s.Real, s.Namespaced = g.Version, g.Real(), g.Namespaced()
	check := func(name string, err error) {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.Missing += name + " "
		case err != nil:
			t.Errorf("%s: %v", name, err)
		}
	}
	s.CPU, err = g.CPU()
	check("cpu", err)
	s.Memory, err = g.Memory()
	check("memory", err)
	s.Events, err = g.Events()
	check("events", err)
	s.IO, err = g.IO()
	check("io", err)
	s.PIDs, err = g.PIDs()
	check("pids", err)
	s.Pressure, err = g.Pressure("memory")
	check("pressure", err)
	return s
}

const mib = 1 << 20

func TestSystems(t *testing.T) {
	none := int64(cgroup.Unknown)
	stalls := cgroup.Pressure{
		Some: cgroup.Stall{Avg10: 2.5, Avg60: 0.5, Avg300: 0.1, Total: 123456 * time.Microsecond},
		Full: cgroup.Stall{Avg10: 0.25, Avg60: 0.05, Total: 23456 * time.Microsecond},
	}
	cpu := cgroup.CPU{Usage: 12 * time.Second, User: 9 * time.Second, System: 3 * time.Second, Periods: none, ThrottledPeriods: none, Throttled: cgroup.Unknown}
	memory := cgroup.Memory{
		Usage: 180 * mib, WorkingSet: 160 * mib, Available: none,
		Anonymous: 100 * mib, File: 60 * mib, InactiveFile: 20 * mib, Swap: mib, MajorFaults: 37,
	}
	io := cgroup.IO{ReadBytes: 90112000, WriteBytes: 4096000, Reads: 4000, Writes: 300}
	v2 := summary{
		Version: 2, Real: true, Namespaced: true, CPU: cpu, Memory: memory, IO: io, PIDs: cgroup.PIDs{Current: 23}, Pressure: stalls,
		Events: cgroup.Events{High: 3, Max: 12, OOM: 2},
	}
	v1 := summary{
		Version: 1, Real: true, Namespaced: true, CPU: cpu, Memory: memory, IO: io, PIDs: cgroup.PIDs{Current: 23},
		Events: cgroup.Events{none, 12, none, 0, none}, Missing: "pressure ",
	}
	limited := func(s *summary) {
		s.CPU.Periods, s.CPU.ThrottledPeriods, s.CPU.Throttled = 1000, 40, 2500*time.Millisecond
		s.Memory.Limit, s.Memory.Available = 512*mib, 352*mib
		s.Events.OOMKill = 1
	}
	for name, want := range map[string]func() summary{
		"cgroup2-limited": func() summary {
			s := v2
			limited(&s)
			s.CPU.Quota, s.CPU.CPUs, s.PIDs.Limit = 1.5, 4, 100
			return s
		},
		"cgroup2-unlimited": func() summary {
			s := v2
			s.CPU.CPUs = 2
			return s
		},
		"cgroup1": func() summary {
			s := v1
			limited(&s)
			s.CPU.Quota = 0.5
			return s
		},
		"hybrid": func() summary { return v1 },
		"bare-metal": func() summary {
			s := v2
			s.Namespaced = false
			s.Memory.Usage, s.Memory.WorkingSet = 32*mib, 12*mib
			return s
		},
		"fly": func() summary {
			return summary{
				Version: 1, CPU: cgroup.CPU{Usage: 400 * time.Second, User: cgroup.Unknown, System: cgroup.Unknown, Periods: none, ThrottledPeriods: none, Throttled: cgroup.Unknown},
				Events: cgroup.Events{none, none, none, 0, none}, Missing: "memory io pids pressure ",
			}
		},
		// The quota, its throttling and the limit are the pod's, and so is what is left.
		"kubernetes": func() summary {
			s := v2
			s.Namespaced = false
			s.CPU.Quota, s.CPU.Periods, s.CPU.ThrottledPeriods, s.CPU.Throttled = 0.5, 500, 60, 7*time.Second
			s.Memory.Limit, s.Memory.Available = 1024*mib, 1024*mib-(943718400-40*mib)
			s.PIDs.Limit = 512
			return s
		},
		"kubernetes-cgroup1": func() summary {
			s := v1
			s.Memory.Limit, s.Memory.Available = 1024*mib, 864*mib
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(want(), summarize(t, system(t, name))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestNone(t *testing.T) {
	for name, root := range map[string]fs.FS{
		"macOS":                    system(t, "macos"),
		"nothing mounted":          with(system(t, "fly"), map[string]string{"proc/self/mountinfo": "27 1 254:0 / / rw - ext4 /dev/vda rw\n"}),
		"no mountinfo":             with(system(t, "fly"), map[string]string{"proc/self/mountinfo": ""}),
		"version 1 without ours":   with(system(t, "cgroup1"), map[string]string{"proc/self/cgroup": "1:name=systemd:/x\n"}),
		"a kernel without cgroups": with(system(t, "fly"), map[string]string{"proc/self/cgroup": ""}),
	} {
		if _, err := cgroup.Find(root, 0); !errors.Is(err, cgroup.ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := cgroup.Limit(root); !errors.Is(err, cgroup.ErrNone) {
			t.Errorf("%s: limit: %v", name, err)
		}
	}
}

// Where a group is depends on the namespaces of those who ask and of those who mounted.
func TestFind(t *testing.T) {
	const (
		v2  = "30 29 0:26 %s /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
		dir = "sys/fs/cgroup"
	)
	f := func(name, cgroupFile, mountinfo string, groups []string, want string, more ...string) {
		t.Helper()
		tree := fstest.MapFS{
			"proc/self/cgroup":    {Data: []byte(cgroupFile)},
			"proc/self/mountinfo": {Data: []byte(mountinfo)},
			"proc/self/stat":      {Data: []byte("17 (a b) S 1")},
		}
		for _, g := range groups {
			g, isRoot := strings.CutSuffix(g, " root")
			tree[g+"/cgroup.procs"] = &fstest.MapFile{Data: []byte("17\n")}
			tree[g+"/memory.current"] = &fstest.MapFile{Data: []byte("1\n")}
			if !isRoot {
				tree[g+"/cgroup.events"] = &fstest.MapFile{}
			}
		}
		for _, m := range more {
			name, content, _ := strings.Cut(m, "=")
			tree[name] = &fstest.MapFile{Data: []byte(content)}
		}
		g, err := cgroup.Find(tree, 0)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = strings.Join(g.Dirs(), " ")
		}
		if got != want && !(strings.HasPrefix(want, "cannot") && errors.Is(err, cgroup.ErrHidden)) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	mount := func(root string) string { return strings.Replace(v2, "%s", root, 1) }

	f("own namespace", "0::/\n", mount("/"), []string{dir}, dir)
	f("below the namespace's root", "0::/a/b\n", mount("/"), []string{dir, dir + "/a", dir + "/a/b"}, dir+"/a/b "+dir+"/a "+dir)
	f("the real root is left out", "0::/a\n", mount("/"), []string{dir + " root", dir + "/a"}, dir+"/a")
	f("in the real root", "0::/\n", mount("/"), []string{dir + " root"}, "")
	f("only the group is mounted", "0::/docker/x\n", mount("/docker/x"), []string{dir}, dir)
	f("only the group above is mounted", "0::/docker/x\n", mount("/docker"), []string{dir, dir + "/x"}, dir+"/x "+dir)
	f("a name that begins alike", "0::/docker/xy\n", mount("/docker/x"), []string{dir}, "cannot", "sys/fs/cgroup/cgroup.procs=1\n")
	f("a name that begins alike, and goes on as one below", "0::/docker/xy\n", mount("/docker/x"), []string{dir, dir + "/y"}, "cannot", "sys/fs/cgroup/cgroup.procs=1\n")
	f("not among those mounted", "0::/kubepods/x\n", mount("/"), []string{dir}, "cannot", "sys/fs/cgroup/cgroup.procs=1\n")
	f("not among those mounted by name", "0::/kubepods/x\n", mount("/"), []string{dir}, dir)
	f("a namespace entered after the mount", "0::/\n", mount("/../.."), []string{dir}, dir)
	f("a group of another container", "0::/../other\n", mount("/"), []string{dir}, "cannot", "sys/fs/cgroup/cgroup.procs=1\n")
	f("a namespace around both", "0::/../other\n", mount("/.."), []string{dir, dir + "/other"}, dir+"/other "+dir)
	f("removed meanwhile", "0::/a (deleted)\n", mount("/"), []string{dir}, "cannot", "sys/fs/cgroup/cgroup.procs=\n")
	f("two mounts", "0::/docker/x\n", mount("/docker/x")+strings.Replace(mount("/"), "/sys/fs/cgroup", "/host/cgroup", 1),
		[]string{dir, "host/cgroup root", "host/cgroup/docker", "host/cgroup/docker/x"}, "host/cgroup/docker/x host/cgroup/docker")
	f("a mount point with a blank", "0::/\n", strings.Replace(mount("/"), "/sys/fs/cgroup", `/my\040groups\134`, 1), []string{`my groups\`}, `my groups\`)
	f("paths that lead out", "0::/a/../../../etc\n", mount("/"), []string{dir, "etc"}, "cannot", "sys/fs/cgroup/cgroup.procs=1\n")
	f("a colon in a name", "0::/a:b\n", mount("/"), []string{dir + " root", dir + "/a:b"}, dir+"/a:b")
	deep := strings.Repeat("/a", 100)
	f("too deep", "0::"+deep+"\n", mount("/"), []string{dir, dir + deep}, "cannot", "sys/fs/cgroup/cgroup.procs=1\n")

	tree := system(t, "kubernetes")
	if g, err := cgroup.Find(tree, 0); err != nil || !slices.Equal(g.Top().Dirs(), []string{dir + "/kubepods.slice"}) || len(g.Dirs()) != 4 {
		t.Errorf("the topmost group: %+v, %v", g, err)
	}
	tree["proc/42/cgroup"] = &fstest.MapFile{Data: []byte("0::/kubepods.slice\n")}
	if g, err := cgroup.Find(tree, 42); err != nil || g.Path() != "/kubepods.slice" {
		t.Errorf("another process: %+v, %v", g, err)
	}
	if _, err := cgroup.Find(tree, 43); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such process: %v", err)
	}
}

// What is wrong is said with the file's name, and no number is made of it.
func TestMalformed(t *testing.T) {
	const c = "sys/fs/cgroup/"
	for name, want := range map[string]string{
		"proc/self/cgroup=0:x":                                     `proc/self/cgroup: line 1 is no "id:controllers:path": "0:x"`,
		"proc/self/cgroup=\n":                                      `proc/self/cgroup is empty`,
		"proc/self/mountinfo=1 2 3":                                `proc/self/mountinfo: line 1 has no " - ": "1 2 3"`,
		"proc/self/mountinfo=1 2 - cgroup2 x":                      `proc/self/mountinfo: line 1 has too few fields: "1 2 - cgroup2 x"`,
		"proc/self/mountinfo=1 2 3 / /../etc - cgroup2 x rw":       `proc/self/mountinfo: line 1 has a path that is none: "1 2 3 / /../etc - cgroup2 x rw"`,
		c + "cpu.stat=usage_usec":                                  c + `cpu.stat: line 1 has no number: "usage_usec"`,
		c + "cpu.stat=user_usec 5":                                 c + `cpu.stat has no usage_usec`,
		c + "cpu.stat=usage_usec -5":                               c + `cpu.stat: line 1 has no number: "usage_usec -5"`,
		c + "cpu.max=150000":                                       c + `cpu.max is no quota and period: "150000"`,
		c + "cpu.max=150000 0":                                     c + `cpu.max is no quota and period: "150000 0"`,
		c + "cpuset.cpus.effective=3-1":                            c + `cpuset.cpus.effective is no list of CPUs: "3-1"`,
		c + "cpuset.cpus.effective=0-99999999999":                  c + `cpuset.cpus.effective is no list of CPUs: "0-99999999999"`,
		c + "memory.current=\x00":                                  c + `memory.current is no number: "\x00"`,
		c + "memory.max=5e8":                                       c + `memory.max is no number: "5e8"`,
		c + "memory.stat=anon 5":                                   c + `memory.stat has no inactive_file`,
		c + "memory.events=oom_kill x":                             c + `memory.events: line 1 has no number: "oom_kill x"`,
		c + "io.stat=254 rbytes=1":                                 c + `io.stat: line 1 names no device: "254 rbytes=1"`,
		c + "io.stat=1:1 rbytes=1\n254:0 rbytes=":                  c + `io.stat: line 2 has no number: "254:0 rbytes="`,
		c + "pids.current= ":                                       c + `pids.current is no number: ""`,
		c + "memory.pressure=some avg10=NaN total=1":               c + `memory.pressure: line 1 has no percentage: "some avg10=NaN total=1"`,
		c + "memory.pressure=some avg10=0.00 total=":               c + `memory.pressure: line 1 has no number: "some avg10=0.00 total="`,
		c + "memory.pressure=nothing":                              c + `memory.pressure says nothing: "nothing"`,
		c + "memory.stat=" + strings.Repeat("inactive_x 1\n", 1e5): `read ` + c + `memory.stat: it is larger than 1024 KiB`,
	} {
		file, content, _ := strings.Cut(name, "=")
		root := with(system(t, "cgroup2-limited"), map[string]string{file: content})
		if errs := readAll(root); len(errs) != 1 || errs[0].Error() != want {
			t.Errorf("%.80q:\ngot  %v\nwant %s", name, errs, want)
		}
	}
	for name, want := range map[string]string{
		c + "cpu,cpuacct/cpu.cfs_quota_us=0":                          c + `cpu,cpuacct/cpu.cfs_quota_us is no quota: "0"`,
		c + "cpu,cpuacct/cpu.cfs_quota_us=-2":                         c + `cpu,cpuacct/cpu.cfs_quota_us is no quota: "-2"`,
		c + "cpu,cpuacct/cpu.cfs_period_us=0":                         c + `cpu,cpuacct/cpu.cfs_period_us is 0`,
		c + "cpu,cpuacct/cpuacct.usage=?":                             c + `cpu,cpuacct/cpuacct.usage is no number: "?"`,
		c + "cpu,cpuacct/cpuacct.usage_sys=?":                         c + `cpu,cpuacct/cpuacct.usage_sys is no number: "?"`,
		c + "memory/memory.limit_in_bytes=":                           c + `memory/memory.limit_in_bytes is no number: ""`,
		c + "memory/memory.oom_control=oom_kill":                      c + `memory/memory.oom_control: line 1 has no number: "oom_kill"`,
		c + "memory/memory.failcnt=x":                                 c + `memory/memory.failcnt is no number: "x"`,
		c + "blkio/blkio.throttle.io_serviced_recursive=254:0 Read":   c + `blkio/blkio.throttle.io_serviced_recursive: line 1 is no device, operation and number: "254:0 Read"`,
		c + "blkio/blkio.throttle.io_serviced_recursive=254:0 Read x": c + `blkio/blkio.throttle.io_serviced_recursive: line 1 has no number: "254:0 Read x"`,
	} {
		file, content, _ := strings.Cut(name, "=")
		tree := system(t, "cgroup1")
		tree[file] = &fstest.MapFile{Data: []byte(content)}
		if errs := readAll(tree); len(errs) != 1 || errs[0].Error() != want {
			t.Errorf("%.80q:\ngot  %v\nwant %s", name, errs, want)
		}
	}
}

// readAll returns the errors of all there is to read but those of what is not there.
func readAll(root fs.FS) (errs []error) {
	g, err := cgroup.Find(root, 0)
	if err != nil {
		return []error{err}
	}
	add := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	_, err = g.CPU()
	add(err)
	_, err = g.Memory()
	add(err)
	_, err = g.Events()
	add(err)
	_, err = g.IO()
	add(err)
	_, err = g.PIDs()
	add(err)
	for _, resource := range []string{"cpu", "memory", "io"} {
		_, err = g.Pressure(resource)
		add(err)
	}
	return errs
}

func TestLimit(t *testing.T) {
	f := func(name string, want int64, files map[string]string) {
		t.Helper()
		if got, err := cgroup.Limit(with(system(t, name), files)); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", name, got, err, want)
		}
	}
	f("cgroup2-limited", 512*mib, nil)
	f("cgroup2-unlimited", 0, nil)
	f("cgroup2-limited", 0, map[string]string{"sys/fs/cgroup/memory.current": "", "sys/fs/cgroup/memory.max": ""})
	f("cgroup1", 512*mib, nil)
	f("kubernetes", 1024*mib, nil)
	f("kubernetes-cgroup1", 1024*mib, nil)
	f("bare-metal", 0, nil)
	f("fly", 0, nil)
	// No limit of old kernels, and of those with pages of 64 KiB.
	for _, none := range []string{"18446744073709551615", "9223372036854775807", "9223372036854710272"} {
		f("cgroup1", 0, map[string]string{
			"sys/fs/cgroup/memory/memory.limit_in_bytes": none,
			"sys/fs/cgroup/memory/memory.stat":           "hierarchical_memory_limit " + none + "\ntotal_inactive_file 0\n",
		})
	}
}

// A transfer to a device that is made of another is counted by the kernel on both.
func TestStackedDevices(t *testing.T) {
	g, err := cgroup.Find(with(system(t, "cgroup2-limited"), map[string]string{
		"sys/fs/cgroup/io.stat":                 "8:0 rbytes=1000 wbytes=10 rios=4 wios=3\n253:0 rbytes=900 wbytes=9 rios=4 wios=3\n7:1 rbytes=100 wbytes=0 rios=1 wios=0\n8:16 \n",
		"sys/dev/block/253:0/slaves/sda":        " ",
		"sys/dev/block/7:1/loop/backing_file":   "/x",
		"sys/dev/block/8:0/size":                "5",
		"sys/dev/block/8:0/queue/scheduler":     "none",
		"sys/dev/block/8:16/slaves/nothing/now": "x",
	}), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := g.IO(); err != nil || got != (cgroup.IO{ReadBytes: 1000, WriteBytes: 10, Reads: 4, Writes: 3}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Which file of version 1 has the I/O depends on the kernel; where none has, it is not
// known, and not zero.
func TestBlkio(t *testing.T) {
	const dir = "sys/fs/cgroup/blkio/blkio."
	f := func(want cgroup.IO, missing bool, files map[string]string) {
		t.Helper()
		all := map[string]string{dir + "throttle.io_service_bytes_recursive": "", dir + "throttle.io_serviced_recursive": ""}
		maps.Copy(all, files)
		g, err := cgroup.Find(with(system(t, "cgroup1"), all), 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := g.IO(); got != want || errors.Is(err, fs.ErrNotExist) != missing || err != nil && !missing {
			t.Errorf("%v: %+v, %v", files, got, err)
		}
	}
	bytes, ops := "8:0 Read 1000\n8:0 Write 10\nTotal 1010\n", "8:0 Read 4\n8:0 Write 3\nTotal 7\n"
	want := cgroup.IO{ReadBytes: 1000, WriteBytes: 10, Reads: 4, Writes: 3}
	f(want, false, map[string]string{dir + "throttle.io_service_bytes": bytes, dir + "throttle.io_serviced": ops})
	f(want, false, map[string]string{
		dir + "throttle.io_service_bytes_recursive": "Total 0\n", dir + "bfq.io_service_bytes_recursive": bytes,
		dir + "throttle.io_serviced_recursive": "Total 0\n", dir + "bfq.io_serviced_recursive": ops,
	})
	f(cgroup.IO{}, true, map[string]string{dir + "throttle.io_service_bytes_recursive": "Total 0\n", dir + "throttle.io_serviced_recursive": "Total 0\n"})
	f(cgroup.IO{}, true, nil)
}

func TestCountCPUs(t *testing.T) {
	for list, want := range map[string]int{"0": 1, "0-3\n": 4, "0-3,8,10-11": 7, "0,2": 2} {
		if n, ok := cgroup.CountCPUs([]byte(list)); n != want || !ok {
			t.Errorf("%q: %d, %t", list, n, ok)
		}
	}
	for _, list := range []string{"", "\n", "a", "1-", "-1", "3-1", "0,,1", "0-1-2", "0-65536", "9223372036854775807"} {
		if n, ok := cgroup.CountCPUs([]byte(list)); ok {
			t.Errorf("%q: %d", list, n)
		}
	}
}

// Whatever the files hold, there is an error or a number that may be.
func FuzzRead(f *testing.F) {
	names := []string{"cgroup2-limited", "cgroup1", "kubernetes", "hybrid"}
	for i, name := range names {
		tree := system(f, name)
		all := slices.Sorted(maps.Keys(tree))
		for j, file := range all {
			if strings.Contains(file, "cgroup") || strings.HasSuffix(file, "mountinfo") {
				f.Add(byte(i), uint16(j), tree[file].Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which byte, file uint16, content []byte) {
		tree := system(t, names[int(which)%len(names)])
		all := slices.Sorted(maps.Keys(tree))
		tree[all[int(file)%len(all)]] = &fstest.MapFile{Data: content}
		g, err := cgroup.Find(tree, 0)
		if err != nil {
			return
		}
		if c, err := g.CPU(); err == nil {
			if c.Usage < 0 || c.User < cgroup.Unknown || c.Quota < 0 || math.IsInf(c.Quota, 0) || math.IsNaN(c.Quota) || c.CPUs < 0 || c.Throttled < cgroup.Unknown {
				t.Errorf("CPU %+v", c)
			}
		}
		if m, err := g.Memory(); err == nil {
			if m.Usage < 0 || m.WorkingSet < 0 || m.WorkingSet > m.Usage || m.Limit < 0 || m.Available < cgroup.Unknown || m.Limit > 0 && m.Available > m.Limit {
				t.Errorf("memory %+v", m)
			}
		}
		if e, err := g.Events(); err == nil && e.OOMKill < cgroup.Unknown {
			t.Errorf("events %+v", e)
		}
		if io, err := g.IO(); err == nil && min(io.ReadBytes, io.WriteBytes, io.Reads, io.Writes) < 0 {
			t.Errorf("I/O %+v", io)
		}
		if p, err := g.PIDs(); err == nil && min(p.Current, p.Limit) < 0 {
			t.Errorf("PIDs %+v", p)
		}
		for _, resource := range []string{"cpu", "memory", "io"} {
			if p, err := g.Pressure(resource); err == nil && !(p.Some.Avg10 >= 0 && p.Some.Avg10 <= 100 && p.Full.Total >= cgroup.Unknown) {
				t.Errorf("pressure %+v", p)
			}
		}
	})
}
