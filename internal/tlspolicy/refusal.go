package tlspolicy

import (
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// Refusal returns what the sender is told when no MX host of the recipient met
// the requirement. results has the last result of every host that was tried,
// best preference first; allTried says that no host was left out.
//
// It is temporary, whatever the server answered: a server's 5xx to STARTTLS is
// mostly a firewall on the way, and a policy may be mended. Only a message submitted with
// REQUIRETLS fails for good, once every host failed for want of TLS, of a verified
// certificate or of the extension (RFC 8689 section 4.2.1). A look-up that failed or a
// policy that lists no host may be otherwise tomorrow, also for such a message.
func Refusal(m Marking, results []Result, allTried bool) mail.Reply {
	last := Result("")
	final := m == RequireTLSStrict && allTried
	for _, r := range results {
		if strings.HasPrefix(string(r), "refused-") {
			last = r
		}
		final = final && r.lasting()
	}
	if last == "" {
		return mail.LocalReply(451, "4.4.0", "no MX host could be used")
	}
	code, enhanced := 450, last.enhanced()
	if final {
		code, enhanced = 550, "5.7.10"
		if last == RefusedREQUIRETLS {
			enhanced = "5.7.30"
		}
	}
	return mail.LocalReply(code, enhanced, last.Text())
}

// lasting reports whether a refusal is the server's doing, and not that of a look-up
// or of a policy.
func (r Result) lasting() bool {
	switch r {
	case RefusedNotOffered, RefusedStartTLSRejected, RefusedHandshakeFailed, RefusedVerifyFailed, RefusedDANEMismatch, RefusedREQUIRETLS:
		return true
	}
	return false
}

// enhanced returns the local enhanced status code of a refusal.
func (r Result) enhanced() string {
	switch r {
	case RefusedNotOffered, RefusedStartTLSRejected, RefusedHandshakeFailed, RefusedREQUIRETLS:
		return "4.7.10" // encryption needed
	}
	return "4.7.5" // cryptographic failure
}

// Text returns a refusal in words that name the condition that failed.
func (r Result) Text() string {
	switch r {
	case RefusedNotOffered:
		return "TLS is required, but the server does not offer STARTTLS"
	case RefusedStartTLSRejected:
		return "TLS is required, but the server refused STARTTLS"
	case RefusedHandshakeFailed:
		return "TLS is required, but the TLS handshake failed"
	case RefusedVerifyFailed:
		return "verified TLS is required, but the server's certificate does not verify"
	case RefusedDANEMismatch:
		return "the server's certificate matches none of its TLSA records"
	case RefusedTLSALookup:
		return "the server's TLSA records could not be looked up securely"
	case RefusedSTSMX:
		return "the MX host is not listed in the domain's MTA-STS policy"
	case RefusedREQUIRETLS:
		return "REQUIRETLS was asked for, but the server does not offer it, or nothing vouches for its being an MX host of the domain"
	}
	return string(r)
}

// DemandsTLS reports whether a reply to plaintext means "issue STARTTLS first"
// (RFC 3207 section 4): code 530, or an enhanced code that says so together with words
// that name TLS, since those codes have other uses as well. Where there is no enhanced
// code, as in the usual rule of Exim, the words must name STARTTLS, or TLS as required.
func DemandsTLS(r mail.Reply) bool {
	if r.Code < 400 || r.Local {
		return false
	}
	if r.Code == 530 {
		return true
	}
	text := strings.ToLower(r.Text)
	_, rest, _ := strings.Cut(r.Enhanced, ".")
	switch rest {
	case "7.0", "7.1", "7.10", "7.30":
		return strings.Contains(text, "tls") || strings.Contains(text, "encrypt")
	case "":
		return strings.Contains(text, "starttls") || strings.Contains(text, "tls") && strings.Contains(text, "requir")
	}
	return false
}

// WithoutPlaintext returns the refusal that a plaintext result turns into when the
// host does not take plaintext. Other results are returned as they are.
func WithoutPlaintext(r Result) Result {
	switch r {
	case PlaintextNotOffered:
		return RefusedNotOffered
	case PlaintextStartTLSRejected:
		return RefusedStartTLSRejected
	case PlaintextHandshakeFailed:
		return RefusedHandshakeFailed
	case PlaintextVerifyFailed:
		return RefusedVerifyFailed
	}
	return r
}
