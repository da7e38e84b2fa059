package webhooks

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/webhook"
)

// A targetJSON is one URL and how it is doing.
type targetJSON struct {
	Domain       string    `json:"domain,omitempty"` // none: the account's
	URL          string    `json:"url"`
	Kinds        []string  `json:"event_types"`
	State        string    `json:"state"` // working, failing, disabled
	Waiting      int       `json:"waiting"`
	Failed       int       `json:"failed"`
	Behind       time.Time `json:"behind-since,omitzero"` // told of everything up to it
	FailingSince time.Time `json:"failing-since,omitzero"`
	DisabledAt   time.Time `json:"disabled-at,omitzero"`
	LastError    string    `json:"last-error,omitempty"`
}

// An attemptJSON is one call that was made.
type attemptJSON struct {
	Time    time.Time `json:"time"`
	Domain  string    `json:"domain,omitempty"`
	URL     string    `json:"url"`
	Event   string    `json:"event-id"`
	Kind    string    `json:"event-type"`
	Attempt int       `json:"attempt"`
	Outcome string    `json:"outcome"`         // delivered, rejected, deferred, failed
	Code    int       `json:"code,omitempty"`  // status of the answer
	Seconds float64   `json:"seconds"`         // until the answer
	Error   string    `json:"error,omitempty"` // why there was no answer
	Answer  string    `json:"answer,omitempty"`
}

// scope reads whose targets a call is about. A domain that the caller may not see is not found.
func (a *API) scope(r *door.Request, p door.Params) (webhook.Scope, []int64, error) {
	s := webhook.Scope{AccountID: account(r), DomainID: r.Who.DomainID, URL: p.Get("url")}
	name := p.Get("domain")
	if name == "" && s.DomainID != 0 {
		return s, []int64{s.DomainID}, nil
	}
	all, err := a.deps.Domains.ListDomains(r.Context())
	if err != nil {
		return s, nil, err
	}
	var domains []int64
	found := name == ""
	ascii, _ := mail.ParseDomain(name) // what is none names no domain
	for _, d := range all {
		if !r.Who.Owns(&d) {
			continue
		}
		if name == "" && d.AccountID == s.AccountID {
			domains = append(domains, d.ID)
		}
		if name != "" && d.Name == ascii {
			found, s.AccountID, s.DomainID, domains = true, d.AccountID, d.ID, []int64{d.ID}
		}
	}
	if !found {
		return s, nil, door.NotFound("Domain not found")
	}
	return s, domains, nil
}

