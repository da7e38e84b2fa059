package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sealpost/sealpost/internal/certs"
	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/submission"
)

// A certificate gives the certificate of a door in every handshake.
type certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// errNoCertificate: the manager of certificates is not there yet.
var errNoCertificate = errors.New("no certificate yet")

// certificateOf returns what a door shows by its mode; nil if it has no TLS.
func (a *app) certificateOf(section string, mode config.TLSMode, certFile, keyFile string) (certificate, error) {
	switch mode {
	case config.TLSFiles:
		files, err := certs.Load(certFile, keyFile, a.log)
		if err != nil {
			return nil, &StartError{fmt.Errorf("%s.cert_file: %w", section, err)}
		}
		return files.Get, nil
	case config.TLSACME:
		return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if a.manager == nil {
				return nil, errNoCertificate
			}
			return a.manager.Get(hello)
		}, nil
	}
	return nil, nil
}

// certified tells whether a door has its certificate; nil: it always has.
func (a *app) certified(mode config.TLSMode) func() bool {
	if mode != config.TLSACME {
		return nil
	}
	return func() bool { return a.manager != nil && a.manager.Ready() }
}

// maxSessions is how many submission sessions there may be at once: the usual number, but
// never more than half the descriptors, or a crowd of clients would keep the store from its files
// (REL-14). 0 is the usual number.
func maxSessions() int {
	if half := descriptors() / 2; half > 0 && half < submission.DefaultSessions {
		return int(half)
	}
	return 0
}

// buildManager makes the manager of certificates, once it is known where the authority can
// ask. It must be called before the doors serve.
func (a *app) buildManager(ls *listeners) error {
	if !a.cfg.UsesACME() {
		return nil
	}
	c := certs.ACME{
		Names: a.cfg.CertificateNames(), Email: a.cfg.ACME.Email, Directory: a.cfg.ACME.Directory,
		Dir: filepath.Join(a.cfg.Server.DataDir, "acme"),
	}
	if ls.acme != nil {
		c.HTTP = ls.acme.Addr()
	}
	if a.cfg.HTTP.TLS == config.TLSACME {
		c.TLS = ls.api.Addr()
	}
	if file := a.cfg.ACME.CAFile; file != "" {
		octets, err := os.ReadFile(file)
		if c.Roots = x509.NewCertPool(); err == nil && !c.Roots.AppendCertsFromPEM(octets) {
			err = errors.New("holds no certificate")
		}
		if err != nil {
			return &StartError{fmt.Errorf("acme.ca_file: %w", err)}
		}
	}
	m, err := certs.New(c, a.log)
	if err != nil {
		return &StartError{fmt.Errorf("acme: %w", err)}
	}
	a.manager = m
	return nil
}

// secured wraps the API's listener in its TLS.
func (a *app) secured(l net.Listener) net.Listener {
	if a.apiCert == nil {
		return l
	}
	c := &tls.Config{GetCertificate: a.apiCert, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if a.cfg.HTTP.TLS == config.TLSACME {
		c.NextProtos = append(c.NextProtos, certs.ALPN)
	}
	return tls.NewListener(l, c)
}

// serveAuthority answers the authority until ctx ends, and keeps the certificates fresh.
func (a *app) serveAuthority(ctx context.Context, ls *listeners, serve func(string, func() error)) {
	if a.manager == nil {
		return
	}
	serve("certificates", func() error {
		a.manager.Run(ctx)
		return nil
	})
	if ls.acme == nil {
		return
	}
	server := door.NewServer(a.manager.HTTPHandler(), a.log)
	serve("serve the certification authority", func() error { return ignoreClosed(server.Serve(ls.acme)) })
	serve("serve the certification authority", func() error {
		<-ctx.Done()
		return server.Close()
	})
}

// certificateMetrics tell how long the certificates from the authority last.
func (a *app) certificateMetrics() []prometheus.Collector {
	if a.manager == nil {
		return nil
	}
	return []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sealpost_certificate_expires_timestamp_seconds",
		Help: "When the first of the certificates got by ACME ends; 0 while there is none. It is renewed when a third of its life is left; page somebody a week before its end.",
	}, func() float64 {
		if at := a.manager.Expires(); !at.IsZero() {
			return float64(at.Unix())
		}
		return 0
	})}
}
