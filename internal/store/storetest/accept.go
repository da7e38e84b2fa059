package storetest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

var acceptTests = []test{
	{"everything is found again", func(f *fixture) {
		m := f.accept(domainA, "a@one.example", "b@two.example")
		check := func() {
			got, err := f.s.Message(f.Context(), domainA, m.ID)
			f.must(err)
			f.same("message", got, store.Message{ID: m.ID, DomainID: domainA, Envelope: m.Envelope, Meta: m.Meta, Size: 5, Pending: 2})
			f.same("content", f.read(domainA, m.ID), "hello")
			f.same("rows", f.rows(store.RowQuery{}), m.Rows)
			page := f.events(store.EventQuery{DomainID: domainA, Ascending: true})
			if len(page.Items) != 2 {
				f.Fatalf("%d events, want 2", len(page.Items))
			}
			for i, e := range page.Items {
				f.same("event", e, store.EventItem{Record: m.Events[i], Meta: m.Meta})
			}
		}
		check()
		f.reopen(f)
		check()
	}},
	{"ids, times and no leases are filled in", func(f *fixture) {
		m := f.accept(domainA, "a@one.example", "b@one.example")
		if m.Rows[0].ID == 0 || m.Rows[1].ID <= m.Rows[0].ID {
			f.Errorf("rows have ids %v and %v", m.Rows[0].ID, m.Rows[1].ID)
		}
		if m.Rows[0].Lease != 0 {
			f.Error("a row is leased that nobody asked for")
		}
		if m.Events[0].ID == 0 || m.Events[1].ID <= m.Events[0].ID || m.Events[0].Time.IsZero() {
			f.Errorf("events have ids %v and %v, time %v", m.Events[0].ID, m.Events[1].ID, m.Events[0].Time)
		}
	}},
	{"leased rows are nobody else's", func(f *fixture) {
		m := f.acceptLeased(domainA, "a@one.example", "b@two.example")
		for _, r := range m.Rows {
			if r.Lease == 0 {
				f.Errorf("row %v has no lease", r.ID)
			}
			f.same("rows", len(f.lease(r.NextHop, t0, 10).Rows), 0)
		}
		for _, h := range f.hops() {
			if !h.Due.IsZero() {
				f.Errorf("%s is due at %v, all its rows are leased", h.Name, h.Due)
			}
		}
	}},
	{"a rejected message has no content", func(f *fixture) {
		m := f.message(domainA)
		m.Content = nil
		m.Events = []event.Record{{Type: event.Rejected, DomainID: domainA, Message: m.ID, Recipient: "a@one.example",
			Data: event.Data{Reject: &event.Reject{Reason: "no", Description: "not you"}}}}
		f.must(f.s.Accept(f.Context(), m))
		_, err := f.s.Content(f.Context(), domainA, m.ID)
		f.is(err, store.ErrNotFound)
		got, err := f.s.Message(f.Context(), domainA, m.ID)
		f.must(err)
		f.same("pending", got.Pending, 0)
		f.same("events", kinds(f.events(store.EventQuery{DomainID: domainA, Recipient: "A@one.example"})), []string{"rejected a@one.example"})
	}},
	{"an id is accepted once", func(f *fixture) {
		m := f.accept(domainA, "a@one.example")
		again := f.message(domainA, "b@two.example")
		again.ID, again.Rows[0].Message, again.Events[0].Message = m.ID, m.ID, m.ID
		again.Content = content("other")
		before := again.Rows[0]
		f.is(f.s.Accept(f.Context(), again), store.ErrExists)
		f.same("row of the refused message", again.Rows[0], before)
		f.same("content", f.read(domainA, m.ID), "hello")
		f.same("rows", recipients(f.rows(store.RowQuery{})), []string{"a@one.example"})
		f.same("events", kinds(f.events(store.EventQuery{DomainID: domainA})), []string{"accepted a@one.example"})
	}},
	{"what does not fit together is refused", func(f *fixture) {
		for name, spoil := range map[string]func(m *store.NewMessage){
			"no events":         func(m *store.NewMessage) { m.Events = nil },
			"no id":             func(m *store.NewMessage) { m.ID = 0 },
			"rows, no content":  func(m *store.NewMessage) { m.Content = nil },
			"foreign event":     func(m *store.NewMessage) { m.Events[0].DomainID = domainB },
			"foreign row":       func(m *store.NewMessage) { m.Rows[0].DomainID = domainB },
			"other message":     func(m *store.NewMessage) { m.Rows[0].Message++ },
			"no recipient":      func(m *store.NewMessage) { m.Rows[0].Recipient = mail.Address{} },
			"unreadable":        func(m *store.NewMessage) { m.Rows[0].Recipient = mail.Address{Local: "a", Domain: "ONE.example"} },
			"content too short": func(m *store.NewMessage) { m.Content.Size++ },
			"content too long":  func(m *store.NewMessage) { m.Content.Size-- },
			"content unreadable": func(m *store.NewMessage) {
				m.Content.Open = func() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }
			},
		} {
			m := f.message(domainA, "a@one.example")
			spoil(m)
			if err := f.s.Accept(f.Context(), m); err == nil {
				f.Errorf("%s: was accepted", name)
			}
		}
		f.same("rows", len(f.rows(store.RowQuery{})), 0)
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 0)
	}},
	{"one that fails harms no neighbour", func(f *fixture) {
		first := f.accept(domainA, "a@one.example")
		var wg sync.WaitGroup
		for i := range 64 {
			m := f.message(domainA, "a@one.example")
			bad := i%4 == 0
			if bad {
				m.ID, m.Rows[0].Message, m.Events[0].Message = first.ID, first.ID, first.ID
			}
			wg.Go(func() {
				if err := f.s.Accept(f.Context(), m); errors.Is(err, store.ErrExists) != bad || (err != nil) != bad {
					f.Errorf("accept: %v, should fail: %v", err, bad)
				}
			})
		}
		wg.Wait()
		f.same("rows", len(f.rows(store.RowQuery{})), 1+48)
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 1+48)
	}},
	{"a thousand recipients", func(f *fixture) {
		m := f.message(domainA)
		for i := range 1000 {
			a := address(strings.Repeat("x", 1+i%60) + "@" + string(rune('a'+i%26)) + ".example")
			m.Rows = append(m.Rows, store.Row{Message: m.ID, DomainID: domainA, NextHop: a.Domain, Recipient: a, Due: t0})
			m.Events = append(m.Events, event.Record{Type: event.Accepted, DomainID: domainA, Message: m.ID, Recipient: a.String()})
		}
		f.must(f.s.Accept(f.Context(), m))
		got, err := f.s.Message(f.Context(), domainA, m.ID)
		f.must(err)
		f.same("pending", got.Pending, 1000)
		f.same("rows", len(f.rows(store.RowQuery{Limit: 1000})), 1000)
		f.same("events", len(f.events(store.EventQuery{DomainID: domainA}).Items), 1000)
		f.same("next hops", len(f.hops()), 26)
	}},
	{"row fields survive", func(f *fixture) {
		m := f.message(domainA, "a@one.example")
		m.Rows[0].Attempt, m.Rows[0].LastReply, m.Rows[0].Held = 3, "451 4.7.1 later, grüße", true
		m.Rows[0].Recipient = address(`"quoted local"@one.example`)
		f.must(f.s.Accept(f.Context(), m))
		f.same("rows", f.rows(store.RowQuery{}), m.Rows)
	}},
}

