package dane

import (
	"context"
	"strconv"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// A Resolver finds TLSA records. It keeps nothing between look-ups: the memory is that
// of the dnssec.Resolver beneath. It is safe for concurrent use.
type Resolver struct {
	dns    dnssec.Resolver
	prefix string // "_25._tcp."
}

// New returns a Resolver that asks dns for the records of servers at port; 0 is 25.
func New(dns dnssec.Resolver, port int) *Resolver {
	if port == 0 {
		port = 25
	}
	return &Resolver{dns: dns, prefix: "_" + strconv.Itoa(port) + "._tcp."}
}

// Addresses is what was found out about a host's addresses before: RFC 7672 section 2.2
// makes that decide where TLSA records may be asked for. Do not look up a host whose
// addresses could not be found out.
type Addresses struct {
	// Secure: every answer that gave an address was validated, aliases included.
	Secure bool
	// Expanded is the name at the end of the host's aliases. Empty or the host itself when
	// there is no alias.
	Expanded string
}

// A Result is what is known of a host's TLSA records. The zero value is that of a host
// that was not asked for, TLSANotSecure.
type Result struct {
	State tlspolicy.TLSA
	// Base is the TLSA base domain: the name that the records belong to, also when they
	// were reached through an alias of theirs. It goes into SNI and is one of the names that
	// DANE-TA accepts (RFC 7672 section 3.2.2, 8.1). Empty unless records were found.
	Base string
	// Records are all that were found, usable or not. Not to be changed.
	Records Records
	// ID tells which records a connection was judged by. It is zero unless records were found.
	ID ID
	// Err is the *dnssec.Failure when State is TLSAFailed, and nil otherwise.
	Err error
}

// Lookup finds the TLSA records of an MX host. It asks at most three questions and
// returns at the latest when ctx ends, then with TLSAFailed.
//
//   - A host in an unsigned zone is not asked for: some name servers answer such questions
//     with an error, or not at all (RFC 7672 section 2.2.2).
//   - Behind aliases that are all secure, the expanded name comes first, then the host's own.
//   - Where the aliases lead out of the signed zones, the host's own name is asked for if
//     that itself is signed (RFC 7672 section 2.1.3).
//   - A validated denial is TLSAAbsent, an answer that nobody signed TLSANotSecure. What
//     could not be found out is TLSAFailed and ends the search (section 2.1.2).
func (r *Resolver) Lookup(ctx context.Context, host string, a Addresses) Result {
	candidates := []string{host}
	switch aliased := a.Expanded != "" && a.Expanded != host; {
	case a.Secure && aliased:
		candidates = []string{a.Expanded, host}
	case a.Secure:
	case !aliased:
		return Result{State: tlspolicy.TLSANotSecure}
	default:
		// The chain is insecure somewhere. What matters is whether its first step, the host's
		// own record, is signed.
		switch own := r.dns.Lookup(ctx, host, dnssec.CNAME); {
		case own.State == dnssec.Failed:
			return Result{State: tlspolicy.TLSAFailed, Err: own.Err()}
		case !own.Secure:
			return Result{State: tlspolicy.TLSANotSecure}
		}
	}
	state := tlspolicy.TLSAAbsent
	for _, base := range candidates {
		found := r.at(ctx, base)
		switch found.State {
		case tlspolicy.TLSAAbsent:
		case tlspolicy.TLSANotSecure:
			state = tlspolicy.TLSANotSecure
		default:
			return found
		}
	}
	return Result{State: state}
}

// maxName is the length of the longest domain name in text, without the root's dot.
const maxName = 253

// at asks for the records under one base domain.
func (r *Resolver) at(ctx context.Context, base string) Result {
	name := r.prefix + base
	if len(name) > maxName {
		// Nothing can be published there. Asking would fail, and hold mail back for ever.
		return Result{State: tlspolicy.TLSAAbsent}
	}
	answer := r.dns.Lookup(ctx, name, dnssec.TLSA)
	switch {
	case answer.State == dnssec.Failed:
		return Result{State: tlspolicy.TLSAFailed, Err: answer.Err()}
	case !answer.Secure:
		// Its alias may have led out of the signed zones, or its zone is delegated without
		// a signature. Records that anybody may have written bind nobody.
		return Result{State: tlspolicy.TLSANotSecure}
	case answer.State.Denied():
		return Result{State: tlspolicy.TLSAAbsent}
	}
	res := Result{State: tlspolicy.TLSAUnusable, Base: base, Records: newRecords(answer.Records)}
	res.ID = res.Records.id(base)
	if res.Records.Usable() > 0 {
		res.State = tlspolicy.TLSAUsable
	}
	return res
}
