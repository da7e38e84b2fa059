package dane

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// maxKeyChecks bounds the signatures that are checked with keys out of records, over all
// records and certificates of one match. Go bounds those of the chain itself.
const maxKeyChecks = 32

// An anchor is a certificate that a DANE-TA record makes a root.
type anchor struct {
	cert   *x509.Certificate
	record *Record
	shown  bool // found by way of the chain, not only in the record
}

// matchAnchors judges a chain by the DANE-TA records.
func (r Result) matchAnchors(chain []*x509.Certificate, names []string, now time.Time) Match {
	anchors := r.anchors(chain)
	if len(anchors) == 0 {
		return Match{Reasons: []string{NoMatch}}
	}
	var reasons []string
	leaf := chain[0]
	at := now // where the chain is judged: a date must not hide what else is wrong
	switch {
	case now.Before(leaf.NotBefore):
		reasons, at = append(reasons, NotYetValid), leaf.NotBefore
	case now.After(leaf.NotAfter):
		reasons, at = append(reasons, Expired), leaf.NotAfter
	}
	name := acceptedName(leaf, append([]string{r.Base}, names...))
	if name == "" {
		reasons = append(reasons, NameMismatch)
	}
	path, problem := verify(chain, anchors, at)
	switch {
	case problem == UnknownCA && !slices.ContainsFunc(anchors, func(a anchor) bool { return a.shown }):
		// The chain has nothing to do with the anchor that a record holds.
		return Match{Reasons: []string{NoMatch}}
	case problem != "" && !slices.Contains(reasons, problem):
		reasons = append(reasons, problem)
	}
	if len(reasons) > 0 {
		return Match{Reasons: reasons}
	}
	m := Match{TLSA: tlspolicy.MatchTA, Name: name, Until: leaf.NotAfter}
	for _, c := range path {
		if c.NotAfter.Before(m.Until) {
			m.Until = c.NotAfter
		}
	}
	root := path[len(path)-1]
	m.Record = anchors[slices.IndexFunc(anchors, func(a anchor) bool { return a.cert.Equal(root) })].record
	return m
}

// anchors collects the roots that the records make for this chain.
func (r Result) anchors(chain []*x509.Certificate) []anchor {
	parts := make([]part, len(chain))
	for i, c := range chain {
		parts[i].cert = c
	}
	var found []anchor
	add := func(c *x509.Certificate, r *Record, shown bool) {
		if !slices.ContainsFunc(found, func(a anchor) bool { return a.cert.Equal(c) && (a.shown || !shown) }) {
			found = append(found, anchor{c, r, shown})
		}
	}
	checks := maxKeyChecks
	for i := range r.Records {
		rec := &r.Records[i]
		if rec.Problem != Usable || rec.Usage != daneTA {
			continue
		}
		for j := range parts {
			// A server's certificate vouches for itself only where nobody else does: the
			// anchor of a chain of one is self-signed.
			if parts[j].is(rec) && (j > 0 || isSelfSigned(chain[0])) {
				add(chain[j], rec, true)
			}
		}
		// RFC 7671 section 5.2.3: an anchor given in full need not be in the chain.
		if rec.cert != nil && !rec.cert.Equal(chain[0]) {
			add(rec.cert, rec, false)
		}
		if rec.key == nil {
			continue
		}
		for _, c := range chain {
			if checks == 0 {
				break
			}
			checks--
			if signedBy(c, rec.key) {
				add(c, rec, true)
			}
		}
	}
	return found
}

// signedBy reports whether the key signed the certificate. What the key signed stands
// in for an issuer that nobody has.
func signedBy(c *x509.Certificate, key any) bool {
	issuer := x509.Certificate{PublicKey: key}
	return issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// isSelfSigned reports whether the certificate was signed with its own key.
func isSelfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && signedBy(c, c.PublicKey)
}

// acceptedName returns the first name that the certificate is for.
func acceptedName(leaf *x509.Certificate, names []string) string {
	for _, name := range names {
		if name != "" && leaf.VerifyHostname(name) == nil {
			return name
		}
	}
	return ""
}

// verify builds a path from the leaf to one of the anchors, which are the only roots,
// and returns it or the problem.
func verify(chain []*x509.Certificate, anchors []anchor, at time.Time) ([]*x509.Certificate, string) {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range anchors {
		roots.AddCert(a.cert)
	}
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	paths, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, classify(err)
	}
	return paths[0], ""
}

// classify names the problem that verification stopped at.
func classify(err error) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var weak x509.InsecureAlgorithmError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Expired
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return KeyUsage
	case errors.As(err, &unknown):
		return UnknownCA
	case errors.As(err, &weak):
		return WeakKey
	}
	return InvalidChain
}
