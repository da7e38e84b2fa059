package filter

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/event"
)

// A kind says how a field's value is compared with a term.
type kind uint8

const (
	exact  kind = iota // one of the values equals the term
	text               // one of the values contains the term, at word borders
	number             // the value is the term, or beyond it
)

// A field is a searchable property of events.
type field struct {
	name   string
	kind   kind
	byType bool // depends on the event's type alone
	// values calls yield with each value, until it returns true. Nil for size.
	values func(r *event.Record, m *event.Meta, yield func(string) bool) bool
}

// fields is the table of what can be searched. Mailing lists do not exist here
// yet, so that no event is of one.
var fields = [...]field{
	{name: "event", byType: true, values: one(func(r *event.Record, _ *event.Meta) string { return r.Type.String() })},
	{name: "severity", byType: true, values: one(func(r *event.Record, _ *event.Meta) string { return r.Type.Severity() })},
	{name: "list", values: many(func(*event.Meta) []string { return nil })},
	{name: "recipient", values: one(func(r *event.Record, _ *event.Meta) string { return r.Recipient })},
	{name: "recipients", values: many(func(m *event.Meta) []string { return m.Recipients })},
	{name: "tags", values: many(func(m *event.Meta) []string { return m.Tags })},
	{name: "message-id", values: one(func(_ *event.Record, m *event.Meta) string { return m.MessageID })},
	{name: "from", kind: text, values: one(func(_ *event.Record, m *event.Meta) string { return m.From })},
	{name: "to", kind: text, values: one(func(_ *event.Record, m *event.Meta) string { return m.To })},
	{name: "subject", kind: text, values: one(func(_ *event.Record, m *event.Meta) string { return m.Subject })},
	{name: "attachment", kind: text, values: attachmentNames},
	{name: "size", kind: number},
}

func one(get func(*event.Record, *event.Meta) string) func(*event.Record, *event.Meta, func(string) bool) bool {
	return func(r *event.Record, m *event.Meta, yield func(string) bool) bool { return yield(get(r, m)) }
}

func many(get func(*event.Meta) []string) func(*event.Record, *event.Meta, func(string) bool) bool {
	return func(_ *event.Record, m *event.Meta, yield func(string) bool) bool {
		for _, v := range get(m) {
			if yield(v) {
				return true
			}
		}
		return false
	}
}

func attachmentNames(_ *event.Record, m *event.Meta, yield func(string) bool) bool {
	for _, a := range m.Attachments {
		if yield(a.Filename) {
			return true
		}
	}
	return false
}

// matches compares one term with the field of an event.
func (f *field) matches(n *node, r *event.Record, m *event.Meta) bool {
	switch f.kind {
	case number:
		switch n.op {
		case opGreater:
			return m.Size > n.number
		case opLess:
			return m.Size < n.number
		}
		return m.Size == n.number
	case text:
		return f.values(r, m, func(v string) bool { return containsTerm(strings.ToLower(v), n.term) })
	}
	if f.name == "message-id" {
		return m.MessageID == bareMessageID(n.raw)
	}
	return f.values(r, m, func(v string) bool { return strings.ToLower(v) == n.term })
}

// containsTerm reports whether term stands in s with no letter or digit
// touching it from outside.
func containsTerm(s, term string) bool {
	for from := 0; ; {
		i := strings.Index(s[from:], term)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(term)
		before, _ := utf8.DecodeLastRuneInString(s[:start])
		after, _ := utf8.DecodeRuneInString(s[end:])
		first, size := utf8.DecodeRuneInString(term)
		last, _ := utf8.DecodeLastRuneInString(term)
		if !(start > 0 && wordRune(before) && wordRune(first)) && !(end < len(s) && wordRune(after) && wordRune(last)) {
			return true
		}
		from = start + max(size, 1)
	}
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// bareMessageID takes the angle brackets off, which events do not show.
func bareMessageID(s string) string {
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		return s[1 : len(s)-1]
	}
	return s
}
