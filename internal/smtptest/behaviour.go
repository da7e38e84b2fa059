package smtptest

import (
	"crypto/tls"
	"time"
)

// A STARTTLSMode is how a server deals with TLS.
type STARTTLSMode uint8

const (
	// TLSOffered: as it should be. Needs a Certificate (or TLSConfig); without
	// one the mode is TLSNotOffered.
	TLSOffered STARTTLSMode = iota
	TLSLowerCase
	TLSNotOffered
	TLSOnlyInName     // not offered, but the host name says "starttls"
	TLSReject         // offered, and answered with STARTTLSReply
	TLSCloseOnCommand // closes instead of answering STARTTLS
	TLSCloseAfter220
	TLSGarbage          // octets that are not TLS, after the ClientHello
	TLSStall            // silence after the ClientHello
	TLSCloseAfterHello  // closes after the ClientHello
	TLSResetAfterHello  // resets the connection instead, where it is TCP
	TLSStallBigHello    // silence if the ClientHello has more than BigHello octets
	TLSResetBigHello    // reset, or close, likewise
	TLSLateRejection    // TLS 1.3; the alert comes after the client's Finished
	TLSLateClose        // TLS 1.3; closes right after the handshake
	TLSOld              // TLS 1.1 at most
	TLSAlertAfterHello  // a handshake_failure alert instead of a ServerHello
	TLSStallAfterServer // the ServerHello's first octets, then silence
)

// BigHello is the size in octets, with the record header, above which a
// ClientHello counts as big.
const BigHello = 1400

// A Behaviour says what a [Server] does. The zero value is an honest server in
// plaintext. It must not be changed while the server runs.
type Behaviour struct {
	Host string // "mx.test" if empty

	// Extensions are the EHLO lines besides STARTTLS; nil is DefaultExtensions.
	// TLSExtensions are those inside TLS; nil is the same as Extensions.
	Extensions    []string
	TLSExtensions []string

	STARTTLS      STARTTLSMode
	STARTTLSReply string // for TLSReject; "454 4.7.0 TLS not available" if empty
	Inject        string // octets sent in one write with the 220 to STARTTLS
	Certificate   tls.Certificate
	// TLSConfig replaces the whole configuration if not nil.
	TLSConfig *tls.Config

	// RequireTLS answers MAIL in plaintext with RequireTLSReply,
	// "530 5.7.0 Must issue a STARTTLS command first" if empty.
	RequireTLS      bool
	RequireTLSReply string

	// Replies replace the reply to a verb; see Command for the verbs. A line
	// break in a reply is "\n".
	Replies map[string]string
	// On is asked before each reply. A zero Action leaves everything as it is.
	// It wins over Replies and is called from the connection's goroutine.
	On func(Command) Action
	// Rcpt gives the reply for one recipient address; empty is "250 2.1.5 OK".
	Rcpt func(address string) string

	// StopReading stops reading from the connection after the command with this
	// verb was answered.
	StopReading string
	// MaxConns answers 421 to connections beyond so many at once; 0 is no limit.
	MaxConns int
}

// DefaultExtensions are what a modern server offers, besides STARTTLS.
func DefaultExtensions() []string {
	return []string{"PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING"}
}

// A Command is something the server is about to answer.
type Command struct {
	// Verb is the command's name in upper case, or GREETING, or DOT for the end
	// of DATA content, or LAST for a BDAT that ends the message.
	Verb string
	Line string // as it came, without its end
	Conn int    // number of the connection on this server, from 1
	N    int    // how many with this verb there were on the connection, from 1
	TLS  bool
	At   time.Time
}

// An Action is what to do instead of the normal reply.
type Action struct {
	Reply  string        // instead of the normal one; a line break is "\n"
	Raw    string        // instead of any reply: these octets, as they are
	Delay  time.Duration // before the reply
	Drip   time.Duration // before every octet of it
	Flood  string        // instead of a reply: this, again and again, until the client goes
	Silent bool          // no reply; the connection stays open until the client goes
	Close  bool          // close after the reply; with Silent, instead of it
	Reset  bool          // like Close, but reset where it is TCP
}
