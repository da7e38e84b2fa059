package netguard

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// A Policy says which addresses may be connected to. The zero value allows only
// public ones. It is a value: do not change Own while it is in use.
type Policy struct {
	// AllowPrivate also allows loopback, private and link-local addresses.
	AllowPrivate bool
	// Allow are networks whose loopback, private and link-local addresses are allowed
	// besides. Nothing in it opens another class. An address counts as it is written: an
	// IPv6 address that carries an IPv4 one is not in a network of IPv4.
	Allow []netip.Prefix
	// Own are the addresses and ports we listen on ourselves; they are never
	// connected to. An unspecified address (":587") stands for all of loopback;
	// Listening finds this machine's other addresses.
	Own []netip.AddrPort
}

// Check returns nil when the policy allows a connection to a, else a *[Refusal].
func (p Policy) Check(a netip.AddrPort) error {
	class := Classify(a.Addr())
	if p.isOwn(a, class) {
		return &Refusal{Addr: a, Class: class, Own: true}
	}
	switch class {
	case Public:
		return nil
	case Loopback, Private, LinkLocal:
		if p.AllowPrivate || p.allows(a.Addr()) {
			return nil
		}
	}
	return &Refusal{Addr: a, Class: class}
}

// allows reports whether the address is in one of the networks of Allow.
func (p Policy) allows(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	return slices.ContainsFunc(p.Allow, func(network netip.Prefix) bool { return network.Contains(a) })
}

// isOwn reports whether a is a listener of ours, in whatever way it is written.
func (p Policy) isOwn(a netip.AddrPort, class Class) bool {
	if !a.Addr().IsValid() {
		return false
	}
	candidates := append(embedded(a.Addr()), a.Addr().WithZone("").Unmap())
	for _, own := range p.Own {
		if own.Port() != a.Port() {
			continue
		}
		listen := own.Addr().WithZone("").Unmap()
		if listen.IsUnspecified() && class == Loopback {
			return true
		}
		for _, c := range candidates {
			// All of 127.0.0.0/8 is one machine, but a listener on 127.0.0.1 does
			// not answer on 127.0.0.2.
			if c == listen {
				return true
			}
		}
	}
	return false
}

// Control checks the address of a socket that is about to connect; it has the form
// of net.Dialer.Control. The address is the one after every resolution, so there
// is nothing left between the check and its use.
func (p Policy) Control(network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6", "udp4", "udp6":
	default:
		return fmt.Errorf("connect to %q: network %q is not allowed", address, network)
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connect to %q: not an address and port", address)
	}
	return p.Check(a)
}

// ControlContext is Control in the form of net.Dialer.ControlContext.
func (p Policy) ControlContext(_ context.Context, network, address string, c syscall.RawConn) error {
	return p.Control(network, address, c)
}

// A Refusal is the error for an address that must not be connected to. It comes out
// of a dialer inside a *net.OpError; find it with errors.As.
type Refusal struct {
	Addr  netip.AddrPort
	Class Class
	Own   bool // we listen there ourselves
}

// Error tells the address and the reason.
func (r *Refusal) Error() string {
	if r.Own {
		return fmt.Sprintf("connection to %s refused by us: our own listener", r.Addr)
	}
	return fmt.Sprintf("connection to %s refused by us: %s address", r.Addr, r.Class)
}

// Listening returns the addresses that the given listeners answer on: those
// themselves, and for one on the unspecified address also every address that the
// machine's interfaces have now. Pass the result as Policy.Own.
func Listening(listeners ...netip.AddrPort) ([]netip.AddrPort, error) {
	own := append([]netip.AddrPort(nil), listeners...)
	var machine []net.Addr
	for _, l := range listeners {
		if !l.Addr().IsUnspecified() {
			continue
		}
		if machine == nil {
			var err error
			if machine, err = net.InterfaceAddrs(); err != nil {
				return nil, fmt.Errorf("list this machine's addresses: %w", err)
			}
		}
		for _, m := range machine {
			prefix, ok := m.(*net.IPNet)
			if !ok {
				continue
			}
			if a, ok := netip.AddrFromSlice(prefix.IP); ok {
				own = append(own, netip.AddrPortFrom(a.Unmap(), l.Port()))
			}
		}
	}
	return own, nil
}
