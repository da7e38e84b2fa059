package mx_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/mx"
)

const zone = `
one        MX 10 mx.one
mx.one     A  192.0.2.1
order      MX 30 c.order
order      MX 10 a.order
order      MX 20 b.order
twice      MX 20 a.order
twice      MX 10 A.Order
null       MX 0 .
nullpref   MX 10 .
nulltwice  MX 0 .
nulltwice  MX 5 .
nullmixed  MX 0 .
nullmixed  MX 10 mx.one
implicit   A 192.0.2.2
implicit6  AAAA 2001:db8::2
nothing    TXT "no mail here"
literal    MX 10 192.0.2.1.
single     MX 10 localhost.
odd        MX 10 a\.b.one
odd        MX 10 a\032b.one
odd        MX 10 192.0.2.1.
partly     MX 5 192.0.2.1.
partly     MX 10 mx.one
underscore MX 10 my_mx.one
alias      CNAME one
aliasimpl  CNAME implicit
aliasgone  CNAME gone
loop1      CNAME loop2
loop2      CNAME loop1
`

// SEC-42, SEC-43
func TestResolve(t *testing.T) {
	tests := []struct {
		domain   string
		state    mx.State
		hosts    string
		skipped  int
		expanded string // "" is the domain
		implicit bool
	}{
		{domain: "one.zone.test", state: mx.Found, hosts: "10 mx.one.zone.test"},
		{domain: "order.zone.test", state: mx.Found, hosts: "10 a.order.zone.test, 20 b.order.zone.test, 30 c.order.zone.test"},
		{domain: "twice.zone.test", state: mx.Found, hosts: "10 a.order.zone.test"},
		{domain: "underscore.zone.test", state: mx.Found, hosts: "10 my_mx.one.zone.test"},

		{domain: "null.zone.test", state: mx.NullMX},
		{domain: "nullpref.zone.test", state: mx.NullMX},
		{domain: "nulltwice.zone.test", state: mx.NullMX},
		{domain: "nullmixed.zone.test", state: mx.Found, hosts: "10 mx.one.zone.test", skipped: 1},

		{domain: "implicit.zone.test", state: mx.Found, hosts: "0 implicit.zone.test", implicit: true},
		{domain: "implicit6.zone.test", state: mx.Found, hosts: "0 implicit6.zone.test", implicit: true},
		{domain: "nothing.zone.test", state: mx.NoRecords},
		{domain: "gone.zone.test", state: mx.NoSuchDomain},

		{domain: "literal.zone.test", state: mx.NoHosts, skipped: 1},
		{domain: "single.zone.test", state: mx.NoHosts, skipped: 1},
		{domain: "odd.zone.test", state: mx.NoHosts, skipped: 3},
		{domain: "partly.zone.test", state: mx.Found, hosts: "10 mx.one.zone.test", skipped: 1},

		{domain: "alias.zone.test", state: mx.Found, hosts: "10 mx.one.zone.test", expanded: "one.zone.test"},
		{domain: "aliasimpl.zone.test", state: mx.Found, hosts: "0 aliasimpl.zone.test", expanded: "implicit.zone.test", implicit: true},
		{domain: "aliasgone.zone.test", state: mx.NoSuchDomain, expanded: "gone.zone.test"},
		{domain: "loop1.zone.test", state: mx.TemporaryFailure},
		{domain: "", state: mx.TemporaryFailure},
	}
	for _, secure := range []bool{true, false} {
		r := mx.New(dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Secure: secure, Records: zone}).Resolver(t), nil)
		for _, tt := range tests {
			if tt.expanded == "" {
				tt.expanded = tt.domain
			}
			got := r.Resolve(t.Context(), tt.domain)
			if got.State != tt.state || hosts(got) != tt.hosts || len(got.Skipped) != tt.skipped || got.Expanded != tt.expanded || got.Implicit != tt.implicit {
				t.Errorf("%s: %+v\nwant %+v", tt.domain, got, tt)
			}
			if want := secure && tt.state != mx.TemporaryFailure; got.Secure != want {
				t.Errorf("%s: secure %t, want %t", tt.domain, got.Secure, want)
			}
			if (got.Err != nil) != (tt.state == mx.TemporaryFailure) || got.Asked.IsZero() {
				t.Errorf("%s: err %v, asked %s with state %s", tt.domain, got.Err, got.Asked, got.State)
			}
			for _, h := range got.Hosts {
				if h.Name == "" { // SEC-42
					t.Errorf("%s: an empty host name", tt.domain)
				}
			}
		}
	}
}

