// Package apitest runs the calls of one surface behind a real door, over a real store, with
// keys of several kinds. It is test support.
package apitest

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// The domains of every rig. The first two are the primary account's.
const (
	Own   = "example.com"
	Other = "example.org"
	Sub   = "sub.example" // of another account
)

// subAccount is the other account.
const subAccount int64 = 2

// A Rig is a surface that answers.
type Rig struct {
	Store *sqlite.Store
	Log   *slog.Logger
	door  *door.Door
}

// A spec says what a key is.
type spec struct {
	role   store.KeyRole
	domain string // empty: bound to none
	sub    bool   // of the other account
}

// specs are the keys by their secrets.
func specs() map[string]spec {
	return map[string]spec{
		"admin":         {role: store.RoleAdmin},
		"sending":       {role: store.RoleSending},
		"own-admin":     {role: store.RoleAdmin, domain: Own},
		"own-sending":   {role: store.RoleSending, domain: Own},
		"other-admin":   {role: store.RoleAdmin, domain: Other},
		"other-sending": {role: store.RoleSending, domain: Other},
		"sub-admin":     {role: store.RoleAdmin, sub: true},
		"sub-sending":   {role: store.RoleSending, sub: true},
	}
}

// Start makes a rig. build returns the calls, given the rig's store.
func Start(t testing.TB, build func(rg *Rig) []door.Route) *Rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := sqlite.Open(context.WithoutCancel(t.Context()), sqlite.Options{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	rg := &Rig{Store: s, Log: log}
	ids := map[string]int64{"": 0}
	for _, name := range []string{Own, Other, Sub} {
		d := store.Domain{Name: name, State: store.DomainActive, AccountID: account(name == Sub)}
		must(t, s.CreateDomain(t.Context(), &d))
		ids[name] = d.ID
	}
	for name, sp := range specs() {
		k := store.Key{Hash: sha256.Sum256([]byte(name)), Role: sp.role, DomainID: ids[sp.domain], AccountID: account(sp.sub), Description: name}
		must(t, s.CreateKey(t.Context(), &k))
	}
	rg.door = door.New(door.Config{PublicURL: "https://mail.example.net", SpoolDir: t.TempDir()}, door.Deps{Keys: s, Domains: s, Log: log}, build(rg))
	return rg
}

func account(sub bool) int64 {
	if sub {
		return subAccount
	}
	return store.PrimaryAccount
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Do sends a request with a key; the empty one is none, and "operator" is the local socket.
func (rg *Rig) Do(key string, r *http.Request) *httptest.ResponseRecorder {
	h := rg.door.Handler()
	if key == "operator" {
		h = rg.door.TrustedHandler()
	} else if key != "" {
		r.SetBasicAuth("api", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Call sends parameters: in the query for GET and DELETE, else urlencoded in the body.
func (rg *Rig) Call(key, method, path string, params ...string) (status int, body string) {
	form := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		form.Add(params[i], params[i+1])
	}
	var content io.Reader
	if method == http.MethodGet || method == http.MethodDelete {
		if len(form) > 0 {
			path += "?" + form.Encode()
		}
	} else {
		content = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, path, content)
	if content != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := rg.Do(key, r)
	return w.Code, w.Body.String()
}
