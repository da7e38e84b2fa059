package sendopt

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // servers without the operating system's zones know them too

	"github.com/sealpost/sealpost/internal/merge"
)

// ZoneVariable is the recipient variable, or else the user variable, that holds the time zone of a
// recipient by its IANA name, such as Europe/Berlin.
const ZoneVariable = "timezone"

// A Clock is a time of the day in a recipient's zone, of o:time-zone-localize. The zero value is none.
type Clock struct {
	set          bool
	hour, minute int
}

var clockPattern = regexp.MustCompile(`^(\d{1,2}):([0-5]\d) ?([ap]m)?$`)

// parseClock reads HH:mm, or hh:mm with am or pm.
func parseClock(s string) (c Clock, ok bool) {
	m := clockPattern.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return Clock{}, false
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
func (c Clock) next(from time.Time, zone *time.Location) time.Time {
	y, m, d := from.In(zone).Date()
	for day := d; ; day++ {
		if t := time.Date(y, m, day, c.hour, c.minute, 0, 0, zone); !t.Before(from) {
			return t.UTC()
		}
	}
}

// Zones reads time zones once for each name. It is made by Zones{} for the letters of one submission, and
// not safe for concurrent use.
type Zones map[string]*time.Location

func (z Zones) of(name string) (*time.Location, error) {
	if zone, ok := z[name]; ok {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || len(name) > 64 || strings.EqualFold(name, "local") { // the server's zone is nobody's business
		return nil, invalid("%s is not a time zone: variable '%s' must hold a name like Europe/Berlin", Printable(name), ZoneVariable)
	}
	z[name] = zone
	return zone, nil
}

// DueFor returns when a letter for a person, or with nil for everybody, is to be sent: zero is now. Without a time of
// the day it is the moment asked for; with one, the next time it is that late where the person lives. Where that is
// not known it is UTC. An *Error if the person's zone does not exist.
func (o *Options) DueFor(person *merge.Person, now time.Time, zones Zones) (time.Time, error) {
	if !o.LocalTime.set {
		return o.Due, nil
	}
	name := o.Variables[ZoneVariable]
	if person != nil {
		if v, ok := person.Values[ZoneVariable]; ok {
			name = v
		} else {
			name = merge.Parse(name).Fill(person)
		}
	}
	zone, err := zones.of(strings.TrimSpace(name))
	if err != nil {
		return time.Time{}, err
	}
	from := now
	if !o.Due.IsZero() {
		from = o.Due
	}
	return o.LocalTime.next(from, zone), nil
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
	return invalid("%s must be from 24h to 72h", Printable(name))
}
