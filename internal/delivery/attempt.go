package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mx"
	"github.com/sealpost/sealpost/internal/netguard"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// An attempt is one run of [Deliverer.Attempt].
type attempt struct {
	d      *Deliverer
	job    mail.Job
	to     recipient
	parent context.Context // ends on shutdown, unlike the attempt's own time limit
	report mail.Report

	open     []int              // recipients not decided yet, as indexes into the job's
	trail    []mail.TLSDetail   // connections abandoned so far
	refusals []tlspolicy.Result // hosts whose TLS did not meet the requirement
	refused  *mail.TLSDetail    // the last of these
	failure  failure            // why the last other candidate was of no use
	failures int                // how many there were of those
	forbid   int                // addresses that must not be connected to
	tried    int                // addresses that were tried
	untried  int                // MX hosts that were not come to yet
}

// A failure is why one candidate was of no use.
type failure struct {
	reply mail.Reply
	host  string
	local string // our address, if there was a connection
	scope mail.Scope
}

// A candidate is an address of an MX host. Its requirement is the host's, except
// after a refused plaintext.
type candidate struct {
	host *target
	addr netip.Addr
	req  tlspolicy.Requirement
	from []netip.Addr // of ours, of the family of addr; none: any
}

// A fallback is a candidate whose session led to plaintext.
type fallback struct {
	candidate
	verdict tlspolicy.Verdict
	session tlspolicy.Session
	seen    time.Time
	link    *link // set if plaintext goes on over the same connection
	noted   int   // place in the trail, from 1, while the connection waits for its turn
}

func (a *attempt) run(ctx context.Context) {
	route := a.d.cfg.Router.Resolve(ctx, a.job.NextHop)
	if route.State != mx.Found {
		a.unroutable(ctx, route)
		return
	}
	a.d.absent.drop(a.job.NextHop)
	a.d.meet(ctx, &a.to, route)
	a.untried = len(route.Hosts)
	for len(route.Hosts) > 0 && !a.done(ctx) {
		n := 1
		for n < len(route.Hosts) && route.Hosts[n].Preference == route.Hosts[0].Preference {
			n++
		}
		a.tryGroup(ctx, route.Hosts[:n], route.Secure)
		route.Hosts = route.Hosts[n:]
	}
	a.giveUp(ctx)
}

// done reports whether there is nothing left to try.
func (a *attempt) done(ctx context.Context) bool { return len(a.open) == 0 || ctx.Err() != nil }

// tryGroup tries the hosts of one preference: all of them at the full level
// first, then with the fallbacks that the requirement allows. Only after that
// comes the next preference, because a host of worse preference is often a spam
// trap or does not exist, and never better than a fallback on the best one.
func (a *attempt) tryGroup(ctx context.Context, hosts []mx.Host, secure bool) {
	var fallbacks []fallback
	defer func() {
		for _, f := range fallbacks {
			if f.link != nil {
				f.link.quit()
			}
		}
	}()
	for _, h := range hosts {
		a.untried--
		host := a.d.know(ctx, &a.to, h, secure)
		if host.req.Refuse != "" {
			a.refuseHost(&host)
			continue
		}
		addrs := a.addresses(ctx, &host)
		if a.done(ctx) || len(addrs) > 0 && a.reuse(ctx, &host, len(hosts) == 1) {
			return
		}
		for _, addr := range addrs {
			if f := a.tryFull(ctx, candidate{&host, addr, host.req, a.sources(addr)}); f != nil {
				a.postpone(f)
				fallbacks = append(fallbacks, *f)
			}
			if a.done(ctx) {
				return
			}
		}
	}
	for i := range fallbacks {
		f := fallbacks[i]
		fallbacks[i].link = nil // taken over
		a.resume(f, fallbacks[i+1:])
		a.tryFallback(ctx, f)
		if a.done(ctx) {
			return
		}
	}
}

// postpone notes a connection that plaintext could go on over, while others get their
// chance: if one of them delivers, it was abandoned.
func (a *attempt) postpone(f *fallback) {
	if f.link == nil {
		return
	}
	a.abandon(f.candidate, f.link.detail, "plaintext would do; other hosts of this preference were tried for TLS first")
	f.noted = len(a.trail)
}

