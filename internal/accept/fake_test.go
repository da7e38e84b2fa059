package accept

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// A fakeStore keeps what it accepts in memory.
type fakeStore struct {
	ids *mail.IDs

	mu       sync.Mutex
	domains  map[string]store.Domain
	accepted []*store.NewMessage
	contents map[mail.ID][]byte
	fail     func(n int) error // for the nth Accept, from 1
	calls    int
	batches  int
	given    int // ids for letters
}

func newFakeStore(t testing.TB, domains ...store.Domain) *fakeStore {
	ids, err := mail.NewIDs(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeStore{ids: ids, domains: map[string]store.Domain{}, contents: map[mail.ID][]byte{}}
	for i, d := range domains {
		d.ID = int64(i + 1)
		f.domains[d.Name] = d
	}
	return f
}

func (f *fakeStore) NewID() mail.ID { return f.ids.Next() }

func (f *fakeStore) NewIDs(n int) mail.ID {
	f.given += n
	return f.ids.Reserve(n)
}

// AcceptAll takes all or none.
func (f *fakeStore) AcceptAll(ctx context.Context, all []*store.NewMessage) error {
	f.mu.Lock()
	before := len(f.accepted)
	f.batches++
	f.mu.Unlock()
	for _, m := range all {
		if err := f.Accept(ctx, m); err != nil {
			f.mu.Lock()
			f.accepted = f.accepted[:before]
			f.mu.Unlock()
			return err
		}
	}
	return nil
}

func (f *fakeStore) Domain(_ context.Context, name string) (store.Domain, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.domains[name]
	if !ok {
		return d, store.ErrNotFound
	}
	return d, nil
}

func (f *fakeStore) Accept(_ context.Context, m *store.NewMessage) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.fail != nil {
		if err := f.fail(f.calls); err != nil {
			return err
		}
	}
	if m.Content != nil {
		r, err := m.Content.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if int64(len(content)) != m.Content.Size {
			return errors.New("content is not as large as it says")
		}
		f.contents[m.ID] = content
	}
	kept := *m
	f.accepted = append(f.accepted, &kept)
	return nil
}

// messages are those accepted with content; rejected are the others.
func (f *fakeStore) messages() (with, rejected []*store.NewMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.accepted {
		if m.Content != nil {
			with = append(with, m)
		} else {
			rejected = append(rejected, m)
		}
	}
	return with, rejected
}

// one returns the only message accepted.
func (f *fakeStore) one(t testing.TB) (*store.NewMessage, string) {
	t.Helper()
	with, _ := f.messages()
	if len(with) != 1 {
		t.Fatalf("%d messages were accepted, want 1", len(with))
	}
	return with[0], string(f.contents[with[0].ID])
}

// A fakeScheduler has room for a number of octets.
type fakeScheduler struct {
	mu       sync.Mutex
	room     int64
	offered  []*store.NewMessage
	done     []func()
	woken    []string
	reserved int64
}

func (s *fakeScheduler) Reserve(size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserved+size > s.room {
		return false
	}
	s.reserved += size
	return true
}

func (s *fakeScheduler) Unreserve(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= size
}

func (s *fakeScheduler) Offer(m *store.NewMessage, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered, s.done = append(s.offered, m), append(s.done, done)
}

func (s *fakeScheduler) Wake(nextHop string, _ time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken = append(s.woken, nextHop)
}

func domain(name string) store.Domain { return store.Domain{Name: name, State: store.DomainActive} }

// testKey is made once: RSA keys are slow to make.
var testKey = sync.OnceValue(func() string {
	k, err := signing.GenerateEd25519()
	if err != nil {
		panic(err)
	}
	pem, err := k.PEM()
	if err != nil {
		panic(err)
	}
	return string(pem)
})

func testRoom(t testing.TB, f *fakeStore, s Scheduler) *Room {
	return New(Config{Hostname: "mx.sealpost.test", SpoolDir: t.TempDir()}, f, f, s, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

func fields(pairs ...string) []compose.Field {
	var list []compose.Field
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, compose.Field{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// form is an ordinary API submission.
func form(opts ...string) Submission {
	return Submission{
		Sender:  Sender{Door: HTTP, Domain: "mg.example.com", Authenticated: true, KeyID: "k1", OriginIP: "192.0.2.7"},
		To:      []string{"Ann <ann@one.test>", "bob@two.test, ANN@one.test"},
		Options: fields(opts...),
		Draft:   &Draft{From: []string{"News <news@mg.example.com>"}, Subject: "Hello", Text: "Hi there\n"},
	}
}

// smtp is an ordinary submission by SMTP with further header lines.
func smtp(headers string) Submission {
	raw := headers + "From: News <news@mg.example.com>\r\nTo: ann@one.test\r\nSubject: Hello\r\n\r\nHi there\r\n"
	return Submission{
		Sender:      Sender{Door: SMTP, Domain: "mg.example.com", Authenticated: true, Protocol: "ESMTPSA"},
		ReversePath: mail.Address{Local: "bounce", Domain: "mg.example.com"},
		Recipients:  []mail.Address{{Local: "ann", Domain: "one.test"}},
		Raw:         bytes.NewReader([]byte(raw)),
	}
}

// mime is the same message by the MIME endpoint.
func mime(headers string, opts ...string) Submission {
	s := smtp(headers)
	s.Sender = Sender{Door: HTTP, Domain: "mg.example.com", Authenticated: true}
	s.ReversePath, s.Recipients, s.To, s.Options = mail.Address{}, nil, []string{"ann@one.test"}, fields(opts...)
	return s
}

func wantError(t testing.TB, err error, status, code int, message string) {
	t.Helper()
	e, ok := asError(err)
	if !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	if e.Status != status || e.Code != code || message != "" && e.Message != message {
		t.Errorf("got %d, %d, %q; want %d, %d, %q", e.Status, e.Code, e.Message, status, code, message)
	}
}

// keyRecord is the TXT record of a key.
func keyRecord(t testing.TB, pem string) string {
	k, err := signing.ParseKey([]byte(pem))
	if err != nil {
		t.Fatal(err)
	}
	txt, err := k.TXT()
	if err != nil {
		t.Fatal(err)
	}
	return txt
}
