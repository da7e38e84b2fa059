package compose

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
)

// maxFieldName bounds the names of custom headers.
const maxFieldName = 76

// Reserved reports whether a custom header (h:) of this name, in any letter
// case, is ignored (SEC-24): the field is ours to write, speaks for somebody
// else, belongs into the envelope, or has a parameter of its own. Ignoring is
// what senders' programs expect of a parameter that has no use.
func Reserved(name string) bool {
	switch strings.ToLower(name) {
	case "from", "to", "cc", "subject", "date", "message-id":
		return true
	}
	return neverCustom(name)
}

// neverCustom reports the names that are reserved also beside a message that the
// sender composed.
func neverCustom(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "from", "message-id", "mime-version", "bcc", "resent-bcc", "return-path", "received",
		"dkim-signature", "domainkey-signature", "authentication-results", "delivered-to":
		return true
	}
	return strings.HasPrefix(name, "content-") || strings.HasPrefix(name, "arc-") || isControlField(name)
}

// isControlField reports whether a field of a submitted message speaks to us and
// does not travel.
func isControlField(name string) bool {
	for _, prefix := range [...]string{"x-mailgun-", "x-sealpost-"} {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

const variablesField = "X-Mailgun-Variables"

// once reports whether a message may have the field only once (RFC 5322 section
// 3.6, RFC 2045). Receivers refuse, or read differently, a message with two.
func once(name string) bool {
	switch strings.ToLower(name) {
	case "date", "from", "sender", "reply-to", "to", "cc", "message-id", "in-reply-to", "references", "subject",
		"mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id":
		return true
	}
	return false
}

// isAddressField reports whether the field holds mailboxes and nothing else.
func isAddressField(name string) bool {
	switch strings.ToLower(name) {
	case "from", "sender", "reply-to", "to", "cc",
		"resent-from", "resent-sender", "resent-to", "resent-cc", "resent-reply-to":
		return true
	}
	return false
}

// isStructured reports whether encoded words are no part of the field's syntax,
// so that its octets must stay as they are (RFC 2047 section 5).
func isStructured(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "date", "message-id", "in-reply-to", "references", "received", "return-path", "dkim-signature",
		"mime-version", "content-type", "content-disposition", "content-transfer-encoding", "content-id",
		"auto-submitted", "precedence", "resent-date", "resent-message-id", "feedback-id", "tls-required",
		"authentication-results":
		return true
	}
	return strings.HasPrefix(name, "list-") || strings.HasPrefix(name, "arc-") || isAddressField(name)
}

func invalidField(field, problem string) error {
	return &FieldError{Field: field, Problem: field + " parameter " + problem}
}

// checkText refuses text that must not come near a header (SEC-14), also when it
// hides in an encoded word.
func checkText(field, text string) error {
	switch {
	case !utf8.ValidString(text):
		return invalidField(field, "is not valid UTF-8")
	case strings.ContainsFunc(text, isC0):
		return invalidField(field, "holds a line break or another control character")
	case strings.ContainsFunc(mail.DecodeText(text), isC0):
		return invalidField(field, "hides a control character in an encoded word")
	case len(text) > MaxField:
		return invalidField(field, fmt.Sprintf("is larger than %d octets", MaxField))
	}
	return nil
}

// checkName refuses names that cannot be a header field's.
func checkName(name string) error {
	field := "h:" + clean(strings.ToValidUTF8(name[:min(len(name), 4*maxFieldName)], "\uFFFD"))
	switch {
	case !isASCII(name):
		return &FieldError{Field: field, Problem: "Header name must be pure ASCII: " + strings.TrimPrefix(field, "h:")}
	case !isFieldName(name), len(name) > maxFieldName:
		return invalidField(field, "is not a valid header name")
	}
	return nil
}

// customValue checks a custom header and returns its value as it travels.
func customValue(f Field) (string, error) {
	if err := checkName(f.Name); err != nil {
		return "", err
	}
	param := "h:" + f.Name
	if err := checkText(param, f.Value); err != nil {
		return "", err
	}
	name, value := strings.ToLower(f.Name), strings.TrimSpace(f.Value)
	switch {
	case isAddressField(name):
		list, err := mail.ParseMailboxList(value, MaxFields)
		if err != nil {
			return "", invalidField(param, "is not a valid address. please check documentation")
		}
		return joinMailboxes(list), nil
	case name == "list-id" && !isASCII(value):
		if i := strings.LastIndexByte(value, '<'); i > 0 && isASCII(value[i:]) {
			return mail.EncodeText(strings.TrimSpace(value[:i])) + " " + value[i:], nil
		}
		return "", invalidField(param, "must be ASCII between its angle brackets")
	case strings.HasPrefix(name, "list-"): // URLs (RFC 2369): other characters are percent-encoded
		return percentNonASCII(value), nil
	case isStructured(name):
		if !isASCII(value) {
			return "", invalidField(param, "must be ASCII")
		}
		return value, nil
	}
	text, ok := unstructured(value)
	if !ok {
		return "", invalidField(param, "holds a control character")
	}
	return text, nil
}

func percentNonASCII(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < 0x80 {
			b.WriteByte(s[i])
		} else {
			b.WriteString(percent(s[i : i+1]))
		}
	}
	return b.String()
}

func joinMailboxes(list []mail.Mailbox) string {
	parts := make([]string, len(list))
	for i, m := range list {
		parts[i] = m.String()
	}
	return strings.Join(parts, ", ")
}

func displayMailboxes(list []mail.Mailbox) string {
	parts := make([]string, len(list))
	for i, m := range list {
		parts[i] = m.Display()
	}
	return strings.Join(parts, ", ")
}

// ParseMessageID reads a Message-ID as senders give it, with or without angle
// brackets, and returns it without. It takes what every mail program can read
// back: ASCII, one @, no white space, at most 255 octets.
func ParseMessageID(s string) (string, error) {
	id := strings.TrimSpace(s)
	if inner, ok := strings.CutPrefix(id, "<"); ok {
		if id, ok = strings.CutSuffix(inner, ">"); !ok {
			return "", invalidField("h:Message-Id", "has an angle bracket that is not closed")
		}
	}
	left, right, ok := strings.Cut(id, "@")
	switch {
	case !ok || left == "" || right == "" || strings.Contains(right, "@"):
		return "", invalidField("h:Message-Id", "must have the form <left@right>")
	case len(id) > MaxMessageID:
		return "", invalidField("h:Message-Id", fmt.Sprintf("is longer than %d octets", MaxMessageID))
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>()\",;`, r) }):
		return "", invalidField("h:Message-Id", "holds a character that a Message-ID cannot have")
	}
	return id, nil
}
