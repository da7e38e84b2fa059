package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/evidence"
	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A fakeStore keeps the store's promises in memory.
type fakeStore struct {
	mu          sync.Mutex
	ids         *mail.IDs
	now         func() time.Time
	nextDomain  int64
	domains     map[string]store.Domain
	keys        []store.Key
	credentials map[string]store.Credential
	messages    map[mail.ID]store.Message
	contents    map[mail.ID][]byte
	rows        []store.Row
	events      []store.EventItem // by id
	audit       []store.AuditEntry
	overrides   []mail.Override

	nextOverride int64

	fail    error // what every call answers, if set
	scanned int   // events looked at
}

func newFakeStore() *fakeStore {
	ids, err := mail.NewIDs(1, 0)
	if err != nil {
		panic(err)
	}
	return &fakeStore{
		ids: ids, now: time.Now, domains: map[string]store.Domain{}, credentials: map[string]store.Credential{},
		messages: map[mail.ID]store.Message{}, contents: map[mail.ID][]byte{},
	}
}

func (s *fakeStore) CreateDomain(ctx context.Context, d *store.Domain) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if _, ok := s.domains[d.Name]; ok {
		return fmt.Errorf("create: %w", store.ErrExists)
	}
	s.nextDomain++
	d.ID, d.CreatedAt, d.AccountID = s.nextDomain, s.now().UTC(), store.PrimaryAccount
	s.domains[d.Name] = *d
	e, _ := store.DomainEntry(nil, d)
	s.note(ctx, e)
	return nil
}

func (s *fakeStore) Domain(_ context.Context, name string) (store.Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return store.Domain{}, s.fail
	}
	d, ok := s.domains[name]
	if !ok {
		return d, store.ErrNotFound
	}
	return d, nil
}

func (s *fakeStore) DomainByID(_ context.Context, id int64) (store.Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.domains {
		if d.ID == id {
			return d, nil
		}
	}
	return store.Domain{}, store.ErrNotFound
}

func (s *fakeStore) ListDomains(context.Context) ([]store.Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.domains), func(a, b store.Domain) int { return cmp.Compare(b.ID, a.ID) }), s.fail
}

func (s *fakeStore) UpdateDomain(ctx context.Context, name string, change func(*store.Domain) error) (store.Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.domains[name]
	if !ok {
		return d, store.ErrNotFound
	}
	before := d
	if err := change(&d); err != nil {
		return store.Domain{}, err
	}
	s.domains[name] = d
	if e, changed := store.DomainEntry(&before, &d); changed {
		s.note(ctx, e)
	}
	return d, nil
}

func (s *fakeStore) DeleteDomain(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.domains[name]
	if !ok {
		return store.ErrNotFound
	}
	e, _ := store.DomainEntry(&d, nil)
	s.note(ctx, e)
	delete(s.domains, name)
	return nil
}

func (s *fakeStore) CreateKey(ctx context.Context, k *store.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.keys {
		if other.Hash == k.Hash {
			return store.ErrExists
		}
	}
	k.ID, k.CreatedAt, k.AccountID = s.ids.Next().String(), s.now().UTC(), store.PrimaryAccount
	if k.Kind == "" {
		k.Kind = store.KindUser
	}
	s.keys = append(s.keys, *k)
	s.note(ctx, store.KeyEntry(store.AuditCreate, k, s.domainName(k.DomainID)))
	return nil
}

func (s *fakeStore) KeyByHash(_ context.Context, hash [32]byte) (store.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return store.Key{}, s.fail
	}
	for _, k := range s.keys {
		if k.Hash == hash {
			return k, nil
		}
	}
	return store.Key{}, store.ErrNotFound
}

func (s *fakeStore) ListKeys(context.Context) ([]store.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys), nil
}

func (s *fakeStore) UpdateKey(context.Context, string, func(*store.Key) error) (store.Key, error) {
	return store.Key{}, errors.New("no test changes a key here")
}

