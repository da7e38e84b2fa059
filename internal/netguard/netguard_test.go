package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// SEC-41: every class, its edges, and every way to hide one address in another.
func TestClassify(t *testing.T) {
	tests := []struct {
		addr string
		want Class
	}{
		{"8.8.8.8", Public},
		{"1.1.1.1", Public},
		{"9.255.255.255", Public},
		{"11.0.0.0", Public},
		{"100.63.255.255", Public},
		{"100.128.0.0", Public},
		{"126.255.255.255", Public},
		{"128.0.0.0", Public},
		{"172.15.255.255", Public},
		{"172.32.0.0", Public},
		{"223.255.255.255", Public},
		{"2606:4700::1111", Public},
		{"2a00:1450:4001::1a", Public},

		{"0.0.0.0", Unspecified},
		{"::", Unspecified},
		{"::ffff:0.0.0.0", Unspecified},
		{"0.0.0.1", Reserved},
		{"0.255.255.255", Reserved},

		{"127.0.0.1", Loopback},
		{"127.255.255.254", Loopback},
		{"::1", Loopback},

		{"10.0.0.1", Private},
		{"10.255.255.255", Private},
		{"100.64.0.1", Private},
		{"100.127.255.255", Private},
		{"172.16.0.1", Private},
		{"172.31.255.255", Private},
		{"192.168.0.1", Private},
		{"fc00::1", Private},
		{"fdff:ffff::1", Private},
		{"fec0::1", Private},

		{"169.254.0.1", LinkLocal},
		{"169.254.255.255", LinkLocal},
		{"fe80::1", LinkLocal},
		{"fe80::1%eth0", LinkLocal},
		{"febf::1", LinkLocal},

		{"169.254.169.254", Metadata},
		{"169.254.170.2", Metadata},
		{"100.100.100.200", Metadata},
		{"168.63.129.16", Metadata},
		{"192.0.0.192", Metadata},
		{"fd00:ec2::254", Metadata},
		{"fd00:ec2::254%eth0", Metadata},
		{"fd20:ce::254", Metadata},

		{"224.0.0.1", Multicast},
		{"239.255.255.255", Multicast},
		{"ff02::1", Multicast},

		{"192.0.2.1", Documentation},
		{"198.51.100.7", Documentation},
		{"203.0.113.255", Documentation},
		{"2001:db8::1", Documentation},
		{"3fff:fff::1", Documentation},

		{"192.0.0.8", Reserved},
		{"192.88.99.1", Reserved},
		{"198.18.0.1", Reserved},
		{"198.19.255.255", Reserved},
		{"240.0.0.1", Reserved},
		{"255.255.255.255", Reserved},
		{"100::1", Reserved},
		{"2001:2::1", Reserved},
		{"5f00::1", Reserved},
		{"4000::1", Reserved},

		// mapped
		{"::ffff:127.0.0.1", Loopback},
		{"::ffff:10.0.0.1", Private},
		{"::ffff:169.254.169.254", Metadata},
		{"::ffff:8.8.8.8", Public},
		// compatible and translated: reserved at best
		{"::127.0.0.1", Reserved},
		{"::169.254.169.254", Metadata},
		{"::8.8.8.8", Reserved},
		{"::ffff:0:169.254.169.254", Metadata},
		// NAT64, well-known prefix
		{"64:ff9b::8.8.8.8", Public},
		{"64:ff9b::127.0.0.1", Loopback},
		{"64:ff9b::192.168.1.1", Private},
		{"64:ff9b::169.254.169.254", Metadata},
		// NAT64, local prefix: /96, /48, /56 and /64 forms
		{"64:ff9b:1::8.8.8.8", Private},
		{"64:ff9b:1::169.254.169.254", Metadata},
		{"64:ff9b:1:a9fe:a9:fe00::1", Metadata},
		{"64:ff9b:1:a9:fe:a9fe:0:1", Metadata},
		{"64:ff9b:1::", Unspecified},
		{"64:ff9b:1:0101:a9:fea9:fe00:0", Metadata},
		{"64:ff9b:1:0101:01:0101:a9fe:a9fe", Metadata},
		{"64:ff9b:1:0808:08:0808:0808:0808", Private},
		// 6to4
		{"2002:0808:0808::1", Public},
		{"2002:7f00:1::1", Loopback},
		{"2002:a9fe:a9fe::1", Metadata},
		{"2002:c0a8:101::", Private},
		{"2002::", Unspecified},
		// Teredo: server in the open, client inverted
		{"2001:0:0808:0808::f7f7:f7f7", Public},
		{"2001:0:0808:0808::80ff:fffe", Loopback},
		{"2001:0:0808:0808::5601:5601", Metadata},
		{"2001:0:a9fe:a9fe::f7f7:f7f7", Metadata},
		// ISATAP, both marks, and under a private prefix
		{"2606:4700::5efe:8.8.8.8", Public},
		{"2606:4700::5efe:10.0.0.1", Private},
		{"2606:4700::200:5efe:127.0.0.1", Loopback},
		{"fe80::5efe:169.254.169.254", Metadata},
		{"fe80::5efe:8.8.8.8", LinkLocal},
	}
	for _, tt := range tests {
		if got := Classify(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("Classify(%s) = %s, want %s", tt.addr, got, tt.want)
		}
	}
	if got := Classify(netip.Addr{}); got != Unspecified {
		t.Errorf("Classify(no address) = %s, want unspecified", got)
	}
}

