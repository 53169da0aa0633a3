package tail_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/tail"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	pattern := filepath.Join(dir, "agent-YYYY-MM-DD.log")
	if _, err := tail.Find(pattern); !errors.Is(err, tail.ErrNoFile) {
		t.Errorf("before there is one: %v", err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "agent-2026-11-26.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tail.Find(pattern); !errors.Is(err, tail.ErrNoFile) {
		t.Errorf("a pipe: %v", err)
	}
	now := time.Now()
	for name, age := range map[string]time.Duration{"agent-2026-11-24.log": time.Hour, "agent-2026-11-25.log": time.Minute, "agent-today.log": 0} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte("x\n"), 0o600), os.Chtimes(path, now, now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	if name, err := tail.Find(pattern); err != nil || filepath.Base(name) != "agent-2026-11-25.log" {
		t.Errorf("%s %v", name, err)
	}
	if _, err := tail.Find("["); err == nil || errors.Is(err, tail.ErrNoFile) {
		t.Errorf("no pattern: %v", err)
	}
}
