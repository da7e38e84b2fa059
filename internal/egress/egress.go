// Package egress decides from which of this server's addresses a message may leave.
//
// The reputation of mail hangs on the address that it comes from, so that those who send
// different mail want addresses of their own. The operator gives the server its addresses
// (delivery.source_addresses). A pool sets some of them aside: for the domains that name it, for
// messages that ask for it, and for the sub-account that it was handed to. Addresses that are in no
// pool are everybody's.
//
// What is chosen here travels in a message's envelope. Whether a connection can really be
// opened from there shows when it is delivered.
package egress

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sealpost/sealpost/internal/store"
)

// A Book knows the server's addresses and what they are set aside for. It is safe for
// concurrent use.
type Book struct {
	all      []netip.Addr
	pools    Pools
	accounts Accounts
}

// Pools are the pools of all accounts; see store.Pools.
type Pools interface {
	Pool(ctx context.Context, accountID int64, id string) (store.Pool, error)
	ListPools(ctx context.Context, accountID int64) ([]store.Pool, error)
}

// Accounts finds accounts; see store.Accounts.
type Accounts interface {
	Account(ctx context.Context, id int64) (store.Account, error)
}

// New returns a book of the addresses; none means that the system chooses.
func New(all []netip.Addr, pools Pools, accounts Accounts) *Book {
	list := make([]netip.Addr, len(all))
	for i, a := range all {
		list[i] = a.Unmap()
	}
	return &Book{list, pools, accounts}
}

// All returns the server's addresses.
func (b *Book) All() []netip.Addr { return slices.Clone(b.all) }

// Pool returns a pool that the account may use: one of its own, or the one that it was handed.
func (b *Book) Pool(ctx context.Context, account int64, id string) (store.Pool, error) {
	p, err := b.pools.Pool(ctx, account, id)
	if err == nil || account == store.PrimaryAccount {
		return p, err
	}
	a, err := b.accounts.Account(ctx, account)
	if err != nil {
		return p, err
	}
	if id == "" || a.Settings.Pool != id {
		return p, fmt.Errorf("pool %q: %w", id, store.ErrNotFound)
	}
	return b.pools.Pool(ctx, store.PrimaryAccount, id)
}

// MayUse returns store.ErrNotFound if the account may not use one of the addresses, or the pool.
func (b *Book) MayUse(ctx context.Context, account int64, ips []string, pool string) error {
	for _, ip := range ips {
		if _, err := b.one(ctx, account, ip); err != nil {
			return err
		}
	}
	if pool == "" {
		return nil
	}
	_, err := b.Pool(ctx, account, pool)
	return err
}

// Usable returns the addresses that an account may use, in the order of the configuration: all of
// them for the primary account; for a sub-account those in no pool of others, and those of the pool
// that it was handed.
func (b *Book) Usable(ctx context.Context, account int64) ([]netip.Addr, error) {
	if account == store.PrimaryAccount {
		return b.All(), nil
	}
	a, err := b.accounts.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	pools, err := b.pools.ListPools(ctx, 0)
	if err != nil {
		return nil, err
	}
	return usable(b.all, pools, a), nil
}

func usable(all []netip.Addr, pools []store.Pool, a store.Account) []netip.Addr {
	var own, others []netip.Addr
	for _, p := range pools {
		if p.AccountID == a.ID || p.ID == a.Settings.Pool && p.AccountID == store.PrimaryAccount {
			own = append(own, p.IPs...)
		} else {
			others = append(others, p.IPs...)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(addr netip.Addr) bool {
		return slices.Contains(others, addr) && !slices.Contains(own, addr)
	})
}

// Sources returns where a message of the domain may leave from; none means anywhere. ip and pool
// are what the message asks for; empty: nothing. store.ErrNotFound if the domain's account may
// not use what is asked for.
func (b *Book) Sources(ctx context.Context, d store.Domain, ip, pool string) ([]netip.Addr, error) {
	switch {
	case ip != "":
		return b.one(ctx, d.AccountID, ip)
	case pool != "":
		p, err := b.Pool(ctx, d.AccountID, pool)
		if err != nil {
			return nil, err
		}
		if list := b.present(p.IPs); len(list) > 0 {
			return list, nil
		}
		return nil, fmt.Errorf("pool %q has no address of this server: %w", pool, store.ErrNotFound)
	case len(b.all) == 0:
		return nil, nil
	case d.Settings.Pool != "":
		// One that is gone or empty by now is as none: mail is not stopped by it.
		if p, err := b.Pool(ctx, d.AccountID, d.Settings.Pool); err == nil {
			if list := b.present(p.IPs); len(list) > 0 {
				return list, nil
			}
		}
	case len(d.Settings.IPs) > 0:
		if list := b.present(d.Settings.IPs); len(list) > 0 {
			return list, nil
		}
	}
	pools, err := b.pools.ListPools(ctx, 0)
	if err != nil {
		return nil, err
	}
	return shared(b.all, pools), nil
}

// one returns the address that a message asks for.
func (b *Book) one(ctx context.Context, account int64, ip string) ([]netip.Addr, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, fmt.Errorf("%q is no address: %w", ip, store.ErrNotFound)
	}
	list, err := b.Usable(ctx, account)
	if err != nil {
		return nil, err
	}
	if addr = addr.Unmap(); !slices.Contains(list, addr) {
		return nil, fmt.Errorf("address %s: %w", addr, store.ErrNotFound)
	}
	return []netip.Addr{addr}, nil
}

// present returns those of the addresses that the server has.
func (b *Book) present(list []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return !slices.Contains(b.all, a) })
}

// shared returns the addresses that are set aside for nobody. None are if nothing is set aside, which
// means anywhere; and if everything is.
func shared(all []netip.Addr, pools []store.Pool) []netip.Addr {
	left := slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool {
		return slices.ContainsFunc(pools, func(p store.Pool) bool { return slices.Contains(p.IPs, a) })
	})
	if len(left) == len(all) {
		return nil
	}
	return left
}
