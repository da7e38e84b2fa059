package impact

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// Bounds on what is kept of one recipient domain. Further hosts are not looked at;
// messages by further paths are counted with the newest one.
const (
	maxHosts = 24
	maxPaths = 8
	// stale is how much older than the newest the last contact with a host may be
	// for it to be taken for an MX host of the domain still.
	stale = 7 * 24 * time.Hour
)

// A book gathers what events tell, newest first.
type book struct {
	limit int // recipient domains
	terms func(nextHop string) Terms

	recipients map[string]*recipient
	others     Others
	seed       maphash.Seed
	settled    map[uint64]struct{} // messages to a recipient of which a newer event was counted

	messages, ownFlags int
	otherReasons       [4]map[why]int
}

// why is a reason that is counted.
type why struct {
	d      Delivery
	reason string
}

func newBook(limit int, terms func(string) Terms) *book {
	return &book{
		limit: limit, terms: terms, recipients: make(map[string]*recipient),
		seed: maphash.MakeSeed(), settled: make(map[uint64]struct{}),
	}
}

// A recipient is what is known of one recipient domain.
type recipient struct {
	domain   string
	messages int
	noRoute  int // of these, those that met no MX host because there is none
	untraced int // of these, those whose evidence names no host
	newest   time.Time
	hosts    []host
	paths    []path // newest first
	complete bool   // an attempt not long ago came to all its hosts
	probe    *probed
}

// A host is one MX host of it.
type host struct {
	Reading           // the newest that is more than "unreachable", if there is one
	at      time.Time // of the reading
	seen    time.Time // the last contact or try
	probed  bool
	// good is when it last verified and bad since when it did not, if both happened in this order.
	good, bad time.Time
}

// A path is the hosts that messages came to, in this order.
type path struct {
	steps    string // two octets a host: its index, and what was particular
	messages int
}

const (
	stepSibling     = 1 << iota // same preference as the step before
	stepUnreachable             // it did not answer then
)

// add notes an event. Older events of the same message to the same recipient count
// no more, but what they tell about hosts does.
func (b *book) add(e *store.EventItem) {
	status := e.Data.Status
	var d *mail.TLSDetail
	if status != nil {
		d = status.TLSDetail
	}
	counts := b.first(e)
	if counts {
		b.messages++
		if d != nil && (fromMessage(d.RequireTLS) || fromMessage(d.SkipVerification)) {
			b.ownFlags++
		}
	}
	readings, exhausted := Read(d)
	domain := strings.ToLower(e.Recipient[strings.LastIndexByte(e.Recipient, '@')+1:])
	r := b.recipients[domain]
	if r == nil {
		if len(b.recipients) >= b.limit {
			if counts {
				b.other(domain, readings, status)
			}
			return
		}
		r = &recipient{domain: strings.Clone(domain), newest: e.Time}
		b.recipients[r.domain] = r
	}
	r.complete = r.complete || exhausted && r.newest.Sub(e.Time) <= stale
	steps := r.observe(readings, e.Time, false)
	if !counts {
		return
	}
	r.messages++
	switch {
	case steps != "":
		r.take(steps)
	case hasNoRoute(status):
		r.noRoute++
	default:
		r.untraced++
	}
}

func fromMessage(f *mail.FlagDetail) bool {
	return f != nil && f.Source == tlspolicy.FromMessage.String()
}

// first reports whether an event is the newest of its message to its recipient, and
// remembers it where there are older ones. What is remembered is a hash: in a million
// events the chance that one is mistaken for another is below one in ten million.
func (b *book) first(e *store.EventItem) bool {
	attempt := 0
	if e.Data.Status != nil {
		attempt = e.Data.Status.AttemptNo
	}
	if attempt == 1 && e.Type != event.FailedTemporary {
		return true // there is nothing before it, and nothing comes after it
	}
	var h maphash.Hash
	h.SetSeed(b.seed)
	var id [8]byte
	binary.LittleEndian.PutUint64(id[:], uint64(e.Message))
	_, _ = h.Write(id[:])
	_, _ = h.WriteString(strings.ToLower(e.Recipient))
	sum := h.Sum64()
	if _, known := b.settled[sum]; known {
		return false
	}
	if attempt != 1 {
		b.settled[sum] = struct{}{}
	}
	return true
}

