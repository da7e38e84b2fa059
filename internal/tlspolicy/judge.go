package tlspolicy

// StartTLS is how the server took to STARTTLS.
type StartTLS uint8

const (
	NotOffered StartTLS = iota
	Rejected            // answered with anything but 220: the session goes on as it was
	Broken              // answered 421, closed, or out of protocol: the session is gone
	Started             // answered 220
)

// Handshake is how the TLS handshake ended.
type Handshake uint8

const (
	NoHandshake  Handshake = iota
	Failed                 // alert, reset, end of file, garbage, or nothing within the time limit
	TooOld                 // only versions were to be had that we do not speak
	LateRejected           // TLS 1.3: completed for us, refused by the server on the first read
	Completed
)

// TLSAMatch says which kind of TLSA record matched the presented chain.
type TLSAMatch uint8

const (
	NoMatch TLSAMatch = iota
	MatchEE
	MatchTA
)

// A Trouble is what is wrong with a certificate that does not verify: the one
// thing that a report has room for.
type Trouble uint8

const (
	NoTrouble Trouble = iota
	Untrusted         // no chain to a root, a weak key, a wrong purpose
	Expired
	WrongName
)

// A Session is what was observed on one connection up to the EHLO after
// STARTTLS. The zero value is a server that does not offer STARTTLS.
type Session struct {
	StartTLS  StartTLS
	Handshake Handshake
	// LargeHello and NoServerHello: the ClientHello carried a post-quantum key share
	// and the failure came before any ServerHello.
	LargeHello    bool
	NoServerHello bool

	Version Version // of a completed handshake
	// RSAKeyExchange: the session has a cipher suite that is only offered where the
	// peer need not be authenticated.
	RSAKeyExchange bool
	PKIX           bool    // chain and name verified, as facts, enforced or not
	Trouble        Trouble // why not; decides nothing, but reports name it
	TLSA           TLSAMatch
	Announced      bool // REQUIRETLS in the EHLO inside TLS
	TLSBefore      bool // this host offered STARTTLS in the past
}

// An Action is what to do with the session.
type Action uint8

const (
	// NextHost: do not deliver through this host; QUIT and try the next one.
	NextHost Action = iota
	// Deliver over the TLS session as it stands.
	Deliver
	// Plaintext: go on in plaintext on the same connection.
	Plaintext
	// PlaintextFresh: close, and deliver in plaintext on a fresh connection.
	PlaintextFresh
	// SmallHello: close, and try TLS once more with a ClientHello that fits one segment.
	SmallHello
)

// String returns the action's name.
func (a Action) String() string {
	return [...]string{"next-host", "deliver", "plaintext", "plaintext-fresh", "small-hello"}[a]
}

// A Result names what was achieved or why not, as tls-detail shows it.
type Result string

const (
	VerifiedPKIX   Result = "verified-pkix"
	VerifiedDANEEE Result = "verified-dane-ee"
	VerifiedDANETA Result = "verified-dane-ta"
	Unverified     Result = "unverified"

	PlaintextNotOffered       Result = "plaintext-not-offered"
	PlaintextStartTLSRejected Result = "plaintext-starttls-rejected"
	PlaintextHandshakeFailed  Result = "plaintext-handshake-failed"
	PlaintextVerifyFailed     Result = "plaintext-verify-failed"

	RefusedNotOffered       Result = "refused-not-offered"
	RefusedStartTLSRejected Result = "refused-starttls-rejected"
	RefusedHandshakeFailed  Result = "refused-handshake-failed"
	RefusedVerifyFailed     Result = "refused-verify-failed"
	RefusedDANEMismatch     Result = "refused-dane-mismatch"
	RefusedTLSALookup       Result = "refused-tlsa-lookup"
	RefusedSTSMX            Result = "refused-sts-mx"
	RefusedREQUIRETLS       Result = "refused-requiretls"
)

// A Verdict is the decision about one session.
type Verdict struct {
	Action Action
	// Result is what the log says once the action is carried out. It is empty for
	// SmallHello, which decides nothing yet.
	Result Result
	// Verified: the session's peer was authenticated, whether that was needed or not.
	Verified bool
	// DowngradeSuspected: the host stopped offering what it offered before.
	DowngradeSuspected bool
}

// Judge decides what to do with a session under a requirement.
func Judge(r Requirement, s Session) Verdict {
	switch {
	case r.Refuse != "":
		return Verdict{Result: r.Refuse}
	case s.StartTLS == NotOffered:
		v := r.withoutTLS(Plaintext, PlaintextNotOffered, RefusedNotOffered)
		v.DowngradeSuspected = s.TLSBefore
		if s.TLSBefore && r.DeferDowngrade {
			v.Action, v.Result = NextHost, RefusedNotOffered
		}
		return v
	case s.StartTLS == Rejected:
		// RFC 3207 section 4: nothing has changed, the session may go on.
		return r.withoutTLS(Plaintext, PlaintextStartTLSRejected, RefusedStartTLSRejected)
	case s.StartTLS == Broken:
		return r.withoutTLS(PlaintextFresh, PlaintextStartTLSRejected, RefusedStartTLSRejected)
	case s.Handshake != Completed:
		if s.Handshake == Failed && s.LargeHello && s.NoServerHello {
			return Verdict{Action: SmallHello}
		}
		return r.withoutTLS(PlaintextFresh, PlaintextHandshakeFailed, RefusedHandshakeFailed)
	case s.Version < r.MinTLS, s.RSAKeyExchange && r.Needs.Has(Authenticate):
		// What this requirement would not have offered is no session under it.
		return r.withoutTLS(PlaintextFresh, PlaintextHandshakeFailed, RefusedHandshakeFailed)
	}
	return r.judgeTLS(s)
}

// withoutTLS is the answer to every server that gives no TLS session.
func (r Requirement) withoutTLS(fallback Action, plaintext, refused Result) Verdict {
	if r.Plaintext() {
		return Verdict{Action: fallback, Result: plaintext}
	}
	return Verdict{Action: NextHost, Result: refused}
}

func (r Requirement) judgeTLS(s Session) Verdict {
	// A TLSA match authenticates only where usable records were found for the host:
	// then the requirement asks for the match.
	matched := r.Needs.Has(MatchTLSA) && s.TLSA != NoMatch
	verified := s.PKIX || matched
	switch {
	case r.Needs.Has(MatchTLSA) && !matched:
		return Verdict{Result: RefusedDANEMismatch}
	case r.Needs.Has(PKIX) && !s.PKIX, r.Needs.Has(Authenticate) && !verified:
		return Verdict{Result: RefusedVerifyFailed}
	case r.Needs.Has(Announce) && !s.Announced:
		return Verdict{Result: RefusedREQUIRETLS}
	case !verified && r.PlaintextIfUnverified && r.Plaintext():
		return Verdict{Action: PlaintextFresh, Result: PlaintextVerifyFailed}
	}
	// What is told are the facts: a match counts there also where the records were set
	// aside and had no say above.
	fact := r.Records && s.TLSA != NoMatch
	v := Verdict{Action: Deliver, Result: Unverified, Verified: s.PKIX || fact}
	switch {
	case fact && s.TLSA == MatchEE:
		v.Result = VerifiedDANEEE
	case fact:
		v.Result = VerifiedDANETA
	case s.PKIX:
		v.Result = VerifiedPKIX
	}
	return v
}
