package dashboard

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
)

// Texts that are stored. All of them go through say, body or pre.

// say is a short stored text.
func say(s string) h.Node { return h.Text(visible(s)) }

// sayOr is a stored text, or a dash.
func sayOr(s *string) h.Node {
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
func (t *texts) body(s string) h.Node {
	list := pieces(s)
	size := shownBytes(list)
	if t.whole != "" && size > t.left {
		kept, _ := split(list, min(openText, max(t.left, 1<<10)))
		n := shownBytes(kept)
		t.left -= n
		return h.Group{pre(kept), h.P(h.Class("cut"), h.Text(bytesOf(size-n)+" of "+bytesOf(size)+" are not on this page. "), h.A(h.Href(t.whole), h.Text("Show everything")))}
	}
	t.left -= size
	head, rest := split(list, openText)
	if left := shownBytes(rest); left >= minRest {
		return h.Group{pre(head), h.Details(h.Class("rest"),
			h.Summary(h.Text("Show the other "+bytesOf(left)+" of "+bytesOf(size))), pre(rest))}
	}
	return pre(list)
}

// pre is stored text with its lines.
func pre(list []piece) h.Node {
	nodes := []h.Node{h.Class("text")}
	for _, p := range list {
		if p.data != "" {
			nodes = append(nodes, chip(p.kind, p.data))
		} else {
			nodes = append(nodes, say(p.text))
		}
	}
	return h.Pre(nodes...)
}

// piece is text, or data in base64, which is named and not shown.
type piece struct {
	text       string
	kind, data string
}

const minData = 512 // a shorter one could be a word that somebody reads

// dataURL is what stands before data in a URL.
var dataURL = regexp.MustCompile(`data:([a-zA-Z0-9.+-]{1,40}/[a-zA-Z0-9.+-]{1,80})(?:;[a-zA-Z0-9=._-]{1,80})*;base64,$`)

// pieces finds data in a text.
func pieces(s string) (list []piece) {
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && isBase64(s[i]) {
			i++
		}
		if i-start < minData {
			i++
			continue
		}
		end := i
		for i < len(s) && i < end+2 && s[i] == '=' {
			i++
		}
		p := piece{data: s[start:i]}
		from := max(0, start-400)
		if m := dataURL.FindStringSubmatchIndex(s[from:start]); m != nil {
			p.kind = s[from+m[2] : from+m[3]]
			start = from + m[0]
		}
		if start > 0 {
			list = append(list, piece{text: s[:start]})
		}
		list = append(list, p)
		s, i = s[i:], 0
	}
	if s != "" || len(list) == 0 {
		list = append(list, piece{text: s})
	}
	return list
}

func isBase64(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '_' || c == '-'
}

func shownBytes(list []piece) (n int) {
	for _, p := range list {
		n += len(p.text)
	}
	return n
}

// split returns the beginning of a text, about n bytes and at most openLines lines, and
// the rest.
func split(list []piece, n int) (head, rest []piece) {
	lines := openLines
	for i, p := range list {
		kept := cutLines(p.text, n, lines)
		if len(kept) < len(p.text) {
			return append(list[:i:i], piece{text: kept}), append([]piece{{text: p.text[len(kept):]}}, list[i+1:]...)
		}
		n -= len(kept)
		lines -= strings.Count(kept, "\n")
	}
	return list, nil
}

// chip stands for data in base64.
func chip(kind, data string) h.Node {
	if kind == "" {
		kind = "base64"
		if raw, err := base64.StdEncoding.DecodeString(data[:min(len(data), 512)&^3]); err == nil {
			if sniffed, _, _ := strings.Cut(http.DetectContentType(raw), ";"); sniffed != "application/octet-stream" {
				kind = sniffed
			}
		}
	}
	return h.Span(h.Class("chip"), h.Title("base64, not shown; the raw text has it"), h.Text(kind+", "+size(float64(len(data)*3/4))))
}

