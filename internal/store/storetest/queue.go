package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

var leaseTests = []test{
	{"next hops by name, with rows and earliest due", func(f *fixture) {
		f.same("next hops of an empty store", len(f.hops()), 0)
		f.accept(domainA, "a@two.example", "b@one.example")
		m := f.message(domainB, "c@one.example", "d@held.example")
		m.Rows[0].Due = t0.Add(-time.Hour)
		m.Rows[1].Held = true
		f.must(f.s.Accept(f.Context(), m))
		want := []store.NextHop{{Name: "one.example", Rows: 2, Due: t0.Add(-time.Hour)}, {Name: "two.example", Rows: 1, Due: t0}}
		f.same("next hops", f.hops(), want)
		f.reopen(f)
		f.same("next hops after a restart", f.hops(), want)
		f.lease("one.example", t0.Add(-time.Minute), 10)
		want[0].Due = t0
		f.same("next hops with one row leased", f.hops(), want)
	}},
	{"oldest first, up to the limit", func(f *fixture) {
		var all []string
		for i := range 7 {
			m := f.message(domainA, fmt.Sprintf("r%d@one.example", i))
			m.Rows[0].Due = t0.Add(-time.Duration(i) * time.Minute)
			f.must(f.s.Accept(f.Context(), m))
			all = append(all, m.Rows[0].Recipient.String())
		}
		slices.Reverse(all)
		r := f.lease("one.example", t0, 3)
		f.same("rows", recipients(r.Rows), all[:3])
		f.same("next due", r.NextDue, t0.Add(-3*time.Minute))
		f.same("messages", len(r.Messages), 3)
		r = f.lease("one.example", t0, 10)
		f.same("other rows", recipients(r.Rows), all[3:])
		f.same("nothing remains", r.NextDue, time.Time{})
		r = f.lease("one.example", t0, 10)
		f.same("empty result", len(r.Rows), 0)
	}},
	{"rows come with their message and lease", func(f *fixture) {
		m := f.accept(domainA, "a@one.example", "b@one.example")
		r := f.lease("one.example", t0, 10)
		f.same("messages", r.Messages, map[mail.ID]store.Message{
			m.ID: {ID: m.ID, DomainID: domainA, Envelope: m.Envelope, Meta: m.Meta, Size: 5, Pending: 2}})
		for i, row := range r.Rows {
			if row.Lease == 0 {
				f.Errorf("row %v has no lease", row.ID)
			}
			m.Rows[i].Lease = row.Lease
		}
		f.same("rows", r.Rows, m.Rows)
		f.same("rows as listed", f.rows(store.RowQuery{}), m.Rows)
	}},
	{"rows of a message stay together", func(f *fixture) {
		// Accepted at once, due at once: only the message tells them apart.
		var wg sync.WaitGroup
		for i := range 4 {
			m := f.message(domainA, fmt.Sprintf("a%d@one.example", i), fmt.Sprintf("b%d@one.example", i))
			wg.Go(func() {
				if err := f.s.Accept(f.Context(), m); err != nil {
					f.Error(err)
				}
			})
		}
		wg.Wait()
		r := f.lease("one.example", t0, 4)
		f.same("rows", len(r.Rows), 4)
		f.same("messages", len(r.Messages), 2)
		f.same("first pair", r.Rows[0].Message, r.Rows[1].Message)
		f.same("second pair", r.Rows[2].Message, r.Rows[3].Message)
	}},
	{"one message larger than the limit", func(f *fixture) {
		f.accept(domainA, "a@one.example", "b@one.example", "c@one.example")
		r := f.lease("one.example", t0, 2)
		f.same("rows", recipients(r.Rows), []string{"a@one.example", "b@one.example"})
		f.same("next due", r.NextDue, t0)
		f.same("rest", recipients(f.lease("one.example", t0, 2).Rows), []string{"c@one.example"})
	}},
	{"not before they are due", func(f *fixture) {
		m := f.message(domainA, "a@one.example", "b@one.example")
		m.Rows[0].Due, m.Rows[1].Due = t0.Add(time.Second), t0.Add(time.Hour)
		f.must(f.s.Accept(f.Context(), m))
		r := f.lease("one.example", t0, 10)
		f.same("rows", len(r.Rows), 0)
		f.same("next due", r.NextDue, t0.Add(time.Second))
		r = f.lease("one.example", t0.Add(time.Second), 10)
		f.same("rows", recipients(r.Rows), []string{"a@one.example"})
		f.same("next due", r.NextDue, t0.Add(time.Hour))
	}},
	{"held rows are not given out", func(f *fixture) {
		m := f.message(domainA, "a@one.example", "b@one.example")
		m.Rows[0].Held = true
		f.must(f.s.Accept(f.Context(), m))
		r := f.lease("one.example", t0, 10)
		f.same("rows", recipients(r.Rows), []string{"b@one.example"})
		f.same("next due", r.NextDue, time.Time{})
	}},
	{"only the next hop asked for", func(f *fixture) {
		f.accept(domainA, "a@one.example", "b@two.example")
		f.same("rows", recipients(f.lease("two.example", t0, 10).Rows), []string{"b@two.example"})
		f.same("rows of an unknown next hop", len(f.lease("three.example", t0, 10).Rows), 0)
	}},
	{"limits outside 1 to 1,000 are errors", func(f *fixture) {
		for _, limit := range []int{-1, 0, 1001} {
			if _, err := f.s.Lease(f.Context(), store.LeaseRequest{NextHop: "one.example", Now: t0, Limit: limit}); err == nil {
				f.Errorf("limit %d was taken", limit)
			}
		}
	}},
	{"no row is leased twice at once", func(f *fixture) {
		// Holders lease, and settle, defer or release what they got. A row that is in two
		// hands at a time, or comes back after it was finished, is a mail sent twice.
		const messages, holders = 60, 8
		for range messages {
			f.accept(domainA, "a@one.example", "b@one.example", "c@one.example")
		}
		var mu sync.Mutex
		held, finished := map[mail.ID]bool{}, map[mail.ID]bool{}
		var wg sync.WaitGroup
		for h := range holders {
			wg.Go(func() {
				for round := 0; ; round++ {
					r, err := f.s.Lease(f.Context(), store.LeaseRequest{NextHop: "one.example", Now: t0, Limit: 1 + h})
					if err != nil {
						f.Error(err)
						return
					}
					mu.Lock()
					for _, row := range r.Rows {
						if held[row.ID] || finished[row.ID] {
							f.Errorf("row %v was given out, held: %v, finished: %v", row.ID, held[row.ID], finished[row.ID])
						}
						held[row.ID] = true
					}
					over := len(finished) == 3*messages || f.Failed()
					mu.Unlock()
					if over {
						return
					}
					for _, row := range r.Rows {
						mu.Lock()
						delete(held, row.ID)
						fate := (round + h) % 3
						finished[row.ID] = fate == 0
						if fate != 0 {
							delete(finished, row.ID)
						}
						mu.Unlock()
						switch fate {
						case 0:
							_, err = f.s.Settle(f.Context(), delivered(row))
						case 1:
							_, err = f.s.Settle(f.Context(), deferred(t0, row))
						default:
							err = f.s.Release(f.Context(), []store.LeaseRef{{Row: row.ID, Lease: row.Lease}})
						}
						if err != nil {
							f.Error(err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		f.same("rows left", len(f.rows(store.RowQuery{})), 0)
		p := f.events(store.EventQuery{DomainID: domainA, Types: []event.Type{event.Delivered}})
		f.same("deliveries", len(p.Items), 3*messages)
	}},
	{"released rows are due again, uncounted", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example")
		ref := []store.LeaseRef{{Row: m.Rows[0].ID, Lease: m.Rows[0].Lease}}
		f.must(f.s.Release(f.Context(), ref))
		r := f.lease("one.example", t0, 10)
		f.same("rows", len(r.Rows), 1)
		f.same("attempts", r.Rows[0].Attempt, 0)
		// The old lease is worth nothing, and releasing it again takes nothing away.
		f.must(f.s.Release(f.Context(), ref))
		f.same("rows", len(f.lease("one.example", t0, 10).Rows), 0)
		f.same("lost", f.settle(delivered(m.Rows...)), rowIDs(m.Rows))
	}},
	{"renew tells lost leases", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example", "b@one.example")
		refs := []store.LeaseRef{{Row: m.Rows[0].ID, Lease: m.Rows[0].Lease}, {Row: m.Rows[1].ID, Lease: m.Rows[1].Lease}}
		lost, err := f.s.Renew(f.Context(), refs)
		f.must(err)
		f.same("lost", len(lost), 0)
		f.must(f.s.Release(f.Context(), refs[:1]))
		lost, err = f.s.Renew(f.Context(), refs)
		f.must(err)
		f.same("lost", lost, []mail.ID{m.Rows[0].ID})
	}},
	{"leases end with the process", func(f *fixture) { // REL-01
		m := f.acceptLeased(domainA, "a@one.example")
		f.reopen(f)
		f.same("lost", f.settle(delivered(m.Rows...)), rowIDs(m.Rows))
		r := f.lease("one.example", t0, 10)
		f.same("rows", len(r.Rows), 1)
		if r.Rows[0].Lease == m.Rows[0].Lease {
			f.Error("a lease was given a second time")
		}
		f.same("lost", len(f.settle(delivered(r.Rows...))), 0)
	}},
}

var settleTests = []test{
	{"final: row gone, event there, pending counted", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example", "b@one.example")
		o := delivered(m.Rows[0])
		f.same("lost", len(f.settle(o)), 0)
		e := o.Rows[0].Event
		if e.ID <= m.Events[1].ID || e.Time.IsZero() || e.Message != m.ID || e.DomainID != domainA {
			f.Errorf("the event was not completed: %+v", e)
		}
		check := func() {
			f.same("rows", recipients(f.rows(store.RowQuery{})), []string{"b@one.example"})
			got, err := f.s.Message(f.Context(), domainA, m.ID)
			f.must(err)
			f.same("pending", got.Pending, 1)
			p := f.events(store.EventQuery{DomainID: domainA, Types: []event.Type{event.Delivered}})
			f.same("events", len(p.Items), 1)
			f.same("event", p.Items[0], store.EventItem{Record: *e, Meta: m.Meta})
		}
		check()
		f.reopen(f)
		check()
		f.settle(delivered(f.lease("one.example", t0, 1).Rows...))
		got, err := f.s.Message(f.Context(), domainA, m.ID)
		f.must(err)
		f.same("pending", got.Pending, 0)
		f.same("content of a finished message", f.read(domainA, m.ID), "hello")
		f.same("next hops", len(f.hops()), 0)
	}},
	{"retry: row due later, counted, with its reply", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example")
		later := t0.Add(15 * time.Minute)
		f.same("lost", len(f.settle(deferred(later, m.Rows...))), 0)
		r := f.lease("one.example", t0, 10)
		f.same("rows before", len(r.Rows), 0)
		f.same("next due", r.NextDue, later)
		r = f.lease("one.example", later, 10)
		want := m.Rows[0]
		want.Due, want.Attempt, want.LastReply, want.Lease = later, 1, "451 later", r.Rows[0].Lease
		f.same("rows", r.Rows, []store.Row{want})
		f.same("events", kinds(f.events(store.EventQuery{DomainID: domainA})), []string{"failed temporary a@one.example", "accepted a@one.example"})
	}},
	{"an abandoned attempt writes no event", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example")
		o := deferred(t0, m.Rows...)
		o.Rows[0].Event, o.Rows[0].Attempt = nil, 0
		f.settle(o)
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 1)
		f.same("attempts", f.lease("one.example", t0, 10).Rows[0].Attempt, 0)
	}},
	{"twice changes nothing", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example", "b@one.example")
		o := delivered(m.Rows...)
		f.same("lost", len(f.settle(o)), 0)
		f.same("lost", sorted(f.settle(o)), rowIDs(m.Rows))
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 4)
		got, err := f.s.Message(f.Context(), domainA, m.ID)
		f.must(err)
		f.same("pending", got.Pending, 0)
	}},
	{"twice at once changes once", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example")
		var mu sync.Mutex
		lost := 0
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				l, err := f.s.Settle(f.Context(), delivered(m.Rows...))
				if err != nil {
					f.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				lost += len(l)
			})
		}
		wg.Wait()
		f.same("lost", lost, 7)
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 2)
	}},
	{"a lost row does not stop the others", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example", "b@one.example")
		o := delivered(m.Rows...)
		o.Rows[0].Lease++
		f.same("lost", f.settle(o), []mail.ID{m.Rows[0].ID})
		f.same("rows", recipients(f.rows(store.RowQuery{})), []string{"a@one.example"})
		f.same("events", kinds(f.events(store.EventQuery{DomainID: domainA, Types: []event.Type{event.Delivered}})), []string{"delivered b@one.example"})
		if o.Rows[0].Event.ID != 0 {
			f.Error("the event of the lost row was given an id")
		}
	}},
	{"some final, some retried", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example", "b@one.example", "c@one.example")
		o := delivered(m.Rows[0])
		o.Rows = append(o.Rows, deferred(t0.Add(time.Hour), m.Rows[2]).Rows...)
		f.same("lost", len(f.settle(o)), 0)
		f.same("rows", recipients(f.rows(store.RowQuery{})), []string{"b@one.example", "c@one.example"})
		f.same("still held", len(f.lease("one.example", t0, 10).Rows), 0)
	}},
	{"another domain's or message's rows are lost", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example")
		other := f.acceptLeased(domainB, "b@one.example")
		for name, spoil := range map[string]func(o *store.Outcome){
			"foreign domain":  func(o *store.Outcome) { o.DomainID = domainB },
			"foreign message": func(o *store.Outcome) { o.Message = other.ID },
			"unknown message": func(o *store.Outcome) { o.Message = f.s.NewID() },
			"no lease":        func(o *store.Outcome) { o.Rows[0].Lease = 0 },
			"unknown row":     func(o *store.Outcome) { o.Rows[0].Row++ },
		} {
			o := delivered(m.Rows...)
			spoil(&o)
			if lost := f.settle(o); len(lost) != 1 {
				f.Errorf("%s: %d rows lost, want 1", name, len(lost))
			}
		}
		f.same("rows", len(f.rows(store.RowQuery{})), 2)
		f.same("lost with everything right", len(f.settle(delivered(m.Rows...))), 0)
	}},
}
