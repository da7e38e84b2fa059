package httpapi

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// maxReason is the length of a reason in characters.
const maxReason = 500

// actor names who calls as the audit log has it. The description is shown beside
// the id because people remember it; the id is what counts.
func (p principal) actor() string {
	switch {
	case p.keyID == "":
		return store.ActorOperator
	case p.description == "":
		return "key " + p.keyID
	}
	return "key " + p.keyID + " (" + shown(p.description) + ")"
}

// note makes what the request changes known to the audit log as the caller's doing.
func (r *request) note() {
	r.change = &store.Change{Actor: r.who.actor()}
	r.Request = r.WithContext(store.WithChange(r.Context(), r.change))
}

// reason reads the reason that every call which changes something may give, and
// hands it to the audit log.
func (r *request) reason(p params) error {
	s := p.Get("reason")
	if utf8.RuneCountInString(s) > maxReason {
		return badRequest("'reason' parameter is longer than %d characters", maxReason)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return badRequest("'reason' parameter must be text on one line")
	}
	r.change.Reason = s
	return nil
}

// reasonOnly is reason for calls that have no other parameters.
func (a *API) reasonOnly(r *request) error {
	p, err := a.params(r)
	if err != nil {
		return err
	}
	return r.reason(p)
}

// errCount asks for the number of queued messages before a change is made.
var errCount = errors.New("count queued messages first")

// changeDomain changes the domain of the request. A change under which mail asks
// for less TLS than before concerns messages that are already queued, since the
// domain's level is read at every attempt: the audit log is told which settings, and
// how many messages. They are counted outside of the transaction, which must not wait
// for other files; so a change that turns out to lower something is begun twice, and
// change may be called twice.
func (a *API) changeDomain(r *request, change func(*store.Domain) error) (store.Domain, error) {
	queued := -1
	apply := func(d *store.Domain) error {
		before := tlsOf(d)
		if err := change(d); err != nil {
			return err
		}
		lowered := before.Lowered(tlsOf(d), time.Now())
		if len(lowered) == 0 {
			return nil
		}
		if queued < 0 {
			return errCount
		}
		r.change.Details = map[string]any{"lowers": lowered, "queued-messages": queued}
		return nil
	}
	d, err := a.deps.Domains.UpdateDomain(r.Context(), r.domain.Name, apply)
	if errors.Is(err, errCount) {
		if queued, err = a.deps.Messages.CountQueued(r.Context(), r.domain.ID); err != nil {
			return d, err
		}
		d, err = a.deps.Domains.UpdateDomain(r.Context(), r.domain.Name, apply)
	}
	return d, missing(err, notFound("Domain not found"))
}

func tlsOf(d *store.Domain) mail.DomainTLS {
	return mail.DomainTLS{Flags: d.TLS, Delivery: d.Delivery}
}
