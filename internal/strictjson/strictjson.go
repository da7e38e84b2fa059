// Package strictjson reads JSON that strangers wrote, and refuses what two readers
// could see differently (SEC-26): a key given twice, text that is not UTF-8, nesting without
// end, something behind the end. encoding/json takes all of that and picks one reading.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on an object.
const (
	MaxDepth = 32   // objects and lists inside each other
	MaxKeys  = 1000 // keys of the outermost object
)

// Object reads one JSON object and returns the raw text of each value. Errors say what is wrong
// in a few words, fit to be shown to who sent it. Memory and time are linear in the text.
func Object(s string) (map[string]json.RawMessage, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not UTF-8")
	}
	if err := Check(s); err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &object); err != nil || object == nil {
		return nil, errors.New("not an object")
	}
	if len(object) > MaxKeys {
		return nil, fmt.Errorf("more than %d keys", MaxKeys)
	}
	return object, nil
}

// Text returns a value as the text it stands for: strings without their quotes, everything
// else as it is written.
func Text(raw json.RawMessage) string {
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// A level is an object or list that is open.
type level struct {
	keys    map[string]bool // nil in a list
	wantKey bool
}

// Check walks over a JSON text of any kind, token by token and without recursion. Errors are as those
// of [Object].
func Check(s string) error { return check(s, func(key string) string { return key }) }

// CheckFields is [Check] for objects that are read into structs. encoding/json fills a field from a key
// in whatever letter case, so keys that differ in nothing else are one key given twice.
func CheckFields(s string) error {
	return check(s, func(key string) string { return strings.Map(fold, key) })
}

// fold returns the smallest of the characters that differ from r in letter case only.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

func check(s string, same func(key string) string) error {
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
		if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if len(stack) > 0 {
			key, err := stack[len(stack)-1].take(token, same)
			if err != nil {
				return err
			}
			if key {
				continue
			}
		}
		if d, ok := token.(json.Delim); ok {
			if len(stack) == MaxDepth {
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

// take notes a token of the level and reports whether it is a key.
func (l *level) take(token json.Token, same func(string) string) (key bool, err error) {
	if l.keys == nil {
		return false, nil
	}
	name, ok := token.(string)
	if !ok || !l.wantKey {
		l.wantKey = true
		return false, nil
	}
	if l.keys[same(name)] {
		return false, fmt.Errorf("key %.100q is given twice", name)
	}
	l.keys[same(name)] = true
	l.wantKey = false
	return true, nil
}
