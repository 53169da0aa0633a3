package internal_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kon-rad/openclaw-trace/internal/config"
	"github.com/kon-rad/openclaw-trace/internal/pricing/json5"
)

// here are the programs of examples that are run, elsewhere those that need what a test
// has not: a daemon, a cluster, an account, root, packages from elsewhere. An example with
// a program of neither is a fault of the tests: it has to be decided which it is.
var (
	here = []string{
		"openclaw-trace", "curl", "jq", "openssl", "sqlite3",
		"cp", "echo", "export", "mv", "rm", "umask",
	}
	elsewhere = []string{
		".", "cd", "docker", "fly", "git", "kubectl", "make", "mkdir", "openclaw", "opentelemetry-instrument", "pip", "sudo",
	}
)

// What the pages tell users to type is typed here, page by page and in its order, beside a
// sidecar that was built as the image is.
func TestDocsExamples(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the examples are for a POSIX shell")
	}
	bin := buildAsImage(t)
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		blocks := blocksOf(t, page)
		if !slices.ContainsFunc(blocks, func(b block) bool { return b.runs(t) }) {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			s := startSidecar(t, bin)
			heading := ""
			for _, b := range blocks {
				if b.heading != heading {
					s.leave(heading)
					heading = b.heading
					s.enter(heading)
				}
				if b.runs(t) {
					t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) { s.run(t, b) })
				}
			}
			s.leave(heading)
		})
	}
}

// enter makes things as the reader of a section has them.
func (s *sidecar) enter(heading string) {
	switch heading {
	case "The database is damaged":
		s.post(`{"provider": "p", "model": "m"}`)
		s.stop()
		s.copyFile("openclaw-trace.db", "openclaw-trace.db.corrupt-20261125T090000Z")
		s.start()
	case "Backup":
		s.post(`{"provider": "p", "model": "m"}`)
	case "Restore":
		s.post(`{"provider": "p", "model": "m"}`)
		s.stop()
	}
}

// leave looks at what the reader of a section has afterwards.
func (s *sidecar) leave(heading string) {
	switch heading {
	case "The database is damaged":
		if s.missing("sqlite3") == "" {
			s.calls("rescued.db", 1)
		}
	case "Restore":
		s.calls("openclaw-trace.db", 2)
		s.calls("openclaw-trace.db.before", 3)
		s.start()
		s.post(`{"provider": "p", "model": "m"}`)
	}
}

// block is a fenced block of a page.
type block struct {
	page, heading  string
	line           int
	language, text string
}

var fence = regexp.MustCompile("^```(\\w*)$")

func blocksOf(t *testing.T, page string) (list []block) {
	t.Helper()
	var b *block
	heading := ""
	for i, line := range strings.Split(readFile(t, page), "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && b == nil:
			b = &block{page: page, heading: heading, line: i + 1, language: m[1]}
		case m != nil:
			list = append(list, *b)
			b = nil
		case b != nil:
			b.text += line + "\n"
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimLeft(line, "# ")
		}
	}
	if b != nil {
		t.Errorf("%s:%d: the block does not end", page, b.line)
	}
	return list
}

var (
	quoted     = regexp.MustCompile(`'[^']*'|"(?:[^"\\]|\\.)*"`)
	separator  = regexp.MustCompile(`\n|&&|\|\||[|;]`)
	assignment = regexp.MustCompile(`^\w+=`)
)

// programs are those that a block for a shell starts.
func (b block) programs() (list []string) {
	text := strings.ReplaceAll(quoted.ReplaceAllString(b.text, "_"), "\\\n", " ")
	for _, command := range separator.Split(text, -1) {
		command, _, _ = strings.Cut(command, " #")
		for _, word := range strings.Fields(command) {
			if assignment.MatchString(word) {
				continue
			}
			if !strings.HasPrefix(word, "#") {
				list = append(list, word)
			}
			break
		}
	}
	return list
}

