package api_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/kon-rad/openclaw-trace/internal/api"
)

// What the sender says in its own words is kept; what has no column goes to metadata.
func TestEventColumns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		now := time.Now().UnixMilli()
		f := func(members string, want row) {
			t.Helper()
			s.post(202, "/v1/events", jsonType, `{"name":"deployed"`+members+`}`)
			got := s.last("custom_events")
			if want["trace_id"] == nil {
				if id, err := uuid.Parse(got["trace_id"].(string)); err != nil || id.Version() != 4 {
					t.Errorf("%s: trace_id %v", members, got["trace_id"])
				}
				want["trace_id"] = got["trace_id"]
			}
			diff(t, members, want, got)
		}
		f(`,"trace_id":"0B9C2F0E-6A1D-4C57-9D0E-2F6F3F0C8A11","created_at":900000000123,"session_id":"s1","metadata":{"k": [1, "x"]}`,
			row{"trace_id": anID, "name": "deployed", "created_at": int64(900000000123), "session_id": "s1", "metadata": `{"k": [1, "x"]}`})
		f(``, row{"name": "deployed", "created_at": now, "session_id": nil, "metadata": nil})
		f(`,"created_at":"1999-12-31T22:00:00.5Z"`,
			row{"name": "deployed", "created_at": int64(946677600500), "session_id": nil, "metadata": nil})
		f(`,"version":7,"metadata":{"by":"me"},"agent":"main"`,
			row{"name": "deployed", "created_at": now, "session_id": nil, "metadata": `{"version":7,"by":"me","agent":"main"}`})
		f(`,"metadata":"plain"`, row{"name": "deployed", "created_at": now, "session_id": nil, "metadata": `{"value":"plain"}`})
		f(`,"session_id":5,"created_at":"yesterday"`,
			row{"name": "deployed", "created_at": now, "session_id": nil, "metadata": `{"openclaw_trace.invalid":"session_id created_at"}`})
		f(`,"big":"`+strings.Repeat("x", api.MaxMetadata)+`","small":1`,
			row{"name": "deployed", "created_at": now, "session_id": nil, "metadata": `{"small":1,"openclaw_trace.invalid":"metadata"}`})
		long := strings.Repeat("é", 200)
		f(`,"name":"`+long+`","session_id":"`+long+`"`,
			row{"name": long[:256], "created_at": now, "session_id": long[:256], "metadata": nil})
		f(`,"name":"a\u0000b"`, row{"name": "a\uFFFDb", "created_at": now, "session_id": nil, "metadata": nil})
		diff(t, "ledger", map[string]int64{
			"custom_event received: ": 9, "custom_event repaired: value": 3, "custom_event repaired: text": 1,
		}, s.ledger())
	})
}

func TestEventForms(t *testing.T) {
	s := newServer(t)
	f := func(kind, body string, want ...any) {
		t.Helper()
		before := len(s.rows("custom_events"))
		answer := object(t, s.post(202, "/v1/events", kind, body))
		var got []any
		for _, r := range s.rows("custom_events")[before:] {
			got = append(got, r["name"])
		}
		diff(t, body, want, got)
		if answer["accepted"] != float64(len(want)) || len(answer["trace_ids"].([]any)) != len(want) {
			t.Errorf("%s: %v", body, answer)
		}
	}
	f(jsonType, `{"name":"a"}`, "a")
	f(jsonType, `[{"name":"a"},{"name":"b"}]`, "a", "b")
	f(jsonType, `[]`)
	f(ndjsonType, "{\"name\":\"a\"}\n{\"name\":\"b\"}\n", "a", "b")
	f(ndjsonType, "{\"name\":\"a\"}\r\n\r\n{\"name\":\"b\"}", "a", "b")
	// There is no OTLP here: this is an event with a member of an odd name.
	f(jsonType, `{"name":"a","resourceSpans":[]}`, "a")
	s.post(400, "/v1/events", jsonType, `{"name":"a"`)
	s.post(400, "/v1/events", ndjsonType, "{\"name\":\"a\"}\n{")
	if n := s.writer.Books().Received; n != 8 {
		t.Errorf("%d rows, want 8", n)
	}
}

