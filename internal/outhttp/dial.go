package outhttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// addressTime is how long one address of several may take to connect.
const addressTime = 10 * time.Second

// maxAddresses of a name are tried.
const maxAddresses = 6

// A Dialer connects to hosts that somebody else has named.
type Dialer struct {
	// Lookup returns the addresses of a name. None and no error is a name without one.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	// Dial connects to an address and port, if the policy on addresses lets it. It is the
	// one that knows the address of the socket.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// DialContext connects to host:port, trying the host's addresses one after the other.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := d.Addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		patience, cancel := context.WithTimeout(ctx, addressTime)
		conn, err := d.Dial(patience, network, net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// Check says why a URL could not be called: it is none, its host does not exist, or none
// of the host's addresses is allowed. It is for the one who names the URL; what counts is
// the check when a connection is made. A host that cannot be looked up at the moment is taken.
func (d Dialer) Check(ctx context.Context, address string, allowed func(netip.AddrPort) error) error {
	u, err := ParseURL(address)
	if err != nil {
		return err
	}
	port := uint64(443)
	if u.Scheme == "http" {
		port = 80
	}
	if u.Port() != "" {
		port, _ = strconv.ParseUint(u.Port(), 10, 16) // ParseURL looked at it
	}
	addrs, err := d.Addresses(ctx, u.Hostname())
	if errors.Is(err, ErrNoAddress) {
		return ErrNoAddress
	}
	for _, a := range addrs {
		if allowed(netip.AddrPortFrom(a, uint16(port))) == nil {
			return nil
		}
	}
	if len(addrs) == 0 {
		return nil
	}
	return errors.New("its address may not be called: it is not a public one")
}

// ErrNoAddress: the name does not exist, or has no address.
var ErrNoAddress = errors.New("host not found")

// Addresses returns what a host resolves to: itself if it is an address. Names below
// localhost are this machine, whatever a resolver says (RFC 6761 section 6.3).
func (d Dialer) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	addrs, err := d.Lookup(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	if len(addrs) == 0 {
		return nil, ErrNoAddress
	}
	return addrs, nil
}
