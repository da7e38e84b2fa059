package smtpclient

import (
	"context"
	"fmt"
	"io"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Transaction is one message for one or more recipients.
type Transaction struct {
	ReversePath mail.Address   // the zero Address is <>
	Recipients  []mail.Address // at least one
	// Open returns the content: lines that end in CRLF, the last one too, without
	// dot-stuffing. It may be called twice (a server that refuses BDAT), and must
	// give the same octets each time. The client closes what it returned.
	Open func() (io.ReadCloser, error)
	// Size is the octets of content, announced if the server offers SIZE. 0 is
	// unknown. The content must have exactly this size.
	Size int64

	Need8Bit   bool // content has octets above 127: sends BODY=8BITMIME
	NeedUTF8   bool // sends SMTPUTF8 (RFC 6531)
	RequireTLS bool // sends REQUIRETLS (RFC 8689); only inside TLS
	// DSN is sent where the server offers the extension, and left out elsewhere (RFC 3461
	// section 5.2); nil: nothing to send.
	DSN *mail.DSN

	// AwaitEnvelope keeps the content back until the server has accepted a recipient,
	// also where CHUNKING would let a small message leave together with its envelope.
	AwaitEnvelope bool

	// BeforeFinal, if not nil, is asked once, right before the octets that
	// complete the message leave. If it returns an error, the message is never
	// completed and the connection closes; the result is StateAbandoned.
	BeforeFinal func(ctx context.Context) error

	// FinalContext bounds the wait for the reply after the end of the content.
	// The context of Send does not: cutting there would leave the outcome
	// unknown, so shutdown waits. If nil, Timeouts.Final is the only bound.
	FinalContext context.Context
}

// A State is how far a transaction came.
type State uint8

const (
	StateNotStarted        State = iota // nothing was sent; see the error
	StateMailRefused                    // Result.Mail is the reason
	StateRecipientsRefused              // all of them; no content was sent
	StateDataRefused                    // Result.Data is the reason
	StateAbandoned                      // given up by us: context, BeforeFinal, content. The message was not completed
	StateLost                           // connection lost, 421, timeout or protocol error. The message was not completed
	StateCompleted                      // Result.Final is the answer to the message
	StateOutcomeUnknown                 // the message was perhaps completed, and no proper reply came
)

var stateNames = [...]string{
	"not started", "MAIL refused", "recipients refused", "DATA refused", "abandoned",
	"connection lost", "completed", "outcome unknown",
}

// String returns the state's name for people.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// A Result is everything that was answered in one transaction. A zero Reply
// means that none was received.
type Result struct {
	State      State
	Mail       mail.Reply
	Recipients []mail.Reply // to RCPT, in the order of the transaction
	Data       mail.Reply   // to DATA (354), or the BDAT that was refused before the last
	Final      mail.Reply   // to the end of the content; for accepted recipients only
	Closing    mail.Reply   // the 421 that ended it, if one did
	Pipelined  bool
	Chunked    bool // BDAT was used
}

// Reply returns the reply that decided about recipient i: the final one if it
// was accepted, else the refusal of MAIL, RCPT or DATA, else the 421 that closed
// the connection. It is the zero Reply when nothing was decided: then the state,
// and the error from Send, tell why.
func (r *Result) Reply(i int) mail.Reply {
	if r.Mail.Temporary() || r.Mail.Permanent() {
		// What a server then says to a RCPT that was on its way already, mostly 503,
		// is only about the order of commands.
		return r.Mail
	}
	if rcpt := r.Recipients[i]; rcpt.Temporary() || rcpt.Permanent() {
		return rcpt
	}
	if r.Data.Temporary() || r.Data.Permanent() {
		return r.Data
	}
	if r.State == StateCompleted {
		return r.Final
	}
	return r.Closing
}

// Delivered reports whether the server took responsibility for recipient i.
func (r *Result) Delivered(i int) bool {
	return r.State == StateCompleted && r.Recipients[i].Positive() && r.Final.Positive()
}
