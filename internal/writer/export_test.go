package writer

import "time"

// SyncEvery is how old an unsynced commit may become.
const SyncEvery = syncEvery

// Prepare completes b as Submit does.
func Prepare(b *Batch, now time.Time, maxText int) { b.prepare(now, maxText) }
