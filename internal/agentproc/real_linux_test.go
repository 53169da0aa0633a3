package agentproc_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/kon-rad/openclaw-trace/internal/agentproc"
)

// memoryGroup makes a control group that may use 32 MiB, and returns its folder.
func memoryGroup(t *testing.T) string {
	t.Helper()
	base, limits := "/sys/fs/cgroup/memory", [][2]string{{"memory.limit_in_bytes", "33554432"}, {"memory.memsw.limit_in_bytes", "33554432"}}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		base, limits = "/sys/fs/cgroup", [][2]string{{"memory.max", "33554432"}, {"memory.swap.max", "0"}}
		_ = os.WriteFile(base+"/cgroup.subtree_control", []byte("+memory"), 0) // it may be on
	}
	dir := filepath.Join(base, fmt.Sprintf("openclaw-trace-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("no control group with a memory limit can be made here (is this root?): %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := os.WriteFile(filepath.Join(dir, limits[0][0]), []byte(limits[0][1]), 0); err != nil {
		t.Skipf("no memory limit can be set here: %v", err)
	}
	_ = os.WriteFile(filepath.Join(dir, limits[1][0]), []byte(limits[1][1]), 0) // where swap is not accounted there is none
	return dir
}

// The kernel kills a real process that uses more memory than its group may.
func TestRealOOMKill(t *testing.T) {
	dir := memoryGroup(t)
	synctest.Test(t, func(t *testing.T) {
		name := agentName()
		x := newWorld(t, func(o *agentproc.Options) { o.Root, o.Process = nil, name })
		defer x.close()
		wait, release, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer wait.Close()
		cmd := startWith(t, name, "eat", wait)
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, cmd.Process.Pid), 0); err != nil {
			t.Fatal(err)
		}
		x.watch()
		if s := x.a.Status(); s.PID != cmd.Process.Pid {
			t.Fatalf("%+v", s)
		}
		release.Close()
		cmd.Wait()
		x.ticks(1)
		e := x.expect("agent_gone crash critical")
		if m := e[0].message; !strings.Contains(m, "OOM killer") || !strings.Contains(m, filepath.Base(dir)) {
			t.Error(m)
		}
		t.Log(e[0].message)
	})
}

// A tmpfs that is filled, with bytes and with files.
func TestRealVolume(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,nr_inodes=300"); err != nil {
		t.Skipf("no tmpfs can be mounted here (is this root?): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		x := newWorldAt(t, dir, func(o *agentproc.Options) { o.Volume, o.MinFreeBytes = nil, 1<<20 })
		defer x.close()
		x.watch()
		x.expect()
		filler := filepath.Join(dir, "filler")
		var s syscall.Statfs_t
		if err := syscall.Statfs(dir, &s); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filler, make([]byte, int64(s.Bavail)*s.Bsize-512<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		x.ticks(2)
		x.expect("disk_nearly_full system_error error")
		os.Remove(filler)
		x.ticks(1)
		for i := range 280 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		x.ticks(2)
		x.expect("disk_nearly_full system_error error", "inodes_nearly_used_up system_error error")
	})
}

func TestRealReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no tmpfs can be mounted here (is this root?): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	for _, readOnly := range []bool{false, true, false} {
		flags := uintptr(syscall.MS_REMOUNT)
		if readOnly {
			flags |= syscall.MS_RDONLY
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size=1m"); err != nil {
			t.Fatal(err)
		}
		v, err := agentproc.StatVolume(dir)
		if err != nil || v.ReadOnly != readOnly || v.TotalBytes != 1<<20 || v.Inodes == 0 {
			t.Errorf("%+v, %v", v, err)
		}
	}
}

// A volume that does not tell its size is not full.
func TestRealVolumeWithoutSize(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=0,nr_inodes=0"); err != nil {
		t.Skipf("no tmpfs can be mounted here (is this root?): %v", err)
	}
	defer syscall.Unmount(dir, 0)
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, func(o *agentproc.Options) {
			o.Volume = func() (agentproc.Volume, error) { return agentproc.StatVolume(dir) }
		})
		defer x.close()
		x.watch()
		x.ticks(2)
		x.expect()
	})
}
