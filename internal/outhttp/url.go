package outhttp

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// MaxURL is the length of a URL in octets.
const MaxURL = 2048

// Errors of [ParseURL] that callers tell apart.
var (
	ErrScheme = errors.New("invalid URL scheme")
	ErrHost   = errors.New("invalid host")
)

// ParseURL reads an absolute http or https URL and refuses what the client would not go
// to: credentials, ports that web servers do not use, hosts that are neither a name nor
// an address in its usual form. It looks nothing up, and judges no address.
func ParseURL(s string) (*url.URL, error) {
	switch {
	case s == "":
		return nil, errors.New("empty URL")
	case len(s) > MaxURL:
		return nil, fmt.Errorf("longer than %d octets", MaxURL)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == '\\' }):
		return nil, errors.New("it has characters that must be escaped")
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("it cannot be parsed")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, ErrScheme
	case u.Opaque != "" || u.Host == "":
		return nil, ErrHost
	case u.User != nil:
		return nil, errors.New("credentials are not allowed")
	case u.Fragment != "":
		return nil, errors.New("a fragment is not allowed")
	}
	if err := checkPort(u); err != nil {
		return nil, err
	}
	return u, checkHost(u.Hostname())
}

// checkPort keeps the client away from the ports of mail, databases of old and everything
// else that is not a web server and could misread a request.
func checkPort(u *url.URL) error {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return errors.New("invalid port")
		}
		return nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port != 80 && port != 443 && port < 1024 {
		return errors.New("port must be 80, 443 or at least 1024")
	}
	return nil
}

// checkHost takes an IP address in its usual form, or a name that no resolver takes for
// an address. 127.1, 0x7f.1 and 2130706433 are addresses to some.
func checkHost(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return errors.New("an address with a zone is not allowed")
		}
		return nil
	}
	name := strings.TrimSuffix(host, ".")
	if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return ErrHost
		}
		if _, err := netip.ParseAddr(name); err == nil {
			return ErrHost // digits of another script
		}
	}
	// Underscores are not for hosts, but container networks have them.
	if len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	}) {
		return ErrHost
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return ErrHost
		}
	}
	if isNumber(labels[len(labels)-1]) {
		return ErrHost
	}
	return nil
}

// isNumber reports whether a label is what inet_aton takes for a number.
func isNumber(label string) bool {
	if rest, ok := strings.CutPrefix(strings.ToLower(label), "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
