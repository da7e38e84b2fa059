package pkix

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// ErrNoRoots: there is not one root certificate to verify with. Every server
// would look untrusted, and mail with default flags would quietly go in plaintext.
var ErrNoRoots = errors.New("no root certificates found: install the system's CA certificates (Debian: ca-certificates) or set delivery.ca_file")

// LoadRoots returns the system's root certificates and those of the PEM file
// caFile; an empty caFile adds none. It returns ErrNoRoots when that leaves
// nothing: the system pool alone reports no error then.
func LoadRoots(caFile string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read delivery.ca_file: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("delivery.ca_file %s: no certificate in PEM form found", caFile)
		}
	}
	if pool.Equal(x509.NewCertPool()) {
		return nil, ErrNoRoots
	}
	return pool, nil
}
