package otlp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	collogs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	coltrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// Views and generated messages are compared by what they print as.

func printValue(v *otlp.Value) string {
	switch v.Kind {
	case otlp.Empty:
		return "empty"
	case otlp.String:
		return fmt.Sprintf("%q", v.Str)
	case otlp.Bool:
		return strconv.FormatBool(v.Bool())
	case otlp.Int:
		return fmt.Sprint("int ", v.Int())
	case otlp.Double:
		return printDouble(v.Double())
	case otlp.Bytes:
		return fmt.Sprintf("bytes %q", v.Str)
	case otlp.Array:
		var b strings.Builder
		for i := range v.Items {
			if v.Items[i].Key != "" {
				return "array with a key"
			}
			b.WriteString(printValue(&v.Items[i].Value) + ", ")
		}
		return "[" + b.String() + "]"
	case otlp.Map:
		return printList(v.Items)
	}
	return fmt.Sprint("kind ", v.Kind)
}

// printDouble is by bits, as NaNs differ and JSON keeps but one of them.
func printDouble(f float64) string {
	if math.IsNaN(f) {
		return "double NaN"
	}
	return fmt.Sprintf("double %x", math.Float64bits(f))
}

func printList(kvs []otlp.KeyValue) string {
	var b strings.Builder
	for i := range kvs {
		fmt.Fprintf(&b, "%q: %s, ", kvs[i].Key, printValue(&kvs[i].Value))
	}
	return "{" + b.String() + "}"
}

const (
	spanFormat  = "resource %s scope %q %q\nids %x %x %x name %q kind %d time %d %d status %d %q\n%s\n"
	eventFormat = "event %d %q %s\n"
	logFormat   = "resource %s scope %q %q\nids %x %x time %d %d severity %d %q event %q body %s\n%s\n"
)

func printSpan(s *otlp.Span) string {
	out := fmt.Sprintf(spanFormat, printList(s.Resource), s.ScopeName, s.ScopeVersion,
		s.TraceID, s.SpanID, s.ParentSpanID, s.Name, s.Kind, s.StartNano, s.EndNano, s.StatusCode, s.StatusMessage,
		printList(s.Attrs))
	for i := range s.Events {
		e := &s.Events[i]
		out += fmt.Sprintf(eventFormat, e.TimeNano, e.Name, printList(e.Attrs))
	}
	return out
}

func printLog(l *otlp.LogRecord) string {
	return fmt.Sprintf(logFormat, printList(l.Resource), l.ScopeName, l.ScopeVersion,
		l.TraceID, l.SpanID, l.TimeNano, l.ObservedTimeNano, l.SeverityNumber, l.SeverityText, l.EventName,
		printValue(&l.Body), printList(l.Attrs))
}

// views decodes body and prints every item.
func views(body []byte, enc otlp.Encoding, sig otlp.Signal) (items []string, dropped int, err error) {
	if sig == otlp.Logs {
		err = otlp.DecodeLogs(body, enc, func(l *otlp.LogRecord) {
			items = append(items, printLog(l))
			dropped += l.DroppedAttrs
		})
		return items, dropped, err
	}
	err = otlp.DecodeTraces(body, enc, func(s *otlp.Span) {
		items = append(items, printSpan(s))
		dropped += s.DroppedAttrs
	})
	return items, dropped, err
}

// message reads fields by name, so that it serves generated and dynamic messages.
type message struct{ protoreflect.Message }

func (m message) field(name string) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByName(protoreflect.Name(name))
}

func (m message) str(name string) string {
	fd := m.field(name)
	if fd.Kind() == protoreflect.BytesKind {
		return string(m.Get(fd).Bytes())
	}
	return m.Get(fd).String()
}

func (m message) uint(name string) uint64 { return m.Get(m.field(name)).Uint() }
func (m message) enum(name string) int32  { return int32(m.Get(m.field(name)).Enum()) }
func (m message) sub(name string) message { return message{m.Get(m.field(name)).Message()} }

func (m message) list(name string) (out []message) {
	l := m.Get(m.field(name)).List()
	for i := range l.Len() {
		out = append(out, message{l.Get(i).Message()})
	}
	return out
}

func (m message) id(name string, n int) []byte {
	if s := m.str(name); len(s) == n {
		return []byte(s)
	}
	return make([]byte, n)
}