// resume takes the note of postpone back, now that the connection is used after all.
func (a *attempt) resume(f fallback, later []fallback) {
	if f.noted == 0 {
		return
	}
	a.trail = slices.Delete(a.trail, f.noted-1, f.noted)
	for i := range later {
		if later[i].noted > f.noted {
			later[i].noted--
		}
	}
}

// refuseHost turns down a host without contact.
func (a *attempt) refuseHost(host *target) {
	detail := mail.TLSDetail{MXHost: host.name, Handshake: "none", Verification: "none"}
	if !a.job.Envelope.Report {
		a.d.report(&a.to, host, tlspolicy.Session{}, "", "")
	}
	a.refuse(candidate{host: host, req: host.req}, detail, tlspolicy.Judge(host.req, tlspolicy.Session{}))
}

// observed reports the session of a connection, once, unless the message is itself a
// report: two systems would otherwise report to each other for ever. A session that a
// report opened is counted with the next message that it carries.
func (a *attempt) observed(host *target, l *link) {
	if l.counted || l.plain || a.job.Envelope.Report {
		return
	}
	l.counted = true
	a.d.report(&a.to, host, l.session, l.local, l.addr.String())
}

// addresses returns the addresses of a host, and records why there is none.
func (a *attempt) addresses(ctx context.Context, host *target) []netip.Addr {
	found := host.addrs
	if found.State == dnssec.Found {
		return a.withinReach(host, found.Addrs)
	}
	if ctx.Err() != nil {
		return nil
	}
	text, scope := fmt.Sprintf("MX host %s has no address", host.name), mail.ScopeHost
	if found.State == dnssec.Failed {
		text = fmt.Sprintf("look up MX host %s: %v", host.name, found.Err)
		scope = dnsScope(found.Err)
	}
	a.fail(failure{reply: mail.LocalReply(451, "4.4.3", text), host: host.name, scope: scope})
	return nil
}

// reuse sends over an idle connection that serves the requirement, and reports
// whether that decided about every recipient.
func (a *attempt) reuse(ctx context.Context, host *target, plaintext bool) bool {
	for {
		l := a.d.pool.take(host.name, func(l *link) bool {
			// However busy a connection in plaintext is: what led to it must be fresh, or one
			// failed handshake would speak for all the messages that follow.
			young := plaintext && time.Since(l.seen) < a.d.cfg.IdleLimit
			return (!l.plain || young) && l.leftFrom(a.job.Envelope.Sources) && l.serves(host, a.to.names)
		})
		if l == nil {
			return false
		}
		l.detail.Reused, l.detail.Attempts = true, nil
		if !l.plain {
			// An earlier message came to this connection by a fallback, this one did not.
			l.detail.Fallback, l.detail.FallbackReason = "", ""
			l.describeMatch(host)
		}
		a.observed(host, l)
		c := candidate{host: host, addr: l.addr, req: host.req}
		if ended := a.send(ctx, l, c, tlspolicy.Judge(host.req, l.session)); ended != sessionStale {
			return len(a.open) == 0
		}
		// It was closed while it waited. That says nothing about the host.
	}
}

// tryFull makes the one or two connections that aim at the full level of the
// requirement. It returns a fallback if the session led to plaintext.
func (a *attempt) tryFull(ctx context.Context, c candidate) *fallback {
	start := time.Now()
	defer func() { a.report.Connecting += time.Since(start) }()
	l, v := a.reach(ctx, c)
	if l == nil {
		return nil
	}
	a.tried++
	if v.DowngradeSuspected {
		l.detail.DowngradeSuspected = true
		a.d.cfg.Peers.NoteDowngrade(c.host.name)
	}
	return a.follow(ctx, c, l, v, &start)
}

