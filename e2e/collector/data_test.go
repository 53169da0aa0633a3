package main_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// began is when the data happened. It is the same in all tests, so that what they
// store can be compared, and recent, so that it is no one's to delete.
var began = time.Now().Add(-time.Hour).Truncate(time.Second)

func at(d time.Duration) pcommon.Timestamp { return pcommon.NewTimestampFromTime(began.Add(d)) }

// known is what is to be found of what an application has sent.
type known struct {
	calls, spans []string // their span ids, in hex
	logs         []string // what the attribute "record" says of those from WARN on
	quiet        int      // log records below WARN
	points       int      // of metrics
}

// rows is how many events have a row of their own.
func (k *known) rows() int { return len(k.calls) + len(k.spans) + len(k.logs) }

// Sizes of one request.
const (
	spansPerRequest = 20
	callEvery       = 4 // of them
)

// send sends three requests, of traces, logs and metrics. Each n has its own.
func (k *known) send(c *collector, n int) {
	c.t.Helper()
	k.sendRows(c, n)
	c.send("/v1/metrics", pmetricotlp.NewExportRequestFromMetrics(k.metrics(n)))
}

// sendRows sends only what becomes rows, and the log records that come with it.
func (k *known) sendRows(c *collector, n int) {
	c.t.Helper()
	c.send("/v1/traces", ptraceotlp.NewExportRequestFromTraces(k.traces(n)))
	c.send("/v1/logs", plogotlp.NewExportRequestFromLogs(k.records(n)))
}

