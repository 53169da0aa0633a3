package tail

import (
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// Uninteresting is what is asked of each line first.
func Uninteresting(line []byte) bool { return uninteresting(line, false) }

// GonePosition is that of a file which is not there any more.
func GonePosition(path string, inode int64, at time.Time) db.SetLogPositionParams {
	return db.SetLogPositionParams{Device: 1, Inode: inode, Path: path, Head: "x", UpdatedAt: at.UnixMilli()}
}

// Again is what is sent when it is not known what became of a batch.
var Again = again
