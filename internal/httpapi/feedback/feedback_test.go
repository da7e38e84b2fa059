package feedback_test

import (
	"context"
	"crypto/sha256"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/feedback"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/suppression"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// A rig is the call with a real store that has one message of example.com to two recipients.
type rig struct {
	store   *sqlite.Store
	handler http.Handler
	domains map[string]store.Domain
}

func newRig(t testing.TB) *rig {
	t.Helper()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: filepath.Join(dir, "data"), MinFree: -1, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	rg := &rig{store: s, domains: map[string]store.Domain{}}
	for _, name := range []string{"example.com", "example.org"} {
		d := store.Domain{Name: name, State: store.DomainActive}
		if err := s.CreateDomain(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
		rg.domains[name] = d
	}
	for name, k := range map[string]store.Key{
		"admin": {Role: store.RoleAdmin}, "sending": {Role: store.RoleSending}, "other": {Role: store.RoleAdmin, DomainID: rg.domains["example.org"].ID},
	} {
		k.Hash = sha256.Sum256([]byte(name))
		if err := s.CreateKey(t.Context(), &k); err != nil {
			t.Fatal(err)
		}
	}
	id, d := s.NewID(), rg.domains["example.com"]
	m := &store.NewMessage{
		ID: id, DomainID: d.ID, Meta: event.Meta{Domain: d.Name, MessageID: "news.1@example.com", Tags: []string{"news"}},
		Content: &store.Content{Size: 1, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }},
	}
	for _, rcpt := range []string{"Ann@example.net", "bo@example.net"} {
		m.Events = append(m.Events, event.Record{Type: event.Accepted, DomainID: d.ID, Message: id, Recipient: rcpt})
	}
	if err := s.Accept(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	room, err := suppression.Open(t.Context(), filepath.Join(dir, "imports"), s, log)
	if err != nil {
		t.Fatal(err)
	}
	rg.handler = door.New(door.Config{SpoolDir: t.TempDir()}, door.Deps{Keys: s, Domains: s, Accounts: s, Log: log}, feedback.New(s, s, room).Routes()).Handler()
	return rg
}

func (rg *rig) do(key string, r *http.Request) *httptest.ResponseRecorder {
	if key != "" {
		r.SetBasicAuth("api", key)
	}
	w := httptest.NewRecorder()
	rg.handler.ServeHTTP(w, r)
	return w
}

func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller { return newRig(t).do })
	contract.Covers(t, "testdata/contract", []string{"POST /v1/sealpost/domains/{domain}/complaints"})
}

// A complaint is an event of the message, and keeps further mail from its recipient alone.
func TestComplaintIsEventAndEntry(t *testing.T) {
	rg := newRig(t)
	d := rg.domains["example.com"]
	for range 2 { // told twice, it is one
		r := httptest.NewRequest("POST", "/v1/sealpost/domains/example.com/complaints?message-id=%3Cnews.1@example.com%3E&recipient=ann@EXAMPLE.net", nil)
		if w := rg.do("admin", r); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	page, err := rg.store.Events(t.Context(), store.EventQuery{DomainID: d.ID, Types: []event.Type{event.Complained}, Limit: 10})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%d events, %v", len(page.Items), err)
	}
	if e := page.Items[0]; e.Recipient != "Ann@example.net" || e.Meta.MessageID != "news.1@example.com" || len(e.Meta.Tags) != 1 {
		t.Errorf("event is %+v", e)
	}
	for address, want := range map[string]bool{"ann@example.net": true, "bo@example.net": false} {
		_, err := rg.store.Suppression(t.Context(), d.ID, store.Complaints, address)
		if (err == nil) != want {
			t.Errorf("%s is on the list: %v", address, err)
		}
	}
}
