package app

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// A walker is the whole server without its listeners, with two accounts. The primary one has
// own.example and other.example, the sub-account has sub.example. Its table is what is really
// served: a group of calls that is wired in is walked without a word here.
type walker struct {
	*app
	t       *testing.T
	sub     store.Account
	handler http.Handler
	calls   int
}

// A visitor is who calls, by its key.
type visitor struct {
	role   store.KeyRole
	domain string // bound to it; empty: to none
	sub    bool   // of the sub-account
	acts   bool   // for the sub-account
}

func visitors() map[string]visitor {
	return map[string]visitor{
		"admin": {role: store.RoleAdmin}, "developer": {role: store.RoleDeveloper}, "basic": {role: store.RoleBasic}, "sending": {role: store.RoleSending},
		"own-admin": {role: store.RoleAdmin, domain: "own.example"}, "own-developer": {role: store.RoleDeveloper, domain: "own.example"},
		"own-basic": {role: store.RoleBasic, domain: "own.example"}, "own-sending": {role: store.RoleSending, domain: "own.example"},
		"other-admin": {role: store.RoleAdmin, domain: "other.example"}, "other-sending": {role: store.RoleSending, domain: "other.example"},
		"sub-admin": {role: store.RoleAdmin, sub: true}, "sub-sending": {role: store.RoleSending, sub: true},
		"acting-admin": {role: store.RoleAdmin, acts: true}, "acting-sending": {role: store.RoleSending, acts: true},
		"own-acting-admin": {role: store.RoleAdmin, domain: "own.example", acts: true},
		"public":           {role: store.RolePublic}, "unknown": {}, "": {},
	}
}

func newWalker(t *testing.T) *walker {
	t.Helper()
	dns := dnstest.Start(t, dnstest.Zone{Origin: "example", Records: "own A 192.0.2.1"})
	cfg := config.Default()
	cfg.Server.Hostname, cfg.Server.DataDir = "mx.example.net", filepath.Join(t.TempDir(), "data")
	at, err := dns.Listen()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Delivery.Resolver = at.String()
	cfg.Accept.AllowUnverifiedDomains = true
	a, err := build(context.WithoutCancel(t.Context()), cfg, Options{Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.evidence.Close()
		_ = a.queue.Shutdown(context.Background())
		_ = a.sts.Close()
		_ = a.store.Close()
	})
	w := &walker{app: a, t: t, handler: a.api.Handler()}
	w.furnish()
	return w
}

// furnish puts back what a call took away.
func (w *walker) furnish() {
	w.t.Helper()
	ctx := w.t.Context()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.store.Account(ctx, w.sub.ID); err != nil {
		w.sub = store.Account{Name: "sub"}
		must(w.store.CreateAccount(ctx, &w.sub))
	}
	// What was left behind of a call: disabled accounts, addresses that keys may come from.
	for _, id := range []int64{store.PrimaryAccount, w.sub.ID} {
		if a, err := w.store.Account(ctx, id); err != nil || a.Disabled || len(a.Settings.Allowed) > 0 {
			_, err := w.store.UpdateAccount(ctx, id, func(a *store.Account) error {
				a.Disabled, a.Settings = false, store.AccountSettings{}
				return nil
			})
			must(err)
		}
	}
	ids := map[string]int64{"": 0}
	for _, name := range []string{"own.example", "other.example", "sub.example"} {
		d, err := w.store.Domain(ctx, name)
		if err != nil {
			d = store.Domain{Name: name, State: store.DomainActive, AccountID: w.account(name == "sub.example"), DKIM: []store.DKIMKey{{Selector: "s1", Public: "k=rsa; p=x", Active: true}}}
			must(w.store.CreateDomain(ctx, &d))
		}
		ids[name] = d.ID
	}
	for secret, v := range visitors() {
		if v.role == "" {
			continue
		}
		hash := sha256.Sum256([]byte(secret))
		if _, err := w.store.KeyByHash(ctx, hash); err != nil {
			k := store.Key{Hash: hash, Role: v.role, DomainID: ids[v.domain], AccountID: w.account(v.sub), Description: secret}
			must(w.store.CreateKey(ctx, &k))
		}
	}
}

func (w *walker) account(sub bool) int64 {
	if sub {
		return w.sub.ID
	}
	return store.PrimaryAccount
}

