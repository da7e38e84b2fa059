package report

import "github.com/sealpost/sealpost/internal/tlsresult"

// An Explanation says what a result type means and what whoever runs the receiving
// domain can do about it.
type Explanation struct {
	Meaning string
	Remedy  string
}

// Explain explains a result type (RFC 8460 section 4.3), including those that are not in
// the RFC.
func Explain(t tlsresult.Type) Explanation {
	if e, ok := explanations()[t]; ok {
		return e
	}
	return Explanation{
		Meaning: "a failure that RFC 8460 has no name for",
		Remedy:  "ask the sender of the report what it means",
	}
}

func explanations() map[tlsresult.Type]Explanation {
	return map[tlsresult.Type]Explanation{
		tlsresult.StartTLSNotSupported: {
			"the MX host did not offer STARTTLS, or refused it",
			"turn on TLS on this host; if it is on, something between sender and host removes the offer, which is an attack or a meddling firewall",
		},
		tlsresult.CertificateHostMismatch: {
			"the certificate is for other names than the MX host's",
			"give the host a certificate for the name in the MX record, or list the name it has in the MTA-STS policy",
		},
		tlsresult.CertificateExpired: {
			"the certificate had expired",
			"renew it, and find out why it was not renewed by itself; reload the mail server after a renewal",
		},
		tlsresult.CertificateNotTrusted: {
			"the certificate does not lead to an authority that the sender trusts",
			"send the intermediate certificates with it, and use a public authority; a self-signed certificate needs DANE",
		},
		tlsresult.ValidationFailure: {
			"TLS failed for another reason; the reason code says more",
			"look at the reason code and in the log of the host at that time",
		},
		tlsresult.TLSAInvalid: {
			"TLSA records were found and none of them could be used or fitted",
			"publish the TLSA record of the certificate in use (usage 3, or 2) before changing the certificate",
		},
		tlsresult.DNSSECInvalid: {
			"DNSSEC validation failed: no honest answer about TLSA could be had",
			"check signatures and DS records of the zone, above all whether signatures have expired",
		},
		tlsresult.DANERequired: {
			"the sender is set to require DANE for this domain, and there are no TLSA records",
			"publish TLSA records, or tell the sender that you have none",
		},
		tlsresult.STSPolicyFetchError: {
			"the MTA-STS policy could not be fetched",
			"serve https://mta-sts.<domain>/.well-known/mta-sts.txt with status 200 and without redirects",
		},
		tlsresult.STSPolicyInvalid: {
			"the MTA-STS policy could not be read",
			"write version, mode, max_age and at least one mx line, as RFC 8461 section 3.2 has them",
		},
		tlsresult.STSWebPKIInvalid: {
			"the HTTPS certificate of the MTA-STS policy host does not verify",
			"give mta-sts.<domain> a certificate of a public authority for exactly that name",
		},
	}
}