// SEC-41: what each class means, with and without allow_private_mx. The loop is
// over all classes, so that a new one has to be decided here.
func TestCheckByClass(t *testing.T) {
	example := map[Class]string{
		Unspecified: "0.0.0.0", Public: "8.8.8.8", Loopback: "127.0.0.1", Private: "10.1.2.3", LinkLocal: "fe80::1",
		Metadata: "169.254.169.254", Multicast: "224.0.0.1", Documentation: "192.0.2.1", Reserved: "240.0.0.1",
	}
	if len(example) != len(classNames) {
		t.Fatalf("%d examples for %d classes", len(example), len(classNames))
	}
	private := map[Class]bool{Loopback: true, Private: true, LinkLocal: true}
	for class, addr := range example {
		for _, allow := range []bool{false, true} {
			a := netip.AddrPortFrom(netip.MustParseAddr(addr), 25)
			err := Policy{AllowPrivate: allow}.Check(a)
			want := class == Public || allow && private[class]
			if got := err == nil; got != want {
				t.Errorf("AllowPrivate %t: Check(%s) = %v, want allowed %t", allow, a, err, want)
			}
			var refusal *Refusal
			if err != nil && (!errors.As(err, &refusal) || refusal.Class != class || !strings.Contains(err.Error(), class.String())) {
				t.Errorf("Check(%s) = %v, want a refusal that names %s", a, err, class)
			}
		}
	}
}

func TestCheckOwnListeners(t *testing.T) {
	p := Policy{AllowPrivate: true, Own: []netip.AddrPort{
		netip.MustParseAddrPort("198.100.1.1:25"),
		netip.MustParseAddrPort("127.0.0.1:2525"),
		netip.MustParseAddrPort("[::]:587"),
		netip.MustParseAddrPort("0.0.0.0:465"),
	}}
	tests := []struct {
		addr string
		own  bool
	}{
		{"198.100.1.1:25", true},
		{"[::ffff:198.100.1.1]:25", true},
		{"[64:ff9b::198.100.1.1]:25", true},
		{"[2002:c664:101::1]:25", true},
		{"198.100.1.1:26", false},
		{"198.100.1.2:25", false},
		{"127.0.0.1:2525", true},
		{"[::ffff:127.0.0.1]:2525", true},
		{"127.0.0.2:2525", false},
		{"127.0.0.1:25", false},
		{"127.0.0.1:587", true},
		{"127.9.9.9:587", true},
		{"[::1]:587", true},
		{"10.0.0.1:587", false},
		{"[::1]:465", true},
	}
	for _, tt := range tests {
		err := p.Check(netip.MustParseAddrPort(tt.addr))
		if got := err != nil; got != tt.own {
			t.Errorf("Check(%s) = %v, want own %t", tt.addr, err, tt.own)
		}
		var refusal *Refusal
		if tt.own && (!errors.As(err, &refusal) || !refusal.Own) {
			t.Errorf("Check(%s) = %v, want a refusal that says own", tt.addr, err)
		}
	}
}

