package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	jsonType     = "application/json"
	ndjsonType   = "application/x-ndjson"
	protobufType = "application/x-protobuf"
)

// server is a Server on a database of its own.
type server struct {
	*api.Server
	t      testing.TB
	path   string
	store  *store.Store
	writer *writer.Writer
}

type settings struct {
	api.Options
	queueBytes int64
}

// newServer starts a server. When the test ends, nothing may be left in its intake,
// whatever the requests came to.
func newServer(t testing.TB, change ...func(*settings)) *server {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	set := settings{
		Options:    api.Options{Version: "v1.2.3", MaxBodyBytes: 16 << 20, MaxTextBytes: 16 << 10, Log: log},
		queueBytes: 16 << 20,
	}
	for _, f := range change {
		f(&set)
	}
	path := filepath.Join(t.TempDir(), "trace.db")
	st, err := store.Open(t.Context(), store.Options{Path: path, Synchronous: "normal", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(st, writer.Options{MaxTextBytes: set.MaxTextBytes, MaxQueueBytes: set.queueBytes, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Server: api.New(set.Options), t: t, path: path, store: st, writer: w}
	s.Use(&api.Session{Store: st, Writer: w})
	t.Cleanup(func() {
		if small, large := s.IntakeFree(); small != api.SmallSum || !large {
			t.Errorf("%d of %d bytes of the intake are free, the place for a large body: %t", small, api.SmallSum, large)
		}
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil && w.Err() == nil {
			t.Error(err)
		}
	})
	return s
}

// do serves one request. Header fields are "Name: value".
func (s *server) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:9090"+target, strings.NewReader(body))
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return s.serve(r)
}

func (s *server) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// post serves a POST and fails the test unless it is answered with status.
func (s *server) post(status int, target, kind, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	w := s.do("POST", target, body, "Content-Type: "+kind)
	if w.Code != status {
		s.t.Fatalf("POST %s of %s %.200q: %d %s, want %d", target, kind, body, w.Code, w.Body, status)
	}
	return w
}

// row is a stored row without its id and the columns of delivery.
type row map[string]any

// rows returns the rows of a table in the order of their ids.
func (s *server) rows(table string) []row {
	s.t.Helper()
	conn, err := sql.Open("sqlite", "file:"+s.path+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	query := map[string]string{
		"ledger":       "SELECT * FROM ledger ORDER BY kind, outcome, reason",
		"usage_by_day": "SELECT * FROM usage WHERE granularity = 'day'",
	}[table]
	if query == "" {
		query = "SELECT * FROM " + table + " ORDER BY id"
	}
	result, err := conn.Query(query)
	if err != nil {
		s.t.Fatal(err)
	}
	defer result.Close()
	names, err := result.Columns()
	if err != nil {
		s.t.Fatal(err)
	}
	var list []row
	for result.Next() {
		values, to := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := result.Scan(to...); err != nil {
			s.t.Fatal(err)
		}
		r := make(row)
		for i, name := range names {
			switch name {
			case "id", "synced", "pushed_at":
			default:
				r[name] = values[i]
			}
		}
		list = append(list, r)
	}
	if err := result.Err(); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// last returns the newest row of a table.
func (s *server) last(table string) row {
	s.t.Helper()
	list := s.rows(table)
	if len(list) == 0 {
		s.t.Fatalf("%s is empty", table)
	}
	return list[len(list)-1]
}

// ledger stops the writer and returns the books as they are on disk.
func (s *server) ledger() map[string]int64 {
	s.t.Helper()
	if err := s.writer.Close(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	got := make(map[string]int64)
	for _, r := range s.rows("ledger") {
		got[r["kind"].(string)+" "+r["outcome"].(string)+": "+r["reason"].(string)] = r["n"].(int64)
	}
	return got
}

// object parses a JSON object, as an answer or the metadata of a row is one.
func object(t testing.TB, text any) map[string]any {
	t.Helper()
	var b []byte
	switch text := text.(type) {
	case nil:
		return nil
	case string:
		b = []byte(text)
	case *httptest.ResponseRecorder:
		b = text.Body.Bytes()
	}
	var o map[string]any
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatalf("no JSON object: %v\n%s", err, b)
	}
	return o
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got)\n%s", what, d)
	}
}

func gzipped(t testing.TB, body string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
