package api_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/api"
)

// block keeps the writer from committing until the function returned is called.
func (s *server) block() (unblock func()) {
	s.t.Helper()
	other, err := sql.Open("sqlite", "file:"+s.path+"?_txlock=immediate")
	if err != nil {
		s.t.Fatal(err)
	}
	tx, err := other.Begin()
	if err != nil {
		s.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			s.t.Error(err)
		}
		if err := other.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// start posts body and returns where its answer will be.
func (s *server) start(path, kind, body string) chan *httptest.ResponseRecorder {
	answer := make(chan *httptest.ResponseRecorder, 1)
	go func() { answer <- s.do("POST", path, body, "Content-Type: "+kind) }()
	return answer
}

// unavailable checks that an answer says to try again, and why.
func unavailable(t *testing.T, what string, w *httptest.ResponseRecorder, message string) map[string]any {
	t.Helper()
	got := object(t, w)
	if after := w.Header().Get("Retry-After"); w.Code != 503 || after < "1" || after > "3" || got["message"] != message || got["code"] != 14.0 {
		t.Errorf("%s: %d %v, Retry-After %q", what, w.Code, got, after)
	}
	return got
}

const (
	pendingText = "the disk is too slow; this request may yet be stored; try again with the same ids"
	timeoutText = "the disk is too slow; nothing of this request was stored; try again"
	fullText    = "too much is waiting to be stored; nothing of this request was stored; try again"
	closedText  = "the database is being closed or opened anew; try again"
)

func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(set *settings) { set.queueBytes = 10_000 })
		s.post(202, "/v1/traces", jsonType, event)
		time.Sleep(5 * time.Second) // the writer has nothing left to sync
		unblock := s.block()
		start := time.Now()

		taken := s.start("/v1/traces", jsonType, `[`+event+`,{"provider":"p","model":"taken"}]`)
		synctest.Wait()
		queued := s.start("/v1/traces", jsonType, sized(9_000))
		time.Sleep(time.Millisecond) // the writer waits for the lock in steps
		full := s.do("POST", "/v1/traces", sized(9_000), "Content-Type: "+jsonType)
		unavailable(t, "one too many", full, fullText)
		if took := time.Since(start); took > 10*time.Millisecond {
			t.Errorf("the refusal took %s", took)
		}
		if w := s.do("GET", "/ready", ""); w.Code != 200 {
			t.Errorf("ready: %d %s", w.Code, w.Body)
		}

		pending := unavailable(t, "taken", <-taken, pendingText)
		unavailable(t, "queued", <-queued, timeoutText)
		if took := time.Since(start); took > 2100*time.Millisecond {
			t.Errorf("the answers took %s", took)
		}
		ids, _ := pending["trace_ids"].([]any)
		if len(ids) != 2 {
			t.Errorf("ids of a batch that may be stored: %v", pending)
		}

		time.Sleep(4 * time.Second)
		before := time.Now()
		health := object(t, s.do("GET", "/health", ""))
		reasons := fmt.Sprint(health["reasons"])
		if health["status"] != "error" || health["db_status"] != "error" || !strings.Contains(reasons, "writer stalled") || time.Now() != before {
			t.Errorf("health: %v", health)
		}
		unavailable(t, "ready", s.do("GET", "/ready", ""), "not ready: "+strings.Trim(reasons, "[]"))

		unblock()
		for s.writer.Books().Received != 3 {
			time.Sleep(time.Second)
		}
		rows := s.rows("llm_traces")
		if len(rows) != 3 || rows[1]["trace_id"] != ids[0] || rows[2]["trace_id"] != ids[1] || rows[2]["model"] != "taken" {
			t.Errorf("%d rows; ids %v", len(rows), ids)
		}
		if health := object(t, s.do("GET", "/health", "")); health["status"] != "ok" {
			t.Errorf("health afterwards: %v", health)
		}
		// Sent again with the ids of the answer, it is a duplicate.
		answer := object(t, s.post(202, "/v1/traces", jsonType, fmt.Sprintf(`{"provider":"p","model":"m","trace_id":%q}`, ids[0])))
		if answer["duplicates"] != 1.0 {
			t.Errorf("sent again: %v", answer)
		}
		// Those that may yet be stored are not counted as refused.
		if refused := s.writer.Books().Refused; refused != 2 {
			t.Errorf("%d events are counted as refused, want 2", refused)
		}
	})
}

// An exporter takes anything but 429 and 503 as final, in its own encoding too.
func TestSlowDiskOTLP(t *testing.T) {
	// Each processor has a pool of its own; with one, a buffer given back is the next taken.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		unblock := s.block()
		body := toProtobuf(t, tracesOf(spanOf(1, attribute("gen_ai.request.model", "model"), attribute("gen_ai.output.messages", "the answer"))))
		w := <-s.start("/v1/traces", protobufType, body)
		code, message := googleStatus(t, w)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || code != 14 || message != pendingText {
			t.Errorf("%d %d %q", w.Code, code, message)
		}
		// Its texts lie in the request's body, which must not serve the next one yet.
		for range 10 {
			s.post(400, "/v1/traces", protobufType, strings.Repeat("x", len(body)))
		}
		unblock()
		time.Sleep(time.Second) // it is stored meanwhile
		s.post(200, "/v1/traces", protobufType, body)
		if rows := s.rows("llm_traces"); len(rows) != 1 || rows[0]["model"] != "model" || rows[0]["output_text"] != "the answer" {
			t.Errorf("rows %v", rows)
		}
		if duplicates := s.ledger()["llm_trace duplicate: "]; duplicates != 1 {
			t.Errorf("sent again: %d duplicates of the same content", duplicates)
		}
	})
}

