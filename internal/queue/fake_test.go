package queue

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// fakeStore keeps a queue in memory and checks the rules of its use.
type fakeStore struct {
	mu       sync.Mutex
	ids      *mail.IDs
	lease    int64
	rows     map[string]map[mail.ID]*store.Row // by next hop
	hopOf    map[mail.ID]string
	messages map[mail.ID]store.Message
	events   map[mail.ID][]event.Record // by row
	final    map[mail.ID]int
	domains  map[int64]store.Domain
	fail     func(call string) error // may be nil
	calls    map[string]int
	opened   int

	leasedAt time.Time // when Lease was called last, and how often at that moment
	leases   int
}

// mostLeases is how often Lease may be called at one moment of virtual time. Far
// beyond what the tests need: a queue that asks more often goes in a circle, and time
// would never go on.
const mostLeases = 20_000

func newFakeStore() *fakeStore {
	ids, err := mail.NewIDs(0, 0)
	if err != nil {
		panic(err)
	}
	return &fakeStore{ids: ids, rows: make(map[string]map[mail.ID]*store.Row), hopOf: make(map[mail.ID]string),
		messages: make(map[mail.ID]store.Message), events: make(map[mail.ID][]event.Record), final: make(map[mail.ID]int),
		domains: map[int64]store.Domain{1: {ID: 1, Name: "sender.example", State: store.DomainActive}}, calls: make(map[string]int)}
}

func (s *fakeStore) enter(call string) error {
	s.mu.Lock()
	s.calls[call]++
	if s.fail != nil {
		return s.fail(call)
	}
	return nil
}

// message makes a message to the recipients, due now.
func (s *fakeStore) message(recipients ...string) *store.NewMessage {
	now := time.Now().UTC().Round(0)
	id := s.ids.Next()
	m := &store.NewMessage{ID: id, DomainID: 1, Meta: event.Meta{Domain: "sender.example", MessageID: id.String() + "@sender.example"},
		Content: &store.Content{Size: 1000, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(nil)), nil }}}
	for _, r := range recipients {
		local, domain, _ := strings.Cut(r, "@")
		m.Rows = append(m.Rows, store.Row{Message: id, DomainID: 1, NextHop: domain,
			Recipient: mail.Address{Local: local, Domain: domain}, Due: now, Expires: now.Add(DefaultLifetime)})
	}
	return m
}

func (s *fakeStore) accept(m *store.NewMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range m.Rows {
		r := &m.Rows[i]
		r.ID = s.ids.Next()
		if m.Leased {
			s.lease++
			r.Lease = s.lease
		}
		kept := *r
		if s.rows[r.NextHop] == nil {
			s.rows[r.NextHop] = make(map[mail.ID]*store.Row)
		}
		s.rows[r.NextHop][r.ID] = &kept
		s.hopOf[r.ID] = r.NextHop
	}
	s.messages[m.ID] = store.Message{ID: m.ID, DomainID: m.DomainID, Envelope: m.Envelope, Meta: m.Meta, Size: m.Content.Size}
}

// crash voids all leases, as the death of the process does.
func (s *fakeStore) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, hop := range s.rows {
		for _, r := range hop {
			r.Lease = 0
		}
	}
}

func (s *fakeStore) NextHops(context.Context) ([]store.NextHop, error) {
	defer s.mu.Unlock()
	if err := s.enter("NextHops"); err != nil {
		return nil, err
	}
	var out []store.NextHop
	for name, hop := range s.rows {
		n := store.NextHop{Name: name}
		for _, r := range hop {
			if r.Held {
				continue
			}
			n.Rows++
			if r.Lease == 0 && (n.Due.IsZero() || r.Due.Before(n.Due)) {
				n.Due = r.Due
			}
		}
		if n.Rows > 0 {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b store.NextHop) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (s *fakeStore) Lease(_ context.Context, r store.LeaseRequest) (store.LeaseResult, error) {
	defer s.mu.Unlock()
	res := store.LeaseResult{Messages: make(map[mail.ID]store.Message)}
	if err := s.enter("Lease"); err != nil {
		return res, err
	}
	if r.Limit < 1 || r.Limit > 1000 {
		return res, fmt.Errorf("limit %d", r.Limit)
	}
	if now := time.Now(); now.Equal(s.leasedAt) {
		s.leases++
	} else {
		s.leasedAt, s.leases = now, 1
	}
	if s.leases > mostLeases {
		panic(fmt.Sprintf("Lease(%+v) was called %d times at one moment: the queue goes in a circle", r, s.leases))
	}
	var due []*store.Row
	for _, row := range s.rows[r.NextHop] {
		switch {
		case row.Held || row.Lease != 0:
		case !row.Due.After(r.Now):
			due = append(due, row)
		case res.NextDue.IsZero() || row.Due.Before(res.NextDue):
			res.NextDue = row.Due
		}
	}
	slices.SortFunc(due, func(a, b *store.Row) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Message, b.Message), cmp.Compare(a.ID, b.ID))
	})
	for i, row := range due {
		if i >= r.Limit {
			res.NextDue = row.Due
			break
		}
		s.lease++
		row.Lease = s.lease
		res.Rows = append(res.Rows, *row)
		res.Messages[row.Message] = s.messages[row.Message]
	}
	return res, nil
}

func (s *fakeStore) Renew(_ context.Context, leases []store.LeaseRef) (lost []mail.ID, err error) {
	defer s.mu.Unlock()
	if err := s.enter("Renew"); err != nil {
		return nil, err
	}
	for _, l := range leases {
		if r := s.rows[s.hopOf[l.Row]][l.Row]; r == nil || r.Lease != l.Lease {
			lost = append(lost, l.Row)
		}
	}
	return lost, nil
}

