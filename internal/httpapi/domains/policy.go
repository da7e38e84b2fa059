package domains

import (
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A policyJSON is what a domain sets about TLS besides the two flags.
type policyJSON struct {
	OnUnverified        string `json:"on-unverified"`        // plaintext, encrypt
	DowngradeProtection string `json:"downgrade-protection"` // off, defer
	Floor               bool   `json:"floor"`
	GiveUpAfter         string `json:"require-tls-give-up-after"` // default, now, or a duration
	RequireTLSMode      string `json:"requiretls-mode"`           // strict, hop
	DANE                string `json:"dane"`                      // honor, audit, ignore
	STS                 string `json:"mta-sts"`
	PolicyExpires       string `json:"policy-expires"` // end of audit and ignore; empty if neither is set
	DANESatisfiesMTASTS bool   `json:"dane-satisfies-mta-sts"`
	MinTLS              string `json:"min-tls"` // 1.2, 1.3
	Preset              string `json:"preset"`  // whose settings these are; empty if nobody's
}

// policyView shows what counts at the given moment: an exception that has ended is not shown.
func policyView(d store.Domain, now time.Time) policyJSON {
	set := tlsOf(&d)
	endPolicies(&set.Delivery, now)
	words := store.DeliveryFacts(set.Delivery)
	return policyJSON{
		OnUnverified: words["on-unverified"], DowngradeProtection: words["downgrade-protection"], Floor: set.Delivery.Floor,
		GiveUpAfter: words["require-tls-give-up-after"], RequireTLSMode: words["requiretls-mode"],
		DANE: words["dane"], STS: words["mta-sts"], PolicyExpires: words["policy-expires"],
		DANESatisfiesMTASTS: set.Delivery.DANESuffices, MinTLS: words["min-tls"], Preset: mail.PresetOf(set),
	}
}

// endPolicies takes back what has come to its end, so that it is not mistaken for something
// that a new end would prolong.
func endPolicies(d *mail.DomainDelivery, now time.Time) {
	if d.PoliciesEnded(now) {
		d.DANE, d.STS, d.PolicyUntil = "", "", time.Time{}
	}
}

// applyPolicy puts the parameters about TLS that are given into d: a preset first, then
// what is given beside it.
func applyPolicy(d *store.Domain, p door.Params, now time.Time) error {
	endPolicies(&d.Delivery, now)
	if err := applyPreset(d, p); err != nil {
		return err
	}
	set := &d.Delivery
	for _, s := range []struct {
		name, off, on string
		into          *bool
	}{
		{"on-unverified", string(mail.UnverifiedPlaintext), string(mail.UnverifiedEncrypt), &set.EncryptUnverified},
		{"downgrade-protection", "off", "defer", &set.DeferDowngrade},
		{"requiretls-mode", "strict", "hop", &set.RequireTLSHop},
	} {
		word, err := p.OneOf(s.name, s.off, s.on)
		if err != nil {
			return err
		}
		if word != "" {
			*s.into = word == s.on
		}
	}
	for name, into := range map[string]*bool{"floor": &set.Floor, "dane-satisfies-mta-sts": &set.DANESuffices} {
		t, err := p.Flag(name)
		if err != nil {
			return err
		}
		if t != mail.Unset {
			*into = t.Bool()
		}
	}
	switch v := mail.TLSVersion(p.Get("min-tls")); v {
	case "":
	case mail.TLS12, mail.TLS13:
		set.MinTLS = v
	default:
		return door.BadRequest("'min-tls' parameter must be 1.2 or 1.3; less is possible for one destination, by an override with an end")
	}
	if err := applyGiveUp(set, p.Get("require-tls-give-up-after")); err != nil {
		return err
	}
	return applyModes(set, p, now)
}

// applyPreset replaces what a preset covers, the two flags among it.
func applyPreset(d *store.Domain, p door.Params) error {
	var names []string
	for _, preset := range mail.Presets() {
		names = append(names, preset.Name)
	}
	name, err := p.OneOf("preset", names...)
	if err != nil {
		return err
	}
	for _, preset := range mail.Presets() {
		if preset.Name == name {
			set := preset.Apply(tlsOf(d))
			d.TLS, d.Delivery = set.Flags, set.Delivery
		}
	}
	return nil
}

// applyGiveUp reads how long to wait for the required TLS.
func applyGiveUp(d *mail.DomainDelivery, s string) error {
	switch s {
	case "":
	case "default":
		d.GiveUpAfter = 0
	case "now":
		d.GiveUpAfter = -1
	default:
		after, err := time.ParseDuration(s)
		if err != nil || after < minWait || after > maxLifetime {
			return door.BadRequest("'require-tls-give-up-after' parameter must be a duration from %s to %s, now (at the first failure), or default (as long as for any other failure)", minWait, maxLifetime)
		}
		d.GiveUpAfter = after
	}
	return nil
}

// applyModes reads what the policies of recipients count for. Setting one aside lowers
// security, so that it needs a reason and an end, as an override does.
func applyModes(d *mail.DomainDelivery, p door.Params, now time.Time) error {
	lowered := false
	for name, into := range map[string]*mail.PolicyMode{"dane": &d.DANE, "mta-sts": &d.STS} {
		word, err := p.OneOf(name, string(mail.Honor), string(mail.Audit), string(mail.Ignore))
		if err != nil {
			return err
		}
		if word != "" {
			*into = mail.PolicyMode(word)
			lowered = lowered || into.Lowers()
		}
	}
	expires, err := door.ParseExpires(p.Get("expires"), now)
	if err != nil {
		return err
	}
	isSet := d.DANE.Lowers() || d.STS.Lowers()
	switch {
	case !isSet && !expires.IsZero():
		return door.BadRequest("'expires' parameter is the end of dane or mta-sts = audit or ignore, and neither is set")
	case !isSet:
		d.PolicyUntil = time.Time{}
		return nil
	case lowered && expires.IsZero():
		return door.BadRequest("'expires' parameter is missing: %s would lower security, and whatever does must have an end (a date, or 14d)",
			strings.Join(mail.Override{DANE: d.DANE, STS: d.STS}.Lowering(), " and "))
	case !expires.IsZero() && p.Get("reason") == "":
		return door.BadRequest("'reason' parameter is missing: say why policies of recipients are set aside, for those who will read it later")
	case !expires.IsZero():
		d.PolicyUntil = expires
	}
	return nil
}
