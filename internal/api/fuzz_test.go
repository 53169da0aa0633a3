package api_test

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Run the fuzz targets with -fuzzminimizetime=10x: by default each new input is
// minimized for up to a minute, during which nothing else is tried.

// FuzzNative: whatever the body, an answer of 202 tells how many rows are stored, any
// other stores none, and every stored text can be read by whoever comes after us.
func FuzzNative(f *testing.F) {
	s := newServer(f, func(set *settings) { set.MaxTextBytes = 64 })
	rows, err := sql.Open("sqlite", "file:"+s.path+"?mode=ro")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { rows.Close() })
	last := make(map[string]int64) // id of each table that was looked at

	targets := [...]struct{ path, table string }{
		{"/v1/traces", "llm_traces"}, {"/v1/errors", "error_events"}, {"/v1/events", "custom_events"},
	}
	f.Fuzz(func(t *testing.T, target byte, kind bool, body []byte) {
		to := targets[int(target)%len(targets)]
		contentType := jsonType
		if kind {
			contentType = ndjsonType
		}
		before := s.writer.Books().Received
		w := s.do("POST", to.path, string(body), "Content-Type: "+contentType)
		stored := s.writer.Books().Received - before
		if !json.Valid(w.Body.Bytes()) || !utf8.Valid(w.Body.Bytes()) {
			t.Fatalf("%d with no JSON: %q", w.Code, w.Body)
		}
		switch w.Code {
		case 202:
			var answer struct {
				Accepted, Duplicates int64
				TraceIDs             []string `json:"trace_ids"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if answer.Accepted != stored || int64(len(answer.TraceIDs)) != stored+answer.Duplicates {
				t.Fatalf("%d rows are stored; the answer is %s", stored, w.Body)
			}
		case 200: // OTLP JSON
			return
		default:
			if w.Code != 400 || stored != 0 {
				t.Fatalf("%d with %d rows: %s", w.Code, stored, w.Body)
			}
			return
		}
		n, id := checkTexts(t, rows, to.table, last[to.table])
		last[to.table] = id
		if n != stored {
			t.Fatalf("%d rows are new, the answer says %d", n, stored)
		}
	})
}

// checkTexts checks the texts of the rows with ids above last, and returns how many
// there are and the new last id.
func checkTexts(t *testing.T, conn *sql.DB, table string, last int64) (n, id int64) {
	result, err := conn.Query("SELECT * FROM "+table+" WHERE id > ? ORDER BY id", last)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	names, err := result.Columns()
	if err != nil {
		t.Fatal(err)
	}
	id = last
	for ; result.Next(); n++ {
		values, to := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := result.Scan(to...); err != nil {
			t.Fatal(err)
		}
		id = values[0].(int64)
		for i, name := range names {
			text, ok := values[i].(string)
			if !ok {
				continue
			}
			if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				t.Errorf("%s is %q", name, text)
			}
			if name == "metadata" && (!json.Valid([]byte(text)) || text[0] != '{' || strings.Contains(strings.ReplaceAll(text, `\\`, ""), `\u0000`)) {
				t.Errorf("metadata is %q", text)
			}
		}
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return n, id
}

var statuses = []int{200, 202, 400, 403, 404, 405, 413, 415}

// FuzzServeHTTP: no request is answered with a status that is not documented, or
// without the headers that keep pages out.
func FuzzServeHTTP(f *testing.F) {
	s := newServer(f, func(set *settings) { set.MaxBodyBytes = 4096 })
	f.Fuzz(func(t *testing.T, head string, body []byte) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n")))
		if err != nil {
			return // net/http refuses it
		}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if !slices.Contains(statuses, w.Code) {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		h := w.Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%d with %v", w.Code, h)
		}
		switch kind := h.Get("Content-Type"); kind {
		case jsonType:
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%d with no JSON: %q", w.Code, w.Body)
			}
		case protobufType:
		default:
			t.Errorf("%d with Content-Type %q", w.Code, kind)
		}
	})
}
