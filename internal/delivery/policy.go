package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mtasts"
	"github.com/sealpost/sealpost/internal/mx"
	"github.com/sealpost/sealpost/internal/tlspolicy"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

// STS finds the MTA-STS policies of recipient domains. [mtasts.Cache] is one.
// Implementations are safe for concurrent use.
type STS interface {
	// Policy returns the policy in force. It returns at the latest when ctx ends.
	Policy(ctx context.Context, domain string) mtasts.Result
	// Recheck is Policy for a domain whose policy lists none of its MX hosts: the
	// policy that is kept may be an old one (RFC 8461 section 5).
	Recheck(ctx context.Context, domain string) mtasts.Result
}

// DANE finds the TLSA records of MX hosts. [dane.Resolver] is one.
// Implementations are safe for concurrent use.
type DANE interface {
	Lookup(ctx context.Context, host string, a dane.Addresses) dane.Result
}

// Overrides finds the exceptions that are in force. Implementations answer from
// memory and are safe for concurrent use.
type Overrides interface {
	// Override returns the exceptions for mail to the next hop over the MX host, those
	// of the next hop first. mxHost is empty when none is known yet.
	Override(nextHop, mxHost string, now time.Time) []mail.Override
}

// A Reporter is told what TLS sessions were worth under the policies of
// recipients. Implementations do not block and are safe for concurrent use.
type Reporter interface {
	Observe(o tlsresult.Observation)
}

// A recipient is the recipient domain as one message meets it: what the sender
// asks for and what the domain published, the same for all its MX hosts.
type recipient struct {
	domain   string
	names    []string // that DANE-TA accepts besides the TLSA base domain
	flags    tlspolicy.Flags
	marking  tlspolicy.Marking
	settings mail.DomainDelivery
	sts      mtasts.Result
	hosts    []mx.Host // of the domain
	asked    bool      // the policy was looked up
}

// A target is one MX host of the recipient domain, with everything known of it
// before connecting.
type target struct {
	name       string
	preference int
	addrs      mx.AddressResult
	facts      tlspolicy.Facts
	req        tlspolicy.Requirement
	dane       dane.Result
	overrides  []mail.Override
	clientCert string
}

// sni is the name that we ask the host for in the handshake: the TLSA base domain
// (RFC 7672 section 8.1), else the host's own name, whose certificate is verified.
func (t *target) sni() string {
	if t.dane.Base != "" {
		return t.dane.Base
	}
	return t.name
}

// marking is what RFC 8689 lets the message itself say. A message submitted with
// REQUIRETLS cannot take that back in its header (section 4.1). The strict rule is for
// messages with a reverse-path: a notice to the sender of one is not to be lost because
// a next hop does not know the extension (sections 4.2.1 and 5).
func marking(e mail.Envelope, s mail.DomainDelivery) tlspolicy.Marking {
	switch {
	case e.RequireTLS && (s.RequireTLSHop || e.ReversePath.IsZero()):
		return tlspolicy.RequireTLSHop
	case e.RequireTLS:
		return tlspolicy.RequireTLSStrict
	case e.TLSOptional:
		return tlspolicy.TLSOptional
	}
	return tlspolicy.Unmarked
}

// meet finds out what the recipient domain published, unless it is to be ignored for
// all its hosts.
func (d *Deliverer) meet(ctx context.Context, r *recipient, route mx.Result) {
	r.names, r.hosts = []string{r.domain}, route.Hosts
	if route.Secure && route.Expanded != r.domain {
		r.names = append(r.names, route.Expanded)
	}
	now := time.Now()
	_, stsMode := r.settings.PolicyModes(now)
	mode := tlspolicy.ModeOf(stsMode)
	if d.cfg.Overrides != nil {
		mode = tlspolicy.OverrideOf(d.cfg.Overrides.Override(r.domain, "", now)).STS.Over(mode)
	}
	if mode != tlspolicy.Ignore || r.marking.REQUIRETLS() {
		d.askSTS(ctx, r)
	}
}