// names returns the names of the domains of targets.
func (a *API) names(r *door.Request, targets []webhook.Target) (map[int64]string, error) {
	names := map[int64]string{}
	for _, t := range targets {
		if t.DomainID == 0 || names[t.DomainID] != "" {
			continue
		}
		d, err := a.deps.Domains.DomainByID(r.Context(), t.DomainID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		names[t.DomainID] = d.Name
	}
	return names, nil
}

// listTargets lists the URLs that are told of events, with how each of them is doing and what waits
// for it.
func (a *API) listTargets(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	s, _, err := a.scope(r, p)
	if err != nil {
		return err
	}
	targets, err := a.deps.Room.Targets(r.Context(), s)
	if err != nil {
		return err
	}
	names, err := a.names(r, targets)
	if err != nil {
		return err
	}
	items := []targetJSON{}
	for _, t := range targets {
		items = append(items, targetJSON{
			Domain: names[t.DomainID], URL: t.URL, Kinds: t.Kinds, State: string(t.State), Waiting: t.Waiting, Failed: t.Failed,
			Behind: t.Behind, FailingSince: t.FailingSince, DisabledAt: t.DisabledAt, LastError: t.LastError,
		})
	}
	return door.Reply(w, struct {
		Items []targetJSON `json:"items"`
	}{items})
}

// listDeliveries lists the calls of webhooks that were made: all failures that are kept, and the
// last successes.
func (a *API) listDeliveries(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, err := p.Number("limit", 1, 100)
	if err != nil {
		return err
	}
	s, _, err := a.scope(r, p)
	if err != nil {
		return err
	}
	about, err := eventOf(p)
	if err != nil {
		return err
	}
	targets, err := a.deps.Room.Targets(r.Context(), s)
	if err != nil {
		return err
	}
	names, err := a.names(r, targets)
	if err != nil {
		return err
	}
	byID := map[int64]webhook.Target{}
	for _, t := range targets {
		byID[t.ID] = t
	}
	attempts, err := a.deps.Room.Attempts(r.Context(), s, about, min(limit, 1000))
	if err != nil {
		return err
	}
	items := []attemptJSON{}
	for _, t := range attempts {
		items = append(items, attemptJSON{
			Time: t.At, Domain: names[byID[t.Target].DomainID], URL: byID[t.Target].URL, Event: t.Event.String(), Kind: t.Kind, Attempt: t.Attempt,
			Outcome: t.Outcome, Code: t.Status, Seconds: t.Latency.Seconds(), Error: t.Error, Answer: t.Answer,
		})
	}
	return door.Reply(w, struct {
		Items []attemptJSON `json:"items"`
	}{items})
}

// eventOf reads the id of an event; 0 if none is given.
func eventOf(p door.Params) (mail.ID, error) {
	s := p.Get("event")
	if s == "" {
		return 0, nil
	}
	id, err := mail.ParseID(s)
	if err != nil {
		return 0, door.BadRequest("'event' parameter must be the id of an event")
	}
	return id, nil
}

// replay tells webhooks of events again: of one, of all that were given up, or of a time range.
func (a *API) replay(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	order, err := a.readReplay(r, p)
	if err != nil {
		return err
	}
	n, err := a.deps.Room.Replay(r.Context(), order)
	switch {
	case errors.Is(err, webhook.ErrTooMany):
		return door.BadRequest("%s", err)
	case err != nil:
		return err
	case n == 0 && order.Event != 0:
		return door.NotFound("no webhook is told of such an event")
	}
	return door.Reply(w, struct {
		Message string `json:"message"`
		Count   int    `json:"count"`
	}{"Events will be told again", n})
}

func (a *API) readReplay(r *door.Request, p door.Params) (webhook.Replay, error) {
	var order webhook.Replay
	var err error
	if order.Scope, order.Domains, err = a.scope(r, p); err != nil {
		return order, err
	}
	if order.Event, err = eventOf(p); err != nil {
		return order, err
	}
	failed, err := p.Flag("failed")
	if err != nil {
		return order, err
	}
	if order.Failed = failed.Bool(); !order.Failed {
		// The account's own webhooks are told of a domain's events too.
		order.Scope.DomainID = r.Who.DomainID
	}
	if begin := p.Get("begin"); begin != "" {
		if order.Begin, err = door.ParseDate(begin); err != nil {
			return order, door.BadRequest("'begin' parameter: %s", err)
		}
		if order.End, err = door.ParseDate(cmp.Or(p.Get("end"), time.Now().UTC().Format(time.RFC1123Z))); err != nil {
			return order, door.BadRequest("'end' parameter: %s", err)
		}
		if !order.Begin.Before(order.End) {
			return order, door.BadRequest("'begin' parameter must be before 'end'")
		}
	}
	ways := 0
	for _, way := range []bool{order.Event != 0, order.Failed, !order.Begin.IsZero()} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		return order, door.BadRequest("say what to tell again: 'event', 'failed=yes', or 'begin' and 'end'")
	}
	return order, nil
}

// enable lets URLs be told of events again that had been disabled.
func (a *API) enable(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	if p.Get("url") == "" {
		return door.BadRequest("'url' parameter is missing")
	}
	s, _, err := a.scope(r, p)
	if err != nil {
		return err
	}
	n, err := a.deps.Room.Enable(r.Context(), s)
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message string `json:"message"`
		Count   int    `json:"count"`
	}{"Webhooks are enabled", n})
}
