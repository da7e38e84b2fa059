package markup

import (
	"strings"

	"golang.org/x/net/html"
)

// HTML returns the document with the edit made. Links are the href attributes of a and area
// elements and of Outlook's drawings (v:roundrect and its kin), in conditional comments
// too, since that is where bulletproof buttons are. Comments of another kind, scripts, styles and
// every other attribute stay. The document is in a character set that contains ASCII.
func HTML(src string, e Edit) string {
	src = e.fill(src)
	if e.Link == nil && e.Footer == "" && e.Pixel == "" {
		return src
	}
	d := scan(src, e.Link)
	if e.Footer != "" {
		d.add(d.bottom, e.fill(e.Footer))
	}
	if e.Pixel != "" {
		at := d.bottom
		if e.PixelTop {
			at = d.top
		}
		d.add(at, `<img src="`+e.Pixel+`" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`)
	}
	return apply(src, d.changes)
}

// A document is what was found in HTML.
type document struct {
	changes []change
	// top and bottom are where something visible can be added before and behind all else.
	top, bottom int
}

func (d *document) add(at int, text string) {
	d.changes = append(d.changes, change{at, at, text})
}

// scan goes over a document.
func scan(src string, link func(string) (string, bool)) document {
	s := scanner{src: src, link: link, top: -1, body: -1, end: -1, raw: -1}
	s.run(html.NewTokenizer(strings.NewReader(src)))
	return document{s.changes, s.firstPlace(), s.lastPlace()}
}

// A scanner goes over HTML token by token. Tokens, joined, are the source.
type scanner struct {
	src  string
	link func(string) (string, bool)

	changes []change
	at      int // where the token begins
	next    int // where it ends

	top  int // end of what belongs before the body; -1 while that lasts
	body int // beginning of the last </body>, or -1
	end  int // beginning of the last </html>, or -1
	raw  int // beginning of the element whose text is not markup, while in it, or -1
}

func (s *scanner) run(z *html.Tokenizer) {
	for {
		kind := z.Next()
		if n := len(z.Raw()); n > 0 { // at the end there is a rest only where a tag was not closed
			s.at, s.next = s.next, s.next+n
		}
		switch kind {
		case html.ErrorToken:
			return
		case html.TextToken:
			if s.raw < 0 && strings.Trim(s.src[s.at:s.next], " \t\r\n\f") != "" {
				s.content(s.at)
			}
		case html.CommentToken:
			s.comment()
		case html.StartTagToken, html.SelfClosingTagToken:
			s.startTag(z)
		case html.EndTagToken:
			s.endTag(z)
		}
	}
}

// content notes that the body has begun, at the latest there.
func (s *scanner) content(at int) {
	if s.top < 0 {
		s.top = at
	}
}

// headElements come before the body of a document, whether it says where that begins or not.
func headElement(name string) bool {
	switch name {
	case "html", "head", "meta", "title", "link", "style", "script", "base", "noscript":
		return true
	}
	return false
}

// rawElement reports whether the text of the element is not markup for the tokenizer.
func rawElement(name string) bool {
	switch name {
	case "iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "title", "textarea", "xmp":
		return true
	}
	return false
}

func (s *scanner) startTag(z *html.Tokenizer) {
	tag, attributes := z.TagName()
	name := string(tag)
	switch {
	case name == "body":
		s.content(s.next)
	case !headElement(name):
		s.content(s.at)
	}
	if rawElement(name) {
		s.raw = s.at
	}
	if s.link == nil || !attributes || name != "a" && name != "area" && !strings.HasPrefix(name, "v:") {
		return
	}
	for more := true; more; {
		var key, value []byte
		if key, value, more = z.TagAttr(); string(key) == "href" {
			s.href(string(value))
			return
		}
	}
}

// href replaces the value of the tag's first href attribute, which reads as value.
func (s *scanner) href(value string) {
	start, end, ok := attribute(s.src[s.at:s.next], "href")
	if !ok {
		return
	}
	u, ok := followed(value)
	if !ok {
		return
	}
	if with, ok := s.link(u); ok {
		s.changes = append(s.changes, change{s.at + start, s.at + end, with})
	}
}

func (s *scanner) endTag(z *html.Tokenizer) {
	s.raw = -1
	switch tag, _ := z.TagName(); string(tag) {
	case "body":
		s.content(s.at)
		s.body = s.at
	case "html":
		s.content(s.at)
		s.end = s.at
	}
}

// Marks of a conditional comment. Outlook takes what is between them for markup.
const (
	conditionStart = "<!--[if"
	conditionEnd   = "]>"
	commentEnd     = "<![endif]-->"
)

// comment looks into a comment that is markup for Outlook: "<!--[if mso]> … <![endif]-->". The two halves
// around what Outlook alone must not see, "<!--[if !mso]><!-->" and "<!--<![endif]-->", are comments
// without content.
func (s *scanner) comment() {
	text := s.src[s.at:s.next]
	if s.link == nil || !hasPrefixFold(text, conditionStart) || !strings.HasSuffix(strings.ToLower(text), commentEnd) {
		return
	}
	start := strings.Index(text, conditionEnd)
	if start += len(conditionEnd); start > len(text)-len(commentEnd) {
		return
	}
	inner := scanner{src: text[start : len(text)-len(commentEnd)], link: s.link}
	inner.run(html.NewTokenizer(strings.NewReader(inner.src)))
	for _, c := range inner.changes {
		s.changes = append(s.changes, change{c.start + s.at + start, c.end + s.at + start, c.with})
	}
}

// firstPlace is where something can be put before all that is visible.
func (s *scanner) firstPlace() int {
	if s.top < 0 {
		return s.lastPlace()
	}
	return s.top
}

// lastPlace is where something can be put behind all that is visible: before the end of
// the body, or where the document ends. What was begun and never closed, so that it
// swallows the rest, is not entered.
func (s *scanner) lastPlace() int {
	switch {
	case s.body >= 0:
		return s.body
	case s.end >= 0:
		return s.end
	case s.raw >= 0:
		return s.raw
	case s.unfinished():
		return s.at
	}
	return s.next
}

// unfinished reports whether the source ends within its last token: a tag that is not closed, which the
// tokenizer does not report, or a comment. The last token then begins at s.at.
func (s *scanner) unfinished() bool {
	last := s.src[s.at:]
	switch {
	case strings.HasPrefix(last, "<!--"):
		return len(last) < len("<!---->") || !strings.HasSuffix(last, "-->")
	case strings.HasPrefix(last, "<"):
		return !strings.HasSuffix(last, ">")
	}
	return false
}
