package dane

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/sealpost/sealpost/internal/dnssec"
)

// Certificate usages (RFC 6698 section 2.1.1), by their names in RFC 7218.
const (
	pkixTA = 0
	pkixEE = 1
	daneTA = 2
	daneEE = 3
)

// Selectors: which part of the certificate is meant.
const (
	wholeCert = 0
	publicKey = 1 // its SubjectPublicKeyInfo
)

// Matching types: how that part is given.
const (
	full      = 0
	sha256Sum = 1
	sha512Sum = 2
)

// maxRSABits bounds the keys that a record can bring into a verification. It is what
// Go accepts in a handshake.
const maxRSABits = 8192

// A Problem says why a TLSA record takes no part in matching. The zero value is that
// it does.
type Problem uint8

const (
	Usable          Problem = iota
	PKIXUsage               // usage 0 or 1: not for SMTP (RFC 7672 section 3.1.3)
	UnknownUsage            // a usage that nobody has defined
	UnknownSelector         // a selector that nobody has defined
	UnknownMatching         // a matching type that nobody has defined
	BadDigest               // the data are no digest of that length
	BadData                 // a whole certificate or key that cannot be parsed, or too large
	WeakerDigest            // usable, but the same is given with a stronger digest (RFC 7671 section 9)
	TooMany                 // usable, but more than are considered
)

// String returns the problem in words.
func (p Problem) String() string {
	switch p {
	case Usable:
		return "usable"
	case PKIXUsage:
		return "certificate usage not for SMTP"
	case UnknownUsage:
		return "unknown certificate usage"
	case UnknownSelector:
		return "unknown selector"
	case UnknownMatching:
		return "unknown matching type"
	case BadDigest:
		return "digest of the wrong length"
	case BadData:
		return "certificate or key cannot be read"
	case WeakerDigest:
		return "stronger digest published"
	case TooMany:
		return "more records than are considered"
	}
	return fmt.Sprintf("problem %d", uint8(p))
}

// A Record is one TLSA record, judged. It is not changed once it was made.
type Record struct {
	Usage, Selector, Matching uint8
	Data                      []byte // foreign
	// Problem is Usable when the record takes part in matching.
	Problem Problem

	// What the data are when they are no digest, for trust anchors only.
	cert *x509.Certificate
	key  any // a public key
}

// String returns the record in presentation form (RFC 6698 section 2.2), as TLS reports
// and zone files have it.
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %s", r.Usage, r.Selector, r.Matching, hex.EncodeToString(r.Data))
}

// newRecord judges one record by itself.
func newRecord(d dnssec.TLSAData) Record {
	r := Record{Usage: d.Usage, Selector: d.Selector, Matching: d.Matching, Data: d.Data}
	r.Problem = r.judge()
	return r
}

// judge says whether a record can be used, and keeps the anchor that it holds.
func (r *Record) judge() Problem {
	switch {
	case r.Usage == pkixTA, r.Usage == pkixEE:
		return PKIXUsage
	case r.Usage > daneEE:
		return UnknownUsage
	case r.Selector > publicKey:
		return UnknownSelector
	}
	switch r.Matching {
	case full:
		return r.parse()
	case sha256Sum:
		if len(r.Data) != sha256.Size {
			return BadDigest
		}
	case sha512Sum:
		if len(r.Data) != sha512.Size {
			return BadDigest
		}
	default:
		return UnknownMatching
	}
	return Usable
}

// parse reads a whole certificate or key.
func (r *Record) parse() Problem {
	var cert *x509.Certificate
	var key any
	var err error
	if r.Selector == wholeCert {
		if cert, err = x509.ParseCertificate(r.Data); err == nil {
			key = cert.PublicKey
		}
	} else {
		key, err = x509.ParsePKIXPublicKey(r.Data)
	}
	if err != nil {
		return BadData
	}
	if k, ok := key.(*rsa.PublicKey); ok && k.N.BitLen() > maxRSABits {
		return BadData
	}
	if r.Usage == daneTA {
		if r.cert = cert; cert == nil {
			r.key = key
		}
	}
	return Usable
}
