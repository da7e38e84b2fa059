package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// eventIDs lists a page's ids.
func eventIDs(p store.EventPage) []mail.ID {
	var ids []mail.ID
	for _, e := range p.Items {
		ids = append(ids, e.ID)
	}
	return ids
}

// walk pages through a query and returns all ids.
func (f *fixture) walk(q store.EventQuery) []mail.ID {
	f.Helper()
	var ids []mail.ID
	for range 1000 {
		p := f.events(q)
		ids = append(ids, eventIDs(p)...)
		if q.Ascending {
			q.After = p.Cursor
		} else {
			q.Before = p.Cursor
		}
		if !p.More {
			return ids
		}
	}
	f.Fatal("the pages do not end")
	return nil
}

var eventTests = []test{
	{"by tags", func(f *fixture) {
		tag := func(tags ...string) *store.NewMessage {
			m := f.message(domainA, "a@one.example")
			m.Meta.Tags, m.Leased = tags, true
			f.must(f.s.Accept(f.Context(), m))
			return m
		}
		both, one, none := tag("News", "Rare"), tag("news"), tag()
		foreign := f.message(domainB, "a@one.example")
		foreign.Meta.Tags = []string{"news"}
		f.must(f.s.AcceptAll(f.Context(), []*store.NewMessage{foreign}))
		for _, m := range []*store.NewMessage{none, one, both} {
			f.settle(delivered(m.Rows...))
		}
		f.reopen(f)
		for _, c := range []struct {
			tags  []string
			types []event.Type
			want  []mail.ID
		}{
			{[]string{"news"}, nil, []mail.ID{both.ID, one.ID, one.ID, both.ID}},
			{[]string{"NEWS", "rare"}, nil, []mail.ID{both.ID, both.ID}},
			{[]string{"rare", "news"}, []event.Type{event.Delivered}, []mail.ID{both.ID}},
			{[]string{"news"}, []event.Type{event.Accepted, event.Opened}, []mail.ID{both.ID, one.ID}},
			{[]string{"news", "nobody's"}, nil, nil},
		} {
			for _, ascending := range []bool{true, false} {
				p := f.events(store.EventQuery{DomainID: domainA, Tags: c.tags, Types: c.types, Ascending: ascending})
				var got []mail.ID
				for _, e := range p.Items {
					got = append(got, e.Message)
				}
				if !ascending {
					slices.Reverse(got)
				}
				f.same("events", got, c.want)
			}
		}
		p := f.events(store.EventQuery{DomainID: domainA, Tags: []string{"news"}, Ascending: true, Limit: 2})
		f.same("more", p.More, true)
		p = f.events(store.EventQuery{DomainID: domainA, Tags: []string{"news"}, Ascending: true, After: p.Cursor})
		f.same("rest", len(p.Items), 2)
	}},
	{"pages in both directions, every size", func(f *fixture) {
		var want []mail.ID
		for i := range 10 {
			m := f.acceptLeased(domainA, "a@one.example", "b@two.example")
			o := delivered(m.Rows[i%2])
			f.settle(o)
			want = append(want, m.Events[0].ID, m.Events[1].ID, o.Rows[0].Event.ID)
			f.accept(domainB, "a@one.example")
		}
		down := slices.Clone(want)
		slices.Reverse(down)
		for _, size := range []int{1, 2, 3, 7, 29, 30, 31, 1000} {
			f.same("ascending", f.walk(store.EventQuery{DomainID: domainA, Ascending: true, Limit: size}), want)
			f.same("descending", f.walk(store.EventQuery{DomainID: domainA, Limit: size}), down)
			f.same("filtered", f.walk(store.EventQuery{DomainID: domainA, Limit: size, Ascending: true, Types: []event.Type{event.Delivered, event.Accepted}}), want)
		}
		p := f.events(store.EventQuery{DomainID: domainA, Limit: 30})
		f.same("more after the last event", p.More, false)
		p = f.events(store.EventQuery{DomainID: domainA, Limit: 29})
		f.same("more before the last event", p.More, true)
	}},
	{"bounds are exclusive", func(f *fixture) {
		m := f.accept(domainA, "a@one.example", "b@one.example", "c@one.example", "d@one.example")
		id := func(i int) mail.ID { return m.Events[i].ID }
		f.same("between", eventIDs(f.events(store.EventQuery{DomainID: domainA, After: id(0), Before: id(3), Ascending: true})), []mail.ID{id(1), id(2)})
		f.same("between, downwards", eventIDs(f.events(store.EventQuery{DomainID: domainA, After: id(0), Before: id(3)})), []mail.ID{id(2), id(1)})
		f.same("nothing between", len(f.events(store.EventQuery{DomainID: domainA, After: id(1), Before: id(2)}).Items), 0)
	}},
	{"the cursor of an empty page is the bound", func(f *fixture) {
		f.same("ascending", f.events(store.EventQuery{DomainID: domainA, Ascending: true, After: 77}).Cursor, mail.ID(77))
		f.same("descending", f.events(store.EventQuery{DomainID: domainA, Before: 77}).Cursor, mail.ID(77))
	}},
	{"filters", func(f *fixture) {
		m := f.message(domainA, "Anna@one.example", "b@two.example")
		m.Leased = true
		f.must(f.s.Accept(f.Context(), m))
		f.settle(delivered(m.Rows[0]))
		f.settle(deferred(t0, m.Rows[1]))
		n := f.accept(domainA, "anna@one.example")
		f.accept(domainB, "anna@one.example")
		for name, c := range map[string]struct {
			q    store.EventQuery
			want []string
		}{
			"type":                  {store.EventQuery{Types: []event.Type{event.Delivered}}, []string{"delivered Anna@one.example"}},
			"types":                 {store.EventQuery{Types: []event.Type{event.FailedTemporary, event.Delivered, event.Delivered}}, []string{"delivered Anna@one.example", "failed temporary b@two.example"}},
			"a type without events": {store.EventQuery{Types: []event.Type{event.Clicked}}, nil},
			"message":               {store.EventQuery{Message: n.ID}, []string{"accepted anna@one.example"}},
			"message and type":      {store.EventQuery{Message: m.ID, Types: []event.Type{event.Accepted}}, []string{"accepted Anna@one.example", "accepted b@two.example"}},
			"message and recipient": {store.EventQuery{Message: m.ID, Recipient: "b@TWO.example"}, []string{"accepted b@two.example", "failed temporary b@two.example"}},
			"recipient":             {store.EventQuery{Recipient: "ANNA@ONE.example"}, []string{"accepted Anna@one.example", "delivered Anna@one.example", "accepted anna@one.example"}},
			"recipient and type":    {store.EventQuery{Recipient: "anna@one.example", Types: []event.Type{event.Delivered}}, []string{"delivered Anna@one.example"}},
			"unknown recipient":     {store.EventQuery{Recipient: "c@one.example"}, nil},
			"Message-ID":            {store.EventQuery{MessageID: n.Meta.MessageID}, []string{"accepted anna@one.example"}},
			"Message-ID, recipient": {store.EventQuery{MessageID: m.Meta.MessageID, Recipient: "b@two.example"}, []string{"accepted b@two.example", "failed temporary b@two.example"}},
			"Message-ID, message":   {store.EventQuery{MessageID: m.Meta.MessageID, Message: n.ID}, nil},
			"unknown Message-ID":    {store.EventQuery{MessageID: "x"}, nil},
		} {
			c.q.DomainID, c.q.Ascending = domainA, true
			f.same(name, kinds(f.events(c.q)), c.want)
			c.q.Ascending = false
			slices.Reverse(c.want)
			f.same(name+", downwards", kinds(f.events(c.q)), c.want)
		}
	}},
	{"another domain's events do not exist", func(f *fixture) {
		m := f.accept(domainA, "a@one.example")
		for name, q := range map[string]store.EventQuery{
			"all": {}, "message": {Message: m.ID}, "recipient": {Recipient: "a@one.example"}, "Message-ID": {MessageID: m.Meta.MessageID},
			"type": {Types: []event.Type{event.Accepted}},
		} {
			q.DomainID = domainB
			f.same(name, len(f.events(q).Items), 0)
		}
	}},
	{"events of all domains, in both directions", func(f *fixture) {
		var all, deliveredOnes []mail.ID
		for i := range 12 {
			domain := []int64{domainA, domainB, 13}[i%3]
			m := f.acceptLeased(domain, "a@one.example")
			o := delivered(m.Rows[0])
			o.DomainID = domain
			f.settle(o)
			all = append(all, m.Events[0].ID, o.Rows[0].Event.ID)
			deliveredOnes = append(deliveredOnes, o.Rows[0].Event.ID)
		}
		down := slices.Clone(all)
		slices.Reverse(down)
		for _, size := range []int{1, 2, 5, 24, 100} {
			f.same("ascending", f.walk(store.EventQuery{AllDomains: true, Ascending: true, Limit: size}), all)
			f.same("descending", f.walk(store.EventQuery{AllDomains: true, Limit: size}), down)
			f.same("of a type", f.walk(store.EventQuery{AllDomains: true, Ascending: true, Limit: size, Types: []event.Type{event.Delivered}}), deliveredOnes)
			f.same("bounded", f.walk(store.EventQuery{AllDomains: true, Ascending: true, Limit: size, After: all[2], Before: all[7]}), all[3:7])
		}
		var mine []mail.ID
		for _, e := range f.events(store.EventQuery{AllDomains: true, Ascending: true, Limit: 100, Match: func(r *event.Record, _ *event.Meta) bool { return r.DomainID == domainB }}).Items {
			f.same("domain", e.DomainID, domainB)
			mine = append(mine, e.ID)
		}
		f.same("of one", mine, f.walk(store.EventQuery{DomainID: domainB, Ascending: true, Limit: 100}))
		if _, err := f.s.Events(f.Context(), store.EventQuery{AllDomains: true, DomainID: domainA, Limit: 1}); err == nil {
			f.Error("all domains and one are no error")
		}
	}},
	{"the match has the last word", func(f *fixture) {
		for i := range 50 {
			m := f.message(domainA, fmt.Sprintf("r%d@one.example", i))
			m.Meta.Subject = fmt.Sprintf("subject %d", i%10)
			f.must(f.s.Accept(f.Context(), m))
		}
		q := store.EventQuery{DomainID: domainA, Ascending: true, Limit: 2, Match: func(r *event.Record, m *event.Meta) bool {
			return m.Subject == "subject 3" && r.Type == event.Accepted
		}}
		p := f.events(q)
		f.same("first page", kinds(p), []string{"accepted r3@one.example", "accepted r13@one.example"})
		f.same("more", p.More, true)
		q.Limit = 1000
		f.same("all", len(f.events(q).Items), 5)
		f.same("page by page", len(f.walk(q)), 5)
	}},
	{"a scan is bounded and goes on from its cursor", func(f *fixture) {
		var ids []mail.ID
		for i := range 40 {
			m := f.accept(domainA, fmt.Sprintf("r%d@one.example", i))
			ids = append(ids, m.Events[0].ID)
		}
		looked := 0
		q := store.EventQuery{DomainID: domainA, Ascending: true, Limit: 5, Scan: 16, Match: func(*event.Record, *event.Meta) bool { looked++; return false }}
		p := f.events(q)
		f.same("items", len(p.Items), 0)
		f.same("looked at", looked, 16)
		f.same("more", p.More, true)
		f.same("cursor", p.Cursor, ids[15])
		q.After, looked = p.Cursor, 0
		q.Match = func(r *event.Record, _ *event.Meta) bool { return r.ID == ids[39] }
		q.Scan = 24
		p = f.events(q)
		f.same("items", eventIDs(p), ids[39:])
		f.same("more", p.More, false)
	}},
	{"limits outside 1 to 1,000 are errors", func(f *fixture) {
		for _, limit := range []int{-1, 0, 1001} {
			if _, err := f.s.Events(f.Context(), store.EventQuery{DomainID: domainA, Limit: limit}); err == nil {
				f.Errorf("limit %d was taken", limit)
			}
		}
	}},
	{"an event is there when its commit is answered", func(f *fixture) {
		for range 50 {
			m := f.accept(domainA, "a@one.example")
			f.same("newest", eventIDs(f.events(store.EventQuery{DomainID: domainA, Limit: 1})), []mail.ID{m.Events[0].ID})
		}
	}},
	{"a poller misses nothing", func(f *fixture) {
		const writers, each = 16, 40
		var wg sync.WaitGroup
		var done atomic.Bool
		written := make([][]mail.ID, writers)
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					m := f.message(domainA, "a@one.example", "b@two.example")
					m.Leased = true
					if err := f.s.Accept(f.Context(), m); err != nil {
						f.Error(err)
						return
					}
					o := delivered(m.Rows[i%2])
					if _, err := f.s.Settle(f.Context(), o); err != nil {
						f.Error(err)
						return
					}
					written[w] = append(written[w], m.Events[0].ID, m.Events[1].ID, o.Rows[0].Event.ID)
				}
			})
		}
		go func() { wg.Wait(); done.Store(true) }()
		var seen []mail.ID
		q := store.EventQuery{DomainID: domainA, Ascending: true, Limit: 7}
		for last := false; ; {
			p := f.events(q)
			seen = append(seen, eventIDs(p)...)
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
			f.Error("the poller saw events out of order")
		}
		f.same("seen by the poller", seen, sorted(slices.Concat(written...)))
	}},
}

