package domains

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// errNoDomain answers for a domain that does not exist for the caller.
var errNoDomain = door.NotFound("Domain not found")

// showDomain shows a domain with its settings and the DNS records that it needs, with what was last
// seen of them.
func (c *Calls) showDomain(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	withDNS, err := p.Flag("h:with_dns")
	if err != nil {
		return err
	}
	return c.answerDomain(w, r, &r.Domain, "", withDNS != mail.False)
}

// listDomains lists the domains that exist for the caller.
func (c *Calls) listDomains(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, skip, err := p.Range(100, 1000)
	if err != nil {
		return err
	}
	wanted, err := domainFilter(r.Who, p)
	if err != nil {
		return err
	}
	order, err := p.OneOf("sort", "name", "name:asc", "name:desc")
	if err != nil {
		return err
	}
	list, err := c.deps.Domains.ListDomains(r.Context())
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(d store.Domain) bool { return !wanted(&d) })
	switch order {
	case "":
	case "name:desc":
		slices.SortFunc(list, func(x, y store.Domain) int { return cmp.Compare(y.Name, x.Name) })
	default:
		slices.SortFunc(list, func(x, y store.Domain) int { return cmp.Compare(x.Name, y.Name) })
	}
	items := []domainJSON{}
	for _, d := range door.Slice(list, skip, limit) {
		v, err := c.view(r.Context(), &d)
		if err != nil {
			return err
		}
		items = append(items, v)
	}
	return door.Reply(w, struct {
		TotalCount int          `json:"total_count"`
		Items      []domainJSON `json:"items"`
	}{len(list), items})
}

// domainFilter reads which domains are wanted.
func domainFilter(who door.Principal, p door.Params) (func(*store.Domain) bool, error) {
	state, err := p.OneOf("state", string(store.DomainActive), string(store.DomainUnverified), string(store.DomainDisabled))
	if err != nil {
		return nil, err
	}
	below, err := p.Flag("include_subaccounts")
	if err != nil {
		return nil, err
	}
	if below == mail.True && who.AccountID == store.PrimaryAccount && who.DomainID == 0 {
		who.AccountID = 0 // every account but the primary one is its sub-account
	}
	search, authority := strings.ToLower(p.Get("search")), strings.ToLower(p.Get("authority"))
	return func(d *store.Domain) bool {
		return who.Owns(d) && (state == "" || string(d.State) == state) && strings.Contains(d.Name, search) &&
			(authority == "" || cmp.Or(d.Settings.DKIMAuthority, d.Name) == authority)
	}, nil
}

// createDomain registers a domain with a DKIM key of its own, and answers with the DNS records that
// it needs.
func (c *Calls) createDomain(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	given := p.Get("name")
	if given == "" {
		return door.BadRequest("name parameter is missing")
	}
	d := store.Domain{State: store.DomainUnverified, AccountID: r.Who.Account()}
	if d.Name, err = mail.ParseDomain(given); err != nil {
		return door.BadRequest("'%s' is not a valid domain name", door.Shown(given))
	}
	if err := c.applyDomain(r, &d, p); err != nil {
		return err
	}
	if err := c.applyAuthority(r, &d, p); err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	secret := p.Get("smtp_password")
	if err := checkPassword(secret); err != nil {
		return err
	}
	if err := c.firstKey(&d, p); err != nil {
		return err
	}
	if err := c.deps.Domains.CreateDomain(r.Context(), &d); err != nil {
		if errors.Is(err, store.ErrExists) {
			return door.BadRequest("This domain name is already taken")
		}
		return err
	}
	if secret != "" {
		if err := c.putCredential(r.Context(), d, systemLogin(d), secret); err != nil {
			return err
		}
	}
	return c.replyDomain(w, r, &d, "Domain DNS records have been created")
}

// updateDomain changes what is given of a domain and leaves the rest.
func (c *Calls) updateDomain(w http.ResponseWriter, r *door.Request) error {
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
	d, err := c.changeDomain(r, func(d *store.Domain) error { return c.applyDomain(r, d, p) })
	if err != nil {
		return err
	}
	r.Change.Details = nil // they were about the domain
	if secret != "" {
		if err := c.putCredential(r.Context(), d, systemLogin(d), secret); err != nil {
			return err
		}
	}
	return c.replyDomain(w, r, &d, "Domain has been updated")
}

// deleteDomain deletes a domain and gives up its waiting mail.
func (c *Calls) deleteDomain(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	n, err := c.deps.Queue.Cancel(r.Context(), store.RowQuery{DomainID: r.Domain.ID})
	if err != nil {
		return err
	}
	if n > 0 {
		r.Change.Details = map[string]any{"cancelled-recipients": n}
	}
	if err := c.deps.Domains.DeleteDomain(r.Context(), r.Domain.Name); err != nil {
		return door.Missing(err, errNoDomain)
	}
	return door.Say(w, "Domain will be deleted in the background")
}
