package logs

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	// searchTime is how long one page may be searched for.
	searchTime = 20 * time.Second
	// fewDomains are read one by one and merged. Of more, the log of all domains is read.
	fewDomains = 16
	// maxTotal is how far events are counted for a total, and totalTime how long.
	maxTotal  = 10_000
	totalTime = 5 * time.Second
)

// errSlow is the answer to a search that found nothing in the time it has.
var errSlow = &door.Problem{Status: http.StatusServiceUnavailable, Message: "The search takes too long. Please narrow it by start, end, events or filter."}

// A source reads events in order, from the domains of a search.
type source struct {
	events  store.Events
	search  *search
	domains map[int64]*store.Domain
}

// A run is a piece of an answer.
type run struct {
	items   []store.EventItem
	reached mail.ID // how far the answer was looked for
	more    bool    // it may go on
	slow    bool    // the time was over
}

// read returns up to limit events beyond a position. A search that runs out of time ends
// early, and says so by more.
func (s *source) read(ctx context.Context, at position, limit int) (run, error) {
	q := s.query(at, limit)
	if len(s.domains) == 0 {
		return run{}, nil
	}
	var parts []run
	if len(s.domains) <= fewDomains {
		for id := range s.domains {
			q.DomainID = id
			part, err := s.readOne(ctx, q)
			if err != nil {
				return run{}, err
			}
			parts = append(parts, part)
		}
	} else {
		q.AllDomains = true
		part, err := s.readOne(ctx, q)
		if err != nil {
			return run{}, err
		}
		parts = append(parts, part)
	}
	return merge(parts, q.Ascending, limit), nil
}

// query returns the question for the store, but for the domain.
func (s *source) query(at position, limit int) store.EventQuery {
	c := s.search
	q := store.EventQuery{
		Ascending: c.Desc == at.Back, Limit: limit, Types: c.Types, Recipient: c.only("recipient"), MessageID: c.only("message_id"), Tags: c.tags(),
		Match: func(r *event.Record, m *event.Meta) bool { return s.domains[r.DomainID] != nil && c.matches(r, m) },
	}
	q.After, q.Before = c.ids()
	switch {
	case at.At == 0:
	case q.Ascending:
		q.After = max(q.After, at.At)
	default:
		q.Before = min(q.Before, at.At)
	}
	return q
}

// readOne reads from one domain, or the log of all, until it has what is asked for.
func (s *source) readOne(ctx context.Context, q store.EventQuery) (run, error) {
	var r run
	limit := q.Limit
	bound := &q.Before
	if q.Ascending {
		bound = &q.After
	}
	for {
		q.Limit = limit - len(r.items)
		p, err := s.events.Events(ctx, q)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, store.ErrSlow) {
				return r, err
			}
			r.reached, r.more, r.slow = *bound, true, true
			return r, nil
		}
		r.items = append(r.items, p.Items...)
		*bound = p.Cursor
		if !p.More || len(r.items) >= limit {
			r.reached, r.more = p.Cursor, p.More
			return r, nil
		}
	}
}

// merge puts runs together in the order of ids. What lies beyond where one of them may go on
// is left for the next page.
func merge(parts []run, ascending bool, limit int) run {
	order := func(a, b mail.ID) int {
		if ascending {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(b, a)
	}
	var all run
	for i, p := range parts {
		all.items, all.slow = append(all.items, p.items...), all.slow || p.slow
		if p.more && (!all.more || order(p.reached, all.reached) < 0) {
			all.reached, all.more = p.reached, true
		}
		if !all.more && (i == 0 || order(p.reached, all.reached) > 0) {
			all.reached = p.reached
		}
	}
	slices.SortFunc(all.items, func(a, b store.EventItem) int { return order(a.ID, b.ID) })
	if all.more {
		all.items = slices.DeleteFunc(all.items, func(e store.EventItem) bool { return order(e.ID, all.reached) > 0 })
	}
	if len(all.items) > limit {
		all.items = all.items[:limit]
		all.reached, all.more = all.items[limit-1].ID, true
	}
	return all
}

// total counts the events of a search, to a limit.
func (s *source) total(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, totalTime)
	defer cancel()
	n := 0
	for at := (position{}); ; {
		r, err := s.read(ctx, at, 1000)
		if err != nil {
			return 0, err
		}
		n += len(r.items)
		if !r.more || r.slow || n >= maxTotal {
			return min(n, maxTotal), nil
		}
		at.At = r.reached
	}
}
