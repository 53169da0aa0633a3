package api_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/metrics"
)

func TestHealthOfJanitor(t *testing.T) {
	s := newServer(t)
	var status metrics.Janitor
	s.Use(&api.Session{Store: s.store, Writer: s.writer, Parts: metrics.Parts{Janitor: func() metrics.Janitor { return status }}})
	f := func(state string, reasons []any, want map[string]any) {
		t.Helper()
		h := object(t, s.do("GET", "/health", ""))
		diff(t, "health", []any{state, reasons, want}, []any{h["status"], h["reasons"], h["janitor"]})
	}
	status = metrics.Janitor{Deleted: map[string]int64{}}
	f("ok", []any{}, map[string]any{"last_run_time": nil, "deleted": map[string]any{}, "texts_dropped": 0.0, "over_bytes": 0.0, "waiting": ""})
	status = metrics.Janitor{LastRun: 5, Deleted: map[string]int64{"age": 7}, Texts: 2, OverBytes: 9, Reason: "others fill the volume", Doubt: "the clock"}
	f("degraded", []any{"others fill the volume"}, map[string]any{
		"last_run_time": 5.0, "deleted": map[string]any{"age": 7.0}, "texts_dropped": 2.0, "over_bytes": 9.0, "waiting": "the clock",
	})
}

func TestPostPrune(t *testing.T) {
	s := newServer(t)
	f := func(code int, body, want string) {
		t.Helper()
		body = strings.Replace(body, "{", `{"database":"`+s.path+`",`, 1)
		if w := s.do("POST", "/api/v1/prune", body, "Content-Type: application/json"); w.Code != code || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %d, %s", body, w.Code, w.Body, code, want)
		}
	}
	f(409, `{"dry_run":false}`, "this server deletes nothing")

	var asked []api.PruneRequest
	var err error
	s.Use(&api.Session{Store: s.store, Writer: s.writer, Prune: func(_ context.Context, r api.PruneRequest) (api.PruneResult, error) {
		asked = append(asked, r)
		return api.PruneResult{Deleted: map[string]int64{"span": 2}, Undelivered: 1}, err
	}})
	const done = `{"deleted":{"span":2},"undelivered":1,"texts":0}`
	f(200, `{"dry_run":false}`, done)
	f(200, `{"older_than_ms":3600000}`, done)
	f(200, `{"trace_id":"a","dry_run":true}`, done)
	f(200, `{"session_id":"b"}`, done)
	err = errors.New("there is none")
	f(200, `{"session_id":"c"}`, `"error":"there is none"}`)
	f(400, `{"session_id":"b","trace_id":"a"}`, "at most one")
	f(400, `{"older_than_ms":-1}`, "older_than_ms makes no sense")
	f(400, `{"older_than_ms":9223372036854775807}`, "older_than_ms makes no sense")
	f(400, `{"dry_run":true}`, "dry_run needs one of")
	want := []api.PruneRequest{{}, {OlderThan: time.Hour}, {Call: "a", DryRun: true}, {Session: "b"}, {Session: "c"}}
	if d := cmp.Diff(want, asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
	if w := s.do("POST", "/api/v1/prune", `{"database":"/elsewhere.db"}`, "Content-Type: application/json"); w.Code != 409 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
