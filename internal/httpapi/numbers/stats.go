package numbers

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tally"
)

// stats is the answer of all calls about totals.
type stats struct {
	Tag         string           `json:"tag,omitempty"`
	Description string           `json:"description"`
	Start       string           `json:"start"`
	End         string           `json:"end"`
	Resolution  tally.Resolution `json:"resolution"`
	Stats       []bucket         `json:"stats"`
}

// A bucket has the sums of one span of time. Only events that were asked for appear.
type bucket struct {
	Time string `json:"time"`
	// Type tells what the sums are of, where they are grouped by something else than time.
	Type         *groupKey      `json:"type,omitempty"`
	Accepted     *acceptedSums  `json:"accepted,omitempty"`
	Delivered    *deliveredSums `json:"delivered,omitempty"`
	Failed       *failedSums    `json:"failed,omitempty"`
	Opened       *uniqueSums    `json:"opened,omitempty"`
	Clicked      *uniqueSums    `json:"clicked,omitempty"`
	Unsubscribed *totalSum      `json:"unsubscribed,omitempty"`
	Complained   *totalSum      `json:"complained,omitempty"`
	Stored       *totalSum      `json:"stored,omitempty"`
}

type groupKey struct {
	Type string `json:"type"`
	Key  string `json:"key"`
}

type acceptedSums struct {
	Incoming int64 `json:"incoming"`
	Outgoing int64 `json:"outgoing"`
	Total    int64 `json:"total"`
}

type deliveredSums struct {
	SMTP      int64 `json:"smtp"`
	HTTP      int64 `json:"http"`
	Optimized int64 `json:"optimized"`
	Total     int64 `json:"total"`
}

type failedSums struct {
	Temporary struct {
		ESPBlock int64 `json:"espblock"`
		Total    int64 `json:"total"`
	} `json:"temporary"`
	Permanent struct {
		SuppressBounce      int64 `json:"suppress-bounce"`
		SuppressUnsubscribe int64 `json:"suppress-unsubscribe"`
		SuppressComplaint   int64 `json:"suppress-complaint"`
		Bounce              int64 `json:"bounce"`
		DelayedBounce       int64 `json:"delayed-bounce"`
		Webhook             int64 `json:"webhook"`
		Optimized           int64 `json:"optimized"`
		Total               int64 `json:"total"`
	} `json:"permanent"`
}

type uniqueSums struct {
	Total  int64 `json:"total"`
	Unique int64 `json:"unique"`
}

type totalSum struct {
	Total int64 `json:"total"`
}

// eventNames are the events that totals are of.
var eventNames = []string{"accepted", "delivered", "failed", "opened", "clicked", "unsubscribed", "complained", "stored"}

// fill sets the sums of the named events.
func (b *bucket) fill(events []string, s *tally.Sums) {
	for _, name := range events {
		switch name {
		case "accepted":
			b.Accepted = &acceptedSums{s[store.AcceptedIncoming], s[store.AcceptedOutgoing], s.Of(store.AcceptedIncoming, store.AcceptedOutgoing)}
		case "delivered":
			b.Delivered = &deliveredSums{SMTP: s[store.DeliveredSMTP], HTTP: s[store.DeliveredHTTP], Total: s.Delivered()}
		case "failed":
			b.Failed = failures(s)
		case "opened":
			b.Opened = &uniqueSums{s[store.Opened], s[store.UniqueOpened]}
		case "clicked":
			b.Clicked = &uniqueSums{s[store.Clicked], s[store.UniqueClicked]}
		case "unsubscribed":
			b.Unsubscribed = &totalSum{s[store.Unsubscribed]}
		case "complained":
			b.Complained = &totalSum{s[store.Complained]}
		case "stored":
			b.Stored = &totalSum{s[store.StoredMessages]}
		}
	}
}

func failures(s *tally.Sums) *failedSums {
	f := &failedSums{}
	f.Temporary.ESPBlock, f.Temporary.Total = s[store.TemporaryESPBlock], s[store.TemporaryFailed]
	p := &f.Permanent
	p.SuppressBounce, p.SuppressUnsubscribe, p.SuppressComplaint = s[store.SuppressedBounce], s[store.SuppressedUnsubscribe], s[store.SuppressedComplaint]
	p.DelayedBounce, p.Webhook, p.Total = s[store.DelayedBounce], s[store.WebhookFailed], s[store.PermanentFailed]
	p.Bounce = s.Bounced() - p.DelayedBounce - p.Webhook
	return f
}

