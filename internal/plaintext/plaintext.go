// Package plaintext writes an HTML text as plain text, for people whose mail program shows that
// or who prefer it.
//
// [FromHTML] keeps what a reader would miss: paragraphs, line ends, lists, quotes, what links lead to,
// the words that stand for images. Tables become a line a row. What is not meant to be read, such as
// style sheets, scripts and what is styled away, is left out. The result has no markup and is
// bounded by the text it was made of.
package plaintext

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	maxLists  = 8  // lists inside each other that are still set off
	maxHidden = 64 // elements inside one that is left out, counted for its end
)

// FromHTML returns the text. Markup that is wrong is read as browsers do, roughly. Time is linear.
func FromHTML(source string) string {
	w := writer{}
	z := html.NewTokenizer(strings.NewReader(source))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF { // a token beyond the tokenizer's limit, which it does not have
				return strings.TrimSpace(w.out.String())
			}
			return w.text()
		case html.TextToken:
			w.words(string(z.Text()))
		case html.StartTagToken:
			w.start(z.Token(), false)
		case html.SelfClosingTagToken:
			w.start(z.Token(), true)
		case html.EndTagToken:
			w.end(z.Token().DataAtom)
		}
	}
}

// A writer writes the text as it comes to know it.
type writer struct {
	out     strings.Builder
	newline int  // line ends that are due before the next word
	space   bool // a space is due
	begun   bool // something was written

	skip     atom.Atom // what is left out until its end; 0: nothing
	skipping int       // how deep in it
	pre      int       // <pre> inside each other
	quotes   int
	lists    []list
	links    []link
}

// A list is a list that is open.
type list struct {
	ordered bool
	next    int
}

// A link is a link that is open: where it leads, and where its words begin.
type link struct {
	target string
	from   int
}

// text returns what was written.
func (w *writer) text() string {
	s := strings.Trim(w.out.String(), " \n")
	if s == "" {
		return ""
	}
	return s + "\n"
}

