package routing

import (
	"fmt"
	"strings"
)

// A scanner cuts expressions and actions into words.
type scanner struct{ rest string }

const whiteSpace = " \t\r\n"

// peek returns the next word and leaves it there.
func (s *scanner) peek() string {
	kept := *s
	w := s.word()
	*s = kept
	return w
}

// word takes a name or one sign; empty at the end.
func (s *scanner) word() string {
	s.rest = strings.TrimLeft(s.rest, whiteSpace)
	n := 0
	for n < len(s.rest) && isName(s.rest[n]) {
		n++
	}
	if n == 0 {
		n = min(1, len(s.rest))
	}
	w := s.rest[:n]
	s.rest = s.rest[n:]
	return w
}

func isName(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// An argument is a value with or without a name.
type argument struct{ name, value string }

// arguments takes ("…", name="…").
func (s *scanner) arguments() ([]argument, error) {
	if s.word() != "(" {
		return nil, fmt.Errorf("a ( is missing")
	}
	var list []argument
	if s.peek() == ")" {
		s.word()
		return list, nil
	}
	for {
		var a argument
		if next := s.peek(); next != "" && isName(next[0]) {
			a.name = s.word()
			if s.word() != "=" {
				return nil, fmt.Errorf("a value must stand in quotes")
			}
		}
		var err error
		if a.value, err = s.quoted(); err != nil {
			return nil, err
		}
		list = append(list, a)
		switch s.word() {
		case ",":
		case ")":
			return list, nil
		default:
			return nil, fmt.Errorf("a ( is never closed")
		}
	}
}

// quoted takes a text in quotes of either kind. A backslash protects a quote, and stands for
// itself before anything else: it is part of a regular expression.
func (s *scanner) quoted() (string, error) {
	s.rest = strings.TrimLeft(s.rest, whiteSpace)
	if s.rest == "" || s.rest[0] != '"' && s.rest[0] != '\'' {
		return "", fmt.Errorf("a value must stand in quotes")
	}
	quote := s.rest[0]
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		c := s.rest[i]
		switch {
		case c == quote:
			s.rest = s.rest[i+1:]
			return b.String(), nil
		case c == '\\' && i+1 < len(s.rest):
			i++
			if s.rest[i] != quote {
				b.WriteByte('\\')
			}
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("a quote is never closed")
}
