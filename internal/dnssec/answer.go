package dnssec

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// A Resolver answers questions about names. Implementations are safe for
// concurrent use.
type Resolver interface {
	// Lookup asks for the records of one type at an absolute name; a trailing dot
	// makes no difference and there is no search list. It returns in bounded time,
	// and at the latest when ctx ends, then with a Failed answer. The answer may be
	// shared with other callers and must not be changed.
	Lookup(ctx context.Context, name string, t Type) Answer
}

// A Type is a record type, with its number in the DNS.
type Type uint16

// The types that can be asked for.
const (
	A     Type = 1
	NS    Type = 2
	CNAME Type = 5
	MX    Type = 15
	TXT   Type = 16
	AAAA  Type = 28
	TLSA  Type = 52
)

// String returns the type's mnemonic.
func (t Type) String() string {
	switch t {
	case A:
		return "A"
	case NS:
		return "NS"
	case CNAME:
		return "CNAME"
	case MX:
		return "MX"
	case TXT:
		return "TXT"
	case AAAA:
		return "AAAA"
	case TLSA:
		return "TLSA"
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}

// A State says what an answer is. The zero value is Failed: unknown is never
// taken for absent.
type State uint8

const (
	Failed   State = iota // we could not find out; Answer.Failure says why
	Found                 // at least one record
	NoData                // the name exists and has no record of that type (RFC 2308)
	NXDomain              // the name does not exist, nor any below it (RFC 8020)
)

// String returns the state in words.
func (s State) String() string {
	switch s {
	case Failed:
		return "failed"
	case Found:
		return "found"
	case NoData:
		return "no data"
	case NXDomain:
		return "no such name"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Denied reports whether the answer was that there is nothing to be found.
func (s State) Denied() bool { return s == NoData || s == NXDomain }

// An Answer is what became of one question.
type Answer struct {
	Name  string // what was asked: lower case, no trailing dot
	Type  Type
	State State

	// Records are those of the type asked for, in the order they came; empty
	// unless State is Found.
	Records []Record

	// Canonical is the name at the end of the CNAME chain, which the state and
	// the records belong to. It equals Name when there was no alias. When State is
	// Failed it is how far we came. A question for CNAME follows none.
	Canonical string

	// Secure: the resolver validated the whole answer, every step of the CNAME
	// chain included, and we have reason to believe it. It holds for denials
	// too. Never true when State is Failed.
	Secure bool

	// Asked is when the resolver gave this answer. An answer out of our cache
	// keeps its time, so whoever wants to see an absence twice compares it.
	Asked time.Time

	// Failure says why State is Failed; nil otherwise.
	Failure *Failure
}

// Aliased reports whether a CNAME led away from the name that was asked for.
func (a Answer) Aliased() bool { return a.Canonical != "" && a.Canonical != a.Name }

// Err returns why the question could not be answered, as a *[Failure]; nil when
// State is not Failed. A denial is no error.
func (a Answer) Err() error {
	if a.State != Failed {
		return nil
	}
	if a.Failure == nil {
		return &Failure{Name: a.Name, Type: a.Type}
	}
	return a.Failure
}

// A Record is the data of one record; only the fields of its type are set.
// Names in it are lower case, without trailing dot; the root is "". A label may
// hold anything (RFC 2181 section 11): a byte that is unusual in a host name is written
// with a backslash, so a name without one splits at its dots.
type Record struct {
	Addr       netip.Addr // A: 4 bytes; AAAA: 16 bytes
	Preference uint16     // MX
	Host       string     // MX exchange, NS, CNAME target
	Text       string     // TXT: the strings joined, raw bytes (RFC 7208 section 3.3)
	TLSA       TLSAData   // TLSA
}

// TLSAData is the content of a TLSA record (RFC 6698 section 2.1), not judged.
type TLSAData struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

// A Reason is the kind of a failure.
type Reason uint8

const (
	Unknown    Reason = iota // not told
	Timeout                  // no answer in time
	Network                  // the resolver could not be reached
	ServerFail               // SERVFAIL: lame, bogus or broken further up; see Failure.EDE
	Refused                  // REFUSED: the resolver does not serve us
	OtherRCode               // some other response code
	Truncated                // cut short, over TCP too, or TCP did not work
	Malformed                // not a DNS message, or one that contradicts itself
	Lame                     // a referral or an empty answer from a server that is no resolver
	Filtered                 // the resolver blocked, forged or could only repeat a stale denial (RFC 8914)
	TooLarge                 // more records than we accept
	AliasLoop                // the CNAME chain is too long or a loop
	BadName                  // what was asked is no domain name
	OverBudget               // the query budget of the attempt is used up
	Canceled                 // the caller gave up
)

var reasons = [...]string{
	"unknown failure", "timeout", "resolver unreachable", "server failure", "refused",
	"unexpected response code", "truncated answer", "malformed answer", "lame answer", "filtered answer", "answer too large",
	"too many aliases", "not a domain name", "query budget used up", "canceled",
}

// String returns the reason in words.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// A Failure tells why a question could not be answered. It is the error of
// [Answer.Err].
type Failure struct {
	Name   string // the name that was being asked for, perhaps an alias' target
	Type   Type
	Reason Reason
	RCode  int            // response code, when there was a response (RFC 6895)
	EDE    *ExtendedError // what the resolver said about it; nil if nothing
	Server string         // address of the resolver; empty if none was asked
	Err    error          // what lies beneath, such as a network error; may be nil
}

// An ExtendedError is an extended DNS error (RFC 8914).
type ExtendedError struct {
	Code uint16 // 6 is "DNSSEC bogus"
	Text string // foreign text, at most 256 bytes of valid UTF-8; quote it
}

// Error tells the question and the reason. Foreign text is quoted.
func (f *Failure) Error() string {
	s := fmt.Sprintf("look up %s %s: %s", f.Name, f.Type, f.Reason)
	if f.Reason == OtherRCode {
		s += fmt.Sprintf(" %d", f.RCode)
	}
	if f.EDE != nil {
		s += fmt.Sprintf(" (extended error %d %q)", f.EDE.Code, f.EDE.Text)
	}
	if f.Server != "" {
		s += " from " + f.Server
	}
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }
