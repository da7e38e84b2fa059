package smtpclient

import (
	"cmp"
	"time"
)

// Limits on what one server may say. Beyond them a reply is a protocol error.
const (
	MaxReplyLine    = 2048     // octets in one line, with its end
	MaxReplyLines   = 500      // lines in one reply
	MaxReplySize    = 64 << 10 // octets in one reply
	MaxReplyText    = 4 << 10  // octets kept of a reply's text, with the mark that it was cut
	MaxCapabilities = 100      // EHLO keywords kept; the rest is ignored
)

// A Config says how a [Client] presents itself and how long it waits.
type Config struct {
	// Name is our host name for EHLO and HELO: a domain or an address literal.
	Name string
	// Timeouts; a zero field takes its default.
	Timeouts Timeouts
	// NoPipelining sends one command at a time, and NoChunking uses DATA instead
	// of BDAT, whatever the server offers. For hosts whose offer is broken.
	NoPipelining bool
	NoChunking   bool
}

// Timeouts bound each wait from its start to its end, not from octet to octet:
// a reply that drips in is cut off like one that never comes. The defaults are
// those of RFC 5321 section 4.5.3.2. The caller's context bounds the whole.
type Timeouts struct {
	Greeting  time.Duration // 5 min
	Hello     time.Duration // EHLO and HELO; 5 min
	StartTLS  time.Duration // the reply to STARTTLS; 5 min
	Handshake time.Duration // the whole TLS handshake; 30 s
	Mail      time.Duration // MAIL, and RSET and NOOP; 5 min
	Rcpt      time.Duration // 5 min
	Data      time.Duration // the reply to DATA, or to a BDAT that is not the last; 2 min
	Block     time.Duration // writing one block of content or one group of commands; 3 min
	Final     time.Duration // the reply to the end of the content; 10 min
	Quit      time.Duration // the reply to QUIT when the call gives no limit; 5 s
}

// withDefaults returns t with its zero fields filled in.
func (t Timeouts) withDefaults() Timeouts {
	return Timeouts{
		Greeting:  cmp.Or(t.Greeting, 5*time.Minute),
		Hello:     cmp.Or(t.Hello, 5*time.Minute),
		StartTLS:  cmp.Or(t.StartTLS, 5*time.Minute),
		Handshake: cmp.Or(t.Handshake, 30*time.Second),
		Mail:      cmp.Or(t.Mail, 5*time.Minute),
		Rcpt:      cmp.Or(t.Rcpt, 5*time.Minute),
		Data:      cmp.Or(t.Data, 2*time.Minute),
		Block:     cmp.Or(t.Block, 3*time.Minute),
		Final:     cmp.Or(t.Final, 10*time.Minute),
		Quit:      cmp.Or(t.Quit, 5*time.Second),
	}
}