// runs tells whether the tests run b.
func (b block) runs(t *testing.T) bool {
	t.Helper()
	switch b.language {
	case "python", "js":
		return true
	case "sh":
	default:
		return false
	}
	programs := b.programs()
	for _, p := range programs {
		switch {
		case slices.Contains(elsewhere, p):
			return false
		case !slices.Contains(here, p):
			t.Errorf("%s:%d: is %s to be run by the tests? Put it into here or elsewhere", b.page, b.line, p)
			return false
		}
	}
	return len(programs) > 0
}

// sidecar is a running openclaw-trace with a remote that takes everything, and the folder
// that examples are run in.
type sidecar struct {
	t          *testing.T
	bin, dir   string
	port, otlp string
	environ    []string
	process    *exec.Cmd
}

func startSidecar(t *testing.T, bin string) *sidecar {
	t.Helper()
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(remote.Close)
	s := &sidecar{t: t, bin: bin, dir: t.TempDir(), port: freePort(t), otlp: freePort(t)}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "OCT_") && !strings.HasPrefix(entry, "OTEL_") {
			s.environ = append(s.environ, entry)
		}
	}
	s.environ = append(s.environ,
		"PATH="+filepath.Dir(bin)+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"HOME="+s.dir, "CURL_HOME="+s.dir, "NO_PROXY=localhost", "no_proxy=localhost",
		"OCT_PORT="+s.port, "OCT_OTLP_PORT="+s.otlp, "OCT_DB_PATH="+filepath.Join(s.dir, "openclaw-trace.db"),
		"OCT_PUSH_ENDPOINT="+remote.URL, "OCT_PUSH_INTERVAL=24h",
		"OCT_METRICS_INTERVAL=24h", "OCT_MIN_FREE_BYTES=0") // only what an example sends is received
	// curl is content with any answer unless it is told otherwise.
	if err := os.WriteFile(filepath.Join(s.dir, ".curlrc"), []byte("fail-with-body\nsilent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (s *sidecar) start() {
	s.t.Helper()
	s.process = exec.Command(s.bin)
	s.process.Env = s.environ
	out, err := s.process.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.process.Stderr = s.t.Output()
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"msg":"listening"`) {
			go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
			return
		}
	}
	s.t.Fatalf("the sidecar does not start: %v", s.process.Wait())
}

func (s *sidecar) stop() {
	if s.process == nil {
		return
	}
	if err := errors.Join(s.process.Process.Signal(syscall.SIGTERM), s.process.Wait()); err != nil {
		s.t.Error(err)
	}
	s.process = nil
}

var sends = regexp.MustCompile(`/v1/(traces|errors|events)\b`)

// run runs b as its reader would, but for the ports.
func (s *sidecar) run(t *testing.T, b block) {
	text := strings.NewReplacer("localhost:9090", "localhost:"+s.port, "localhost:4318", "localhost:"+s.otlp).Replace(b.text)
	var cmd *exec.Cmd
	switch b.language {
	case "sh":
		for _, p := range b.programs() {
			if why := s.missing(p); why != "" {
				t.Skip(why)
			}
		}
		cmd = exec.CommandContext(t.Context(), "sh", "-eu", "-c", text)
	case "python":
		if why := s.missing("python3"); why != "" {
			t.Skip(why)
		}
		cmd = exec.CommandContext(t.Context(), "python3", "-c", text)
	case "js":
		if why := s.missing("node"); why != "" {
			t.Skip(why)
		}
		cmd = exec.CommandContext(t.Context(), "node", "--input-type=module", "-e", text)
	}
	cmd.Dir, cmd.Env = s.dir, s.environ
	before := s.received()
	out, err := cmd.CombinedOutput()
	for _, absent := range []string{"ModuleNotFoundError", "ERR_MODULE_NOT_FOUND"} {
		if err != nil && bytes.Contains(out, []byte(absent)) {
			t.Skipf("a library of the example is not installed: %s", firstLineWith(out, absent))
		}
	}
	if err != nil {
		t.Fatalf("%s:%d: %v\n%s\n%s", b.page, b.line, err, text, out)
	}
	if sends.MatchString(strings.ReplaceAll(b.text, "/api/v1/", "")) && s.received() <= before {
		t.Errorf("%s:%d: what was sent was not stored\n%s", b.page, b.line, out)
	}
}

func firstLineWith(text []byte, part string) string {
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// missing returns why a program cannot be run, or "".
func (s *sidecar) missing(program string) string {
	switch program {
	case "openclaw-trace", "export", "umask":
		return ""
	}
	if _, err := exec.LookPath(program); err != nil {
		return program + " is not installed"
	}
	if program == "sqlite3" {
		out, err := exec.Command(program, ":memory:", "PRAGMA compile_options").Output()
		if err != nil || !bytes.Contains(out, []byte("ENABLE_DBPAGE_VTAB")) {
			return "this sqlite3 was built without .recover"
		}
	}
	return ""
}

func (s *sidecar) post(call string) {
	s.t.Helper()
	res, err := http.Post("http://localhost:"+s.port+"/v1/traces", "application/json", strings.NewReader(call))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		s.t.Fatalf("status %d", res.StatusCode)
	}
}

// received is how many events there are, ever, or -1 while the sidecar is stopped.
func (s *sidecar) received() int64 {
	s.t.Helper()
	if s.process == nil {
		return -1
	}
	res, err := http.Get("http://localhost:" + s.port + "/health")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var health struct {
		Received int64 `json:"events_received"`
	}
	if err := json.NewDecoder(res.Body).Decode(&health); err != nil {
		s.t.Fatal(err)
	}
	return health.Received
}

func (s *sidecar) copyFile(from, to string) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, from))
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, to), data, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// calls compares the number of calls in a database that nobody has open.
func (s *sidecar) calls(name string, want int) {
	s.t.Helper()
	conn := openFile(s.t, filepath.Join(s.dir, name))
	defer conn.Close()
	if n := count(s.t, conn, "SELECT id FROM llm_traces"); n != want {
		s.t.Errorf("%s holds %d calls, want %d", name, n, want)
	}
}

// buildAsImage builds the binary from the files that the image is built from, with the
// command of its Dockerfile.
func buildAsImage(t *testing.T) string {
	t.Helper()
	src, out := t.TempDir(), t.TempDir()
	keep := []string{"go.mod", "go.sum", "cmd", "db", "internal", "migrations"}
	if diff := strings.Join(keep, " "); !strings.Contains(strings.ReplaceAll(readFile(t, "../deploy/Dockerfile.dockerignore"), "\n!", " "), "* "+diff+"\n") {
		t.Errorf("deploy/Dockerfile.dockerignore does not keep what this test builds from: %s", diff)
	}
	for _, name := range keep {
		err := filepath.WalkDir(filepath.Join("..", name), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case d.IsDir():
				return os.MkdirAll(filepath.Join(src, strings.TrimPrefix(path, "..")), 0o700)
			case strings.HasSuffix(path, "_test.go"):
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(src, strings.TrimPrefix(path, "..")), data, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	build := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 (?:.*\\\n)*.*)$`)
	for _, name := range []string{"fly.Dockerfile", "Dockerfile"} {
		m := build.FindStringSubmatch(readFile(t, filepath.Join("../deploy", name)))
		if m == nil {
			t.Fatalf("deploy/%s does not build", name)
		}
		cmd := exec.Command("sh", "-eu", "-c", strings.ReplaceAll(m[1], "/out/", out+"/"))
		cmd.Dir = src
		cmd.Env = append(os.Environ(), "TARGETOS="+runtime.GOOS, "TARGETARCH="+runtime.GOARCH, "VERSION=v0.0.0-image", "COMMIT=0123456789abcdef")
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("deploy/%s: %v\n%s", name, err, said)
		}
	}
	bin := filepath.Join(out, "openclaw-trace")
	said, err := exec.Command(bin, "--version").Output()
	if want := "openclaw-trace v0.0.0-image (commit 0123456789abcdef)\n"; err != nil || string(said) != want {
		t.Errorf("the image's binary says %q, %v; want %q", said, err, want)
	}
	return bin
}

