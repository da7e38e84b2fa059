// Package keyrotation keeps the DKIM keys of sending domains moving: it makes a new key where
// a domain's owner wants them rotated and it is time, looks whether the records of keys that are to
// take over are in DNS, and hands over when they are.
//
// What is to happen when is decided in dkimkeys. Nobody waits for this room: a domain whose
// new record is not published goes on signing with the key that it has.
package keyrotation

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/dkimkeys"
	"github.com/sealpost/sealpost/internal/domaindns"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	// Every is the time between looks at all domains.
	Every = 10 * time.Minute
	// patience bounds the look at one domain.
	patience = 30 * time.Second
)

// Domains are the sending domains; see store.Domains.
type Domains interface {
	ListDomains(ctx context.Context) ([]store.Domain, error)
	UpdateDomain(ctx context.Context, name string, change func(*store.Domain) error) (store.Domain, error)
}

// A Room rotates keys. Run must not be called twice at a time.
type Room struct {
	domains  Domains
	resolver domaindns.Resolver
	dns      domaindns.Config
	log      *slog.Logger
}

// New returns a room.
func New(domains Domains, resolver domaindns.Resolver, dns domaindns.Config, log *slog.Logger) *Room {
	return &Room{domains, resolver, dns, log}
}

// Run looks at all domains now and then until ctx ends.
func (r *Room) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		if err := r.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			r.log.Error("DKIM keys were not looked at", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look looks at every domain once.
func (r *Room) look(ctx context.Context, now time.Time) error {
	list, err := r.domains.ListDomains(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		if ctx.Err() != nil {
			return nil
		}
		if err := r.domain(ctx, &list[i], now); err != nil && ctx.Err() == nil {
			r.log.Error("DKIM keys were not looked at", "domain", list[i].Name, "error", err)
		}
	}
	return nil
}

// domain does what is to be done about one domain's keys.
func (r *Room) domain(ctx context.Context, d *store.Domain, now time.Time) error {
	if dkimkeys.Due(d, now) {
		key, err := dkimkeys.Generate(dkimkeys.NextSelector(d, now), dkimkeys.RSA2048, now)
		if err != nil {
			return err
		}
		next, err := r.domains.UpdateDomain(ctx, d.Name, func(d *store.Domain) error {
			if !dkimkeys.Due(d, now) { // changed in between
				return nil
			}
			return dkimkeys.Rotate(d, key, now)
		})
		if err != nil {
			return err
		}
		r.log.Info("a DKIM key waits for its record to be published", "domain", d.Name, "selector", key.Selector)
		*d = next
	}
	found := r.find(ctx, d, now)
	advanced := *d
	advanced.DKIM = slices.Clone(d.DKIM)
	if len(found) == 0 && !dkimkeys.Advance(&advanced, now) {
		return nil
	}
	after, err := r.domains.UpdateDomain(ctx, d.Name, func(d *store.Domain) error {
		for _, rec := range found {
			if i := dkimkeys.Find(d, rec.Selector); i >= 0 && d.DKIM[i].Public == rec.Value {
				dkimkeys.Seen(d, rec.Selector, now)
			}
		}
		dkimkeys.Advance(d, now)
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range after.SigningKeys() {
		if slices.ContainsFunc(found, func(rec domaindns.Record) bool { return rec.Selector == k.Selector }) {
			r.log.Info("a DKIM key was seen in DNS and signs from now on", "domain", d.Name, "selector", k.Selector)
		}
	}
	return nil
}

// find returns the records of pending keys that are there. It looks only where a key waits beside one
// that signs: a domain that was never verified is looked at when its owner asks.
func (r *Room) find(ctx context.Context, d *store.Domain, now time.Time) []domaindns.Record {
	pending := dkimkeys.Pending(d)
	if len(pending) == 0 || !slices.ContainsFunc(d.DKIM, func(k store.DKIMKey) bool { return !k.SeenAt.IsZero() }) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	records := slices.DeleteFunc(r.dns.Sending(d, d), func(rec domaindns.Record) bool { return !slices.Contains(pending, rec.Selector) })
	checks := domaindns.Check(ctx, r.resolver, records, now.UTC(), r.log)
	var found []domaindns.Record
	for i, rec := range records {
		if checks[i].Valid == domaindns.Valid {
			found = append(found, rec)
		}
	}
	return found
}
