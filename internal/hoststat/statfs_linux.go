package hoststat

import (
	"fmt"
	"syscall"
)

func statfs(path string) (space, error) {
	var b syscall.Statfs_t
	err := syscall.Statfs(path, &b)
	for err == syscall.EINTR {
		err = syscall.Statfs(path, &b)
	}
	if err != nil {
		return space{}, fmt.Errorf("ask for the space of %s: %w", path, err)
	}
	size := b.Frsize
	if size == 0 {
		size = b.Bsize
	}
	return spaceOf(path, b.Blocks, b.Bfree, b.Bavail, uint64(size))
}