func traceID(n int) (id pcommon.TraceID) {
	id[0] = 0xa1
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func spanID(n, i int) (id pcommon.SpanID) {
	id[0] = 0xb2
	binary.BigEndian.PutUint16(id[4:], uint16(n))
	binary.BigEndian.PutUint16(id[6:], uint16(i))
	return id
}

func hexOf(id pcommon.SpanID) string { return hex.EncodeToString(id[:]) }

// traces is one trace: a run whose children are LLM calls and tools. Its spans stand
// under two resources, one of them bare, and three scopes.
func (k *known) traces(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	full := td.ResourceSpans().AppendEmpty()
	full.SetSchemaUrl("https://opentelemetry.io/schemas/1.37.0")
	full.Resource().Attributes().PutStr("service.name", "lamp")
	full.Resource().Attributes().PutInt("process.pid", 4711)
	scopes := []ptrace.ScopeSpans{full.ScopeSpans().AppendEmpty(), full.ScopeSpans().AppendEmpty(), td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()}
	scopes[0].Scope().SetName("lamp.agent")
	scopes[0].Scope().SetVersion("1.2.3")
	scopes[0].Scope().Attributes().PutBool("scope.attribute", true)

	for i := range spansPerRequest {
		s := scopes[i%len(scopes)].Spans().AppendEmpty()
		s.SetTraceID(traceID(n))
		s.SetSpanID(spanID(n, i))
		if i > 0 {
			s.SetParentSpanID(spanID(n, 0))
		}
		s.SetStartTimestamp(at(time.Duration(n)*time.Second + time.Duration(i)*time.Millisecond))
		s.SetEndTimestamp(s.StartTimestamp() + pcommon.Timestamp(1234567*time.Microsecond))
		s.SetKind(ptrace.SpanKind(i % 6))
		if i%callEvery == 1 {
			k.calls = append(k.calls, hexOf(s.SpanID()))
			call(s, n, i)
		} else {
			k.spans = append(k.spans, hexOf(s.SpanID()))
			step(s, i)
		}
	}
	return td
}

// call makes s an LLM call as the GenAI conventions describe it. Every second one has
// its messages as structured values, the others as JSON; the last one failed.
func call(s ptrace.Span, n, i int) {
	s.SetName("chat gpt-5")
	s.SetKind(ptrace.SpanKindClient)
	a := s.Attributes()
	a.PutStr("gen_ai.operation.name", "chat")
	a.PutStr("gen_ai.provider.name", "openai")
	a.PutStr("gen_ai.request.model", "gpt-5")
	a.PutStr("gen_ai.response.model", "gpt-5-2025-08-07")
	a.PutStr("gen_ai.conversation.id", fmt.Sprintf("evening-%d", n))
	a.PutDouble("gen_ai.request.temperature", 1)
	a.PutInt("gen_ai.request.max_tokens", 4096)
	a.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr("stop")
	if i == spansPerRequest-callEvery+1 {
		s.Status().SetCode(ptrace.StatusCodeError)
		s.Status().SetMessage("the lamp is out")
		a.PutStr("error.type", "rate_limit_exceeded")
		e := s.Events().AppendEmpty()
		e.SetName("exception")
		e.SetTimestamp(s.StartTimestamp())
		e.Attributes().PutStr("exception.type", "LampError")
		e.Attributes().PutStr("exception.message", "the lamp is out")
		return
	}
	a.PutInt("gen_ai.usage.input_tokens", int64(400+i))
	a.PutInt("gen_ai.usage.output_tokens", int64(10+i))
	a.PutInt("gen_ai.usage.cache_read.input_tokens", 256)
	const question, answer = "Is the dôor locked? \"Yes\"\\no\n", "Since ten. 🔒 </script>\u2028"
	if i%2 == 0 || i%8 == 1 {
		messages := func(key, role, text string) {
			m := a.PutEmptySlice(key).AppendEmpty().SetEmptyMap()
			m.PutStr("role", role)
			part := m.PutEmptySlice("parts").AppendEmpty().SetEmptyMap()
			part.PutStr("type", "text")
			part.PutStr("content", text)
		}
		messages("gen_ai.input.messages", "user", question)
		messages("gen_ai.output.messages", "assistant", answer)
		return
	}
	message := `[{"role":%q,"parts":[{"type":"text","content":"%d"}]}]`
	a.PutStr("gen_ai.input.messages", fmt.Sprintf(message, "user", n))
	a.PutStr("gen_ai.output.messages", fmt.Sprintf(message, "assistant", i))
}

// step makes s something that is no LLM call, with attributes of all types and with
// what the sidecar has no use for: links, states, flags, counts of what was dropped.
func step(s ptrace.Span, i int) {
	s.SetName(fmt.Sprintf("execute_tool lamp-%d", i))
	s.TraceState().FromRaw("vendor=lamp,other=1")
	s.SetFlags(0x301)
	s.SetDroppedAttributesCount(1)
	s.SetDroppedEventsCount(2)
	s.SetDroppedLinksCount(3)
	s.Status().SetCode(ptrace.StatusCode(i % 3))
	everyType(s.Attributes())
	l := s.Links().AppendEmpty()
	l.SetTraceID(traceID(1 << 20))
	l.SetSpanID(spanID(1, 1))
	l.Attributes().PutStr("why", "because")
	e := s.Events().AppendEmpty()
	e.SetName("switched")
	e.SetTimestamp(s.StartTimestamp() + 1)
	everyType(e.Attributes())
}

// everyType puts values that an encoding could spoil.
func everyType(a pcommon.Map) {
	a.PutStr("type.text", "tab\t quote\" slash/ back\\ nül é 漢字 🔒 \u2028 \x01 <&>")
	a.PutStr("type.empty", "")
	a.PutEmpty("type.none")
	a.PutBool("type.true", true)
	a.PutBool("type.false", false)
	for i, n := range []int64{0, -1, 1 << 53, 1<<53 + 1, math.MaxInt64, math.MinInt64} {
		a.PutInt(fmt.Sprintf("type.int.%d", i), n)
	}
	for i, f := range []float64{0, 3, -2.5, 0.1, 1e21, 1e-7, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1)} {
		a.PutDouble(fmt.Sprintf("type.double.%d", i), f)
	}
	a.PutEmptyBytes("type.bytes").FromRaw([]byte{0, 1, 0xfe, 0xff, '=', '?'})
	a.PutEmptyBytes("type.bytes.empty")
	list := a.PutEmptySlice("type.list")
	list.AppendEmpty().SetStr("one")
	list.AppendEmpty().SetInt(2)
	list.AppendEmpty().SetDouble(3)
	list.AppendEmpty()
	list.AppendEmpty().SetEmptyMap().PutStr("four", "4")
	a.PutEmptySlice("type.list.empty")
	a.PutEmptyMap("type.map").PutEmptyMap("in it").PutEmptySlice("deeper").AppendEmpty().SetBool(true)
	a.PutEmptyMap("type.map.empty")
}

// records are of each severity there is, of none, and of one that is only text.
func (k *known) records(n int) plog.Logs {
	ld := plog.NewLogs()
	resource := ld.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "lamp")
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName("lamp.log")
	for i := range 26 {
		r := scope.LogRecords().AppendEmpty()
		name := fmt.Sprintf("record %d of request %d", i, n)
		r.Attributes().PutStr("record", name)
		when := at(time.Duration(n)*time.Second + time.Duration(i)*time.Microsecond)
		r.SetObservedTimestamp(when + 1000)
		if i%7 != 0 {
			r.SetTimestamp(when)
		}
		switch {
		case i <= 24:
			r.SetSeverityNumber(plog.SeverityNumber(i))
			r.SetSeverityText(plog.SeverityNumber(i).String())
		default:
			r.SetSeverityText("ERROR")
		}
		if i >= int(plog.SeverityNumberWarn) {
			k.logs = append(k.logs, name)
		} else {
			k.quiet++
		}
		switch i % 5 {
		case 0:
			r.Body().SetStr("the lamp flickers: " + name)
		case 1:
			m := r.Body().SetEmptyMap()
			m.PutStr("what", name)
			everyType(m)
		case 2:
			r.Body().SetEmptySlice().AppendEmpty().SetInt(int64(i))
		case 3:
			r.Body().SetDouble(float64(i))
		}
		if i%2 == 0 {
			r.SetTraceID(traceID(n))
			r.SetSpanID(spanID(n, i))
			r.SetFlags(plog.DefaultLogRecordFlags.WithIsSampled(true))
			r.SetEventName("lamp.flicker")
			everyType(r.Attributes())
		}
	}
	return ld
}

// metrics are of each type, with exemplars, flags, and one that has no points.
func (k *known) metrics(n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	resource := md.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "lamp")
	scope := resource.ScopeMetrics().AppendEmpty()
	add := func(name string) pmetric.Metric {
		m := scope.Metrics().AppendEmpty()
		m.SetName("lamp." + name)
		m.SetUnit("1")
		m.SetDescription("of the lamp")
		m.Metadata().PutStr("made", "here")
		return m
	}
	number := func(points pmetric.NumberDataPointSlice) pmetric.NumberDataPoint {
		p := points.AppendEmpty()
		p.SetStartTimestamp(at(0))
		p.SetTimestamp(at(time.Duration(n) * time.Second))
		everyType(p.Attributes())
		return p
	}
	exemplar := func(e pmetric.Exemplar) {
		e.SetTimestamp(at(0))
		e.SetTraceID(traceID(n))
		e.SetSpanID(spanID(n, 0))
		e.SetDoubleValue(1.5)
		e.FilteredAttributes().PutStr("filtered", "yes")
	}

	gauge := add("gauge").SetEmptyGauge().DataPoints()
	number(gauge).SetIntValue(math.MaxInt64)
	number(gauge).SetDoubleValue(math.NaN())
	number(gauge).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))

	for _, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityDelta} {
		sum := add("sum").SetEmptySum()
		sum.SetAggregationTemporality(temporality)
		sum.SetIsMonotonic(true)
		p := number(sum.DataPoints())
		p.SetDoubleValue(math.Inf(1))
		exemplar(p.Exemplars().AppendEmpty())
		number(sum.DataPoints()).SetIntValue(int64(n))

		histogram := add("histogram").SetEmptyHistogram()
		histogram.SetAggregationTemporality(temporality)
		h := histogram.DataPoints().AppendEmpty()
		h.SetTimestamp(at(0))
		h.ExplicitBounds().FromRaw([]float64{0.1, 1, 10})
		h.BucketCounts().FromRaw([]uint64{1, 0, math.MaxUint64, 2})
		h.SetCount(3)
		h.SetSum(12.5)
		h.SetMin(0.05)
		h.SetMax(11)
		exemplar(h.Exemplars().AppendEmpty())
		histogram.DataPoints().AppendEmpty() // of nothing

		exponential := add("exponential").SetEmptyExponentialHistogram()
		exponential.SetAggregationTemporality(temporality)
		x := exponential.DataPoints().AppendEmpty()
		x.SetTimestamp(at(0))
		x.SetScale(-3)
		x.SetZeroCount(1)
		x.SetZeroThreshold(1e-9)
		x.SetCount(10)
		x.SetSum(-7)
		x.Positive().SetOffset(-4)
		x.Positive().BucketCounts().FromRaw([]uint64{1, 2, 3})
		x.Negative().SetOffset(5)
		x.Negative().BucketCounts().FromRaw([]uint64{3})
		exemplar(x.Exemplars().AppendEmpty())
	}

	summary := add("summary").SetEmptySummary().DataPoints()
	q := summary.AppendEmpty()
	q.SetTimestamp(at(0))
	q.SetCount(100)
	q.SetSum(50)
	for _, quantile := range []float64{0, 0.5, 1} {
		v := q.QuantileValues().AppendEmpty()
		v.SetQuantile(quantile)
		v.SetValue(quantile * 2)
	}
	summary.AppendEmpty()
	summary.AppendEmpty()

	add("empty.gauge").SetEmptyGauge()
	add("empty")
	k.points += md.DataPointCount()
	return md
}

func sorted(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return list
}
