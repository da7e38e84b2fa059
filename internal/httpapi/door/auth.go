package door

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A Principal is who calls. The zero value may do nothing.
type Principal struct {
	KeyID       string // empty on a trusted socket
	Description string // of the key
	Role        store.KeyRole
	AccountID   int64 // whose things exist for the caller; 0: those of every account (the operator)
	DomainID    int64 // 0: every domain of the account
}

// Owns reports whether things of the domain exist for the caller.
func (p Principal) Owns(d *store.Domain) bool {
	return (p.AccountID == 0 || p.AccountID == d.AccountID) && (p.DomainID == 0 || p.DomainID == d.ID)
}

// authenticate finds out who calls and notes it in r. Keys are looked up by
// their hash, so that no comparison depends on how much of a guess is right.
func (d *Door) authenticate(r *Request, trusted bool) error {
	if trusted {
		r.Who = Principal{Role: store.RoleAdmin}
		return nil
	}
	user, secret, ok := r.BasicAuth()
	if !ok || secret == "" || subtle.ConstantTimeCompare([]byte(user), []byte("api")) != 1 {
		return ErrForbidden
	}
	hash := sha256.Sum256([]byte(secret))
	if wait := d.guard.blocked(r.Client, hash, time.Now()); wait > 0 {
		return &Problem{Status: http.StatusTooManyRequests, Message: "Too many requests with a wrong API key. Please try again later.", RetryAfter: wait}
	}
	key, err := d.deps.Keys.KeyByHash(r.Context(), hash)
	if err == nil && subtle.ConstantTimeCompare(key.Hash[:], hash[:]) == 1 {
		d.guard.succeeded(hash)
		r.Who = Principal{KeyID: key.ID, Description: key.Description, Role: key.Role, AccountID: key.AccountID, DomainID: key.DomainID}
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	d.guard.failed(r.Client, time.Now())
	return ErrForbidden
}

// FindDomain returns the domain that a path names. What cannot be a domain name
// is not found.
func (d *Door) FindDomain(ctx context.Context, name string) (store.Domain, error) {
	ascii, err := mail.ParseDomain(name)
	if err != nil {
		return store.Domain{}, store.ErrNotFound
	}
	return d.deps.Domains.Domain(ctx, ascii)
}

// forwardedFor lists the addresses of X-Forwarded-For, nearest hop first, at
// most twenty.
func forwardedFor(h http.Header) []string {
	all := strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
	var hops []string
	for i := len(all) - 1; i >= 0 && len(hops) < 20; i-- {
		hops = append(hops, strings.TrimSpace(all[i]))
	}
	return hops
}
