package mail

import (
	"errors"
	"fmt"
	"strings"
)

// Limits on mailboxes as text, in octets.
const (
	MaxMailbox     = 4 << 10 // one mailbox with its display name
	MaxName        = 1 << 10 // a display name once decoded: encoded again it fits MaxMailbox
	MaxMailboxList = 1 << 20 // a list of them
)

// ErrTooManyMailboxes is what a list with more mailboxes than the limit gives.
var ErrTooManyMailboxes = errors.New("too many addresses")

// A Mailbox is an address with the name shown for it (RFC 5322 section 3.4).
type Mailbox struct {
	Name    string // UTF-8, decoded, no control characters; may be empty
	Address Address
}

// ParseMailbox reads exactly one mailbox: a@b, Name <a@b>, "Quoted, Name" <a@b>.
// See [ParseMailboxList].
func ParseMailbox(s string) (Mailbox, error) {
	list, err := ParseMailboxList(s, 1)
	if err != nil {
		return Mailbox{}, err
	}
	return list[0], nil
}

// ParseMailboxList reads mailboxes with commas between them, at least one and at
// most limit. s is a form parameter, or an unfolded header field.
//
// It is stricter than RFC 5322, so that no second parser can see another address
// than we do (SEC-16): no groups, no source routes, no comments, encoded words or
// further @ inside an address, no @ in a display name unless it is quoted. It bears
// what real senders write: names in plain UTF-8, dots in unquoted names, encoded
// words in quotes, empty elements between commas. Comments around an address are
// dropped. Time is linear in the length of s.
func ParseMailboxList(s string, limit int) ([]Mailbox, error) {
	if len(s) > MaxMailboxList {
		return nil, fmt.Errorf("address list has %d octets, more than %d", len(s), MaxMailboxList)
	}
	for _, r := range s {
		if IsControl(r) && r != '\t' {
			return nil, errors.New("address holds a control character")
		}
		if r == '\uFFFD' {
			return nil, errors.New("address is not valid UTF-8")
		}
	}
	p := mailboxParser{s: s}
	var list []Mailbox
	for {
		if err := p.skipBlank(); err != nil {
			return nil, err
		}
		if p.rest() == "" {
			break
		}
		if p.s[p.i] == ',' {
			p.i++
			continue
		}
		if len(list) == limit {
			return nil, fmt.Errorf("more than %d addresses: %w", limit, ErrTooManyMailboxes)
		}
		start := p.i
		m, err := p.mailbox()
		if err != nil {
			return nil, err
		}
		if p.i-start > MaxMailbox {
			return nil, fmt.Errorf("one address has more than %d octets", MaxMailbox)
		}
		list = append(list, m)
	}
	if len(list) == 0 {
		return nil, errors.New("address is empty")
	}
	return list, nil
}

// A mailboxParser goes over s once; i is how far it came.
type mailboxParser struct {
	s string
	i int
}

func (p *mailboxParser) rest() string { return p.s[p.i:] }

