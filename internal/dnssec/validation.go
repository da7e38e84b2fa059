package dnssec

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// How long until the next probe.
const (
	probeEvery   = time.Hour        // when all is well
	probeDoubt   = 10 * time.Second // an answer without AD is asked for again before it counts
	probeSilence = time.Minute      // no answer: the resolver may be starting
	probeBroken  = 5 * time.Minute  // somebody may be mending it
)

// A Validation says whether a resolver's AD bit means anything.
type Validation uint8

const (
	// Untested: the resolver is trusted and no probe had a result yet. Its AD is
	// believed, as the operator or the loopback address vouches for it.
	Untested Validation = iota
	// Validates: the last probe that had a result came back validated.
	Validates
	// NotValidating: the resolver answers the probe without AD. No answer of it is
	// called Secure.
	NotValidating
	// NotTrusted: nobody vouches for the way to the resolver, so that no answer of it
	// is called Secure, whatever it says.
	NotTrusted
)

// String returns the state in words.
func (v Validation) String() string {
	return [...]string{"untested", "validates", "does not validate", "not trusted"}[v]
}

// Believed reports whether answers can be Secure.
func (v Validation) Believed() bool { return v == Untested || v == Validates }

// A Status is what is known of the resolvers of a [Stub].
type Status struct {
	// State is that of the best server: the others are not asked then.
	State Validation
	// Since is when State became what it is.
	Since time.Time
	// Servers are all that may be asked, in order of preference.
	Servers []ServerStatus
}

// A ServerStatus is what is known of one resolver.
type ServerStatus struct {
	Server string // address and port
	State  Validation
	Since  time.Time // when State became what it is
	Probed time.Time // when a probe last had a result; zero: never
	// Err is why the last probe had none, a *Failure as a rule; nil if it had one. It
	// changes no State: who can keep a probe from being answered must not be able to
	// switch DANE off.
	Err error
	// Doubt: the last probe came back without AD, for the first time in a row. It is
	// asked again soon, and a second such answer counts.
	Doubt bool
}

// after returns the status after a probe with this result.
func (v ServerStatus) after(result probeResult, err error, now time.Time) ServerStatus {
	next := v.State
	switch result {
	case probeUnknown:
		v.Err = err
		return v
	case probeSigned:
		v.Doubt = false
		next = Validates
	case probeUnsigned:
		if v.Doubt = !v.Doubt && v.State != NotValidating; !v.Doubt {
			next = NotValidating
		}
	}
	v.Err, v.Probed = nil, now
	if v.State != next {
		v.State, v.Since = next, now
	}
	return v
}

// wait returns how long to wait before the server is probed again.
func (v ServerStatus) wait() time.Duration {
	switch {
	case v.Doubt:
		return probeDoubt
	case v.Err != nil:
		return probeSilence
	case v.State == NotValidating:
		return probeBroken
	}
	return probeEvery
}

// A probeResult is what one probe found out.
type probeResult uint8

const (
	probeUnknown  probeResult = iota // nothing
	probeSigned                      // the resolver validates
	probeUnsigned                    // it answered, and does not
)

// validation keeps the status of every server.
type validation struct {
	mu      sync.Mutex
	state   Validation
	since   time.Time
	servers []ServerStatus
}

func newValidation(servers []server, now time.Time) *validation {
	v := &validation{since: now}
	for _, s := range servers {
		state := Untested
		if !s.trusted {
			state = NotTrusted
		}
		v.servers = append(v.servers, ServerStatus{Server: s.addr, State: state, Since: now})
	}
	v.state = v.best()
	return v
}

// best returns the state of the best server. A Stub has at least one.
func (v *validation) best() Validation {
	for _, want := range []Validation{Validates, Untested, NotValidating} {
		if slices.ContainsFunc(v.servers, func(s ServerStatus) bool { return s.State == want }) {
			return want
		}
	}
	return NotTrusted
}

// status returns a copy.
func (v *validation) status() Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	return Status{v.state, v.since, slices.Clone(v.servers)}
}

// terms returns, for each server, whether it is not to be asked and whether its AD counts.
// One that does not validate is passed over while another one does: making that one fail
// must not bring answers that nobody validated. At least one server is left.
func (v *validation) terms() (passedOver, believed []bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	passedOver, believed = make([]bool, len(v.servers)), make([]bool, len(v.servers))
	for n, s := range v.servers {
		believed[n] = s.State.Believed()
		passedOver[n] = v.state.Believed() && !believed[n]
	}
	return passedOver, believed
}

// update takes a probe's result in and reports whether a server became believed or
// ceased to be.
func (v *validation) update(n int, result probeResult, err error, now time.Time) (turned bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.servers[n]
	v.servers[n] = before.after(result, err, now)
	if state := v.best(); state != v.state {
		v.state, v.since = state, now
	}
	return before.State.Believed() != v.servers[n].State.Believed()
}

// Status returns what is known of the resolvers. Without [Stub.Run] or [Stub.Probe] that
// is whether they are trusted.
func (s *Stub) Status() Status { return s.validation.status() }

// Probe asks every trusted server once whether it validates, all at the same time, and
// returns what is known then. Two answers without AD in a row make a server
// NotValidating.
//
// The question is for the NS records of the root: every resolver knows them, they are
// signed, and a resolver that validates marks them so.
func (s *Stub) Probe(ctx context.Context) Status {
	var all sync.WaitGroup
	for n, srv := range s.servers {
		if !srv.trusted {
			continue
		}
		all.Go(func() {
			result, err := s.probe(ctx, srv)
			if ctx.Err() != nil {
				return // our own end is no fact about the resolver
			}
			if s.validation.update(n, result, err, time.Now()) {
				// What was remembered was believed, or not, on the old terms.
				s.cache.clear()
			}
		})
	}
	all.Wait()
	return s.Status()
}

// probe asks one server.
func (s *Stub) probe(ctx context.Context, srv server) (probeResult, error) {
	q := question{"", NS}
	r := s.exchange(ctx, srv, q, 0, true)
	switch {
	case r.failure != nil:
		r.failure.Name, r.failure.Type, r.failure.Server = ".", NS, srv.addr
		return probeUnknown, r.failure
	case r.secure && r.state == Found:
		return probeSigned, nil
	case r.secure:
		return probeUnknown, errors.New("a validated denial of the root's name servers")
	case r.stale:
		// A resolver that cannot reach the root repeats old answers without having
		// validated them anew (RFC 8767). That says something about its way to the root.
		return probeUnknown, errors.New("a stale answer for the root's name servers")
	}
	return probeUnsigned, nil
}

// Run probes the trusted servers, at once and then every hour, sooner while something is
// wrong, until ctx ends. It calls report after the first round and after each that changed a
// server's State or brought or ended an error, never twice at a time. A Stub without a
// trusted server is reported once.
func (s *Stub) Run(ctx context.Context, report func(Status)) {
	var last Status
	for first := true; ; first = false {
		now := s.Probe(ctx)
		if ctx.Err() != nil {
			return
		}
		if first || now.differs(last) {
			report(now)
		}
		last = now
		if now.State == NotTrusted {
			return
		}
		wait := probeEvery
		for _, srv := range now.Servers {
			wait = min(wait, srv.wait())
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// differs reports whether an operator would want to hear of the change.
func (st Status) differs(before Status) bool {
	return st.State != before.State || !slices.EqualFunc(st.Servers, before.Servers, func(a, b ServerStatus) bool {
		return a.State == b.State && (a.Err == nil) == (b.Err == nil)
	})
}
