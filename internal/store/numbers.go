package store

import (
	"context"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// Numbers keeps counters of events, so that no question about numbers needs to look at
// events. A counter belongs to a [Series] and to an hour. It may be kept apart from all else:
// whatever happens to it can be counted again from the events that are still there.
type Numbers interface {
	// AddCounts adds to counters and keeps c.UpTo, in one transaction. Series that do not exist
	// yet come to be, up to the limit of their view; see [View.Limit].
	AddCounts(ctx context.Context, c *Counts) error
	// Counted returns the last UpTo that was kept; zero if there is none.
	Counted(ctx context.Context) (mail.ID, error)
	// Sums calls yield with the sums that a query asks for, in no order. An error of yield
	// ends the reading and is returned.
	Sums(ctx context.Context, q SumQuery, yield func(Sum) error) error
	// Series returns the series of one domain and view by name, of which q tells.
	Series(ctx context.Context, q SeriesQuery) ([]Series, error)
	// CountSeries returns how many series of the view the domain has.
	CountSeries(ctx context.Context, domainID int64, v View) (int, error)
	// DescribeSeries changes the description of a series with only a name. ErrNotFound if
	// there is none.
	DescribeSeries(ctx context.Context, key SeriesKey, description string) error
	// DeleteSeries forgets the series of that name in the view and in those that pair the view with
	// another, with their counters. ErrNotFound if there is none.
	DeleteSeries(ctx context.Context, domainID int64, v View, name string) error
	// ThinCounts makes counters coarser and forgets; see [Thinning].
	ThinCounts(ctx context.Context, t Thinning) error
}

// A View is what the series of a domain tell apart. Its numbers are stored: never change one.
type View uint8

const (
	ViewAll             View = 0 // nothing: one series, without names
	ViewTag             View = 1 // lower case
	ViewRecipientDomain View = 2
	ViewProvider        View = 3 // the provider's domain, such as gmail.com
	ViewCountry         View = 4
	ViewDevice          View = 5
	ViewBot             View = 6
	ViewIP              View = 7 // sending address
	// The views that pair tags with another have both names.
	ViewTagProvider View = 8
	ViewTagCountry  View = 9
	ViewTagDevice   View = 10
)

// OtherName is the name of the series that counts what has no series of its own, in views
// where that can be told: recipient domains and addresses.
const OtherName = "other"

// Limits on the series of one domain. What would exceed them is counted under
// [OtherName] in views of recipient domains and addresses, and in other views not at all.
const (
	MaxTags             = 50_000
	MaxRecipientDomains = 10_000
	MaxOtherSeries      = 1_000   // of every other view
	MaxTagPairs         = 200_000 // of every view that pairs tags
)

// Limit returns how many series of the view a domain may have.
func (v View) Limit() int {
	switch v {
	case ViewTag:
		return MaxTags
	case ViewRecipientDomain:
		return MaxRecipientDomains
	case ViewTagProvider, ViewTagCountry, ViewTagDevice:
		return MaxTagPairs
	}
	return MaxOtherSeries
}

// Overflows reports whether what exceeds the limit is counted under [OtherName].
func (v View) Overflows() bool { return v == ViewRecipientDomain || v == ViewIP }

// Pairs returns the views that pair v with another.
func (v View) Pairs() []View {
	if v == ViewTag {
		return []View{ViewTagProvider, ViewTagCountry, ViewTagDevice}
	}
	return nil
}

// A SeriesKey names a series.
type SeriesKey struct {
	DomainID     int64
	View         View
	Name, Second string // empty where the view has none
}

// A Series is a line of counters through time.
type Series struct {
	SeriesKey
	Shown       string    // the name as it was first written
	Description string    // set by people
	FirstSeen   time.Time // of its events; to the second
	LastSeen    time.Time // may be up to a minute early
}

// A Counter is what is counted. Its numbers are stored: never change one. Each event adds
// to few of them; what is a sum of others is not kept.
type Counter uint8

const (
	AcceptedIncoming      Counter = 1
	AcceptedOutgoing      Counter = 2
	Rejected              Counter = 3
	DeliveredSMTP         Counter = 4
	DeliveredHTTP         Counter = 5
	DeliveredLater        Counter = 7 // of those delivered, at the second attempt or later
	Opened                Counter = 8
	Clicked               Counter = 9
	UniqueOpened          Counter = 10 // once for each message and recipient
	UniqueClicked         Counter = 11
	Unsubscribed          Counter = 12
	Complained            Counter = 13
	StoredMessages        Counter = 14
	TemporaryFailed       Counter = 15 // all
	TemporaryESPBlock     Counter = 16 // of them
	TemporaryRateLimit    Counter = 17 // of them
	DelayedFirstAttempt   Counter = 18 // of them: failures of a first attempt
	PermanentFailed       Counter = 19 // all
	PermanentESPBlock     Counter = 20 // of them, as all that follow
	HardBounce            Counter = 21
	SoftBounce            Counter = 22
	DelayedBounce         Counter = 23
	SuppressedBounce      Counter = 24
	SuppressedUnsubscribe Counter = 25
	SuppressedComplaint   Counter = 26
	TooOld                Counter = 27
	WebhookFailed         Counter = 28
)

// Counts are what a run of events adds.
type Counts struct {
	// UpTo is the position in the event log up to which everything has been counted.
	UpTo mail.ID
	// Series holds what to add to each series.
	Series map[SeriesKey]*Addition
	// Once are counted only if they are the first of their kind.
	Once []OnceCount
}

// An Addition is what to add to one series.
type Addition struct {
	Shown       string // name for a series that comes to be
	First, Last time.Time
	Counts      map[CounterHour]int64
}

// A CounterHour is a counter of one hour.
type CounterHour struct {
	Hour    int64 // hours since 1970
	Counter Counter
}

// HourOf returns the hour of a moment, as counters have it.
func HourOf(t time.Time) int64 { return t.Unix() / 3600 }

// A OnceCount adds one to a counter of several series, the first time that it comes for its
// message, recipient and counter. The series must be among those of its Counts.
type OnceCount struct {
	Message   mail.ID
	Recipient string // as it is compared, lower case
	At        CounterHour
	Series    []SeriesKey
}

// A SumQuery asks for sums of counters of the given domains.
type SumQuery struct {
	Domains []int64
	View    View
	// Names and Seconds, if not empty, are the only series that are summed.
	Names, Seconds []string
	From, To       int64 // hours since 1970, From included and To not
	// Step is how many hours one sum is of; 0: all of them.
	Step int64
}

// A Sum is the sum of one counter of one series over a step.
type Sum struct {
	Key     SeriesKey
	Shown   string
	Hour    int64 // the first of the step, a multiple of it; 0 if there is but one
	Counter Counter
	N       int64
}

// A SeriesQuery asks for series of one domain and view by name.
type SeriesQuery struct {
	DomainID int64
	View     View
	// After and Before bound the names, both exclusive; empty is open. With Before, and
	// without After, the last ones before it are returned.
	After, Before string
	Prefix        string
	Last          bool // the last ones
	Name          string
	Limit         int // at least 1
}

// A Thinning says how much detail old counters keep.
type Thinning struct {
	// Days: counters of days that ended before it become one for each day.
	Days time.Time
	// Months: counters of months that ended before it become one for each month.
	Months time.Time
	// Messages: what is counted once for each recipient of older messages is forgotten.
	Messages time.Time
	// Domains are those that exist. The numbers of others are forgotten. Nil: of none.
	Domains []int64
}
