package storetest

import (
	"context"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

var lawTests = []test{
	{"what belongs to another domain does not exist", func(f *fixture) {
		m := f.accept(domainA, "a@one.example")
		_, err := f.s.Message(f.Context(), domainB, m.ID)
		f.is(err, store.ErrNotFound)
		_, err = f.s.Content(f.Context(), domainB, m.ID)
		f.is(err, store.ErrNotFound)
		for _, id := range []mail.ID{0, -1, 1, m.ID + 1, f.s.NewID()} {
			_, err = f.s.Message(f.Context(), domainA, id)
			f.is(err, store.ErrNotFound)
			_, err = f.s.Content(f.Context(), domainA, id)
			f.is(err, store.ErrNotFound)
		}
	}},
	{"a context that ended does nothing", func(f *fixture) {
		d := f.domain("one.example")
		leased := f.acceptLeased(domainA, "a@one.example")
		free := f.accept(domainA, "b@one.example")
		ctx := cancelled()
		m := f.message(domainA, "c@one.example")
		big := f.message(domainA, "c@one.example")
		big.Content = content(string(make([]byte, 200<<10)))
		_, settled := f.s.Settle(ctx, delivered(leased.Rows...))
		_, leaseErr := f.s.Lease(ctx, store.LeaseRequest{NextHop: "one.example", Now: t0, Limit: 10})
		_, _, rescheduled := f.s.Reschedule(ctx, store.RowQuery{}, t0.AddDate(1, 0, 0))
		_, _, held := f.s.SetHeld(ctx, store.RowQuery{}, true)
		_, cancel := f.s.Cancel(ctx, store.RowQuery{}, event.Data{})
		_, eventsErr := f.s.Events(ctx, store.EventQuery{DomainID: domainA, Limit: 1})
		_, journalErr := f.s.Journal(ctx, store.JournalQuery{Limit: 1})
		_, updated := f.s.UpdateDomain(ctx, "one.example", func(d *store.Domain) error { d.State = store.DomainDisabled; return nil })
		_, put := f.s.PutCredential(ctx, store.Credential{Login: "a@one.example", DomainID: d.ID})
		for name, err := range map[string]error{
			"accept": f.s.Accept(ctx, m), "accept big": f.s.Accept(ctx, big), "settle": settled, "lease": leaseErr, "reschedule": rescheduled, "hold": held,
			"cancel": cancel, "events": eventsErr, "journal": journalErr, "update": updated, "put": put, "create": f.s.CreateDomain(ctx, &store.Domain{Name: "x.example", State: store.DomainActive}),
			"key": f.s.CreateKey(ctx, &store.Key{Hash: [32]byte{1}, Role: store.RoleAdmin}), "delete": f.s.DeleteDomain(ctx, "one.example"),
			"prune": f.s.Prune(ctx, store.Retention{Content: leased.ID.Time().AddDate(1, 0, 0), Events: leased.ID.Time().AddDate(1, 0, 0)}),
		} {
			f.Run(name, func(t *testing.T) { (&fixture{T: t}).is(err, context.Canceled) })
		}
		f.same("rows", f.rows(store.RowQuery{}), slices.Concat(leased.Rows, free.Rows))
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 2)
		got, err := f.s.Domain(f.Context(), "one.example")
		f.must(err)
		f.same("domain", got, d)
		f.same("rows to lease", len(f.lease("one.example", t0, 10).Rows), 1)
		f.must(f.s.Accept(f.Context(), m))
		f.must(f.s.Accept(f.Context(), big))
	}},
	{"a context that ends on the way: done, or not done", func(f *fixture) {
		for i := range 100 {
			ctx, cancel := context.WithCancel(f.Context())
			m := f.message(domainA, "a@one.example")
			if i%2 == 0 {
				m.Content = content(string(make([]byte, 150<<10)))
			}
			go cancel()
			err := f.s.Accept(ctx, m)
			_, found := f.s.Message(f.Context(), domainA, m.ID)
			_, whole := f.s.Content(f.Context(), domainA, m.ID)
			if (err == nil) != (found == nil) || (err == nil) != (whole == nil) {
				f.Fatalf("accept says %v, message %v, content %v", err, found, whole)
			}
			if err == nil {
				f.same("octets", int64(len(f.read(domainA, m.ID))), m.Content.Size)
			} else {
				f.is(err, context.Canceled)
			}
			cancel()
		}
	}},
	{"after Close nothing works, and Close may be repeated", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example")
		next := f.message(domainA, "b@one.example")
		f.must(f.s.Close())
		f.must(f.s.Close())
		_, settled := f.s.Settle(f.Context(), delivered(m.Rows...))
		_, leased := f.s.Lease(f.Context(), store.LeaseRequest{NextHop: "one.example", Now: t0, Limit: 1})
		_, events := f.s.Events(f.Context(), store.EventQuery{DomainID: domainA, Limit: 1})
		_, journal := f.s.Journal(f.Context(), store.JournalQuery{Limit: 1})
		_, message := f.s.Message(f.Context(), domainA, m.ID)
		_, rows := f.s.Rows(f.Context(), store.RowQuery{})
		_, hops := f.s.NextHops(f.Context())
		for name, err := range map[string]error{
			"accept": f.s.Accept(f.Context(), next), "settle": settled, "lease": leased, "events": events, "journal": journal, "message": message, "rows": rows, "next hops": hops,
			"create": f.s.CreateDomain(f.Context(), &store.Domain{Name: "one.example", State: store.DomainActive}), "prune": f.s.Prune(f.Context(), store.Retention{}),
		} {
			f.Run(name, func(t *testing.T) { (&fixture{T: t}).is(err, store.ErrClosed) })
		}
	}},
	{"ids only grow, also across restarts", func(f *fixture) { // REL-28
		last := mail.ID(0)
		grow := func(id mail.ID) {
			f.Helper()
			if id <= last {
				f.Fatalf("id %v came after %v", id, last)
			}
			last = id
		}
		for range 5 {
			m := f.message(domainA, "a@one.example")
			m.Leased = true
			f.must(f.s.Accept(f.Context(), m))
			o := delivered(m.Rows...)
			f.settle(o)
			grow(m.ID)
			grow(m.Rows[0].ID)
			grow(m.Events[0].ID)
			grow(o.Rows[0].Event.ID)
			f.reopen(f)
		}
	}},
}
