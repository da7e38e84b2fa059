package store

import (
	"cmp"
	"fmt"
	"strconv"
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
		e.onlyDifferences()
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
	var active, public, keys []string
	for _, k := range d.DKIM {
		state := "inactive"
		if k.Active {
			state = "active"
			active, public = append(active, k.Selector), append(public, k.Public)
		}
		keys = append(keys, k.Selector+" "+state)
	}
	f["dkim-selector"] = strings.Join(active, ", ")
	f["dkim-public"] = strings.Join(public, ", ")
	f["dkim-keys"] = strings.Join(keys, ", ")
	f["dkim-authority"] = cmp.Or(d.Settings.DKIMAuthority, "self")
	f["dkim-rotation"] = word(d.Settings.DKIMRotation > 0, d.Settings.DKIMRotation.String(), "off")
	f["ip-pool"] = d.Settings.Pool
	f["ips"] = joined(d.Settings.IPs)
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
	return about(AuditEntry{Action: action, Kind: AuditKey, Object: k.ID, Domain: domain}, keyFacts(k, domain))
}

// KeyChange returns the entry for a key that was changed.
func KeyChange(before, after *Key, domain string) AuditEntry {
	e := AuditEntry{Action: AuditUpdate, Kind: AuditKey, Object: before.ID, Domain: domain, Before: keyFacts(before, domain), After: keyFacts(after, domain)}
	e.onlyDifferences()
	return e
}

// keyFacts lists what is set for a key; what is not is left out.
func keyFacts(k *Key, domain string) Facts {
	f := Facts{"role": string(k.Role), "domain": cmp.Or(domain, "all"), "description": k.Description}
	for name, value := range map[string]string{
		"expires": moment(k.ExpiresAt), "disabled": word(k.Disabled, "yes", ""), "addresses": joined(k.Details.Addresses),
		"per-minute": number(k.Details.PerMinute), "per-day": number(k.Details.PerDay), "user": k.Details.UserName,
		"kind": word(k.Kind == KindWeb || k.Kind == KindPublic, string(k.Kind), ""),
	} {
		if value != "" {
			f[name] = value
		}
	}
	return f
}

// AccountEntry returns the entry for a change from one account to another, of which one may
// be nil: it did not exist. Changed is false if nothing differs.
func AccountEntry(before, after *Account) (e AuditEntry, changed bool) {
	facts := func(a *Account) Facts {
		allowed := make([]string, len(a.Settings.Allowed))
		for i, x := range a.Settings.Allowed {
			allowed[i] = x.Prefix.String()
		}
		return Facts{"name": a.Name, "disabled": yesNo(a.Disabled), "sending": word(a.Settings.SendingOff, "off", "on"),
			"allowed-addresses": strings.Join(allowed, ", "), "ip-pool": a.Settings.Pool}
	}
	if after == nil {
		return AuditEntry{Action: AuditDelete, Kind: AuditAccount, Object: before.Ref, Before: facts(before)}, true
	}
	e = AuditEntry{Action: AuditCreate, Kind: AuditAccount, Object: after.Ref, After: facts(after)}
	if before != nil {
		e.Action, e.Before = AuditUpdate, facts(before)
		e.onlyDifferences()
	}
	return e, len(e.Before)+len(e.After) > 0
}

// PoolEntry is AccountEntry for pools.
func PoolEntry(before, after *Pool) (e AuditEntry, changed bool) {
	facts := func(p *Pool) Facts {
		return Facts{"name": p.Name, "description": p.Description, "ips": joined(p.IPs)}
	}
	if after == nil {
		return AuditEntry{Action: AuditDelete, Kind: AuditPool, Object: before.ID, Before: facts(before)}, true
	}
	e = AuditEntry{Action: AuditCreate, Kind: AuditPool, Object: after.ID, After: facts(after)}
	if before != nil {
		e.Action, e.Before = AuditUpdate, facts(before)
		e.onlyDifferences()
	}
	return e, len(e.Before)+len(e.After) > 0
}

// onlyDifferences leaves what differs between before and after.
func (e *AuditEntry) onlyDifferences() {
	for name, value := range e.Before {
		if after, ok := e.After[name]; ok && after == value {
			delete(e.Before, name)
			delete(e.After, name)
		}
	}
}

// joined lists values in their own words.
func joined[T fmt.Stringer](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.String()
	}
	return strings.Join(words, ", ")
}

// number is empty for none.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
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
