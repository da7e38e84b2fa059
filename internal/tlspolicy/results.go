package tlspolicy

import "github.com/sealpost/sealpost/internal/tlsresult"

// Reason codes of our own making, beside the result types that need one (RFC 8460
// section 4.3.1, failure-reason-code).
const (
	ReasonRejected       = "starttls-rejected"
	ReasonHandshake      = "handshake-failed"
	ReasonLateRejection  = "handshake-rejected-late"
	ReasonVersion        = "tls-version"
	ReasonNoTLSAMatch    = "dane-no-match"
	ReasonMXNotInPolicy  = "mtasts-policy-mx-mismatch"
	ReasonNotSecurelyMet = "certificate-not-verified"
)

// Results returns what a session was worth under each policy that the recipient
// published, or under none, as RFC 8460 counts it: whether or not the policy
// decided about the delivery. A policy in testing, or one that an exception sets
// aside, is reported as if it had been enforced. For a host that was refused without
// contact the session is not looked at.
//
// There is at least one result, and at most one success or failure for each kind
// of policy, besides the failure to fetch one.
func Results(f Facts, s Session) []tlsresult.Result {
	r := Require(f)
	if r.Refuse != "" {
		return refusedResults(r.Refuse, f)
	}
	var list []tlsresult.Result
	if t, reported := tlsaResult(f.TLSA, s, r.MinTLS); reported {
		list = append(list, t)
	}
	if f.STS == STSTesting || f.STS == STSEnforce {
		list = append(list, stsResult(f, s, r.MinTLS))
	}
	if len(list) == 0 && f.STSFault == "" {
		list = append(list, bareResult(r, s))
	}
	return appendFault(list, f)
}

// refusedResults are the results of a host that was not contacted.
func refusedResults(why Result, f Facts) []tlsresult.Result {
	switch why {
	case RefusedTLSALookup:
		return appendFault([]tlsresult.Result{{Policy: tlsresult.PolicyTLSA, Type: tlsresult.DNSSECInvalid}}, f)
	case RefusedSTSMX:
		return appendFault([]tlsresult.Result{{Policy: tlsresult.PolicySTS, Type: tlsresult.ValidationFailure, Reason: ReasonMXNotInPolicy}}, f)
	}
	// REQUIRETLS, which is between the sender and us: no policy of the recipient failed.
	return nil
}

// appendFault adds that the MTA-STS policy could not be fetched. It stands beside
// the session's own result where an older policy still rules.
func appendFault(list []tlsresult.Result, f Facts) []tlsresult.Result {
	if f.STSFault == "" {
		return list
	}
	return append(list, tlsresult.Result{Policy: tlsresult.PolicySTS, Type: f.STSFault})
}

// tlsaResult is the result under DANE; false where there are no TLSA records.
func tlsaResult(t TLSA, s Session, minimum Version) (tlsresult.Result, bool) {
	result := tlsresult.Result{Policy: tlsresult.PolicyTLSA}
	switch t {
	case TLSAFailed:
		result.Type = tlsresult.DNSSECInvalid
	case TLSAUnusable:
		result.Type = tlsresult.TLSAInvalid
	case TLSAUsable:
		result.Type, result.Reason = negotiation(s, minimum)
		if result.Type == tlsresult.Success && s.TLSA == NoMatch {
			result.Type, result.Reason = tlsresult.ValidationFailure, ReasonNoTLSAMatch
		}
	default:
		return result, false
	}
	return result, true
}

// stsResult is the result under an MTA-STS policy, whether enforced or not.
func stsResult(f Facts, s Session, minimum Version) tlsresult.Result {
	result := tlsresult.Result{Policy: tlsresult.PolicySTS}
	if !f.STSListed {
		result.Type, result.Reason = tlsresult.ValidationFailure, ReasonMXNotInPolicy
		return result
	}
	if result.Type, result.Reason = negotiation(s, minimum); result.Type == tlsresult.Success && !s.PKIX {
		result.Type, result.Reason = certificate(s.Trouble)
	}
	return result
}

// bareResult is the result where the recipient published nothing: the session
// failed if the sender's flags had no use for it.
func bareResult(r Requirement, s Session) tlsresult.Result {
	result := tlsresult.Result{Policy: tlsresult.NoPolicy}
	result.Type, result.Reason = negotiation(s, r.MinTLS)
	if result.Type == tlsresult.Success && !s.PKIX && Judge(r, s).Action != Deliver {
		result.Type, result.Reason = certificate(s.Trouble)
	}
	return result
}

// negotiation says how far a session came towards TLS.
func negotiation(s Session, minimum Version) (tlsresult.Type, string) {
	switch {
	case s.StartTLS == NotOffered:
		return tlsresult.StartTLSNotSupported, ""
	case s.StartTLS != Started:
		return tlsresult.StartTLSNotSupported, ReasonRejected
	case s.Handshake == TooOld, s.Handshake == Completed && s.Version < minimum:
		return tlsresult.ValidationFailure, ReasonVersion
	case s.Handshake == LateRejected:
		return tlsresult.ValidationFailure, ReasonLateRejection
	case s.Handshake != Completed:
		return tlsresult.ValidationFailure, ReasonHandshake
	}
	return tlsresult.Success, ""
}

// certificate says what is wrong with a certificate.
func certificate(t Trouble) (tlsresult.Type, string) {
	switch t {
	case WrongName:
		return tlsresult.CertificateHostMismatch, ""
	case Expired:
		return tlsresult.CertificateExpired, ""
	case Untrusted:
		return tlsresult.CertificateNotTrusted, ""
	}
	return tlsresult.ValidationFailure, ReasonNotSecurelyMet
}
