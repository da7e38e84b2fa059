package tally

import (
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Unknown is the country of every client: we have no database of addresses.
const Unknown = "Unknown"

// NoBot is the value of the bot dimension for people.
const NoBot = "none"

// Tally returns what the events add to counters, up to the position. Events of no sending
// domain are not counted.
func Tally(items []store.EventItem, upTo mail.ID) *store.Counts {
	t := &adder{counts: &store.Counts{UpTo: upTo, Series: map[store.SeriesKey]*store.Addition{}}}
	for i := range items {
		if items[i].DomainID != 0 {
			t.add(&items[i])
		}
	}
	return t.counts
}

// An adder collects what a page of events adds.
type adder struct {
	counts *store.Counts
	keys   []store.SeriesKey // of the event at hand
	kinds  []store.Counter
}

func (t *adder) add(e *store.EventItem) {
	t.kinds = Kinds(t.kinds[:0], &e.Record)
	once := onceKind(e.Type)
	if len(t.kinds) == 0 && once == 0 {
		return
	}
	t.keys = t.keys[:0]
	hour := store.HourOf(e.Time)
	t.series(e, func(key store.SeriesKey, shown string) {
		t.keys = append(t.keys, key)
		a := t.counts.Series[key]
		if a == nil {
			a = &store.Addition{Shown: shown, First: e.Time, Last: e.Time, Counts: map[store.CounterHour]int64{}}
			t.counts.Series[key] = a
		}
		a.First, a.Last = earlier(a.First, e.Time), later(a.Last, e.Time)
		for _, k := range t.kinds {
			a.Counts[store.CounterHour{Hour: hour, Counter: k}]++
		}
	})
	if once != 0 && e.Message != 0 && e.Recipient != "" {
		t.counts.Once = append(t.counts.Once, store.OnceCount{
			Message: e.Message, Recipient: strings.ToLower(e.Recipient),
			At:     store.CounterHour{Hour: hour, Counter: once},
			Series: append([]store.SeriesKey(nil), t.keys...),
		})
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// series calls yield with every series that the event belongs to, with the name as it
// was written.
func (t *adder) series(e *store.EventItem, yield func(key store.SeriesKey, shown string)) {
	one := func(v store.View, name, second, shown string) {
		yield(store.SeriesKey{DomainID: e.DomainID, View: v, Name: name, Second: second}, shown)
	}
	one(store.ViewAll, "", "", "")
	provider, device := "", ""
	if at := strings.LastIndexByte(e.Recipient, '@'); at >= 0 {
		domain := strings.ToLower(e.Recipient[at+1:])
		one(store.ViewRecipientDomain, domain, "", "")
		provider = Provider(domain)
		one(store.ViewProvider, provider, "", "")
	}
	if e.Data.SendingIP != "" {
		one(store.ViewIP, e.Data.SendingIP, "", "")
	}
	if v := e.Data.Visit; v != nil {
		device = orElse(v.Client.DeviceType, "unknown")
		one(store.ViewCountry, Unknown, "", "")
		one(store.ViewDevice, device, "", "")
		one(store.ViewBot, orElse(v.Client.Bot, NoBot), "", "")
	}
	for i, tag := range e.Meta.Tags {
		name := TagName(tag)
		if name == "" || namedBefore(e.Meta.Tags[:i], name) {
			continue
		}
		one(store.ViewTag, name, "", tag)
		if provider != "" {
			one(store.ViewTagProvider, name, provider, tag)
		}
		if device != "" {
			one(store.ViewTagCountry, name, Unknown, tag)
			one(store.ViewTagDevice, name, device, tag)
		}
	}
}

// TagName returns a tag as it is compared.
func TagName(tag string) string { return strings.ToLower(strings.TrimSpace(tag)) }

// namedBefore reports whether a tag was given before in other letters.
func namedBefore(tags []string, name string) bool {
	for _, t := range tags {
		if TagName(t) == name {
			return true
		}
	}
	return false
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Kinds appends the counters that an event adds one to; see [onceKind] for those that
// depend on earlier events.
func Kinds(kinds []store.Counter, r *event.Record) []store.Counter {
	switch r.Type {
	case event.Accepted:
		return append(kinds, store.AcceptedOutgoing)
	case event.Rejected:
		return append(kinds, store.Rejected)
	case event.Delivered:
		kinds = append(kinds, store.DeliveredSMTP)
		if attemptNo(r) > 1 {
			kinds = append(kinds, store.DeliveredLater)
		}
		return kinds
	case event.FailedTemporary:
		return temporaryKinds(append(kinds, store.TemporaryFailed), r)
	case event.FailedPermanent:
		return permanentKinds(append(kinds, store.PermanentFailed), r)
	case event.Opened:
		return append(kinds, store.Opened)
	case event.Clicked:
		return append(kinds, store.Clicked)
	case event.Unsubscribed:
		return append(kinds, store.Unsubscribed)
	case event.Complained:
		return append(kinds, store.Complained)
	case event.Stored:
		return append(kinds, store.StoredMessages)
	}
	return kinds
}

func attemptNo(r *event.Record) int {
	if r.Data.Status == nil {
		return 0
	}
	return r.Data.Status.AttemptNo
}

func temporaryKinds(kinds []store.Counter, r *event.Record) []store.Counter {
	if attemptNo(r) == 1 {
		kinds = append(kinds, store.DelayedFirstAttempt)
	}
	switch r.Data.Reason {
	case "espblock":
		kinds = append(kinds, store.TemporaryESPBlock)
	case "ratelimit":
		kinds = append(kinds, store.TemporaryRateLimit)
	}
	return kinds
}

// permanentKinds tells suppressions, hard and soft bounces apart: every permanent failure
// is one of the three.
func permanentKinds(kinds []store.Counter, r *event.Record) []store.Counter {
	switch r.Data.Reason {
	case "suppress-bounce":
		return append(kinds, store.SuppressedBounce)
	case "suppress-unsubscribe":
		return append(kinds, store.SuppressedUnsubscribe)
	case "suppress-complaint":
		return append(kinds, store.SuppressedComplaint)
	case "old":
		kinds = append(kinds, store.TooOld)
	case "espblock":
		kinds = append(kinds, store.PermanentESPBlock)
	}
	bounce := ""
	if r.Data.Status != nil {
		bounce = r.Data.Status.BounceType
	}
	if bounce == "hard" || bounce == "" && r.Data.Reason == "bounce" {
		return append(kinds, store.HardBounce)
	}
	return append(kinds, store.SoftBounce)
}

// onceKind returns the counter of what counts once for each message and recipient; 0 if
// there is none.
func onceKind(t event.Type) store.Counter {
	switch t {
	case event.Opened:
		return store.UniqueOpened
	case event.Clicked:
		return store.UniqueClicked
	}
	return 0
}
