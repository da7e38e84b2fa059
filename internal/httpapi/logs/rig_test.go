package logs_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/logs"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// A rig is the call with a real store behind it. Its keys say what they may do: "admin" is of the
// primary account, "own-admin" of example.com alone, "sub" of another account, which has
// sub.example, and "sending" may send.
type rig struct {
	store   *sqlite.Store
	handler http.Handler
	domains map[string]store.Domain
}

func newRig(t testing.TB, more ...string) *rig { return newLimitedRig(t, 0, more...) }

func newLimitedRig(t testing.TB, limit int, more ...string) *rig {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: filepath.Join(t.TempDir(), "data"), MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	rg := &rig{store: s, domains: map[string]store.Domain{}}
	sub := store.Account{Name: "sub"}
	if err := s.CreateAccount(t.Context(), &sub); err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"example.com", "example.org", "sub.example"}, more...) {
		d := store.Domain{Name: name, State: store.DomainActive}
		if name == "sub.example" {
			d.AccountID = sub.ID
		}
		if err := s.CreateDomain(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
		rg.domains[name] = d
	}
	for _, k := range []store.Key{
		{Description: "admin", Role: store.RoleAdmin}, {Description: "own-admin", Role: store.RoleAdmin, DomainID: rg.domains["example.com"].ID},
		{Description: "sub", Role: store.RoleAdmin, AccountID: sub.ID}, {Description: "sending", Role: store.RoleSending},
	} {
		k.Hash = sha256.Sum256([]byte(k.Description))
		if err := s.CreateKey(t.Context(), &k); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	rg.handler = door.New(door.Config{PublicURL: "https://mail.example.net", SpoolDir: t.TempDir()}, door.Deps{Keys: s, Domains: s, Log: log}, logs.New(s, s, logs.Config{MaxRequests: limit}).Routes()).Handler()
	return rg
}

// mail stores a message with its events.
func (rg *rig) mail(t testing.TB, domain, recipient string, tags []string, types ...event.Type) *store.NewMessage {
	t.Helper()
	d := rg.domains[domain]
	id := rg.store.NewID()
	m := &store.NewMessage{
		ID: id, DomainID: d.ID,
		Meta: event.Meta{
			Domain: domain, MessageID: "20250224224403.1d63@" + domain, Sender: "bob@" + domain, From: "Bob <bob@" + domain + ">", To: recipient, Subject: "Hello",
			Recipients: []string{recipient}, Size: 586, Tags: tags, Variables: map[string]string{"email-id": "17"}, Method: "http", Authenticated: true,
		},
		Content: &store.Content{Size: 1, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }},
	}
	for _, typ := range types {
		r := event.Record{Type: typ, DomainID: d.ID, Message: id, Recipient: recipient}
		switch typ {
		case event.Delivered:
			r.Data = event.Data{SendingIP: "192.0.2.10", Status: &event.Status{AttemptNo: 1, Code: 250, Message: "OK"}}
		case event.FailedPermanent, event.FailedTemporary:
			r.Data = event.Data{Reason: "bounce", Status: &event.Status{AttemptNo: 1, Code: 550, EnhancedCode: "5.1.1", Message: "no such user"}}
		}
		m.Events = append(m.Events, r)
	}
	if err := rg.store.Accept(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (rg *rig) do(key string, r *http.Request) *httptest.ResponseRecorder {
	if key != "" {
		r.SetBasicAuth("api", key)
	}
	w := httptest.NewRecorder()
	rg.handler.ServeHTTP(w, r)
	return w
}

// page is what clients read of an answer.
type page struct {
	Start, End string
	Items      []map[string]any
	Pagination struct {
		Next, Previous, First, Last string
		Total                       *int
	}
}

// ask sends a body and returns the answer, which must be 200.
func (rg *rig) ask(t testing.TB, key, body string) page {
	t.Helper()
	r := httptest.NewRequest("POST", "/v1/analytics/logs", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := rg.do(key, r)
	var p page
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// ids lists the ids of all pages, following next, or the given direction.
func (rg *rig) ids(t testing.TB, key, body string, follow func(p *page) string) []string {
	t.Helper()
	var list []string
	for n := 0; ; n++ {
		p := rg.ask(t, key, body)
		for _, it := range p.Items {
			list = append(list, fmt.Sprint(it["id"]))
		}
		token := follow(&p)
		if token == "" {
			return list
		}
		if n > 1000 {
			t.Fatal("the pages do not end")
		}
		body = fmt.Sprintf(`{"include_subaccounts":true,"pagination":{"token":%q}}`, token)
	}
}

func next(p *page) string { return p.Pagination.Next }