// events reads the event parameter, which may be given several times or have commas.
func events(p door.Params) ([]string, error) {
	var list []string
	for _, v := range p.Values["event"] {
		for name := range strings.SplitSeq(v, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if name == "" || slices.Contains(list, name) {
				continue
			}
			if !slices.Contains(eventNames, name) {
				return nil, door.BadRequest("'%s' is not a valid event, the events are: %s", door.Shown(name), strings.Join(eventNames, ", "))
			}
			list = append(list, name)
		}
	}
	if len(list) == 0 {
		return nil, door.BadRequest("Missing mandatory parameter: event")
	}
	return list, nil
}

// sinceDays is how far back a question reaches that does not say.
const sinceDays = 7

// window reads start, end, duration and resolution.
func window(p door.Params, now time.Time) (tally.Window, error) {
	w := tally.Window{End: now.UTC()}
	var err error
	if w.Resolution, err = tally.ParseResolution(p.Get("resolution")); err != nil {
		return w, door.BadRequest("'resolution' parameter must be one of: hour, day, month")
	}
	if s := p.Get("end"); s != "" {
		if w.End, err = door.ParseDate(s); err != nil {
			return w, door.BadRequest("'end' parameter: %s", err)
		}
	}
	w.Start = w.End.AddDate(0, 0, -sinceDays)
	switch s, d := p.Get("start"), p.Get("duration"); {
	case d != "":
		w.Start, err = door.ParseSpan(d, w.End)
		if err != nil {
			return w, door.BadRequest("'duration' parameter: %s", err)
		}
	case s != "":
		w.Start, err = door.ParseDate(s)
		if err != nil {
			return w, door.BadRequest("'start' parameter: %s", err)
		}
	}
	if w.Start.After(w.End) {
		return w, door.BadRequest("'start' must not be after 'end'")
	}
	return w, nil
}

// A question is what every call about totals is asked.
type question struct {
	door.Params
	events []string
	window tally.Window
}

func parseQuestion(r *door.Request) (question, error) {
	p, err := r.Params()
	if err != nil {
		return question{}, err
	}
	q := question{Params: p}
	if q.events, err = events(p); err != nil {
		return q, err
	}
	q.window, err = window(p, time.Now())
	return q, err
}

// accountTotal answers with the totals of an account's domains.
func (s *Surface) accountTotal(w http.ResponseWriter, r *door.Request) error {
	domains, err := s.mine(r, false)
	if err != nil {
		return err
	}
	return s.total(w, r, domains)
}

// domainTotal answers with the totals of one domain.
func (s *Surface) domainTotal(w http.ResponseWriter, r *door.Request) error {
	return s.total(w, r, []store.Domain{r.Domain})
}

func (s *Surface) total(w http.ResponseWriter, r *door.Request, domains []store.Domain) error {
	q, err := parseQuestion(r)
	if err != nil {
		return err
	}
	a, err := s.overTime(r, q, domains, nil)
	if err != nil {
		return err
	}
	return door.Reply(w, a)
}

// overTime answers a question with a bucket for each span of time, empty or not.
func (s *Surface) overTime(r *door.Request, q question, domains []store.Domain, where []tally.Condition) (*stats, error) {
	times, err := q.window.Buckets()
	if err != nil {
		return nil, door.BadRequest("%s", err)
	}
	rows, err := s.book.Rows(r.Context(), tally.Query{Domains: domains, Dimensions: []tally.Dimension{tally.Time}, Conditions: where, Window: q.window})
	if err != nil {
		return nil, asked(err)
	}
	a := newStats(q.window)
	for _, at := range times {
		b, sums := bucket{Time: door.UTC(at)}, &tally.Sums{}
		if len(rows) > 0 && rows[0].Bucket.Equal(at) {
			sums, rows = &rows[0].Sums, rows[1:]
		}
		b.fill(q.events, sums)
		a.Stats = append(a.Stats, b)
	}
	return a, nil
}

func newStats(w tally.Window) *stats {
	return &stats{Start: door.UTC(w.Resolution.Floor(w.Start)), End: door.UTC(w.Resolution.Floor(w.End)), Resolution: w.Resolution, Stats: []bucket{}}
}

// grouped answers a question with a bucket for each value of a dimension.
func (s *Surface) grouped(r *door.Request, q question, domains []store.Domain, by tally.Dimension, where []tally.Condition) (*stats, error) {
	rows, err := s.book.Rows(r.Context(), tally.Query{Domains: domains, Dimensions: []tally.Dimension{by}, Conditions: where, Window: q.window})
	if err != nil {
		return nil, asked(err)
	}
	a := newStats(q.window)
	for i := range rows {
		b := bucket{Time: a.Start, Type: &groupKey{string(by), rows[i].Values[0].Shown}}
		b.fill(q.events, &rows[i].Sums)
		a.Stats = append(a.Stats, b)
	}
	return a, nil
}
