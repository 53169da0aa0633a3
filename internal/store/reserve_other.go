//go:build !linux

package store

import (
	"errors"
	"os"
)

// allocate cannot set blocks aside here.
func allocate(*os.File, int64) error { return errors.ErrUnsupported }
