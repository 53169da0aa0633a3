package store

import "syscall"

// Volume is what the kernel says of a volume: statfs(2).
type Volume struct {
	Blocks    uint64 // 0 if the volume does not tell its size, as a tmpfs without a limit does not
	Free      uint64 // of them
	Available uint64 // of these, to an ordinary user
	BlockSize int64  // bytes
	Files     uint64 // inodes, 0 if the file system does not count them
	FreeFiles uint64
	ReadOnly  bool
}

// StatVolume asks about the volume of path.
func StatVolume(path string) (Volume, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(path, &s)
	for err == syscall.EINTR {
		err = syscall.Statfs(path, &s)
	}
	if err != nil {
		return Volume{}, err
	}
	const readOnly = 1 // ST_RDONLY of Linux, MNT_RDONLY of others
	return Volume{
		Blocks: s.Blocks, Free: s.Bfree, Available: s.Bavail, BlockSize: blockSize(&s),
		Files: s.Files, FreeFiles: s.Ffree, ReadOnly: s.Flags&readOnly != 0,
	}, nil
}

// AvailableBytes is what an ordinary user may still write.
func (v *Volume) AvailableBytes() int64 { return int64(v.Available) * v.BlockSize }