func (s *fakeStore) NoteKeyUse(context.Context, map[string]store.KeyUse) error { return nil }

func (s *fakeStore) DeleteKey(ctx context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.keys, func(k store.Key) bool { return k.ID == id })
	if i < 0 {
		return store.ErrNotFound
	}
	s.note(ctx, store.KeyEntry(store.AuditDelete, &s.keys[i], s.domainName(s.keys[i].DomainID)))
	s.keys = slices.Delete(s.keys, i, i+1)
	return nil
}

func (s *fakeStore) PutCredential(ctx context.Context, c store.Credential) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.credentials[c.Login]
	c.CreatedAt = s.now().UTC()
	s.credentials[c.Login] = c
	action := store.AuditUpdate
	if !known {
		action = store.AuditCreate
	}
	s.note(ctx, store.CredentialEntry(action, c.Login, s.domainName(c.DomainID)))
	return !known, nil
}

func (s *fakeStore) Credential(_ context.Context, login string) (store.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.credentials[login]
	if !ok {
		return c, store.ErrNotFound
	}
	return c, nil
}

func (s *fakeStore) ListCredentials(_ context.Context, domainID int64) ([]store.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []store.Credential
	for _, login := range slices.Sorted(maps.Keys(s.credentials)) {
		if c := s.credentials[login]; c.DomainID == domainID {
			list = append(list, c)
		}
	}
	return list, nil
}

func (s *fakeStore) DeleteCredential(ctx context.Context, domainID int64, login string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.credentials[login]; !ok || c.DomainID != domainID {
		return store.ErrNotFound
	}
	delete(s.credentials, login)
	s.note(ctx, store.CredentialEntry(store.AuditDelete, login, s.domainName(domainID)))
	return nil
}

func (s *fakeStore) NewID() mail.ID { return s.ids.Next() }

func (s *fakeStore) NewIDs(n int) mail.ID { return s.ids.Reserve(n) }

