package delivery

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mx"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// A Check is what would happen to mail for a domain under each pair of flags, as
// far as can be known without sending any.
type Check struct {
	Domain string `json:"domain"`
	// Route: found, null MX, no such domain, … ; Error explains a failure.
	Route string `json:"route"`
	Error string `json:"error,omitempty"`
	// STS is the domain's MTA-STS policy; nil if it has none.
	STS    *STSCheck    `json:"mta-sts,omitempty"`
	TLSRPT *TLSRPTCheck `json:"tls-rpt,omitempty"` // nil if nobody asks for reports
	// Overrides are the exceptions in force for the domain.
	Overrides []mail.OverrideDetail `json:"overrides,omitempty"`
	Hosts     []HostCheck           `json:"hosts"`
	Outcomes  []Outcome             `json:"outcomes,omitempty"` // of the domain as a whole, for all four pairs
}

// A HostCheck is one address of one MX host.
type HostCheck struct {
	MXHost     string `json:"mx-host"`
	Preference uint16 `json:"preference"`
	IP         string `json:"ip,omitempty"`
	Error      string `json:"error,omitempty"` // why there was no session
	// REQUIRETLS: the host announces REQUIRETLS, and inside TLS, where it counts.
	REQUIRETLS bool            `json:"requiretls"`
	TLSA       []string        `json:"tlsa,omitempty"` // the host's TLSA records
	Detail     *mail.TLSDetail `json:"tls-detail,omitempty"`
	Outcomes   []Outcome       `json:"outcomes,omitempty"`

	addr    netip.Addr
	target  *target
	session *tlspolicy.Session // nil if there was none
	// strict is what a session comes to where the peer must be authenticated, if that
	// is another one: fewer cipher suites are offered then.
	strict *tlspolicy.Session
}

// A STSCheck is what a domain's MTA-STS policy says.
type STSCheck struct {
	mail.STSDetail
	MX      []string  `json:"mx,omitempty"` // patterns
	Expires time.Time `json:"expires,omitzero"`
}

// A TLSRPTCheck is who wants reports about a domain's TLS (RFC 8460 section 3).
type TLSRPTCheck struct {
	RUA   []string `json:"rua,omitempty"`
	Error string   `json:"error,omitempty"` // why the record is of no use
}

// An Outcome is what one pair of flags leads to.
type Outcome struct {
	RequireTLS       bool             `json:"require-tls"`
	SkipVerification bool             `json:"skip-verification"`
	Class            string           `json:"class"`    // with the recipient's policies and exceptions
	Source           string           `json:"source"`   // who decided the class: sender, mta-sts, dane, override
	Delivery         string           `json:"delivery"` // verified, unverified, plaintext, not-delivered or unreachable
	Result           tlspolicy.Result `json:"result,omitempty"`
	MXHost           string           `json:"mx-host,omitempty"`
}

// probeTime bounds one check; probes at once within it.
const (
	probeTime     = 2 * time.Minute
	probesAtATime = 8
)

// pairs are the four pairs of flags, in the order of the contract's table.
var pairs = [4]tlspolicy.Flags{
	{},
	{SkipVerification: tlspolicy.Flag{Value: true}},
	{RequireTLS: tlspolicy.Flag{Value: true}},
	{RequireTLS: tlspolicy.Flag{Value: true}, SkipVerification: tlspolicy.Flag{Value: true}},
}

// Check connects to every address of every MX host of the domain (A-labels),
// negotiates TLS and leaves, without ever sending MAIL, and says what each pair of
// flags would lead to. It uses the decision, the policies and the exceptions that
// deliveries use. A host that no pair of flags may contact is not contacted.
func (d *Deliverer) Check(ctx context.Context, domain string) Check {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	ctx = dnssec.WithBudget(ctx, queryBudget)
	route := d.cfg.Router.Resolve(ctx, domain)
	c := Check{Domain: domain, Route: route.State.String(), Hosts: []HostCheck{}}
	if route.Err != nil {
		c.Error = clip(route.Err.Error(), 500)
	}
	if route.State != mx.Found {
		return c
	}
	to := recipient{domain: domain}
	d.meet(ctx, &to, route)
	c.describe(d, ctx, &to)
	for _, h := range route.Hosts {
		t := d.know(ctx, &to, h, route.Secure)
		c.Hosts = append(c.Hosts, expand(&to, &t, h.Preference)...)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, probesAtATime)
	for i := range c.Hosts {
		if !c.Hosts[i].addr.IsValid() {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			d.probe(ctx, &to, &c.Hosts[i])
		})
	}
	wg.Wait()
	for i := range c.Hosts {
		for _, flags := range pairs {
			if o := predict(&c.Hosts[i], flags); o.Delivery != unreachable {
				c.Hosts[i].Outcomes = append(c.Hosts[i].Outcomes, o)
			}
		}
	}
	for _, flags := range pairs {
		c.Outcomes = append(c.Outcomes, overall(c.Hosts, flags))
	}
	return c
}

