package otlp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

func jsonSpan(fields string) []byte {
	return fmt.Appendf(nil, `{"resourceSpans":[{"scopeSpans":[{"spans":[{%s}]}]}]}`, fields)
}

func TestJSONFields(t *testing.T) {
	const zero = "00000000000000000000000000000000 0000000000000000 0000000000000000"
	f := func(fields, want string) {
		t.Helper()
		body := jsonSpan(fields)
		want = "resource {} scope \"\" \"\"\n" + want
		oneSpan(t, body, otlp.JSON, func(s *otlp.Span) {
			if got := printSpan(s); got != want {
				t.Errorf("%s:\n%swant:\n%s", fields, got, want)
			}
		})
		checkJSON(t, body)
	}
	ids := func(fields, want string) {
		t.Helper()
		f(fields, "ids "+want+` name "" kind 0 time 0 0 status 0 ""`+"\n{}\n")
	}
	scalars := func(fields, want string) {
		t.Helper()
		f(fields, "ids "+zero+" "+want+"\n{}\n")
	}
	attr := func(value, want string) {
		t.Helper()
		f(`"attributes":[{"key":"k","value":`+value+`}]`, "ids "+zero+` name "" kind 0 time 0 0 status 0 ""`+"\n{\"k\": "+want+", }\n")
	}

	ids(`"traceId":"0123456789ABCDEFfedcba9876543210","spanId":"AbCdEf0123456789","parentSpanId":""`,
		"0123456789abcdeffedcba9876543210 abcdef0123456789 0000000000000000")
	ids(`"traceId":"0123456789abcdef","spanId":"abcdef012345678x","parentSpanId":5`, zero)
	ids(`"traceId":"ASNFZ4mrze/+3LqYdlQyEA==","spanId":null`, zero)
	ids(`"spanId":"abcdef0123456789","spanId":"abc"`, zero)

	scalars(`"name":"n","kind":3,"startTimeUnixNano":"1795420746812000000","endTimeUnixNano":18446744073709551615,"status":{"code":2,"message":"m"}`,
		`name "n" kind 3 time 1795420746812000000 18446744073709551615 status 2 "m"`)
	scalars(`"kind":"3","startTimeUnixNano":1e3,"endTimeUnixNano":"5.0","status":{"code":"2"}`, `name "" kind 3 time 1000 5 status 2 ""`)
	scalars(`"kind":"SPAN_KIND_CLIENT","startTimeUnixNano":-1,"endTimeUnixNano":"18446744073709551616","status":{"code":2147483648}`,
		`name "" kind 0 time 0 0 status 0 ""`)
	scalars(`"name":5,"kind":true,"startTimeUnixNano":1.5,"endTimeUnixNano":"","status":{"code":[1,[2]],"message":{"a":{}}}`,
		`name "" kind 0 time 0 0 status 0 ""`)
	scalars(`"startTimeUnixNano":2e19,"endTimeUnixNano":-1e3`, `name "" kind 0 time 0 0 status 0 ""`)
	scalars(`"startTimeUnixNano":"0x10","endTimeUnixNano":1e400`, `name "" kind 0 time 0 0 status 0 ""`)
	scalars(`"name":null,"kind":null,"startTimeUnixNano":null,"attributes":null,"events":null,"status":null`, `name "" kind 0 time 0 0 status 0 ""`)
	scalars(`"Name":"a","start_time_unix_nano":5,"traceState":"x","links":[{"traceId":5}],"flags":257,"x":{"y":[null,{}]}`,
		`name "" kind 0 time 0 0 status 0 ""`)
	scalars(`"name":"a","name":"b","status":{"code":1,"message":"m"},"kind":1,"status":{"code":2},"kind":"x"`, `name "b" kind 1 time 0 0 status 2 ""`)
	scalars(`"name":"a\u0000\"\\\/\n\ud83d\ude00é","\u006bind":5`, `name "a\x00\"\\/\n😀é" kind 5 time 0 0 status 0 ""`)
	scalars("\"name\":\"a\xff\"", `name "a\xff" kind 0 time 0 0 status 0 ""`)

	attr(`{"stringValue":"s"}`, `"s"`)
	attr(`{"stringValue":""}`, `""`)
	attr(`{"stringValue":5}`, `empty`)
	attr(`{"stringValue":null}`, `empty`)
	attr(`{}`, `empty`)
	attr(`null`, `empty`)
	attr(`{"boolValue":true}`, `true`)
	attr(`{"boolValue":false}`, `false`)
	attr(`{"boolValue":"true"}`, `empty`)
	attr(`{"intValue":"-9223372036854775808"}`, `int -9223372036854775808`)
	attr(`{"intValue":9223372036854775807}`, `int 9223372036854775807`)
	attr(`{"intValue":9223372036854775808}`, `empty`)
	attr(`{"intValue":"1_000"}`, `empty`)
	attr(`{"intValue":5.0}`, `int 5`)
	attr(`{"intValue":5.5}`, `empty`)
	attr(`{"intValue":1e19}`, `empty`)
	attr(`{"doubleValue":1.5}`, `double 3ff8000000000000`)
	attr(`{"doubleValue":"1.5"}`, `double 3ff8000000000000`)
	attr(`{"doubleValue":-0}`, `double 8000000000000000`)
	attr(`{"doubleValue":"NaN"}`, `double NaN`)
	attr(`{"doubleValue":"Infinity"}`, `double 7ff0000000000000`)
	attr(`{"doubleValue":"-Infinity"}`, `double fff0000000000000`)
	attr(`{"doubleValue":"inf"}`, `empty`)
	attr(`{"doubleValue":1e400}`, `empty`)
	attr(`{"bytesValue":"AP/+"}`, `bytes "\x00\xff\xfe"`)
	attr(`{"bytesValue":"AP_-AA"}`, `bytes "\x00\xff\xfe\x00"`)
	attr(`{"bytesValue":"AA=="}`, `bytes "\x00"`)
	attr(`{"bytesValue":"?"}`, `empty`)
	attr(`{"arrayValue":{"values":[{"intValue":1},{},null,{"arrayValue":{}}]}}`, `[int 1, empty, empty, [], ]`)
	attr(`{"arrayValue":null}`, `empty`)
	attr(`{"kvlistValue":{"values":[{"key":"a","value":{"intValue":1}},{"value":null},{"key":5}]}}`, `{"a": int 1, "": empty, "": empty, }`)
	attr(`{"stringValue":"a","intValue":1}`, `int 1`)
	attr(`{"arrayValue":{"values":[{"intValue":1}]},"arrayValue":{"values":[{"intValue":2}]}}`, `[int 2, ]`)
	attr(`{"intValue":1,"intValue":"x","stringValue":null}`, `int 1`)
	attr(`{"intValue":1},"value":{}`, `empty`)

	f(`"events":[{"timeUnixNano":"7","name":"e","attributes":[{"key":"a"}],"x":1},null,{}],"attributes":[{"key":"b"}]`,
		"ids "+zero+` name "" kind 0 time 0 0 status 0 ""`+"\n{\"b\": empty, }\nevent 7 \"e\" {\"a\": empty, }\nevent 0 \"\" {}\nevent 0 \"\" {}\n")
	f(`"events":[{},{}],"attributes":[{"key":"a"}],"attributes":[{"key":"b"},{"key":"c"}],"events":[{"name":"e"}]`,
		"ids "+zero+` name "" kind 0 time 0 0 status 0 ""`+"\n{\"b\": empty, \"c\": empty, }\nevent 0 \"e\" {}\n")
}

