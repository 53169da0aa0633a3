package writer_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// A disk stands between SQLite and the files of one directory. It can fail or hold
// up what SQLite does there, and it can record it, to tell later what a power cut
// would have left.
//
// It is a VFS that keeps the functions of SQLite's own for Unix but for those below:
// the file that these open is given another table of methods.
type disk struct {
	mu     sync.Mutex
	fault  func(step) int32 // called before each step; other than SQLITE_OK it fails with that
	record bool
	log    []step
	known  map[string]bool // names whose content the log explains
}

// step is one thing that SQLite asked for.
type step struct {
	kind string // create, found, rename, write, truncate, sync, remove
	file string // base name
	to   string // of rename
	at   int64
	data []byte
	dir  bool // a sync or removal that takes the directory's entries with it
	when time.Time
}

func (s step) String() string {
	return fmt.Sprintf("%s %s at %d (%d bytes)", s.kind, s.file, s.at, len(s.data))
}

var disks = struct {
	sync.Mutex
	byDir map[string]*disk
	files map[uintptr]*openFile
	plain sqlite3.Tsqlite3_vfs
	wraps map[uintptr]uintptr // tables of methods by the plain one
}{
	byDir: make(map[string]*disk),
	files: make(map[uintptr]*openFile),
	wraps: make(map[uintptr]uintptr),
}

type openFile struct {
	disk    *disk
	name    string
	plain   *sqlite3.Tsqlite3_io_methods
	syncDir bool // the next sync takes the directory with it
}

func init() {
	tls := libc.NewTLS()
	defer tls.Close()
	disks.plain = *at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
	shim := disks.plain
	shim.FzName = keep(tls, [5]byte{'s', 'h', 'i', 'm'})
	shim.FxOpen = pointer(vfsOpen)
	shim.FxDelete = pointer(vfsDelete)
	shim.FxSleep = pointer(vfsSleep)
	if sqlite3.Xsqlite3_vfs_register(tls, keep(tls, shim), 1) != sqlite3.SQLITE_OK {
		panic("SQLite does not take the VFS")
	}
}

// keep puts v where SQLite may hold on to it, outside of Go's memory.
func keep[T any](tls *libc.TLS, v T) uintptr {
	p := sqlite3.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(v)))
	*at[T](p) = v
	return p
}

// at returns what lies at an address of SQLite's.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// pointer and function convert between a function declared in Go and what C calls a
// pointer to one.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

type (
	openFunc     func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	deleteFunc   func(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32
	closeFunc    func(tls *libc.TLS, file uintptr) int32
	writeFunc    func(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32
	truncateFunc func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     func(tls *libc.TLS, file uintptr, flags int32) int32
)

func vfsOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	open := function[openFunc](disks.plain.FxOpen)
	path := ""
	if name != 0 {
		path = libc.GoString(name)
	}
	d := diskAt(path)
	if d == nil {
		return open(tls, vfs, name, file, flags, outFlags)
	}
	d.opens(path, flags)
	rc := open(tls, vfs, name, file, flags, outFlags)
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	methods := at[uintptr](file)
	disks.Lock()
	defer disks.Unlock()
	journal := flags & (sqlite3.SQLITE_OPEN_MAIN_JOURNAL | sqlite3.SQLITE_OPEN_WAL)
	f := &openFile{
		disk: d, name: filepath.Base(path), plain: at[sqlite3.Tsqlite3_io_methods](*methods),
		syncDir: flags&sqlite3.SQLITE_OPEN_CREATE != 0 && journal != 0,
	}
	disks.files[file] = f
	wrap := disks.wraps[*methods]
	if wrap == 0 {
		w := *f.plain
		w.FxClose = pointer(fileClose)
		w.FxWrite = pointer(fileWrite)
		w.FxTruncate = pointer(fileTruncate)
		w.FxSync = pointer(fileSync)
		wrap = keep(tls, w)
		disks.wraps[*methods] = wrap
	}
	*methods = wrap
	return rc
}

func vfsDelete(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	remove := func() int32 { return function[deleteFunc](disks.plain.FxDelete)(tls, vfs, name, syncDir) }
	path := libc.GoString(name)
	d := diskAt(path)
	if d == nil {
		return remove()
	}
	return d.do(step{kind: "remove", file: filepath.Base(path), dir: syncDir != 0}, remove)
}

// vfsSleep waits for a lock by Go's clock, which in a bubble is the bubble's.
func vfsSleep(_ *libc.TLS, _ uintptr, microseconds int32) int32 {
	time.Sleep(time.Duration(microseconds) * time.Microsecond)
	return microseconds
}

func diskAt(path string) *disk {
	disks.Lock()
	defer disks.Unlock()
	return disks.byDir[filepath.Dir(path)]
}

func opened(file uintptr) *openFile {
	disks.Lock()
	defer disks.Unlock()
	return disks.files[file]
}

func fileClose(tls *libc.TLS, file uintptr) int32 {
	f := opened(file)
	disks.Lock()
	delete(disks.files, file)
	disks.Unlock()
	return function[closeFunc](f.plain.FxClose)(tls, file)
}

func fileWrite(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	f := opened(file)
	s := step{kind: "write", file: f.name, at: offset, data: unsafe.Slice(at[byte](buf), n)}
	return f.disk.do(s, func() int32 { return function[writeFunc](f.plain.FxWrite)(tls, file, buf, n, offset) })
}

func fileTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	f := opened(file)
	s := step{kind: "truncate", file: f.name, at: size}
	return f.disk.do(s, func() int32 { return function[truncateFunc](f.plain.FxTruncate)(tls, file, size) })
}

func fileSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := opened(file)
	s := step{kind: "sync", file: f.name, dir: f.syncDir}
	rc := f.disk.do(s, func() int32 { return function[syncFunc](f.plain.FxSync)(tls, file, flags) })
	f.syncDir = f.syncDir && rc != sqlite3.SQLITE_OK
	return rc
}

// newDisk puts a disk under t's databases in dir.
func newDisk(t *testing.T, dir string) *disk {
	t.Helper()
	d := &disk{known: make(map[string]bool)}
	disks.Lock()
	defer disks.Unlock()
	disks.byDir[dir] = d
	t.Cleanup(func() {
		disks.Lock()
		defer disks.Unlock()
		delete(disks.byDir, dir)
	})
	return d
}

// fail sets what is asked before each step, or nil.
func (d *disk) fail(f func(step) int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

func (d *disk) do(s step, plain func() int32) int32 {
	d.mu.Lock()
	fault := d.fault
	d.mu.Unlock()
	if fault != nil {
		if rc := fault(s); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	rc := plain()
	if rc == sqlite3.SQLITE_OK {
		d.note(s)
	}
	return rc
}

func (d *disk) note(s step) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.record {
		return
	}
	s.when = time.Now()
	s.data = slices.Clone(s.data)
	d.log = append(d.log, s)
}

// steps returns how many steps were recorded so far.
func (d *disk) steps() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// opens notes where a file comes from that SQLite is about to open.
func (d *disk) opens(path string, flags int32) {
	name := filepath.Base(path)
	d.mu.Lock()
	known, record := d.known[name], d.record
	d.known[name] = true
	d.mu.Unlock()
	if !record {
		return
	}
	data, err := os.ReadFile(path)
	switch {
	case err != nil:
		if flags&sqlite3.SQLITE_OPEN_CREATE != 0 {
			d.note(step{kind: "create", file: name})
		}
	case !known && d.wrote(name+".new"):
		d.note(step{kind: "rename", file: name + ".new", to: name})
	case !known:
		d.note(step{kind: "found", file: name, data: data})
	}
}

func (d *disk) wrote(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.log, func(s step) bool { return s.kind == "write" && s.file == name })
}

// medium is a file as a power cut knows it.
type medium struct {
	data    []byte // what is on the disk for certain
	pending []step // writes and truncations since the last sync
	entry   bool   // the directory on the disk has it
	removed bool   // by name, though perhaps not yet on the disk
}

// afterCut returns the files that may lie there when the power fails before step n:
// what was synced, and of what was not any part, down to single sectors.
func (d *disk) afterCut(t *testing.T, n int, r *rand.Rand) map[string][]byte {
	t.Helper()
	files := make(map[string]*medium)
	for _, s := range d.log[:n] {
		f := files[s.file]
		switch s.kind {
		case "create":
			if f == nil || f.removed {
				files[s.file] = &medium{}
			}
		case "found":
			files[s.file] = &medium{data: slices.Clone(s.data), entry: true}
		case "rename":
			if len(f.pending) > 0 {
				t.Errorf("%s was renamed to %s before it was synced", s.file, s.to)
			}
			delete(files, s.file)
			files[s.to] = f
			// The directory is synced before SQLite opens a file under its new name.
			syncEntries(files)
		case "write", "truncate":
			f.pending = append(f.pending, s)
		case "sync":
			for _, p := range f.pending {
				f.data = p.apply(f.data, nil)
			}
			f.pending = nil
			if s.dir {
				syncEntries(files)
			} else if !strings.HasSuffix(s.file, "-wal") && !strings.HasSuffix(s.file, "-journal") {
				f.entry = true
			}
		case "remove":
			if s.dir || f == nil || !f.entry {
				delete(files, s.file)
			} else {
				f.removed = true
			}
		}
	}
	left := make(map[string][]byte)
	for _, name := range slices.Sorted(maps.Keys(files)) { // in a fixed order, for the seed
		f := files[name]
		if (!f.entry || f.removed) && r.IntN(2) == 0 {
			continue
		}
		data := slices.Clone(f.data)
		whole := r.IntN(3) // 0: nothing of what was not synced; 1: all; 2: any part
		for _, p := range f.pending {
			switch {
			case whole == 1, whole == 2 && r.IntN(3) == 0:
				data = p.apply(data, nil)
			case whole == 2 && r.IntN(2) == 0:
				data = p.apply(data, r)
			}
		}
		left[name] = data
	}
	return left
}

func syncEntries(files map[string]*medium) {
	for name, f := range files {
		f.entry = true
		if f.removed {
			delete(files, name)
		}
	}
}

// apply does s to data; with r it is torn: each sector arrived or did not.
func (s step) apply(data []byte, r *rand.Rand) []byte {
	const sector = 512
	if s.kind == "truncate" {
		if r != nil {
			return data
		}
		return data[:min(int(s.at), len(data))]
	}
	for from := 0; from < len(s.data); {
		to := min(len(s.data), from+sector-int(s.at+int64(from))%sector)
		if r == nil || r.IntN(2) == 0 {
			end := int(s.at) + to
			if len(data) < end {
				data = append(data, make([]byte, end-len(data))...)
			}
			copy(data[int(s.at)+from:], s.data[from:to])
		}
		from = to
	}
	return data
}

// restore writes files, as afterCut returns them, into dir.
func restore(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
