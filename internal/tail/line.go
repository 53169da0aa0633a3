package tail

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// Severity numbers of OpenTelemetry's log data model.
const (
	otlpDebug = 5
	otlpInfo  = 9
	otlpWarn  = 13
	otlpError = 17
	otlpFatal = 21
)

// record is what a line says.
type record struct {
	at       time.Time // zero if it does not say
	severity int32     // 0 if it does not say
	level    string    // as the line has it
	body     string
	attrs    []otlp.KeyValue
	trace    otlp.TraceID
	span     otlp.SpanID
	event    string // the name, if it is kept though it is below WARN

	json     bool
	openclaw bool
	source   source // if it is OpenClaw's

	kind    textKind
	stack   []byte // the lines that belong to it
	inTrace bool   // of a traceback the last line is still to come
	traced  bool   // there was a traceback
	chained bool   // another one follows

	start, end int    // in the data
	part       string // attribute that says that the line is not whole
	twin       bool   // it came by OTLP
}

// source is where in OpenClaw a line comes from.
type source struct {
	subsystem, function string
	line                int64
}

type textKind uint8

const (
	plainText textKind = iota
	goPanic
	traceback // Python's
)

// severityName is the severity of r's row.
func (r *record) severityName() string {
	switch {
	case r.severity >= otlpFatal:
		return "critical"
	case r.severity >= otlpError:
		return "error"
	}
	return "warning"
}

// levels are the names of levels, as loggers write them.
var levels = map[string]int32{
	"TRACE": 1, "SILLY": 1, "VERBOSE": otlpDebug, "DEBUG": otlpDebug, "DEBU": otlpDebug, "DBG": otlpDebug, "INFO": otlpInfo, "INF": otlpInfo,
	"INFORMATION": otlpInfo, "INFORMATIONAL": otlpInfo, "LOG": otlpInfo, "NOTICE": otlpInfo, "OK": otlpInfo,
	"WARN": otlpWarn, "WRN": otlpWarn, "WARNING": otlpWarn,
	"ERROR": otlpError, "ERRO": otlpError, "ERR": otlpError, "SEVERE": otlpError,
	"FATAL": otlpFatal, "CRITICAL": otlpFatal, "CRIT": otlpFatal, "PANIC": otlpFatal, "ALERT": otlpFatal, "EMERG": otlpFatal, "DPANIC": otlpFatal, "FATA": otlpFatal, "PANI": otlpFatal, "EMERGENCY": otlpFatal,
}

// levelOf reads a level; loggers for Node write numbers, 40 for WARN and 50 for ERROR.
func levelOf(s string) int32 {
	if n, err := strconv.Atoi(s); err == nil {
		switch {
		case n >= 60:
			return otlpFatal
		case n >= 50:
			return otlpError
		case n >= 40:
			return otlpWarn
		case n >= 10:
			return otlpInfo
		}
		return 0
	}
	return levels[strings.ToUpper(s)]
}

// syslogLevel reads a level as syslog numbers them.
func syslogLevel(n int) int32 {
	switch {
	case n <= 2:
		return otlpFatal
	case n == 3:
		return otlpError
	case n == 4:
		return otlpWarn
	}
	return otlpInfo
}

var (
	tslogLevel = []byte(`"logLevelName":"`)
	// What the keys of levels end in, whatever the logger.
	levelKeys = [][]byte{[]byte(`evel":`), []byte(`everity":`), []byte(`lvl":`), []byte(`evelname":`), []byte(`everityText":`), []byte(`everity_text":`)}
	// What a line of text has if it matters.
	alarms = [][]byte{
		[]byte("ERR"), []byte("err"), []byte("Err"), []byte("WARN"), []byte("arn"), []byte("WRN"), []byte("FATAL"), []byte("fatal"), []byte("Fatal"),
		[]byte("anic"), []byte("PANIC"), []byte("CRIT"), []byte("crit"), []byte("Crit"), []byte("xcept"), []byte("EXCEPT"), []byte("raceback"), []byte("ncaught"),
		[]byte("nhandled"), []byte("egmentation"), []byte("SEVERE"), []byte("evere"), []byte("ALERT"), []byte("lert"), []byte("EMERG"), []byte("merg"),
		[]byte("FATA"), []byte("PANI"), []byte("Killed"), []byte("emory"),
	}
	// What a line has if it may be kept as an event.
	keeps = [][]byte{[]byte("stopReason="), []byte("hannel"), []byte("onfig")}
)

