package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// ALPN is the protocol name of the TLS-ALPN-01 challenge (RFC 8737 section 6.2). A listener that
// the authority reaches at port 443 has it among its protocols.
const ALPN = "acme-tls/1"

// ACME is what the operator says. Names, Directory and Dir are required, and one of HTTP and TLS.
type ACME struct {
	Names     []string       // of the certificate, A-labels; the first is shown to clients that name none
	Email     string         // of the account; empty: none
	Directory string         // URL of the authority
	Roots     *x509.CertPool // of the authority's own certificate; nil: the system's
	Dir       string         // keeps account, keys and certificates
	// HTTP is the listener whose requests go to [Manager.HTTPHandler], and which the authority
	// reaches at port 80; nil: none is.
	HTTP net.Addr
	// TLS is the listener whose handshakes ask [Manager.Get] and whose protocols hold ALPN, and
	// which the authority reaches at port 443; nil: none is.
	TLS net.Addr
	// Every is the time between looks at whether a certificate has to be renewed; 0: 10 min.
	Every time.Duration
}

// renewalWindow is the part of a certificate's life in which it is renewed, unless the
// authority says when (RFC 9773).
const renewalWindow = 1.0 / 3

// A Manager gets certificates from an authority and renews them. It may be used by
// several goroutines.
type Manager struct {
	names  []string
	cache  *certmagic.Cache
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
	log    *slog.Logger
}

// New returns a manager. It does nothing before Run.
func New(a ACME, log *slog.Logger) (*Manager, error) {
	if len(a.Names) == 0 || a.Directory == "" || a.Dir == "" {
		return nil, errors.New("a certificate needs a name, an authority and a folder to be kept in")
	}
	if a.HTTP == nil && a.TLS == nil {
		return nil, errors.New("the authority cannot ask: neither HTTP-01 nor TLS-ALPN-01 is possible")
	}
	m := &Manager{names: a.Names, log: log}
	words := zap.New(&core{log: log})
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: a.Every, Logger: words,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{
		RenewalWindowRatio: renewalWindow,
		// Programs that submit mail often name no server in their handshake, or an address.
		DefaultServerName: a.Names[0], FallbackServerName: a.Names[0],
		Storage: &certmagic.FileStorage{Path: a.Dir}, Logger: words, OnEvent: m.tell,
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, // authorities have given it up
	})
	m.issuer = certmagic.NewACMEIssuer(m.config, certmagic.ACMEIssuer{
		CA: a.Directory, Email: a.Email, Agreed: true, TrustedRoots: a.Roots, Logger: words,
		DisableHTTPChallenge: a.HTTP == nil, DisableTLSALPNChallenge: a.TLS == nil,
	})
	// certmagic looks whether something listens before the authority asks, and our doors do.
	if host, port, err := hostPort(a.HTTP); err != nil {
		return nil, err
	} else if a.HTTP != nil {
		m.issuer.ListenHost, m.issuer.AltHTTPPort = host, port
	}
	if host, port, err := hostPort(a.TLS); err != nil {
		return nil, err
	} else if a.TLS != nil {
		m.issuer.ListenHost, m.issuer.AltTLSALPNPort = host, port
	}
	m.config.Issuers = []certmagic.Issuer{m.issuer}
	return m, nil
}

func hostPort(a net.Addr) (string, int, error) {
	if a == nil {
		return "", 0, nil
	}
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "", 0, fmt.Errorf("listener for the authority: %w", err)
	}
	n, err := strconv.Atoi(port)
	return host, n, err
}

// Run gets the certificates that are not in the folder yet and renews all of them until ctx
// ends. What goes wrong is logged and tried again, more and more slowly. It must not be called twice.
func (m *Manager) Run(ctx context.Context) {
	defer m.cache.Stop()
	if err := m.config.ManageAsync(ctx, m.names); err != nil && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "certificates are not managed", "error", err)
	}
	<-ctx.Done()
}

// Get returns the certificate for a handshake, or the answer to a challenge of the authority. It
// is for tls.Config.GetCertificate. Its error says that there is no certificate yet.
func (m *Manager) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return m.config.GetCertificate(hello)
}

// Ready reports whether there is a certificate for every handshake: clients that name no server, or
// one whose own certificate is not there yet, are shown the first.
func (m *Manager) Ready() bool { return len(m.cache.AllMatchingCertificates(m.names[0])) > 0 }

// HTTPHandler answers challenges of the authority; anything else is 404.
func (m *Manager) HTTPHandler() http.Handler {
	return m.issuer.HTTPChallengeHandler(http.NotFoundHandler())
}

// Expires returns when the first of the certificates ends that are in use; the zero time
// while there is none.
func (m *Manager) Expires() time.Time {
	var first time.Time
	for _, name := range m.names {
		for _, c := range m.cache.AllMatchingCertificates(name) {
			if c.Leaf != nil && (first.IsZero() || c.Leaf.NotAfter.Before(first)) {
				first = c.Leaf.NotAfter
			}
		}
	}
	return first
}

// tell logs what became of a certificate. certmagic's own words about it are for those who
// look for the reason.
func (m *Manager) tell(ctx context.Context, what string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	switch what {
	case "cert_obtained":
		renewed, _ := data["renewal"].(bool)
		m.log.InfoContext(ctx, "certificate obtained", "name", name, "renewed", renewed)
	case "cert_failed":
		m.log.ErrorContext(ctx, "certificate not obtained, trying again later", "name", name, "error", fmt.Sprint(data["error"]))
	}
	return nil
}