func hosts(r mx.Result) string {
	var parts []string
	for _, h := range r.Hosts {
		parts = append(parts, fmt.Sprintf("%d %s", h.Preference, h.Name))
	}
	return strings.Join(parts, ", ")
}

// answers is a resolver that knows three answers.
type answers map[dnssec.Type]dnssec.Answer

func (a answers) Lookup(_ context.Context, name string, t dnssec.Type) dnssec.Answer {
	found := a[t]
	found.Name, found.Canonical, found.Type = name, name, t
	return found
}

// A domain without anything is securely so only when all three denials are.
func TestNoRecordsIsAsSecureAsItsWeakestDenial(t *testing.T) {
	for _, weak := range []dnssec.Type{0, dnssec.MX, dnssec.A, dnssec.AAAA} {
		dns := answers{}
		for _, typ := range []dnssec.Type{dnssec.MX, dnssec.A, dnssec.AAAA} {
			dns[typ] = dnssec.Answer{State: dnssec.NoData, Secure: typ != weak}
		}
		got := mx.New(dns, nil).Resolve(t.Context(), "zone.test")
		if got.State != mx.NoRecords || !got.State.Absence() || got.Secure != (weak == 0) {
			t.Errorf("%s insecure: %s secure=%t", weak, got.State, got.Secure)
		}
	}
}

// SEC-44: trouble at any of the three questions is temporary, unless what was
// found is enough to deliver.
func TestTroubleIsTemporary(t *testing.T) {
	faults := map[string]dnstest.Fault{
		"SERVFAIL": {RCode: 2}, "REFUSED": {RCode: 5}, "silence": {Drop: true}, "truncated": {Truncate: true, TruncTCP: true},
		"lame": {NoRecurse: true}, "garbage": {Garbage: true}, "filtered": {RCode: 3, EDE: 15},
	}
	tests := []struct {
		domain string
		broken dnssec.Type
		want   mx.State
	}{
		{"one.zone.test", dnssec.MX, mx.TemporaryFailure},
		{"null.zone.test", dnssec.MX, mx.TemporaryFailure},
		{"gone.zone.test", dnssec.MX, mx.TemporaryFailure},
		{"implicit.zone.test", dnssec.MX, mx.TemporaryFailure}, // never the address instead
		{"implicit.zone.test", dnssec.A, mx.TemporaryFailure},
		{"implicit.zone.test", dnssec.AAAA, mx.Found},
		{"implicit6.zone.test", dnssec.A, mx.Found},
		{"nothing.zone.test", dnssec.A, mx.TemporaryFailure},
		{"nothing.zone.test", dnssec.AAAA, mx.TemporaryFailure},
	}
	for name, fault := range faults {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s at %s of %s", name, tt.broken, tt.domain), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Secure: true, Records: zone})
					s.SetFault(tt.domain, tt.broken, fault)
					got := mx.New(s.Resolver(t), nil).Resolve(t.Context(), tt.domain)
					if got.State != tt.want || got.State.Absence() {
						t.Errorf("%s (%v), want %s", got.State, got.Err, tt.want)
					}
				})
			})
		}
	}
}

// SEC-43: at most ten hosts, the best ones, and equals in an order of their own
// for every message.
func TestManyHosts(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Records: "$GENERATE 1-50 @ MX 20 second$\n$GENERATE 1-5 @ MX 10 first$\n"})
	r := mx.New(s.Resolver(t), rand.NewPCG(1, 2))
	orders := map[string]bool{}
	seen := map[string]bool{}
	for range 50 {
		got := r.Resolve(t.Context(), "zone.test")
		if len(got.Hosts) != mx.MaxHosts {
			t.Fatalf("%d hosts, want %d", len(got.Hosts), mx.MaxHosts)
		}
		for i, h := range got.Hosts {
			if want := map[bool]uint16{true: 10, false: 20}[i < 5]; h.Preference != want {
				t.Fatalf("host %d has preference %d in %s", i, h.Preference, hosts(got))
			}
			seen[h.Name] = true
		}
		orders[hosts(got)] = true
	}
	if len(orders) < 45 || len(seen) < 45 {
		t.Errorf("%d orders with %d of 55 hosts in 50 calls", len(orders), len(seen))
	}
	again := func() string {
		return hosts(mx.New(s.Resolver(t), rand.NewPCG(7, 7)).Resolve(t.Context(), "zone.test"))
	}
	if a, b := again(), again(); a != b {
		t.Errorf("the same source gave %s and %s", a, b)
	}
}
