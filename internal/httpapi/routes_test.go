package httpapi

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/contract"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// callers are all kinds of keys, seen from example.com.
var callers = []string{"", "wrong", "admin", "sending", "own-admin", "own-sending", "other-admin", "other-sending"}

// mayCall says in sentences what the access classes mean; the test below compares
// every route with them. It knows nothing of how they are implemented.
func mayCall(rt door.Route, caller string) bool {
	k, known := rigKeys[caller]
	foreign := k.domain == "example.org" && rt.HasDomain()
	switch {
	case rt.Access == door.Public:
		return true
	case !known, foreign:
		return false
	case rt.Access == door.Operate:
		return k.role == store.RoleAdmin && k.domain == ""
	case k.role == store.RoleSending:
		return rt.Access == door.Send
	}
	return true
}

// SEC-60, A4: every route with every kind of key. A refused call is answered 401,
// or as if the domain did not exist.
func TestEveryRouteWithEveryRole(t *testing.T) {
	for _, rt := range newRig(t).api.routes() {
		for _, caller := range callers {
			rg := newRig(t)
			path := strings.NewReplacer("{domain}", "example.com", "{$}", "", "{action}", "retry", "{name}", "example.net").Replace(rt.Pattern)
			path = strings.NewReplacer("{token}", "x", "{key}", "x", "{login}", "x", "{id}", "x", "{n}", "0").Replace(path)
			w := rg.call(caller, rt.Method, path, nil)
			refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusNotFound && strings.Contains(w.Body.String(), "Domain not found")
			if refused == mayCall(rt, caller) {
				t.Errorf("%s %s with key %q: status %d %s, allowed should be %v", rt.Method, rt.Pattern, caller, w.Code, w.Body, mayCall(rt, caller))
			}
			if w.Code == http.StatusUnauthorized && (w.Body.String() != "Forbidden" || w.Header().Get("WWW-Authenticate") != `Basic realm="MG API"`) {
				t.Errorf("%s %s with key %q: 401 with %q", rt.Method, rt.Pattern, caller, w.Body)
			}
			if w.Code >= 500 {
				t.Errorf("%s %s with key %q: status %d", rt.Method, rt.Pattern, caller, w.Code)
			}
		}
	}
}

// The whole table as a file, so that a change of who may call what shows in review.
func TestRouteTableGolden(t *testing.T) {
	classes := map[door.Access]string{door.Operate: "operate", door.Administer: "administer", door.Account: "account", door.Look: "look", door.Manage: "manage", door.Send: "send", door.Public: "public"}
	var lines []string
	for _, rt := range newRig(t).api.routes() {
		lines = append(lines, fmt.Sprintf("%-8s %-7s %s\n", classes[rt.Access], rt.Method, rt.Pattern))
	}
	slices.Sort(lines)
	got := strings.Join(lines, "")
	const golden = "testdata/routes.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s", got)
	}
}

// A4: a sending key has two calls and no others.
func TestSendingKeysHaveTwoCalls(t *testing.T) {
	var allowed []string
	for _, rt := range newRig(t).api.routes() {
		if rt.Access.Allows(door.Principal{Role: store.RoleSending}, rt.Method) && rt.Access != door.Public {
			allowed = append(allowed, rt.Method+" "+rt.Pattern)
		}
	}
	if got := strings.Join(allowed, ", "); got != "POST /v3/{domain}/messages, POST /v3/{domain}/messages.mime" {
		t.Errorf("sending keys may call %s", got)
	}
}

// SEC-65: one address answers without a key.
func TestOnePublicRoute(t *testing.T) {
	var found []string
	for _, rt := range newRig(t).api.routes() {
		if rt.Access == door.Public {
			found = append(found, rt.Pattern)
		}
	}
	if strings.Join(found, " ") != "/{$}" {
		t.Errorf("public routes are %v", found)
	}
}

func TestZeroPrincipalMayDoNothing(t *testing.T) {
	for _, c := range []door.Access{door.Operate, door.Administer, door.Account, door.Manage, door.Look, door.Send} {
		if c.Allows(door.Principal{}, http.MethodGet) {
			t.Errorf("class %d allows somebody without a role", c)
		}
	}
}

func TestTrustedSocketNeedsNoKey(t *testing.T) {
	rg := newRig(t)
	for _, key := range []string{"", "wrong"} {
		r := contract.Request(t, "GET", "/v1/sealpost/keys", "")
		if key != "" {
			r.SetBasicAuth("api", key)
		}
		r.RemoteAddr = "@"
		w := serve(rg.trusted, r)
		if w.Code != http.StatusOK {
			t.Errorf("key %q: status %d %s", key, w.Code, w.Body)
		}
	}
	if w := rg.call("", "GET", "/v1/sealpost/keys", nil); w.Code != http.StatusUnauthorized {
		t.Errorf("the public handler answered %d without a key", w.Code)
	}
}

// SEC-72's lesson: routing and authority look at the same path.
func TestEncodedPathsReachTheSameRoutes(t *testing.T) {
	rg := newRig(t)
	for path, want := range map[string]int{
		"/v3/domain%73/example.com":        http.StatusOK,
		"/v3/domains/example%2Ecom":        http.StatusOK,
		"/v3/domains/EXAMPLE.com":          http.StatusOK,
		"/v3/domains%2Fexample.com/events": http.StatusNotFound,
		"/v3/domains/example.com%2Fevents": http.StatusNotFound,
		"/v3/domains/../v3/domains":        http.StatusNotFound,
		"/v1/sealpost/../sealpost/keys":    http.StatusNotFound,
		"/v3/domains/example.com%00":       http.StatusNotFound,
		"/v3//domains":                     http.StatusNotFound,
		"/v3/domains/%2E%2E/domains":       http.StatusNotFound,
	} {
		if w := rg.call("own-admin", "GET", path, nil); w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}
