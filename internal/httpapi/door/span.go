package door

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// ParseSpan returns the moment that lies a duration before end: a number and h, d or m,
// which is a month.
func ParseSpan(s string, end time.Time) (time.Time, error) {
	bad := errors.New("a duration is a number and h, d or m")
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 10 {
		return time.Time{}, bad
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 31)
	if err != nil || n == 0 || n > 1_000_000 {
		return time.Time{}, bad
	}
	switch s[len(s)-1] {
	case 'h':
		return notBefore1970(end.Add(-time.Duration(n) * time.Hour))
	case 'd':
		return notBefore1970(end.AddDate(0, 0, -int(n)))
	case 'm':
		return notBefore1970(end.AddDate(0, -int(n), 0))
	}
	return time.Time{}, bad
}

func notBefore1970(t time.Time) (time.Time, error) {
	if t.Year() < 1970 {
		return t, errors.New("the duration begins before 1970")
	}
	return t, nil
}
