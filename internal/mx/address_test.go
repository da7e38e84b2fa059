package mx_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/mx"
)

func TestAddresses(t *testing.T) {
	servfail := dnstest.Fault{RCode: 2}
	tests := []struct {
		name     string
		host     string
		faults   map[dnssec.Type]dnstest.Fault
		state    dnssec.State
		addrs    string
		secure   bool
		expanded string
		err      bool
	}{
		{name: "both families", host: "both.sec.test", state: dnssec.Found, addrs: "2001:db8::1 192.0.2.1", secure: true},
		{name: "IPv4 only", host: "four.sec.test", state: dnssec.Found, addrs: "192.0.2.4", secure: true},
		{name: "IPv6 only", host: "six.sec.test", state: dnssec.Found, addrs: "2001:db8::6", secure: true},
		{name: "unsigned", host: "host.plain.test", state: dnssec.Found, addrs: "192.0.2.9"},
		{name: "alias", host: "alias.sec.test", state: dnssec.Found, addrs: "192.0.2.4", secure: true, expanded: "four.sec.test"},
		{name: "alias into unsigned", host: "out.sec.test", state: dnssec.Found, addrs: "192.0.2.9", expanded: "host.plain.test"},
		{name: "no address", host: "none.sec.test", state: dnssec.NoData, secure: true},
		{name: "no such host", host: "gone.sec.test", state: dnssec.NXDomain, secure: true},
		// SEC-44: an error on one family hides nothing and denies nothing.
		{name: "AAAA fails, A there", host: "four.sec.test", faults: map[dnssec.Type]dnstest.Fault{dnssec.AAAA: servfail}, state: dnssec.Found, addrs: "192.0.2.4", secure: true, err: true},
		{name: "A fails, AAAA there", host: "six.sec.test", faults: map[dnssec.Type]dnstest.Fault{dnssec.A: servfail}, state: dnssec.Found, addrs: "2001:db8::6", secure: true, err: true},
		{name: "AAAA fails, A denied", host: "six.sec.test", faults: map[dnssec.Type]dnstest.Fault{dnssec.AAAA: servfail}, state: dnssec.Failed, err: true},
		{name: "A fails, AAAA denied", host: "four.sec.test", faults: map[dnssec.Type]dnstest.Fault{dnssec.A: servfail}, state: dnssec.Failed, err: true},
		{name: "A fails, AAAA says no such name", host: "four.sec.test", faults: map[dnssec.Type]dnstest.Fault{dnssec.A: servfail, dnssec.AAAA: {RCode: 3}}, state: dnssec.Failed, err: true},
		{name: "both fail", host: "both.sec.test", faults: map[dnssec.Type]dnstest.Fault{0: servfail}, state: dnssec.Failed, err: true},
		{name: "families disagree about existing", host: "none.sec.test", faults: map[dnssec.Type]dnstest.Fault{dnssec.A: {RCode: 3}}, state: dnssec.NoData},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := dnstest.Start(t,
				dnstest.Zone{Origin: "sec.test", Secure: true, Records: "both A 192.0.2.1\nboth AAAA 2001:db8::1\nfour A 192.0.2.4\nsix AAAA 2001:db8::6\nalias CNAME four\nout CNAME host.plain.test.\nnone TXT x\n"},
				dnstest.Zone{Origin: "plain.test", Records: "host A 192.0.2.9\n"})
			for typ, f := range tt.faults {
				s.SetFault(tt.host, typ, f)
			}
			if tt.expanded == "" {
				tt.expanded = tt.host
			}
			got := mx.New(s.Resolver(t), nil).Addresses(t.Context(), tt.host)
			if got.State != tt.state || list(got) != tt.addrs || got.Secure != tt.secure || got.Expanded != tt.expanded || (got.Err != nil) != tt.err {
				t.Errorf("got %+v\nwant %+v", got, tt)
			}
		})
	}
}

func list(r mx.AddressResult) string {
	var parts []string
	for _, a := range r.Addrs {
		parts = append(parts, a.String())
	}
	return strings.Join(parts, " ")
}

// SEC-43: a hundred addresses are eight, families taking turns.
func TestManyAddresses(t *testing.T) {
	tests := []struct {
		six, four int
		want      string // families in order
	}{
		{50, 50, "64646464"}, {2, 50, "64644444"}, {50, 1, "64666666"}, {0, 50, "44444444"}, {3, 1, "6466"},
	}
	for _, tt := range tests {
		var b strings.Builder
		for i := range tt.six {
			fmt.Fprintf(&b, "mx AAAA 2001:db8::%x\n", i+1)
		}
		for i := range tt.four {
			fmt.Fprintf(&b, "mx A 192.0.2.%d\n", i+1)
		}
		s := dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Records: b.String()})
		r := mx.New(s.Resolver(t), rand.NewPCG(1, 1))
		orders := map[string]bool{}
		for range 20 {
			res := r.Addresses(t.Context(), "mx.zone.test")
			got := ""
			for _, a := range res.Addrs {
				got += map[bool]string{true: "6", false: "4"}[a.Is6()]
			}
			if got != tt.want {
				t.Errorf("%d and %d addresses: %s, want %s", tt.six, tt.four, got, tt.want)
			}
			orders[list(res)] = true
		}
		if len(orders) < 2 {
			t.Errorf("%d and %d addresses: always in the same order", tt.six, tt.four)
		}
	}
}

func TestFamiliesAreAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Records: "mx A 192.0.2.1"})
		s.SetFault("mx.zone.test", 0, dnstest.Fault{Delay: 3 * time.Second})
		start := time.Now()
		mx.New(s.Resolver(t), nil).Addresses(t.Context(), "mx.zone.test")
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %s, want 3 s", d)
		}
	})
}

// SEC-47: a name that changes its answer is resolved once per call, with TTL 0 too.
func TestFlippingAddress(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Records: "mx TXT x"})
	if err := s.SetSequence("mx.zone.test", dnssec.A, 0, []string{"192.0.2.1"}, []string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	r := mx.New(s.Resolver(t), nil)
	for _, want := range []string{"192.0.2.1", "127.0.0.1", "127.0.0.1"} {
		if got := list(r.Addresses(t.Context(), "mx.zone.test")); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if n := s.Count("mx.zone.test", dnssec.A); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}
