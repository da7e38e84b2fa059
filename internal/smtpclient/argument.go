package smtpclient

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
)

// checkPath refuses an address that could be read as anything but one path, no
// matter how it came about (SEC-15).
func checkPath(what string, a mail.Address, utf8ok bool) error {
	local, domain := a.Local, a.Domain
	switch {
	case local == "" || domain == "":
		return fmt.Errorf("%w: %s is not a mailbox: %q", ErrArgument, what, a.String())
	case len(local)+len(domain) > mail.MaxAddress:
		return fmt.Errorf("%w: %s is longer than %d octets", ErrArgument, what, mail.MaxAddress)
	case !utf8.ValidString(local):
		return fmt.Errorf("%w: %s is not valid UTF-8", ErrArgument, what)
	}
	for i := range len(local) {
		c := local[i]
		if c < ' ' || c == 0x7f || c == '<' || c == '>' {
			return fmt.Errorf("%w: octet %#02x in %s", ErrArgument, c, what)
		}
		if c >= utf8.RuneSelf && !utf8ok {
			return fmt.Errorf("%w: %s needs SMTPUTF8", ErrArgument, what)
		}
	}
	return checkDomain(what, domain)
}

// checkDomain refuses what is neither a host name nor an address literal.
func checkDomain(what, s string) error {
	inner := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		inner = s[1 : len(s)-1]
	}
	if inner == "" || len(s) > 255 {
		return fmt.Errorf("%w: %s has no usable domain", ErrArgument, what)
	}
	for i := range len(inner) {
		c := inner[i]
		switch {
		case isDigit(c), c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '.', c == '_':
		case c == ':' && inner != s:
		default:
			return fmt.Errorf("%w: octet %#02x in the domain of %s", ErrArgument, c, what)
		}
	}
	return nil
}
