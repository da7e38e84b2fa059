package dnssec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Limits on what one answer may make us do.
const (
	maxAliases = 8   // CNAME records followed for one question
	maxRecords = 100 // records in one section of an answer
	maxServers = 8   // configured resolvers; the rest is ignored
)

// How long answers are remembered at most.
const (
	maxPositive = time.Hour
	maxNegative = 5 * time.Minute
	maxFailure  = 5 * time.Second // RFC 9520: long enough to stop a storm, short enough to forget
)

// Config describes the resolver to ask. The zero value is the system's resolver,
// with the values named at each field.
type Config struct {
	// Servers are the recursive resolvers, as IP addresses with or without port
	// (53), in order of preference. None, or only the empty string, means the
	// nameservers of /etc/resolv.conf as they are when New is called.
	//
	// If any of them is trusted, those that are not are never asked: whoever can
	// make the trusted one fail must not choose who answers instead.
	Servers []string

	// TrustAD believes the AD bit of every server. Without it, only servers on
	// loopback addresses are believed. Set it only when nobody can sit between us
	// and them. One that turns out not to validate is not believed in either case;
	// see Stub.Run.
	TrustAD bool

	Try      time.Duration // longest wait for one answer; 5 s
	Total    time.Duration // longest time for one question with retries and aliases; 15 s
	Tries    int           // queries sent for one name at most, over all servers; 3
	InFlight int           // questions being asked at once; 256

	// CacheBytes bounds the memory of remembered answers, within a few percent; 90 MiB,
	// which is enough for all that 100,000 recipient domains with MTA-STS and DANE have.
	// Negative remembers nothing.
	CacheBytes int

	// Dial replaces the network, for tests: network is udp or tcp, address an IP
	// address and port. With udp, every Write is one datagram and every Read
	// returns one. Nil is the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// withDefaults returns cfg with its zero values filled in.
func (cfg Config) withDefaults() Config {
	if cfg.Try <= 0 {
		cfg.Try = 5 * time.Second
	}
	if cfg.Total <= 0 {
		cfg.Total = 15 * time.Second
	}
	if cfg.Tries <= 0 {
		cfg.Tries = 3
	}
	if cfg.InFlight <= 0 {
		cfg.InFlight = 256
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = 90 << 20
	}
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	return cfg
}

// A Stub is a stub resolver. It is safe for concurrent use. A question that
// nobody waits for any more is given up; there is nothing to close.
type Stub struct {
	cfg        Config
	servers    []server
	validation *validation
	good       atomic.Int32 // index of the server that answered last
	slots      chan struct{}
	cache      *cache
	flights    flights
}

var _ Resolver = (*Stub)(nil)

// A server is one recursive resolver.
type server struct {
	addr    string // host:port
	trusted bool   // its AD bit counts, unless a probe finds that it does not validate
}

// New returns a resolver for cfg. It fails when a server is not an IP address or
// the system's resolver configuration cannot be read. It asks nothing yet.
func New(cfg Config) (*Stub, error) {
	cfg = cfg.withDefaults()
	names := slices.DeleteFunc(slices.Clone(cfg.Servers), func(s string) bool { return s == "" })
	if len(names) == 0 {
		var err error
		if names, err = systemServers(resolvConf); err != nil {
			return nil, err
		}
	}
	var servers []server
	for _, name := range names[:min(len(names), maxServers)] {
		addr, err := parseServer(name)
		if err != nil {
			return nil, err
		}
		servers = append(servers, server{addr.String(), cfg.TrustAD || addr.Addr().Unmap().IsLoopback()})
	}
	if slices.ContainsFunc(servers, func(s server) bool { return s.trusted }) {
		servers = slices.DeleteFunc(servers, func(s server) bool { return !s.trusted })
	}
	return &Stub{
		cfg:        cfg,
		servers:    servers,
		validation: newValidation(servers, time.Now()),
		slots:      make(chan struct{}, cfg.InFlight),
		cache:      newCache(cfg.CacheBytes),
	}, nil
}

// parseServer reads an IP address with or without a port.
func parseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("resolver %q is not an IP address with an optional port", s)
	}
	return a, nil
}

