package httpapi

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/sealpost/sealpost/internal/store"
)

// An access class says which keys may call a route. What is not listed in a
// class is refused.
type access uint8

const (
	// operate: keys with role admin that are not bound to a domain.
	operate access = iota
	// manage: also admin keys of the route's own domain, or, on routes without a
	// domain, of any: those show them their own domain's things only.
	manage
	// send: also sending keys, for their domain.
	send
	// public: everybody, without a key.
	public
)

// allows reports whether the caller's key has the role for the class. That
// the domain is its own is checked apart.
func (c access) allows(p principal) bool {
	switch c {
	case public:
		return true
	case send:
		return p.role == store.RoleAdmin || p.role == store.RoleSending
	case manage:
		return p.role == store.RoleAdmin
	case operate:
		return p.role == store.RoleAdmin && p.domainID == 0
	}
	return false
}

// A route is a row of the table of what can be called, and by whom (SEC-60).
type route struct {
	method  string
	pattern string
	access  access
	handle  func(*API, http.ResponseWriter, *request) error
}

// changes reports whether a call may change something that is audited. Sending is not.
func (rt route) changes() bool {
	return rt.method != http.MethodGet && (rt.access == operate || rt.access == manage)
}

func (rt route) hasDomain() bool { return strings.Contains(rt.pattern, "{domain}") }

// routes is the table. It is the only source: the mux is built from it, and the
// test walks it with every kind of key.
func routes() []route {
	table := []route{
		{"GET", "/{$}", public, (*API).root},

		{"POST", "/v3/{domain}/messages", send, (*API).sendMessage},
		{"POST", "/v3/{domain}/messages.mime", send, (*API).sendMIME},
		{"GET", "/v3/{domain}/events", manage, (*API).listEvents},
		{"GET", "/v3/{domain}/events/{token}", manage, (*API).listEvents},
		{"DELETE", "/v3/{domain}/envelopes", manage, (*API).cancelQueued},

		{"GET", "/v3/domains/{domain}/messages/{key}", manage, (*API).storedMessage},
		{"POST", "/v3/domains/{domain}/messages/{key}", manage, (*API).resendMessage},
		{"GET", "/v3/domains/{domain}/messages/{key}/attachments/{n}", manage, (*API).storedAttachment},
		{"GET", "/v3/domains/{domain}/sending_queues", manage, (*API).sendingQueues},
		{"GET", "/v3/domains/{domain}/connection", manage, (*API).showConnection},
		{"PUT", "/v3/domains/{domain}/connection", manage, (*API).updateConnection},
		{"GET", "/v3/domains/{domain}/connection/impact", manage, (*API).showImpact},
		{"GET", "/v3/domains/{domain}/credentials", manage, (*API).listCredentials},
		{"POST", "/v3/domains/{domain}/credentials", manage, (*API).createCredentials},
		{"DELETE", "/v3/domains/{domain}/credentials", manage, (*API).deleteAllCredentials},
		{"PUT", "/v3/domains/{domain}/credentials/{login}", manage, (*API).updateCredential},
		{"DELETE", "/v3/domains/{domain}/credentials/{login}", manage, (*API).deleteCredential},

		{"GET", "/v1/sealpost/version", manage, (*API).showVersion},
		{"GET", "/v1/sealpost/health", manage, (*API).showHealth},
		{"GET", "/v1/sealpost/keys", operate, (*API).listKeys},
		{"POST", "/v1/sealpost/keys", operate, (*API).createKey},
		{"DELETE", "/v1/sealpost/keys/{id}", operate, (*API).deleteKey},
		{"GET", "/v1/sealpost/queue", operate, (*API).listQueue},
		{"GET", "/v1/sealpost/queue/next-hops", operate, (*API).listNextHops},
		{"GET", "/v1/sealpost/queue/explain", operate, (*API).explainQueue},
		{"POST", "/v1/sealpost/queue/{action}", operate, (*API).changeQueue},
		{"GET", "/v1/sealpost/tls/{name}", operate, (*API).probe},
		{"GET", "/v1/sealpost/overrides", operate, (*API).listOverrides},
		{"POST", "/v1/sealpost/overrides", operate, (*API).createOverride},
		{"DELETE", "/v1/sealpost/overrides/{id}", operate, (*API).deleteOverride},
		{"GET", "/v1/sealpost/audit", operate, (*API).listAudit},
		{"GET", "/v1/sealpost/tls-reports", operate, (*API).listTLSReports},
		{"GET", "/v1/sealpost/tls-reports/{name}", operate, (*API).previewTLSReport},
		{"GET", "/v1/sealpost/evidence", manage, (*API).exportEvidence},
		{"GET", "/v1/sealpost/evidence/key", manage, (*API).showEvidenceKeys},
		{"POST", "/v1/sealpost/evidence/key", operate, (*API).rotateEvidenceKey},
		{"GET", "/v1/sealpost/domains/{domain}/delivery", manage, (*API).showDelivery},
		{"PUT", "/v1/sealpost/domains/{domain}/delivery", manage, (*API).updateDelivery},
		{"PUT", "/v1/sealpost/domains/{domain}/state", operate, (*API).updateState},
	}
	for _, v := range []string{"/v3/domains", "/v4/domains"} { // one set of handlers under both
		table = append(table,
			route{"GET", v, manage, (*API).listDomains},
			route{"POST", v, operate, (*API).createDomain},
			route{"GET", v + "/{domain}", manage, (*API).showDomain},
			route{"PUT", v + "/{domain}", manage, (*API).updateDomain},
			route{"DELETE", v + "/{domain}", manage, (*API).deleteDomain},
			route{"PUT", v + "/{domain}/verify", manage, (*API).verifyDomain},
		)
	}
	return table
}

