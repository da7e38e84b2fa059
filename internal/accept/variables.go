package accept

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/compose"
)

const (
	maxJSONDepth = 32
	maxVariables = 1000 // keys of one object
)

// variable takes one user variable. Given twice, the last one counts.
func (p *optionReader) variable(name, value string) error {
	if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
		return invalid("v:%s is not valid UTF-8 or has no name", printable(name))
	}
	if p.o.variables == nil {
		p.o.variables = map[string]string{}
	}
	p.o.variables[name] = value
	return nil
}

// variablesJSON takes an X-Mailgun-Variables field: a JSON object. Several of them merge.
func (p *optionReader) variablesJSON(f compose.Field) error {
	object, err := strictObject(f.Value)
	if err != nil {
		return invalid("%s is not a valid JSON object: %v", printable(f.Name), err)
	}
	for name, value := range object {
		if err := p.variable(name, jsonText(value)); err != nil {
			return err
		}
	}
	return nil
}

// variablesHeader writes variables as the value of an X-Mailgun-Variables field,
// ASCII only; empty if there are none.
func variablesHeader(variables map[string]string) string {
	if len(variables) == 0 {
		return ""
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(variables); err != nil { // a map of strings
		return ""
	}
	var ascii strings.Builder
	for _, r := range strings.TrimSpace(b.String()) {
		switch {
		case r < utf8.RuneSelf:
			ascii.WriteRune(r)
		case r > 0xffff: // a surrogate pair, RFC 8259 section 7
			r -= 0x10000
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		}
	}
	return ascii.String()
}

// jsonText returns a JSON value as the text it stands for: strings without their
// quotes, everything else as it is written.
func jsonText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil && len(raw) > 0 && raw[0] == '"' {
		return s
	}
	return string(raw)
}

// strictObject reads a JSON object. Invalid UTF-8, a key given twice at any level, and
// nesting past a limit are errors (SEC-26): two readers would see two things.
func strictObject(s string) (map[string]json.RawMessage, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not UTF-8")
	}
	if err := CheckJSON(s); err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &object); err != nil || object == nil {
		return nil, errors.New("not an object")
	}
	if len(object) > maxVariables {
		return nil, fmt.Errorf("more than %d keys", maxVariables)
	}
	return object, nil
}

// CheckJSON walks over a JSON text, token by token and without recursion.
func CheckJSON(s string) error {
	type level struct {
		keys    map[string]bool // nil in an array
		wantKey bool
	}
	var stack []level
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err == io.EOF && len(stack) == 0 {
			return nil
		}
		if err != nil {
			return errors.New("syntax error")
		}
		var top *level
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if top != nil && top.keys != nil {
			if key, ok := token.(string); ok && top.wantKey {
				if top.keys[key] {
					return fmt.Errorf("key %q is given twice", printable(key))
				}
				top.keys[key] = true
				top.wantKey = false
				continue
			}
			top.wantKey = true
		}
		if d, ok := token.(json.Delim); ok {
			if len(stack) == maxJSONDepth {
				return errors.New("too deeply nested")
			}
			l := level{}
			if d == '{' {
				l = level{keys: map[string]bool{}, wantKey: true}
			}
			stack = append(stack, l)
		}
	}
}
