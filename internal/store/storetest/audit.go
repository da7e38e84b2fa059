package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// as returns a context for changes by the given actor.
func (f *fixture) as(actor, reason string) context.Context {
	return store.WithChange(f.Context(), &store.Change{Actor: actor, Reason: reason})
}

func (f *fixture) audit(q store.AuditQuery) []store.AuditEntry {
	f.Helper()
	list, err := f.s.AuditLog(f.Context(), q)
	f.must(err)
	return list
}

// log lists entries, oldest first, on one line each.
func (f *fixture) log(q store.AuditQuery) []string {
	f.Helper()
	var lines []string
	for _, e := range f.audit(q) {
		lines = append([]string{fmt.Sprintf("%s: %s %s %s", e.Actor, e.Action, e.Kind, e.Object)}, lines...)
	}
	return lines
}

var auditTests = []test{
	{"a change of what the store does not keep is noted as others are", func(f *fixture) {
		f.must(f.s.NoteChange(f.as("key 1", "a new auditor"), store.AuditEntry{
			Action: store.AuditReplace, Kind: store.AuditEvidence, Object: "signing key",
			Before: store.Facts{"verifier": "a"}, After: store.Facts{"verifier": "b"},
		}))
		list := f.audit(store.AuditQuery{Kind: store.AuditEvidence})
		if len(list) != 1 || list[0].Actor != "key 1" || list[0].Reason != "a new auditor" || list[0].After["verifier"] != "b" || list[0].ID == 0 || list[0].Time.IsZero() {
			f.Errorf("entries %+v", list)
		}
	}},
	{"a change says who, what, from which value and why", func(f *fixture) {
		d := store.Domain{Name: "one.example", State: store.DomainActive, TLS: mail.TLSFlags{RequireTLS: mail.True}}
		f.must(f.s.CreateDomain(f.as("operator", ""), &d))
		change := &store.Change{Actor: "key 0123 (shop)", Reason: "the partner cannot do TLS"}
		_, err := f.s.UpdateDomain(store.WithChange(f.Context(), change), "one.example", func(d *store.Domain) error {
			d.TLS.RequireTLS = mail.False
			d.Delivery.Floor = true
			change.Details = map[string]any{"queued-messages": 17.0} // what is added late counts too
			return nil
		})
		f.must(err)
		want := store.AuditEntry{
			Actor: "key 0123 (shop)", Action: store.AuditUpdate, Kind: store.AuditDomain, Object: "one.example", Domain: "one.example",
			Before: store.Facts{"require-tls": "true", "floor": "no"}, After: store.Facts{"require-tls": "false", "floor": "yes"},
			Reason: "the partner cannot do TLS", Details: map[string]any{"queued-messages": 17.0},
		}
		for range 2 {
			list := f.audit(store.AuditQuery{})
			if len(list) != 2 || list[0].ID <= list[1].ID || list[0].Time.Before(list[1].Time) || list[0].Time.Location() != time.UTC {
				f.Fatalf("entries %+v", list)
			}
			if diff := cmp.Diff(want, list[0], cmpopts.IgnoreFields(store.AuditEntry{}, "ID", "Time")); diff != "" {
				f.Error(diff)
			}
			created := list[1]
			if created.Action != store.AuditCreate || created.Before != nil || created.After["require-tls"] != "true" || created.After["state"] != "active" || created.Details != nil {
				f.Errorf("creation is noted as %+v", created)
			}
			f.reopen(f)
		}
	}},
	{"everything that decides who may send and how is noted, and nothing else", func(f *fixture) {
		ctx := f.as("operator", "")
		d := store.Domain{Name: "one.example", State: store.DomainActive}
		f.must(f.s.CreateDomain(ctx, &d))
		_, err := f.s.UpdateDomain(ctx, d.Name, func(d *store.Domain) error { // what verify saw
			d.Checks = []store.DNSCheck{{Name: "one.example", CheckedAt: t0}}
			return nil
		})
		f.must(err)
		k := store.Key{Hash: [32]byte{1}, Role: store.RoleSending, DomainID: d.ID, Description: "shop"}
		f.must(f.s.CreateKey(ctx, &k))
		loose := store.Key{Hash: [32]byte{2}, Role: store.RoleAdmin}
		f.must(f.s.CreateKey(ctx, &loose))
		for range 2 {
			_, err = f.s.PutCredential(ctx, store.Credential{Login: "a@one.example", DomainID: d.ID, PasswordHash: "$argon2id$secret"})
			f.must(err)
		}
		f.must(f.s.DeleteCredential(ctx, d.ID, "a@one.example"))
		f.must(f.s.DeleteKey(ctx, loose.ID))
		_, err = f.s.PutCredential(ctx, store.Credential{Login: "b@one.example", DomainID: d.ID, PasswordHash: "$argon2id$secret"})
		f.must(err)
		f.must(f.s.NoteTLS(ctx, map[string]time.Time{"mx.example": t0}, t0))
		f.must(f.s.DeleteDomain(f.Context(), d.Name)) // nobody is named: the system
		f.same("log", f.log(store.AuditQuery{}), []string{
			"operator: create domain one.example",
			"operator: create key " + k.ID, "operator: create key " + loose.ID,
			"operator: create credential a@one.example", "operator: update credential a@one.example", "operator: delete credential a@one.example",
			"operator: delete key " + loose.ID,
			"operator: create credential b@one.example",
			"system: delete credential b@one.example", "system: delete key " + k.ID, "system: delete domain one.example",
		})
		for _, e := range f.audit(store.AuditQuery{}) {
			if text := fmt.Sprint(e); strings.Contains(text, "secret") || strings.Contains(text, "argon2") {
				f.Errorf("an entry has a secret: %s", text)
			}
		}
	}},
	{"a change that fails leaves no entry", func(f *fixture) {
		f.domain("one.example")
		before := len(f.audit(store.AuditQuery{}))
		no := errors.New("no")
		_, err := f.s.UpdateDomain(f.Context(), "one.example", func(d *store.Domain) error { d.State = store.DomainDisabled; return no })
		f.is(err, no)
		f.is(f.s.CreateDomain(f.Context(), &store.Domain{Name: "one.example"}), store.ErrExists)
		f.is(f.s.DeleteKey(f.Context(), "none"), store.ErrNotFound)
		f.is(f.s.DeleteOverride(f.Context(), 99), store.ErrNotFound)
		f.is(f.s.DeleteDomain(f.Context(), "no.example"), store.ErrNotFound)
		f.same("entries", len(f.audit(store.AuditQuery{})), before)
	}},
	{"filters and pages", func(f *fixture) {
		f.domain("one.example")
		f.domain("two.example")
		for i := range 5 {
			_, err := f.s.UpdateDomain(f.as("operator", fmt.Sprint(i)), "one.example", func(d *store.Domain) error { d.Delivery.Lifetime++; return nil })
			f.must(err)
		}
		f.must(f.s.CreateKey(f.Context(), &store.Key{Hash: [32]byte{1}, Role: store.RoleAdmin}))
		f.same("of a domain", len(f.audit(store.AuditQuery{Domain: "one.example"})), 6)
		f.same("of nobody", len(f.audit(store.AuditQuery{Domain: "no.example"})), 0)
		f.same("keys", len(f.audit(store.AuditQuery{Kind: store.AuditKey})), 1)
		all := f.audit(store.AuditQuery{})
		f.same("all", len(all), 8)
		var paged []store.AuditEntry
		for before := int64(0); ; before = paged[len(paged)-1].ID {
			page := f.audit(store.AuditQuery{Before: before, Limit: 3})
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
		}
		f.same("pages", paged, all)
		first, last := all[len(all)-1].Time, all[0].Time
		f.same("since is included", len(f.audit(store.AuditQuery{Since: first})), 8)
		f.same("until is not", len(f.audit(store.AuditQuery{Until: first})), 0)
		f.same("later", len(f.audit(store.AuditQuery{Since: last.Add(time.Microsecond)})), 0)
		_, err := f.s.AuditLog(f.Context(), store.AuditQuery{Limit: 1001})
		if err == nil {
			f.Error("a page of 1001 was given")
		}
	}},
}

