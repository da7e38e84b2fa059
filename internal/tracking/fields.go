package tracking

import (
	"strings"
)

// Names of the fields that offer a way out (RFC 2369 section 3.2, RFC 8058 section 3.1).
const (
	listUnsubscribe = "List-Unsubscribe"
	listPost        = "List-Unsubscribe-Post"
	oneClick        = "List-Unsubscribe=One-Click"
)

// A Field is one header field.
type Field struct{ Name, Value string }

// Value returns the value of a field that the sender wrote, with links in the places.
func (m *Marker) Value(value string) string {
	if !Uses(value) {
		return value
	}
	for place, link := range m.links() {
		value = strings.ReplaceAll(value, place, link)
	}
	return value
}

// Fields returns the fields to be added to those that the letter has already, which are given
// with links in their places: List-Unsubscribe where the plan wants it and the sender wrote none, and
// List-Unsubscribe-Post where the one https address of the letter is ours, which
// understands it.
func (m *Marker) Fields(given []Field) []Field {
	var add []Field
	offer, post := "", false
	for _, f := range given {
		switch {
		case strings.EqualFold(f.Name, listUnsubscribe):
			offer = f.Value
		case strings.EqualFold(f.Name, listPost):
			post = true
		}
	}
	if offer == "" && m.plan.Unsubscribe && !post {
		offer = "<" + m.links()[placeAll] + ">"
		add = append(add, Field{listUnsubscribe, offer})
	}
	if !post && m.isOneClick(offer) {
		add = append(add, Field{listPost, oneClick})
	}
	return add
}

// isOneClick reports whether the one web address in a List-Unsubscribe field is an https link of ours.
func (m *Marker) isOneClick(offer string) bool {
	if !strings.Contains(offer, UnsubscribePath) {
		return false
	}
	web := 0
	ours := false
	for e := range strings.SplitSeq(offer, ",") {
		e = strings.Trim(e, " \t\r\n<>")
		if scheme, _, ok := strings.Cut(e, "://"); !ok || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
			continue
		}
		web++
		for _, link := range m.links() {
			ours = ours || e == link && strings.HasPrefix(link, "https://")
		}
	}
	return web == 1 && ours
}

// WithoutPlaceholders drops from the value of a List-Unsubscribe field the elements that
// are placeholders for addresses we do not have, and returns what is left: a
// field must not promise a way out that is none. %unsubscribe_email% and
// %tag_unsubscribe_email% are always such: they need mail that is received.
func WithoutPlaceholders(value string) string {
	var elements []string
	for e := range strings.SplitSeq(value, ",") {
		switch strings.TrimPrefix(strings.Trim(e, " \t<>"), "mailto:") {
		case placeAll, placeTags, placeList, "%unsubscribe_email%", "%tag_unsubscribe_email%":
		default:
			elements = append(elements, strings.TrimSpace(e))
		}
	}
	return strings.Join(elements, ", ")
}
