// Package routing understands routes: what Mailgun calls the rules by which received mail is
// forwarded, stored or dropped.
//
// A route has an expression and actions. The expression is made of the filters match_recipient("regexp"),
// match_header("name", "regexp") and catch_all(), joined by and, or, not and parentheses. [Parse] reads
// one, [Expression.Match] says whether a message fits. [ParseAction] reads forward("target"),
// store(notify="url") and stop(). Everything is a function of its arguments; regular expressions
// are of the kind that takes linear time.
package routing

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits on an expression.
const (
	MaxExpression = 4096 // octets
	maxDepth      = 20   // parentheses and nots inside each other
	maxTerms      = 100  // filters
)

// A Message is what filters look at.
type Message struct {
	Recipient string
	// Header returns the values of a field, decoded; nil: the message has no fields.
	Header func(name string) []string
}

// An Expression is an expression that was understood. It does not change and may be used by many
// goroutines.
type Expression struct{ root term }

// Match reports whether the message fits.
func (e *Expression) Match(m Message) bool { return e.root(m) }

// A term is a part of an expression.
type term func(m Message) bool

// Parse reads an expression. Errors say what is wrong, in words for who wrote it.
func Parse(s string) (*Expression, error) {
	if len(s) > MaxExpression {
		return nil, fmt.Errorf("it is longer than %d octets", MaxExpression)
	}
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("it is not UTF-8")
	}
	p := parser{scanner: scanner{rest: s}}
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if w := p.word(); w != "" {
		return nil, fmt.Errorf("%.40q is not expected", w)
	}
	return &Expression{root}, nil
}

// A parser reads an expression by recursive descent.
type parser struct {
	scanner
	terms int
}

// or reads terms joined by or, which binds less than and.
func (p *parser) or(depth int) (term, error) {
	left, err := p.and(depth)
	for err == nil && strings.EqualFold(p.peek(), "or") {
		p.word()
		var right term
		if right, err = p.and(depth); err == nil {
			l := left
			left = func(m Message) bool { return l(m) || right(m) }
		}
	}
	return left, err
}

func (p *parser) and(depth int) (term, error) {
	left, err := p.not(depth)
	for err == nil && strings.EqualFold(p.peek(), "and") {
		p.word()
		var right term
		if right, err = p.not(depth); err == nil {
			l := left
			left = func(m Message) bool { return l(m) && right(m) }
		}
	}
	return left, err
}

func (p *parser) not(depth int) (term, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	switch w := p.word(); {
	case strings.EqualFold(w, "not"):
		inner, err := p.not(depth + 1)
		return func(m Message) bool { return !inner(m) }, err
	case w == "(":
		inner, err := p.or(depth + 1)
		if err == nil && p.word() != ")" {
			err = fmt.Errorf("a ( is never closed")
		}
		return inner, err
	case w == "":
		return nil, fmt.Errorf("a filter is missing: match_recipient(…), match_header(…) or catch_all()")
	default:
		return p.filter(w)
	}
}

// filter reads what follows the name of a filter.
func (p *parser) filter(name string) (term, error) {
	if p.terms++; p.terms > maxTerms {
		return nil, fmt.Errorf("it has more than %d filters", maxTerms)
	}
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	values := make([]string, len(args))
	for i, a := range args {
		if a.name != "" {
			return nil, fmt.Errorf("%s takes no argument %.40q", name, a.name)
		}
		values[i] = a.value
	}
	switch {
	case name == "catch_all" && len(values) == 0:
		return func(Message) bool { return true }, nil
	case name == "match_recipient" && len(values) == 1:
		re, err := pattern(values[0])
		return func(m Message) bool { return re.MatchString(m.Recipient) }, err
	case name == "match_header" && len(values) == 2:
		re, err := pattern(values[1])
		return func(m Message) bool { return matchHeader(m, values[0], re) }, err
	case name == "catch_all" || name == "match_recipient" || name == "match_header":
		return nil, fmt.Errorf("%s has the wrong number of arguments", name)
	}
	return nil, fmt.Errorf("%.40q is no filter; there are match_recipient, match_header and catch_all", name)
}

// pattern compiles a regular expression. Letter case does not count, as in addresses.
func pattern(s string) (*regexp.Regexp, error) {
	re, err := regexp.Compile("(?i)" + s)
	if err != nil {
		return nil, fmt.Errorf("%.100q is no regular expression", s)
	}
	return re, nil
}

func matchHeader(m Message, name string, re *regexp.Regexp) bool {
	if m.Header == nil {
		return false
	}
	for _, v := range m.Header(name) {
		if re.MatchString(v) {
			return true
		}
	}
	return false
}