// TestJSONOrder has names, resources and scopes before and behind their items.
func TestJSONOrder(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		var got []string
		err := otlp.DecodeTraces([]byte(body), otlp.JSON, func(s *otlp.Span) {
			got = append(got, s.Name+" "+printList(s.Resource)+" "+s.ScopeName+" "+s.ScopeVersion)
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", body, got, err, want)
		}
	}
	const (
		res   = `"resource":{"attributes":[{"key":"r"}]}`
		scope = `"scope":{"name":"s","version":"v"}`
		spans = `"spans":[{"name":"a"},{"name":"b"}]`
		a, b  = `a {"r": empty, } s v`, `b {"r": empty, } s v`
	)
	f(`{"resourceSpans":[{`+res+`,"scopeSpans":[{`+scope+`,`+spans+`}]}]}`, a, b)
	f(`{"resourceSpans":[{"scopeSpans":[{`+spans+`,`+scope+`}],`+res+`}]}`, a, b)
	f(` { "x" : 1 , "resourceSpans" : [ { "scopeSpans" : [ { `+spans+` , `+scope+` } ] , `+res+` } ] , "y" : [ ] } `, a, b)
	f(`{"resourceSpans":[{"scopeSpans":[{`+scope+`,`+spans+`}]},{`+res+`,"scopeSpans":[{`+spans+`}]},{"scopeSpans":[{"spans":[{}]}]}]}`,
		"a {} s v", "b {} s v", `a {"r": empty, }  `, `b {"r": empty, }  `, " {}  ")
	f(`{"resourceSpans":[{"scopeSpans":[{`+spans+`,`+scope+`},{"spans":null},null],"scopeSpans":[{`+scope+`,`+spans+`}],`+res+`}],"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":null,"spans":[null]}]}]}`,
		a, b, a, b, " {}  ")
	f(`{"resourceSpans":[{"resource":{"attributes":[{"key":"x"}]},"resource":{"attributes":[{"key":"r"}]},"scopeSpans":[{"scope":{"name":"x","version":"y"},"scope":{"name":"s"},"spans":[{}]}]}]}`,
		` {"r": empty, } s `)
	f(`{}`)
	f(`{"resourceSpans":null}`)
	f(`{"resourceSpans":[]}`)
	f(`{"resourceLogs":[{"scopeLogs":5}]}`)

	var logs []string
	err := otlp.DecodeLogs([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{
		"timeUnixNano":"1","observedTimeUnixNano":2,"severityNumber":17,"severityText":"ERROR","eventName":"e",
		"body":{"stringValue":"x"},"attributes":[{"key":"k","value":{"arrayValue":{"values":[{"intValue":1}]}}}],
		"body":{"arrayValue":{"values":[{"stringValue":"b"}]}},
		"traceId":"0123456789abcdef0123456789abcdef","spanId":"0123456789abcdef","flags":1},
		{"body":{"stringValue":"x"},"body":{}},{"body":5,"body":null}]}]}]}`),
		otlp.JSON, func(l *otlp.LogRecord) { logs = append(logs, printLog(l)) })
	if err == nil || err.(*otlp.Error).Reason != "want an object" {
		t.Errorf("error %v", err)
	}
	compare(t, logs, []string{`resource {} scope "" ""