// uninteresting tells of most lines that they need not be parsed: whatever they say, it
// is below WARN. It looks at every byte once or a few times, and at few closely.
func uninteresting(line []byte, keepEvents bool) bool {
	if len(line) == 0 {
		return true
	}
	if line[0] == '{' {
		if keepEvents && slices.ContainsFunc(keeps, func(k []byte) bool { return bytes.Contains(line, k) }) {
			return false
		}
		if i := bytes.Index(line, tslogLevel); i >= 0 {
			return below(line[i+len(tslogLevel)-1:])
		}
		for _, key := range levelKeys {
			for rest := line; ; {
				i := bytes.Index(rest, key)
				if i < 0 {
					break
				}
				rest = rest[i+len(key):]
				if !below(rest) {
					return false
				}
			}
		}
		return true
	}
	return !glog(string(line[:min(len(line), 6)])) && !alarming(line)
}

// alarmPairs has a bit for each pair of bytes that one of alarms begins with.
var alarmPairs = func() (pairs [1 << 16 / 64]uint64) {
	for _, a := range alarms {
		pair := int(a[0])<<8 | int(a[1])
		pairs[pair/64] |= 1 << (pair % 64)
	}
	return pairs
}()

// alarming tells whether one of alarms is in line, which it looks through once.
func alarming(line []byte) bool {
	for i := 1; i < len(line); i++ {
		pair := uint(line[i-1])<<8 | uint(line[i])
		if alarmPairs[pair/64]&(1<<(pair%64)) == 0 {
			continue
		}
		if slices.ContainsFunc(alarms, func(a []byte) bool { return bytes.HasPrefix(line[i-1:], a) }) {
			return true
		}
	}
	return false
}

// below tells whether value begins with a level below WARN.
func below(value []byte) bool {
	value = bytes.TrimLeft(value[:min(len(value), 24)], ` "`)
	end := bytes.IndexAny(value, `",} `)
	if end < 0 {
		return false
	}
	n := levelOf(string(value[:end]))
	return n > 0 && n < otlpWarn
}

// parse reads a line.
func parse(line []byte) *record {
	if len(line) > 0 && line[0] == '{' {
		var m map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if d.Decode(&m) == nil {
			r := &record{json: true}
			if meta, ok := m["_meta"].(map[string]any); ok && meta["logLevelName"] != nil {
				r.fromOpenClaw(m, meta)
			} else {
				r.fromJSON(m)
			}
			return r
		}
		if r := parseCut(line); r != nil {
			return r
		}
	}
	return parseText(string(stripANSI(line)))
}

// levelBehind returns the level of a line of OpenClaw's that stands behind the first n
// bytes of data, where the line was cut: it is among the last things of it.
func levelBehind(data []byte, n int) string {
	if end := bytes.IndexByte(data[n:], '\n'); end >= 0 {
		data = data[:n+end]
	}
	i := bytes.LastIndex(data, tslogLevel)
	if data[0] != '{' || i+len(tslogLevel) < n {
		return ""
	}
	level, _, _ := bytes.Cut(data[i+len(tslogLevel):], []byte(`"`))
	return string(level)
}

// parseWith reads a line of which the level is known, if it is not "".
func parseWith(line []byte, level string) *record {
	if level == "" {
		return parse(line)
	}
	return &record{json: true, level: level, severity: levelOf(level), body: string(line)}
}

// parseCut reads what there is of a line of JSON that was cut, or returns nil.
func parseCut(line []byte) *record {
	if i := bytes.Index(line, tslogLevel); i >= 0 {
		level, _, _ := bytes.Cut(line[i+len(tslogLevel):], []byte(`"`))
		return &record{json: true, level: string(level), severity: levelOf(string(level)), body: string(line)}
	}
	if len(line) < maxLine {
		return nil
	}
	m := make(map[string]any)
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	for _, err := d.Token(); err == nil; { // the first is the brace
		var key json.Token
		var v any
		if key, err = d.Token(); err != nil {
			break
		}
		name, ok := key.(string)
		if err = d.Decode(&v); ok && err == nil {
			m[name] = v
		}
	}
	r := &record{json: true}
	r.fromJSON(m)
	r.body = cmp.Or(r.body, string(line))
	return r
}

