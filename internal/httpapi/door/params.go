package door

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/sendopt"
)

// Params are the parameters of a call that takes no message: body before query.
type Params struct{ url.Values }

// Params reads the parameters of a small request: those of the body, if the
// method has one, then those of the query.
func (r *Request) Params() (Params, error) {
	f, err := r.Form(SmallForm())
	if err != nil {
		return Params{}, err
	}
	defer f.Close()
	return f.Params(), nil
}

// Params returns the fields of the form by name.
func (f *Form) Params() Params {
	v := url.Values{}
	for _, fd := range f.Fields {
		v.Add(fd.Name, fd.Value)
	}
	return Params{v}
}

// Flag reads a boolean. An empty or absent one is Unset.
func (p Params) Flag(name string) (mail.Tri, error) {
	t, err := mail.ParseTri(p.Get(name))
	if err != nil {
		return t, BadRequest("'%s' parameter must be yes, no, true or false", name)
	}
	return t, nil
}

// FlagOf reads a boolean that has two spellings of its name.
func (p Params) FlagOf(name, other string) (mail.Tri, error) {
	if p.Get(name) == "" {
		return p.Flag(other)
	}
	return p.Flag(name)
}

// Number reads a whole number of at least lowest; absent is the given default.
func (p Params) Number(name string, lowest, otherwise int) (int, error) {
	s := strings.TrimSpace(p.Get(name))
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || int(n) < lowest {
		return 0, BadRequest("'%s' parameter must be a number of at least %d", name, lowest)
	}
	return int(n), nil
}

// OneOf reads a word from a list; absent is the empty string.
func (p Params) OneOf(name string, words ...string) (string, error) {
	s := strings.ToLower(strings.TrimSpace(p.Get(name)))
	if s == "" {
		return "", nil
	}
	for _, w := range words {
		if s == w {
			return s, nil
		}
	}
	return "", BadRequest("'%s' parameter must be one of: %s", name, strings.Join(words, ", "))
}

// GMT formats a time as domains and credentials show it.
func GMT(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

// UTC formats a time as suppressions, templates and statistics show it.
func UTC(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC") }

// MinusZero formats a time as mailing lists and the log API show it.
func MinusZero(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0000") }

// PlusZero formats a time as metrics and the tags of an account show it.
func PlusZero(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000") }

// Paging are the links of a page: absolute, and always all four (P7).
type Paging struct {
	Next     string `json:"next"`
	Previous string `json:"previous"`
	First    string `json:"first"`
	Last     string `json:"last"`
}

// MaxEpoch is the last second that is taken for a date: the year 9999.
const MaxEpoch = 253402300799

// ParseDate reads a moment: seconds since 1970, with decimals or without, or a
// date of RFC 2822.
func ParseDate(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	var t time.Time
	var ok bool
	if s != "" && s[0] >= '0' && s[0] <= '9' && !strings.Contains(s, " ") {
		t, ok = parseEpoch(s)
	} else {
		t, ok = sendopt.ParseTime(s)
	}
	if !ok || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s is not an RFC-2822 compliant date", Shown(s))
	}
	return t, nil
}

// parseEpoch reads seconds and decimals without going through a float, which
// would lose microseconds: clients ask for events since the one they saw last.
func parseEpoch(s string) (time.Time, bool) {
	whole, decimals, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || seconds > MaxEpoch || len(decimals) > 32 || strings.Trim(decimals, "0123456789") != "" {
		return time.Time{}, false
	}
	nanos, err := strconv.ParseInt((decimals + "000000000")[:9], 10, 64)
	return time.Unix(int64(seconds), nanos).UTC(), err == nil
}
