package domains

import (
	"errors"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// errCount asks for the number of queued messages before a change is made.
var errCount = errors.New("count queued messages first")

// changeDomain changes the domain of the request. A change under which mail asks
// for less TLS than before concerns messages that are already queued, since the
// domain's level is read at every attempt: the audit log is told which settings, and
// how many messages. They are counted outside of the transaction, which must not wait
// for other files; so a change that turns out to lower something is begun twice, and
// change may be called twice.
func (c *Calls) changeDomain(r *door.Request, change func(*store.Domain) error) (store.Domain, error) {
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
		r.Change.Details = map[string]any{"lowers": lowered, "queued-messages": queued}
		return nil
	}
	d, err := c.deps.Domains.UpdateDomain(r.Context(), r.Domain.Name, apply)
	if errors.Is(err, errCount) {
		if queued, err = c.deps.Messages.CountQueued(r.Context(), r.Domain.ID); err != nil {
			return d, err
		}
		d, err = c.deps.Domains.UpdateDomain(r.Context(), r.Domain.Name, apply)
	}
	return d, door.Missing(err, errNoDomain)
}

func tlsOf(d *store.Domain) mail.DomainTLS {
	return mail.DomainTLS{Flags: d.TLS, Delivery: d.Delivery}
}
