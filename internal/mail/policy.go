package mail

import (
	"cmp"
	"time"
)

// Lowers reports whether the mode sets a policy of recipients aside.
func (m PolicyMode) Lowers() bool { return m == Audit || m == Ignore }

// PolicyModes returns what DANE and MTA-STS count for at the given moment; never
// empty. What lowers security counts until PolicyUntil only.
func (d DomainDelivery) PolicyModes(now time.Time) (dane, sts PolicyMode) {
	at := func(m PolicyMode) PolicyMode {
		if !m.Lowers() || !now.Before(d.PolicyUntil) {
			return Honor
		}
		return m
	}
	return at(d.DANE), at(d.STS)
}

// PoliciesEnded reports whether Audit or Ignore is set and has come to its end.
func (d DomainDelivery) PoliciesEnded(now time.Time) bool {
	return (d.DANE.Lowers() || d.STS.Lowers()) && !now.Before(d.PolicyUntil)
}

// A DomainTLS is all that a sending domain sets about TLS: the two flags and the
// settings around them.
type DomainTLS struct {
	Flags    TLSFlags
	Delivery DomainDelivery
}

// Lowered lists the settings, by their names, of which next asks less than t does
// of queued mail at the given moment. The end of patience is not among them: it
// never lets mail out. Where the domain requires TLS the floor is, for a message that was
// accepted before the floor was set may have flags that it held up.
func (t DomainTLS) Lowered(next DomainTLS, now time.Time) []string {
	was, is := t.Delivery, next.Delivery
	dane, sts := was.PolicyModes(now)
	nextDANE, nextSTS := is.PolicyModes(now)
	var names []string
	for _, s := range []struct {
		name  string
		lower bool
	}{
		{"require-tls", t.Flags.RequireTLS.Bool() && !next.Flags.RequireTLS.Bool()},
		// Where the domain does not require TLS, a message may: it inherits this flag all the same.
		{"skip-verification", !t.Flags.SkipVerification.Bool() && next.Flags.SkipVerification.Bool()},
		{"floor", t.Flags.RequireTLS.Bool() && was.Floor && !is.Floor},
		{"on-unverified", was.EncryptUnverified && !is.EncryptUnverified},
		{"downgrade-protection", was.DeferDowngrade && !is.DeferDowngrade},
		{"requiretls-mode", !was.RequireTLSHop && is.RequireTLSHop},
		{"dane", dane == Honor && nextDANE != Honor},
		{"mta-sts", sts == Honor && nextSTS != Honor},
		{"dane-satisfies-mta-sts", !was.DANESuffices && is.DANESuffices},
		{"min-tls", cmp.Or(is.MinTLS, TLS12) < cmp.Or(was.MinTLS, TLS12)},
	} {
		if s.lower {
			names = append(names, s.name)
		}
	}
	return names
}
