// These tests run the built binary as an operator would: by its command line, its
// HTTP interface, its log and its signals.
package main_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

var (
	kills = flag.Int("kills", 3, "how often to kill the binary under load")
	long  = flag.Bool("long", false, "run the tests that take long, too")
	soak  = flag.Duration("soak", 0, "how long to run under load among faults")
	seed  = flag.Uint64("seed", 0, "seed of random choices; 0 takes another one each time")
)

// What the linker is told for the binary under test.
const (
	testVersion = "v0.0.0-test"
	testCommit  = "0123456789abcdef"
)

var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "openclaw-trace")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "openclaw-trace")
		build := exec.Command("go", "build", "-trimpath",
			"-ldflags", "-s -w -X main.version="+testVersion+" -X main.commit="+testCommit, "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the binary under test: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

func TestBinarySize(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the budget is for linux/amd64")
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if budget := int64(16_000_000); info.Size() > budget {
		t.Errorf("the stripped binary has %d bytes, want at most %d", info.Size(), budget)
	}
}
