package accept

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // servers without the operating system's zones know them too

	"github.com/sealpost/sealpost/internal/merge"
)

// zoneVariable is the recipient variable, or else the user variable, that holds the time zone of a
// recipient by its IANA name, such as Europe/Berlin.
const zoneVariable = "timezone"

// A clock is a time of the day in a recipient's zone, of o:time-zone-localize.
type clock struct {
	set          bool
	hour, minute int
}

var clockPattern = regexp.MustCompile(`^(\d{1,2}):([0-5]\d) ?([ap]m)?$`)

// parseClock reads HH:mm, or hh:mm with am or pm.
func parseClock(s string) (c clock, ok bool) {
	m := clockPattern.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return clock{}, false
	}
	c.set = true
	c.hour, _ = strconv.Atoi(m[1])
	c.minute, _ = strconv.Atoi(m[2])
	if m[3] == "" {
		return c, c.hour <= 23
	}
	if c.hour < 1 || c.hour > 12 {
		return c, false
	}
	c.hour %= 12
	if m[3] == "pm" {
		c.hour += 12
	}
	return c, true
}

// next returns the first moment from the given one on when clocks in the zone show the time.
// Where clocks leap over it, it is as much later as they leap; where they show it twice, it is one of the two.
func (c clock) next(from time.Time, zone *time.Location) time.Time {
	y, m, d := from.In(zone).Date()
	for day := d; ; day++ {
		if t := time.Date(y, m, day, c.hour, c.minute, 0, 0, zone); !t.Before(from) {
			return t.UTC()
		}
	}
}

// zones reads time zones once for each name.
type zoneCache map[string]*time.Location

func (z zoneCache) of(name string) (*time.Location, error) {
	if zone, ok := z[name]; ok {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || len(name) > 64 || strings.EqualFold(name, "local") { // the server's zone is nobody's business
		return nil, invalid("%s is not a time zone: variable '%s' must hold a name like Europe/Berlin", printable(name), zoneVariable)
	}
	z[name] = zone
	return zone, nil
}

// due returns when a letter for a person is to be sent: zero is now. Without a time of the day it is
// the moment asked for; with one, the next time it is that late where the person lives. Where that is not known
// it is UTC.
func (j *job) due(person *merge.Person, zones zoneCache) (time.Time, error) {
	if !j.opts.localTime.set {
		return j.opts.due, nil
	}
	name := j.opts.variables[zoneVariable]
	if person != nil {
		if v, ok := person.Values[zoneVariable]; ok {
			name = v
		} else {
			name = merge.Parse(name).Fill(person)
		}
	}
	zone, err := zones.of(strings.TrimSpace(name))
	if err != nil {
		return time.Time{}, err
	}
	from := j.now
	if !j.opts.due.IsZero() {
		from = j.opts.due
	}
	return j.opts.localTime.next(from, zone), nil
}

var periodPattern = regexp.MustCompile(`^(\d{1,3})h$`)

// optimizePeriod reads o:deliverytime-optimize-period. We know nothing of when a recipient reads mail, and
// send at the beginning of the period: that is always within it.
func (p *optionReader) optimizePeriod(name, value string) error {
	m := periodPattern.FindStringSubmatch(strings.ToLower(value))
	if m != nil {
		if hours, _ := strconv.Atoi(m[1]); hours >= 24 && hours <= 72 {
			return nil
		}
	}
	return invalid("%s must be from 24h to 72h", printable(name))
}
