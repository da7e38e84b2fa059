package httpapi

import (
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/domaindns"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/evidence"
	"github.com/sealpost/sealpost/internal/httpapi/domains"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/keys"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Keys that every rig knows. Their names say what they may do: example.com is
// "own", example.org is "other".
var rigKeys = map[string]struct {
	role   store.KeyRole
	domain string
}{
	"admin":         {store.RoleAdmin, ""},
	"sending":       {store.RoleSending, ""},
	"own-admin":     {store.RoleAdmin, "example.com"},
	"own-sending":   {store.RoleSending, "example.com"},
	"other-admin":   {store.RoleAdmin, "example.org"},
	"other-sending": {store.RoleSending, "example.org"},
}

// A rig is an API with everything behind it, real as far as accept and compose
// go, fake where it would leave the process.
type rig struct {
	api     *API
	store   *fakeStore
	queue   fakeQueue
	public  http.Handler
	trusted http.Handler
	log     *strings.Builder
}

func newRig(t testing.TB, change ...func(*Config, *Deps)) *rig {
	t.Helper()
	s := newFakeStore()
	rg := &rig{store: s, queue: fakeQueue{s}, log: &strings.Builder{}}
	log := slog.New(slog.NewTextHandler(rg.log, nil))
	for _, name := range []string{"example.com", "example.org"} {
		d := store.Domain{Name: name, State: store.DomainActive, DKIM: []store.DKIMKey{{Selector: "s1", Public: "k=rsa; p=KEY", Active: true}}}
		if err := s.CreateDomain(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"admin", "sending", "own-admin", "own-sending", "other-admin", "other-sending"} {
		k := rigKeys[name]
		key := store.Key{Hash: sha256.Sum256([]byte(name)), Role: k.role, DomainID: s.domains[k.domain].ID, Description: name}
		if err := s.CreateKey(t.Context(), &key); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{Config: door.Config{PublicURL: "https://mail.example.net", SpoolDir: t.TempDir()}, Version: "1.2.3"}
	evidenceLog := sync.OnceValue(func() *evidence.Log {
		l, err := evidence.Open(s, evidence.Options{Dir: filepath.Join(t.TempDir(), "evidence"), Hostname: "mx.example.net", Log: log})
		if err != nil {
			t.Error(err)
		}
		t.Cleanup(l.Close)
		return l
	})
	deps := Deps{
		Acceptor: accept.New(accept.Config{Hostname: "mx.example.net", SpoolDir: cfg.SpoolDir}, s, s, nil, log),
		Domains:  s, Keys: s, Messages: s, Events: s, Overrides: s, Audit: s, CheckClientCert: fakeCert, Queue: rg.queue, NextHops: s, Explain: rg.queue.Explain,
		Prober: fakeProber{}, Reports: fakeReports{}, Forecaster: fakeForecaster{}, Evidence: rigEvidence{evidenceLog}, Log: log,
	}
	for _, c := range change {
		c(&cfg, &deps)
	}
	rg.api = New(cfg, deps,
		domains.New(domains.Config{DNS: domaindns.Config{Hostname: "mx.example.net"}}, domains.Deps{Domains: s, Credentials: s, Messages: s, Queue: rg.queue, HashPassword: fakeHash, Log: log}),
		keys.New(keys.Deps{Keys: s, Domains: s, Uses: keyuse.New(s, log)}))
	rg.public, rg.trusted = rg.api.Handler(), rg.api.TrustedHandler()
	return rg
}

// call sends a request with a key and form parameters. For GET and DELETE they go
// into the query.
func (rg *rig) call(key, method, path string, form url.Values) *httptest.ResponseRecorder {
	var r *http.Request
	if method == "GET" || method == "DELETE" {
		if len(form) > 0 {
			path += "?" + form.Encode()
		}
		r = httptest.NewRequest(method, path, nil)
	} else {
		r = httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return rg.do(key, r)
}

func (rg *rig) do(key string, r *http.Request) *httptest.ResponseRecorder {
	if key != "" {
		r.SetBasicAuth("api", key)
	}
	w := httptest.NewRecorder()
	rg.public.ServeHTTP(w, r)
	return w
}

// message puts a message with the given content into the store.
func (rg *rig) message(t testing.TB, domain, content string) mail.ID {
	t.Helper()
	id := rg.store.NewID()
	err := rg.store.Accept(t.Context(), &store.NewMessage{
		ID: id, DomainID: rg.store.domains[domain].ID,
		Meta:    event.Meta{Domain: domain, Sender: "bob@" + domain, From: "Bob <bob@" + domain + ">", Subject: "Hi", Recipients: []string{"ann@example.net"}},
		Content: &store.Content{Size: int64(len(content)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}
