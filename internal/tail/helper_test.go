package tail_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/tail"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a directory of logs, and a recorder that follows one of them.
type world struct {
	*testing.T
	dir, db string
	opts    tail.Options

	st   *store.Store
	w    *writer.Writer
	tail *tail.Tail
}

// inWorld runs f in a bubble of time.
func inWorld(t *testing.T, pattern string, f func(x *world)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		x := &world{T: t, dir: dir, db: filepath.Join(t.TempDir(), "trace.db")}
		x.opts = tail.Options{Path: pattern, MaxText: 16 << 10, Log: slog.New(slog.DiscardHandler)}
		if pattern != tail.Auto {
			x.opts.Path = filepath.Join(dir, pattern)
		}
		x.until(begin)
		defer x.stop()
		f(x)
	})
}

func (x *world) start() {
	x.Helper()
	var err error
	if x.st, err = store.Open(x.Context(), store.Options{Path: x.db, Synchronous: "normal", Log: x.opts.Log}); err != nil {
		x.Fatal(err)
	}
	if x.w, err = writer.New(x.st, writer.Options{MaxTextBytes: 16 << 10, MaxQueueBytes: 8 << 20, Log: x.opts.Log}); err != nil {
		x.Fatal(err)
	}
	if x.tail, err = tail.New(x.Context(), x.st, x.w, x.opts); err != nil {
		x.Fatal(err)
	}
	x.wait(0)
}

// begin is shortly before OpenClaw's log begins, so that its times are not in the future.
var begin = time.Date(2026, 11, 23, 7, 57, 0, 0, time.UTC)

// until waits for a time.
func (x *world) until(at time.Time) { x.wait(time.Until(at)) }

// wait lets time pass, and the tail do what it has to.
func (x *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (x *world) stop() {
	x.Helper()
	if x.tail == nil {
		return
	}
	if err := x.tail.Close(x.Context()); err != nil {
		x.Error(err)
	}
	x.end()
}

// crash ends without a word: the last positions are not stored.
func (x *world) crash() {
	x.Helper()
	if err := x.w.Close(x.Context()); err != nil {
		x.Error(err)
	}
	_ = x.tail.Close(x.Context())
	x.end()
}

func (x *world) end() {
	x.Helper()
	if err := x.w.Close(x.Context()); err != nil {
		x.Error(err)
	}
	if err := x.st.Close(); err != nil {
		x.Error(err)
	}
	x.tail = nil
}

func (x *world) path(name string) string { return filepath.Join(x.dir, name) }

// write adds to a file.
func (x *world) write(name, text string) {
	x.Helper()
	f, err := os.OpenFile(x.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		x.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		x.Fatal(err)
	}
}

func (x *world) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

// row is an event.
type row struct {
	table, kind, severity, message, stack string
	at                                    int64
	metadata                              map[string]any
}

func (x *world) rows() (all []row) {
	x.Helper()
	conn, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: x.db, RawQuery: "mode=ro"}).String())
	x.must(err)
	defer conn.Close()
	rows, err := conn.QueryContext(context.Background(), `
		SELECT 'error', error_type, severity, message, ifnull(stack_trace, ''), created_at, metadata FROM error_events
		UNION ALL SELECT 'event', name, '', '', '', created_at, metadata FROM custom_events ORDER BY 6`)
	x.must(err)
	defer rows.Close()
	for rows.Next() {
		var r row
		var metadata string
		x.must(rows.Scan(&r.table, &r.kind, &r.severity, &r.message, &r.stack, &r.at, &metadata))
		x.must(json.Unmarshal([]byte(metadata), &r.metadata))
		all = append(all, r)
	}
	x.must(rows.Err())
	return all
}

// messages are those of the rows, in the order of the file.
func (x *world) messages() string {
	x.Helper()
	var all []string
	for _, r := range x.rows() {
		all = append(all, r.message)
	}
	return strings.Join(all, "\n")
}

// expect compares the messages with those wanted.
func (x *world) expect(want ...string) {
	x.Helper()
	if got := x.messages(); got != strings.Join(want, "\n") {
		x.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// failure is a line of text, each a second later than the one before.
func failure(n int) string {
	return fmt.Sprintf("1999-12-31T23:%02d:%02dZ ERROR failure %d\n", n/60, n%60, n)
}

// failures are the lines of which the messages are failure(from) to failure(to).
func failures(from, to int) (lines string, want []string) {
	for n := from; n <= to; n++ {
		lines += failure(n)
		want = append(want, strings.TrimSuffix(failure(n), "\n"))
	}
	return lines, want
}
