// Package pkix says whether the certificate chain that a server presented
// verifies, and if not, everything that is wrong with it.
//
// A library's verification stops at the first problem; an operator who reads "expired"
// and renews wants to have been told that the name was wrong as well. [Verifier] therefore
// checks dates, name and chain apart (RFC 5280 section 6, RFC 9525) and lists all
// that failed. It reports facts: whether verification matters for a message is
// decided elsewhere. Revocation is not checked.
package pkix

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// What can be wrong with a presented chain.
const (
	Expired         = "expired"
	NotYetValid     = "not-yet-valid"
	NameMismatch    = "name-mismatch"
	SelfSigned      = "self-signed"
	UnknownCA       = "unknown-ca"
	IncompleteChain = "incomplete-chain" // only the leaf was sent, and it says where its issuer is
	KeyUsage        = "key-usage"
	WeakKey         = "weak-key" // a key or signature too weak to count
	InvalidChain    = "invalid-chain"
	NoCertificate   = "no-certificate"
)

// A Result is what verification found. The zero value is "not verified".
type Result struct {
	Verified bool     // chain, dates and name are all in order
	Errors   []string // all problems, in the order dates, name, chain; empty if Verified
	Name     string   // the name that was asked for, if the certificate is valid for it
}

// Cached verifications are good for this long at most, and for as long as no
// certificate of the chain expires.
const (
	cacheTime = 10 * time.Minute
	cacheSize = 4096
)

// A Verifier verifies against one pool of roots. It remembers chains that
// verified, since that is most of the cost of a handshake, and is safe for
// concurrent use.
type Verifier struct {
	roots *x509.CertPool

	mu    sync.Mutex
	cache map[[sha256.Size]byte]time.Time // chain and name → when it must be verified again
}

// New returns a Verifier for the given roots.
func New(roots *x509.CertPool) *Verifier {
	return &Verifier{roots: roots, cache: make(map[[sha256.Size]byte]time.Time)}
}

// Verify checks the presented chain, leaf first, for a server of the given name
// (A-labels) at the current time.
func (v *Verifier) Verify(chain []*x509.Certificate, name string) Result {
	if len(chain) == 0 {
		return Result{Errors: []string{NoCertificate}}
	}
	now := time.Now()
	key := cacheKey(chain, name)
	if v.remembered(key, now) {
		return Result{Verified: true, Name: name}
	}
	var r Result
	leaf := chain[0]
	switch {
	case now.Before(leaf.NotBefore):
		r.Errors = append(r.Errors, NotYetValid)
	case now.After(leaf.NotAfter):
		r.Errors = append(r.Errors, Expired)
	}
	if leaf.VerifyHostname(name) == nil {
		r.Name = name
	} else {
		r.Errors = append(r.Errors, NameMismatch)
	}
	until, problem := v.verifyChain(chain, now)
	if problem != "" && !slices.Contains(r.Errors, problem) {
		r.Errors = append(r.Errors, problem)
	}
	r.Verified = len(r.Errors) == 0
	if r.Verified {
		v.remember(key, now, until)
	}
	return r
}

// verifyChain verifies the chain alone, at the current time if the leaf is
// valid then, else at the nearest time when it is: a date must not hide an
// unknown issuer. It returns when a verified chain stops being valid.
func (v *Verifier) verifyChain(chain []*x509.Certificate, now time.Time) (until time.Time, problem string) {
	leaf := chain[0]
	at := now
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: v.roots, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return time.Time{}, classify(err, chain)
	}
	for _, c := range chains {
		end := leaf.NotAfter
		for _, cert := range c {
			if cert.NotAfter.Before(end) {
				end = cert.NotAfter
			}
		}
		if end.After(until) {
			until = end
		}
	}
	return until, ""
}

// classify names the problem that Verify stopped at.
func classify(err error, chain []*x509.Certificate) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var weak x509.InsecureAlgorithmError
	switch {
	case errors.As(err, &invalid):
		switch invalid.Reason {
		case x509.Expired:
			return Expired
		case x509.IncompatibleUsage:
			return KeyUsage
		}
		if isSelfSigned(chain[0]) {
			return SelfSigned
		}
		return InvalidChain
	case errors.As(err, &unknown):
		switch {
		case isSelfSigned(chain[0]):
			return SelfSigned
		case len(chain) == 1 && len(chain[0].IssuingCertificateURL) > 0:
			return IncompleteChain
		}
		return UnknownCA
	case errors.As(err, &weak):
		return WeakKey
	}
	return InvalidChain
}

// isSelfSigned reports whether the certificate was signed with its own key.
func isSelfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) &&
		c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func cacheKey(chain []*x509.Certificate, name string) [sha256.Size]byte {
	h := sha256.New()
	for _, c := range chain {
		sum := sha256.Sum256(c.Raw)
		h.Write(sum[:])
	}
	h.Write([]byte(strings.ToLower(name)))
	return [sha256.Size]byte(h.Sum(nil))
}

func (v *Verifier) remembered(key [sha256.Size]byte, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	until, ok := v.cache[key]
	if ok && now.After(until) {
		delete(v.cache, key)
		return false
	}
	return ok
}

func (v *Verifier) remember(key [sha256.Size]byte, now, notAfter time.Time) {
	until := now.Add(cacheTime)
	if notAfter.Before(until) {
		until = notAfter
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for k := range v.cache { // full: any entry may go, it costs one verification
		if len(v.cache) < cacheSize {
			break
		}
		delete(v.cache, k)
	}
	v.cache[key] = until
}
