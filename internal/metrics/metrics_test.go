package metrics

import (
	"strings"
	"testing"
	"time"
)

// has tells whether a page has a sample of a metric.
func has(page []byte, name string) bool {
	return strings.Contains("\n"+string(page), "\n"+ns+name+" ") || strings.Contains("\n"+string(page), "\n"+ns+name+"{")
}

// What is not known is left out, and is not 0.
func TestUnknownIsLeftOut(t *testing.T) {
	now := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	f := func(parts Parts, there, missing string) {
		t.Helper()
		page := Write(&Figures{Now: now, Parts: parts}, false)
		for _, name := range strings.Fields(there) {
			if !has(page, name) {
				t.Errorf("%s is missing", name)
			}
		}
		for _, name := range strings.Fields(missing) {
			if has(page, name) || strings.Contains(string(page), ns+name+" ") {
				t.Errorf("%s is there", name)
			}
		}
	}
	at := func(ago time.Duration) int64 { return now.Add(-ago).UnixMilli() }
	host := func(h Host) Parts {
		h.Interval = 15 * time.Second
		return Parts{Host: func() Host { return h }}
	}
	f(Parts{}, "build_info ready", "host_readings_lost_total agent_up log_files push_refused janitor_stripped_total events_pending llm_calls_total commit_duration_seconds")
	f(host(Host{}), "host_readings_lost_total", "host_reading_timestamp_seconds host_cpu_utilization_ratio")
	f(host(Host{At: at(45 * time.Second), MemUsed: new(int64(1))}), "host_memory_used_bytes", "host_cpu_utilization_ratio host_disk_free_bytes")
	f(host(Host{At: at(46 * time.Second), MemUsed: new(int64(1))}), "host_reading_timestamp_seconds", "host_memory_used_bytes")
	agent := func(a Agent) Parts { return Parts{Agent: func() Agent { return a }} }
	f(agent(Agent{}), "agent_up agent_restarts_total", "agent_last_seen_timestamp_seconds agent_start_time_seconds agent_resident_memory_bytes")
	f(agent(Agent{Running: true, SeenAt: at(0), StartedAt: at(time.Hour), FDs: -1, Children: -1}),
		"agent_last_seen_timestamp_seconds agent_resident_memory_bytes agent_cpu_seconds_total", "agent_open_fds agent_children agent_children_resident_memory_bytes")
	remote := func(r Remote) Parts { return Parts{Push: func() []Remote { return []Remote{r} }} }
	f(remote(Remote{Name: "r"}), "push_refused push_consecutive_failures push_next_attempt_timestamp_seconds", "push_last_success_timestamp_seconds push_oldest_pending_timestamp_seconds")
}

// Nothing in the value of a label ends it, and numbers are written in full.
func TestSyntax(t *testing.T) {
	f := &Figures{
		Now: time.Now(), Requests: []*Requests{{"GET", "a\\b\"c\nd", 200, 1 << 40}},
		Parts: Parts{Push: func() []Remote { return []Remote{{Name: "a:1", LastAttempt: 1764064800123}, {Name: "b:2"}} }},
	}
	page := string(Write(f, false))
	for _, want := range []string{
		"# HELP openclaw_trace_http_requests_total Requests answered",
		"# TYPE openclaw_trace_http_requests_total counter\n" +
			`openclaw_trace_http_requests_total{method="GET",route="a\\b\"c\nd",code="200"} 1099511627776` + "\n",
		`openclaw_trace_push_last_attempt_timestamp_seconds{remote="a:1"} 1764064800.123` + "\n# HELP",
		`openclaw_trace_push_refused{remote="a:1"} 0` + "\n" + `openclaw_trace_push_refused{remote="b:2"} 0` + "\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("there is no %q in\n%s", want, page)
		}
	}
	open := string(Write(f, true))
	for _, want := range []string{
		"# TYPE openclaw_trace_http_requests counter\nopenclaw_trace_http_requests_total{",
		"\n# EOF\n",
	} {
		if !strings.Contains(open, want) {
			t.Errorf("there is no %q in\n%s", want, open)
		}
	}
}

func TestDistribution(t *testing.T) {
	page := string(Write(everything(t), false))
	for _, want := range []string{
		`openclaw_trace_llm_call_duration_seconds_bucket{provider="anthropic",model="claude-sonnet-4",le="1"} 0`,
		`openclaw_trace_llm_call_duration_seconds_bucket{provider="anthropic",model="claude-sonnet-4",le="2.5"} 1`,
		`openclaw_trace_llm_call_duration_seconds_bucket{provider="anthropic",model="claude-sonnet-4",le="+Inf"} 1`,
		`openclaw_trace_llm_call_duration_seconds_sum{provider="anthropic",model="claude-sonnet-4"} 1.5`,
		`openclaw_trace_llm_call_duration_seconds_count{provider="anthropic",model="claude-sonnet-4"} 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("there is no %q in\n%s", want, page)
		}
	}
	if open := string(Write(everything(t), true)); !strings.Contains(open, `model="claude-sonnet-4",le="1.0"} 0`) || strings.Contains(open, `le="1"`) {
		t.Error("a bound is an integer in OpenMetrics")
	}
}

// BenchmarkScrape is a page with as many models as there can be.
func BenchmarkScrape(b *testing.B) {
	b.ReportAllocs()
	f := everything(b)
	fill(b, f.Writer)
	b.ResetTimer()
	var size int
	for b.Loop() {
		size = len(Write(f, false))
	}
	b.ReportMetric(float64(size), "bytes/scrape")
}
