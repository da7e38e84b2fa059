package mail

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of what a client may say about notices, in octets (RFC 3461 sections 4.2, 4.4).
const (
	MaxEnvelopeID        = 100
	MaxOriginalRecipient = 500
)

// A DSN is what the sender of a message asked for with the DSN extension (RFC 3461): what
// travels with the message to every next hop that offers the extension, and where one does not,
// what we owe the sender ourselves. A nil DSN is a sender who said nothing.
type DSN struct {
	// Return is RET: how much of a message comes back with a notice of its failure.
	Return Return `json:"ret,omitempty"`
	// EnvelopeID is ENVID, decoded: printable ASCII that means something to the sender.
	EnvelopeID string `json:"envid,omitempty"`
	// Recipients holds what was said about a recipient, by [Address.Key]; those about whom
	// nothing was said are not in it.
	Recipients map[string]RecipientDSN `json:"recipients,omitempty"`
}

// A RecipientDSN is what was said about one recipient.
type RecipientDSN struct {
	Notify Notify `json:"notify,omitempty"`
	// Original is ORCPT, decoded: a type and a semicolon before an address as the first
	// sender knew it. Empty: not said.
	Original string `json:"orcpt,omitempty"`
}

// Of returns what was said about a recipient.
func (d *DSN) Of(a Address) RecipientDSN {
	if d == nil {
		return RecipientDSN{}
	}
	return d.Recipients[a.Key()]
}

// Notify tells of what a sender wants to hear about a recipient. One who said nothing
// about it, but used the extension for the message, wants to hear of failures (RFC 3461
// section 4.1 lets the server choose). ORCPT alone is no such use: Postfix adds it to every
// recipient, and nobody asked.
func (d *DSN) Notify(a Address) Notify {
	n := d.Of(a).Notify
	if n == 0 && d != nil && (d.Return != "" || d.EnvelopeID != "") {
		n = NotifyFailure
	}
	return n
}

// Only returns the part of d that concerns the recipients; nil if there is none.
func (d *DSN) Only(recipients []Address) *DSN {
	if d == nil {
		return nil
	}
	part := &DSN{Return: d.Return, EnvelopeID: d.EnvelopeID}
	for _, a := range recipients {
		if said, ok := d.Recipients[a.Key()]; ok {
			if part.Recipients == nil {
				part.Recipients = map[string]RecipientDSN{}
			}
			part.Recipients[a.Key()] = said
		}
	}
	if part.Return == "" && part.EnvelopeID == "" && part.Recipients == nil {
		return nil
	}
	return part
}

// A Return is a value of the RET parameter; empty if it was not given.
type Return string

// The values of RET (RFC 3461 section 4.3).
const (
	ReturnFull   Return = "FULL"
	ReturnHeader Return = "HDRS"
)

// A Notify is a set of occasions for a notice, as NOTIFY gives it (RFC 3461 section 4.1).
// Its zero value is "not said".
type Notify uint8

// The occasions. NotifyNever stands alone.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// notifyWords are the occasions in the order in which they are written.
var notifyWords = [...]struct {
	word string
	n    Notify
}{{"NEVER", NotifyNever}, {"SUCCESS", NotifySuccess}, {"FAILURE", NotifyFailure}, {"DELAY", NotifyDelay}}

// Has reports whether n holds the occasion.
func (n Notify) Has(occasion Notify) bool { return n&occasion != 0 }

