package door

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/netip"
	"slices"
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
	// ActsFor: a key of the primary account, or the operator, acts for the sub-account AccountID.
	ActsFor bool
	// Key is the caller's key with what else is set for it; nil on a trusted socket.
	Key *store.Key
}

// Account returns the account that the caller's things belong to: the operator's belong to the
// primary one.
func (p Principal) Account() int64 { return max(p.AccountID, store.PrimaryAccount) }

// Owns reports whether things of the domain exist for the caller.
func (p Principal) Owns(d *store.Domain) bool {
	return (p.AccountID == 0 || p.AccountID == d.AccountID) && (p.DomainID == 0 || p.DomainID == d.ID)
}

// authenticate finds out who calls and notes it in r. Keys are looked up by
// their hash, so that no comparison depends on how much of a guess is right.
func (d *Door) authenticate(r *Request, trusted bool) error {
	if trusted {
		r.Who = Principal{Role: store.RoleAdmin}
		return d.actFor(r)
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
		now := time.Now()
		if ok, err := d.mayBeUsed(r, &key, now); err != nil || !ok {
			return cmp.Or(err, ErrForbidden)
		}
		if d.deps.Uses != nil {
			d.deps.Uses.Used(&key, now)
		}
		r.Who = Principal{KeyID: key.ID, Description: key.Description, Role: key.Role, AccountID: key.AccountID, DomainID: key.DomainID, Key: &key}
		return d.actFor(r)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	d.guard.failed(r.Client, time.Now())
	return ErrForbidden
}

// mayBeUsed reports whether a key that exists may be used now, and from where the client is.
func (d *Door) mayBeUsed(r *Request, k *store.Key, now time.Time) (bool, error) {
	if k.Disabled || k.Expired(now) || k.Role == store.RolePublic {
		return false, nil
	}
	if len(k.Details.Addresses) > 0 && !slices.ContainsFunc(k.Details.Addresses, func(p netip.Prefix) bool { return p.Contains(r.Client) }) {
		return false, nil
	}
	if d.deps.Accounts == nil || k.Kind == store.KindWeb { // sessions wander
		return true, nil
	}
	account, err := d.deps.Accounts.Account(r.Context(), k.AccountID)
	if err != nil {
		return false, err
	}
	allowed := account.Settings.Allowed
	return len(allowed) == 0 || slices.ContainsFunc(allowed, func(a store.AllowedAddress) bool { return a.Prefix.Contains(r.Client) }), nil
}

// OnBehalfOf is the field by which a key of the primary account acts for one of its sub-accounts.
const OnBehalfOf = "X-Mailgun-On-Behalf-Of"

// actFor lets the caller act for the sub-account that the request names. Only keys that are bound
// to no domain may, and only the primary account has sub-accounts: what does not exist for the
// caller is answered like what does not exist.
func (d *Door) actFor(r *Request) error {
	ref := r.Header.Get(OnBehalfOf)
	if ref == "" {
		return nil
	}
	if r.Who.DomainID != 0 {
		return ErrForbidden
	}
	if d.deps.Accounts == nil {
		return NotFound("Not Found")
	}
	account, err := d.deps.Accounts.AccountByRef(r.Context(), ref)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || r.Who.AccountID > store.PrimaryAccount && account.ID != r.Who.AccountID {
		return NotFound("Not Found")
	}
	r.Who.ActsFor = account.ID != r.Who.Account()
	r.Who.AccountID = account.ID
	return nil
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