// mailbox reads one mailbox and the comma behind it, if there is one.
func (p *mailboxParser) mailbox() (Mailbox, error) {
	var words []string // of the display name
	for {
		if err := p.skipBlank(); err != nil {
			return Mailbox{}, err
		}
		switch rest := p.rest(); {
		case rest == "" || rest[0] == ',':
			return Mailbox{}, errors.New("address has no @")
		case rest[0] == '<':
			addr, err := p.angleAddress()
			if err != nil {
				return Mailbox{}, err
			}
			name := strings.Join(strings.Fields(DecodeText(strings.Join(words, " "))), " ")
			if strings.ContainsFunc(name, IsControl) {
				return Mailbox{}, errors.New("display name hides a control character")
			}
			if len(name) > MaxName {
				return Mailbox{}, fmt.Errorf("display name has more than %d octets", MaxName)
			}
			return Mailbox{Name: name, Address: addr}, p.end()
		case rest[0] == '"':
			word, after, err := cutQuoted(rest)
			if err != nil {
				return Mailbox{}, errors.New("quoted name does not end")
			}
			if strings.HasPrefix(after, "@") || strings.HasPrefix(after, ".") {
				return p.bareAddress(words, len(rest)-len(after))
			}
			words = append(words, word)
			p.i = len(p.s) - len(after)
		default:
			n := strings.IndexAny(rest, " \t,<>()\"")
			if n < 0 {
				n = len(rest)
			}
			word := rest[:n]
			if strings.Contains(word, "@") {
				return p.bareAddress(words, 0)
			}
			if word == "" || strings.ContainsAny(word, `:;[]\`) {
				return Mailbox{}, errors.New("special character in a name that is not quoted")
			}
			words = append(words, word)
			p.i += n
		}
	}
}

// bareAddress reads an address without angle brackets at the cursor; its first
// quoted octets are a quoted string.
func (p *mailboxParser) bareAddress(words []string, quoted int) (Mailbox, error) {
	if len(words) > 0 {
		return Mailbox{}, errors.New("name before an address that is not in angle brackets")
	}
	rest := p.rest()
	n := strings.IndexAny(rest[quoted:], " \t,<(\"")
	if n < 0 {
		n = len(rest) - quoted
	}
	addr, err := parseHeaderAddress(rest[:quoted+n])
	if err != nil {
		return Mailbox{}, err
	}
	p.i += quoted + n
	return Mailbox{Address: addr}, p.end()
}

// angleAddress reads <addr-spec>.
func (p *mailboxParser) angleAddress() (Address, error) {
	inner := p.rest()[1:]
	quoted := 0
	if trimmed := strings.TrimLeft(inner, " \t"); strings.HasPrefix(trimmed, `"`) {
		_, after, err := cutQuoted(trimmed)
		if err != nil {
			return Address{}, err
		}
		quoted = len(inner) - len(after)
	}
	n := strings.IndexByte(inner[quoted:], '>')
	if n < 0 {
		return Address{}, errors.New("angle bracket is not closed")
	}
	p.i += 1 + quoted + n + 1
	return parseHeaderAddress(strings.Trim(inner[:quoted+n], " \t"))
}

// end takes comments, white space and one comma behind a mailbox.
func (p *mailboxParser) end() error {
	if err := p.skipBlank(); err != nil {
		return err
	}
	switch rest := p.rest(); {
	case rest == "":
		return nil
	case rest[0] == ',':
		p.i++
		return nil
	}
	return errors.New("something stands behind the address")
}

// skipBlank takes white space and comments, which may hold comments.
func (p *mailboxParser) skipBlank() error {
	depth := 0
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			p.i++
		case depth == 0 && c != ' ' && c != '\t':
			return nil
		}
	}
	if p.i = min(p.i, len(p.s)); depth > 0 {
		return errors.New("comment does not end")
	}
	return nil
}

// parseHeaderAddress reads an address that other programs will read in a header.
// It refuses local parts that a careless parser takes for something else.
func parseHeaderAddress(s string) (Address, error) {
	a, err := ParseAddress(s)
	switch {
	case err != nil:
		return Address{}, err
	case strings.Contains(a.Local, "=?"):
		return Address{}, errors.New("encoded word inside an address")
	case strings.ContainsAny(a.Local, "@\uFF20\uFE6B"):
		return Address{}, errors.New("address has more than one @")
	case strings.ContainsFunc(a.Local, IsControl):
		return Address{}, errors.New("address holds a control character")
	}
	return a, nil
}

// String returns the mailbox as a header field shows it, not folded: ASCII,
// unless the address needs SMTPUTF8. A name that is not ASCII becomes encoded words.
func (m Mailbox) String() string {
	name := strings.Join(strings.FieldsFunc(m.Name, func(r rune) bool { return r == ' ' || IsControl(r) }), " ")
	if name == "" {
		return m.Address.String()
	}
	return phrase(name) + " <" + m.Address.String() + ">"
}

// Display returns the mailbox for people and logs: the name in UTF-8.
func (m Mailbox) Display() string {
	if m.Name == "" {
		return m.Address.String()
	}
	return m.Name + " <" + m.Address.String() + ">"
}

// phrase returns a name as atoms, a quoted string or encoded words.
func phrase(name string) string {
	for word := range strings.FieldsSeq(name) {
		if len(word) > 64 { // a line could not be folded inside it
			return EncodeText(name)
		}
	}
	atoms := true
	for i := range len(name) {
		c := name[i]
		if c >= 0x80 || c == '=' && strings.HasPrefix(name[i:], "=?") {
			return EncodeText(name)
		}
		atoms = atoms && (c == ' ' || c != '.' && isDotAtom(name[i:i+1]))
	}
	if atoms {
		return name
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(name) {
		if c := name[i]; c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(name[i])
	}
	b.WriteByte('"')
	return b.String()
}