// A question is what is asked and what answers are remembered under.
type question struct {
	name string // cleaned
	typ  Type
}

// Lookup implements [Resolver].
func (s *Stub) Lookup(ctx context.Context, name string, t Type) Answer {
	cleaned, ok := cleanName(name)
	if !ok {
		return failed(question{name, t}, &Failure{Reason: BadName})
	}
	q := question{cleaned, t}
	if a, ok := s.cache.get(q, time.Now()); ok {
		return a
	}
	if ctx.Err() != nil {
		return failed(q, ended(ctx))
	}
	if !spend(ctx) {
		return failed(q, &Failure{Reason: OverBudget})
	}
	return s.flights.do(ctx, q, s.work)
}

// work answers one question for everybody who waits for it.
func (s *Stub) work(flight context.Context, q question) Answer {
	// It may have been answered between our look at the cache and now.
	if a, ok := s.cache.get(q, time.Now()); ok {
		return a
	}
	ctx, cancel := context.WithTimeout(flight, s.cfg.Total)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return failed(q, ended(ctx))
	}
	term := s.cache.term()
	a, ttl := s.follow(ctx, q)
	a.Asked = time.Now()
	if flight.Err() == nil { // a question that was given up has no answer to remember
		s.cache.put(q, a, ttl, term)
	}
	return a
}

// follow asks, and asks again where an answer ends with an alias, until it is
// known what is at the end. It also returns how long that may be remembered.
func (s *Stub) follow(ctx context.Context, q question) (Answer, time.Duration) {
	a := Answer{Name: q.name, Type: q.typ, Canonical: q.name, Secure: true}
	ttl := maxPositive
	for hops := 0; ; {
		at := question{a.Canonical, q.typ}
		r := s.ask(ctx, at, maxAliases-hops)
		if r.failure != nil {
			f := failed(q, r.failure)
			f.Canonical = a.Canonical
			return f, maxFailure
		}
		hops += r.hops
		a.Canonical = r.end
		a.Secure = a.Secure && r.secure
		ttl = min(ttl, r.ttl)
		if r.more {
			continue // r.hops is at least 1, so this ends
		}
		a.State, a.Records = r.state, r.records
		return a, ttl
	}
}

// ask asks the servers about one name until one of them has an answer.
func (s *Stub) ask(ctx context.Context, q question, hops int) reading {
	var (
		start = int(s.good.Load())
		left  = len(s.servers)
		worst *Failure
	)
	spent, believed := s.validation.terms() // spent: has spoken, asking again changes nothing
	for _, passedOver := range spent {
		if passedOver {
			left--
		}
	}
	for try, i := 0, start; try < max(s.cfg.Tries, len(s.servers)) && left > 0; i++ {
		n := i % len(s.servers)
		if spent[n] {
			continue
		}
		try++
		srv := s.servers[n]
		r := s.exchange(ctx, srv, q, hops, believed[n])
		if r.failure == nil {
			s.good.Store(int32(n))
			return r
		}
		r.failure.Name, r.failure.Type, r.failure.Server = q.name, q.typ, srv.addr
		if ctx.Err() != nil {
			if worst == nil {
				worst = r.failure
				worst.Reason = ended(ctx).Reason
			}
			break
		}
		silent := r.failure.Reason == Timeout || r.failure.Reason == Network
		if !silent {
			spent[n] = true
			left--
		}
		// What a server said tells more than that another was silent.
		if worst == nil || !silent {
			worst = r.failure
		}
	}
	return reading{failure: worst}
}

// failed makes the Answer for a failure.
func failed(q question, f *Failure) Answer {
	if f.Name == "" {
		f.Name, f.Type = q.name, q.typ
	}
	return Answer{Name: q.name, Type: q.typ, Canonical: q.name, Asked: time.Now(), Failure: f}
}

// ended is the failure for a context that is over.
func ended(ctx context.Context) *Failure {
	reason := Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		reason = Timeout
	}
	return &Failure{Reason: reason, Err: context.Cause(ctx)}
}
