package mail

import "time"

// TLSDetail is the evidence of one connection: why this level, which
// certificate. It is stored and shown as it stands here; fields are only ever
// added. Abandoned connections of the same attempt are in Attempts, in the order they
// were made, each with its own evidence.
type TLSDetail struct {
	MXHost string `json:"mx-host,omitempty"`
	MXIP   string `json:"mx-ip,omitempty"`
	// MXPreference is the preference of the host's MX record (0 for an implicit MX);
	// nil in evidence from before it was kept.
	MXPreference *int `json:"mx-preference,omitempty"`
	// MXUntried is how many MX hosts of the recipient domain the attempt had not come
	// to when it ended, at the top only; nil in evidence from before it was kept.
	MXUntried *int `json:"mx-untried,omitempty"`
	// MXAuthenticated: dnssec, mta-sts or none.
	MXAuthenticated string `json:"mx-authenticated,omitempty"`

	RequireTLS       *FlagDetail `json:"require-tls,omitempty"`
	SkipVerification *FlagDetail `json:"skip-verification,omitempty"`
	// Requirement: OV, OA, RV, RA, D, DU or X.
	Requirement string `json:"requirement,omitempty"`
	// RequirementSource: sender, mta-sts, dane, requiretls or override.
	RequirementSource string `json:"requirement-source,omitempty"`
	// Marking: tls-required-no, requiretls-strict or requiretls-hop (RFC 8689).
	Marking string `json:"marking,omitempty"`
	// MinTLS is the lowest TLS version that counted, where it is not 1.2.
	MinTLS string `json:"min-tls,omitempty"`
	// Overrides are the exceptions that were in force for this host.
	Overrides []OverrideDetail `json:"overrides,omitempty"`

	// Result: verified-pkix, unverified, plaintext-not-offered, refused-… .
	Result string `json:"result,omitempty"`
	// Fallback: none, small-hello, plaintext or tls-unverified-after-plaintext-refused.
	Fallback       string `json:"fallback,omitempty"`
	FallbackReason string `json:"fallback-reason,omitempty"`

	// StartTLS: offered, not-offered or rejected:CODE.
	StartTLS string `json:"starttls,omitempty"`
	// Handshake: none, completed or failed.
	Handshake      string `json:"handshake,omitempty"`
	HandshakeError string `json:"handshake-error,omitempty"` // foreign text, cut
	Version        string `json:"version,omitempty"`
	Cipher         string `json:"cipher,omitempty"`
	Group          string `json:"group,omitempty"`
	PostQuantum    bool   `json:"post-quantum,omitempty"`
	SmallHello     bool   `json:"small-hello,omitempty"`

	// Verification: pkix, dane-ee, dane-ta or none.
	Verification         string   `json:"verification,omitempty"`
	VerificationEnforced bool     `json:"verification-enforced"`
	VerifyErrors         []string `json:"verify-errors,omitempty"` // all of them, never only the first
	VerifiedName         string   `json:"verified-name,omitempty"`

	CertSHA256   string     `json:"cert-sha256,omitempty"`
	SPKISHA256   string     `json:"spki-sha256,omitempty"`
	CertNotAfter *time.Time `json:"cert-not-after,omitempty"`
	CertIssuer   string     `json:"cert-issuer,omitempty"`
	CertNames    []string   `json:"cert-names,omitempty"` // the first 10

	TLSA *TLSADetail `json:"tlsa,omitempty"`
	STS  *STSDetail  `json:"sts,omitempty"`

	Resumed            bool `json:"resumed,omitempty"`
	Reused             bool `json:"reused,omitempty"`
	MessageNumber      int  `json:"message-number,omitempty"` // on this connection, from 1
	StartTLSInjection  bool `json:"starttls-injection,omitempty"`
	DowngradeSuspected bool `json:"downgrade-suspected,omitempty"`

	// Outcome is how an abandoned connection ended, in a few words.
	Outcome  string      `json:"outcome,omitempty"`
	Attempts []TLSDetail `json:"attempts,omitempty"`
}

// FlagDetail is an effective flag and where its value came from: default,
// domain, floor, message or override.
type FlagDetail struct {
	Value  bool   `json:"value"`
	Source string `json:"source"`
}

// OverrideDetail names an exception that was in force.
type OverrideDetail struct {
	ID     int64  `json:"id"`
	Target string `json:"target"`
	Sets   string `json:"sets"`
	Reason string `json:"reason"` // in the words of its author
}

// TLSADetail tells which TLSA records an MX host had (RFC 7672).
type TLSADetail struct {
	// State: not-secure, absent, usable, unusable, failed or ignored.
	State   string `json:"state,omitempty"`
	Mode    string `json:"mode,omitempty"` // audit or ignore; empty: honored
	Base    string `json:"base,omitempty"` // TLSA base domain
	Count   int    `json:"count"`
	Usable  int    `json:"usable"`
	Matched string `json:"matched,omitempty"` // the record that matched, in presentation form
	Error   string `json:"error,omitempty"`   // why the look-up failed, or why nothing matched
}

// STSDetail tells which MTA-STS policy was in force (RFC 8461).
type STSDetail struct {
	// State: no-policy, no-fetch, none, testing, enforce or ignored.
	State  string `json:"state,omitempty"`
	Mode   string `json:"mode"` // of the policy: none, testing, enforce; empty without one
	ID     string `json:"id,omitempty"`
	Cached bool   `json:"cached,omitempty"`
	Listed *bool  `json:"listed,omitempty"` // the policy names the MX host; nil without policy
	// Honor: audit or ignore; empty: honored.
	Honor string `json:"honor,omitempty"`
	Fault string `json:"fault,omitempty"` // result type of RFC 8460 when the latest fetch failed
	Error string `json:"error,omitempty"` // the same in words
}
