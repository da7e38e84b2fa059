package delivery

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sealpost/sealpost/internal/mail"
)

// sources returns the addresses of ours that the message may leave from to addr; none: any.
func (a *attempt) sources(addr netip.Addr) []netip.Addr {
	return ofFamily(a.job.Envelope.Sources, addr)
}

// ofFamily returns those of list that can connect to addr.
func ofFamily(list []netip.Addr, addr netip.Addr) []netip.Addr {
	var same []netip.Addr
	for _, s := range list {
		if s.Unmap().Is4() == addr.Unmap().Is4() {
			same = append(same, s)
		}
	}
	return same
}

// withinReach returns the addresses of a host that can be connected to from where the message
// may leave, and records it if there is none: a message for an address of IPv4 never leaves
// from one of IPv6 instead.
func (a *attempt) withinReach(host *target, addrs []netip.Addr) []netip.Addr {
	if len(a.job.Envelope.Sources) == 0 {
		return addrs
	}
	reached := slices.DeleteFunc(slices.Clone(addrs), func(addr netip.Addr) bool { return len(a.sources(addr)) == 0 })
	if len(reached) == 0 && len(addrs) > 0 {
		text := fmt.Sprintf("MX host %s has no address of the family of those that the message may leave from", host.name)
		a.fail(failure{reply: mail.LocalReply(451, "4.4.1", text), host: host.name, scope: mail.ScopeMessage})
	}
	return reached
}

// leftFrom reports whether the connection leaves from where a message may: one that may leave
// from anywhere takes none that was opened from addresses set aside for others.
func (l *link) leftFrom(sources []netip.Addr) bool {
	if len(sources) == 0 || !l.bound {
		return len(sources) == 0 && !l.bound
	}
	local, err := netip.ParseAddr(l.local)
	return err == nil && slices.ContainsFunc(sources, func(s netip.Addr) bool { return s.Unmap() == local.Unmap() })
}
