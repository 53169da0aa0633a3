package store

import "syscall"

// blockSize returns the unit in which s counts blocks, as df takes it. Bsize may be what
// is best read at once instead, as on folders that a virtual machine shares with its host.
func blockSize(s *syscall.Statfs_t) int64 {
	if s.Frsize > 0 {
		return int64(s.Frsize)
	}
	return int64(s.Bsize)
}
