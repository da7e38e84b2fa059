package apiclient

import (
	"context"
	"net/http"
	"time"
)

// A TLSCheck is what would happen to mail for a domain under each pair of flags, and
// what the domain published about it.
type TLSCheck struct {
	Domain    string          `json:"domain"`
	Route     string          `json:"route"`
	Error     string          `json:"error"`
	STS       *STSCheck       `json:"mta-sts"` // nil if there is no policy
	TLSRPT    *TLSRPTCheck    `json:"tls-rpt"` // nil if nobody asks for reports
	Overrides []OverrideInUse `json:"overrides"`
	Hosts     []HostCheck     `json:"hosts"`
	Outcomes  []TLSOutcome    `json:"outcomes"` // of the domain as a whole
}

// A STSCheck is a domain's MTA-STS policy.
type STSCheck struct {
	State   string    `json:"state"`
	ID      string    `json:"id"`
	MX      []string  `json:"mx"`
	Expires time.Time `json:"expires"`
	Honor   string    `json:"honor"` // audit or ignore; empty: it counts
	Error   string    `json:"error"` // what was wrong when it was last fetched
}

// A TLSRPTCheck is who wants reports about a domain's TLS.
type TLSRPTCheck struct {
	RUA   []string `json:"rua"`
	Error string   `json:"error"`
}

// An OverrideInUse is an exception in force.
type OverrideInUse struct {
	ID     int64  `json:"id"`
	Target string `json:"target"`
	Sets   string `json:"sets"`
	Reason string `json:"reason"`
}

// A HostCheck is one address of one MX host.
type HostCheck struct {
	MXHost     string       `json:"mx-host"`
	Preference int          `json:"preference"`
	IP         string       `json:"ip"`
	Error      string       `json:"error"` // why there was no session
	REQUIRETLS bool         `json:"requiretls"`
	TLSA       []string     `json:"tlsa"` // TLSA records
	Detail     *TLSDetail   `json:"tls-detail"`
	Outcomes   []TLSOutcome `json:"outcomes"`
}

// A TLSOutcome is what one pair of flags leads to.
type TLSOutcome struct {
	RequireTLS       bool   `json:"require-tls"`
	SkipVerification bool   `json:"skip-verification"`
	Class            string `json:"class"`    // OV, OA, RV, RA, D, DU or X
	Source           string `json:"source"`   // who decided it: sender, mta-sts, dane, override
	Delivery         string `json:"delivery"` // verified, unverified, plaintext, not-delivered, unreachable
	Result           string `json:"result"`
	MXHost           string `json:"mx-host"`
}

// CheckTLS looks at the MX hosts of a recipient domain without sending mail.
func (c *Client) CheckTLS(ctx context.Context, domain string) (Answer[TLSCheck], error) {
	return do[TLSCheck](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "tls", domain}, timeout: 3 * time.Minute})
}
