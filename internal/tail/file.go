package tail

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// headBytes is how much of a file's beginning tells it from another with its inode.
const headBytes = 1024

// fileID is st_dev and st_ino, as the database has them.
type fileID struct{ device, inode int64 }

// file is a file that is followed.
type file struct {
	*os.File
	id        fileID
	path      string
	present   bool  // under a name of the pattern
	pos       int64 // what is before it is done with
	size      int64
	changed   time.Time // as the file system says
	grown     time.Time // as we saw it
	headBytes int64     // of which head is the hash
	head      string
}

// patternOf turns the setting into one that filepath.Glob understands.
func patternOf(path string) string {
	if path == Auto {
		return "/tmp/openclaw*/openclaw-*.log"
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	const digits = "[0-9]"
	return strings.ReplaceAll(path, "YYYY-MM-DD", strings.Repeat(digits, 4)+"-"+strings.Repeat(digits, 2)+"-"+strings.Repeat(digits, 2))
}

// stat tells what path is, and fails unless it is a file. Links are followed unless
// direct says otherwise, as it has to where anyone may make a directory.
func stat(path string, direct bool) (os.FileInfo, error) {
	f := os.Stat
	if direct {
		f = os.Lstat
		if dir, err := f(filepath.Dir(path)); err == nil && !dir.IsDir() {
			return nil, fmt.Errorf("%s is a link", filepath.Dir(path))
		}
	}
	info, err := f(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	return info, nil
}

func idOf(info os.FileInfo) fileID {
	s := info.Sys().(*syscall.Stat_t)
	return fileID{int64(s.Dev), int64(s.Ino)}
}

// openFile opens a file without waiting for it, as it may have become a pipe. direct is
// as for stat.
func openFile(path string, direct bool, now time.Time) (*file, error) {
	flag := os.O_RDONLY | syscall.O_NONBLOCK
	if direct {
		flag |= syscall.O_NOFOLLOW
	}
	o, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	info, err := o.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		o.Close()
		return nil, err
	}
	return &file{File: o, id: idOf(info), path: path, size: info.Size(), changed: info.ModTime(), grown: now}, nil
}

// beginning returns up to n bytes of f.
func (f *file) beginning(n int64) []byte {
	b := make([]byte, n)
	got, _ := f.ReadAt(b, 0) // less is another beginning
	return b[:got]
}

func (f *file) hash(n int64) string { return hashOf(f.beginning(n)) }

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// same tells whether f still begins as it did.
func (f *file) same() bool { return f.headBytes == 0 || f.hash(f.headBytes) == f.head }

// learn takes more of the beginning into the head, once there is more.
func (f *file) learn() {
	if n := min(f.size, headBytes); n > f.headBytes {
		f.headBytes, f.head = n, f.hash(n)
	}
}

// archive tells whether f is a log no more.
func (f *file) archive() bool {
	b := f.beginning(4)
	for _, magic := range []string{"\x1f\x8b", "BZh", "\xfd7zX", "\x28\xb5\x2f\xfd"} { // gzip, bzip2, xz, zstd
		if strings.HasPrefix(string(b), magic) {
			return true
		}
	}
	return false
}

// midLine tells whether f.pos is in the middle of a line.
func (f *file) midLine() bool {
	if f.pos == 0 {
		return false
	}
	var b [1]byte
	n, _ := f.ReadAt(b[:], f.pos-1)
	return n == 1 && b[0] != '\n' && b[0] != 0
}

// row is f for the database.
func (f *file) row(now int64) db.LogPosition {
	return db.LogPosition{
		Device: f.id.device, Inode: f.id.inode, Path: f.path, HeadBytes: f.headBytes, Head: f.head, Position: f.pos, UpdatedAt: now,
	}
}

// ErrNoFile is that nothing is called as the setting says, yet.
var ErrNoFile = errors.New("no file is called so")

// Find returns the file that a Tail would read first, having tried to open it.
func Find(path string) (string, error) {
	pattern := patternOf(path)
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return "", fmt.Errorf("%q is no pattern: %w", path, err)
	}
	newest, at := "", time.Time{}
	var faults []error
	for _, name := range paths {
		info, err := stat(name, path == Auto)
		if err != nil {
			faults = append(faults, err)
		} else if newest == "" || info.ModTime().After(at) {
			newest, at = name, info.ModTime()
		}
	}
	if newest == "" {
		return "", errors.Join(append(faults, fmt.Errorf("%w: %s", ErrNoFile, pattern))...)
	}
	f, err := openFile(newest, path == Auto, at)
	if err != nil {
		return "", err
	}
	return newest, f.Close()
}
