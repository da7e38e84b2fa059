package httpapi

import (
	"net/http"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
)

// Bounds on the days that showImpact looks back.
const (
	impactDays    = 30
	maxImpactDays = 365
)

// showImpact says what each pair of TLS flags would do to the domain's mail. Looking
// at other people's servers is left to the operator.
func (a *API) showImpact(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	days, err := p.Number("days", 1, impactDays)
	if err != nil {
		return err
	}
	if days > maxImpactDays {
		return door.BadRequest("'days' parameter must be at most %d", maxImpactDays)
	}
	probe, err := p.Flag("probe")
	if err != nil {
		return err
	}
	if probe == mail.True && !door.Operate.Allows(r.Who, http.MethodGet) {
		return &door.Problem{Status: http.StatusForbidden, Message: "'probe' needs a key that is not bound to a domain: it makes this server look at others"}
	}
	if a.deps.Forecaster == nil {
		return &door.Problem{Status: http.StatusServiceUnavailable, Message: "this server cannot tell what flags would do"}
	}
	result, err := a.deps.Forecaster.Forecast(r.Context(), r.Domain, days, probe.Bool())
	if err != nil {
		return err
	}
	return door.Reply(w, result)
}
