package app

import (
	"net/netip"
	"sync/atomic"
)

// A rotation gives source addresses in turn. It is safe for concurrent use.
type rotation struct {
	addrs []netip.Addr
	n     atomic.Uint32
}

// next returns the next address, or false if the system is to choose.
func (r *rotation) next() (netip.Addr, bool) {
	if len(r.addrs) == 0 {
		return netip.Addr{}, false
	}
	return r.addrs[int(r.n.Add(1)-1)%len(r.addrs)], true
}
