package door

import (
	"net/netip"
	"sync"
	"time"
)

// Limits on guessing keys (SEC-58): an address has failureBurst tries, and
// gets one back every failureRefill, so that no hour sees more than a hundred.
const (
	failureBurst  = 40
	failureRefill = time.Minute
	guardSize     = 10_000 // addresses, and keys, remembered
)

// A guard counts failed logins by client address. An address that failed too
// often gets no more guesses for a while; a key that was good before is let
// through all the same, so that nobody behind a shared address can be locked out
// by a neighbour. It is safe for concurrent use.
type guard struct {
	mu       sync.Mutex
	failures map[netip.Prefix]bucket
	good     map[[32]byte]struct{} // hashes of keys that worked
}

// A bucket is how many failures an address has made, leaking over time.
type bucket struct {
	level float64
	at    time.Time
}

func newGuard() *guard {
	return &guard{failures: map[netip.Prefix]bucket{}, good: map[[32]byte]struct{}{}}
}

func (b bucket) leaked(now time.Time) float64 {
	return max(0, b.level-now.Sub(b.at).Seconds()/failureRefill.Seconds())
}

// site is what counts as one client: an IPv4 address, or an IPv6 network as one
// customer gets it.
func site(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// blocked returns how long the address must wait before the key is looked at; 0:
// it is looked at now.
func (g *guard) blocked(a netip.Addr, hash [32]byte, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	over := g.failures[site(a)].leaked(now) - (failureBurst - 1)
	if over <= 0 {
		return 0
	}
	if _, ok := g.good[hash]; ok {
		return 0
	}
	return time.Duration(over * float64(failureRefill))
}

// failed counts a failure.
func (g *guard) failed(a netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := site(a)
	if _, known := g.failures[s]; !known && len(g.failures) >= guardSize {
		g.forget(now)
	}
	g.failures[s] = bucket{g.failures[s].leaked(now) + 1, now}
}

// forget drops the addresses whose failures are over, and if most are not, all:
// a flood from that many addresses gets no better service by it, and a table that stays
// full would be searched for every failure.
func (g *guard) forget(now time.Time) {
	for s, b := range g.failures {
		if b.leaked(now) == 0 {
			delete(g.failures, s)
		}
	}
	if len(g.failures) > guardSize/2 {
		clear(g.failures)
	}
}

// succeeded notes a key that worked.
func (g *guard) succeeded(hash [32]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.good) >= guardSize {
		clear(g.good)
	}
	g.good[hash] = struct{}{}
}