// hasNoRoute reports whether a message met no MX host because the domain has none.
func hasNoRoute(s *event.Status) bool {
	if s == nil || s.TLSDetail != nil {
		return false
	}
	const noMX = 498
	return s.Code == noMX || s.Local && slices.Contains([]string{"5.1.2", "5.1.10", "5.4.4"}, s.EnhancedCode)
}

// other counts a message to a domain for which there is no room, by its own evidence.
func (b *book) other(domain string, readings []Reading, s *event.Status) {
	b.others.Messages++
	terms, hosts := b.terms(domain), inOrder(readings)
	for i, flags := range Pairs() {
		o := Outcome{Delivery: NotDelivered, Reason: ReasonNoMXHost}
		if !hasNoRoute(s) {
			o = terms.Project(hosts, flags)
		}
		b.others.Pairs[i].count(o.Delivery, 1)
		if b.otherReasons[i] == nil {
			b.otherReasons[i] = make(map[why]int)
		}
		b.otherReasons[i][why{o.Delivery, partOf(o, 1).why()}]++
	}
}

// observe notes readings made in one attempt and returns them as the steps of a path.
func (r *recipient) observe(readings []Reading, at time.Time, probe bool) string {
	var steps []byte
	for i := range readings {
		n := &readings[i]
		k := slices.IndexFunc(r.hosts, func(h host) bool { return h.MXHost == n.MXHost })
		if k < 0 {
			if len(r.hosts) == maxHosts {
				continue
			}
			k = len(r.hosts)
			r.hosts = append(r.hosts, host{Reading: Reading{MXHost: n.MXHost, Preference: -1}})
		}
		r.hosts[k].learn(n, at, probe)
		step := byte(0)
		if n.Sibling {
			step |= stepSibling
		}
		if n.State == Unreachable {
			step |= stepUnreachable
		}
		steps = append(steps, byte(k), step)
	}
	return string(steps)
}

// learn notes one reading of a host, older or newer than those before.
func (h *host) learn(n *Reading, at time.Time, probe bool) {
	if at.After(h.seen) {
		h.seen = at
	}
	if n.State == Unreachable {
		if h.State == Unreachable && h.at.IsZero() {
			h.Error = n.Error
			h.Preference = max(h.Preference, n.Preference)
		}
		return
	}
	refused := h.PlaintextRefused || n.PlaintextRefused
	switch {
	case h.at.IsZero():
		h.Reading, h.at, h.probed = *n, at, probe
	case at.After(h.at), probe && at.Equal(h.at):
		if h.State == Met && n.State == Met {
			h.worsen(&h.Reading, h.at, n, at)
		}
		h.Reading, h.at, h.probed = *n, at, probe
	case h.State == Refused && n.State == Met:
		// Refused before contact for a policy: what an earlier session showed of its TLS
		// stands beside the policy of now.
		h.Session, h.VerifyErrors, h.NotAfter = n.Session, n.VerifyErrors, n.NotAfter
		h.Legacy, h.RSAKeyExchange, h.SuiteTrouble = n.Legacy, n.RSAKeyExchange, n.SuiteTrouble
		h.State = Met
		if h.Facts.TLSA == tlspolicy.TLSANotSecure {
			h.Facts.TLSA, h.NoTLSA = n.Facts.TLSA, n.NoTLSA // not looked up for a host that is refused anyway
		}
	case n.State == Met:
		h.worsen(n, at, &h.Reading, h.at)
	}
	h.PlaintextRefused = refused
}

// worsen notes what two readings say about whether the host stopped verifying.
func (h *host) worsen(before *Reading, then time.Time, after *Reading, now time.Time) {
	switch {
	case after.verifies():
		h.good, h.bad = time.Time{}, time.Time{}
	case h.good.IsZero() && before.verifies():
		h.good = then
		if h.bad.IsZero() {
			h.bad = now
		}
	case h.good.IsZero():
		h.bad = then
	}
}

