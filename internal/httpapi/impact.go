package httpapi

import (
	"net/http"

	"github.com/sealpost/sealpost/internal/mail"
)

// Bounds on the days that showImpact looks back.
const (
	impactDays    = 30
	maxImpactDays = 365
)

// showImpact says what each pair of TLS flags would do to the domain's mail. Looking
// at other people's servers is left to the operator.
func (a *API) showImpact(w http.ResponseWriter, r *request) error {
	p, err := a.params(r)
	if err != nil {
		return err
	}
	days, err := p.number("days", 1, impactDays)
	if err != nil {
		return err
	}
	if days > maxImpactDays {
		return badRequest("'days' parameter must be at most %d", maxImpactDays)
	}
	probe, err := p.flag("probe")
	if err != nil {
		return err
	}
	if probe == mail.True && !operate.allows(r.who) {
		return &problem{status: http.StatusForbidden, message: "'probe' needs a key that is not bound to a domain: it makes this server look at others"}
	}
	if a.deps.Forecaster == nil {
		return &problem{status: http.StatusServiceUnavailable, message: "this server cannot tell what flags would do"}
	}
	result, err := a.deps.Forecaster.Forecast(r.Context(), r.domain, days, probe.Bool())
	if err != nil {
		return err
	}
	return reply(w, result)
}
