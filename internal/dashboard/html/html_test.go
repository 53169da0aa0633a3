package html_test

import (
	"testing"

	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
)

func TestRender(t *testing.T) {
	for _, tt := range []struct {
		name string
		node h.Node
		want string
	}{
		{"nothing", nil, ``},
		{"text", h.Text(`<b a="1">&'`), `&lt;b a=&#34;1&#34;&gt;&amp;&#39;`},
		{"what a browser would change", h.Text("a\r\nb\x00"), "a&#13;\nb\uFFFD"},
		{"attributes before content", h.P(h.Text("x"), h.Class(`"><script>`), nil, h.Group{h.ID("i"), h.Text("y"), h.Hidden()}), `<p class="&#34;&gt;&lt;script&gt;" id="i" hidden>xy</p>`},
		{"no content", h.Input(h.Name("n")), `<input name="n">`},
		{"a first line that is empty", h.Pre(h.Text("\nx")), "<pre>\n\nx</pre>"},
		{"an attribute alone", h.Group{h.Class("x"), h.If(false, h.Text("y")), h.If(true, h.Text("z"))}, `z`},
		{"a page", h.Document(h.HTML()), `<!doctype html><html></html>`},
	} {
		if got := string(h.Render(tt.node)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Whatever a link is made of, it leads to this server.
func TestLinksStayHere(t *testing.T) {
	for url, want := range map[string]string{
		"/": `<a href="/"></a>`, "/calls?q=a&b#c": `<a href="/calls?q=a&amp;b#c"></a>`, "#main": `<a href="#main"></a>`,
		"": `<a></a>`, "calls": `<a></a>`, "//evil.example": `<a></a>`, `/\evil.example`: `<a></a>`, "/\t/evil.example": `<a></a>`, "javascript:alert(1)": `<a></a>`, "https://evil.example": `<a></a>`, " /": `<a></a>`,
	} {
		if got := string(h.Render(h.A(h.Href(url)))); got != want {
			t.Errorf("%q: %s, want %s", url, got, want)
		}
	}
}
