package realdns

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// zone is a zone on its way from a description to a file that nsd serves.
type zone struct {
	Zone
	name     string // absolute, lower case; "." is the root
	children []*zone
	rrs      []dns.RR // what the test wrote and what every zone has; no delegations yet
	ds       []dns.RR // for the parent, once the zone is signed
}

// answers reports whether the name server answers questions about the zone.
func (z *zone) answers() bool { return !z.broken(NotServed) && !z.broken(Lame) }

func (z *zone) broken(how Breakage) bool {
	return slices.ContainsFunc(z.Breaks, func(b Break) bool { return b.How == how })
}

// plan reads the zones, adds the root, and finds every zone's parent. A zone comes before
// its parent, which needs its DS records. All name servers have the same address.
func plan(described []Zone, server netip.Addr) ([]*zone, error) {
	root := &zone{Zone: Zone{Name: ".", Signed: true}, name: "."}
	zones := []*zone{root}
	for _, d := range described {
		z := &zone{Zone: d, name: dns.CanonicalName(d.Name)}
		if _, ok := dns.IsDomainName(z.name); !ok || z.name == "." {
			return nil, fmt.Errorf("zone %q: not the name of a zone below the root", d.Name)
		}
		if slices.ContainsFunc(zones, func(o *zone) bool { return o.name == z.name }) {
			return nil, fmt.Errorf("zone %q: described twice", d.Name)
		}
		if err := z.check(); err != nil {
			return nil, fmt.Errorf("zone %q: %w", d.Name, err)
		}
		zones = append(zones, z)
	}
	slices.SortStableFunc(zones, func(a, b *zone) int { return cmp.Compare(dns.CountLabel(b.name), dns.CountLabel(a.name)) })
	for i, z := range zones {
		var err error
		if z.rrs, err = parse(z.base(server)+z.Records, z.name); err != nil {
			return nil, fmt.Errorf("zone %q: its records: %w", z.name, err)
		}
		for _, above := range zones[i+1:] {
			if dns.IsSubDomain(above.name, z.name) {
				above.children = append(above.children, z)
				break
			}
		}
	}
	return zones, nil
}

func (z *zone) check() error {
	switch {
	case (z.NSEC3 || z.OptOut) && !z.Signed:
		return errors.New("only a signed zone has NSEC3")
	case z.OptOut && !z.NSEC3:
		return errors.New("OptOut needs NSEC3")
	}
	for _, b := range z.Breaks {
		if err := b.check(z.Signed); err != nil {
			return err
		}
	}
	return nil
}

// base is what every zone needs. It may take a minute before absence is asked for again.
func (z *zone) base(server netip.Addr) string {
	return fmt.Sprintf("$TTL 300\n@ SOA ns hostmaster 1 7200 3600 1209600 60\n@ NS ns\nns A %s\n", server)
}

// delegations are the records that lead to the children: NS with the address, and DS.
func (z *zone) delegations() []dns.RR {
	var rrs []dns.RR
	for _, child := range z.children {
		for _, rr := range child.rrs {
			switch rr := rr.(type) {
			case *dns.NS:
				if rr.Hdr.Name == child.name {
					rrs = append(rrs, rr)
				}
			case *dns.A:
				if rr.Hdr.Name == "ns."+child.name {
					rrs = append(rrs, rr)
				}
			}
		}
		rrs = append(rrs, child.ds...)
	}
	return rrs
}

// parse reads a zone in master file format.
func parse(text, origin string) ([]dns.RR, error) {
	parser := dns.NewZoneParser(strings.NewReader(text), origin, "")
	var rrs []dns.RR
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rr.Header().Name = dns.CanonicalName(rr.Header().Name)
		if !dns.IsSubDomain(origin, rr.Header().Name) {
			return nil, fmt.Errorf("%s is not in the zone", rr.Header().Name)
		}
		rrs = append(rrs, rr)
	}
	return rrs, parser.Err()
}

// text writes records in master file format.
func text(rrs []dns.RR) string {
	var b strings.Builder
	for _, rr := range rrs {
		b.WriteString(rr.String())
		b.WriteByte('\n')
	}
	return b.String()
}
