package store

import (
	"cmp"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// DomainEntry returns the entry for a change from one domain to another, of which
// one may be nil: it did not exist. Changed is false if nothing differs that is audited; what
// a check of DNS records saw is not.
func DomainEntry(before, after *Domain) (e AuditEntry, changed bool) {
	e = AuditEntry{Action: AuditUpdate, Kind: AuditDomain}
	switch {
	case before == nil:
		e.Action, e.Object, e.After = AuditCreate, after.Name, domainFacts(after)
	case after == nil:
		e.Action, e.Object, e.Before = AuditDelete, before.Name, domainFacts(before)
	default:
		e.Object, e.Before, e.After = before.Name, domainFacts(before), domainFacts(after)
		for name, value := range e.Before {
			if e.After[name] == value {
				delete(e.Before, name)
				delete(e.After, name)
			}
		}
		changed = len(e.Before)+len(e.After) > 0
		e.Domain = e.Object
		return e, changed
	}
	e.Domain = e.Object
	return e, true
}

// domainFacts lists every audited setting of a domain. A domain has all of them at
// any time, so that two lists can be compared.
func domainFacts(d *Domain) Facts {
	f := DeliveryFacts(d.Delivery)
	f["state"] = string(d.State)
	f["disabled-why"] = d.Settings.DisabledWhy
	f["require-tls"] = d.TLS.RequireTLS.String()
	f["skip-verification"] = d.TLS.SkipVerification.String()
	f["dkim-selector"] = d.DKIM.Selector
	f["dkim-public"] = d.DKIM.Public
	f["dkim-sign"] = yesNo(!d.Settings.DKIMDisable)
	f["tracking-opens"] = yesNo(d.Settings.Tracking.Opens)
	f["tracking-clicks"] = cmp.Or(string(d.Settings.Tracking.Clicks), "no")
	f["tracking-unsubscribe"] = yesNo(d.Settings.Tracking.Unsubscribe)
	return f
}

// DeliveryFacts lists delivery settings by their names, in the words that set them.
func DeliveryFacts(d mail.DomainDelivery) Facts {
	waits := make([]string, len(d.Retry))
	for i, w := range d.Retry {
		waits[i] = w.String()
	}
	return Facts{
		"retry":                     cmp.Or(strings.Join(waits, ","), "default"),
		"lifetime":                  span(d.Lifetime),
		"require-tls-give-up-after": span(d.GiveUpAfter),
		"on-unverified":             word(d.EncryptUnverified, string(mail.UnverifiedEncrypt), string(mail.UnverifiedPlaintext)),
		"downgrade-protection":      word(d.DeferDowngrade, "defer", "off"),
		"floor":                     yesNo(d.Floor),
		"requiretls-mode":           word(d.RequireTLSHop, "hop", "strict"),
		"dane":                      string(cmp.Or(d.DANE, mail.Honor)),
		"mta-sts":                   string(cmp.Or(d.STS, mail.Honor)),
		"policy-expires":            moment(d.PolicyUntil),
		"dane-satisfies-mta-sts":    yesNo(d.DANESuffices),
		"min-tls":                   string(cmp.Or(d.MinTLS, mail.TLS12)),
	}
}

// OverrideEntry returns the entry for what was done to an override. For a replacement,
// old is the one that gave way; else nil.
func OverrideEntry(action AuditAction, o, old *mail.Override, id string) AuditEntry {
	e := AuditEntry{Action: action, Kind: AuditOverride, Object: id, Domain: o.Target, Reason: o.Reason}
	switch action {
	case AuditDelete, AuditExpire:
		e.Before, e.Reason = overrideFacts(o), ""
	case AuditReplace:
		e.Before, e.After = overrideFacts(old), overrideFacts(o)
	default:
		e.After = overrideFacts(o)
	}
	return e
}

func overrideFacts(o *mail.Override) Facts {
	f := Facts{"target": o.Target, "target-is": word(o.MXHost, "mx-host", "recipient-domain"), "author": o.Author, "reason": o.Reason}
	for _, s := range o.Sets() {
		name, value, _ := strings.Cut(s, "=")
		f[name] = value
	}
	if f["expires"] = moment(o.Expires); f["expires"] == "" {
		f["expires"] = "never"
	}
	return f
}

// KeyEntry returns the entry for a key that came to be or was deleted. Its
// domain is the one that it is bound to; empty if none.
func KeyEntry(action AuditAction, k *Key, domain string) AuditEntry {
	return about(AuditEntry{Action: action, Kind: AuditKey, Object: k.ID, Domain: domain},
		Facts{"role": string(k.Role), "domain": cmp.Or(domain, "all"), "description": k.Description})
}

// CredentialEntry returns the entry for a login. A new password is all that a login can
// be updated with, and is not shown.
func CredentialEntry(action AuditAction, login, domain string) AuditEntry {
	e := AuditEntry{Action: action, Kind: AuditCredential, Object: login, Domain: domain}
	if action == AuditUpdate {
		e.After = Facts{"password": "changed"}
		return e
	}
	return about(e, Facts{"login": login})
}

// about puts the facts on the side that an action leaves something on.
func about(e AuditEntry, f Facts) AuditEntry {
	if e.Action == AuditDelete {
		e.Before = f
	} else {
		e.After = f
	}
	return e
}

func yesNo(b bool) string { return word(b, "yes", "no") }

func word(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// span is a duration in the words that set it: 0 is the default, below is at once.
func span(d time.Duration) string {
	switch {
	case d == 0:
		return "default"
	case d < 0:
		return "now"
	}
	return d.String()
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