ids 0123456789abcdef0123456789abcdef 0123456789abcdef time 1 2 severity 17 "ERROR" event "e" body ["b", ]
{"k": [int 1, ], }
`, `resource {} scope "" ""
ids 00000000000000000000000000000000 0000000000000000 time 0 0 severity 0 "" event "" body empty
{}
`})
}

func TestJSONMalformed(t *testing.T) {
	f := func(body string, offset int, reason string) {
		t.Helper()
		_, _, err := views([]byte(body), otlp.JSON, otlp.Traces)
		e, _ := err.(*otlp.Error)
		if e == nil || e.Offset != offset || !strings.Contains(e.Reason, reason) {
			t.Errorf("%s: %v, want %q at %d", body, err, reason, offset)
		}
		checkJSON(t, []byte(body))
		if _, _, err := views([]byte(body), otlp.JSON, otlp.Logs); err == nil && !strings.Contains(body, "resourceSpans") {
			t.Errorf("%s: accepted for logs", body)
		}
	}
	f(``, 0, "EOF")
	f(` `, 1, "EOF")
	f(`null`, 0, "want an object")
	f(` []`, 1, "want an object")
	f(`5`, 0, "want an object")
	f(`{"a":1`, 6, "EOF")
	f(`{"a":1} {}`, 8, "data after the request")
	f(`{"a":1}x`, 7, "data after the request")
	f(`{"a":}`, 5, "missing value")
	f(`{"a" 1}`, 5, "invalid character '1'")
	f(`{a:1}`, 1, "invalid character 'a'")
	f(`{5:1}`, 1, "object member name must be a string")
	f(`{"a":1,}`, 6, "invalid character ','")
	f(`{"a":01}`, 6, "invalid character '1'")
	f(`{"a":"\x"}`, 6, "invalid escape sequence")
	f("{\"a\":\"\n\"}", 6, "invalid character")
	f(`{"resourceSpans":5}`, 17, "want an array")
	f(`{"resourceSpans": {}}`, 18, "want an array")
	f(`{"resourceSpans":[5]}`, 18, "want an object")
	f(`{"resourceSpans":[{},"a"]}`, 21, "want an object")
	f(`{"resourceSpans":[{"resource":[]}]}`, 30, "want an object")
	f(`{"resourceSpans":[{"scopeSpans":{}}]}`, 32, "want an array")
	f(`{"resourceSpans":[{"resource":{},"scopeSpans":{}}]}`, 46, "want an array")
	f(`{"resourceSpans":[{"scopeSpans":[{"spans":5,"scope":{}}]}]}`, 42, "want an array")
	f(`{"resourceSpans":[{"scopeSpans":[{"spans":[{},{"name":"a" "b"}]}]}]}`, 58, "invalid character")
	f(string(jsonSpan(`"status":5`)), 53, "want an object")
	f(string(jsonSpan(`"attributes":{}`)), 57, "want an array")
	f(string(jsonSpan(`"attributes":[{"value":"x"}]`)), 67, "want an object")
	f(string(jsonSpan(`"attributes":[{"value":{"arrayValue":[]}}]`)), 81, "want an object")
	f(string(jsonSpan(`"attributes":[{"value":{"kvlistValue":{"values":{}}}}]`)), 92, "want an array")
	f(string(jsonSpan(`"events":"x"`)), 53, "want an array")

	if _, err := otlp.CountMetrics([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":5}}]}]}]}`), otlp.JSON); err == nil {
		t.Error("data points that are no array were accepted")
	}
}

