package dnstest_test

import (
	"net"
	"testing"

	"github.com/miekg/dns"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
)

// ask sends one query over a real socket.
func ask(t *testing.T, network, addr, name string, typ uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, typ)
	m.SetEdns0(1232, false)
	r, _, err := (&dns.Client{Net: network}).Exchange(m, addr)
	if err != nil {
		t.Fatalf("%s %s over %s: %v", name, dns.TypeToString[typ], network, err)
	}
	return r
}

func TestServerOverSockets(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Secure: true, Records: "@ MX 10 mx\nmx A 127.0.0.1\n*.wild A 127.0.0.2\na.b.c A 127.0.0.3"})
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.SetSecure("mx.zone.test", false)
	s.SetFault("zone.test", dnssec.TXT, dnstest.Fault{RCode: dns.RcodeServerFailure, EDE: 6, EDEText: "bogus", Times: 2})
	tests := []struct {
		name    string
		typ     uint16
		rcode   int
		answers int
		ad      bool
	}{
		{"zone.test.", dns.TypeMX, dns.RcodeSuccess, 1, true},
		{"mx.zone.test.", dns.TypeA, dns.RcodeSuccess, 1, false},
		{"x.y.wild.zone.test.", dns.TypeA, dns.RcodeSuccess, 1, true},
		{"b.c.zone.test.", dns.TypeA, dns.RcodeSuccess, 0, true},
		{"gone.zone.test.", dns.TypeA, dns.RcodeNameError, 0, true},
		{"other.test.", dns.TypeA, dns.RcodeRefused, 0, false},
		{"zone.test.", dns.TypeTXT, dns.RcodeServerFailure, 0, false},
	}
	for _, network := range []string{"udp", "tcp"} {
		for _, tt := range tests {
			r := ask(t, network, addr.String(), tt.name, tt.typ)
			if r.Rcode != tt.rcode || len(r.Answer) != tt.answers || r.AuthenticatedData != tt.ad {
				t.Errorf("%s over %s: %v\nwant rcode %d, %d answers, AD %t", tt.name, network, r, tt.rcode, tt.answers, tt.ad)
			}
		}
	}
	if r := ask(t, "udp", addr.String(), "zone.test.", dns.TypeTXT); r.Rcode != dns.RcodeSuccess {
		t.Errorf("the fault hit a third time: %v", r)
	}
	if n := s.Count("ZONE.test.", 0); n != 5 {
		t.Errorf("counted %d queries, want 5", n)
	}
}

func TestCloseFreesThePort(t *testing.T) {
	s := dnstest.Start(t)
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatalf("still taken: %v", err)
	}
	ln.Close()
	if _, err := s.Dial(t.Context(), "udp", ""); err == nil {
		t.Error("dialled a closed server")
	}
}

func TestSetZoneReplaces(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{Origin: "zone.test", Records: "mx 0 A 192.0.2.1"})
	r := s.Resolver(t)
	if a := r.Lookup(t.Context(), "mx.zone.test", dnssec.A); a.State != dnssec.Found {
		t.Fatalf("%s (%v)", a.State, a.Err())
	}
	if err := s.SetZone(dnstest.Zone{Origin: "Zone.test."}); err != nil {
		t.Fatal(err)
	}
	if a := r.Lookup(t.Context(), "mx.zone.test", dnssec.A); a.State != dnssec.NXDomain {
		t.Errorf("%s (%v), want no such name", a.State, a.Err())
	}
}

func TestBadZonesAreRefused(t *testing.T) {
	for _, records := range []string{"mx A not-an-address", "other.test. A 192.0.2.1", "mx MX"} {
		if _, err := dnstest.New(dnstest.Zone{Origin: "zone.test", Records: records}); err == nil {
			t.Errorf("accepted %q", records)
		}
	}
	s := dnstest.Start(t)
	if err := s.SetSequence("a.test", dnssec.A, 0, []string{"x"}); err == nil {
		t.Error("accepted a sequence of nonsense")
	}
}

// The root can be a zone like any other.
func TestRootZone(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{Origin: ".", Secure: true, Records: "@ NS a.root.test.\na.root.test. A 192.0.2.1\n*.wild. A 192.0.2.2"})
	r := s.Resolver(t)
	for name, want := range map[string]dnssec.State{"a.root.test": dnssec.Found, "root.test": dnssec.NoData, "x.wild": dnssec.Found, "gone.test": dnssec.NXDomain, "gone": dnssec.NXDomain} {
		if a := r.Lookup(t.Context(), name, dnssec.A); a.State != want || !a.Secure {
			t.Errorf("%s: %s secure=%t (%v), want %s", name, a.State, a.Secure, a.Err(), want)
		}
	}
}
