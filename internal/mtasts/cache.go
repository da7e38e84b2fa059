package mtasts

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlspolicy"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

// Config is what a Cache works with.
type Config struct {
	// Resolver answers for TXT records and for the names of policy hosts.
	Resolver dnssec.Resolver
	// Dial connects to policy hosts. It must refuse what may not be connected to.
	Dial Dialer
	// Roots are what a policy host's certificate must lead to. Not nil: that would
	// be the system's roots, without those that the operator added.
	Roots *x509.CertPool
	// Store keeps policies across restarts.
	Store store.STSPolicies
	// Log tells about refreshes that failed and policies that changed.
	Log *slog.Logger

	Port uint16 // of policy hosts; 0 is 443, anything else is for tests

	// MaxPolicies and MaxBytes bound the policies in memory and on disk: 0 is
	// 100,000, and 64 MiB. Beyond that the policies that protect least are
	// dropped first: mode none, then testing, then those longest not asked for.
	MaxPolicies int
	MaxBytes    int
}

// A Result is what is known of a domain's policy when it is asked for.
type Result struct {
	// State is what the decision needs. Its zero value is no policy.
	State tlspolicy.STS
	// Policy is the one in force; zero unless State is none, testing or enforce.
	Policy Policy
	// Cached: it was in force before this question.
	Cached bool
	// Fault is what came of the latest fetch, for TLS reports: also beside a cached
	// policy, which rules all the same. Empty when the fetch succeeded or none was due.
	Fault tlsresult.Type
	// Err is in words what is wrong, be it with the record, the fetch or nothing
	// that matters for this delivery; nil when all is well. Foreign text in it
	// is quoted.
	Err error
}

// A Cache holds the policies of recipient domains. It is safe for concurrent use.
type Cache struct {
	fetcher  fetcher
	store    store.STSPolicies
	log      *slog.Logger
	maxCount int
	maxBytes int

	work    context.Context // of fetches; ended by Close
	stop    context.CancelFunc
	running sync.WaitGroup

	storing sync.Mutex // held while the store is written; before mu

	mu       sync.Mutex
	entries  map[string]*entry
	flights  map[string]*flight
	policies int // entries with a policy
	bytes    int // memory of those, about
	closed   bool
	counts   counts
}

// An entry is what the cache holds for one domain: a policy, or the memory of a
// fetch that failed. Domains without a TXT record have none.
type entry struct {
	memory
	used    time.Time // when it was last asked for
	unsaved bool      // the store does not have the policy yet
}

// A flight is one fetch that everybody waits for who needs it. It belongs to the
// cache, not to those who wait: whoever gives up leaves its result to the next.
type flight struct {
	done  chan struct{} // closed when after and fresh are set
	after memory
	fresh bool // the fetch succeeded
}

// Open returns a cache with the policies that the store has.
func Open(ctx context.Context, cfg Config) (*Cache, error) {
	if cfg.Roots == nil {
		return nil, errors.New("MTA-STS needs root certificates")
	}
	c := &Cache{
		fetcher: fetcher{
			dns: cfg.Resolver, dial: cfg.Dial, roots: cfg.Roots, port: "443", turns: newTurns(),
		},
		store:    cfg.Store,
		log:      cfg.Log,
		maxCount: 100_000,
		maxBytes: 64 << 20,
		entries:  make(map[string]*entry),
		flights:  make(map[string]*flight),
	}
	if cfg.Port != 0 {
		c.fetcher.port = strconv.Itoa(int(cfg.Port))
	}
	if cfg.MaxPolicies > 0 {
		c.maxCount = cfg.MaxPolicies
	}
	if cfg.MaxBytes > 0 {
		c.maxBytes = cfg.MaxBytes
	}
	if err := c.load(ctx); err != nil {
		return nil, fmt.Errorf("load MTA-STS policies: %w", err)
	}
	c.work, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	return c, nil
}

// Close ends what is being fetched and writes what the store does not have yet. Call
// it after the last question; later ones are answered from memory.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
	return c.flush(context.Background())
}