// words writes text with its white space as HTML means it.
func (w *writer) words(s string) {
	if w.skip != 0 {
		return
	}
	if w.pre > 0 {
		for i, line := range strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
			if i > 0 {
				w.newline = max(w.newline+1, 1)
			}
			if line != "" {
				w.put(line)
			}
		}
		return
	}
	if s != "" && isSpace(s[0]) {
		w.space = true
	}
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) }) {
		w.put(strings.ReplaceAll(word, "\u00a0", " "))
		w.space = true
	}
	if s != "" && !isSpace(s[len(s)-1]) {
		w.space = false
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

// put writes a word after the line ends or the space that are due.
func (w *writer) put(word string) {
	switch {
	case w.newline > 0:
		if w.begun {
			w.out.WriteString(strings.Repeat("\n", min(w.newline, 2)))
		}
		w.out.WriteString(strings.Repeat("> ", min(w.quotes, maxLists)))
		w.out.WriteString(w.indent())
	case w.space && w.begun:
		w.out.WriteByte(' ')
	}
	w.newline, w.space, w.begun = 0, false, true
	w.out.WriteString(word)
}

// indent is what a line inside lists begins with.
func (w *writer) indent() string { return strings.Repeat("  ", min(max(len(w.lists)-1, 0), maxLists)) }

// lines asks for so many line ends before the next word.
func (w *writer) lines(n int) {
	if n == 0 {
		return
	}
	w.newline = max(w.newline, n)
	w.space = false
}

// start takes the start of an element.
func (w *writer) start(t html.Token, closed bool) {
	if w.skip != 0 {
		if t.DataAtom == w.skip && !closed && w.skipping < maxHidden {
			w.skipping++
		}
		return
	}
	if unread(t) && !closed && !void(t.DataAtom) {
		w.skip, w.skipping = t.DataAtom, 1
		return
	}
	switch t.DataAtom {
	case atom.Br:
		w.newline++
		w.space = false
	case atom.Hr:
		w.lines(2)
		w.put("---")
		w.lines(2)
	case atom.Img:
		w.words(attribute(t, "alt"))
	case atom.A:
		w.links = append(w.links, link{attribute(t, "href"), w.out.Len()})
	case atom.Ul, atom.Ol:
		w.lines(1 + btoi(len(w.lists) == 0))
		w.lists = append(w.lists, list{ordered: t.DataAtom == atom.Ol, next: 1})
	case atom.Li:
		w.lines(1)
		w.put(w.bullet())
		w.space = true
	case atom.Pre:
		w.lines(2)
		w.pre++
	case atom.Blockquote:
		w.lines(2)
		w.quotes++
	case atom.Td, atom.Th:
		w.space = true
	default:
		w.lines(blockLines(t.DataAtom))
	}
}

// bullet is what an item of the innermost list begins with.
func (w *writer) bullet() string {
	if len(w.lists) == 0 {
		return "-"
	}
	l := &w.lists[len(w.lists)-1]
	if !l.ordered {
		return "-"
	}
	l.next++
	return strconv.Itoa(l.next-1) + "."
}

// end takes the end of an element.
func (w *writer) end(a atom.Atom) {
	if w.skip != 0 {
		if a == w.skip {
			if w.skipping--; w.skipping == 0 {
				w.skip = 0
			}
		}
		return
	}
	switch a {
	case atom.A:
		w.endLink()
	case atom.Ul, atom.Ol:
		if len(w.lists) > 0 {
			w.lists = w.lists[:len(w.lists)-1]
		}
		w.lines(1 + btoi(len(w.lists) == 0))
	case atom.Pre:
		w.pre = max(w.pre-1, 0)
		w.lines(2)
	case atom.Blockquote:
		w.quotes = max(w.quotes-1, 0)
		w.lines(2)
	case atom.Br, atom.Hr, atom.Img:
	case atom.Td, atom.Th:
		w.space = true
	default:
		w.lines(blockLines(a))
	}
}

// endLink tells where a link leads, unless its words do.
func (w *writer) endLink() {
	if len(w.links) == 0 {
		return
	}
	l := w.links[len(w.links)-1]
	w.links = w.links[:len(w.links)-1]
	target := strings.TrimSpace(l.target)
	lower := strings.ToLower(target)
	if target == "" || strings.HasPrefix(target, "#") || strings.HasPrefix(lower, "javascript:") || strings.HasPrefix(lower, "data:") || strings.ContainsAny(target, "\r\n") {
		return
	}
	words := strings.TrimSpace(w.out.String()[l.from:])
	if bare := strings.TrimPrefix(target, "mailto:"); words == target || words == bare || words == strings.TrimPrefix(strings.TrimPrefix(bare, "https://"), "http://") && words != "" {
		return
	}
	w.space = true
	w.put(fmt.Sprintf("<%s>", target))
}

// blockLines is how many line ends stand before and after an element.
func blockLines(a atom.Atom) int {
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Dl, atom.Table, atom.Figure:
		return 2
	case atom.Div, atom.Tr, atom.Dt, atom.Dd, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Address, atom.Form,
		atom.Fieldset, atom.Figcaption, atom.Nav, atom.Aside, atom.Center, atom.Body, atom.Caption, atom.Tbody, atom.Thead, atom.Tfoot:
		return 1
	}
	return 0
}

// unread reports whether an element is not meant to be read.
func unread(t html.Token) bool {
	switch t.DataAtom {
	case atom.Head, atom.Style, atom.Script, atom.Title, atom.Noscript, atom.Template, atom.Svg, atom.Object, atom.Iframe, atom.Textarea, atom.Select:
		return true
	}
	style := strings.ReplaceAll(strings.ToLower(attribute(t, "style")), " ", "")
	return strings.Contains(style, "display:none")
}

// void reports whether an element has no end.
func void(a atom.Atom) bool {
	switch a {
	case atom.Br, atom.Hr, atom.Img, atom.Input, atom.Meta, atom.Link, atom.Col, atom.Area, atom.Base, atom.Wbr, atom.Source, atom.Track, atom.Embed:
		return true
	}
	return false
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
