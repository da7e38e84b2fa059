package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/lab"
	"github.com/sealpost/sealpost/internal/mtasts"
)

// buildSTS makes the memory of recipients' MTA-STS policies. Policy hosts are reached
// under the same guard as MX hosts, but not from the addresses that mail leaves from.
func (a *app) buildSTS(ctx context.Context, roots *x509.CertPool) (err error) {
	var dial lab.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{ControlContext: a.guard.policy.ControlContext}
		return d.DialContext(ctx, network, address)
	}
	if l := a.opts.lab; l != nil {
		dial, roots = l.Dial(dial), l.Roots(roots)
	}
	a.sts, err = mtasts.Open(ctx, mtasts.Config{
		Resolver: a.resolver, Dial: mtasts.Dialer(dial), Roots: roots, Store: a.store, Log: a.log, Port: a.opts.PolicyPort,
	})
	if err != nil {
		return fmt.Errorf("set up MTA-STS: %w", err)
	}
	return nil
}

// dane returns what finds the TLSA records of MX hosts. They are those of the port that
// mail goes to.
func (a *app) dane() *dane.Resolver { return dane.New(a.resolver, a.cfg.Delivery.Port) }
