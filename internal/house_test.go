// Package internal_test holds the rules that no single package can hold for itself:
// who may import whom, and what may be done only in one place. A rule names its
// reason, so that whoever meets it can follow it or argue with it. It also fails
// when a package that it names is gone, because it would hold nothing then.
package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module  = "github.com/kon-rad/openclaw-trace"
	command = "cmd/openclaw-trace"
)

// layers are the parts of the binary, upper ones first. A package imports packages
// of lower layers only.
var layers = [][]string{
	{command},
	{"internal/api", "internal/dashboard", "internal/tail", "internal/hoststat", "internal/agentproc", "internal/push", "internal/janitor"},
	{"internal/view", "internal/otlp", "internal/genai", "internal/metrics", "internal/dashboard/chart"},
	{"internal/writer"},
	{"internal/redact", "internal/pricing", "internal/store", "internal/cgroup"},
	{"db", "migrations", "internal/config", "internal/pricing/json5", "internal/dashboard/html"},
}

// sideways are the imports allowed inside a layer.
var sideways = map[string]string{
	"internal/genai": "internal/otlp", // the views that it gives a meaning to
}

func TestImportsPointDown(t *testing.T) {
	depth := make(map[string]int)
	for i, layer := range layers {
		for _, name := range layer {
			depth[name] = i
		}
	}
	found := make(map[string]bool)
	for _, p := range list(t, "-deps", "./"+command) {
		name, ours := p.name()
		if !ours {
			continue
		}
		found[name] = true
		from, ok := depth[name]
		if !ok {
			t.Errorf("%s is in the binary but in none of layers: give it a place, so that it is decided what it may know", name)
			continue
		}
		for _, i := range p.Imports {
			i, ours := strings.CutPrefix(i, module+"/")
			to, known := depth[i]
			if ours && known && to <= from && sideways[name] != i {
				t.Errorf("%s imports %s: imports point down the layers, and parts of one layer do not know each other, so that each can be read, tested and replaced alone", name, i)
			}
		}
	}
	for name := range depth {
		if !found[name] {
			t.Errorf("layers names %s, which is not in the binary: rename or remove it there", name)
		}
	}
}

func TestImportsThroughOneDoor(t *testing.T) {
	packages := list(t, "./...")
	f := func(what, only, why string) {
		t.Helper()
		used := false
		for _, p := range packages {
			name, _ := p.name()
			for _, i := range p.Imports {
				if i != what && !strings.HasPrefix(i, what+"/") {
					continue
				}
				if name == only {
					used = true
				} else {
					t.Errorf("%s imports %s, which only %s may: %s", name, i, only, why)
				}
			}
		}
		if !used {
			t.Errorf("%s does not import %s: the rule for it holds nothing", only, what)
		}
	}
	f("modernc.org/sqlite", "internal/store", "how the file is opened, locked and trusted is decided once")
	f("github.com/pressly/goose/v3", "internal/store", "a migration runs under the store's lock and after its version check")
	f(module+"/migrations", "internal/store", "a migration runs under the store's lock and after its version check")
	f("github.com/sethvargo/go-envconfig", "internal/config", "it stops at the first fault and names the field, not the variable; config makes up for both")
	f(module+"/internal/config", command, "a part takes the values it needs as its own Options, so that tests and readers see all of them")
}

// What these packages return follows from their arguments alone, which is why they
// can be fuzzed and compared with other decoders.
func TestPurePackages(t *testing.T) {
	packages := list(t, "./...")
	for _, name := range []string{"internal/otlp", "internal/genai", "internal/redact", "internal/pricing", "internal/pricing/json5", "internal/dashboard/html"} {
		i := slices.IndexFunc(packages, func(p pkg) bool { return p.ImportPath == module+"/"+name })
		if i < 0 {
			t.Errorf("there is no package %s", name)
			continue
		}
		for _, path := range packages[i].Imports {
			switch path {
			case "time":
				if name == "internal/pricing" || name == "internal/genai" {
					continue // for dates; they never ask what time it is
				}
				fallthrough
			case "os", "io/fs", "net", "net/http", "database/sql", "log/slog", "math/rand/v2":
				t.Errorf("%s imports %s: it turns bytes into rows and knows no files, network, clock or log", name, path)
			}
		}
	}
}

