// Package dkimkeys decides about a sending domain's DKIM keys: how they are made and read,
// which may sign, and how one takes over from another without a gap.
//
// A signature is checked against a public key that the owner of the domain publishes in DNS
// (RFC 6376). Two moments are dangerous: a signature with a key that is not published yet
// fails, and so does one that was made with a key which is taken out of DNS while the mail is still
// under way. So a key that takes over signs only when its record was seen, and the one before it stays
// listed, without signing, until no mail of its time can be queued any more.
//
// All here is a function of values. Looking in DNS and storing are left to others.
package dkimkeys

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	// MaxActive is how many keys of a domain may be active at once: each of them signs every message.
	MaxActive = 3
	// MaxKeys is how many keys a domain may have.
	MaxKeys = 20
	// KeepRetired is how long a key that was rotated out must stay in DNS: mail that it signed may be
	// queued for five days, and receivers look again when mail is forwarded.
	KeepRetired = 7 * 24 * time.Hour
	// MinRotation is the shortest time between rotations.
	MinRotation = 5 * 24 * time.Hour
	// MaxPEM is how long a key to import may be, in octets.
	MaxPEM = 16 << 10
)

// Errors that callers word for clients.
var (
	ErrDuplicate  = errors.New("duplicate key")
	ErrNotFound   = errors.New("no such key")
	ErrLastActive = errors.New("must have at least one active domain key")
	ErrTooMany    = fmt.Errorf("at most %d active domain keys are allowed", MaxActive)
	ErrFull       = fmt.Errorf("at most %d domain keys are allowed", MaxKeys)
)

// A Kind is what a new key is made of.
type Kind uint8

const (
	RSA2048 Kind = iota
	RSA4096
	Ed25519 // RFC 8463
)

// Generate makes a key. It is inactive.
func Generate(selector string, kind Kind, now time.Time) (store.DKIMKey, error) {
	var key signing.Key
	var err error
	switch kind {
	case Ed25519:
		key, err = signing.GenerateEd25519()
	case RSA4096:
		key, err = signing.GenerateRSABits(4096)
	default:
		key, err = signing.GenerateRSABits(2048)
	}
	if err != nil {
		return store.DKIMKey{}, err
	}
	return keep(selector, key, now)
}

// Import reads a private key in PEM: PKCS #1, or PKCS #8. The key is inactive. The error is
// signing.ErrNoPEM if text is no PEM at all.
func Import(selector, text string, now time.Time) (store.DKIMKey, error) {
	if len(text) > MaxPEM {
		return store.DKIMKey{}, signing.ErrNoPEM
	}
	key, err := signing.ParseKey([]byte(text))
	if err != nil {
		return store.DKIMKey{}, err
	}
	return keep(selector, key, now)
}

func keep(selector string, key signing.Key, now time.Time) (store.DKIMKey, error) {
	pem, err := key.PEM()
	if err != nil {
		return store.DKIMKey{}, err
	}
	public, err := key.TXT()
	if err != nil {
		return store.DKIMKey{}, err
	}
	return store.DKIMKey{Selector: selector, PrivatePEM: string(pem), Public: public, CreatedAt: now.UTC().Truncate(time.Microsecond)}, nil
}

// Find returns the index of the key with the selector; -1 if there is none.
func Find(d *store.Domain, selector string) int {
	return slices.IndexFunc(d.DKIM, func(k store.DKIMKey) bool { return k.Selector == selector })
}

// Add gives the domain a key. The first one is active at once.
func Add(d *store.Domain, k store.DKIMKey) error {
	switch {
	case Find(d, k.Selector) >= 0:
		return ErrDuplicate
	case len(d.DKIM) >= MaxKeys:
		return ErrFull
	}
	k.Active = k.Active || len(d.DKIM) == 0
	d.DKIM = append(d.DKIM, k)
	return nil
}

// Activate lets a key sign, from when its record is seen in DNS; see [store.Domain.SigningKeys].
func Activate(d *store.Domain, selector string) error {
	i := Find(d, selector)
	switch {
	case i < 0:
		return ErrNotFound
	case d.DKIM[i].Active:
		return nil
	case active(d) >= MaxActive:
		return ErrTooMany
	}
	d.DKIM[i].Active, d.DKIM[i].RetiredAt = true, time.Time{}
	return nil
}

// Deactivate keeps a key from signing. The last active one stays: a domain without one would
// send unsigned, which is said by other means.
func Deactivate(d *store.Domain, selector string) error {
	i := Find(d, selector)
	switch {
	case i < 0:
		return ErrNotFound
	case !d.DKIM[i].Active:
		return nil
	case active(d) == 1:
		return ErrLastActive
	}
	d.DKIM[i].Active, d.DKIM[i].Successor = false, false
	return nil
}

// Delete forgets a key, save the last active one.
func Delete(d *store.Domain, selector string) error {
	i := Find(d, selector)
	switch {
	case i < 0:
		return ErrNotFound
	case d.DKIM[i].Active && active(d) == 1:
		return ErrLastActive
	}
	d.DKIM = slices.Delete(d.DKIM, i, i+1)
	return nil
}

func active(d *store.Domain) int {
	n := 0
	for _, k := range d.DKIM {
		if k.Active {
			n++
		}
	}
	return n
}

