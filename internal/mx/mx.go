package mx

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
)

// Limits on what one domain can make us try; the rest is ignored.
const (
	MaxHosts     = 10 // hosts of a domain
	MaxAddresses = 8  // addresses of a host
	maxSkipped   = 20 // unusable MX records that are reported
)

// A State says what became of the search for a domain's mail hosts. The zero
// value is TemporaryFailure: unknown is temporary.
type State uint8

const (
	// TemporaryFailure: we could not find out; Result.Err says why.
	TemporaryFailure State = iota
	// Found: Result.Hosts has at least one host.
	Found
	// NullMX: the domain says that it takes no mail (RFC 7505). Permanent, 5.1.10.
	NullMX
	// NoSuchDomain: the domain does not exist (5.1.2). See Absence.
	NoSuchDomain
	// NoRecords: the domain exists and has neither MX nor address (5.4.4). See Absence.
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
// not exist. One such answer is not enough to return mail: it must be seen again
// at least five minutes later, counted between the Asked times of the results
// (SEC-44). This package keeps no memory of it; that is the caller's.
func (s State) Absence() bool { return s == NoSuchDomain || s == NoRecords }

// A Host is one mail host of a domain.
type Host struct {
	// Name is the name in the MX record, or the domain for an implicit MX: lower
	// case, A-labels, no trailing dot, never empty. It is the name for SNI and the
	// certificate, also when it is an alias (RFC 7672 section 3.2.2 apart).
	Name       string
	Preference uint16 // 0 for an implicit MX
}

// A Skipped is an MX record that names no usable host.
type Skipped struct {
	Name   string // as in the record, foreign text: quote it; "" is the root
	Reason string // why, in a few words of ours
}

// A Result is what is known about a domain's mail hosts.
type Result struct {
	Domain string
	State  State

	// Hosts are to be tried in this order: by preference, those of equal
	// preference shuffled anew by each call. At most MaxHosts.
	Hosts []Host

	// Implicit: there is no MX record, and the domain itself is the only host.
	Implicit bool

	// Expanded is what the domain is an alias for; equal to Domain when it is
	// none.
	Expanded string

	// Secure: the answer to the MX question was validated, the way from Domain
	// to Expanded included, and for an implicit MX the denial of MX records. For
	// NoRecords, the denials of addresses were too.
	Secure bool

	Skipped []Skipped // MX records left out, at most 20
	Asked   time.Time // when the resolver gave the deciding answer; in the past when cached
	Err     error     // why State is TemporaryFailure, a *dnssec.Failure; nil otherwise
}

// A Resolver finds mail hosts and their addresses. It is safe for concurrent use.
type Resolver struct {
	dns dnssec.Resolver

	mu  sync.Mutex
	rnd *rand.Rand // nil: the process-wide source
}

// New returns a Resolver that asks dns. The order among equals comes from src, which
// is then the Resolver's; nil is a random source.
func New(dns dnssec.Resolver, src rand.Source) *Resolver {
	r := &Resolver{dns: dns}
	if src != nil {
		r.rnd = rand.New(src)
	}
	return r
}

// shuffle puts n things into random order.
func (r *Resolver) shuffle(n int, swap func(i, j int)) {
	if r.rnd == nil {
		rand.Shuffle(n, swap)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rnd.Shuffle(n, swap)
}

// Resolve finds the hosts that take mail for a domain, which is as mail.ParseDomain
// returns it. It asks for MX records, and for addresses of the domain if there are
// none. When ctx ends the result is a TemporaryFailure.
func (r *Resolver) Resolve(ctx context.Context, domain string) Result {
	a := r.dns.Lookup(ctx, domain, dnssec.MX)
	res := Result{Domain: domain, Expanded: domain, Secure: a.Secure, Asked: a.Asked}
	if a.Aliased() {
		// RFC 5321 section 5.1: as if the alias' target had been the domain.
		res.Expanded = a.Canonical
	}
	switch a.State {
	case dnssec.Found:
		res.State, res.Hosts, res.Skipped = r.choose(a.Records)
	case dnssec.NoData:
		r.implicit(ctx, &res)
	case dnssec.NXDomain:
		res.State = NoSuchDomain
	default:
		// RFC 5321 section 5.1: an error is not "no MX records"; the address
		// of a domain that has MX records is none of our business.
		res.State, res.Err = TemporaryFailure, a.Err()
	}
	return res
}

// implicit looks for the addresses of a domain without MX records.
func (r *Resolver) implicit(ctx context.Context, res *Result) {
	if reason := unusable(res.Domain); reason != "" {
		res.State, res.Skipped = NoHosts, []Skipped{{res.Domain, reason}}
		return
	}
	addrs := r.Addresses(ctx, res.Domain)
	switch addrs.State {
	case dnssec.Found:
		res.State, res.Implicit, res.Hosts = Found, true, []Host{{Name: res.Domain}}
	case dnssec.NoData, dnssec.NXDomain:
		// NXDOMAIN for an address contradicts the answer for MX. The name was
		// there a moment ago: take the weaker of the two.
		res.State = NoRecords
		res.Secure = res.Secure && addrs.Secure
		res.Asked = addrs.Asked
	default:
		res.State, res.Err = TemporaryFailure, addrs.Err
		res.Asked = addrs.Asked
	}
}
