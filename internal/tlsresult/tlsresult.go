// Package tlsresult holds the nouns of SMTP TLS reporting (RFC 8460): under which
// policy a TLS session was attempted, and what came of it. The decision says which
// results a session has, delivery adds whom it was with, and tlsrpt counts them
// and tells the recipient's domain once a day.
package tlsresult

import "time"

// A PolicyType says which kind of policy a session was held against (RFC 8460
// section 4.2, policy-type).
type PolicyType string

const (
	PolicyTLSA PolicyType = "tlsa"
	PolicySTS  PolicyType = "sts"
	NoPolicy   PolicyType = "no-policy-found"
)

// A Type is the result of a session that failed (RFC 8460 section 4.3,
// result-type). The zero value is success.
type Type string

const (
	Success Type = ""

	// Negotiation (section 4.3.1).
	StartTLSNotSupported    Type = "starttls-not-supported"
	CertificateHostMismatch Type = "certificate-host-mismatch"
	CertificateExpired      Type = "certificate-expired"
	CertificateNotTrusted   Type = "certificate-not-trusted"
	ValidationFailure       Type = "validation-failure" // anything else; the reason code says what

	// DANE (section 4.3.2.1).
	TLSAInvalid   Type = "tlsa-invalid"
	DNSSECInvalid Type = "dnssec-invalid"
	DANERequired  Type = "dane-required"

	// MTA-STS (section 4.3.2.2).
	STSPolicyFetchError Type = "sts-policy-fetch-error"
	STSPolicyInvalid    Type = "sts-policy-invalid"
	STSWebPKIInvalid    Type = "sts-webpki-invalid"
)

// A Result is what one session was worth under one policy.
type Result struct {
	Policy PolicyType
	Type   Type
	Reason string // failure-reason-code of our own making; empty where Type says it all
}

// A Policy is the policy that results are counted under, as a report repeats it
// (RFC 8460 section 4.4). Its zero value with Type NoPolicy is complete.
type Policy struct {
	Type   PolicyType
	Domain string // A-labels: the recipient domain, or the TLSA base domain for tlsa
	// Strings are the policy as published: the lines of the MTA-STS policy, or each
	// TLSA record in presentation form. Empty without a policy. Foreign text.
	Strings []string
	MXHosts []string // the mx patterns of the MTA-STS policy; foreign text
}

// An Observation is one TLS session, or the attempt at one, under one policy. A
// session is observed once, however many messages it carries (RFC 8460 section 4.1).
type Observation struct {
	At          time.Time // UTC; its day is the report's
	Policy      Policy
	Type        Type // Success or what failed
	Reason      string
	MXHost      string // receiving-mx-hostname; empty if no host was contacted
	ReceivingIP string // empty if no connection was made
	SendingIP   string
}
