package main_test

import (
	"strings"
	"testing"
)

// A flood of several times what the database may have is taken: senders wait for room,
// and none is refused. That what was let in is stored, the answers say.
func TestFloodAtTheBudget(t *testing.T) {
	if !*long {
		t.Skip("takes long")
	}
	load := workload{conns: 8, events: 10, text: 4 << 10}
	in := newInstance(t, dbPath(t), "OCT_MAX_DB_BYTES=64MiB")
	p := in.start()
	load.send(t, strings.TrimPrefix(in.url, "http://"), load.templates(4<<20), 3000)
	if h := in.health(); h.EventsReceived != 30_000 {
		t.Errorf("%d events are stored", h.EventsReceived)
	}
	p.stop()
}
