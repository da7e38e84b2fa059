package logs

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// Config is what the operator sets.
type Config struct {
	// MaxRequests is how many requests an account may make in ten seconds; 0: 500.
	MaxRequests int
}

// requestSpan is the span of time of MaxRequests.
const requestSpan = 10 * time.Second

// A Surface is the call. It is safe for concurrent use.
type Surface struct {
	domains store.Domains
	events  store.Events
	limit   *door.Limit
}

// New returns the call.
func New(domains store.Domains, events store.Events, cfg Config) *Surface {
	return &Surface{domains: domains, events: events, limit: door.NewLimit(cmp.Or(cfg.MaxRequests, 500), requestSpan)}
}

// Routes lists the call.
func (s *Surface) Routes() []door.Route {
	return []door.Route{door.On("POST", "/v1/analytics/logs", door.Look, s.list)}
}

// list searches the events of all domains, and answers one page: of a new search, or the one whose
// page the token names.
func (s *Surface) list(w http.ResponseWriter, r *door.Request) error {
	if err := s.limit.Count(w, r); err != nil {
		return err
	}
	var q request
	if err := r.JSON(0, &q); err != nil {
		return err
	}
	c, err := cursorOf(&q, time.Now())
	if err != nil {
		return err
	}
	src, err := s.source(r, &c.search)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	found, err := src.read(ctx, c.At, c.Limit)
	if err != nil {
		return err
	}
	if found.slow && len(found.items) == 0 {
		return errSlow
	}
	a := &answer{Start: door.MinusZero(time.UnixMicro(c.From)), End: door.MinusZero(time.UnixMicro(c.To)), Items: []item{}, Pagination: c.around(found)}
	if c.At.Back {
		slices.Reverse(found.items)
	}
	for i := range found.items {
		it, err := newItem(&found.items[i], src.domains[found.items[i].DomainID], r.Base)
		if err != nil {
			return err
		}
		a.Items = append(a.Items, it)
	}
	if q.Totals {
		n, err := src.total(ctx)
		if err != nil {
			return err
		}
		a.Pagination.Total = &n
	}
	return door.Reply(w, a)
}

func cursorOf(q *request, now time.Time) (cursor, error) {
	if q.Pagination.Token != "" {
		return parseToken(q.Pagination.Token)
	}
	s, err := q.parse(now)
	return cursor{search: s}, err
}

// source returns the domains that the caller may know of and the search wants. With
// include_subaccounts, the primary account's callers see those of sub-accounts too.
func (s *Surface) source(r *door.Request, q *search) (*source, error) {
	all, err := s.domains.ListDomains(r.Context())
	if err != nil {
		return nil, err
	}
	everybody := q.Sub && r.Who.DomainID == 0 && r.Who.AccountID <= store.PrimaryAccount
	src := &source{events: s.events, search: q, domains: map[int64]*store.Domain{}}
	for i := range all {
		if d := &all[i]; !q.None && (everybody || r.Who.Owns(d)) && q.wantsDomain(d) {
			src.domains[d.ID] = d
		}
	}
	return src, nil
}

// around returns the tokens of the pages around one. There is no next one after the last.
func (c cursor) around(found run) pages {
	var p pages
	if len(found.items) == 0 && !found.more {
		return p
	}
	p.First = cursor{c.search, position{}}.token()
	p.Last = cursor{c.search, position{Back: true}}.token()
	next, previous := position{At: found.reached}, position{At: c.At.At, Back: true}
	goesOn := found.more
	if len(found.items) > 0 {
		previous.At = found.items[0].ID
	}
	if c.At.Back { // the items are still in the order of reading
		goesOn = c.At.At != 0
		next = position{At: found.reached}
		if len(found.items) > 0 {
			next.At = found.items[0].ID
		}
		previous = position{At: found.reached, Back: true}
		if len(found.items) > 0 && !found.more {
			previous.At = found.items[len(found.items)-1].ID
		}
	}
	p.Previous = cursor{c.search, previous}.token()
	if goesOn {
		p.Next = cursor{c.search, next}.token()
	}
	return p
}

type answer struct {
	Start      string   `json:"start"`
	End        string   `json:"end"`
	Items      []item   `json:"items"`
	Pagination pages    `json:"pagination"`
	Aggregates struct{} `json:"aggregates"`
}

type pages struct {
	Previous string `json:"previous,omitempty"`
	Next     string `json:"next,omitempty"`
	First    string `json:"first,omitempty"`
	Last     string `json:"last,omitempty"`
	Total    *int   `json:"total,omitempty"`
}

// An item is an event as the log shows it: as the events call does, but for what is
// declared here again.
type item struct {
	event.Wire
	Timestamp     *struct{}   `json:"timestamp,omitempty"` // never
	At            string      `json:"@timestamp"`
	Account       named       `json:"account"`
	Domain        named       `json:"domain"`
	Method        string      `json:"method,omitempty"`
	UserVariables string      `json:"user-variables"` // JSON in a string
	Storage       *wireStored `json:"storage,omitempty"`
}

type named struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

type wireStored struct {
	Region string   `json:"region"`
	Env    string   `json:"env"`
	Key    string   `json:"key"`
	URL    []string `json:"url"`
}

func newItem(e *store.EventItem, d *store.Domain, base string) (item, error) {
	it := item{Wire: event.Render(&e.Record, &e.Meta, base), At: e.Time.UTC().Format("2006-01-02T15:04:05.000Z")}
	it.Account.ID, it.Domain.Name, it.Method = strconv.FormatInt(d.AccountID, 10), d.Name, strings.ToUpper(e.Meta.Method)
	vars, err := json.Marshal(it.Wire.UserVariables)
	if err != nil {
		return it, err
	}
	it.UserVariables = string(vars)
	if s := it.Wire.Storage; s != nil {
		it.Storage = &wireStored{s.Region, s.Env, s.Key, []string{s.URL}}
	}
	return it, nil
}
