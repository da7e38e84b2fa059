package suppression

import (
	"fmt"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	defaultCode = "550"
	maxTag      = 128 // octets
)

// Fields are an entry as a client wrote it; empty ones were not given.
type Fields struct {
	Address string
	Domain  string // allowlist
	Code    string // bounces
	Error   string // bounces
	Reason  string // allowlist
	Tags    []string
	Created string // RFC 2822, RFC 3339, or seconds since 1970
}

// A problem is an error in words that clients know.
type problem string

// Error returns the words.
func (p problem) Error() string { return string(p) }

// Parse reads an entry for a list. The error is for who wrote it. now is when entries were made
// that do not say.
func Parse(list store.SuppressionList, f Fields, now time.Time) (store.Suppression, error) {
	s := store.Suppression{Created: now}
	var err error
	if s.Value, err = parseValue(list, f); err != nil {
		return s, err
	}
	switch list {
	case store.Bounces:
		if s.Code, err = parseCode(f.Code); err != nil {
			return s, err
		}
		s.Text = f.Error
	case store.Unsubscribes:
		if s.Tags, err = parseTags(f.Tags); err != nil {
			return s, err
		}
	case store.Allowlist:
		s.Text = f.Reason
	}
	if len(s.Text) > store.MaxSuppressionText {
		return s, fmt.Errorf("the text of an entry is longer than %d octets", store.MaxSuppressionText)
	}
	if f.Created = strings.TrimSpace(f.Created); f.Created != "" && !noMoment(f.Created) {
		if s.Created, err = parseCreated(f.Created); err != nil {
			return s, err
		}
	}
	return s, nil
}

func parseValue(list store.SuppressionList, f Fields) (string, error) {
	address, domain := strings.TrimSpace(f.Address), strings.TrimSpace(f.Domain)
	switch {
	case list != store.Allowlist && address == "":
		return "", problem("Missing mandatory parameter: address")
	case list != store.Allowlist || address != "":
		if list == store.Allowlist && !strings.Contains(address, "@") {
			domain = address
			break
		}
		value, ok := Value(list, address)
		if !ok {
			return "", fmt.Errorf("'address' parameter is not a valid address. please check documentation")
		}
		return value, nil
	case domain == "":
		return "", problem("Missing mandatory parameter: address/domain")
	}
	value, ok := Value(list, domain)
	if !ok || strings.Contains(value, "@") {
		return "", fmt.Errorf("'domain' parameter is not a valid domain name")
	}
	return value, nil
}

// Value returns an address, or on the allowlist a domain, as lists hold it: as it was given, if that differs from
// how mail writes it in letter case only.
func Value(list store.SuppressionList, given string) (string, bool) {
	given = strings.TrimSpace(given)
	if list == store.Allowlist && !strings.Contains(given, "@") {
		domain, err := mail.ParseDomain(given)
		return domain, err == nil
	}
	a, err := mail.ParseAddress(given)
	if err != nil {
		return "", false
	}
	if strings.EqualFold(a.String(), given) {
		return given, true
	}
	return a.String(), true
}

func parseCode(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return defaultCode, nil
	}
	if len(s) != 3 || strings.Trim(s, "0123456789") != "" || s[0] == '0' {
		return "", fmt.Errorf("'code' parameter must be a reply code of three digits")
	}
	return s, nil
}

// parseTags reads tags. What is not ASCII is taken out of them, as from those of messages.
func parseTags(given []string) ([]string, error) {
	var tags []string
	for _, g := range given {
		t := strings.TrimSpace(strings.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return -1
			}
			return c
		}, g))
		switch {
		case t == "":
		case len(t) > maxTag:
			return nil, fmt.Errorf("a tag is longer than %d characters", maxTag)
		default:
			tags = append(tags, t)
		}
	}
	if len(tags) > store.MaxSuppressionTags {
		return nil, fmt.Errorf("an entry may have at most %d tags", store.MaxSuppressionTags)
	}
	if len(tags) == 0 {
		tags = []string{store.AllTags}
	}
	return tags, nil
}

// noMoment recognizes what Mailgun's Go client writes of entries that do not say when: Go's
// zero time, in the year 1.
func noMoment(s string) bool {
	return strings.Contains(s, " Jan 0001 ") || strings.HasPrefix(s, "0001-01-01")
}

func parseCreated(s string) (time.Time, error) {
	t, ok := sendopt.ParseTime(s)
	if !ok {
		var err error
		t, err = time.Parse(time.RFC3339, s)
		ok = err == nil
	}
	if !ok || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s is not an RFC-2822 compliant date", shown(s))
	}
	return t.UTC(), nil
}

// shown cuts foreign text to a length fit for an answer.
func shown(s string) string {
	const limit = 100
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.Map(func(c rune) rune {
		if mail.IsControl(c) {
			return ' '
		}
		return c
	}, s)
}
