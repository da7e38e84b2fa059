package keys

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// An ownJSON is an API key as our own calls show it, with all that is set for it.
type ownJSON struct {
	ID          string   `json:"id"`
	Role        string   `json:"role"`
	Kind        string   `json:"kind"`
	Domain      string   `json:"domain_name,omitempty"`
	Account     string   `json:"account_id,omitempty"` // of a sub-account
	Description string   `json:"description"`
	CreatedAt   string   `json:"created_at"`
	ExpiresAt   string   `json:"expires_at,omitempty"`
	Disabled    bool     `json:"is_disabled"`
	Addresses   []string `json:"addresses"`
	PerMinute   int      `json:"per_minute"` // sending calls; 0: any number
	PerDay      int      `json:"per_day"`
	LastUsedAt  string   `json:"last_used_at,omitempty"`
	SendsToday  int      `json:"sends_today"`
	Secret      string   `json:"secret,omitempty"` // only in the answer that creates it
}

func (c *Calls) ownView(r *door.Request, k *store.Key, domain string, now time.Time) (ownJSON, error) {
	v := ownJSON{
		ID: k.ID, Role: string(k.Role), Kind: string(k.Kind), Domain: domain, Description: k.Description,
		CreatedAt: zoneless(k.CreatedAt), ExpiresAt: zoneless(k.ExpiresAt), LastUsedAt: zoneless(k.Use.LastUsed), Disabled: k.Disabled,
		Addresses: []string{}, PerMinute: k.Details.PerMinute, PerDay: k.Details.PerDay,
	}
	for _, a := range k.Details.Addresses {
		v.Addresses = append(v.Addresses, showPrefix(a))
	}
	if k.Use.Day == now.UTC().Format(time.DateOnly) {
		v.SendsToday = k.Use.Sends
	}
	if k.AccountID != store.PrimaryAccount {
		account, err := c.deps.Accounts.Account(r.Context(), k.AccountID)
		if err != nil {
			return v, err
		}
		v.Account = account.Ref
	}
	return v, nil
}

// showPrefix writes one address without its bits.
func showPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// listOwn lists the API keys of the account with their limits, their addresses and when they were
// last used; on the operator's socket, those of all accounts.
func (c *Calls) listOwn(w http.ResponseWriter, r *door.Request) error {
	keys, names, err := c.all(r.Context(), r.Who)
	if err != nil {
		return err
	}
	items := []ownJSON{}
	for _, k := range keys {
		v, err := c.ownView(r, &k, names[k.DomainID], time.Now())
		if err != nil {
			return err
		}
		items = append(items, v)
	}
	return door.Reply(w, struct {
		TotalCount int       `json:"total_count"`
		Items      []ownJSON `json:"items"`
	}{len(items), items})
}

// createOwn makes an API key, or takes the one that the client's applications already have. Only
// its hash is kept.
func (c *Calls) createOwn(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	k, err := parseOwn(p, time.Now())
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	k.AccountID = r.Who.Account()
	domain := p.Get("domain")
	if domain != "" {
		if err := c.bind(r, &k, domain); err != nil {
			return err
		}
	}
	secret := p.Get("value")
	if secret == "" {
		secret = newSecret("key-")
	} else if err := checkValue(secret); err != nil {
		return err
	}
	if err := c.store(r.Context(), &k, secret); err != nil {
		return err
	}
	v, err := c.ownView(r, &k, domain, time.Now())
	if err != nil {
		return err
	}
	v.Secret = secret
	return door.Reply(w, struct {
		Message string  `json:"message"`
		Key     ownJSON `json:"key"`
	}{"great success", v})
}

// parseOwn reads what a key is to be.
func parseOwn(p door.Params, now time.Time) (store.Key, error) {
	role, err := p.OneOf("role", string(store.RoleAdmin), string(store.RoleDeveloper), string(store.RoleBasic), string(store.RoleSending))
	if err != nil {
		return store.Key{}, err
	}
	k := store.Key{Role: store.KeyRole(role)}
	if role == "" {
		k.Role = store.RoleAdmin
	}
	if err := applyDetails(&k, p); err != nil {
		return k, err
	}
	return k, applyExpiration(&k, p, now)
}

// update changes what is set for an API key: its limits, its addresses, whether it may be used. It
// takes effect with the next call.
func (c *Calls) update(w http.ResponseWriter, r *door.Request) error {
	found, domain, err := c.find(r.Context(), r.Who, r.PathValue("id"))
	if err != nil {
		return err
	}
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	disabled, err := p.Flag("disabled")
	if err != nil {
		return err
	}
	k, err := c.deps.Keys.UpdateKey(r.Context(), found.ID, func(k *store.Key) error {
		if disabled != mail.Unset {
			k.Disabled = disabled.Bool()
		}
		if err := applyDetails(k, p); err != nil {
			return err
		}
		return applyExpiration(k, p, time.Now())
	})
	if err != nil {
		return door.Missing(err, errNoKey)
	}
	k.Use = found.Use
	v, err := c.ownView(r, &k, domain, time.Now())
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message string  `json:"message"`
		Key     ownJSON `json:"key"`
	}{"key updated", v})
}
