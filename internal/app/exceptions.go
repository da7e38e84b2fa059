package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// expireEvery is the time between looks for exceptions that have ended. They count no
// more from their end on; only the audit log may be so much late.
const expireEvery = time.Minute

// clientCertsDir is where client certificates lie in the data folder.
const clientCertsDir = "client-certs"

// clientCertificate reads a client certificate by the name that an override gives it:
// NAME.pem in the folder client-certs of the data folder, with the chain, leaf first, and the
// private key. The name was checked and is no path.
func clientCertificate(dataDir, name string) (tls.Certificate, error) {
	shown := filepath.Join(clientCertsDir, name+".pem")
	// The store refuses to start on a data folder with anything in it that others may
	// read: better to hear of it now.
	if info, err := os.Stat(filepath.Join(dataDir, clientCertsDir)); err == nil && info.Mode().Perm()&0o077 != 0 {
		return tls.Certificate{}, fmt.Errorf("the folder %s in the data folder has mode %04o, so others on this machine may read keys: set it to 0700", clientCertsDir, info.Mode().Perm())
	}
	pem, err := os.ReadFile(filepath.Join(dataDir, shown))
	if errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, fmt.Errorf("there is no file %s in the data folder; put certificate chain and private key there", shown)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s in the data folder cannot be read by the server", shown)
	}
	cert, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s needs a certificate chain, leaf first, and its private key: %w", shown, err)
	}
	if end := cert.Leaf.NotAfter; time.Now().After(end) {
		return tls.Certificate{}, fmt.Errorf("the certificate in %s has expired on %s", shown, end.UTC().Format(time.DateOnly))
	}
	return cert, nil
}

// clientCert returns a client certificate by its name, read anew: it is asked for once
// per connection to a host that wants one, and a renewed file counts at once.
func (a *app) clientCert(name string) (*tls.Certificate, error) {
	cert, err := clientCertificate(a.cfg.Server.DataDir, name)
	if err != nil {
		return nil, err
	}
	return &cert, nil
}

// checkClientCert says whether a client certificate can be used.
func (a *app) checkClientCert(name string) error {
	_, err := a.clientCert(name)
	return err
}

// exceptions is the part of a store that endExceptions works with.
type exceptions interface {
	store.Overrides
	store.Domains
}

// keepExceptions ends what has come to its end, now and then.
func (a *app) keepExceptions(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		if err := endExceptions(ctx, a.store, time.Now()); err != nil && ctx.Err() == nil {
			a.log.Error("the end of exceptions was not noted", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// endExceptions notes in the audit log which overrides have ended, and takes back what
// domains had set against the policies of recipients until now.
func endExceptions(ctx context.Context, s exceptions, now time.Time) error {
	_, err := s.ExpireOverrides(ctx, now)
	if err != nil {
		return err
	}
	domains, err := s.ListDomains(ctx)
	if err != nil {
		return err
	}
	ctx = store.WithChange(ctx, &store.Change{Actor: store.ActorSystem, Reason: "its time was over"})
	for _, d := range domains {
		if !d.Delivery.PoliciesEnded(now) {
			continue
		}
		_, err := s.UpdateDomain(ctx, d.Name, func(d *store.Domain) error {
			if d.Delivery.PoliciesEnded(now) { // a person may have been faster
				d.Delivery.DANE, d.Delivery.STS, d.Delivery.PolicyUntil = "", "", time.Time{}
			}
			return nil
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}
