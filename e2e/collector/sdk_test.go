package main_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The SDK's exporters for HTTP speak protobuf only.

var lamp = resource.NewSchemaless(attribute.String("service.name", "lamp"))

// shut ends a provider, which sends what it still has and returns what went wrong.
func shut(t testing.TB, shutdown func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := shutdown(ctx); err != nil {
		t.Fatalf("the exporter says: %v", err)
	}
}

func TestSDKTraces(t *testing.T) {
	for name, compression := range map[string]otlptracehttp.Compression{"none": otlptracehttp.NoCompression, "gzip": otlptracehttp.GzipCompression} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSidecar(t)
			exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(s.url+"/v1/traces"), otlptracehttp.WithCompression(compression))
			if err != nil {
				t.Fatal(err)
			}
			provider := sdktrace.NewTracerProvider(sdktrace.WithResource(lamp), sdktrace.WithBatcher(exporter, sdktrace.WithBlocking()))
			tracer := provider.Tracer("lamp.agent", trace.WithInstrumentationVersion("1.2.3"))
			var k known
			for n := range 300 {
				ctx, run := tracer.Start(t.Context(), "invoke_agent lamp", trace.WithTimestamp(began))
				k.spans = append(k.spans, run.SpanContext().SpanID().String())
				_, span := tracer.Start(ctx, "chat gpt-5", trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
					attribute.String("gen_ai.operation.name", "chat"),
					attribute.String("gen_ai.provider.name", "openai"),
					attribute.String("gen_ai.request.model", "gpt-5"),
					attribute.StringSlice("gen_ai.response.finish_reasons", []string{"stop"}),
					attribute.Int("gen_ai.usage.input_tokens", n+1),
					attribute.Int("gen_ai.usage.output_tokens", 7),
				))
				k.calls = append(k.calls, span.SpanContext().SpanID().String())
				if n == 0 {
					span.RecordError(fmt.Errorf("the lamp is out"))
					span.SetStatus(codes.Error, "out")
				}
				span.End(trace.WithTimestamp(began.Add(1500 * time.Millisecond)))
				run.End(trace.WithTimestamp(began.Add(2 * time.Second)))
			}
			shut(t, provider.Shutdown)
			s.stop()
			got := read(t, s.db)
			k.check(t, got)
			failed := got.calls.with(t, "otel_span_id", k.calls[0])
			if failed["status"] != "error" || failed["error_message"] != "the lamp is out" || failed["otel_parent_span_id"] != k.spans[0] {
				t.Errorf("the failed call is %v", failed)
			}
			last := got.calls.with(t, "otel_span_id", k.calls[299])
			if last["provider"] != "openai" || last["model"] != "gpt-5" || last["prompt_tokens"] != int64(300) || last["latency_ms"] != int64(1500) {
				t.Errorf("the last call is %v", last)
			}
		})
	}
}

func TestSDKLogs(t *testing.T) {
	t.Parallel()
	s := startSidecar(t)
	exporter, err := otlploghttp.New(t.Context(), otlploghttp.WithEndpointURL(s.url+"/v1/logs"), otlploghttp.WithCompression(otlploghttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	// The queue, which drops what it has no room for, has room for all.
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(lamp), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter, sdklog.WithMaxQueueSize(4096))))
	logger := provider.Logger("lamp.log")
	var k known
	for n := range 1000 {
		var r log.Record
		name := fmt.Sprintf("record %d", n)
		r.SetTimestamp(began)
		r.SetBody(attribute.StringValue("the lamp flickers"))
		r.AddAttributes(attribute.String("record", name), attribute.IntSlice("list", []int{1, 2}), attribute.Map("map", attribute.Bool("on", true)))
		r.SetSeverity(log.Severity(1 + n%24))
		if r.Severity() >= log.SeverityWarn {
			k.logs = append(k.logs, name)
		} else {
			k.quiet++
		}
		logger.Emit(t.Context(), r)
	}
	shut(t, provider.Shutdown)
	s.stop()
	k.check(t, read(t, s.db))
}

func TestSDKMetrics(t *testing.T) {
	t.Parallel()
	s := startSidecar(t)
	exporter, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpointURL(s.url+"/v1/metrics"), otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	// The end of the provider is the one time that it exports.
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(lamp),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))),
		sdkmetric.WithView(sdkmetric.NewView(sdkmetric.Instrument{Name: "lamp.exponential"},
			sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}})))
	meter := provider.Meter("lamp.meter")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	counter, err := meter.Int64Counter("lamp.counter")
	must(err)
	gauge, err := meter.Float64Gauge("lamp.gauge")
	must(err)
	histogram, err := meter.Float64Histogram("lamp.histogram")
	must(err)
	exponential, err := meter.Float64Histogram("lamp.exponential")
	must(err)
	_, err = meter.Int64ObservableUpDownCounter("lamp.observable", metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(-5)
		return nil
	}))
	must(err)
	const rooms = 40
	for n := range rooms {
		room := metric.WithAttributes(attribute.Int("room", n))
		counter.Add(t.Context(), 1, room)
		gauge.Record(t.Context(), 0.5, room)
		histogram.Record(t.Context(), 12, room)
		exponential.Record(t.Context(), 12, room)
	}
	shut(t, provider.Shutdown)
	s.stop()
	k := known{points: 4*rooms + 1}
	k.check(t, read(t, s.db))
}
