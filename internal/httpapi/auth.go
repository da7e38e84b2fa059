package httpapi

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

// A principal is who calls. The zero value may do nothing.
type principal struct {
	keyID       string // empty on a trusted socket
	description string // of the key
	role        store.KeyRole
	domainID    int64 // 0: every domain
}

// owns reports whether things of the domain exist for the caller.
func (p principal) owns(domainID int64) bool { return p.domainID == 0 || p.domainID == domainID }

// authenticate finds out who calls and notes it in r. Keys are looked up by
// their hash, so that no comparison depends on how much of a guess is right.
func (a *API) authenticate(w http.ResponseWriter, r *request, trusted bool) error {
	if trusted {
		r.who = principal{role: store.RoleAdmin}
		return nil
	}
	user, secret, ok := r.BasicAuth()
	if !ok || secret == "" || subtle.ConstantTimeCompare([]byte(user), []byte("api")) != 1 {
		return errForbidden
	}
	hash := sha256.Sum256([]byte(secret))
	if wait := a.guard.blocked(r.client, hash, time.Now()); wait > 0 {
		return &problem{http.StatusTooManyRequests, "Too many requests with a wrong API key. Please try again later.", wait}
	}
	key, err := a.deps.Keys.KeyByHash(r.Context(), hash)
	if err == nil && subtle.ConstantTimeCompare(key.Hash[:], hash[:]) == 1 {
		a.guard.succeeded(hash)
		r.who = principal{keyID: key.ID, description: key.Description, role: key.Role, domainID: key.DomainID}
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	a.guard.failed(r.client, time.Now())
	return errForbidden
}

// findDomain returns the domain that a path names. What cannot be a domain name
// is not found.
func (a *API) findDomain(ctx context.Context, name string) (store.Domain, error) {
	ascii, err := mail.ParseDomain(name)
	if err != nil {
		return store.Domain{}, store.ErrNotFound
	}
	return a.deps.Domains.Domain(ctx, ascii)
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
