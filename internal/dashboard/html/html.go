// Package html writes HTML as Go calls that are nested like its elements.
//
// It is here for its size and for what it cannot say. A library of closures is inlined at
// each of a thousand calls and makes the binary a megabyte larger; a template engine needs
// reflection and twice that. And there is no way to put a string on a page but as text or
// as the value of an attribute, both escaped, and none to a link, a form or a file that is
// not on this server.
package html

import (
	"bytes"
	"strings"
)

// Node is a piece of a page: an element, an attribute of one, or text. A nil Node is
// nothing.
type Node interface {
	// render writes the attributes of what is an attribute, or the content of what is not.
	render(b *bytes.Buffer, attributes bool)
}

// Render returns n as HTML.
func Render(n Node) []byte {
	var b bytes.Buffer
	if n != nil {
		n.render(&b, false)
	}
	return b.Bytes()
}

// Group is nodes, one after the other.
type Group []Node

func (g Group) render(b *bytes.Buffer, attributes bool) {
	for _, n := range g {
		if n != nil {
			n.render(b, attributes)
		}
	}
}

// If returns n if there is a reason to.
func If(reason bool, n Node) Node {
	if reason {
		return n
	}
	return nil
}

// Text is text, whatever is in it.
type Text string

func (t Text) render(b *bytes.Buffer, attributes bool) {
	if !attributes {
		_, _ = escaper.WriteString(b, string(t)) // a Buffer takes everything
	}
}

// A carriage return is written by its number, because a browser reads a bare one as a
// line feed. NUL is none in HTML.
var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "\r", "&#13;", "\x00", "\uFFFD")

type attribute struct {
	name  string
	value string
	flag  bool // it has no value
}

func (a *attribute) render(b *bytes.Buffer, attributes bool) {
	if !attributes {
		return
	}
	b.WriteByte(' ')
	b.WriteString(a.name)
	if a.flag {
		return
	}
	b.WriteString(`="`)
	_, _ = escaper.WriteString(b, a.value)
	b.WriteByte('"')
}

// Attr is an attribute. Its name is ours, never one that was stored.
//
//go:noinline
func Attr(name, value string) Node { return &attribute{name: name, value: value} }

// Flag is an attribute without a value.
func Flag(name string) Node { return &attribute{name: name, flag: true} }

// local is an attribute whose value leads to this server. One that leads elsewhere is
// left out, so that a mistake of ours is a link that does nothing.
func local(name, url string) Node {
	path := strings.HasPrefix(url, "/") && !strings.HasPrefix(url, "//") && !strings.ContainsAny(url, "\\\t\r\n")
	if !path && !strings.HasPrefix(url, "#") {
		return nil
	}
	return Attr(name, url)
}

type element struct {
	name  string
	nodes []Node
}

// void are the elements that have no content.
var void = map[string]bool{"input": true, "link": true, "meta": true}

func (e *element) render(b *bytes.Buffer, attributes bool) {
	if attributes {
		return
	}
	b.WriteByte('<')
	b.WriteString(e.name)
	Group(e.nodes).render(b, true)
	b.WriteByte('>')
	if void[e.name] {
		return
	}
	if e.name == "pre" {
		b.WriteByte('\n') // a parser drops one; without it, that would be the text's own
	}
	Group(e.nodes).render(b, false)
	b.WriteString("</")
	b.WriteString(e.name)
	b.WriteByte('>')
}

// El is an element with its attributes and its content. Its name is ours.
//
//go:noinline
func El(name string, nodes ...Node) Node { return &element{name, nodes} }

type document struct{ root Node }

func (d document) render(b *bytes.Buffer, attributes bool) {
	if !attributes {
		b.WriteString("<!doctype html>")
		d.root.render(b, false)
	}
}

// Document is a whole page.
func Document(root Node) Node { return document{root} }
