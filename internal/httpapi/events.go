package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/event/filter"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	defaultEvents = 100
	maxEvents     = 300
	// searchTime is how long one page may be searched for. An empty page means
	// the end to clients, so a search that runs out of time is an error.
	searchTime = 20 * time.Second
	// idSlack is how far an event's time and the time in its id may lie apart, for
	// instance after the clock was set back. Ids only narrow the search; times decide.
	idSlack = time.Minute
)

// errSlowSearch is the answer to a search that found nothing in the time it has.
var errSlowSearch = &door.Problem{Status: http.StatusServiceUnavailable, Message: "The search takes too long. Please narrow it by begin, end, event or recipient."}

// listEvents lists events of the domain a page at a time: of a new search, or the page whose token
// is in the path.
func (a *API) listEvents(w http.ResponseWriter, r *door.Request) error {
	c, err := a.cursorOf(r)
	if err != nil {
		return err
	}
	f, err := filter.Parse(c.Filters)
	if err != nil {
		return door.BadRequest("%s", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	p, err := a.findPage(ctx, r.Domain.ID, c, f)
	if err != nil {
		return err
	}
	items := make([]event.Wire, len(p.items))
	for i := range p.items {
		items[i] = event.Render(&p.items[i].Record, &p.items[i].Meta, r.Base)
	}
	link := func(at position) string {
		return r.Base + "/v3/" + r.Domain.Name + "/events/" + cursor{c.search, at}.token()
	}
	return door.Reply(w, struct {
		Items  []event.Wire `json:"items"`
		Paging door.Paging  `json:"paging"`
	}{items, door.Paging{Next: link(p.next), Previous: link(p.previous), First: link(position{}), Last: link(position{Back: true, Last: true})}})
}

func (a *API) cursorOf(r *door.Request) (cursor, error) {
	if token := r.PathValue("token"); token != "" {
		return parseToken(token)
	}
	p, err := r.Params()
	if err != nil {
		return cursor{}, err
	}
	s, err := parseSearch(p)
	return cursor{search: s}, err
}

// A page is what a client is shown, and the positions around it.
type page struct {
	items          []store.EventItem // in the order of the search
	next, previous position
}

// findPage reads one page. Backward pages are read against the search's
// order, from where they end, and turned around.
func (a *API) findPage(ctx context.Context, domainID int64, c cursor, f *filter.Filter) (page, error) {
	q := c.query(domainID, f)
	items, reached, err := a.read(ctx, q, f.Hints().None)
	if err != nil {
		return page{}, err
	}
	p := page{items: items}
	if c.At.Back {
		slices.Reverse(items)
		p.next, p.previous = position{At: c.At.At}, position{At: reached + 1, Back: true}
		if c.Ascending {
			p.previous.At = max(reached-1, 0)
		}
		switch {
		case reached == 0: // nothing was seen from an open end
			p.previous = c.At
		case c.At.Last && len(items) > 0:
			p.next.At = items[len(items)-1].ID
		}
		return p, nil
	}
	p.next, p.previous = position{At: reached}, position{At: c.At.At, Back: true}
	switch {
	case c.At.At != 0 || c.Ascending:
		p.previous.At = max(c.At.At, q.After)
	case len(items) > 0:
		p.previous.At = items[0].ID + 1 // what is newer than the newest shown
	default:
		p.previous = position{}
	}
	return p, nil
}

// read collects the events of a page, asking the store again where it stopped
// early. reached is how far it looked.
func (a *API) read(ctx context.Context, q store.EventQuery, none bool) (items []store.EventItem, reached mail.ID, err error) {
	bound := &q.Before
	if q.Ascending {
		bound = &q.After
	}
	if none {
		return nil, *bound, nil
	}
	for limit := q.Limit; ; q.Limit = limit - len(items) {
		p, err := a.deps.Events.Events(ctx, q)
		if err != nil {
			slow := ctx.Err() != nil || errors.Is(err, store.ErrSlow)
			if slow && len(items) == 0 {
				return nil, 0, errSlowSearch
			}
			if !slow {
				return nil, 0, err
			}
			return items, *bound, nil // what was found until the time was up
		}
		items = append(items, p.Items...)
		*bound = p.Cursor
		if !p.More || len(items) >= limit {
			return items, p.Cursor, nil
		}
	}
}

// query turns a cursor into a question to the store.
func (c cursor) query(domainID int64, f *filter.Filter) store.EventQuery {
	h := f.Hints()
	q := store.EventQuery{
		DomainID: domainID, Limit: c.Limit, Ascending: c.Ascending != c.At.Back,
		Types: h.Types, Recipient: h.Recipient, MessageID: h.MessageID, Tags: h.Tags,
		Match: func(r *event.Record, m *event.Meta) bool { return c.contains(r.Time) && f.Match(r, m) },
	}
	if c.From != 0 {
		q.After = max(mail.FirstID(time.UnixMicro(c.From).Add(-idSlack))-1, 0)
	}
	if c.To != 0 {
		q.Before = mail.FirstID(time.UnixMicro(c.To).Add(idSlack))
	}
	at := c.At.At
	switch {
	case c.At.Last, at == 0 && !(c.At.Back && c.Ascending):
		// From an end of the range.
	case c.Ascending && !c.At.Back:
		q.After = max(q.After, at)
	case c.Ascending: // back: what is not after the position
		q.Before = earlier(q.Before, at+1)
	case !c.At.Back:
		q.Before = earlier(q.Before, at)
	default:
		q.After = max(q.After, at-1)
	}
	return q
}

// earlier returns the smaller of two upper bounds, of which a may be open.
func earlier(a, b mail.ID) mail.ID {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// contains reports whether the moment is in the search's range, both ends included.
func (s search) contains(t time.Time) bool {
	us := t.UnixMicro()
	return (s.From == 0 || us >= s.From) && (s.To == 0 || us <= s.To)
}
