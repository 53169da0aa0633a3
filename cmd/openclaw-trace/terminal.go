package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kon-rad/openclaw-trace/internal/readable"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// style is how a text is shown on a terminal, as SGR has it.
type style string

// The styles.
const (
	plain style = ""
	bold  style = "1"
	dim   style = "2"
	red   style = "31"
	green style = "32"
	amber style = "33"
	blue  style = "36"
)

// terminal writes results for people. What is written to it stays in memory until flush,
// so that errors are looked at once.
type terminal struct {
	bytes.Buffer
	out     io.Writer
	colours bool
	zone    *time.Location
}

// newTerminal returns one on stdout, in colours if that is a terminal and nobody minds.
func newTerminal(stdout io.Writer, environ []string, zone *time.Location) *terminal {
	return &terminal{out: stdout, colours: isTerminal(stdout) && getenv(environ, "NO_COLOR") == "" && getenv(environ, "TERM") != "dumb", zone: zone}
}

// isTerminal tells whether w is a device that shows characters.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func getenv(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// flush shows what was written.
func (t *terminal) flush() error {
	_, err := t.WriteTo(t.out)
	return err
}

func (t *terminal) printf(format string, args ...any) { fmt.Fprintf(t, format, args...) }

// paint returns s, which holds nothing that is stored, in a style.
func (t *terminal) paint(s string, as style) string {
	if !t.colours || as == plain || s == "" {
		return s
	}
	return "\x1b[" + string(as) + "m" + s + "\x1b[0m"
}

// strong paints c, in bold unless it has a style of its own.
func (t *terminal) strong(c cell) string {
	if c.as == plain {
		c.as = bold
	}
	return t.paint(c.text, c.as)
}

// clock writes a moment in Unix ms to the second.
func (t *terminal) clock(ms int64) string { return time.UnixMilli(ms).In(t.zone).Format(time.DateTime) }

// cell is a cell of a table.
type cell struct {
	text string
	as   style
}

// table writes rows below their names. Columns whose name begins with > are numbers; the
// last one is as long as its texts are.
func (t *terminal) table(names []string, rows [][]cell) {
	head := make([]cell, len(names))
	for i, name := range names {
		head[i] = cell{strings.TrimPrefix(name, ">"), dim}
	}
	rows = append([][]cell{head}, rows...)
	widths := make([]int, len(names))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		for i, c := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			switch {
			case strings.HasPrefix(names[i], ">"):
				t.WriteString(space + t.paint(c.text, c.as))
			case i == len(row)-1:
				t.WriteString(t.paint(c.text, c.as))
			default:
				t.WriteString(t.paint(c.text, c.as) + space)
			}
			if i < len(row)-1 {
				t.WriteString("  ")
			}
		}
		t.WriteByte('\n')
	}
}

// line returns a stored text as one line that drives no terminal, cut to n characters.
func line(s string, n int) string {
	s = strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ", "\r", " ").Replace(s)
	if utf8.RuneCountInString(s) > n {
		s = string([]rune(s)[:n-1]) + "…"
	}
	return readable.Visible(strings.ToValidUTF8(s, "\ufffd"))
}

// ending is line for what differs at its end, such as the ids of sessions.
func ending(s string, n int) string {
	if r := []rune(s); len(r) > n {
		s = "…" + string(r[len(r)-n+1:])
	}
	return line(s, n)
}

// text returns a stored text with its lines, each behind an indent.
func text(s, indent string) string {
	s = strings.ReplaceAll(readable.Visible(strings.ToValidUTF8(s, "\ufffd")), "\r\n", "\n")
	s = strings.TrimRight(strings.ReplaceAll(s, "\r", "␍"), "\n")
	return indent + strings.ReplaceAll(s, "\n", "\n"+indent)
}

// harmless makes JSON or CSV that a terminal cannot be driven by: what it could be driven
// by becomes an escape of JSON, which means the same there. It is for stdout if that is a
// terminal; files get what is stored.
type harmless struct {
	w    io.Writer
	rest []byte // the beginning of a character
}

func forTerminal(stdout io.Writer) io.Writer {
	if isTerminal(stdout) {
		return &harmless{w: stdout}
	}
	return stdout
}

func (h *harmless) Write(p []byte) (int, error) {
	in := append(h.rest, p...)
	out := make([]byte, 0, len(in))
	for len(in) > 0 && utf8.FullRune(in) {
		r, n := utf8.DecodeRune(in)
		switch {
		case r == '\n' || r == '\t':
			out = append(out, byte(r))
		case r == '\r' || readable.Hidden(r):
			out = appendEscape(out, r)
		default:
			out = utf8.AppendRune(out, r)
		}
		in = in[n:]
	}
	h.rest = append([]byte(nil), in...)
	if _, err := h.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func appendEscape(b []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		return fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// What is not known has a word of its own, never 0.

func orUnknown[T any](v *T, format func(T) string) cell {
	if v == nil {
		return cell{"unknown", amber}
	}
	return cell{format(*v), plain}
}

// sumCost is what calls cost, as far as it is known.
func sumCost(s view.Sums) cell { return orUnknown(s.CostUSD(), readable.Dollars) }

// sumTokens is n, unless no call of these says how many tokens it took.
func sumTokens(s view.Sums, n int64) cell {
	if s.Tokens() == nil {
		return cell{"unknown", amber}
	}
	return cell{readable.Short(n), plain}
}

// some is a number that stands out if it is not 0.
func some(n int64, as style) cell {
	if n == 0 {
		return cell{"0", dim}
	}
	return cell{readable.Count(n), as}
}

func statusStyle(status string) style {
	switch status {
	case "ok":
		return green
	case "warning", "timeout":
		return amber
	}
	return red
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
