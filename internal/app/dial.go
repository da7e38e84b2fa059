package app

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/config"
)

// A dialer is the one way to open connections to MX hosts. It is safe for concurrent use.
type dialer struct {
	guard *guard
	log   *slog.Logger
	all   []netip.Addr // the addresses to come from; none: the system chooses
	turn  atomic.Uint32
}

func newDialer(cfg config.Delivery, g *guard, log *slog.Logger) *dialer {
	d := &dialer{guard: g, log: log}
	for _, a := range cfg.SourceAddresses {
		d.all = append(d.all, a.Unmap())
	}
	return d
}

// dial connects from the addresses of the configuration in turn.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return d.from(ctx, d.all, network, address)
}

// dialFrom connects from one of the given addresses. When none of them is in the configuration any
// more, mail that was accepted for them leaves from another rather than never; the log
// of the delivery says from where it did.
func (d *dialer) dialFrom(ctx context.Context, from []netip.Addr, network, address string) (net.Conn, error) {
	left := slices.DeleteFunc(slices.Clone(from), func(a netip.Addr) bool { return !slices.Contains(d.all, a) })
	if len(left) == 0 {
		d.log.WarnContext(ctx, "the addresses that a message was to leave from are not in delivery.source_addresses any more", "addresses", from)
		left = d.all
	}
	return d.from(ctx, left, network, address)
}

func (d *dialer) from(ctx context.Context, list []netip.Addr, network, address string) (net.Conn, error) {
	nd := net.Dialer{KeepAlive: 2 * time.Minute, ControlContext: d.guard.policy.ControlContext}
	if ap, err := netip.ParseAddrPort(address); err == nil {
		if a, ok := d.next(list, ap.Addr()); ok {
			nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
		}
	}
	return nd.DialContext(ctx, network, address)
}

// next returns the next of the addresses that can connect to the given one, or false if the system
// is to choose.
func (d *dialer) next(list []netip.Addr, to netip.Addr) (netip.Addr, bool) {
	var same []netip.Addr
	for _, a := range list {
		if a.Is4() == to.Unmap().Is4() {
			same = append(same, a)
		}
	}
	if len(same) == 0 {
		return netip.Addr{}, false
	}
	return same[int(d.turn.Add(1)-1)%len(same)], true
}
