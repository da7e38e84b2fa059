package handlebars

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// notInNames are the characters that no name of a path has, unless it is written [so].
const notInNames = " !\"#%&'()*+,;<=>@[\\]^`{|}~"

// name reads the first word of a tag: a path. A literal there is a name too, as
// Handlebars has it.
func (w *words) name(word string) (operand, error) {
	v, err := w.operand(word)
	if err != nil || v.path != nil {
		return v, err
	}
	return operand{path: &path{parts: []string{printed(v.literal)}}}, nil
}

// operand reads a literal or a path.
func (w *words) operand(word string) (operand, error) {
	switch word {
	case "true":
		return operand{literal: true}, nil
	case "false":
		return operand{literal: false}, nil
	case "null", "undefined":
		return operand{}, nil
	}
	switch word[0] {
	case '"', '\'':
		if endOfString(word) != len(word) {
			return operand{}, &SyntaxError{w.line, fmt.Sprintf("%s is not understood", shown(word))}
		}
		quote := word[:1]
		return operand{literal: strings.ReplaceAll(word[1:len(word)-1], `\`+quote, quote)}, nil
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if f, err := strconv.ParseFloat(word, 64); err == nil {
			return operand{literal: json.Number(formatNumber(word, f))}, nil
		}
	}
	p, err := parsePath(word)
	if err != nil {
		return operand{}, &SyntaxError{w.line, err.Error()}
	}
	return operand{path: p}, nil
}

// parsePath reads a path: names parted by dots or slashes.
func parsePath(word string) (*path, error) {
	bad := fmt.Errorf("%s is not understood", shown(word))
	p := &path{}
	rest := word
	if strings.HasPrefix(rest, "@") {
		p.data, rest = true, rest[1:]
	}
	for first := true; ; first = false {
		segment, after := cutSegment(rest)
		switch {
		case segment == "":
			return nil, bad
		case segment == "..":
			if len(p.parts) > 0 || p.scoped && p.up == 0 {
				return nil, bad
			}
			p.up++
			p.scoped = true
		case segment == "." || segment == "this":
			if !first && segment == "." || len(p.parts) > 0 {
				return nil, bad
			}
			p.scoped = true
		case segment[0] == '[':
			p.parts = append(p.parts, segment[1:len(segment)-1])
		case strings.ContainsAny(segment, notInNames):
			return nil, bad
		default:
			p.parts = append(p.parts, segment)
		}
		if after == "" {
			break
		}
		rest = after[1:]
	}
	if p.data && len(p.parts) == 0 {
		return nil, bad
	}
	return p, nil
}

// cutSegment cuts the first name off a path; after begins with what parts it from the next.
func cutSegment(s string) (segment, after string) {
	end := 0
	switch {
	case strings.HasPrefix(s, "["):
		end = strings.IndexByte(s, ']') + 1
	case strings.HasPrefix(s, ".."):
		end = 2
	case strings.HasPrefix(s, "."):
		end = 1
	default:
		if end = strings.IndexAny(s, "./"); end < 0 {
			end = len(s)
		}
	}
	if end < len(s) && s[end] != '.' && s[end] != '/' {
		return "", "" // something sticks to a ] or ..
	}
	return s[:end], s[end:]
}
