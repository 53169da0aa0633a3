package internal_test

import (
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

var (
	// A curl command, and after it the answer that it promises.
	example = regexp.MustCompile("(?s)```sh\ncurl (\\S+) -H '([\\w-]+): ([^']+)' -d '([^']+)'\n```\n\n(?:[^`\n]*\n)*```json\n(.*?)```")
	curl    = regexp.MustCompile(`(?m)^curl `)
	// A question, which the database of the examples answers.
	question = regexp.MustCompile(`(?m)^curl '(http[^']+)'$`)
	// A query on the database of make run.
	query  = regexp.MustCompile(`(?s)sqlite3 [^"\n]*'file:(\S+)\?mode=ro' "([^"]+)"`)
	sqlite = regexp.MustCompile(`sqlite3 [^\n]*'file:`)
)

// What the README tells a new user to do is done here in its order.
func TestREADME(t *testing.T) {
	text := readFile(t, "../README.md")
	text = strings.ReplaceAll(text, "'$(date +%s)'", strconv.FormatInt(time.Now().Unix(), 10)) // as a shell does
	path := filepath.Join(t.TempDir(), "data", "trace.db")
	srv := serve(t, path)

	examples := example.FindAllStringSubmatch(text, -1)
	questions := question.FindAllStringSubmatch(text, -1)
	if n := len(curl.FindAllString(text, -1)); len(examples)+len(questions) != n || len(examples) == 0 {
		t.Errorf("%d of %d curl commands are understood", len(examples)+len(questions), n)
	}
	for _, m := range examples {
		u, err := url.Parse(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if u.Hostname() != "localhost" {
			t.Errorf("curl sends to %s", u.Host)
		}
		status, got := send(t, srv, "POST", u.Path, m[3], m[4])
		want := m[5]
		refused := strings.Contains(want, `"code"`)
		if refused != (status >= 400) {
			t.Errorf("%s %s: status %d", m[1], m[4], status)
		}
		var wantJSON, gotJSON any
		if err := json.Unmarshal([]byte(want), &wantJSON); err != nil {
			t.Fatalf("%v\n%s", err, want)
		}
		if err := json.Unmarshal([]byte(got), &gotJSON); err != nil {
			t.Fatalf("%v\n%s", err, got)
		}
		if diff := cmp.Diff(wantJSON, gotJSON); diff != "" {
			t.Errorf("%s %s (-README +answer):\n%s", m[1], m[4], diff)
		}
	}

	for _, m := range questions {
		u, err := url.Parse(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if status, got := send(t, srv, "GET", u.RequestURI(), "", ""); status != 200 {
			t.Errorf("%s: status %d: %s", m[1], status, got)
		}
	}

	srv.stop() // which also brings the summaries up to date
	conn := openFile(t, path)
	defer conn.Close()
	queries := query.FindAllStringSubmatch(text, -1)
	if n := len(sqlite.FindAllString(text, -1)); len(queries) != n || n == 0 {
		t.Errorf("%d of %d sqlite3 commands are understood", len(queries), n)
	}
	for _, m := range queries {
		if m[1] != "data/openclaw-trace.db" {
			t.Errorf("sqlite3 opens %s, make run makes data/openclaw-trace.db", m[1])
		}
		if n := count(t, conn, m[2]); n != 2 { // the call as JSON, and the call as OTLP
			t.Errorf("%d rows, want 2, of\n%s", n, m[2])
		}
	}
}

// Every table has its line.
func TestREADMENamesTheSchema(t *testing.T) {
	text := readFile(t, "../README.md")
	_, text, _ = strings.Cut(text, "\n## The database\n")
	text, _, _ = strings.Cut(text, "\n## ")
	schema := readFile(t, "../migrations/testdata/schema.sql")
	tables := regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`).FindAllStringSubmatch(schema, -1)
	if len(tables) == 0 {
		t.Fatal("there are no tables")
	}
	for _, m := range tables {
		if !regexp.MustCompile("(?m)^\\|.*`" + m[1] + "`.*\\|.*\\|$").MatchString(text) {
			t.Errorf("README.md does not say what the table %s holds", m[1])
		}
	}
}

// Every endpoint and every field of health that there is stands in the README, and no other.
func TestREADMENamesEndpoints(t *testing.T) {
	text := readFile(t, "../README.md")
	srv := serve(t, filepath.Join(t.TempDir(), "trace.db"))
	routes := regexp.MustCompile("(?m)^\\| `(GET|POST) (/\\S+)` \\|").FindAllStringSubmatch(text, -1)
	if len(routes) == 0 {
		t.Error("README.md lists no endpoints")
	}
	listed := make(map[string]bool)
	for _, m := range routes {
		listed[m[1]+" "+m[2]] = true
		status, answer := send(t, srv, m[1], m[2], "text/plain", "")
		if status == http.StatusNotFound && !strings.Contains(answer, "under this id") || status == http.StatusMethodNotAllowed {
			t.Errorf("README.md lists %s %s, which answers %d", m[1], m[2], status)
		}
	}
	source := readFile(t, "api/api.go")
	for _, m := range regexp.MustCompile(`\{"(GET|POST)", "(/\S+)",`).FindAllStringSubmatch(source, -1) {
		if !listed[m[1]+" "+m[2]] {
			t.Errorf("README.md does not list %s %s", m[1], m[2])
		}
	}

	_, body := send(t, srv, "GET", "/health", "", "")
	var health map[string]any
	if err := json.Unmarshal([]byte(body), &health); err != nil {
		t.Fatal(err)
	}
	_, text, _ = strings.Cut(text, "\n## Health\n")
	text, _, _ = strings.Cut(text, "\n## ")
	fields := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(text, -1) {
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[1], -1) {
			fields[name[1]] = true
			if _, ok := health[name[1]]; !ok {
				t.Errorf("README.md explains %s, which is not in /health", name[1])
			}
		}
	}
	for name := range health {
		if !fields[name] {
			t.Errorf("README.md does not explain %s of /health", name)
		}
	}
}

func TestREADMENamesExitCodes(t *testing.T) {
	_, text, _ := strings.Cut(readFile(t, "../README.md"), "\n| Exit code |")
	text, _, _ = strings.Cut(text, "\n\n")
	codes := regexp.MustCompile(`(?m)^\texit\w+ += (\d+)`).FindAllStringSubmatch(readFile(t, "../cmd/openclaw-trace/main.go"), -1)
	rows := regexp.MustCompile(`(?m)^\| \d+ \|`).FindAllString(text, -1)
	if len(codes) == 0 || len(rows) != len(codes) {
		t.Errorf("README.md lists %d exit codes, there are %d", len(rows), len(codes))
	}
	for _, m := range codes {
		if !strings.Contains(text, "\n| "+m[1]+" | ") {
			t.Errorf("README.md does not explain the exit code %s", m[1])
		}
	}
}

type server struct {
	*httptest.Server
	stop func()
}

// serve runs the API on a database at path.
func serve(t *testing.T, path string) server {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	st, err := store.Open(t.Context(), store.Options{Path: path, Synchronous: "normal", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(st, writer.Options{MaxTextBytes: 16 << 10, MaxQueueBytes: 16 << 20, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s := api.New(api.Options{Version: "test", MaxBodyBytes: 16 << 20, MaxTextBytes: 16 << 10, Log: log})
	s.Use(&api.Session{Store: st, Writer: w})
	srv := httptest.NewServer(s)
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		srv.Close()
		if err := w.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		<-w.Done()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return server{srv, stop}
}

func send(t *testing.T, srv server, method, path, contentType, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") == "text/event-stream" {
		return res.StatusCode, "" // it does not end
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// openFile opens a database as its readers are told to.
func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	conn, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro"}).String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func count(t *testing.T, conn *sql.DB, query string) (n int) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), query)
	if err != nil {
		t.Errorf("%v:\n%s", err, query)
		return 0
	}
	defer rows.Close()
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	return n
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