// modules are those whose code is in the binary. One more is a decision: somebody
// has to read its changes from then on.
var modules = map[string]string{
	"github.com/go-json-experiment/json": "jsontext: JSON token by token, which encoding/json cannot do strictly and without garbage",
	"github.com/google/uuid":             "UUIDs",
	"github.com/pressly/goose/v3":        "migrations",
	"github.com/sethvargo/go-envconfig":  "settings",
	"modernc.org/sqlite":                 "SQLite without cgo",
	"github.com/dustin/go-humanize":      "by modernc.org/libc",
	"github.com/mfridman/interpolate":    "by goose",
	"github.com/remyoudompheng/bigfft":   "by modernc.org/mathutil",
	"github.com/sethvargo/go-retry":      "by goose",
	"go.uber.org/multierr":               "by goose",
	"golang.org/x/sync":                  "by goose",
	"golang.org/x/sys":                   "by modernc.org/libc",
	"modernc.org/libc":                   "by modernc.org/sqlite",
	"modernc.org/mathutil":               "by modernc.org/libc",
	"modernc.org/memory":                 "by modernc.org/libc",
}

func TestModulesOfTheBinary(t *testing.T) {
	found := make(map[string]bool)
	for _, p := range list(t, "-deps", "./"+command) {
		if p.Module == nil || p.Module.Path == module || found[p.Module.Path] {
			continue
		}
		found[p.Module.Path] = true
		if modules[p.Module.Path] == "" {
			t.Errorf("the binary contains code of %s (package %s): add it to modules with the reason, or do without", p.Module.Path, p.ImportPath)
		}
	}
	for path := range modules {
		if !found[path] {
			t.Errorf("modules lists %s, of which the binary contains nothing: remove it", path)
		}
	}
}

// Only the command reads the environment and ends the process: a part that did could
// neither be run twice in one test nor be stopped in order.
func TestEnvironmentAndExit(t *testing.T) {
	allowed := []string{command, "internal/sqlcbulk", "internal/pricing/generate"} // programs of their own
	forbidden := map[string]*regexp.Regexp{
		"os":      regexp.MustCompile(`^(Getenv|LookupEnv|Environ|ExpandEnv|Setenv|Unsetenv|Clearenv|Args|Exit)$`),
		"syscall": regexp.MustCompile(`^(Getenv|Environ|Setenv|Unsetenv|Clearenv|Exit)$`),
		"log":     regexp.MustCompile(`^Fatal`),
		"flag":    regexp.MustCompile(`^(Parse|CommandLine)$`), // both exit
	}
	used := make(map[string]bool)
	for _, src := range sources(t) {
		for _, sel := range selectors(src.file) {
			id, ok := sel.X.(*ast.Ident)
			if !ok {
				continue
			}
			names := forbidden[src.imports[id.Name]]
			if names == nil || !names.MatchString(sel.Sel.Name) {
				continue
			}
			if slices.Contains(allowed, src.pkg) {
				used[src.pkg] = true
				continue
			}
			t.Errorf("%s: %s.%s: only %s reads the environment or ends the process, so that a part can be run in a test, twice, and stopped in order",
				src.at(sel), id.Name, sel.Sel.Name, command)
		}
	}
	for _, name := range allowed {
		if !used[name] {
			t.Errorf("%s neither reads the environment nor exits: take it out of allowed", name)
		}
	}
}

