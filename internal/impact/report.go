package impact

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// A Report is the answer. Its JSON is the API's contract: fields are only ever added,
// lists are never null.
type Report struct {
	Domain string    `json:"domain"` // sending domain
	Days   int       `json:"days"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Scan   Scan      `json:"scan"`
	// Messages counts every recipient of a message once, by the last that is known of it:
	// delivered, failed for good or still deferred.
	Messages int `json:"messages"`
	// OwnFlags is how many of them had a flag of their own, which the domain's does not change.
	OwnFlags    int          `json:"messages-with-own-flags"`
	Pairs       [4]Pair      `json:"pairs"`
	Recipients  []Recipient  `json:"recipients"`       // recipient domains, most messages first
	Others      *Others      `json:"others,omitempty"` // domains beyond what is kept apart
	Warnings    []Warning    `json:"warnings"`
	Suggestions []Suggestion `json:"suggestions"`
	Probes      *Probes      `json:"probes,omitempty"` // where they were asked for
}

// A Scan says what the answer rests on.
type Scan struct {
	Events int `json:"events"`
	// Complete is false if a bound ended the reading: then only events since
	// CoveredFrom were looked at.
	Complete    bool      `json:"complete"`
	CoveredFrom time.Time `json:"covered-from"`
	CutBy       string    `json:"cut-by,omitempty"` // events or time
}

// Flags are a pair of flags.
type Flags struct {
	RequireTLS       bool `json:"require-tls"`
	SkipVerification bool `json:"skip-verification"`
}

func flagsOf(f tlspolicy.Flags) Flags {
	return Flags{f.RequireTLS.Value, f.SkipVerification.Value}
}

// A Pair is what a pair of flags would lead to for the whole traffic.
type Pair struct {
	Flags
	Current bool `json:"current"` // as the domain is set now
	Tally
	// Reasons for whatever is not verified, most messages first.
	Reasons []Reason `json:"reasons"`
}

// A Tally is messages by how they would travel.
type Tally struct {
	Verified     Share `json:"verified"`
	Unverified   Share `json:"unverified"`
	Plaintext    Share `json:"plaintext"`
	NotDelivered Share `json:"not-delivered"`
	Unknown      Share `json:"unknown"`
}

// A Share is a part of the traffic. A recipient domain is counted in every share that
// has messages to it.
type Share struct {
	Messages int     `json:"messages"`
	Percent  float64 `json:"percent"`           // of all messages, to one decimal
	Domains  int     `json:"recipient-domains"` // of those listed
}

func (t *Tally) share(d Delivery) *Share {
	return [deliveries]*Share{&t.Verified, &t.Unverified, &t.Plaintext, &t.NotDelivered, &t.Unknown}[d]
}

func (t *Tally) count(d Delivery, n int) { t.share(d).Messages += n }

// finish works out the percentages.
func (t *Tally) finish(total int) {
	for d := range Delivery(deliveries) {
		if s := t.share(d); total > 0 {
			s.Percent = math.Round(float64(s.Messages)*1000/float64(total)) / 10
		}
	}
}

// A Reason says why messages are not verified.
type Reason struct {
	Delivery Delivery `json:"delivery"`
	Reason   string   `json:"reason"` // a result of the decision, or what kept it from being made
	Messages int      `json:"messages"`
	Domains  int      `json:"recipient-domains"`
}

// Others sums up the domains for which there was no room in the list.
type Others struct {
	Messages int      `json:"messages"`
	Pairs    [4]Tally `json:"pairs"` // in the order of the pairs
}

// A Recipient is a recipient domain.
type Recipient struct {
	Domain   string     `json:"domain"`
	Messages int        `json:"messages"`
	Facts    Origin     `json:"facts"`
	Hosts    []Host     `json:"hosts"` // MX hosts in the order of delivery
	Outcomes [4]Outlook `json:"outcomes"`
}

// An Origin says where the newest facts about a recipient domain come from.
type Origin struct {
	From string     `json:"from"` // history, probe or none
	At   *time.Time `json:"at,omitempty"`
	// AllHosts is false if there may be MX hosts that no attempt came to: what is not
	// delivered might then be, by one of those.
	AllHosts bool   `json:"all-mx-hosts-known"`
	Problem  string `json:"probe-problem,omitempty"` // why a probe told nothing
}

// A Host is an MX host with the newest facts about it.
type Host struct {
	MXHost       string     `json:"mx-host"`
	Preference   *int       `json:"preference,omitempty"`
	State        string     `json:"state"` // met, refused (by policy, before contact) or unreachable
	FactsAt      *time.Time `json:"facts-at,omitempty"`
	FactsFrom    string     `json:"facts-from,omitempty"`
	TLS          string     `json:"tls,omitempty"` // a version, or not-offered, rejected, handshake-failed
	Verifies     bool       `json:"verifies"`
	VerifyErrors []string   `json:"verify-errors,omitempty"`
	CertNotAfter *time.Time `json:"cert-not-after,omitempty"`
	TLSA         string     `json:"tlsa"`
	STS          string     `json:"mta-sts"`
	STSListed    *bool      `json:"mta-sts-listed,omitempty"`
	Error        string     `json:"error,omitempty"`
}

// An Outlook is what a pair of flags would lead to for one recipient domain: usually
// one part, more where messages met different hosts.
type Outlook struct {
	Flags
	Parts []Part `json:"parts"`
}

// A Part is messages with the same outlook.
type Part struct {
	Messages     int      `json:"messages"`
	Delivery     Delivery `json:"delivery"`
	Requirement  string   `json:"requirement"` // class of the decisive host
	Result       string   `json:"result,omitempty"`
	Reason       string   `json:"reason,omitempty"`
	MXHost       string   `json:"mx-host,omitempty"`
	VerifyErrors []string `json:"verify-errors,omitempty"`
	Error        string   `json:"error,omitempty"`
}

func partOf(o Outcome, n int) Part {
	return Part{
		Messages: n, Delivery: o.Delivery, Requirement: o.Class.String(), Result: string(o.Result), Reason: o.Reason,
		MXHost: o.MXHost, VerifyErrors: o.VerifyErrors, Error: o.Error,
	}
}

// why is the one word for a part's outcome.
func (p Part) why() string { return cmp.Or(p.Reason, p.Result) }

func (p Part) same(o Part) bool {
	return p.Delivery == o.Delivery && p.why() == o.why() && p.MXHost == o.MXHost && p.Requirement == o.Requirement
}

// outlook says what a pair of flags would lead to for every message to a recipient
// domain.
func (r *recipient) outlook(t Terms, flags tlspolicy.Flags) Outlook {
	out := Outlook{Flags: flagsOf(flags), Parts: []Part{}}
	add := func(o Outcome, n int) {
		if n == 0 {
			return
		}
		p := partOf(o, n)
		if k := slices.IndexFunc(out.Parts, p.same); k >= 0 {
			out.Parts[k].Messages += n
			return
		}
		out.Parts = append(out.Parts, p)
	}
	current := r.current()
	untraced := r.untraced
	for _, p := range r.paths {
		steps := p.steps
		if r.probe != nil && r.probe.steps != "" || !r.inUse(steps) {
			steps = current
		}
		add(t.Project(r.route(steps), flags), p.messages)
	}
	if untraced > 0 {
		add(t.Project(r.route(current), flags), untraced)
	}
	add(Outcome{Delivery: NotDelivered, Class: flags.Class(), Reason: ReasonNoMXHost}, r.noRoute)
	slices.SortStableFunc(out.Parts, func(a, b Part) int { return cmp.Compare(b.Messages, a.Messages) })
	return out
}

// has reports whether some of the messages would fare like this.
func (o Outlook) has(d Delivery) bool {
	return slices.ContainsFunc(o.Parts, func(p Part) bool { return p.Delivery == d })
}

// origin says where the newest facts of the current path come from.
func (r *recipient) origin() Origin {
	o := Origin{From: "none", AllHosts: r.complete}
	steps := r.current()
	for i := 0; i < len(steps); i += 2 {
		h := r.hosts[steps[i]]
		if h.at.IsZero() || o.At != nil && !h.at.After(*o.At) {
			continue
		}
		o.At, o.From = &h.at, h.origin()
	}
	if r.probe != nil {
		o.AllHosts = o.AllHosts || r.probe.steps != ""
		o.Problem = r.probe.problem
	}
	return o
}

func (h *host) origin() string {
	if h.probed {
		return "probe"
	}
	return "history"
}

// view shows the hosts of the current path and the others that are in use.
func (r *recipient) view() []Host {
	list := []Host{}
	for _, reading := range r.route(r.current()) {
		h := &r.hosts[slices.IndexFunc(r.hosts, func(h host) bool { return h.MXHost == reading.MXHost })]
		v := Host{
			MXHost: h.MXHost, State: [...]string{"unreachable", "refused", "met"}[reading.State],
			TLSA: wordTLSA(&h.Reading), STS: wordSTS(&h.Reading), Error: h.Error,
		}
		if h.Preference >= 0 {
			v.Preference = &h.Preference
		}
		if h.Facts.STS == tlspolicy.STSTesting || h.Facts.STS == tlspolicy.STSEnforce {
			v.STSListed = &h.Facts.STSListed
		}
		if !h.at.IsZero() {
			v.FactsAt, v.FactsFrom = &h.at, h.origin()
		}
		if h.State == Met {
			v.TLS, v.Verifies, v.VerifyErrors = wordTLS(h.Session), h.verifies(), h.VerifyErrors
		}
		if !h.NotAfter.IsZero() {
			v.CertNotAfter = &h.NotAfter
		}
		list = append(list, v)
	}
	return list
}

func wordTLS(s tlspolicy.Session) string {
	switch {
	case s.StartTLS == tlspolicy.NotOffered:
		return "not-offered"
	case s.StartTLS != tlspolicy.Started:
		return "rejected"
	case s.Handshake != tlspolicy.Completed:
		return "handshake-failed"
	}
	return map[tlspolicy.Version]string{
		tlspolicy.TLS10: "TLS 1.0", tlspolicy.TLS11: "TLS 1.1", tlspolicy.TLS12: "TLS 1.2", tlspolicy.TLS13: "TLS 1.3",
	}[s.Version]
}

func wordTLSA(r *Reading) string {
	if r.NoTLSA {
		return stateIgnored
	}
	return [...]string{"not-secure", "absent", "usable", "unusable", "failed"}[r.Facts.TLSA]
}

func wordSTS(r *Reading) string {
	if r.NoSTS {
		return stateIgnored
	}
	return r.Facts.STS.String()
}

// fill turns the book into the answer. The domain, the time and the scan are in it
// already.
func (b *book) fill(rep *Report, current tlspolicy.Flags) {
	rep.Messages, rep.OwnFlags = b.messages, b.ownFlags
	rep.Recipients = []Recipient{}
	if b.others.Messages > 0 {
		rep.Others = &b.others
	}
	list := b.byTraffic()
	for _, r := range list {
		rep.Recipients = append(rep.Recipients, Recipient{
			Domain: r.domain, Messages: r.messages, Facts: r.origin(), Hosts: r.view(), Outcomes: r.outlooks(b.terms(r.domain)),
		})
	}
	for i, flags := range Pairs() {
		p := &rep.Pairs[i]
		p.Flags, p.Current = flagsOf(flags), flags.Class() == current.Class()
		p.sum(rep.Recipients, i, b.otherReasons[i])
		if rep.Others != nil {
			for d := range Delivery(deliveries) {
				p.count(d, rep.Others.Pairs[i].share(d).Messages)
			}
			rep.Others.Pairs[i].finish(rep.Messages)
		}
		p.finish(rep.Messages)
	}
	rep.Warnings = b.warnings(list, rep)
	rep.Suggestions = b.suggestions(list, rep)
}

// outlooks are the outlooks of all four pairs.
func (r *recipient) outlooks(t Terms) (all [4]Outlook) {
	for i, flags := range Pairs() {
		all[i] = r.outlook(t, flags)
	}
	return all
}

// byTraffic lists the recipient domains, most messages first.
func (b *book) byTraffic() []*recipient {
	list := make([]*recipient, 0, len(b.recipients))
	for _, r := range b.recipients {
		if r.messages > 0 {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(x, y *recipient) int {
		return cmp.Or(cmp.Compare(y.messages, x.messages), cmp.Compare(x.domain, y.domain))
	})
	return list
}

// sum adds up what a pair leads to for all recipient domains, and why; others are the
// reasons of messages to domains that are not listed.
func (p *Pair) sum(list []Recipient, pair int, others map[why]int) {
	reasons := map[why]*Reason{}
	reason := func(k why) *Reason {
		if reasons[k] == nil {
			reasons[k] = &Reason{Delivery: k.d, Reason: k.reason}
		}
		return reasons[k]
	}
	for k, n := range others {
		if k.d != Verified {
			reason(k).Messages = n
		}
	}
	for i := range list {
		var in [deliveries]bool
		named := map[why]bool{}
		for _, part := range list[i].Outcomes[pair].Parts {
			s := p.share(part.Delivery)
			s.Messages += part.Messages
			if !in[part.Delivery] {
				s.Domains++
				in[part.Delivery] = true
			}
			if part.Delivery == Verified {
				continue
			}
			k := why{part.Delivery, part.why()}
			r := reason(k)
			r.Messages += part.Messages
			if !named[k] {
				r.Domains++
				named[k] = true
			}
		}
	}
	p.Reasons = make([]Reason, 0, len(reasons))
	for _, r := range reasons {
		p.Reasons = append(p.Reasons, *r)
	}
	slices.SortFunc(p.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Delivery, b.Delivery), cmp.Compare(a.Reason, b.Reason))
	})
}
