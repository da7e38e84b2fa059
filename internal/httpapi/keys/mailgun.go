package keys

import (
	"net/http"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// A keyJSON is an API key as Mailgun's calls show it.
type keyJSON struct {
	ID             string `json:"id"`
	Description    string `json:"description"`
	Kind           string `json:"kind"`
	Role           string `json:"role"`
	CreatedAt      string `json:"created_at"`
	UpdatedAt      string `json:"updated_at"`
	ExpiresAt      string `json:"expires_at,omitempty"`
	LastUsedAt     string `json:"last_used_at,omitempty"`
	IsDisabled     bool   `json:"is_disabled"`
	DisabledReason string `json:"disabled_reason,omitempty"`
	DomainName     string `json:"domain_name,omitempty"`
	Requestor      string `json:"requestor,omitempty"`
	UserName       string `json:"user_name,omitempty"`
	Secret         string `json:"secret,omitempty"` // only in the answer that creates it
}

func view(k *store.Key, domain string, now time.Time) keyJSON {
	v := keyJSON{
		ID: k.ID, Description: k.Description, Kind: string(k.Kind), Role: string(k.Role),
		CreatedAt: zoneless(k.CreatedAt), UpdatedAt: zoneless(k.UpdatedAt), ExpiresAt: zoneless(k.ExpiresAt), LastUsedAt: zoneless(k.Use.LastUsed),
		IsDisabled: k.Disabled || k.Expired(now), DomainName: domain, Requestor: k.Details.Requestor, UserName: k.Details.UserName,
	}
	if k.Expired(now) {
		v.DisabledReason = "expired"
	}
	return v
}

// list lists the API keys of the account, without their secrets.
func (c *Calls) list(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	kind, err := kindOf(p)
	if err != nil {
		return err
	}
	keys, names, err := c.all(r.Context(), r.Who)
	if err != nil {
		return err
	}
	items := []keyJSON{}
	for _, k := range keys {
		if kind != "" && k.Kind != kind || p.Get("domain_name") != "" && names[k.DomainID] != p.Get("domain_name") {
			continue
		}
		items = append(items, view(&k, names[k.DomainID], time.Now()))
	}
	return door.Reply(w, struct {
		TotalCount int       `json:"total_count"`
		Items      []keyJSON `json:"items"`
	}{len(items), items})
}

// kindOf reads the kind of a key; empty if it is not given.
func kindOf(p door.Params) (store.KeyKind, error) {
	switch k := store.KeyKind(p.Get("kind")); k {
	case "", store.KindDomain, store.KindUser, store.KindWeb:
		return k, nil
	}
	return "", door.BadRequest("expected `kind` param to be one of [domain user web] or absent")
}

// create makes an API key, whose secret is shown once.
func (c *Calls) create(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	k, err := parseKey(p, time.Now())
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	k.AccountID, k.Details.Requestor = r.Who.Account(), r.Who.KeyID
	domain := p.Get("domain_name")
	if domain != "" {
		if err := c.bind(r, &k, domain); err != nil {
			return err
		}
	}
	secret := newSecret("key-")
	if err := c.store(r.Context(), &k, secret); err != nil {
		return err
	}
	v := view(&k, domain, time.Now())
	v.Secret = secret
	return door.Reply(w, struct {
		Message string  `json:"message"`
		Key     keyJSON `json:"key"`
	}{"great success", v})
}

// parseKey reads what a key is to be.
func parseKey(p door.Params, now time.Time) (store.Key, error) {
	kind, err := kindOf(p)
	if err != nil {
		return store.Key{}, err
	}
	if kind == "" {
		kind = store.KindUser
	}
	role, err := p.OneOf("role", string(store.RoleAdmin), string(store.RoleBasic), string(store.RoleSending), string(store.RoleDeveloper))
	switch {
	case err != nil:
		return store.Key{}, err
	case role == "":
		return store.Key{}, door.BadRequest("role parameter is missing")
	}
	k := store.Key{Kind: kind, Role: store.KeyRole(role)}
	if err := applyDetails(&k, p); err != nil {
		return k, err
	}
	switch domain := p.Get("domain_name") != ""; {
	case kind == store.KindDomain && !domain:
		return k, door.BadRequest("domain_name parameter is missing: a key of kind domain belongs to one")
	case kind == store.KindDomain && k.Role != store.RoleSending:
		return k, door.BadRequest("a key of kind domain has the role sending")
	case kind != store.KindDomain && domain:
		return k, door.BadRequest("domain_name parameter is for keys of kind domain")
	case kind == store.KindWeb && (k.Details.UserID == "" || k.Details.Email == ""):
		return k, door.BadRequest("user_id and email parameters are required for keys of kind web")
	}
	return k, applyExpiration(&k, p, now)
}

// regeneratePublic replaces the account's public key. It may do nothing: what Mailgun once validated
// addresses with, this server does not have.
func (c *Calls) regeneratePublic(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	keys, err := c.deps.Keys.ListKeys(r.Context())
	if err != nil {
		return err
	}
	secret := newSecret("pubkey-")
	k := store.Key{Kind: store.KindPublic, Role: store.RolePublic, AccountID: r.Who.Account(), Description: "public key"}
	if err := c.store(r.Context(), &k, secret); err != nil {
		return err
	}
	for _, old := range keys {
		if old.Kind == store.KindPublic && old.AccountID == k.AccountID {
			if err := c.deps.Keys.DeleteKey(r.Context(), old.ID); err != nil {
				return err
			}
		}
	}
	return door.Reply(w, struct {
		Key     string `json:"key"`
		Message string `json:"message"`
	}{secret, "The public API key has been successfully regenerated."})
}