// SQL is in queries/, where sqlc checks it against the schema, and so is what
// queries/queries_test.go proves of it. PRAGMAs cannot be there.
func TestStatementsRunInOnePlace(t *testing.T) {
	pragmas, through := "internal/store/pragma.go", "internal/store/conn.go" // conn.go hands generated text on
	run := regexp.MustCompile(`^(Exec|Query|QueryRow|Prepare)(Context)?$`)
	text := regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|CREATE|ALTER|DROP|PRAGMA|ATTACH|VACUUM|BEGIN|COMMIT)\s`)
	used := make(map[string]bool)
	for _, src := range sources(t) {
		if src.pkg == "db" {
			continue
		}
		ast.Inspect(src.file, func(n ast.Node) bool {
			what := ""
			switch n := n.(type) {
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || len(n.Args) == 0 || !run.MatchString(sel.Sel.Name) {
					return true
				}
				what = "call of " + sel.Sel.Name
				if src.path == through {
					used[through] = true
					return true
				}
			case *ast.BasicLit:
				s, err := strconv.Unquote(n.Value)
				if n.Kind != token.STRING || err != nil || !text.MatchString(s) {
					return true
				}
				what = fmt.Sprintf("text %.20q", s)
			default:
				return true
			}
			if src.path == pragmas {
				used[pragmas] = true
				return true
			}
			t.Errorf("%s: %s: statements stand in queries/ and run through the package db, so that sqlc checks them and their plans are tested; only PRAGMAs stand in %s", src.at(n), what, pragmas)
			return true
		})
	}
	for _, path := range []string{pragmas, through} {
		if !used[path] {
			t.Errorf("no statement runs in %s: take it out of the exceptions", path)
		}
	}
}

// queries/writer.sql belongs to internal/writer, and so on: who asks what of the
// database can be read from the names of the files.
func TestQueriesBelongToOnePackage(t *testing.T) {
	files, err := filepath.Glob("../queries/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no query files: %v", err)
	}
	home := make(map[string]string) // of each method
	for _, path := range files {
		sql, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`(?m)^-- name: (\w+) `).FindAllSubmatch(sql, -1)
		if len(names) == 0 {
			t.Errorf("%s holds no query", path)
		}
		for _, m := range names {
			home[string(m[1])] = "internal/" + strings.TrimSuffix(filepath.Base(path), ".sql")
		}
	}
	called := make(map[string]bool)
	for _, src := range sources(t) {
		if src.pkg == "db" {
			continue
		}
		for _, sel := range selectors(src.file) {
			name := sel.Sel.Name
			if home[name] == "" {
				name = strings.TrimSuffix(name, "Rows")
			}
			switch home[name] {
			case "":
			case src.pkg:
				called[name] = true
			default:
				t.Errorf("%s: %s belongs to %s: a query is called from the one package that its file is named after, so that changing it concerns one place", src.at(sel), name, home[name])
			}
		}
	}
	for name, p := range home {
		if !called[name] {
			t.Errorf("%s does not call %s: remove the query, or move it to the file of the package that does", p, name)
		}
	}
}

// The package db is what sqlc makes of queries/ and migrations/. A file written by
// hand would outlive what it was written for, unseen by sqlc diff.
func TestGeneratedPackageHoldsNothingElse(t *testing.T) {
	entries, err := os.ReadDir("../db")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		src, err := os.ReadFile(filepath.Join("../db", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^// Code generated by (sqlc|sqlcbulk)\b.* DO NOT EDIT\.\n`).Match(src) {
			t.Errorf("db/%s is not generated: db holds the output of make generate and nothing else", e.Name())
		}
	}
}

// pkg is a package as go list describes it.
type pkg struct {
	ImportPath, Dir  string
	GoFiles, Imports []string
	Module           *struct{ Path string }
}

// name returns the package's path inside the module, and whether it is of it.
func (p pkg) name() (string, bool) { return strings.CutPrefix(p.ImportPath, module+"/") }

// list asks for the packages of a release: what is compiled into it depends on the
// platform.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,Module"}, args...)...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	var packages []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		packages = append(packages, p)
	}
}

// source is a file of ours that is not a test.
type source struct {
	pkg, path string // inside the module
	fset      *token.FileSet
	file      *ast.File
	imports   map[string]string // by the name they have in the file
}

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, p := range list(t, "./...") {
		name, ours := p.name()
		if !ours {
			continue
		}
		paths, err := filepath.Glob(filepath.Join(p.Dir, "*.go")) // those of every platform
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			src := source{pkg: name, path: name + "/" + filepath.Base(path), fset: token.NewFileSet(), imports: make(map[string]string)}
			if src.file, err = parser.ParseFile(src.fset, path, nil, parser.SkipObjectResolution); err != nil {
				t.Fatal(err)
			}
			for _, i := range src.file.Imports {
				imported, err := strconv.Unquote(i.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				local := imported[strings.LastIndex(imported, "/")+1:]
				if i.Name != nil {
					local = i.Name.Name
				}
				if local == "." {
					t.Errorf("%s: dot import: it hides from readers, and from these tests, where a name comes from", src.at(i))
				}
				src.imports[local] = imported
			}
			all = append(all, src)
		}
	}
	return all
}

func selectors(f *ast.File) []*ast.SelectorExpr {
	var list []*ast.SelectorExpr
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			list = append(list, sel)
		}
		return true
	})
	return list
}
