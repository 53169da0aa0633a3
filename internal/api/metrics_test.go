package api_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/api"
	"github.com/kon-rad/openclaw-trace/internal/metrics"
)

// scrape returns the lines of /metrics.
func (s *server) scrape(header ...string) map[string]bool {
	s.t.Helper()
	w := s.do("GET", "/metrics", "", header...)
	if w.Code != 200 || w.Header().Get("Content-Type") != metrics.TextType {
		s.t.Fatalf("%d, %s: %s", w.Code, w.Header(), w.Body)
	}
	lines := make(map[string]bool)
	for line := range strings.Lines(w.Body.String()) {
		lines[strings.TrimSuffix(line, "\n")] = true
	}
	return lines
}

// has checks that the lines are there.
func (s *server) has(lines map[string]bool, want ...string) {
	s.t.Helper()
	for _, line := range want {
		if !lines[line] {
			s.t.Errorf("there is no line %q", line)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.post(202, "/v1/traces", jsonType, `{"provider":"p","model":"m","prompt_tokens":3,"cost_usd":0.5,"input_text":"the word is plover","session_id":"a session"}`)
	s.post(400, "/v1/traces", jsonType, `{"provider":"p"}`)
	s.do("POST", "/v1/traces", "{}", "Host: example.com")
	s.has(s.scrape(),
		`openclaw_trace_ready 1`,
		`openclaw_trace_health_status{status="ok"} 1`,
		`openclaw_trace_http_requests_total{method="POST",route="/v1/traces",code="202"} 1`,
		`openclaw_trace_http_requests_total{method="POST",route="/v1/traces",code="400"} 1`,
		`openclaw_trace_http_requests_total{method="POST",route="/v1/traces",code="403"} 1`,
		`openclaw_trace_events_received_total{kind="llm_trace"} 1`,
		`openclaw_trace_events_refused_total 1`,
		`openclaw_trace_events_pending 1`,
		`openclaw_trace_llm_calls_total{provider="p",model="m",status="ok"} 1`,
		`openclaw_trace_llm_tokens_total{provider="p",model="m",type="input"} 3`,
		`openclaw_trace_llm_cost_usd_total{provider="p",model="m"} 0.5`,
		`openclaw_trace_queue_limit_bytes 16777216`,
	)
	for line := range s.scrape() {
		if strings.Contains(line, "plover") || strings.Contains(line, "a session") {
			t.Errorf("what was said is in %q", line)
		}
	}
	// An id is no part of a route.
	s.do("GET", "/api/v1/calls/1b4e28ba-2fa1-4d6c-883f-0016d3cca427", "")
	s.has(s.scrape(), `openclaw_trace_http_requests_total{method="GET",route="/api/v1/calls/{trace_id}",code="404"} 1`)
}

func TestMetricsNeedTheToken(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(set *settings) { set.AuthToken = "a long token" })
	if w := s.do("GET", "/metrics", ""); w.Code != 401 {
		t.Errorf("without it: %d", w.Code)
	}
	s.scrape("Authorization: Bearer a long token")
}

func TestMetricsFormat(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for accept, want := range map[string]string{
		"":                             metrics.TextType,
		"*/*":                          metrics.TextType,
		"application/openmetrics-text": metrics.OpenMetricsType,
		"application/openmetrics-text;version=1.0.0;q=0.8, text/plain;version=0.0.4;q=0.5":                 metrics.OpenMetricsType,
		"application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5":                       metrics.TextType,
		"application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.5":                  metrics.TextType,
		"application/openmetrics-text;q=0":                                                                 metrics.TextType,
		"application/openmetrics-text;q=much":                                                              metrics.TextType,
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7": metrics.TextType,
		"application/vnd.google.protobuf;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3": metrics.OpenMetricsType,
	} {
		w := s.do("GET", "/metrics", "", "Accept: "+accept)
		ends := strings.HasSuffix(w.Body.String(), "\n# EOF\n")
		if got := w.Header().Get("Content-Type"); w.Code != 200 || got != want || ends != (want == metrics.OpenMetricsType) {
			t.Errorf("%q: %d %s, EOF %t, want %s", accept, w.Code, got, ends, want)
		}
	}
}

// A scrape is answered while the disk hangs, and when there is no database.
func TestMetricsWithoutADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.post(202, "/v1/traces", jsonType, event)
		time.Sleep(5 * time.Second) // the writer has nothing left to sync
		unblock := s.block()
		stuck := s.start("/v1/traces", jsonType, `{"provider":"p","model":"m"}`)
		synctest.Wait()
		queued := s.start("/v1/traces", jsonType, `{"provider":"p","model":"m"}`)
		synctest.Wait()
		before := time.Now()
		lines := s.scrape()
		if took := time.Since(before); took != 0 {
			t.Errorf("the scrape waited %s", took)
		}
		s.has(lines, `openclaw_trace_ready 1`, `openclaw_trace_queue_batches 1`)
		<-stuck
		<-queued
		time.Sleep(5 * time.Second)
		s.has(s.scrape(), `openclaw_trace_ready 0`, `openclaw_trace_health_status{status="error"} 1`, `openclaw_trace_events_received_total{kind="llm_trace"} 1`)
		unblock()
		for s.writer.Books().Received != 2 {
			time.Sleep(time.Second)
		}
		s.Lost("it is gone")
		s.has(s.scrape(), `openclaw_trace_ready 0`, `openclaw_trace_events_received_total{kind="llm_trace"} 2`)
		s.Use(&api.Session{Store: s.store, Writer: s.writer})
		s.Stop()
		s.has(s.scrape(), `openclaw_trace_ready 0`, `openclaw_trace_health_status{status="ok"} 1`)
	})
	s := &server{t: t, Server: api.New(api.Options{Version: "v1.2.3"})}
	s.has(s.scrape(), `openclaw_trace_ready 0`)
}
