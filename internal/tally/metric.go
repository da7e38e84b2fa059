package tally

import (
	"strconv"

	"github.com/sealpost/sealpost/internal/store"
)

// counters is one more than the largest number of a counter that is known.
const counters = int(store.WebhookFailed) + 1

// Sums are the sums of all counters.
type Sums [counters]int64

// Of returns the sum of the counters, each plus or minus.
func (s *Sums) Of(list ...store.Counter) (n int64) {
	for _, c := range list {
		n += s[c]
	}
	return n
}

// Suppressed returns how many recipients were not tried because they are on a list.
func (s *Sums) Suppressed() int64 {
	return s.Of(store.SuppressedBounce, store.SuppressedUnsubscribe, store.SuppressedComplaint)
}

// Delivered returns how many copies were delivered.
func (s *Sums) Delivered() int64 { return s.Of(store.DeliveredSMTP, store.DeliveredHTTP) }

// Processed returns how many copies came to an end.
func (s *Sums) Processed() int64 {
	return s.Delivered() + s[store.PermanentFailed] - s[store.WebhookFailed] - s[store.DelayedBounce]
}

// Sent returns how many copies came to an end at a receiving server, or on the way there.
func (s *Sums) Sent() int64 { return s.Processed() - s.Suppressed() }

// Bounced returns how many copies failed for good after they were tried.
func (s *Sums) Bounced() int64 { return s[store.PermanentFailed] - s.Suppressed() }

// Failed returns all failures, of which a copy may have several.
func (s *Sums) Failed() int64 { return s.Of(store.TemporaryFailed, store.PermanentFailed) }

// A Metric is a number that can be asked for, by its name in the API.
type Metric struct {
	Name string
	// of is what it is; per, if not nil, is what it is divided by.
	of, per func(*Sums) int64
}

// metrics is the table of what can be asked for. What the rates are of is Mailgun's definition.
var metrics = [...]Metric{
	count("accepted_incoming_count", store.AcceptedIncoming),
	count("accepted_outgoing_count", store.AcceptedOutgoing),
	count("accepted_count", store.AcceptedIncoming, store.AcceptedOutgoing),
	count("delivered_smtp_count", store.DeliveredSMTP),
	count("delivered_http_count", store.DeliveredHTTP),
	count("delivered_optimized_count"),
	{Name: "delivered_count", of: (*Sums).Delivered},
	count("stored_count", store.StoredMessages),
	{Name: "processed_count", of: (*Sums).Processed},
	{Name: "sent_count", of: (*Sums).Sent},
	count("opened_count", store.Opened),
	count("clicked_count", store.Clicked),
	count("unique_opened_count", store.UniqueOpened),
	count("unique_clicked_count", store.UniqueClicked),
	count("unsubscribed_count", store.Unsubscribed),
	count("complained_count", store.Complained),
	{Name: "failed_count", of: (*Sums).Failed},
	count("temporary_failed_count", store.TemporaryFailed),
	count("permanent_failed_count", store.PermanentFailed),
	count("temporary_failed_esp_block_count", store.TemporaryESPBlock),
	count("permanent_failed_esp_block_count", store.PermanentESPBlock),
	count("webhook_count", store.WebhookFailed),
	count("rate_limit_count", store.TemporaryRateLimit),
	count("permanent_failed_optimized_count"),
	count("permanent_failed_old_count", store.TooOld),
	{Name: "bounced_count", of: (*Sums).Bounced},
	count("hard_bounces_count", store.HardBounce),
	count("soft_bounces_count", store.SoftBounce),
	count("delayed_bounce_count", store.DelayedBounce),
	count("suppressed_bounces_count", store.SuppressedBounce),
	count("suppressed_unsubscribed_count", store.SuppressedUnsubscribe),
	count("suppressed_complaints_count", store.SuppressedComplaint),
	{Name: "delivered_first_attempt_count", of: func(s *Sums) int64 { return s.Delivered() - s[store.DeliveredLater] }},
	count("delayed_first_attempt_count", store.DelayedFirstAttempt),
	count("delivered_subsequent_count", store.DeliveredLater),
	count("delivered_two_plus_attempts_count", store.DeliveredLater),

	{"delivered_rate", (*Sums).Delivered, (*Sums).Sent},
	{"opened_rate", sum(store.Opened), (*Sums).Delivered},
	{"clicked_rate", sum(store.Clicked), (*Sums).Delivered},
	{"unique_opened_rate", sum(store.UniqueOpened), (*Sums).Delivered},
	{"unique_clicked_rate", sum(store.UniqueClicked), (*Sums).Delivered},
	{"unsubscribed_rate", sum(store.Unsubscribed), (*Sums).Delivered},
	{"complained_rate", sum(store.Complained), (*Sums).Delivered},
	{"bounce_rate", (*Sums).Bounced, (*Sums).Processed},
	{"fail_rate", (*Sums).Failed, (*Sums).Processed},
	{"permanent_fail_rate", sum(store.PermanentFailed), (*Sums).Processed},
	{"temporary_fail_rate", sum(store.TemporaryFailed), (*Sums).Processed},
	{"delayed_rate", sum(store.DeliveredLater), (*Sums).Delivered},
	{"delayed_first_attempt_rate", sum(store.DelayedFirstAttempt), (*Sums).Processed},
}

func sum(list ...store.Counter) func(*Sums) int64 {
	return func(s *Sums) int64 { return s.Of(list...) }
}

func count(name string, list ...store.Counter) Metric { return Metric{Name: name, of: sum(list...)} }

// MetricNamed returns the metric of that name.
func MetricNamed(name string) (Metric, bool) {
	for _, m := range metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// Metrics lists every metric.
func Metrics() []Metric { return metrics[:] }

// IsRate reports whether the metric is a quotient.
func (m Metric) IsRate() bool { return m.per != nil }

// Value returns the metric as a number. A rate of nothing is 0.
func (m Metric) Value(s *Sums) float64 {
	n := float64(m.of(s))
	if m.per == nil {
		return n
	}
	if d := m.per(s); d > 0 {
		return n / float64(d)
	}
	return 0
}

// JSON returns the metric as the API shows it: a whole number, or, for rates, text with four
// decimals.
func (m Metric) JSON(s *Sums) any {
	if m.per == nil {
		return m.of(s)
	}
	return strconv.FormatFloat(m.Value(s), 'f', 4, 64)
}
