// Package keys has the calls about API keys: those of Mailgun, by which an account looks
// after its own, and ours, by which the operator looks after all.
package keys

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Limits on keys.
const (
	minKeyLength = 8 // of one that a client chose itself
	maxKeyLength = 256
	maxText      = 255 // octets of a description, a name or an address
	maxAddresses = 100
	webLifetime  = 24 * time.Hour // of a session's key, at most
)

// Uses knows when keys were used. The keyuse room satisfies it.
type Uses interface {
	Last(k *store.Key) store.KeyUse
}

// Deps are the rooms behind the calls. All are required.
type Deps struct {
	Keys     store.Keys
	Domains  store.Domains
	Accounts store.Accounts
	Uses     Uses
}

// Calls answers the calls of this package. It is safe for concurrent use.
type Calls struct{ deps Deps }

// New returns the calls.
func New(deps Deps) *Calls { return &Calls{deps} }

// Routes lists the calls.
func (c *Calls) Routes() []door.Route {
	return []door.Route{
		door.On("GET", "/v1/keys", door.Administer, c.list),
		door.On("POST", "/v1/keys", door.Administer, c.create),
		door.On("DELETE", "/v1/keys/{id}", door.Administer, c.delete),
		door.On("POST", "/v1/keys/public", door.Administer, c.regeneratePublic),

		door.On("GET", "/v1/sealpost/keys", door.Administer, c.listOwn),
		door.On("POST", "/v1/sealpost/keys", door.Administer, c.createOwn),
		door.On("PUT", "/v1/sealpost/keys/{id}", door.Administer, c.update),
		door.On("DELETE", "/v1/sealpost/keys/{id}", door.Administer, c.delete),
	}
}

// errNoKey answers for a key that does not exist for the caller.
var errNoKey = door.NotFound("no key matching id")

// all lists the keys that exist for the caller, with the names of their domains. A public key may
// do nothing and is not listed.
func (c *Calls) all(ctx context.Context, who door.Principal) ([]store.Key, map[int64]string, error) {
	keys, err := c.deps.Keys.ListKeys(ctx)
	if err != nil {
		return nil, nil, err
	}
	names := map[int64]string{}
	var list []store.Key
	for _, k := range keys {
		if who.AccountID != 0 && k.AccountID != who.AccountID || k.Kind == store.KindPublic {
			continue
		}
		if _, known := names[k.DomainID]; k.DomainID != 0 && !known {
			d, err := c.deps.Domains.DomainByID(ctx, k.DomainID)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, nil, err
			}
			names[k.DomainID] = d.Name
		}
		k.Use = c.deps.Uses.Last(&k)
		list = append(list, k)
	}
	return list, names, nil
}

// find returns a key that exists for the caller.
func (c *Calls) find(ctx context.Context, who door.Principal, id string) (store.Key, string, error) {
	list, names, err := c.all(ctx, who)
	if err != nil {
		return store.Key{}, "", err
	}
	for _, k := range list {
		if k.ID == id {
			return k, names[k.DomainID], nil
		}
	}
	return store.Key{}, "", errNoKey
}

// delete deletes an API key. It is refused from the next call on.
func (c *Calls) delete(w http.ResponseWriter, r *door.Request) error {
	k, _, err := c.find(r.Context(), r.Who, r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	if err := c.deps.Keys.DeleteKey(r.Context(), k.ID); err != nil {
		return door.Missing(err, errNoKey)
	}
	return door.Say(w, "key deleted")
}

// store stores a key with the hash of its secret.
func (c *Calls) store(ctx context.Context, k *store.Key, secret string) error {
	k.Hash = sha256.Sum256([]byte(secret))
	err := c.deps.Keys.CreateKey(ctx, k)
	if errors.Is(err, store.ErrExists) {
		return &door.Problem{Status: http.StatusConflict, Message: "this key exists already"}
	}
	return door.Missing(err, door.NotFound("Domain not found"))
}

// bind binds a key to the domain of that name, which must exist for the caller.
func (c *Calls) bind(r *door.Request, k *store.Key, name string) error {
	ascii, err := mail.ParseDomain(name)
	if err != nil {
		return door.NotFound("Domain not found")
	}
	d, err := c.deps.Domains.Domain(r.Context(), ascii)
	if err == nil && !r.Who.Owns(&d) {
		err = store.ErrNotFound
	}
	if err != nil {
		return door.Missing(err, door.NotFound("Domain not found"))
	}
	k.DomainID, k.AccountID = d.ID, d.AccountID
	return nil
}

// text reads a text of one line.
func text(p door.Params, name string) (string, error) {
	s := p.Get(name)
	if len(s) > maxText {
		return "", door.BadRequest("'%s' parameter is longer than %d octets", name, maxText)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", door.BadRequest("'%s' parameter must be text on one line", name)
	}
	return s, nil
}

// applyDetails puts what is given about a key's person and limits into k.
func applyDetails(k *store.Key, p door.Params) error {
	for name, into := range map[string]*string{
		"description": &k.Description, "user_id": &k.Details.UserID, "user_name": &k.Details.UserName, "email": &k.Details.Email,
	} {
		s, err := text(p, name)
		if err != nil {
			return err
		}
		if p.Has(name) {
			*into = s
		}
	}
	for name, into := range map[string]*int{"per_minute": &k.Details.PerMinute, "per_day": &k.Details.PerDay} {
		n, err := p.Number(name, 0, *into)
		if err != nil {
			return err
		}
		*into = n
	}
	if !p.Has("addresses") {
		return nil
	}
	var list []netip.Prefix
	for word := range strings.SplitSeq(strings.Join(p.Values["addresses"], ","), ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		prefix, ok := door.ParsePrefix(word)
		if !ok || len(list) == maxAddresses {
			return door.BadRequest("'addresses' parameter must be at most %d IP addresses or networks (192.0.2.0/24), separated by commas", maxAddresses)
		}
		list = append(list, prefix)
	}
	k.Details.Addresses = list
	return nil
}

// applyExpiration reads a lifetime in seconds. A session's key has one in any case.
func applyExpiration(k *store.Key, p door.Params, now time.Time) error {
	seconds, err := p.Number("expiration", 1, 0)
	if err != nil {
		return err
	}
	lifetime := time.Duration(seconds) * time.Second
	if k.Kind == store.KindWeb {
		lifetime = min(cmp.Or(lifetime, webLifetime), webLifetime)
	}
	if lifetime > 0 {
		k.ExpiresAt = now.Add(lifetime).UTC().Truncate(time.Second)
	}
	return nil
}

// newSecret makes a key of 192 random bits, in the look that clients know.
func newSecret(prefix string) string {
	var b [24]byte
	rand.Read(b[:]) // never fails
	return prefix + hex.EncodeToString(b[:])
}

// checkValue checks a key that a client chose. It travels in a header field, and
// is stored under a hash that is quick to compute, so it must not be a word.
func checkValue(s string) error {
	if len(s) < minKeyLength || len(s) > maxKeyLength {
		return door.BadRequest("'value' parameter must have %d to %d characters", minKeyLength, maxKeyLength)
	}
	if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return door.BadRequest("'value' parameter must be visible ASCII characters")
	}
	return nil
}

// zoneless formats a time as keys show it; empty for none.
func zoneless(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05")
}
