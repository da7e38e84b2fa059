package impact

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Prober looks at the MX hosts of a recipient domain without sending mail: it
// connects, greets, negotiates TLS and leaves. Implementations are safe for
// concurrent use.
type Prober interface {
	// Look returns what was seen. It returns at the latest when ctx ends.
	Look(ctx context.Context, domain string) Look
}

// A Look is what a prober saw.
type Look struct {
	Problem  string    // why no MX host is known; empty if some are
	Contacts []Contact // every address of every MX host, in the order of preference
}

// A Contact is one address of one MX host.
type Contact struct {
	MXHost     string
	Preference int
	Problem    string // why there was no session
	// Detail is the evidence of the connection, as deliveries keep it, with what the
	// recipient published; nil if none was made.
	Detail *mail.TLSDetail
}

// Probes says what was probed for an answer.
type Probes struct {
	Wanted int `json:"wanted"` // recipient domains whose facts are old or missing
	Made   int `json:"made"`
	Reused int `json:"reused"` // answered by a probe of the last hour
	// Declined were not probed: beyond the fifty with most messages, too soon after other
	// probes of the same host, or out of time.
	Declined int `json:"declined"`
}

// Limits on probes. Other people's servers are looked at no more often than that,
// however often an operator asks.
const (
	factsOld       = 24 * time.Hour // facts older than that are looked at again
	probesAtMost   = 50             // recipient domains an answer, by traffic
	probesAtATime  = 4
	probesPerHost  = 3 // an hour
	probeMemory    = time.Hour
	probesTime     = 2 * time.Minute // all of them together
	rememberedMost = 2000            // probes, and hosts
)

// A probed is what came of a probe.
type probed struct {
	at      time.Time
	steps   string // the path through all hosts; empty if there are none
	problem string
}

// A scout makes probes within the limits. It is safe for concurrent use.
type scout struct {
	prober Prober

	mu    sync.Mutex
	looks map[string]remembered  // by recipient domain
	hosts map[string][]time.Time // looks at an MX host within the hour
}

type remembered struct {
	at   time.Time
	look Look
}

func newScout(p Prober) *scout {
	return &scout{prober: p, looks: make(map[string]remembered), hosts: make(map[string][]time.Time)}
}

// recall returns the probe of a domain that was made within the last hour.
func (s *scout) recall(domain string, now time.Time) (remembered, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.looks[domain]
	return m, ok && now.Sub(m.at) < probeMemory
}

// admit reports whether the hosts may be looked at again, and takes note that they are. A
// domain whose hosts are not known stands for them.
func (s *scout) admit(names []string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	for _, name := range names {
		if len(s.hosts[name]) >= probesPerHost {
			return false
		}
	}
	if len(s.hosts)+len(names) > rememberedMost {
		return false
	}
	for _, name := range names {
		s.hosts[name] = append(s.hosts[name], now)
	}
	return true
}

// forget drops what is older than an hour.
func (s *scout) forget(now time.Time) {
	for name, list := range s.hosts {
		list = slices.DeleteFunc(list, func(at time.Time) bool { return now.Sub(at) >= probeMemory })
		if len(list) == 0 {
			delete(s.hosts, name)
		} else {
			s.hosts[name] = list
		}
	}
	for domain, m := range s.looks {
		if now.Sub(m.at) >= probeMemory {
			delete(s.looks, domain)
		}
	}
}

// look probes a domain and remembers what came of it, counting hosts that were not
// known before.
func (s *scout) look(ctx context.Context, domain string, known []string, now time.Time) remembered {
	m := remembered{now, s.prober.Look(ctx, domain)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.looks) < rememberedMost && ctx.Err() == nil {
		s.looks[domain] = m
	}
	for _, c := range m.look.Contacts {
		if !slices.Contains(known, c.MXHost) {
			known = append(known, c.MXHost)
			s.hosts[c.MXHost] = append(s.hosts[c.MXHost], now)
		}
	}
	return m
}

// probe looks at the recipient domains of the book whose facts are old or missing.
func (b *book) probe(ctx context.Context, s *scout, now time.Time) Probes {
	ctx, cancel := context.WithTimeout(ctx, probesTime)
	defer cancel()
	var p Probes
	var wg sync.WaitGroup
	var mu sync.Mutex // guards found
	found := map[*recipient]remembered{}
	slots := make(chan struct{}, probesAtATime)
	for _, r := range b.byTraffic() {
		if !b.wants(r, now) {
			continue
		}
		p.Wanted++
		if m, ok := s.recall(r.domain, now); ok {
			p.Reused++
			mu.Lock()
			found[r] = m
			mu.Unlock()
			continue
		}
		names := r.hostNames()
		if p.Made == probesAtMost || ctx.Err() != nil || !s.admit(names, now) {
			p.Declined++
			continue
		}
		p.Made++
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			m := s.look(ctx, r.domain, names, now)
			mu.Lock()
			defer mu.Unlock()
			found[r] = m
		})
	}
	wg.Wait()
	for r, m := range found {
		r.probedBy(m)
	}
	return p
}

// wants reports whether a recipient domain is to be probed.
func (b *book) wants(r *recipient, now time.Time) bool {
	if o := r.origin(); o.At == nil || now.Sub(*o.At) > factsOld {
		return true
	}
	for _, o := range r.outlooks(b.terms(r.domain)) {
		if o.has(Unknown) {
			return true
		}
	}
	return false
}

// hostNames lists the hosts that a probe will meet, as far as is known.
func (r *recipient) hostNames() []string {
	var names []string
	for _, h := range r.route(r.current()) {
		names = append(names, h.MXHost)
	}
	if len(names) == 0 {
		names = []string{r.domain}
	}
	return names
}

// probedBy takes over what a probe found. What it could not reach says nothing
// against what history knows: it leaves the route, not the facts.
func (r *recipient) probedBy(m remembered) {
	r.probe = &probed{at: m.at, problem: m.look.Problem}
	if len(m.look.Contacts) == 0 {
		return
	}
	var list []Reading
	for _, c := range m.look.Contacts {
		n := Reading{MXHost: c.MXHost, State: Unreachable, Error: c.Problem}
		if c.Detail != nil {
			n = readConnection(c.Detail)
			n.MXHost = c.MXHost
		}
		if n.State == Unreachable {
			n.Error = c.Problem
		}
		n.Preference = c.Preference
		k := slices.IndexFunc(list, func(o Reading) bool { return o.MXHost == n.MXHost })
		switch {
		case k < 0:
			list = append(list, n)
		case n.State > list[k].State:
			list[k] = n
		}
	}
	r.probe.steps = r.observe(list, m.at, true)
	r.newest = latest(r.newest, m.at)
	if !slices.ContainsFunc(list, func(n Reading) bool { return n.State != Unreachable }) {
		// Perhaps it is us who cannot connect: what history knows is not thrown away.
		r.probe.steps, r.probe.problem = "", "no MX host could be reached: "+list[0].Error
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
