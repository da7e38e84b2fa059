package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// A domainJSON is a sending domain as clients know it.
type domainJSON struct {
	ID               string        `json:"id"`
	Name             string        `json:"name"`
	CreatedAt        string        `json:"created_at"`
	State            string        `json:"state"`
	Type             string        `json:"type"`
	IsDisabled       bool          `json:"is_disabled"`
	Disabled         *disabledJSON `json:"disabled,omitempty"`
	RequireTLS       bool          `json:"require_tls"`
	SkipVerification bool          `json:"skip_verification"`
	SMTPLogin        string        `json:"smtp_login"`
	SpamAction       string        `json:"spam_action"`
	AutomaticSender  bool          `json:"use_automatic_sender_security"`
	WebPrefix        string        `json:"web_prefix"`
	WebScheme        string        `json:"web_scheme"`
	Wildcard         bool          `json:"wildcard"`
}

type disabledJSON struct {
	Code        string `json:"code"`
	Note        string `json:"note"`
	Permanently bool   `json:"permanently"`
	Reason      string `json:"reason"`
	Until       string `json:"until"`
}

// domainView is the one place that lays out a domain, so that every call agrees.
func domainView(d store.Domain) domainJSON {
	v := domainJSON{
		// Clients take ids for 24 hexadecimal digits; ours are small numbers.
		ID:               fmt.Sprintf("%08x%016x", uint32(d.CreatedAt.Unix()), d.ID),
		Name:             d.Name,
		CreatedAt:        door.GMT(d.CreatedAt),
		State:            string(d.State),
		Type:             "custom",
		IsDisabled:       d.State == store.DomainDisabled,
		RequireTLS:       d.TLS.RequireTLS.Bool(),
		SkipVerification: d.TLS.SkipVerification.Bool(),
		SMTPLogin:        systemLogin(d),
		SpamAction:       cmp.Or(d.Settings.SpamAction, "disabled"),
		WebPrefix:        cmp.Or(d.Settings.WebPrefix, "email"),
		WebScheme:        cmp.Or(d.Settings.WebScheme, "http"),
		Wildcard:         d.Settings.Wildcard,
	}
	if v.IsDisabled {
		v.Disabled = &disabledJSON{Reason: d.Settings.DisabledWhy, Permanently: true}
	}
	return v
}

// A domainAnswer is a domain with the records it needs in DNS.
type domainAnswer struct {
	Message   string       `json:"message,omitempty"`
	Domain    domainJSON   `json:"domain"`
	Receiving []recordJSON `json:"receiving_dns_records"`
	Sending   []recordJSON `json:"sending_dns_records"`
}

func (a *API) replyDomain(w http.ResponseWriter, d store.Domain, text string) error {
	return door.Reply(w, domainAnswer{text, domainView(d), []recordJSON{}, a.recordViews(d)})
}

func (a *API) showDomain(w http.ResponseWriter, r *door.Request) error {
	return a.replyDomain(w, r.Domain, "")
}

// listDomains lists the domains that exist for the caller.
func (a *API) listDomains(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, skip, err := listRange(p, 100, 1000)
	if err != nil {
		return err
	}
	state, err := p.OneOf("state", "active", "unverified", "disabled")
	if err != nil {
		return err
	}
	domains, err := a.deps.Domains.ListDomains(r.Context())
	if err != nil {
		return err
	}
	search := strings.ToLower(p.Get("search"))
	domains = slices.DeleteFunc(slices.Clone(domains), func(d store.Domain) bool {
		return !r.Who.Owns(&d) || state != "" && string(d.State) != state || !strings.Contains(d.Name, search)
	})
	switch order, err := p.OneOf("sort", "name", "name:asc", "name:desc"); {
	case err != nil:
		return err
	case order == "name:desc":
		slices.SortFunc(domains, func(x, y store.Domain) int { return cmp.Compare(y.Name, x.Name) })
	case order != "":
		slices.SortFunc(domains, func(x, y store.Domain) int { return cmp.Compare(x.Name, y.Name) })
	}
	items := []domainJSON{}
	for _, d := range slice(domains, skip, limit) {
		items = append(items, domainView(d))
	}
	return door.Reply(w, struct {
		TotalCount int          `json:"total_count"`
		Items      []domainJSON `json:"items"`
	}{len(domains), items})
}

// listRange reads skip and limit; a limit beyond the largest is the largest.
func listRange(p door.Params, otherwise, largest int) (limit, skip int, err error) {
	if limit, err = p.Number("limit", 1, otherwise); err != nil {
		return 0, 0, err
	}
	if skip, err = p.Number("skip", 0, 0); err != nil {
		return 0, 0, err
	}
	return min(limit, largest), skip, nil
}

func slice[T any](all []T, skip, limit int) []T {
	all = all[min(skip, len(all)):]
	return all[:min(limit, len(all))]
}

// createDomain registers a domain with a key pair of its own.
func (a *API) createDomain(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	given := p.Get("name")
	if given == "" {
		return door.BadRequest("name parameter is missing")
	}
	d := store.Domain{State: store.DomainUnverified}
	if d.Name, err = mail.ParseDomain(given); err != nil {
		return door.BadRequest("'%s' is not a valid domain name", door.Shown(given))
	}
	if err := applyDomain(&d, p); err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	secret := p.Get("smtp_password")
	if err := checkPassword(secret); err != nil {
		return err
	}
	if d.DKIM, err = a.newKey(p); err != nil {
		return err
	}
	if err := a.deps.Domains.CreateDomain(r.Context(), &d); err != nil {
		if errors.Is(err, store.ErrExists) {
			return door.BadRequest("This domain name is already taken")
		}
		return err
	}
	if secret != "" {
		if err := a.putCredential(r.Context(), d, systemLogin(d), secret); err != nil {
			return err
		}
	}
	return a.replyDomain(w, d, "Domain DNS records have been created")
}

