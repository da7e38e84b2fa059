package logs

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/predicate"
	"github.com/sealpost/sealpost/internal/mail"
)

const (
	defaultItems = 100
	maxItems     = 100
	maxEvents    = 50 // names of events
	// maxSearch is the length of all names and values of a search in octets: the token
	// carries them.
	maxSearch = 8 << 10
	// since is how far back a search reaches that does not say.
	since = 24 * time.Hour
)

// A request is the body of the call.
type request struct {
	Start        string           `json:"start"`
	End          string           `json:"end"`
	Duration     string           `json:"duration"`
	Events       []string         `json:"events"`
	MetricEvents []string         `json:"metric_events"`
	Filter       predicate.Filter `json:"filter"`
	Sub          bool             `json:"include_subaccounts"`
	Totals       bool             `json:"include_totals"`
	Pagination   struct {
		Sort  string `json:"sort"`
		Token string `json:"token"`
		Limit int    `json:"limit"`
	} `json:"pagination"`
}

// A search is a question, without a position in its answer. It travels in tokens.
type search struct {
	From  int64        `json:"b"` // microseconds since 1970, included
	To    int64        `json:"e"`
	Types []event.Type `json:"t,omitempty"` // empty: all
	None  bool         `json:"z,omitempty"` // only events that there are none of here
	Where []condition  `json:"w,omitempty"`
	Desc  bool         `json:"d,omitempty"`
	Sub   bool         `json:"s,omitempty"`
	Limit int          `json:"l"`
}

// A condition is a predicate that was understood.
type condition struct {
	Attribute string   `json:"a"`
	Not       bool     `json:"n,omitempty"`
	Contains  bool     `json:"c,omitempty"`
	Values    []string `json:"v"` // lower case, except those of a Message-ID
}

// parse makes a search of the request.
func (q *request) parse(now time.Time) (search, error) {
	s := search{Sub: q.Sub, Limit: cmp.Or(q.Pagination.Limit, defaultItems)}
	if s.Limit < 1 || s.Limit > maxItems {
		return s, door.BadRequest("'limit' attribute is invalid: it is 1 to %d", maxItems)
	}
	switch strings.ToLower(strings.TrimSpace(q.Pagination.Sort)) {
	case "timestamp:asc":
	case "", "timestamp", "timestamp:desc":
		s.Desc = true
	default:
		return s, door.BadRequest("'sort' attribute is invalid: it is timestamp:asc or timestamp:desc")
	}
	if err := s.setRange(q, now); err != nil {
		return s, err
	}
	if err := s.setTypes(q); err != nil {
		return s, err
	}
	if err := s.setWhere(q.Filter); err != nil {
		return s, err
	}
	return s, s.check()
}

func (s *search) setRange(q *request, now time.Time) error {
	end := now.UTC()
	var err error
	if q.End != "" {
		if end, err = door.ParseDate(q.End); err != nil {
			return door.BadRequest("'end' attribute is invalid: %s", err)
		}
	}
	start := end.Add(-since)
	switch {
	case q.Duration != "":
		if start, err = door.ParseSpan(q.Duration, end); err != nil {
			return door.BadRequest("'duration' attribute is invalid")
		}
	case q.Start != "":
		if start, err = door.ParseDate(q.Start); err != nil {
			return door.BadRequest("'start' attribute is invalid: %s", err)
		}
	}
	if start.After(end) {
		return door.BadRequest("'start' attribute is invalid: it must not be after 'end'")
	}
	s.From, s.To = max(start.UnixMicro(), 0), max(end.UnixMicro(), 0)
	return nil
}

// setTypes reads the names of events, and of what metrics count.
func (s *search) setTypes(q *request) error {
	if len(q.Events)+len(q.MetricEvents) > maxEvents {
		return door.BadRequest("'events' attribute is invalid: at most %d are allowed", maxEvents)
	}
	for i, name := range slices.Concat(q.Events, q.MetricEvents) {
		types := typesNamed(strings.ToLower(strings.TrimSpace(name)), i >= len(q.Events))
		if types == nil {
			return door.BadRequest("'%s' is not a valid event", door.Shown(name))
		}
		s.Types = append(s.Types, types...)
	}
	slices.Sort(s.Types)
	s.Types = slices.Compact(s.Types)
	s.None = len(q.Events)+len(q.MetricEvents) > 0 && len(s.Types) == 0
	return nil
}

// typesNamed returns the types of events with a name; nil if it is none. Those of metrics end
// in _count.
func typesNamed(name string, metric bool) []event.Type {
	if metric {
		name = strings.TrimSuffix(name, "_count")
	}
	switch name {
	case "permanent_fail", "permanent_failed", "bounced":
		return []event.Type{event.FailedPermanent}
	case "temporary_fail", "temporary_failed":
		return []event.Type{event.FailedTemporary}
	case "list_member_uploaded", "list_member_upload_error", "list_uploaded":
		return []event.Type{} // of which there are none here
	}
	return event.TypesNamed(name)
}

// setWhere reads the conditions.
func (s *search) setWhere(f predicate.Filter) error {
	if err := f.Check(); err != nil {
		return err
	}
	for _, p := range f.AND {
		name, ok := attributeNamed(p.Attribute)
		if !ok {
			return p.BadAttribute()
		}
		c, err := p.Comparison(name)
		if err != nil {
			return err
		}
		where := condition{Attribute: name, Not: c.Not, Contains: c.Contains}
		for _, v := range c.Values {
			where.Values = append(where.Values, comparable(name, v))
		}
		s.Where = append(s.Where, where)
	}
	return nil
}

// check holds for every search, whether it was asked for or comes in a token.
func (s *search) check() error {
	size := 0
	for _, c := range s.Where {
		for _, v := range c.Values {
			size += len(c.Attribute) + len(v)
		}
	}
	if size > maxSearch {
		return door.BadRequest("'filter' attribute is invalid: it is limited to %d octets", maxSearch)
	}
	return nil
}

// idSlack is how far an event's time and the time in its id may lie apart, for instance after
// the clock was set back. Ids only narrow the search; times decide.
const idSlack = time.Minute

// ids returns the bounds of the ids, both exclusive.
func (s *search) ids() (after, before mail.ID) {
	return max(mail.FirstID(time.UnixMicro(s.From).Add(-idSlack))-1, 0), mail.FirstID(time.UnixMicro(s.To).Add(idSlack))
}