var aWord = regexp.MustCompile(`^[a-z]+$`)

// commandsOf returns the names in the table of commands.
func commandsOf(source string) (list []string) {
	for _, m := range regexp.MustCompile(`(?m)^\t\{"(\w+)", \w+, \[\]form\{$`).FindAllStringSubmatch(source, -1) {
		list = append(list, m[1])
	}
	return list
}

// commandsIn are the commands of openclaw-trace that lines of code name.
func commandsIn(code string) (list []string) {
	for line := range strings.Lines(strings.ReplaceAll(code, "\\\n", " ")) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		previous := ""
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\n\"',[]=()", r) }) {
			if filepath.Base(previous) == "openclaw-trace" && aWord.MatchString(word) {
				list = append(list, word)
			}
			previous = word
		}
	}
	return list
}

// Files that others read are of the form that they say they are.
func TestDeployFilesParse(t *testing.T) {
	parsed := 0
	parseYAML := func(name, text string) {
		t.Helper()
		parsed++
		d := yaml.NewDecoder(strings.NewReader(text))
		for {
			var v map[string]any
			if err := d.Decode(&v); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
		}
	}
	f := func(name, text string) {
		t.Helper()
		switch filepath.Ext(name) {
		case ".yml", ".yaml":
			parseYAML(name, text)
		case ".json":
			parsed++
			if !json.Valid([]byte(text)) {
				t.Errorf("%s is no JSON", name)
			}
		case ".json5":
			parsed++
			if _, err := json5.Parse([]byte(text)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, pattern := range []string{"../deploy/*", "../docs/*.*", "../docs/prometheus/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if info, err := os.Stat(name); err != nil || info.IsDir() {
				continue // pictures
			}
			f(name, readFile(t, name))
			if filepath.Ext(name) == ".md" {
				for _, b := range blocksOf(t, name) {
					f(fmt.Sprintf("%s:%d.%s", name, b.line, b.language), b.text)
				}
			}
		}
	}
	if parsed == 0 {
		t.Error("there is nothing to parse")
	}
	if out, err := exec.Command("sh", "-n", "../deploy/beside").CombinedOutput(); err != nil {
		t.Errorf("deploy/beside: %v\n%s", err, out)
	}
}

func TestFlyFileParses(t *testing.T) {
	out, err := exec.Command("python3", "-c", `
try:
    import tomllib
except ImportError:
    raise SystemExit(77)
tomllib.load(open("../deploy/fly.toml", "rb"))`).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); errors.Is(err, exec.ErrNotFound) || ok && exit.ExitCode() == 77 {
		t.Skip("TOML is read by Python 3.11, which is not here")
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// systemd understands the unit, and finds little that it leaves open.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	// It looks whether the program is there.
	path := filepath.Join(t.TempDir(), "openclaw-trace.service")
	unit := strings.ReplaceAll(readFile(t, "../deploy/openclaw-trace.service"), "/usr/local/bin/openclaw-trace", "/bin/true")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", path}, {"security", "--offline=true", "--no-pager", "--threshold=25", path}} {
		out, err := exec.Command(analyze, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}

// The image is built where a daemon is, which takes what it is made of from a registry.
func TestImage(t *testing.T) {
	if out, err := exec.Command("docker", "info").CombinedOutput(); err != nil {
		t.Skipf("there is no Docker to build it: %v %s", err, bytes.TrimSpace(out))
	}
	if out, err := exec.Command("make", "-C", "..", "image").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command("docker", "run", "--rm", "--read-only", "openclaw-trace", "--version").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// pages are all texts for people, and the files that they install.
func pages(t *testing.T) map[string]string {
	t.Helper()
	list := make(map[string]string)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".home", "bin", "data", "testdata"}, d.Name()):
			return fs.SkipDir
		case !d.IsDir() && (filepath.Ext(path) == ".md" || filepath.Base(filepath.Dir(path)) == "deploy"):
			list[filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))] = readFile(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if list["README.md"] == "" || list["docs/install.md"] == "" || list["deploy/compose.yml"] == "" {
		t.Fatal("the pages are not where they were")
	}
	return list
}

