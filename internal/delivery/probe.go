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
	Route    string      `json:"route"`
	Error    string      `json:"error,omitempty"`
	Hosts    []HostCheck `json:"hosts"`
	Outcomes []Outcome   `json:"outcomes,omitempty"` // of the domain as a whole, for all four pairs
}

// A HostCheck is one address of one MX host.
type HostCheck struct {
	MXHost     string          `json:"mx-host"`
	Preference uint16          `json:"preference"`
	IP         string          `json:"ip,omitempty"`
	Error      string          `json:"error,omitempty"` // why there was no session
	Detail     *mail.TLSDetail `json:"tls-detail,omitempty"`
	Outcomes   []Outcome       `json:"outcomes,omitempty"`

	addr    netip.Addr
	session *tlspolicy.Session
}

// An Outcome is what one pair of flags leads to.
type Outcome struct {
	RequireTLS       bool             `json:"require-tls"`
	SkipVerification bool             `json:"skip-verification"`
	Class            string           `json:"class"`
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
// flags would lead to. It uses the decision that deliveries use.
func (d *Deliverer) Check(ctx context.Context, domain string) Check {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	route := d.cfg.Router.Resolve(ctx, domain)
	c := Check{Domain: domain, Route: route.State.String(), Hosts: []HostCheck{}}
	if route.Err != nil {
		c.Error = clip(route.Err.Error(), 500)
	}
	if route.State != mx.Found {
		return c
	}
	for _, h := range route.Hosts {
		c.Hosts = append(c.Hosts, d.expand(ctx, h)...)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, probesAtATime)
	for i := range c.Hosts {
		if c.Hosts[i].Error != "" {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			d.probe(ctx, &c.Hosts[i], route.Secure)
		})
	}
	wg.Wait()
	for _, flags := range pairs {
		c.Outcomes = append(c.Outcomes, overall(c.Hosts, flags))
	}
	return c
}

// expand lists the addresses of a host.
func (d *Deliverer) expand(ctx context.Context, h mx.Host) []HostCheck {
	found := d.cfg.Router.Addresses(ctx, h.Name)
	if found.State != dnssec.Found {
		why := "no address"
		if found.Err != nil {
			why = clip(found.Err.Error(), 300)
		}
		return []HostCheck{{MXHost: h.Name, Preference: h.Preference, Error: why}}
	}
	list := make([]HostCheck, 0, len(found.Addrs))
	for _, addr := range found.Addrs {
		list = append(list, HostCheck{MXHost: h.Name, Preference: h.Preference, IP: addr.String(), addr: addr})
	}
	return list
}

// probe looks at one address: greeting, EHLO, STARTTLS, handshake, EHLO, QUIT.
func (d *Deliverer) probe(ctx context.Context, h *HostCheck, secure bool) {
	host := target{name: h.MXHost, mxSecure: secure}
	facts := tlspolicy.Facts{MXSecure: secure}
	req := tlspolicy.Require(facts)
	_, small := d.hellos.get(h.IP)
	l, err := d.openTLS(ctx, host, h.addr, req, small)
	if err == nil && !small && tlspolicy.Judge(req, l.session).Action == tlspolicy.SmallHello {
		l.client.Close()
		l, err = d.openTLS(ctx, host, h.addr, req, true)
	}
	if err != nil {
		h.Error = clip(err.Error(), 300)
		return
	}
	l.quit()
	h.session, h.Detail = &l.session, &l.detail
	h.Detail.MXAuthenticated = tlspolicy.MXAuthenticated(facts).String()
	for _, flags := range pairs {
		h.Outcomes = append(h.Outcomes, predict(h, flags))
	}
}

// predict says what a pair of flags leads to at one address.
func predict(h *HostCheck, flags tlspolicy.Flags) Outcome {
	v := tlspolicy.Judge(tlspolicy.Require(tlspolicy.Facts{Flags: flags}), *h.session)
	o := Outcome{
		RequireTLS: flags.RequireTLS.Value, SkipVerification: flags.SkipVerification.Value,
		Class: flags.Class().String(), Result: v.Result, MXHost: h.MXHost,
	}
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
		Class: flags.Class().String(), Delivery: "unreachable",
	}
	for i := 0; i < len(hosts); {
		var plain *Outcome
		preference := hosts[i].Preference
		for ; i < len(hosts) && hosts[i].Preference == preference; i++ {
			if hosts[i].session == nil {
				continue
			}
			switch o := predict(&hosts[i], flags); o.Delivery {
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
