package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/api"
)

// withRemote makes the server show a remote whose status is given.
func (s *server) withRemote(status *api.DeliveryStatus, result api.DeliveryResult, err error) *[]string {
	released := new([]string)
	s.Use(&api.Session{Store: s.store, Writer: s.writer, Delivery: &api.Delivery{
		Status: func() api.DeliveryStatus { return *status },
		Now:    func(context.Context) (api.DeliveryResult, error) { return result, err },
		Release: func(_ context.Context, drop bool, ids ...string) (int64, error) {
			if drop {
				*released = append(*released, "drop")
			}
			*released = append(*released, ids...)
			return int64(len(ids)), nil
		},
	}})
	return released
}

func TestHealthOfDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(set *settings) { set.PushEnabled, set.PushInterval = true, time.Minute })
		status := new(api.DeliveryStatus)
		s.withRemote(status, api.DeliveryResult{}, nil)
		f := func(state, push, reason string) map[string]any {
			t.Helper()
			var h map[string]any
			if err := json.Unmarshal(s.do("GET", "/health", "").Body.Bytes(), &h); err != nil {
				t.Fatal(err)
			}
			reasons, _ := json.Marshal(h["reasons"])
			if h["status"] != state || h["last_push_status"] != push || !strings.Contains(string(reasons), reason) {
				t.Errorf("%v, %v, %s; want %s, %s, %s", h["status"], h["last_push_status"], reasons, state, push, reason)
			}
			return h
		}
		f("ok", "never", "")
		now := time.Now().UnixMilli()
		*status = api.DeliveryStatus{LastAttempt: now, LastSuccess: now, NextAttempt: now + 60_000}
		if h := f("ok", "ok", ""); h["last_push_time"] != float64(now) || h["next_push_time"] != float64(now+60_000) || h["oldest_unsynced_age_ms"] != nil {
			t.Errorf("%v", h)
		}
		*status = api.DeliveryStatus{LastAttempt: now, LastError: "503", Failures: 1, Oldest: now - 2*60_000}
		f("ok", "error", "")
		*status = api.DeliveryStatus{LastAttempt: now, LastError: "503", Failures: 9, Oldest: now - 4*60_000}
		if h := f("degraded", "error", "waits for delivery since 4m0s; the last error: 503"); h["oldest_unsynced_age_ms"] != 240_000.0 {
			t.Errorf("%v", h)
		}
		*status = api.DeliveryStatus{LastAttempt: now, LastError: "401", Failures: 1, Refused: true}
		f("degraded", "error", "refuses events until a setting is changed")
		if r := s.do("GET", "/ready", ""); r.Code != 200 {
			t.Errorf("ready: %d", r.Code)
		}
	})
}

func TestPostPush(t *testing.T) {
	s := newServer(t, func(set *settings) { set.AuthToken = "a-token-of-ours" })
	const token = "Authorization: Bearer a-token-of-ours"
	if w := s.do("POST", "/v1/push", "", token); w.Code != 409 || !strings.Contains(w.Body.String(), "OCT_PUSH_ENDPOINT is not set") {
		t.Errorf("without a remote: %d %s", w.Code, w.Body)
	}
	s.withRemote(new(api.DeliveryStatus), api.DeliveryResult{Delivered: 3, Pending: 1}, nil)
	if w := s.do("POST", "/v1/push", "", token); w.Code != 200 || w.Body.String() != `{"delivered":3,"quarantined":0,"pending":1}`+"\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := s.do("POST", "/v1/push", ""); w.Code != 401 {
		t.Errorf("without a token: %d", w.Code)
	}
	if w := s.do("POST", "/v1/push", "", token, "Sec-Fetch-Site: cross-site"); w.Code != 403 {
		t.Errorf("cross-site: %d", w.Code)
	}
	if w := s.do("GET", "/v1/push", "", token); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
	s.withRemote(new(api.DeliveryStatus), api.DeliveryResult{}, errors.New("it is being closed"))
	if w := s.do("POST", "/v1/push", "", token); w.Code != 200 || !strings.Contains(w.Body.String(), `"error":"it is being closed"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPostQuarantine(t *testing.T) {
	s := newServer(t)
	f := func(code int, body, want string) {
		t.Helper()
		if w := s.do("POST", "/api/v1/quarantine", body, "Content-Type: application/json"); w.Code != code || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s; want %d %s", body, w.Code, w.Body, code, want)
		}
	}
	db, _ := json.Marshal(s.path)
	f(409, `{"database":`+string(db)+`,"action":"retry","all":true}`, "OCT_PUSH_ENDPOINT is not set")
	released := s.withRemote(new(api.DeliveryStatus), api.DeliveryResult{}, nil)
	f(200, `{"database":`+string(db)+`,"action":"retry","trace_ids":["a","b"]}`, `"rows":2`)
	f(200, `{"database":`+string(db)+`,"action":"drop","all":true}`, `"done":true`)
	f(400, `{"database":`+string(db)+`,"action":"burn","all":true}`, "none of retry, drop")
	f(400, `{"database":`+string(db)+`,"action":"drop"}`, "trace_ids is required, or all")
	f(409, `{"database":"/nowhere.db","action":"drop","all":true}`, "another database")
	f(400, `[]`, "want an object")
	if got := strings.Join(*released, " "); got != "a b drop" {
		t.Errorf("released %s", got)
	}
}
