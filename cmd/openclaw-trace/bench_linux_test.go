package main_test

import (
	"bufio"
	"bytes"
	endian "encoding/binary" // binary is the one under test
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// discardEnv makes this test binary a server that reads requests and forgets them:
// what net/http alone costs, in a process of its own.
const discardEnv = "OPENCLAW_TRACE_BENCH_DISCARD"

func init() {
	if os.Getenv(discardEnv) == "" {
		return
	}
	// Here rather than in TestMain, which would build the binary first.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the sender sees it
	})))
	os.Exit(1)
}

// startDiscard starts that server and returns its address and process id.
func startDiscard(b *testing.B) (addr string, pid int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), discardEnv+"=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill() // may have ended
		_ = cmd.Wait()         // was killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatalf("the discarding server did not start: %v", err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}

// workload is what senders do.
type workload struct {
	conns  int
	events int // per request
	text   int // bytes of a call's input, and of its output
	native bool
}

// The costs of the server alone, in CPU time per event: what a sender pays for its
// events being there. What is compared with discarding is measured in the same run.
func BenchmarkServe(b *testing.B) {
	f := func(name string, load workload, discard bool, settings ...string) {
		b.Run(name, func(b *testing.B) {
			templates := load.templates(4 << 20)
			in := newInstance(b, dbPath(b), settings...)
			p := in.start()
			pid, addr := p.cmd.Process.Pid, strings.TrimPrefix(in.url, "http://")
			requests := (b.N + load.events - 1) / load.events
			events := requests * load.events

			before := cpuTime(b, pid)
			b.ResetTimer()
			latencies := load.send(b, addr, templates, requests)
			b.StopTimer()
			used := cpuTime(b, pid) - before
			seconds := b.Elapsed().Seconds()

			b.ReportMetric(0, "ns/op") // events/s says it
			b.ReportMetric(float64(used.Microseconds())/float64(events), "cpu-µs/event")
			b.ReportMetric(float64(events)/seconds, "events/s")
			b.ReportMetric(milliseconds(percentile(latencies, 0.50)), "p50-ms")
			b.ReportMetric(milliseconds(percentile(latencies, 0.99)), "p99-ms")
			b.ReportMetric(peakRSS(b, pid), "rss-MB")
			if discard {
				addr, pid := startDiscard(b)
				before := cpuTime(b, pid)
				load.send(b, addr, templates, requests)
				b.ReportMetric(float64(used)/float64(max(cpuTime(b, pid)-before, clockTick)), "x-discard")
			}
			if got := in.health().EventsReceived; got != int64(events) {
				b.Errorf("%d events were acknowledged, %d are stored", events, got)
			}
			p.stop()
		})
	}
	f("one", workload{conns: 32, events: 1, text: 200}, true)
	f("otlp50", workload{conns: 8, events: 50, text: 200}, false)
	f("otlp500", workload{conns: 4, events: 500, text: 200}, false)
	f("big", workload{conns: 8, events: 10, text: 4 << 10}, false)
	f("one-full", workload{conns: 32, events: 1, text: 200}, false, "OCT_SYNCHRONOUS=full")
	f("native", workload{conns: 32, events: 1, text: 200, native: true}, false)
}

// maxLives is enough for a median, whatever -benchtime asks of the others here.
const maxLives = 100

// BenchmarkStart reports the time from exec until an existing database is ready.
func BenchmarkStart(b *testing.B) {
	start, _ := lives(b)
	b.ReportMetric(0, "ns/op") // is of the whole life
	b.ReportMetric(milliseconds(percentile(start, 0.50)), "start-ms")
}

// BenchmarkStop reports the time from SIGTERM to an idle process until its end.
func BenchmarkStop(b *testing.B) {
	_, stop := lives(b)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(percentile(stop, 0.50)), "stop-ms")
}

// lives starts and stops the binary b.N times, if not more than maxLives, on a
// database with some events.
func lives(b *testing.B) (start, stop []time.Duration) {
	in := newInstance(b, dbPath(b))
	load := workload{conns: 1, events: 50, text: 200}
	p := in.start()
	load.send(b, strings.TrimPrefix(in.url, "http://"), load.templates(1<<20), 200)
	p.stop()
	b.ResetTimer()
	for range min(b.N, maxLives) {
		began := time.Now()
		p := in.start()
		if a := in.get("/ready"); a.status != http.StatusOK {
			b.Fatalf("GET /ready: %d %s", a.status, a.body)
		}
		start = append(start, time.Since(began))
		began = time.Now()
		p.signal(syscall.SIGTERM)
		state := p.wait()
		stop = append(stop, time.Since(began))
		if !state.Success() {
			b.Fatalf("the process ended with %v", state)
		}
	}
	return start, stop
}

