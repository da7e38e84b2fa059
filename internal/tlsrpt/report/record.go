package report

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// RecordName is where a policy domain asks for reports (RFC 8460 section 3).
func RecordName(domain string) string { return "_smtp._tls." + domain }

// ErrNoRecord means that a domain does not ask for reports.
var ErrNoRecord = errors.New("no TLSRPT record")

const (
	recordVersion   = "v=TLSRPTv1"
	maxRecord       = 4096 // octets
	maxDestinations = 8    // a domain with more of them wants something else than reports
	maxURI          = 2000
	wsp             = " \t" // RFC 5234
)

// A Destination is where one copy of a report goes. Exactly one of Mail and URL is set.
type Destination struct {
	URI  string // as published; foreign text
	Mail mail.Address
	URL  *url.URL // https
}

// ParseRecord reads the TXT records found at [RecordName], each with its strings joined.
// RFC 8460 section 3: records that do not begin with the version are not meant; if there is
// not exactly one that does, the domain does not take part ([ErrNoRecord]). Any other
// error means that the record asks for reports and does not say where, in words of ours.
//
// URIs of a scheme we do not know, and those that cannot be used, are passed over as
// long as another one can.
func ParseRecord(texts []string) ([]Destination, error) {
	var record string
	found := 0
	for _, t := range texts {
		if rest, ok := strings.CutPrefix(t, recordVersion); ok && strings.HasPrefix(strings.TrimLeft(rest, wsp), ";") {
			record = t
			found++
		}
	}
	switch {
	case found == 0:
		return nil, ErrNoRecord
	case found > 1:
		return nil, fmt.Errorf("%w: there are %d of them, and only one may be", ErrNoRecord, found)
	case len(record) > maxRecord:
		return nil, fmt.Errorf("the TLSRPT record has %d octets, more than %d", len(record), maxRecord)
	}
	var list []Destination
	var unusable error
	seen := map[string]bool{}
	for field := range strings.SplitSeq(record[len(recordVersion):], ";") {
		value, ok := strings.CutPrefix(strings.Trim(field, wsp), "rua=")
		if !ok {
			continue // an extension, to be ignored
		}
		for text := range strings.SplitSeq(value, ",") {
			d, err := parseDestination(strings.Trim(text, wsp))
			switch {
			case err != nil:
				unusable = err
			case !seen[d.URI]:
				seen[d.URI] = true
				list = append(list, d)
			}
		}
	}
	switch {
	case len(list) > maxDestinations:
		return list[:maxDestinations], nil
	case len(list) > 0:
		return list, nil
	case unusable != nil:
		return nil, fmt.Errorf("the TLSRPT record has no usable rua: %w", unusable)
	}
	return nil, errors.New("the TLSRPT record has no rua")
}

// parseDestination reads one URI. Its errors do not repeat it.
func parseDestination(text string) (Destination, error) {
	if len(text) > maxURI {
		return Destination{}, fmt.Errorf("a URI has more than %d octets", maxURI)
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return Destination{}, errors.New("a URI holds a character that must be percent-encoded")
		}
	}
	scheme, rest, ok := strings.Cut(text, ":")
	switch {
	case !ok:
		return Destination{}, errors.New("a URI has no scheme")
	case strings.EqualFold(scheme, "mailto"):
		return parseMailto(text, rest)
	case strings.EqualFold(scheme, "https"):
		return parseHTTPS(text)
	}
	return Destination{}, errors.New("the scheme of a URI is neither mailto nor https")
}

// parseMailto reads what follows mailto: as one address. What it wants to add to
// the header (RFC 6068 section 2) is not the policy domain's to say.
func parseMailto(text, rest string) (Destination, error) {
	to, _, _ := strings.Cut(rest, "?")
	to, _, _ = strings.Cut(to, "#")
	decoded, err := url.PathUnescape(to)
	if err != nil {
		return Destination{}, errors.New("a mailto URI has a broken percent-encoding")
	}
	a, err := mail.ParseAddress(decoded)
	if err != nil {
		return Destination{}, errors.New("a mailto URI does not hold exactly one address")
	}
	return Destination{URI: text, Mail: a}, nil
}

func parseHTTPS(text string) (Destination, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Host == "", u.Hostname() == "", u.Opaque != "":
		return Destination{}, errors.New("an https URI cannot be read")
	case u.User != nil:
		return Destination{}, errors.New("an https URI holds a login")
	}
	u.Fragment, u.RawFragment = "", ""
	return Destination{URI: text, URL: u}, nil
}
