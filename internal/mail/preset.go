package mail

import "cmp"

// A Preset is a set of TLS settings with a name, applied to a sending domain at
// once. It covers the two flags and every setting of DomainDelivery except how long
// we try (retry, lifetime, require-tls-give-up-after), which it leaves alone.
type Preset struct {
	Name string
	Set  DomainTLS
}

// Presets lists the presets. docs/guides/domain-settings.md says what each is for, and what
// it does not promise.
func Presets() []Preset {
	return []Preset{
		{Name: "default"},
		// A sender in the sense of BSI TR-03108: the policies of recipients decide; without
		// one, the best that can be had, and no silent step back from it.
		{Name: "bsi-tr-03108", Set: DomainTLS{
			Delivery: DomainDelivery{EncryptUnverified: true, DeferDowngrade: true, DANE: Honor, STS: Honor, MinTLS: TLS12},
		}},
		{Name: "strict", Set: DomainTLS{
			Flags:    TLSFlags{RequireTLS: True, SkipVerification: False},
			Delivery: DomainDelivery{Floor: true, DANE: Honor, STS: Honor, MinTLS: TLS12},
		}},
	}
}

// Apply returns t with everything that the preset covers replaced.
func (p Preset) Apply(t DomainTLS) DomainTLS {
	next := p.Set
	next.Delivery.Retry, next.Delivery.Lifetime, next.Delivery.GiveUpAfter = t.Delivery.Retry, t.Delivery.Lifetime, t.Delivery.GiveUpAfter
	return next
}

// PresetOf returns the name of the preset whose effect t has; empty if it is none's.
// A setting that is spelled out as its own default makes no difference.
func PresetOf(t DomainTLS) string {
	for _, p := range Presets() {
		if coveredOf(p.Set) == coveredOf(t) {
			return p.Name
		}
	}
	return ""
}

// covered is what presets cover, with defaults spelled out, so that it can be compared.
type covered struct {
	require, skip, floor, encrypt, deferDowngrade, hop, suffices bool
	dane, sts                                                    PolicyMode
	minTLS                                                       TLSVersion
}

func coveredOf(t DomainTLS) covered {
	d := t.Delivery
	return covered{
		require: t.Flags.RequireTLS.Bool(), skip: t.Flags.SkipVerification.Bool(),
		floor: d.Floor, encrypt: d.EncryptUnverified, deferDowngrade: d.DeferDowngrade, hop: d.RequireTLSHop, suffices: d.DANESuffices,
		dane: cmp.Or(d.DANE, Honor), sts: cmp.Or(d.STS, Honor), minTLS: cmp.Or(d.MinTLS, TLS12),
	}
}