// fixedWords are never sending domains when they follow /v3/. Of these only
// domains has routes; the others must not be mistaken for a domain either.
var fixedWords = map[string]bool{
	"domains": true, "accounts": true, "lists": true, "routes": true, "ips": true, "ip_pools": true,
	"ip_warmups": true, "dynamic_pools": true, "stats": true, "address": true, "exports": true,
}

// A router finds the route of a request. It has two muxes because
// /v3/{domain}/events and /v3/domains/{domain} overlap, and the fixed word wins.
type router struct {
	domains *http.ServeMux // /v3/{domain}/…
	fixed   *http.ServeMux // everything else
}

// newRouter builds the muxes from the table; serve is called with the route found.
func newRouter(serve func(http.ResponseWriter, *http.Request, route)) *router {
	rt := &router{domains: http.NewServeMux(), fixed: http.NewServeMux()}
	missing := func(w http.ResponseWriter, r *http.Request) { serve(w, r, noRoute) }
	rt.domains.HandleFunc("/", missing)
	rt.fixed.HandleFunc("/", missing)
	for _, row := range routes() {
		mux := rt.fixed
		if strings.HasPrefix(row.pattern, "/v3/{domain}/") {
			mux = rt.domains
		}
		mux.HandleFunc(row.method+" "+row.pattern, func(w http.ResponseWriter, r *http.Request) { serve(w, r, row) })
	}
	return rt
}

// noRoute answers what is not in the table.
var noRoute = route{access: public, handle: func(*API, http.ResponseWriter, *request) error {
	return notFound("Not Found")
}}

func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if clean := path.Clean("/" + r.URL.Path); clean != r.URL.Path && clean+"/" != r.URL.Path {
		// A mux would redirect to the clean path; clients of an API do not follow.
		rt.fixed.ServeHTTP(w, withPath(r, "/not-found"))
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v3/"); ok {
		segment, _, _ := strings.Cut(rest, "/")
		if word, err := url.PathUnescape(segment); err == nil && !fixedWords[word] {
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
