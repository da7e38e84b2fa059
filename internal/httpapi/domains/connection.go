package domains

import (
	"net/http"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// A connectionJSON is the pair of TLS flags.
type connectionJSON struct {
	RequireTLS       bool `json:"require_tls"`
	SkipVerification bool `json:"skip_verification"`
}

func connectionView(d store.Domain) connectionJSON {
	return connectionJSON{d.TLS.RequireTLS.Bool(), d.TLS.SkipVerification.Bool()}
}

// showConnection shows the TLS flags of the domain, in both shapes that clients read: nested and
// flat.
func (c *Calls) showConnection(w http.ResponseWriter, r *door.Request) error {
	v := connectionView(r.Domain)
	return door.Reply(w, struct {
		Connection connectionJSON `json:"connection"`
		connectionJSON
	}{v, v})
}

// updateConnection changes the TLS flags of the domain. What is not given stays as it is.
func (c *Calls) updateConnection(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	d, err := c.changeDomain(r, func(d *store.Domain) error { return applyTLS(d, p) })
	if err != nil {
		return err
	}
	v := connectionView(d)
	return door.Reply(w, struct {
		Message string `json:"message"`
		connectionJSON
		RequireTLS       bool `json:"require-tls"`
		SkipVerification bool `json:"skip-verification"`
	}{"Domain connection settings have been updated, may take 10 minutes to fully propagate", v, v.RequireTLS, v.SkipVerification})
}
