package mail

import (
	"io"
	"net/netip"
	"time"
)

// An Envelope is what travels beside a message's content (RFC 5321 section
// 2.3.1), with what the content demands of the servers on its way.
type Envelope struct {
	ReversePath Address  // the zero Address is the null reverse-path <>
	TLS         TLSFlags // message level
	Need8Bit    bool     // content has octets above 127: the next hop must offer 8BITMIME
	NeedUTF8    bool     // header or reverse-path needs SMTPUTF8 (RFC 6531); recipients say so themselves
	RequireTLS  bool     // submitted with the REQUIRETLS extension (RFC 8689)
	TLSOptional bool     // carries "TLS-Required: No" (RFC 8689 section 3)
	// Report: the message carries a TLS report. Its sessions are not counted for
	// another one, or two systems report to each other for ever (RFC 8460 section 3).
	Report bool `json:",omitempty"`
	// Sources are the addresses of ours that the message may leave from; none: any.
	Sources []netip.Addr `json:",omitempty"`
	// DSN is what the sender asked to be told; nil: nothing. It is shared and never changes.
	DSN *DSN `json:",omitempty"`
}

// A Job is one message on its way to one next hop: what the queue hands to an
// attempt. All its recipients have the next hop as their domain, are due and
// are leased to the holder of the job.
type Job struct {
	Message    ID
	DomainID   int64  // sending domain
	Domain     string // its name, A-labels
	MessageID  string // Message-ID field without angle brackets, for the log
	Envelope   Envelope
	DomainTLS  TLSFlags       // domain level, read for this attempt
	Settings   DomainDelivery // other delivery settings of the sending domain
	NextHop    string         // recipient domain, A-labels, lower case
	Recipients []Recipient    // at least one
	Size       int64          // octets of content
	Accepted   time.Time
	Leased     time.Time // when the queue gave the job out; the delays in the log count from here
	// Open returns the content, CRLF line ends only, from its first octet.
	// The caller closes it. Every call returns the same octets.
	Open func() (io.ReadCloser, error)
}

// A Recipient is one queue row of a Job.
type Recipient struct {
	Row     ID
	Lease   int64 // fencing token under which the row is held
	Address Address
	Attempt int       // number of this attempt, from 1
	Expires time.Time // no attempt is made after one that ended past this moment
}

// DomainDelivery are a sending domain's delivery settings besides the two
// flags. The zero value is the default of every one.
type DomainDelivery struct {
	// EncryptUnverified delivers over TLS that does not verify, instead of in
	// plaintext, when neither flag is set (on-unverified = encrypt).
	EncryptUnverified bool `json:"encrypt-unverified,omitempty"`
	// DeferDowngrade defers mail to a host that offered STARTTLS before and
	// stopped, instead of delivering in plaintext (downgrade-protection = defer).
	DeferDowngrade bool `json:"defer-downgrade,omitempty"`
	// Floor keeps messages from lowering what the domain's flags require.
	Floor bool `json:"floor,omitempty"`
	// GiveUpAfter returns a message that could not be delivered for want of the
	// required TLS so long after its acceptance, at the next such failure
	// (require-tls-give-up-after). 0 waits as long as for any other failure;
	// negative gives up at the first.
	GiveUpAfter time.Duration `json:"give-up-after,omitempty"`
	// RequireTLSHop holds only our own hop to REQUIRETLS (requiretls-mode = hop)
	// instead of following RFC 8689 to the letter.
	RequireTLSHop bool `json:"requiretls-hop,omitempty"`
	// DANE and STS say what the policies of recipients count for; empty is Honor.
	// They are what was set, with PolicyUntil as its end: what counts at a given
	// moment is told by PolicyModes.
	DANE PolicyMode `json:"dane,omitempty"`
	STS  PolicyMode `json:"mta-sts,omitempty"`
	// PolicyUntil ends Audit and Ignore of DANE and STS: from then on both are Honor.
	// Zero has ended already, so that what lowers security never lasts by omission.
	PolicyUntil time.Time `json:"policy-until,omitzero"`
	// DANESuffices: a matching TLSA record also satisfies an enforced MTA-STS policy
	// (dane-satisfies-mta-sts).
	DANESuffices bool `json:"dane-suffices,omitempty"`
	// MinTLS is the lowest TLS version that counts as TLS; empty is TLS12.
	MinTLS TLSVersion `json:"min-tls,omitempty"`
	// Retry are the waits between attempts; empty means the server's default.
	Retry []time.Duration `json:"retry,omitempty"`
	// Lifetime is how long a message may stay queued; 0 means the server's default.
	Lifetime time.Duration `json:"lifetime,omitempty"`
}
