// Package feedback is the call by which a complaint becomes an event: a recipient called a
// message spam, and its mail provider said so in a report (RFC 5965). This server
// receives no such reports; whoever does, hands on what they say.
package feedback

import (
	"context"
	"net/http"
	"strings"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// maxMessageID is the length of a Message-ID in octets: a line of RFC 5322.
const maxMessageID = 998

// A Suppressor keeps mail from those who complained. The suppression room satisfies it.
type Suppressor interface {
	// AddComplaint adds an address to the domain's complaints. It may be there already.
	AddComplaint(ctx context.Context, domainID int64, address string) error
}

// A Surface is the call.
type Surface struct {
	events     store.Events
	recorder   store.Recorder
	suppressor Suppressor
}

// New returns the call.
func New(events store.Events, recorder store.Recorder, suppressor Suppressor) *Surface {
	return &Surface{events: events, recorder: recorder, suppressor: suppressor}
}

// Routes lists the call.
func (s *Surface) Routes() []door.Route {
	return []door.Route{door.On("POST", "/v1/sealpost/domains/{domain}/complaints", door.Manage, s.complain)}
}

// complain records that a recipient called a message spam: an event complained of that message, and an
// entry on the complaints list. The same complaint again changes nothing.
func (s *Surface) complain(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	id := strings.Trim(strings.TrimSpace(p.Get("message-id")), "<>")
	if id == "" || len(id) > maxMessageID {
		return door.BadRequest("'message-id' parameter must be the Message-ID of a message of the domain")
	}
	rcpt, err := mail.ParseMailbox(p.Get("recipient"))
	if err != nil {
		return door.BadRequest("'recipient' parameter is not a valid address")
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	known, err := s.find(r.Context(), r.Domain.ID, id, rcpt.Address.String())
	if err != nil {
		return err
	}
	if known.complained {
		return door.Say(w, "The complaint is known")
	}
	// The list first: should the event fail, the call is made again, and nobody is written to meanwhile.
	if err := s.suppressor.AddComplaint(r.Context(), r.Domain.ID, known.recipient); err != nil {
		return err
	}
	e := event.Record{Type: event.Complained, DomainID: r.Domain.ID, Message: known.message, Recipient: known.recipient}
	if err := s.recorder.Record(r.Context(), &e); err != nil {
		return door.Missing(err, errNoMessage())
	}
	return door.Say(w, "The complaint has been recorded")
}

func errNoMessage() error { return door.NotFound("Message not found") }

// A sent message is one that went to the recipient.
type sent struct {
	message    mail.ID
	recipient  string // as it was accepted
	complained bool   // before
}

// find finds the message by what the log says of it.
func (s *Surface) find(ctx context.Context, domainID int64, messageID, recipient string) (sent, error) {
	var found sent
	q := store.EventQuery{
		DomainID: domainID, MessageID: messageID, Recipient: recipient, Ascending: true, Limit: 100,
		Types: []event.Type{event.Accepted, event.Complained},
	}
	for {
		page, err := s.events.Events(ctx, q)
		if err != nil {
			return sent{}, err
		}
		for i := range page.Items {
			e := &page.Items[i]
			if e.Type == event.Complained {
				found.complained = true
			} else if found.message == 0 {
				found.message, found.recipient = e.Message, e.Recipient
			}
		}
		if !page.More {
			break
		}
		q.After = page.Cursor
	}
	if found.message == 0 {
		return sent{}, errNoMessage()
	}
	return found, nil
}
