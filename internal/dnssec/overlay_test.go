package dnssec_test

import (
	"net/netip"
	"testing"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
)

func TestOverlay(t *testing.T) {
	addr := func(s string) dnssec.Record { return dnssec.Record{Addr: netip.MustParseAddr(s)} }
	s := dnstest.Start(t, zones()...)
	o, err := dnssec.NewOverlay(s.Resolver(t), "lab.test", true, []dnssec.StaticRecord{
		{Name: "good.lab.test", Type: dnssec.MX, Record: dnssec.Record{Preference: 10, Host: "MX.good.lab.test."}},
		{Name: "mx.good.lab.test", Type: dnssec.A, Record: addr("127.0.0.1")},
		{Name: "*.many.lab.test", Type: dnssec.A, Record: addr("127.0.0.2")},
		{Name: "alias.lab.test", Type: dnssec.CNAME, Record: dnssec.Record{Host: "mx.good.lab.test"}},
		{Name: "away.lab.test", Type: dnssec.CNAME, Record: dnssec.Record{Host: "host.insecure.test"}},
		{Name: "home.lab.test", Type: dnssec.CNAME, Record: dnssec.Record{Host: "mx.secure.test"}},
		{Name: "loop.lab.test", Type: dnssec.CNAME, Record: dnssec.Record{Host: "loop.lab.test"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		typ       dnssec.Type
		state     dnssec.State
		secure    bool
		canonical string
		records   string
	}{
		{"Good.lab.test.", dnssec.MX, dnssec.Found, true, "good.lab.test", "10 mx.good.lab.test"},
		{"mx.good.lab.test", dnssec.A, dnssec.Found, true, "mx.good.lab.test", "127.0.0.1"},
		{"mx.good.lab.test", dnssec.AAAA, dnssec.NoData, true, "mx.good.lab.test", ""},
		{"many.lab.test", dnssec.A, dnssec.NoData, true, "many.lab.test", ""},
		{"x.many.lab.test", dnssec.A, dnssec.Found, true, "x.many.lab.test", "127.0.0.2"},
		{"y.x.many.lab.test", dnssec.A, dnssec.Found, true, "y.x.many.lab.test", "127.0.0.2"},
		{"alias.lab.test", dnssec.A, dnssec.Found, true, "mx.good.lab.test", "127.0.0.1"},
		{"alias.lab.test", dnssec.CNAME, dnssec.Found, true, "alias.lab.test", "0 mx.good.lab.test"},
		{"away.lab.test", dnssec.A, dnssec.Found, false, "host.insecure.test", "192.0.2.77"},
		{"home.lab.test", dnssec.A, dnssec.Found, true, "mx.secure.test", "192.0.2.1"},
		{"loop.lab.test", dnssec.A, dnssec.Failed, false, "loop.lab.test", ""},
		{"gone.lab.test", dnssec.A, dnssec.NXDomain, true, "gone.lab.test", ""},
		{"lab.test", dnssec.A, dnssec.NoData, true, "lab.test", ""},
		{"mx.secure.test", dnssec.A, dnssec.Found, true, "mx.secure.test", "192.0.2.1"},
		{"notlab.test", dnssec.A, dnssec.Failed, false, "notlab.test", ""},
	}
	for _, tt := range tests {
		a := o.Lookup(t.Context(), tt.name, tt.typ)
		if a.State != tt.state || a.Secure != tt.secure || a.Canonical != tt.canonical || show(a) != tt.records {
			t.Errorf("%s %s: %s secure=%t %s %q (%v)\nwant %s secure=%t %s %q", tt.name, tt.typ,
				a.State, a.Secure, a.Canonical, show(a), a.Err(), tt.state, tt.secure, tt.canonical, tt.records)
		}
	}
	for _, q := range s.Queries() {
		if q.Name == "good.lab.test" || q.Name == "gone.lab.test" {
			t.Errorf("the overlay passed %s on", q.Name)
		}
	}
}

func TestOverlayRefusesRecordsOutsideItsSuffix(t *testing.T) {
	for _, name := range []string{"example.com", "xlab.test", "", "lab.test."} {
		_, err := dnssec.NewOverlay(nil, "lab.test", false, []dnssec.StaticRecord{{Name: name, Type: dnssec.A}})
		if got, want := err == nil, name == "lab.test."; got != want {
			t.Errorf("record %q: %v, want accepted %t", name, err, want)
		}
	}
	for _, suffix := range []string{"", ".", "a b"} {
		if _, err := dnssec.NewOverlay(nil, suffix, false, nil); err == nil {
			t.Errorf("suffix %q accepted", suffix)
		}
	}
}