// percentile sorts list.
func percentile(list []time.Duration, p float64) time.Duration {
	slices.Sort(list)
	return list[int(p*float64(len(list)-1))]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// clockTick is the unit of times in /proc, on every architecture that Go knows.
const clockTick = time.Second / 100

// cpuTime returns what a process has used so far, in user and kernel mode.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// The second field, the name, may hold anything but ends with the last bracket.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}

// peakRSS returns the most memory that a process ever had, in megabytes.
func peakRSS(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	var kB float64
	if _, err := fmt.Sscan(string(rest), &kB); err != nil {
		b.Fatal(err)
	}
	return kB * 1024 / 1e6
}

// template is an encoded request in which only ids and times are still to be set, so
// that sending costs as little as it can of the machine that it shares with what is
// measured.
type template struct {
	bytes  []byte
	native bool
	calls  []slots
}

// slots says where in a template an event's own bytes stand.
type slots struct {
	trace, span, start, end int
	latency                 time.Duration
}

// templates makes requests of size bytes in all: many, so that no two in a row say
// the same.
func (w workload) templates(size int) (list []*template) {
	r := rand.New(rand.NewPCG(1, uint64(w.text)))
	for total := 0; total < size; {
		t := w.template(r)
		list = append(list, t)
		total += len(t.bytes)
	}
	return list
}

func (w workload) template(r *rand.Rand) *template {
	t := &template{native: w.native}
	var body []byte
	var err error
	// Each is found in the body by its ids and times, which occur nowhere else in it.
	var marks [][4][]byte
	contentType := "application/x-protobuf"
	if w.native {
		contentType = "application/json"
		var events []map[string]any
		for range w.events {
			id := hexUUID(r)
			latency := latency(r)
			marks = append(marks, [4][]byte{[]byte(id)})
			t.calls = append(t.calls, slots{latency: latency})
			events = append(events, map[string]any{
				"trace_id": id, "provider": "anthropic", "model": "claude-sonnet-4-5",
				"input_text": prose(r, w.text), "output_text": prose(r, w.text),
				"prompt_tokens": 50 + r.IntN(200), "completion_tokens": 50 + r.IntN(50), "total_tokens": 100 + r.IntN(250),
				"cost_usd": r.Float64() / 100, "latency_ms": latency.Milliseconds(), "status": "ok",
				"metadata": map[string]any{"conversation": "conv_" + hex.EncodeToString(randomBytes(r, 8)), "attempt": 1},
			})
		}
		body, err = json.Marshal(events)
	} else {
		var list []*trace.Span
		for range w.events {
			s := chatSpan(r, w.text)
			mark := [4][]byte{
				s.TraceId, s.SpanId,
				endian.LittleEndian.AppendUint64(nil, s.StartTimeUnixNano), endian.LittleEndian.AppendUint64(nil, s.EndTimeUnixNano),
			}
			marks = append(marks, mark)
			t.calls = append(t.calls, slots{latency: latency(r)})
			list = append(list, s)
		}
		body, err = proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
			Resource: &resource.Resource{Attributes: []*common.KeyValue{
				attribute("service.name", "openclaw"), attribute("service.version", "2026.11.1"),
				attribute("service.instance.id", "0f5c7a52-1c1e-4f0a-8f43-6d1f0a1b2c3d"), attribute("host.name", "gateway-1"),
				attribute("telemetry.sdk.language", "nodejs"), attribute("telemetry.sdk.name", "opentelemetry"),
			}},
			ScopeSpans: []*trace.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "openclaw.llm", Version: "1.0.0"}, Spans: list}},
		}}})
	}
	if err != nil {
		panic(err) // valid text always can be encoded
	}
	t.bytes = fmt.Appendf(nil, "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		contentType, len(body))
	t.bytes = append(t.bytes, body...)
	for i := range t.calls {
		s := &t.calls[i]
		for j, at := range [...]*int{&s.trace, &s.span, &s.start, &s.end} {
			if *at = bytes.Index(t.bytes, marks[i][j]); *at < 0 || bytes.Count(t.bytes, marks[i][j]) != 1 && len(marks[i][j]) > 0 {
				panic("an id or a time is not once in the body")
			}
		}
	}
	return t
}

func latency(r *rand.Rand) time.Duration {
	return 200*time.Millisecond + time.Duration(r.Int64N(int64(8*time.Second)))
}

func hexUUID(r *rand.Rand) string {
	u := uuid.UUID(randomBytes(r, 16))
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u.String()
}