// fromOpenClaw reads a line as OpenClaw writes it: its arguments under "0", "1" and so
// on, of which the first names the subsystem, and the rest are texts and details.
func (r *record) fromOpenClaw(m, meta map[string]any) {
	r.openclaw = true
	r.level = str(meta["logLevelName"])
	r.severity = levelOf(r.level)
	r.at = timeOf(m["time"])
	if r.at.IsZero() {
		r.at = timeOf(meta["date"])
	}
	add := func(key string, v any) {
		if value, ok := toValue(v); ok {
			r.attrs = append(r.attrs, otlp.KeyValue{Key: key, Value: value})
		}
	}
	add("openclaw.log.level", r.level)
	var texts []string
	for i := 0; ; i++ {
		arg, ok := m[strconv.Itoa(i)]
		if !ok {
			break
		}
		switch arg := arg.(type) {
		case string:
			var bound map[string]any
			if i == 0 && strings.HasPrefix(arg, "{") && json.Unmarshal([]byte(arg), &bound) == nil {
				for _, key := range slices.Sorted(maps.Keys(bound)) {
					add("openclaw."+key, bound[key])
				}
				r.source.subsystem = str(bound["subsystem"])
			} else if arg != "" {
				texts = append(texts, arg)
			}
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(arg)) {
				add("openclaw."+key, arg[key])
			}
		default:
			texts = append(texts, fmt.Sprint(arg))
		}
	}
	r.body = cmp.Or(strings.Join(texts, " "), str(m["message"]))
	if path, ok := meta["path"].(map[string]any); ok {
		r.source.function = str(path["method"])
		r.source.line, _ = strconv.ParseInt(str(path["fileLine"]), 10, 64)
		add("code.function", r.source.function)
		add("code.lineno", json.Number(str(path["fileLine"])))
	}
	for _, key := range []string{"session_id", "agent_id", "channel"} {
		add("openclaw."+key, m[key])
	}
	r.ids(str(m["traceId"]), str(m["spanId"]))
	r.event = r.eventOf()
}

// eventOf names what is kept of OpenClaw's lines below WARN.
func (r *record) eventOf() string {
	if r.severity >= otlpWarn {
		return ""
	}
	root, rest, _ := strings.Cut(r.source.subsystem, "/")
	switch {
	case strings.Contains(r.body, " ended with stopReason="):
		_, reason, _ := strings.Cut(r.body, "stopReason=")
		r.attrs = append(r.attrs, otlp.KeyValue{Key: "openclaw.stopReason", Value: otlp.StringValue(reason)})
		if _, run, ok := strings.Cut(r.body, "run "); ok {
			run, _, _ = strings.Cut(run, " ")
			r.attrs = append(r.attrs, otlp.KeyValue{Key: "openclaw.runId", Value: otlp.StringValue(run)})
		}
		return "openclaw.run.ended"
	case root == "channels" || strings.HasPrefix(rest, "channels"):
		return "openclaw.channel"
	case strings.HasPrefix(rest, "reload") || strings.HasPrefix(rest, "config") || strings.Contains(r.body, "config change"):
		return "openclaw.config"
	}
	return ""
}

// isTwin tells whether a row, made from a log record of OpenClaw, is this line. The
// record's text is the word "log" where OpenClaw does not export it, and what is masked
// or cut in the row is not known.
func (r *record) isTwin(message, metadata string) bool {
	if !strings.Contains(metadata, `"openclaw.log.level"`) {
		return false
	}
	var m map[string]any
	if json.Unmarshal([]byte(metadata), &m) != nil || m["log.file.path"] != nil {
		return false
	}
	line, _ := m["code.lineno"].(float64)
	from := source{str(m["openclaw.subsystem"]), str(m["code.function"]), int64(line)}
	if from != r.source || str(m["log.trace_id"]) != hexOrNone(r.trace[:]) || str(m["log.span_id"]) != hexOrNone(r.span[:]) {
		return false
	}
	body := str(m["log.body"])
	if body == "" {
		body = message
	}
	if body == "log" {
		return true
	}
	known, _, hidden := strings.Cut(body, "[masked:")
	if hidden || len(r.body) > len(known) && len(known) >= 1024 {
		return strings.HasPrefix(r.body, strings.TrimRight(known, "…"))
	}
	return strings.TrimSpace(known) == strings.TrimSpace(r.body)
}

func hexOrNone(id []byte) string {
	if slices.Max(id) == 0 {
		return ""
	}
	return hex.EncodeToString(id)
}

func (r *record) ids(trace, span string) {
	if b, err := hex.DecodeString(trace); err == nil && len(b) == len(r.trace) {
		copy(r.trace[:], b)
	}
	if b, err := hex.DecodeString(span); err == nil && len(b) == len(r.span) {
		copy(r.span[:], b)
	}
}