// exception returns an override that lowers security, for a day from now.
func exception(target string) mail.Override {
	return mail.Override{Target: target, DANE: mail.Ignore, Author: "operator", Reason: "their TLSA record is wrong", Expires: time.Now().Add(24 * time.Hour)}
}

var overrideTests = []test{
	{"everything is found again", func(f *fixture) {
		o := mail.Override{
			Target: "mx.bank.example", MXHost: true, DANE: mail.Audit, STS: mail.Ignore, Requirement: "RA", MinTLS: mail.TLS11,
			OnUnverified: mail.UnverifiedEncrypt, ClientCert: "bank", Author: "key 0123 (ops)", Reason: "agreed with their postmaster",
			Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond),
		}
		f.must(f.s.CreateOverride(f.Context(), &o, false))
		raise := mail.Override{Target: "bank.example", Requirement: "RV", Author: "operator", Reason: "contract"}
		f.must(f.s.CreateOverride(f.Context(), &raise, false))
		if o.ID == 0 || raise.ID <= o.ID || o.Created.IsZero() || o.Created.Location() != time.UTC {
			f.Fatalf("ids %d and %d, created %v", o.ID, raise.ID, o.Created)
		}
		for range 2 {
			got, err := f.s.OverrideByID(f.Context(), o.ID)
			f.must(err)
			f.same("by id", got, o)
			list, err := f.s.ListOverrides(f.Context())
			f.must(err)
			f.same("newest first", list, []mail.Override{raise, o})
			f.same("what counts", f.s.Override("bank.example", "mx.bank.example", o.Created), []mail.Override{raise, o})
			f.reopen(f)
		}
	}},
	{"a look-up finds the domain's, then the host's, and none as nil", func(f *fixture) {
		now := time.Now()
		if got := f.s.Override("one.example", "mx.one.example", now); got != nil {
			f.Errorf("without any: %v", got)
		}
		domain, host := exception("one.example"), exception("mx.one.example") // in this order, so that the host's ends last
		host.MXHost = true
		f.must(f.s.CreateOverride(f.Context(), &domain, false))
		f.must(f.s.CreateOverride(f.Context(), &host, false))
		for _, c := range []struct {
			nextHop, mxHost string
			want            []mail.Override
		}{
			{"one.example", "mx.one.example", []mail.Override{domain, host}},
			{"one.example", "mx.two.example", []mail.Override{domain}},
			{"one.example", "", []mail.Override{domain}},
			{"two.example", "mx.one.example", []mail.Override{host}},
			{"mx.one.example", "one.example", nil}, // a domain is not a host
			{"", "", nil},
			{"sub.one.example", "x.mx.one.example", nil},
		} {
			f.same(c.nextHop+" by "+c.mxHost, f.s.Override(c.nextHop, c.mxHost, now), c.want)
		}
		f.same("after the end of both", f.s.Override("one.example", "mx.one.example", host.Expires), []mail.Override(nil))
	}},
	{"one active override of a target, or its replacement", func(f *fixture) {
		first, second := exception("one.example"), exception("one.example")
		f.must(f.s.CreateOverride(f.as("operator", ""), &first, false))
		second.Reason = "still wrong"
		f.is(f.s.CreateOverride(f.Context(), &second, false), store.ErrExists)
		f.same("the refused one", second.ID, int64(0))
		host := exception("one.example")
		host.MXHost = true // another target
		f.must(f.s.CreateOverride(f.Context(), &host, false))
		f.must(f.s.CreateOverride(f.as("operator", ""), &second, true))
		for range 2 {
			_, err := f.s.OverrideByID(f.Context(), first.ID)
			f.is(err, store.ErrNotFound)
			f.same("what counts", f.s.Override("one.example", "", time.Now()), []mail.Override{second})
			e := f.audit(store.AuditQuery{})[0]
			if e.Action != store.AuditReplace || e.Before["reason"] != first.Reason || e.After["reason"] != "still wrong" || e.Reason != "still wrong" || e.Domain != "one.example" {
				f.Errorf("noted as %+v", e)
			}
			f.reopen(f)
		}
	}},
	{"what must not be is refused", func(f *fixture) {
		for name, change := range map[string]func(*mail.Override){
			"no target":  func(o *mail.Override) { o.Target = "" },
			"no setting": func(o *mail.Override) { o.DANE = "" },
			"no reason":  func(o *mail.Override) { o.Reason = "" },
			"no end":     func(o *mail.Override) { o.Expires = time.Time{} },
			"over":       func(o *mail.Override) { o.Expires = time.Now().Add(-time.Second) },
		} {
			o := exception("one.example")
			change(&o)
			if err := f.s.CreateOverride(f.Context(), &o, false); err == nil {
				f.Errorf("%s: stored", name)
			}
		}
		f.same("entries", len(f.audit(store.AuditQuery{})), 0)
	}},
	{"deleted is gone, and its id is never given again", func(f *fixture) {
		o := exception("one.example")
		f.must(f.s.CreateOverride(f.as("operator", ""), &o, false))
		f.must(f.s.DeleteOverride(f.as("operator", "repaired"), o.ID))
		f.is(f.s.DeleteOverride(f.Context(), o.ID), store.ErrNotFound)
		for range 2 {
			f.same("what counts", f.s.Override("one.example", "", time.Now()), []mail.Override(nil))
			f.reopen(f)
		}
		e := f.audit(store.AuditQuery{})[0]
		if e.Action != store.AuditDelete || e.Reason != "repaired" || e.Before["dane"] != "ignore" || e.After != nil {
			f.Errorf("noted as %+v", e)
		}
		again := exception("one.example")
		f.must(f.s.CreateOverride(f.Context(), &again, false))
		if again.ID <= o.ID {
			f.Errorf("id %d was given again", o.ID)
		}
	}},
	{"an end is noted once, the override listed for 90 days, then forgotten", func(f *fixture) {
		o, stays := exception("one.example"), mail.Override{Target: "two.example", Requirement: "RV", Author: "operator", Reason: "contract"}
		f.must(f.s.CreateOverride(f.as("operator", ""), &o, false))
		f.must(f.s.CreateOverride(f.as("operator", ""), &stays, false))
		expire := func(at time.Time) int {
			f.Helper()
			ended, err := f.s.ExpireOverrides(f.Context(), at)
			f.must(err)
			return len(ended)
		}
		list := func() int {
			f.Helper()
			all, err := f.s.ListOverrides(f.Context())
			f.must(err)
			return len(all)
		}
		f.same("before the end", expire(o.Expires.Add(-time.Microsecond)), 0)
		f.same("at the end", expire(o.Expires), 1)
		for range 2 {
			f.same("again", expire(o.Expires.Add(time.Hour)), 0)
			f.same("listed", list(), 2)
			f.reopen(f)
		}
		e := f.audit(store.AuditQuery{})[0]
		if e.Actor != store.ActorSystem || e.Action != store.AuditExpire || e.Object != fmt.Sprint(o.ID) || e.Before["dane"] != "ignore" || e.After != nil {
			f.Errorf("noted as %+v", e)
		}
		f.same("on the last day", expire(o.Expires.Add(store.KeepExpired-time.Second)), 0)
		f.same("listed", list(), 2)
		f.same("after it", expire(o.Expires.Add(store.KeepExpired)), 0)
		for range 2 {
			f.same("listed", list(), 1)
			f.reopen(f)
		}
		f.same("entries", len(f.audit(store.AuditQuery{})), 3)
	}},
}
