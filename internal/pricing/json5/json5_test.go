package json5_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/pricing/json5"
)

// show writes a value as JSON, so that tables can be read.
func show(v json5.Value) string {
	switch v.Kind {
	case json5.Bool:
		return fmt.Sprint(v.Bool)
	case json5.Number:
		return fmt.Sprint(v.Number)
	case json5.String:
		text, _ := json.Marshal(v.Text) // a string always has a form
		return string(text)
	case json5.Array:
		var list []string
		for _, i := range v.Items {
			list = append(list, show(i))
		}
		return "[" + strings.Join(list, ",") + "]"
	case json5.Object:
		var list []string
		for _, m := range v.Members {
			list = append(list, fmt.Sprintf("%q@%d:%s", m.Name, m.Line, show(m.Value)))
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	return "null"
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"JSON", `{"a": [1, -2.5e3, true, false, null, "x\n\u00e9\ud83d\ude00"]}`, `{"a"@1:[1,-2500,true,false,null,"x\né😀"]}`},
		{"comments and commas", "// first\n{ /* a\n b */ a: 1,\n 'b-c': [2, 3,],\n}\n// last", `{"a"@3:1,"b-c"@4:[2,3]}`},
		{"names", `{$_a1: 1, été: 2, "": 3}`, `{"$_a1"@1:1,"été"@1:2,""@1:3}`},
		{"numbers", `[.5, 5., +1, 0x1F, -0x10, Infinity, -Infinity, NaN, 2e5, 2.5e-05]`, `[0.5,5,1,31,-16,+Inf,-Inf,NaN,200000,2.5e-05]`},
		{"quotes", `['a"b', "a'b", 'a\'b', '\x41\v\q', 'a\
b']`, `["a\"b","a'b","a'b","A\u000bq","ab"]`},
		{"JavaScript", "[!0, !1, `a\nb $ c`]", `[true,false,"a\nb $ c"]`},
		{"byte order mark", "\ufeff1", `1`},
		{"half a pair", `"\ud83dx"`, `"�x"`},
		{"the same name twice", `{a: 1, a: 2}`, `{"a"@1:1,"a"@1:2}`},
		{"too large for a number", `1e999`, `+Inf`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v, err := json5.Parse([]byte(c.src))
			if err != nil {
				t.Fatal(err)
			}
			if got := show(v); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestParseFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"nothing", "", "line 1: a value cannot begin with the end of the file"},
		{"only a comment", "// x\n", "line 2: a value cannot begin with the end of the file"},
		{"open object", "{\n a: 1", "line 2: a comma or } is expected, not the end of the file"},
		{"open array", "[1", "line 1: a comma or ] is expected, not the end of the file"},
		{"open text", "[\n\n'a", "line 3: the text does not end"},
		{"text over lines", "[\n'a\n']", "line 2: the text does not end on its line"},
		{"open comment", "[1, /* a", "line 1: the comment does not end"},
		{"no colon", "{a 1}", `line 1: after the name "a" a : is expected, not '1'`},
		{"no comma", "[1 2]", "line 1: a comma or ] is expected, not '2'"},
		{"two values", "1\n2", "line 2: '2' after the end of the value"},
		{"a word", "[undefined]", "line 1: a value cannot begin with 'u'"},
		{"not a number", "[1.2.3]", `line 1: "1.2.3" is not a number`},
		{"two signs", "[+-1]", `line 1: "+-1" is not a number`},
		{"another base", "[0b1]", `line 1: "0b1" is not a number`},
		{"digits apart", "[1_000]", "line 1: a comma or ] is expected, not '_'"},
		{"short escape", `"\u12"`, "line 1: the text does not end"},
		{"bad escape", `"\u12zz"`, `line 1: "12zz" are not 4 hexadecimal digits`},
		{"substitution", "`${a}`", "line 1: the text has a substitution"},
		{"only commas", "[,]", "line 1: a value cannot begin with ','"},
		{"deep", strings.Repeat("[", 1e6), "line 1: nested more than 200 deep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := json5.Parse([]byte(c.src))
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	v, err := json5.Prefix([]byte("[1], J = {a: () => 1}"))
	if err != nil || show(v) != "[1]" {
		t.Errorf("got %s, %v", show(v), err)
	}
}

func TestGetTakesTheLast(t *testing.T) {
	t.Parallel()
	v, err := json5.Parse([]byte("{a: 1, b: 3, a: 2}"))
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := v.Get("a"); !ok || a.Number != 2 {
		t.Errorf("got %v, %v", a, ok)
	}
	if _, ok := v.Get("c"); ok {
		t.Error("c is there")
	}
}

// What encoding/json reads is read the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x"],"b":{"c":null,"d":true}}`, "{a:'b',}", "[0x1,.5,]", "// c\n1", `"\ud83d\ude00"`, "[!0]", "`a`"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		v, err := json5.Parse(src)
		var strict any
		if json.Unmarshal(src, &strict) != nil || strings.Count(string(src), "[")+strings.Count(string(src), "{") > 100 {
			return
		}
		if err != nil {
			t.Fatalf("JSON is refused: %v", err)
		}
		compare(t, v, strict)
	})
}

func compare(t *testing.T, v json5.Value, strict any) {
	same := false
	switch s := strict.(type) {
	case nil:
		same = v.Kind == json5.Null
	case bool:
		same = v.Kind == json5.Bool && v.Bool == s
	case float64:
		same = v.Kind == json5.Number && (v.Number == s || math.IsNaN(s))
	case string:
		same = v.Kind == json5.String && strings.ToValidUTF8(v.Text, "�") == strings.ToValidUTF8(s, "�") || strings.ContainsRune(s, '�')
	case []any:
		same = v.Kind == json5.Array && len(v.Items) == len(s)
		for i := range s {
			if same {
				compare(t, v.Items[i], s[i])
			}
		}
	case map[string]any:
		same = v.Kind == json5.Object && len(v.Members) >= len(s)
		for name, member := range s {
			if got, ok := v.Get(name); ok {
				compare(t, *got, member)
			} else {
				same = same && strings.ContainsRune(name, '�')
			}
		}
	}
	if !same {
		t.Fatalf("%s is read as %s", fmt.Sprint(strict), show(v))
	}
}
