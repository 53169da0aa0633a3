package browser_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// axe-core, which finds what a page keeps from who cannot see or point well. It is
// fetched by npm when the tests run, kept in the user's cache, and never stored here.
const (
	axeVersion = "4.14.1"
	axeSum     = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c" // of axe.min.js
)

var axe = sync.OnceValues(func() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "openclaw-trace")
	path := filepath.Join(dir, "axe-"+axeVersion+".min.js")
	source, err := os.ReadFile(path)
	if err == nil && sumOf(source) == axeSum {
		return string(source), nil
	}
	if source, err = fetchAxe(); err != nil {
		return "", err
	}
	if sum := sumOf(source); sum != axeSum {
		return "", fmt.Errorf("axe-core %s is not what it was: sha256 %s", axeVersion, sum)
	}
	if err := os.MkdirAll(dir, 0o755); err == nil {
		_ = os.WriteFile(path, source, 0o644) // without it, it is fetched again
	}
	return string(source), nil
})

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func fetchAxe() ([]byte, error) {
	dir, err := os.MkdirTemp("", "axe")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	pack := exec.Command("npm", "pack", "--silent", "--pack-destination", dir, "axe-core@"+axeVersion)
	pack.Dir = dir
	if out, err := pack.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack axe-core: %w\n%s", err, out)
	}
	packed, err := os.ReadFile(filepath.Join(dir, "axe-core-"+axeVersion+".tgz"))
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	for files := tar.NewReader(z); ; {
		file, err := files.Next()
		if err != nil {
			return nil, fmt.Errorf("axe.min.js is not in the package: %w", err)
		}
		if file.Name == "package/axe.min.js" {
			return io.ReadAll(files)
		}
	}
}

// withAxe loads axe-core, or skips the test.
func withAxe(t *testing.T) string {
	t.Helper()
	source, err := axe()
	if err != nil {
		t.Skipf("axe-core is not to be had: %v", err)
	}
	return source
}

type violation struct {
	ID     string   `json:"id"`
	Impact string   `json:"impact"`
	Help   string   `json:"help"`
	Nodes  []string `json:"nodes"`
}

// accessible wants no violation on the page.
func (b *tab) accessible(source, what string) {
	b.t.Helper()
	// Expressions of the protocol are not bound by the policy of the page.
	js[bool](b, source+"; true")
	for _, v := range js[[]violation](b, `axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then((r) =>
		r.violations.map((v) => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 4).map((n) => n.html.slice(0, 200) + " | " + n.failureSummary)})))`) {
		b.t.Errorf("%s: %s (%s): %s\n\t%s", what, v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
	}
}
