//go:build !linux

package store

import "syscall"

// blockSize returns the unit in which s counts blocks.
func blockSize(s *syscall.Statfs_t) int64 { return int64(s.Bsize) }
