package smtpclient

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/sealpost/sealpost/internal/mail"
)

// A TLSOutcome is how negotiating TLS ended.
type TLSOutcome uint8

const (
	TLSNone        TLSOutcome = iota // StartTLS was not called
	TLSNotOffered                    // nothing was sent; the session is unchanged
	TLSRejected                      // the reply was not 220; the session is unchanged and usable (RFC 3207 section 4)
	TLSNoReply                       // 421, closed, silent or nonsense instead of a reply
	TLSFailed                        // the handshake failed: alert, reset, end, garbage, version, certificates beyond limits
	TLSStalled                       // the handshake took longer than Timeouts.Handshake
	TLSInterrupted                   // the caller's context ended; says nothing about the server
	TLSCompleted
)

var tlsOutcomeNames = [...]string{
	"none", "not offered", "rejected", "no reply", "failed", "stalled", "interrupted", "completed",
}

// String returns the outcome's name for people.
func (o TLSOutcome) String() string {
	if int(o) < len(tlsOutcomeNames) {
		return tlsOutcomeNames[o]
	}
	return fmt.Sprintf("TLS outcome %d", uint8(o))
}

// A HelloAnswer is the first thing that came back after our ClientHello.
type HelloAnswer uint8

const (
	AnswerNone        HelloAnswer = iota // silence, reset or end
	AnswerServerHello                    // also a HelloRetryRequest
	AnswerAlert
	AnswerGarbage // not TLS
)

// TLSFacts is what is known about TLS on a connection.
type TLSFacts struct {
	Outcome  TLSOutcome
	Reply    mail.Reply // to STARTTLS; zero if there was none
	Injected int        // octets that followed the 220 in the clear, thrown away

	HelloSize int         // octets of the ClientHello with its record header; 0 if none was sent
	Answer    HelloAnswer // what the server answered to it
	// LateRejection: the connection ended with the first read after a completed
	// TLS 1.3 handshake. Outcome is TLSFailed then, known only after Hello.
	LateRejection bool

	State tls.ConnectionState // if the handshake completed, also when rejected late
	Err   error               // why the outcome is not TLSCompleted
}

// BigHello reports whether the ClientHello was too large for one TCP segment,
// as it is with a post-quantum key share.
func (f *TLSFacts) BigHello() bool { return f.HelloSize > 1200 }

// HelloUnanswered reports whether the server went silent or away upon our
// ClientHello, without a ServerHello or an alert: what boxes do that cannot
// take a hello of two segments.
func (f *TLSFacts) HelloUnanswered() bool {
	return f.HelloSize > 0 && f.Answer == AnswerNone && (f.Outcome == TLSFailed || f.Outcome == TLSStalled)
}

// TLSOptions are the choices in a [TLSConfig]. The zero value is TLS 1.2 or
// later with Go's own suites and groups.
type TLSOptions struct {
	SmallHello bool   // X25519 and P-256 only: the ClientHello fits one segment
	Legacy     bool   // also offer RSA key exchange; only where unverified TLS will do
	MinVersion uint16 // 0 is TLS 1.2
}

// TLSConfig returns a configuration for StartTLS that completes the handshake
// with any certificate, so that all facts can be collected and judged after it.
// It never resumes sessions. serverName is sent as SNI; empty sends none.
func TLSConfig(serverName string, o TLSOptions) *tls.Config { return nil }

// StartTLS asks for TLS and performs the handshake. The facts are valid whatever
// the error. The error is nil exactly if the outcome is TLSCompleted. All
// capabilities are forgotten then and Hello must be called again, after the caller
// has judged the facts; an unfit session is ended with Quit.
//
// [Client.Usable] tells whether plaintext may go on over this connection: yes
// after TLSNotOffered and TLSRejected, no after everything else.
func (c *Client) StartTLS(ctx context.Context, config *tls.Config) (TLSFacts, error) {
	return TLSFacts{}, nil
}
