package door

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/sealpost/sealpost/internal/store"
)

// An Access class says which keys may call a route. What is not listed in a
// class is refused.
type Access uint8

const (
	// Operate: what concerns the whole server. Admin keys of the primary account that are
	// not bound to a domain.
	Operate Access = iota
	// Administer: who may do what in one account: its keys and sub-accounts. Admin keys that are
	// not bound to a domain.
	Administer
	// Account: what concerns one account. Admin and developer keys that are not bound to a domain;
	// basic keys may look.
	Account
	// Manage: also keys of the route's own domain, or, on routes without a
	// domain, of any: those show them their own domain's things only.
	Manage
	// Look: as Manage, for calls that change nothing although their method could.
	Look
	// Send: admin, developer and sending keys, for their domain.
	Send
	// Public: everybody, without a key.
	Public
)

// Allows reports whether the caller's key has the role for a call of the class by the
// method. That the domain is its own is checked apart.
func (c Access) Allows(p Principal, method string) bool {
	everywhere := p.DomainID == 0
	switch c {
	case Public:
		return true
	case Send:
		return p.Role == store.RoleAdmin || p.Role == store.RoleDeveloper || p.Role == store.RoleSending
	case Look:
		return p.Role == store.RoleAdmin || p.Role == store.RoleDeveloper || p.Role == store.RoleBasic
	case Manage:
		return p.Role == store.RoleAdmin || p.Role == store.RoleDeveloper || p.Role == store.RoleBasic && method == http.MethodGet
	case Account:
		return everywhere && Manage.Allows(p, method)
	case Administer:
		return everywhere && p.Role == store.RoleAdmin
	case Operate:
		return everywhere && p.Role == store.RoleAdmin && p.AccountID <= store.PrimaryAccount
	}
	return false
}

// A Route is a row of the table of what can be called, and by whom (SEC-60). The
// pattern is one of http.ServeMux; {domain} in it names a sending domain, which the door
// finds before the handler runs.
type Route struct {
	Method  string
	Pattern string
	Access  Access
	// Handle writes an answer or returns an error, never both. Errors of the client's making
	// are a *[Problem], an *accept.Error or an error of the compose room.
	Handle func(w http.ResponseWriter, r *Request) error
}

// On returns a route.
func On(method, pattern string, access Access, handle func(http.ResponseWriter, *Request) error) Route {
	return Route{Method: method, Pattern: pattern, Access: access, Handle: handle}
}

// Changes reports whether a call may change something that is audited. Sending is not.
func (rt Route) Changes() bool {
	return rt.Method != http.MethodGet && rt.Access != Public && rt.Access != Send && rt.Access != Look
}

// HasDomain reports whether the route is about one sending domain.
func (rt Route) HasDomain() bool { return strings.Contains(rt.Pattern, "{domain}") }

// fixedWords are never sending domains when they follow /v3/, whether this server has
// routes below them or not.
func fixedWord(word string) bool {
	switch word {
	case "domains", "accounts", "lists", "routes", "ips", "ip_pools", "ip_warmups", "dynamic_pools", "stats", "address", "exports":
		return true
	}
	return false
}

// A router finds the route of a request. It has two muxes because
// /v3/{domain}/events and /v3/domains/{domain} overlap, and the fixed word wins.
type router struct {
	domains *http.ServeMux // /v3/{domain}/…
	fixed   *http.ServeMux // everything else
}

// newRouter builds the muxes from the table; serve is called with the route found.
func newRouter(routes []Route, serve func(http.ResponseWriter, *http.Request, Route)) *router {
	rt := &router{domains: http.NewServeMux(), fixed: http.NewServeMux()}
	missing := func(w http.ResponseWriter, r *http.Request) { serve(w, r, noRoute()) }
	rt.domains.HandleFunc("/", missing)
	rt.fixed.HandleFunc("/", missing)
	for _, row := range routes {
		mux := rt.fixed
		if strings.HasPrefix(row.Pattern, "/v3/{domain}/") {
			mux = rt.domains
		}
		mux.HandleFunc(row.Method+" "+row.Pattern, func(w http.ResponseWriter, r *http.Request) { serve(w, r, row) })
	}
	return rt
}

// noRoute answers what is not in the table.
func noRoute() Route {
	return Route{Access: Public, Handle: func(http.ResponseWriter, *Request) error { return NotFound("Not Found") }}
}

// ServeHTTP finds the route and serves it.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Escaped, as the muxes see it: a%2F%2Fb@example.com is an address in one segment.
	escaped := r.URL.EscapedPath()
	if clean := path.Clean("/" + escaped); clean != escaped && clean+"/" != escaped {
		// A mux would redirect to the clean path; clients of an API do not follow.
		rt.fixed.ServeHTTP(w, withPath(r, "/not-found"))
		return
	}
	if rest, ok := strings.CutPrefix(escaped, "/v3/"); ok {
		segment, _, _ := strings.Cut(rest, "/")
		if word, err := url.PathUnescape(segment); err == nil && !fixedWord(word) {
			rt.domains.ServeHTTP(w, r)
			return
		}
	}
	rt.fixed.ServeHTTP(w, r)
}

func withPath(r *http.Request, p string) *http.Request {
	u := *r.URL
	u.Path, u.RawPath = p, ""
	c := r.Clone(r.Context())
	c.URL = &u
	return c
}

// serve takes a routed request through authentication, authority and domain to
// its handler, in this order (a bad key never learns whether a domain exists).
func (d *Door) serve(w http.ResponseWriter, r *Request, rt Route, trusted bool) error {
	if rt.Access != Public {
		if err := d.authenticate(r, trusted); err != nil {
			return err
		}
	}
	if err := d.authorize(r, rt); err != nil {
		return err
	}
	if rt.Changes() {
		r.note()
	}
	return rt.Handle(w, r)
}

// authorize applies the row of the route table to the caller, and finds the domain.
func (d *Door) authorize(r *Request, rt Route) error {
	if !rt.Access.Allows(r.Who, rt.Method) {
		return ErrForbidden
	}
	if !rt.HasDomain() {
		return nil
	}
	name := r.PathValue("domain")
	domain, err := d.FindDomain(r.Context(), name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || rt.Access != Public && !r.Who.Owns(&domain) {
		if r.Who.Role == store.RoleSending && r.Who.DomainID != 0 {
			return ErrForbidden // whether another domain exists is not this key's business
		}
		return domainNotFound(rt, name)
	}
	r.Domain = domain
	return nil
}
