package janitor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// smallDisk returns a directory that is a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a file system of a given size cannot be mounted here (as root it can): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// takeAll writes until nothing more can be written to the file system.
func takeAll(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 64<<10); len(chunk) > 0; {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// When others have filled the volume to its last byte, rows can still be deleted, their
// room is given back, and events are stored again, without a restart. It does not matter
// how far the log had come.
func TestOthersFillTheDisk(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it fills 64 MiB three times, which takes minutes under the race detector")
	}
	for rows, greedy := range map[int]bool{1200: false, 1300: true, 1400: false} {
		t.Run(fmt.Sprint(rows, greedy), func(t *testing.T) { othersFill(t, rows, greedy) })
	}
}

func othersFill(t *testing.T, rows int, greedy bool) {
	dir := smallDisk(t, "64m")
	x := newWorld(t, withRemote, budget(64*mib), func(o *janitor.Options) {
		o.Free, o.MinFreeBytes, o.Interval = nil, 4*mib, 100*time.Millisecond
	})
	x.close()
	x.path = filepath.Join(dir, "trace.db")
	x.open()
	defer func() { x.close() }()
	x.j.Close(context.Background()) // it sleeps while the disk fills up
	one := func() error {
		_, err := x.w.Submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{x.call(time.Now(), 6000)}})
		return err
	}
	for range rows {
		if err := one(); err != nil {
			t.Fatal(err)
		}
	}
	filler := filepath.Join(dir, "filler")
	takeAll(t, filler)
	// Senders go on until nothing is taken any more.
	taken := 0
	for one() == nil {
		if taken++; taken > 10_000 {
			t.Fatal("the disk does not get full")
		}
	}
	if taken == 0 {
		t.Error("nothing was taken on a full disk")
	}
	if x.w.Fault() == "" {
		t.Error("the writer does not say so")
	}
	x.balance()

	x.restart(func(*janitor.Options) {})
	for round := range 8 {
		x.pass()
		stored := 0
		for ; stored < 100 && one() == nil; stored++ {
		}
		if stored == 0 || stored < 100 && !greedy {
			t.Errorf("round %d: %d calls stored", round, stored)
		}
		if greedy { // whoever took the disk takes what is given back too
			takeAll(t, filler)
		}
	}
	x.pass()
	if s := x.j.Status(); s.Deleted[janitor.BySpace] == 0 && s.Texts == 0 || greedy != (s.Reason != "") {
		t.Errorf("%+v", s)
	}
	free, err := janitor.Free(x.path)
	if err != nil || !greedy && free < 4*mib {
		t.Errorf("%d bytes are free, %v", free, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := one(); err != nil {
		t.Error(err)
	}
	if x.pass(); x.w.Fault() != "" || x.j.Status().Reason != "" {
		t.Errorf("%q, %+v", x.w.Fault(), x.j.Status())
	}
}

// A volume that does not tell its size is not full.
func TestVolumeWithoutSize(t *testing.T) {
	dir := smallDisk(t, "0")
	if free, err := janitor.Free(dir); err != nil || free < 1<<40 {
		t.Errorf("%d bytes are free, %v", free, err)
	}
}

// On a small volume MinFreeBytes stay free under a flood, but for what is set aside, and for
// what is being stored.
func TestFreeSpaceIsKept(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it fills 128 MiB, which takes minutes under the race detector")
	}
	dir := smallDisk(t, "128m")
	x := newWorld(t, withRemote, budget(256*mib), func(o *janitor.Options) {
		o.Free, o.MinFreeBytes, o.Interval = nil, 48*mib, 100*time.Millisecond
	})
	x.close()
	x.path = filepath.Join(dir, "trace.db")
	x.open()
	defer x.close()
	s := weigh(t, x.path)
	x.flood(4, 30)
	s.end()
	if free := s.free.Load(); free < 48*mib-janitor.LogBytes-8*mib {
		t.Errorf("%d MiB were free", free/mib)
	}
	t.Logf("%d MiB were free at least, %d MiB of files", s.free.Load()/mib, s.bytes.Load()/mib)
}