// print of an AnyValue; deepest is raised to the depth of its arrays and maps.
func (m message) value(depth int, deepest *int) string {
	*deepest = max(*deepest, depth)
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("value"))
	if fd == nil {
		return "empty"
	}
	v := m.Get(fd)
	switch fd.Name() {
	case "string_value":
		return fmt.Sprintf("%q", m.str("string_value"))
	case "bool_value":
		return strconv.FormatBool(v.Bool())
	case "int_value":
		return fmt.Sprint("int ", v.Int())
	case "double_value":
		return printDouble(v.Float())
	case "bytes_value":
		return fmt.Sprintf("bytes %q", v.Bytes())
	case "array_value":
		*deepest = max(*deepest, depth+1)
		var b strings.Builder
		for _, e := range (message{v.Message()}).list("values") {
			b.WriteString(e.value(depth+1, deepest) + ", ")
		}
		return "[" + b.String() + "]"
	case "kvlist_value":
		*deepest = max(*deepest, depth+1)
		return message{v.Message()}.keyValues("values", depth+1, deepest)
	case "string_value_strindex":
		return "empty"
	}
	panic(fd.Name())
}

func (m message) keyValues(name string, depth int, deepest *int) string {
	var b strings.Builder
	for _, kv := range m.list(name) {
		fmt.Fprintf(&b, "%q: %s, ", kv.str("key"), kv.sub("value").value(depth, deepest))
	}
	return "{" + b.String() + "}"
}

// expected prints the items of an export request as views does.
func expected(req protoreflect.Message, sig otlp.Signal) (items []string, deepest int) {
	top, mid, leaf := "resource_spans", "scope_spans", "spans"
	if sig == otlp.Logs {
		top, mid, leaf = "resource_logs", "scope_logs", "log_records"
	}
	for _, rs := range (message{req}).list(top) {
		resource := rs.sub("resource").keyValues("attributes", 0, &deepest)
		for _, ss := range rs.list(mid) {
			scope := ss.sub("scope")
			for _, m := range ss.list(leaf) {
				var s string
				if sig == otlp.Logs {
					s = fmt.Sprintf(logFormat, resource, scope.str("name"), scope.str("version"),
						m.id("trace_id", 16), m.id("span_id", 8), m.uint("time_unix_nano"), m.uint("observed_time_unix_nano"),
						m.enum("severity_number"), m.str("severity_text"), m.str("event_name"),
						m.sub("body").value(0, &deepest), m.keyValues("attributes", 0, &deepest))
				} else {
					s = fmt.Sprintf(spanFormat, resource, scope.str("name"), scope.str("version"),
						m.id("trace_id", 16), m.id("span_id", 8), m.id("parent_span_id", 8), m.str("name"), m.enum("kind"),
						m.uint("start_time_unix_nano"), m.uint("end_time_unix_nano"),
						m.sub("status").enum("code"), m.sub("status").str("message"), m.keyValues("attributes", 0, &deepest))
					for _, e := range m.list("events") {
						s += fmt.Sprintf(eventFormat, e.uint("time_unix_nano"), e.str("name"), e.keyValues("attributes", 0, &deepest))
					}
				}
				items = append(items, s)
			}
		}
	}
	return items, deepest
}

func newRequest(sig otlp.Signal) proto.Message {
	if sig == otlp.Logs {
		return new(collogs.ExportLogsServiceRequest)
	}
	return new(coltrace.ExportTraceServiceRequest)
}

// reduced returns the type of an export request as our decoder understands it:
// without the messages that no view keeps, so that the library skips them too, and
// with bytes in place of strings, so that it does not check UTF-8.
var reduced = sync.OnceValue(func() map[otlp.Signal]protoreflect.MessageDescriptor {
	files := new(protoregistry.Files)
	unread := map[string]bool{"links": true, "entity_refs": true}
	var strip func(m *descriptorpb.DescriptorProto)
	strip = func(m *descriptorpb.DescriptorProto) {
		var kept []*descriptorpb.FieldDescriptorProto
		for _, f := range m.Field {
			if unread[f.GetName()] || m.GetName() == "InstrumentationScope" && f.GetName() == "attributes" {
				continue
			}
			if f.GetType() == descriptorpb.FieldDescriptorProto_TYPE_STRING {
				f.Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
			}
			kept = append(kept, f)
		}
		m.Field = kept
		for _, n := range m.NestedType {
			strip(n)
		}
	}
	var add func(fd protoreflect.FileDescriptor)
	add = func(fd protoreflect.FileDescriptor) {
		if _, err := files.FindFileByPath(fd.Path()); err == nil {
			return
		}
		for i := range fd.Imports().Len() {
			add(fd.Imports().Get(i).FileDescriptor)
		}
		p := protodesc.ToFileDescriptorProto(fd)
		for _, m := range p.MessageType {
			strip(m)
		}
		f, err := protodesc.NewFile(p, files)
		if err != nil {
			panic(err)
		}
		if err := files.RegisterFile(f); err != nil {
			panic(err)
		}
	}
	out := make(map[otlp.Signal]protoreflect.MessageDescriptor)
	for _, sig := range []otlp.Signal{otlp.Traces, otlp.Logs} {
		m := newRequest(sig).ProtoReflect().Descriptor()
		add(m.ParentFile())
		d, err := files.FindDescriptorByName(m.FullName())
		if err != nil {
			panic(err)
		}
		out[sig] = d.(protoreflect.MessageDescriptor)
	}
	return out
})

