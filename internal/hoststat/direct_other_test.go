//go:build !linux

package hoststat_test

import "errors"

func writeDirect(string, int) (int64, error) { return 0, errors.ErrUnsupported }