// String returns n as the value of a NOTIFY parameter; empty if nothing was said.
func (n Notify) String() string {
	var words []string
	for _, w := range notifyWords {
		if n.Has(w.n) {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}

// MarshalText implements encoding.TextMarshaler.
func (n Notify) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Notify) UnmarshalText(text []byte) (err error) {
	if *n = 0; len(text) > 0 {
		*n, err = ParseNotify(string(text))
	}
	return err
}

// ParseNotify reads the value of a NOTIFY parameter, in any letter case.
func ParseNotify(s string) (Notify, error) {
	var n Notify
	for item := range strings.SplitSeq(s, ",") {
		var occasion Notify
		for _, w := range notifyWords {
			if strings.EqualFold(item, w.word) {
				occasion = w.n
			}
		}
		if occasion == 0 || n.Has(occasion) {
			return 0, errors.New("NOTIFY holds something else than SUCCESS, FAILURE and DELAY, or one of them twice")
		}
		n |= occasion
	}
	if n.Has(NotifyNever) && n != NotifyNever {
		return 0, errors.New("NOTIFY=NEVER goes with nothing else")
	}
	return n, nil
}

// ParseEnvelopeID reads the value of an ENVID parameter.
func ParseEnvelopeID(s string) (string, error) {
	id, err := DecodeXtext(s)
	if err != nil || id == "" || len(s) > MaxEnvelopeID {
		return "", fmt.Errorf("ENVID is not xtext of 1 to %d characters", MaxEnvelopeID)
	}
	return id, nil
}

// ParseOriginalRecipient reads the value of an ORCPT parameter, an address type and an
// address in xtext, and returns it decoded. Addresses of type utf-8 have an encoding of
// their own (RFC 6533 section 3); utf8ok tells whether they may also come without it.
func ParseOriginalRecipient(s string, utf8ok bool) (string, error) {
	kind, value, _ := strings.Cut(s, ";")
	bad := fmt.Errorf("ORCPT is not a type and an address in xtext of up to %d characters", MaxOriginalRecipient)
	if kind == "" || value == "" || len(s) > MaxOriginalRecipient || !isAddressType(kind) {
		return "", bad
	}
	decode := DecodeXtext
	if strings.EqualFold(kind, "utf-8") {
		decode = func(s string) (string, error) { return decodeUTF8Address(s, utf8ok) }
	}
	address, err := decode(value)
	if err != nil {
		return "", bad
	}
	return kind + ";" + address, nil
}

// OriginalRecipientParameter writes a decoded original recipient as the value of ORCPT,
// in ASCII, as every server with the extension can take it.
func OriginalRecipientParameter(original string) string {
	kind, address, _ := strings.Cut(original, ";")
	if strings.EqualFold(kind, "utf-8") {
		return kind + ";" + EncodeUTF8Address(address)
	}
	return kind + ";" + EncodeXtext(address)
}

func isAddressType(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// DecodeXtext reads xtext (RFC 3461 section 4) of printable ASCII: what it stands for can
// neither end a line nor change what a terminal shows (SEC-11).
func DecodeXtext(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < '!' || c > '~' || c == '=' {
			return "", errXtext
		}
		if c == '+' {
			if i+2 >= len(s) || strings.ToUpper(s[i+1:i+3]) != s[i+1:i+3] {
				return "", errXtext
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || n < ' ' || n > '~' {
				return "", errXtext
			}
			c, i = byte(n), i+2
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

var errXtext = errors.New("not xtext of printable ASCII")

// EncodeXtext writes printable ASCII as xtext. Anything else becomes a question mark, so that
// no octet of it can be taken for the end of a command.
func EncodeXtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c > '~':
			b.WriteByte('?')
		case c == ' ' || c == '+' || c == '=':
			fmt.Fprintf(&b, "+%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// decodeUTF8Address reads utf-8-addr-xtext, or with utf8ok utf-8-addr-unitext (RFC 6533 section 3).
func decodeUTF8Address(s string, utf8ok bool) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == utf8.RuneError || r <= ' ' || r == 0x7f || r == '+' || r == '=' || r > '~' && !utf8ok:
			return "", errXtext
		case r == '\\':
			escaped, opened := strings.CutPrefix(s[i:], "x{")
			hex, _, closed := strings.Cut(escaped, "}")
			n, err := strconv.ParseUint(hex, 16, 32)
			r = rune(n)
			if !opened || !closed || err != nil || len(hex) < 2 || len(hex) > 6 || !utf8.ValidRune(r) || strings.ToUpper(hex) != hex {
				return "", errXtext
			}
			i += len("x{}") + len(hex)
		}
		if IsControl(r) {
			return "", errXtext
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}

// EncodeUTF8Address writes an address as utf-8-addr-xtext (RFC 6533 section 3).
func EncodeUTF8Address(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r <= ' ', r > '~', r == '\\', r == '+', r == '=':
			fmt.Fprintf(&b, `\x{%02X}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
