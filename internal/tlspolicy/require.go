package tlspolicy

import "github.com/sealpost/sealpost/internal/tlsresult"

// A Class is the short name of a requirement, as logs and tables show it.
type Class uint8

const (
	OV Class = iota // opportunistic, verified: TLS if it verifies, else plaintext
	OA              // opportunistic, any certificate: plaintext only if TLS cannot be had
	RV              // required, verified
	RA              // required, any certificate
	D               // required, authenticated by DANE
	DU              // required because of DANE, but no TLSA record is usable to authenticate
	X               // this host must not be used now
)

// String returns the class's letters.
func (c Class) String() string { return [...]string{"OV", "OA", "RV", "RA", "D", "DU", "X"}[c] }

// ParseClass reads the letters of a class that flags can ask for: OV, OA, RV, RA.
func ParseClass(s string) (Class, bool) {
	for _, c := range []Class{OV, OA, RV, RA} {
		if c.String() == s {
			return c, true
		}
	}
	return OV, false
}

// A Source says who decided the class.
type Source uint8

const (
	BySender Source = iota
	ByMTASTS
	ByDANE
	ByREQUIRETLS
	ByOverride // without the exception it would have been another requirement
)

// String returns the source as the log spells it.
func (s Source) String() string {
	return [...]string{"sender", "mta-sts", "dane", "requiretls", "override"}[s]
}

// STS is what is known of the recipient domain's MTA-STS policy (RFC 8461).
type STS uint8

const (
	STSNoPolicy STS = iota // none is published
	STSNoFetch             // it could not be fetched and none is cached: as none, RFC 8461 section 3.3
	STSNone                // a policy that says "none"
	STSTesting
	STSEnforce
)

// String returns the state as the log spells it.
func (s STS) String() string {
	return [...]string{"no-policy", "no-fetch", "none", "testing", "enforce"}[s]
}

// TLSA is what is known of an MX host's TLSA records (RFC 7672).
type TLSA uint8

const (
	TLSANotSecure TLSA = iota // the host is in an unsigned zone: not asked
	TLSAAbsent                // validated denial
	TLSAUsable                // at least one usable record
	TLSAUnusable              // records, none usable
	TLSAFailed                // the look-up of TLSA, MX or address was bogus, failed or timed out
)

// String returns the state as the log spells it.
func (t TLSA) String() string {
	return [...]string{"not-secure", "absent", "usable", "unusable", "failed"}[t]
}

// A Marking is what the message itself carries (RFC 8689).
type Marking uint8

const (
	Unmarked         Marking = iota
	TLSOptional              // header "TLS-Required: No"
	RequireTLSStrict         // submitted with REQUIRETLS, handled as the RFC says
	RequireTLSHop            // same, but only our hop is held to it
)

// String returns the marking as the log spells it; empty for Unmarked.
func (m Marking) String() string {
	return [...]string{"", "tls-required-no", "requiretls-strict", "requiretls-hop"}[m]
}

// REQUIRETLS reports whether the message was submitted with the extension.
func (m Marking) REQUIRETLS() bool { return m == RequireTLSStrict || m == RequireTLSHop }

// Facts are everything known before connecting to one MX host. The zero value
// is a message with default flags to a host without any policy.
type Facts struct {
	Flags   Flags
	Marking Marking

	STS       STS
	STSListed bool // the MX host is named by the policy; counts for testing and enforce
	TLSA      TLSA
	MXSecure  bool // the MX RRset was validated by DNSSEC

	// EncryptUnverified: where the flags leave plaintext as the answer to a
	// certificate that does not verify, stay in TLS instead.
	EncryptUnverified bool
	// DeferDowngrade: where plaintext is allowed, do not use it with a host that
	// offered STARTTLS before.
	DeferDowngrade bool
	// DANESuffices: a matching TLSA record also satisfies an enforced MTA-STS policy.
	DANESuffices bool
	// MinTLS is the lowest version that counts as TLS; zero is TLS12.
	MinTLS Version
	// DANEMode and STSMode say whether the policies above decide anything.
	DANEMode, STSMode Mode
	// Override is the exception made for this recipient domain and MX host.
	Override Override

	// STSFault is what went wrong when the MTA-STS policy was last fetched, for reports.
	STSFault tlsresult.Type
}

// Needs is a set of conditions that must hold before MAIL FROM is sent.
type Needs uint8

const (
	// Encrypt: the message travels inside TLS or not at all.
	Encrypt Needs = 1 << iota
	// Authenticate: the peer is authenticated, by PKIX or by a TLSA record.
	Authenticate
	// PKIX: chain and MX host name verify (RFC 8461 section 4.1).
	PKIX
	// MatchTLSA: one of the usable TLSA records matches (RFC 7672 section 2.2).
	MatchTLSA
	// Announce: the EHLO inside TLS offers REQUIRETLS (RFC 8689 section 4.2.1).
	Announce
)

// Has reports whether all of n are in the set.
func (s Needs) Has(n Needs) bool { return s&n == n }

// A Requirement is what must hold for one message at one MX host.
type Requirement struct {
	Class  Class
	Source Source
	Needs  Needs
	// Refuse is set when the host must not even be contacted, to the result that
	// the log will show.
	Refuse Result
	// PlaintextIfUnverified is the promise of the default flags: a session that does
	// not verify is not used. It speaks only where Encrypt is not needed.
	PlaintextIfUnverified bool
	DeferDowngrade        bool
	Marking               Marking
	MinTLS                Version // a session below it is none
	Flags                 Flags   // as they count, an exception included
	// Records: the host has usable TLSA records. That one matches is then a fact, which
	// is told whether it was needed or not.
	Records bool
}

