package httpapi

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	sealmail "github.com/sealpost/sealpost/internal/mail"
)

// params are the parameters of a call that takes no message: body before query.
type params struct{ url.Values }

func (f *form) params() params {
	v := url.Values{}
	for _, fd := range f.fields {
		v.Add(fd.Name, fd.Value)
	}
	return params{v}
}

// flag reads a boolean. An empty or absent one is Unset.
func (p params) flag(name string) (sealmail.Tri, error) {
	t, err := sealmail.ParseTri(p.Get(name))
	if err != nil {
		return t, badRequest("'%s' parameter must be yes, no, true or false", name)
	}
	return t, nil
}

// flagOf reads a boolean that has two spellings of its name.
func (p params) flagOf(name, other string) (sealmail.Tri, error) {
	if p.Get(name) == "" {
		return p.flag(other)
	}
	return p.flag(name)
}

// number reads a whole number of at least lowest; absent is the given default.
func (p params) number(name string, lowest, otherwise int) (int, error) {
	s := strings.TrimSpace(p.Get(name))
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || int(n) < lowest {
		return 0, badRequest("'%s' parameter must be a number of at least %d", name, lowest)
	}
	return int(n), nil
}

// oneOf reads a word from a list; absent is the empty string.
func (p params) oneOf(name string, words ...string) (string, error) {
	s := strings.ToLower(strings.TrimSpace(p.Get(name)))
	if s == "" {
		return "", nil
	}
	for _, w := range words {
		if s == w {
			return s, nil
		}
	}
	return "", badRequest("'%s' parameter must be one of: %s", name, strings.Join(words, ", "))
}

// gmt formats a time as domains and credentials show it.
func gmt(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

// zones are the zone names of RFC 2822 section 4.3. Go would read any other
// capital letters as a zone at Greenwich.
var zones = map[string]string{
	"GMT": "+0000", "UT": "+0000", "UTC": "+0000", "Z": "+0000",
	"EST": "-0500", "EDT": "-0400", "CST": "-0600", "CDT": "-0500",
	"MST": "-0700", "MDT": "-0600", "PST": "-0800", "PDT": "-0700",
}

// maxEpoch is the last second that is taken for a date: the year 9999.
const maxEpoch = 253402300799

// parseDate reads a moment: seconds since 1970, with decimals or without, or a
// date of RFC 2822 with a numeric zone or one of its zone names.
func parseDate(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 64 {
		return time.Time{}, fmt.Errorf("%s is not an RFC-2822 compliant date", shown(s))
	}
	if s[0] >= '0' && s[0] <= '9' && !strings.Contains(s, " ") {
		t, err := parseEpoch(s)
		if err != nil {
			return t, fmt.Errorf("%s is not an RFC-2822 compliant date", shown(s))
		}
		return t, nil
	}
	t, err := mail.ParseDate(numericZone(s))
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s is not an RFC-2822 compliant date", shown(s))
	}
	return t.UTC(), nil
}

// numericZone replaces a zone name at the end of a date. One that is not known
// is replaced by nothing, so that the date is not read.
func numericZone(s string) string {
	i := strings.LastIndexByte(s, ' ')
	zone := s[i+1:]
	if zone == "" || zone[0] == '+' || zone[0] == '-' || zone[0] == '(' || strings.HasSuffix(zone, ")") {
		return s
	}
	return s[:i+1] + zones[strings.ToUpper(zone)]
}

// parseEpoch reads seconds and decimals without going through a float, which
// would lose microseconds.
func parseEpoch(s string) (time.Time, error) {
	whole, decimals, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || seconds > maxEpoch {
		return time.Time{}, errors.New("not a number of seconds")
	}
	for _, c := range decimals {
		if c < '0' || c > '9' {
			return time.Time{}, errors.New("not a number of seconds")
		}
	}
	nanos := (decimals + "000000000")[:9]
	n, err := strconv.ParseInt(nanos, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("not a number of seconds")
	}
	return time.Unix(int64(seconds), n).UTC(), nil
}
