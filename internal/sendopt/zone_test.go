package sendopt

import (
	"testing"
	"time"
)

func TestParseClock(t *testing.T) {
	for s, want := range map[string]Clock{
		"00:00": {true, 0, 0}, "9:05": {true, 9, 5}, "23:59": {true, 23, 59}, " 14:30 ": {true, 14, 30},
		"02:30pm": {true, 14, 30}, "12:00am": {true, 0, 0}, "12:00PM": {true, 12, 0}, "11:59 pm": {true, 23, 59}, "1:00AM": {true, 1, 0},
	} {
		if got, ok := parseClock(s); !ok || got != want {
			t.Errorf("%q: %+v, %v, want %+v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "24:00", "25:00", "12:60", "9", "9:5", "0:30am", "13:00pm", "14:30 p", "-1:00", "09:00:00", "٠٩:٠٠", "a:b"} {
		if got, ok := parseClock(s); ok {
			t.Errorf("%q was taken for %+v", s, got)
		}
	}
}

func TestNextLocalTime(t *testing.T) {
	at := func(s string) time.Time {
		moment, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return moment.UTC()
	}
	for name, c := range map[string]struct{ zone, clock, from, want string }{
		"later today":              {"Europe/Berlin", "09:00", "2026-11-25T07:00:00Z", "2026-11-25T08:00:00Z"},
		"this very moment":         {"Europe/Berlin", "09:00", "2026-11-25T08:00:00Z", "2026-11-25T08:00:00Z"},
		"tomorrow":                 {"Europe/Berlin", "09:00", "2026-11-25T08:00:01Z", "2026-11-26T08:00:00Z"},
		"already tomorrow there":   {"Asia/Tokyo", "09:00", "2026-11-25T20:00:00Z", "2026-11-26T00:00:00Z"},
		"still yesterday there":    {"America/Los_Angeles", "22:00", "2026-11-25T05:00:00Z", "2026-11-25T06:00:00Z"},
		"end of the month":         {"UTC", "01:00", "2026-11-30T02:00:00Z", "2026-12-01T01:00:00Z"},
		"half hours":               {"Asia/Kolkata", "09:15", "2026-11-25T00:00:00Z", "2026-11-25T03:45:00Z"},
		"summer time begins":       {"Europe/Berlin", "09:00", "2026-03-28T09:00:00Z", "2026-03-29T07:00:00Z"},
		"a time that does not be":  {"Europe/Berlin", "02:30", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z"},
		"no zone is the clock UTC": {"", "09:00", "2026-11-25T07:00:00Z", "2026-11-25T09:00:00Z"},
	} {
		zone, err := Zones{}.of(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		want, ok := parseClock(c.clock)
		if !ok {
			t.Fatal(c.clock)
		}
		if got := want.next(at(c.from), zone); !got.Equal(at(c.want)) {
			t.Errorf("%s: %v, want %v", name, got.Format(time.RFC3339), c.want)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"Mon, 2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04 GMT", "1620637982.656", "-1", "NaN", "0x1p40", "1e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if m, ok := ParseTime(s); ok && m.Location() != time.UTC {
			t.Errorf("%q is in %v", s, m.Location())
		}
		if c, ok := parseClock(s); ok && (c.hour > 23 || c.minute > 59 || !c.set) {
			t.Errorf("%q is %+v", s, c)
		}
	})
}
