package netguard

import (
	"fmt"
	"net/netip"
)

// A Class says what kind of network an address belongs to.
type Class uint8

// The classes. The zero value is never allowed, so that a class nobody set opens
// nothing. Their order means nothing; see severity.
const (
	Unspecified   Class = iota // 0.0.0.0 and ::, which mean this machine; also what is no address at all
	Public                     // globally reachable unicast
	Loopback                   // this machine
	Private                    // RFC 1918, RFC 6598, RFC 4193, site-local, local-use NAT64 (RFC 8215)
	LinkLocal                  // 169.254.0.0/16, fe80::/10
	Metadata                   // a cloud's instance metadata or host service
	Multicast                  // 224.0.0.0/4, ff00::/8
	Documentation              // RFC 5737, RFC 3849, RFC 9637
	Reserved                   // everything else that is not unicast for general use
)

var classNames = [...]string{
	"unspecified", "public", "loopback", "private", "link-local", "metadata", "multicast", "documentation", "reserved",
}

// String returns the class in one word.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// severity orders the classes by how little they may be connected to.
func (c Class) severity() int {
	switch c {
	case Public:
		return 0
	case Private, LinkLocal, Loopback:
		return 1
	case Documentation, Reserved:
		return 2
	case Multicast:
		return 3
	case Metadata:
		return 4
	}
	return 5
}

// Classify returns the class of an address. When it is an IPv6 address that
// carries IPv4 addresses, those are classified too and the worst class counts.
// Zones are ignored; the zero Addr is Unspecified.
func Classify(a netip.Addr) Class {
	if !a.IsValid() {
		return Unspecified
	}
	a = a.WithZone("").Unmap()
	worst := classify(a)
	for _, inner := range embedded(a) {
		if c := classify(inner); c.severity() > worst.severity() {
			worst = c
		}
	}
	return worst
}

// classify judges an address by its prefix alone.
func classify(a netip.Addr) Class {
	for _, e := range special {
		if e.prefix.Contains(a) {
			return e.class
		}
	}
	if a.Is6() && !globalUnicast.Contains(a) {
		return Reserved
	}
	return Public
}

type entry struct {
	prefix netip.Prefix
	class  Class
}

var globalUnicast = netip.MustParsePrefix("2000::/3") // all that IANA gives out so far

// special is the IANA special-purpose address registries (RFC 6890), and the
// addresses that clouds answer on. The first match counts.
var special = []entry{
	// Instance metadata and host services.
	{netip.MustParsePrefix("169.254.169.254/32"), Metadata}, // AWS, Azure, Google, most others
	{netip.MustParsePrefix("169.254.169.253/32"), Metadata}, // AWS resolver
	{netip.MustParsePrefix("169.254.170.2/32"), Metadata},   // AWS container credentials
	{netip.MustParsePrefix("169.254.170.23/32"), Metadata},  // AWS pod identity
	{netip.MustParsePrefix("169.254.0.23/32"), Metadata},    // Tencent
	{netip.MustParsePrefix("100.100.100.200/32"), Metadata}, // Alibaba
	{netip.MustParsePrefix("168.63.129.16/32"), Metadata},   // Azure host, in public space
	{netip.MustParsePrefix("192.0.0.192/32"), Metadata},     // Oracle
	{netip.MustParsePrefix("fd00:ec2::254/128"), Metadata},  // AWS
	{netip.MustParsePrefix("fd00:ec2::253/128"), Metadata},  // AWS resolver
	{netip.MustParsePrefix("fd00:ec2::23/128"), Metadata},   // AWS pod identity
	{netip.MustParsePrefix("fd20:ce::254/128"), Metadata},   // Google

	{netip.MustParsePrefix("0.0.0.0/32"), Unspecified},
	{netip.MustParsePrefix("0.0.0.0/8"), Reserved},
	{netip.MustParsePrefix("10.0.0.0/8"), Private},
	{netip.MustParsePrefix("100.64.0.0/10"), Private},
	{netip.MustParsePrefix("127.0.0.0/8"), Loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), LinkLocal},
	{netip.MustParsePrefix("172.16.0.0/12"), Private},
	{netip.MustParsePrefix("192.0.0.0/24"), Reserved},
	{netip.MustParsePrefix("192.0.2.0/24"), Documentation},
	{netip.MustParsePrefix("192.88.99.0/24"), Reserved}, // 6to4 relays, RFC 7526
	{netip.MustParsePrefix("192.168.0.0/16"), Private},
	{netip.MustParsePrefix("198.18.0.0/15"), Reserved}, // benchmarks
	{netip.MustParsePrefix("198.51.100.0/24"), Documentation},
	{netip.MustParsePrefix("203.0.113.0/24"), Documentation},
	{netip.MustParsePrefix("224.0.0.0/4"), Multicast},
	{netip.MustParsePrefix("240.0.0.0/4"), Reserved}, // and broadcast

	{netip.MustParsePrefix("::/128"), Unspecified},
	{netip.MustParsePrefix("::1/128"), Loopback},
	{nat64, Public}, // as good as the address inside
	{nat64Local, Private},
	{teredo, Public}, // as good as the addresses inside
	{netip.MustParsePrefix("2001::/23"), Reserved}, // IETF protocols
	{netip.MustParsePrefix("2001:db8::/32"), Documentation},
	{netip.MustParsePrefix("3fff::/20"), Documentation},
	{netip.MustParsePrefix("fc00::/7"), Private},
	{netip.MustParsePrefix("fe80::/10"), LinkLocal},
	{netip.MustParsePrefix("fec0::/10"), Private}, // site-local, RFC 3879
	{netip.MustParsePrefix("ff00::/8"), Multicast},
}