// cutLines returns about the first n bytes of s, up to the end of a line if one is near,
// and at most so many lines. It does not end inside a character.
func cutLines(s string, n, lines int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		if i := strings.LastIndexByte(s[:n], '\n'); i > n/2 {
			n = i + 1
		}
		s = s[:n]
	}
	for i := range len(s) {
		if s[i] == '\n' {
			if lines--; lines <= 0 {
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
func (t *texts) conversation(list []message, fold bool) h.Node {
	first := 0
	if fold {
		first = max(len(list)-recent, 0)
	}
	// What the model was told to be comes before all, folded by itself.
	var nodes []h.Node
	system := 0
	for system < len(list) && (list[system].role == "system" || list[system].role == "developer") {
		system++
	}
	for i := range list[:system] {
		nodes = append(nodes, t.message(&list[i]))
	}
	if earlier := list[system:max(first, system)]; len(earlier) > 1 {
		n, inside := 0, []h.Node{}
		for i := range earlier {
			n += earlier[i].size()
			inside = append(inside, t.message(&earlier[i]))
		}
		nodes = append(nodes, h.Details(h.Class("earlier"),
			h.Summary(h.Text(plural(int64(len(earlier)), "earlier message", "earlier messages")+", "+bytesOf(n))), h.Group(inside)))
	} else {
		first = system
	}
	for i := max(first, system); i < len(list); i++ {
		nodes = append(nodes, t.message(&list[i]))
	}
	return h.Group(nodes)
}

var roles = map[string]string{"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "model": "assistant", "tool": "tool", "function": "tool"}

// message shows one.
func (t *texts) message(m *message) h.Node {
	if m.omitted > 0 {
		return h.P(h.Class("omitted"), h.Text(plural(int64(m.omitted), "message", "messages")+" left out when this was stored, for want of room (OCT_MAX_TEXT_BYTES)"))
	}
	class := roles[m.role]
	if class == "" {
		class = "other"
	}
	var nodes []h.Node
	for i := range m.parts {
		nodes = append(nodes, t.part(&m.parts[i]))
	}
	if len(m.parts) == 0 {
		nodes = append(nodes, h.P(h.Class("cut"), h.Text("An empty message.")))
	}
	role := h.Span(h.Class("role"), say(m.role))
	size := h.Span(h.Class("size"), h.Text(plural(int64(utf8len(m)), "character", "characters")))
	if class == "system" && m.size() > 300 {
		return h.Details(h.Class("message "+class), h.Summary(role, size), h.Group(nodes))
	}
	return h.Article(h.Class("message "+class), h.Header(role, size,
		h.If(m.finish != "", h.Span(h.Class("size"), h.Text("stopped: "), say(m.finish)))), h.Group(nodes))
}

func utf8len(m *message) (n int) {
	for i := range m.parts {
		n += utf8.RuneCountInString(m.parts[i].text)
	}
	return n
}

func (t *texts) part(p *part) h.Node {
	switch p.kind {
	case partReasoning:
		return h.Details(h.Class("part reasoning"), h.Summary(h.Text("reasoning, "+plural(int64(utf8.RuneCountInString(p.text)), "character", "characters"))), t.body(p.text))
	case partCall:
		return h.Div(h.Class("part call"), h.P(h.Class("toolname"), h.Text("calls "), h.Code(say(p.name)), id(p.id)), h.If(p.text != "", t.body(p.text)))
	case partResult:
		name := h.Group{h.Text("result")}
		if p.name != "" {
			name = h.Group{h.Text("result of "), h.Code(say(p.name))}
		}
		inside := t.body(p.text)
		if p.text == "" {
			inside = h.P(h.Class("cut"), h.Text("An empty result."))
		}
		return h.Div(h.Class("part result"), h.P(h.Class("toolname"), name, id(p.id)), inside)
	case partOther:
		return h.Div(h.Class("part"), h.P(h.Class("toolname"), h.If(p.name != "", h.Code(say(p.name)))), t.body(p.text))
	}
	return t.body(p.text)
}

func id(s string) h.Node {
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
func middle(s string, n int) h.Node {
	runes := []rune(s)
	if len(runes) <= n {
		return say(s)
	}
	head := n / 3
	return h.Span(h.Title(visible(s)), say(string(runes[:head])+"…"+string(runes[len(runes)-(n-head-1):])))
}

// named is a stored name, shortened, with the whole of it as its title.
func named(s string, n int) h.Node {
	if short := shorten(s, n); short != s {
		return h.Span(h.Title(visible(s)+" ("+strconv.Itoa(utf8.RuneCountInString(s))+" characters)"), say(short))
	}
	return say(s)
}