// newKey makes the domain's DKIM key. Keys have 2,048 bits also where 1,024 are
// asked for: verifiers may ignore shorter ones (RFC 8301).
func (a *API) newKey(p door.Params) (store.DKIMKey, error) {
	selector := strings.ToLower(cmp.Or(p.Get("dkim_selector"), a.cfg.Selector))
	if !validSelector(selector) {
		return store.DKIMKey{}, door.BadRequest("'dkim_selector' parameter is not a valid selector")
	}
	if _, err := p.OneOf("dkim_key_size", "1024", "2048"); err != nil {
		return store.DKIMKey{}, err
	}
	key, err := signing.GenerateRSA()
	if err != nil {
		return store.DKIMKey{}, fmt.Errorf("make a DKIM key: %w", err)
	}
	pem, err := key.PEM()
	if err != nil {
		return store.DKIMKey{}, fmt.Errorf("encode a DKIM key: %w", err)
	}
	public, err := key.TXT()
	if err != nil {
		return store.DKIMKey{}, fmt.Errorf("encode a DKIM record: %w", err)
	}
	return store.DKIMKey{Selector: selector, PrivatePEM: string(pem), Public: public}, nil
}

// validSelector reports whether s can be a DKIM selector (RFC 6376 section 3.1):
// labels of letters, digits and hyphens.
func validSelector(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return len(s) <= 128
}

// updateDomain changes what is given and leaves the rest.
func (a *API) updateDomain(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	secret := p.Get("smtp_password")
	if err := checkPassword(secret); err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	d, err := a.changeDomain(r, func(d *store.Domain) error { return applyDomain(d, p) })
	if err != nil {
		return err
	}
	r.Change.Details = nil // they were about the domain
	if secret != "" {
		if err := a.putCredential(r.Context(), d, systemLogin(d), secret); err != nil {
			return err
		}
	}
	return a.replyDomain(w, d, "Domain has been updated")
}

// applyDomain puts the parameters that are given into d.
func applyDomain(d *store.Domain, p door.Params) error {
	if err := applyTLS(d, p); err != nil {
		return err
	}
	if s, err := p.OneOf("spam_action", "disabled", "block", "tag"); err != nil {
		return err
	} else if s != "" {
		d.Settings.SpamAction = s
	}
	if s, err := p.OneOf("web_scheme", "http", "https"); err != nil {
		return err
	} else if s != "" {
		d.Settings.WebScheme = s
	}
	if t, err := p.Flag("wildcard"); err != nil {
		return err
	} else if t != mail.Unset {
		d.Settings.Wildcard = t.Bool()
	}
	if s := strings.ToLower(p.Get("web_prefix")); s != "" {
		if !validSelector(s) {
			return door.BadRequest("'web_prefix' parameter is not a valid host name")
		}
		d.Settings.WebPrefix = s
	}
	return nil
}

// applyTLS puts the two flags that are given into d. Both spellings of their
// names are in use.
func applyTLS(d *store.Domain, p door.Params) error {
	require, err := p.FlagOf("require_tls", "require-tls")
	if err != nil {
		return err
	}
	skip, err := p.FlagOf("skip_verification", "skip-verification")
	if err != nil {
		return err
	}
	if require != mail.Unset {
		d.TLS.RequireTLS = require
	}
	if skip != mail.Unset {
		d.TLS.SkipVerification = skip
	}
	return nil
}

// deleteDomain gives up the domain's waiting mail, then forgets the domain.
func (a *API) deleteDomain(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	n, err := a.deps.Queue.Cancel(r.Context(), store.RowQuery{DomainID: r.Domain.ID})
	if err != nil {
		return err
	}
	if n > 0 {
		r.Change.Details = map[string]any{"cancelled-recipients": n}
	}
	if err := a.deps.Domains.DeleteDomain(r.Context(), r.Domain.Name); err != nil {
		return door.Missing(err, door.NotFound("Domain not found"))
	}
	return door.Say(w, "Domain will be deleted in the background")
}

// A connectionJSON is the pair of TLS flags.
type connectionJSON struct {
	RequireTLS       bool `json:"require_tls"`
	SkipVerification bool `json:"skip_verification"`
}

func connectionView(d store.Domain) connectionJSON {
	return connectionJSON{d.TLS.RequireTLS.Bool(), d.TLS.SkipVerification.Bool()}
}

// showConnection answers in both shapes that clients read: nested and flat.
func (a *API) showConnection(w http.ResponseWriter, r *door.Request) error {
	c := connectionView(r.Domain)
	return door.Reply(w, struct {
		Connection connectionJSON `json:"connection"`
		connectionJSON
	}{c, c})
}

func (a *API) updateConnection(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	d, err := a.changeDomain(r, func(d *store.Domain) error { return applyTLS(d, p) })
	if err != nil {
		return err
	}
	c := connectionView(d)
	return door.Reply(w, struct {
		Message string `json:"message"`
		connectionJSON
		RequireTLS       bool `json:"require-tls"`
		SkipVerification bool `json:"skip-verification"`
	}{"Domain connection settings have been updated, may take 10 minutes to fully propagate", c, c.RequireTLS, c.SkipVerification})
}