// verifies reports whether the host's session authenticated it.
func (r *Reading) verifies() bool {
	s := &r.Session
	return r.State == Met && s.Handshake == tlspolicy.Completed &&
		(s.PKIX || r.Facts.TLSA == tlspolicy.TLSAUsable && s.TLSA != tlspolicy.NoMatch)
}

// take counts a message by its path.
func (r *recipient) take(steps string) {
	k := slices.IndexFunc(r.paths, func(p path) bool { return p.steps == steps })
	switch {
	case k >= 0:
		r.paths[k].messages++
	case len(r.paths) < maxPaths:
		r.paths = append(r.paths, path{steps, 1})
	default:
		r.paths[0].messages++
	}
}

// route returns the hosts of a path, and after them the domain's others that are not
// out of use, in the order in which a delivery goes through them.
func (r *recipient) route(steps string) []Reading {
	var list []Reading
	used := make([]bool, len(r.hosts))
	for i := 0; i < len(steps); i += 2 {
		h := r.hosts[steps[i]]
		used[steps[i]] = true
		h.Sibling = steps[i+1]&stepSibling != 0
		if steps[i+1]&stepUnreachable != 0 {
			h.State = Unreachable
		}
		list = append(list, h.Reading)
	}
	if r.probe != nil && r.probe.steps == steps {
		return inOrder(list) // there are no others
	}
	var rest []host
	for i, h := range r.hosts {
		if !used[i] && h.State != Unreachable && r.newest.Sub(h.seen) <= stale {
			rest = append(rest, h)
		}
	}
	slices.SortStableFunc(rest, func(a, b host) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), b.seen.Compare(a.seen))
	})
	for _, h := range rest {
		h.Sibling = false
		list = append(list, h.Reading)
	}
	return inOrder(list)
}

// current returns the path that the next message would take: what a probe found, or
// else the newest; empty if there is none.
func (r *recipient) current() string {
	switch {
	case r.probe != nil && r.probe.steps != "":
		return r.probe.steps
	case len(r.paths) > 0:
		return r.paths[0].steps
	}
	return ""
}

// inUse reports whether a path has a host that was not left for others long ago.
func (r *recipient) inUse(steps string) bool {
	for i := 0; i < len(steps); i += 2 {
		if r.newest.Sub(r.hosts[steps[i]].seen) <= stale {
			return true
		}
	}
	return false
}

// A scan is how far the events of a domain were read.
type scan struct {
	events int
	from   time.Time // nothing older was looked at
	cutBy  string    // empty: all events of the window were
}

// Reasons why a scan ended early.
const (
	cutByEvents = "events"
	cutByTime   = "time"
)

// readEvents gives the deliveries and failures of a domain since from to the book,
// newest first, within bounds.
func readEvents(ctx context.Context, events store.Events, domainID int64, from time.Time, b *book, maxEvents int, until time.Time) (scan, error) {
	const pageSize = 1000
	s := scan{from: from}
	q := store.EventQuery{
		DomainID: domainID, After: mail.FirstID(from) - 1,
		Types: []event.Type{event.Delivered, event.FailedTemporary, event.FailedPermanent},
	}
	q.After = max(q.After, 0)
	for {
		q.Limit = min(pageSize, maxEvents-s.events)
		page, err := events.Events(ctx, q)
		if err != nil {
			return s, err
		}
		for i := range page.Items {
			b.add(&page.Items[i])
		}
		s.events += len(page.Items)
		if !page.More {
			return s, nil
		}
		q.Before = page.Cursor
		if s.events >= maxEvents {
			s.cutBy, s.from = cutByEvents, page.Cursor.Time()
			return s, nil
		}
		if time.Now().After(until) {
			s.cutBy, s.from = cutByTime, page.Cursor.Time()
			return s, nil
		}
	}
}
