package hoststat

import (
	"fmt"
	"math"

	"github.com/kon-rad/openclaw-trace/internal/store"
)

// space is that of a volume, in bytes.
type space struct{ used, total, free int64 }

// spaceOf makes it of blocks, as df does: free is what an ordinary user may still
// write, and what is kept for root is neither used nor free.
func spaceOf(path string, blocks, free, available, size uint64) (s space, err error) {
	if blocks == 0 {
		return s, fmt.Errorf("the volume of %s does not tell its size", path) // a tmpfs without a limit, say
	}
	if size == 0 || blocks > math.MaxInt64/size || free > blocks {
		return s, fmt.Errorf("the volume of %s says nothing that makes sense: %d blocks of %d bytes, %d free", path, blocks, size, free)
	}
	s.used, s.total, s.free = int64((blocks-free)*size), int64(blocks*size), int64(min(available, free)*size)
	return s, nil
}

// Space returns how many bytes an ordinary user may still write to the volume of path,
// and how large it is.
func Space(path string) (free, total int64, err error) {
	s, err := spaceAt(path)
	return s.free, s.total, err
}

func spaceAt(path string) (space, error) {
	v, err := store.StatVolume(path)
	if err != nil {
		return space{}, fmt.Errorf("ask for the space of %s: %w", path, err)
	}
	return spaceOf(path, v.Blocks, v.Free, v.Available, uint64(v.BlockSize))
}
