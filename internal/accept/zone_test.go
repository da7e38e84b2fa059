package accept

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

func TestParseClock(t *testing.T) {
	for s, want := range map[string]clock{
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
		zone, err := zoneCache{}.of(c.zone)
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

// Everybody gets the message at the same time of the day, where they live.
func TestTimeZoneLocalize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight UTC, 1 January 2000
		f, sched := newFakeStore(t, domain("mg.example.com")), &fakeScheduler{room: 1 << 20}
		s := form("o:time-zone-localize", "09:00", "o:deliver-within", "2h", "v:timezone", "America/New_York",
			"recipient-variables", `{"ann@one.test": {"timezone": "Europe/Berlin"}, "bob@two.test": {}}`)
		if _, err := testRoom(t, f, sched).Accept(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		with, _ := f.messages()
		slices.SortFunc(with, func(a, b *store.NewMessage) int { return int(a.ID - b.ID) })
		for i, want := range []string{"2000-01-01T08:00:00Z", "2000-01-01T14:00:00Z"} {
			row := with[i].Rows[0]
			if row.Due.Format(time.RFC3339) != want || row.Expires.Sub(row.Due) != 2*time.Hour || !with[i].Meta.ScheduledFor.Equal(row.Due) || with[i].Leased {
				t.Errorf("%s is due %v until %v, scheduled for %v", row.Recipient, row.Due, row.Expires, with[i].Meta.ScheduledFor)
			}
		}
		if len(sched.offered) != 0 || len(sched.woken) != 2 {
			t.Errorf("%d offered, woken for %v", len(sched.offered), sched.woken)
		}
		_, err := testRoom(t, f, nil).Accept(t.Context(), form("o:time-zone-localize", "09:00", "v:timezone", "Europe/Nowhere"))
		wantError(t, err, 400, 554, "Europe/Nowhere is not a time zone: variable 'timezone' must hold a name like Europe/Berlin")
		for _, evil := range []string{"../../../etc/passwd", "/etc/localtime", "Local", strings.Repeat("x", 9000)} {
			_, err := testRoom(t, f, nil).Accept(t.Context(), form("o:time-zone-localize", "09:00", "v:timezone", evil))
			wantError(t, err, 400, 554, "")
		}
	})
}

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		for name, c := range map[string]struct {
			options []string
			due     time.Time
			window  time.Duration
		}{
			"GMT, as Ghost writes it":   {[]string{"o:deliverytime", now.Add(time.Hour).Format("Mon, 02 Jan 2006 15:04:05 GMT")}, now.Add(time.Hour), 8 * time.Hour},
			"a numeric zone":            {[]string{"o:deliverytime", "Sat, 1 Jan 2000 05:00:00 +0300"}, now.Add(2 * time.Hour), 8 * time.Hour},
			"a named zone":              {[]string{"o:deliverytime", "01 Jan 2000 00:30:00 EST"}, now.Add(5*time.Hour + 30*time.Minute), 8 * time.Hour},
			"epoch":                     {[]string{"o:deliverytime", "946688400"}, now.Add(time.Hour), 8 * time.Hour},
			"epoch with decimals":       {[]string{"o:deliverytime", "946688400.5"}, now.Add(time.Hour + time.Second/2), 8 * time.Hour},
			"past is now":               {[]string{"o:deliverytime", "Fri, 31 Dec 1999 23:59:59 GMT"}, now, 8 * time.Hour},
			"the window counts from it": {[]string{"o:deliverytime", "946688400", "o:deliver-within", "1h30m"}, now.Add(time.Hour), 90 * time.Minute},
			"optimised: at its begin":   {[]string{"o:deliverytime-optimize-period", "24h"}, now, 8 * time.Hour},
			"the horizon itself":        {[]string{"o:deliverytime", "946944000"}, now.Add(72 * time.Hour), 8 * time.Hour},
		} {
			f := newFakeStore(t, domain("mg.example.com"))
			if _, err := testRoom(t, f, nil).Accept(t.Context(), form(c.options...)); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			m, _ := f.one(t)
			if row := m.Rows[0]; !row.Due.Equal(c.due) || row.Expires.Sub(row.Due) != c.window || m.Meta.ScheduledFor.IsZero() != c.due.Equal(now) {
				t.Errorf("%s: due %v until %v, scheduled for %v", name, row.Due, row.Expires, m.Meta.ScheduledFor)
			}
		}
		for _, c := range []struct{ name, value, message string }{
			{"o:deliverytime", "946944001", "946944001 is too far ahead, messages can be scheduled up to 72h0m0s in advance"},
			{"o:deliverytime", "tomorrow", "tomorrow is not an RFC-2822 compliant date"},
			{"o:deliverytime", "Sat, 1 Jan 2000 05:00:00", "Sat, 1 Jan 2000 05:00:00 is not an RFC-2822 compliant date"},
			{"o:deliver-within", "4m", "o:deliver-within must be like 1h30m, from 5m to 24h"},
			{"o:deliver-within", "24h1m", "o:deliver-within must be like 1h30m, from 5m to 24h"},
			{"o:deliverytime-optimize-period", "23h", "o:deliverytime-optimize-period must be from 24h to 72h"},
			{"o:deliverytime-optimize-period", "73h", "o:deliverytime-optimize-period must be from 24h to 72h"},
			{"o:deliverytime-optimize-period", "1d", "o:deliverytime-optimize-period must be from 24h to 72h"},
			{"o:time-zone-localize", "13:00pm", "13:00pm invalid 24 hour time(value of 'o:time-zone-localize')"},
		} {
			_, err := testRoom(t, newFakeStore(t, domain("mg.example.com")), nil).Accept(t.Context(), form(c.name, c.value))
			wantError(t, err, 400, 554, c.message)
		}
	})
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
