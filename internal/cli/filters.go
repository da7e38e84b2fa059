package cli

import (
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// eventFilters are the arguments of a search for events.
type eventFilters struct {
	Event     []string `sep:"none" placeholder:"EXPR" help:"accepted, rejected, delivered, failed, …; expressions such as 'failed OR rejected'. Given twice, both must match, as with all filters."`
	Recipient []string `sep:"none" placeholder:"EXPR" help:"Recipient's address."`
	MessageID []string `name:"message-id" sep:"none" placeholder:"EXPR" help:"Message-ID, with angle brackets or without."`
	Severity  []string `sep:"none" placeholder:"EXPR" help:"Of failures: temporary or permanent."`
	Tags      []string `sep:"none" placeholder:"EXPR" help:"Tags of the message."`
	Begin     string   `placeholder:"TIME" help:"From this time on: 2026-11-23T10:00:00Z, 2026-11-23, seconds since 1970, an RFC 2822 date, or how long ago, such as 90m."`
	End       string   `placeholder:"TIME" help:"Up to this time. A search goes from begin to end, so an end before the begin lists backwards."`
	Limit     int      `placeholder:"N" help:"At most so many events; 100 if not given, with --follow 10 of the past. At most 10000."`
	Ascending *bool    `help:"Oldest first."`
}

// maxEvents is how many events one command lists; more is a job for the API.
const maxEvents = 10000

// query maps the arguments to the parameters of the API, all but the limit.
func (f eventFilters) query(now time.Time) (url.Values, error) {
	q := url.Values{}
	for _, field := range []struct {
		name   string
		values []string
	}{{"event", f.Event}, {"recipient", f.Recipient}, {"severity", f.Severity}, {"tags", f.Tags}} {
		for _, v := range field.values {
			q.Add(field.name, v)
		}
	}
	for _, id := range f.MessageID {
		q.Add("message-id", bareID(id))
	}
	for _, field := range []struct{ name, value string }{{"begin", f.Begin}, {"end", f.End}} {
		if field.value == "" {
			continue
		}
		at, err := parseMoment(field.value, now)
		if err != nil {
			return nil, err
		}
		q.Set(field.name, at)
	}
	if f.Ascending != nil {
		q.Set("ascending", yesNo(*f.Ascending))
	}
	if f.Limit < 0 || f.Limit > maxEvents {
		return nil, usagef("--limit must be from 1 to %d", maxEvents)
	}
	return q, nil
}

// ascending reports the direction of a query, by the API's rules.
func ascending(q url.Values) bool {
	begin, end := q.Get("begin"), q.Get("end")
	if begin != "" && end != "" && begin != end {
		b, _ := strconv.ParseFloat(begin, 64) // parseMoment wrote them
		e, _ := strconv.ParseFloat(end, 64)
		return b < e
	}
	return q.Get("ascending") == "yes"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// bareID takes the angle brackets off a Message-ID.
func bareID(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		return s[1 : len(s)-1]
	}
	return s
}

// parseMoment reads a time in one of the ways people write it and returns it as
// seconds since 1970, to the microsecond.
func parseMoment(s string, now time.Time) (string, error) {
	s = strings.TrimSpace(s)
	if d, err := time.ParseDuration(s); err == nil && d >= 0 && s != "0" {
		return epoch(now.Add(-d)), nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < 1e11 {
		return s, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return epoch(t), nil
		}
	}
	if t, err := mail.ParseDate(s); err == nil {
		return epoch(t), nil
	}
	return "", usagef("%q is not a time; write 2026-11-23T10:00:00Z, 2026-11-23, seconds since 1970, or how long ago, such as 90m", s)
}

// epoch writes a time as seconds since 1970 with six decimals.
func epoch(t time.Time) string {
	us := max(t.UnixMicro(), 0)
	micros := strconv.FormatInt(us%1e6, 10)
	return strconv.FormatInt(us/1e6, 10) + "." + strings.Repeat("0", 6-len(micros)) + micros
}