// Require returns what must hold before a message with these facts may be
// handed to the host. Sources only add to the needs; what an exception sets aside
// is gone before any of them has its say.
func Require(f Facts) Requirement {
	r := require(f.settled())
	if f.Override != (Override{}) && f.overrideMatters(r) {
		r.Source = ByOverride
	}
	r.Records = f.TLSA == TLSAUsable
	return r
}

// overrideMatters reports whether the requirement would be another one without the
// exception. A policy that it says to ignore was not looked up, so that nobody
// knows: then it is named.
func (f Facts) overrideMatters(r Requirement) bool {
	if (f.Override.DANE == Ignore || f.Override.STS == Ignore) && !f.Marking.REQUIRETLS() {
		return true
	}
	f.Override = Override{}
	return require(f.settled()) != r
}

// require is Require for facts that are settled.
func require(f Facts) Requirement {
	r := Requirement{Class: f.Flags.Class(), DeferDowngrade: f.DeferDowngrade, Marking: f.Marking, MinTLS: f.MinTLS, Flags: f.Flags}
	r.addSender(f)
	if f.Marking == TLSOptional {
		// The policies of the recipient are set aside, on the sender's word and for
		// this message only. What the sender's own flags require stays.
		if r.Class == OV {
			r.Class, r.PlaintextIfUnverified = OA, false
		}
		return r
	}
	r.addSTS(f)
	r.addDANE(f)
	r.addREQUIRETLS(f)
	return r
}

func (r *Requirement) addSender(f Facts) {
	switch r.Class {
	case RV:
		r.Needs |= Encrypt | Authenticate
	case RA:
		r.Needs |= Encrypt
	case OV:
		r.PlaintextIfUnverified = !f.EncryptUnverified
	}
}

// addSTS: only an enforced policy changes a delivery; testing is reported, not
// acted on (RFC 8461 section 5).
func (r *Requirement) addSTS(f Facts) {
	if f.STS != STSEnforce {
		return
	}
	r.Class, r.Source = RV, ByMTASTS
	r.Needs |= Encrypt | Authenticate
	if !f.DANESuffices || f.TLSA != TLSAUsable {
		r.Needs |= PKIX
	}
	if !f.STSListed {
		r.Refuse = RefusedSTSMX
	}
}

func (r *Requirement) addDANE(f Facts) {
	switch f.TLSA {
	case TLSAUsable:
		r.Class, r.Source = D, ByDANE
		r.Needs |= Encrypt | Authenticate | MatchTLSA
	case TLSAUnusable:
		// RFC 7672 section 2.2: no plaintext, but nothing to authenticate with. A
		// sender or policy that demands verification still gets it.
		if r.Class == OV || r.Class == OA {
			r.Class, r.Source = DU, ByDANE
		}
		r.Needs |= Encrypt
	case TLSAFailed:
		// RFC 7672 section 2.1.2: an answer that could be an attack is no answer.
		r.Class, r.Source, r.Refuse = X, ByDANE, RefusedTLSALookup
	}
}

func (r *Requirement) addREQUIRETLS(f Facts) {
	if !f.Marking.REQUIRETLS() {
		return
	}
	r.Needs |= Encrypt | Authenticate
	if r.Class != D && r.Class != X {
		r.Class, r.Source = RV, ByREQUIRETLS
	}
	if f.Marking != RequireTLSStrict {
		return
	}
	r.Needs |= Announce
	if mxAuthenticated(f) == MXByNothing && r.Refuse == "" {
		r.Refuse = RefusedREQUIRETLS
	}
}

// MXAuth says what vouches for the host being an MX host of the domain.
type MXAuth uint8

const (
	MXByNothing MXAuth = iota
	MXByDNSSEC
	MXByMTASTS
)

// String returns the value of mx-authenticated in the log.
func (a MXAuth) String() string { return [...]string{"none", "dnssec", "mta-sts"}[a] }

// MXAuthenticated returns what vouches for the MX host: a verified certificate
// proves the host's name, not that the host belongs to the domain.
func MXAuthenticated(f Facts) MXAuth { return mxAuthenticated(f.settled()) }

func mxAuthenticated(f Facts) MXAuth {
	switch {
	case f.MXSecure && f.TLSA != TLSAFailed:
		return MXByDNSSEC
	case f.STS == STSEnforce && f.STSListed:
		return MXByMTASTS
	}
	return MXByNothing
}

// Plaintext reports whether the requirement leaves plaintext open at all.
func (r Requirement) Plaintext() bool { return !r.Needs.Has(Encrypt) && r.Refuse == "" }

// Enforced reports whether verification decides about the use of a session.
func (r Requirement) Enforced() bool {
	return r.Needs&(Authenticate|PKIX|MatchTLSA) != 0 || r.PlaintextIfUnverified && !r.Needs.Has(Encrypt)
}

// AfterPlaintextRefused returns the requirement for one more, fresh connection
// after the host refused our plaintext with "must issue STARTTLS first", and
// whether there is one. It exists only where plaintext was chosen because the
// session did not verify: for a sender who accepts plaintext, TLS that does not
// verify is not a lower level.
func (r Requirement) AfterPlaintextRefused() (Requirement, bool) {
	if !r.PlaintextIfUnverified || !r.Plaintext() {
		return Requirement{}, false
	}
	r.Needs |= Encrypt
	r.PlaintextIfUnverified = false
	return r, true
}
