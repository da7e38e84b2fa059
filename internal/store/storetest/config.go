package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

func (f *fixture) domain(name string) store.Domain {
	f.Helper()
	d := store.Domain{Name: name, State: store.DomainActive}
	f.must(f.s.CreateDomain(f.Context(), &d))
	return d
}

var domainTests = []test{
	{"everything is found again", func(f *fixture) {
		d := store.Domain{
			Name: "sender.example", State: store.DomainActive,
			TLS:      mail.TLSFlags{RequireTLS: mail.True, SkipVerification: mail.False},
			Delivery: mail.DomainDelivery{EncryptUnverified: true, DeferDowngrade: true, Retry: []time.Duration{time.Minute, time.Hour}, Lifetime: 8 * time.Hour},
			DKIM: []store.DKIMKey{
				{Selector: "s1", PrivatePEM: "-----BEGIN\nx\n", Public: "v=DKIM1; p=x", Active: true, CreatedAt: t0, SeenAt: t0.Add(time.Hour)},
				{Selector: "s0", PrivatePEM: "-----BEGIN\ny\n", Public: "v=DKIM1; p=y", Successor: true, RetiredAt: t0.Add(2 * time.Hour)},
			},
			Settings: store.DomainSettings{SpamAction: "tag", Wildcard: true, WebScheme: "https", WebPrefix: "email", DKIMDisable: true, DisabledWhy: "why"},
			Checks:   []store.DNSCheck{{Name: "sender.example", Type: "TXT", Valid: "valid", Seen: []string{"v=spf1"}, CheckedAt: t0}},
		}
		f.must(f.s.CreateDomain(f.Context(), &d))
		if d.ID == 0 || d.CreatedAt.IsZero() || d.CreatedAt.Location() != time.UTC {
			f.Fatalf("id %d, created %v", d.ID, d.CreatedAt)
		}
		for range 2 {
			got, err := f.s.Domain(f.Context(), "sender.example")
			f.must(err)
			f.same("by name", got, d)
			got, err = f.s.DomainByID(f.Context(), d.ID)
			f.must(err)
			f.same("by id", got, d)
			f.reopen(f)
		}
	}},
	{"unknown ones are not found", func(f *fixture) {
		_, err := f.s.Domain(f.Context(), "no.example")
		f.is(err, store.ErrNotFound)
		_, err = f.s.Domain(f.Context(), "")
		f.is(err, store.ErrNotFound)
		_, err = f.s.DomainByID(f.Context(), 99)
		f.is(err, store.ErrNotFound)
		_, err = f.s.UpdateDomain(f.Context(), "no.example", func(*store.Domain) error { f.Error("called"); return nil })
		f.is(err, store.ErrNotFound)
		f.is(f.s.DeleteDomain(f.Context(), "no.example"), store.ErrNotFound)
	}},
	{"a name is given once", func(f *fixture) {
		d := f.domain("one.example")
		again := store.Domain{Name: "one.example", State: store.DomainDisabled}
		f.is(f.s.CreateDomain(f.Context(), &again), store.ErrExists)
		f.same("the refused one", again.ID, int64(0))
		got, err := f.s.Domain(f.Context(), "one.example")
		f.must(err)
		f.same("state", got.State, d.State)
	}},
	{"newest first", func(f *fixture) {
		for i := range 3 {
			f.domain(fmt.Sprintf("d%d.example", i))
		}
		list, err := f.s.ListDomains(f.Context())
		f.must(err)
		var names []string
		for _, d := range list {
			names = append(names, d.Name)
		}
		f.same("names", names, []string{"d2.example", "d1.example", "d0.example"})
	}},
	{"update", func(f *fixture) {
		d := f.domain("one.example")
		got, err := f.s.UpdateDomain(f.Context(), "one.example", func(d *store.Domain) error {
			d.ID, d.Name, d.CreatedAt = 99, "evil.example", t0
			d.State = store.DomainDisabled
			d.Checks = []store.DNSCheck{{Name: "x", Seen: []string{"y"}}}
			return nil
		})
		f.must(err)
		want := d
		want.State, want.Checks = store.DomainDisabled, []store.DNSCheck{{Name: "x", Seen: []string{"y"}}}
		f.same("returned", got, want)
		got.Checks[0].Seen[0] = "changed by the caller"
		for range 2 {
			got, err = f.s.Domain(f.Context(), "one.example")
			f.must(err)
			f.same("stored", got, want)
			f.reopen(f)
		}
		_, err = f.s.Domain(f.Context(), "evil.example")
		f.is(err, store.ErrNotFound)
	}},
	{"an update that fails changes nothing", func(f *fixture) {
		d := f.domain("one.example")
		no := errors.New("no")
		_, err := f.s.UpdateDomain(f.Context(), "one.example", func(d *store.Domain) error { d.State = store.DomainDisabled; return no })
		f.is(err, no)
		got, err := f.s.Domain(f.Context(), "one.example")
		f.must(err)
		f.same("stored", got, d)
	}},
	{"concurrent updates lose nothing", func(f *fixture) {
		f.domain("one.example")
		const writers, each = 8, 10
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					_, err := f.s.UpdateDomain(f.Context(), "one.example", func(d *store.Domain) error {
						d.Delivery.Lifetime++
						return nil
					})
					if err != nil {
						f.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for range 2 {
			got, err := f.s.Domain(f.Context(), "one.example")
			f.must(err)
			f.same("updates", int(got.Delivery.Lifetime), writers*each)
			f.reopen(f)
		}
	}},
	{"delete takes keys and credentials along, and the id is never given again", func(f *fixture) {
		d, other := f.domain("one.example"), f.domain("two.example")
		k := store.Key{Hash: [32]byte{1}, Role: store.RoleSending, DomainID: d.ID}
		f.must(f.s.CreateKey(f.Context(), &k))
		kept := store.Key{Hash: [32]byte{2}, Role: store.RoleSending, DomainID: other.ID}
		f.must(f.s.CreateKey(f.Context(), &kept))
		_, err := f.s.PutCredential(f.Context(), store.Credential{Login: "a@one.example", DomainID: d.ID, PasswordHash: "x"})
		f.must(err)
		f.must(f.s.DeleteDomain(f.Context(), "one.example"))
		f.must(f.s.DeleteDomain(f.Context(), "two.example"))
		for range 2 {
			_, err = f.s.Domain(f.Context(), "one.example")
			f.is(err, store.ErrNotFound)
			_, err = f.s.DomainByID(f.Context(), d.ID)
			f.is(err, store.ErrNotFound)
			_, err = f.s.KeyByHash(f.Context(), k.Hash)
			f.is(err, store.ErrNotFound)
			_, err = f.s.Credential(f.Context(), "a@one.example")
			f.is(err, store.ErrNotFound)
			f.reopen(f)
		}
		if again := f.domain("one.example"); again.ID <= other.ID {
			f.Errorf("id %d was given again, %d had been", again.ID, other.ID)
		}
	}},
}

var loginTests = []test{
	{"keys", func(f *fixture) {
		d := f.domain("one.example")
		a := store.Key{Hash: [32]byte{1, 2, 3}, Role: store.RoleAdmin, Description: "first"}
		b := store.Key{Hash: [32]byte{4}, Role: store.RoleSending, DomainID: d.ID}
		f.must(f.s.CreateKey(f.Context(), &a))
		f.must(f.s.CreateKey(f.Context(), &b))
		if len(a.ID) != 16 || strings.Trim(a.ID, "0123456789abcdef") != "" || a.ID == b.ID || a.CreatedAt.IsZero() {
			f.Errorf("ids %q and %q, created %v", a.ID, b.ID, a.CreatedAt)
		}
		again := store.Key{Hash: a.Hash, Role: store.RoleAdmin}
		f.is(f.s.CreateKey(f.Context(), &again), store.ErrExists)
		f.same("the refused one", again.ID, "")
		f.is(f.s.CreateKey(f.Context(), &store.Key{Hash: [32]byte{9}, Role: store.RoleSending, DomainID: 99}), store.ErrNotFound)
		for range 2 {
			got, err := f.s.KeyByHash(f.Context(), a.Hash)
			f.must(err)
			f.same("key", got, a)
			_, err = f.s.KeyByHash(f.Context(), [32]byte{5})
			f.is(err, store.ErrNotFound)
			list, err := f.s.ListKeys(f.Context())
			f.must(err)
			f.same("oldest first", list, []store.Key{a, b})
			f.reopen(f)
		}
		f.must(f.s.DeleteKey(f.Context(), a.ID))
		f.is(f.s.DeleteKey(f.Context(), a.ID), store.ErrNotFound)
		for range 2 {
			_, err := f.s.KeyByHash(f.Context(), a.Hash)
			f.is(err, store.ErrNotFound)
			f.reopen(f)
		}
	}},
	{"credentials", func(f *fixture) {
		d, other := f.domain("one.example"), f.domain("two.example")
		c := store.Credential{Login: "b@one.example", DomainID: d.ID, PasswordHash: "old"}
		created, err := f.s.PutCredential(f.Context(), c)
		f.must(err)
		f.same("created", created, true)
		c.PasswordHash = "new"
		created, err = f.s.PutCredential(f.Context(), c)
		f.must(err)
		f.same("created again", created, false)
		_, err = f.s.PutCredential(f.Context(), store.Credential{Login: "a@one.example", DomainID: d.ID, PasswordHash: "x"})
		f.must(err)
		_, err = f.s.PutCredential(f.Context(), store.Credential{Login: "x@no.example", DomainID: 99})
		f.is(err, store.ErrNotFound)
		for range 2 {
			got, err := f.s.Credential(f.Context(), "b@one.example")
			f.must(err)
			if got.CreatedAt.IsZero() {
				f.Error("no time of creation")
			}
			got.CreatedAt = time.Time{}
			f.same("credential", got, c)
			list, err := f.s.ListCredentials(f.Context(), d.ID)
			f.must(err)
			if len(list) != 2 || list[0].Login != "a@one.example" || list[1].Login != "b@one.example" {
				f.Errorf("list is %v", list)
			}
			f.reopen(f)
		}
		// Another domain's login does not exist there.
		f.is(f.s.DeleteCredential(f.Context(), other.ID, "a@one.example"), store.ErrNotFound)
		_, err = f.s.PutCredential(f.Context(), store.Credential{Login: "a@one.example", DomainID: other.ID, PasswordHash: "stolen"})
		f.is(err, store.ErrExists)
		list, err := f.s.ListCredentials(f.Context(), other.ID)
		f.must(err)
		f.same("the other domain's", len(list), 0)
		f.must(f.s.DeleteCredential(f.Context(), d.ID, "a@one.example"))
		f.is(f.s.DeleteCredential(f.Context(), d.ID, "a@one.example"), store.ErrNotFound)
		_, err = f.s.Credential(f.Context(), "a@one.example")
		f.is(err, store.ErrNotFound)
	}},
}

var peerTests = []test{
	{"hosts are found again, with their latest time", func(f *fixture) {
		f.must(f.s.NoteTLS(f.Context(), map[string]time.Time{"mx1.example": t0, "mx2.example": t0.Add(time.Hour)}, t0.Add(-time.Hour)))
		f.must(f.s.NoteTLS(f.Context(), map[string]time.Time{"mx1.example": t0.Add(2 * time.Hour), "mx2.example": t0}, t0.Add(-time.Hour)))
		for range 2 {
			got, err := f.s.SeenTLS(f.Context(), t0)
			f.must(err)
			f.same("hosts", got, map[string]time.Time{"mx1.example": t0.Add(2 * time.Hour), "mx2.example": t0.Add(time.Hour)})
			f.reopen(f)
		}
	}},
	{"hosts not seen for long are neither shown nor kept", func(f *fixture) {
		f.must(f.s.NoteTLS(f.Context(), map[string]time.Time{"old.example": t0, "new.example": t0.Add(time.Hour)}, t0))
		got, err := f.s.SeenTLS(f.Context(), t0.Add(time.Minute))
		f.must(err)
		f.same("shown", got, map[string]time.Time{"new.example": t0.Add(time.Hour)})
		f.must(f.s.NoteTLS(f.Context(), nil, t0.Add(time.Minute)))
		got, err = f.s.SeenTLS(f.Context(), t0.Add(-time.Hour))
		f.must(err)
		f.same("kept", got, map[string]time.Time{"new.example": t0.Add(time.Hour)})
	}},
}
