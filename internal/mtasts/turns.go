package mtasts

import (
	"context"
	"net/netip"
	"sync"
)

// How many fetches may be under way (SEC-52).
const (
	maxFetches    = 20 // in all
	maxPerNetwork = 5  // with addresses of one /24 or /48
)

// turns hands out the right to connect. Waiting ones are not in order. The limit
// per network keeps one operator of slow policy hosts, with however many domains,
// from holding up everybody else's.
type turns struct {
	mu      sync.Mutex
	all     int
	network map[netip.Prefix]int
	freed   chan struct{} // closed when a turn comes back
}

func newTurns() *turns {
	return &turns{network: make(map[netip.Prefix]int), freed: make(chan struct{})}
}

// take waits for a turn to connect to a, and returns the function that gives it back.
// It returns errBusy when ctx ends first.
func (t *turns) take(ctx context.Context, a netip.Addr) (done func(), err error) {
	n := networkOf(a)
	for ctx.Err() == nil {
		freed, ok := t.try(n)
		if ok {
			return func() { t.give(n) }, nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
	return nil, errBusy
}

// try takes a turn if there is one; else freed says when to try again.
func (t *turns) try(n netip.Prefix) (freed <-chan struct{}, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all >= maxFetches || t.network[n] >= maxPerNetwork {
		return t.freed, false
	}
	t.all++
	t.network[n]++
	return nil, true
}

func (t *turns) give(n netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.network[n]--; t.network[n] == 0 {
		delete(t.network, n)
	}
	close(t.freed)
	t.freed = make(chan struct{})
}

// busy returns how many turns are taken.
func (t *turns) busy() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all
}

// networkOf returns the block of addresses that one operator is likely to hold.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(a, bits).Masked()
}
