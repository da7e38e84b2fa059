package mx

import (
	"context"
	"net/netip"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
)

// An AddressResult is what is known about a host's addresses.
type AddressResult struct {
	Host string

	// State is Found when there is at least one address. It is Failed when there is
	// none and either family could not be looked up, NXDomain or NoData when
	// both were denied; that is as little final as State.Absence says.
	State dnssec.State

	// Addrs alternate between IPv6 and IPv4, IPv6 first, shuffled within their
	// family. At most MaxAddresses. They are as the DNS has them, not checked
	// for being ours, private or worse (SEC-41).
	Addrs []netip.Addr

	// Expanded is the canonical name when the host is an alias, which RFC 5321
	// section 5.1 forbids and the world has; else Host.
	Expanded string

	// Secure: every answer that gave an address was validated, aliases included;
	// without addresses, both denials were. TLSA records may be asked for only
	// then (RFC 7672 section 2.2.2).
	Secure bool

	Asked time.Time // when the resolver gave the older of the two answers
	// Err is a family's *dnssec.Failure. It may be set although State is Found:
	// the host may have more addresses.
	Err error
}

// Addresses finds the addresses of one host, both families at once. Connect to what
// it returned and do not resolve the name again (SEC-47).
func (r *Resolver) Addresses(ctx context.Context, host string) AddressResult {
	var v4 dnssec.Answer
	done := make(chan struct{})
	go func() {
		defer close(done)
		v4 = r.dns.Lookup(ctx, host, dnssec.A)
	}()
	v6 := r.dns.Lookup(ctx, host, dnssec.AAAA)
	<-done

	res := merge(host, v6, v4)
	six, four := addrs(v6), addrs(v4)
	r.shuffle(len(six), func(i, j int) { six[i], six[j] = six[j], six[i] })
	r.shuffle(len(four), func(i, j int) { four[i], four[j] = four[j], four[i] })
	res.Addrs = interleave(six, four, MaxAddresses)
	return res
}

// merge decides what two families' answers say together; it leaves Addrs to its
// caller.
func merge(host string, v6, v4 dnssec.Answer) AddressResult {
	res := AddressResult{Host: host, Expanded: host, Secure: true, Asked: v6.Asked}
	if v4.Asked.Before(v6.Asked) {
		res.Asked = v4.Asked
	}
	states := map[dnssec.State]int{v6.State: 1}
	states[v4.State]++
	switch {
	case states[dnssec.Found] > 0:
		res.State = dnssec.Found
	case states[dnssec.Failed] > 0:
		res.State = dnssec.Failed
	case states[dnssec.NoData] > 0:
		res.State = dnssec.NoData // the one that says less
	default:
		res.State = dnssec.NXDomain
	}
	for _, a := range []dnssec.Answer{v6, v4} {
		if a.State == dnssec.Failed {
			res.Err = a.Err()
		}
		if a.State == dnssec.Found || res.State != dnssec.Found {
			res.Secure = res.Secure && a.Secure
			if a.Aliased() {
				res.Expanded = a.Canonical
			}
		}
	}
	return res
}

// addrs returns a copy of an answer's addresses.
func addrs(a dnssec.Answer) []netip.Addr {
	list := make([]netip.Addr, 0, len(a.Records))
	for _, r := range a.Records {
		list = append(list, r.Addr)
	}
	return list
}

// interleave takes turns between two lists, up to limit.
func interleave(first, second []netip.Addr, limit int) []netip.Addr {
	var mixed []netip.Addr
	for i := 0; i < max(len(first), len(second)); i++ {
		if i < len(first) {
			mixed = append(mixed, first[i])
		}
		if i < len(second) {
			mixed = append(mixed, second[i])
		}
	}
	return mixed[:min(len(mixed), limit)]
}