// Waiting for a turn and waiting for the disk are one wait.
func TestOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		large := sized(2 << 20)
		first := s.begin(2 << 20)
		first.fill(api.LargeBody + 1)
		start := time.Now()
		second := s.start("/v1/traces", jsonType, large)
		time.Sleep(1500 * time.Millisecond)
		unblock := s.block()
		if got := first.finish(large[:9]); got != 400 {
			t.Errorf("the first: %d", got)
		}
		w := <-second
		if took := time.Since(start); w.Code != 503 || took != 2*time.Second {
			t.Errorf("%d after %s", w.Code, took)
		}
		unblock()
	})
}

func TestNoSession(t *testing.T) {
	s := newServer(t)
	fresh := api.New(api.Options{MaxBodyBytes: 1000, Log: nil})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "http://localhost/v1/traces", unread{t})
	r.Header.Set("Content-Type", jsonType)
	fresh.ServeHTTP(w, r)
	unavailable(t, "never opened", w, "the database is not open: the database is not open yet")

	s.post(202, "/v1/traces", jsonType, event)
	s.Lost("the disk failed")
	unavailable(t, "lost", s.do("POST", "/v1/traces", event, "Content-Type: "+jsonType), "the database is not open: the disk failed")
	unavailable(t, "ready", s.do("GET", "/ready", ""), "not ready: the disk failed")
	health := object(t, s.do("GET", "/health", ""))
	if health["status"] != "error" || health["db_status"] != "error" || fmt.Sprint(health["reasons"]) != "[the disk failed]" {
		t.Errorf("health: %v", health)
	}
}

func TestClosedWriter(t *testing.T) {
	s := newServer(t)
	if err := s.writer.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	unavailable(t, "closed", s.do("POST", "/v1/traces", event, "Content-Type: "+jsonType), closedText)
}

// A file that was taken away: what went to it is not there, so nobody is told it was.
func TestReplacedFile(t *testing.T) {
	s := newServer(t)
	s.post(202, "/v1/traces", jsonType, event)
	if err := os.Rename(s.path, s.path+".old"); err != nil {
		t.Fatal(err)
	}
	w := s.do("POST", "/v1/traces", event, "Content-Type: "+jsonType)
	if ids, _ := object(t, w)["trace_ids"].([]any); w.Code != 503 || len(ids) != 1 {
		t.Errorf("replaced: %d %s, want 503 and the id to try again with", w.Code, w.Body)
	}
	<-s.writer.Done()
	unavailable(t, "ended", s.do("POST", "/v1/traces", event, "Content-Type: "+jsonType), closedText)
	if health := object(t, s.do("GET", "/health", "")); health["status"] != "error" {
		t.Errorf("health: %v", health)
	}
}

// A panic is answered, and costs neither the server nor its memory.
func TestPanic(t *testing.T) {
	s := newServer(t)
	s.Use(&api.Session{}) // without a writer
	for _, body := range []string{event, sized(2 << 20)} {
		w := s.do("POST", "/v1/traces", body, "Content-Type: "+jsonType)
		unavailable(t, "a panic", w, "an internal error; try again")
	}
	if w := s.do("GET", "/health", ""); w.Code != 503 {
		t.Errorf("health: %d", w.Code)
	}
	if small, large := s.IntakeFree(); small != api.SmallSum || !large {
		t.Errorf("%d of the intake are free", small)
	}
	s.Use(&api.Session{Writer: s.writer})
	if w := s.do("GET", "/health", ""); w.Code != 200 {
		t.Errorf("health afterwards: %d", w.Code)
	}
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.post(202, "/v1/traces", jsonType, `[`+event+`,`+event+`,{}]`)
		s.post(400, "/v1/traces", jsonType, `{`)
		time.Sleep(90 * time.Second)
		w := s.do("GET", "/health", "")
		got := object(t, w)
		for _, name := range []string{"db_size_bytes", "wal_size_bytes"} {
			if n, ok := got[name].(float64); !ok || n <= 0 {
				t.Errorf("%s is %v", name, got[name])
			}
			delete(got, name)
		}
		diff(t, "health", map[string]any{
			"status": "ok", "reasons": []any{}, "uptime_seconds": 90.0, "version": "v1.2.3",
			"agent": nil, "agent_log": nil, "db_status": "ok", "queue_depth": 0.0, "events_received": 2.0, "events_dropped": 2.0,
			"last_push_time": nil, "last_push_status": "disabled", "last_push_success": nil, "last_push_error": "",
			"next_push_time": nil, "oldest_unsynced_age_ms": nil, "unsynced_count": 2.0,
			"ledger":            map[string]any{"received": 2.0, "pending": 2.0, "delivered": 0.0, "quarantined": 0.0, "dropped": 0.0, "expired": 0.0},
			"dropped_by_reason": map[string]any{}, "janitor": nil,
		}, got)
		if w.Code != 200 || w.Header().Get("Content-Type") != jsonType {
			t.Errorf("%d of %s", w.Code, w.Header().Get("Content-Type"))
		}
		if w := s.do("GET", "/ready", ""); w.Code != 200 || w.Body.String() != `{"status":"ready"}`+"\n" {
			t.Errorf("ready: %d %s", w.Code, w.Body)
		}

		s.Stop()
		unavailable(t, "stopping", s.do("GET", "/ready", ""), "not ready: stopping")
		s.post(202, "/v1/traces", jsonType, event) // what is under way is still served
		if got := object(t, s.do("GET", "/health", "")); got["status"] != "ok" {
			t.Errorf("stopping: %v", got)
		}

		pushing := newServer(t, func(set *settings) { set.PushEnabled = true })
		if got := object(t, pushing.do("GET", "/health", "")); got["last_push_status"] != "never" {
			t.Errorf("with a remote: %v", got)
		}
	})
}