func TestEventAnswer(t *testing.T) {
	s := newServer(t)
	one := `{"trace_id":"` + anID + `","name":"deployed"}`
	f := func(status int, body, want string) {
		t.Helper()
		diff(t, body, want+"\n", s.post(status, "/v1/events", jsonType, body).Body.String())
	}
	f(202, one, `{"accepted":1,"duplicates":0,"rejected":[],"trace_ids":["`+anID+`"]}`)
	f(202, one, `{"accepted":0,"duplicates":1,"rejected":[],"trace_ids":["`+anID+`"]}`)
	f(202, `[7,`+one+`,{"session_id":"s"}]`, `{"accepted":0,"duplicates":1,"rejected":[`+
		`{"index":0,"reason":"an event must be a JSON object"},{"index":2,"reason":"name is required"}],"trace_ids":["`+anID+`"]}`)
	f(400, `{"session_id":"s"}`, `{"code":3,"message":"name is required","rejected":[{"index":0,"reason":"name is required"}]}`)
	// The first with an id wins; that another says something else is counted.
	f(202, `{"trace_id":"`+anID+`","name":"deployed","by":"me"}`, `{"accepted":0,"duplicates":1,"rejected":[],"trace_ids":["`+anID+`"]}`)
	if got := s.rows("custom_events"); len(got) != 1 || got[0]["metadata"] != nil {
		t.Errorf("rows %v", got)
	}
	health := object(t, s.do("GET", "/health", ""))
	if health["events_received"] != 1.0 || health["unsynced_count"] != 1.0 || health["events_dropped"] != 3.0 {
		t.Errorf("health %v", health)
	}
	diff(t, "ledger", map[string]int64{
		"custom_event received: ": 1, "custom_event duplicate: ": 2, "custom_event duplicate: conflict": 1, "custom_event refused: invalid": 3,
	}, s.ledger())
}

// One id may stand for a call, an error and an event: each table has its own.
func TestEventIDsAreItsOwn(t *testing.T) {
	s := newServer(t)
	id := `"trace_id":"` + anID + `"`
	s.post(202, "/v1/traces", jsonType, `{`+id+`,"provider":"p","model":"m"}`)
	s.post(202, "/v1/errors", jsonType, `{`+id+`,"error_type":"e","message":"x"}`)
	s.post(202, "/v1/events", jsonType, `{`+id+`,"name":"n"}`)
	if b := s.writer.Books(); b.Received != 3 || b.Duplicates != 0 {
		t.Errorf("books %+v", b)
	}
}

func TestEventOneBadOfMany(t *testing.T) {
	s := newServer(t)
	events := slices.Repeat([]string{`{"name":"n"}`}, 500)
	events[321] = `{"metadata":{}}`
	answer := object(t, s.post(202, "/v1/events", ndjsonType, strings.Join(events, "\n")))
	diff(t, "rejected", []any{map[string]any{"index": 321.0, "reason": "name is required"}}, answer["rejected"].([]any))
	if answer["accepted"] != 499.0 || len(s.rows("custom_events")) != 499 {
		t.Errorf("accepted %v, stored %d", answer["accepted"], len(s.rows("custom_events")))
	}
}

func TestEventTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no slow machine lets the commit come too late
		s := newServer(t)
		answer := object(t, s.post(202, "/v1/events", ndjsonType, strings.Repeat("{\"name\":\"n\"}\n", api.MaxEvents+2)))
		diff(t, "answer", map[string]any{
			"accepted": float64(api.MaxEvents), "duplicates": 0.0, "rejected": []any{
				map[string]any{"index": float64(api.MaxEvents), "reason": "more than 10000 events in one request"},
				map[string]any{"index": float64(api.MaxEvents + 1), "reason": "more than 10000 events in one request"},
			},
		}, map[string]any{"accepted": answer["accepted"], "duplicates": answer["duplicates"], "rejected": answer["rejected"]})
		diff(t, "ledger", map[string]int64{
			"custom_event received: ": api.MaxEvents, "custom_event refused: invalid": 2,
		}, s.ledger())
	})
}
