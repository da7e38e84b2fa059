package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// hooks replaces the webhooks of a domain, or with 0 of the account.
func (f *fixture) hooks(account, domain int64, urls ...string) []store.Webhook {
	f.Helper()
	list, err := f.s.ChangeWebhooks(f.Context(), account, domain, func(old []store.Webhook) ([]store.Webhook, error) {
		var next []store.Webhook
		for _, u := range urls {
			h := store.Webhook{URL: u}
			for _, o := range old {
				if o.URL == u {
					h = o
				}
			}
			h.Kinds, h.Description = []string{"delivered", "opened"}, "of "+u
			next = append(next, h)
		}
		return next, nil
	})
	f.must(err)
	return list
}

func (f *fixture) targets() []store.WebhookTarget {
	f.Helper()
	list, err := f.s.WebhookTargets(f.Context())
	f.must(err)
	return list
}

func (f *fixture) dueCalls(target int64, now time.Time) []store.WebhookCall {
	f.Helper()
	list, err := f.s.DueWebhookCalls(f.Context(), target, now, 100)
	f.must(err)
	return list
}

var webhookTests = []test{
	{"webhooks of domains and accounts are found again, in their order", func(f *fixture) {
		d := f.domain("one.example")
		before := f.s.WebhookVersion()
		of := f.hooks(store.PrimaryAccount, d.ID, "https://b.example/", "https://a.example/")
		account := f.hooks(store.PrimaryAccount, 0, "https://a.example/")
		if f.s.WebhookVersion() == before {
			f.Error("the version did not change")
		}
		if of[0].ID == of[1].ID || len(of[0].ID) != 24 || of[0].CreatedAt.IsZero() || of[0].DomainID != d.ID || of[0].AccountID != store.PrimaryAccount {
			f.Errorf("webhook %+v", of[0])
		}
		for range 2 {
			got, err := f.s.WebhooksOf(f.Context(), store.PrimaryAccount, d.ID)
			f.must(err)
			f.same("of the domain", got, of)
			got, err = f.s.WebhooksOf(f.Context(), store.PrimaryAccount, 0)
			f.must(err)
			f.same("of the account", got, account)
			got, err = f.s.WebhooksOf(f.Context(), 7, d.ID)
			f.must(err)
			f.same("of another account", len(got), 0)
			all, _, err := f.s.AllWebhooks(f.Context())
			f.must(err)
			f.same("all", len(all), 3)
			f.same("targets", len(f.targets()), 3)
			f.reopen(f)
		}
		kept := f.hooks(store.PrimaryAccount, d.ID, "https://a.example/", "https://c.example/")
		f.same("the one that stays", kept[0].ID, of[1].ID)
		f.same("since", kept[0].CreatedAt, of[1].CreatedAt)
	}},
	{"an error of the change changes nothing, a missing domain has no webhooks", func(f *fixture) {
		d := f.domain("one.example")
		f.hooks(store.PrimaryAccount, d.ID, "https://a.example/")
		why := errors.New("no")
		_, err := f.s.ChangeWebhooks(f.Context(), store.PrimaryAccount, d.ID, func([]store.Webhook) ([]store.Webhook, error) { return nil, why })
		f.is(err, why)
		f.same("webhooks", len(f.targets()), 1)
		for account, domain := range map[int64]int64{store.PrimaryAccount: d.ID + 5, 9: d.ID} {
			_, err = f.s.ChangeWebhooks(f.Context(), account, domain, func([]store.Webhook) ([]store.Webhook, error) {
				f.Error("asked for the webhooks of a domain that is not there")
				return nil, nil
			})
			f.is(err, store.ErrNotFound)
		}
	}},
	{"changes are made one after the other", func(f *fixture) {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				_, err := f.s.ChangeWebhooks(f.Context(), 1, 0, func(list []store.Webhook) ([]store.Webhook, error) {
					return append(list, store.Webhook{URL: fmt.Sprintf("https://%d.example/", i), Kinds: []string{"opened"}}), nil
				})
				if err != nil {
					f.Error(err)
				}
			})
		}
		all.Wait()
		list, err := f.s.WebhooksOf(f.Context(), 1, 0)
		f.must(err)
		f.same("webhooks", len(list), 20)
	}},
	{"a target ends with the last webhook that names it, or with its domain, and all that waits with it", func(f *fixture) {
		d := f.domain("one.example")
		f.hooks(1, d.ID, "https://a.example/", "https://b.example/")
		a, b := f.targets()[0], f.targets()[1]
		f.must(f.s.SaveWebhooks(f.Context(), store.WebhookProgress{
			Calls:    []store.WebhookCall{{Target: a.ID, Event: 5, DomainID: d.ID, Due: t0}, {Target: b.ID, Event: 5, DomainID: d.ID, Due: t0}},
			Attempts: []store.WebhookAttempt{{Target: a.ID, At: t0, Outcome: "deferred"}}, Keep: 10,
		}))
		f.hooks(1, d.ID, "https://b.example/")
		f.same("targets", len(f.targets()), 1)
		f.same("calls of the one that ended", len(f.dueCalls(a.ID, t0)), 0)
		f.same("calls of the other", len(f.dueCalls(b.ID, t0)), 1)
		// What is said of it later is passed over, and it gets a new identity.
		f.must(f.s.SaveWebhooks(f.Context(), store.WebhookProgress{Targets: []store.WebhookTarget{a}, Calls: []store.WebhookCall{{Target: a.ID, Event: 6, Due: t0}},
			Attempts: []store.WebhookAttempt{{Target: a.ID, At: t0, Outcome: "failed"}}, Keep: 10}))
		f.hooks(1, d.ID, "https://b.example/", "https://a.example/")
		again := f.targets()[1]
		if again.ID == a.ID || again.Waiting != 0 {
			f.Errorf("target %+v", again)
		}
		f.must(f.s.DeleteDomain(f.Context(), "one.example"))
		f.same("targets", len(f.targets()), 0)
		list, _, err := f.s.AllWebhooks(f.Context())
		f.must(err)
		f.same("webhooks", len(list), 0)
	}},
	{"progress is stored in one go and found again", func(f *fixture) {
		f.hooks(1, 0, "https://a.example/")
		id := f.targets()[0].ID
		state := store.WebhookTarget{ID: id, Position: 77, FailingSince: t0, DisabledAt: t0.Add(time.Hour), LastError: "status 500"}
		f.must(f.s.SaveWebhooks(f.Context(), store.WebhookProgress{
			Cursor: "webhook", Position: 99, Targets: []store.WebhookTarget{state},
			Calls: []store.WebhookCall{
				{Target: id, Event: 10, DomainID: 3, Attempts: 1, Due: t0.Add(time.Minute)}, {Target: id, Event: 11, DomainID: 3, Attempts: 2, Due: t0},
				{Target: id, Event: 12, DomainID: 3, Attempts: 7, Due: t0, GivenUp: true}, {Target: id, Event: 13, DomainID: 3, Attempts: 1, Due: t0},
			},
		}))
		for range 2 {
			at, err := f.s.Cursor(f.Context(), "webhook")
			f.must(err)
			f.same("cursor", at, mail.ID(99))
			state.AccountID, state.URL, state.Waiting, state.Failed, state.OldestEvent = 1, "https://a.example/", 3, 1, 10
			f.same("target", f.targets()[0], state)
			f.same("due", f.dueCalls(id, t0), []store.WebhookCall{{Target: id, Event: 11, DomainID: 3, Attempts: 2, Due: t0}, {Target: id, Event: 13, DomainID: 3, Attempts: 1, Due: t0}})
			next, err := f.s.NextWebhookCall(f.Context(), id)
			f.must(err)
			f.same("next", next, t0)
			f.reopen(f)
		}
		f.must(f.s.SaveWebhooks(f.Context(), store.WebhookProgress{Done: []store.WebhookCall{{Target: id, Event: 11}}, Calls: []store.WebhookCall{{Target: id, Event: 13, DomainID: 3, Attempts: 2, Due: t0.Add(time.Hour)}}}))
		f.same("due", len(f.dueCalls(id, t0)), 0)
		n, err := f.s.ReplayFailedWebhookCalls(f.Context(), id, t0)
		f.must(err)
		f.same("replayed", n, 1)
		f.same("due", f.dueCalls(id, t0), []store.WebhookCall{{Target: id, Event: 12, DomainID: 3, Due: t0}})
		f.must(f.s.ReplayWebhookCalls(f.Context(), []store.WebhookCall{{Target: id, Event: 20, DomainID: 3, Due: t0}, {Target: id, Event: 13, DomainID: 3, Due: t0}}))
		f.same("due", len(f.dueCalls(id, t0)), 3)
		f.must(f.s.SaveWebhooks(f.Context(), store.WebhookProgress{Calls: []store.WebhookCall{{Target: id, Event: 12, GivenUp: true}, {Target: id, Event: 20, GivenUp: true}}, Forget: 15}))
		f.same("given up and not forgotten", f.targets()[0].Failed, 1)
	}},
	{"attempts are kept as many as were asked for, newest first", func(f *fixture) {
		f.hooks(1, 0, "https://a.example/", "https://b.example/")
		a, b := f.targets()[0].ID, f.targets()[1].ID
		var made []store.WebhookAttempt
		for i := range 30 {
			made = append(made, store.WebhookAttempt{Target: a, At: t0.Add(time.Duration(i) * time.Second), Event: mail.ID(100 + i%3), Kind: "opened", Attempt: i + 1,
				Outcome: "deferred", Status: 500, Latency: 3 * time.Millisecond, Error: "e", Answer: "no"})
		}
		f.must(f.s.SaveWebhooks(f.Context(), store.WebhookProgress{Attempts: made, Keep: 20}))
		f.must(f.s.SaveWebhooks(f.Context(), store.WebhookProgress{Attempts: []store.WebhookAttempt{{Target: b, At: t0, Outcome: "failed"}}, Keep: 20}))
		got, err := f.s.WebhookAttempts(f.Context(), store.WebhookAttemptQuery{Targets: []int64{a}, Limit: 1000})
		f.must(err)
		want := slices.Clone(made[10:])
		slices.Reverse(want)
		f.same("attempts", got, want)
		got, err = f.s.WebhookAttempts(f.Context(), store.WebhookAttemptQuery{Targets: []int64{a, b}, Event: 101, Limit: 2})
		f.must(err)
		f.same("of one event", []int{len(got), got[0].Attempt}, []int{2, 29})
		got, err = f.s.WebhookAttempts(f.Context(), store.WebhookAttemptQuery{Limit: 2})
		f.must(err)
		f.same("of nobody", len(got), 0)
		if _, err = f.s.WebhookAttempts(f.Context(), store.WebhookAttemptQuery{Targets: []int64{a}}); err == nil {
			f.Error("no limit was taken")
		}
	}},
	{"an account has a signing key from its first call on, and a new one when it wants", func(f *fixture) {
		first, err := f.s.SigningKey(f.Context(), 1)
		f.must(err)
		if !strings.HasPrefix(first.Key, "key-") || len(first.Key) < 36 || first.Previous != "" {
			f.Errorf("key %+v", first)
		}
		other, err := f.s.SigningKey(f.Context(), 2)
		f.must(err)
		if other.Key == first.Key {
			f.Error("two accounts have one key")
		}
		second, err := f.s.RotateSigningKey(f.Context(), 1, time.Time{})
		f.must(err)
		if second.Key == first.Key || second.Previous != "" || second.At(time.Now()) != second.Key {
			f.Errorf("key %+v", second)
		}
		until := time.Now().Add(time.Hour)
		third, err := f.s.RotateSigningKey(f.Context(), 1, until)
		f.must(err)
		fourth, err := f.s.RotateSigningKey(f.Context(), 1, until) // what signs is still the second
		f.must(err)
		if third.Previous != second.Key || fourth.Previous != second.Key || fourth.At(until.Add(-time.Second)) != second.Key || fourth.At(until.Add(time.Second)) != fourth.Key {
			f.Errorf("keys %+v, %+v", third, fourth)
		}
		for range 2 {
			got, err := f.s.SigningKey(f.Context(), 1)
			f.must(err)
			f.same("key", got, fourth)
			f.reopen(f)
		}
	}},
	{"changes are in the audit log, and no key is", func(f *fixture) {
		d := f.domain("one.example")
		list := f.hooks(1, d.ID, "https://a.example/")
		f.hooks(1, d.ID, "https://a.example/") // changes nothing
		f.hooks(1, d.ID)
		k, err := f.s.RotateSigningKey(f.Context(), 1, time.Time{})
		f.must(err)
		entries, err := f.s.AuditLog(f.Context(), store.AuditQuery{Kind: store.AuditWebhook})
		f.must(err)
		f.same("entries", len(entries), 3)
		f.same("key", []any{entries[0].Object, entries[0].After["key"]}, []any{"http_signing_key", "changed"})
		f.same("deleted", []any{entries[1].Action, entries[1].Object, entries[1].Before["url"]}, []any{store.AuditDelete, list[0].ID, "https://a.example/"})
		f.same("created", []any{entries[2].Action, entries[2].Domain, entries[2].After["events"]}, []any{store.AuditCreate, "one.example", "delivered,opened"})
		if strings.Contains(fmt.Sprint(entries), k.Key) {
			f.Error("the audit log holds a key")
		}
	}},
	{"a context that has ended, or a closed store, changes nothing", func(f *fixture) {
		if _, err := f.s.ChangeWebhooks(cancelled(), 1, 0, func(list []store.Webhook) ([]store.Webhook, error) { return list, nil }); err == nil {
			f.Error("changed under a context that has ended")
		}
		if err := f.s.SaveWebhooks(cancelled(), store.WebhookProgress{Cursor: "webhook", Position: 5}); err == nil {
			f.Error("saved under a context that has ended")
		}
		f.must(f.s.Close())
		f.is(f.s.SaveWebhooks(f.Context(), store.WebhookProgress{Cursor: "webhook", Position: 5}), store.ErrClosed)
		_, err := f.s.RotateSigningKey(f.Context(), 1, time.Time{})
		f.is(err, store.ErrClosed)
	}},
}
