package handlebars

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/strictjson"
)

// An Object is a JSON object whose names keep their order: {{#each}} goes through them in it.
// Values are nil, bool, json.Number, string, []any or *Object. The zero Object is empty.
type Object struct {
	names  []string
	values map[string]any
}

// Set sets a value, of the types that an Object has.
func (o *Object) Set(name string, v any) {
	if o.values == nil {
		o.values = map[string]any{}
	}
	if _, known := o.values[name]; !known {
		o.names = append(o.names, name)
	}
	o.values[name] = v
}

// Len returns how many names there are.
func (o *Object) Len() int { return len(o.names) }

// Merge sets all that other has.
func (o *Object) Merge(other *Object) {
	for _, name := range other.names {
		o.Set(name, other.values[name])
	}
}

// Map returns a copy in which f has taken the place of every text, at any depth. Names stay.
func (o *Object) Map(f func(string) (string, error)) (*Object, error) {
	v, err := mapValue(o, f)
	if err != nil {
		return nil, err
	}
	return v.(*Object), nil
}

func mapValue(v any, f func(string) (string, error)) (any, error) {
	switch v := v.(type) {
	case string:
		return f(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = mapValue(v[i], f); err != nil {
				return nil, err
			}
		}
		return list, nil
	case *Object:
		c := &Object{names: v.names, values: make(map[string]any, len(v.values))}
		for name, inner := range v.values {
			mapped, err := mapValue(inner, f)
			if err != nil {
				return nil, err
			}
			c.values[name] = mapped
		}
		return c, nil
	}
	return v, nil
}

// ParseObject reads a JSON object, strictly: see the strictjson package.
func ParseObject(s string) (*Object, error) {
	v, err := ParseValue(s)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*Object)
	if !ok {
		return nil, errors.New("not an object")
	}
	return o, nil
}

// ParseValue reads one JSON value of any type, as strictly.
func ParseValue(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not UTF-8")
	}
	if err := strictjson.Check(s); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	v, err := decode(dec)
	if err != nil || dec.More() {
		return nil, errors.New("syntax error")
	}
	return v, nil
}

// decode reads a value. How deep it is was checked before.
func decode(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if delim == '[' {
		list := []any{}
		for dec.More() {
			v, err := decode(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	o := &Object{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := decode(dec)
		if err != nil {
			return nil, err
		}
		text, _ := name.(string)
		o.Set(text, v)
	}
	_, err = dec.Token()
	return o, err
}

// field returns what a value has under a name; ok is false if it has nothing.
func field(v any, name string) (inner any, ok bool) {
	switch v := v.(type) {
	case *Object:
		if inner, ok = v.values[name]; ok {
			return inner, true
		}
		if name == "length" {
			return number(len(v.names)), true
		}
	case []any:
		if name == "length" {
			return number(len(v)), true
		}
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
			return v[i], true
		}
	case string:
		if name == "length" {
			return number(utf8.RuneCountInString(v)), true
		}
	}
	return nil, false
}

func number(n int) json.Number { return json.Number(strconv.Itoa(n)) }

// truth tells whether a value counts as true.
func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case []any:
		return len(v) > 0
	case *Object:
		return len(v.names) > 0
	}
	return false
}

// printed returns a value as text. A list is its items, an object its JSON.
func printed(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return formatNumber(string(v), f)
		}
		return string(v)
	case []any:
		var b strings.Builder
		for _, item := range v {
			b.WriteString(printed(item))
		}
		return b.String()
	case *Object:
		b, err := v.MarshalJSON()
		if err == nil {
			return string(b)
		}
	}
	return ""
}

// formatNumber writes a number as people write it. Whole numbers keep all their digits.
func formatNumber(s string, f float64) string {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil || math.IsInf(f, 0) || math.Abs(f) >= 1e21 {
		return s
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// MarshalJSON writes the object in its order.
func (o *Object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, name := range o.names {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(o.values[name])
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), v...)
	}
	return append(b, '}'), nil
}