// reach connects and negotiates TLS, with a small ClientHello if a large one stays
// unanswered, and judges the session. The link is nil if none came about.
func (a *attempt) reach(ctx context.Context, c candidate) (*link, tlspolicy.Verdict) {
	_, small := a.d.hellos.get(c.addr.String())
	for {
		l, err := a.d.openTLS(ctx, c, a.to.names, small)
		if err != nil {
			a.unreachable(ctx, c, err)
			return nil, tlspolicy.Verdict{}
		}
		a.observed(c.host, l)
		v := tlspolicy.Judge(c.req, l.session)
		if v.Action != tlspolicy.SmallHello || small {
			return l, v
		}
		l.client.Close()
		a.abandon(c, l.detail, "no answer to a large ClientHello: trying a small one")
		a.d.hellos.put(c.addr.String(), time.Now())
		small = true
	}
}

// follow does what the verdict says. Time spent sending does not count as
// connecting.
func (a *attempt) follow(ctx context.Context, c candidate, l *link, v tlspolicy.Verdict, start *time.Time) *fallback {
	switch v.Action {
	case tlspolicy.Deliver:
		a.report.Connecting += time.Since(*start)
		a.send(ctx, l, c, v)
		*start = time.Now()
		return nil
	case tlspolicy.Plaintext:
		l.plain = true
		return &fallback{candidate: c, verdict: v, session: l.session, seen: l.seen, link: l}
	case tlspolicy.PlaintextFresh:
		l.quit()
		a.abandon(c, l.detail, string(v.Result))
		return &fallback{candidate: c, verdict: v, session: l.session, seen: l.seen}
	}
	l.quit()
	a.refuse(c, l.detail, v)
	return nil
}

// tryFallback delivers in plaintext, and where the host does not take that, over
// TLS that does not verify.
func (a *attempt) tryFallback(ctx context.Context, f fallback) {
	start := time.Now()
	l := f.link
	if l == nil {
		var err error
		if l, err = a.d.openPlain(ctx, f.candidate, f.session, f.seen); err != nil {
			a.report.Connecting += time.Since(start)
			a.unreachable(ctx, f.candidate, err)
			return
		}
		l.detail = mail.TLSDetail{
			MXHost: f.host.name, MXIP: f.addr.String(), Handshake: "none", Verification: "none",
			Fallback: "plaintext", FallbackReason: string(f.verdict.Result),
		}
		if first := a.abandoned(f.candidate); first != nil {
			l.detail.StartTLS, l.detail.VerifyErrors = first.StartTLS, first.VerifyErrors
		}
	}
	a.report.Connecting += time.Since(start)
	if a.send(ctx, l, f.candidate, f.verdict) != plaintextRefused {
		return
	}
	r, ok := f.req.AfterPlaintextRefused()
	if !ok {
		a.refuse(f.candidate, l.detail, tlspolicy.Verdict{Result: tlspolicy.WithoutPlaintext(f.verdict.Result)})
		return
	}
	a.abandon(f.candidate, l.detail, "plaintext refused: the server demands STARTTLS")
	a.tryUnverified(ctx, candidate{f.host, f.addr, r, f.from})
}

// tryUnverified is the last fallback: TLS with any certificate, on a fresh
// connection, because the server refused the plaintext that the sender accepts.
func (a *attempt) tryUnverified(ctx context.Context, c candidate) {
	start := time.Now()
	l, v := a.reach(ctx, c)
	a.report.Connecting += time.Since(start)
	if l == nil {
		return
	}
	l.detail.Fallback = "tls-unverified-after-plaintext-refused"
	l.detail.FallbackReason = string(tlspolicy.PlaintextVerifyFailed)
	if v.Action != tlspolicy.Deliver {
		l.quit()
		a.refuse(c, l.detail, tlspolicy.Verdict{Result: tlspolicy.WithoutPlaintext(v.Result)})
		return
	}
	a.send(ctx, l, c, v)
}

// abandon records a connection that was left for another one.
func (a *attempt) abandon(c candidate, d mail.TLSDetail, outcome string) {
	a.describe(&d, c)
	d.Outcome = outcome
	a.trail = append(a.trail, d)
}

// refuse records a host that we turned down.
func (a *attempt) refuse(c candidate, d mail.TLSDetail, v tlspolicy.Verdict) {
	d.Result = string(v.Result)
	a.abandon(c, d, string(v.Result))
	a.refusals = append(a.refusals, v.Result)
	last := a.trail[len(a.trail)-1]
	a.refused = &last
}

