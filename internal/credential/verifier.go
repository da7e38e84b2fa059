package credential

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sealpost/sealpost/internal/store"
)

// How guesses are limited. Only failures cost; after the burst, an address is
// evaluated again every addressEvery: below a hundred times an hour.
const (
	addressEvery = 45 * time.Second
	addressBurst = 10
	accountEvery = 10 * time.Second
	accountBurst = 50

	maxRemembered = 20_000 // entries of each table; a full table starts anew
	proofLifetime = 10 * time.Minute
	maxHashing    = 4 // hashes computed at a time
)

// ErrBusy says that a password was not evaluated: too many failures before it,
// or too much to do. Trying later may succeed; it says nothing about the password.
var ErrBusy = errors.New("too many failed logins, try again later")

// Store finds credentials and their domains, as package store says.
type Store interface {
	Credential(ctx context.Context, login string) (store.Credential, error)
	DomainByID(ctx context.Context, id int64) (store.Domain, error)
	Account(ctx context.Context, id int64) (store.Account, error)
}

// A Verifier checks logins. It is safe for concurrent use.
type Verifier struct {
	store   Store
	decoy   string // hash that unknown logins are compared with
	hashing chan struct{}
	secret  [32]byte

	mu        sync.Mutex
	addresses map[netip.Prefix]*rate.Limiter
	accounts  map[string]*rate.Limiter
	friends   map[friend]time.Time   // addresses from which a login succeeded
	proofs    map[[32]byte]time.Time // passwords that were right, by keyed hash
}

type friend struct {
	from  netip.Prefix
	login string
}

// NewVerifier returns a verifier over the store.
func NewVerifier(s Store) (*Verifier, error) {
	v := &Verifier{
		store: s, hashing: make(chan struct{}, maxHashing),
		addresses: map[netip.Prefix]*rate.Limiter{}, accounts: map[string]*rate.Limiter{},
		friends: map[friend]time.Time{}, proofs: map[[32]byte]time.Time{},
	}
	rand.Read(v.secret[:])
	decoy, err := Hash(rand.Text())
	v.decoy = decoy
	return v, err
}

// Check tells whether the password belongs to the login, and which sending
// domain the login speaks for. ok is false for a wrong password, an unknown
// login, and one that may not be used from there, alike. ErrBusy means that it was not evaluated; other errors are the store's.
func (v *Verifier) Check(ctx context.Context, from netip.Addr, login, password string) (domain string, ok bool, err error) {
	login = strings.ToLower(login)
	network := networkOf(from)
	if len(login) > 320 || !v.mayTry(network, login) {
		return "", false, ErrBusy
	}
	c, err := v.store.Credential(ctx, login)
	known := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", false, fmt.Errorf("look up credential: %w", err)
	}
	if !known {
		c.PasswordHash = v.decoy // costs what a known one costs
	}
	right, err := v.matches(ctx, c, password)
	if err != nil {
		return "", false, err
	}
	if !known || !right {
		v.failed(network, login)
		return "", false, nil
	}
	d, err := v.store.DomainByID(ctx, c.DomainID)
	if err != nil {
		return "", false, fmt.Errorf("look up domain of %s: %w", c.Login, err)
	}
	v.succeeded(network, login)
	if ok, err := v.allowed(ctx, d.AccountID, from); err != nil || !ok {
		return "", false, err
	}
	return d.Name, true, nil
}

// allowed tells whether the account's logins may be used from the address.
func (v *Verifier) allowed(ctx context.Context, account int64, from netip.Addr) (bool, error) {
	a, err := v.store.Account(ctx, account)
	if err != nil {
		return false, fmt.Errorf("look up account %d: %w", account, err)
	}
	list := a.Settings.Allowed
	return len(list) == 0 || slices.ContainsFunc(list, func(x store.AllowedAddress) bool { return x.Prefix.Contains(from.Unmap()) }), nil
}

// matches evaluates a password, or remembers that the same one was right for the
// same stored hash lately: applications log in for every message.
func (v *Verifier) matches(ctx context.Context, c store.Credential, password string) (bool, error) {
	proof := v.proof(c, password)
	v.mu.Lock()
	until, proven := v.proofs[proof]
	v.mu.Unlock()
	if proven && time.Now().Before(until) {
		return true, nil
	}
	select {
	case v.hashing <- struct{}{}:
		defer func() { <-v.hashing }()
	case <-ctx.Done():
		return false, ErrBusy
	}
	right, err := Matches(c.PasswordHash, password)
	if err != nil {
		return false, fmt.Errorf("evaluate password: %w", err)
	}
	if right {
		v.mu.Lock()
		defer v.mu.Unlock()
		remember(v.proofs, proof, time.Now().Add(proofLifetime))
	}
	return right, nil
}

// proof is the password with everything it proves, under a key of this process.
// A changed or deleted credential has another one, so revocation works at once.
func (v *Verifier) proof(c store.Credential, password string) (sum [32]byte) {
	mac := hmac.New(sha256.New, v.secret[:])
	fmt.Fprintf(mac, "%d %q %q %q", c.DomainID, c.Login, c.PasswordHash, password)
	mac.Sum(sum[:0])
	return sum
}

// mayTry tells whether a guess is evaluated. Guesses from elsewhere use up the
// account's share but never keep out an address that knew the password lately.
func (v *Verifier) mayTry(network netip.Prefix, login string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l := v.addresses[network]; l != nil && l.Tokens() < 1 {
		return false
	}
	if until, ok := v.friends[friend{network, login}]; ok && time.Now().Before(until) {
		return true
	}
	l := v.accounts[login]
	return l == nil || l.Tokens() >= 1
}

func (v *Verifier) failed(network netip.Prefix, login string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	address := v.addresses[network]
	if address == nil {
		address = rate.NewLimiter(rate.Every(addressEvery), addressBurst)
		remember(v.addresses, network, address)
	}
	account := v.accounts[login]
	if account == nil {
		account = rate.NewLimiter(rate.Every(accountEvery), accountBurst)
		remember(v.accounts, login, account)
	}
	address.Allow()
	account.Allow()
}

func (v *Verifier) succeeded(network netip.Prefix, login string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	remember(v.friends, friend{network, login}, time.Now().Add(24*time.Hour))
}

// remember adds to a bounded table.
func remember[K comparable, V any](table map[K]V, key K, value V) {
	if _, known := table[key]; !known && len(table) >= maxRemembered {
		clear(table)
	}
	table[key] = value
}

// networkOf is what counts as one address: an IPv4 address, or the /64 that one
// IPv6 subscriber has.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero prefix for the zero address
	return p
}
