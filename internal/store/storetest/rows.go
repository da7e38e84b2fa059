package storetest

import (
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

var rowTests = []test{
	{"filters, one by one and together", func(f *fixture) {
		m := f.accept(domainA, "Anna@one.example", "b@two.example")
		n := f.accept(domainB, "anna@one.example", "c@three.example")
		for name, c := range map[string]struct {
			q    store.RowQuery
			want []mail.ID
		}{
			"all":               {store.RowQuery{}, []mail.ID{m.Rows[0].ID, m.Rows[1].ID, n.Rows[0].ID, n.Rows[1].ID}},
			"domain":            {store.RowQuery{DomainID: domainB}, rowIDs(n.Rows)},
			"message":           {store.RowQuery{Message: m.ID}, rowIDs(m.Rows)},
			"row":               {store.RowQuery{Row: n.Rows[1].ID}, []mail.ID{n.Rows[1].ID}},
			"next hop":          {store.RowQuery{NextHop: "one.example"}, []mail.ID{m.Rows[0].ID, n.Rows[0].ID}},
			"recipient":         {store.RowQuery{Recipient: "ANNA@One.example"}, []mail.ID{m.Rows[0].ID, n.Rows[0].ID}},
			"after":             {store.RowQuery{After: m.Rows[0].ID, Limit: 2}, []mail.ID{m.Rows[1].ID, n.Rows[0].ID}},
			"limit":             {store.RowQuery{Limit: 1}, []mail.ID{m.Rows[0].ID}},
			"together":          {store.RowQuery{DomainID: domainA, Recipient: "anna@one.example", NextHop: "one.example"}, []mail.ID{m.Rows[0].ID}},
			"foreign message":   {store.RowQuery{DomainID: domainB, Message: m.ID}, nil},
			"foreign row":       {store.RowQuery{DomainID: domainB, Row: m.Rows[0].ID}, nil},
			"unknown recipient": {store.RowQuery{Recipient: "x@one.example"}, nil},
			"no address":        {store.RowQuery{Recipient: "one.example"}, nil},
		} {
			f.same(name, rowIDs(f.rows(c.q)), c.want)
		}
	}},
	{"messages that wait are counted once, whoever has their rows", func(f *fixture) {
		count := func(domain int64) int {
			f.Helper()
			n, err := f.s.CountQueued(f.Context(), domain)
			f.must(err)
			return n
		}
		f.same("none", count(domainA), 0)
		done := f.acceptLeased(domainA, "a@one.example", "b@two.example")
		f.accept(domainA, "c@one.example", "d@two.example", "e@three.example")
		f.accept(domainB, "f@one.example")
		f.same("one leased, one free", count(domainA), 2)
		f.settle(delivered(done.Rows[0]))
		f.same("half of one", count(domainA), 2)
		f.settle(delivered(done.Rows[1]))
		for range 2 {
			f.same("one settled", count(domainA), 1)
			f.same("the other domain's", count(domainB), 1)
			f.reopen(f)
		}
	}},
	{"limits", func(f *fixture) {
		m := f.message(domainA)
		for i := range 150 {
			a := address(fmt.Sprintf("r%d@one.example", i))
			m.Rows = append(m.Rows, store.Row{Message: m.ID, DomainID: domainA, NextHop: a.Domain, Recipient: a, Due: t0})
		}
		m.Events = []event.Record{{Type: event.Accepted, DomainID: domainA, Message: m.ID}}
		f.must(f.s.Accept(f.Context(), m))
		f.same("default", len(f.rows(store.RowQuery{})), 100)
		f.same("pages", len(f.rows(store.RowQuery{After: m.Rows[99].ID})), 50)
		f.same("most", len(f.rows(store.RowQuery{Limit: 1000})), 150)
		for _, limit := range []int{-1, 1001} {
			if _, err := f.s.Rows(f.Context(), store.RowQuery{Limit: limit}); err == nil {
				f.Errorf("limit %d was taken", limit)
			}
		}
	}},
	{"reschedule: not what is leased", func(f *fixture) {
		m := f.accept(domainA, "a@one.example", "b@two.example", "c@three.example")
		f.lease("two.example", t0, 1)
		later := t0.Add(time.Hour)
		n, hops, err := f.s.Reschedule(f.Context(), store.RowQuery{Message: m.ID}, later)
		f.must(err)
		f.same("changed", n, 2)
		f.same("next hops", hops, []string{"one.example", "three.example"})
		f.same("before", len(f.lease("one.example", t0, 10).Rows), 0)
		r := f.lease("one.example", later, 10)
		f.same("then", recipients(r.Rows), []string{"a@one.example"})
		f.same("attempts", r.Rows[0].Attempt, 0)
	}},
	{"reschedule: the time that a row has moves with it until it was attempted", func(f *fixture) {
		m := f.accept(domainA, "a@one.example", "b@two.example")
		r := f.lease("two.example", t0, 1)
		f.settle(deferred(t0.Add(10*time.Minute), r.Rows...))
		later := t0.Add(24 * time.Hour)
		_, _, err := f.s.Reschedule(f.Context(), store.RowQuery{}, later)
		f.must(err)
		rows := f.rows(store.RowQuery{})
		f.same("due", []time.Time{rows[0].Due, rows[1].Due}, []time.Time{later, later})
		f.same("expires", []time.Time{rows[0].Expires, rows[1].Expires}, []time.Time{m.Rows[0].Expires.Add(24 * time.Hour), m.Rows[1].Expires})
		_, _, err = f.s.Reschedule(f.Context(), store.RowQuery{}, t0)
		f.must(err)
		f.same("expires", f.rows(store.RowQuery{})[0].Expires, m.Rows[0].Expires)
	}},
	{"rows by Message-ID and tag", func(f *fixture) {
		one, two := f.message(domainA, "a@one.example"), f.message(domainA, "b@one.example")
		one.Meta.MessageID, two.Meta.MessageID = "batch@x.example", "batch@x.example"
		two.Meta.Tags = []string{"News", "x%y"}
		f.must(f.s.Accept(f.Context(), one))
		f.must(f.s.Accept(f.Context(), two))
		f.accept(domainA, "c@one.example")
		f.same("by Message-ID", recipients(f.rows(store.RowQuery{MessageID: "batch@x.example"})), []string{"a@one.example", "b@one.example"})
		f.same("of another domain", len(f.rows(store.RowQuery{MessageID: "batch@x.example", DomainID: domainB})), 0)
		f.same("by tag", recipients(f.rows(store.RowQuery{Tag: "nEWS"})), []string{"b@one.example"})
		f.same("by both", recipients(f.rows(store.RowQuery{Tag: "A", MessageID: "batch@x.example"})), []string{"a@one.example"})
		f.same("by another tag", len(f.rows(store.RowQuery{Tag: "new"})), 0)
		n, err := f.s.Cancel(f.Context(), store.RowQuery{Tag: "X%Y"}, event.Data{Reason: "cancelled"})
		f.must(err)
		f.same("cancelled", n, 1)
		n, _, err = f.s.Reschedule(f.Context(), store.RowQuery{MessageID: "batch@x.example"}, t0.Add(time.Hour))
		f.must(err)
		f.same("rescheduled", n, 1)
	}},
	{"hold and release", func(f *fixture) {
		m := f.accept(domainA, "a@one.example", "b@one.example", "c@two.example")
		f.lease("two.example", t0, 1)
		n, hops, err := f.s.SetHeld(f.Context(), store.RowQuery{DomainID: domainA}, true)
		f.must(err)
		f.same("held", n, 2)
		f.same("next hops", hops, []string{"one.example"})
		f.same("leased", len(f.lease("one.example", t0, 10).Rows), 0)
		f.same("next hops", f.hops(), []store.NextHop{{Name: "two.example", Rows: 1}})
		f.reopen(f)
		f.same("leased after a restart", len(f.lease("one.example", t0, 10).Rows), 0)
		f.same("shown", f.rows(store.RowQuery{Row: m.Rows[0].ID})[0].Held, true)
		n, _, err = f.s.SetHeld(f.Context(), store.RowQuery{Row: m.Rows[0].ID}, false)
		f.must(err)
		f.same("released", n, 1)
		f.same("leased", recipients(f.lease("one.example", t0, 10).Rows), []string{"a@one.example"})
	}},
	{"cancel: row gone, failure recorded, not what is leased", func(f *fixture) {
		m := f.accept(domainA, "a@one.example", "b@one.example", "c@two.example")
		leased := f.lease("two.example", t0, 1)
		data := event.Data{Reason: "cancelled", Status: &event.Status{Code: 0, Message: "cancelled by a person", Local: true}}
		n, err := f.s.Cancel(f.Context(), store.RowQuery{Message: m.ID}, data)
		f.must(err)
		f.same("cancelled", n, 2)
		f.same("rows", recipients(f.rows(store.RowQuery{})), []string{"c@two.example"})
		p := f.events(store.EventQuery{DomainID: domainA, Types: []event.Type{event.FailedPermanent}, Ascending: true})
		f.same("events", kinds(p), []string{"failed permanent a@one.example", "failed permanent b@one.example"})
		f.same("data", p.Items[0].Data, data)
		got, err := f.s.Message(f.Context(), domainA, m.ID)
		f.must(err)
		f.same("pending", got.Pending, 1)
		f.same("lost", len(f.settle(delivered(leased.Rows...))), 0)
		n, err = f.s.Cancel(f.Context(), store.RowQuery{}, data)
		f.must(err)
		f.same("cancelled of nothing", n, 0)
	}},
	{"changes have no limit", func(f *fixture) {
		const messages, each = 30, 50
		for i := range messages {
			m := f.message(domainA)
			for j := range each {
				a := address(fmt.Sprintf("r%d@hop%d.example", j, i%3))
				m.Rows = append(m.Rows, store.Row{Message: m.ID, DomainID: domainA, NextHop: a.Domain, Recipient: a, Due: t0})
			}
			m.Events = []event.Record{{Type: event.Accepted, DomainID: domainA, Message: m.ID}}
			f.must(f.s.Accept(f.Context(), m))
		}
		all := store.RowQuery{DomainID: domainA, Limit: 10}
		n, hops, err := f.s.SetHeld(f.Context(), all, true)
		f.must(err)
		f.same("held", n, messages*each)
		f.same("next hops", hops, []string{"hop0.example", "hop1.example", "hop2.example"})
		n, _, err = f.s.Reschedule(f.Context(), all, t0.Add(time.Minute))
		f.must(err)
		f.same("rescheduled", n, messages*each)
		n, err = f.s.Cancel(f.Context(), all, event.Data{Reason: "cancelled"})
		f.must(err)
		f.same("cancelled", n, messages*each)
		f.same("rows", len(f.rows(store.RowQuery{})), 0)
	}},
	{"nothing is changed in another domain", func(f *fixture) {
		m := f.accept(domainA, "a@one.example")
		q := store.RowQuery{DomainID: domainB, Message: m.ID}
		n, hops, err := f.s.Reschedule(f.Context(), q, t0.Add(time.Hour))
		f.must(err)
		f.same("rescheduled", n+len(hops), 0)
		n, hops, err = f.s.SetHeld(f.Context(), q, true)
		f.must(err)
		f.same("held", n+len(hops), 0)
		n, err = f.s.Cancel(f.Context(), q, event.Data{})
		f.must(err)
		f.same("cancelled", n, 0)
		f.same("rows", f.rows(store.RowQuery{}), m.Rows)
	}},
}
