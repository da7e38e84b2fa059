package mx

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/dnssec"
)

// choose turns MX records into hosts in the order to try them.
func (r *Resolver) choose(records []dnssec.Record) (State, []Host, []Skipped) {
	if isNullMX(records) {
		return NullMX, nil, nil
	}
	best := make(map[string]uint16) // host name to its lowest preference
	var skipped []Skipped
	for _, rec := range records {
		if reason := unusable(rec.Host); reason != "" {
			if len(skipped) < maxSkipped {
				skipped = append(skipped, Skipped{rec.Host, reason})
			}
			continue
		}
		if p, seen := best[rec.Host]; !seen || rec.Preference < p {
			best[rec.Host] = rec.Preference
		}
	}
	if len(best) == 0 {
		return NoHosts, nil, skipped
	}
	hosts := make([]Host, 0, len(best))
	for name, preference := range best {
		hosts = append(hosts, Host{name, preference})
	}
	// By name first, so that the order after the shuffle depends on its source
	// alone; by preference last, stable.
	slices.SortFunc(hosts, func(a, b Host) int { return cmp.Compare(a.Name, b.Name) })
	r.shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	slices.SortStableFunc(hosts, func(a, b Host) int { return cmp.Compare(a.Preference, b.Preference) })
	return Found, hosts[:min(len(hosts), MaxHosts)], skipped
}

// isNullMX reports whether all records, commonly the only one, name the root. Its
// preference should be 0 (RFC 7505 section 3) and means nothing if it is not. A
// root among other records is a mistake, and only that record is dropped.
func isNullMX(records []dnssec.Record) bool {
	return !slices.ContainsFunc(records, func(r dnssec.Record) bool { return r.Host != "" })
}

// unusable returns why a name cannot be that of a mail host, or "".
func unusable(name string) string {
	if name == "" {
		return "the root among other MX records (RFC 7505 section 3)"
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return "an IP address instead of a host name (RFC 5321 section 5.1)"
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.':
		case c == '_': // no host name, but the world has them
		default:
			return "not a host name"
		}
	}
	labels := strings.Split(name, ".")
	if len(labels) < 2 {
		return "a single label"
	}
	if slices.Contains(labels, "") || len(name) > 253 {
		return "not a host name"
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "an IP address instead of a host name (RFC 5321 section 5.1)"
	}
	return ""
}
