package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"time"

	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// MaxChain is how many certificates of a presented chain are looked at (SEC-35). The
// rest is ignored, which can only prevent a match.
const MaxChain = 10

// Why nothing matched: a closed set. All but NoMatch are said of a chain that does contain
// a trust anchor of the records, and are spelled as pkix spells them.
const (
	NoCertificate = "no-certificate"
	NoMatch       = "dane-no-match" // neither certificate nor key nor anchor is in any record
	Expired       = "expired"
	NotYetValid   = "not-yet-valid"
	NameMismatch  = "name-mismatch"
	UnknownCA     = "unknown-ca" // the chain does not lead to the anchor that it contains
	KeyUsage      = "key-usage"
	WeakKey       = "weak-key"
	InvalidChain  = "invalid-chain" // a constraint of a certificate on the way is broken
)

// A Match is what comparing a chain with the records gave. The zero value is no match
// without a reason.
type Match struct {
	TLSA tlspolicy.TLSAMatch
	// Record is the one that matched; nil when none did.
	Record *Record
	// Name is the name that the certificate was accepted for. Empty for DANE-EE, which
	// looks at none.
	Name string
	// Until is when a DANE-TA match must be judged again, the first end of validity in
	// the chain. Zero for DANE-EE, where only the records' life counts.
	Until time.Time
	// Reasons are all the reasons why nothing matched, in the order dates, name, chain.
	Reasons []string
}

// Match compares the presented chain, leaf first, with the usable records, at the time
// now. names are those that DANE-TA accepts besides the TLSA base domain: the next-hop
// domain as addressed, and its secure expansion if it is an alias (RFC 7672 section 3.2.2).
// Empty ones are passed over. It is pure, and bounded however hostile chain and records
// are.
//
// A DANE-EE match says nothing of names and dates, and must not (RFC 7672 section 3.1.1).
// DANE-TA makes the record's anchor the only root there is; then dates, chain and names
// must be in order (section 3.1.2).
func (r Result) Match(chain []*x509.Certificate, names []string, now time.Time) Match {
	if len(chain) == 0 {
		return Match{Reasons: []string{NoCertificate}}
	}
	chain = chain[:min(len(chain), MaxChain)]
	leaf := part{cert: chain[0]}
	anchored := false
	for i := range r.Records {
		rec := &r.Records[i]
		if rec.Problem != Usable {
			continue
		}
		if rec.Usage == daneTA {
			anchored = true
			continue
		}
		if leaf.is(rec) {
			return Match{TLSA: tlspolicy.MatchEE, Record: rec}
		}
	}
	if !anchored {
		return Match{Reasons: []string{NoMatch}}
	}
	return r.matchAnchors(chain, names, now)
}

// A part is a certificate of which digests are made when a record asks for them, each
// once.
type part struct {
	cert *x509.Certificate
	sums [publicKey + 1][sha512Sum + 1][]byte
}

// is reports whether the record is about this certificate.
func (p *part) is(r *Record) bool {
	sum := &p.sums[r.Selector][r.Matching]
	if *sum == nil {
		raw := p.cert.Raw
		if r.Selector == publicKey {
			raw = p.cert.RawSubjectPublicKeyInfo
		}
		switch r.Matching {
		case full:
			*sum = raw
		case sha256Sum:
			d := sha256.Sum256(raw)
			*sum = d[:]
		case sha512Sum:
			d := sha512.Sum512(raw)
			*sum = d[:]
		}
	}
	return bytes.Equal(*sum, r.Data)
}
