package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/tlsrpt"
	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

// buildReports makes the room that counts TLS sessions and reports them. It comes before
// delivery, which tells it, and is given the front door when it runs.
func (a *app) buildReports(ctx context.Context, roots *x509.CertPool) error {
	set := a.cfg.TLSRPT
	var from mail.Address
	if set.From != "" {
		var err error
		if from, err = mail.ParseAddress(set.From); err != nil { // checked with the configuration
			return &StartError{fmt.Errorf("tlsrpt.from: %w", err)}
		}
	}
	var err error
	a.reports, err = tlsrpt.Open(ctx, tlsrpt.Config{From: from, Organization: set.Organization, Contact: set.Contact}, tlsrpt.Deps{
		Store: a.store, Resolver: recordResolver{a.resolver}, Dial: a.dialByName, Roots: roots, Log: a.log,
	})
	return err
}

// dialByName connects to a host that a stranger has named. It is found with the resolver
// of the configuration, and each of its addresses must pass the guard.
func (a *app) dialByName(ctx context.Context, network, address string) (net.Conn, error) {
	return outhttp.Dialer{Lookup: a.addresses, Dial: newDialer(a.cfg.Delivery, a.guard, a.log).dial}.DialContext(ctx, network, address)
}

// addresses returns the addresses of a name, those of IPv6 first.
func (a *app) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	var found []netip.Addr
	var failed []error
	for _, t := range []dnssec.Type{dnssec.AAAA, dnssec.A} {
		answer := a.resolver.Lookup(ctx, name, t)
		if err := answer.Err(); err != nil {
			failed = append(failed, err)
		}
		for _, r := range answer.Records {
			found = append(found, r.Addr)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	return nil, errors.Join(failed...)
}

// reportsWanted says where a domain wants TLS reports to be sent. None and no error is a
// domain that asks for none.
func (a *app) reportsWanted(ctx context.Context, domain string) ([]string, error) {
	texts, err := recordResolver{a.resolver}.LookupTXT(ctx, report.RecordName(domain))
	if err != nil {
		return nil, err
	}
	destinations, err := report.ParseRecord(texts)
	if errors.Is(err, report.ErrNoRecord) {
		return nil, nil
	}
	var rua []string
	for _, d := range destinations {
		rua = append(rua, d.URI)
	}
	return rua, err
}

// reportMetrics declares the metrics of TLS reports; the help says what is normal.
func reportMetrics(r *tlsrpt.Room) []prometheus.Collector {
	counter := func(name, help string, label prometheus.Labels, value func(tlsrpt.Stats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "sealpost_tlsrpt_" + name, Help: help, ConstLabels: label},
			func() float64 { return float64(value(r.Stats())) })
	}
	const (
		reports = "TLS reports by outcome: sent; given-up (nobody took it within a day); refused (the record that asks for it cannot be used); unasked (no such record). Unasked is most; a few of the others are normal."
		dropped = "TLS sessions not counted for reports, or not in full, by the limit that was reached: domains (policy domains, policies or memory of a day), details (kinds of failure of a domain), late (their day was closed). Normal is 0."
	)
	outcome := func(o string) prometheus.Labels { return prometheus.Labels{"outcome": o} }
	limit := func(l string) prometheus.Labels { return prometheus.Labels{"limit": l} }
	return []prometheus.Collector{
		counter("sessions_total", "TLS sessions counted for reports, once for each policy.", nil, func(s tlsrpt.Stats) int64 { return s.Sessions }),
		counter("dropped_total", dropped, limit("domains"), func(s tlsrpt.Stats) int64 { return s.DroppedDomains }),
		counter("dropped_total", dropped, limit("details"), func(s tlsrpt.Stats) int64 { return s.DroppedDetails }),
		counter("dropped_total", dropped, limit("late"), func(s tlsrpt.Stats) int64 { return s.DroppedLate }),
		counter("reports_total", reports, outcome("sent"), func(s tlsrpt.Stats) int64 { return s.Sent }),
		counter("reports_total", reports, outcome("given-up"), func(s tlsrpt.Stats) int64 { return s.GivenUp }),
		counter("reports_total", reports, outcome("refused"), func(s tlsrpt.Stats) int64 { return s.Refused }),
		counter("reports_total", reports, outcome("unasked"), func(s tlsrpt.Stats) int64 { return s.Unasked }),
	}
}