// call makes a call as a visitor.
func (w *walker) call(as, method, path string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, nil)
	w.calls++ // each from an address of its own, so that wrong keys are not held off
	r.RemoteAddr = fmt.Sprintf("[2001:db8:%x:%x::1]:40000", w.calls>>16, w.calls&0xffff)
	if as != "" {
		r.SetBasicAuth("api", as)
	}
	if visitors()[as].acts {
		r.Header.Set(door.OnBehalfOf, w.sub.Ref)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// path fills a pattern in: the domain, and words for everything else.
func path(pattern, domain string) string {
	s := strings.NewReplacer("{domain}", domain, "{$}", "", "{action}", "retry", "{name}", "example.net", "{n}", "0").Replace(pattern)
	return regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(s, "x")
}

// may says in sentences who may make a call; the test compares every route with them. It knows
// nothing of how they are implemented.
func may(rt door.Route, v visitor, domain string) bool {
	look := rt.Method == http.MethodGet || rt.Access == door.Look
	switch {
	case rt.Access == door.Public:
		return true
	case v.role == "" || v.role == store.RolePublic:
		return false
	case v.domain != "" && v.acts: // keys of one domain act for nobody
		return false
	case rt.HasDomain() && (domain == "sub.example") != (v.sub || v.acts): // another account's
		return false
	case rt.HasDomain() && v.domain != "" && v.domain != domain: // another one of the account
		return false
	case v.role == store.RoleSending:
		return rt.Access == door.Send
	case rt.Access == door.Send:
		return v.role != store.RoleBasic
	case v.role == store.RoleBasic && !look:
		return false
	case rt.Access == door.Operate:
		return v.role == store.RoleAdmin && v.domain == "" && !v.sub && !v.acts
	case rt.Access == door.Administer:
		return v.role == store.RoleAdmin && v.domain == ""
	case rt.Access == door.Account:
		return v.domain == ""
	}
	return true
}

// noDomain is how calls say that a domain does not exist.
var noDomain = regexp.MustCompile(`^\{"message":"[Dd]omain not found`)

// SEC-60, A4: every call that is served, with every kind of key, for a domain of its own, of its
// account and of another account. A refused call is answered 401, or as if the domain did not exist.
func TestEveryRouteWithEveryKey(t *testing.T) {
	w := newWalker(t)
	names := slices.Sorted(maps.Keys(visitors()))
	for _, rt := range w.api.Table() {
		domains := []string{""}
		if rt.HasDomain() {
			domains = []string{"own.example", "sub.example"}
		}
		for _, domain := range domains {
			for _, name := range names {
				w.furnish()
				rec := w.call(name, rt.Method, path(rt.Pattern, domain))
				refused := rec.Code == http.StatusUnauthorized || rec.Code == http.StatusNotFound && noDomain.MatchString(rec.Body.String())
				if want := may(rt, visitors()[name], domain); refused == want {
					t.Errorf("%s %s of %q with key %q: status %d %s, allowed should be %v", rt.Method, rt.Pattern, domain, name, rec.Code, rec.Body, want)
				}
				if rec.Code >= 500 && rec.Code != http.StatusServiceUnavailable {
					t.Errorf("%s %s with key %q: status %d %s", rt.Method, rt.Pattern, name, rec.Code, rec.Body)
				}
			}
		}
	}
}

// SEC-59: a domain of another account is answered as one that does not exist, word for word, by
// every call about a domain.
func TestForeignDomainsLookMissing(t *testing.T) {
	w := newWalker(t)
	for _, rt := range w.api.Table() {
		if !rt.HasDomain() || rt.Access == door.Public {
			continue
		}
		foreign := w.call("admin", rt.Method, path(rt.Pattern, "sub.example"))
		missing := w.call("admin", rt.Method, path(rt.Pattern, "gone.example"))
		got, want := strings.ReplaceAll(foreign.Body.String(), "sub.example", "NAME"), strings.ReplaceAll(missing.Body.String(), "gone.example", "NAME")
		if foreign.Code != missing.Code || got != want || foreign.Code != http.StatusNotFound {
			t.Errorf("%s %s: foreign %d %s, missing %d %s", rt.Method, rt.Pattern, foreign.Code, got, missing.Code, want)
		}
	}
}

// SEC-59: an object of the sub-account, made with its own key, is for the primary account what
// one is that never was, by every call that names such an object.
func TestForeignObjectsLookMissing(t *testing.T) {
	w := newWalker(t)
	made := map[string]string{} // by the path that its id stands behind
	for prefix, o := range ownObjects() {
		rec := w.make(o)
		m := o.id.FindStringSubmatch(rec.Body.String())
		if rec.Code != http.StatusOK || m == nil {
			t.Fatalf("POST %s: %d %s", o.at, rec.Code, rec.Body)
		}
		made[prefix] = m[1]
	}
	id := regexp.MustCompile(`\{[a-z]+\}`)
	for _, rt := range w.api.Table() {
		at := id.FindStringIndex(rt.Pattern)
		if at == nil || rt.HasDomain() || rt.Access == door.Public || rt.Access == door.Operate || rt.Pattern == "/{$}" {
			continue // of one account only, or walked above
		}
		prefix, rest := rt.Pattern[:at[0]], path(rt.Pattern[at[1]:], "")
		object, ok := made[prefix]
		if !ok {
			if !slices.Contains(notObjects(), prefix) {
				t.Errorf("%s %s names something by %s: add a row to ownObjects, or to notObjects, so that it is known whose it is", rt.Method, rt.Pattern, prefix)
			}
			continue
		}
		missing := strings.Repeat("0", len(object))
		if _, domain, ok := strings.Cut(object, "@"); ok {
			missing = "none@" + domain
		}
		foreign, none := w.call("admin", rt.Method, prefix+object+rest), w.call("admin", rt.Method, prefix+missing+rest)
		if got := strings.ReplaceAll(foreign.Body.String(), object, missing); foreign.Code != none.Code || got != none.Body.String() {
			t.Errorf("%s %s: foreign %d %s, missing %d %s", rt.Method, rt.Pattern, foreign.Code, got, none.Code, none.Body)
		}
	}
	// Nothing of it was changed or deleted by somebody else.
	for prefix, object := range made {
		rec := w.call("sub-admin", "DELETE", prefix+object)
		if rec.Code >= 300 {
			t.Errorf("DELETE %s%s by its owner: %d %s", prefix, object, rec.Code, rec.Body)
		}
	}
}

// An ownObject is made by a call of the account that it belongs to.
type ownObject struct {
	at, form string
	id       *regexp.Regexp // where the answer tells its id
}

// ownObjects are what accounts have besides domains, by the paths that their ids stand behind. Whoever
// adds a kind of them adds a row.
func ownObjects() map[string]ownObject {
	hex := func(n int) *regexp.Regexp {
		return regexp.MustCompile(fmt.Sprintf(`"(?:id|pool_id)":"([0-9a-f]{%d})"`, n))
	}
	pool := ownObject{"/v3/ip_pools", "name=p&description=d", hex(24)}
	return map[string]ownObject{
		"/v1/keys/":          {"/v1/keys", "role=basic", hex(16)},
		"/v1/sealpost/keys/": {"/v1/sealpost/keys", "role=basic", hex(16)},
		"/v3/ip_pools/":      pool,
		"/v1/ip_pools/":      pool,
		"/v1/webhooks/":      {"/v1/webhooks", "url=https://8.8.8.8/a&event_types=delivered", regexp.MustCompile(`"webhook_id":"([0-9a-f]{24})"`)},
		"/v3/routes/":        {"/v3/routes", "expression=catch_all()&action=stop()", hex(24)},
		"/v3/lists/":         {"/v3/lists", "address=news@sub.example", regexp.MustCompile(`"address":"([^"]+)"`)},
	}
}

// notObjects are paths whose next word names nothing that an account owns.
func notObjects() []string {
	return []string{"/v3/ips/", "/v5/users/", "/v5/accounts/subaccounts/", "/v5/sandbox/auth_recipients/", "/v2/x509/", "/v1/bounce-classification/domains/"}
}

// make makes an object of the sub-account.
func (w *walker) make(o ownObject) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), "POST", o.at, strings.NewReader(o.form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("api", "sub-admin")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// A4: a sending key has two calls and no others.
func TestSendingKeysHaveTwoCalls(t *testing.T) {
	var allowed []string
	for _, rt := range newWalker(t).api.Table() {
		if rt.Access != door.Public && rt.Access.Allows(door.Principal{Role: store.RoleSending}, rt.Method) {
			allowed = append(allowed, rt.Method+" "+rt.Pattern)
		}
	}
	if got := strings.Join(allowed, ", "); got != "POST /v3/{domain}/messages, POST /v3/{domain}/messages.mime" {
		t.Errorf("sending keys may call %s", got)
	}
}
