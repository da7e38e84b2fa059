package mail

import (
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestPolicyModesEnd(t *testing.T) {
	for _, c := range []struct {
		name      string
		d         DomainDelivery
		dane, sts PolicyMode
		ended     bool
	}{
		{"nothing set", DomainDelivery{}, Honor, Honor, false},
		{"honor needs no end", DomainDelivery{DANE: Honor, STS: Honor}, Honor, Honor, false},
		{"before the end", DomainDelivery{DANE: Ignore, STS: Audit, PolicyUntil: noon.Add(1)}, Ignore, Audit, false},
		{"at the end", DomainDelivery{DANE: Ignore, STS: Audit, PolicyUntil: noon}, Honor, Honor, true},
		{"an end that was forgotten has come", DomainDelivery{DANE: Ignore}, Honor, Honor, true},
		{"one of the two", DomainDelivery{STS: Ignore, PolicyUntil: noon.Add(time.Hour)}, Honor, Ignore, false},
	} {
		dane, sts := c.d.PolicyModes(noon)
		if dane != c.dane || sts != c.sts || c.d.PoliciesEnded(noon) != c.ended {
			t.Errorf("%s: %s, %s, ended %v; want %s, %s, %v", c.name, dane, sts, c.d.PoliciesEnded(noon), c.dane, c.sts, c.ended)
		}
	}
}

func TestLoweredNamesWhatAsksLess(t *testing.T) {
	flags := func(require, skip Tri) DomainTLS {
		return DomainTLS{Flags: TLSFlags{RequireTLS: require, SkipVerification: skip}}
	}
	set := func(d DomainDelivery) DomainTLS { return DomainTLS{Delivery: d} }
	for _, c := range []struct {
		name     string
		from, to DomainTLS
		want     []string
	}{
		{"nothing changes", flags(True, False), flags(True, False), nil},
		{"required, then not", flags(True, False), flags(False, False), []string{"require-tls"}},
		{"required, then unset", flags(True, Unset), flags(Unset, Unset), []string{"require-tls"}},
		{"required any, then opportunistic verified", flags(True, True), flags(False, False), []string{"require-tls"}},
		{"verified, then any certificate", flags(True, False), flags(True, True), []string{"skip-verification"}},
		{"any certificate, also for messages that require TLS themselves", flags(False, False), flags(False, True), []string{"skip-verification"}},
		{"opportunistic, then required with any certificate", flags(False, False), flags(True, True), []string{"skip-verification"}},
		{"raised", flags(False, True), flags(True, False), nil},
		{"policies ignored, for a time", set(DomainDelivery{}), set(DomainDelivery{DANE: Ignore, STS: Audit, PolicyUntil: noon.Add(1)}), []string{"dane", "mta-sts"}},
		{"policies ignored until now", set(DomainDelivery{}), set(DomainDelivery{DANE: Ignore, PolicyUntil: noon}), nil},
		{"the smaller steps", set(DomainDelivery{EncryptUnverified: true, DeferDowngrade: true, MinTLS: TLS13}),
			set(DomainDelivery{RequireTLSHop: true, DANESuffices: true}),
			[]string{"on-unverified", "downgrade-protection", "requiretls-mode", "dane-satisfies-mta-sts", "min-tls"}},
		{"the lowest version spelled out", set(DomainDelivery{}), set(DomainDelivery{MinTLS: TLS12}), nil},
		{"patience lets nothing out", set(DomainDelivery{}), set(DomainDelivery{GiveUpAfter: -1}), nil},
		{"a floor under nothing", set(DomainDelivery{Floor: true}), set(DomainDelivery{}), nil},
		{"a floor taken away", DomainTLS{TLSFlags{RequireTLS: True}, DomainDelivery{Floor: true}}, flags(True, Unset), []string{"floor"}},
	} {
		if got := c.from.Lowered(c.to, noon); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestOverrideLowers(t *testing.T) {
	for _, c := range []struct {
		o    Override
		want bool
	}{
		{Override{}, false},
		{Override{DANE: Honor, STS: Honor}, false},
		{Override{DANE: Audit}, true}, {Override{STS: Ignore}, true},
		{Override{Requirement: "RV"}, false}, {Override{Requirement: "RA"}, true}, {Override{Requirement: "OV"}, true}, {Override{Requirement: "OA"}, true},
		{Override{MinTLS: TLS13}, false}, {Override{MinTLS: TLS12}, true}, {Override{MinTLS: TLS11}, true}, {Override{MinTLS: TLS10}, true},
		{Override{OnUnverified: UnverifiedEncrypt}, false}, {Override{OnUnverified: UnverifiedPlaintext}, true},
		{Override{ClientCert: "bank"}, false},
	} {
		if got := c.o.Lowers(); got != c.want {
			t.Errorf("%s: lowers %v, want %v", c.o, got, c.want)
		}
	}
}
