package generate

import (
	"encoding/json"
	"maps"
	"slices"
)

// A shape is what is known of a JSON value from examples of it.
type shape struct {
	null     bool
	kinds    map[string]bool // boolean, integer, number, string, object, array
	seen     int             // examples that are objects
	fields   map[string]*field
	elements *shape
}

// A field is one of an object's.
type field struct {
	*shape
	seen int // objects that have it
}

func newShape() *shape { return &shape{kinds: map[string]bool{}, fields: map[string]*field{}} }

// add learns from one more example, as encoding/json decodes it with UseNumber.
func (s *shape) add(v any) {
	switch v := v.(type) {
	case nil:
		s.null = true
	case bool:
		s.kinds["boolean"] = true
	case json.Number:
		if _, err := v.Int64(); err == nil {
			s.kinds["integer"] = true
		} else {
			s.kinds["number"] = true
		}
	case string:
		s.kinds["string"] = true
	case []any:
		s.kinds["array"] = true
		if s.elements == nil {
			s.elements = newShape()
		}
		for _, e := range v {
			s.elements.add(e)
		}
	case map[string]any:
		s.kinds["object"] = true
		s.seen++
		for name, value := range v {
			f := s.fields[name]
			if f == nil {
				f = &field{shape: newShape()}
				s.fields[name] = f
			}
			f.seen++
			f.add(value)
		}
	}
}

// What the keys of an object can be.
type keys uint8

const (
	fields keys = iota // names that the API gives
	data               // data; the values have one shape
	free               // data, as are the values: anything that is JSON
)

// schema returns the shape as an OpenAPI 3.0 schema. keyed tells of objects, by the names that
// they are under, whose keys are no fields.
func (s *shape) schema(k keys, keyed map[string]keys) map[string]any {
	kinds := slices.Sorted(maps.Keys(s.kinds))
	if slices.Contains(kinds, "number") {
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == "integer" })
	}
	var alternatives []map[string]any
	for _, kind := range kinds {
		alternatives = append(alternatives, s.kind(kind, k, keyed))
	}
	var out map[string]any
	switch len(alternatives) {
	case 0:
		out = map[string]any{}
	case 1:
		out = alternatives[0]
	default:
		out = map[string]any{"oneOf": alternatives}
	}
	if s.null {
		out["nullable"] = true
	}
	return out
}

func (s *shape) kind(kind string, k keys, keyed map[string]keys) map[string]any {
	out := map[string]any{"type": kind}
	switch kind {
	case "array":
		out["items"] = s.elements.schema(fields, keyed)
	case "object":
		if k == free {
			out["additionalProperties"] = true
			return out
		}
		if k == data {
			values := newShape()
			for _, f := range s.fields {
				values.merge(f.shape)
			}
			out["additionalProperties"] = values.schema(fields, keyed)
			return out
		}
		properties, required := map[string]any{}, []string{}
		for _, name := range slices.Sorted(maps.Keys(s.fields)) {
			f := s.fields[name]
			properties[name] = f.schema(keyed[name], keyed)
			if f.seen == s.seen {
				required = append(required, name)
			}
		}
		out["properties"] = properties
		if len(required) > 0 {
			out["required"] = required
		}
	}
	return out
}

// merge learns what another shape knows.
func (s *shape) merge(other *shape) {
	s.null = s.null || other.null
	maps.Copy(s.kinds, other.kinds)
	s.seen += other.seen
	for name, f := range other.fields {
		if own := s.fields[name]; own != nil {
			own.seen += f.seen
			own.merge(f.shape)
		} else {
			s.fields[name] = f
		}
	}
	if other.elements != nil {
		if s.elements == nil {
			s.elements = newShape()
		}
		s.elements.merge(other.elements)
	}
}

// optional takes back what a schema says is required: clients of the contracts do not tell what
// every client must send.
func optional(schema any) any {
	switch v := schema.(type) {
	case []map[string]any:
		for _, e := range v {
			optional(e)
		}
	case map[string]any:
		if v["type"] == "object" {
			delete(v, "required")
		}
		for _, e := range v {
			optional(e)
		}
	}
	return schema
}
