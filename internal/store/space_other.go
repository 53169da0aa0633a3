//go:build !linux

package store

import "syscall"

// BlockSize returns the unit in which s counts blocks.
func BlockSize(s *syscall.Statfs_t) int64 { return int64(s.Bsize) }
