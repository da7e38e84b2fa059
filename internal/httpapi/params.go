package httpapi

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
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
func (p params) flag(name string) (mail.Tri, error) {
	t, err := mail.ParseTri(p.Get(name))
	if err != nil {
		return t, badRequest("'%s' parameter must be yes, no, true or false", name)
	}
	return t, nil
}

// flagOf reads a boolean that has two spellings of its name.
func (p params) flagOf(name, other string) (mail.Tri, error) {
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

// maxEpoch is the last second that is taken for a date: the year 9999.
const maxEpoch = 253402300799

// parseDate reads a moment: seconds since 1970, with decimals or without, or a
// date of RFC 2822.
func parseDate(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	var t time.Time
	var ok bool
	if s != "" && s[0] >= '0' && s[0] <= '9' && !strings.Contains(s, " ") {
		t, ok = parseEpoch(s)
	} else {
		t, ok = accept.ParseTime(s)
	}
	if !ok || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s is not an RFC-2822 compliant date", shown(s))
	}
	return t, nil
}

// parseEpoch reads seconds and decimals without going through a float, which
// would lose microseconds: clients ask for events since the one they saw last.
func parseEpoch(s string) (time.Time, bool) {
	whole, decimals, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || seconds > maxEpoch || len(decimals) > 32 || strings.Trim(decimals, "0123456789") != "" {
		return time.Time{}, false
	}
	nanos, err := strconv.ParseInt((decimals + "000000000")[:9], 10, 64)
	return time.Unix(int64(seconds), nanos).UTC(), err == nil
}