var pruneTests = []test{
	{"contents of finished messages go, queued ones stay", func(f *fixture) {
		done := f.acceptLeased(domainA, "a@one.example")
		f.settle(delivered(done.Rows...))
		queued := f.accept(domainA, "b@one.example")
		big := f.message(domainA, "c@one.example")
		big.Content, big.Leased = content(string(make([]byte, 300<<10))), true
		f.must(f.s.Accept(f.Context(), big))
		f.settle(delivered(big.Rows...))

		f.must(f.s.Prune(f.Context(), store.Retention{}))
		f.same("kept by the zero retention", f.read(domainA, done.ID), "hello")
		f.must(f.s.Prune(f.Context(), store.Retention{Content: done.ID.Time()}))
		f.same("kept until the moment", f.read(domainA, done.ID), "hello")

		f.must(f.s.Prune(f.Context(), store.Retention{Content: big.ID.Time().Add(time.Hour)}))
		for _, m := range []*store.NewMessage{done, big} {
			_, err := f.s.Content(f.Context(), domainA, m.ID)
			f.is(err, store.ErrNotFound)
			_, err = f.s.Message(f.Context(), domainA, m.ID)
			f.must(err)
		}
		f.same("queued", f.read(domainA, queued.ID), "hello")
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 5)

		f.settle(delivered(f.lease("one.example", t0, 10).Rows...))
		f.must(f.s.Prune(f.Context(), store.Retention{Content: big.ID.Time().Add(time.Hour)}))
		_, err := f.s.Content(f.Context(), domainA, queued.ID)
		f.is(err, store.ErrNotFound)
		// A message accepted after a prune keeps its content, and can be pruned too.
		last := f.acceptLeased(domainA, "d@one.example")
		f.same("new content", f.read(domainA, last.ID), "hello")
	}},
	{"events of today stay", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example")
		f.settle(delivered(m.Rows...))
		f.must(f.s.Prune(f.Context(), store.Retention{Events: m.Events[0].Time}))
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 2)
	}},
	{"days that ended go, with messages and contents", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example")
		f.settle(delivered(m.Rows...))
		after := m.Events[0].Time.AddDate(0, 0, 3)
		f.must(f.s.Prune(f.Context(), store.Retention{Events: after, Content: after}))
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 0)
		_, err := f.s.Message(f.Context(), domainA, m.ID)
		f.is(err, store.ErrNotFound)
		_, err = f.s.Content(f.Context(), domainA, m.ID)
		f.is(err, store.ErrNotFound)
		f.reopen(f)
		f.same("events after a restart", len(f.events(store.EventQuery{DomainID: domainA}).Items), 0)
		n := f.accept(domainA, "b@one.example")
		if n.ID <= m.Events[0].ID || n.Rows[0].ID <= m.Rows[0].ID {
			f.Error("an id was given again")
		}
		f.same("events of new mail", len(f.events(store.EventQuery{DomainID: domainA}).Items), 1)
	}},
	{"nothing that is queued goes", func(f *fixture) {
		m := f.accept(domainA, "a@one.example")
		after := m.Events[0].Time.AddDate(0, 0, 3)
		f.must(f.s.Prune(f.Context(), store.Retention{Events: after, Content: after}))
		f.same("rows", f.rows(store.RowQuery{}), m.Rows)
		f.same("content", f.read(domainA, m.ID), "hello")
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 1)
	}},
}
