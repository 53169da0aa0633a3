package store

import "syscall"

// BlockSize returns the unit in which s counts blocks, as df takes it. Bsize may be what
// is best read at once instead, as on folders that a virtual machine shares with its host.
func BlockSize(s *syscall.Statfs_t) int64 {
	if s.Frsize > 0 {
		return int64(s.Frsize)
	}
	return int64(s.Bsize)
}
