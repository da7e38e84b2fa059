package handlebars

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits on a template.
const (
	MaxSource   = 100 << 10 // octets
	MaxDepth    = 20        // blocks inside each other
	maxBranches = 200       // else parts of one block
)

// A SyntaxError says what is wrong with a template, and where.
type SyntaxError struct {
	Line    int // from 1
	Problem string
}

// Error returns line and problem, with nothing of the template that is not printable.
func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// A Template is a template that was understood. It does not change and may be used by many
// goroutines.
type Template struct{ body []node }

// A node is a text, an output or a *block.
type node any

// text is what stands between tags.
type text string

// An output is a value put into the text.
type output struct {
	value operand
	raw   bool // not escaped
}

// A block is a helper with the text it decides about.
type block struct {
	helper      string // if, unless, each, with, equal; empty: a section, {{#path}}
	inverted    bool   // {{^…}}: body and inverse have changed places
	operands    []operand
	includeZero bool     // of if and unless: the number 0 counts as true
	names       []string // as |item index|
	body        []node
	inverse     []node
}

// An operand is a literal or a path.
type operand struct {
	literal any // if path is nil
	path    *path
}

// A path names a value.
type path struct {
	data   bool // @index, @key, @first, @last, @root
	up     int  // how many ../ lead it
	scoped bool // it begins with ../ or this, and is looked for nowhere else
	parts  []string
}

// arity are the helpers and how many operands each takes.
var arity = map[string]int{"if": 1, "unless": 1, "each": 1, "with": 1, "equal": 2}

