package main_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/google/uuid"
	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	_ "modernc.org/sqlite" // the judge reads the database as anybody could
)

// record knows every event that was sent and what was answered. It lives outside
// the process that is killed.
type record struct {
	in *instance

	mu         sync.Mutex
	acked      map[string]bool    // identities that a 2xx was read for
	unanswered map[string]request // by the identity of each event that has no answer yet
}

// request is one body. Sent again it is the same, as a client's retry is.
type request struct {
	path, contentType string
	body              []byte
	ids               []string // of its events, with the prefix of their kind
}

func newRecord(in *instance) *record {
	return &record{in: in, acked: make(map[string]bool), unanswered: make(map[string]request)}
}

// text is what the event with this identity says, so that it can be compared later.
func text(id string) string { return "said by " + id }

func calls(r *rand.Rand, n int) request {
	return native(r, "/v1/traces", "call/", n, func(id string) map[string]any {
		return map[string]any{"provider": "p", "model": "m", "input_text": text(id), "prompt_tokens": 7, "latency_ms": 5}
	})
}

func failures(r *rand.Rand, n int) request {
	return native(r, "/v1/errors", "error/", n, func(id string) map[string]any {
		return map[string]any{"error_type": "crash", "message": text(id)}
	})
}

func native(r *rand.Rand, path, kind string, n int, event func(id string) map[string]any) request {
	req := request{path: path, contentType: "application/json"}
	var events []map[string]any
	for range n {
		var id uuid.UUID
		copy(id[:], randomBytes(r, 16))
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		e := event(kind + id.String())
		e["trace_id"] = id.String()
		events = append(events, e)
		req.ids = append(req.ids, kind+id.String())
	}
	req.body, _ = json.Marshal(events) // strings and numbers always can be
	return req
}

// spans are n spans of an OTLP export, every third an LLM call.
func spans(r *rand.Rand, n int) request {
	req := request{path: "/v1/traces", contentType: "application/x-protobuf"}
	var list []*trace.Span
	for i := range n {
		s := &trace.Span{
			TraceId: randomBytes(r, 16), SpanId: randomBytes(r, 8),
			StartTimeUnixNano: 1_700_000_000_000_000_000, EndTimeUnixNano: 1_700_000_000_500_000_000,
		}
		otel := hex.EncodeToString(s.TraceId) + "/" + hex.EncodeToString(s.SpanId)
		id := "span/" + otel
		s.Name = text(id)
		if i%3 == 0 {
			id = "otlp call/" + otel
			s.Name = "chat m"
			s.Attributes = []*common.KeyValue{
				attribute("gen_ai.operation.name", "chat"), attribute("gen_ai.provider.name", "p"),
				attribute("gen_ai.request.model", "m"),
			}
		}
		list = append(list, s)
		req.ids = append(req.ids, id)
	}
	req.body, _ = proto.Marshal(&coltrace.ExportTraceServiceRequest{ // without invalid UTF-8 it always can be
		ResourceSpans: []*trace.ResourceSpans{{ScopeSpans: []*trace.ScopeSpans{{Spans: list}}}},
	})
	return req
}

