package dnssec

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// record takes the data out of a record of a type that can be asked for.
func record(rr dns.RR) (Record, error) {
	typ := Type(rr.Header().Rrtype)
	if rr.Header().Rdlength == 0 {
		// The library hands such records out with zero data. An MX record among
		// them would have an empty host name that nobody wrote (SEC-42).
		return Record{}, fmt.Errorf("a %s record without data", typ)
	}
	switch rr := rr.(type) {
	case *dns.A:
		if a, ok := netip.AddrFromSlice(rr.A.To4()); ok {
			return Record{Addr: a}, nil
		}
	case *dns.AAAA:
		if a, ok := netip.AddrFromSlice(rr.AAAA.To16()); ok {
			return Record{Addr: a}, nil
		}
	case *dns.MX:
		return Record{Preference: rr.Preference, Host: foreignName(rr.Mx)}, nil
	case *dns.NS:
		return Record{Host: foreignName(rr.Ns)}, nil
	case *dns.CNAME:
		return Record{Host: foreignName(rr.Target)}, nil
	case *dns.TXT:
		return Record{Text: unescape(strings.Join(rr.Txt, ""))}, nil
	case *dns.TLSA:
		if data, err := hex.DecodeString(rr.Certificate); err == nil {
			return Record{TLSA: TLSAData{rr.Usage, rr.Selector, rr.MatchingType, data}}, nil
		}
	}
	return Record{}, fmt.Errorf("a %s record that cannot be read", typ)
}

// equal reports whether two records have the same data.
func (r Record) equal(o Record) bool {
	return r.Addr == o.Addr && r.Preference == o.Preference && r.Host == o.Host && r.Text == o.Text &&
		r.TLSA.Usage == o.TLSA.Usage && r.TLSA.Selector == o.TLSA.Selector && r.TLSA.Matching == o.TLSA.Matching &&
		bytes.Equal(r.TLSA.Data, o.TLSA.Data)
}

// unescape undoes the presentation format that the library keeps character strings
// in: \DDD is the byte with that decimal number, any other \C is C.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if n, ok := decimalByte(s[i:]); ok {
			b.WriteByte(n)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// decimalByte reads three decimal digits that make a byte.
func decimalByte(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	n := 0
	for i := range 3 {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return byte(n), n <= 255
}
