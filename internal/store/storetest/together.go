package storetest

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// batch returns n messages with ids of one NewIDs, each to one recipient. Their contents
// share a base, unless it is empty.
func (f *fixture) batch(n int, base string) []*store.NewMessage {
	first := f.s.NewIDs(n)
	common := content(base)
	var all []*store.NewMessage
	for i := range n {
		m := f.message(domainA, fmt.Sprintf("u%d@d%d.example", i, i%7))
		m.ID = first + mail.ID(i)
		m.Rows[0].Message, m.Events[0].Message = m.ID, m.ID
		head := fmt.Sprintf("To: u%d@d%d.example\r\n\r\n", i, i%7)
		half := len(base) / 2
		m.Content = content(head + base[:half] + head + base[half:])
		if base != "" {
			m.Content.Base = common
			m.Content.Runs = []store.Run{
				{At: int64(len(head)), From: 0, Size: int64(half)},
				{At: int64(2*len(head) + half), From: int64(half), Size: int64(len(base) - half)},
			}
		}
		all = append(all, m)
	}
	return all
}

// octets reads what a message's content was when it was accepted.
func (f *fixture) octets(m *store.NewMessage) string {
	f.Helper()
	r, err := m.Content.Open()
	f.must(err)
	defer r.Close()
	octets, err := io.ReadAll(r)
	f.must(err)
	return string(octets)
}

// whole checks that all messages of a batch are there, or that none is.
func (f *fixture) whole(all []*store.NewMessage, there bool) {
	f.Helper()
	for _, m := range all {
		got, err := f.s.Message(f.Context(), domainA, m.ID)
		if !there {
			f.is(err, store.ErrNotFound)
			_, err := f.s.Content(f.Context(), domainA, m.ID)
			f.is(err, store.ErrNotFound)
			continue
		}
		f.must(err)
		f.same("message", got, store.Message{ID: m.ID, DomainID: domainA, Envelope: m.Envelope, Meta: m.Meta, Size: m.Content.Size, Pending: len(m.Rows)})
		f.same("content", f.read(domainA, m.ID), f.octets(m))
		f.same("rows", f.rows(store.RowQuery{Message: m.ID}), m.Rows)
	}
}

