package hoststat_test

import (
	"os"
	"syscall"
	"unsafe"
)

// writeDirect writes n bytes past the page cache.
func writeDirect(name string, n int) (int64, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|syscall.O_DIRECT, 0o644)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	const page = 4096
	b := make([]byte, n+page)
	at := page - int(uintptr(unsafe.Pointer(&b[0]))%page)
	written, err := f.Write(b[at : at+n])
	return int64(written), err
}
