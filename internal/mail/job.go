package mail

import (
	"io"
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
	TLSOptional bool     // carries "TLS-Required: No" (RFC 8689 section 5)
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
	// Retry are the waits between attempts; empty means the server's default.
	Retry []time.Duration `json:"retry,omitempty"`
	// Lifetime is how long a message may stay queued; 0 means the server's default.
	Lifetime time.Duration `json:"lifetime,omitempty"`
}
