package impact

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// fakeOverrides are exceptions by target.
type fakeOverrides map[string]mail.Override

func (f fakeOverrides) Override(nextHop, mxHost string, now time.Time) (list []mail.Override) {
	for _, target := range []string{nextHop, mxHost} {
		if o, ok := f[target]; ok && o.Active(now) {
			list = append(list, o)
		}
	}
	return list
}

// A fakeProber answers from a table, and counts.
type fakeProber struct {
	looks map[string]Look

	mu    sync.Mutex
	asked []string
}

func (p *fakeProber) Look(_ context.Context, domain string) Look {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, domain)
	if l, ok := p.looks[domain]; ok {
		return l
	}
	return Look{Problem: "no such domain"}
}

// A world is a store with the mail of one sending domain, in a synctest bubble: days
// pass in no time, and the log is the real one.
type world struct {
	t      *testing.T
	store  *sqlite.Store
	domain store.Domain
	cfg    Config
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "data")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)))
		s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, store: s, domain: store.Domain{Name: "sender.example", State: store.DomainActive}}
		if err := s.CreateDomain(t.Context(), &w.domain); err != nil {
			t.Fatal(err)
		}
		w.cfg.Events = s
		test(w)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A message is one accepted message to one recipient, with its leased row.
type message struct {
	w    *world
	id   mail.ID
	row  store.Row
	rcpt string
	n    int // attempts
}

func (w *world) accept(rcpt string) *message {
	w.t.Helper()
	local, domain, _ := strings.Cut(rcpt, "@")
	m := &store.NewMessage{
		ID: w.store.NewID(), DomainID: w.domain.ID, Leased: true,
		Envelope: mail.Envelope{ReversePath: mail.Address{Local: "a", Domain: "sender.example"}},
		Meta:     event.Meta{Domain: "sender.example", Recipients: []string{rcpt}, Size: 5},
		Content:  &store.Content{Size: 5, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello")), nil }},
	}
	m.Rows = []store.Row{{
		Message: m.ID, DomainID: w.domain.ID, NextHop: domain, Recipient: mail.Address{Local: local, Domain: domain},
		Due: time.Now(), Expires: time.Now().Add(8 * time.Hour),
	}}
	m.Events = []event.Record{{Type: event.Accepted, DomainID: w.domain.ID, Message: m.ID, Recipient: rcpt}}
	if err := w.store.Accept(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
	return &message{w: w, id: m.ID, row: m.Rows[0], rcpt: rcpt}
}

// ends records an attempt. One that failed for now leaves the row due at once.
func (m *message) ends(kind event.Type, d *mail.TLSDetail) {
	m.w.t.Helper()
	m.n++
	if m.row.Lease == 0 {
		l, err := m.w.store.Lease(m.w.t.Context(), store.LeaseRequest{NextHop: m.row.NextHop, Now: time.Now(), Limit: 10})
		if err != nil {
			m.w.t.Fatal(err)
		}
		k := slices.IndexFunc(l.Rows, func(r store.Row) bool { return r.ID == m.row.ID })
		if k < 0 {
			m.w.t.Fatalf("the row is not due: %+v", l)
		}
		m.row = l.Rows[k]
	}
	st := &event.Status{AttemptNo: m.n, Code: 250, TLSDetail: d}
	if kind == event.FailedPermanent && d == nil {
		st.Code, st.EnhancedCode, st.Local = 550, "5.1.2", true
	}
	lost, err := m.w.store.Settle(m.w.t.Context(), store.Outcome{Message: m.id, DomainID: m.w.domain.ID, Rows: []store.RowOutcome{{
		Row: m.row.ID, Lease: m.row.Lease, Final: kind != event.FailedTemporary, Due: time.Now(), Attempt: m.n,
		Event: &event.Record{Type: kind, Recipient: m.rcpt, Data: event.Data{Status: st}},
	}}})
	if err != nil || len(lost) > 0 {
		m.w.t.Fatal(lost, err)
	}
	m.row.Lease = 0
}

// send is a message that ends in its first attempt.
func (w *world) send(rcpt string, kind event.Type, d mail.TLSDetail) {
	w.t.Helper()
	w.accept(rcpt).ends(kind, &d)
}

func (w *world) answer(q Question) *Report {
	w.t.Helper()
	q.Domain = w.domain
	if q.Days == 0 {
		q.Days = 30
	}
	rep, err := New(w.cfg).Answer(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

// at is evidence of a connection with a host, under default flags.
func at(host string, s tlspolicy.Session) mail.TLSDetail {
	d := evidence(tlspolicy.Facts{}, s, nil)
	d.MXHost = host
	return d
}

// after puts connections that were abandoned before into the evidence of another.
func after(d mail.TLSDetail, before ...mail.TLSDetail) mail.TLSDetail {
	d.Attempts = before
	return d
}

// abandoned is evidence of a connection that was left.
func abandoned(d mail.TLSDetail) mail.TLSDetail {
	d.Outcome = d.Result
	return d
}

func unreachable(host string) mail.TLSDetail {
	return mail.TLSDetail{MXHost: host, Handshake: "none", Verification: "none", Outcome: "connect: connection refused"}
}

// Sessions that tests have with hosts.
func verified() tlspolicy.Session {
	return tlspolicy.Session{StartTLS: tlspolicy.Started, Handshake: tlspolicy.Completed, Version: tlspolicy.TLS13, PKIX: true}
}

func expiredSession() tlspolicy.Session {
	return tlspolicy.Session{StartTLS: tlspolicy.Started, Handshake: tlspolicy.Completed, Version: tlspolicy.TLS13}
}

func noTLS() tlspolicy.Session { return tlspolicy.Session{} }