var contentTests = []test{
	{"octets of every size come back", func(f *fixture) {
		noise := make([]byte, 25<<20)
		source := rand.NewChaCha8([32]byte{1})
		source.Read(noise)
		for _, size := range []int{0, 1, 1000, 128<<10 - 1, 128 << 10, 128<<10 + 1, 25 << 20} {
			for kind, octets := range map[string]string{"noise": string(noise[:size]), "text": strings.Repeat("hello\r\n", size/7+1)[:size]} {
				m := f.message(domainA, "a@one.example")
				m.Content = content(octets)
				f.must(f.s.Accept(f.Context(), m))
				if got := f.read(domainA, m.ID); got != octets {
					f.Errorf("%d octets of %s come back as %d others", size, kind, len(got))
				}
				got, err := f.s.Message(f.Context(), domainA, m.ID)
				f.must(err)
				f.same("size", got.Size, int64(size))
			}
		}
	}},
	{"opened often and at once", func(f *fixture) {
		for _, size := range []int{5000, 200 << 10} {
			m := f.message(domainA, "a@one.example")
			octets := strings.Repeat("x", size)
			m.Content = content(octets)
			f.must(f.s.Accept(f.Context(), m))
			c, err := f.s.Content(f.Context(), domainA, m.ID)
			f.must(err)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					r, err := c.Open()
					if err != nil {
						f.Error(err)
						return
					}
					defer r.Close()
					var got bytes.Buffer
					if _, err := got.ReadFrom(r); err != nil || got.String() != octets {
						f.Errorf("read %d octets, %v", got.Len(), err)
					}
				})
			}
			wg.Wait()
		}
	}},
	{"a content that fails to read leaves nothing", func(f *fixture) {
		for _, size := range []int64{1000, 200 << 10} {
			m := f.message(domainA, "a@one.example")
			m.Content = &store.Content{Size: size, Open: func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(strings.NewReader("start"), errReader{})), nil
			}}
			f.is(f.s.Accept(f.Context(), m), errBroken)
			_, err := f.s.Message(f.Context(), domainA, m.ID)
			f.is(err, store.ErrNotFound)
			// The same message can be accepted when it is whole.
			m.Content = content(strings.Repeat("y", int(size)))
			f.must(f.s.Accept(f.Context(), m))
			f.same("octets", len(f.read(domainA, m.ID)), int(size))
		}
	}},
}

var errBroken = errors.New("the sender went away")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBroken }
