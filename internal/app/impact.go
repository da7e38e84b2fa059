package app

import (
	"cmp"
	"context"

	"github.com/sealpost/sealpost/internal/delivery"
	"github.com/sealpost/sealpost/internal/impact"
	"github.com/sealpost/sealpost/internal/store"
)

// forecaster lets the API ask what other flags would do.
type forecaster struct{ a *impact.Analyst }

func (f forecaster) Forecast(ctx context.Context, d store.Domain, days int, probe bool) (any, error) {
	return f.a.Answer(ctx, impact.Question{Domain: d, Days: days, Probe: probe})
}

// scout translates between two rooms that must not know each other.
type scout struct{ d *delivery.Deliverer }

func (s scout) Look(ctx context.Context, domain string) impact.Look {
	c := s.d.Check(ctx, domain)
	var l impact.Look
	for _, h := range c.Hosts {
		l.Contacts = append(l.Contacts, impact.Contact{
			MXHost: h.MXHost, Preference: int(h.Preference), Problem: h.Error, Detail: h.Detail,
		})
	}
	if len(l.Contacts) == 0 {
		l.Problem = c.Route
		if c.Error != "" {
			l.Problem += ": " + c.Error
		}
		l.Problem = cmp.Or(l.Problem, "no MX host was found")
	}
	return l
}