// Parse reads a template. Errors are a *SyntaxError. Time is linear in the source.
func Parse(source string) (*Template, error) {
	if len(source) > MaxSource {
		return nil, &SyntaxError{1, fmt.Sprintf("the template is larger than %d KB", MaxSource>>10)}
	}
	if !utf8.ValidString(source) {
		return nil, &SyntaxError{1, "the template is not UTF-8"}
	}
	pieces, err := split(source)
	if err != nil {
		return nil, err
	}
	trim(pieces)
	p := parser{pieces: pieces}
	body, err := p.nodes(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(p.pieces) {
		end := p.pieces[p.at]
		return nil, &SyntaxError{end.line, fmt.Sprintf("{{%s}} belongs to no block", shown(end.tag()))}
	}
	return &Template{body}, nil
}

// A parser turns pieces into nodes.
type parser struct {
	pieces []piece
	at     int
}

// nodes reads up to the end of the block that contains them, or of the template.
func (p *parser) nodes(depth int) ([]node, error) {
	var list []node
	for ; p.at < len(p.pieces); p.at++ {
		switch piece := p.pieces[p.at]; piece.kind {
		case content:
			if piece.text != "" {
				list = append(list, text(piece.text))
			}
		case comment:
		case value, rawValue:
			out, err := piece.output()
			if err != nil {
				return nil, err
			}
			list = append(list, out)
		case open, openInverse:
			if depth == MaxDepth {
				return nil, &SyntaxError{piece.line, fmt.Sprintf("blocks are nested more than %d deep", MaxDepth)}
			}
			b, err := p.block(depth+1, maxBranches)
			if err != nil {
				return nil, err
			}
			list = append(list, b)
		default: // else or close: whose it is, the caller knows
			return list, nil
		}
	}
	return list, nil
}

// block reads a block from its opening tag to its closing one, where it leaves the parser. One that
// is the else part of another, {{else if}}, ends with that and has no closing tag of its own.
func (p *parser) block(depth, branches int) (*block, error) {
	opening := p.pieces[p.at]
	b, name, err := opening.block()
	if err != nil {
		return nil, err
	}
	if branches == 0 {
		return nil, &SyntaxError{opening.line, fmt.Sprintf("a block has more than %d else parts", maxBranches)}
	}
	p.at++
	if b.body, err = p.nodes(depth); err != nil {
		return nil, err
	}
	switch {
	case p.at < len(p.pieces) && p.pieces[p.at].kind == elseChain:
		chained, err := p.block(depth, branches-1)
		if err != nil {
			return nil, err
		}
		b.inverse = []node{chained}
	case p.at < len(p.pieces) && p.pieces[p.at].kind == elseTag:
		p.at++
		if b.inverse, err = p.nodes(depth); err != nil {
			return nil, err
		}
	}
	if p.at == len(p.pieces) {
		return nil, &SyntaxError{opening.line, fmt.Sprintf("{{#%s}} is never closed", shown(name))}
	}
	if end := p.pieces[p.at]; end.kind != closing {
		return nil, &SyntaxError{end.line, fmt.Sprintf("{{%s}} follows {{else}}", shown(end.tag()))}
	} else if opening.kind != elseChain && strings.TrimSpace(end.text) != name {
		return nil, &SyntaxError{end.line, fmt.Sprintf("{{/%s}} closes {{#%s}} of line %d", shown(strings.TrimSpace(end.text)), shown(name), opening.line)}
	}
	if b.inverted {
		b.body, b.inverse = b.inverse, b.body
	}
	return b, nil
}

// output reads what is in a tag that puts a value.
func (c *piece) output() (output, error) {
	w := words{rest: c.text, line: c.line}
	first, err := w.next()
	if err != nil {
		return output{}, err
	}
	if first == "" {
		return output{}, &SyntaxError{c.line, "{{}} is empty"}
	}
	if _, block := arity[first]; block {
		return output{}, &SyntaxError{c.line, fmt.Sprintf("%s is a block and begins with #: {{#%s …}}", first, first)}
	}
	v, err := w.name(first)
	if err != nil {
		return output{}, err
	}
	if more, err := w.next(); err != nil || more != "" {
		if err == nil {
			err = unknownHelper(c.line, first)
		}
		return output{}, err
	}
	return output{v, c.kind == rawValue}, nil
}

// block reads what is in an opening tag. name is what the closing tag must say.
func (c *piece) block() (b *block, name string, err error) {
	w := words{rest: c.text, line: c.line}
	if name, err = w.next(); err != nil {
		return nil, "", err
	}
	if name == "" {
		return nil, "", &SyntaxError{c.line, "a block has no name"}
	}
	b = &block{inverted: c.kind == openInverse}
	want, helper := arity[name]
	if helper {
		b.helper = name
	} else {
		v, err := w.name(name)
		if err != nil {
			return nil, "", err
		}
		b.operands, want = []operand{v}, 1
	}
	if err := b.readRest(&w, name, helper); err != nil {
		return nil, "", err
	}
	if len(b.operands) != want {
		return nil, "", &SyntaxError{c.line, fmt.Sprintf("{{#%s}} needs %d value(s), has %d", shown(name), want, len(b.operands))}
	}
	return b, name, nil
}

// readRest reads operands, includeZero and names.
func (b *block) readRest(w *words, name string, helper bool) error {
	for {
		word, err := w.next()
		switch {
		case err != nil:
			return err
		case word == "":
			return nil
		case word == "as" && strings.HasPrefix(w.rest, "|"):
			if b.names, err = w.blockNames(); err != nil {
				return err
			}
			continue
		case !helper:
			return unknownHelper(w.line, name)
		case strings.HasPrefix(word, "includeZero="):
			b.includeZero = strings.HasSuffix(word, "=true")
			continue
		case strings.Contains(word, "=") && word[0] != '"' && word[0] != '\'' && word[0] != '[':
			return &SyntaxError{w.line, fmt.Sprintf("%s is not supported", shown(word))}
		}
		v, err := w.operand(word)
		if err != nil {
			return err
		}
		b.operands = append(b.operands, v)
	}
}

func unknownHelper(line int, name string) error {
	return &SyntaxError{line, fmt.Sprintf("%s is no helper; there are if, unless, each, with and equal", shown(name))}
}

// shown returns text of a template as an error may quote it.
func shown(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, strings.TrimSpace(s))
	if r := []rune(s[:min(len(s), 400)]); len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return s
}
