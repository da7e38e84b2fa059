package impact

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// Kinds of warnings.
const (
	CertificateExpires = "certificate-expires"    // within expirySoon, or since the last contact
	TestingWouldFail   = "sts-testing-fails"      // a policy in testing that would fail if enforced
	StoppedVerifying   = "host-stopped-verifying" // a host that verified before, within the window
)

const (
	expirySoon   = 14 * 24 * time.Hour
	warnedAtMost = 1000 // warnings in an answer, those with most messages
	namedAtMost  = 10   // recipient domains named in one
)

// A Warning is something that is about to change for the worse, or has.
type Warning struct {
	Kind   string `json:"kind"`
	MXHost string `json:"mx-host"`
	// At is when the certificate expires, or the first contact that did not verify.
	At *time.Time `json:"at,omitempty"`
	// VerifiedUntil is the last contact that verified, of a host that stopped.
	VerifiedUntil *time.Time `json:"verified-until,omitempty"`
	Messages      int        `json:"messages"` // to the recipient domains concerned
	Domains       int        `json:"recipient-domains"`
	Named         []string   `json:"recipients"` // the first ten of these domains
	// Loses are the pairs of flags under which mail would no longer be delivered as it
	// is now; Current says that the domain's own is among them.
	Loses   []Flags `json:"loses"`
	Current bool    `json:"current"`
	// Undelivered: under the domain's own pair it would not be delivered at all.
	Undelivered bool `json:"undelivered"`
}

// A warner gathers warnings, one for each kind and host.
type warner struct {
	current Flags
	list    []Warning
	index   map[[2]string]int
}

