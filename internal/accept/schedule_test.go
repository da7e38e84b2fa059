package accept

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

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
