package handlebars

import (
	"fmt"
	"strings"
)

// A kind is what a piece of a template is.
type kind uint8

const (
	content     kind = iota
	comment          // {{! … }}
	value            // {{path}}
	rawValue         // {{{path}}}, {{&path}}
	open             // {{#…}}
	openInverse      // {{^…}}
	elseTag          // {{else}}, {{^}}
	elseChain        // {{else if …}}
	closing          // {{/…}}
)

// A piece is a run of text or a tag.
type piece struct {
	kind kind
	line int
	text string // of a tag: what is inside, without the signs
	// stripLeft and stripRight: the tag takes all white space beside it away ({{~ ~}}).
	stripLeft, stripRight bool
}

// tag returns the tag much as it was written.
func (c *piece) tag() string {
	switch c.kind {
	case open:
		return "#" + c.text
	case openInverse:
		return "^" + c.text
	case closing:
		return "/" + c.text
	case elseTag, elseChain:
		return "else " + c.text
	}
	return c.text
}

// A splitter cuts a template into pieces.
type splitter struct {
	rest   string
	line   int
	pieces []piece
}

// split cuts a template into pieces.
func split(source string) ([]piece, error) {
	s := splitter{rest: source, line: 1}
	for s.rest != "" {
		at := strings.Index(s.rest, "{{")
		if at < 0 {
			s.add(s.rest)
			break
		}
		before := s.rest[:at]
		switch {
		case strings.HasSuffix(before, `\\`): // a backslash, then a tag
			s.add(before[:len(before)-1])
		case strings.HasSuffix(before, `\`): // no tag: what stands here up to the next one is text
			s.add(before[:len(before)-1])
			s.rest = s.rest[at:]
			braces := len(s.rest) - len(strings.TrimLeft(s.rest, "{"))
			s.add(s.rest[:braces])
			s.rest = s.rest[braces:]
			continue
		default:
			s.add(before)
		}
		s.rest = s.rest[at:]
		if err := s.tag(); err != nil {
			return nil, err
		}
	}
	return s.pieces, nil
}

// add adds content.
func (s *splitter) add(t string) {
	if t == "" {
		return
	}
	s.pieces = append(s.pieces, piece{kind: content, line: s.line, text: t})
	s.line += strings.Count(t, "\n")
}

// tag reads the tag that the rest begins with.
func (s *splitter) tag() error {
	c := piece{line: s.line}
	if strings.HasPrefix(s.rest, "{{{{") {
		return &SyntaxError{s.line, "raw blocks {{{{…}}}} are not supported"}
	}
	inner := s.rest[2:]
	if strings.HasPrefix(inner, "~") {
		c.stripLeft, inner = true, inner[1:]
	}
	end, closed := 0, false
	switch {
	case strings.HasPrefix(inner, "!--"):
		c.kind = comment
		end, closed = endOfComment(inner, "--")
	case strings.HasPrefix(inner, "!"):
		c.kind = comment
		end, closed = endOfComment(inner, "")
	case strings.HasPrefix(inner, "{"):
		c.kind, inner = rawValue, inner[1:]
		end, closed = endOfTag(inner, "}")
	default:
		end, closed = endOfTag(inner, "")
	}
	if !closed {
		return &SyntaxError{s.line, "a tag {{ is never closed with }}"}
	}
	body, after := inner[:end], inner[end:]
	after = strings.TrimPrefix(after, "--")
	if c.kind == rawValue {
		after = strings.TrimPrefix(after, "}")
	}
	if strings.HasPrefix(after, "~") {
		c.stripRight, after = true, after[1:]
	}
	after = strings.TrimPrefix(after, "}}")
	s.line += strings.Count(s.rest[:len(s.rest)-len(after)], "\n")
	s.rest = after
	if c.kind == content { // not decided yet
		if err := c.classify(body); err != nil {
			return err
		}
	} else {
		c.text = body
	}
	s.pieces = append(s.pieces, c)
	return nil
}

// classify tells by its first signs what a tag is.
func (c *piece) classify(body string) error {
	trimmed := strings.TrimSpace(body)
	first, rest := "", ""
	if trimmed != "" {
		first, rest = trimmed[:1], strings.TrimSpace(trimmed[1:])
	}
	switch {
	case first == ">" || strings.HasPrefix(trimmed, "#>"):
		return &SyntaxError{c.line, "partials are not supported"}
	case first == "*" || strings.HasPrefix(trimmed, "#*"):
		return &SyntaxError{c.line, "decorators are not supported"}
	case first == "#":
		c.kind, c.text = open, rest
	case first == "/":
		c.kind, c.text = closing, rest
	case trimmed == "^" || trimmed == "else":
		c.kind = elseTag
	case first == "^":
		c.kind, c.text = openInverse, rest
	case strings.HasPrefix(trimmed, "else") && strings.ContainsAny(trimmed[4:5], " \t\r\n"):
		c.kind, c.text = elseChain, strings.TrimSpace(trimmed[4:])
	case first == "&":
		c.kind, c.text = rawValue, rest
	default:
		c.kind, c.text = value, trimmed
	}
	return nil
}

// endOfComment finds where the closing of a comment begins.
func endOfComment(inner, dashes string) (int, bool) {
	least := 1 // the !
	if dashes != "" {
		least = len("!--")
	}
	for from := least; ; {
		at := strings.Index(inner[from:], "}}")
		if at < 0 {
			return 0, false
		}
		at += from
		body := strings.TrimSuffix(inner[least:at], "~")
		if strings.HasSuffix(body, dashes) {
			return least + len(body) - len(dashes), true
		}
		from = at + 1
	}
}

// endOfTag finds where the closing of a tag begins, passing over strings and [literals].
func endOfTag(inner, brace string) (int, bool) {
	for at := 0; at < len(inner); at++ {
		switch inner[at] {
		case '"', '\'':
			n := endOfString(inner[at:])
			if n < 0 {
				return 0, false
			}
			at += n - 1
		case '[':
			n := strings.IndexByte(inner[at:], ']')
			if n < 0 {
				return 0, false
			}
			at += n
		case '}', '~':
			if strings.HasPrefix(inner[at:], brace+"}}") || strings.HasPrefix(inner[at:], brace+"~}}") {
				return at, true
			}
		}
	}
	return 0, false
}

// endOfString returns the length of the string that s begins with, quotes included; -1 if it
// does not end.
func endOfString(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return -1
}

// trim takes away white space: where a tag asks for it, and where tags stand alone on their line,
// which then leaves no empty line behind.
func trim(pieces []piece) {
	alone := make([]bool, len(pieces))
	for i := range pieces {
		alone[i] = standsAlone(pieces, i)
	}
	for i, c := range pieces {
		if c.kind == content {
			continue
		}
		if i > 0 && pieces[i-1].kind == content {
			before := &pieces[i-1].text
			switch {
			case c.stripLeft:
				*before = strings.TrimRight(*before, whiteSpace)
			case alone[i]:
				*before = strings.TrimRight(*before, " \t")
			}
		}
		if i+1 < len(pieces) && pieces[i+1].kind == content {
			after := &pieces[i+1].text
			switch {
			case c.stripRight:
				*after = strings.TrimLeft(*after, whiteSpace)
			case alone[i]:
				line := strings.TrimLeft(*after, " \t")
				line = strings.TrimPrefix(line, "\r")
				*after = strings.TrimPrefix(line, "\n")
			}
		}
	}
}

const whiteSpace = " \t\r\n"

// standsAlone reports whether nothing but white space is on the line of a tag that puts nothing.
func standsAlone(pieces []piece, i int) bool {
	switch pieces[i].kind {
	case content, value, rawValue:
		return false
	}
	if i > 0 {
		before := pieces[i-1]
		blank := before.text[strings.LastIndexByte(before.text, '\n')+1:]
		newline := len(blank) < len(before.text) || i == 1
		if before.kind != content || !newline || strings.Trim(blank, " \t\r") != "" {
			return false
		}
	}
	if i+1 == len(pieces) {
		return true
	}
	after := pieces[i+1]
	blank, _, newline := strings.Cut(after.text, "\n")
	return after.kind == content && (newline || i+2 == len(pieces)) && strings.Trim(blank, " \t\r") == ""
}

// words cuts the inside of a tag into words.
type words struct {
	rest string
	line int
}

// next returns the next word as it is written; empty at the end.
func (w *words) next() (string, error) {
	w.rest = strings.TrimLeft(w.rest, whiteSpace)
	at := 0
	for at < len(w.rest) && !strings.ContainsRune(whiteSpace, rune(w.rest[at])) {
		switch w.rest[at] {
		case '"', '\'':
			n := endOfString(w.rest[at:])
			if n < 0 {
				return "", &SyntaxError{w.line, "a string does not end"}
			}
			at += n - 1
		case '[':
			n := strings.IndexByte(w.rest[at:], ']')
			if n < 0 {
				return "", &SyntaxError{w.line, "a [ is never closed with ]"}
			}
			at += n
		case '(', ')':
			return "", &SyntaxError{w.line, "subexpressions ( ) are not supported"}
		}
		at++
	}
	word := w.rest[:at]
	w.rest = strings.TrimLeft(w.rest[at:], whiteSpace)
	return word, nil
}

// blockNames reads |item index|; "as" was read.
func (w *words) blockNames() ([]string, error) {
	inside, rest, closed := strings.Cut(w.rest[1:], "|")
	names := strings.Fields(inside)
	if !closed || len(names) == 0 || len(names) > 2 {
		return nil, &SyntaxError{w.line, "as |…| needs one or two names"}
	}
	for _, name := range names {
		if strings.ContainsAny(name, notInNames+"./") {
			return nil, &SyntaxError{w.line, fmt.Sprintf("%s is no name", shown(name))}
		}
	}
	w.rest = rest
	return names, nil
}
