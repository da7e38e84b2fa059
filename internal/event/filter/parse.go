package filter

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An op is what a node of an expression is.
type op uint8

const (
	opTerm op = iota
	opGreater
	opLess
	opAnd
	opOr
	opNot
)

// A node is an expression, or a part of one.
type node struct {
	op     op
	args   []*node // of and, or, not
	term   string  // lower case
	raw    string  // as it was written
	number int64   // in number fields
}

// holds evaluates the expression, asking term for each of its terms.
func (n *node) holds(term func(*node) bool) bool {
	switch n.op {
	case opAnd:
		for _, a := range n.args {
			if !a.holds(term) {
				return false
			}
		}
		return true
	case opOr:
		for _, a := range n.args {
			if a.holds(term) {
				return true
			}
		}
		return false
	case opNot:
		return !n.args[0].holds(term)
	}
	return term(n)
}

// required appends to list the terms without which the expression does not hold.
func (n *node) required(list []string) []string {
	switch n.op {
	case opTerm:
		if !slices.Contains(list, n.term) {
			list = append(list, n.term)
		}
	case opAnd:
		for _, a := range n.args {
			list = a.required(list)
		}
	}
	return list
}

// only returns the one term that a field with a single value must equal for the
// expression to hold, if there is such a term.
func (n *node) only() (*node, bool) {
	switch n.op {
	case opTerm:
		return n, true
	case opAnd:
		for _, a := range n.args {
			if v, ok := a.only(); ok {
				return v, true
			}
		}
	case opOr:
		first, ok := n.args[0].only()
		for _, a := range n.args[1:] {
			v, aok := a.only()
			ok = ok && aok && v.raw == first.raw
		}
		return first, ok
	}
	return nil, false
}

// A token is a piece of an expression.
type token struct {
	kind tokenKind
	text string
}

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenTerm
	tokenOpen
	tokenClose
	tokenAnd
	tokenOr
	tokenNot
	tokenGreater
	tokenLess
)

var words = map[string]tokenKind{"AND": tokenAnd, "OR": tokenOr, "NOT": tokenNot}

// A parser reads one expression by recursive descent. Depth is bounded by
// MaxDepth, everything else by MaxLength.
type parser struct {
	rest   string
	number bool // a number field: > and < are signs
	next   token
	depth  int
}

func parse(s string, k kind) (*node, error) {
	if len(s) > MaxLength {
		return nil, fmt.Errorf("expression is longer than %d octets", MaxLength)
	}
	if !utf8.ValidString(s) {
		return nil, errors.New("expression is not valid UTF-8")
	}
	p := &parser{rest: s, number: k == number}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.next.kind != tokenEnd {
		return nil, errors.New("unexpected )")
	}
	return n, nil
}

// advance reads the next token.
func (p *parser) advance() error {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if p.rest == "" {
		p.next = token{}
		return nil
	}
	switch c := p.rest[0]; {
	case c == '(':
		return p.sign(tokenOpen)
	case c == ')':
		return p.sign(tokenClose)
	case c == '>' && p.number:
		return p.sign(tokenGreater)
	case c == '<' && p.number:
		return p.sign(tokenLess)
	case c == '"':
		phrase, rest, ok := strings.Cut(p.rest[1:], `"`)
		if !ok {
			return errors.New("quoted phrase does not end")
		}
		p.next, p.rest = token{tokenTerm, phrase}, rest
		return nil
	}
	end := strings.IndexAny(p.rest, " \t\r\n()\"")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	p.next = token{words[word], word}
	if p.next.kind == tokenEnd {
		p.next.kind = tokenTerm
	}
	return nil
}

func (p *parser) sign(k tokenKind) error {
	p.next, p.rest = token{kind: k}, p.rest[1:]
	return nil
}

func (p *parser) or() (*node, error) {
	args, err := p.list(p.and, func() (bool, error) {
		if p.next.kind != tokenOr {
			return false, nil
		}
		return true, p.advance()
	})
	return join(opOr, args), err
}

func (p *parser) and() (*node, error) {
	args, err := p.list(p.not, func() (bool, error) {
		switch p.next.kind {
		case tokenAnd:
			return true, p.advance()
		case tokenEnd, tokenClose, tokenOr:
			return false, nil
		}
		return true, nil // terms side by side
	})
	return join(opAnd, args), err
}

// list reads one or more items, as long as more says that another follows.
func (p *parser) list(item func() (*node, error), more func() (bool, error)) ([]*node, error) {
	var args []*node
	for {
		n, err := item()
		if err != nil {
			return nil, err
		}
		args = append(args, n)
		if again, err := more(); err != nil || !again {
			return args, err
		}
	}
}

func join(o op, args []*node) *node {
	if len(args) == 1 {
		return args[0]
	}
	return &node{op: o, args: args}
}

func (p *parser) not() (*node, error) {
	if p.next.kind != tokenNot {
		return p.atom()
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.atom()
	if err != nil {
		return nil, err
	}
	return &node{op: opNot, args: []*node{n}}, nil
}

func (p *parser) atom() (*node, error) {
	t := p.next
	switch t.kind {
	case tokenTerm:
		n, err := p.term(opTerm, t.text)
		if err != nil {
			return nil, err
		}
		return n, p.advance()
	case tokenGreater, tokenLess:
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.next.kind != tokenTerm {
			return nil, errors.New("a number must follow > or <")
		}
		o := opGreater
		if t.kind == tokenLess {
			o = opLess
		}
		n, err := p.term(o, p.next.text)
		if err != nil {
			return nil, err
		}
		return n, p.advance()
	case tokenOpen:
		return p.group()
	case tokenEnd:
		return nil, errors.New("expression ends where a term is expected")
	}
	return nil, errors.New("a term is expected before an operator or )")
}

func (p *parser) group() (*node, error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, fmt.Errorf("more than %d parentheses inside each other", MaxDepth)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.next.kind != tokenClose {
		return nil, errors.New("missing )")
	}
	p.depth--
	return n, p.advance()
}

func (p *parser) term(o op, s string) (*node, error) {
	n := &node{op: o, term: strings.ToLower(s), raw: s}
	if !p.number {
		return n, nil
	}
	var err error
	if n.number, err = strconv.ParseInt(s, 10, 64); err != nil {
		return nil, errors.New("size is compared with a whole number")
	}
	return n, nil
}