func TestListeningFindsOurInterfaces(t *testing.T) {
	listeners := []netip.AddrPort{netip.MustParseAddrPort("[::]:587"), netip.MustParseAddrPort("192.0.2.1:25")}
	own, err := Listening(listeners...)
	if err != nil {
		t.Fatal(err)
	}
	want := append(listeners, netip.MustParseAddrPort("127.0.0.1:587"))
	for _, w := range want {
		found := false
		for _, o := range own {
			found = found || o == w
		}
		if !found {
			t.Errorf("Listening = %v, want %s in it", own, w)
		}
	}
	for _, o := range own {
		if o.Port() == 25 && o != listeners[1] {
			t.Errorf("Listening added %s for a listener that has an address", o)
		}
	}
}

// SEC-47: the hook judges the socket's address, whatever name was dialled.
func TestControlStopsADialer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().(*net.TCPAddr).AddrPort()

	dial := func(p Policy, address string) error {
		d := net.Dialer{ControlContext: p.ControlContext}
		conn, err := d.DialContext(context.Background(), "tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	}
	var refusal *Refusal
	if err := dial(Policy{}, addr.String()); !errors.As(err, &refusal) || refusal.Class != Loopback {
		t.Errorf("dial loopback: %v, want a refusal", err)
	}
	if err := dial(Policy{AllowPrivate: true, Own: []netip.AddrPort{addr}}, addr.String()); !errors.As(err, &refusal) || !refusal.Own {
		t.Errorf("dial our own listener: %v, want a refusal", err)
	}
	// In Go an empty host means this machine (SEC-42).
	_, port, _ := net.SplitHostPort(addr.String())
	if err := dial(Policy{}, ":"+port); err == nil {
		t.Error("dialled an empty host")
	}
	if err := dial(Policy{AllowPrivate: true}, addr.String()); err != nil {
		t.Errorf("dial loopback with AllowPrivate: %v", err)
	}
}

func TestControlRefusesWhatItCannotRead(t *testing.T) {
	p := Policy{AllowPrivate: true}
	for _, c := range []struct{ network, address string }{
		{"unix", "/run/x"}, {"tcp4", "example.test:25"}, {"tcp4", ":25"}, {"tcp4", ""}, {"ip4", "8.8.8.8"},
	} {
		if p.Control(c.network, c.address, nil) == nil {
			t.Errorf("Control(%q, %q) allowed it", c.network, c.address)
		}
	}
}

// An address that carries another is never better than the one it carries.
func FuzzEmbeddedIsNeverBetter(f *testing.F) {
	for _, s := range []string{"2002:7f00:1::1", "64:ff9b::a9fe:a9fe", "::ffff:127.0.0.1", "2001::1", "fe80::5efe:a00:1"} {
		b := netip.MustParseAddr(s).As16()
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		got := Classify(a)
		for _, inner := range embedded(a) {
			if c := Classify(inner); c.severity() > got.severity() {
				t.Errorf("Classify(%s) = %s, better than %s (%s) inside", a, got, inner, c)
			}
		}
	})
}

// A list of networks opens private addresses in them, and nothing else.
func TestAllowedNetworks(t *testing.T) {
	p := Policy{
		Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("0.0.0.0/0")},
		Own:   []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8080")},
	}
	for a, want := range map[string]bool{
		"10.1.2.3:443": true, "[::ffff:10.1.2.3]:443": true, "[fd00:1::5]:80": true, "127.0.0.1:9000": true, "169.254.1.1:80": true, "8.8.8.8:80": true,
		"[fd00:2::5]:80":                      false, // another network
		"127.0.0.1:8080":                      false, // we listen there
		"169.254.169.254:80":                  false, // metadata is never private
		"[64:ff9b::10.1.2.3]:443":             false, // not written as the network is
		"[2002:0a01:0203::1]:443":             false,
		"0.0.0.0:80":                          false,
		"224.0.0.1:80":                        false,
		"192.0.2.1:80":                        false,
		"[fd00:ec2::254]:80":                  false,
		"255.255.255.255:80":                  false,
		"[2001:0:a01:203:0:0:f5fe:fdfc]:8080": false,
	} {
		if err := p.Check(netip.MustParseAddrPort(a)); (err == nil) != want {
			t.Errorf("%s: %v", a, err)
		}
	}
}
