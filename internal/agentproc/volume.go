package agentproc

import (
	"fmt"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/store"
)

// Volume is what the kernel says of the volume that the database is on.
type Volume struct {
	TotalBytes int64 // 0 if the file system does not tell
	FreeBytes  int64 // that an ordinary user may still write
	Inodes     int64 // 0 if the file system does not count them
	FreeInodes int64
	ReadOnly   bool
}

func statVolume(path string) (Volume, error) {
	v, err := store.StatVolume(path)
	if err != nil {
		return Volume{}, err
	}
	return Volume{
		TotalBytes: int64(v.Blocks) * v.BlockSize, FreeBytes: v.AvailableBytes(),
		Inodes: int64(v.Files), FreeInodes: int64(v.FreeFiles), ReadOnly: v.ReadOnly,
	}, nil
}

// nearlyFull is where a volume becomes one, as a share of MinFreeBytes: there the janitor
// begins to delete. minFreeInodes is enough for the files that SQLite makes.
const minFreeInodes = 100

// checkVolume tells once when the volume gets short of something, and again only after
// there was plenty: half as much again.
func (a *Watcher) checkVolume(now time.Time) {
	v, err := a.opts.Volume()
	if err != nil {
		return // the writer says what is wrong
	}
	low := a.opts.MinFreeBytes
	known := v.TotalBytes > 0
	a.episode(now, kindDiskLow, known && v.FreeBytes < low, !known || v.FreeBytes >= low+low/2, func() event {
		return event{severity: "error", message: fmt.Sprintf(
			"The volume of the database is nearly full: %d MiB of %d MiB are free, OCT_MIN_FREE_BYTES is %d MiB.",
			v.FreeBytes>>20, v.TotalBytes>>20, low>>20), members: v.members()}
	})
	a.episode(now, kindReadOnly, v.ReadOnly, !v.ReadOnly, func() event {
		return event{severity: "critical", message: "The volume of the database is read-only: nothing can be stored.", members: v.members()}
	})
	few := min(minFreeInodes, v.Inodes/10) // 0 where they are not counted
	a.episode(now, kindInodesLow, v.FreeInodes < few, v.FreeInodes >= few+few/2, func() event {
		return event{severity: "error", message: fmt.Sprintf(
			"The volume of the database can take only %d more files, whatever space is left: remove some.", v.FreeInodes), members: v.members()}
	})
}

func (v *Volume) members() map[string]any {
	return map[string]any{
		"disk_total_bytes": v.TotalBytes, "disk_free_bytes": v.FreeBytes,
		"openclaw_trace.disk.inodes": v.Inodes, "openclaw_trace.disk.free_inodes": v.FreeInodes,
	}
}

// episode tells once that a condition begins, and logs that it is over. Between the two
// conditions nothing changes.
func (a *Watcher) episode(now time.Time, kind string, begins, ends bool, tell func() event) {
	m := &a.memory
	switch since, open := m.Episodes[kind]; {
	case begins && !open:
		if m.Episodes == nil {
			m.Episodes = make(map[string]int64)
		}
		m.Episodes[kind] = now.UnixMilli()
		e := tell()
		e.id, e.at, e.kind, e.errorType = a.id.of(kind, now.UnixMilli()), now, kind, "system_error"
		a.add(e)
	case ends && open:
		delete(m.Episodes, kind)
		a.life.changed = true
		a.opts.Log.Info("this is over", "event", kind, "since", time.UnixMilli(since).UTC().Format(time.RFC3339))
	}
}
