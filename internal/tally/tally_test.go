package tally_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tally"
)

func failed(typ event.Type, reason, bounce string, attempt int) event.Record {
	return event.Record{Type: typ, Data: event.Data{Reason: reason, Status: &event.Status{AttemptNo: attempt, BounceType: bounce}}}
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		name string
		r    event.Record
		want []store.Counter
	}{
		{"accepted", event.Record{Type: event.Accepted}, []store.Counter{store.AcceptedOutgoing}},
		{"rejected", event.Record{Type: event.Rejected}, []store.Counter{store.Rejected}},
		{"delivered, nothing known", event.Record{Type: event.Delivered}, []store.Counter{store.DeliveredSMTP}},
		{"delivered at once", failed(event.Delivered, "", "", 1), []store.Counter{store.DeliveredSMTP}},
		{"delivered later", failed(event.Delivered, "", "", 2), []store.Counter{store.DeliveredSMTP, store.DeliveredLater}},
		{"deferred first", failed(event.FailedTemporary, "generic", "", 1), []store.Counter{store.TemporaryFailed, store.DelayedFirstAttempt}},
		{"deferred again", failed(event.FailedTemporary, "generic", "", 2), []store.Counter{store.TemporaryFailed}},
		{"blocked for now", failed(event.FailedTemporary, "espblock", "", 2), []store.Counter{store.TemporaryFailed, store.TemporaryESPBlock}},
		{"too fast", failed(event.FailedTemporary, "ratelimit", "", 2), []store.Counter{store.TemporaryFailed, store.TemporaryRateLimit}},
		{"hard bounce", failed(event.FailedPermanent, "bounce", "hard", 1), []store.Counter{store.PermanentFailed, store.HardBounce}},
		{"bounce of no type", failed(event.FailedPermanent, "bounce", "", 1), []store.Counter{store.PermanentFailed, store.HardBounce}},
		{"soft bounce", failed(event.FailedPermanent, "bounce", "soft", 1), []store.Counter{store.PermanentFailed, store.SoftBounce}},
		{"refused by policy", failed(event.FailedPermanent, "generic", "", 1), []store.Counter{store.PermanentFailed, store.SoftBounce}},
		{"too old", failed(event.FailedPermanent, "old", "soft", 9), []store.Counter{store.PermanentFailed, store.TooOld, store.SoftBounce}},
		{"blocked", failed(event.FailedPermanent, "espblock", "hard", 1), []store.Counter{store.PermanentFailed, store.PermanentESPBlock, store.HardBounce}},
		{"bounced before", failed(event.FailedPermanent, "suppress-bounce", "", 1), []store.Counter{store.PermanentFailed, store.SuppressedBounce}},
		{"unsubscribed", failed(event.FailedPermanent, "suppress-unsubscribe", "", 1), []store.Counter{store.PermanentFailed, store.SuppressedUnsubscribe}},
		{"complained", failed(event.FailedPermanent, "suppress-complaint", "", 1), []store.Counter{store.PermanentFailed, store.SuppressedComplaint}},
		{"no status", event.Record{Type: event.FailedPermanent}, []store.Counter{store.PermanentFailed, store.SoftBounce}},
		{"opened", event.Record{Type: event.Opened}, []store.Counter{store.Opened}},
		{"clicked", event.Record{Type: event.Clicked}, []store.Counter{store.Clicked}},
		{"unsubscribe", event.Record{Type: event.Unsubscribed}, []store.Counter{store.Unsubscribed}},
		{"complaint", event.Record{Type: event.Complained}, []store.Counter{store.Complained}},
		{"stored", event.Record{Type: event.Stored}, []store.Counter{store.StoredMessages}},
		{"of a type to come", event.Record{Type: 99}, nil},
	} {
		if got := tally.Kinds(nil, &c.r); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Every permanent failure is a suppression, a hard or a soft bounce, and only one of them.
func TestPermanentFailuresAddUp(t *testing.T) {
	three := []store.Counter{store.HardBounce, store.SoftBounce, store.SuppressedBounce, store.SuppressedComplaint, store.SuppressedUnsubscribe}
	for _, reason := range []string{"", "generic", "bounce", "old", "espblock", "suppress-bounce", "suppress-unsubscribe", "suppress-complaint", "greylisted"} {
		for _, typ := range []string{"", "hard", "soft"} {
			r, n := failed(event.FailedPermanent, reason, typ, 1), 0
			for _, k := range tally.Kinds(nil, &r) {
				if slices.Contains(three, k) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("reason %q, type %q: counted %d times", reason, typ, n)
			}
		}
	}
}

func TestTallySeries(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 59, 59, 0, time.UTC)
	item := store.EventItem{
		Record: event.Record{Type: event.Opened, DomainID: 3, Message: 5, Recipient: "Ann@GoogleMail.com", Time: at, Data: event.Data{Visit: &event.Visit{}}},
		Meta:   event.Meta{Tags: []string{"News", "news", " ", "ü"}},
	}
	later := item
	later.Time, later.Message = at.Add(time.Second), 6
	nobody := item
	nobody.DomainID = 0
	c := tally.Tally([]store.EventItem{item, later, nobody}, 77)
	var got []string
	for k, a := range c.Series {
		got = append(got, strings.Join([]string{string('a' + rune(k.View)), k.Name, k.Second, a.Shown}, " "))
		if len(a.Counts) != 2 || !a.First.Equal(at) || !a.Last.Equal(later.Time) || k.DomainID != 3 {
			t.Errorf("%+v: %+v", k, a)
		}
	}
	slices.Sort(got)
	want := []string{"a   ", "b news  News", "b ü  ü", "c googlemail.com  ", "d gmail.com  ", "e Unknown  ", "f unknown  ", "g none  ",
		"i news gmail.com News", "i ü gmail.com ü", "j news Unknown News", "j ü Unknown ü", "k news unknown News", "k ü unknown ü"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if c.UpTo != 77 || len(c.Once) != 2 || c.Once[0].Recipient != "ann@googlemail.com" || len(c.Once[0].Series) != len(want) {
		t.Errorf("up to %v, once %+v", c.UpTo, c.Once)
	}
}

func TestProvider(t *testing.T) {
	for domain, want := range map[string]string{
		"gmail.com": "gmail.com", "googlemail.com": "gmail.com", "yahoo.co.uk": "yahoo.com", "ymail.com": "yahoo.com", "yahoo.example.co.uk": "other", "hotmail.fr": "outlook.com",
		"outlook.com": "outlook.com", "example.com": "other", "": "other", "notgmail.com": "other", "seznam.cz": "seznam.cz",
	} {
		if got := tally.Provider(domain); got != want {
			t.Errorf("%s is at %s, want %s", domain, got, want)
		}
		if want != "other" && tally.ProviderKey(tally.ProviderName(want)) != want {
			t.Errorf("%s is not found by its name %s", want, tally.ProviderName(want))
		}
	}
}

func TestMetrics(t *testing.T) {
	var s tally.Sums
	s[store.AcceptedOutgoing], s[store.DeliveredSMTP], s[store.PermanentFailed], s[store.SuppressedBounce], s[store.HardBounce] = 100, 80, 20, 5, 15
	s[store.TemporaryFailed], s[store.Opened], s[store.UniqueOpened], s[store.DeliveredLater] = 10, 50, 40, 8
	for name, want := range map[string]any{
		"accepted_count": int64(100), "delivered_count": int64(80), "processed_count": int64(100), "sent_count": int64(95), "bounced_count": int64(15), "failed_count": int64(30),
		"hard_bounces_count": int64(15), "delivered_rate": "0.8421", "opened_rate": "0.6250", "unique_opened_rate": "0.5000", "bounce_rate": "0.1500", "delayed_rate": "0.1000",
		"permanent_fail_rate": "0.2000", "temporary_fail_rate": "0.1000", "clicked_rate": "0.0000", "delivered_optimized_count": int64(0),
	} {
		m, ok := tally.MetricNamed(name)
		if !ok || m.JSON(&s) != want {
			t.Errorf("%s is %v, want %v", name, m.JSON(&s), want)
		}
	}
	for _, m := range tally.Metrics() {
		if got := m.JSON(&tally.Sums{}); m.IsRate() != strings.HasSuffix(m.Name, "_rate") || m.IsRate() && got != "0.0000" || !m.IsRate() && got != int64(0) {
			t.Errorf("%s of nothing is %v", m.Name, got)
		}
	}
}

func TestWindow(t *testing.T) {
	end := time.Date(2026, 3, 31, 17, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		start      time.Time
		resolution tally.Resolution
		first      string
		buckets    int
		length     string
	}{
		{end.AddDate(0, 0, -7), tally.Day, "2026-03-24T00:00:00Z", 8, "7d"},
		{end.Add(-3 * time.Hour), tally.Hour, "2026-03-31T14:00:00Z", 4, "3h"},
		{end.AddDate(0, 0, -59), tally.Month, "2026-01-01T00:00:00Z", 3, "59d"},
		{end, tally.Day, "2026-03-31T00:00:00Z", 1, "1h"},
	} {
		w := tally.Window{Start: c.start, End: end, Resolution: c.resolution}
		list, err := w.Buckets()
		if err != nil || len(list) != c.buckets || list[0].Format(time.RFC3339) != c.first || w.Duration() != c.length {
			t.Errorf("%v: %d buckets from %v, %s, %v", c.start, len(list), list[0], w.Duration(), err)
		}
	}
	if _, err := (tally.Window{Start: time.Unix(0, 0), End: end, Resolution: tally.Hour}).Buckets(); err == nil {
		t.Error("half a million buckets")
	}
}

func FuzzTally(f *testing.F) {
	f.Add("ann@example.net", "tag", "bounce", uint8(4))
	f.Add("", "TAG ", "", uint8(255))
	f.Fuzz(func(t *testing.T, recipient, tag, reason string, typ uint8) {
		item := store.EventItem{
			Record: event.Record{Type: event.Type(typ), DomainID: 1, Message: 1, Recipient: recipient, Time: time.Unix(1, 0), Data: event.Data{Reason: reason}},
			Meta:   event.Meta{Tags: []string{tag, strings.ToUpper(tag)}},
		}
		for key, a := range tally.Tally([]store.EventItem{item}, 1).Series {
			if key.View == store.ViewTag && key.Name != tally.TagName(key.Name) {
				t.Errorf("tag %q is also %q", key.Name, tally.TagName(key.Name))
			}
			for _, n := range a.Counts {
				if n != 1 {
					t.Errorf("%+v counted %d times", key, n)
				}
			}
		}
	})
}
