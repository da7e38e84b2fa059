package interop

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// A policyHost is the web server of many domains' MTA-STS policies (RFC 8461 section 3.3).
type policyHost struct {
	pki    *smtptest.PKI
	addr   string
	server *httptest.Server

	mu       sync.Mutex
	serve    map[string]http.HandlerFunc // by domain; without one there is no policy
	certs    map[string]tls.Certificate
	requests map[string]int
}

// startPolicyHost starts a host without policies. It stops with the test.
func startPolicyHost(t *testing.T, pki *smtptest.PKI, ip string) *policyHost {
	t.Helper()
	h := &policyHost{
		pki: pki, addr: net.JoinHostPort(ip, "0"),
		serve: make(map[string]http.HandlerFunc), certs: make(map[string]tls.Certificate), requests: make(map[string]int),
	}
	h.start(t)
	t.Cleanup(h.stop)
	return h
}

// start listens, after stop where it did before.
func (h *policyHost) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	h.server = httptest.NewUnstartedServer(h)
	h.server.Listener.Close()
	h.server.Listener = l
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of clients that take no certificate but ours
	h.server.TLS = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		cert := h.certs[strings.TrimPrefix(hello.ServerName, "mta-sts.")]
		return &cert, nil
	}}
	h.server.StartTLS()
}

func (h *policyHost) stop() { h.server.Close() }

func (h *policyHost) port(t *testing.T) uint16 {
	t.Helper()
	return h.server.Listener.Addr().(*net.TCPAddr).AddrPort().Port()
}

// publish gives a domain a policy, with a certificate that is in order.
func (h *policyHost) publish(t *testing.T, domain string, lines ...string) {
	t.Helper()
	text := strings.Join(lines, "\n") + "\n"
	h.answer(t, domain, smtptest.Valid, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, text)
	})
}

// answer lets a handler, behind a certificate of some kind, answer for a domain.
func (h *policyHost) answer(t *testing.T, domain string, kind smtptest.CertKind, f http.HandlerFunc) {
	t.Helper()
	cert := h.pki.Cert(t, kind, "mta-sts."+domain)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serve[domain], h.certs[domain] = f, cert
}

// asked returns how many requests there were for a domain's policy.
func (h *policyHost) asked(domain string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests[domain]
}

// ServeHTTP implements http.Handler.
func (h *policyHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	domain := strings.TrimPrefix(r.TLS.ServerName, "mta-sts.")
	h.mu.Lock()
	h.requests[domain]++
	serve := h.serve[domain]
	h.mu.Unlock()
	if r.Host != "mta-sts."+domain || r.URL.Path != "/.well-known/mta-sts.txt" || serve == nil {
		http.NotFound(w, r)
		return
	}
	serve(w, r)
}
