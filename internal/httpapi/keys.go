package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// Limits on keys that a client chose itself.
const (
	minKeyLength = 8
	maxKeyLength = 256
)

// A keyJSON is an API key without its secret.
type keyJSON struct {
	ID          string `json:"id"`
	Role        string `json:"role"`
	Domain      string `json:"domain_name,omitempty"`
	Description string `json:"description"`
	CreatedAt   string `json:"created_at"`
	Secret      string `json:"secret,omitempty"` // only in the answer that creates it
}

func keyView(k store.Key, domain string) keyJSON {
	return keyJSON{ID: k.ID, Role: string(k.Role), Domain: domain, Description: k.Description, CreatedAt: k.CreatedAt.UTC().Format("2006-01-02T15:04:05")}
}

func (a *API) listKeys(w http.ResponseWriter, r *door.Request) error {
	keys, err := a.deps.Keys.ListKeys(r.Context())
	if err != nil {
		return err
	}
	items := []keyJSON{}
	for _, k := range keys {
		name := ""
		if k.DomainID != 0 {
			d, err := a.deps.Domains.DomainByID(r.Context(), k.DomainID)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			name = d.Name
		}
		items = append(items, keyView(k, name))
	}
	return door.Reply(w, struct {
		TotalCount int       `json:"total_count"`
		Items      []keyJSON `json:"items"`
	}{len(items), items})
}

// createKey makes a key, or takes the one that the client's applications already
// have. Only its hash is kept.
func (a *API) createKey(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	role, err := p.OneOf("role", string(store.RoleAdmin), string(store.RoleSending))
	if err != nil {
		return err
	}
	if role == "" {
		role = string(store.RoleAdmin)
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	k := store.Key{Role: store.KeyRole(role), Description: p.Get("description")}
	if len(k.Description) > 255 {
		return door.BadRequest("'description' parameter is longer than 255 octets")
	}
	var domain store.Domain
	if name := p.Get("domain"); name != "" {
		if domain, err = a.door.FindDomain(r.Context(), name); err != nil {
			return door.Missing(err, door.NotFound("Domain not found"))
		}
		k.DomainID = domain.ID
	}
	secret := p.Get("value")
	if secret == "" {
		secret = newSecret()
	} else if err := checkKeyValue(secret); err != nil {
		return err
	}
	k.Hash = sha256.Sum256([]byte(secret))
	if err := a.deps.Keys.CreateKey(r.Context(), &k); err != nil {
		if errors.Is(err, store.ErrExists) {
			return &door.Problem{Status: http.StatusConflict, Message: "this key exists already"}
		}
		return err
	}
	view := keyView(k, domain.Name)
	view.Secret = secret
	return door.Reply(w, struct {
		Message string  `json:"message"`
		Key     keyJSON `json:"key"`
	}{"great success", view})
}

// checkKeyValue checks a key that a client chose. It travels in a header field, and
// is stored under a hash that is quick to compute, so it must not be a word.
func checkKeyValue(s string) error {
	if len(s) < minKeyLength || len(s) > maxKeyLength {
		return door.BadRequest("'value' parameter must have %d to %d characters", minKeyLength, maxKeyLength)
	}
	if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return door.BadRequest("'value' parameter must be visible ASCII characters")
	}
	return nil
}

// newSecret makes a key of 192 random bits, in the look that clients know.
func newSecret() string {
	var b [24]byte
	rand.Read(b[:]) // never fails
	return "key-" + hex.EncodeToString(b[:])
}

func (a *API) deleteKey(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	if err := a.deps.Keys.DeleteKey(r.Context(), r.PathValue("id")); err != nil {
		return door.Missing(err, door.NotFound("no key matching id"))
	}
	return door.Say(w, "key deleted")
}