func attribute(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func anyRequest(r *rand.Rand) request {
	n := 1 + r.IntN(8)
	switch r.IntN(4) {
	case 0:
		return spans(r, 1+r.IntN(40))
	case 1:
		return failures(r, n)
	default:
		return calls(r, n)
	}
}

// send posts req and writes down what came of it. An event counts as acknowledged
// once the whole answer was read. The error is the connection's.
func (rec *record) send(req request) (answer, error) {
	rec.mu.Lock()
	for _, id := range req.ids {
		rec.unanswered[id] = req
	}
	rec.mu.Unlock()
	h, err := http.NewRequest("POST", rec.in.url+req.path, bytes.NewReader(req.body))
	if err != nil {
		return answer{}, err
	}
	h.Header.Set("Content-Type", req.contentType)
	a, err := rec.in.do(h)
	if err != nil {
		return a, err
	}
	switch {
	case a.status/100 == 2:
		rec.mu.Lock()
		for _, id := range req.ids {
			rec.acked[id] = true
			delete(rec.unanswered, id)
		}
		rec.mu.Unlock()
	case a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests:
		if a.header.Get("Retry-After") == "" {
			rec.in.t.Errorf("%d without Retry-After: %s", a.status, a.body)
		}
	default:
		rec.in.t.Errorf("POST %s: %d %s", req.path, a.status, a.body)
	}
	return a, nil
}

// mustStore sends req and fails unless it is acknowledged.
func (rec *record) mustStore(req request) {
	rec.in.t.Helper()
	a, err := rec.send(req)
	if err != nil {
		rec.in.t.Fatal(err)
	}
	if a.status/100 != 2 {
		rec.in.t.Fatalf("POST %s: %d %s", req.path, a.status, a.body)
	}
}

// sendUntil sends req again and again while it is refused for now, and tells
// whether it ever was. accepted tells whether an answer ends it.
func (rec *record) sendUntil(req request, accepted func(answer) bool) (refused bool) {
	rec.in.t.Helper()
	for range 200_000 {
		a, err := rec.send(req)
		if err != nil {
			rec.in.t.Fatal(err)
		}
		if accepted(a) {
			return refused
		}
		if rec.in.t.Failed() {
			rec.in.t.FailNow() // the answer was neither: asking again tells nothing new
		}
		refused = refused || a.status/100 != 2
	}
	rec.in.t.Fatalf("the answer to %s never became another", req.path)
	return refused
}

func stored(a answer) bool { return a.status/100 == 2 }

// load runs producers until each has lost its connection. After that many
// acknowledged requests since now it calls reached, in the middle of the others.
func (rec *record) load(r *rand.Rand, producers, requests int, reached func()) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range producers {
		own := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		wg.Go(func() {
			for {
				a, err := rec.send(anyRequest(own))
				if err != nil {
					return
				}
				if a.status/100 != 2 {
					continue
				}
				mu.Lock()
				requests--
				if requests == 0 {
					reached()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// resend posts all that has no answer yet, as a client would after an outage.
func (rec *record) resend() {
	rec.in.t.Helper()
	for {
		rec.mu.Lock()
		var req request
		for _, req = range rec.unanswered {
			break
		}
		rec.mu.Unlock()
		if req.ids == nil {
			return
		}
		rec.mustStore(req)
	}
}

// check compares the database with what was answered: each acknowledged event is
// there once and says what was sent, nothing is there that was not sent, and the
// books agree with the tables. It returns the number of events, and of calls that the
// summaries, which may follow a second later, do not include yet.
func (rec *record) check() (events int, unsummarized int64) {
	t := rec.in.t
	t.Helper()
	db := openDB(t, rec.in.db, "mode=ro")
	defer db.Close()
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true}) // one state of the file
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()

	var verdict string
	if err := tx.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity_check: %s %v", verdict, err)
	}
	there := make(map[string]bool)
	tables := make(map[string]int64)
	rows, err := tx.Query(`
		SELECT 'llm_trace', CASE WHEN otel_span_id IS NULL THEN 'call/' || trace_id
			ELSE 'otlp call/' || otel_trace_id || '/' || otel_span_id END, input_text FROM llm_traces
		UNION ALL SELECT 'error_event', 'error/' || trace_id, message FROM error_events
		UNION ALL SELECT 'span', 'span/' || otel_trace_id || '/' || otel_span_id, name FROM spans`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, id string
		var says *string
		if err := rows.Scan(&table, &id, &says); err != nil {
			t.Fatal(err)
		}
		tables[table]++
		if there[id] {
			t.Errorf("%s is there twice", id)
		}
		there[id] = true
		if says != nil && *says != text(id) {
			t.Errorf("%s says %q", id, *says)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	rec.mu.Lock()
	lost := 0
	for id := range rec.acked {
		if !there[id] {
			if lost++; lost <= 5 {
				t.Errorf("%s was acknowledged and is not there", id)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged events are lost", lost, len(rec.acked))
	}
	for id := range there {
		if _, sent := rec.unanswered[id]; !sent && !rec.acked[id] {
			t.Errorf("%s was never sent", id)
		}
	}
	rec.mu.Unlock()

	ledger := make(map[string]int64)
	query(t, tx, "SELECT kind, n FROM ledger WHERE outcome = 'received'", func(scan func(...any) error) error {
		var kind string
		var n int64
		err := scan(&kind, &n)
		ledger[kind] = n
		return err
	})
	if !maps.Equal(ledger, tables) {
		t.Errorf("the ledger has received %v, the tables hold %v", ledger, tables)
	}
	var used, summarized, gone int64
	if err := tx.QueryRow(`SELECT
		(SELECT COALESCE(SUM(calls), 0) FROM usage WHERE granularity = 'day'),
		(SELECT COUNT(*) FROM llm_traces WHERE id <= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'summarized')),
		(SELECT COALESCE(SUM(n), 0) FROM ledger WHERE outcome IN ('delivered', 'quarantined', 'dropped', 'expired'))`).Scan(&used, &summarized, &gone); err != nil {
		t.Fatal(err)
	}
	if used != summarized || gone != 0 {
		t.Errorf("usage counts %d calls, want %d; %d events are said to be gone", used, summarized, gone)
	}
	return len(there), tables["llm_trace"] - summarized
}

// checkSettled is check when the summaries have to be complete: after a start, which
// catches up, and after a stop.
func (rec *record) checkSettled() (events int) {
	rec.in.t.Helper()
	events, left := rec.check()
	if left != 0 {
		rec.in.t.Errorf("the summaries leave out %d calls", left)
	}
	return events
}

// checkHealth compares health with the tables while nothing is being sent.
func (rec *record) checkHealth() {
	rec.in.t.Helper()
	want := int64(len(rec.acked))
	h := rec.in.health()
	l := h.Ledger
	if h.EventsReceived != want || h.UnsyncedCount != want || l.Received != want || l.Pending != want ||
		l.Received != l.Pending+l.Delivered+l.Quarantined+l.Dropped+l.Expired {
		rec.in.t.Errorf("health does not count %d events: %+v", want, h)
	}
}

func openDB(t testing.TB, path, query string) *sql.DB {
	t.Helper()
	uri := url.URL{Scheme: "file", Path: path, OmitHost: true, RawQuery: query}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func query(t testing.TB, tx *sql.Tx, q string, row func(scan func(...any) error) error) {
	t.Helper()
	rows, err := tx.Query(q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// newRand returns a source of random choices that a failed test can be repeated with.
func newRand(t testing.TB) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with -seed=%d", s)
		}
	})
	return rand.New(rand.NewPCG(s, 0))
}

// has tells whether the database holds every call of req.
func has(t testing.TB, path string, req request) bool {
	t.Helper()
	db := openDB(t, path, "mode=ro")
	defer db.Close()
	for _, id := range req.ids {
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM llm_traces WHERE 'call/' || trace_id = ?", id).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 1 {
			return false
		}
	}
	return true
}
