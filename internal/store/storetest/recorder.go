package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// clicked is an event about a message, as a visit to one of its links makes it.
func clicked(m *store.NewMessage, recipient string) *event.Record {
	return &event.Record{Type: event.Clicked, DomainID: m.DomainID, Message: m.ID, Recipient: recipient,
		Data: event.Data{Visit: &event.Visit{URL: "https://one.example/ü?a=1", IP: "192.0.2.1", Client: event.ClientInfo{UserAgent: "Mozilla/5.0", Bot: "apple"}}}}
}

var recorderTests = []test{
	{"a recorded event is found like any other", func(f *fixture) {
		m := f.accept(domainA, "Ann@one.example")
		r := clicked(m, "Ann@one.example")
		f.must(f.s.Record(f.Context(), r))
		if r.ID <= m.ID || r.Time.IsZero() {
			f.Fatalf("got id %v and time %v", r.ID, r.Time)
		}
		for range 2 {
			for name, q := range map[string]store.EventQuery{
				"message": {Message: m.ID}, "type": {Types: []event.Type{event.Clicked}}, "recipient": {Recipient: "ann@ONE.example"}, "message id": {MessageID: m.Meta.MessageID},
			} {
				q.DomainID, q.Ascending = domainA, true
				page := f.events(q)
				if n := len(page.Items); n == 0 || page.Items[n-1].ID != r.ID {
					f.Fatalf("%s: found %v", name, kinds(page))
				}
				got := page.Items[len(page.Items)-1]
				f.same(name, got.Record, *r)
				f.same(name+" meta", got.Meta.MessageID, m.Meta.MessageID)
			}
			page, err := f.s.Journal(f.Context(), store.JournalQuery{After: r.ID - 1, Limit: 10})
			f.must(err)
			if len(page.Items) != 1 || page.Items[0].ID != r.ID || page.Items[0].DomainID != domainA {
				f.Fatalf("journal holds %v", page.Items)
			}
			f.reopen(f)
		}
	}},
	{"an event of a finished message changes neither content nor queue", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example", "b@one.example")
		f.settle(delivered(m.Rows[0]))
		f.must(f.s.Record(f.Context(), clicked(m, "a@one.example")))
		got, err := f.s.Message(f.Context(), domainA, m.ID)
		f.must(err)
		f.same("pending", got.Pending, 1)
		f.same("content", f.read(domainA, m.ID), "hello")
	}},
	{"nothing is recorded of a message that is not there", func(f *fixture) {
		m := f.accept(domainA, "a@one.example")
		foreign := clicked(m, "a@one.example")
		foreign.DomainID = domainB
		never := clicked(m, "a@one.example")
		never.Message = m.ID + 1
		ancient := clicked(m, "a@one.example")
		ancient.Message = mail.FirstID(time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC))
		none := clicked(m, "a@one.example")
		none.Message = 0
		for _, r := range []*event.Record{foreign, never, ancient, none} {
			f.is(f.s.Record(f.Context(), r), store.ErrNotFound)
			f.same("id", r.ID, mail.ID(0))
		}
		f.same("events", kinds(f.events(store.EventQuery{DomainID: domainA})), []string{"accepted a@one.example"})
		f.same("events of the other", len(f.events(store.EventQuery{DomainID: domainB}).Items), 0)
	}},
	{"nothing is recorded of a message past its retention", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example")
		f.settle(delivered(m.Rows...))
		after := m.ID.Time().AddDate(0, 0, 2)
		f.must(f.s.Prune(f.Context(), store.Retention{Content: after, Events: after}))
		f.is(f.s.Record(f.Context(), clicked(m, "a@one.example")), store.ErrNotFound)
	}},
	{"a context that has ended records nothing", func(f *fixture) {
		m := f.accept(domainA, "a@one.example")
		f.is(f.s.Record(cancelled(), clicked(m, "a@one.example")), context.Canceled)
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 1)
	}},
	{"a closed store records nothing", func(f *fixture) {
		m := f.accept(domainA, "a@one.example")
		f.must(f.s.Close())
		f.is(f.s.Record(context.Background(), clicked(m, "a@one.example")), store.ErrClosed)
	}},
	{"readers that follow the log see every event that is recorded beside others", func(f *fixture) {
		const each = 50
		var messages []*store.NewMessage
		for i := range 4 {
			messages = append(messages, f.accept(domainA, fmt.Sprintf("a%d@one.example", i)))
		}
		var visits sync.WaitGroup
		errs := make(chan error, len(messages)*each)
		for _, m := range messages {
			visits.Go(func() {
				for range each {
					errs <- f.s.Record(f.Context(), clicked(m, m.Meta.Recipients[0]))
				}
			})
		}
		done := make(chan struct{})
		go func() { visits.Wait(); close(done) }()
		seen, cursor := map[mail.ID]bool{}, mail.ID(0)
		for ended := false; ; {
			page, err := f.s.Journal(f.Context(), store.JournalQuery{After: cursor, Limit: 7, Types: []event.Type{event.Clicked}})
			f.must(err)
			for _, e := range page.Items {
				if seen[e.ID] {
					f.Fatalf("event %v came twice", e.ID)
				}
				seen[e.ID] = true
			}
			cursor = page.Cursor
			if page.More {
				continue
			}
			if ended {
				break
			}
			select {
			case <-done:
				ended = true
			default:
			}
		}
		close(errs)
		for err := range errs {
			f.must(err)
		}
		f.same("events", len(seen), len(messages)*each)
	}},
}

var linkKeyTests = []test{
	{"link keys are found again, newest first", func(f *fixture) {
		none, err := f.s.LinkKeys(f.Context())
		f.must(err)
		f.same("keys", len(none), 0)
		var want []store.LinkKey
		for i := range 3 {
			k := store.LinkKey{Secret: make([]byte, store.LinkSecretSize)}
			k.Secret[0], k.Secret[31] = byte(i), 0xff
			f.must(f.s.AddLinkKey(f.Context(), &k))
			f.same("id", k.ID, int64(i+1))
			if k.CreatedAt.IsZero() {
				f.Fatal("key has no time")
			}
			want = append([]store.LinkKey{k}, want...)
		}
		for range 2 {
			got, err := f.s.LinkKeys(f.Context())
			f.must(err)
			f.same("keys", got, want)
			f.reopen(f)
		}
	}},
	{"a link key has a secret of the right size", func(f *fixture) {
		for _, size := range []int{0, 16, 33} {
			if err := f.s.AddLinkKey(f.Context(), &store.LinkKey{Secret: make([]byte, size)}); err == nil {
				f.Errorf("a secret of %d octets was stored", size)
			}
		}
	}},
	{"a context that has ended adds no link key", func(f *fixture) {
		f.is(f.s.AddLinkKey(cancelled(), &store.LinkKey{Secret: make([]byte, store.LinkSecretSize)}), context.Canceled)
		got, err := f.s.LinkKeys(f.Context())
		f.must(err)
		f.same("keys", len(got), 0)
	}},
}
