package store

import (
	"os"
	"syscall"
)

const fallocKeepSize = 1 // FALLOC_FL_KEEP_SIZE

// allocate has the file system set blocks aside for the first size bytes of f, which
// stays as long as it is.
func allocate(f *os.File, size int64) error {
	return syscall.Fallocate(int(f.Fd()), fallocKeepSize, 0, size)
}
