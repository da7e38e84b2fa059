package impact

import (
	"iter"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// evidence writes down a connection as deliveries do.
func evidence(f tlspolicy.Facts, s tlspolicy.Session, overrides []mail.OverrideDetail) mail.TLSDetail {
	r := tlspolicy.Require(f)
	v := tlspolicy.Judge(r, s)
	d := mail.TLSDetail{
		MXHost:           "mx.example.net",
		MXAuthenticated:  tlspolicy.MXAuthenticated(f).String(),
		RequireTLS:       &mail.FlagDetail{Value: f.Flags.RequireTLS.Value, Source: f.Flags.RequireTLS.Source.String()},
		SkipVerification: &mail.FlagDetail{Value: f.Flags.SkipVerification.Value, Source: f.Flags.SkipVerification.Source.String()},
		Requirement:      r.Class.String(), RequirementSource: r.Source.String(), VerificationEnforced: r.Enforced(),
		Marking: f.Marking.String(), Overrides: overrides,
		Result: string(v.Result), Handshake: "none", Verification: "none", DowngradeSuspected: v.DowngradeSuspected,
		TLSA: &mail.TLSADetail{State: [...]string{"not-secure", "absent", "usable", "unusable", "failed"}[f.TLSA]},
		STS:  &mail.STSDetail{State: f.STS.String()},
	}
	if r.MinTLS != tlspolicy.TLS12 {
		d.MinTLS = map[tlspolicy.Version]string{tlspolicy.TLS10: "1.0", tlspolicy.TLS11: "1.1", tlspolicy.TLS13: "1.3"}[r.MinTLS]
	}
	if !f.DANEMode.Honored() {
		d.TLSA.Mode = f.DANEMode.String()
	}
	if !f.STSMode.Honored() {
		d.STS.Honor = f.STSMode.String()
	}
	if f.STS >= tlspolicy.STSNone {
		d.STS.Listed = &f.STSListed
	}
	if r.Refuse != "" {
		return d
	}
	switch s.StartTLS {
	case tlspolicy.NotOffered:
		d.StartTLS = "not-offered"
	case tlspolicy.Rejected:
		d.StartTLS = "rejected:454"
	case tlspolicy.Broken:
		d.StartTLS = "rejected:421"
	case tlspolicy.Started:
		d.StartTLS, d.Handshake = "offered", "failed"
	}
	if s.Handshake == tlspolicy.TooOld {
		d.HandshakeError = "tls: protocol version not supported"
	}
	if s.Handshake != tlspolicy.Completed {
		return d
	}
	d.Handshake, d.Version = "completed", map[tlspolicy.Version]string{tlspolicy.TLS10: "TLS 1.0", tlspolicy.TLS12: "TLS 1.2", tlspolicy.TLS13: "TLS 1.3"}[s.Version]
	if s.PKIX {
		d.Verification = "pkix"
	} else {
		d.VerifyErrors = []string{"expired"}
	}
	if f.TLSA == tlspolicy.TLSAUsable && s.TLSA != tlspolicy.NoMatch {
		d.Verification, d.TLSA.Matched = "dane-ee", "3 1 1 00ff"
		if s.TLSA == tlspolicy.MatchTA {
			d.Verification, d.TLSA.Matched = "dane-ta", "2 0 1 00ff"
		}
	}
	return d
}

// sessions yields every kind of session that evidence can tell apart.
func sessions(yield func(tlspolicy.Session) bool) {
	for _, s := range []tlspolicy.Session{
		{}, {TLSBefore: true}, {StartTLS: tlspolicy.Rejected}, {StartTLS: tlspolicy.Broken},
		{StartTLS: tlspolicy.Started, Handshake: tlspolicy.Failed}, {StartTLS: tlspolicy.Started, Handshake: tlspolicy.TooOld},
		{StartTLS: tlspolicy.Started, Handshake: tlspolicy.LateRejected},
	} {
		if !yield(s) {
			return
		}
	}
	for _, version := range []tlspolicy.Version{tlspolicy.TLS10, tlspolicy.TLS12, tlspolicy.TLS13} {
		for _, match := range []tlspolicy.TLSAMatch{tlspolicy.NoMatch, tlspolicy.MatchEE, tlspolicy.MatchTA} {
			for _, ok := range []bool{false, true} {
				if !yield(tlspolicy.Session{StartTLS: tlspolicy.Started, Handshake: tlspolicy.Completed, Version: version, PKIX: ok, TLSA: match}) {
					return
				}
			}
		}
	}
}

// published yields everything a recipient can publish.
func published() iter.Seq[tlspolicy.Facts] {
	return func(yield func(tlspolicy.Facts) bool) {
		for _, sts := range []tlspolicy.STS{tlspolicy.STSNoPolicy, tlspolicy.STSNoFetch, tlspolicy.STSNone, tlspolicy.STSTesting, tlspolicy.STSEnforce} {
			for listed := range 2 {
				if listed == 1 && sts < tlspolicy.STSTesting {
					continue
				}
				for tlsa := tlspolicy.TLSANotSecure; tlsa <= tlspolicy.TLSAFailed; tlsa++ {
					if !yield(tlspolicy.Facts{STS: sts, STSListed: listed == 1, TLSA: tlsa}) {
						return
					}
				}
			}
		}
	}
}

// A variant is a way in which settings, markings and exceptions bend the decision.
type variant struct {
	name      string
	bend      func(f *tlspolicy.Facts)
	overrides []mail.OverrideDetail
}

func variants() []variant {
	with := func(name, sets string) variant {
		list := []mail.OverrideDetail{{ID: 7, Target: "example.net", Sets: sets, Reason: "a test"}}
		return variant{name, func(f *tlspolicy.Facts) { f.Override = readOverrides(list) }, list}
	}
	return []variant{
		{"plain", func(*tlspolicy.Facts) {}, nil},
		{"on-unverified=encrypt", func(f *tlspolicy.Facts) { f.EncryptUnverified = true }, nil},
		{"downgrade-protection=defer", func(f *tlspolicy.Facts) { f.DeferDowngrade = true }, nil},
		{"dane-satisfies-mta-sts", func(f *tlspolicy.Facts) { f.DANESuffices = true }, nil},
		{"min-tls=1.3", func(f *tlspolicy.Facts) { f.MinTLS = tlspolicy.TLS13 }, nil},
		{"dane=audit", func(f *tlspolicy.Facts) { f.DANEMode = tlspolicy.Audit }, nil},
		{"mta-sts=audit", func(f *tlspolicy.Facts) { f.STSMode = tlspolicy.Audit }, nil},
		{"TLS-Required: No", func(f *tlspolicy.Facts) { f.Marking = tlspolicy.TLSOptional }, nil},
		{"REQUIRETLS", func(f *tlspolicy.Facts) { f.Marking, f.MXSecure = tlspolicy.RequireTLSStrict, true }, nil},
		{"REQUIRETLS, MX not secure", func(f *tlspolicy.Facts) { f.Marking = tlspolicy.RequireTLSStrict }, nil},
		{"REQUIRETLS hop", func(f *tlspolicy.Facts) { f.Marking = tlspolicy.RequireTLSHop }, nil},
		with("override RA", "requirement=RA"), with("override OV", "requirement=OV"), with("override dane", "dane=audit"),
		with("override both", "dane=audit mta-sts=audit requirement=OA min-tls=1.0"), with("override encrypt", "on-unverified=encrypt"),
	}
}

// Every kind of facts and session, written down as evidence and read back, leads to
// the verdict that it led to; and for every pair of flags to the one that it would have.
func TestEvidenceReadsBack(t *testing.T) {
	n := 0
	for _, v := range variants() {
		for f := range published() {
			for i, flags := range Pairs() {
				f := f
				f.Flags = flags
				v.bend(&f)
				for s := range sessions {
					s.Announced = f.Marking == tlspolicy.RequireTLSStrict
					want := tlspolicy.Judge(tlspolicy.Require(f), s)
					d := evidence(f, s, v.overrides)
					list, _ := Read(&d)
					if len(list) != 1 {
						t.Fatalf("%d readings", len(list))
					}
					got := tlspolicy.Judge(tlspolicy.Require(list[0].Facts), list[0].Session)
					if got.Action != want.Action || got.Result != want.Result || got.Verified != want.Verified {
						t.Fatalf("%s, pair %d, %+v, %+v: read back %+v, want %+v\n%+v", v.name, i, f, s, got, want, d)
					}
					foretell(t, v, f, s, &list[0])
					n++
				}
			}
		}
	}
	t.Logf("%d cases", n)
}

// foretell compares the projection of a reading on every pair of flags with the
// decision on the facts themselves.
func foretell(t *testing.T, v variant, f tlspolicy.Facts, s tlspolicy.Session, r *Reading) {
	t.Helper()
	if f.Marking != tlspolicy.Unmarked || f.Override != (tlspolicy.Override{}) {
		return // neither is carried over to other messages
	}
	terms := Terms{NextHop: "example.net", Settings: mail.DomainDelivery{
		EncryptUnverified: f.EncryptUnverified, DeferDowngrade: f.DeferDowngrade, DANESuffices: f.DANESuffices,
		DANE: mail.PolicyMode(f.DANEMode.String()), STS: mail.PolicyMode(f.STSMode.String()), PolicyUntil: time.Unix(0, 0),
	}}
	if f.MinTLS != 0 {
		terms.Settings.MinTLS = mail.TLS13
	}
	for _, flags := range Pairs() {
		other := f
		other.Flags = flags
		want := tlspolicy.Judge(tlspolicy.Require(other), s)
		if got := terms.judge(r, flags); got.Delivery != deliveryOf(want) || got.Result != want.Result {
			t.Fatalf("%s, seen with %+v, %+v: foretold %s %s %s for %+v, want %s", v.name, f, s, got.Delivery, got.Result, got.Reason, flags, want.Result)
		}
	}
}

// What cannot be known is not guessed.
func TestDoubt(t *testing.T) {
	yes := true
	valid := mail.TLSDetail{MXHost: "mx", StartTLS: "offered", Handshake: "completed", Version: "TLS 1.2", Verification: "pkix", Requirement: "OV", VerificationEnforced: true}
	change := func(c func(*mail.TLSDetail)) mail.TLSDetail { d := valid; c(&d); return d }
	on := func(o mail.Override) mail.Override { o.Target = "example.net"; return o }
	tests := []struct {
		name  string
		d     mail.TLSDetail
		terms Terms
		want  [4]string // reason, or how it is delivered
	}{
		{"DANE was ignored and is honored now", change(func(d *mail.TLSDetail) { d.TLSA = &mail.TLSADetail{State: "ignored", Mode: "ignore"} }), Terms{},
			[4]string{ReasonTLSAIgnored, ReasonTLSAIgnored, ReasonTLSAIgnored, ReasonTLSAIgnored}},
		{"DANE is ignored still", change(func(d *mail.TLSDetail) { d.TLSA = &mail.TLSADetail{State: "ignored", Mode: "ignore"} }),
			Terms{Settings: mail.DomainDelivery{DANE: mail.Ignore, PolicyUntil: time.Unix(0, 0)}}, [4]string{"verified", "verified", "verified", "verified"}},
		{"DANE was ignored and would only be audited", change(func(d *mail.TLSDetail) { d.TLSA = &mail.TLSADetail{State: "ignored", Mode: "ignore"} }),
			Terms{Also: on(mail.Override{DANE: mail.Audit})}, [4]string{"verified", "verified", "verified", "verified"}},
		{"MTA-STS was ignored and is honored now", change(func(d *mail.TLSDetail) { d.STS = &mail.STSDetail{State: "ignored", Honor: "ignore"} }), Terms{},
			[4]string{ReasonSTSIgnored, ReasonSTSIgnored, ReasonSTSIgnored, ReasonSTSIgnored}},
		{"not listed, not contacted, and not asked for any more", mail.TLSDetail{
			MXHost: "mx", Result: "refused-sts-mx", Requirement: "RV", STS: &mail.STSDetail{State: "enforce", Listed: new(bool)},
		}, Terms{Also: on(mail.Override{STS: mail.Audit})}, [4]string{ReasonNotContacted, ReasonNotContacted, ReasonNotContacted, ReasonNotContacted}},
		{"old TLS only, and old TLS would do now", mail.TLSDetail{
			MXHost: "mx", StartTLS: "offered", Handshake: "failed", HandshakeError: "tls: protocol version not supported", Requirement: "OV", VerificationEnforced: true,
		}, Terms{Also: on(mail.Override{MinTLS: mail.TLS10})}, [4]string{ReasonTLSVersion, ReasonTLSVersion, ReasonTLSVersion, ReasonTLSVersion}},
		{"RSA key exchange is not offered where something must verify", change(func(d *mail.TLSDetail) { d.Cipher = "TLS_RSA_WITH_AES_128_CBC_SHA" }), Terms{},
			[4]string{"verified", "verified", ReasonCipherSuite, "verified"}},
		{"no common cipher suite where RSA key exchange was not offered", mail.TLSDetail{
			MXHost: "mx", StartTLS: "offered", Handshake: "failed", HandshakeError: "remote error: tls: handshake failure", Requirement: "RV",
			RequireTLS: &mail.FlagDetail{Value: true, Source: "domain"},
		}, Terms{}, [4]string{ReasonCipherSuite, ReasonCipherSuite, "not-delivered", ReasonCipherSuite}},
		{"unreachable", mail.TLSDetail{MXHost: "mx", Handshake: "none", Outcome: "connection refused"}, Terms{},
			[4]string{ReasonUnreachable, ReasonUnreachable, ReasonUnreachable, ReasonUnreachable}},
		{"listed in an enforced policy", change(func(d *mail.TLSDetail) { d.STS = &mail.STSDetail{State: "enforce", Listed: &yes} }), Terms{},
			[4]string{"verified", "verified", "verified", "verified"}},
	}
	for _, tt := range tests {
		list, _ := Read(&tt.d)
		tt.terms.NextHop = "example.net"
		for i, flags := range Pairs() {
			o := tt.terms.Project(list, flags)
			got := o.Reason
			if got == "" {
				got = o.Delivery.String()
			}
			if got != tt.want[i] {
				t.Errorf("%s, pair %d: %s, want %s", tt.name, i, got, tt.want[i])
			}
		}
	}
}

// An exception that lowers does not lower what a message asked for itself, but
// what is projected is the domain's.
func TestOverridesInForceAreApplied(t *testing.T) {
	d := evidence(tlspolicy.Facts{}, tlspolicy.Session{StartTLS: tlspolicy.Started, Handshake: tlspolicy.Completed, Version: tlspolicy.TLS12}, nil)
	list, exhausted := Read(&d)
	if exhausted {
		t.Error("a delivery does not say that there are no other hosts")
	}
	terms := Terms{NextHop: "example.net", Overrides: fakeOverrides{"mx.example.net": {Target: "mx.example.net", MXHost: true, Requirement: "RA"}}}
	for i, flags := range Pairs() {
		if o := terms.Project(list, flags); o.Delivery != Unverified || o.Class != tlspolicy.RA {
			t.Errorf("pair %d: %s as %s", i, o.Delivery, o.Class)
		}
	}
}
