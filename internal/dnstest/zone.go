package dnstest

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// A zone is a parsed Zone.
type zone struct {
	origin  string // absolute, lower case
	secure  bool
	soa     dns.RR
	records map[string][]dns.RR // by owner
	names   map[string]bool     // owners and what lies between them and the origin
}

func parseZone(z Zone) (*zone, error) {
	origin := absolute(z.Origin)
	parsed := &zone{
		origin: origin, secure: z.Secure,
		records: make(map[string][]dns.RR),
		names:   map[string]bool{origin: true},
	}
	p := dns.NewZoneParser(strings.NewReader(z.Records), origin, "")
	p.SetDefaultTTL(300)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		owner := strings.ToLower(rr.Header().Name)
		if !dns.IsSubDomain(origin, owner) {
			return nil, fmt.Errorf("zone %s: record of %s", z.Origin, owner)
		}
		if soa, ok := rr.(*dns.SOA); ok {
			parsed.soa = soa
		}
		parsed.records[owner] = append(parsed.records[owner], rr)
		for ; owner != origin; owner = parent(owner) {
			parsed.names[owner] = true
		}
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("zone %s: %w", z.Origin, err)
	}
	if parsed.soa == nil {
		prefix := origin
		if origin == "." {
			prefix = ""
		}
		soa, err := dns.NewRR(fmt.Sprintf("%s 300 IN SOA ns.%s hostmaster.%s 1 3600 600 86400 60", origin, prefix, prefix))
		if err != nil {
			return nil, fmt.Errorf("zone %s: %w", z.Origin, err)
		}
		parsed.soa = soa
	}
	return parsed, nil
}

// lookup returns the records of one type at name, or its CNAME, and whether the
// name exists.
func (z *zone) lookup(name string, typ uint16) (rrs []dns.RR, exists bool) {
	owner := name
	if !z.names[owner] {
		if owner = z.wildcard(name); owner == "" {
			return nil, false
		}
	}
	for _, rr := range z.records[owner] {
		if t := rr.Header().Rrtype; t == typ || t == dns.TypeCNAME {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			rrs = append(rrs, rr)
		}
	}
	return rrs, true
}

// wildcard returns the wildcard name that stands for name, or "".
func (z *zone) wildcard(name string) string {
	for name != z.origin {
		name = parent(name)
		if !z.names[name] {
			continue
		}
		if w := "*." + strings.TrimPrefix(name, "."); z.names[w] {
			return w
		}
		return ""
	}
	return ""
}

// parent returns the absolute name above name; above a single label is the root.
func parent(name string) string {
	if _, above, _ := strings.Cut(name, "."); above != "" {
		return above
	}
	return "."
}
