// Package envelopes lets senders take back or put off what waits.
//
// Mailgun knows one call of this kind, which drops everything that a domain has queued. We answer
// it, and let it be about one message, one tag or one recipient; and a second call of ours
// gives the same rows another time. What is being delivered at the moment of the call is left alone.
package envelopes

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A Queue is mail that waits. The queue room satisfies it.
type Queue interface {
	// Cancel gives matching rows up, with a permanent failure in the log, and returns how many.
	Cancel(ctx context.Context, q store.RowQuery) (int, error)
	// Reschedule makes matching rows due at another time and returns how many.
	Reschedule(ctx context.Context, q store.RowQuery, due time.Time) (int, error)
}

// Calls are the calls about waiting mail. They are safe for concurrent use.
type Calls struct {
	queue   Queue
	horizon time.Duration
}

// New returns the calls. Mail cannot be put off further than the horizon.
func New(queue Queue, horizon time.Duration) *Calls { return &Calls{queue, horizon} }

// Routes lists the calls.
func (c *Calls) Routes() []door.Route {
	return []door.Route{
		door.On("DELETE", "/v3/{domain}/envelopes", door.Manage, c.cancel),
		door.On("PUT", "/v3/{domain}/envelopes", door.Manage, c.reschedule),
	}
}

// cancel gives up waiting mail of the domain: all of it, or that of a message, a tag or a
// recipient. Parameters of a DELETE are in its query; in a body they would be passed over and
// everything dropped, so a body is refused.
func (c *Calls) cancel(w http.ResponseWriter, r *door.Request) error {
	if n, _ := io.ReadFull(r.Body, make([]byte, 1)); n > 0 {
		return door.BadRequest("say in the query what is to be dropped, not in the body")
	}
	p, err := r.Params()
	if err != nil {
		return err
	}
	q, err := query(r, p, "reason")
	if err != nil {
		return err
	}
	if _, err := c.queue.Cancel(r.Context(), q); err != nil {
		return err
	}
	return door.Say(w, "done")
}

// reschedule gives waiting mail of the domain another time. What is being delivered at that moment
// is left alone.
func (c *Calls) reschedule(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	q, err := query(r, p, "deliverytime", "reason")
	if err != nil {
		return err
	}
	due, err := Due(p.Get("deliverytime"), "deliverytime", c.horizon)
	if err != nil {
		return err
	}
	n, err := c.queue.Reschedule(r.Context(), q, due)
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message string `json:"message"`
		Count   int    `json:"count"`
	}{"Delivery has been rescheduled", n})
}

// query reads which rows of the domain a call is about; without parameters, all. That is much, so a
// parameter that was meant to narrow it and does not, because it is empty or of another name, is refused.
func query(r *door.Request, p door.Params, known ...string) (store.RowQuery, error) {
	narrowing := []string{"message-id", "tag", "recipient"}
	for name := range p.Values {
		switch {
		case slices.Contains(known, name):
		case !slices.Contains(narrowing, name):
			return store.RowQuery{}, door.BadRequest("'%s' parameter is unknown; there are %s", door.Shown(name), strings.Join(append(narrowing, known...), ", "))
		case MessageID(p.Get(name)) == "":
			return store.RowQuery{}, door.BadRequest("'%s' parameter is empty", name)
		}
	}
	q := store.RowQuery{DomainID: r.Domain.ID, Tag: strings.TrimSpace(p.Get("tag"))}
	q.MessageID = MessageID(p.Get("message-id"))
	if s := p.Get("recipient"); s != "" {
		address, err := mail.ParseAddress(s)
		if err != nil {
			return q, door.BadRequest("recipient parameter is not a valid address. please check documentation")
		}
		q.Recipient = address.String()
	}
	return q, nil
}

// MessageID returns a Message-ID as the store knows it.
func MessageID(s string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "<"), ">")
}

// Due reads the moment until which mail is put off; one that has passed is now. Errors are for the client.
func Due(s, parameter string, horizon time.Duration) (time.Time, error) {
	if strings.TrimSpace(s) == "" {
		return time.Time{}, door.BadRequest("%s parameter is missing", parameter)
	}
	due, err := door.ParseDate(s)
	now := time.Now().UTC()
	switch {
	case err != nil:
		return time.Time{}, door.BadRequest("%s", err)
	case due.After(now.Add(horizon)):
		return time.Time{}, door.BadRequest("%s is too far ahead, messages can be scheduled up to %s in advance", door.Shown(s), horizon)
	case due.Before(now):
		due = now
	}
	return due, nil
}
