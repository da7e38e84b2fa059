package delivery

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/pkix"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// maxCertNames is how many names of a certificate are kept as evidence.
const maxCertNames = 10

// describeTLS records a completed handshake.
func describeTLS(d *mail.TLSDetail, cs tls.ConnectionState, r pkix.Result) {
	d.Version = tls.VersionName(cs.Version)
	d.Cipher = tls.CipherSuiteName(cs.CipherSuite)
	if cs.CurveID != 0 {
		d.Group = cs.CurveID.String()
		d.PostQuantum = cs.CurveID == tls.X25519MLKEM768 || cs.CurveID == tls.SecP256r1MLKEM768 || cs.CurveID == tls.SecP384r1MLKEM1024
	}
	d.Resumed = cs.DidResume
	d.VerifyErrors = r.Errors
	if r.Verified {
		d.Verification, d.VerifiedName = "pkix", r.Name
	}
	if len(cs.PeerCertificates) == 0 {
		return
	}
	leaf := cs.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	d.CertSHA256 = hex.EncodeToString(sum[:])
	sum = sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	d.SPKISHA256 = hex.EncodeToString(sum[:])
	notAfter := leaf.NotAfter.UTC()
	d.CertNotAfter = &notAfter
	d.CertIssuer = clip(leaf.Issuer.String(), 300)
	for _, name := range leaf.DNSNames[:min(len(leaf.DNSNames), maxCertNames)] {
		d.CertNames = append(d.CertNames, clip(name, 255))
	}
}

// describeRequirement records what was required of a host and by whom.
func describeRequirement(d *mail.TLSDetail, f tlspolicy.Facts, r tlspolicy.Requirement) {
	d.RequireTLS = &mail.FlagDetail{Value: f.Flags.RequireTLS.Value, Source: f.Flags.RequireTLS.Source.String()}
	d.SkipVerification = &mail.FlagDetail{Value: f.Flags.SkipVerification.Value, Source: f.Flags.SkipVerification.Source.String()}
	d.Requirement = r.Class.String()
	d.RequirementSource = r.Source.String()
	d.MXAuthenticated = tlspolicy.MXAuthenticated(f).String()
	d.VerificationEnforced = r.Enforced()
}

// clip makes foreign text valid and at most n octets long.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	s = s[:n]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// isTooOld reports whether a handshake failed because the server only speaks TLS
// versions below our minimum. Go tells it in words only.
func isTooOld(err error) bool {
	return err != nil && strings.Contains(err.Error(), "protocol version")
}
