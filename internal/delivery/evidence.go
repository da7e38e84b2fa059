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

// describe records what was required of a host, by whom and why.
func (a *attempt) describe(d *mail.TLSDetail, c candidate) { describeTarget(d, &a.to, c.host, c.req) }

func describeTarget(d *mail.TLSDetail, to *recipient, t *target, r tlspolicy.Requirement) {
	d.MXPreference = &t.preference
	flags := r.Flags
	d.RequireTLS = &mail.FlagDetail{Value: flags.RequireTLS.Value, Source: flags.RequireTLS.Source.String()}
	d.SkipVerification = &mail.FlagDetail{Value: flags.SkipVerification.Value, Source: flags.SkipVerification.Source.String()}
	d.Requirement = r.Class.String()
	d.RequirementSource = r.Source.String()
	d.Marking = to.marking.String()
	if r.MinTLS != tlspolicy.TLS12 {
		d.MinTLS = r.MinTLS.String()
	}
	d.MXAuthenticated = tlspolicy.MXAuthenticated(t.facts).String()
	d.VerificationEnforced = r.Enforced()
	d.Overrides = describeOverrides(t.overrides)
	if d.TLSA == nil { // a connection has noted what came of the records
		d.TLSA = describeTLSA(t)
	}
	d.STS = describeSTS(to, t)
}

// describeOverrides names exceptions.
func describeOverrides(list []mail.Override) []mail.OverrideDetail {
	var named []mail.OverrideDetail
	for _, o := range list {
		named = append(named, mail.OverrideDetail{ID: o.ID, Target: o.Target, Sets: o.String(), Reason: clip(o.Reason, 300)})
	}
	return named
}

// describeTLSA records which TLSA records a host had; nil where there was nothing
// to be asked for.
func describeTLSA(t *target) *mail.TLSADetail {
	mode := t.facts.Override.DANE.Over(t.facts.DANEMode)
	if t.facts.TLSA == tlspolicy.TLSANotSecure && mode.Honored() {
		return nil
	}
	d := &mail.TLSADetail{
		State: t.facts.TLSA.String(), Base: t.dane.Base,
		Count: len(t.dane.Records), Usable: t.dane.Records.Usable(),
	}
	if mode == tlspolicy.Ignore && t.facts.TLSA == tlspolicy.TLSANotSecure {
		d.State = "ignored"
	}
	if !mode.Honored() {
		d.Mode = mode.String()
	}
	if t.dane.Err != nil {
		d.Error = clip(t.dane.Err.Error(), 300)
	}
	return d
}

// describeSTS records which MTA-STS policy the recipient domain had; nil where it
// published none.
func describeSTS(to *recipient, t *target) *mail.STSDetail {
	mode := t.facts.Override.STS.Over(t.facts.STSMode)
	if to.sts.State == tlspolicy.STSNoPolicy && mode.Honored() {
		return nil
	}
	p := to.sts.Policy
	d := &mail.STSDetail{
		State: to.sts.State.String(), Mode: string(p.Mode), ID: p.ID, Cached: to.sts.Cached,
		Fault: string(to.sts.Fault),
	}
	if p.Mode != "" {
		d.Listed = &t.facts.STSListed
	}
	if !mode.Honored() {
		d.Honor = mode.String()
	}
	if mode == tlspolicy.Ignore && to.sts.State == tlspolicy.STSNoPolicy {
		d.State = "ignored"
	}
	if to.sts.Err != nil {
		d.Error = clip(to.sts.Err.Error(), 300)
	}
	return d
}

// describeMatch records how the chain of a connection was verified, and which TLSA
// record it matches or why none.
func (l *link) describeMatch(t *target) {
	d, m := &l.detail, l.judged.match
	d.TLSA = describeTLSA(t)
	d.Verification, d.VerifiedName = "none", ""
	switch {
	case m.TLSA == tlspolicy.MatchEE:
		d.Verification = "dane-ee"
	case m.TLSA == tlspolicy.MatchTA:
		d.Verification, d.VerifiedName = "dane-ta", m.Name
	case l.session.PKIX:
		d.Verification, d.VerifiedName = "pkix", l.host
	}
	if d.TLSA == nil {
		return
	}
	if m.Record != nil {
		d.TLSA.Matched = clip(m.Record.String(), 200)
	}
	if len(m.Reasons) > 0 {
		d.TLSA.Error = clip(strings.Join(m.Reasons, ", "), 300)
	}
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