// The members of a line of JSON that have a meaning, whoever wrote it. The first that is
// there counts.
var (
	levelNames   = []string{"level", "severity", "lvl", "levelname", "log.level", "severityText", "severity_text", "@level", "logLevel", "loglevel"}
	timeNames    = []string{"time", "timestamp", "@timestamp", "ts", "date", "datetime", "t"}
	messageNames = []string{"msg", "message", "@message", "body", "event", "text", "short_message"}
	stackNames   = []string{"stack", "stacktrace", "stack_trace", "exc_info", "exception"}
	traceNames   = []string{"traceId", "trace_id", "trace.id", "dd.trace_id"}
	spanNames    = []string{"spanId", "span_id", "span.id", "dd.span_id"}
)

// fromJSON reads any line with a level, a message and a time under their usual names.
func (r *record) fromJSON(m map[string]any) {
	used := make(map[string]bool)
	first := func(names []string) any {
		for _, name := range names {
			if v, ok := m[name]; ok && v != nil {
				used[name] = true
				return v
			}
		}
		// Some write them with a capital.
		for _, name := range names {
			for key, v := range m {
				if strings.EqualFold(key, name) && v != nil {
					used[key] = true
					return v
				}
			}
		}
		return nil
	}
	r.level = str(first(levelNames))
	r.severity = levelOf(r.level)
	if n, err := strconv.Atoi(r.level); err == nil && m["short_message"] != nil {
		r.severity = syslogLevel(n) // GELF
	}
	r.at = timeOf(first(timeNames))
	r.body = str(first(messageNames))
	if r.severity < otlpWarn {
		return
	}
	stack := str(first(stackNames))
	for _, name := range []string{"err", "error"} {
		switch e := m[name].(type) {
		case string:
			used[name] = true
			r.attrs = append(r.attrs, otlp.KeyValue{Key: "exception.message", Value: otlp.StringValue(e)})
		case map[string]any:
			used[name] = true
			if s := str(e["stack"]); s != "" {
				stack = s
			}
			for key, member := range map[string]string{"exception.type": "type", "exception.message": "message"} {
				if s := str(e[member]); s != "" {
					r.attrs = append(r.attrs, otlp.KeyValue{Key: key, Value: otlp.StringValue(s)})
				}
			}
			for _, member := range slices.Sorted(maps.Keys(e)) {
				if v, ok := toValue(e[member]); ok && member != "stack" && member != "type" && member != "message" {
					r.attrs = append(r.attrs, otlp.KeyValue{Key: name + "." + member, Value: v})
				}
			}
		}
	}
	r.stack = []byte(stack[:min(len(stack), maxStack)])
	r.ids(str(first(traceNames)), str(first(spanNames)))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if v, ok := toValue(m[key]); ok && !used[key] {
			r.attrs = append(r.attrs, otlp.KeyValue{Key: key, Value: v})
		}
	}
}

func str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// timeOf reads a time: RFC 3339 or a Unix time of whatever unit.
func timeOf(v any) time.Time {
	switch v := v.(type) {
	case string:
		return parseTime(v)
	case json.Number:
		f, err := v.Float64()
		if err != nil || f <= 0 {
			return time.Time{}
		}
		for unit := 1e9; unit >= 1; unit /= 1e3 { // of which there is 1 s in 1e9 ns
			if ns := f * unit; ns < 1e19 && f < 1e11*1e9/unit {
				return time.Unix(0, int64(min(ns, 9e18)))
			}
		}
	}
	return time.Time{}
}

var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999", "2006/01/02 15:04:05.999999999",
}

// parseTime reads a time as logs have it. One without a zone is local.
func parseTime(s string) time.Time {
	s = strings.Replace(s, ",", ".", 1)
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return at
		}
	}
	return time.Time{}
}

// toValue returns v as an attribute, and whether it says anything.
func toValue(v any) (otlp.Value, bool) {
	switch v := v.(type) {
	case string:
		return otlp.StringValue(v), v != ""
	case bool:
		return otlp.BoolValue(v), true
	case float64:
		return otlp.DoubleValue(v), true
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return otlp.IntValue(n), true
		}
		f, err := v.Float64()
		return otlp.DoubleValue(f), err == nil
	case []any:
		list := otlp.Value{Kind: otlp.Array}
		for _, item := range v {
			value, _ := toValue(item)
			list.Items = append(list.Items, otlp.KeyValue{Value: value})
		}
		return list, true
	case map[string]any:
		object := otlp.Value{Kind: otlp.Map}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			value, _ := toValue(v[key])
			object.Items = append(object.Items, otlp.KeyValue{Key: key, Value: value})
		}
		return object, true
	}
	return otlp.Value{}, false
}