func TestJSONDepth(t *testing.T) {
	arrays := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	f := func(name string, around int, body func(arrays string) string) {
		t.Helper()
		if _, _, err := views([]byte(body(arrays(otlp.MaxDepth-around))), otlp.JSON, otlp.Traces); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		deeper := body(arrays(otlp.MaxDepth - around + 1))
		_, _, err := views([]byte(deeper), otlp.JSON, otlp.Traces)
		want := otlp.Error{Offset: strings.LastIndexByte(deeper, '['), Reason: tooDeep}
		if e, _ := err.(*otlp.Error); e == nil || *e != want {
			t.Errorf("%s: error %v for one level more, want %v", name, err, &want)
		}
	}
	f("unknown field", 1, func(s string) string { return `{"x":` + s + `}` })
	f("unknown field of a span", 7, func(s string) string { return string(jsonSpan(`"x":` + s)) })
	f("instead of a string", 7, func(s string) string { return string(jsonSpan(`"name":` + s)) })
	f("unknown field of a span behind its scope", 7, func(s string) string {
		return `{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"x":` + s + `}]}]}]}`
	})

	const value = `{"arrayValue":{"values":[`
	for n, ok := range map[int]bool{(otlp.MaxDepth - 9) / 3: true, (otlp.MaxDepth-9)/3 + 1: false} {
		body := jsonSpan(`"attributes":[{"value":` + strings.Repeat(value, n) + strings.Repeat("]}}", n) + `}]`)
		if _, _, err := views(body, otlp.JSON, otlp.Traces); (err == nil) != ok {
			t.Errorf("%d arrays in each other: %v", n, err)
		}
	}
	if _, _, err := views([]byte(`{"x":`+arrays(100_000)+`}`), otlp.JSON, otlp.Traces); err == nil {
		t.Error("100,000 levels were accepted")
	}
	if _, _, err := views([]byte(`{"resourceSpans":[{"scopeSpans":`+arrays(9_000)+`}]}`), otlp.JSON, otlp.Traces); err == nil {
		t.Error("9,000 levels, read only later, were accepted")
	}
}