func TestDocsNameSettings(t *testing.T) {
	known := make(map[string]bool)
	for _, s := range config.Settings() {
		known[s.Name] = true
	}
	for page, text := range pages(t) {
		for _, name := range regexp.MustCompile(`\bOCT_[A-Z_]*[A-Z]\b`).FindAllString(text, -1) {
			if !known[name] {
				t.Errorf("%s names %s, which is no setting", page, name)
			}
		}
	}
}

// What the files set would be taken by a start.
func TestDeploySettings(t *testing.T) {
	setting := regexp.MustCompile(`(?m)^ *(?:Environment=|- name: )?(OCT_\w+)(?: *[:=] *|\n *value: *)"?([^"\n]*?)"?$`)
	for page, text := range pages(t) {
		var environ []string
		for _, m := range setting.FindAllStringSubmatch(text, -1) {
			value := regexp.MustCompile(`\$\{\w+:\?.*\}`).ReplaceAllString(m[2], "0123456789abcdef")
			environ = append(environ, m[1]+"="+value)
		}
		if !strings.HasPrefix(page, "deploy/") || len(environ) == 0 {
			continue
		}
		if _, warnings, err := config.Load(environ); err != nil || len(warnings) > 0 {
			t.Errorf("%s sets %q: %v %q", page, environ, err, warnings)
		}
	}
}

