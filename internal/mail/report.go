package mail

import (
	"fmt"
	"time"
)

// An Outcome is what one attempt meant for one recipient. The zero value is
// Deferred: unknown is temporary.
type Outcome uint8

const (
	Deferred  Outcome = iota // try again by the schedule
	Delivered                // the remote server took responsibility
	Bounced                  // refused for good
	// Abandoned: the attempt was given up before anything was decided (shutdown,
	// lost lease). It does not count, and the recipient is due at once.
	Abandoned
)

var outcomeNames = [...]string{"deferred", "delivered", "bounced", "abandoned"}

// String returns the outcome's name as the log spells it.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// A Scope says how far a failure reaches, so that the queue knows what else to
// slow down. The zero value is the recipient alone.
type Scope uint8

const (
	ScopeRecipient Scope = iota // this address
	ScopeMessage                // this message, whatever the recipient
	ScopeHost                   // every message to this next hop, for now: nobody answers
	// ScopePolicy: the required TLS level was not to be had. It concerns messages
	// with the same requirement only and must never slow down others.
	ScopePolicy
	ScopeSelf // our own trouble: resolver or network down
)

// A Report is what came out of one attempt to deliver a [Job]. An attempt that
// failed is a report, not an error.
type Report struct {
	Results  []RecipientResult // one per recipient of the job, same order
	Started  time.Time
	Finished time.Time
	// Delays besides the time before the lease, for the log line (Postfix's
	// a/b/c/d): waiting for a connection slot, connecting with TLS, transmitting.
	Connecting   time.Duration
	Transmitting time.Duration
}

// A RecipientResult is one recipient's part of a [Report].
type RecipientResult struct {
	Outcome Outcome
	Scope   Scope
	Reply   Reply // the reply that decided; Local when we decided
	// Reason is the failure's class in the event log's vocabulary: generic,
	// bounce, old. Empty when delivered.
	Reason string
	// NoMX: the recipient domain has no mail host now (code 498 in the event log).
	NoMX bool
	// Session tells what was contacted and achieved. Nil if no server was
	// contacted and none was refused before contact.
	Session *Session
}

// A Session is the truth about the connection that carried the message, or
// that the attempt ended on.
type Session struct {
	MXHost              string // A-label; empty if none was contacted
	TLS                 bool   // the message travelled, or was refused by the remote, inside TLS
	CertificateVerified bool   // chain and name verified, or a TLSA record matched, on that connection
	UTF8                bool   // SMTPUTF8 was offered
	DSN                 bool   // DSN was offered, so what the envelope says of it was passed on
	SendingIP           string // our address of that connection
	Duration            time.Duration
	Detail              TLSDetail
}