// warnings looks for what is about to change for the worse.
func (b *book) warnings(list []*recipient, rep *Report) []Warning {
	w := &warner{list: []Warning{}, index: map[[2]string]int{}}
	for _, p := range rep.Pairs {
		if p.Current {
			w.current = p.Flags
		}
	}
	for _, r := range list {
		w.look(r, b.terms(r.domain), rep.To)
	}
	slices.SortStableFunc(w.list, func(a, b Warning) int {
		return cmp.Or(compareBool(b.Undelivered, a.Undelivered), compareBool(b.Current, a.Current), cmp.Compare(b.Messages, a.Messages))
	})
	return w.list[:min(len(w.list), warnedAtMost)]
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// look looks at one recipient domain, as the next message would meet it.
func (w *warner) look(r *recipient, t Terms, now time.Time) {
	route := r.route(r.current())
	var before [4]Outcome
	for i, flags := range Pairs() {
		before[i] = t.Project(route, flags)
	}
	testing := slices.Clone(route)
	tested := ""
	for i := range route {
		h := &route[i]
		if h.State != Met {
			continue
		}
		if !h.NotAfter.IsZero() && h.NotAfter.Sub(now) <= expirySoon && h.verifies() {
			changed := slices.Clone(route)
			changed[i] = expired(*h)
			w.compare(Warning{Kind: CertificateExpires, MXHost: h.MXHost, At: &h.NotAfter}, r, t, before, changed)
		}
		if h.Facts.STS == tlspolicy.STSTesting {
			tested = cmp.Or(tested, h.MXHost)
			testing[i].Facts.STS = tlspolicy.STSEnforce
		}
		k := slices.IndexFunc(r.hosts, func(x host) bool { return x.MXHost == h.MXHost })
		if x := &r.hosts[k]; !x.good.IsZero() {
			changed := slices.Clone(route)
			changed[i] = mended(*h)
			w.compareBack(Warning{Kind: StoppedVerifying, MXHost: h.MXHost, At: &x.bad, VerifiedUntil: &x.good}, r, t, before, changed)
		}
	}
	if tested != "" {
		w.compare(Warning{Kind: TestingWouldFail, MXHost: tested}, r, t, before, testing)
	}
}

// expired returns what a host would be once its certificate has expired. A record of
// DANE-EE authenticates a key whatever its dates (RFC 7672 section 3.1.1).
func expired(r Reading) Reading {
	r.Session.PKIX, r.Session.Trouble = false, tlspolicy.Expired
	if r.Session.TLSA == tlspolicy.MatchTA {
		r.Session.TLSA = tlspolicy.NoMatch
	}
	return r
}

// mended returns what a host was when it verified.
func mended(r Reading) Reading {
	r.Session = tlspolicy.Session{StartTLS: tlspolicy.Started, Handshake: tlspolicy.Completed, Version: tlspolicy.TLS13, PKIX: true}
	if r.Facts.TLSA == tlspolicy.TLSAUsable {
		r.Session.TLSA = tlspolicy.MatchEE
	}
	return r
}

// compare notes a warning where changed hosts would lead to something worse than before.
func (w *warner) compare(warning Warning, r *recipient, t Terms, before [4]Outcome, changed []Reading) {
	var after [4]Outcome
	for i, flags := range Pairs() {
		after[i] = t.Project(changed, flags)
	}
	w.note(warning, r, before, after)
}

// compareBack notes a warning where what is now is worse than what changed hosts led to.
func (w *warner) compareBack(warning Warning, r *recipient, t Terms, now [4]Outcome, changed []Reading) {
	var then [4]Outcome
	for i, flags := range Pairs() {
		then[i] = t.Project(changed, flags)
	}
	w.note(warning, r, then, now)
}

func (w *warner) note(warning Warning, r *recipient, before, after [4]Outcome) {
	warning.Loses = []Flags{}
	for i, flags := range Pairs() {
		if after[i].Delivery <= before[i].Delivery || after[i].Delivery == Unknown {
			continue
		}
		f := flagsOf(flags)
		warning.Loses = append(warning.Loses, f)
		if f == w.current {
			warning.Current, warning.Undelivered = true, after[i].Delivery == NotDelivered
		}
	}
	if len(warning.Loses) == 0 {
		return
	}
	key := [2]string{warning.Kind, warning.MXHost}
	k, ok := w.index[key]
	if !ok {
		k = len(w.list)
		w.index[key] = k
		w.list = append(w.list, warning)
	}
	e := &w.list[k]
	e.Messages += r.messages
	if e.Domains++; len(e.Named) < namedAtMost {
		e.Named = append(e.Named, r.domain)
	}
	e.Current, e.Undelivered = e.Current || warning.Current, e.Undelivered || warning.Undelivered
	for _, f := range warning.Loses {
		if !slices.Contains(e.Loses, f) {
			e.Loses = append(e.Loses, f)
		}
	}
}

// A Suggestion is an exception that would keep recipient domains deliverable under
// pairs of flags. It lowers what is asked for there, so it needs a reason and an end.
type Suggestion struct {
	Target   string   `json:"target"`
	TargetIs string   `json:"target-is"` // recipient-domain, or mx-host where several domains have but this one
	Sets     string   `json:"sets"`      // the exception, as name=value, space-separated
	Flags    []Flags  `json:"flags"`     // the pairs under which it is needed
	Domains  int      `json:"recipient-domains"`
	Named    []string `json:"recipients"` // the first ten of these domains
	Messages int      `json:"messages"`   // to these domains
	Delivery Delivery `json:"delivery"`   // what it leads to
	Because  string   `json:"because"`    // the result that it avoids
	MXHost   string   `json:"mx-host,omitempty"`

	only bool // the host is the only one of the domain
}

// Kinds of targets.
const (
	targetDomain = "recipient-domain"
	targetHost   = "mx-host"
)

// suggestedAtMost bounds the suggestions of an answer to those with most messages.
const suggestedAtMost = 1000

// exceptions are the ones that are tried, the least that could help first.
func exceptions() []mail.Override {
	return []mail.Override{
		{Requirement: "RA"},
		{STS: mail.Audit},
		{DANE: mail.Audit},
		{STS: mail.Audit, Requirement: "RA"},
		{DANE: mail.Audit, Requirement: "RA"},
		{DANE: mail.Audit, STS: mail.Audit, Requirement: "RA"},
		{Requirement: "OA"},
		{STS: mail.Audit, Requirement: "OA"},
		{DANE: mail.Audit, Requirement: "OA"},
		{DANE: mail.Audit, STS: mail.Audit, Requirement: "OA"},
	}
}

// suggestions looks for exceptions that would keep mail deliverable.
func (b *book) suggestions(list []*recipient, rep *Report) []Suggestion {
	var all []Suggestion
	for i, r := range list {
		first := len(all)
		for pair, flags := range Pairs() {
			if !rep.Recipients[i].Outcomes[pair].has(NotDelivered) {
				continue
			}
			s, ok := r.exception(b.terms(r.domain), flags)
			if !ok {
				continue
			}
			k := slices.IndexFunc(all[first:], func(o Suggestion) bool { return o.Sets == s.Sets && o.Because == s.Because })
			if k >= 0 {
				all[first+k].Flags = append(all[first+k].Flags, s.Flags...)
				continue
			}
			all = append(all, s)
		}
	}
	all = byHost(all)
	slices.SortStableFunc(all, func(a, b Suggestion) int { return cmp.Compare(b.Messages, a.Messages) })
	return all[:min(len(all), suggestedAtMost)]
}

// byHost makes one suggestion of those for domains that have but the same one host.
func byHost(list []Suggestion) []Suggestion {
	merged := make([]Suggestion, 0, len(list))
	index := map[string]int{}
	for _, s := range list {
		key := fmt.Sprint(s.MXHost, s.Sets, s.Because, s.Delivery, s.Flags)
		k, ok := index[key]
		if !s.only || !ok {
			if s.only {
				index[key] = len(merged)
			}
			merged = append(merged, s)
			continue
		}
		m := &merged[k]
		m.Target, m.TargetIs = m.MXHost, targetHost
		m.Domains++
		m.Messages += s.Messages
		if len(m.Named) < namedAtMost {
			m.Named = append(m.Named, s.Named...)
		}
	}
	return merged
}

// exception finds the least exception under which the next message would be delivered
// that the pair of flags would not.
func (r *recipient) exception(t Terms, flags tlspolicy.Flags) (Suggestion, bool) {
	route := r.route(r.current())
	before := t.Project(route, flags)
	if before.Delivery != NotDelivered || before.Result == "" {
		return Suggestion{}, false // no exception helps against hosts that do not answer
	}
	for _, e := range exceptions() {
		e.Target = r.domain
		t.Also = e
		if o := t.Project(route, flags); o.Delivery < NotDelivered {
			return Suggestion{
				Target: r.domain, TargetIs: targetDomain, Sets: e.String(), Flags: []Flags{flagsOf(flags)},
				Domains: 1, Named: []string{r.domain}, Messages: r.messages,
				Delivery: o.Delivery, Because: string(before.Result), MXHost: before.MXHost, only: len(route) == 1,
			}, true
		}
	}
	return Suggestion{}, false
}