// Policy returns what rules mail to a recipient domain, which is as mail.ParseDomain
// returns it, before any alias (RFC 8461 section 3.4); for a smart host it is that host's
// name.
//
// It looks at the TXT record, which as a rule is in the resolver's memory, and fetches
// the policy when the record has an id that is not cached. Then it waits for the
// fetch, one minute at most or until ctx ends. A policy that was fetched is on disk
// before it is returned. Whatever fails, a cached policy rules until it expires
// (RFC 8461 section 5.1); without one a failure counts as no policy (section 3.3),
// and State says which it was. That holds for a TXT record that cannot be looked up,
// too: to defer would let whoever breaks a domain's DNS answers for one name stop
// its mail, and the RFC has no such thing.
func (c *Cache) Policy(ctx context.Context, domain string) Result {
	return c.ask(ctx, domain, forDelivery)
}

// Recheck returns what rules, after fetching the policy again whatever its id, as
// long as the last fetch is five minutes ago. Ask it when the policy in force allows no
// MX host, and before mail fails for good because of it (RFC 8461 section 5.1): the
// domain may have changed its MX hosts and its policy, and the TXT record that we see
// can be as old as the resolver's memory.
func (c *Cache) Recheck(ctx context.Context, domain string) Result {
	return c.ask(ctx, domain, forRecheck)
}

// recordHost is where the TXT record is (RFC 8461 section 3.1).
const recordHost = "_mta-sts."

func (c *Cache) ask(ctx context.Context, domain string, p purpose) Result {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if !isPattern(domain) || strings.HasPrefix(domain, "*.") {
		return Result{Err: fmt.Errorf("%s is not a domain name and has no policy", quote(domain))}
	}
	d := discover(c.fetcher.dns.Lookup(ctx, recordHost+domain, dnssec.TXT))
	now := clock()
	m, f := c.consult(domain, d, p, now)
	if f == nil {
		return m.result(d, now)
	}
	select {
	case <-f.done:
		r := f.after.result(d, clock())
		r.Cached = r.Cached && !f.fresh
		return r
	case <-ctx.Done():
		r := m.result(d, now)
		r.Err = fmt.Errorf("wait for the policy of %s: %w", domain, context.Cause(ctx))
		return r
	}
}

// consult returns what is known of the domain, and the fetch to wait for if one is needed
// and possible.
func (c *Cache) consult(domain string, d discovery, p purpose, now time.Time) (memory, *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.questions++
	var m memory
	if e := c.entries[domain]; e != nil {
		m = e.memory
		if p != forRefresh {
			e.used = now
		}
	}
	if !wantsFetch(m, d, p, now) {
		return m, nil
	}
	if f := c.flights[domain]; f != nil {
		return m, f
	}
	if m.rests(now) || c.closed {
		return m, nil
	}
	return m, c.depart(domain, m, d, now)
}

// depart starts a fetch. c.mu is held.
func (c *Cache) depart(domain string, before memory, d discovery, now time.Time) *flight {
	f := &flight{done: make(chan struct{})}
	c.flights[domain] = f
	e := c.entries[domain]
	if e == nil {
		c.makeRoom()
		e = &entry{used: now}
		c.entries[domain] = e
	}
	e.attempted = now
	c.counts.fetches++
	c.running.Go(func() { c.fly(f, domain, before, d, now) })
	return f
}

// fly makes one fetch, remembers what came of it and lets those who wait go on.
func (c *Cache) fly(f *flight, domain string, before memory, d discovery, began time.Time) {
	ctx, cancel := context.WithTimeout(c.work, fetchTime)
	defer cancel()
	p, err := c.guarded(ctx, domain)
	tried := before
	tried.attempted = began
	switch {
	case err == nil:
		f.after, f.fresh = tried.fetched(p, d, clock()), true
		c.keep(domain, f.after)
	case errors.Is(err, errBusy) || c.work.Err() != nil:
		// The host was not asked, so it is owed no rest.
		f.after = tried.failed(err)
		c.remember(domain, before)
	default:
		f.after = tried.failed(err)
		c.remember(domain, f.after)
	}
	c.mu.Lock()
	c.counts.result(faultOf(err))
	delete(c.flights, domain)
	c.mu.Unlock()
	close(f.done)
}

// guarded turns a panic into an error: the bytes that are read come from anybody,
// and nobody above this goroutine could.
func (c *Cache) guarded(ctx context.Context, domain string) (p Policy, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fetch the policy of %s: panic: %v", domain, r)
		}
	}()
	return c.fetcher.fetch(ctx, domain)
}

// clock is the time as policies keep it: UTC, and what the wall clock says after the
// machine slept.
func clock() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
