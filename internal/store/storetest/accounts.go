package storetest

import (
	"errors"
	"net/netip"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

func (f *fixture) account(name string) store.Account {
	f.Helper()
	a := store.Account{Name: name}
	f.must(f.s.CreateAccount(f.Context(), &a))
	return a
}

var accountTests = []test{
	{"there is a primary one, which stays", func(f *fixture) {
		a, err := f.s.Account(f.Context(), store.PrimaryAccount)
		f.must(err)
		if len(a.Ref) != 24 || a.Name == "" || a.Disabled || !a.MaySend() || a.CreatedAt.IsZero() {
			f.Errorf("the primary account is %+v", a)
		}
		if err := f.s.DeleteAccount(f.Context(), store.PrimaryAccount); err == nil {
			f.Error("the primary account was deleted")
		}
		f.reopen(f)
		again, err := f.s.Account(f.Context(), store.PrimaryAccount)
		f.must(err)
		f.same("after reopening", again, a)
	}},
	{"everything is found again", func(f *fixture) {
		a := store.Account{Name: "sub", Settings: store.AccountSettings{
			SendingOff: true, Pool: "0123",
			Allowed: []store.AllowedAddress{{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Description: "office"}},
		}}
		f.must(f.s.CreateAccount(f.Context(), &a))
		if a.ID <= store.PrimaryAccount || len(a.Ref) != 24 || a.MaySend() || !a.UpdatedAt.Equal(a.CreatedAt) {
			f.Errorf("created %+v", a)
		}
		for range 2 {
			got, err := f.s.Account(f.Context(), a.ID)
			f.must(err)
			f.same("by id", got, a)
			got, err = f.s.AccountByRef(f.Context(), a.Ref)
			f.must(err)
			f.same("by ref", got, a)
			list, err := f.s.ListAccounts(f.Context())
			f.must(err)
			f.same("how many", len(list), 2)
			f.same("last", list[1], a)
			f.reopen(f)
		}
		_, err := f.s.AccountByRef(f.Context(), "")
		f.is(err, store.ErrNotFound)
		_, err = f.s.Account(f.Context(), 0)
		f.is(err, store.ErrNotFound)
		if err := f.s.CreateAccount(f.Context(), &store.Account{}); err == nil {
			f.Error("an account without a name was created")
		}
	}},
	{"update", func(f *fixture) {
		a := f.account("sub")
		got, err := f.s.UpdateAccount(f.Context(), a.ID, func(a *store.Account) error {
			a.ID, a.Ref, a.CreatedAt = 99, "evil", t0
			a.Name, a.Disabled = "new", true
			return nil
		})
		f.must(err)
		if got.UpdatedAt.Before(a.UpdatedAt) {
			f.Errorf("updated %v, before that %v", got.UpdatedAt, a.UpdatedAt)
		}
		want := a
		want.Name, want.Disabled, want.UpdatedAt = "new", true, got.UpdatedAt
		f.same("returned", got, want)
		for range 2 {
			got, err = f.s.Account(f.Context(), a.ID)
			f.must(err)
			f.same("stored", got, want)
			f.reopen(f)
		}
		no := errors.New("no")
		_, err = f.s.UpdateAccount(f.Context(), a.ID, func(a *store.Account) error { a.Name = "x"; return no })
		f.is(err, no)
		_, err = f.s.UpdateAccount(f.Context(), 99, func(*store.Account) error { f.Error("called"); return nil })
		f.is(err, store.ErrNotFound)
	}},
	{"a domain has an account, and knows whether that may send", func(f *fixture) {
		a := f.account("sub")
		d := store.Domain{Name: "one.example", AccountID: a.ID}
		f.must(f.s.CreateDomain(f.Context(), &d))
		f.same("account", d.AccountID, a.ID)
		f.is(f.s.CreateDomain(f.Context(), &store.Domain{Name: "two.example", AccountID: 99}), store.ErrNotFound)
		for _, change := range []func(*store.Account){
			func(a *store.Account) { a.Disabled = true },
			func(a *store.Account) { a.Disabled, a.Settings.SendingOff = false, true },
		} {
			_, err := f.s.UpdateAccount(f.Context(), a.ID, func(a *store.Account) error { change(a); return nil })
			f.must(err)
			for range 2 {
				got, err := f.s.Domain(f.Context(), "one.example")
				f.must(err)
				f.same("disabled", got.AccountDisabled, true)
				f.reopen(f)
			}
		}
		// It cannot be changed with the domain, nor can the account.
		got, err := f.s.UpdateDomain(f.Context(), "one.example", func(d *store.Domain) error {
			d.AccountID, d.AccountDisabled = store.PrimaryAccount, false
			return nil
		})
		f.must(err)
		f.same("account after an update of the domain", got.AccountID, a.ID)
		f.same("disabled after an update of the domain", got.AccountDisabled, true)
		_, err = f.s.UpdateAccount(f.Context(), a.ID, func(a *store.Account) error { a.Settings.SendingOff = false; return nil })
		f.must(err)
		got, err = f.s.DomainByID(f.Context(), d.ID)
		f.must(err)
		f.same("disabled at last", got.AccountDisabled, false)
	}},
	{"delete takes keys and pools along, needs that there are no domains, and never gives the id again", func(f *fixture) {
		a, other := f.account("sub"), f.account("other")
		d := store.Domain{Name: "one.example", AccountID: a.ID}
		f.must(f.s.CreateDomain(f.Context(), &d))
		k := store.Key{Hash: [32]byte{1}, Role: store.RoleAdmin, AccountID: a.ID}
		f.must(f.s.CreateKey(f.Context(), &k))
		kept := store.Key{Hash: [32]byte{2}, Role: store.RoleAdmin, AccountID: other.ID}
		f.must(f.s.CreateKey(f.Context(), &kept))
		p := store.Pool{AccountID: a.ID, Name: "p"}
		f.must(f.s.CreatePool(f.Context(), &p))
		f.is(f.s.DeleteAccount(f.Context(), a.ID), store.ErrExists)
		f.must(f.s.DeleteDomain(f.Context(), "one.example"))
		f.must(f.s.DeleteAccount(f.Context(), a.ID))
		f.is(f.s.DeleteAccount(f.Context(), a.ID), store.ErrNotFound)
		for range 2 {
			_, err := f.s.Account(f.Context(), a.ID)
			f.is(err, store.ErrNotFound)
			_, err = f.s.KeyByHash(f.Context(), k.Hash)
			f.is(err, store.ErrNotFound)
			_, err = f.s.KeyByHash(f.Context(), kept.Hash)
			f.must(err)
			_, err = f.s.Pool(f.Context(), a.ID, p.ID)
			f.is(err, store.ErrNotFound)
			f.reopen(f)
		}
		f.must(f.s.DeleteAccount(f.Context(), other.ID))
		if again := f.account("again"); again.ID <= other.ID {
			f.Errorf("id %d was given again, %d had been", again.ID, other.ID)
		}
	}},
	{"delete takes routes, webhooks and signing keys along, those of the account alone", func(f *fixture) {
		ctx := f.Context()
		a, other := f.account("sub"), f.account("other")
		hook := func([]store.Webhook) ([]store.Webhook, error) {
			return []store.Webhook{{URL: "https://hooks.example/a", Kinds: []string{"delivered"}}}, nil
		}
		secrets := map[int64]string{}
		for _, id := range []int64{a.ID, other.ID} {
			_, err := f.s.ChangeWebhooks(ctx, id, 0, hook)
			f.must(err)
			f.must(f.s.CreateRoute(ctx, &store.Route{AccountID: id, Expression: "catch_all()", Actions: []string{"stop()"}}))
			k, err := f.s.SigningKey(ctx, id)
			f.must(err)
			secrets[id] = k.Key
		}
		f.must(f.s.DeleteAccount(ctx, a.ID))
		for range 2 {
			for id, n := range map[int64]int{a.ID: 0, other.ID: 1} {
				hooks, err := f.s.WebhooksOf(ctx, id, 0)
				f.must(err)
				f.same("webhooks", len(hooks), n)
				_, total, err := f.s.ListRoutes(ctx, id, 0, 10)
				f.must(err)
				f.same("routes", total, n)
			}
			k, err := f.s.SigningKey(ctx, other.ID)
			f.must(err)
			f.same("signing key of the other", k.Key, secrets[other.ID])
			f.reopen(f)
		}
	}},
	{"changes are in the audit log", func(f *fixture) {
		ctx := f.as("key 1", "why")
		a := store.Account{Name: "sub"}
		f.must(f.s.CreateAccount(ctx, &a))
		_, err := f.s.UpdateAccount(ctx, a.ID, func(a *store.Account) error { a.Disabled = true; return nil })
		f.must(err)
		_, err = f.s.UpdateAccount(ctx, a.ID, func(*store.Account) error { return nil }) // nothing changed
		f.must(err)
		p := store.Pool{AccountID: a.ID, Name: "p"}
		f.must(f.s.CreatePool(ctx, &p))
		_, err = f.s.UpdatePool(ctx, a.ID, p.ID, func(p *store.Pool) error { p.IPs = []netip.Addr{netip.MustParseAddr("192.0.2.1")}; return nil })
		f.must(err)
		k := store.Key{Hash: [32]byte{1}, Role: store.RoleBasic, AccountID: a.ID}
		f.must(f.s.CreateKey(ctx, &k))
		_, err = f.s.UpdateKey(ctx, k.ID, func(k *store.Key) error { k.Disabled = true; return nil })
		f.must(err)
		f.must(f.s.NoteKeyUse(ctx, map[string]store.KeyUse{k.ID: {LastUsed: t0, Day: "2026-01-02", Sends: 1}}))
		f.must(f.s.DeleteAccount(ctx, a.ID))
		f.same("log", f.log(store.AuditQuery{}), []string{
			"key 1: create account " + a.Ref, "key 1: update account " + a.Ref,
			"key 1: create ip-pool " + p.ID, "key 1: update ip-pool " + p.ID,
			"key 1: create key " + k.ID, "key 1: update key " + k.ID,
			"key 1: delete ip-pool " + p.ID, "key 1: delete key " + k.ID, "key 1: delete account " + a.Ref,
		})
		list := f.audit(store.AuditQuery{Kind: store.AuditPool})
		f.same("what differs", list[1].After, store.Facts{"ips": "192.0.2.1"})
	}},
}

var poolTests = []test{
	{"a pool belongs to its account", func(f *fixture) {
		a := f.account("sub")
		p := store.Pool{Name: "p", Description: "why", IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}
		f.must(f.s.CreatePool(f.Context(), &p))
		if len(p.ID) != 24 || p.AccountID != store.PrimaryAccount || p.CreatedAt.IsZero() {
			f.Errorf("created %+v", p)
		}
		q := store.Pool{Name: "q", AccountID: a.ID}
		f.must(f.s.CreatePool(f.Context(), &q))
		f.is(f.s.CreatePool(f.Context(), &store.Pool{Name: "r", AccountID: 99}), store.ErrNotFound)
		for range 2 {
			got, err := f.s.Pool(f.Context(), store.PrimaryAccount, p.ID)
			f.must(err)
			f.same("pool", got, p)
			_, err = f.s.Pool(f.Context(), a.ID, p.ID)
			f.is(err, store.ErrNotFound)
			list, err := f.s.ListPools(f.Context(), a.ID)
			f.must(err)
			f.same("the sub-account's", list, []store.Pool{q})
			list, err = f.s.ListPools(f.Context(), 0)
			f.must(err)
			f.same("all", list, []store.Pool{p, q})
			f.reopen(f)
		}
		_, err := f.s.UpdatePool(f.Context(), a.ID, p.ID, func(*store.Pool) error { f.Error("called"); return nil })
		f.is(err, store.ErrNotFound)
		f.is(f.s.DeletePool(f.Context(), a.ID, p.ID), store.ErrNotFound)
		got, err := f.s.UpdatePool(f.Context(), store.PrimaryAccount, p.ID, func(p *store.Pool) error {
			p.ID, p.AccountID, p.CreatedAt = "evil", a.ID, t0
			p.Name, p.IPs = "new", p.IPs[:1]
			return nil
		})
		f.must(err)
		want := p
		want.Name, want.IPs = "new", p.IPs[:1]
		f.same("updated", got, want)
		f.must(f.s.DeletePool(f.Context(), store.PrimaryAccount, p.ID))
		for range 2 {
			_, err := f.s.Pool(f.Context(), store.PrimaryAccount, p.ID)
			f.is(err, store.ErrNotFound)
			f.reopen(f)
		}
	}},
}

var keyTests = []test{
	{"everything is found again", func(f *fixture) {
		a := f.account("sub")
		k := store.Key{
			Hash: [32]byte{1}, Role: store.RoleDeveloper, AccountID: a.ID, Description: "d", ExpiresAt: t0, Disabled: true,
			Details: store.KeyDetails{UserID: "u", UserName: "n", Email: "e@x", Requestor: "r", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, PerMinute: 1, PerDay: 2},
		}
		f.must(f.s.CreateKey(f.Context(), &k))
		f.same("kind", k.Kind, store.KindUser)
		for range 2 {
			got, err := f.s.KeyByHash(f.Context(), k.Hash)
			f.must(err)
			f.same("key", got, k)
			f.reopen(f)
		}
		if !k.Expired(t0) || k.Expired(t0.Add(-time.Microsecond)) || (&store.Key{}).Expired(t0) {
			f.Error("a key expires at the wrong moment")
		}
	}},
	{"a key is bound to a domain of its own account only", func(f *fixture) {
		a := f.account("sub")
		d := f.domain("one.example")
		f.is(f.s.CreateKey(f.Context(), &store.Key{Hash: [32]byte{1}, Role: store.RoleSending, AccountID: a.ID, DomainID: d.ID}), store.ErrNotFound)
		f.is(f.s.CreateKey(f.Context(), &store.Key{Hash: [32]byte{1}, Role: store.RoleSending, AccountID: 99}), store.ErrNotFound)
	}},
	{"update changes what may be changed", func(f *fixture) {
		k := store.Key{Hash: [32]byte{1}, Role: store.RoleBasic}
		f.must(f.s.CreateKey(f.Context(), &k))
		got, err := f.s.UpdateKey(f.Context(), k.ID, func(k *store.Key) error {
			k.ID, k.Hash, k.AccountID, k.DomainID, k.CreatedAt, k.Use.Sends = "evil", [32]byte{9}, 99, 99, t0, 7
			k.Disabled, k.Details.PerDay = true, 5
			return nil
		})
		f.must(err)
		want := k
		want.Disabled, want.Details.PerDay, want.UpdatedAt = true, 5, got.UpdatedAt
		f.same("returned", got, want)
		for range 2 {
			got, err := f.s.KeyByHash(f.Context(), k.Hash)
			f.must(err)
			f.same("stored", got, want)
			f.reopen(f)
		}
		_, err = f.s.UpdateKey(f.Context(), "nobody", func(*store.Key) error { f.Error("called"); return nil })
		f.is(err, store.ErrNotFound)
	}},
	{"use is noted", func(f *fixture) {
		k := store.Key{Hash: [32]byte{1}, Role: store.RoleBasic}
		f.must(f.s.CreateKey(f.Context(), &k))
		use := store.KeyUse{LastUsed: t0, Day: "2026-01-02", Sends: 3}
		f.must(f.s.NoteKeyUse(f.Context(), map[string]store.KeyUse{k.ID: use, "gone": use}))
		for range 2 {
			got, err := f.s.KeyByHash(f.Context(), k.Hash)
			f.must(err)
			f.same("use", got.Use, use)
			f.reopen(f)
		}
	}},
}