const tooDeep = "nested too deeply"

// checkProtobuf holds the decoder against the protobuf library.
func checkProtobuf(t *testing.T, body []byte, sig otlp.Signal) {
	t.Helper()
	got, dropped, err := views(body, otlp.Protobuf, sig)
	checkError(t, body, err)

	ref := dynamicpb.NewMessage(reduced()[sig])
	refErr := proto.Unmarshal(body, ref)
	if dropped > 0 {
		return // what exceeds a limit is not read
	}
	if refErr != nil {
		if err == nil {
			t.Fatalf("accepted, but the library says: %v\n%x", refErr, body)
		}
		return
	}
	want, deepest := expected(ref, sig)
	if err != nil {
		if !strings.Contains(err.Error(), tooDeep) {
			t.Fatalf("refused: %v\n%x", err, body)
		}
		return
	}
	if deepest > otlp.MaxDepth {
		t.Fatalf("accepted a depth of %d", deepest)
	}
	compare(t, got, want)

	gen := newRequest(sig)
	if proto.Unmarshal(body, gen) != nil {
		return // invalid UTF-8, or a fault in what we do not read
	}
	want, _ = expected(gen.ProtoReflect(), sig)
	compare(t, got, want)

	got, _, err = views(jsonBody(t, gen), otlp.JSON, sig)
	if err != nil {
		if !strings.Contains(err.Error(), tooDeep) {
			t.Fatalf("JSON of the same message refused: %v\n%s", err, jsonBody(t, gen))
		}
		return
	}
	compare(t, got, want)
}

func checkError(t *testing.T, body []byte, err error) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := err.(*otlp.Error)
	if !ok || e.Offset < 0 || e.Offset > len(body) || e.Reason == "" {
		t.Fatalf("error %#v for a body of %d bytes", err, len(body))
	}
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d items, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("item %d:\n%s\nwant:\n%s", i, got[i], want[i])
		}
	}
}

// jsonBody encodes m as OTLP/JSON.
func jsonBody(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := json.Marshal(jsonMessage(m.ProtoReflect()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func jsonMessage(m protoreflect.Message) map[string]any {
	out := make(map[string]any)
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !fd.IsList() {
			out[fd.JSONName()] = jsonScalar(fd, v)
			return true
		}
		list := []any{}
		for i := range v.List().Len() {
			list = append(list, jsonScalar(fd, v.List().Get(i)))
		}
		out[fd.JSONName()] = list
		return true
	})
	return out
}

func jsonScalar(fd protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return jsonMessage(v.Message())
	case protoreflect.BytesKind:
		if strings.HasSuffix(string(fd.Name()), "_id") {
			return hex.EncodeToString(v.Bytes())
		}
		return base64.StdEncoding.EncodeToString(v.Bytes())
	case protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return v.String()
	case protoreflect.DoubleKind:
		switch f := v.Float(); {
		case math.IsNaN(f):
			return "NaN"
		case math.IsInf(f, 1):
			return "Infinity"
		case math.IsInf(f, -1):
			return "-Infinity"
		}
	case protoreflect.EnumKind:
		return int32(v.Enum())
	}
	return v.Interface()
}

// tree reads a span by the rules of OTLP/JSON out of what encoding/json makes of
// it. It panics with malformed where the decoder must refuse, and with ambiguous
// where the order of fields, which a map does not keep, would decide.
type tree map[string]any

var (
	malformed = errors.New("malformed")
	ambiguous = errors.New("ambiguous")
)

func object(v any) tree {
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		return v
	}
	panic(malformed)
}

