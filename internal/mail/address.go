package mail

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of RFC 5321 section 4.5.3.1, in octets.
const (
	MaxLocalPart = 64
	MaxAddress   = 254 // a path is 256 octets with its angle brackets
)

// An Address is a mailbox address, taken apart once. Everything that needs it as
// text again asks String, which quotes from the parts; the text that came in is
// never passed on (SEC-15). The zero Address is the null reverse-path.
type Address struct {
	Local  string // unquoted; no control characters, no angle brackets
	Domain string // A-labels, lower case, no trailing dot
}

// IsZero reports whether a is the null reverse-path.
func (a Address) IsZero() bool { return a == Address{} }

// String returns the address as RFC 5321 writes a Mailbox, with the local part
// quoted where it must be. The zero Address is the empty string.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	if isDotAtom(a.Local) {
		return a.Local + "@" + a.Domain
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(a.Local) {
		if c := a.Local[i]; c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(a.Local[i])
	}
	b.WriteString(`"@`)
	b.WriteString(a.Domain)
	return b.String()
}

// Key returns the address as lists and filters compare it: lower case. Mail is
// always sent to the address as it was given.
func (a Address) Key() string { return strings.ToLower(a.String()) }

// NeedsUTF8 reports whether the address can travel only with SMTPUTF8 (RFC 6531).
func (a Address) NeedsUTF8() bool {
	for i := range len(a.Local) {
		if a.Local[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// MarshalText and UnmarshalText store an address as its String.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote; the empty text is the zero Address.
func (a *Address) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = Address{}
		return nil
	}
	parsed, err := ParseAddress(string(text))
	if err == nil {
		*a = parsed
	}
	return err
}

// ParseAddress reads one addr-spec, local@domain, and nothing around it: no
// display name, no brackets, comments, source route or address literal. The
// domain may be internationalised; it comes back as A-labels.
func ParseAddress(s string) (Address, error) {
	if len(s) > 4*MaxAddress { // U-labels may shrink; no honest address comes near
		return Address{}, errors.New("address is too long")
	}
	local, rest, err := cutLocalPart(s)
	if err != nil {
		return Address{}, err
	}
	domain, err := ParseDomain(rest)
	if err != nil {
		return Address{}, err
	}
	a := Address{Local: local, Domain: domain}
	if n := len(a.String()); n > MaxAddress {
		return Address{}, fmt.Errorf("address has %d octets, more than %d", n, MaxAddress)
	}
	return a, nil
}

// cutLocalPart takes the local part off the front of s, unquoted, and returns
// what follows the @.
func cutLocalPart(s string) (local, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		local, rest, err = cutQuoted(s)
		if err != nil {
			return "", "", err
		}
		if !strings.HasPrefix(rest, "@") {
			return "", "", errors.New("address has no @ after its quoted local part")
		}
		rest = rest[1:]
	} else {
		at := strings.IndexByte(s, '@')
		if at < 0 {
			return "", "", errors.New("address has no @")
		}
		local, rest = s[:at], s[at+1:]
		if !isDotAtom(local) {
			return "", "", errors.New("local part is not a dot-atom")
		}
	}
	switch {
	case local == "":
		return "", "", errors.New("local part is empty")
	case len(local) > MaxLocalPart:
		return "", "", fmt.Errorf("local part has %d octets, more than %d", len(local), MaxLocalPart)
	case !utf8.ValidString(local):
		return "", "", errors.New("local part is not valid UTF-8")
	}
	for _, r := range local {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '<' || r == '>' {
			return "", "", errors.New("local part holds a control character or angle bracket")
		}
	}
	return local, rest, nil
}

func cutQuoted(s string) (content, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				return "", "", errors.New("quoted local part does not end")
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", errors.New("quoted local part does not end")
}

// isDotAtom reports whether s is a dot-atom (RFC 5322 section 3.2.3, with the
// UTF-8 of RFC 6532).
func isDotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf, c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// domains maps to A-labels as UTS 46 says, non-transitional and strict (SEC-18).
var domains = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.BidiRule())

// ParseDomain returns a mail domain as lower-case A-labels. It refuses what
// cannot be a domain that receives mail: single labels, addresses, numeric top
// labels, a trailing dot (SEC-45).
func ParseDomain(s string) (string, error) {
	if s == "" {
		return "", errors.New("domain is empty")
	}
	if strings.HasPrefix(s, "[") {
		return "", errors.New("address literals are not accepted")
	}
	a, err := domains.ToASCII(s)
	if err == nil && strings.Contains(a, "xn--") { // what is written must be read as the same again
		var again string
		if again, err = domains.ToASCII(a); again != a {
			err = errors.New("not an A-label")
		}
	}
	if err != nil {
		return "", errors.New("domain is not a valid domain name")
	}
	labels := strings.Split(a, ".")
	if len(labels) < 2 {
		return "", errors.New("domain has no dot")
	}
	if top := labels[len(labels)-1]; top == "" || strings.Trim(top, "0123456789") == "" {
		return "", errors.New("domain does not end in a top-level domain")
	}
	if _, err := netip.ParseAddr(a); err == nil {
		return "", errors.New("domain is an IP address")
	}
	return a, nil
}