// chatSpan is a call to a model as an instrumented client sends it.
func chatSpan(r *rand.Rand, text int) *trace.Span {
	model := []string{"claude-sonnet-4-5", "claude-haiku-4-5", "gpt-5-mini", "gemini-2.5-pro"}[r.IntN(4)]
	return &trace.Span{
		TraceId: randomBytes(r, 16), SpanId: randomBytes(r, 8), ParentSpanId: randomBytes(r, 8),
		Flags: 0x101, Name: "chat " + model, Kind: trace.Span_SPAN_KIND_CLIENT,
		StartTimeUnixNano: r.Uint64(), EndTimeUnixNano: r.Uint64(), // only marks
		Attributes: []*common.KeyValue{
			attribute("gen_ai.operation.name", "chat"),
			attribute("gen_ai.provider.name", "anthropic"),
			attribute("gen_ai.request.model", model),
			attribute("gen_ai.response.model", model),
			attribute("gen_ai.response.id", "msg_"+hex.EncodeToString(randomBytes(r, 12))),
			{Key: "gen_ai.response.finish_reasons", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{
				ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{attribute("", "stop").Value}}}}},
			intAttribute("gen_ai.request.max_tokens", 4096),
			doubleAttribute("gen_ai.request.temperature", 0.7),
			intAttribute("gen_ai.usage.input_tokens", 50+r.Int64N(200)),
			intAttribute("gen_ai.usage.output_tokens", 50+r.Int64N(50)),
			attribute("gen_ai.conversation.id", "conv_"+hex.EncodeToString(randomBytes(r, 8))),
			attribute("server.address", "api.example.com"),
			intAttribute("server.port", 443),
			attribute("gen_ai.input.messages", messages(r, "user", text)),
			attribute("gen_ai.output.messages", messages(r, "assistant", text)),
			doubleAttribute("openclaw.cost_usd", r.Float64()/100),
		},
		Status: &trace.Status{},
	}
}

func intAttribute(key string, n int64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}}
}

func doubleAttribute(key string, d float64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: d}}}
}

func messages(r *rand.Rand, role string, n int) string {
	text, _ := json.Marshal(prose(r, n)) // a string always can be
	return `[{"role":"` + role + `","parts":[{"type":"text","content":` + string(text) + `}]}]`
}

// prose is n bytes that look like words, with a line or a quotation here and there.
func prose(r *rand.Rand, n int) string {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		for range 1 + r.IntN(9) {
			b = append(b, "etaoinshrdlucmfw"[min(r.IntN(16), r.IntN(16))])
		}
		switch r.IntN(20) {
		case 0:
			b = append(b, ".\n"...)
		case 1:
			b = append(b, ` "`...)
		default:
			b = append(b, ' ')
		}
	}
	return string(b[:n])
}

// send posts that many requests over keep-alive connections, each as soon as its
// connection has the answer to the last one, and returns how long each took.
func (w workload) send(b testing.TB, addr string, templates []*template, requests int) []time.Duration {
	b.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	latencies := make([]time.Duration, requests)
	for range w.conns {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			in := bufio.NewReader(c)
			random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
			var buf []byte
			for {
				i := int(next.Add(1)) - 1
				if i >= requests {
					return
				}
				buf = templates[i%len(templates)].fill(buf[:0], random)
				began := time.Now()
				if _, err := c.Write(buf); err != nil {
					b.Error(err)
					return
				}
				if err := readOK(in); err != nil {
					b.Error(err)
					return
				}
				latencies[i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return latencies
}

// fill appends the request with ids and times of its own.
func (t *template) fill(buf []byte, r *rand.Rand) []byte {
	buf = append(buf, t.bytes...)
	now := time.Now()
	for i := range t.calls {
		s := &t.calls[i]
		if t.native {
			// All digits but those in the middle, which hold the UUID's version.
			var id [12]byte
			endian.LittleEndian.PutUint32(id[:], r.Uint32())
			endian.LittleEndian.PutUint64(id[4:], r.Uint64())
			hex.Encode(buf[s.trace:], id[:4])
			hex.Encode(buf[s.trace+24:], id[6:])
			continue
		}
		endian.LittleEndian.PutUint64(buf[s.trace:], r.Uint64())
		endian.LittleEndian.PutUint64(buf[s.trace+8:], r.Uint64())
		endian.LittleEndian.PutUint64(buf[s.span:], r.Uint64())
		endian.LittleEndian.PutUint64(buf[s.start:], uint64(now.Add(-s.latency).UnixNano()))
		endian.LittleEndian.PutUint64(buf[s.end:], uint64(now.UnixNano()))
	}
	return buf
}

var errAnswer = errors.New("the answer is not what it should be")

// readOK reads an answer and fails unless it is a success.
func readOK(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 2")) {
		return fmt.Errorf("%w: %s", errAnswer, line)
	}
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == len("\r\n") {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			for _, digit := range bytes.TrimRight(value, "\r\n") {
				length = 10*length + int(digit-'0')
			}
		}
	}
	_, err = in.Discard(length)
	return err
}
