// Package domaindns knows what a sending domain publishes in DNS, and looks whether it does.
//
// A receiver that knows a domain's mail asks DNS three things about it: the public key that its
// signatures are verified with (DKIM, RFC 6376), which servers may send for it (SPF, RFC 7208) and,
// where its links are followed, whose host they name. This package lists the records that a
// domain's owner is asked to publish, looks them up, and says of each whether what was found will
// do. What follows from that, and where it is kept, is decided by others.
package domaindns

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/internal/store"
)

// Words for how a record was last seen.
const (
	Valid   = "valid"
	Invalid = "invalid"
	Unknown = "unknown"
)

// Config names what records point to.
type Config struct {
	// Hostname is the name of this server that SPF records must list.
	Hostname string
	// TrackingHost is what the CNAME of a domain's links points to; empty: Hostname.
	TrackingHost string
	// Receivers are the names of the hosts that receive a domain's mail, in the order of their
	// preference; none: nobody does, and no MX record is asked for. A domain that pointed its MX at a
	// host that does not receive would lose its mail.
	Receivers []string
}

// A Record is a record that a domain's owner is asked to publish, with the rule that says
// whether what was found will do.
type Record struct {
	Name, Type, Value string
	Priority          int    // of MX; else 0
	Selector          string // of a key; else empty
	Authority         string // the domain whose key it is; else empty
	// Active: it is in use. A permission may stand before it is seen; a key signs once it is.
	Active bool
	// Required: a domain may not send before it was seen.
	Required bool

	satisfied func(found []string) bool
}

// Sending lists what the domain needs to send: the keys of the domain that signs for it, which is
// itself unless it is under another one's authority, then SPF, then the host of its links.
func (c Config) Sending(d, authority *store.Domain) []Record {
	var list []Record
	signing := authority.SigningKeys()
	for _, k := range authority.DKIM {
		list = append(list, Record{
			Name: k.Selector + "._domainkey." + authority.Name, Type: "TXT", Value: k.Public,
			Selector: k.Selector, Authority: authority.Name, Required: k.Active,
			Active:    !k.SeenAt.IsZero() && slices.ContainsFunc(signing, func(s store.DKIMKey) bool { return s.Selector == k.Selector }),
			satisfied: func(found []string) bool { return PublishesKey(found, k.Public) },
		})
	}
	tracking := c.TrackingHost
	if tracking == "" {
		tracking = c.Hostname
	}
	return append(list,
		Record{
			Name: d.Name, Type: "TXT", Value: "v=spf1 a:" + c.Hostname + " ~all", Active: true, Required: true,
			satisfied: func(found []string) bool { return Permits(found, c.Hostname) },
		},
		Record{
			Name: TrackingName(d), Type: "CNAME", Value: tracking, Active: true,
			satisfied: func(found []string) bool {
				return slices.ContainsFunc(found, func(f string) bool { return sameHost(f, tracking) })
			},
		})
}

// Receiving lists what the domain needs to receive.
func (c Config) Receiving(d *store.Domain) []Record {
	var list []Record
	for _, host := range c.Receivers {
		list = append(list, Record{
			Name: d.Name, Type: "MX", Value: host, Priority: 10, Active: true,
			satisfied: func(found []string) bool {
				return slices.ContainsFunc(found, func(f string) bool { return sameHost(afterPreference(f), host) })
			},
		})
	}
	return list
}

// TrackingName is the name under which the domain's links are: web_prefix and the domain.
func TrackingName(d *store.Domain) string {
	return d.TrackingHost()
}

// afterPreference returns the host of an MX record as it is kept: preference and host.
func afterPreference(mx string) string {
	_, host, _ := strings.Cut(mx, " ")
	return host
}

func sameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// showMX is how a record that was found is kept.
func showMX(m *net.MX) string {
	return strconv.Itoa(int(m.Pref)) + " " + strings.TrimSuffix(m.Host, ".")
}

// PublishesKey reports whether one of the records is a DKIM key record (RFC 6376
// section 3.6.1) with our public key. Other tags are the owner's choice; more than one key
// record leaves verifiers to chance.
func PublishesKey(found []string, want string) bool {
	keys := 0
	same := false
	for _, f := range found {
		got := tags(f)
		if _, ok := got["p"]; !ok {
			continue
		}
		keys++
		version, named := got["v"]
		same = (!named || version == "DKIM1") && got["p"] == tags(want)["p"] && keyType(got) == keyType(tags(want))
	}
	return keys == 1 && same
}

func keyType(tags map[string]string) string {
	if k := tags["k"]; k != "" {
		return strings.ToLower(k)
	}
	return "rsa"
}

// tags reads a tag list (RFC 6376 section 3.2), without white space.
func tags(s string) map[string]string {
	list := map[string]string{}
	for part := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(part, "=")
		if ok {
			list[strings.Join(strings.Fields(name), "")] = strings.Join(strings.Fields(value), "")
		}
	}
	return list
}

// Permits reports whether the one SPF record (RFC 7208) lists the host by name. A
// record that permits it by another way is not understood here: the domain's owner can add
// the name, or the operator set the domain active.
func Permits(found []string, host string) bool {
	var policies []string
	for _, f := range found {
		version, _, _ := strings.Cut(f, " ")
		if strings.EqualFold(version, "v=spf1") {
			policies = append(policies, f)
		}
	}
	if len(policies) != 1 || host == "" { // two are an error to every receiver (section 4.5)
		return false
	}
	for _, term := range strings.Fields(policies[0])[1:] {
		term = strings.ToLower(strings.TrimPrefix(term, "+"))
		if term == "a:"+strings.ToLower(host) {
			return true
		}
		if strings.HasSuffix(term, "all") && strings.Trim(strings.TrimSuffix(term, "all"), "+-~?") == "" {
			return false // what follows is never looked at (section 5.1)
		}
	}
	return false
}
