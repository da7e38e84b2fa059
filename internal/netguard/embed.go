package netguard

import (
	"encoding/binary"
	"net/netip"
)

var (
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291 section 2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

// embedded returns every IPv4 address that an IPv6 address may be a way of
// writing. An IPv4 address, mapped or not, has none.
func embedded(a netip.Addr) []netip.Addr {
	a = a.WithZone("").Unmap()
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	var found []netip.Addr
	add := func(v4 [4]byte) { found = append(found, netip.AddrFrom4(v4)) }
	last := [4]byte(b[12:])

	switch {
	case a == netip.IPv6Unspecified() || a == netip.IPv6Loopback():
		// They lie in ::/96 and are themselves.
	case compatible.Contains(a), translated.Contains(a), nat64.Contains(a):
		add(last)
	case nat64Local.Contains(a):
		// Nobody tells which prefix length the translator uses; take all that
		// RFC 6052 section 2.2 has from 48 bits on. Bits 64 to 71 are skipped. A
		// reading that begins with zero is padding of another one.
		for _, v4 := range [][4]byte{
			{b[6], b[7], b[9], b[10]}, {b[7], b[9], b[10], b[11]}, {b[9], b[10], b[11], b[12]},
		} {
			if v4[0] != 0 {
				add(v4)
			}
		}
		add(last)
	case sixToFour.Contains(a):
		add([4]byte(b[2:6]))
	case teredo.Contains(a):
		add([4]byte(b[4:8])) // the Teredo server
		var client [4]byte
		binary.BigEndian.PutUint32(client[:], ^binary.BigEndian.Uint32(last[:]))
		add(client)
	}
	// ISATAP (RFC 5214 section 6.1) marks the interface identifier, below any prefix;
	// 02 is its universal bit.
	if (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		add(last)
	}
	return found
}
