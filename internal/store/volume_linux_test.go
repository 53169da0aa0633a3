package store_test

import (
	"syscall"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/store"
)

func TestBlockSize(t *testing.T) {
	for want, s := range map[int64]syscall.Statfs_t{
		4096: {Bsize: 1 << 20, Frsize: 4096},
		512:  {Bsize: 512}, // of old kernels
	} {
		if got := store.BlockSize(&s); got != want {
			t.Errorf("%+v: %d, want %d", s, got, want)
		}
	}
}
