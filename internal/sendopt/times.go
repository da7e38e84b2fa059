package sendopt

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The bounds of o:deliver-within.
const (
	minWithin = 5 * time.Minute
	maxWithin = 24 * time.Hour
)

// zones are the zone names of RFC 5322 section 4.3 with their offsets. Others mean
// nothing certain.
var zones = map[string]string{
	"UT": "+0000", "GMT": "+0000", "UTC": "+0000", "Z": "+0000",
	"EST": "-0500", "EDT": "-0400", "CST": "-0600", "CDT": "-0500",
	"MST": "-0700", "MDT": "-0600", "PST": "-0800", "PDT": "-0700",
}

// ParseTime reads a moment as the API writes it: an RFC 2822 date with a numeric
// zone or one of the zone names of RFC 5322, or seconds since 1970 with or without
// a fraction. ok is false for anything else.
func ParseTime(s string) (t time.Time, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return time.Time{}, false
	}
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(seconds) || math.Abs(seconds) > 1<<40 {
			return time.Time{}, false
		}
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*1e9)).UTC(), true
	}
	words := strings.Fields(s)
	if len(words) == 0 {
		return time.Time{}, false
	}
	if offset, named := zones[strings.ToUpper(words[len(words)-1])]; named {
		words[len(words)-1] = offset
	}
	s = strings.Join(words, " ")
	for _, layout := range []string{
		"Mon, 2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 -0700",
		"Mon, 2 Jan 2006 15:04 -0700", "2 Jan 2006 15:04 -0700",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// deliveryTime reads o:deliverytime. A moment in the past means now.
func (p *optionReader) deliveryTime(value string) error {
	t, ok := ParseTime(value)
	if !ok {
		return invalid("%s is not an RFC-2822 compliant date", Printable(value))
	}
	if t.After(p.now.Add(p.horizon)) {
		return invalid("%s is too far ahead, messages can be scheduled up to %s in advance", Printable(value), p.horizon)
	}
	if t.After(p.now) {
		p.o.Due = t
	}
	return nil
}

var withinPattern = regexp.MustCompile(`^(?:(\d{1,4})h)?(?:(\d{1,4})m)?$`)

// deliverWithin reads o:deliver-within, such as 1h30m.
func (p *optionReader) deliverWithin(name, value string) error {
	m := withinPattern.FindStringSubmatch(strings.ToLower(value))
	var d time.Duration
	if m != nil {
		hours, _ := strconv.Atoi(m[1]) // empty is 0
		minutes, _ := strconv.Atoi(m[2])
		d = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	}
	if d < minWithin || d > maxWithin {
		return invalid("%s must be like 1h30m, from 5m to 24h", Printable(name))
	}
	p.o.Within = d
	return nil
}