// abandoned returns the last connection to a candidate that was left; nil if there is
// none.
func (a *attempt) abandoned(c candidate) *mail.TLSDetail {
	for i := range slices.Backward(a.trail) {
		if d := &a.trail[i]; d.MXHost == c.host.name && d.MXIP == c.addr.String() {
			return d
		}
	}
	return nil
}

// unreachable records a candidate with which no session came about.
func (a *attempt) unreachable(ctx context.Context, c candidate, err error) {
	var forbidden *netguard.Refusal
	switch {
	case ctx.Err() != nil:
		// Our time is up: no fact about the host, but a connection that was left.
	case errors.As(err, &forbidden):
		a.forbid++
		reply := mail.LocalReply(550, "5.4.6", fmt.Sprintf("MX host %s: %v", c.host.name, forbidden))
		a.fail(failure{reply: reply, host: c.host.name, scope: mail.ScopeHost})
	default:
		a.tried++
		a.fail(failure{reply: connectReply(err, c.host.name, c.addr), host: c.host.name, scope: connectScope(err)})
	}
	a.abandon(c, mail.TLSDetail{
		MXHost: c.host.name, MXIP: c.addr.String(), Handshake: "none", Verification: "none",
	}, clip(err.Error(), 300))
}

// fail remembers why a candidate was of no use; the last reason is reported.
func (a *attempt) fail(f failure) {
	a.failure = f
	a.failures++
}

// giveUp decides about the recipients for whom nothing worked.
func (a *attempt) giveUp(ctx context.Context) {
	if len(a.open) == 0 {
		return
	}
	if a.parent.Err() != nil {
		a.decide(mail.RecipientResult{Outcome: mail.Abandoned, Reply: mail.LocalReply(451, "4.3.2", "the server is shutting down")})
		return
	}
	res := mail.RecipientResult{Outcome: mail.Deferred, Scope: a.failure.scope, Reply: a.failure.reply, Reason: "generic"}
	switch {
	case ctx.Err() != nil:
		res.Scope = mail.ScopeHost
		res.Reply = mail.LocalReply(451, "4.4.2", "the attempt took too long")
	case a.refused != nil:
		res.Scope = mail.ScopePolicy
		res.Reply = tlspolicy.Refusal(a.to.marking, a.refusals, a.failures == 0)
		if res.Reply.Permanent() {
			res.Outcome, res.Reason = mail.Bounced, "bounce"
		}
		if errs := a.refused.VerifyErrors; len(errs) > 0 {
			res.Reply.Text += ": " + strings.Join(errs, ", ")
		}
	case a.forbid > 0 && a.tried == 0:
		res.Outcome, res.Reason = mail.Bounced, "bounce"
	case res.Reply.Code == 0:
		res.Scope = mail.ScopeHost
		res.Reply = mail.LocalReply(451, "4.4.1", "no MX host could be used")
	}
	res.Session = a.endOfTrail(res.Scope == mail.ScopePolicy)
	a.decide(res)
}

// endOfTrail returns the session to show when no host took the message: the last
// one refused for its TLS, or the last one tried.
func (a *attempt) endOfTrail(policy bool) *mail.Session {
	if len(a.trail) == 0 {
		if a.failure.host == "" {
			return nil
		}
		return &mail.Session{MXHost: a.failure.host}
	}
	last := len(a.trail) - 1
	if policy {
		for last > 0 && !strings.HasPrefix(a.trail[last].Result, "refused-") {
			last--
		}
	}
	d := a.trail[last]
	d.MXUntried = &a.untried
	d.Attempts = append(append([]mail.TLSDetail(nil), a.trail[:last]...), a.trail[last+1:]...)
	return &mail.Session{MXHost: d.MXHost, Duration: time.Since(a.report.Started), Detail: d}
}

// decide gives every open recipient the same result.
func (a *attempt) decide(r mail.RecipientResult) {
	for _, i := range a.open {
		a.report.Results[i] = r
	}
	a.open = nil
}
