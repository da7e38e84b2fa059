package mail

import (
	"strings"
	"time"
)

// A PolicyMode says what a policy that a recipient published (DANE, MTA-STS)
// counts for. The zero value leaves it to the next level; at the last one it is
// Honor.
type PolicyMode string

const (
	Honor  PolicyMode = "honor"  // it is looked up and decides
	Audit  PolicyMode = "audit"  // it is looked up, logged and reported, and decides nothing
	Ignore PolicyMode = "ignore" // it is not looked up
)

// A TLSVersion is a version of TLS as settings spell it. The zero value means
// that none is set.
type TLSVersion string

const (
	TLS10 TLSVersion = "1.0"
	TLS11 TLSVersion = "1.1"
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// An Override is an exception for mail to one recipient domain or one MX host:
// made by a person, for a reason, and, where it lowers security, with an end.
type Override struct {
	ID     int64
	Target string // recipient domain or MX host: A-labels, lower case
	MXHost bool   // Target is an MX host; it counts for every recipient domain there

	// What it sets. Zero fields leave things as they are.
	DANE         PolicyMode
	STS          PolicyMode
	Requirement  string       // OV, OA, RV or RA: the class that counts in place of the flags'
	MinTLS       TLSVersion   // lowest version that counts as TLS
	OnUnverified OnUnverified // what OV does with a certificate that does not verify
	ClientCert   string       // name of the client certificate to show

	Author  string // who made it, as the audit log has it
	Reason  string // in the words of the author; never empty
	Created time.Time
	Expires time.Time // zero: never. Never zero where Lowers.
}

// OnUnverified says what becomes of mail with default flags when a certificate
// does not verify. The zero value sets nothing.
type OnUnverified string

const (
	UnverifiedPlaintext OnUnverified = "plaintext"
	UnverifiedEncrypt   OnUnverified = "encrypt"
)

// Lowers reports whether the override can lead to less security than there
// would be without it, whatever the flags are. Such an override must expire.
func (o Override) Lowers() bool {
	policy := func(m PolicyMode) bool { return m == Audit || m == Ignore }
	return policy(o.DANE) || policy(o.STS) ||
		o.Requirement != "" && o.Requirement != "RV" ||
		o.MinTLS != "" && o.MinTLS != TLS13 || // a domain may ask for 1.3
		o.OnUnverified == UnverifiedPlaintext
}

// Active reports whether the override counts at the given moment.
func (o Override) Active(now time.Time) bool { return o.Expires.IsZero() || now.Before(o.Expires) }

// IsZero reports whether nothing is overridden.
func (o Override) IsZero() bool { return o.Target == "" }

// Sets lists what the override sets, one "name=value" each, in a fixed order.
func (o Override) Sets() []string {
	var list []string
	for _, s := range []struct{ name, value string }{
		{"dane", string(o.DANE)}, {"mta-sts", string(o.STS)}, {"requirement", o.Requirement}, {"min-tls", string(o.MinTLS)},
		{"on-unverified", string(o.OnUnverified)}, {"client-cert", o.ClientCert},
	} {
		if s.value != "" {
			list = append(list, s.name+"="+s.value)
		}
	}
	return list
}

// Lowering lists the settings that lower security, one by one.
func (o Override) Lowering() []string {
	var list []string
	for _, alone := range []Override{
		{DANE: o.DANE}, {STS: o.STS}, {Requirement: o.Requirement}, {MinTLS: o.MinTLS}, {OnUnverified: o.OnUnverified},
	} {
		if alone.Lowers() {
			list = append(list, alone.String())
		}
	}
	return list
}

// String returns what the override sets, on one line.
func (o Override) String() string { return strings.Join(o.Sets(), " ") }
