package domains

import (
	"net/http"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// Bounds on a domain's own retry schedule.
const (
	maxWaits    = 50
	minWait     = time.Minute
	maxWait     = 24 * time.Hour
	minLifetime = 5 * time.Minute
	maxLifetime = 5 * 24 * time.Hour
)

// A deliveryJSON is a domain's delivery settings besides the two flags. Empty
// retry and lifetime mean the server's defaults.
type deliveryJSON struct {
	Retry    []string `json:"retry"`
	Lifetime string   `json:"lifetime"`
	policyJSON
}

func deliveryView(d store.Domain) deliveryJSON {
	v := deliveryJSON{Retry: []string{}, policyJSON: policyView(d, time.Now())}
	for _, w := range d.Delivery.Retry {
		v.Retry = append(v.Retry, w.String())
	}
	if d.Delivery.Lifetime != 0 {
		v.Lifetime = d.Delivery.Lifetime.String()
	}
	return v
}

// showDelivery shows how the domain's mail is secured and for how long it is tried.
func (c *Calls) showDelivery(w http.ResponseWriter, r *door.Request) error {
	return door.Reply(w, deliveryView(r.Domain))
}

// updateDelivery changes how the domain's mail is secured and for how long it is tried. What is
// absent stays as it is.
func (c *Calls) updateDelivery(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	now := time.Now()
	d, err := c.changeDomain(r, func(d *store.Domain) error {
		if err := applyPolicy(d, p, now); err != nil {
			return err
		}
		return applyDelivery(d, p)
	})
	if err != nil {
		return err
	}
	return door.Reply(w, deliveryView(d))
}

// applyDelivery puts the parameters about how long we try that are given into d.
// "default" takes a schedule or a lifetime back.
func applyDelivery(d *store.Domain, p door.Params) error {
	if s := p.Get("lifetime"); s == "default" {
		d.Delivery.Lifetime = 0
	} else if s != "" {
		l, err := time.ParseDuration(s)
		if err != nil || l < minLifetime || l > maxLifetime {
			return door.BadRequest("'lifetime' parameter must be a duration from %s to %s, or default", minLifetime, maxLifetime)
		}
		d.Delivery.Lifetime = l
	}
	given := strings.Join(p.Values["retry"], ",")
	if given == "" {
		return nil
	}
	waits, err := parseWaits(given)
	if err == nil {
		d.Delivery.Retry = waits
	}
	return err
}

// parseWaits reads a comma list of durations.
func parseWaits(s string) ([]time.Duration, error) {
	if s == "default" {
		return nil, nil
	}
	var waits []time.Duration
	for part := range strings.SplitSeq(s, ",") {
		w, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil || w < minWait || w > maxWait || len(waits) == maxWaits {
			return nil, door.BadRequest("'retry' parameter must be at most %d durations from %s to %s, separated by commas, or default", maxWaits, minWait, maxWait)
		}
		waits = append(waits, w)
	}
	return waits, nil
}

// updateState sets whether a domain may send, whatever its DNS records say.
func (c *Calls) updateState(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	s, err := p.OneOf("state", string(store.DomainActive), string(store.DomainUnverified), string(store.DomainDisabled))
	if err != nil {
		return err
	}
	if s == "" {
		return door.BadRequest("state parameter is missing")
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	reason := door.Shown(p.Get("reason"))
	d, err := c.changeDomain(r, func(d *store.Domain) error {
		d.State = store.DomainState(s)
		d.Settings.DisabledWhy = ""
		if d.State == store.DomainDisabled {
			d.Settings.DisabledWhy = reason
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.replyDomain(w, r, &d, "Domain has been updated")
}