func TestDocsNameTargets(t *testing.T) {
	makefile := readFile(t, "../Makefile")
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^|`|^# +)make ([a-z0-9]+)(?:`|$)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") && !strings.Contains(makefile, "\n"+m[1]+" ") {
				t.Errorf("%s names make %s, which the Makefile does not have", page, m[1])
			}
		}
	}
}

// Links inside the tree lead to a file, and to a heading of it.
func TestLinks(t *testing.T) {
	all := pages(t)
	links := 0
	for page, text := range all {
		if filepath.Ext(page) != ".md" {
			continue
		}
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			links++
			if strings.HasPrefix(target, "https://") {
				continue
			}
			to := page
			if target != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(page), target))
				if _, err := os.Stat(filepath.Join("..", to)); err != nil {
					t.Errorf("%s: %v", page, err)
					continue
				}
			}
			if fragment != "" && !slices.Contains(anchors(all[to]), fragment) {
				t.Errorf("%s: %s has no heading for #%s", page, to, fragment)
			}
		}
	}
	if links == 0 {
		t.Error("there are no links")
	}
}

var (
	headings = regexp.MustCompile(`(?m)^#+ (.+)$`)
	mark     = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names of a page's headings, as GitHub makes them.
func anchors(text string) (list []string) {
	for _, m := range headings.FindAllStringSubmatch(text, -1) {
		list = append(list, strings.ReplaceAll(mark.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return list
}

// Every command that users are told of is there.
func TestDocsNameCommands(t *testing.T) {
	known := commandsOf(readFile(t, "../cmd/openclaw-trace/main.go"))
	found := 0
	for page, text := range pages(t) {
		code := text
		if filepath.Ext(page) == ".md" {
			code = ""
			for _, m := range codeSpan.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
				code += strings.ReplaceAll(m[1], "\n", " ") + "\n"
			}
			for _, b := range blocksOf(t, filepath.Join("..", page)) {
				if b.language == "sh" {
					code += b.text
				}
			}
		}
		for _, name := range commandsIn(code) {
			found++
			if !slices.Contains(known, name) {
				t.Errorf("%s names openclaw-trace %s, which is no command", page, name)
			}
		}
	}
	if found == 0 {
		t.Error("no page names a command")
	}
}

var (
	fenced   = regexp.MustCompile("(?s)```.*?```")
	codeSpan = regexp.MustCompile("`([^`]+)`")
)
