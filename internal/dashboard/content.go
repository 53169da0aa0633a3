package dashboard

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// Texts that are stored. All of them go through say, body or pre.

// say is a short stored text.
func say(s string) g.Node { return g.Text(visible(s)) }

// sayOr is a stored text, or a dash.
func sayOr(s *string) g.Node {
	if s == nil || *s == "" {
		return none()
	}
	return say(*s)
}

const (
	// openText is how much of a text is shown before the rest is folded away, if that is
	// worth it.
	openText = 4 << 10
	minRest  = 1 << 10

	// openLines is the same in lines.
	openLines = 60

	// inlineText is how much of all texts of a page is in it, unless asked for whole: a
	// page of megabytes helps nobody.
	inlineText = 192 << 10
)

// texts renders the long texts of one page.
type texts struct {
	left  int    // bytes that may be in the page yet
	whole string // URL of the page with everything in it, or "" if this is it
}

// body is a long stored text. Its beginning is open, the rest folded or, when the page
// has its fill, left out with a link.
func (t *texts) body(s string) g.Node {
	size := len(s)
	if t.whole != "" && size > t.left {
		kept := cutLines(s, min(openText, max(t.left, 1<<10)))
		t.left -= len(kept)
		return g.Group{pre(kept), h.P(h.Class("cut"), g.Text(bytesOf(size-len(kept))+" of "+bytesOf(size)+" are not on this page. "), h.A(h.Href(t.whole), g.Text("Show everything")))}
	}
	t.left -= size
	head := cutLines(s, openText)
	if rest := s[len(head):]; len(rest) >= minRest {
		return g.Group{pre(head), h.Details(h.Class("rest"),
			h.Summary(g.Text("Show the other "+bytesOf(len(rest))+" of "+bytesOf(size))), pre(rest))}
	}
	return pre(s)
}

// pre is stored text with its lines. What is base64 is named, not shown.
func pre(s string) g.Node {
	nodes := []g.Node{h.Class("text")}
	for s != "" {
		m := encoded.FindStringSubmatchIndex(s)
		if m == nil {
			nodes = append(nodes, say(s))
			break
		}
		start, end := m[0], m[1]
		kind := ""
		if m[2] >= 0 {
			kind = s[m[2]:m[3]]
		}
		data := s[m[4]:m[5]]
		nodes = append(nodes, say(s[:start]), chip(kind, data))
		s = s[end:]
	}
	return h.Pre(nodes...)
}

// encoded finds data in base64: with the words of a data URL before it, or long enough
// to be nothing that anybody reads.
var encoded = regexp.MustCompile(`(?:data:([a-zA-Z0-9.+-]{1,40}/[a-zA-Z0-9.+-]{1,80})(?:;[a-zA-Z0-9=._-]{1,80})*;base64,)?([A-Za-z0-9+/_-]{512,}={0,2})`)

// chip stands for data in base64.
func chip(kind, data string) g.Node {
	if kind == "" {
		kind = "base64"
		if raw, err := base64.StdEncoding.DecodeString(data[:min(len(data), 512)&^3]); err == nil {
			if sniffed, _, _ := strings.Cut(http.DetectContentType(raw), ";"); sniffed != "application/octet-stream" {
				kind = sniffed
			}
		}
	}
	return h.Span(h.Class("chip"), h.Title("base64, not shown; the raw text has it"), g.Text(kind+", "+size(float64(len(data)*3/4))))
}

// cutLines returns about the first n bytes of s, up to the end of a line if one is near,
// and not more than openLines of them. It does not end inside a character.
func cutLines(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		if i := strings.LastIndexByte(s[:n], '\n'); i > n/2 {
			n = i + 1
		}
		s = s[:n]
	}
	lines := 0
	for i := range len(s) {
		if s[i] == '\n' {
			if lines++; lines == openLines {
				return s[:i+1]
			}
		}
	}
	return s
}

func bytesOf(n int) string {
	if n < 1024 {
		return plural(int64(n), "byte", "bytes")
	}
	return size(float64(n))
}

// recent is how many messages at the end of an input are open.
const recent = 6

