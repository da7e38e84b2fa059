// Package apitest runs the calls of one surface behind a real door, over a real store, with
// a key of every kind. It is test support.
package apitest

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// The domains of every rig. The first two are the primary account's.
const (
	Own   = "example.com"
	Other = "example.org"
	Sub   = "sub.example" // of the sub-account
)

// A Rig is a surface that answers.
type Rig struct {
	Store      *sqlite.Store
	Uses       *keyuse.Ledger
	SubAccount store.Account
	Log        *slog.Logger
	door       *door.Door
}

// A spec says what a key is.
type spec struct {
	role   store.KeyRole
	domain string // empty: bound to none
	sub    bool   // of the sub-account
	change func(*store.Key)
}

// specs are the keys by their secrets. Those whose name begins with bad exist and may not be used.
func specs() map[string]spec {
	return map[string]spec{
		"admin":         {role: store.RoleAdmin},
		"developer":     {role: store.RoleDeveloper},
		"basic":         {role: store.RoleBasic},
		"sending":       {role: store.RoleSending},
		"own-admin":     {role: store.RoleAdmin, domain: Own},
		"own-developer": {role: store.RoleDeveloper, domain: Own},
		"own-basic":     {role: store.RoleBasic, domain: Own},
		"own-sending":   {role: store.RoleSending, domain: Own},
		"other-admin":   {role: store.RoleAdmin, domain: Other},
		"other-sending": {role: store.RoleSending, domain: Other},
		"sub-admin":     {role: store.RoleAdmin, sub: true},
		"sub-sending":   {role: store.RoleSending, sub: true},
		"bad-disabled":  {role: store.RoleAdmin, change: func(k *store.Key) { k.Disabled = true }},
		"bad-expired":   {role: store.RoleAdmin, change: func(k *store.Key) { k.ExpiresAt = time.Now().Add(-time.Minute) }},
		"bad-public":    {role: store.RolePublic, change: func(k *store.Key) { k.Kind = store.KindPublic }},
		"bad-address": {role: store.RoleAdmin, change: func(k *store.Key) {
			k.Details.Addresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		}},
	}
}

// Start makes a rig over an empty store. build returns the calls, given the rig.
func Start(t testing.TB, build func(rg *Rig) []door.Route) *Rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := sqlite.Open(context.WithoutCancel(t.Context()), sqlite.Options{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	rg := &Rig{Store: s, Uses: keyuse.New(s, log), SubAccount: store.Account{Name: "Sub"}, Log: log}
	must(t, s.CreateAccount(t.Context(), &rg.SubAccount))
	ids := map[string]int64{"": 0}
	for _, name := range []string{Own, Other, Sub} {
		d := store.Domain{Name: name, State: store.DomainActive, AccountID: rg.account(name == Sub), DKIM: []store.DKIMKey{{Selector: "s1", Public: "k=rsa; p=KEY", Active: true}}}
		must(t, s.CreateDomain(t.Context(), &d))
		ids[name] = d.ID
	}
	all := specs()
	for _, name := range slices.Sorted(maps.Keys(all)) { // one order, so that lists are the same every time
		sp := all[name]
		k := store.Key{Hash: sha256.Sum256([]byte(name)), Role: sp.role, DomainID: ids[sp.domain], AccountID: rg.account(sp.sub), Description: name}
		if sp.change != nil {
			sp.change(&k)
		}
		must(t, s.CreateKey(t.Context(), &k))
	}
	rg.door = door.New(door.Config{PublicURL: "https://mail.example.net", SpoolDir: t.TempDir()},
		door.Deps{Keys: s, Domains: s, Accounts: s, Uses: rg.Uses, Log: log}, build(rg))
	return rg
}

func (rg *Rig) account(sub bool) int64 {
	if sub {
		return rg.SubAccount.ID
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
	// Contract files know the sub-account by this name.
	if r.Header.Get(door.OnBehalfOf) == "SUB" {
		r.Header.Set(door.OnBehalfOf, rg.SubAccount.Ref)
	}
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
