// Package predicate reads the conditions that calls about logs and metrics take as JSON:
// {"AND": [{"attribute": "domain", "comparator": "=", "values": [{"label": "x", "value": "x"}]}]}.
package predicate

import (
	"cmp"

	"github.com/sealpost/sealpost/internal/httpapi/door"
)

const (
	// Max is how many predicates a filter may have.
	Max = 20
	// MaxValues is how many values a predicate may have.
	MaxValues = 100
)

// A Filter is what a request holds: all of its predicates must be met.
type Filter struct {
	AND []Predicate `json:"AND"`
}

// A Predicate compares an attribute with values.
type Predicate struct {
	Attribute  string  `json:"attribute"`
	Comparator string  `json:"comparator"` // empty: =
	Values     []Value `json:"values"`
}

// A Value is one to compare with. The label is what people see; it counts where there is no value.
type Value struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// A Comparison is a predicate understood, whatever its attribute means.
type Comparison struct {
	Contains bool     // the attribute need only contain a value
	Not      bool     // and must not
	Values   []string // at least one
}

// Check says whether the filter has too many predicates: a *door.Problem.
func (f Filter) Check() error {
	if len(f.AND) > Max {
		return door.BadRequest("'filter' attribute is invalid: at most %d predicates are allowed", Max)
	}
	return nil
}

// BadAttribute is the answer to an attribute that a call does not know.
func (p Predicate) BadAttribute() error {
	return door.BadRequest("'%s' is not a valid filter predicate attribute", door.Shown(p.Attribute))
}

// Comparison reads comparator and values. An error is a *door.Problem; name is what it calls the
// attribute.
func (p Predicate) Comparison(name string) (Comparison, error) {
	var c Comparison
	switch p.Comparator {
	case "=", "":
	case "!=":
		c.Not = true
	case "contains":
		c.Contains = true
	case "not contains":
		c.Contains, c.Not = true, true
	default:
		return c, door.BadRequest("'%s' is not a valid filter predicate comparator", door.Shown(p.Comparator))
	}
	if len(p.Values) == 0 || len(p.Values) > MaxValues {
		return c, door.BadRequest("'%s' filter predicate must have 1 to %d values", name, MaxValues)
	}
	for _, v := range p.Values {
		c.Values = append(c.Values, cmp.Or(v.Value, v.Label))
	}
	return c, nil
}