// Pending returns the selectors of active keys whose records were not seen yet.
func Pending(d *store.Domain) []string {
	var list []string
	for _, k := range d.DKIM {
		if k.Active && k.SeenAt.IsZero() {
			list = append(list, k.Selector)
		}
	}
	return list
}

// Due reports whether the domain's keys are to be rotated now: its owner wants that, the newest one
// is old enough, and no other is about to take over.
func Due(d *store.Domain, now time.Time) bool {
	if d.Settings.DKIMRotation <= 0 || d.Settings.DKIMAuthority != "" || len(d.DKIM) == 0 || successor(d) >= 0 {
		return false
	}
	newest := d.CreatedAt
	for _, k := range d.DKIM {
		if k.Active && k.CreatedAt.After(newest) {
			newest = k.CreatedAt
		}
	}
	return !now.Before(newest.Add(d.Settings.DKIMRotation))
}

// successor returns the index of the key that is about to take over; -1 if there is none.
func successor(d *store.Domain) int {
	return slices.IndexFunc(d.DKIM, func(k store.DKIMKey) bool { return k.Active && k.Successor && k.SeenAt.IsZero() })
}

// NextSelector returns a selector that the domain does not have yet: the one of its first key
// with the day in it.
func NextSelector(d *store.Domain, now time.Time) string {
	base := "sealpost"
	if len(d.DKIM) > 0 {
		base = d.DKIM[0].Selector
	}
	if head, tail, ok := cutLast(base, "-"); ok && len(strings.SplitN(tail, "x", 2)[0]) == 8 && strings.Trim(tail, "0123456789x") == "" {
		base = head // of an earlier rotation
	}
	next := base[:min(len(base), 50)] + "-" + now.UTC().Format("20060102")
	for n := 2; ; n++ {
		if Find(d, next) < 0 {
			return next
		}
		next = base[:min(len(base), 50)] + "-" + now.UTC().Format("20060102") + "x" + strconv.Itoa(n)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Rotate gives the domain a key that takes over from the active ones once it is seen. One that is
// about to is kept: there is never more than one. Where no key was ever seen, there is nothing to
// hand over: the new one takes the place of the others at once.
func Rotate(d *store.Domain, k store.DKIMKey, now time.Time) error {
	if successor(d) >= 0 {
		return nil
	}
	if Find(d, k.Selector) >= 0 {
		return ErrDuplicate
	}
	if len(d.DKIM) >= MaxKeys {
		return ErrFull
	}
	k.Active, k.Successor = true, true
	if !slices.ContainsFunc(d.DKIM, func(k store.DKIMKey) bool { return !k.SeenAt.IsZero() }) {
		k.Successor = false
		retire(d, len(d.DKIM), now)
	}
	d.DKIM = append(d.DKIM, k)
	return nil
}

// Advance does what time and what was seen in DNS bring about: a successor that was seen takes over,
// and keys that retired long enough ago are forgotten. It reports whether anything changed.
func Advance(d *store.Domain, now time.Time) bool {
	changed := false
	for i := range d.DKIM {
		if k := &d.DKIM[i]; k.Active && k.Successor && !k.SeenAt.IsZero() {
			k.Successor = false
			retire(d, i, now)
			changed = true
		}
	}
	before := len(d.DKIM)
	d.DKIM = slices.DeleteFunc(d.DKIM, func(k store.DKIMKey) bool {
		return !k.Active && !k.RetiredAt.IsZero() && !now.Before(k.RetiredAt.Add(KeepRetired))
	})
	return changed || len(d.DKIM) != before
}

// retire takes the active keys before the one at index end out of use.
func retire(d *store.Domain, end int, now time.Time) {
	for i := range d.DKIM[:end] {
		if d.DKIM[i].Active {
			d.DKIM[i].Active, d.DKIM[i].Successor, d.DKIM[i].RetiredAt = false, false, now.UTC().Truncate(time.Microsecond)
		}
	}
}

// Seen notes that the record of a key was found in DNS as it should be.
func Seen(d *store.Domain, selector string, now time.Time) {
	if i := Find(d, selector); i >= 0 && d.DKIM[i].SeenAt.IsZero() {
		d.DKIM[i].SeenAt = now.UTC().Truncate(time.Microsecond)
	}
}

// Rename gives the domain's newest active key another selector. Where its record was seen, mail is
// being verified by the old name, so that the key gets the new one beside it and the old one
// retires when the new one is seen.
func Rename(d *store.Domain, selector string, now time.Time) error {
	newest := -1
	for i, k := range d.DKIM {
		if k.Active {
			newest = i
		}
	}
	switch {
	case newest < 0:
		return ErrNotFound
	case d.DKIM[newest].Selector == selector:
		return nil
	case Find(d, selector) >= 0:
		return ErrDuplicate
	}
	if d.DKIM[newest].SeenAt.IsZero() {
		d.DKIM[newest].Selector = selector
		return nil
	}
	k := d.DKIM[newest]
	k.Selector, k.SeenAt, k.CreatedAt = selector, time.Time{}, now.UTC().Truncate(time.Microsecond)
	if i := successor(d); i >= 0 {
		d.DKIM = slices.Delete(d.DKIM, i, i+1)
	}
	return Rotate(d, k, now)
}
