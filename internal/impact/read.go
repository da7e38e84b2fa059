package impact

import (
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// A State says how far an attempt came with an MX host.
type State uint8

const (
	// Unreachable: no session came about, so nothing is known of its TLS.
	Unreachable State = iota
	// Refused: it was turned down for a policy before it was contacted.
	Refused
	// Met: there was a session, and it shows what TLS the host gives.
	Met
)

// A Reading is what the evidence of one attempt tells about one MX host.
type Reading struct {
	MXHost string
	State  State
	// Preference of the host; -1 if the evidence does not say.
	Preference int
	// Sibling: it has the preference of the host before it, whatever that is.
	Sibling bool

	// Facts are what was known before connecting, with the flags, the marking and the
	// exception of that message.
	Facts tlspolicy.Facts
	// Session is what was observed. A late rejection is read as a failed handshake,
	// which leads to the same. Whether a ServerHello came is not kept: the small hello that followed
	// is what counts. Announced is known only of a message that could not have gone without.
	Session tlspolicy.Session
	// NoTLSA and NoSTS: a policy was ignored, so it was not looked up.
	NoTLSA, NoSTS bool
	// PlaintextRefused: the host answered our plaintext with "must issue STARTTLS first".
	PlaintextRefused bool
	// Legacy: cipher suites with RSA key exchange were offered, as deliveries do where
	// nothing has to verify.
	Legacy bool
	// RSAKeyExchange: the session used one of these.
	RSAKeyExchange bool
	// SuiteTrouble: the handshake failed in a way that such suites might have cured.
	SuiteTrouble bool

	NotAfter     time.Time // of the certificate; zero if none was seen
	VerifyErrors []string  // what was wrong with it
	Error        string    // of a handshake or a connection that failed; foreign text
}

// Read returns what the evidence of one attempt tells about each MX host that it
// came to, in that order. exhausted says that no MX host of the recipient domain was
// left out.
func Read(d *mail.TLSDetail) (list []Reading, exhausted bool) {
	if d == nil {
		return nil, false
	}
	// Evidence of an attempt that ended without a session to show has an outcome,
	// like every abandoned connection: then all hosts had their turn.
	exhausted = d.Outcome != ""
	if d.MXUntried != nil {
		exhausted = *d.MXUntried == 0
	}
	list = make([]Reading, 0, 1+len(d.Attempts))
	fellBack := ""
	for i := range len(d.Attempts) + 1 {
		c := d
		if i < len(d.Attempts) {
			c = &d.Attempts[i]
		}
		if c.MXHost == "" {
			continue
		}
		r := readConnection(c)
		// A fallback is only left for another host when that one has the same preference.
		r.Sibling = fellBack != "" && fellBack != c.MXHost
		fellBack = ""
		if strings.HasPrefix(c.Outcome, "plaintext-") {
			fellBack = c.MXHost
		}
		k := slices.IndexFunc(list, func(o Reading) bool { return o.MXHost == c.MXHost })
		if k < 0 {
			list = append(list, r)
			continue
		}
		list[k] = list[k].and(r, c)
	}
	return list, exhausted
}

// and returns what two connections of one attempt, o after r, tell about their host.
func (r Reading) and(o Reading, d *mail.TLSDetail) Reading {
	refused := r.PlaintextRefused || o.PlaintextRefused
	switch {
	case o.State < r.State, d.Fallback == fallbackPlaintext && r.State == Met:
		// A plaintext connection shows what led to it at second hand only.
	default:
		o.Sibling = r.Sibling
		r = o
	}
	r.PlaintextRefused = refused
	return r
}

// Words of the evidence that are read back.
const (
	fallbackPlaintext = "plaintext"
	fallbackRefused   = "tls-unverified-after-plaintext-refused"
	outcomeDemandsTLS = "plaintext refused"
)

// readConnection reads the evidence of one connection.
func readConnection(d *mail.TLSDetail) Reading {
	r := Reading{MXHost: d.MXHost, Preference: -1, VerifyErrors: d.VerifyErrors, Error: d.HandshakeError}
	if d.MXPreference != nil {
		r.Preference = *d.MXPreference
	}
	if d.CertNotAfter != nil {
		r.NotAfter = *d.CertNotAfter
	}
	r.Facts = readFacts(d)
	r.NoTLSA = d.TLSA != nil && d.TLSA.State == stateIgnored
	r.NoSTS = d.STS != nil && d.STS.State == stateIgnored
	r.Legacy = !tlspolicy.Require(r.Facts).Needs.Has(tlspolicy.Authenticate)
	switch {
	case d.Fallback == fallbackPlaintext && d.Handshake != "completed":
		r.State, r.Session = Met, sessionBehind(d)
	case d.StartTLS != "":
		r.State, r.Session = Met, readSession(d)
	case tlspolicy.Require(r.Facts).Refuse != "":
		r.State = Refused // in a delivery or a probe: only the former has a result
	default:
		r.Error = d.Outcome
	}
	r.RSAKeyExchange = strings.HasPrefix(d.Cipher, "TLS_RSA_")
	r.SuiteTrouble = r.Session.Handshake == tlspolicy.Failed && !r.Legacy &&
		(strings.Contains(d.HandshakeError, "handshake failure") || strings.Contains(d.HandshakeError, "insufficient security"))
	r.PlaintextRefused = d.Fallback == fallbackRefused || strings.HasPrefix(d.Outcome, outcomeDemandsTLS) ||
		r.State == Met && openToPlaintext(d) && strings.HasPrefix(d.Result, "refused-") && !d.DowngradeSuspected
	return r
}

// openToPlaintext reports whether plaintext was allowed on the connection.
func openToPlaintext(d *mail.TLSDetail) bool { return d.Requirement == "OV" || d.Requirement == "OA" }

// readSession reads what was observed.
func readSession(d *mail.TLSDetail) tlspolicy.Session {
	s := tlspolicy.Session{LargeHello: !d.SmallHello}
	code, rejected := strings.CutPrefix(d.StartTLS, "rejected:")
	switch {
	case d.StartTLS == "not-offered":
		return tlspolicy.Session{TLSBefore: d.DowngradeSuspected}
	case rejected && (code == "421" || code == "0"):
		s.StartTLS = tlspolicy.Broken
	case rejected:
		s.StartTLS = tlspolicy.Rejected
	case d.Handshake == "completed":
		s.StartTLS, s.Handshake = tlspolicy.Started, tlspolicy.Completed
		s.Version = readVersion(d.Version)
		s.PKIX = len(d.VerifyErrors) == 0
		s.Trouble = troubleOf(d.VerifyErrors)
		s.TLSA = readMatch(d)
		s.Announced = d.Marking == tlspolicy.RequireTLSStrict.String() && strings.HasPrefix(d.Result, "verified-")
	case strings.Contains(d.HandshakeError, "protocol version"):
		s.StartTLS, s.Handshake = tlspolicy.Started, tlspolicy.TooOld
	default:
		s.StartTLS, s.Handshake = tlspolicy.Started, tlspolicy.Failed
	}
	return s
}

// sessionBehind returns the session that led to a connection in plaintext, of
// which only the reason is left: it was opened for an earlier message.
func sessionBehind(d *mail.TLSDetail) tlspolicy.Session {
	switch tlspolicy.Result(d.FallbackReason) {
	case tlspolicy.PlaintextVerifyFailed:
		return tlspolicy.Session{
			StartTLS: tlspolicy.Started, Handshake: tlspolicy.Completed,
			// A session below the minimum would have been a failed handshake.
			Version: max(tlspolicy.TLS12, readMinTLS(d)), Trouble: troubleOf(d.VerifyErrors),
		}
	case tlspolicy.PlaintextHandshakeFailed:
		return tlspolicy.Session{StartTLS: tlspolicy.Started, Handshake: tlspolicy.Failed}
	case tlspolicy.PlaintextStartTLSRejected:
		return tlspolicy.Session{StartTLS: tlspolicy.Broken}
	}
	return tlspolicy.Session{TLSBefore: d.DowngradeSuspected}
}

// readVersion reads a version as the evidence spells it, TLS 1.3.
func readVersion(s string) tlspolicy.Version {
	return tlspolicy.VersionOf(mail.TLSVersion(strings.TrimPrefix(s, "TLS ")))
}

// readMinTLS reads the minimum that counted, an exception included; zero is the default.
func readMinTLS(d *mail.TLSDetail) tlspolicy.Version {
	return readVersion(d.MinTLS)
}

// readMatch reads which kind of TLSA record matched. A policy that is only audited
// has a match without having verified anything.
func readMatch(d *mail.TLSDetail) tlspolicy.TLSAMatch {
	matched := ""
	if d.TLSA != nil {
		matched, _, _ = strings.Cut(d.TLSA.Matched, " ")
	}
	switch {
	case matched == "3", matched == "" && d.Verification == "dane-ee":
		return tlspolicy.MatchEE
	case matched == "2", matched == "" && d.Verification == "dane-ta":
		return tlspolicy.MatchTA
	}
	return tlspolicy.NoMatch
}

// troubleOf picks the problem that counts for reports.
func troubleOf(errs []string) tlspolicy.Trouble {
	switch {
	case len(errs) == 0:
		return tlspolicy.NoTrouble
	case slices.Contains(errs, "name-mismatch"):
		return tlspolicy.WrongName
	case slices.Contains(errs, "expired"):
		return tlspolicy.Expired
	}
	return tlspolicy.Untrusted
}

// readFacts reads what was known before connecting.
func readFacts(d *mail.TLSDetail) tlspolicy.Facts {
	f := tlspolicy.Facts{
		Flags:    tlspolicy.Flags{RequireTLS: readFlag(d.RequireTLS), SkipVerification: readFlag(d.SkipVerification)},
		Marking:  readMarking(d.Marking),
		MXSecure: d.MXAuthenticated == tlspolicy.MXByDNSSEC.String(),
		MinTLS:   readMinTLS(d),
		Override: readOverrides(d.Overrides),
		// Settings of which the evidence has the effect.
		EncryptUnverified: d.Requirement == "OV" && !d.VerificationEnforced,
		DeferDowngrade:    d.DowngradeSuspected && openToPlaintext(d) && d.Result == string(tlspolicy.RefusedNotOffered),
	}
	if d.TLSA != nil {
		f.TLSA, f.DANEMode = readTLSA(d.TLSA.State), tlspolicy.ModeOf(mail.PolicyMode(d.TLSA.Mode))
	}
	if d.STS != nil {
		f.STS, f.STSMode = readSTS(d.STS.State), tlspolicy.ModeOf(mail.PolicyMode(d.STS.Honor))
		f.STSListed = d.STS.Listed != nil && *d.STS.Listed
	}
	// A matching TLSA record that was enough under an enforced policy.
	f.DANESuffices = f.STS == tlspolicy.STSEnforce && f.TLSA == tlspolicy.TLSAUsable &&
		len(d.VerifyErrors) > 0 && strings.HasPrefix(d.Result, "verified-dane-")
	return f
}

// stateIgnored is the state of a policy that was not looked up.
const stateIgnored = "ignored"

func readFlag(d *mail.FlagDetail) (f tlspolicy.Flag) {
	if d == nil {
		return f
	}
	f.Value = d.Value
	for _, s := range []tlspolicy.FlagSource{tlspolicy.FromDomain, tlspolicy.FromMessage, tlspolicy.FromFloor, tlspolicy.FromOverride} {
		if s.String() == d.Source {
			f.Source = s
		}
	}
	return f
}

func readMarking(s string) tlspolicy.Marking {
	for _, m := range []tlspolicy.Marking{tlspolicy.TLSOptional, tlspolicy.RequireTLSStrict, tlspolicy.RequireTLSHop} {
		if m.String() == s {
			return m
		}
	}
	return tlspolicy.Unmarked
}

func readTLSA(state string) tlspolicy.TLSA {
	switch state {
	case "absent":
		return tlspolicy.TLSAAbsent
	case "usable":
		return tlspolicy.TLSAUsable
	case "unusable":
		return tlspolicy.TLSAUnusable
	case "failed":
		return tlspolicy.TLSAFailed
	}
	return tlspolicy.TLSANotSecure
}

func readSTS(state string) tlspolicy.STS {
	for _, s := range []tlspolicy.STS{tlspolicy.STSNoFetch, tlspolicy.STSNone, tlspolicy.STSTesting, tlspolicy.STSEnforce} {
		if s.String() == state {
			return s
		}
	}
	return tlspolicy.STSNoPolicy
}

// readOverrides reads the exceptions that were in force.
func readOverrides(list []mail.OverrideDetail) tlspolicy.Override {
	var all []mail.Override
	for _, d := range list {
		o := mail.Override{Target: d.Target}
		for set := range strings.FieldsSeq(d.Sets) {
			switch name, value, _ := strings.Cut(set, "="); name {
			case "dane":
				o.DANE = mail.PolicyMode(value)
			case "mta-sts":
				o.STS = mail.PolicyMode(value)
			case "requirement":
				o.Requirement = value
			case "min-tls":
				o.MinTLS = mail.TLSVersion(value)
			case "on-unverified":
				o.OnUnverified = mail.OnUnverified(value)
			}
		}
		all = append(all, o)
	}
	return tlspolicy.OverrideOf(all)
}
