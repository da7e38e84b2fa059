package compose

import (
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// A fieldWriter collects the fields of a header section that we write.
type fieldWriter struct {
	fields header
	err    error
}

// put adds a field whose value is already as it travels. param names where the
// value came from.
func (w *fieldWriter) put(param, name, value string) {
	if w.err != nil {
		return
	}
	raw, fits := appendField(nil, name, value)
	if !fits {
		w.err = invalidField(param, fmt.Sprintf("holds a word too long for a line of %d octets", MaxLine))
		return
	}
	w.fields = append(w.fields, headerField{name, raw})
}

// text adds a field without structure, from text that anybody wrote.
func (w *fieldWriter) text(param, name, value string) {
	if w.err != nil {
		return
	}
	if w.err = checkText(param, value); w.err != nil {
		return
	}
	encoded, ok := unstructured(strings.TrimSpace(value))
	if !ok {
		w.err = invalidField(param, "holds a control character")
		return
	}
	w.put(param, name, encoded)
}

// mailboxes adds an address field; nothing for an empty list.
func (w *fieldWriter) mailboxes(param, name string, list []mail.Mailbox) {
	if len(list) > 0 {
		w.put(param, name, joinMailboxes(list))
	}
}

// custom adds custom headers except those that reserved names. Reply-To given
// several times becomes one list; others that may appear only once must.
func (w *fieldWriter) custom(list []Field, reserved func(string) bool) {
	var replyTo []string
	seen := map[string]bool{}
	for _, f := range list {
		if w.err != nil {
			return
		}
		if w.err = checkName(f.Name); w.err != nil || reserved(f.Name) {
			continue
		}
		value, err := customValue(f)
		name := strings.ToLower(f.Name)
		switch {
		case err != nil:
			w.err = err
		case name == "reply-to":
			replyTo = append(replyTo, value)
		case once(name) && seen[name]:
			w.err = invalidField("h:"+f.Name, "may be given only once")
		default:
			w.put("h:"+f.Name, f.Name, value)
		}
		seen[name] = true
	}
	if len(replyTo) > 0 {
		w.put("h:Reply-To", "Reply-To", strings.Join(replyTo, ", "))
	}
}

// variables adds X-Mailgun-Variables. JSON needs no encoded words: characters
// beyond ASCII have an escape of their own, and white space to fold at may
// stand behind every comma.
func (w *fieldWriter) variables(json string) {
	if json == "" || w.err != nil {
		return
	}
	if w.err = checkText("v:", json); w.err == nil {
		w.put("v:", variablesField, foldableJSON(json))
	}
}

// foldableJSON returns the JSON text in ASCII, a space behind each comma and
// colon that is not within a string.
func foldableJSON(json string) string {
	var b strings.Builder
	inString, escaped, space := false, false, false
	for _, r := range json {
		if space && r != ' ' {
			b.WriteByte(' ')
		}
		space = false
		switch {
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			escaped = false
			continue
		case r >= 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
			escaped = false
			continue
		case escaped:
			escaped = false
		case inString && r == '\\':
			escaped = true
		case r == '"':
			inString = !inString
		}
		b.WriteRune(r)
		space = !inString && (r == ',' || r == ':')
	}
	return b.String()
}

// check returns the first error, or that the header section is too large.
func (w *fieldWriter) check() error {
	if w.err != nil {
		return w.err
	}
	if len(w.fields) > MaxFields {
		return &FieldError{Field: "h:", Problem: fmt.Sprintf("message has more than %d header fields", MaxFields)}
	}
	if n := w.fields.size(); n > MaxHeader {
		return &FieldError{Field: "h:", Problem: fmt.Sprintf("header of the message would have %d octets, more than %d", n, MaxHeader)}
	}
	return nil
}

// tlsOptional reports whether the header says "TLS-Required: No" (RFC 8689
// section 3). "No" is the only value there is, and a message must not have the
// field twice: whatever is not exactly one "No" counts for nothing, so that the
// recipient's policy stays in force.
func (h header) tlsOptional() bool {
	return h.count("TLS-Required") == 1 && strings.EqualFold(h.get("TLS-Required"), "no")
}

func (h header) needsUTF8() bool {
	for _, f := range h {
		if has8Bit(f.raw) {
			return true
		}
	}
	return false
}