// conversation shows messages; those of an input that were said long before are folded.
func (t *texts) conversation(list []message, fold bool) g.Node {
	first := 0
	if fold {
		first = max(len(list)-recent, 0)
	}
	// What the model was told to be comes before all, folded by itself.
	var nodes []g.Node
	system := 0
	for system < len(list) && (list[system].role == "system" || list[system].role == "developer") {
		system++
	}
	for i := range list[:system] {
		nodes = append(nodes, t.message(&list[i]))
	}
	if earlier := list[system:max(first, system)]; len(earlier) > 1 {
		n, inside := 0, []g.Node{}
		for i := range earlier {
			n += earlier[i].size()
			inside = append(inside, t.message(&earlier[i]))
		}
		nodes = append(nodes, h.Details(h.Class("earlier"),
			h.Summary(g.Text(plural(int64(len(earlier)), "earlier message", "earlier messages")+", "+bytesOf(n))), g.Group(inside)))
	} else {
		first = system
	}
	for i := max(first, system); i < len(list); i++ {
		nodes = append(nodes, t.message(&list[i]))
	}
	return g.Group(nodes)
}

var roles = map[string]string{"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "model": "assistant", "tool": "tool", "function": "tool"}

// message shows one.
func (t *texts) message(m *message) g.Node {
	if m.omitted > 0 {
		return h.P(h.Class("omitted"), g.Text(plural(int64(m.omitted), "message", "messages")+" left out when this was stored, for want of room (OCT_MAX_TEXT_BYTES)"))
	}
	class := roles[m.role]
	if class == "" {
		class = "other"
	}
	var nodes []g.Node
	for i := range m.parts {
		nodes = append(nodes, t.part(&m.parts[i]))
	}
	if len(m.parts) == 0 {
		nodes = append(nodes, h.P(h.Class("cut"), g.Text("An empty message.")))
	}
	role := h.Span(h.Class("role"), say(m.role))
	size := h.Span(h.Class("size"), g.Text(plural(int64(utf8len(m)), "character", "characters")))
	if class == "system" && m.size() > 300 {
		return h.Details(h.Class("message "+class), h.Summary(role, size), g.Group(nodes))
	}
	return h.Article(h.Class("message "+class), h.Header(role, size,
		g.If(m.finish != "", h.Span(h.Class("size"), g.Text("stopped: "), say(m.finish)))), g.Group(nodes))
}

func utf8len(m *message) (n int) {
	for i := range m.parts {
		n += utf8.RuneCountInString(m.parts[i].text)
	}
	return n
}

func (t *texts) part(p *part) g.Node {
	switch p.kind {
	case partReasoning:
		return h.Details(h.Class("part reasoning"), h.Summary(g.Text("reasoning, "+plural(int64(utf8.RuneCountInString(p.text)), "character", "characters"))), t.body(p.text))
	case partCall:
		return h.Div(h.Class("part call"), h.P(h.Class("toolname"), g.Text("calls "), h.Code(say(p.name)), id(p.id)), g.If(p.text != "", t.body(p.text)))
	case partResult:
		name := g.Group{g.Text("result")}
		if p.name != "" {
			name = g.Group{g.Text("result of "), h.Code(say(p.name))}
		}
		inside := t.body(p.text)
		if p.text == "" {
			inside = h.P(h.Class("cut"), g.Text("An empty result."))
		}
		return h.Div(h.Class("part result"), h.P(h.Class("toolname"), name, id(p.id)), inside)
	case partOther:
		return h.Div(h.Class("part"), h.P(h.Class("toolname"), g.If(p.name != "", h.Code(say(p.name)))), t.body(p.text))
	}
	return t.body(p.text)
}

func id(s string) g.Node {
	if s == "" {
		return nil
	}
	return h.Span(h.Class("id"), say(" "+s))
}

// shorten returns the beginning of a name that may be long, for a table.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	i := 0
	for at := range s {
		if i == n-1 {
			return s[:at] + "…"
		}
		i++
	}
	return s
}

// middle is a stored id, of which the middle is left out: its end tells it from others.
func middle(s string, n int) g.Node {
	runes := []rune(s)
	if len(runes) <= n {
		return say(s)
	}
	head := n / 3
	return h.Span(h.Title(visible(s)), say(string(runes[:head])+"…"+string(runes[len(runes)-(n-head-1):])))
}

// named is a stored name, shortened, with the whole of it as its title.
func named(s string, n int) g.Node {
	if short := shorten(s, n); short != s {
		return h.Span(h.Title(visible(s)+" ("+strconv.Itoa(utf8.RuneCountInString(s))+" characters)"), say(short))
	}
	return say(s)
}
