package netguard

import (
	"context"
	"net/netip"
	"syscall"
)

// A Class says what kind of network an address belongs to.
type Class uint8

// The classes; zero is the most forbidden.
const (
	Unspecified   Class = iota // 0.0.0.0, ::, and what is no address at all
	Public                     // globally reachable unicast
	Loopback                   // this machine
	Private                    // RFC 1918, RFC 6598, RFC 4193, site-local, local-use NAT64
	LinkLocal                  // 169.254.0.0/16, fe80::/10
	Metadata                   // a cloud's instance metadata or host service
	Multicast                  // also anycast-to-all and broadcast
	Documentation              // RFC 5737, RFC 3849, RFC 9637
	Reserved                   // everything else that is not for use
)

// Classify returns the class of an address, and of the IPv4 address inside when
// it is an IPv6 address that carries one; the worse of the two counts.
func Classify(a netip.Addr) Class { return Public }

// A Policy says which addresses may be connected to. The zero value allows public
// ones. It is a value; do not change it while it is in use.
type Policy struct {
	// AllowPrivate also allows loopback, private and link-local addresses.
	AllowPrivate bool
	// Own are the addresses and ports we listen on ourselves: never connected to.
	// An unspecified address stands for loopback; use Listening to find the rest.
	Own []netip.AddrPort
}

// Check returns nil when the policy allows a connection, else a *[Refusal].
func (p Policy) Check(a netip.AddrPort) error { return nil }

// ControlContext is a check in the form of net.Dialer.ControlContext. It sees the
// address that the socket will really be connected to, after every resolution.
func (p Policy) ControlContext(_ context.Context, network, address string, _ syscall.RawConn) error {
	return nil
}

// A Refusal is the error for an address that must not be connected to.
type Refusal struct {
	Addr  netip.AddrPort
	Class Class
	Own   bool // it is where we listen ourselves
}

// Error tells the address and the reason.
func (r *Refusal) Error() string { return "" }

// Listening returns the addresses that listeners answer on: an unspecified
// address becomes every address of this machine's interfaces.
func Listening(listeners ...netip.AddrPort) ([]netip.AddrPort, error) { return listeners, nil }