// askSTS looks up the domain's MTA-STS policy, once. When it lists none of the hosts, the
// policy may be an old one and is looked at again.
func (d *Deliverer) askSTS(ctx context.Context, r *recipient) {
	if d.cfg.STS == nil || r.asked {
		return
	}
	r.asked = true
	r.sts = d.cfg.STS.Policy(ctx, r.domain)
	listed := slices.ContainsFunc(r.hosts, func(h mx.Host) bool { return r.sts.Policy.Lists(h.Name) })
	if r.sts.State == tlspolicy.STSEnforce && !listed {
		cached := r.sts.Cached // before this attempt, not before its second question
		r.sts = d.cfg.STS.Recheck(ctx, r.domain)
		r.sts.Cached = r.sts.Cached && cached
	}
}

// know finds out what there is to know of a host before connecting, and what it
// must give. TLSA records are not looked up for a host that is refused anyway, and
// its addresses only where found says that they are needed: they come first, since
// they decide whether TLSA records may be asked for (RFC 7672 section 2.2.2).
func (d *Deliverer) know(ctx context.Context, r *recipient, h mx.Host, mxSecure bool) target {
	now := time.Now()
	daneMode, stsMode := r.settings.PolicyModes(now)
	host := h.Name
	t := target{name: host, preference: int(h.Preference)}
	if d.cfg.Overrides != nil {
		t.overrides = d.cfg.Overrides.Override(r.domain, host, now)
	}
	override := tlspolicy.OverrideOf(t.overrides)
	if override.STS.Over(tlspolicy.ModeOf(stsMode)) != tlspolicy.Ignore {
		// It was to be ignored, and is not any more, or not for this host: a policy that
		// was not looked up must not pass for none.
		d.askSTS(ctx, r)
	}
	t.facts = tlspolicy.Facts{
		Flags: r.flags, Marking: r.marking, MXSecure: mxSecure,
		STS: r.sts.State, STSListed: r.sts.Policy.Lists(host), STSFault: r.sts.Fault,
		EncryptUnverified: r.settings.EncryptUnverified,
		DeferDowngrade:    r.settings.DeferDowngrade,
		DANESuffices:      r.settings.DANESuffices,
		MinTLS:            tlspolicy.VersionOf(r.settings.MinTLS),
		DANEMode:          tlspolicy.ModeOf(daneMode),
		STSMode:           tlspolicy.ModeOf(stsMode),
		Override:          override,
	}
	t.clientCert = clientCertOf(t.overrides)
	if t.req = tlspolicy.Require(t.facts); t.req.Refuse != "" {
		return t
	}
	if t.addrs = d.cfg.Router.Addresses(ctx, host); len(t.addrs.Addrs) == 0 {
		return t
	}
	ignored := t.facts.Override.DANE == tlspolicy.Ignore ||
		t.facts.Override.DANE == tlspolicy.ModeUnset && t.facts.DANEMode == tlspolicy.Ignore
	if d.cfg.DANE == nil || ignored && !r.marking.REQUIRETLS() {
		return t
	}
	t.dane = d.cfg.DANE.Lookup(ctx, host, dane.Addresses{Secure: t.addrs.Secure, Expanded: t.addrs.Expanded})
	t.facts.TLSA = t.dane.State
	t.req = tlspolicy.Require(t.facts)
	return t
}

// clientCertOf is the client certificate that exceptions name, the first of them
// winning.
func clientCertOf(list []mail.Override) string {
	for _, o := range list {
		if o.ClientCert != "" {
			return o.ClientCert
		}
	}
	return ""
}

// report tells the reporter what a session was worth under each policy; local and
// remote are the addresses of its connection, or empty if none was made.
func (d *Deliverer) report(r *recipient, t *target, s tlspolicy.Session, local, remote string) {
	if d.cfg.Reporter == nil {
		return
	}
	now := time.Now().UTC()
	for _, res := range tlspolicy.Results(t.facts, s) {
		o := tlsresult.Observation{
			At: now, Type: res.Type, Reason: res.Reason, MXHost: t.name, ReceivingIP: remote, SendingIP: local,
			Policy: tlsresult.Policy{Type: res.Policy, Domain: r.domain},
		}
		switch res.Policy {
		case tlsresult.PolicySTS:
			o.Policy.Strings, o.Policy.MXHosts = r.sts.Policy.Lines, r.sts.Policy.MX
		case tlsresult.PolicyTLSA:
			// RFC 8460 section 4.4: the TLSA base domain.
			if o.Policy.Domain = t.dane.Base; o.Policy.Domain == "" {
				o.Policy.Domain = t.name
			}
			o.Policy.Strings = t.dane.Records.Strings()
		}
		d.cfg.Reporter.Observe(o)
	}
}
