package hoststat_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/kon-rad/openclaw-trace/db"
)

func TestMain(m *testing.M) {
	if run := os.Getenv("HOSTSTAT_TEST_CHILD"); run != "" {
		child(run)
	}
	goleak.VerifyTestMain(m)
}

// tree is the files of a system, which change while it is measured.
type tree struct {
	mu    sync.Mutex
	files fstest.MapFS
}

// system returns the tree of cgroup's testdata/<name>.txt: a comment, then for each
// file a line "-- path --" and its content.
func system(t testing.TB, name string) *tree {
	t.Helper()
	data, err := os.ReadFile("../cgroup/testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	x := &tree{files: make(fstest.MapFS)}
	var file *fstest.MapFile
	for line := range strings.Lines(string(data)) {
		name, marked := strings.CutPrefix(line, "-- ")
		name, closed := strings.CutSuffix(name, " --\n")
		switch {
		case marked && closed:
			file = &fstest.MapFile{Mode: 0o444}
			x.files[name] = file
		case file != nil:
			file.Data = append(file.Data, line...)
		}
	}
	return x
}

func (x *tree) Open(name string) (fs.File, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.files.Open(name)
}

// set replaces a file, or removes it if content is "".
func (x *tree) set(name, content string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if delete(x.files, name); content != "" {
		x.files[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o444}
	}
}

// edit replaces old in a file.
func (x *tree) edit(t *testing.T, name, old, new string) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.files[name]
	if f == nil || !bytes.Contains(f.Data, []byte(old)) {
		t.Fatalf("%s has no %q", name, old)
	}
	x.files[name] = &fstest.MapFile{Data: bytes.Replace(f.Data, []byte(old), []byte(new), 1), Mode: f.Mode}
}

// logged collects what is logged, a line each.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(string(p)))
	return len(p), nil
}

// take returns what was logged since the last time.
func (l *logged) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// values returns the columns of a row as text for comparing, in their order, "-" for
// NULL; disk space is left out.
func values(row db.InsertSystemMetricParams) string {
	var list []string
	add := func(v any, null bool) {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		if null {
			b = []byte("-")
		}
		list = append(list, string(b))
	}
	add(row.CpuPct, row.CpuPct == nil)
	add(row.MemRssBytes, row.MemRssBytes == nil)
	add(row.MemAvailable, row.MemAvailable == nil)
	add(row.MemTotal, row.MemTotal == nil)
	return strings.Join(list, " ")
}

// members returns the metadata's.
func members(t testing.TB, row db.InsertSystemMetricParams) map[string]any {
	t.Helper()
	m := make(map[string]any)
	if err := json.Unmarshal([]byte(*row.Metadata), &m); err != nil {
		t.Fatalf("%v: %s", err, *row.Metadata)
	}
	return m
}
