package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// A Domain is a sending domain as the API shows it.
type Domain struct {
	Name             string `json:"name"`
	State            string `json:"state"` // active, unverified, disabled
	CreatedAt        string `json:"created_at"`
	RequireTLS       bool   `json:"require_tls"`
	SkipVerification bool   `json:"skip_verification"`
	SMTPLogin        string `json:"smtp_login"`
}

// A DNSRecord is one record that a domain should publish.
type DNSRecord struct {
	Name   string   `json:"name"`
	Type   string   `json:"record_type"`
	Value  string   `json:"value"`
	Valid  string   `json:"valid"` // valid, invalid, unknown
	Cached []string `json:"cached"`
}

// A DomainView is a domain with the records it needs.
type DomainView struct {
	Message string      `json:"message"`
	Domain  Domain      `json:"domain"`
	Sending []DNSRecord `json:"sending_dns_records"`
}

// A Page is one page of a list that counts.
type Page[T any] struct {
	TotalCount int `json:"total_count"`
	Items      []T `json:"items"`
}

// A Note is an answer that tells no more than that.
type Note struct {
	Message string `json:"message"`
}

// TLSFlags are the two settings as a request carries them; nil leaves one alone.
type TLSFlags struct {
	RequireTLS       *bool
	SkipVerification *bool
}

// put adds the flags that are set under their prefix and separator: o:require-tls, require_tls.
func (f TLSFlags) put(v url.Values, require, skip string) {
	if f.RequireTLS != nil {
		v.Set(require, strconv.FormatBool(*f.RequireTLS))
	}
	if f.SkipVerification != nil {
		v.Set(skip, strconv.FormatBool(*f.SkipVerification))
	}
}

// CreateDomain registers a sending domain.
func (c *Client) CreateDomain(ctx context.Context, name string, flags TLSFlags) (Answer[DomainView], error) {
	form := url.Values{"name": {name}}
	flags.put(form, "require_tls", "skip_verification")
	return do[DomainView](ctx, c, call{method: http.MethodPost, path: []string{"v4", "domains"}, form: form})
}

// SetDomainState lets a domain send, or stops it: active, unverified or disabled.
func (c *Client) SetDomainState(ctx context.Context, name, state string) (Answer[DomainView], error) {
	return do[DomainView](ctx, c, call{method: http.MethodPut, path: []string{"v1", "sealpost", "domains", name, "state"}, form: url.Values{"state": {state}}})
}

// Domains lists all sending domains, newest first.
func (c *Client) Domains(ctx context.Context) (Answer[Page[Domain]], error) {
	return all[Domain](ctx, c, "v4", "domains")
}

// Domain shows a sending domain.
func (c *Client) Domain(ctx context.Context, name string) (Answer[DomainView], error) {
	return do[DomainView](ctx, c, call{method: http.MethodGet, path: []string{"v4", "domains", name}})
}

// VerifyDomain looks at the domain's DNS records now.
func (c *Client) VerifyDomain(ctx context.Context, name string) (Answer[DomainView], error) {
	return do[DomainView](ctx, c, call{method: http.MethodPut, path: []string{"v4", "domains", name, "verify"}, form: url.Values{}})
}

// DeleteDomain gives up the domain's waiting mail and forgets the domain.
func (c *Client) DeleteDomain(ctx context.Context, name string) (Answer[Note], error) {
	return do[Note](ctx, c, call{method: http.MethodDelete, path: []string{"v3", "domains", name}})
}

// A Connection is the pair of flags of a domain.
type Connection struct {
	RequireTLS       bool `json:"require_tls"`
	SkipVerification bool `json:"skip_verification"`
}

// Connection shows the flags of a domain.
func (c *Client) Connection(ctx context.Context, name string) (Answer[Connection], error) {
	return do[Connection](ctx, c, call{method: http.MethodGet, path: []string{"v3", "domains", name, "connection"}})
}

// SetConnection changes the flags that are given. The reason is for the audit log; it may be empty.
func (c *Client) SetConnection(ctx context.Context, name string, flags TLSFlags, reason string) (Answer[Connection], error) {
	form := given(map[string]string{"reason": reason})
	flags.put(form, "require_tls", "skip_verification")
	return do[Connection](ctx, c, call{method: http.MethodPut, path: []string{"v3", "domains", name, "connection"}, form: form})
}

// maxPages bounds how many pages of a list are read; with 1,000 items each that is
// more than a person reads.
const maxPages = 100

// all reads a list that is paged by limit and skip, as one answer. A list that fits
// a page is shown as the server wrote it.
func all[T any](ctx context.Context, c *Client, path ...string) (Answer[Page[T]], error) {
	const most = 1000
	query := url.Values{"limit": {strconv.Itoa(most)}}
	first, err := do[Page[T]](ctx, c, call{method: http.MethodGet, path: path, query: query})
	if err != nil || len(first.Value.Items) < most {
		return first, err
	}
	var raw Page[json.RawMessage]
	if err := json.Unmarshal(first.JSON, &raw); err != nil {
		return first, err
	}
	for range maxPages {
		query.Set("skip", strconv.Itoa(len(raw.Items)))
		next, err := do[Page[json.RawMessage]](ctx, c, call{method: http.MethodGet, path: path, query: query})
		if err != nil {
			return first, err
		}
		raw.Items = append(raw.Items, next.Value.Items...)
		if len(next.Value.Items) < most {
			break
		}
	}
	whole := Answer[Page[T]]{Date: first.Date}
	if whole.JSON, err = json.Marshal(raw); err != nil {
		return whole, err
	}
	return whole, json.Unmarshal(whole.JSON, &whole.Value)
}
