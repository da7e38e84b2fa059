package storetest

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

func (f *fixture) journal(q store.JournalQuery) store.JournalPage {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	p, err := f.s.Journal(f.Context(), q)
	f.must(err)
	return p
}

// follow pages through the journal and returns all ids.
func (f *fixture) follow(q store.JournalQuery) []mail.ID {
	f.Helper()
	var ids []mail.ID
	for range 1000 {
		p := f.journal(q)
		for _, e := range p.Items {
			ids = append(ids, e.ID)
		}
		if p.Cursor < q.After {
			f.Fatal("the cursor went back")
		}
		q.After = p.Cursor
		if !p.More {
			return ids
		}
	}
	f.Fatal("the pages do not end")
	return nil
}

var journalTests = []test{
	{"the events of all domains, in one order, every page size", func(f *fixture) {
		var all, outcomes []mail.ID
		for i := range 8 {
			domain := []int64{domainA, domainB}[i%2]
			m := f.acceptLeased(domain, "a@one.example", "b@two.example")
			o := delivered(m.Rows...)
			f.settle(o)
			outcomes = append(outcomes, o.Rows[0].Event.ID, o.Rows[1].Event.ID)
			all = append(all, m.Events[0].ID, m.Events[1].ID, o.Rows[0].Event.ID, o.Rows[1].Event.ID)
		}
		for _, size := range []int{1, 2, 3, 7, 31, 32, 33, 1000} {
			f.same("all", f.follow(store.JournalQuery{Limit: size}), all)
			f.same("outcomes", f.follow(store.JournalQuery{Limit: size, Types: []event.Type{event.Delivered, event.FailedPermanent}}), outcomes)
			f.same("after a cursor", f.follow(store.JournalQuery{Limit: size, After: all[4]}), all[5:])
		}
		f.reopen(f)
		f.same("after a restart", f.follow(store.JournalQuery{Limit: 5}), all)
	}},
	{"an item is the event, with its domain and its message's facts", func(f *fixture) {
		m := f.acceptLeased(domainB, "Anna@one.example")
		f.settle(deferred(t0, m.Rows...))
		want := f.events(store.EventQuery{DomainID: domainB, Ascending: true}).Items
		f.same("all types", f.journal(store.JournalQuery{}).Items, want)
		f.same("one type", f.journal(store.JournalQuery{Types: []event.Type{event.FailedTemporary}}).Items, want[1:])
		f.same("its domain", want[1].DomainID, domainB)
		f.same("its recipient", want[1].Recipient, "Anna@one.example")
	}},
	{"at the end the cursor is the present", func(f *fixture) {
		before := f.s.NewID()
		p := f.journal(store.JournalQuery{})
		f.same("more", p.More, false)
		if p.Cursor < before {
			f.Errorf("the cursor is %v, and %v was given before", p.Cursor, before)
		}
		m := f.accept(domainA, "a@one.example")
		next := f.journal(store.JournalQuery{After: p.Cursor})
		f.same("what came later", len(next.Items), 1)
		f.same("its id", next.Items[0].ID, m.Events[0].ID)
		f.same("a cursor of the future stays", f.journal(store.JournalQuery{After: next.Cursor + 1<<40}).Cursor, next.Cursor+1<<40)
	}},
	{"a scan is bounded and goes on from its cursor", func(f *fixture) {
		var last mail.ID
		for range 20 {
			last = f.accept(domainA, "a@one.example").Events[0].ID
		}
		q := store.JournalQuery{Limit: 3, Scan: 8, Types: []event.Type{event.Delivered}}
		p := f.journal(q)
		f.same("more", p.More, true)
		f.same("items", len(p.Items), 0)
		if p.Cursor >= last {
			f.Error("it looked at everything")
		}
		m := f.acceptLeased(domainA, "b@one.example")
		o := delivered(m.Rows...)
		f.settle(o)
		q.After = p.Cursor
		f.same("the rest", f.follow(q), []mail.ID{o.Rows[0].Event.ID})
	}},
	{"limits outside 1 to 1,000 are errors", func(f *fixture) {
		for _, limit := range []int{-1, 0, 1001} {
			if _, err := f.s.Journal(f.Context(), store.JournalQuery{Limit: limit}); err == nil {
				f.Errorf("limit %d was taken", limit)
			}
		}
	}},
	{"a follower misses nothing and sees nothing twice", func(f *fixture) {
		const writers, each = 12, 40
		var wg sync.WaitGroup
		var done atomic.Bool
		written := make([][]mail.ID, writers)
		for w := range writers {
			wg.Go(func() {
				domain := domainA + int64(w%2)
				for range each {
					m := f.message(domain, "a@one.example", "b@two.example")
					m.Leased = true
					if err := f.s.Accept(f.Context(), m); err != nil {
						f.Error(err)
						return
					}
					o := delivered(m.Rows...)
					if _, err := f.s.Settle(f.Context(), o); err != nil {
						f.Error(err)
						return
					}
					written[w] = append(written[w], o.Rows[0].Event.ID, o.Rows[1].Event.ID)
				}
			})
		}
		go func() { wg.Wait(); done.Store(true) }()
		var seen []mail.ID
		q := store.JournalQuery{Limit: 7, Types: []event.Type{event.Delivered}}
		for last := false; ; {
			p := f.journal(q)
			for _, e := range p.Items {
				seen = append(seen, e.ID)
			}
			q.After = p.Cursor
			if !p.More {
				if last {
					break
				}
				last = done.Load() // one more round after the last commit
			}
		}
		wg.Wait()
		if !slices.IsSorted(seen) {
			f.Error("the follower saw events out of order")
		}
		f.same("seen by the follower", seen, sorted(slices.Concat(written...)))
	}},
}