// AcceptAll is not atomic: what the real store does is tested there.
func (s *fakeStore) AcceptAll(ctx context.Context, all []*store.NewMessage) error {
	for _, m := range all {
		if err := s.Accept(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeStore) Accept(_ context.Context, m *store.NewMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if m.Content != nil {
		r, err := m.Content.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		if s.contents[m.ID], err = io.ReadAll(r); err != nil {
			return err
		}
	}
	s.messages[m.ID] = store.Message{ID: m.ID, DomainID: m.DomainID, Envelope: m.Envelope, Meta: m.Meta, Size: int64(len(s.contents[m.ID])), Pending: len(m.Rows)}
	for i := range m.Rows {
		m.Rows[i].ID = s.ids.Next()
		s.rows = append(s.rows, m.Rows[i])
	}
	for i := range m.Events {
		s.add(&m.Events[i], m.Meta)
	}
	return nil
}

func (s *fakeStore) add(r *event.Record, m event.Meta) {
	r.ID, r.Time = s.ids.Next(), s.now().UTC()
	s.events = append(s.events, store.EventItem{Record: *r, Meta: m})
}

func (s *fakeStore) Message(_ context.Context, domainID int64, id mail.ID) (store.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.messages[id]
	if !ok || m.DomainID != domainID {
		return store.Message{}, store.ErrNotFound
	}
	return m, nil
}

func (s *fakeStore) Content(_ context.Context, domainID int64, id mail.ID) (store.Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.contents[id]
	if !ok || s.messages[id].DomainID != domainID {
		return store.Content{}, store.ErrNotFound
	}
	return store.Content{Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}, nil
}

func (s *fakeStore) Prune(context.Context, store.Retention) error { return errors.ErrUnsupported }

func (s *fakeStore) Events(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := store.EventPage{Cursor: q.Before}
	if q.Ascending {
		p.Cursor = q.After
	}
	scan := cmp.Or(q.Scan, 100_000)
	for i := range s.events {
		e := s.events[i]
		if !q.Ascending {
			e = s.events[len(s.events)-1-i]
		}
		if e.DomainID != q.DomainID || e.ID <= q.After || q.Before != 0 && e.ID >= q.Before {
			continue
		}
		if len(p.Items) == q.Limit || scan == 0 {
			p.More = true
			return p, ctx.Err()
		}
		scan--
		s.scanned++
		p.Cursor = e.ID
		switch {
		case q.Types != nil && !slices.Contains(q.Types, e.Type),
			q.Message != 0 && e.Message != q.Message,
			q.Recipient != "" && !strings.EqualFold(q.Recipient, e.Recipient),
			q.MessageID != "" && q.MessageID != e.Meta.MessageID,
			q.Match != nil && !q.Match(&e.Record, &e.Meta):
			continue
		}
		p.Items = append(p.Items, e)
	}
	return p, ctx.Err()
}

func (s *fakeStore) Journal(ctx context.Context, q store.JournalQuery) (store.JournalPage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := store.JournalPage{Cursor: max(q.After, s.ids.Next()-1)}
	for _, e := range s.events {
		if e.ID > q.After && slices.Contains(q.Types, e.Type) {
			p.Items = append(p.Items, e)
		}
	}
	return p, ctx.Err()
}

func (s *fakeStore) NextHops(context.Context) ([]store.NextHop, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hops := map[string]store.NextHop{}
	for _, r := range s.rows {
		h := hops[r.NextHop]
		if h.Name = r.NextHop; h.Rows == 0 || r.Due.Before(h.Due) {
			h.Due = r.Due
		}
		h.Rows++
		hops[r.NextHop] = h
	}
	return slices.SortedFunc(maps.Values(hops), func(a, b store.NextHop) int { return cmp.Compare(a.Name, b.Name) }), nil
}

// deliver adds the event of a delivery to the first recipient of a message.
func (s *fakeStore) deliver(id mail.ID) mail.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, yes, host := s.messages[id], true, "mx1.example.net"
	r := event.Record{Type: event.Delivered, DomainID: m.DomainID, Message: id, Recipient: m.Meta.Recipients[0], Data: event.Data{Status: &event.Status{
		AttemptNo: 1, Code: 250, Message: "OK", TLS: &yes, CertificateVerified: &yes, MXHost: &host, TLSDetail: &mail.TLSDetail{MXHost: host, Result: "verified-pkix"}}}}
	s.add(&r, m.Meta)
	return r.ID
}

// A rigEvidence is a real evidence log on the events of a fakeStore, opened when it is
// first needed: most tests do not.
type rigEvidence struct{ open func() *evidence.Log }

func (e rigEvidence) Export(ctx context.Context, w io.Writer, f proof.Filter) error {
	return e.open().Export(ctx, w, f)
}

func (e rigEvidence) Keys() []string { return e.open().Keys() }

func (e rigEvidence) Rotate() error { return e.open().Rotate() }

// A fakeQueue works on the rows of a fakeStore.
type fakeQueue struct{ store *fakeStore }

func (q fakeQueue) matching(r store.Row, query store.RowQuery) bool {
	meta := q.store.messages[r.Message].Meta
	return (query.MessageID == "" || query.MessageID == meta.MessageID) && (query.Tag == "" || slices.Contains(meta.Tags, query.Tag)) && (query.DomainID == 0 || query.DomainID == r.DomainID) && (query.Message == 0 || query.Message == r.Message) &&
		(query.Row == 0 || query.Row == r.ID) && (query.NextHop == "" || query.NextHop == r.NextHop) &&
		(query.Recipient == "" || strings.EqualFold(query.Recipient, r.Recipient.String())) && r.ID > query.After
}

func (q fakeQueue) List(_ context.Context, query store.RowQuery) ([]store.Row, error) {
	q.store.mu.Lock()
	defer q.store.mu.Unlock()
	var rows []store.Row
	for _, r := range q.store.rows {
		if q.matching(r, query) && len(rows) < cmp.Or(query.Limit, 100) {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func (q fakeQueue) Explain(ctx context.Context, query store.RowQuery) ([]Explanation, error) {
	rows, err := q.List(ctx, query)
	var all []Explanation
	for _, r := range rows {
		e := Explanation{Row: r, State: "scheduled", Next: r.Due, Sentence: "It waits for its next attempt."}
		if r.Held {
			e = Explanation{Row: r, State: "held", Sentence: "A person holds it."}
		}
		all = append(all, e)
	}
	return all, err
}

func (q fakeQueue) change(query store.RowQuery, change func(*store.Row)) (int, error) {
	q.store.mu.Lock()
	defer q.store.mu.Unlock()
	n := 0
	for i := range q.store.rows {
		if q.matching(q.store.rows[i], query) {
			change(&q.store.rows[i])
			n++
		}
	}
	return n, nil
}

func (q fakeQueue) Retry(_ context.Context, query store.RowQuery) (int, error) {
	return q.change(query, func(r *store.Row) { r.Due = q.store.now() })
}

func (q fakeQueue) Reschedule(_ context.Context, query store.RowQuery, due time.Time) (int, error) {
	return q.change(query, func(r *store.Row) { r.Due = due })
}

func (q fakeQueue) Hold(_ context.Context, query store.RowQuery) (int, error) {
	return q.change(query, func(r *store.Row) { r.Held = true })
}

func (q fakeQueue) Release(_ context.Context, query store.RowQuery) (int, error) {
	return q.change(query, func(r *store.Row) { r.Held = false })
}

func (q fakeQueue) Cancel(_ context.Context, query store.RowQuery) (int, error) {
	q.store.mu.Lock()
	defer q.store.mu.Unlock()
	n := len(q.store.rows)
	q.store.rows = slices.DeleteFunc(q.store.rows, func(r store.Row) bool { return q.matching(r, query) })
	return n - len(q.store.rows), nil
}

// A fakeProber answers with the name it was asked for.
type fakeProber struct{}

func (fakeProber) Probe(_ context.Context, domain string) (any, error) {
	return map[string]string{"domain": domain}, nil
}

// A fakeForecaster answers with what it was asked.
type fakeForecaster struct{}

func (fakeForecaster) Forecast(_ context.Context, d store.Domain, days int, probe bool) (any, error) {
	return map[string]any{"domain": d.Name, "days": days, "probe": probe}, nil
}

// fakeHash stores passwords as they are, so that tests can look at them.
func fakeHash(password string) (string, error) { return "hash of " + password, nil }

// fakeReports has one report of one domain.
type fakeReports struct{}

func (fakeReports) Enabled() bool { return true }

func (fakeReports) Reports(_ context.Context, q store.TLSReportQuery) ([]store.TLSReport, error) {
	at := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	r := store.TLSReport{
		Day: "2026-11-23", Domain: "example.net", ID: "0123@example.com", State: store.TLSReportWaiting,
		Due: at, GiveUp: at.Add(24 * time.Hour), Attempts: 1, Note: "503 Service Unavailable",
		Destinations: []store.TLSDestination{
			{URI: "mailto:tls@example.net", Done: true, Final: true, At: at, Note: "queued", MessageID: "0123.ab@example.com"},
			{URI: "https://example.net/tls", At: at, Note: "503 Service Unavailable", Unverified: true},
		},
	}
	if q.Day != "" && q.Day != r.Day || q.Domain != "" && q.Domain != r.Domain {
		return nil, nil
	}
	return []store.TLSReport{r}, nil
}

func (fakeReports) Preview(_ context.Context, domain, day string) ([]byte, error) {
	if domain != "example.net" || day != "2026-11-23" {
		return nil, fmt.Errorf("sessions with %s: %w", domain, store.ErrNotFound)
	}
	return []byte(`{"organization-name": "Example"}`), nil
}
