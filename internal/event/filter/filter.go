// Package filter reads the search expressions of the events API and applies
// them to events.
//
// A query names fields of an event and gives each an expression:
//
//	event=delivered OR failed   subject="weekly news" NOT draft   size=>10000
//
// Terms stand side by side or are joined by AND, OR and NOT (upper case, NOT
// binds tightest, OR loosest) and may be grouped by parentheses; a phrase in
// double quotes is one term. A field given twice must match twice. Letter case
// does not matter, except in a Message-ID.
//
// Names, addresses and tags (event, severity, tags, recipient, recipients,
// message-id, list) equal a term as a whole; texts (subject, from, to,
// attachment) contain it, beginning and ending at the border of a word; size
// is compared as a number of octets.
//
// The package also says which indexes narrow the search, so that the store need
// not look at every event. Where events come from, and paging, is not its business.
package filter

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/event"
)

// Limits on a query; more is an error.
const (
	MaxLength      = 4 << 10 // octets of one expression
	MaxDepth       = 20      // parentheses inside each other
	MaxExpressions = 50      // in one query
)

// An Error says what is wrong with an expression, in words for its writer.
type Error struct {
	Field   string
	Problem string
}

// Error returns the problem with the name of its field.
func (e *Error) Error() string { return fmt.Sprintf("'%s' filter: %s", e.Field, e.Problem) }

// A Filter is a parsed query. The zero value matches every event. It is safe
// for concurrent use.
type Filter struct {
	conditions []condition
}

// A condition is one expression on one field.
type condition struct {
	field *field
	expr  *node
}

// Fields lists the names of the fields that can be searched.
func Fields() []string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].name
	}
	return names
}

// Parse reads the expressions of the known fields in a query; other parameters
// and empty expressions are passed over. Errors are of type *[Error].
func Parse(query url.Values) (*Filter, error) {
	f := &Filter{}
	for i := range fields {
		fd := &fields[i]
		for _, text := range query[fd.name] {
			if strings.TrimSpace(text) == "" {
				continue
			}
			if len(f.conditions) == MaxExpressions {
				return nil, &Error{fd.name, fmt.Sprintf("a query has at most %d expressions", MaxExpressions)}
			}
			expr, err := parse(text, fd.kind)
			if err != nil {
				return nil, &Error{fd.name, err.Error()}
			}
			f.conditions = append(f.conditions, condition{fd, expr})
		}
	}
	return f, nil
}

// Match reports whether the event satisfies every expression.
func (f *Filter) Match(r *event.Record, m *event.Meta) bool {
	for _, c := range f.conditions {
		if !c.matches(r, m) {
			return false
		}
	}
	return true
}

func (c condition) matches(r *event.Record, m *event.Meta) bool {
	return c.expr.holds(func(n *node) bool { return c.field.matches(n, r, m) })
}

// Hints are what every matching event has in common. Zero fields say nothing.
type Hints struct {
	// None: no event can match, whatever else it holds.
	None bool
	// Types are the only types that match; nil means all.
	Types     []event.Type
	Recipient string   // lower case
	MessageID string   // without angle brackets
	Tags      []string // all of which the message has; lower case
}

// Hints returns how the search can be narrowed.
func (f *Filter) Hints() Hints {
	var h Hints
	h.Types = f.types()
	h.None = h.Types != nil && len(h.Types) == 0
	for _, c := range f.conditions {
		if c.field.name == "tags" {
			h.Tags = c.expr.required(h.Tags)
			continue
		}
		n, ok := c.expr.only()
		if !ok {
			continue
		}
		switch c.field.name {
		case "recipient":
			h.Recipient, h.None = n.term, h.None || h.Recipient != "" && h.Recipient != n.term
		case "message-id":
			id := bareMessageID(n.raw)
			h.MessageID, h.None = id, h.None || h.MessageID != "" && h.MessageID != id
		}
	}
	return h
}

// types tries every type on the expressions that depend on nothing but the
// type. It returns nil if all of them match.
func (f *Filter) types() []event.Type {
	types := []event.Type{}
	all := true
	for t := event.Accepted; t <= event.Stored; t++ {
		matches := !slices.ContainsFunc(f.conditions, func(c condition) bool {
			return c.field.byType && !c.matches(&event.Record{Type: t}, &event.Meta{})
		})
		if matches {
			types = append(types, t)
		}
		all = all && matches
	}
	if all {
		return nil
	}
	return types
}
