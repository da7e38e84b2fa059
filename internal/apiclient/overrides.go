package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// An Override is an exception for a recipient domain or an MX host; one of Domain
// and MXHost is empty, and so is what it does not set.
type Override struct {
	ID           int64     `json:"id"`
	Domain       string    `json:"domain"`
	MXHost       string    `json:"mx-host"`
	DANE         string    `json:"dane"`
	STS          string    `json:"mta-sts"`
	Requirement  string    `json:"requirement"`
	MinTLS       string    `json:"min-tls"`
	OnUnverified string    `json:"on-unverified"`
	ClientCert   string    `json:"client-cert"`
	Author       string    `json:"author"`
	Reason       string    `json:"reason"`
	Created      time.Time `json:"created"`
	Expires      time.Time `json:"expires"` // zero: never
	Active       bool      `json:"active"`
	Lowers       bool      `json:"lowers"`
}

// A CreatedOverride is the answer to [Client.CreateOverride].
type CreatedOverride struct {
	Override Override `json:"override"`
}

// CreateOverride makes an exception. Settings are parameters of the call by their
// names; empty ones are left out.
func (c *Client) CreateOverride(ctx context.Context, settings map[string]string) (Answer[CreatedOverride], error) {
	return do[CreatedOverride](ctx, c, call{method: http.MethodPost, path: []string{"v1", "sealpost", "overrides"}, form: given(settings)})
}

// Overrides lists exceptions, newest first, with ended also those that count no more.
func (c *Client) Overrides(ctx context.Context, ended bool) (Answer[Page[Override]], error) {
	query := url.Values{"limit": {"1000"}}
	if !ended {
		query.Set("active", "yes")
	}
	return do[Page[Override]](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "overrides"}, query: query})
}

// DeleteOverride ends an exception now.
func (c *Client) DeleteOverride(ctx context.Context, id, reason string) (Answer[Note], error) {
	return do[Note](ctx, c, call{method: http.MethodDelete, path: []string{"v1", "sealpost", "overrides", id}, query: given(map[string]string{"reason": reason})})
}

// An AuditEntry is one change in the audit log.
type AuditEntry struct {
	ID      int64             `json:"id"`
	Time    time.Time         `json:"time"`
	Actor   string            `json:"actor"`
	Action  string            `json:"action"`
	Kind    string            `json:"kind"`
	Object  string            `json:"object"`
	Domain  string            `json:"domain"`
	Before  map[string]string `json:"before"` // nil: it did not exist
	After   map[string]string `json:"after"`
	Reason  string            `json:"reason"`
	Details map[string]any    `json:"details"`
}

// An AuditQuery picks entries; zero fields match everything.
type AuditQuery struct {
	Domain, Kind string
	Since, Until string // as the API takes them
	Before       int64  // entries with smaller ids
	Limit        int    // 0: the server's choice
}

// Audit lists entries of the audit log, newest first.
func (c *Client) Audit(ctx context.Context, q AuditQuery) (Answer[Items[AuditEntry]], error) {
	query := given(map[string]string{"domain": q.Domain, "kind": q.Kind, "since": q.Since, "until": q.Until})
	if q.Before > 0 {
		query.Set("before", strconv.FormatInt(q.Before, 10))
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	return do[Items[AuditEntry]](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "audit"}, query: query})
}

// DeliverySettings are a domain's settings besides the two flags.
type DeliverySettings struct {
	Preset              string   `json:"preset"` // empty: nobody's
	Floor               bool     `json:"floor"`
	OnUnverified        string   `json:"on-unverified"`
	DowngradeProtection string   `json:"downgrade-protection"`
	MinTLS              string   `json:"min-tls"`
	DANE                string   `json:"dane"`
	STS                 string   `json:"mta-sts"`
	PolicyExpires       string   `json:"policy-expires"`
	DANESatisfiesMTASTS bool     `json:"dane-satisfies-mta-sts"`
	RequireTLSMode      string   `json:"requiretls-mode"`
	GiveUpAfter         string   `json:"require-tls-give-up-after"`
	Retry               []string `json:"retry"`
	Lifetime            string   `json:"lifetime"`
}

// Delivery shows a domain's settings.
func (c *Client) Delivery(ctx context.Context, domain string) (Answer[DeliverySettings], error) {
	return do[DeliverySettings](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "domains", domain, "delivery"}})
}

// SetDelivery changes the settings that are given, by the names of the call's parameters.
func (c *Client) SetDelivery(ctx context.Context, domain string, settings map[string]string) (Answer[DeliverySettings], error) {
	return do[DeliverySettings](ctx, c, call{method: http.MethodPut, path: []string{"v1", "sealpost", "domains", domain, "delivery"}, form: given(settings)})
}

// given are the parameters that are not empty.
func given(all map[string]string) url.Values {
	v := url.Values{}
	for name, value := range all {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}