var togetherTests = []test{
	{"a batch is found again, whatever it shares", func(f *fixture) {
		for name, base := range map[string]string{"nothing": "", "little": "x", "lines": strings.Repeat("the same for all\r\n", 5000), "a file": strings.Repeat("0123456789", 100_000)} {
			all := f.batch(300, base)
			f.must(f.s.AcceptAll(f.Context(), all))
			f.Run(name, func(t *testing.T) { (&fixture{T: t, s: f.s}).whole(all, true) })
		}
		f.reopen(f)
		page := f.events(store.EventQuery{DomainID: domainA, Ascending: true})
		for i, e := range page.Items {
			if i > 0 && e.ID <= page.Items[i-1].ID {
				f.Fatal("events are out of order")
			}
		}
		f.same("hops", len(f.hops()), 7)
	}},
	{"after a restart contents are put together again", func(f *fixture) {
		all := f.batch(20, strings.Repeat("the same for all\r\n", 5000))
		f.must(f.s.AcceptAll(f.Context(), all))
		f.reopen(f)
		f.whole(all, true)
	}},
	{"leased rows of a batch are nobody else's", func(f *fixture) {
		all := f.batch(20, "")
		for i, m := range all {
			m.Leased = i%2 == 0
		}
		f.must(f.s.AcceptAll(f.Context(), all))
		free := 0
		for _, h := range f.hops() {
			free += len(f.lease(h.Name, t0, 100).Rows)
		}
		f.same("free rows", free, 10)
		for _, m := range all {
			if (m.Rows[0].Lease != 0) != m.Leased {
				f.Errorf("row %v: lease %d, leased %v", m.Rows[0].ID, m.Rows[0].Lease, m.Leased)
			}
		}
	}},
	{"one bad message refuses all", func(f *fixture) {
		first := f.accept(domainA, "a@one.example")
		for name, spoil := range map[string]func(m *store.NewMessage){
			"no events": func(m *store.NewMessage) { m.Events = nil },
			"exists": func(m *store.NewMessage) {
				m.ID, m.Rows[0].Message, m.Events[0].Message = first.ID, first.ID, first.ID
			},
			"content too short": func(m *store.NewMessage) { m.Content.Size++; m.Content.Base, m.Content.Runs = nil, nil },
			"delta too short":   func(m *store.NewMessage) { m.Content.Size++ },
			"unreadable": func(m *store.NewMessage) {
				m.Content.Open = func() (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(strings.NewReader("To"), errReader{})), nil
				}
			},
			"another day": func(m *store.NewMessage) {
				m.ID = mail.FirstID(m.ID.Time().AddDate(0, 0, 1))
				m.Rows[0].Message, m.Events[0].Message = m.ID, m.ID
			},
		} {
			for _, base := range []string{"", strings.Repeat("the same for all\r\n", 5000), strings.Repeat("0123456789", 100_000)} {
				all := f.batch(200, base)
				bad := all[150]
				others := append(append([]*store.NewMessage{}, all[:150]...), all[151:]...)
				spoil(bad)
				before := all[0].Rows[0]
				if err := f.s.AcceptAll(f.Context(), all); err == nil {
					f.Errorf("%s: was accepted", name)
				}
				f.same("row of a refused batch", all[0].Rows[0], before)
				f.whole(others, false)
			}
		}
		f.same("content", f.read(domainA, first.ID), "hello")
		f.same("rows", len(f.rows(store.RowQuery{})), 1)
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 1)
	}},
	{"runs that are not true are not believed", func(f *fixture) {
		for name, spoil := range map[string]func(c *store.Content){
			"behind the end":  func(c *store.Content) { c.Runs[1].Size += 10 },
			"overlapping":     func(c *store.Content) { c.Runs[0].Size += 20 },
			"outside of base": func(c *store.Content) { c.Runs[0].From = -1 },
			"empty":           func(c *store.Content) { c.Runs[0].Size = 0 },
		} {
			all := f.batch(3, strings.Repeat("the same for all\r\n", 500))
			spoil(all[1].Content)
			f.must(f.s.AcceptAll(f.Context(), all))
			f.Run(name, func(t *testing.T) { (&fixture{T: t, s: f.s}).whole(all, true) })
		}
	}},
	{"an empty batch is nothing", func(f *fixture) {
		f.must(f.s.AcceptAll(f.Context(), nil))
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 0)
	}},
	{"a batch and the mail beside it", func(f *fixture) {
		var wg sync.WaitGroup
		for range 4 {
			all := f.batch(250, strings.Repeat("the same for all\r\n", 100))
			wg.Go(func() {
				if err := f.s.AcceptAll(f.Context(), all); err != nil {
					f.Error(err)
				}
			})
			for range 16 {
				m := f.message(domainA, "a@one.example")
				wg.Go(func() {
					if err := f.s.Accept(f.Context(), m); err != nil {
						f.Error(err)
					}
				})
			}
		}
		wg.Wait()
		count, after := 0, mail.ID(0)
		for {
			p := f.events(store.EventQuery{DomainID: domainA, Ascending: true, After: after, Types: []event.Type{event.Accepted}})
			if len(p.Items) == 0 {
				break
			}
			count, after = count+len(p.Items), p.Cursor
		}
		f.same("events", count, 4*(250+16))
	}},
	{"what is shared goes with the last that shares it", func(f *fixture) {
		for _, base := range []string{strings.Repeat("the same for all\r\n", 5000), strings.Repeat("0123456789", 100_000)} {
			all := f.batch(4, base)
			for _, m := range all {
				m.Leased = true
			}
			f.must(f.s.AcceptAll(f.Context(), all))
			later := store.Retention{Content: all[0].ID.Time().Add(time.Hour)}
			f.settle(delivered(all[0].Rows...))
			f.settle(delivered(all[2].Rows...))
			f.must(f.s.Prune(f.Context(), later))
			for i, m := range all {
				_, err := f.s.Content(f.Context(), domainA, m.ID)
				if (err == nil) != (i%2 == 1) {
					f.Errorf("content %d after two were finished: %v", i, err)
				}
			}
			f.same("content", f.read(domainA, all[3].ID), f.octets(all[3]))
			f.settle(delivered(all[1].Rows...))
			f.settle(delivered(all[3].Rows...))
			f.must(f.s.Prune(f.Context(), later))
			_, err := f.s.Content(f.Context(), domainA, all[3].ID)
			f.is(err, store.ErrNotFound)
		}
	}},
	{"a context that ended accepts none", func(f *fixture) {
		all := f.batch(3, "")
		f.is(f.s.AcceptAll(cancelled(), all), cancelled().Err())
		f.whole(all, false)
	}},
}
