package door

import (
	"strconv"
	"strings"
	"time"
)

// maxException is the longest time for which something may lower security.
const maxException = 366 * 24 * time.Hour

// ParseExpires reads the end of something that lowers security (the parameter expires): a date or moment of RFC 3339, or a time from now. A date
// ends with its first moment, UTC. Empty is the zero time: no end.
func ParseExpires(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse(time.DateOnly, s)
	}
	if err != nil {
		d, durationErr := parseDays(s)
		if durationErr != nil {
			return time.Time{}, BadRequest("'expires' parameter must be a date (2006-01-02), a moment (2006-01-02T15:04:05Z) or a time from now (14d, 72h)")
		}
		t = now.Add(d)
	}
	t = t.UTC().Truncate(time.Second) // what counts is what is kept
	switch left := t.Sub(now); {
	case left <= 0:
		return time.Time{}, BadRequest("'expires' parameter: %s has passed already", t.UTC().Format(time.RFC3339))
	case left > maxException:
		return time.Time{}, BadRequest("'expires' parameter: %s is more than %d days away; what needs longer should be looked at again", t.UTC().Format(time.RFC3339), maxException/(24*time.Hour))
	}
	return t, nil
}

// parseDays reads a duration that may be in days: 14d, 36h, 90m.
func parseDays(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}