// describe fills in what the domain published, and what is excepted from it.
func (c *Check) describe(d *Deliverer, ctx context.Context, to *recipient) {
	if s := describeSTS(to, &target{}); s != nil {
		s.Listed = nil
		c.STS = &STSCheck{STSDetail: *s, MX: to.sts.Policy.MX, Expires: to.sts.Policy.Expires}
	}
	if d.cfg.Overrides != nil {
		c.Overrides = describeOverrides(d.cfg.Overrides.Override(to.domain, "", time.Now()))
	}
	if d.cfg.ReportsWanted == nil {
		return
	}
	rua, err := d.cfg.ReportsWanted(ctx, to.domain)
	if len(rua) == 0 && err == nil {
		return
	}
	c.TLSRPT = &TLSRPTCheck{RUA: rua}
	if err != nil {
		c.TLSRPT.Error = clip(err.Error(), 300)
	}
}

// expand lists the addresses of a host. One that is not to be contacted has none.
func expand(to *recipient, t *target, preference uint16) []HostCheck {
	bare := HostCheck{MXHost: t.name, Preference: preference, TLSA: t.dane.Records.Strings(), target: t}
	bare.Detail = &mail.TLSDetail{MXHost: t.name, Handshake: "none", Verification: "none"}
	describeTarget(bare.Detail, to, t, t.req)
	switch {
	case t.req.Refuse != "":
		bare.Error = t.req.Refuse.Text()
	case t.addrs.Err != nil && len(t.addrs.Addrs) == 0:
		bare.Error = clip(t.addrs.Err.Error(), 300)
	case len(t.addrs.Addrs) == 0:
		bare.Error = "no address"
	default:
		list := make([]HostCheck, 0, len(t.addrs.Addrs))
		for _, addr := range t.addrs.Addrs {
			h := bare
			h.IP, h.addr = addr.String(), addr
			list = append(list, h)
		}
		return list
	}
	return []HostCheck{bare}
}

// probe looks at one address: greeting, EHLO, STARTTLS, handshake, EHLO, QUIT.
func (d *Deliverer) probe(ctx context.Context, to *recipient, h *HostCheck) {
	_, small := d.hellos.get(h.IP)
	c := candidate{host: h.target, addr: h.addr, req: h.target.req}
	l, err := d.openTLS(ctx, c, to.names, small)
	if err == nil && !small && tlspolicy.Judge(c.req, l.session).Action == tlspolicy.SmallHello {
		l.client.Close()
		l, err = d.openTLS(ctx, c, to.names, true)
	}
	if err != nil {
		h.Error = clip(err.Error(), 300)
		return
	}
	l.quit()
	l.detail.DowngradeSuspected = tlspolicy.Judge(c.req, l.session).DowngradeSuspected
	describeTarget(&l.detail, to, h.target, c.req)
	if l.session.RSAKeyExchange {
		c.req.Needs |= tlspolicy.Authenticate
		if again, err := d.openTLS(ctx, c, to.names, small); err == nil {
			again.quit()
			h.strict = &again.session
		}
	}
	h.session, h.Detail = &l.session, &l.detail
	h.REQUIRETLS = l.session.Announced
}

// unreachable is the delivery of a host that nothing is known of.
const unreachable = "unreachable"

// predict says what a pair of flags leads to at one address.
func predict(h *HostCheck, flags tlspolicy.Flags) Outcome {
	facts := h.target.facts
	facts.Flags = flags
	r := tlspolicy.Require(facts)
	o := Outcome{
		RequireTLS: flags.RequireTLS.Value, SkipVerification: flags.SkipVerification.Value,
		Class: r.Class.String(), Source: r.Source.String(), MXHost: h.MXHost, Delivery: unreachable,
	}
	if r.Refuse != "" {
		o.Delivery, o.Result = "not-delivered", r.Refuse
		return o
	}
	if h.session == nil {
		return o
	}
	session := h.session
	if h.strict != nil && r.Needs.Has(tlspolicy.Authenticate) {
		session = h.strict
	}
	v := tlspolicy.Judge(r, *session)
	o.Result = v.Result
	switch {
	case v.Action == tlspolicy.Deliver && v.Verified:
		o.Delivery = "verified"
	case v.Action == tlspolicy.Deliver:
		o.Delivery = "unverified"
	case v.Action == tlspolicy.NextHost:
		o.Delivery = "not-delivered"
	default:
		o.Delivery = "plaintext"
	}
	return o
}

// overall says what a pair of flags leads to for the domain: within one preference
// a host that gives TLS goes before one that is sent plaintext.
func overall(hosts []HostCheck, flags tlspolicy.Flags) Outcome {
	last := Outcome{
		RequireTLS: flags.RequireTLS.Value, SkipVerification: flags.SkipVerification.Value,
		Class: flags.Class().String(), Source: tlspolicy.BySender.String(), Delivery: unreachable,
	}
	for i := 0; i < len(hosts); {
		var plain *Outcome
		preference := hosts[i].Preference
		for ; i < len(hosts) && hosts[i].Preference == preference; i++ {
			switch o := predict(&hosts[i], flags); o.Delivery {
			case unreachable:
			case "verified", "unverified":
				return o
			case "plaintext":
				if plain == nil {
					plain = &o
				}
			default:
				last = o
			}
		}
		if plain != nil {
			return *plain
		}
	}
	return last
}