func (s *fakeStore) Release(_ context.Context, leases []store.LeaseRef) error {
	defer s.mu.Unlock()
	if err := s.enter("Release"); err != nil {
		return err
	}
	for _, l := range leases {
		if r := s.rows[s.hopOf[l.Row]][l.Row]; r != nil && r.Lease == l.Lease {
			r.Lease = 0
		}
	}
	return nil
}

func (s *fakeStore) Settle(ctx context.Context, o store.Outcome) (lost []mail.ID, err error) {
	defer s.mu.Unlock()
	if err := s.enter("Settle"); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, out := range o.Rows {
		r := s.rows[s.hopOf[out.Row]][out.Row]
		if r == nil || r.Lease != out.Lease || out.Lease == 0 {
			lost = append(lost, out.Row)
			continue
		}
		if out.Event != nil {
			rec := *out.Event
			rec.Time, rec.Message = time.Now(), o.Message
			s.events[out.Row] = append(s.events[out.Row], rec)
		}
		if out.Final {
			delete(s.rows[r.NextHop], out.Row)
			s.final[out.Row]++
			continue
		}
		r.Due, r.Attempt, r.LastReply, r.Lease = out.Due, out.Attempt, out.LastReply, 0
	}
	return lost, nil
}

func (s *fakeStore) match(q store.RowQuery) []*store.Row {
	var out []*store.Row
	for _, hop := range s.rows {
		for _, r := range hop {
			if (q.DomainID == 0 || q.DomainID == r.DomainID) && (q.Message == 0 || q.Message == r.Message) && (q.Row == 0 || q.Row == r.ID) &&
				(q.NextHop == "" || q.NextHop == r.NextHop) && (q.Recipient == "" || strings.EqualFold(q.Recipient, r.Recipient.String())) && r.ID > q.After {
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b *store.Row) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (s *fakeStore) Rows(_ context.Context, q store.RowQuery) ([]store.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []store.Row
	for _, r := range s.match(q) {
		if len(out) < cmp.Or(q.Limit, 100) {
			out = append(out, *r)
		}
	}
	return out, nil
}

func (s *fakeStore) change(q store.RowQuery, f func(*store.Row)) (n int, hops []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.match(q) {
		if r.Lease != 0 {
			continue
		}
		n++
		if !slices.Contains(hops, r.NextHop) {
			hops = append(hops, r.NextHop)
		}
		f(r)
	}
	return n, hops
}

func (s *fakeStore) Reschedule(_ context.Context, q store.RowQuery, due time.Time) (int, []string, error) {
	n, hops := s.change(q, func(r *store.Row) { r.Due = due })
	return n, hops, nil
}

func (s *fakeStore) SetHeld(_ context.Context, q store.RowQuery, held bool) (int, []string, error) {
	n, hops := s.change(q, func(r *store.Row) { r.Held = held })
	return n, hops, nil
}

func (s *fakeStore) Cancel(_ context.Context, q store.RowQuery, d event.Data) (int, error) {
	n, _ := s.change(q, func(r *store.Row) {
		delete(s.rows[r.NextHop], r.ID)
		s.final[r.ID]++
		s.events[r.ID] = append(s.events[r.ID], event.Record{Type: event.FailedPermanent, Data: d})
	})
	return n, nil
}

func (s *fakeStore) DomainByID(_ context.Context, id int64) (store.Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.domains[id]
	if !ok {
		return d, store.ErrNotFound
	}
	return d, nil
}

func (s *fakeStore) Content(context.Context, int64, mail.ID) (store.Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return store.Content{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(nil)), nil }}, nil
}

// eventsOf returns how many events of a type all rows have.
func (s *fakeStore) eventsOf(t event.Type) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.events {
		for _, e := range list {
			if e.Type == t {
				n++
			}
		}
	}
	return n
}

func (s *fakeStore) waiting() (n, leased int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, hop := range s.rows {
		for _, r := range hop {
			n++
			if r.Lease != 0 {
				leased++
			}
		}
	}
	return n, leased
}

func (s *fakeStore) called(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

type attempterFunc func(ctx context.Context, j mail.Job) mail.Report

func (f attempterFunc) Attempt(ctx context.Context, j mail.Job) mail.Report { return f(ctx, j) }

// all results of a job alike.
func reportAll(j mail.Job, res mail.RecipientResult) mail.Report {
	var r mail.Report
	for range j.Recipients {
		r.Results = append(r.Results, res)
	}
	return r
}

var (
	resDelivered = mail.RecipientResult{Outcome: mail.Delivered, Reply: mail.Reply{Code: 250, Text: "ok"}}
	resNoAnswer  = mail.RecipientResult{Scope: mail.ScopeHost, Reply: mail.LocalReply(451, "4.4.1", "connection timed out")}
	resSelf      = mail.RecipientResult{Scope: mail.ScopeSelf, Reply: mail.LocalReply(451, "4.4.3", "resolver does not answer")}
	resAbandoned = mail.RecipientResult{Outcome: mail.Abandoned}
)

// realYears brings a bubble's clock to a time for which ids can be given.
func realYears() { time.Sleep(time.Until(accepted)) }

func newQueue(s *fakeStore, c Config, a attempterFunc) *Queue {
	return New(Roles{Queue: s, Domains: s, Contents: s}, a, c, slog.New(slog.DiscardHandler))
}

// run starts q and ends it with the test.
func run(t *testing.T, q *Queue) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- q.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := q.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