func (o tree) list(name string) []any {
	switch v := o[name].(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	panic(malformed)
}

func (o tree) str(name string) string {
	s, _ := o[name].(string)
	return s
}

func (o tree) id(name string, n int) []byte {
	b, err := hex.DecodeString(o.str(name))
	if err != nil || len(b) != n {
		return make([]byte, n)
	}
	return b
}

// number returns the decimal number that a field holds, directly or in a string.
func (o tree) number(name string) (s string, ok bool) {
	switch v := o[name].(type) {
	case json.Number:
		return v.String(), true
	case string:
		return v, decimal.MatchString(v)
	}
	return "", false
}

var decimal = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

func (o tree) integer(name string) (*big.Int, bool) {
	s, ok := o.number(name)
	if !ok {
		return nil, false
	}
	if n, ok := new(big.Int).SetString(s, 10); ok {
		return n, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) {
		return nil, false
	}
	n, _ := big.NewFloat(f).Int(nil)
	return n, true
}

func (o tree) uint64(name string) uint64 {
	if n, ok := o.integer(name); ok && n.IsUint64() {
		return n.Uint64()
	}
	return 0
}

func (o tree) int32(name string) int32 {
	if n, ok := o.integer(name); ok && n.IsInt64() && n.Int64() == int64(int32(n.Int64())) {
		return int32(n.Int64())
	}
	return 0
}

func (o tree) keyValues(name string) string {
	var b strings.Builder
	for _, v := range o.list(name) {
		kv := object(v)
		fmt.Fprintf(&b, "%q: %s, ", kv.str("key"), object(kv["value"]).value())
	}
	return "{" + b.String() + "}"
}

func (o tree) value() string {
	out, alternatives := "empty", 0
	for name, v := range o {
		if strings.HasSuffix(name, "Value") {
			if alternatives++; alternatives > 1 {
				panic(ambiguous)
			}
		}
		switch name {
		case "stringValue":
			if s, ok := v.(string); ok {
				out = fmt.Sprintf("%q", s)
			}
		case "boolValue":
			if b, ok := v.(bool); ok {
				out = strconv.FormatBool(b)
			}
		case "intValue":
			if n, ok := o.integer(name); ok && n.IsInt64() {
				out = fmt.Sprint("int ", n)
			}
		case "doubleValue":
			if s := o.str(name); s == "NaN" || s == "Infinity" || s == "-Infinity" {
				f, _ := strconv.ParseFloat(s, 64)
				out = printDouble(f)
			} else if s, ok := o.number(name); ok {
				if f, err := strconv.ParseFloat(s, 64); err == nil {
					out = printDouble(f)
				}
			}
		case "bytesValue":
			if s, ok := v.(string); ok {
				if !strings.ContainsAny(s, "+/") {
					s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
				}
				s = strings.TrimRight(s, "=")
				if b, err := base64.RawStdEncoding.DecodeString(s); err == nil {
					out = fmt.Sprintf("bytes %q", b)
				}
			}
		case "arrayValue":
			if v == nil {
				continue
			}
			out = "["
			for _, e := range object(v).list("values") {
				out += object(e).value() + ", "
			}
			out += "]"
		case "kvlistValue":
			if v != nil {
				out = object(v).keyValues("values")
			}
		}
	}
	return out
}

func expectedJSON(v any) (items []string, err error) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case malformed, ambiguous:
			err = r.(error)
		default:
			panic(r)
		}
	}()
	if v == nil {
		return nil, malformed
	}
	for _, rs := range object(v).list("resourceSpans") {
		rs := object(rs)
		resource := object(rs["resource"]).keyValues("attributes")
		for _, ss := range rs.list("scopeSpans") {
			ss := object(ss)
			scope := object(ss["scope"])
			for _, s := range ss.list("spans") {
				s := object(s)
				status := object(s["status"])
				out := fmt.Sprintf(spanFormat, resource, scope.str("name"), scope.str("version"),
					s.id("traceId", 16), s.id("spanId", 8), s.id("parentSpanId", 8), s.str("name"), s.int32("kind"),
					s.uint64("startTimeUnixNano"), s.uint64("endTimeUnixNano"),
					status.int32("code"), status.str("message"), s.keyValues("attributes"))
				for _, e := range s.list("events") {
					e := object(e)
					out += fmt.Sprintf(eventFormat, e.uint64("timeUnixNano"), e.str("name"), e.keyValues("attributes"))
				}
				items = append(items, out)
			}
		}
	}
	return items, nil
}

// checkJSON holds the decoder against encoding/json. That takes bodies without
// duplicate names and invalid UTF-8 only, which it would silently change.
func checkJSON(t *testing.T, body []byte) {
	t.Helper()
	got, dropped, err := views(body, otlp.JSON, otlp.Traces)
	checkError(t, body, err)
	if err == nil && !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		t.Fatalf("accepted what is not JSON: %q", body)
	}
	if dropped > 0 || !jsontext.Value(body).IsValid() {
		return
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	want, refErr := expectedJSON(v)
	if refErr == ambiguous {
		return
	}
	if err != nil {
		if refErr == nil && !strings.Contains(err.Error(), tooDeep) {
			t.Fatalf("refused: %v\n%s", err, body)
		}
		return
	}
	if refErr != nil {
		t.Fatalf("accepted: %s", body)
	}
	compare(t, got, want)
}
